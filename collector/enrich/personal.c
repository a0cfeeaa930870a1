/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/enrich/personal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "xalloc.h"

enum {
	TOKEN_BYTES = 16, /* of the hash */
	REPLACEMENT_MAX = 64,
	TEXT_MAX = 64 << 20,
	NUMBER_TEXT = 24,
	DEPTH_MAX = 8, /* lists hold scalars only */
};

static const char *const names[PERSONAL_KINDS] = { "iin", "card", "phone" };
/* How many of the last digits a mask leaves. */
static const size_t left[PERSONAL_KINDS] = { 0, 4, 2 };

struct personal {
	enum personal_mode modes[PERSONAL_KINDS];
	struct hmac *hmac; /* NULL: nothing is hashed */
	struct buf out;    /* scratch */
};

struct personal *
personal_new(const struct personal_options *options)
{
	struct personal *p = xzalloc(sizeof(*p));

	memcpy(p->modes, options->modes, sizeof(p->modes));
	if (options->key.len > 0)
		p->hmac = hmac_new(options->key);
	buf_init(&p->out, TEXT_MAX);
	return p;
}

void
personal_free(struct personal *p)
{
	if (p == NULL)
		return;
	hmac_free(p->hmac);
	buf_fini(&p->out);
	free(p);
}

/* ---- one number ------------------------------------------------------------------- */

/* Everything but its last digits becomes '*'; what separates them stays. */
static void
put_masked(struct buf *out, struct slice text, const struct personal_match *m)
{
	size_t seen = 0;

	for (size_t i = 0; i < m->len; i++) {
		char c = text.ptr[m->from + i];
		bool digit = c >= '0' && c <= '9';

		seen += digit;
		if (digit && seen + left[m->kind] <= m->n)
			c = '*';
		(void)buf_add_char(out, c);
	}
}

/* "iin_3f2a…": one word, so that search finds it. */
static void
put_token(struct personal *p, const struct personal_match *m)
{
	uint8_t hash[SHA256_BYTES];
	char text[2 * TOKEN_BYTES + 1];

	hmac_add(p->hmac, names[m->kind], strlen(names[m->kind]) + 1);
	hmac_add(p->hmac, m->digits, m->n);
	hmac_done(p->hmac, hash);
	hex_text(hash, TOKEN_BYTES, text);
	(void)buf_printf(&p->out, "%s_%s", names[m->kind], text);
}

static void
put_replacement(struct personal *p, struct slice text,
    const struct personal_match *m)
{
	if (p->modes[m->kind] == PERSONAL_HASH)
		put_token(p, m);
	else
		put_masked(&p->out, text, m);
}

/* The next one that does not stay as it is. */
static bool
find_next(const struct personal *p, struct slice text, size_t at,
    struct personal_match *m)
{
	while (personal_find(text, at, m)) {
		if (p->modes[m->kind] != PERSONAL_KEEP)
			return true;
		at = m->from + m->len;
	}
	return false;
}

/* ---- a text ------------------------------------------------------------------------- */

/* Whether `to` lies within a string of JSON text, when `from` did so or not. */
static bool
in_string(struct slice json, size_t from, size_t to, bool inside)
{
	for (size_t i = from; i < to; i++) {
		if (json.ptr[i] == '\\' && inside)
			i++;
		else if (json.ptr[i] == '"')
			inside = !inside;
	}
	return inside;
}

/* `json`: a number that stands outside of strings gets quotes. */
static struct slice
replace(struct personal *p, struct arena *arena, struct slice text, bool json)
{
	struct personal_match m;
	size_t done = 0, looked = 0;
	bool inside = false;

	if (!find_next(p, text, 0, &m))
		return text;
	buf_clear(&p->out);
	do {
		bool quote = false;

		if (json) {
			inside = in_string(text, looked, m.from, inside);
			looked = m.from;
			quote = !inside;
		}
		(void)buf_add(&p->out, text.ptr + done, m.from - done);
		if (quote)
			(void)buf_add_char(&p->out, '"');
		put_replacement(p, text, &m);
		if (quote)
			(void)buf_add_char(&p->out, '"');
		done = m.from + m.len;
	} while (find_next(p, text, done, &m));
	(void)buf_add(&p->out, text.ptr + done, text.len - done);
	if (p->out.overflowed) /* 64 MiB: no text is as long */
		return SLICE("");
	return arena_copy(arena, buf_slice(&p->out));
}

struct slice
personal_text(struct personal *p, struct arena *arena, struct slice text)
{
	return replace(p, arena, text, false);
}

/* ---- an event ------------------------------------------------------------------------- */

