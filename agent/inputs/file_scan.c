/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/file_set.h"
#include "rotation.h"
#include "timestamp.h"
#include "xalloc.h"

/* A change within one tick of the file system's clock shows no new time. */
static const int64_t clock_tick_ns = 20 * NS_PER_MS;
static const int64_t scan_soon_ns = 5 * NS_PER_MS;
/* Names that come and go all the time must not cost more than a tenth. */
enum { SCAN_SHARE = 10 };
static const int64_t scan_gap_min_ns = 50 * NS_PER_MS;

static void
grow_head(struct file_set *s, struct tail *t)
{
	if (t->head.len >= PRINT_BYTES_MAX || t->head.len >= t->size ||
	    t->is_gzip)
		return;
	(void)fingerprint_grow(t->fd, &t->head);
	file_set_dirty(s);
}

/* Its first bytes were never seen: a truncation since would not show. */
static bool
was_empty(const struct tail *t)
{
	return t->head.len == 0 && t->read_at == 0 && !t->is_gzip;
}

/* The file at the former place of `t` is another one. */
static bool
lost_its_place(struct file_set *s, const struct tail *t, const char *path)
{
	struct opener_stat st;
	struct file_id id;

	if (opener_stat(s->setup.opener, path, &st) != RC_OK)
		return true;
	id = file_id_of(&st);
	return !file_id_eq(&id, &t->id);
}

static void
open_known(struct file_set *s, struct tail *t, const char *path)
{
	struct opener_stat st;
	struct error err;
	int fd;

	if (opener_open(s->setup.opener, path, &fd, &st, &err) != RC_OK) {
		file_set_say_once(s, path, err.text);
		return;
	}
	if (!file_verify(t, fd, &st)) {
		(void)close(fd);
		file_replaced(s, t);
		return;
	}
	t->verified = true;
	if (was_empty(t) && st.mtime_ns != t->mtime_ns)
		file_find_missed_before(s, t);
	file_set_opened(s, t, fd, &st);
	grow_head(s, t);
	if (t->is_gzip || t->size > t->read_at)
		file_set_ready(s, t);
}

/* A file with a known inode: the same one, or one that got its inode? */
static void
meet_known(struct file_set *s, struct tail *t, const struct candidate *c)
{
	bool again = t->scan == s->scan_id;
	bool unread;

	t->scan = s->scan_id;
	if (strcmp(t->path, c->path) != 0) {
		if (!lost_its_place(s, t, t->path))
			return; /* another name of it: a link, a second glob */
		t->rotated = t->rotated ||
		    rotation_name(strrchr(t->path, '/') + 1,
			strrchr(c->path, '/') + 1);
		t->quiet_since_ns = loop_now();
		file_set_set_path(t, c->path);
		file_set_dirty(s);
	}
	if (again || t->fd != -1)
		return;
	if (t->spec == NULL)
		file_set_assign(s, t, c->spec);
	unread =
	    !t->copy && !t->finished && (t->is_gzip || t->read_at < t->size);
	if (!unread && t->size == c->st.size && t->mtime_ns == c->st.mtime_ns &&
	    (t->verified || t->copy || (t->finished && t->is_gzip)))
		return;
	if (t->copy)
		file_set_forget(s, t); /* has grown: met anew as a stranger */
	else
		open_known(s, t, c->path);
}

static void
remember_copy(struct file_set *s, struct stranger *f, const struct tail *of,
    const struct candidate *c)
{
	struct tail *t = file_set_add(s, f->path, c->spec, f->fd, &f->st);

	f->fd = -1;
	if (t == NULL)
		return;
	file_set_say(s, LOG_LEVEL_INFO, "%s holds what %s does: not read again",
	    f->path, of->path);
	t->copy = true;
	t->is_gzip = f->is_gzip;
	fingerprint_of(&t->head, (struct slice){ f->head, f->head_len },
	    f->head_len);
	if (!f->is_gzip) {
		t->read_at = f->st.size;
		tail_load_last(t);
		tail_plan_check(t);
		tail_settle(t);
	} else {
		t->check = of->check;
	}
	file_set_close(s, t);
}

struct tail *
file_begin(struct file_set *s, struct stranger *f, const struct file_spec *spec)
{
	struct tail *t = file_set_add(s, f->path, spec, f->fd, &f->st);

	f->fd = -1;
	if (t == NULL)
		return NULL;
	t->is_gzip = f->is_gzip;
	fingerprint_of(&t->head, (struct slice){ f->head, f->head_len },
	    f->head_len);
	file_set_ready(s, t);
	file_set_say(s, LOG_LEVEL_INFO, "%s: reading it from its start",
	    f->path);
	return t;
}

static void
meet_stranger(struct file_set *s, const struct candidate *c)
{
	struct tail *of = NULL, *t, *f;
	struct stranger file;

	if (!stranger_open(s, c->path, &file))
		return;
	if (!stranger_settle(s, &file)) {
		stranger_close(&file);
		return;
	}
	switch (stranger_match(s, &file, &of)) {
	case MATCH_HEIR:
		file_set_say(s, LOG_LEVEL_INFO, "%s continues %s", c->path,
		    of->path);
		file_adopt(s, of, &file);
		break;
	case MATCH_COPY:
		remember_copy(s, &file, of, c);
		break;
	case MATCH_NONE:
		t = file_begin(s, &file, c->spec);
		f = t == NULL ? NULL : file_former(s, c->path, t);
		if (f != NULL)
			f->rotated = true;
		/* at the first scan old generations are not missed ones */
		if (f != NULL || (t != NULL && s->looked_ns != 0))
			file_find_missed(s, f, t);
		break;
	}
	stranger_close(&file);
}

