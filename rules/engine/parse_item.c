/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of a selection: "Field|modifier|modifier: value or values".
 *
 * Modifiers work from left to right on a list of variants (windash,
 * base64offset and expand make several of one value).
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>

#include "parse.h"
#include "pattern.h"
#include "regex.h"
#include "utf8.h"

enum { MODIFIERS_MAX = 16, DASHES_MAX = 5 };

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

static bool
fail(struct chain *c, const char *modifier, const char *why)
{
	return parse_fail(c->p, c->line, "modifier \"%s\": %s", modifier, why);
}

/* ---- strings ----------------------------------------------------------- */

enum { AT_START = 1, AT_END = 2 };

static const char *
open_name(int open)
{
	return open == (AT_START | AT_END) ? "contains"
	    : open == AT_START             ? "endswith"
					   : "startswith";
}

static bool
apply_open(struct chain *c, int open)
{
	c->anchored = true;
	if (c->stage == STAGE_FIELD) {
		c->other.flags |= (uint8_t)open;
		return true;
	}
	if (c->stage != STAGE_TEXT && c->stage != STAGE_BYTES)
		return fail(c, open_name(open),
		    "works on text only; a regular expression is found "
		    "anywhere as it is, and ^ and $ anchor it");
	for (uint32_t i = 0; i < c->n; i++) {
		struct pattern *v = &c->variants[i];

		if ((open & AT_START) != 0)
			*v = pattern_open_start(c->p->arena, *v);
		if ((open & AT_END) != 0)
			*v = pattern_open_end(c->p->arena, *v);
	}
	return true;
}

static bool
apply_cased(struct chain *c, int argument)
{
	(void)argument;
	if (c->stage != STAGE_TEXT && c->stage != STAGE_FIELD)
		return fail(c, "cased",
		    "works on text only; regular expressions are cased as "
		    "they are");
	c->cased = true;
	return true;
}

/* Replaces the variants by `made`; takes the budget of the rule for them. */
static bool
set_variants(struct chain *c, const char *modifier, struct pattern *made,
    uint32_t n)
{
	if (n > RULE_VARIANTS_MAX)
		return parse_fail(c->p, c->line,
		    "modifier \"%s\" makes %u variants of one value; at most "
		    "%d are allowed: write fewer into one value",
		    modifier, n, RULE_VARIANTS_MAX);
	c->variants = made;
	c->n = n;
	return true;
}

/* ---- windash ----------------------------------------------------------- */

static const char *const dashes[DASHES_MAX] = { "-", "/", "\xe2\x80\x93",
	"\xe2\x80\x94", "\xe2\x80\x95" };

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '_' ||
	    ((unsigned char)c & 0x80) != 0;
}

/* Bytes of the dash that begins an option at `at`, else 0. */
static size_t
dash_at(struct slice s, size_t at)
{
	size_t after;

	if (at > 0 && is_word(s.ptr[at - 1]))
		return 0;
	for (size_t i = 0; i < DASHES_MAX; i++) {
		size_t len = strlen(dashes[i]);

		after = at + len;
		if (after < s.len && memcmp(s.ptr + at, dashes[i], len) == 0)
			return is_word(s.ptr[after]) &&
				((unsigned char)s.ptr[after] & 0x80) == 0
			    ? len
			    : 0;
	}
	return 0;
}

/* `done`, and then each way to write `text`. */
static uint32_t
append_dashed(struct arena *arena, struct pattern *variants, uint32_t n,
    struct slice text)
{
	size_t start = 0, len;
	struct pattern piece;

