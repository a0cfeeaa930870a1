/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/file_set.h"
#include "agent/inputs/gzip.h"
#include "rotation.h"
#include "xalloc.h"

enum { COMPARE_BYTES = 4096 };

static bool
has_gzip_name(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && strcmp(path + len - 3, ".gz") == 0;
}

static bool
has_gzip_magic(int fd)
{
	unsigned char magic[2];

	return pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1f &&
	    magic[1] == 0x8b;
}

bool
stranger_open(struct file_set *s, const char *path, struct stranger *out)
{
	struct error err;
	long n;

	*out = (struct stranger){ .path = path, .fd = -1 };
	if (opener_open(s->setup.opener, path, &out->fd, &out->st, &err) !=
	    RC_OK) {
		file_set_say_once(s, path, err.text);
		return false;
	}
	out->is_gzip = has_gzip_name(path) && has_gzip_magic(out->fd);
	n = out->is_gzip ? gzip_head(out->fd, out->head, sizeof(out->head))
			 : pread(out->fd, out->head, sizeof(out->head), 0);
	/* an empty file can still become anything */
	if (n <= 0) {
		stranger_close(out);
		return false;
	}
	out->head_len = (size_t)n;
	return true;
}

/* Somebody has it. */
static bool
stranger_is_known(const struct file_set *s, const struct stranger *f)
{
	struct file_id id = file_id_of(&f->st);

	return file_set_find(s, &id) != NULL;
}

void
stranger_close(struct stranger *f)
{
	if (f->fd != -1)
		(void)close(f->fd);
	f->fd = -1;
}

static bool
stranger_bytes(const struct stranger *f, uint64_t at, char *out, size_t len)
{
	long n = f->is_gzip ? gzip_at(f->fd, at, out, len)
			    : pread(f->fd, out, len, (off_t)at);

	return n == (long)len;
}

static bool
stranger_fits(const struct stranger *f, const struct fingerprint *p)
{
	char bytes[PRINT_BYTES_MAX];
	struct fingerprint now;

	if (p->len == 0)
		return true;
	if (!stranger_bytes(f, p->at - p->len, bytes, p->len))
		return false;
	fingerprint_of(&now, (struct slice){ bytes, p->len }, p->at);
	return fingerprint_eq(&now, p);
}

static bool
head_fits(const struct stranger *f, const struct tail *t)
{
	struct fingerprint now;

	if (t->head.len == 0 || f->head_len < t->head.len)
		return false;
	fingerprint_of(&now, (struct slice){ f->head, t->head.len },
	    t->head.len);
	return fingerprint_eq(&now, &t->head);
}

bool
stranger_continues(struct stranger *f, const struct tail *t)
{
	char bytes[PRINT_LAST_BYTES];

	/* a copy is whole when what it was made of is gone: now, not before */
	(void)opener_stat_fd(f->fd, &f->st);
	if (!head_fits(f, t) || (!f->is_gzip && f->st.size < t->read_at) ||
	    !stranger_fits(f, &t->check))
		return false;
	return t->last_len == 0 ||
	    (stranger_bytes(f, t->read_at - t->last_len, bytes, t->last_len) &&
		memcmp(bytes, t->last, t->last_len) == 0);
}

