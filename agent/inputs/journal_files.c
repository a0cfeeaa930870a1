/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/journal_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/slurp.h"
#include "agent/roles/opener_notify.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	FOLDERS_MAX = 256, /* watched */
	ID_DIGITS = 32,
	ID_FILE_MAX = 128 * 1024, /* bytes: what slurp() asks room for, twice */
	LOOKS_MAX = 3,
	TRIES_MAX = 16 /* of a file that is refused, before it waits */
};

/* A file has so long to become a journal. */
static const int64_t refused_for_ns = 3 * NS_PER_SEC;
/* Between two looks at names that are watched. */
static const int64_t look_ns = 10 * NS_PER_SEC;

static const char *const of_machine[] = { "/run/log/journal",
	"/var/log/journal" };
static const char *const endings[] = { ".journal", ".journal~" };

struct known {
	uint64_t dev, ino;
	int64_t ctime_ns;
	char *path;
	int64_t refused_ns; /* 0: it was not */
	unsigned tries;
	bool told;
};

struct journal_files {
	struct opener *opener;
	const struct journal_config *config;
	struct opener_notify *notify; /* NULL: there is none */
	bool unwatched;               /* a folder could not be */
	char *folders[FOLDERS_MAX];
	size_t n_folders;
	bool fresh_folder;
	struct known *known; /* beside `at` */
	struct journal_file *at;
	size_t n, cap;
	bool came, went;
	int64_t looked_ns;
};

/* ---- which they are ------------------------------------------------------ */

static bool
ends_as_journal(const char *name)
{
	size_t len = strlen(name), n;

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		n = strlen(endings[i]);
		if (len > n && strcmp(name + len - n, endings[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_id(const char *s)
{
	return strlen(s) == ID_DIGITS &&
	    strspn(s, "0123456789abcdef") == ID_DIGITS;
}

/* A path as a pattern that names it. */
static void
literal(const char *path, char out[PATH_MAX])
{
	size_t n = 0;

	for (; *path != '\0' && n < PATH_MAX - 2; path++) {
		if (strchr("*?[]\\", *path) != NULL)
			out[n++] = '\\';
		out[n++] = *path;
	}
	out[n] = '\0';
}

/* Those of a folder, and of its folder of this name, a pattern. */
static void
folder_patterns(const char *dir, const char *id, journal_pattern_cb *cb,
    void *ctx)
{
	char pattern[2 * PATH_MAX];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		(void)snprintf(pattern, sizeof(pattern), "%s/*%s", dir,
		    endings[i]);
		cb(ctx, pattern);
		if (id[0] == '\0')
			continue;
		(void)snprintf(pattern, sizeof(pattern), "%s/%s/*%s", dir, id,
		    endings[i]);
		cb(ctx, pattern);
	}
}

/* Empty: this machine has none. */
static void
machine_id(struct opener *o, char id[ID_DIGITS + 1])
{
	struct buf text;

	buf_init(&text, ID_FILE_MAX);
	id[0] = '\0';
	if (slurp(o, "/etc/machine-id", &text) && text.len >= ID_DIGITS) {
		memcpy(id, text.ptr, ID_DIGITS);
		id[ID_DIGITS] = '\0';
		if (!is_id(id))
			id[0] = '\0';
	}
	buf_fini(&text);
}

void
journal_patterns(const struct journal_config *config, struct opener *o,
    journal_pattern_cb *cb, void *ctx)
{
	static const char digit[] = "[0-9a-f]";
	char name[PATH_MAX] = "", ids[ID_DIGITS * sizeof(digit)] = "";

	for (size_t i = 0; i < config->n_files; i++) {
		literal(config->files[i], name);
		cb(ctx, name);
	}
	if (config->n_files > 0)
		return;
	if (config->directory != NULL) {
		for (size_t i = 0; i < ID_DIGITS; i++)
			memcpy(ids + i * (sizeof(digit) - 1), digit,
			    sizeof(digit));
		literal(config->directory, name);
		folder_patterns(name, ids, cb, ctx);
		return;
	}
	machine_id(o, ids);
	for (size_t i = 0; i < sizeof(of_machine) / sizeof(of_machine[0]); i++)
		folder_patterns(of_machine[i], ids, cb, ctx);
}

/* ---- word of changes ----------------------------------------------------- */

static void
watch(struct journal_files *f, const char *dir, size_t len)
{
	char *name = xmemdupz(dir, len);
	size_t i = 0;

	/* again, too: it may be another folder of this name by now */
	if (f->notify != NULL && opener_notify_add(f->notify, name) != RC_OK)
		f->unwatched = true;
	while (i < f->n_folders && strcmp(f->folders[i], name) != 0)
		i++;
	if (i < f->n_folders || f->n_folders == FOLDERS_MAX) {
		f->unwatched = f->unwatched || i == FOLDERS_MAX;
		free(name);
		return;
	}
	f->folders[f->n_folders++] = name;
	f->fresh_folder = true;
}

static void
watch_folder_of(struct journal_files *f, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash != NULL)
		watch(f, path, slash == path ? 1 : (size_t)(slash - path));
}

static void
on_pattern_watch(void *ctx, const char *pattern)
{
	struct journal_files *f = ctx;
	const char *slash = strrchr(pattern, '/');
	char dir[PATH_MAX] = "";
	size_t n = 0;

	/* what is no name but a pattern is known by the files found */
	for (; pattern < slash && n < sizeof(dir) - 1; pattern++) {
		if (strchr("*?[", *pattern) != NULL)
			return;
		if (*pattern == '\\' && pattern + 1 < slash)
			pattern++;
		dir[n++] = *pattern;
	}
	watch(f, n == 0 ? "/" : dir, n == 0 ? 1 : n);
}

/* A file that was refused may have become one that can be read. */
static bool
may_be_good(struct journal_files *f, const char *path)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->at[i].refused != 0 && strcmp(f->at[i].path, path) == 0)
			return f->known[i].tries++ < TRIES_MAX;
	}
	return false;
}