	for (size_t at = 0; at < text.len; at++) {
		len = dash_at(text, at);
		if (len == 0)
			continue;
		piece = pattern_plain(arena,
		    (struct slice){ text.ptr + start, at - start });
		for (uint32_t i = n; i-- > 0;) {
			struct pattern before =
			    pattern_join(arena, variants[i], piece);

			for (uint32_t d = 0; d < DASHES_MAX; d++) {
				struct slice dash = { dashes[d],
					strlen(dashes[d]) };

				variants[i * DASHES_MAX + d] =
				    pattern_join(arena, before,
					pattern_plain(arena, dash));
			}
		}
		n *= DASHES_MAX;
		at += len - 1;
		start = at + 1;
	}
	piece = pattern_plain(arena,
	    (struct slice){ text.ptr + start, text.len - start });
	for (uint32_t i = 0; i < n; i++)
		variants[i] = pattern_join(arena, variants[i], piece);
	return n;
}

static uint32_t
count_dashed(const struct pattern *p)
{
	uint32_t n = 1;

	for (uint32_t i = 0; i < p->n; i++) {
		struct slice s = p->parts[i].text;

		if (p->parts[i].kind != PART_TEXT)
			continue;
		for (size_t at = 0; at < s.len; at++)
			if (dash_at(s, at) > 0 && n <= RULE_VARIANTS_MAX)
				n *= DASHES_MAX;
	}
	return n;
}

static bool
apply_windash(struct chain *c, int argument)
{
	struct arena *arena = c->p->arena;
	struct pattern *made;
	uint32_t total = 0;

	(void)argument;
	if (c->stage != STAGE_TEXT)
		return fail(c, "windash", "works on text only");
	for (uint32_t i = 0; i < c->n; i++)
		total += count_dashed(&c->variants[i]);
	if (total > RULE_VARIANTS_MAX)
		return set_variants(c, "windash", NULL, total);
	made = arena_alloc(arena, total * sizeof(made[0]));
	total = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct pattern *v = &c->variants[i];
		struct pattern *out = made + total;
		uint32_t n = 1;

		out[0] = (struct pattern){ NULL, 0 };
		for (uint32_t k = 0; k < v->n; k++) {
			if (v->parts[k].kind == PART_TEXT) {
				n = append_dashed(arena, out, n,
				    v->parts[k].text);
				continue;
			}
			for (uint32_t j = 0; j < n; j++)
				out[j] = pattern_join(arena, out[j],
				    (struct pattern){ &v->parts[k], 1 });
		}
		total += n;
	}
	return set_variants(c, "windash", made, total);
}

/* ---- encodings --------------------------------------------------------- */

static bool
plain_variants(struct chain *c, const char *modifier)
{
	struct slice text;

	if (c->stage != STAGE_TEXT && c->stage != STAGE_BYTES)
		return fail(c, modifier, "works on text only");
	for (uint32_t i = 0; i < c->n; i++) {
		const struct pattern *v = &c->variants[i];

		if (!pattern_is_plain(v, &text))
			return fail(c, modifier,
			    "the value has a wildcard, which cannot be "
			    "encoded: take it out, or escape it with \\, and "
			    "put contains behind the encoding");
	}
	return true;
}

static bool
apply_utf16(struct chain *c, int how)
{
	struct slice text;

	if (!plain_variants(c, "utf16"))
		return false;
	if (c->stage == STAGE_BYTES)
		return fail(c, "utf16", "the value is encoded already");
	for (uint32_t i = 0; i < c->n; i++) {
		(void)pattern_is_plain(&c->variants[i], &text);
		c->variants[i] = pattern_plain(c->p->arena,
		    encode_utf16(c->p->arena, text, how));
	}
	c->stage = STAGE_BYTES;
	return true;
}

static bool
apply_base64(struct chain *c, int argument)
{
	struct slice text;

	(void)argument;
	if (!plain_variants(c, "base64"))
		return false;
	for (uint32_t i = 0; i < c->n; i++) {
		(void)pattern_is_plain(&c->variants[i], &text);
		c->variants[i] = pattern_plain(c->p->arena,
		    encode_base64(c->p->arena, text));
	}
	c->stage = STAGE_TEXT;
	return true;
}

