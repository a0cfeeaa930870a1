/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the loader share while one file is read. */
#pragma once

#include <stdarg.h>

#include "format.h"

struct loader {
	struct format *format;
	const struct yaml_node *root;
	const struct yaml_node *fields; /* the file's, may be NULL */
	struct define defines[DEFINES_MAX];
	size_t n_defines;
	struct lookup *lookups;
	size_t n_lookups;
	struct slice slots[SLOTS_MAX]; /* names that cases and joins ask for */
	const struct field *base;      /* constants below those of a pattern */
	uint32_t n_base;
	struct error *err; /* the first failure */
	unsigned line;
	bool failed;
};

/* Keeps the first failure; the reading functions go on doing nothing. */
void loader_fail(struct loader *l, const struct yaml_node *node,
    const char *fmt, ...) PRINTF_LIKE(3, 4);

bool loader_keys(struct loader *l, const struct yaml_node *map,
    const char *const *known);

bool loader_flag(struct loader *l, const struct yaml_node *map, const char *key,
    bool def);
/* A copy in the format's arena; `what` names it in the message. */
struct slice loader_text(struct loader *l, const struct yaml_node *node,
    const char *what);
/* A text or a list of them; NULL is none. */
void loader_texts(struct loader *l, const struct yaml_node *node,
    const char *key, struct slice **out, uint32_t *n);

/* `set`: fields and their values, on top of those of `base`; NULL is none. */
void loader_constants(struct loader *l, const struct yaml_node *node,
    const struct field *base, uint32_t n_base, struct field **out,
    uint32_t *n_out);
void loader_patterns(struct loader *l, const struct yaml_node *node,
    struct pattern **out, uint32_t *n);

/* `when` and `json`: names and what they must be; NULL is none. */
void loader_conditions(struct loader *l, const struct yaml_node *node,
    const char *key, struct condition **out, uint32_t *n);

/* The keys fields, readers, rest, joins and cases of the file. */
void loader_readers(struct loader *l);

/* What `fields` says of one name. */
void loader_targets(struct loader *l, const struct yaml_node *node,
    struct capture *c);
int loader_slot(const struct loader *l, struct slice name);

/*
 * Binds the named groups of p->code to targets: by `fields` of the pattern,
 * else by those of the file.  A group without either is refused.
 */
void loader_captures(struct loader *l, const struct yaml_node *at,
    const struct yaml_node *fields, struct pattern *p);
