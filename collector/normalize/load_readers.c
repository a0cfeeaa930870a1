/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the loader that says how values are read out of texts: readers,
 * the names they find, joins and cases.
 */
#include <stdlib.h>

#include "load.h"
#include "reader.h"

static const char *const kinds[READER_KINDS] = {
	[READER_PAIRS] = "pairs",
	[READER_COLUMNS] = "columns",
	[READER_JSON] = "json",
	[READER_XML] = "xml",
	[READER_CEF] = "cef",
	[READER_LEEF] = "leef",
	[READER_PATTERNS] = "patterns",
	[READER_LINE] = "line",
};

int
loader_slot(const struct loader *l, struct slice name)
{
	for (uint32_t i = 0; i < l->format->n_slots; i++)
		if (slice_eq(l->slots[i], name))
			return (int)i;
	return NO_SLOT;
}

static int
make_slot(struct loader *l, const struct yaml_node *at, struct slice name)
{
	int slot = loader_slot(l, name);

	if (slot != NO_SLOT)
		return slot;
	if (l->format->n_slots == SLOTS_MAX) {
		loader_fail(l, at,
		    "joins and cases speak of more than %d names", SLOTS_MAX);
		return NO_SLOT;
	}
	l->slots[l->format->n_slots] = name;
	return (int)l->format->n_slots++;
}

static void *
zeroed(struct loader *l, size_t n, size_t size)
{
	void *p = arena_alloc(l->format->arena, (n + 1) * size);

	memset(p, 0, (n + 1) * size);
	return p;
}

/* A mapping with at most `max` entries; how many. */
static size_t
mapping(struct loader *l, const struct yaml_node *node, const char *key,
    size_t max)
{
	if (node == NULL || l->failed)
		return 0;
	if (node->kind == YAML_MAPPING && node->n <= max)
		return node->n;
	loader_fail(l, node, "%s is a mapping of at most %zu entries", key,
	    max);
	return 0;
}

/* ---- conditions, cases, joins ---------------------------------------------- */

void
loader_conditions(struct loader *l, const struct yaml_node *node,
    const char *key, struct condition **out, uint32_t *n)
{
	size_t all = mapping(l, node, key, CONDITIONS_MAX);

	*n = 0;
	*out = zeroed(l, all, sizeof(**out));
	for (size_t i = 0; i < all && !l->failed; i++) {
		const struct yaml_node *value = node->items[i];
		struct condition *c = &(*out)[(*n)++];

		c->name = arena_copy(l->format->arena, node->keys[i]->text);
		if (value->kind == YAML_SCALAR && yaml_is_null(value))
			c->absent = true;
		else if (value->kind != YAML_SCALAR ||
		    !slice_eq(value->text, SLICE("*")))
			loader_texts(l, value, key, &c->values, &c->n);
	}
}

static void
read_case(struct loader *l, const struct yaml_node *node, struct format_case *c)
{
	static const char *const known[] = { "when", "set", NULL };

	if (!loader_keys(l, node, known))
		return;
	loader_conditions(l, yaml_get(node, "when"), "when", &c->when,
	    &c->n_when);
	if (c->n_when == 0)
		loader_fail(l, node, "a case needs when: {NAME: VALUE}");
	for (uint32_t i = 0; i < c->n_when && !l->failed; i++)
		c->when[i].slot = make_slot(l, node, c->when[i].name);
	loader_constants(l, yaml_get(node, "set"), NULL, 0, &c->constants,
	    &c->n_constants);
}

static void
read_cases(struct loader *l, const struct yaml_node *node)
{
	struct format *f = l->format;

	if (node == NULL)
		return;
	if (node->kind != YAML_SEQUENCE || node->n > CASES_MAX) {
		loader_fail(l, node, "cases is a list of at most %d",
		    CASES_MAX);
		return;
	}
	f->cases = zeroed(l, node->n, sizeof(f->cases[0]));
	for (size_t i = 0; i < node->n && !l->failed; i++)
		read_case(l, node->items[i], &f->cases[f->n_cases++]);
}

/* "%{date} %{time}" */
static void
read_join(struct loader *l, const struct yaml_node *node, struct join *j)
{
	struct slice s = loader_text(l, node, "a join");

	j->parts = zeroed(l, JOIN_PARTS_MAX, sizeof(j->parts[0]));
	while (s.len > 0 && !l->failed) {
		const char *open = memmem(s.ptr, s.len, "%{", 2), *close = NULL;
		struct join_part *p = &j->parts[j->n++];
		size_t n = open != NULL ? (size_t)(open - s.ptr) : s.len;

		if (j->n == JOIN_PARTS_MAX) {
			loader_fail(l, node, "a join has at most %d parts",
			    JOIN_PARTS_MAX - 1);
			return;
		}
		if (n == 0)
			close = memchr(s.ptr, '}', s.len);
		if (n == 0 && close == NULL) {
			loader_fail(l, node, "%%{ without }");
			return;
		}
		p->slot = NO_SLOT;
		p->text = (struct slice){ s.ptr, n };
		if (n == 0) {
			n = (size_t)(close - s.ptr) + 1;
			p->slot = make_slot(l, node,
			    (struct slice){ s.ptr + 2, n - 3 });
		}
		s = (struct slice){ s.ptr + n, s.len - n };
	}
}

