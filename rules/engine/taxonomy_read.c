/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a taxonomy. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "taxonomy_state.h"
#include "utf8.h"
#include "xalloc.h"

enum { ENTRIES_MAX = 4096, ARENA_BLOCK = 65536 };

static const char *const part_names[] = { "product", "category", "service" };

/* An array that is one longer, in the arena at powers of two. */
static void *
grow(struct arena *arena, const void *items, uint32_t n, size_t size)
{
	void *bigger;

	if ((n & (n - 1)) != 0)
		return (void *)(uintptr_t)items;
	bigger = arena_alloc(arena, (n == 0 ? 1 : 2 * (size_t)n) * size);
	if (n > 0)
		memcpy(bigger, items, n * size);
	return bigger;
}

/* product, category, service */
static struct entry
read_parts(struct taxonomy *t, const struct yaml_node *map)
{
	struct entry e = { .parts = 0 };
	struct slice *texts[] = { &e.ls.product, &e.ls.category,
		&e.ls.service };

	for (unsigned i = 0; i < 3; i++) {
		const struct yaml_node *part = yaml_get(map, part_names[i]);

		if (part != NULL && part->kind == YAML_SCALAR)
			*texts[i] = utf8_fold(t->arena, part->text);
	}
	e.parts = taxonomy_parts(&e.ls);
	return e;
}

static bool
read_logsource(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *map)
{
	struct entry e = read_parts(t, map);
	const struct yaml_node *where = yaml_get(map, "where");

	(void)key;
	if (e.parts == 0 || where == NULL || t->n_entries == ENTRIES_MAX)
		return parse_fail(p, map->line,
		    "an entry needs product, category or service, and where; "
		    "at most %d entries",
		    ENTRIES_MAX);
	if (!parse_selection(p, SLICE("where"), where, &e.where))
		return false;
	t->entries =
	    grow(t->arena, t->entries, t->n_entries, sizeof(t->entries[0]));
	t->entries[t->n_entries++] = e;
	return true;
}

static bool
read_field_set(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *map, bool complete)
{
	struct field_set set = { .of = read_parts(t, map),
		.complete = complete };
	const struct yaml_node *list = yaml_get(map, "fields");
	const struct slice *names;
	struct slice *folded;

	if (set.of.parts == 0 || list == NULL || t->n_sets == ENTRIES_MAX)
		return parse_fail(p, map->line,
		    "an entry needs product, category or service, and fields; "
		    "at most %d entries",
		    ENTRIES_MAX);
	if (!parse_strings(p, list, "fields", &names, &set.n))
		return false;
	folded = arena_alloc(t->arena, (set.n + 1) * sizeof(folded[0]));
	for (uint32_t i = 0; i < set.n; i++)
		folded[i] = taxonomy_fold(t->arena, names[i]);
	set.fields = folded;
	set.names = names;
	t->sets = grow(t->arena, t->sets, t->n_sets, sizeof(t->sets[0]));
	t->sets[t->n_sets++] = set;
	return true;
}

static bool
read_complete(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	(void)key;
	return read_field_set(t, p, value, true);
}

static bool
read_common(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	(void)key;
	return read_field_set(t, p, value, false);
}

static struct field_names *
names_of(struct taxonomy *t, struct slice field)
{
	struct slice folded = taxonomy_fold(t->arena, field);

	for (uint32_t i = 0; i < t->n_fields; i++)
		if (slice_eq(t->fields[i].folded, folded))
			return &t->fields[i];
	t->fields =
	    grow(t->arena, t->fields, t->n_fields, sizeof(t->fields[0]));
	t->fields[t->n_fields] = (struct field_names){ .folded = folded };
	return &t->fields[t->n_fields++];
}

static bool
read_field(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	const struct slice *names;
	struct field_names *f;
	uint32_t n;

	if (!parse_strings(p, value, "fields", &names, &n))
		return false;
	f = names_of(t, key->text);
	for (uint32_t i = 0; i < n; i++) {
		f->names = grow(t->arena, f->names, f->n, sizeof(names[0]));
		f->names[f->n++] = names[i];
	}
	return true;
}

static bool
read_derived(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	const struct yaml_node *from = yaml_get(value, "from");
	const struct yaml_node *name = yaml_get(value, "key");

	if (from == NULL || name == NULL)
		return parse_fail(p, key->line,
		    "a derived field needs `from` and `key`");
	t->derived =
	    grow(t->arena, t->derived, t->n_derived, sizeof(t->derived[0]));
	t->derived[t->n_derived++] = (struct derived){
		taxonomy_fold(t->arena, key->text),
		arena_copy(t->arena, from->text),
		arena_copy(t->arena, name->text),
	};
	return true;
}

static bool
read_placeholder(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	struct conf_map *map = &t->placeholders;
	const struct slice *values;
	uint32_t n;

	if (!parse_strings(p, value, "placeholders", &values, &n))
		return false;
	map->names = xreallocarray(map->names, map->n + n + 1, sizeof(char *));
	map->values =
	    xreallocarray(map->values, map->n + n + 1, sizeof(char *));
	for (uint32_t i = 0; i < n; i++) {
		map->names[map->n] = xmemdupz(key->text.ptr, key->text.len);
		map->values[map->n] = xmemdupz(values[i].ptr, values[i].len);
		map->n++;
	}
	return true;
}

