/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload replaces as a whole: rules, log formats, GeoIP, objects.  Immutable and
 * counted; workers take the newest between two pieces.
 */
#pragma once

#include "config.h"
#include "engine.h"
#include "enrich/geoip.h"
#include "enrich/personal.h"
#include "normalize.h"
#include "objects.h"

struct stages {
	struct ruleset *rules;
	struct normalizer_set *normalizers;
	struct geoip *geoip;
	struct objects *objects;           /* NULL: there is no register */
	struct personal_options *personal; /* NULL: everything stays */
	const char *remark;                /* constant; "": all is new */
	unsigned references;               /* __atomic */
};

/*
 * Loads everything that the configuration names.  Refused rules and formats
 * are logged, the others load; an error only where nothing could be read.
 * `before`: those in use, or NULL; while a file of formats is refused, their
 * formats stay as a whole, for half of a change would lose what ran.
 * `keep`: compiled rules are kept in the state's folder `cache`.
 */
enum rc stages_load(const struct collector_config *config,
    const struct stages *before, bool keep, struct stages **out,
    struct error *err);
struct stages *stages_ref(struct stages *s);
void stages_unref(struct stages *s); /* NULL is fine */