static void
read_joins(struct loader *l, const struct yaml_node *node)
{
	size_t n = mapping(l, node, "joins", JOINS_MAX);
	struct format *f = l->format;

	f->joins = zeroed(l, n, sizeof(f->joins[0]));
	for (size_t i = 0; i < n && !l->failed; i++)
		read_join(l, node->items[i], &f->joins[f->n_joins++]);
}

/* After the readers have names: what becomes of the joined text. */
static void
place_joins(struct loader *l, const struct yaml_node *node)
{
	struct format *f = l->format;

	for (uint32_t i = 0; i < f->n_joins && !l->failed; i++) {
		const char *name = node->keys[i]->text.ptr;
		const struct yaml_node *fields =
		    l->fields != NULL ? yaml_get(l->fields, name) : NULL;
		struct capture *c = &f->joins[i].capture;

		c->slot = loader_slot(l, node->keys[i]->text);
		if (fields == NULL && c->slot == NO_SLOT)
			loader_fail(l, node->keys[i],
			    "%.64s has no place in fields", name);
		else if (fields != NULL)
			loader_targets(l, fields, c);
	}
}

/* ---- readers --------------------------------------------------------------- */

static int
compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return slice_compare(x->name, y->name);
}

static bool
has_key(const struct yaml_node *map, struct slice name)
{
	for (size_t i = 0; map != NULL && i < map->n; i++)
		if (slice_eq(map->keys[i]->text, name))
			return true;
	return false;
}

/* Entries of `fields`; and, once for a format, names that only have a slot. */
static void
read_names(struct loader *l, const struct yaml_node *fields, bool all,
    struct names *out)
{
	size_t n = mapping(l, fields, "fields", NAMES_MAX);
	uint32_t slots = all ? l->format->n_slots : 0;
	struct named *list = zeroed(l, n + slots, sizeof(list[0]));
	uint32_t used = 0;

	for (size_t i = 0; i < n && !l->failed; i++) {
		struct named *name = &list[used++];

		name->name =
		    arena_copy(l->format->arena, fields->keys[i]->text);
		name->capture.slot = loader_slot(l, name->name);
		loader_targets(l, fields->items[i], &name->capture);
	}
	for (uint32_t i = 0; i < slots && !l->failed; i++) {
		if (has_key(fields, l->slots[i]))
			continue;
		list[used].name = l->slots[i];
		list[used++].capture.slot = (int)i;
	}
	qsort(list, used, sizeof(list[0]), compare_named);
	out->list = list;
	out->n = used;
	text_index_build(&out->index, l->format->arena, list, sizeof(list[0]),
	    used);
}

static void
read_text(struct loader *l, const struct yaml_node *map, const char *key,
    struct slice def, struct slice *out)
{
	const struct yaml_node *node = yaml_get(map, key);

	*out = def;
	if (node != NULL && node->kind == YAML_SCALAR && node->text.len == 0)
		*out = SLICE("");
	else if (node != NULL)
		*out = loader_text(l, node, key);
}

static void
read_rest(struct loader *l, const struct yaml_node *map, struct slice *out)
{
	read_text(l, map, "rest", SLICE(""), out);
	if (out->len > 0 && field_intern(*out) == FIELD_NONE)
		loader_fail(l, yaml_get(map, "rest"), "rest is no field");
}

/* One list of names, or a list of lists. */
static void
read_column_lists(struct loader *l, const struct yaml_node *map,
    struct reader *r)
{
	const struct yaml_node *node = yaml_get(map, "columns");
	bool many = node != NULL && node->kind == YAML_SEQUENCE &&
	    node->n > 0 && node->items[0]->kind == YAML_SEQUENCE;
	size_t n = many ? node->n : 1;

