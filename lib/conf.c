/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file against its table.  Values are conf_value.c's, the tree
 * is yaml.c's; here are keys, sections, lists, defaults and what is required.
 */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_value.h"
#include "xalloc.h"

enum {
	KEY_TEXT = 256,
	SHOWN_TEXT = 2 * KEY_TEXT + 32,
	KNOWN_TEXT = 600,
	HELP_COLUMN = 32
};

struct loader {
	const char *file;
	char *folder; /* of the file, owned */
	struct error *err;
};

/* A mapping of the file: the table and struct it fills, and where it stands. */
struct scope {
	const struct conf_option *table;
	char *out;
	const char *shown;  /* before the key in messages: "inputs[0]." */
	unsigned line;      /* of the mapping */
	bool *given;        /* for each option of the table */
	char key[KEY_TEXT]; /* dotted, within the table; grows and shrinks */
};

static enum rc load_scope(struct loader *l, struct scope *s,
    const struct yaml_node *map);

static void *
field_of(const struct scope *s, const struct conf_option *o)
{
	return s->out + o->offset;
}

static enum rc
fail_at(struct loader *l, const struct scope *s, unsigned line)
{
	if (s->key[0] != '\0' || s->shown[0] != '\0')
		(void)error_prefix(l->err, "%s%s", s->shown, s->key);
	return error_prefix(l->err, "%s:%u", l->file, line);
}

/* True if `key` stands below `section`: "tls.ca" below "tls". */
static bool
is_below(const char *key, const char *section)
{
	size_t n = strlen(section);

	return n == 0 || (strncmp(key, section, n) == 0 && key[n] == '.');
}

static const struct conf_option *
find_option(const struct conf_option *table, const char *key)
{
	for (; table->key != NULL; table++)
		if (strcmp(table->key, key) == 0)
			return table;
	return NULL;
}

static bool
is_section(const struct conf_option *table, const char *key)
{
	for (; table->key != NULL; table++)
		if (is_below(table->key, key))
			return true;
	return false;
}

static bool
same_name(const char *a, const char *b, size_t n)
{
	return strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '.');
}

/* The names that may stand in `section`, each once. */
static void
list_known(const struct conf_option *table, const char *section,
    struct buf *out)
{
	size_t skip = section[0] != '\0' ? strlen(section) + 1 : 0;

	for (const struct conf_option *o = table; o->key != NULL; o++) {
		const char *name = o->key + skip;
		bool seen = false;
		size_t n;

		if (!is_below(o->key, section))
			continue;
		n = strcspn(name, ".");
		for (const struct conf_option *p = table; p < o; p++)
			seen = seen ||
			    (is_below(p->key, section) &&
				same_name(name, p->key + skip, n));
		if (!seen)
			(void)buf_printf(out, "%s%.*s",
			    out->len > 0 ? ", " : "", (int)n, name);
	}
}

static enum rc
unknown_key(struct loader *l, struct scope *s, size_t parent_len, unsigned line)
{
	char parent[KEY_TEXT];
	struct buf known;

	(void)snprintf(parent, sizeof(parent), "%.*s", (int)parent_len, s->key);
	buf_init(&known, KNOWN_TEXT);
	list_known(s->table, parent, &known);
	(void)buf_add_char(&known, '\0');
	(void)error_set(l->err, RC_INVALID, "unknown key; known here: %s",
	    known.ptr != NULL ? known.ptr : "none");
	buf_fini(&known);
	return fail_at(l, s, line);
}

static enum rc
load_item(struct loader *l, const struct scope *s, const struct conf_option *o,
    const struct yaml_node *node, size_t index)
{
	struct conf_list *list = field_of(s, o);
	char shown[SHOWN_TEXT];
	struct scope item = {
		.table = o->items,
		.out = (char *)list->items + index * o->item_size,
		.shown = shown,
		.line = node->line,
	};

	(void)snprintf(shown, sizeof(shown), "%.*s%s[%zu].", KEY_TEXT, s->shown,
	    s->key, index);
	list->lines[index] = node->line;
	if (node->kind != YAML_MAPPING) {
		(void)error_set(l->err, RC_INVALID,
		    "each item must be a section");
		return fail_at(l, s, node->line);
	}
	return load_scope(l, &item, node);
}

