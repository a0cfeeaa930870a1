/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of rules/normalizers: YAML to a struct format.  Reads top-down as
 * the man page describes the file; every refusal names the line.
 */
#include <stdio.h>
#include <stdlib.h>

#include "format.h"
#include "load.h"
#include "reader.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 16 * 1024, KEYS_TEXT_MAX = 384 };

void
loader_fail(struct loader *l, const struct yaml_node *node, const char *fmt,
    ...)
{
	va_list ap;
	char text[512];

	if (l->failed)
		return;
	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): just begun */
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->failed = true;
	l->line = node != NULL ? node->line : 1;
	(void)error_set(l->err, RC_INVALID, "line %u: %s", l->line, text);
}

/* With the keys that there are: a slip of the pen is the usual reason. */
static void
unknown_key(struct loader *l, const struct yaml_node *key,
    const char *const *known)
{
	char all[KEYS_TEXT_MAX] = "";
	size_t n = 0;

	for (size_t i = 0; known[i] != NULL && n < sizeof(all); i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
		    i > 0 ? ", " : "", known[i]);
	loader_fail(l, key, "unknown key \"%.64s\"; there are: %s",
	    key->text.ptr, all);
}

/* Every key of `map` is one of `known` (ends with NULL). */
bool
loader_keys(struct loader *l, const struct yaml_node *map,
    const char *const *known)
{
	if (map->kind != YAML_MAPPING) {
		loader_fail(l, map, "a mapping is expected here");
		return false;
	}
	for (size_t i = 0; i < map->n; i++) {
		size_t k = 0;

		while (known[k] != NULL &&
		    strcmp(known[k], map->keys[i]->text.ptr) != 0)
			k++;
		if (known[k] == NULL) {
			unknown_key(l, map->keys[i], known);
			return false;
		}
	}
	return true;
}

struct slice
loader_text(struct loader *l, const struct yaml_node *node, const char *what)
{
	if (node->kind != YAML_SCALAR || node->text.len == 0) {
		loader_fail(l, node, "%s is a text that is not empty", what);
		return SLICE("");
	}
	return arena_copy(l->format->arena, node->text);
}

/* A scalar or a sequence of them -> its i-th text; NULL beyond the last. */
static const struct yaml_node *
item_at(const struct yaml_node *node, size_t i)
{
	if (node->kind == YAML_SEQUENCE)
		return i < node->n ? node->items[i] : NULL;
	return i == 0 ? node : NULL;
}

void
loader_texts(struct loader *l, const struct yaml_node *node, const char *key,
    struct slice **out, uint32_t *n)
{
	const struct yaml_node *item;
	struct slice list[KEYS_MAX];

	*n = 0;
	if (node == NULL)
		return;
	while ((item = item_at(node, *n)) != NULL && !l->failed) {
		if (*n == KEYS_MAX) {
			loader_fail(l, node, "%s: at most %d", key, KEYS_MAX);
			return;
		}
		list[(*n)++] = loader_text(l, item, key);
	}
	*out = arena_alloc(l->format->arena, (*n + 1) * sizeof(list[0]));
	memcpy(*out, list, *n * sizeof(list[0]));
}

static void
read_defines(struct loader *l, const struct yaml_node *node)
{
	if (node == NULL)
		return;
	if (node->kind != YAML_MAPPING || node->n > DEFINES_MAX) {
		loader_fail(l, node,
		    "define is a mapping of at most %d names to patterns",
		    DEFINES_MAX);
		return;
	}
	for (size_t i = 0; i < node->n && !l->failed; i++) {
		l->defines[i].name = node->keys[i]->text;
		l->defines[i].text =
		    loader_text(l, node->items[i], "a definition");
	}
	l->n_defines = node->n;
}

static int
compare_items(const void *a, const void *b)
{
	const struct lookup_item *x = a, *y = b;

	return slice_compare(x->key, y->key);
}

