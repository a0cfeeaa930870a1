/* SPDX-License-Identifier: Apache-2.0 */
#include "parse_modifier.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>

#include "near.h"
#include "pattern.h"
#include "regex.h"

bool
chain_fail(struct chain *c, const char *modifier, const char *why)
{
	return parse_fail(c->p, c->line, "modifier \"%s\": %s", modifier, why);
}

/* ---- strings ----------------------------------------------------------- */

static const char *
open_name(int open)
{
	return open == (AT_START | AT_END) ? "contains"
	    : open == AT_START             ? "endswith"
					   : "startswith";
}

bool
apply_open(struct chain *c, int open)
{
	c->anchored = true;
	if (c->stage == STAGE_FIELD) {
		c->other.flags |= (uint8_t)open;
		return true;
	}
	if (c->stage != STAGE_TEXT && c->stage != STAGE_BYTES)
		return chain_fail(c, open_name(open),
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
		return chain_fail(c, "cased",
		    "works on text only; regular expressions are cased as "
		    "they are");
	c->cased = true;
	return true;
}

/* ---- other comparisons ------------------------------------------------- */

static bool
is_fresh_text(struct chain *c, const char *modifier)
{
	if (c->stage != STAGE_TEXT || c->anchored)
		return chain_fail(c, modifier,
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
		return chain_fail(c, "re", "the regular expression is empty");
	c->stage = STAGE_REGEX;
	c->other.kind = MATCH_REGEX;
	c->other.text = arena_copy(c->p->arena, c->node->text);
	return true;
}

bool
chain_check_regex(struct chain *c)
{
	struct slice text = c->other.text;
	char why[160];
	unsigned places;

	if (c->stage != STAGE_REGEX)
		return true;
	if (!regex_check(text, c->other.flags, why, sizeof(why)))
		return parse_fail(c->p, c->line,
		    "the regular expression cannot be used: %s%s", why,
		    strstr(why, "too large") != NULL
			? ": count less far, * or + is quick"
			: "");
	if (regex_is_heavy(text)) {
		char *wider = arena_alloc(c->p->arena, text.len + 1);

		regex_relax(text, wider);
		text = (struct slice){ wider, strlen(wider) };
	}
	places = regex_places(text);
	if (places > REGEX_DATABASE_PLACES)
		places = REGEX_DATABASE_PLACES;
	/* long texts are cheap, what counts make of short ones is not */
	if (places > text.len)
		c->p->n_places += places - (unsigned)text.len;
	if (c->p->n_places > RULE_REGEX_PLACES)
		return parse_fail(c->p, c->line,
		    "the counts {n,m} of the rule's regular expressions make "
		    "more than %d characters of them: split it, or write + "
		    "and * for counts",
		    RULE_REGEX_PLACES);
	return true;
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
	return chain_fail(c, modifier,
	    "the value must be a number, as 10 or 2.5");
}

static const char *const number_modifiers[] = {
	[OP_GT] = "gt",
	[OP_GTE] = "gte",
	[OP_LT] = "lt",
	[OP_LTE] = "lte",
};

static bool
apply_number(struct chain *c, int op)
{
	if (c->stage == STAGE_OTHER && c->timed) {
		c->other.op = (enum compare_op)op;
		c->timed = false;
		return true;
	}
	if (!is_fresh_text(c, number_modifiers[op]))
		return false;
	c->stage = STAGE_OTHER;
	c->other.kind = MATCH_NUMBER;
	c->other.op = (enum compare_op)op;
	return number_of(c, number_modifiers[op], &c->other.number);
}

static const struct {
	const char *name;
	int least, most;
} time_parts[] = {
	[TIME_MINUTE] = { "minute", 0, 59 },
	[TIME_HOUR] = { "hour", 0, 23 },
	[TIME_DAY] = { "day", 1, 31 },
	[TIME_WEEK] = { "week", 1, 53 },
	[TIME_MONTH] = { "month", 1, 12 },
	[TIME_YEAR] = { "year", 1, 9999 },
};

static bool
apply_time(struct chain *c, int part)
{
	if (!is_fresh_text(c, time_parts[part].name))
		return false;
	c->stage = STAGE_OTHER;
	c->timed = true;
	c->other.kind = MATCH_TIME;
	c->other.part = (enum time_part)part;
	c->other.op = OP_EQ;
	if (!number_of(c, time_parts[part].name, &c->other.number))
		return false;
	if (c->other.number < time_parts[part].least ||
	    c->other.number > time_parts[part].most)
		parse_warn(c->p, c->line,
		    "modifier \"%s\": no time has %g there: write %d to %d",
		    time_parts[part].name, c->other.number,
		    time_parts[part].least, time_parts[part].most);
	return true;
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
		return chain_fail(c, "cidr",
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
		return chain_fail(c, "exists", "needs a field");
	if (!yaml_bool(c->node, &c->other.exists))
		return chain_fail(c, "exists",
		    "the value must be true (the field is there) or false");
	return true;
}

static bool
apply_field(struct chain *c, int argument)
{
	(void)argument;
	if (c->stage != STAGE_TEXT)
		return chain_fail(c, "fieldref",
		    "cannot stand behind another comparison");
	if (c->keyword || c->node->text.len == 0)
		return chain_fail(c, "fieldref",
		    "the value must be the name of another field");
	if (c->anchored)
		return chain_fail(c, "fieldref",
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

const struct modifier *
modifier_find(struct slice name)
{
	for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++)
		if (slice_eq(name,
			(struct slice){ modifiers[i].name,
			    strlen(modifiers[i].name) }))
			return &modifiers[i];
	return NULL;
}

struct slice
modifier_near(struct slice name)
{
	enum { N = sizeof(modifiers) / sizeof(modifiers[0]) };
	struct slice names[N + 2] = { [N] = SLICE_INIT("all"),
		[N + 1] = SLICE_INIT("neq") };

	for (size_t i = 0; i < N; i++)
		names[i] = (struct slice){ modifiers[i].name,
			strlen(modifiers[i].name) };
	return near_of(name, names, N + 2);
}
