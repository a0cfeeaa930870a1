/* SPDX-License-Identifier: Apache-2.0 */
/* A taxonomy inside: taxonomy_read.c fills it, taxonomy.c answers. */
#pragma once

#include "conf.h"
#include "taxonomy.h"

enum { TAXONOMY_FILES_MAX = 64 };

struct entry {
	struct sigma_logsource ls;
	unsigned parts;
	struct sigma_selection where;
};

struct field_names {
	struct slice folded;
	struct slice *names;
	uint32_t n;
};

/* Fields of a logsource, folded. */
struct field_set {
	struct entry of; /* without `where` */
	const struct slice *fields;
	const struct slice *names; /* as written; parallel */
	uint32_t n;
	bool complete; /* there are no others */
};

struct derived {
	struct slice folded, from, key;
};

struct taxonomy {
	struct arena *arena;
	struct entry *entries;
	uint32_t n_entries;
	struct field_names *fields;
	uint32_t n_fields;
	struct slice *prefixes;         /* folded */
	struct slice *prefixes_written; /* parallel */
	uint32_t n_prefixes;
	struct derived *derived;
	uint32_t n_derived;
	struct field_set *sets;
	uint32_t n_sets;
	const struct yaml_node *generic[3]; /* product, category, service */
	struct conf_map placeholders;       /* one pair a value; malloc'ed */
	struct yaml_file *files[TAXONOMY_FILES_MAX];
	size_t n_files;
};

static inline struct slice
taxonomy_part(const struct sigma_logsource *ls, unsigned i)
{
	return i == 0 ? ls->product : i == 1 ? ls->category : ls->service;
}

/* SOURCE_* of the parts that are there. */
static inline unsigned
taxonomy_parts(const struct sigma_logsource *ls)
{
	return (ls->product.len > 0 ? SOURCE_PRODUCT : 0u) |
	    (ls->category.len > 0 ? SOURCE_CATEGORY : 0u) |
	    (ls->service.len > 0 ? SOURCE_SERVICE : 0u);
}

/* As fields are compared: lower case, no spaces. */
struct slice taxonomy_fold(struct arena *arena, struct slice name);
