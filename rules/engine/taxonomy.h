/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data files of rules/taxonomy: which events a logsource means, and under
 * which names an event carries a Sigma field.
 *
 *   logsources:                       # a rule's logsource is covered by the
 *     - product: windows              # entries that say most of it; all of
 *       service: security             # them must hold
 *       where: {Channel: Security}    # a selection, as in a rule
 *   generic:                          # for parts that no entry covers
 *     product: {"event.module|expand": "%value%"}
 *   fields:                           # Sigma's name: the event's names
 *     Image: [process.executable]
 *   prefixes: [winlog.event_data]     # a field F may be PREFIX.F; "*" in a
 *                                     # prefix is one part of a name
 *   derived:                          # KEY=VALUE,... in one field
 *     Imphash: {from: Hashes, key: IMPHASH}
 *   placeholders:                     # what %NAME% of `expand` stands for
 *     Administrators: [root, "adm*"]
 *   complete:                         # all fields of a logsource, for lint:
 *     - {product: windows, category: dns_query, fields: [QueryName, ...]}
 *   common:                           # and those of the logsources below one
 *     - {product: windows, fields: [EventID, ...]}
 *
 * All *.yml of the folder are read; what a later one (by name) says of the same
 * logsource wins, fields are added up.
 */
#pragma once

#include "parse.h"

struct taxonomy;

/* A bad file is an error: the taxonomy belongs to the installation. */
enum rc taxonomy_load(const char *dir, struct taxonomy **out,
    struct error *err);
/* Adds a folder of the user's own; after an error `t` may have a part of it. */
enum rc taxonomy_extend(struct taxonomy *t, const char *dir, struct error *err);
void taxonomy_free(struct taxonomy *t); /* NULL is fine */

enum { SOURCE_PRODUCT = 1, SOURCE_CATEGORY = 2, SOURCE_SERVICE = 4 };

/* One condition on events, for the parts of a logsource that it covers. */
struct taxonomy_term {
	unsigned parts; /* SOURCE_* */
	const struct sigma_selection *where;
};
enum { TAXONOMY_TERMS_MAX = 3 };

/*
 * The conditions of a logsource, all of which must hold; how many.  Borrowed
 * from the taxonomy.  0 for an empty logsource.
 */
uint32_t taxonomy_route(struct taxonomy *t, const struct sigma_logsource *ls,
    struct taxonomy_term terms[TAXONOMY_TERMS_MAX]);

/* Names an event may carry `field` under, besides its own; borrowed. */
const struct slice *taxonomy_names(const struct taxonomy *t, struct slice field,
    uint32_t *n);

/* Values for `expand`, by name; owned by the taxonomy. */
const struct conf_map *taxonomy_placeholders(const struct taxonomy *t);

/* Folded; and as they are written, parallel. */
const struct slice *taxonomy_prefixes(const struct taxonomy *t, uint32_t *n);
const struct slice *taxonomy_prefixes_written(const struct taxonomy *t);

/* False: not derived. */
bool taxonomy_derived(const struct taxonomy *t, struct slice field,
    struct slice *from, struct slice *key);

/*
 * Of a part of a logsource (taxonomy_part() 0 to 2) that no map has: the one that
 * is spelt most like it; empty: some map has it, or none is like it.
 */
struct slice taxonomy_near_part(const struct taxonomy *t,
    const struct sigma_logsource *ls, unsigned part);

/* Whether the taxonomy knows all fields of a logsource. */
bool taxonomy_is_complete(const struct taxonomy *t,
    const struct sigma_logsource *ls);
/* Whether events of such a logsource have the field, derived ones too. */
bool taxonomy_has_field(const struct taxonomy *t,
    const struct sigma_logsource *ls, struct slice field);
/* The field of such a logsource that is spelt most like it; empty: none is. */
struct slice taxonomy_near_field(const struct taxonomy *t,
    const struct sigma_logsource *ls, struct slice field);
