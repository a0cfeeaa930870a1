/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "buf.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	SECONDS_DIGITS = 10,
	SERIAL_DIGITS = 20,
	STAMP_MAX = SECONDS_DIGITS + 1 + 9 + 1 + SERIAL_DIGITS,
	NODE_MAX = 255,
	TYPE_MAX = 64
};

/* ---- heads ------------------------------------------------------------------ */

/* The word behind `prefix`, both taken off; false: it does not begin so. */
static bool
take_word(struct slice *s, struct slice prefix, size_t longest,
    struct slice *out)
{
	const char *end;

	if (s->len <= prefix.len || memcmp(s->ptr, prefix.ptr, prefix.len) != 0)
		return false;
	end = memchr(s->ptr, ' ', s->len);
	if (end == NULL)
		return false;
	*out = (struct slice){ s->ptr + prefix.len,
		(size_t)(end - s->ptr) - prefix.len };
	s->len -= (size_t)(end + 1 - s->ptr);
	s->ptr = end + 1;
	return out->len > 0 && out->len <= longest;
}

static bool
take_digits(struct slice *s, size_t longest, uint64_t *out)
{
	size_t n = 0;

	*out = 0;
	while (
	    n < s->len && n < longest && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		*out = *out * 10 + (uint64_t)(s->ptr[n++] - '0');
	s->ptr += n;
	s->len -= n;
	return n > 0;
}

static bool
take_char(struct slice *s, char c)
{
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

bool
audit_head(struct slice line, struct audit_head *out)
{
	static const struct slice begin = SLICE_INIT("msg=audit(");
	struct slice s = line;
	uint64_t seconds, milliseconds;
	const char *from;

	/* every line of a log is asked */
	if (line.len < 5 ||
	    (memcmp(line.ptr, "type=", 5) != 0 &&
		memcmp(line.ptr, "node=", 5) != 0))
		return false;
	*out = (struct audit_head){ .node = { NULL, 0 } };
	if (line.len > 5 && memcmp(line.ptr, "node=", 5) == 0 &&
	    !take_word(&s, SLICE("node="), NODE_MAX, &out->node))
		return false;
	if (!take_word(&s, SLICE("type="), TYPE_MAX, &out->type) ||
	    s.len <= begin.len || memcmp(s.ptr, begin.ptr, begin.len) != 0)
		return false;
	s.ptr += begin.len;
	s.len -= begin.len;
	from = s.ptr;
	if (!take_digits(&s, SECONDS_DIGITS, &seconds) || !take_char(&s, '.') ||
	    !take_digits(&s, 3, &milliseconds) || !take_char(&s, ':') ||
	    !take_digits(&s, SERIAL_DIGITS - 1, &out->serial) || s.len == 0 ||
	    s.ptr[0] != ')' || seconds >= INT64_MAX / NS_PER_SEC)
		return false;
	out->stamp = (struct slice){ from, (size_t)(s.ptr - from) };
	out->time_ns =
	    (int64_t)seconds * NS_PER_SEC + (int64_t)milliseconds * NS_PER_MS;
	(void)take_char(&s, ')');
	(void)take_char(&s, ':');
	(void)take_char(&s, ' ');
	out->rest = s;
	return true;
}

bool
audit_same_event(const struct audit_head *a, const struct audit_head *b)
{
	return slice_eq(a->stamp, b->stamp) && slice_eq(a->node, b->node);
}

/* ---- joining ---------------------------------------------------------------- */

struct open_event {
	TAILQ_ENTRY(open_event) link;
	char key[NODE_MAX + 1 + STAMP_MAX];
	size_t key_len; /* 0: no record */
	struct buf text;
	uint64_t last_line; /* when it grew last */
	bool whole, cut;
};

TAILQ_HEAD(open_list, open_event);

struct audit_join {
	struct open_list open; /* in the order of their first lines */
	size_t n;
	uint64_t lines, lines_before; /* now, and when it was idle last */
	audit_join_cb *cb;
	void *ctx;
};

struct audit_join *
audit_join_new(audit_join_cb *cb, void *ctx)
{
	struct audit_join *j = xzalloc(sizeof(*j));

	TAILQ_INIT(&j->open);
	j->cb = cb;
	j->ctx = ctx;
	return j;
}

static void
give_out(struct audit_join *j, struct open_event *e)
{
	TAILQ_REMOVE(&j->open, e, link);
	j->n--;
	j->cb(j->ctx, buf_slice(&e->text), e->cut);
	buf_fini(&e->text);
	free(e);
}

/* From the oldest on, as long as they are whole. */
static void
give_out_whole(struct audit_join *j)
{
	struct open_event *e, *next;

	for (e = TAILQ_FIRST(&j->open); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		if (!e->whole && j->n <= AUDIT_OPEN_MAX &&
		    j->lines - e->last_line <= AUDIT_LINES_MAX)
			return;
		give_out(j, e);
	}
}

static size_t
key_of(const struct audit_head *head, char *out)
{
	size_t n = 0;

	if (head->node.len > 0)
		memcpy(out, head->node.ptr, n = head->node.len);
	out[n++] = ' ';
	memcpy(out + n, head->stamp.ptr, head->stamp.len);
	return n + head->stamp.len;
}

static struct open_event *
event_of(struct audit_join *j, const char *key, size_t len)
{
	struct open_event *e;

	TAILQ_FOREACH_REVERSE(e, &j->open, open_list, link)
	{
		if (len > 0 && e->key_len == len && !e->whole &&
		    memcmp(e->key, key, len) == 0)
			return e;
	}
	e = xzalloc(sizeof(*e));
	e->key_len = len;
	memcpy(e->key, key, len);
	buf_init(&e->text, AUDIT_TEXT_MAX);
	TAILQ_INSERT_TAIL(&j->open, e, link);
	j->n++;
	return e;
}

static bool
add_line(struct open_event *e, struct slice line)
{
	char *room = buf_reserve(&e->text, line.len + 1);

	if (room == NULL)
		return false;
	if (e->text.len > 0)
		(void)buf_add_char(&e->text, '\n');
	return buf_add_slice(&e->text, line);
}

void
audit_join_line(struct audit_join *j, struct slice line, bool cut)
{
	char key[sizeof(((struct open_event *)NULL)->key)];
	struct audit_head head;
	bool record = audit_head(line, &head);
	size_t len = record ? key_of(&head, key) : 0;
	struct open_event *e = event_of(j, key, len);

	j->lines++;
	if (!add_line(e, line) && e->text.len > 0) {
		e->whole = true;
		e = event_of(j, key, len);
		(void)add_line(e, line);
	}
	if (e->text.len == 0 && line.len > 0) { /* above the bound by itself */
		cut = true;
		(void)add_line(e,
		    (struct slice){ line.ptr, AUDIT_TEXT_MAX - 1 });
	}
	e->cut = e->cut || cut;
	e->last_line = j->lines;
	if (!record || slice_eq(head.type, SLICE("EOE")))
		e->whole = true;
	give_out_whole(j);
}

void
audit_join_flush_idle(struct audit_join *j)
{
	struct open_event *e, *next;

	for (e = TAILQ_FIRST(&j->open);
	     e != NULL && e->last_line <= j->lines_before; e = next) {
		next = TAILQ_NEXT(e, link);
		give_out(j, e);
	}
	give_out_whole(j);
	j->lines_before = j->lines;
}

void
audit_join_flush(struct audit_join *j)
{
	struct open_event *e, *next;

	for (e = TAILQ_FIRST(&j->open); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		give_out(j, e);
	}
}

void
audit_join_free(struct audit_join *j)
{
	struct open_event *e, *next;

	if (j == NULL)
		return;
	for (e = TAILQ_FIRST(&j->open); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		buf_fini(&e->text);
		free(e);
	}
	free(j);
}