static bool
apply_base64_offset(struct chain *c, int argument)
{
	struct arena *arena = c->p->arena;
	struct pattern *made;
	struct slice text;
	uint32_t n = 0;

	(void)argument;
	if (!plain_variants(c, "base64offset"))
		return false;
	made = arena_alloc(arena, 3 * (size_t)c->n * sizeof(made[0]));
	for (uint32_t i = 0; i < c->n; i++) {
		(void)pattern_is_plain(&c->variants[i], &text);
		for (unsigned offset = 0; offset < 3; offset++) {
			struct slice s =
			    encode_base64_offset(arena, text, offset);

			if (s.len == 0)
				return fail(c, "base64offset",
				    "the value is too short to be found "
				    "inside an encoded text");
			made[n++] = pattern_plain(arena, s);
		}
	}
	c->stage = STAGE_TEXT;
	return set_variants(c, "base64offset", made, n);
}

/* ---- expand ------------------------------------------------------------ */

/* The text between two % at `at`; false if there is none. */
static bool
placeholder_at(struct slice s, size_t at, struct slice *name)
{
	size_t end = at + 1;

	if (s.ptr[at] != '%' || (at > 0 && s.ptr[at - 1] == '\\'))
		return false;
	while (end < s.len && s.ptr[end] != '%' && s.ptr[end] != ' ')
		end++;
	if (end >= s.len || s.ptr[end] != '%' || end == at + 1)
		return false;
	*name = (struct slice){ s.ptr + at + 1, end - at - 1 };
	return true;
}

static uint32_t
count_placeholder(const struct conf_map *map, struct slice name)
{
	uint32_t n = 0;

	for (size_t i = 0; map != NULL && i < map->n; i++)
		if (slice_eq(name,
			(struct slice){ map->names[i], strlen(map->names[i]) }))
			n++;
	return n;
}

/* Every variant so far followed by each value of the placeholder. */
static bool
append_values(struct chain *c, struct pattern **variants, uint32_t *n,
    struct slice name)
{
	const struct conf_map *map = c->p->placeholders;
	struct arena *arena = c->p->arena;
	uint32_t values = count_placeholder(map, name), made_n = 0;
	struct pattern *made;

	if (values == 0)
		return parse_fail(c->p, c->line,
		    "placeholder %%%.*s%% has no value: give it one in the "
		    "configuration, or leave the rule out",
		    SLICE_ARG(name));
	if ((uint64_t)*n * values > RULE_VARIANTS_MAX)
		return set_variants(c, "expand", NULL, UINT32_MAX);
	made = arena_alloc(arena, (size_t)*n * values * sizeof(made[0]));
	for (uint32_t i = 0; i < *n; i++) {
		for (size_t k = 0; k < map->n; k++) {
			struct slice value = { map->values[k],
				strlen(map->values[k]) };

			if (!slice_eq(name,
				(struct slice){ map->names[k],
				    strlen(map->names[k]) }))
				continue;
			made[made_n++] = pattern_join(arena, (*variants)[i],
			    pattern_parse(arena, value));
		}
	}
	*variants = made;
	*n = made_n;
	return true;
}

static void
append_text(struct chain *c, struct pattern *variants, uint32_t n,
    struct slice text)
{
	char *bytes = arena_alloc(c->p->arena, text.len + 1);
	size_t len = 0;

	/* "\%" is a percent sign */
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\\' && i + 1 < text.len &&
		    text.ptr[i + 1] == '%')
			continue;
		bytes[len++] = text.ptr[i];
	}
	for (uint32_t i = 0; i < n; i++)
		variants[i] = pattern_join(c->p->arena, variants[i],
		    pattern_plain(c->p->arena, (struct slice){ bytes, len }));
}

static bool
expand_text(struct chain *c, struct pattern **variants, uint32_t *n,
    struct slice text)
{
	size_t start = 0;
	struct slice name;

	for (size_t at = 0; at < text.len; at++) {
		if (!placeholder_at(text, at, &name))
			continue;
		append_text(c, *variants, *n,
		    (struct slice){ text.ptr + start, at - start });
		if (!append_values(c, variants, n, name))
			return false;
		at += name.len + 1;
		start = at + 1;
	}
	append_text(c, *variants, *n,
	    (struct slice){ text.ptr + start, text.len - start });
	return true;
}