/* What names who the event is, or is the collector's own word. */
static bool
is_exempt(uint32_t id)
{
	return id == FIELD_AGENT_ID || id == FIELD_EVENT_ID ||
	    id == FIELD_ORGANIZATION_ID || id == FIELD_ORGANIZATION_NAME ||
	    id == FIELD_LOG_OFFSET ||
	    (id >= FIELD_KUZET_CONTROL && id <= FIELD_KUZET_YEAR);
}

/* Numbers that count or measure something: no more than their name is known. */
static bool
is_measure(uint32_t id)
{
	static const char *const ends[] = { ".bytes", ".packets", ".size",
		".duration", ".pid", ".inode", ".offset", ".count", ".time",
		".timestamp", ".sequence", ".record_id" };
	struct slice name = field_name(id);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]);

		if (name.len >= n &&
		    memcmp(name.ptr + name.len - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

static bool
replace_number(struct personal *p, struct arena *arena, struct value *v)
{
	char text[NUMBER_TEXT];
	struct slice before, after;
	int n;

	if (v->i < INT64_C(10000000000)) /* fewer digits than a telephone */
		return false;
	n = snprintf(text, sizeof(text), "%" PRId64, v->i);
	before = (struct slice){ text, (size_t)n };
	after = replace(p, arena, before, false);
	if (after.ptr == before.ptr)
		return false;
	*v = (struct value){ .kind = VALUE_STRING, .s = after };
	return true;
}

static bool
replace_scalar(struct personal *p, struct arena *arena, uint32_t id,
    struct value *v)
{
	const char *before;

	if (v->kind == VALUE_INT)
		return !is_measure(id) && replace_number(p, arena, v);
	if (v->kind != VALUE_STRING && v->kind != VALUE_JSON)
		return false;
	before = v->s.ptr;
	v->s = replace(p, arena, v->s, v->kind == VALUE_JSON);
	return v->s.ptr != before;
}

static bool
replace_list(struct personal *p, struct arena *arena, uint32_t id,
    struct value *v)
{
	struct value *list = arena_alloc(arena, v->n * sizeof(*list));
	bool changed = false;

	memcpy(list, v->list, v->n * sizeof(*list));
	for (uint32_t i = 0; i < v->n; i++)
		changed = replace_scalar(p, arena, id, &list[i]) || changed;
	if (changed)
		v->list = list;
	return changed;
}

/* A piece of a text that was found clean. */
static bool
is_within(struct slice piece, struct slice whole)
{
	return piece.ptr >= whole.ptr &&
	    piece.ptr + piece.len <= whole.ptr + whole.len;
}

bool
personal_event(struct personal *p, struct event *ev)
{
	struct slice line = event_get_string(ev, FIELD_EVENT_ORIGINAL);
	struct personal_match m;
	bool changed = false;
	bool clean = line.len > 0 && !find_next(p, line, 0, &m);

	for (uint32_t i = 0; i < ev->n; i++) {
		struct field *f = &ev->fields[i];

		if (is_exempt(f->id) ||
		    (clean && f->value.kind == VALUE_STRING &&
			is_within(f->value.s, line)))
			continue;
		if (f->value.kind == VALUE_LIST)
			changed =
			    replace_list(p, ev->arena, f->id, &f->value) ||
			    changed;
		else
			changed =
			    replace_scalar(p, ev->arena, f->id, &f->value) ||
			    changed;
	}
	return changed;
}

/* ---- the key ---------------------------------------------------------------------------- */

static enum rc
read_key(int fd, const char *path, struct slice *out, struct error *err)
{
	char *bytes = xzalloc(PERSONAL_KEY_MAX + 1);
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, bytes + n, PERSONAL_KEY_MAX + 1 - n)) > 0)
		n += (size_t)got;
	if (got == 0 && n >= PERSONAL_KEY_MIN && n <= PERSONAL_KEY_MAX) {
		*out = (struct slice){ bytes, n };
		return RC_OK;
	}
	free(bytes);
	if (got < 0)
		return error_set_errno(err, errno, "%s", path);
	return error_set(err, RC_INVALID,
	    "%s: a key has %d to %d bytes: make one with \"openssl rand -out "
	    "FILE 32\"",
	    path, PERSONAL_KEY_MIN, PERSONAL_KEY_MAX);
}

enum rc
personal_key_read(const char *path, struct slice *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	enum rc rc;

	if (fd < 0 || fstat(fd, &st) != 0)
		rc = error_set_errno(err, errno, "%s", path);
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		rc = error_set(err, RC_DENIED,
		    "%s: others can read this key: chmod 600 it", path);
	else
		rc = read_key(fd, path, out, err);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}
