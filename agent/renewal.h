/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renews the certificate of an agent that enrolled: in time, by the one that it
 * has, with a new key.  The collector's API is asked in a thread of its own;
 * everything else is in the loop's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/identity.h"
#include "log.h"
#include "loop.h"

struct renewal;

struct renewal_events {
	void *ctx;
	/* Other files lie there now. */
	void (*renewed)(void *ctx);
	void (*say)(void *ctx, enum log_level level, const char *text);
};

struct renewal *renewal_new(struct loop *l,
    const struct renewal_events *events);
void renewal_free(struct renewal *r); /* NULL is fine; before the loop */

/* At first and at each change; the texts are copied. */
void renewal_configure(struct renewal *r, const struct identity_files *files);

struct renewal_status {
	bool known;                   /* the certificate can be read */
	bool enrolled;                /* it is renewed from here */
	enum certificate_state state; /* of it */
	int64_t not_before_ns;
	int64_t not_after_ns, renew_ns, renewed_ns; /* 0: not since the start */
	uint64_t renewals, failures;
	const char *group; /* that it enrolled for; empty: none; borrowed */
	const char *error; /* of the last attempt; empty: none; borrowed */
};
void renewal_status(const struct renewal *r, struct renewal_status *out);