static bool
apply_expand(struct chain *c, int argument)
{
	struct arena *arena = c->p->arena;
	struct pattern *all = NULL;
	uint32_t total = 0;

	(void)argument;
	if (c->stage != STAGE_TEXT)
		return fail(c, "expand", "works on text only");
	for (uint32_t i = 0; i < c->n; i++) {
		const struct pattern *v = &c->variants[i];
		struct pattern *made = arena_alloc(arena, sizeof(made[0]));
		struct pattern *both;
		uint32_t n = 1;

		made[0] = (struct pattern){ NULL, 0 };
		for (uint32_t k = 0; k < v->n; k++) {
			if (v->parts[k].kind == PART_TEXT) {
				if (!expand_text(c, &made, &n,
					v->parts[k].text))
					return false;
				continue;
			}
			for (uint32_t j = 0; j < n; j++)
				made[j] = pattern_join(arena, made[j],
				    (struct pattern){ &v->parts[k], 1 });
		}
		if (total + n > RULE_VARIANTS_MAX)
			return set_variants(c, "expand", NULL, total + n);
		both = arena_alloc(arena, (total + n) * sizeof(both[0]));
		if (total > 0)
			memcpy(both, all, total * sizeof(both[0]));
		memcpy(both + total, made, n * sizeof(both[0]));
		all = both;
		total += n;
	}
	return set_variants(c, "expand", all, total);
}

/* ---- other comparisons ------------------------------------------------- */

static bool
is_fresh_text(struct chain *c, const char *modifier)
{
	if (c->stage != STAGE_TEXT || c->anchored)
		return fail(c, modifier,
		    "cannot stand behind another comparison");
	return true;
}

static bool
apply_regex(struct chain *c, int argument)
{
	(void)argument;
	if (!is_fresh_text(c, "re"))
		return false;
	if (c->node->text.len > RULE_REGEX_BYTES)
		return parse_fail(c->p, c->line,
		    "regular expression of %zu bytes; at most %d are allowed",
		    c->node->text.len, RULE_REGEX_BYTES);
	if (c->node->text.len == 0)
		return fail(c, "re", "the regular expression is empty");
	c->stage = STAGE_REGEX;
	c->other.kind = MATCH_REGEX;
	c->other.text = arena_copy(c->p->arena, c->node->text);
	return true;
}

/* With all its flags known. */
static bool
check_regex(struct chain *c)
{
	char why[160];

	if (c->stage != STAGE_REGEX ||
	    regex_check(c->other.text, c->other.flags, why, sizeof(why)))
		return true;
	return parse_fail(c->p, c->line, "regular expression: %s", why);
}

static bool
apply_regex_flag(struct chain *c, int flag)
{
	if (c->stage != STAGE_REGEX)
		return parse_fail(c->p, c->line,
		    "the modifiers i, m and s belong behind \"re\"");
	c->other.flags |= (uint8_t)flag;
	return true;
}

static bool
number_of(struct chain *c, const char *modifier, double *out)
{
	char text[64];
	char *end;

	if (c->node->text.len > 0 && c->node->text.len < sizeof(text)) {
		memcpy(text, c->node->text.ptr, c->node->text.len);
		text[c->node->text.len] = '\0';
		*out = strtod(text, &end);
		if (*end == '\0' && isfinite(*out))
			return true;
	}
	return fail(c, modifier, "the value must be a number");
}

static bool
apply_number(struct chain *c, int op)
{
	if (c->stage == STAGE_OTHER && c->timed) {
		c->other.op = (enum compare_op)op;
		c->timed = false;
		return true;
	}
	if (!is_fresh_text(c, "lt, lte, gt, gte"))
		return false;
	c->stage = STAGE_OTHER;
	c->other.kind = MATCH_NUMBER;
	c->other.op = (enum compare_op)op;
	return number_of(c, "lt, lte, gt, gte", &c->other.number);
}