static enum rc
load_list(struct loader *l, const struct scope *s, const struct conf_option *o,
    const struct yaml_node *node)
{
	struct conf_list *list = field_of(s, o);
	enum rc rc = RC_OK;

	if (node->kind != YAML_SEQUENCE) {
		(void)error_set(l->err, RC_INVALID, "must be a list");
		return fail_at(l, s, node->line);
	}
	list->items = xcalloc(node->n > 0 ? node->n : 1, o->item_size);
	list->lines = xcalloc(node->n > 0 ? node->n : 1, sizeof(*list->lines));
	list->n = node->n; /* zeroed items are fine to free */
	for (size_t i = 0; i < node->n && rc == RC_OK; i++)
		rc = load_item(l, s, o, node->items[i], i);
	return rc;
}

static enum rc
load_option(struct loader *l, struct scope *s, const struct conf_option *o,
    const struct yaml_node *node)
{
	s->given[o - s->table] = true;
	if (o->type == CONF_LIST)
		return load_list(l, s, o, node);
	if (conf_value_read(o, node, l->folder, field_of(s, o), l->err) !=
	    RC_OK)
		return fail_at(l, s, node->line);
	return RC_OK;
}

static enum rc load_keys(struct loader *l, struct scope *s,
    const struct yaml_node *map);

static enum rc
load_section(struct loader *l, struct scope *s, const struct conf_option *o,
    const struct yaml_node *node)
{
	if (o != NULL) {
		s->given[o - s->table] = true;
		*(bool *)field_of(s, o) = true;
	}
	if (yaml_is_null(node))
		return RC_OK;
	if (node->kind != YAML_MAPPING) {
		(void)error_set(l->err, RC_INVALID, "must be a section");
		return fail_at(l, s, node->line);
	}
	return load_keys(l, s, node);
}

/* The keys of one mapping; s->key is the section's while they are read. */
static enum rc
load_keys(struct loader *l, struct scope *s, const struct yaml_node *map)
{
	size_t parent = strlen(s->key);
	enum rc rc = RC_OK;

	for (size_t i = 0; i < map->n && rc == RC_OK; i++) {
		const char *name = map->keys[i]->text.ptr;
		const struct conf_option *o;

		(void)snprintf(s->key + parent, sizeof(s->key) - parent, "%s%s",
		    parent > 0 ? "." : "", name);
		o = find_option(s->table, s->key);
		/* a dot within a name is no way into a section */
		if (strchr(name, '.') != NULL ||
		    (o == NULL && !is_section(s->table, s->key)))
			rc = unknown_key(l, s, parent, map->keys[i]->line);
		else if (o == NULL || o->type == CONF_SECTION)
			rc = load_section(l, s, o, map->items[i]);
		else
			rc = load_option(l, s, o, map->items[i]);
		s->key[parent] = '\0';
	}
	return rc;
}

/* An option of a section that may be left out counts only if it is there. */
static bool
is_wanted(const struct scope *s, const struct conf_option *o)
{
	const struct conf_option *p;

	for (p = s->table; p->key != NULL; p++)
		if (p->type == CONF_SECTION && p != o &&
		    is_below(o->key, p->key) && !s->given[p - s->table])
			return false;
	return true;
}

/* A default is read as if the file said it. */
static enum rc
load_default(struct loader *l, const struct scope *s,
    const struct conf_option *o)
{
	struct slice text = { o->def, strlen(o->def) };
	struct yaml_file *y;
	enum rc rc = yaml_parse(o->key, text, &y, l->err);

	if (rc != RC_OK)
		return error_prefix(l->err, "default");
	rc = conf_value_read(o, yaml_root(y, 0), l->folder, field_of(s, o),
	    l->err);
	yaml_free(y);
	return rc == RC_OK ? RC_OK
			   : error_prefix(l->err, "default of %s", o->key);
}