/* Every byte of `f` is there in the open file `t`: its ends are compared. */
static bool
is_prefix_of(const struct stranger *f, const struct tail *t)
{
	char mine[COMPARE_BYTES], his[COMPARE_BYTES];
	uint64_t at;
	size_t len;

	if (pread(t->fd, his, f->head_len, 0) != (ssize_t)f->head_len ||
	    memcmp(his, f->head, f->head_len) != 0)
		return false;
	if (f->is_gzip)
		return true;
	len = f->st.size < sizeof(mine) ? (size_t)f->st.size : sizeof(mine);
	at = f->st.size - len;
	return stranger_bytes(f, at, mine, len) &&
	    pread(t->fd, his, len, (off_t)at) == (ssize_t)len &&
	    memcmp(mine, his, len) == 0;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static bool
is_rotation_of(const char *from, const char *path)
{
	const char *a = base_name(from), *b = base_name(path);

	return a - from == b - path &&
	    strncmp(from, path, (size_t)(a - from)) == 0 && rotation_name(a, b);
}

/* It was renamed on, unseen, before it was compressed. */
static bool
same_family(const char *from, const char *path)
{
	const char *a = base_name(from), *b = base_name(path);
	char family_a[256], family_b[256];

	if (a - from != b - path ||
	    strncmp(from, path, (size_t)(a - from)) != 0)
		return false;
	rotation_family(a, family_a);
	rotation_family(b, family_b);
	return strcmp(family_a, family_b) == 0;
}

/* worker-1.log and worker-2.log may hold the same: none is the other's copy. */
static bool
related(const struct tail *t, const struct stranger *f)
{
	if (is_rotation_of(t->path, f->path) ||
	    is_rotation_of(t->origin, f->path))
		return true;
	return (f->is_gzip || t->deleted || t->replaced) &&
	    same_family(t->path, f->path);
}

bool
file_content_changed(const struct tail *t)
{
	unsigned char last[PRINT_LAST_BYTES];

	if (t->is_gzip)
		return false;
	return !fingerprint_fits(t->fd, &t->head) ||
	    pread(t->fd, last, t->last_len,
		(off_t)(t->read_at - t->last_len)) != (ssize_t)t->last_len ||
	    memcmp(last, t->last, t->last_len) != 0;
}

/*
 * `t` is to read what the copy holds.  It may be truncated before it has: then
 * it knows by its head what it is to go on with.
 */
static void
expect_head_of(struct tail *t, const struct stranger *f)
{
	if (f->head_len > t->head.len && (t->head.len == 0 || head_fits(f, t)))
		fingerprint_of(&t->head, (struct slice){ f->head, f->head_len },
		    f->head_len);
}

static enum match
match_one(struct stranger *f, struct tail *t)
{
	bool open = t->fd != -1 && !t->replaced;

	if (open && !t->is_gzip && is_prefix_of(f, t)) {
		expect_head_of(t, f);
		return MATCH_COPY;
	}
	if (!head_fits(f, t))
		return MATCH_NONE;
	if (open && !t->is_gzip) {
		/* truncated just now, which nobody has noticed yet? */
		return file_content_changed(t) && stranger_continues(f, t)
		    ? MATCH_HEIR
		    : MATCH_NONE;
	}
	if (open || t->copy || t->finished) {
		/* what is longer than what was read is another one's */
		if (!stranger_fits(f, &t->check))
			return !f->is_gzip && f->st.size < t->check.at
			    ? MATCH_COPY
			    : MATCH_NONE;
		return MATCH_COPY;
	}
	return stranger_continues(f, t) ? MATCH_HEIR : MATCH_NONE;
}

bool
stranger_settle(struct file_set *s, const struct stranger *f)
{
	struct tail *t;

	/* the list may grow at its end, and its members stay */
	TAILQ_FOREACH (t, &s->tails, all) {
		if (t->fd == -1 || t->dead || t->replaced || !related(t, f) ||
		    !file_content_changed(t))
			continue;
		if (s->settling) {
			file_scan_soon(s);
			return false;
		}
		s->settling = true;
		file_replaced(s, t);
		s->settling = false;
	}
	return !stranger_is_known(s, f);
}

enum match
stranger_match(struct file_set *s, struct stranger *f, struct tail **of)
{
	enum match best = MATCH_NONE, m;
	struct tail *t;

	TAILQ_FOREACH_REVERSE(t, &s->tails, tail_list, all)
	{
		struct file_id id = { f->st.dev, f->st.ino, f->st.btime_ns };

		if (t->dead || (!t->replaced && file_id_eq(&t->id, &id)) ||
		    !related(t, f))
			continue;
		m = match_one(f, t);
		if (m > best) {
			best = m;
			*of = t;
		}
	}
	return best;
}

void
file_adopt(struct file_set *s, struct tail *t, struct stranger *f)
{
	struct file_id id = { f->st.dev, f->st.ino, f->st.btime_ns };
	struct tail *was = file_set_find(s, &id);

	if (was != NULL && was != t)
		file_set_drop(s, was); /* a copy's record */
	if (!t->replaced) {
		file_set_unindex(s, t);
		file_scan_soon(s); /* the file it had is a stranger now */
	}
	t->replaced = false;
	t->verified = true;
	t->rotated = true;
	t->deleted = false;
	t->is_gzip = f->is_gzip;
	t->scan = s->scan_id;
	file_set_set_path(t, f->path);
	file_set_opened(s, t, f->fd, &f->st);
	f->fd = -1;
	file_set_index(s, t);
	file_set_ready(s, t);
	file_set_dirty(s);
}

bool
file_verify(struct tail *t, int fd, const struct opener_stat *st)
{
	struct fingerprint head;

	if (t->is_gzip) {
		char bytes[PRINT_BYTES_MAX];

		if (t->head.len == 0)
			return true;
		if (gzip_head(fd, bytes, t->head.len) != (long)t->head.len)
			return false;
		fingerprint_of(&head, (struct slice){ bytes, t->head.len },
		    t->head.len);
		return fingerprint_eq(&head, &t->head);
	}
	return st->size >= t->read_at && fingerprint_fits(fd, &t->head) &&
	    fingerprint_fits(fd, &t->check);
}

struct search {
	struct file_set *set;
	struct tail *of;
	bool found;
};

static void
on_beside(void *ctx, const char *path, const struct opener_stat *st)
{
	struct search *q = ctx;
	struct file_id id = { st->dev, st->ino, st->btime_ns };
	struct tail *owner = file_set_find(q->set, &id);
	struct stranger f;

	if (q->found || (owner != NULL && owner != q->of && !owner->copy))
		return;
	if (!stranger_open(q->set, path, &f))
		return;
	if (stranger_continues(&f, q->of)) {
		file_adopt(q->set, q->of, &f);
		q->found = true;
	}
	stranger_close(&f);
}

bool
file_relocate(struct file_set *s, struct tail *t)
{
	struct search q = { .set = s, .of = t };
	char *was = xstrdup(t->path); /* a success changes it */

	opener_rotated(s->setup.opener, was, on_beside, &q);
	if (!q.found && strcmp(was, t->origin) != 0)
		opener_rotated(s->setup.opener, t->origin, on_beside, &q);
	free(was);
	return q.found;
}
