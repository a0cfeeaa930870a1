/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML -> struct sigma_rule.  Rules are untrusted: everything has a bound of
 * rule.h, and what breaks one is refused with line, reason and remedy.
 *
 * Each parse_*() returns false after parse_fail(), and the rule is then
 * refused; what it had made stays in the arena.
 */
#pragma once

#include "conf.h"
#include "rule.h"

struct rule_parser {
	struct arena *arena; /* everything of the rule; borrowed */
	const struct conf_map *placeholders; /* borrowed, may be NULL */
	uint32_t n_matches;                  /* of this rule, so far */
	uint64_t n_bytes;                    /* of their texts */
	uint32_t n_places;                   /* that its counts add */
	unsigned depth;

	/* of the failure */
	unsigned line;
	char message[512];

	/* lint, may be NULL */
	void (*on_warning)(void *ctx, unsigned line, const char *message);
	void *ctx;
};

/* Returns false. */
bool parse_fail(struct rule_parser *p, unsigned line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void parse_warn(struct rule_parser *p, unsigned line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Warns of the keys of a map that mean nothing; `what` is its name. */
void warn_unknown(struct rule_parser *p, const struct yaml_node *map,
    const char *what, const struct slice *known, size_t n);

/* A whole document; *rule is zeroed but for `file`. */
bool parse_rule(struct rule_parser *p, const struct yaml_node *root,
    struct sigma_rule *rule);

/* `detection:` or `filter:`: selections and condition. */
bool parse_detection(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_rule *rule);
/* One selection: a map, a list of maps, or keywords. */
bool parse_selection(struct rule_parser *p, struct slice name,
    const struct yaml_node *node, struct sigma_selection *out);

/* "Field|modifier|..." and its value or values. */
bool parse_item(struct rule_parser *p, const struct yaml_node *key,
    const struct yaml_node *value, struct sigma_item *out);

/* Names a condition may use. */
struct condition_names {
	const struct slice *names;
	uint32_t n;
	const char *what; /* "selection", "rule" */
};
bool parse_condition(struct rule_parser *p, const struct yaml_node *text,
    const struct condition_names *names, const struct sigma_node **out);
/* Sets those of `used` that the condition names. */
void condition_mark(const struct sigma_node *n, bool *used);

bool parse_correlation(struct rule_parser *p, const struct yaml_node *map,
    struct sigma_rule *rule);

/* A scalar or a list of scalars as an array in the arena. */
bool parse_strings(struct rule_parser *p, const struct yaml_node *node,
    const char *what, const struct slice **out, uint32_t *n);
/* The line of each of those texts. */
const unsigned *parse_lines(struct rule_parser *p,
    const struct yaml_node *node);

/* Encodings of parse_item, in encode.c. */
enum { ENCODE_UTF16LE, ENCODE_UTF16BE, ENCODE_UTF16 };
struct slice encode_utf16(struct arena *arena, struct slice text, int how);
struct slice encode_base64(struct arena *arena, struct slice bytes);
/* What of the base64 of "...bytes..." is the same wherever `bytes` begins. */
struct slice encode_base64_offset(struct arena *arena, struct slice bytes,
    unsigned offset);
