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
	struct error *err; /* the first failure */
	unsigned line;
	bool failed;
};

/* Keeps the first failure; the reading functions go on doing nothing. */
void loader_fail(struct loader *l, const struct yaml_node *node,
    const char *fmt, ...) PRINTF_LIKE(3, 4);

bool loader_keys(struct loader *l, const struct yaml_node *map,
    const char *const *known);

/*
 * Binds the named groups of p->code to targets: by `fields` of the pattern,
 * else by those of the file.  A group without either is refused.
 */
void loader_captures(struct loader *l, const struct yaml_node *at,
    const struct yaml_node *fields, struct pattern *p);