static enum rc
load_scope(struct loader *l, struct scope *s, const struct yaml_node *map)
{
	size_t n = 0;
	enum rc rc = RC_OK;

	while (s->table[n].key != NULL)
		n++;
	s->given = xcalloc(n + 1, sizeof(*s->given));
	if (map != NULL)
		rc = load_keys(l, s, map);
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		const struct conf_option *o = &s->table[i];

		if (s->given[i])
			continue;
		if (o->def != NULL)
			rc = load_default(l, s, o);
		if (o->required && is_wanted(s, o)) {
			(void)error_set(l->err, RC_INVALID,
			    "%s%s: is missing and has no default", s->shown,
			    o->key);
			rc = error_prefix(l->err, "%s:%u", l->file, s->line);
		}
	}
	free(s->given);
	s->given = NULL;
	return rc;
}

static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == path ? xstrdup("")
			     : xmemdupz(path, (size_t)(slash - path));
}

static enum rc
load_tree(const char *path, const struct yaml_file *y,
    const struct conf_option *table, void *out, struct error *err)
{
	const struct yaml_node *root = yaml_root(y, 0);
	struct loader l = { .file = path, .err = err };
	struct scope s = { .table = table, .out = out, .shown = "", .line = 1 };
	enum rc rc;

	if (yaml_documents(y) > 1)
		return error_set(err, RC_INVALID,
		    "%s: more than one document (---)", path);
	if (root != NULL && root->kind != YAML_MAPPING)
		return error_set(err, RC_INVALID,
		    "%s:%u: must be keys with values, such as \"key: value\"",
		    path, root->line);
	l.folder = folder_of(path);
	rc = load_scope(&l, &s, root);
	free(l.folder);
	if (rc != RC_OK)
		conf_free(table, out);
	return rc;
}

enum rc
conf_parse(const char *path, struct slice text, const struct conf_option *table,
    void *out, struct error *err)
{
	struct yaml_file *y;
	enum rc rc = yaml_parse(path, text, &y, err);

	if (rc != RC_OK)
		return rc;
	rc = load_tree(path, y, table, out, err);
	yaml_free(y);
	return rc;
}

enum rc
conf_load(const char *path, const struct conf_option *table, void *out,
    struct error *err)
{
	struct yaml_file *y;
	enum rc rc = yaml_load(path, &y, err);

	if (rc != RC_OK)
		return rc;
	rc = load_tree(path, y, table, out, err);
	yaml_free(y);
	return rc;
}

void
conf_free(const struct conf_option *table, void *out)
{
	for (const struct conf_option *o = table; o->key != NULL; o++) {
		void *field = (char *)out + o->offset;
		struct conf_list *list = field;

		if (o->type != CONF_LIST) {
			conf_value_free(o, field);
			continue;
		}
		for (size_t i = 0; i < list->n; i++)
			conf_free(o->items,
			    (char *)list->items + i * o->item_size);
		free(list->items);
		free(list->lines);
		*list = (struct conf_list){ .n = 0 };
	}
}

bool
conf_has(const void *out, const struct conf_option *table, const char *key)
{
	for (const struct conf_option *o = table; o->key != NULL; o++) {
		bool exact = strcmp(o->key, key) == 0;

		if (!exact && !is_below(o->key, key))
			continue;
		if ((o->def == NULL || o->type == CONF_SECTION) &&
		    conf_value_is_set(o, (const char *)out + o->offset))
			return true;
	}
	return false;
}

static void
help_option(const struct conf_option *o, const char *shown, struct buf *out)
{
	size_t from = out->len;

	(void)buf_printf(out, "  %s%s", shown, o->key);
	while (out->len - from < HELP_COLUMN)
		(void)buf_add_char(out, ' ');
	(void)buf_printf(out, " %s (", o->help);
	conf_value_allowed(o, out);
	if (o->required)
		(void)buf_add_str(out, "; required");
	else if (o->def != NULL)
		(void)buf_printf(out, "; default %s", o->def);
	(void)buf_add_str(out, ")\n");
}

void
conf_help(const struct conf_option *table, struct buf *out)
{
	for (const struct conf_option *o = table; o->key != NULL; o++) {
		if (o->type == CONF_SECTION)
			continue;
		help_option(o, "", out);
		if (o->type != CONF_LIST)
			continue;
		for (const struct conf_option *i = o->items; i->key != NULL;
		     i++) {
			char shown[KEY_TEXT];

			(void)snprintf(shown, sizeof(shown), "%s[].", o->key);
			help_option(i, shown, out);
		}
	}
}