static bool
apply_time(struct chain *c, int part)
{
	if (!is_fresh_text(c, "minute ... year"))
		return false;
	c->stage = STAGE_OTHER;
	c->timed = true;
	c->other.kind = MATCH_TIME;
	c->other.part = (enum time_part)part;
	c->other.op = OP_EQ;
	return number_of(c, "minute ... year", &c->other.number);
}

static bool
parse_cidr(struct slice s, struct sigma_match *out)
{
	char text[64];
	const char *slash = memchr(s.ptr, '/', s.len);
	size_t len = slash != NULL ? (size_t)(slash - s.ptr) : s.len;
	unsigned bits = 0, most;

	if (len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, out->address + 12) == 1) {
		memset(out->address, 0, 10);
		memset(out->address + 10, 0xff, 2);
		most = 32;
	} else if (inet_pton(AF_INET6, text, out->address) == 1) {
		most = 128;
	} else {
		return false;
	}
	if (slash == NULL) {
		out->prefix = 128;
		return true;
	}
	if (len + 1 == s.len || s.len - len > 4)
		return false;
	for (size_t i = len + 1; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		bits = bits * 10 + (unsigned)(s.ptr[i] - '0');
	}
	if (bits > most)
		return false;
	out->prefix = (uint8_t)(bits + 128 - most);
	return true;
}

static bool
apply_cidr(struct chain *c, int argument)
{
	(void)argument;
	if (!is_fresh_text(c, "cidr"))
		return false;
	c->stage = STAGE_OTHER;
	c->other.kind = MATCH_CIDR;
	if (!parse_cidr(c->node->text, &c->other))
		return fail(c, "cidr",
		    "the value must be an address and a prefix length, as "
		    "192.0.2.0/24 or 2001:db8::/32");
	return true;
}

static bool
apply_exists(struct chain *c, int argument)
{
	(void)argument;
	if (!is_fresh_text(c, "exists"))
		return false;
	c->stage = STAGE_OTHER;
	c->other.kind = MATCH_EXISTS;
	if (c->keyword)
		return fail(c, "exists", "needs a field");
	if (!yaml_bool(c->node, &c->other.exists))
		return fail(c, "exists", "the value must be true or false");
	return true;
}

static bool
apply_field(struct chain *c, int argument)
{
	(void)argument;
	if (c->stage != STAGE_TEXT)
		return fail(c, "fieldref",
		    "cannot stand behind another comparison");
	if (c->keyword || c->node->text.len == 0)
		return fail(c, "fieldref", "needs the names of two fields");
	if (c->anchored)
		return fail(c, "fieldref",
		    "put contains, startswith or endswith behind it");
	c->stage = STAGE_FIELD;
	c->other.kind = MATCH_FIELD;
	c->other.text = arena_copy(c->p->arena, c->node->text);
	return true;
}

static const struct modifier modifiers[] = {
	{ "contains", apply_open, AT_START | AT_END },
	{ "startswith", apply_open, AT_END },
	{ "endswith", apply_open, AT_START },
	{ "cased", apply_cased, 0 },
	{ "windash", apply_windash, 0 },
	{ "wide", apply_utf16, ENCODE_UTF16LE },
	{ "utf16le", apply_utf16, ENCODE_UTF16LE },
	{ "utf16be", apply_utf16, ENCODE_UTF16BE },
	{ "utf16", apply_utf16, ENCODE_UTF16 },
	{ "base64", apply_base64, 0 },
	{ "base64offset", apply_base64_offset, 0 },
	{ "expand", apply_expand, 0 },
	{ "re", apply_regex, 0 },
	{ "i", apply_regex_flag, REGEX_CASELESS },
	{ "ignorecase", apply_regex_flag, REGEX_CASELESS },
	{ "m", apply_regex_flag, REGEX_MULTILINE },
	{ "multiline", apply_regex_flag, REGEX_MULTILINE },
	{ "s", apply_regex_flag, REGEX_DOTALL },
	{ "dotall", apply_regex_flag, REGEX_DOTALL },
	{ "lt", apply_number, OP_LT },
	{ "lte", apply_number, OP_LTE },
	{ "gt", apply_number, OP_GT },
	{ "gte", apply_number, OP_GTE },
	{ "minute", apply_time, TIME_MINUTE },
	{ "hour", apply_time, TIME_HOUR },
	{ "day", apply_time, TIME_DAY },
	{ "week", apply_time, TIME_WEEK },
	{ "month", apply_time, TIME_MONTH },
	{ "year", apply_time, TIME_YEAR },
	{ "cidr", apply_cidr, 0 },
	{ "exists", apply_exists, 0 },
	{ "fieldref", apply_field, 0 },
};

