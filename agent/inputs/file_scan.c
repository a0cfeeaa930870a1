/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/file_set.h"
#include "timestamp.h"
#include "xalloc.h"

enum { CANDIDATES_MAX = 65536 };

/* A change within one tick of the file system's clock shows no new time. */
static const int64_t clock_tick_ns = 20 * NS_PER_MS;
static const int64_t scan_soon_ns = 5 * NS_PER_MS;
/* Names that come and go all the time must not cost more than a tenth. */
enum { SCAN_SHARE = 10 };
static const int64_t scan_gap_min_ns = 50 * NS_PER_MS;

struct candidate {
	char *path;
	const struct file_spec *spec;
	struct opener_stat st;
};

struct scan {
	struct file_set *set;
	const struct file_spec *spec; /* of the pattern being listed */
	struct candidate *found;
	size_t n, cap;
};

static struct file_id
id_of(const struct opener_stat *st)
{
	return (struct file_id){ st->dev, st->ino, st->btime_ns };
}

static bool
excluded(const struct input_config *c, const char *path)
{
	const char *base = strrchr(path, '/');

	base = base == NULL ? path : base + 1;
	for (size_t i = 0; i < c->n_exclude; i++) {
		if (fnmatch(c->exclude[i], path, FNM_PATHNAME) == 0 ||
		    fnmatch(c->exclude[i], base, 0) == 0)
			return true;
	}
	return false;
}

static void
watch_folder_of(struct file_set *s, const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : (int)(slash == path ? 1 : slash - path),
	    slash == NULL ? "." : path);
	opener_watch(s->setup.opener, dir);
}

static void
on_path(void *ctx, const char *path, const struct opener_stat *st)
{
	struct scan *q = ctx;

	if (q->n >= CANDIDATES_MAX || excluded(q->spec->config, path))
		return;
	watch_folder_of(q->set, path);
	if (q->n == q->cap) {
		q->cap = q->cap == 0 ? 64 : 2 * q->cap;
		q->found = xreallocarray(q->found, q->cap, sizeof(*q->found));
	}
	q->found[q->n++] = (struct candidate){ xstrdup(path), q->spec, *st };
}

static int
older_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->st.mtime_ns != y->st.mtime_ns)
		return x->st.mtime_ns < y->st.mtime_ns ? -1 : 1;
	if (x->st.btime_ns != y->st.btime_ns)
		return x->st.btime_ns < y->st.btime_ns ? -1 : 1;
	return strcmp(x->path, y->path);
}

static void
collect(struct scan *q)
{
	struct file_set *s = q->set;
	struct error err;

	for (size_t i = 0; i < s->n_specs; i++) {
		const struct input_config *c = s->specs[i].config;

		q->spec = &s->specs[i];
		for (size_t k = 0; k < c->n_paths; k++) {
			/* before the list: what comes between is told */
			if (strpbrk(c->paths[k], "*?[") == NULL ||
			    strpbrk(strrchr(c->paths[k], '/') == NULL
				    ? c->paths[k]
				    : strrchr(c->paths[k], '/'),
				"*?[") != NULL)
				watch_folder_of(s, c->paths[k]);
			if (opener_list(s->setup.opener, c->paths[k], on_path,
				q, &err) != RC_OK)
				file_set_say_once(s, c->paths[k], err.text);
		}
	}
	if (q->n > 0)
		qsort(q->found, q->n, sizeof(*q->found), older_first);
}

static void
grow_head(struct file_set *s, struct tail *t)
{
	if (t->head.len >= PRINT_BYTES_MAX || t->head.len >= t->size ||
	    t->is_gzip)
		return;
	(void)fingerprint_head(t->fd, &t->head);
	file_set_dirty(s);
}

