/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the loader that says what becomes of a group. */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"
#include "reader.h"

static const struct {
	const char *name;
	time_parser *parse;
} times[] = {
	{ "rfc3339", timestamp_parse_rfc3339 },
	{ "rfc3164", timestamp_parse_rfc3164 },
	{ "clf", timestamp_parse_clf },
	{ "ctime", timestamp_parse_ctime },
	{ "slashed", timestamp_parse_slashed },
	{ "unix", timestamp_parse_unix },
};

/* TARGET_READ is no type: the key `read` says it. */
static const char *const type_names[TARGET_READ] = {
	[TARGET_STRING] = "string",
	[TARGET_INT] = "int",
	[TARGET_FLOAT] = "float",
	[TARGET_IP] = "ip",
	[TARGET_ADDRESS] = "address",
	[TARGET_USER] = "user",
	[TARGET_LOWER] = "lower",
	[TARGET_LIST] = "list",
	[TARGET_URL] = "url",
	[TARGET_TIME] = "time",
};

/* What a field is when the file says no type, by its ECS name. */
static const struct {
	const char *ending;
	enum target_type type;
} usual[] = {
	{ ".ip", TARGET_IP },
	{ ".port", TARGET_INT },
	{ ".bytes", TARGET_INT },
	{ ".pid", TARGET_INT },
	{ "process.thread.id", TARGET_INT },
	{ "http.response.status_code", TARGET_INT },
	{ "user.name", TARGET_USER },
	{ "user.target.name", TARGET_USER },
	{ "user.effective.name", TARGET_USER },
	{ "email.to.address", TARGET_STRING }, /* a mailbox, no host */
	{ "email.from.address", TARGET_STRING },
	{ "email.cc.address", TARGET_STRING },
	{ "email.sender.address", TARGET_STRING },
	{ ".address", TARGET_ADDRESS },
	{ "url.original", TARGET_URL },
	{ "@timestamp", TARGET_TIME },
	{ "related.ip", TARGET_LIST },
	{ "related.user", TARGET_LIST },
	{ "related.hosts", TARGET_LIST },
};

static bool
ends_with(struct slice s, const char *ending)
{
	size_t n = strlen(ending);

	return s.len >= n && memcmp(s.ptr + s.len - n, ending, n) == 0;
}

static enum target_type
usual_type(struct slice field)
{
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (ends_with(field, usual[i].ending))
			return usual[i].type;
	return TARGET_STRING;
}

/* source.address -> source.ip */
static uint32_t
sibling(struct slice field, const char *key)
{
	char name[FIELD_NAME_MAX];
	const char *dot = memrchr(field.ptr, '.', field.len);
	struct slice head = { field.ptr, 0 };
	int n;

	if (dot != NULL)
		head.len = (size_t)(dot - field.ptr) + 1;
	n = snprintf(name, sizeof(name), "%.*s%s", SLICE_ARG(head), key);
	if (n <= 0 || (size_t)n >= sizeof(name))
		return FIELD_NONE;
	return field_intern((struct slice){ name, (size_t)n });
}

static void
set_field(struct loader *l, const struct yaml_node *node, struct target *t)
{
	if (node == NULL || node->kind != YAML_SCALAR) {
		loader_fail(l, node, "the name of a field is expected");
		return;
	}
	t->field = field_intern(node->text);
	if (t->field == FIELD_NONE) {
		loader_fail(l, node, "\"%.64s\" cannot be a field",
		    node->text.ptr);
		return;
	}
	t->type = usual_type(node->text);
}

static void
set_type(struct loader *l, const struct yaml_node *node, struct target *t)
{
	for (unsigned i = 0; i < TARGET_READ; i++) {
		if (node->kind == YAML_SCALAR &&
		    strcmp(node->text.ptr, type_names[i]) == 0) {
			t->type = (enum target_type)i;
			t->text = t->type == TARGET_STRING;
			return;
		}
	}
	loader_fail(l, node,
	    "type is string, int, float, ip, address, user, lower, list, url "
	    "or time");
}

static void
set_time_format(struct loader *l, const struct yaml_node *node,
    struct target *t)
{
	struct slice copy;
	char *text;

	if (node == NULL || node->kind != YAML_SCALAR || node->text.len == 0) {
		loader_fail(l, node,
		    "a time needs a format: rfc3339, rfc3164, clf, ctime, "
		    "slashed, unix, or a pattern with %%");
		return;
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (strcmp(node->text.ptr, times[i].name) == 0)
			t->parse_time = times[i].parse;
	if (t->parse_time == NULL && strchr(node->text.ptr, '%') == NULL) {
		loader_fail(l, node, "no time format \"%.64s\"",
		    node->text.ptr);
		return;
	}
	copy = node->text;
	text = arena_alloc(l->format->arena, copy.len + 1);
	memcpy(text, copy.ptr, copy.len);
	text[copy.len] = '\0';
	t->time_format = text;
}

static void
set_lookup(struct loader *l, const struct yaml_node *node, struct target *t)
{
	for (size_t i = 0; i < l->n_lookups && node->kind == YAML_SCALAR; i++)
		if (slice_eq(l->lookups[i].name, node->text))
			t->lookup = &l->lookups[i];
	if (t->lookup == NULL)
		loader_fail(l, node, "no such lookup");
}

static void
set_reader(struct loader *l, const struct yaml_node *node, struct target *t)
{
	const struct yaml_node *name = yaml_get(node, "read");
	const struct format *f = l->format;

	if (node->n > 1) {
		loader_fail(l, node, "read stands alone: {read: NAME}");
		return;
	}
	for (uint32_t i = 0; i < f->n_readers && name->kind == YAML_SCALAR; i++)
		if (slice_eq(f->readers[i].name, name->text))
			t->reader = &f->readers[i];
	if (t->reader == NULL)
		loader_fail(l, name, "no such reader");
	t->type = TARGET_READ;
}

static void
read_target_map(struct loader *l, const struct yaml_node *node,
    struct target *t)
{
	static const char *const known[] = { "to", "read", "type", "format",
		"lookup", "split", "times", NULL };
	const struct yaml_node *split = yaml_get(node, "split");
	const struct yaml_node *type = yaml_get(node, "type");
	const struct yaml_node *lookup = yaml_get(node, "lookup");
	const struct yaml_node *factor = yaml_get(node, "times");

