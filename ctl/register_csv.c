/* SPDX-License-Identifier: Apache-2.0 */
/* The register as a table: RFC 4180, as spreadsheets write it. */
#include <inttypes.h>
#include <stdlib.h>

#include "arena.h"
#include "json.h"
#include "register.h"
#include "timestamp.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 64 * 1024, ROWS_MAX = 20000 };

enum column {
	ID,
	NAME_KK,
	NAME_RU,
	KIND,
	CRITICALITY,
	CLASS,
	OWNER,
	HOLDER,
	HOSTING,
	NETWORKS,
	HOSTS,
	AGENTS,
	RELAYS,
	SILENT_AFTER,
	ATTESTATION,
	ISSUED,
	EXPIRES,
	COLUMNS
};

static const char *const columns[COLUMNS] = { "id", "name_kk", "name_ru",
	"kind", "criticality", "class", "owner", "holder", "hosting",
	"networks", "hosts", "agents", "relays", "silent_after", "attestation",
	"issued", "expires" };

/* ---- writing ------------------------------------------------------------------- */

/* Quoted where it must be, or where a spreadsheet would take it for a formula. */
static void
put_cell(struct buf *out, struct slice s)
{
	bool quote = s.len > 0 &&
	    (s.ptr[0] == '=' || s.ptr[0] == '+' || s.ptr[0] == '-' ||
		s.ptr[0] == '@');

	for (size_t i = 0; i < s.len && !quote; i++)
		quote = strchr(",;\"\r\n ", s.ptr[i]) != NULL;
	if (!quote) {
		(void)buf_add_slice(out, s);
		return;
	}
	(void)buf_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"')
			(void)buf_add_char(out, '"');
		(void)buf_add_char(out, s.ptr[i]);
	}
	(void)buf_add_char(out, '"');
}

static void
put_text(struct buf *out, const char *text)
{
	if (text != NULL)
		put_cell(out, (struct slice){ text, strlen(text) });
	(void)buf_add_char(out, ',');
}

static void
put_list(struct buf *out, const struct conf_strings *list)
{
	struct buf cell;

	buf_init(&cell, 1 << 20);
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			(void)buf_add_char(&cell, ' ');
		(void)buf_add_str(&cell, list->items[i]);
	}
	put_cell(out, buf_slice(&cell));
	(void)buf_add_char(out, ',');
	buf_fini(&cell);
}

static void
put_row(struct buf *out, const struct object *object)
{
	put_text(out, object->id);
	put_text(out, object->name_kk);
	put_text(out, object->name_ru);
	put_text(out, object_kind_name(object->kind));
	put_text(out, object_criticality_name(object->criticality));
	(void)buf_printf(out, "%" PRId64 ",", object->class);
	put_text(out, object->owner);
	put_text(out, object->holder);
	put_text(out, object->hosting);
	put_list(out, &object->networks);
	put_list(out, &object->hosts);
	put_list(out, &object->agents);
	put_list(out, &object->relays);
	(void)buf_printf(out, "%" PRId64 "s,",
	    object->silent_after_ns / NS_PER_SEC);
	put_text(out, object->attestation.certificate);
	put_text(out, object->attestation.issued);
	put_text(out, object->attestation.expires);
	out->len--; /* the comma */
	(void)buf_add_str(out, "\r\n");
}

void
objects_write_csv(struct buf *out, const struct objects *o)
{
	for (int i = 0; i < COLUMNS; i++)
		(void)buf_printf(out, "%s%s", columns[i],
		    i + 1 < COLUMNS ? "," : "\r\n");
	for (uint32_t i = 0; i < objects_count(o); i++)
		put_row(out, objects_at(o, i));
}

/* ---- reading ------------------------------------------------------------------- */

struct table {
	const char *name;
	struct slice rest;
	unsigned line;
	char separator;
	struct arena *arena;
	int at[COLUMNS];     /* where the header has it; -1: nowhere */
	struct slice *cells; /* of the row */
	struct buf cell;     /* scratch */
	size_t n;
	struct error *err;
};

static enum rc
wrong(const struct table *t, const char *what)
{
	return error_set(t->err, RC_INVALID, "%s:%u: %s", t->name, t->line,
	    what);
}

/* Reads one cell; what ended it is left in the rest. */
static enum rc
read_cell(struct table *t, struct slice *out)
{
	bool quoted = t->rest.len > 0 && t->rest.ptr[0] == '"';
	size_t at = quoted;

	buf_clear(&t->cell);

	for (; at < t->rest.len; at++) {
		char c = t->rest.ptr[at];

		if (quoted && c == '"') {
			if (at + 1 == t->rest.len || t->rest.ptr[at + 1] != '"')
				break;
			at++;
		} else if (!quoted &&
		    (c == t->separator || c == '\r' || c == '\n')) {
			break;
		}
		(void)buf_add_char(&t->cell, c);
	}
	if (quoted && at == t->rest.len)
		return wrong(t, "a quote is not closed");
	at += quoted;
	t->rest.ptr += at;
	t->rest.len -= at;
	*out = arena_copy(t->arena, buf_slice(&t->cell));
	while (out->len > 0 && *out->ptr == ' ')
		out->ptr++, out->len--;
	while (out->len > 0 && out->ptr[out->len - 1] == ' ')
		out->len--;
	return RC_OK;
}