/* The file at the former place of `t` is another one. */
static bool
lost_its_place(struct file_set *s, const struct tail *t, const char *path)
{
	struct opener_stat st;
	struct file_id id;

	if (opener_stat(s->setup.opener, path, &st) != RC_OK)
		return true;
	id = id_of(&st);
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

static struct tail *
begin(struct file_set *s, struct stranger *f, const struct file_spec *spec)
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

/* The generation that was read at `path` before `t`. */
static struct tail *
former(struct file_set *s, const char *path, const struct tail *t)
{
	struct tail *f;

	TAILQ_FOREACH_REVERSE(f, &s->tails, tail_list, all)
	{
		if (f != t && !f->copy && !f->dead &&
		    strcmp(f->origin, path) == 0)
			return f;
	}
	return NULL;
}

struct missed {
	struct scan scan;
	int64_t changed_since_ns, born_since_ns;
};

static void
on_missed(void *ctx, const char *path, const struct opener_stat *st)
{
	struct missed *q = ctx;
	struct file_id id = id_of(st);

	if (file_set_find(q->scan.set, &id) != NULL ||
	    st->mtime_ns < q->changed_since_ns ||
	    (st->btime_ns != 0 && st->btime_ns < q->born_since_ns))
		return;
	on_path(&q->scan, path, st);
}

/*
 * Several rotations between two scans: what came between `f` and `t`.  Without
 * `f`: there was nothing at the last scan, so what was born since is missed.
 */
static void
find_missed(struct file_set *s, struct tail *f, struct tail *t)
{
	struct missed q = {
		.scan = { .set = s, .spec = t->spec },
		.changed_since_ns = f == NULL ? s->looked_ns : f->mtime_ns,
		.born_since_ns = f == NULL ? s->looked_ns : f->born_ns,
	};
	struct tail *before = f, *of = NULL, *m;
	struct stranger file;

	if (f != NULL && f->fd != -1)
		file_refresh(s, f); /* its last lines go first */
	t->after = f;
	opener_rotated(s->setup.opener, t->origin, on_missed, &q);
	if (q.scan.n > 0)
		qsort(q.scan.found, q.scan.n, sizeof(*q.scan.found),
		    older_first);
	for (size_t i = 0; i < q.scan.n; i++) {
		struct candidate *c = &q.scan.found[i];
		enum match match;

		if (stranger_open(s, c->path, &file)) {
			match = stranger_match(s, &file, &of);
			if (match == MATCH_HEIR)
				file_adopt(s, of, &file);
			m = match == MATCH_NONE ? begin(s, &file, t->spec)
						: NULL;
			if (m != NULL) {
				free(m->origin);
				m->origin = xstrdup(t->origin);
				file_set_assign(s, m, t->spec);
				m->rotated = true;
				m->after = before;
				before = m;
			}
			stranger_close(&file);
		}
		free(c->path);
	}
	free(q.scan.found);
	t->after = before;
}

static void
meet_stranger(struct file_set *s, const struct candidate *c)
{
	struct tail *of = NULL, *t, *f;
	struct stranger file;

	if (!stranger_open(s, c->path, &file))
		return;
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
		t = begin(s, &file, c->spec);
		f = t == NULL ? NULL : former(s, c->path, t);
		if (f != NULL)
			f->rotated = true;
		/* at the first scan old generations are not missed ones */
		if (f != NULL || (t != NULL && s->looked_ns != 0))
			find_missed(s, f, t);
		break;
	}
	stranger_close(&file);
}

/* No glob names it any more: deleted, renamed, or its file system is gone. */
static void
miss(struct file_set *s, struct tail *t)
{
	if (t->replaced || t->spec == NULL) /* dead ones too */
		return;
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
	struct scan q = { .set = s };
	struct tail *t, *next;
	int64_t began_ns = timestamp_now() - clock_tick_ns;
	bool added = false;

	s->scan_soon = false;
	s->scan_id++;
	s->scanned_ns = loop_now();
	collect(&q);
	for (size_t i = 0; i < q.n; i++) {
		struct file_id id = id_of(&q.found[i].st);

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
		struct file_id id = id_of(&q.found[i].st);

		if (file_set_find(s, &id) == NULL)
			meet_stranger(s, &q.found[i]);
		free(q.found[i].path);
	}
	free(q.found);
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
	find_missed(s, t, n);
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
