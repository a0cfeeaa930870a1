/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record's fields.  Their writing has grown over twenty years:
 *
 *   key=value key="text" key=68657861 msg='key=value key="text"'
 *   (hostname=?, addr=?)   avc:  denied  { read } for  key=value
 *   old auid=1 new auid=2  …  1D KEY="what auditd made of key"
 */
#include "audit_event.h"

#include <string.h>

enum { ENRICHED = 0x1d, NESTING_MAX = 2 };

struct scan {
	const char *at, *end;
	struct audit_record *out;
	bool enriched;
};

enum { OF_KEY = 1, ENDS_BARE = 2 };

/* clang-format off */
static const unsigned char byte_classes[256] = {
	['A' ... 'Z'] = OF_KEY, ['a' ... 'z'] = OF_KEY, ['0' ... '9'] = OF_KEY,
	['_'] = OF_KEY, ['-'] = OF_KEY, ['['] = OF_KEY, [']'] = OF_KEY,
	[' '] = ENDS_BARE, [ENRICHED] = ENDS_BARE,
};
/* clang-format on */

static inline bool
byte_is(char c, unsigned class)
{
	return (byte_classes[(unsigned char)c] & class) != 0;
}

static void
add(struct scan *s, struct slice key, struct slice value, bool quoted)
{
	if (s->out->n < AUDIT_FIELDS_MAX)
		s->out->fields[s->out->n++] =
		    (struct audit_field){ audit_key(key), key, value, quoted,
			    s->enriched };
}

/* The next key, its '=' passed by; false: no more. */
static bool
next_key(struct scan *s, struct slice *key)
{
	const char *from = s->at, *p, *end = s->end;

	for (p = from;; from = ++p) {
		while (p < end && byte_is(*p, OF_KEY))
			p++;
		if (p == end)
			break;
		if (*p == '=' && p > from) {
			*key = (struct slice){ from, (size_t)(p - from) };
			s->at = p + 1;
			return true;
		}
		s->enriched = s->enriched || *p == ENRICHED;
	}
	s->at = end;
	return false;
}

static struct slice
until(struct scan *s, char close)
{
	const char *from = s->at;
	const char *to = memchr(from, close, (size_t)(s->end - from));

	s->at = to == NULL ? s->end : to + 1;
	if (to == NULL)
		to = s->end;
	return (struct slice){ from, (size_t)(to - from) };
}

static struct slice
bare(struct scan *s)
{
	static const struct slice null = SLICE_INIT("(null)");
	const char *p = s->at;
	struct slice v = { p, 0 };

	while (p < s->end && !byte_is(*p, ENDS_BARE))
		p++;
	s->at = p;
	v.len = (size_t)(p - v.ptr);
	/* what went through syslog may have lost its 1D: "(null)ARCH=x86_64" */
	if (v.len > null.len && memcmp(v.ptr, null.ptr, null.len) == 0) {
		v.len = null.len;
		s->at = v.ptr + v.len;
		s->enriched = true;
	}
	/* "(hostname=?, addr=?, res=success)" */
	while (v.len > 0 &&
	    (v.ptr[v.len - 1] == ',' || v.ptr[v.len - 1] == '\'' ||
		v.ptr[v.len - 1] == '"'))
		v.len--;
	if (v.len > 0 && v.ptr[v.len - 1] == ')' &&
	    memchr(v.ptr, '(', v.len) == NULL)
		v.len--;
	return v;
}

static void scan_fields(struct scan *s, unsigned nesting);

/* What a program said of itself: fields again, up to the last quote. */
static void
scan_message(struct scan *s, unsigned nesting)
{
	const char *close = memrchr(s->at, '\'', (size_t)(s->end - s->at));
	struct scan inner = { .at = s->at,
		.end = close == NULL ? s->end : close,
		.out = s->out };

	scan_fields(&inner, nesting + 1);
	s->at = inner.end;
}

static void
scan_value(struct scan *s, struct slice key, unsigned nesting)
{
	char first;

	if (s->at == s->end)
		return;
	first = *s->at;
	if (first == '\'' && nesting < NESTING_MAX) {
		s->at++;
		scan_message(s, nesting);
		return;
	}
	if (first == '"' || (first == '{' && s->enriched)) {
		s->at++;
		add(s, key, first == '"' ? until(s, '"') : until(s, '}'), true);
		return;
	}
	add(s, key, bare(s), false);
}

static void
scan_fields(struct scan *s, unsigned nesting)
{
	struct slice key;

	while (next_key(s, &key))
		scan_value(s, key, nesting);
}

/* "avc:  denied  { read write } for  …" */
static void
scan_avc(struct scan *s)
{
	static const struct slice results[] = { SLICE_INIT("denied"),
		SLICE_INIT("granted") };
	struct slice text = { s->at, (size_t)(s->end - s->at) };
	const char *open = memchr(text.ptr, '{', text.len);
	const char *close =
	    open == NULL ? NULL : memchr(open, '}', (size_t)(s->end - open));

	if (text.len < 4 || memcmp(text.ptr, "avc:", 4) != 0 || close == NULL)
		return;
	for (size_t i = 0; i < 2; i++) {
		if (memmem(text.ptr, (size_t)(open - text.ptr), results[i].ptr,
			results[i].len) != NULL)
			add(s, SLICE("seresult"), results[i], true);
	}
	for (open++; open < close && *open == ' '; open++)
		;
	s->at = close + 1;
	while (close > open && close[-1] == ' ')
		close--;
	add(s, SLICE("seperms"), (struct slice){ open, (size_t)(close - open) },
	    true);
}

/* "old auid=", "new auid=": the second one is no other's. */
static void
name_old_and_new(struct arena *arena, struct slice text, struct audit_record *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct slice key = r->fields[i].key;
		char *longer;

		if (key.ptr < text.ptr + 4 ||
		    (memcmp(key.ptr - 4, "old ", 4) != 0 &&
			memcmp(key.ptr - 4, "new ", 4) != 0))
			continue;
		longer = arena_alloc(arena, key.len + 4);
		memcpy(longer, key.ptr - 4, key.len + 4);
		longer[3] = '_';
		r->fields[i].key = (struct slice){ longer, key.len + 4 };
		r->fields[i].known = audit_key(r->fields[i].key);
	}
}

void
audit_fields(struct arena *arena, struct slice type, struct slice text,
    struct audit_record *out)
{
	struct scan s = { .at = text.ptr,
		.end = text.ptr + text.len,
		.out = out };
	struct audit_field found[AUDIT_FIELDS_MAX];

	*out = (struct audit_record){ .type = type,
		.fields = found,
		.is_path = slice_eq(type, SLICE("PATH")),
		.is_execve = slice_eq(type, SLICE("EXECVE")) };
	scan_avc(&s);
	scan_fields(&s, 0);
	out->fields = arena_alloc(arena, out->n * sizeof(found[0]));
	memcpy(out->fields, found, out->n * sizeof(found[0]));
	if (slice_eq(type, SLICE("LOGIN")))
		name_old_and_new(arena, text, out);
}

const struct audit_field *
audit_find(const struct audit_record *r, struct slice key)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!r->fields[i].enriched && slice_eq(r->fields[i].key, key))
			return &r->fields[i];
	}
	return NULL;
}
