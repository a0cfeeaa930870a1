/* SPDX-License-Identifier: Apache-2.0 */
/* YAML documents as trees; libyaml scans, one arena holds the nodes. */
#include <yaml.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "conf.h"
#include "xalloc.h"

enum {
	TEXT_MAX = 1 << 20, /* bytes of a file */
	DEPTH_MAX = 32,
	NODES_MAX = 200000,
	DOCUMENTS_MAX = 4096,
	BLOCK = 64 * 1024,
	NUMBER_TEXT = 64,
};

struct yaml_file {
	struct arena *arena;
	const struct yaml_node **roots;
	size_t n;
};

/* A growing list of nodes: children while their parent is open. */
struct list {
	const struct yaml_node **items;
	size_t n, cap;
};

struct builder {
	yaml_parser_t parser;
	struct yaml_file *file;
	const char *name;
	struct slice text;
	size_t nodes;
	struct error *err;
};

static enum rc build(struct builder *b, yaml_event_t *event, unsigned depth,
    const struct yaml_node **out);

static void
list_add(struct list *l, const struct yaml_node *node)
{
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? 2 * l->cap : 8;
		l->items = xreallocarray(l->items, l->cap, sizeof(void *));
	}
	l->items[l->n++] = node;
}

static const struct yaml_node *const *
list_keep(struct builder *b, const struct list *l)
{
	const struct yaml_node **kept;

	if (l->n == 0)
		return NULL;
	kept = arena_alloc(b->file->arena, l->n * sizeof(void *));
	memcpy(kept, l->items, l->n * sizeof(void *));
	return kept;
}

static enum rc
fail(struct builder *b, enum rc rc, size_t line, const char *what)
{
	return error_set(b->err, rc, "%s:%zu: %s", b->name, line + 1, what);
}

/* Of bytes that are no text the parser knows the place, not the line. */
static size_t
line_of_problem(const struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	size_t line = 0;

	if (p->error != YAML_READER_ERROR)
		return p->problem_mark.line;
	for (size_t i = 0; i < p->problem_offset && i < b->text.len; i++)
		line += b->text.ptr[i] == '\n' ? 1 : 0;
	return line;
}

static bool
is_tab(const struct builder *b)
{
	size_t at = b->parser.problem_mark.index;

	/* the parser counts characters; the tab is the first of its line */
	return at < b->text.len &&
	    memchr(b->text.ptr + (at > 1 ? at - 1 : 0), '\t', at > 1 ? 2 : 1) !=
	    NULL;
}

/* What to do about what libyaml says in its own words. */
static const char *
remedy(const struct builder *b)
{
	static const struct {
		const char *problem, *remedy;
	} remedies[] = {
		{ "mapping values are not allowed",
		    ": indent the key as those beside it, and quote a text that "
		    "has \": \" in it" },
		{ "cannot start any token",
		    ": quote a text that begins with such a character" },
		{ "could not find expected ':'",
		    ": a key ends with \": \"; a text of several lines begins "
		    "with | or is quoted" },
		{ "did not find expected key",
		    ": indent it as the keys beside it, and quote a text that "
		    "goes on behind a quote" },
		{ "did not find expected '-' indicator",
		    ": all entries of a list begin with \"- \" in one column" },
		{ "block sequence entries are not allowed",
		    ": a list begins on a line of its own" },
		{ "',' or ']'", ": end the list with ]" },
		{ "',' or '}'", ": end the map with }" },
		{ "UTF-8", ": save it as text in UTF-8, if it is text" },
		{ "control characters",
		    ": it is no text, or not in UTF-8; in double quotes "
		    "\\x1b writes such a character" },
		{ "unknown escape character",
		    ": in double quotes \\ begins an escape: use single quotes" },
	};

	if (is_tab(b))
		return ": YAML is indented with blanks, never with tabs";
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (strstr(b->parser.problem, remedies[i].problem) != NULL)
			return remedies[i].remedy;
	return ": close it, or quote the text";
}