static void
read_lookup(struct loader *l, const struct yaml_node *name,
    const struct yaml_node *map, struct lookup *out)
{
	if (map->kind != YAML_MAPPING || map->n == 0 ||
	    map->n > LOOKUP_ITEMS_MAX) {
		loader_fail(l, map, "a lookup maps 1 to %d texts to texts",
		    LOOKUP_ITEMS_MAX);
		return;
	}
	out->name = name->text;
	out->n = map->n;
	out->items =
	    arena_alloc(l->format->arena, map->n * sizeof(out->items[0]));
	for (size_t i = 0; i < map->n && !l->failed; i++) {
		struct slice value = loader_text(l, map->items[i], "its value");

		out->items[i].key =
		    arena_copy(l->format->arena, map->keys[i]->text);
		out->items[i].value = constant_intern(value);
		if (out->items[i].value.ptr == NULL)
			loader_fail(l, map, "too many constants");
	}
	qsort(out->items, out->n, sizeof(out->items[0]), compare_items);
}

static void
read_lookups(struct loader *l, const struct yaml_node *node)
{
	if (node == NULL)
		return;
	if (node->kind != YAML_MAPPING || node->n > LOOKUPS_MAX) {
		loader_fail(l, node,
		    "lookups is a mapping of at most %d names to mappings",
		    LOOKUPS_MAX);
		return;
	}
	l->lookups = arena_alloc(l->format->arena,
	    (node->n + 1) * sizeof(l->lookups[0]));
	for (size_t i = 0; i < node->n && !l->failed; i++)
		read_lookup(l, node->keys[i], node->items[i], &l->lookups[i]);
	l->n_lookups = l->failed ? 0 : node->n;
}

void
loader_constants(struct loader *l, const struct yaml_node *node,
    const struct field *base, uint32_t n_base, struct field **out,
    uint32_t *n_out)
{
	struct field list[CONSTANTS_MAX];
	uint32_t n = n_base;

	if (n_base > 0)
		memcpy(list, base, n_base * sizeof(list[0]));
	if (node != NULL && node->kind != YAML_MAPPING) {
		loader_fail(l, node, "set is a mapping of fields to values");
		return;
	}
	for (size_t i = 0; node != NULL && i < node->n && !l->failed; i++) {
		struct field f = { field_intern(node->keys[i]->text),
			{ .kind = VALUE_NULL } };
		uint32_t at = 0;

		if (f.id == FIELD_NONE ||
		    !constant_from_yaml(node->items[i], &f.value)) {
			loader_fail(l, node->items[i],
			    "\"%.64s\" is no field, or its value is neither a "
			    "scalar nor a list of scalars",
			    node->keys[i]->text.ptr);
			return;
		}
		while (at < n && list[at].id != f.id)
			at++;
		if (at == CONSTANTS_MAX) {
			loader_fail(l, node, "at most %d constants",
			    CONSTANTS_MAX);
			return;
		}
		list[at] = f;
		n += at == n;
	}
	*out = arena_alloc(l->format->arena, (n + 1) * sizeof(list[0]));
	if (n > 0)
		memcpy(*out, list, n * sizeof(list[0]));
	*n_out = n;
}

bool
loader_flag(struct loader *l, const struct yaml_node *map, const char *key,
    bool def)
{
	const struct yaml_node *node = yaml_get(map, key);
	bool value = def;

	if (node != NULL && !yaml_bool(node, &value))
		loader_fail(l, node, "%s is true or false", key);
	return value;
}

static void
read_pattern(struct loader *l, const struct yaml_node *node, struct pattern *p)
{
	static const char *const known[] = { "pattern", "set", "fields",
		"hinted", NULL };
	const struct yaml_node *text;
	struct error why;

	if (!loader_keys(l, node, known))
		return;
	text = yaml_get(node, "pattern");
	if (text == NULL) {
		loader_fail(l, node, "an entry of patterns needs a pattern");
		return;
	}
	p->line = text->line;
	p->hinted = loader_flag(l, node, "hinted", false);
	if (pattern_compile(loader_text(l, text, "pattern"), l->defines,
		l->n_defines, p, &why) != RC_OK) {
		loader_fail(l, text, "%s", why.text);
		return;
	}
	loader_captures(l, text, yaml_get(node, "fields"), p);
	loader_constants(l, yaml_get(node, "set"), l->base, l->n_base,
	    &p->constants, &p->n_constants);
}

