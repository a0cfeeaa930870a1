/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "xalloc.h"

enum { ALLOWED_TEXT = 512, SHOWN = 80 };

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit sizes[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "KiB", 1LL << 10 },
	{ "MiB", 1LL << 20 },
	{ "GiB", 1LL << 30 },
	{ "TiB", 1LL << 40 },
	{ "KB", 1000LL },
	{ "MB", 1000000LL },
	{ "GB", 1000000000LL },
	{ "TB", 1000000000000LL },
	{ NULL, 0 },
};

static const struct unit spans[] = {
	{ "ns", 1 },
	{ "us", 1000LL },
	{ "ms", 1000000LL },
	{ "s", 1000000000LL },
	{ "m", 60 * 1000000000LL },
	{ "h", 3600 * 1000000000LL },
	{ "d", 86400 * 1000000000LL },
	{ NULL, 0 },
};

/* "64KiB": the largest unit that divides it. */
static void
print_units(struct buf *out, const struct unit *units, int64_t value)
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->name != NULL; u++)
		if (value != 0 && value % u->factor == 0 &&
		    u->factor > best->factor)
			best = u;
	if (value == 0 && units == spans)
		best = &spans[3];
	(void)buf_printf(out, "%" PRId64 "%s", value / best->factor,
	    best->name);
}

static void
print_number(struct buf *out, enum conf_type type, int64_t value)
{
	if (type == CONF_SIZE)
		print_units(out, sizes, value);
	else if (type == CONF_DURATION)
		print_units(out, spans, value);
	else
		(void)buf_printf(out, "%" PRId64, value);
}

static void
print_range(const struct conf_option *o, struct buf *out)
{
	if (o->min == 0 && o->max == 0)
		return;
	(void)buf_add_str(out, " from ");
	print_number(out, o->type, o->min);
	(void)buf_add_str(out, " to ");
	print_number(out, o->type, o->max);
}

void
conf_value_allowed(const struct conf_option *o, struct buf *out)
{
	static const char *const words[] = {
		[CONF_STRING] = "a text",
		[CONF_PATH] = "a path",
		[CONF_ADDRESS] = "HOST:PORT or [IPv6]:PORT",
		[CONF_CHOICE] = "one of",
		[CONF_INT] = "a whole number",
		[CONF_SIZE] = "a size such as 64KiB, 8MiB, 20MB",
		[CONF_DURATION] = "a time such as 10ms, 30s, 12h, 30d",
		[CONF_BOOL] = "true or false",
		[CONF_STRINGS] = "a list of texts",
		[CONF_PATHS] = "a list of paths",
		[CONF_ADDRESSES] = "a list of HOST:PORT",
		[CONF_MAP] = "names with values",
		[CONF_LIST] = "a list of sections",
		[CONF_SECTION] = "a section",
	};

	(void)buf_add_str(out, words[o->type]);
	if (o->type == CONF_CHOICE)
		for (const char *const *c = o->choices; *c != NULL; c++)
			(void)buf_printf(out, "%s %s",
			    c == o->choices ? "" : ",", *c);
	if (o->type == CONF_INT || o->type == CONF_SIZE ||
	    o->type == CONF_DURATION)
		print_range(o, out);
}

static enum rc
refuse(const struct conf_option *o, const struct yaml_node *node,
    struct error *err)
{
	struct buf allowed;

	buf_init(&allowed, ALLOWED_TEXT);
	conf_value_allowed(o, &allowed);
	(void)buf_add_char(&allowed, '\0');
	if (node->kind == YAML_SCALAR)
		(void)error_set(err, RC_INVALID, "'%.*s' is not allowed: %s",
		    (int)(node->text.len < SHOWN ? node->text.len : SHOWN),
		    node->text.ptr, allowed.ptr);
	else
		(void)error_set(err, RC_INVALID, "%s is not allowed: %s",
		    node->kind == YAML_MAPPING ? "a section" : "a list",
		    allowed.ptr);
	buf_fini(&allowed);
	return RC_INVALID;
}

static bool
in_range(const struct conf_option *o, int64_t value)
{
	if (o->min == 0 && o->max == 0)
		return value >= 0;
	return value >= o->min && value <= o->max;
}

/* NUMBER UNIT; a rate ("20MB/s") where the default is written as one. */
static bool
parse_units(const struct conf_option *o, const struct unit *units,
    struct slice text, int64_t *out)
{
	size_t n = 0, rest;
	int64_t value = 0;

	while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9') {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text.ptr[n] - '0', &value))
			return false;
		n++;
	}
	if (n == 0)
		return false;
	rest = text.len - n;
	if (o->def != NULL && strstr(o->def, "/s") != NULL && rest >= 2 &&
	    memcmp(text.ptr + text.len - 2, "/s", 2) == 0)
		rest -= 2;
	if (rest == 0 && value == 0) {
		*out = 0;
		return true;
	}
	for (const struct unit *u = units; u->name != NULL; u++)
		if (strlen(u->name) == rest &&
		    memcmp(u->name, text.ptr + n, rest) == 0)
			return !__builtin_mul_overflow(value, u->factor, out);
	return false;
}

static bool
read_number(const struct conf_option *o, const struct yaml_node *node,
    int64_t *out)
{
	int64_t value;
	bool ok;

	if (o->type == CONF_INT)
		ok = yaml_int(node, &value);
	else
		ok = parse_units(o, o->type == CONF_SIZE ? sizes : spans,
		    node->text, &value);
	if (!ok || !in_range(o, value))
		return false;
	*out = value;
	return true;
}