/* No glob names it any more: deleted, renamed, or its file system is gone. */
static void
miss(struct file_set *s, struct tail *t)
{
	if (t->spec == NULL) /* dead ones too */
		return;
	if (t->replaced) {
		/* names moved while its rest was searched among them */
		if (t->fd == -1 && !t->finished && !t->copy)
			(void)file_relocate(s, t);
		return;
	}
	if (t->fd != -1) {
		t->rotated = t->rotated || lost_its_place(s, t, t->path);
		return;
	}
	if (t->finished || t->copy || t->deleted)
		return;
	t->deleted = !file_relocate(s, t);
	if (!t->deleted)
		return;
	file_set_unready(s, t);
	t->quiet_since_ns = loop_now();
}

void
file_scan(struct file_set *s)
{
	struct candidates q = { .set = s };
	struct tail *t, *next;
	int64_t began_ns = timestamp_now() - clock_tick_ns;
	bool added = false;

	s->scan_soon = false;
	s->scan_id++;
	s->scanned_ns = loop_now();
	file_list(s, &q);
	for (size_t i = 0; i < q.n; i++) {
		struct file_id id = file_id_of(&q.found[i].st);

		t = file_set_find(s, &id);
		if (t != NULL)
			meet_known(s, t, &q.found[i]);
	}
	/* renamed ones before new ones: a new one may take their place */
	for (t = TAILQ_FIRST(&s->tails); t != NULL; t = next) {
		next = TAILQ_NEXT(t, all);
		if (t->scan != s->scan_id)
			miss(s, t);
	}
	for (size_t i = 0; i < q.n; i++) {
		struct file_id id = file_id_of(&q.found[i].st);

		if (file_set_find(s, &id) == NULL)
			meet_stranger(s, &q.found[i]);
	}
	file_find_missed_again(s);
	candidates_fini(&q);
	s->looked_ns = began_ns;
	file_set_purge(s);
	TAILQ_FOREACH (t, &s->tails, all)
		added = added || !t->durable;
	/* a stream is durable before its first byte is sent */
	if (added)
		file_set_save(s);
	s->scan_gap_ns = SCAN_SHARE * (loop_now() - s->scanned_ns);
	if (s->scan_gap_ns < scan_gap_min_ns)
		s->scan_gap_ns = scan_gap_min_ns;
}

void
file_scan_soon(struct file_set *s)
{
	int64_t wait_ns = s->scanned_ns + s->scan_gap_ns - loop_now();

	if (s->scan_soon || s->draining)
		return;
	s->scan_soon = true;
	loop_timer_start(s->scan,
	    wait_ns > scan_soon_ns ? wait_ns : scan_soon_ns);
}

void
file_refresh(struct file_set *s, struct tail *t)
{
	struct opener_stat st;
	int64_t now_ns = timestamp_now();
	bool racy = t->checked_ns - t->mtime_ns < clock_tick_ns;

	if (t->fd == -1 || !opener_stat_fd(t->fd, &st))
		return;
	t->deleted = st.links == 0;
	if (st.size == t->size && st.mtime_ns == t->mtime_ns &&
	    st.ctime_ns == t->ctime_ns && !racy)
		return;
	if (st.size != t->size)
		t->quiet_since_ns = loop_now();
	t->checked_ns = now_ns;
	if ((!t->is_gzip && st.size < t->read_at) || file_content_changed(t)) {
		file_replaced(s, t);
		return;
	}
	if (was_empty(t))
		file_find_missed_before(s, t);
	t->size = st.size;
	t->mtime_ns = st.mtime_ns;
	t->ctime_ns = st.ctime_ns;
	grow_head(s, t);
	if (!t->finished && (t->is_gzip || st.size > t->read_at))
		file_set_ready(s, t);
}

/* What the file holds now, wherever its name went meanwhile. */
static void
succeed(struct file_set *s, struct tail *t, int fd, const char *path,
    bool rotated)
{
	struct opener_stat st;
	struct tail *n;

	if (t->spec == NULL || !opener_stat_fd(fd, &st)) {
		(void)close(fd);
		return;
	}
	n = file_set_add(s, path, t->spec, fd, &st);
	if (n == NULL)
		return;
	free(n->origin);
	n->origin = xstrdup(t->origin);
	file_set_assign(s, n, t->spec);
	n->rotated = rotated;
	n->deleted = st.links == 0;
	grow_head(s, n);
	if (st.size > 0)
		file_set_ready(s, n);
	file_find_missed(s, t, n);
}

void
file_replaced(struct file_set *s, struct tail *t)
{
	bool was_rotated = t->rotated;
	char *path = xstrdup(t->path);
	int fd = t->fd == -1 ? -1 : fcntl(t->fd, F_DUPFD_CLOEXEC, 0);

	file_set_say(s, LOG_LEVEL_INFO,
	    "%s was truncated or replaced after %llu bytes", t->path,
	    (unsigned long long)t->read_at);
	file_set_unindex(s, t);
	file_set_close(s, t);
	t->replaced = true;
	t->rotated = true;
	t->quiet_since_ns = loop_now();
	file_set_dirty(s);
	if (file_relocate(s, t))
		file_set_say(s, LOG_LEVEL_INFO, "%s holds the rest of it",
		    t->path);
	if (fd != -1)
		succeed(s, t, fd, path, was_rotated);
	free(path);
	file_scan_soon(s); /* what is there now is a stranger */
}
