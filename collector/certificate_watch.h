/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks whether certificates end, in the loop's thread: the collector's own once
 * a minute, those that agents got here once an hour.  What it finds is logged
 * and told once a day as an event of the collector's (findings.h); findings that
 * wait are handed on once a second.  Keeps the list of what was revoked here for
 * other collectors, and sees when theirs has changed.
 */
#pragma once

#include "api/api.h"
#include "config.h"
#include "findings.h"
#include "identities.h"
#include "loop.h"

struct certificate_watch;

struct certificate_watch_options {
	struct loop *loop; /* borrowed, as all here */
	const struct collector_config *config;
	struct identities *identities;
	struct findings *findings;
	/* As workers_submit(): takes the piece, or says no for now. */
	bool (*submit)(void *ctx, struct piece *piece);
	void (*changed)(void *ctx); /* tls.crl is another one, and at rest */
	void *ctx;
};

/* Has looked at the collector's own by then. */
struct certificate_watch *certificate_watch_new(
    const struct certificate_watch_options *options);
/* Writes enrolment.crl, if the configuration names it: also once a day.  In the
 * loop's thread; `authority` signs it from here on, NULL: nobody. */
void certificate_watch_revoked(struct certificate_watch *w);
void certificate_watch_authority(struct certificate_watch *w,
    struct authority *authority);
/* NULL is fine for all of these; the first may be called by any thread. */
void certificate_watch_status(struct certificate_watch *w,
    struct api_status *out);
void certificate_watch_stop(struct certificate_watch *w);
void certificate_watch_free(struct certificate_watch *w);