/* ---- an item ----------------------------------------------------------- */

struct item_key {
	const struct modifier *chain[MODIFIERS_MAX];
	uint32_t n;
};

static bool
find_modifier(struct rule_parser *p, unsigned line, struct slice name,
    struct item_key *key)
{
	for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++) {
		if (!slice_eq(name,
			(struct slice){ modifiers[i].name,
			    strlen(modifiers[i].name) }))
			continue;
		if (key->n == MODIFIERS_MAX)
			return parse_fail(p, line,
			    "more than %d modifiers on one field",
			    MODIFIERS_MAX);
		key->chain[key->n++] = &modifiers[i];
		return true;
	}
	return parse_fail(p, line,
	    "unknown modifier \"%.*s\": Sigma 2.1.0 has contains, startswith, "
	    "endswith, all, exists, cased, neq, re, cidr, windash, wide, "
	    "utf16*, base64*, lt, lte, gt, gte, minute ... year, expand and "
	    "fieldref",
	    (int)(name.len < 64 ? name.len : 64), name.ptr);
}

static bool
parse_key(struct rule_parser *p, const struct yaml_node *node,
    struct sigma_item *item, struct item_key *key)
{
	struct slice rest = node->text;
	bool first = true;

	item->line = node->line;
	for (;;) {
		const char *bar =
		    rest.len == 0 ? NULL : memchr(rest.ptr, '|', rest.len);
		struct slice part = { rest.ptr,
			bar != NULL ? (size_t)(bar - rest.ptr) : rest.len };

		if (first)
			item->field = arena_copy(p->arena, part);
		else if (slice_eq(part, SLICE("all")))
			item->all = true;
		else if (slice_eq(part, SLICE("neq")))
			item->negated = true;
		else if (!find_modifier(p, node->line, part, key))
			return false;
		first = false;
		if (bar == NULL)
			break;
		rest = (struct slice){ bar + 1, rest.len - part.len - 1 };
	}
	if (item->field.len > FIELD_NAME_MAX)
		return parse_fail(p, node->line,
		    "field name of %zu bytes; at most %d are allowed",
		    item->field.len, FIELD_NAME_MAX);
	return true;
}

/* The scalar as the text it is compared as. */
static struct pattern
scalar_pattern(struct rule_parser *p, const struct yaml_node *node)
{
	char text[32];
	struct buf b;
	int64_t number;
	struct pattern made;

	if (!node->plain || !yaml_int(node, &number))
		return pattern_parse(p->arena, node->text);
	/* 0x1F, +5 and 007 are numbers: compared as they print */
	buf_init(&b, sizeof(text));
	(void)buf_printf(&b, "%lld", (long long)number);
	made = pattern_plain(p->arena, buf_slice(&b));
	buf_fini(&b);
	return made;
}