static bool
read_choice(const struct conf_option *o, const struct yaml_node *node, int *out)
{
	for (int i = 0; o->choices[i] != NULL; i++) {
		if (strcmp(o->choices[i], node->text.ptr) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

/* A text of its own for STRING, PATH and ADDRESS alike; NULL: not allowed. */
static char *
read_text(enum conf_type type, const struct yaml_node *node, const char *folder)
{
	const char *text = node->text.ptr;
	char host[ADDRESS_HOST];
	uint16_t port;
	struct buf path;

	if (node->kind != YAML_SCALAR || yaml_is_null(node) ||
	    strlen(text) != node->text.len)
		return NULL;
	if (type == CONF_ADDRESS && !address_split(text, host, &port))
		return NULL;
	if (type == CONF_PATH && *text == '\0')
		return NULL;
	if (type != CONF_PATH || *text == '/')
		return xstrdup(text);
	buf_init(&path, SIZE_MAX);
	(void)buf_printf(&path, "%s/%s", folder, text);
	return path.ptr;
}

static enum conf_type
element_type(enum conf_type type)
{
	switch (type) {
	case CONF_PATHS:
		return CONF_PATH;
	case CONF_ADDRESSES:
		return CONF_ADDRESS;
	default:
		return CONF_STRING;
	}
}

static enum rc
read_strings(const struct conf_option *o, const struct yaml_node *node,
    const char *folder, struct conf_strings *out, struct error *err)
{
	size_t n = node->kind == YAML_SEQUENCE ? node->n : 1;

	if (node->kind == YAML_MAPPING)
		return refuse(o, node, err);
	out->items = xcalloc(n > 0 ? n : 1, sizeof(*out->items));
	out->line = node->line;
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *item =
		    node->kind == YAML_SEQUENCE ? node->items[i] : node;
		char *text = read_text(element_type(o->type), item, folder);

		if (text == NULL)
			return refuse(o, item, err);
		out->items[out->n++] = text;
	}
	return RC_OK;
}

static enum rc
read_map(const struct conf_option *o, const struct yaml_node *node,
    struct conf_map *out, struct error *err)
{
	if (node->kind != YAML_MAPPING)
		return refuse(o, node, err);
	out->names = xcalloc(node->n + 1, sizeof(*out->names));
	out->values = xcalloc(node->n + 1, sizeof(*out->values));
	out->lines = xcalloc(node->n + 1, sizeof(*out->lines));
	for (size_t i = 0; i < node->n; i++) {
		char *value = read_text(CONF_STRING, node->items[i], "");

		if (value == NULL) {
			(void)refuse(o, node->items[i], err);
			return error_prefix(err, "%s", node->keys[i]->text.ptr);
		}
		out->names[out->n] = xstrdup(node->keys[i]->text.ptr);
		out->lines[out->n] = node->keys[i]->line;
		out->values[out->n++] = value;
	}
	return RC_OK;
}

enum rc
conf_value_read(const struct conf_option *o, const struct yaml_node *node,
    const char *folder, void *field, struct error *err)
{
	bool ok = node->kind == YAML_SCALAR && !yaml_is_null(node);

	switch (o->type) {
	case CONF_STRING:
	case CONF_PATH:
	case CONF_ADDRESS:
		*(char **)field = read_text(o->type, node, folder);
		ok = *(char **)field != NULL;
		break;
	case CONF_CHOICE:
		ok = ok && read_choice(o, node, field);
		break;
	case CONF_INT:
	case CONF_SIZE:
	case CONF_DURATION:
		ok = ok && read_number(o, node, field);
		break;
	case CONF_BOOL:
		ok = ok && yaml_bool(node, field);
		break;
	case CONF_STRINGS:
	case CONF_PATHS:
	case CONF_ADDRESSES:
		return read_strings(o, node, folder, field, err);
	case CONF_MAP:
		return read_map(o, node, field, err);
	case CONF_LIST:
	case CONF_SECTION:
		break; /* conf.c's */
	}
	return ok ? RC_OK : refuse(o, node, err);
}

void
conf_value_free(const struct conf_option *o, void *field)
{
	struct conf_strings *strings = field;
	struct conf_map *map = field;

	switch (o->type) {
	case CONF_STRING:
	case CONF_PATH:
	case CONF_ADDRESS:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case CONF_STRINGS:
	case CONF_PATHS:
	case CONF_ADDRESSES:
		for (size_t i = 0; i < strings->n; i++)
			free(strings->items[i]);
		free(strings->items);
		*strings = (struct conf_strings){ .n = 0 };
		break;
	case CONF_MAP:
		for (size_t i = 0; i < map->n; i++) {
			free(map->names[i]);
			free(map->values[i]);
		}
		free(map->names);
		free(map->values);
		free(map->lines);
		*map = (struct conf_map){ .n = 0 };
		break;
	default:
		break;
	}
}

bool
conf_value_is_set(const struct conf_option *o, const void *field)
{
	switch (o->type) {
	case CONF_STRING:
	case CONF_PATH:
	case CONF_ADDRESS:
		return *(char *const *)field != NULL;
	case CONF_CHOICE:
		return *(const int *)field != 0;
	case CONF_INT:
	case CONF_SIZE:
	case CONF_DURATION:
		return *(const int64_t *)field != 0;
	case CONF_BOOL:
	case CONF_SECTION:
		return *(const bool *)field;
	case CONF_STRINGS:
	case CONF_PATHS:
	case CONF_ADDRESSES:
		return ((const struct conf_strings *)field)->items != NULL;
	case CONF_MAP:
		return ((const struct conf_map *)field)->names != NULL;
	case CONF_LIST:
		return ((const struct conf_list *)field)->items != NULL;
	}
	return false;
}