/* RC_EOF: there is none. */
static enum rc
read_row(struct table *t)
{
	const char *from = t->rest.ptr;

	if (t->rest.len == 0)
		return RC_EOF;
	t->n = 0;
	for (;;) {
		char c;

		if (t->n == COLUMNS + 32)
			return wrong(t, "too many columns");
		if (read_cell(t, &t->cells[t->n++]) != RC_OK)
			return t->err->code;
		if (t->rest.len == 0)
			break;
		c = *t->rest.ptr++;
		t->rest.len--;
		if (c == '\r' && t->rest.len > 0 && *t->rest.ptr == '\n') {
			t->rest.ptr++;
			t->rest.len--;
			break;
		}
		if (c == '\n' || c == '\r')
			break;
		if (c != t->separator)
			return wrong(t, "text behind a closing quote");
	}
	for (; from < t->rest.ptr; from++)
		t->line += *from == '\n';
	return RC_OK;
}

static bool
is_empty(const struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->cells[i].len > 0)
			return false;
	return true;
}

static enum rc
read_header(struct table *t)
{
	static const char bom[] = "\xef\xbb\xbf";
	size_t first = 0;

	if (t->rest.len >= 3 && memcmp(t->rest.ptr, bom, 3) == 0) {
		t->rest.ptr += 3;
		t->rest.len -= 3;
	}
	while (first < t->rest.len && t->rest.ptr[first] != '\n')
		first++;
	t->separator = memchr(t->rest.ptr, ',', first) == NULL &&
		memchr(t->rest.ptr, ';', first) != NULL
	    ? ';'
	    : ',';
	if (read_row(t) != RC_OK)
		return wrong(t, "a header is needed: id,name_kk,name_ru,…");
	for (int c = 0; c < COLUMNS; c++)
		t->at[c] = -1;
	for (size_t i = 0; i < t->n; i++) {
		int c = 0;

		while (c < COLUMNS &&
		    !slice_eq(t->cells[i],
			(struct slice){ columns[c], strlen(columns[c]) }))
			c++;
		if (c == COLUMNS)
			return error_set(t->err, RC_INVALID,
			    "%s:1: there is no column \"%.*s\"; there are id, "
			    "name_kk, name_ru, kind, criticality, class, "
			    "owner, holder, hosting, networks, hosts, agents, "
			    "relays, silent_after, attestation, issued, "
			    "expires",
			    t->name,
			    (int)(t->cells[i].len < 64 ? t->cells[i].len : 64),
			    t->cells[i].ptr);
		t->at[c] = (int)i;
	}
	return t->at[ID] >= 0 ? RC_OK : wrong(t, "the column id is missing");
}

static struct slice
cell(const struct table *t, enum column c)
{
	return t->at[c] >= 0 && (size_t)t->at[c] < t->n
	    ? t->cells[t->at[c]]
	    : (struct slice){ "", 0 };
}

/* NUL-terminated, in the arena. */
static char *
keep_text(const struct table *t, struct slice s)
{
	char *text = arena_alloc(t->arena, s.len + 1);

	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return text;
}

/* A column that the table lacks stays as it is. */
static void
take_text(const struct table *t, enum column c, char **out)
{
	struct slice s = cell(t, c);

	if (t->at[c] >= 0)
		*out = s.len > 0 ? keep_text(t, s) : NULL;
}

static void
take_list(const struct table *t, enum column c, struct conf_strings *out)
{
	struct slice s = cell(t, c);

	if (t->at[c] < 0)
		return;
	*out = (struct conf_strings){ .items = arena_alloc(t->arena,
					  (s.len / 2 + 1) * sizeof(char *)) };
	while (s.len > 0) {
		size_t n = 0;

		while (n < s.len && strchr(" ;|,\t", s.ptr[n]) == NULL)
			n++;
		if (n > 0)
			out->items[out->n++] =
			    keep_text(t, (struct slice){ s.ptr, n });
		n += n < s.len;
		s.ptr += n;
		s.len -= n;
	}
}

static enum rc
take_words(const struct table *t, struct object *o)
{
	struct slice kind = cell(t, KIND), level = cell(t, CRITICALITY);
	struct slice class = cell(t, CLASS), span = cell(t, SILENT_AFTER);
	struct error why;

	if (kind.len > 0 && (o->kind = object_kind_find(kind)) < 0)
		return wrong(t, "kind: S1 to S40, or other");
	if (level.len > 0 &&
	    (o->criticality = object_criticality_find(level)) < 0)
		return wrong(t, "criticality: low, medium, high or critical");
	if (class.len > 0) {
		if (class.len != 1 || *class.ptr < '1' || *class.ptr > '3')
			return wrong(t, "class: 1, 2 or 3");
		o->class = *class.ptr - '0';
	}
	if (span.len > 0 &&
	    duration_parse(span, &o->silent_after_ns, &why) != RC_OK)
		return wrong(t, "silent_after: such as 15m or 1h");
	return RC_OK;
}

