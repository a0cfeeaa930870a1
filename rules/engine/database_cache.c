/* SPDX-License-Identifier: Apache-2.0 */
#include "database_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_folder.h"
#include "xalloc.h"

enum {
	FORMAT = 1, /* another one of anything below needs another number */
	ENTRIES_MAX = 1 << 16,
	DATABASE_MAX = 64 << 20,
	NAME_BYTES = 16, /* of the set's digest, in the file's name */
	NAME_TEXT = 2 * NAME_BYTES,
};

static const char magic[8] = "kuzethdb";
static const char suffix[] = CACHE_SUFFIX;

/* The file begins with one; written last, so a torn file has none. */
struct head {
	char magic[8];
	uint32_t format;
	uint32_t n; /* entries */
	uint64_t index_at;
	uint64_t size; /* of the file */
	uint8_t index_digest[SHA256_BYTES];
};

/* The index, at the file's end. */
struct entry {
	uint8_t key[SHA256_BYTES];
	uint8_t digest[SHA256_BYTES]; /* of its bytes */
	uint64_t at;                  /* the database, then its notes */
	uint32_t len;                 /* of the database; 0: there is none */
	uint32_t n_notes;
};

/* A database in use. */
struct used {
	uint8_t key[SHA256_BYTES];
	const hs_database_t *db; /* borrowed */
	uint8_t *notes;
	uint32_t n_notes;
};

struct database_cache {
	const char *path; /* borrowed; NULL: no cache */
	int folder;       /* -1: it is not there, or not ours */
	char name[NAME_TEXT + sizeof(suffix)];

	int file;              /* -1: none */
	bool own;              /* the set's, not its predecessor's */
	struct entry *entries; /* by key */
	uint32_t n_entries;

	struct used *used;
	uint32_t n_used, cap_used;
	uint32_t found, made;
};

/* ---- reading ------------------------------------------------------------ */