static void
on_changed(void *ctx, const struct opener_notice *notice)
{
	struct journal_files *f = ctx;
	bool came = (notice->changes & (NOTIFY_CREATED | NOTIFY_CAME)) != 0;
	const char *name = strrchr(notice->path, '/');

	if (name == NULL)
		return;
	if ((notice->changes & NOTIFY_FOLDER) != 0) {
		if (!came || !is_id(name + 1) || f->config->n_files > 0)
			return;
		watch(f, notice->path, strlen(notice->path));
		f->came = true;
	} else if (!ends_as_journal(name) && f->config->n_files == 0) {
		return;
	} else if (came) {
		f->came = true;
	} else if ((notice->changes & NOTIFY_GONE) != 0) {
		f->went = true;
	} else {
		f->came = f->came || may_be_good(f, notice->path);
	}
}

static void
on_lost(void *ctx)
{
	struct journal_files *f = ctx;

	f->came = true;
}

/* ---- looking ------------------------------------------------------------- */

struct look {
	struct journal_files *of;
	struct known *known;
	size_t n, cap;
};

static void
on_file(void *ctx, const char *path, const struct opener_stat *st)
{
	struct look *l = ctx;

	watch_folder_of(l->of, path);
	for (size_t i = 0; i < l->n; i++) {
		if (l->known[i].ino == st->ino && l->known[i].dev == st->dev)
			return;
	}
	if (l->n == JOURNAL_FILES_MAX)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->known = xreallocarray(l->known, l->cap, sizeof(*l->known));
	}
	l->known[l->n++] = (struct known){ .dev = st->dev,
		.ino = st->ino,
		.ctime_ns = st->ctime_ns,
		.path = xstrdup(path) };
}

static void
on_pattern(void *ctx, const char *pattern)
{
	struct look *l = ctx;
	struct error err;

	/* a folder that cannot be read has no files */
	(void)opener_list(l->of->opener, pattern, on_file, l, &err);
}

static void
look_end(struct look *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->known[i].path);
	free(l->known);
	*l = (struct look){ .of = l->of };
}

/* What came into a folder before it was watched is found by another look. */
static void
look(struct journal_files *f, struct look *l)
{
	*l = (struct look){ .of = f };
	f->unwatched = f->notify == NULL;
	f->looked_ns = loop_now();
	for (int i = 0; i < LOOKS_MAX; i++) {
		f->fresh_folder = false;
		look_end(l);
		journal_patterns(f->config, f->opener, on_pattern_watch, f);
		journal_patterns(f->config, f->opener, on_pattern, l);
		if (!f->fresh_folder)
			return;
	}
}