static enum rc
take_row(const struct table *t, struct object *o)
{
	if (cell(t, ID).len == 0)
		return wrong(t, "id is empty");
	take_text(t, ID, &o->id);
	take_text(t, NAME_KK, &o->name_kk);
	take_text(t, NAME_RU, &o->name_ru);
	take_text(t, OWNER, &o->owner);
	take_text(t, HOLDER, &o->holder);
	take_text(t, HOSTING, &o->hosting);
	take_text(t, ATTESTATION, &o->attestation.certificate);
	take_text(t, ISSUED, &o->attestation.issued);
	take_text(t, EXPIRES, &o->attestation.expires);
	take_list(t, NETWORKS, &o->networks);
	take_list(t, HOSTS, &o->hosts);
	take_list(t, AGENTS, &o->agents);
	take_list(t, RELAYS, &o->relays);
	if (take_words(t, o) != RC_OK)
		return t->err->code;
	if (o->name_kk == NULL || o->name_ru == NULL || o->owner == NULL ||
	    o->class == 0)
		return wrong(t, "name_kk, name_ru, class and owner are needed");
	return RC_OK;
}

/* ---- putting together --------------------------------------------------------------- */

struct merge {
	const struct objects *old; /* may be NULL */
	struct object *list;
	size_t n, cap;
	const char **owners; /* that nobody knew */
	size_t n_owners;
};

static void
need_owner(struct merge *m, const char *id)
{
	if (id == NULL ||
	    (m->old != NULL &&
		objects_organization(m->old,
		    (struct slice){ id, strlen(id) }) != NULL))
		return;
	for (size_t i = 0; i < m->n_owners; i++)
		if (strcmp(m->owners[i], id) == 0)
			return;
	m->owners[m->n_owners++] = id;
}

static enum rc
merge_row(struct merge *m, const struct table *t, struct objects_import *counts)
{
	static const struct object blank = { .criticality = 1,
		.silent_after_ns = 3600 * NS_PER_SEC };
	struct object row;
	size_t i = 0;

	while (i < m->n &&
	    !slice_eq(cell(t, ID),
		(struct slice){ m->list[i].id, strlen(m->list[i].id) }))
		i++;
	row = i < m->n ? m->list[i] : blank;
	if (i == m->n)
		row.kind = object_kind_find(SLICE("other"));
	if (i == m->cap)
		return wrong(t, "too many objects");
	if (take_row(t, &row) != RC_OK)
		return t->err->code;
	need_owner(m, row.owner);
	need_owner(m, row.holder);
	need_owner(m, row.hosting);
	m->list[i] = row;
	counts->added += i == m->n;
	counts->changed += i < m->n;
	m->n += i == m->n;
	return RC_OK;
}

static void
write_merged(const struct merge *m, struct buf *out)
{
	organizations_write_yaml(out, m->old);
	for (size_t i = 0; i < m->n_owners; i++) {
		(void)buf_add_str(out, "  - id: ");
		json_write_string(out,
		    (struct slice){ m->owners[i], strlen(m->owners[i]) });
		(void)buf_add_char(out, '\n');
	}
	(void)buf_add_str(out, "objects:\n");
	for (size_t i = 0; i < m->n; i++)
		objects_write_yaml(out, &m->list[i]);
}

enum rc
objects_import_csv(const char *name, struct slice text,
    const struct objects *old, struct buf *out, struct objects_import *counts,
    struct error *err)
{
	struct table t = { .name = name, .rest = text, .line = 1, .err = err };
	struct merge m = { .old = old };
	unsigned line = 1;
	enum rc rc;

	*counts = (struct objects_import){ 0 };
	if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
		return wrong(&t, "a NUL byte: save the table as CSV in UTF-8");
	t.arena = arena_new(ARENA_BLOCK);
	buf_init(&t.cell, 1 << 20);
	t.cells = xcalloc(COLUMNS + 32, sizeof(*t.cells));
	m.cap = ROWS_MAX + (old != NULL ? objects_count(old) : 0);
	m.list = xcalloc(m.cap, sizeof(*m.list));
	m.owners = xcalloc(3 * m.cap, sizeof(*m.owners));
	for (uint32_t i = 0; old != NULL && i < objects_count(old); i++)
		m.list[m.n++] = *objects_at(old, i);
	rc = read_header(&t);
	while (rc == RC_OK) {
		line = t.line;
		rc = read_row(&t);
		if (rc == RC_OK && !is_empty(&t)) {
			unsigned next = t.line;

			t.line = line;
			rc = merge_row(&m, &t, counts);
			t.line = next;
		}
	}
	if (rc == RC_EOF) {
		counts->organizations = m.n_owners;
		write_merged(&m, out);
		rc = out->overflowed
		    ? error_set(err, RC_LIMIT, "%s: too large", name)
		    : RC_OK;
	}
	free(m.list);
	free(m.owners);
	free(t.cells);
	buf_fini(&t.cell);
	arena_free(t.arena);
	return rc;
}
