/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much each system takes through the gateways of e-government, an hour at a
 * time, against its own history in the store: an hour that is more than twice
 * the busiest of the seven days before it is a finding.
 *
 * Looks in a thread of its own, after each hour and once at the start; a look is
 * two searches over a week of one column, which stand back behind all else.
 */
#pragma once

#include "findings.h"
#include "store.h"

enum {
	VOLUME_HISTORY_HOURS = 7 * 24,
	/* with anything at all: less is no history */
	VOLUME_HOURS_MIN = 24,
	VOLUME_FACTOR = 2,
	/* late events of an hour have so long */
	VOLUME_SETTLE_MINUTES = 10,
	VOLUME_SYSTEMS_MAX = 1000,
};
/* Less than that is nobody's exfiltration: 16 MiB. */
#define VOLUME_BYTES_MIN (16.0 * 1024 * 1024)

/*
 * The last hour that has settled by `now_ns`; *told: how many findings.  `stop`
 * (__atomic) ends it with RC_EOF.
 */
enum rc volume_look(struct store *s, struct findings *f, int64_t now_ns,
    const bool *stop, uint32_t *told, struct error *err);

struct volume_watch;

struct volume_watch *volume_watch_new(struct store *s, struct findings *f);
void volume_watch_free(struct volume_watch *w); /* NULL is fine; ends it */