/* Where it is among those that were opened; f->n: it was not. */
static size_t
known_at(const struct journal_files *f, const struct known *k)
{
	size_t i = 0;

	while (i < f->n &&
	    (f->known[i].ino != k->ino || f->known[i].dev != k->dev))
		i++;
	return i;
}

/* It is new, or was refused and is no longer what it was. */
static bool
is_news(struct journal_files *f, const struct known *k)
{
	size_t at = known_at(f, k);

	if (at == f->n)
		return true;
	f->known[at].tries = 0;
	return f->at[at].refused != 0 && f->known[at].ctime_ns != k->ctime_ns;
}

bool
journal_files_renewed(struct journal_files *f)
{
	if (f->notify != NULL)
		opener_notify_read(f->notify);
	return f->came;
}

bool
journal_files_differ(struct journal_files *f)
{
	struct look l;
	bool differ;

	if (journal_files_renewed(f) || f->went)
		return true;
	if (!f->unwatched && loop_now() - f->looked_ns < look_ns)
		return false;
	look(f, &l);
	differ = l.n != f->n;
	for (size_t i = 0; !differ && i < l.n; i++)
		differ = is_news(f, &l.known[i]);
	look_end(&l);
	return differ;
}

/* ---- opening ------------------------------------------------------------- */

static void
forget(struct journal_files *f)
{
	struct look l = { f, f->known, f->n, f->n };

	journal_files_close(f);
	look_end(&l);
	f->known = NULL;
	f->n = 0;
}

static void
open_one(struct journal_files *f, size_t i)
{
	struct opener_stat st;
	struct error err;

	f->at[i] = (struct journal_file){ .fd = -1, .path = f->known[i].path };
	if (opener_open(f->opener, f->at[i].path, &f->at[i].fd, &st, &err) !=
	    RC_OK) {
		f->at[i].refused = err.code == RC_SYSTEM ? errno : EINVAL;
		return;
	}
	f->known[i].dev = st.dev;
	f->known[i].ino = st.ino;
}

struct journal_file *
journal_files_open(struct journal_files *f, size_t *n)
{
	struct look l;

	/* what comes from here on is found again */
	(void)journal_files_renewed(f);
	f->came = false;
	f->went = false;
	look(f, &l);
	for (size_t i = 0; i < l.n; i++) {
		size_t at = known_at(f, &l.known[i]);

		if (at == f->n)
			continue;
		l.known[i].refused_ns = f->known[at].refused_ns;
		l.known[i].tries = f->known[at].tries;
		l.known[i].told = f->known[at].told;
	}
	forget(f);
	f->known = l.known;
	f->n = l.n;
	f->at = xreallocarray(f->at, f->n + 1, sizeof(*f->at));
	for (size_t i = 0; i < f->n; i++)
		open_one(f, i);
	*n = f->n;
	return f->at;
}

void
journal_files_close(struct journal_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct known *k = &f->known[i];

		if (f->at[i].fd != -1)
			(void)close(f->at[i].fd);
		f->at[i].fd = -1;
		if (f->at[i].refused == 0)
			k->refused_ns = 0;
		else if (k->refused_ns == 0)
			k->refused_ns = loop_now();
	}
}

const struct journal_file *
journal_files_tell(struct journal_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct known *k = &f->known[i];

		if (f->at[i].refused == 0 || k->told ||
		    loop_now() - k->refused_ns < refused_for_ns)
			continue;
		k->told = true;
		return &f->at[i];
	}
	return NULL;
}

int
journal_files_fd(const struct journal_files *f)
{
	return f->notify == NULL ? -1 : opener_notify_fd(f->notify);
}

struct journal_files *
journal_files_new(struct opener *o, const struct journal_config *config)
{
	struct journal_files *f = xzalloc(sizeof(*f));

	f->opener = o;
	f->config = config;
	f->notify = opener_notify_of_logs(o,
	    &(struct opener_notify_events){ .ctx = f,
		.changed = on_changed,
		.lost = on_lost });
	return f;
}

void
journal_files_free(struct journal_files *f)
{
	if (f == NULL)
		return;
	forget(f);
	free(f->at);
	for (size_t i = 0; i < f->n_folders; i++)
		free(f->folders[i]);
	opener_notify_free(f->notify);
	free(f);
}
