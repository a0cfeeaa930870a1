/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reload: configuration, certificates, rules, log formats and GeoIP are read
 * again in a thread of their own, so that nothing waits for the compiler.  What
 * the new files refuse leaves everything as it was.
 *
 * The rules change between two pieces, for everybody at once: workers pause,
 * what they matched with the old rules is committed and correlated by the old
 * rules, then correlation gets the new ones, then the workers, and they go on.
 * So no hit meets a correlation that does not know its rule.
 *
 * While the disk takes nothing that cannot be: everything stays as it is, the
 * workers work, it is said, and the change comes as soon as the store can write.
 */
#pragma once

#include "authority.h"
#include "config.h"
#include "incidents/incidents.h"
#include "loop.h"
#include "stages.h"
#include "store/writer.h"
#include "tls.h"
#include "worker.h"

/* A listener's each: they may be replaced apart. */
struct listener_tls {
	struct tls_context *beats, *syslog;
	struct tls_context *api;     /* NULL: no HTTPS */
	struct authority *authority; /* NULL: nobody enrols */
};
enum rc listener_tls_load(const struct collector_config *config,
    struct listener_tls *out, struct error *err);
void listener_tls_free(struct listener_tls *tls); /* a zeroed one is fine */

struct reload_options {
	const char *path; /* of the configuration; borrowed, as all below */
	struct loop *loop;
	struct workers *workers;
	struct writer *writer;
	struct incidents *incidents;
	struct stages *stages; /* in use at the start; takes a reference */
	/* In the loop's thread: certificates as soon as all is read; takes
	 * them.  Then the stages that are in use from now on; takes them. */
	void (*on_tls)(void *ctx, struct listener_tls *tls);
	void (*on_stages)(void *ctx, struct stages *stages);
	void *ctx;
};

struct reload;

/* In the loop's thread, as all where nothing else is said. */
struct reload *reload_new(const struct reload_options *options);

/* Any thread.  While one goes on: another one after it.  Its number, from 1. */
uint64_t reload_begin(struct reload *r);

enum reload_state {
	RELOAD_NONE,
	RELOAD_READING,
	RELOAD_WAITING, /* for the store */
	RELOAD_DONE,
	RELOAD_REFUSED,
};
struct reload_report {
	uint64_t number; /* of the newest that has ended */
	enum reload_state state;
	/* why it waits or was refused, or what stayed as it was */
	char message[sizeof((struct error){ .code = RC_OK }.text)];
};
/* Any thread. */
void reload_report(struct reload *r, struct reload_report *out);
const char *reload_state_name(enum reload_state state);

/*
 * Waits for the one that goes on and begins none any more; after
 * writer_wait_no_more() and incidents_wait_no_more(), before the three stages
 * end.
 */
void reload_end(struct reload *r);
void reload_free(struct reload *r); /* ended; NULL is fine */