static enum rc
next_event(struct builder *b, yaml_event_t *event)
{
	const yaml_parser_t *p = &b->parser;
	size_t line;

	if (yaml_parser_parse(&b->parser, event) == 1)
		return RC_OK;
	line = line_of_problem(b);
	if (p->problem == NULL)
		return fail(b, RC_INVALID, line, "not YAML");
	if (p->context == NULL || p->context_mark.line == line)
		return error_set(b->err, RC_INVALID, "%s:%zu: %s%s", b->name,
		    line + 1, p->problem, remedy(b));
	/* what was begun, and where: mostly that is what must be mended */
	return error_set(b->err, RC_INVALID,
	    "%s:%zu: %s (%s from line %zu on)%s", b->name, line + 1, p->problem,
	    p->context, p->context_mark.line + 1, remedy(b));
}

static struct yaml_node *
node_new(struct builder *b, const yaml_event_t *event, enum yaml_kind kind)
{
	struct yaml_node *node = arena_alloc(b->file->arena, sizeof(*node));

	*node = (struct yaml_node){
		.kind = kind,
		.line = (unsigned)event->start_mark.line + 1,
		.column = (unsigned)event->start_mark.column + 1,
	};
	return node;
}

static const struct yaml_node *
build_scalar(struct builder *b, const yaml_event_t *event)
{
	struct yaml_node *node = node_new(b, event, YAML_SCALAR);
	size_t len = event->data.scalar.length;
	char *text = arena_alloc(b->file->arena, len + 1);

	memcpy(text, event->data.scalar.value, len);
	text[len] = '\0';
	node->text = (struct slice){ text, len };
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    event->data.scalar.plain_implicit != 0;
	return node;
}

static enum rc
build_sequence(struct builder *b, struct yaml_node *node, unsigned depth)
{
	struct list items = { .n = 0 };
	enum rc rc;

	for (;;) {
		const struct yaml_node *item;
		yaml_event_t event;

		rc = next_event(b, &event);
		if (rc != RC_OK)
			break;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		rc = build(b, &event, depth + 1, &item);
		if (rc != RC_OK)
			break;
		list_add(&items, item);
	}
	node->n = items.n;
	node->items = list_keep(b, &items);
	free(items.items);
	return rc;
}

static int
by_text(const void *a, const void *b)
{
	const struct yaml_node *x = *(const struct yaml_node *const *)a;
	const struct yaml_node *y = *(const struct yaml_node *const *)b;
	int order = slice_compare(x->text, y->text);

	if (order != 0)
		return order;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : 1;
}

/* Sorts `keys`, which is a scratch copy. */
static enum rc
check_twice(struct builder *b, struct list *keys)
{
	if (keys->n > 1)
		qsort(keys->items, keys->n, sizeof(void *), by_text);
	for (size_t i = 1; i < keys->n; i++) {
		const struct yaml_node *first = keys->items[i - 1];
		const struct yaml_node *again = keys->items[i];

		if (slice_eq(first->text, again->text))
			return error_set(b->err, RC_INVALID,
			    "%s:%u: %.*s: given twice, first at line %u: keep "
			    "one; several values are a list",
			    b->name, again->line, (int)again->text.len,
			    again->text.ptr, first->line);
	}
	return RC_OK;
}

static enum rc
build_pair(struct builder *b, yaml_event_t *event, unsigned depth,
    struct list *keys, struct list *items)
{
	size_t line = event->start_mark.line;
	const struct yaml_node *key, *item;
	yaml_event_t value;
	enum rc rc = build(b, event, depth + 1, &key);

	if (rc != RC_OK)
		return rc;
	if (key->kind != YAML_SCALAR)
		return fail(b, RC_INVALID, line, "a key must be a text");
	rc = next_event(b, &value);
	if (rc == RC_OK)
		rc = build(b, &value, depth + 1, &item);
	if (rc != RC_OK)
		return rc;
	list_add(keys, key);
	list_add(items, item);
	return RC_OK;
}

static enum rc
build_mapping(struct builder *b, struct yaml_node *node, unsigned depth)
{
	struct list keys = { .n = 0 }, items = { .n = 0 };
	enum rc rc;

	for (;;) {
		yaml_event_t event;

		rc = next_event(b, &event);
		if (rc != RC_OK)
			break;
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		rc = build_pair(b, &event, depth, &keys, &items);
		if (rc != RC_OK)
			break;
	}
	node->n = keys.n;
	node->keys = list_keep(b, &keys);
	node->items = list_keep(b, &items);
	if (rc == RC_OK)
		rc = check_twice(b, &keys);
	free(keys.items);
	free(items.items);
	return rc;
}

