/* SPDX-License-Identifier: Apache-2.0 */
/* Explaining: what explain.c and explain_field.c share. */
#pragma once

#include "compile.h"
#include "explain.h"
#include "match.h"
#include "ruleset.h"

/* A field as rules call it: its names, and what this event has there. */
struct explain_field {
	struct slice *names; /* folded; its own is the first */
	uint32_t n_names;
	struct slice from, key; /* derived; from.ptr NULL: it is not */

	uint64_t epoch; /* of the event that the rest is of */
	bool present;
	struct ref *refs;
	struct explain_seen *seen; /* parallel */
	uint32_t n, cap;
};

/* A logsource: what it means, and whether this event is of it. */
struct explain_route {
	struct sigma_logsource ls; /* of the rule; borrowed */
	struct taxonomy_term terms[TAXONOMY_TERMS_MAX];
	uint32_t n_terms;
	uint64_t epoch;
	bool holds;
};

struct explainer {
	struct ruleset *rules;       /* a reference */
	struct arena *forever, *now; /* of all events, of this one; owned */
	struct matcher values;       /* for match_value() only */
	struct byte_map map;         /* folded name -> index in `fields` + 1 */
	struct explain_field **fields;
	uint32_t n_fields, cap_fields;
	struct explain_route *routes;
	uint32_t n_routes;
	uint32_t *route_of; /* by rule */

	uint64_t epoch;
	const struct event *event;
	struct logsource logsource;
};

/* Of a correlation: what it wants, in a line; `group`, `missing`, `counted`. */
struct slice explain_definition(struct explainer *x,
    const struct sigma_correlation *c);
void explain_group(struct explainer *x, const struct sigma_correlation *c,
    uint32_t slot, struct explanation *e);

/* What this event has in a field; an empty name is what keywords look at. */
struct explain_field *explain_field(struct explainer *x, struct slice name);