	if (!loader_keys(l, node, known))
		return;
	if (yaml_get(node, "read") != NULL) {
		set_reader(l, node, t);
		return;
	}
	set_field(l, yaml_get(node, "to"), t);
	if (type != NULL)
		set_type(l, type, t);
	if (lookup != NULL)
		set_lookup(l, lookup, t);
	if (factor != NULL &&
	    (t->type != TARGET_INT || !yaml_int(factor, &t->times) ||
		t->times < 1))
		loader_fail(l, factor,
		    "times is a factor of an int, 1 or more");
	if (split != NULL && !l->failed) {
		if (split->kind != YAML_SCALAR || split->text.len == 0 ||
		    t->type != TARGET_LIST) {
			loader_fail(l, split,
			    "split is the characters between the items of a list");
			return;
		}
		t->split = arena_alloc(l->format->arena, split->text.len + 1);
		memcpy(t->split, split->text.ptr, split->text.len);
		t->split[split->text.len] = '\0';
	}
	if (t->type == TARGET_TIME && !l->failed)
		set_time_format(l, yaml_get(node, "format"), t);
}

static void
read_target(struct loader *l, const struct yaml_node *node, struct target *t)
{
	struct slice name;

	*t = (struct target){ .type = TARGET_STRING };
	if (node->kind == YAML_MAPPING)
		read_target_map(l, node, t);
	else
		set_field(l, node, t);
	if (l->failed)
		return;
	if (t->type == TARGET_TIME && t->time_format == NULL) {
		loader_fail(l, node, "a time needs {to, format}");
		return;
	}
	if (t->type == TARGET_READ)
		return;
	name = field_name(t->field);
	t->ip_field = sibling(name, "ip");
	t->domain_field = sibling(name, "domain");
}

void
loader_targets(struct loader *l, const struct yaml_node *node,
    struct capture *c)
{
	bool many = node->kind == YAML_SEQUENCE;
	size_t n = many ? node->n : 1;

	if (n == 0 || n > TARGETS_MAX) {
		loader_fail(l, node, "a group sets 1 to %d fields",
		    TARGETS_MAX);
		return;
	}
	c->n = (uint32_t)n;
	c->targets = arena_alloc(l->format->arena, n * sizeof(c->targets[0]));
	for (size_t i = 0; i < n && !l->failed; i++)
		read_target(l, many ? node->items[i] : node, &c->targets[i]);
}

static int
compare_captures(const void *a, const void *b)
{
	const struct capture *x = a, *y = b;

	return (x->group > y->group) - (x->group < y->group);
}

static const struct yaml_node *
fields_of(const struct loader *l, const struct yaml_node *fields,
    const char *group)
{
	const struct yaml_node *node =
	    fields != NULL ? yaml_get(fields, group) : NULL;

	if (node == NULL && l->fields != NULL)
		node = yaml_get(l->fields, group);
	return node;
}

void
loader_captures(struct loader *l, const struct yaml_node *at,
    const struct yaml_node *fields, struct pattern *p)
{
	uint32_t n = 0, size = 0;
	PCRE2_SPTR table = NULL;

	(void)pcre2_pattern_info(p->code, PCRE2_INFO_NAMECOUNT, &n);
	(void)pcre2_pattern_info(p->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	(void)pcre2_pattern_info(p->code, PCRE2_INFO_NAMETABLE, &table);
	if (n > GROUPS_MAX) {
		loader_fail(l, at, "more than %d groups", GROUPS_MAX);
		return;
	}
	if ((fields != NULL && fields->kind != YAML_MAPPING) ||
	    (l->fields != NULL && l->fields->kind != YAML_MAPPING)) {
		loader_fail(l, at, "fields is a mapping of groups to fields");
		return;
	}
	p->captures =
	    arena_alloc(l->format->arena, (n + 1) * sizeof(p->captures[0]));
	for (uint32_t i = 0; i < n && !l->failed; i++) {
		PCRE2_SPTR entry = table + (size_t)i * size;
		const char *group = (const char *)entry + 2;
		const struct yaml_node *node = fields_of(l, fields, group);
		struct capture *c = &p->captures[p->n_captures];

		/* a group that only cases or joins ask for sets no field */
		*c = (struct capture){ .n = 0 };
		c->slot =
		    loader_slot(l, (struct slice){ group, strlen(group) });
		if (node == NULL && c->slot == NO_SLOT) {
			loader_fail(l, at, "group %s has no place in fields",
			    group);
			return;
		}
		/* the number is big-endian, see pcre2api(3) */
		c->group = (uint32_t)(entry[0] << 8 | entry[1]);
		if (node != NULL)
			loader_targets(l, node, c);
		p->n_captures++;
	}
	qsort(p->captures, p->n_captures, sizeof(p->captures[0]),
	    compare_captures);
}