void
loader_patterns(struct loader *l, const struct yaml_node *node,
    struct pattern **out, uint32_t *n)
{
	if (node->kind != YAML_SEQUENCE || node->n > PATTERNS_MAX) {
		loader_fail(l, node, "patterns is a list of at most %d",
		    PATTERNS_MAX);
		return;
	}
	*out = arena_alloc(l->format->arena, (node->n + 1) * sizeof(**out));
	memset(*out, 0, (node->n + 1) * sizeof(**out));
	for (size_t i = 0; i < node->n && !l->failed; i++)
		read_pattern(l, node->items[i], &(*out)[(*n)++]);
}

/* Lists, for each first byte of a text, the patterns that may match it. */
static void
index_patterns(struct format *f)
{
	uint32_t n = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		n = 0;
		for (unsigned byte = 0; byte < 256; byte++) {
			f->first[byte] = (uint16_t)n;
			for (uint32_t i = 0; i < f->n_patterns; i++) {
				const struct pattern *p = &f->patterns[i];

				if (p->prefix_len > 0 &&
				    (unsigned char)p->prefix[0] != byte)
					continue;
				if (pass == 1)
					f->by_first[n] = (uint16_t)i;
				n++;
			}
		}
		f->first[256] = (uint16_t)n;
		if (pass == 0)
			f->by_first = arena_alloc(f->arena,
			    (n + 1) * sizeof(f->by_first[0]));
	}
}

static void
read_patterns(struct loader *l, const struct yaml_node *node)
{
	struct format *f = l->format;
	uint32_t without_prefix = 0;

	if (node == NULL)
		return;
	l->base = f->constants;
	l->n_base = f->n_constants;
	loader_patterns(l, node, &f->patterns, &f->n_patterns);
	for (uint32_t i = 0; i < f->n_patterns; i++)
		without_prefix += f->patterns[i].prefix_len == 0;
	/* the lists of index_patterns() count in 16 bits */
	if (without_prefix * 256 + f->n_patterns > UINT16_MAX)
		loader_fail(l, node,
		    "more than 250 patterns begin with no fixed text");
}

static void
read_keys(struct loader *l, const struct yaml_node *match)
{
	static const char *const names[KEY_KINDS] = {
		[KEY_PROGRAM] = "programs",
		[KEY_MESSAGE] = "message",
		[KEY_STARTS] = "starts",
		[KEY_CONTAINS] = "contains",
		[KEY_PATH] = "paths",
	};
	struct format *f = l->format;

	f->keys = arena_alloc(f->arena,
	    (size_t)KEY_KINDS * KEYS_MAX * sizeof(f->keys[0]));
	for (unsigned kind = 0; kind < KEY_KINDS; kind++) {
		struct slice *texts = NULL;
		uint32_t n;

		loader_texts(l, yaml_get(match, names[kind]), names[kind],
		    &texts, &n);
		for (uint32_t i = 0; i < n; i++)
			f->keys[f->n_keys++] =
			    (struct key){ (enum key_kind)kind, texts[i] };
	}
}

static void
read_match(struct loader *l, const struct yaml_node *match)
{
	static const char *const known[] = { "programs", "message", "starts",
		"contains", "paths", "json", "priority", "fallback", "last",
		NULL };
	const struct yaml_node *priority, *json = yaml_get(match, "json");
	struct format *f = l->format;

	if (match == NULL) {
		loader_fail(l, l->root, "the key match is missing");
		return;
	}
	if (!loader_keys(l, match, known))
		return;
	read_keys(l, match);
	f->fallback = loader_flag(l, match, "fallback", false);
	f->last = loader_flag(l, match, "last", false);
	priority = yaml_get(match, "priority");
	if (priority != NULL && !yaml_int(priority, &f->priority))
		loader_fail(l, priority, "priority is a whole number");
	loader_conditions(l, json, "json", &f->json_when, &f->n_json_when);
	f->any_object = json != NULL && f->n_json_when == 0;
	if (f->any_object && !f->last)
		loader_fail(l, json,
		    "json without a name is every object: it needs last: true");
	if (f->n_keys == 0 && !f->fallback && !f->last && f->n_json_when == 0)
		loader_fail(l, match, "match names nothing");
}