	if (node == NULL || node->kind != YAML_SEQUENCE || n > KEYS_MAX) {
		loader_fail(l, map, "columns need a list of names");
		return;
	}
	r->lists = zeroed(l, n, sizeof(r->lists[0]));
	for (size_t i = 0; i < n && !l->failed; i++) {
		const struct yaml_node *names = many ? node->items[i] : node;
		struct column_list *list = &r->lists[r->n_lists++];

		if (names->kind != YAML_SEQUENCE || names->n > COLUMNS_MAX) {
			loader_fail(l, names, "a list of at most %d names",
			    COLUMNS_MAX);
			return;
		}
		list->names = zeroed(l, names->n, sizeof(list->names[0]));
		for (size_t k = 0; k < names->n; k++)
			if (names->items[k]->kind == YAML_SCALAR)
				list->names[list->n++] =
				    arena_copy(l->format->arena,
					names->items[k]->text);
	}
}

static void
read_kind(struct loader *l, const struct yaml_node *node, struct reader *r)
{
	const struct yaml_node *type = yaml_get(node, "type");
	unsigned kind = 0;

	while (type != NULL && type->kind == YAML_SCALAR &&
	    kind < READER_KINDS && strcmp(type->text.ptr, kinds[kind]) != 0)
		kind++;
	if (type == NULL || type->kind != YAML_SCALAR || kind == READER_KINDS)
		loader_fail(l, type != NULL ? type : node,
		    "type is pairs, columns, json, xml, cef, leef, patterns or "
		    "line");
	else
		r->kind = (enum reader_kind)kind;
}

/* They cut texts at single bytes, which must not be parts of characters. */
static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return false;
	return true;
}

static void
read_reader(struct loader *l, const struct yaml_node *node, struct reader *r)
{
	static const char *const known[] = { "type", "between", "equals",
		"quotes", "strip", "spaces", "separator", "columns", "rest",
		"fields", "patterns", NULL };
	const struct yaml_node *patterns = yaml_get(node, "patterns");
	bool columns = r->kind == READER_COLUMNS;
	struct slice separator;

	if (!loader_keys(l, node, known))
		return;
	read_text(l, node, "between", SLICE(" "), &r->between);
	read_text(l, node, "equals", SLICE("="), &r->equals);
	read_text(l, node, "quotes", SLICE("\""), &r->quotes);
	read_text(l, node, "strip", SLICE(""), &r->strip);
	read_text(l, node, "separator", SLICE(","), &separator);
	read_rest(l, node, &r->rest);
	r->spaces = loader_flag(l, node, "spaces", false);
	if (separator.len != 1 || r->between.len == 0 || r->equals.len == 0 ||
	    !is_ascii(separator) || !is_ascii(r->between) ||
	    !is_ascii(r->quotes) || !is_ascii(r->strip))
		loader_fail(l, node,
		    "separator is one character; between and equals are not "
		    "empty; they, quotes and strip are ASCII");
	else
		r->separator = separator.ptr[0];
	if (columns)
		read_column_lists(l, node, r);
	read_names(l, yaml_get(node, "fields"), false, &r->names);
	if (r->kind == READER_PATTERNS && patterns != NULL)
		loader_patterns(l, patterns, &r->patterns, &r->n_patterns);
	else if (r->kind == READER_PATTERNS || patterns != NULL)
		loader_fail(l, node,
		    "the type patterns, and no other, has patterns");
}

/* First only what others refer to: the names. */
static void
name_readers(struct loader *l, const struct yaml_node *node)
{
	size_t n = mapping(l, node, "readers", READERS_MAX);
	struct format *f = l->format;

	f->readers = zeroed(l, n, sizeof(f->readers[0]));
	for (size_t i = 0; i < n && !l->failed; i++) {
		struct reader *r = &f->readers[f->n_readers++];

		r->name = arena_copy(f->arena, node->keys[i]->text);
		if (node->items[i]->kind != YAML_MAPPING)
			loader_fail(l, node->items[i],
			    "a reader is a mapping: {type: …}");
		else
			read_kind(l, node->items[i], r);
	}
}

void
loader_readers(struct loader *l)
{
	const struct yaml_node *readers = yaml_get(l->root, "readers");
	const struct yaml_node *joins = yaml_get(l->root, "joins");
	const struct yaml_node *rest = yaml_get(l->root, "rest");
	struct format *f = l->format;

	name_readers(l, readers);
	read_cases(l, yaml_get(l->root, "cases"));
	read_joins(l, joins);
	if (l->failed)
		return;
	read_names(l, l->fields, true, &f->names);
	for (uint32_t i = 0; i < f->n_readers && !l->failed; i++)
		read_reader(l, readers->items[i], &f->readers[i]);
	if (!l->failed && f->n_joins > 0)
		place_joins(l, joins);
	if (f->n_json_when == 0 && !f->any_object) {
		if (rest != NULL)
			loader_fail(l, rest,
			    "rest belongs to match: {json: …}");
		return;
	}
	if (l->failed)
		return;
	f->json = zeroed(l, 1, sizeof(*f->json));
	f->json->kind = READER_JSON;
	read_rest(l, l->root, &f->json->rest);
}
