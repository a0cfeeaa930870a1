/* SPDX-License-Identifier: Apache-2.0 */
#include "header_row.h"
#include "ascii.h"

#include <stdlib.h>

#include "format.h"
#include "json.h"
#include "utf8.h"
#include "xalloc.h"

enum {
	HEADER_MAX = 8192,
	ROW_MAX = 16 << 20, /* bytes of an object */
	DIGITS_MAX = 18
};

enum column_kind {
	COLUMN_TEXT,
	COLUMN_BOOL,
	COLUMN_INT,
	COLUMN_NUMBER,
	COLUMN_KINDS
};

struct column {
	struct slice name;
	enum column_kind kind;
	bool many; /* set[…], vector[…] */
};

struct header_columns {
	char *text; /* the header that it is of; slices are of it */
	size_t len;
	bool is_w3c;
	bool commas; /* W3C's, as Exchange has it */
	char separator, set_separator;
	struct slice unset, empty, path;
	struct slice software;
	uint32_t n;
	struct column columns[COLUMNS_MAX];
};

/* The piece up to `separator`, taken off `rest`; false: nothing is left. */
static bool
take(struct slice *rest, char separator, struct slice *piece)
{
	const char *end;

	if (rest->ptr == NULL)
		return false;
	end = memchr(rest->ptr, separator, rest->len);
	*piece = *rest;
	if (end == NULL) {
		*rest = (struct slice){ NULL, 0 };
		return true;
	}
	piece->len = (size_t)(end - rest->ptr);
	rest->len -= piece->len + 1;
	rest->ptr = end + 1;
	return true;
}