/* The node that begins with `event`, which is consumed. */
static enum rc
build(struct builder *b, yaml_event_t *event, unsigned depth,
    const struct yaml_node **out)
{
	size_t line = event->start_mark.line;
	struct yaml_node *node;
	enum rc rc = RC_OK;

	*out = NULL;
	if (depth > DEPTH_MAX)
		rc = fail(b, RC_LIMIT, line, "nested too deep (32 at most)");
	else if (++b->nodes > NODES_MAX)
		rc = fail(b, RC_LIMIT, line, "more than 200000 nodes");
	else if (event->type == YAML_ALIAS_EVENT)
		rc = fail(b, RC_INVALID, line,
		    "aliases are not allowed: quote a text that "
		    "begins with *");
	if (rc != RC_OK) {
		yaml_event_delete(event);
		return rc;
	}
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		*out = build_scalar(b, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		*out = node = node_new(b, event, YAML_SEQUENCE);
		rc = build_sequence(b, node, depth);
		break;
	case YAML_MAPPING_START_EVENT:
		*out = node = node_new(b, event, YAML_MAPPING);
		rc = build_mapping(b, node, depth);
		break;
	default:
		rc = fail(b, RC_INVALID, line, "not a value");
		break;
	}
	yaml_event_delete(event);
	return rc;
}

static enum rc
add_document(struct builder *b, struct list *roots)
{
	const struct yaml_node *root;
	yaml_event_t event;
	enum rc rc = next_event(b, &event);

	if (rc == RC_OK)
		rc = build(b, &event, 1, &root);
	if (rc != RC_OK)
		return rc;
	assert(root != NULL);
	if (roots->n == DOCUMENTS_MAX)
		return fail(b, RC_LIMIT, root->line - 1,
		    "more than 4096 documents");
	if (root->kind == YAML_SCALAR && root->plain && root->text.len == 0)
		root = NULL;
	list_add(roots, root);
	return RC_OK;
}

static enum rc
build_file(struct builder *b)
{
	struct list roots = { .n = 0 };
	bool more = true;
	enum rc rc = RC_OK;

	while (more && rc == RC_OK) {
		yaml_event_t event;
		yaml_event_type_t type;

		rc = next_event(b, &event);
		if (rc != RC_OK)
			break;
		type = event.type;
		yaml_event_delete(&event);
		more = type != YAML_STREAM_END_EVENT;
		if (type == YAML_DOCUMENT_START_EVENT)
			rc = add_document(b, &roots);
	}
	b->file->roots = roots.items;
	b->file->n = roots.n;
	return rc;
}

enum rc
yaml_parse(const char *name, struct slice text, struct yaml_file **out,
    struct error *err)
{
	struct builder b = { .name = name, .text = text, .err = err };
	enum rc rc;

	*out = NULL;
	if (text.len > TEXT_MAX)
		return error_set(err, RC_LIMIT,
		    "%s: larger than 1 MiB: split it", name);
	if (yaml_parser_initialize(&b.parser) != 1)
		abort(); /* out of memory */
	yaml_parser_set_input_string(&b.parser,
	    (const unsigned char *)(text.len > 0 ? text.ptr : ""), text.len);
	b.file = xzalloc(sizeof(*b.file));
	b.file->arena = arena_new(BLOCK);
	rc = build_file(&b);
	yaml_parser_delete(&b.parser);
	if (rc != RC_OK) {
		yaml_file_free(b.file);
		return rc;
	}
	*out = b.file;
	return RC_OK;
}

/* Reads at most one byte more than is allowed. */
static enum rc
read_text(const char *path, struct buf *text, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum rc rc = RC_OK;
	struct stat st;

	if (fd == -1)
		return error_set_errno(err, errno, "%s", path);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) &&
	    !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) {
		(void)close(fd);
		return error_set(err, RC_INVALID, "%s: not a file", path);
	}
	while (rc == RC_OK && text->len <= TEXT_MAX) {
		char *room = buf_reserve(text, BLOCK);
		ssize_t n = read(fd, room, BLOCK);

		if (n > 0)
			text->len += (size_t)n;
		else if (n == 0)
			break;
		else if (errno != EINTR)
			rc = error_set_errno(err, errno, "%s", path);
	}
	(void)close(fd);
	return rc;
}