static bool
read_prefix(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	if (value->kind != YAML_SCALAR || value->text.len == 0)
		return parse_fail(p, value->line,
		    "a prefix is a text, as winlog.event_data");
	(void)key;
	t->prefixes =
	    grow(t->arena, t->prefixes, t->n_prefixes, sizeof(t->prefixes[0]));
	t->prefixes_written = grow(t->arena, t->prefixes_written, t->n_prefixes,
	    sizeof(t->prefixes_written[0]));
	t->prefixes_written[t->n_prefixes] = arena_copy(t->arena, value->text);
	t->prefixes[t->n_prefixes++] = taxonomy_fold(t->arena, value->text);
	return true;
}

static bool
read_generic(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!slice_eq(key->text,
			(struct slice){ part_names[i], strlen(part_names[i]) }))
			continue;
		t->generic[i] = value;
		return true;
	}
	return parse_fail(p, key->line,
	    "\"%.*s\" is no part of a logsource: product, category and service "
	    "are",
	    SLICE_ARG(key->text));
}

/* What a file may hold, and who reads one entry of it. */
static const struct section {
	const char *name;
	enum yaml_kind kind;
	bool (*read)(struct taxonomy *t, struct rule_parser *p,
	    const struct yaml_node *key, const struct yaml_node *value);
} sections[] = {
	{ "logsources", YAML_SEQUENCE, read_logsource },
	{ "generic", YAML_MAPPING, read_generic },
	{ "fields", YAML_MAPPING, read_field },
	{ "prefixes", YAML_SEQUENCE, read_prefix },
	{ "derived", YAML_MAPPING, read_derived },
	{ "placeholders", YAML_MAPPING, read_placeholder },
	{ "complete", YAML_SEQUENCE, read_complete },
	{ "common", YAML_SEQUENCE, read_common },
};

static bool
read_section(struct taxonomy *t, struct rule_parser *p,
    const struct yaml_node *key, const struct yaml_node *value)
{
	const struct section *s = NULL;
	bool map, ok = true;

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (slice_eq(key->text,
			(struct slice){ sections[i].name,
			    strlen(sections[i].name) }))
			s = &sections[i];
	if (s == NULL)
		return parse_fail(p, key->line,
		    "unknown key \"%.*s\": logsources, generic, fields, "
		    "prefixes, derived, placeholders, complete and common are "
		    "known",
		    SLICE_ARG(key->text));
	map = s->kind == YAML_MAPPING;
	if (value->kind != s->kind)
		return parse_fail(p, value->line, "\"%s\" must be a %s",
		    s->name, map ? "map" : "list");
	for (size_t i = 0; ok && i < value->n; i++)
		ok =
		    s->read(t, p, map ? value->keys[i] : NULL, value->items[i]);
	return ok;
}

static enum rc
read_file(struct taxonomy *t, const char *path, struct error *err)
{
	struct rule_parser p = { .arena = t->arena };
	const struct yaml_node *root;
	enum rc rc;

	if (t->n_files == TAXONOMY_FILES_MAX)
		return error_set(err, RC_LIMIT, "%s: more than %d files", path,
		    TAXONOMY_FILES_MAX);
	rc = yaml_load(path, &t->files[t->n_files], err);
	if (rc != RC_OK)
		return rc;
	root = yaml_documents(t->files[t->n_files]) > 0
	    ? yaml_root(t->files[t->n_files], 0)
	    : NULL;
	t->n_files++;
	if (root == NULL || root->kind != YAML_MAPPING)
		return error_set(err, RC_INVALID, "%s: must be a map", path);
	for (size_t i = 0; i < root->n; i++) {
		p.n_matches = 0;
		if (!read_section(t, &p, root->keys[i], root->items[i]))
			return error_set(err, RC_INVALID, "%s:%u: %s", path,
			    p.line, p.message);
	}
	return RC_OK;
}

static int
is_yml(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && d->d_name[0] != '.' &&
	    strcmp(d->d_name + n - 4, ".yml") == 0;
}

enum rc
taxonomy_extend(struct taxonomy *t, const char *dir, struct error *err)
{
	struct dirent **list = NULL;
	char path[PATH_MAX];
	enum rc rc = RC_OK;
	int n = scandir(dir, &list, is_yml, alphasort);

	if (n < 0)
		rc = error_set_errno(err, errno, "%s", dir);
	for (int i = 0; i < n; i++) {
		if (rc == RC_OK) {
			(void)snprintf(path, sizeof(path), "%s/%s", dir,
			    list[i]->d_name);
			rc = read_file(t, path, err);
		}
		free(list[i]);
	}
	free(list);
	return rc;
}

enum rc
taxonomy_load(const char *dir, struct taxonomy **out, struct error *err)
{
	struct taxonomy *t = xzalloc(sizeof(*t));
	enum rc rc;

	t->arena = arena_new(ARENA_BLOCK);
	rc = taxonomy_extend(t, dir, err);
	if (rc != RC_OK) {
		taxonomy_free(t);
		return rc;
	}
	*out = t;
	return RC_OK;
}

void
taxonomy_free(struct taxonomy *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_files; i++)
		yaml_free(t->files[i]);
	for (size_t i = 0; i < t->placeholders.n; i++) {
		free(t->placeholders.names[i]);
		free(t->placeholders.values[i]);
	}
	free(t->placeholders.names);
	free(t->placeholders.values);
	arena_free(t->arena);
	free(t);
}