static struct slice
read_name(struct loader *l, const char *key, struct slice def)
{
	const struct yaml_node *node = yaml_get(l->root, key);
	struct slice text = def;

	if (node != NULL)
		text = loader_text(l, node, key);
	return constant_intern(text);
}

struct slice
format_name(const char *path, struct slice name)
{
	const char *slash = strrchr(path, '/'), *dot;
	struct slice stem = { path, strlen(path) };

	if (name.len > 0)
		return name;
	if (slash != NULL)
		stem = (struct slice){ slash + 1, strlen(slash + 1) };
	dot = memrchr(stem.ptr, '.', stem.len);
	if (dot != NULL)
		stem.len = (size_t)(dot - stem.ptr);
	return stem;
}

static void
read_names(struct loader *l, const char *path)
{
	struct format *f = l->format;
	struct slice module;
	const char *dot;

	f->name = read_name(l, "name", format_name(path, SLICE("")));
	if (yaml_get(l->root, "dataset") == NULL)
		loader_fail(l, l->root, "the key dataset is missing");
	f->dataset = read_name(l, "dataset", SLICE(""));
	module = f->dataset;
	dot = memchr(module.ptr, '.', module.len);
	if (dot != NULL)
		module.len = (size_t)(dot - module.ptr);
	f->module = read_name(l, "module", module);
}

static void
read_root(struct loader *l, const char *path)
{
	static const char *const known[] = { "name", "dataset", "module",
		"match", "keep", "skip", "none", "define", "lookups", "set",
		"fields", "readers", "rest", "joins", "cases", "patterns",
		"samples", NULL };
	struct format *f = l->format;
	bool keeps = false;

	if (!loader_keys(l, l->root, known))
		return;
	read_names(l, path);
	read_match(l, yaml_get(l->root, "match"));
	if (l->failed)
		return;
	for (uint32_t i = 0; i < f->n_keys; i++)
		keeps = keeps || f->keys[i].kind == KEY_PROGRAM;
	f->keep = loader_flag(l, l->root, "keep", keeps || f->fallback);
	loader_texts(l, yaml_get(l->root, "skip"), "skip", &f->skip,
	    &f->n_skip);
	loader_texts(l, yaml_get(l->root, "none"), "none", &f->none,
	    &f->n_none);
	for (uint32_t i = 0; i < f->n_none; i++)
		if (f->none[i].len > f->none_longest)
			f->none_longest = f->none[i].len;
	read_defines(l, yaml_get(l->root, "define"));
	read_lookups(l, yaml_get(l->root, "lookups"));
	loader_constants(l, yaml_get(l->root, "set"), NULL, 0, &f->constants,
	    &f->n_constants);
	l->fields = yaml_get(l->root, "fields");
	loader_readers(l);
	read_patterns(l, yaml_get(l->root, "patterns"));
	if (!l->failed)
		index_patterns(f);
}

enum rc
format_load(const char *path, struct format **out, unsigned *line,
    struct error *err)
{
	struct loader *l = xzalloc(sizeof(*l));
	struct yaml_file *file = NULL;

	*out = NULL;
	*line = 0;
	l->err = err;
	if (yaml_load(path, &file, err) != RC_OK) {
		free(l);
		return err->code;
	}
	l->format = xzalloc(sizeof(*l->format));
	l->format->arena = arena_new(ARENA_BLOCK);
	l->root = yaml_documents(file) > 0 ? yaml_root(file, 0) : NULL;
	if (l->root == NULL)
		loader_fail(l, NULL, "the file is empty");
	else
		read_root(l, path);
	*line = l->line;
	if (l->failed)
		format_free(l->format);
	else
		*out = l->format;
	yaml_free(file);
	free(l);
	return *out != NULL ? RC_OK : RC_INVALID;
}

static void
free_patterns(struct pattern *patterns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		pcre2_code_free(patterns[i].code);
		pcre2_code_free(patterns[i].ascii);
	}
}

void
format_free(struct format *f)
{
	if (f == NULL)
		return;
	free_patterns(f->patterns, f->n_patterns);
	for (uint32_t i = 0; i < f->n_readers; i++)
		free_patterns(f->readers[i].patterns, f->readers[i].n_patterns);
	arena_free(f->arena);
	free(f);
}
