/* SPDX-License-Identifier: Apache-2.0 */
/* Modifiers that write one value in other ways: dashes, encodings, names. */
#include "parse_modifier.h"
#include "pattern.h"

enum { DASHES_MAX = 5 };

/* Whether a value may become so many variants: asked before they are made. */
static bool
may_become(struct chain *c, const char *modifier, uint64_t n)
{
	if (n > RULE_VARIANTS_MAX)
		return parse_fail(c->p, c->line,
		    "modifier \"%s\" makes more than %d variants of one "
		    "value: write fewer into one value",
		    modifier, RULE_VARIANTS_MAX);
	if (n * c->node->text.len > RULE_VARIANT_BYTES)
		return parse_fail(c->p, c->line,
		    "modifier \"%s\" makes more than %d bytes of variants of "
		    "one value: write a shorter one",
		    modifier, RULE_VARIANT_BYTES);
	return true;
}

static void
set_variants(struct chain *c, struct pattern *made, uint32_t n)
{
	c->variants = made;
	c->n = n;
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

bool
apply_windash(struct chain *c, int argument)
{
	struct arena *arena = c->p->arena;
	struct pattern *made;
	uint32_t total = 0;

	(void)argument;
	if (c->stage != STAGE_TEXT)
		return chain_fail(c, "windash", "works on text only");
	for (uint32_t i = 0; i < c->n; i++)
		total += count_dashed(&c->variants[i]);
	if (!may_become(c, "windash", total))
		return false;
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
	set_variants(c, made, total);
	return true;
}

/* ---- encodings --------------------------------------------------------- */

static bool
plain_variants(struct chain *c, const char *modifier)
{
	struct slice text;

	if (c->stage != STAGE_TEXT && c->stage != STAGE_BYTES)
		return chain_fail(c, modifier, "works on text only");
	for (uint32_t i = 0; i < c->n; i++) {
		const struct pattern *v = &c->variants[i];

		if (!pattern_is_plain(v, &text))
			return chain_fail(c, modifier,
			    "the value has a wildcard, which cannot be "
			    "encoded: take it out, or escape it with \\, and "
			    "put contains behind the encoding");
	}
	return true;
}

bool
apply_utf16(struct chain *c, int how)
{
	struct slice text;

	if (!plain_variants(c, "utf16"))
		return false;
	if (c->stage == STAGE_BYTES)
		return chain_fail(c, "utf16", "the value is encoded already");
	for (uint32_t i = 0; i < c->n; i++) {
		(void)pattern_is_plain(&c->variants[i], &text);
		c->variants[i] = pattern_plain(c->p->arena,
		    encode_utf16(c->p->arena, text, how));
	}
	c->stage = STAGE_BYTES;
	return true;
}

bool
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

bool
apply_base64_offset(struct chain *c, int argument)
{
	struct arena *arena = c->p->arena;
	struct pattern *made;
	struct slice text;
	uint32_t n = 0;

	(void)argument;
	if (!plain_variants(c, "base64offset"))
		return false;
	if (!may_become(c, "base64offset", 3 * (uint64_t)c->n))
		return false;
	made = arena_alloc(arena, 3 * (size_t)c->n * sizeof(made[0]));
	for (uint32_t i = 0; i < c->n; i++) {
		(void)pattern_is_plain(&c->variants[i], &text);
		for (unsigned offset = 0; offset < 3; offset++) {
			struct slice s =
			    encode_base64_offset(arena, text, offset);

			if (s.len == 0)
				return chain_fail(c, "base64offset",
				    "the value is too short to be found "
				    "inside an encoded text");
			made[n++] = pattern_plain(arena, s);
		}
	}
	c->stage = STAGE_TEXT;
	set_variants(c, made, n);
	return true;
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
		    "placeholder %%%.*s%% has no value: give it one in a "
		    "taxonomy of your own, or leave the rule out",
		    SLICE_ARG(name));
	if (!may_become(c, "expand", (uint64_t)*n * values))
		return false;
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

bool
apply_expand(struct chain *c, int argument)
{
	struct arena *arena = c->p->arena;
	struct pattern *all = NULL;
	uint32_t total = 0;

	(void)argument;
	if (c->stage != STAGE_TEXT)
		return chain_fail(c, "expand", "works on text only");
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
		if (!may_become(c, "expand", (uint64_t)total + n))
			return false;
		both = arena_alloc(arena, (total + n) * sizeof(both[0]));
		if (total > 0)
			memcpy(both, all, total * sizeof(both[0]));
		memcpy(both + total, made, n * sizeof(both[0]));
		all = both;
		total += n;
	}
	set_variants(c, all, total);
	return true;
}
