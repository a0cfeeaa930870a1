/* SPDX-License-Identifier: Apache-2.0 */
/* A finding as an ECS event. */
#pragma once

#include "agent/inputs/policy/policy.h"

struct policy_origin {
	const char *host_name;
	const char *input;    /* NULL: of none */
	const char *previous; /* result of the last look; NULL: the first */
};

void policy_event(struct buf *out, const struct policy_origin *origin,
    const struct policy *p, const struct policy_check *c,
    const struct policy_finding *f);

/* Calls back for each policy of the patterns, in the order of their names. */
typedef enum rc policy_cb(void *ctx, struct policy *p, struct error *err);
enum rc policy_each(struct opener *o, const char *const *patterns, size_t n,
    policy_cb *cb, void *ctx, struct error *err);
