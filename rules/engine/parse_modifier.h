/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modifiers of an item: they work from left to right on a list of variants
 * (windash, base64offset and expand make several of one value).
 */
#pragma once

#include "parse.h"

/* What the chain has made of the value so far. */
enum stage {
	STAGE_TEXT,
	STAGE_BYTES, /* utf16: base64 must follow */
	STAGE_REGEX,
	STAGE_FIELD,
	STAGE_OTHER /* cidr, numbers, exists: complete */
};

struct chain {
	struct rule_parser *p;
	const struct yaml_node *node; /* the value */
	unsigned line;
	bool keyword;
	enum stage stage;
	struct pattern *variants;
	uint32_t n;
	struct sigma_match other; /* REGEX, FIELD, OTHER */
	bool cased, anchored, timed;
};

struct modifier {
	const char *name;
	bool (*apply)(struct chain *c, int argument);
	int argument;
};

/* NULL: there is none of that name. */
const struct modifier *modifier_find(struct slice name);

/* The one that is spelt most like it; empty: none is. */
struct slice modifier_near(struct slice name);

/* Returns false after parse_fail(). */
bool chain_fail(struct chain *c, const char *modifier, const char *why);

/* What may stand before and behind a text: AT_START, AT_END. */
enum { AT_START = 1, AT_END = 2 };
bool apply_open(struct chain *c, int open);

/* When all flags of a regular expression are known. */
bool chain_check_regex(struct chain *c);

/* parse_variants.c: what makes other texts, or several, of one. */
bool apply_windash(struct chain *c, int argument);
bool apply_utf16(struct chain *c, int how);
bool apply_base64(struct chain *c, int argument);
bool apply_base64_offset(struct chain *c, int argument);
bool apply_expand(struct chain *c, int argument);
