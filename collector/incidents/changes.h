/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incidents as they go into soc.db: collected, then applied together.
 */
#pragma once

#include "correlate.h"
#include "objects.h"
#include "soc.h"

struct changes {
	struct arena *arena; /* their texts */
	struct incident *list;
	size_t n, cap;
};

void changes_init(struct changes *c);
void changes_fini(struct changes *c);
void changes_clear(struct changes *c);

/*
 * A copy; the rule's texts are borrowed from the rule set.  `objects`: who is
 * accountable, by the agents and by group members kuzet.object.id and host.name;
 * NULL: there is no register.
 */
void changes_add(struct changes *c, const struct ruleset *rules,
    const struct objects *objects, const struct correlate_incident *inc);