static bool
read_at(int fd, void *out, size_t n, uint64_t at)
{
	char *to = out;

	while (n > 0) {
		ssize_t got = pread(fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

static bool
is_digest(const void *bytes, size_t n, const uint8_t digest[SHA256_BYTES])
{
	uint8_t is[SHA256_BYTES];

	sha256_of((struct slice){ bytes, n }, is);
	return memcmp(is, digest, SHA256_BYTES) == 0;
}

static bool
is_head(const struct head *head, const struct stat *st)
{
	return memcmp(head->magic, magic, sizeof(magic)) == 0 &&
	    head->format == FORMAT && head->n <= ENTRIES_MAX &&
	    head->size == (uint64_t)st->st_size &&
	    head->size <= CACHE_BYTES_MAX && head->index_at <= head->size &&
	    head->size - head->index_at == head->n * sizeof(struct entry);
}

static bool
are_entries(const struct entry *entries, const struct head *head)
{
	for (uint32_t i = 0; i < head->n; i++) {
		const struct entry *e = &entries[i];

		if (e->len > DATABASE_MAX || e->at > head->index_at ||
		    head->index_at - e->at < (uint64_t)e->len + e->n_notes)
			return false;
		if (i > 0 && memcmp(e[-1].key, e->key, SHA256_BYTES) >= 0)
			return false;
	}
	return true;
}

static bool
read_index(struct database_cache *c)
{
	struct head head;
	struct stat st;

	if (fstat(c->file, &st) != 0 || !S_ISREG(st.st_mode) ||
	    !cache_is_ours(&st) || !read_at(c->file, &head, sizeof(head), 0) ||
	    !is_head(&head, &st))
		return false;
	c->entries = xcalloc(head.n + 1, sizeof(c->entries[0]));
	c->n_entries = head.n;
	return read_at(c->file, c->entries, head.n * sizeof(c->entries[0]),
		   head.index_at) &&
	    is_digest(c->entries, head.n * sizeof(c->entries[0]),
		head.index_digest) &&
	    are_entries(c->entries, &head);
}

static bool
open_file(struct database_cache *c, const char *name)
{
	c->file = openat(c->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (c->file == -1)
		return false;
	if (read_index(c))
		return true;
	(void)close(c->file);
	c->file = -1;
	free(c->entries);
	c->entries = NULL;
	c->n_entries = 0;
	return false;
}

static void
open_newest(struct database_cache *c)
{
	size_t n;
	struct cache_file *list =
	    cache_folder_list(c->folder, CACHE_SUFFIX, &n);

	for (size_t i = 0; i < n && i < CACHE_FILES_MAX; i++)
		if (open_file(c, list[i].name))
			break;
	free(list);
}

struct database_cache *
database_cache_open(const char *folder, const uint8_t name[SHA256_BYTES])
{
	struct database_cache *c = xzalloc(sizeof(*c));

	c->folder = c->file = -1;
	hex_text(name, NAME_BYTES, c->name);
	memcpy(c->name + NAME_TEXT, suffix, sizeof(suffix));
	c->path = folder;
	if (folder == NULL)
		return c;
	c->folder = cache_folder_open(folder);
	if (c->folder == -1)
		return c;
	c->own = open_file(c, c->name);
	if (c->own) /* it is the newest now */
		(void)futimens(c->file, NULL);
	else
		open_newest(c);
	return c;
}

void
database_cache_free(struct database_cache *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n_used; i++)
		free(c->used[i].notes);
	free(c->used);
	free(c->entries);
	if (c->file != -1)
		(void)close(c->file);
	if (c->folder != -1)
		(void)close(c->folder);
	free(c);
}

/* ---- databases ---------------------------------------------------------- */

static void
add_platform(struct sha256 *h)
{
	hs_platform_info_t platform = { 0 };
	const char *version = hs_version();

	(void)hs_populate_platform(&platform);
	sha256_add(h, version, strlen(version) + 1);
	sha256_add(h, &platform.tune, sizeof(platform.tune));
	sha256_add(h, &platform.cpu_features, sizeof(platform.cpu_features));
}

void
database_cache_key(const struct database_patterns *p, uint8_t out[SHA256_BYTES])
{
	struct sha256 *h = sha256_new();

	add_platform(h);
	sha256_add(h, &p->kind, sizeof(p->kind));
	sha256_add(h, &p->n, sizeof(p->n));
	for (uint32_t i = 0; i < p->n; i++) {
		uint64_t len = p->lens[i];

		sha256_add(h, &p->flags[i], sizeof(p->flags[i]));
		sha256_add(h, &len, sizeof(len));
		sha256_add(h, p->texts[i], p->lens[i]);
	}
	sha256_done(h, out);
	sha256_free(h);
}

static void
add_used(struct database_cache *c, const uint8_t key[SHA256_BYTES],
    const hs_database_t *db, const uint8_t *notes, uint32_t n)
{
	struct used *u;

	if (c->n_used == c->cap_used) {
		c->cap_used = c->cap_used == 0 ? 256 : 2 * c->cap_used;
		c->used =
		    xreallocarray(c->used, c->cap_used, sizeof(c->used[0]));
	}
	u = &c->used[c->n_used++];
	*u = (struct used){ .db = db, .n_notes = n };
	memcpy(u->key, key, SHA256_BYTES);
	u->notes = (uint8_t *)xmemdupz(n > 0 ? (const void *)notes : "", n);
}

static int
by_key(const void *key, const void *entry)
{
	return memcmp(key, ((const struct entry *)entry)->key, SHA256_BYTES);
}

/* Its bytes, malloc'ed, or NULL. */
static char *
read_entry(const struct database_cache *c, const struct entry *e)
{
	size_t n = (size_t)e->len + e->n_notes;
	char *bytes = xcalloc(n + 1, 1);

	if (read_at(c->file, bytes, n, e->at) && is_digest(bytes, n, e->digest))
		return bytes;
	free(bytes);
	return NULL;
}

bool
database_cache_get(struct database_cache *c, const uint8_t key[SHA256_BYTES],
    hs_database_t **db, uint8_t *notes, uint32_t n)
{
	const struct entry *e = NULL;
	char *bytes;
	bool ok;

	*db = NULL;
	if (c != NULL && c->n_entries > 0)
		e = bsearch(key, c->entries, c->n_entries, sizeof(*e), by_key);
	if (e == NULL || e->n_notes != n)
		return false;
	bytes = read_entry(c, e);
	if (bytes == NULL)
		return false;
	ok = e->len == 0 ||
	    hs_deserialize_database(bytes, e->len, db) == HS_SUCCESS;
	if (ok) {
		if (n > 0)
			memcpy(notes, bytes + e->len, n);
		add_used(c, key, *db, notes, n);
		c->found++;
	}
	free(bytes);
	return ok;
}

void
database_cache_put(struct database_cache *c, const uint8_t key[SHA256_BYTES],
    const hs_database_t *db, const uint8_t *notes, uint32_t n)
{
	if (c == NULL)
		return;
	add_used(c, key, db, notes, n);
	c->made++;
}

void
database_cache_counts(const struct database_cache *c, uint32_t *found,
    uint32_t *made)
{
	*found = c->found;
	*made = c->made;
}

/* ---- writing ------------------------------------------------------------ */

struct writing {
	int fd;
	uint64_t at;
	struct entry *entries;
	uint32_t n;
};

static bool
write_at(int fd, const void *bytes, size_t n, uint64_t at)
{
	const char *from = bytes;

	while (n > 0) {
		ssize_t put = pwrite(fd, from, n, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		from += put;
		at += (uint64_t)put;
		n -= (size_t)put;
	}
	return true;
}

/* False: it cannot be written.  One that is too large is left out. */
static bool
write_database(struct writing *w, const struct used *u)
{
	struct entry *e = &w->entries[w->n];
	char *bytes = NULL;
	size_t len = 0;
	bool ok;

	if (u->db != NULL &&
	    hs_serialize_database(u->db, &bytes, &len) != HS_SUCCESS)
		return true;
	if (len > DATABASE_MAX) {
		free(bytes);
		return true;
	}
	bytes = xreallocarray(bytes, len + u->n_notes + 1, 1);
	memcpy(bytes + len, u->notes, u->n_notes);
	*e = (struct entry){
		.at = w->at,
		.len = (uint32_t)len,
		.n_notes = u->n_notes,
	};
	memcpy(e->key, u->key, SHA256_BYTES);
	sha256_of((struct slice){ bytes, len + u->n_notes }, e->digest);
	ok = write_at(w->fd, bytes, len + u->n_notes, w->at);
	w->at += len + u->n_notes;
	w->n++;
	free(bytes);
	return ok;
}

static bool
write_index(struct writing *w)
{
	size_t bytes = w->n * sizeof(w->entries[0]);
	struct head head = {
		.format = FORMAT,
		.n = w->n,
		.index_at = w->at,
		.size = w->at + bytes,
	};

	memcpy(head.magic, magic, sizeof(magic));
	sha256_of((struct slice){ (const char *)w->entries, bytes },
	    head.index_digest);
	return write_at(w->fd, w->entries, bytes, w->at) &&
	    write_at(w->fd, &head, sizeof(head), 0);
}

static bool
write_file(const struct database_cache *c, int fd)
{
	struct writing w = { .fd = fd, .at = sizeof(struct head) };
	bool ok = true;

	w.entries = xcalloc(c->n_used + 1, sizeof(w.entries[0]));
	for (uint32_t i = 0; ok && i < c->n_used; i++)
		ok = write_database(&w, &c->used[i]);
	ok = ok && write_index(&w);
	free(w.entries);
	return ok;
}

static int
by_used_key(const void *a, const void *b)
{
	return memcmp(((const struct used *)a)->key,
	    ((const struct used *)b)->key, SHA256_BYTES);
}

/* Sorts what is used; two fields may have the same patterns. */
static void
drop_doubles(struct database_cache *c)
{
	uint32_t kept = 0;

	if (c->n_used > 1)
		qsort(c->used, c->n_used, sizeof(c->used[0]), by_used_key);
	for (uint32_t i = 0; i < c->n_used; i++) {
		if (kept > 0 &&
		    by_used_key(&c->used[kept - 1], &c->used[i]) == 0)
			free(c->used[i].notes);
		else
			c->used[kept++] = c->used[i];
	}
	c->n_used = kept;
}

enum rc
database_cache_save(struct database_cache *c, struct error *err)
{
	char name[sizeof(c->name) + 32];
	bool ok;
	int fd;

	drop_doubles(c);
	if (c->path == NULL || c->n_used == 0 || c->n_used > ENTRIES_MAX ||
	    (c->own && c->made == 0 && c->n_used == c->n_entries))
		return RC_OK;
	if (c->folder == -1) {
		cache_folder_make(c->path);
		c->folder = cache_folder_open(c->path);
	}
	if (c->folder == -1)
		return error_set_errno(err, errno, "%s", c->path);
	(void)snprintf(name, sizeof(name), "%s.%ld%s", c->name, (long)getpid(),
	    CACHE_TEMPORARY);
	(void)unlinkat(c->folder, name, 0);
	fd = openat(c->folder, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return error_set_errno(err, errno, "%s/%s", c->path, name);
	ok = write_file(c, fd);
	ok = close(fd) == 0 && ok;
	ok = ok && renameat(c->folder, name, c->folder, c->name) == 0;
	if (!ok) {
		(void)error_set_errno(err, errno, "%s/%s", c->path, name);
		(void)unlinkat(c->folder, name, 0);
		return err->code;
	}
	cache_folder_clean(c->folder);
	return RC_OK;
}