enum rc
yaml_load(const char *path, struct yaml_file **out, struct error *err)
{
	struct buf text;
	enum rc rc;

	*out = NULL;
	buf_init(&text, TEXT_MAX + 2 * BLOCK);
	rc = read_text(path, &text, err);
	if (rc == RC_OK)
		rc = yaml_parse(path, buf_slice(&text), out, err);
	buf_fini(&text);
	return rc;
}

void
yaml_file_free(struct yaml_file *y)
{
	if (y == NULL)
		return;
	arena_free(y->arena);
	free(y->roots);
	free(y);
}

size_t
yaml_documents(const struct yaml_file *y)
{
	return y->n;
}

const struct yaml_node *
yaml_root(const struct yaml_file *y, size_t document)
{
	return document < y->n ? y->roots[document] : NULL;
}

const struct yaml_node *
yaml_get(const struct yaml_node *map, const char *key)
{
	struct slice want = { key, strlen(key) };

	if (map == NULL || map->kind != YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (slice_eq(map->keys[i]->text, want))
			return map->items[i];
	return NULL;
}

static bool
is_plain(const struct yaml_node *n)
{
	return n != NULL && n->kind == YAML_SCALAR && n->plain;
}

static bool
is_one_of(struct slice text, const char *const *names)
{
	for (; *names != NULL; names++)
		if (slice_eq(text, (struct slice){ *names, strlen(*names) }))
			return true;
	return false;
}

bool
yaml_is_null(const struct yaml_node *n)
{
	static const char *const names[] = { "", "~", "null", "Null", "NULL",
		NULL };

	return is_plain(n) && is_one_of(n->text, names);
}

bool
yaml_bool(const struct yaml_node *n, bool *out)
{
	static const char *const yes[] = { "true", "True", "TRUE", NULL };
	static const char *const no[] = { "false", "False", "FALSE", NULL };

	if (!is_plain(n))
		return false;
	*out = is_one_of(n->text, yes);
	return *out || is_one_of(n->text, no);
}

bool
yaml_int(const struct yaml_node *n, int64_t *out)
{
	const char *digits;
	int base = 10;
	char *end;

	if (!is_plain(n) || n->text.len == 0 || n->text.len >= NUMBER_TEXT)
		return false;
	digits = n->text.ptr;
	if (strncmp(digits, "0x", 2) == 0 || strncmp(digits, "0o", 2) == 0) {
		base = digits[1] == 'x' ? 16 : 8;
		digits += 2;
		if (*digits == '-' || *digits == '+')
			return false;
	}
	if (strspn(digits,
		base == 16 ? "0123456789abcdefABCDEF" : "+-0123456789") !=
	    strlen(digits))
		return false;
	errno = 0;
	*out = strtoll(digits, &end, base);
	return errno == 0 && end == n->text.ptr + n->text.len && end != digits;
}

bool
yaml_double(const struct yaml_node *n, double *out)
{
	static const char *const inf[] = { ".inf", ".Inf", ".INF", "+.inf",
		"+.Inf", "+.INF", NULL };
	static const char *const minus[] = { "-.inf", "-.Inf", "-.INF", NULL };
	static const char *const nan_names[] = { ".nan", ".NaN", ".NAN", NULL };
	int64_t whole;
	char *end;

	if (!is_plain(n) || n->text.len == 0 || n->text.len >= NUMBER_TEXT)
		return false;
	if (yaml_int(n, &whole)) {
		*out = (double)whole;
		return true;
	}
	if (is_one_of(n->text, inf) || is_one_of(n->text, minus) ||
	    is_one_of(n->text, nan_names)) {
		*out = is_one_of(n->text, nan_names) ? __builtin_nan("")
		    : is_one_of(n->text, inf)        ? __builtin_inf()
						     : -__builtin_inf();
		return true;
	}
	if (strspn(n->text.ptr, "+-.0123456789eE") != n->text.len ||
	    strpbrk(n->text.ptr, "0123456789") == NULL)
		return false;
	*out = strtod(n->text.ptr, &end);
	return end == n->text.ptr + n->text.len;
}