static bool
finish_value(struct chain *c, struct sigma_value *out)
{
	struct rule_parser *p = c->p;
	bool text = c->stage == STAGE_TEXT || c->stage == STAGE_BYTES;
	uint32_t n = text ? c->n : 1;
	struct sigma_match *matches;

	p->n_matches += n;
	if (p->n_matches > RULE_MATCHES_MAX)
		return parse_fail(p, c->line,
		    "the rule has more than %d alternatives: split it",
		    RULE_MATCHES_MAX);
	matches = arena_alloc(p->arena, n * sizeof(matches[0]));
	for (uint32_t i = 0; i < n; i++) {
		struct slice plain;

		matches[i] = c->other;
		matches[i].cased = c->cased;
		if (!text)
			continue;
		matches[i].kind = MATCH_PATTERN;
		matches[i].pattern = c->variants[i];
		if (c->stage == STAGE_BYTES &&
		    pattern_is_plain(&c->variants[i], &plain) &&
		    !utf8_valid(plain))
			return fail(c, "utf16",
			    "the encoded value is not text: put base64offset "
			    "behind it");
	}
	*out = (struct sigma_value){ matches, n };
	return true;
}

static bool
parse_value(struct rule_parser *p, const struct yaml_node *node,
    const struct sigma_item *item, const struct item_key *key,
    struct sigma_value *out)
{
	struct pattern *first = arena_alloc(p->arena, sizeof(*first));
	struct chain c = {
		.p = p,
		.node = node,
		.line = node->line,
		.keyword = item->field.len == 0,
		.stage = STAGE_TEXT,
		.variants = first,
		.n = 1,
	};

	if (node->kind != YAML_SCALAR)
		return parse_fail(p, node->line,
		    "a value must be text, a number, a boolean or null");
	if (node->text.len > RULE_VALUE_BYTES)
		return parse_fail(p, node->line,
		    "value of %zu bytes; at most %d are allowed",
		    node->text.len, RULE_VALUE_BYTES);
	if (!utf8_valid(node->text))
		return parse_fail(p, node->line, "the value is not UTF-8");
	if (yaml_is_null(node)) {
		if (c.keyword || key->n > 0)
			return parse_fail(p, node->line,
			    "null can only be the value of a field without "
			    "modifiers; '' is the empty text");
		c.stage = STAGE_OTHER;
		c.other.kind = MATCH_NULL;
		return finish_value(&c, out);
	}
	*first = scalar_pattern(p, node);
	for (uint32_t i = 0; i < key->n; i++)
		if (!key->chain[i]->apply(&c, key->chain[i]->argument))
			return false;
	if (c.keyword && c.stage == STAGE_TEXT && !c.anchored)
		(void)apply_open(&c, AT_START | AT_END);
	if (!check_regex(&c))
		return false;
	return finish_value(&c, out);
}

bool
parse_item(struct rule_parser *p, const struct yaml_node *key,
    const struct yaml_node *value, struct sigma_item *out)
{
	struct item_key modifiers_of = { .n = 0 };
	bool list = value->kind == YAML_SEQUENCE;
	uint32_t n = list ? (uint32_t)value->n : 1;
	struct sigma_value *values;

	*out = (struct sigma_item){ .n = n };
	if (!parse_key(p, key, out, &modifiers_of))
		return false;
	if (value->kind == YAML_MAPPING)
		return parse_fail(p, value->line,
		    "field \"%.*s\" has a map as its value; a dotted name "
		    "reaches into nested fields",
		    SLICE_ARG(out->field));
	if (n == 0 || value->n > RULE_VALUES_MAX)
		return parse_fail(p, value->line,
		    "field \"%.*s\" has %zu values; 1 to %d are allowed",
		    SLICE_ARG(out->field), value->n, RULE_VALUES_MAX);
	if (out->all && n == 1)
		parse_warn(p, key->line,
		    "modifier \"all\" on a single value means nothing");
	values = arena_alloc(p->arena, n * sizeof(values[0]));
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *one = list ? value->items[i] : value;

		if (list && n > 1 && one->kind == YAML_SCALAR &&
		    yaml_is_null(one))
			return parse_fail(p, one->line,
			    "null cannot be one of several values: write "
			    "`field: null` in a selection of its own");
		if (!parse_value(p, one, out, &modifiers_of, &values[i]))
			return false;
	}
	out->values = values;
	return true;
}