static bool
cut_head(struct slice *s, struct slice head)
{
	if (s->len < head.len || memcmp(s->ptr, head.ptr, head.len) != 0)
		return false;
	s->ptr += head.len;
	s->len -= head.len;
	return true;
}

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (
	    s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* "\x09", or the character itself. */
static char
separator_of(struct slice s)
{
	if (s.len == 4 && s.ptr[0] == '\\' && s.ptr[1] == 'x') {
		int high = ascii_hex_value(s.ptr[2]);
		int low = ascii_hex_value(s.ptr[3]);

		if (high >= 0 && high < 8 && low >= 0)
			return (char)(high * 16 + low);
	}
	if (s.len == 1)
		return s.ptr[0];
	return '\t';
}

static void
name_columns(struct header_columns *c, struct slice names, char separator)
{
	struct slice name;

	c->n = 0;
	while (take(&names, separator, &name)) {
		name = trim(name);
		if (c->is_w3c && name.len == 0)
			continue; /* more than one space */
		if (c->n == COLUMNS_MAX) {
			c->n = 0;
			return;
		}
		c->columns[c->n++] = (struct column){ .name = name };
	}
}

static void
type_columns(struct header_columns *c, struct slice types)
{
	static const struct {
		struct slice text;
		enum column_kind kind;
	} kinds[] = {
		{ SLICE_INIT("bool"), COLUMN_BOOL },
		{ SLICE_INIT("count"), COLUMN_INT },
		{ SLICE_INIT("int"), COLUMN_INT },
		{ SLICE_INIT("port"), COLUMN_INT },
		{ SLICE_INIT("double"), COLUMN_NUMBER },
		{ SLICE_INIT("interval"), COLUMN_NUMBER },
	};
	struct slice type;

	for (uint32_t i = 0; i < c->n && take(&types, c->separator, &type);
	     i++) {
		struct column *column = &c->columns[i];

		column->many = cut_head(&type, SLICE("set[")) ||
		    cut_head(&type, SLICE("vector["));
		if (column->many && type.len > 0)
			type.len--;
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			if (slice_eq(type, kinds[k].text))
				column->kind = kinds[k].kind;
	}
}

/* Behind "#separator " the others have that character behind their names. */
static void
read_zeek(struct header_columns *c, struct slice line)
{
	struct slice name;

	if (cut_head(&line, SLICE("#separator "))) {
		c->separator = separator_of(line);
		return;
	}
	if (!take(&line, c->separator, &name) || line.ptr == NULL)
		return;
	if (slice_eq(name, SLICE("#set_separator")))
		c->set_separator = separator_of(line);
	else if (slice_eq(name, SLICE("#empty_field")))
		c->empty = line;
	else if (slice_eq(name, SLICE("#unset_field")))
		c->unset = line;
	else if (slice_eq(name, SLICE("#path")))
		c->path = line;
	else if (slice_eq(name, SLICE("#fields")))
		name_columns(c, line, c->separator);
	else if (slice_eq(name, SLICE("#types")))
		type_columns(c, line);
}

static void
read_directive(struct header_columns *c, struct slice line)
{
	if (cut_head(&line, SLICE("#Software:"))) {
		c->software = trim(line);
		return;
	}
	if (!cut_head(&line, SLICE("#Fields:"))) {
		read_zeek(c, line);
		return;
	}
	line = trim(line);
	c->is_w3c = true;
	c->commas = memchr(line.ptr, ',', line.len) != NULL;
	c->separator = ' ';
	if (c->commas)
		c->separator = ',';
	else if (memchr(line.ptr, '\t', line.len) != NULL)
		c->separator = '\t';
	name_columns(c, line, c->separator);
}

static struct header_columns *
columns_new(struct slice header, struct arena *arena)
{
	struct header_columns *c = xzalloc(sizeof(*c));
	struct slice rest = utf8_repair(arena, header), line;

	/* found again by what came, read from what is valid */
	c->text = xreallocarray(NULL, header.len + rest.len, 1);
	c->len = header.len;
	memcpy(c->text, header.ptr, header.len);
	memcpy(c->text + header.len, rest.ptr, rest.len);
	rest.ptr = c->text + header.len;
	c->separator = '\t';
	c->set_separator = ',';
	c->unset = SLICE("-");
	c->empty = SLICE("(empty)");
	c->software = SLICE("-");
	while (take(&rest, '\n', &line))
		if (line.len > 0 && line.ptr[0] == '#')
			read_directive(c, line);
	return c;
}

static void
columns_free(struct header_columns *c)
{
	if (c == NULL)
		return;
	free(c->text);
	free(c);
}

void
header_rows_init(struct header_rows *h)
{
	*h = (struct header_rows){ .next = 0 };
	buf_init(&h->text, ROW_MAX);
}

void
header_rows_fini(struct header_rows *h)
{
	for (unsigned i = 0; i < HEADERS_KEPT; i++)
		columns_free(h->kept[i]);
	buf_fini(&h->text);
}

static const struct header_columns *
columns_of(struct header_rows *h, struct slice header, struct arena *arena)
{
	struct header_columns **c;

	for (unsigned i = 0; i < HEADERS_KEPT; i++)
		if (h->kept[i] != NULL && h->kept[i]->len == header.len &&
		    memcmp(h->kept[i]->text, header.ptr, header.len) == 0)
			return h->kept[i];
	c = &h->kept[h->next];
	h->next = (h->next + 1) % HEADERS_KEPT;
	columns_free(*c);
	*c = columns_new(header, arena);
	return *c;
}

/* Within quotes (doubled within them); else as it is. */
static size_t
quoted(struct slice s, struct arena *arena, struct slice *value)
{
	char *copy = NULL;
	size_t n = 0;

	if (s.len < 2 || s.ptr[0] != '"')
		return 0;
	for (size_t i = 1; i < s.len; i++) {
		bool mark = s.ptr[i] == '"';

		if (mark && (i + 1 == s.len || s.ptr[i + 1] != '"')) {
			if (copy == NULL)
				copy = arena_alloc(arena, 1);
			*value = (struct slice){ copy, n };
			return i + 1;
		}
		if (copy == NULL)
			copy = arena_alloc(arena, s.len);
		copy[n++] = s.ptr[i];
		i += mark;
	}
	return 0;
}

/* A value of a W3C log, taken off `rest`. */
static bool
take_w3c(struct slice *rest, char separator, struct arena *arena,
    struct slice *value)
{
	struct slice s = *rest;
	size_t n = s.ptr != NULL ? quoted(s, arena, value) : 0;

	if (n == 0 || (n < s.len && s.ptr[n] != separator))
		return take(rest, separator, value);
	*rest = (struct slice){ NULL, 0 };
	if (n < s.len)
		*rest = (struct slice){ s.ptr + n + 1, s.len - n - 1 };
	return true;
}

/* The values of a line; false: it has not as many as there are columns. */
static bool
split(const struct header_columns *c, struct slice line, struct arena *arena,
    struct slice values[COLUMNS_MAX])
{
	char separator = c->separator;
	struct slice rest = line, value;
	uint32_t n = 0;

	/* CloudFront: spaces between the names, tabs between the values */
	if (c->is_w3c && !c->commas && memchr(line.ptr, '\t', line.len) != NULL)
		separator = '\t';
	if (c->is_w3c && separator == ' ')
		rest = trim(rest);
	while (c->is_w3c ? take_w3c(&rest, separator, arena, &value)
			 : take(&rest, separator, &value)) {
		if (n == c->n)
			return false;
		values[n++] = value;
	}
	return n == c->n;
}

static bool
is_number(struct slice s, bool fraction)
{
	bool point = false;
	size_t i = s.len > 0 && s.ptr[0] == '-' ? 1 : 0;

	/* RFC 8259: no needless zeros, digits on both sides of the point */
	if (i == s.len || s.len - i > DIGITS_MAX || s.ptr[s.len - 1] == '.' ||
	    s.ptr[i] == '.' ||
	    (s.ptr[i] == '0' && i + 1 < s.len && s.ptr[i + 1] != '.'))
		return false;
	for (; i < s.len; i++) {
		if (s.ptr[i] == '.' && fraction && !point)
			point = true;
		else if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	}
	return true;
}

static void
add_value(struct buf *b, enum column_kind kind, struct slice s)
{
	if (kind == COLUMN_BOOL && slice_eq(s, SLICE("T")))
		(void)buf_add_str(b, "true");
	else if (kind == COLUMN_BOOL && slice_eq(s, SLICE("F")))
		(void)buf_add_str(b, "false");
	else if ((kind == COLUMN_INT || kind == COLUMN_NUMBER) &&
	    is_number(s, kind == COLUMN_NUMBER))
		(void)buf_add_slice(b, s);
	else
		json_write_string(b, s);
}

static void
add_member(struct buf *b, const struct header_columns *c,
    const struct column *column, struct slice value)
{
	struct slice rest = value, one;

	(void)buf_add_char(b, b->len == 0 ? '{' : ',');
	json_write_string(b, column->name);
	(void)buf_add_char(b, ':');
	if (value.len == 0 || slice_eq(value, c->unset) ||
	    slice_eq(value, c->empty)) {
		(void)buf_add_str(b, "null");
		return;
	}
	if (!column->many) {
		add_value(b, column->kind, value);
		return;
	}
	(void)buf_add_char(b, '[');
	while (take(&rest, c->set_separator, &one)) {
		if (one.ptr != value.ptr)
			(void)buf_add_char(b, ',');
		add_value(b, column->kind, one);
	}
	(void)buf_add_char(b, ']');
}

static void
add_row(struct buf *b, const struct header_columns *c,
    const struct slice values[COLUMNS_MAX])
{
	static const struct column path = { .name = SLICE_INIT("_path") };

	/* not null where it is "-" */
	if (c->is_w3c) {
		(void)buf_add_str(b, "{\"_w3c\":");
		json_write_string(b, c->software);
	}
	if (!c->is_w3c && c->path.len > 0)
		add_member(b, c, &path, c->path);
	for (uint32_t i = 0; i < c->n; i++)
		add_member(b, c, &c->columns[i], values[i]);
	(void)buf_add_char(b, '}');
}

struct slice
header_row(struct header_rows *h, struct slice header, struct slice line,
    struct arena *arena)
{
	const struct header_columns *c;
	struct slice values[COLUMNS_MAX];

	if (header.len == 0 || header.len > HEADER_MAX || line.len == 0 ||
	    line.ptr[0] == '#')
		return (struct slice){ NULL, 0 };
	c = columns_of(h, header, arena);
	/* one column would be any text */
	if (c->n < 2 || !split(c, line, arena, values))
		return (struct slice){ NULL, 0 };
	buf_clear(&h->text);
	add_row(&h->text, c, values);
	if (h->text.overflowed)
		return (struct slice){ NULL, 0 };
	return arena_copy(arena, buf_slice(&h->text));
}
