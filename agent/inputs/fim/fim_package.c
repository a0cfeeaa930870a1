/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_package.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/rpm_db.h"
#include "agent/inputs/slurp.h"
#include "xalloc.h"

enum {
	LIST_MAX = 32 * 1024 * 1024, /* bytes of one file of dpkg's */
	HEX = MD5_TEXT - 1,
	NAMES_PER_CHANGE = 2, /* "usr/bin/x", and "bin/x" where these are one */
	HASH_BITS = 28, /* two bytes a path, and the number of its shelf */
	LOW_BITS = 16,
	SHELVES = 1 << (HASH_BITS - LOW_BITS),
	RPM_TRIES = 3 /* of a database that changes meanwhile */
};

struct wanted {
	struct slice path; /* without the first '/' */
	struct fim_change *change;
};

/* Which paths the packages name at all: most changes are of none. */
struct fim_packages {
	struct opener *opener;
	char *dir;
	char *rpm_dir;              /* NULL: to be found */
	uint16_t *low;              /* of the paths' hashes, shelf by shelf */
	uint32_t ends[SHELVES];     /* in `low`, of each shelf */
	int64_t info_ns, status_ns; /* when what it was made of changed */
	uint64_t rpm_state;
};

/* Hashes of all paths, while `low` is made. */
struct hashes {
	uint32_t *all;
	size_t n, cap;
};

struct search {
	struct opener *opener;
	struct hashes *index;  /* to be filled; NULL: look for `wanted` */
	struct wanted *wanted; /* sorted */
	size_t n;
	struct buf list;      /* the file being read; of rpm: one path */
	struct slice package; /* of rpm, being read */
};

/* What a package says of a file. */
struct claim {
	struct slice path; /* without the first '/' */
	struct slice package;
	struct slice hex;
	enum rpm_digest algorithm;
	uint32_t mode; /* with its type; 0: it says nothing */
};

static int
by_path(const void *a, const void *b)
{
	const struct slice *x = a, *y = b; /* first members */
	size_t n = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->ptr, y->ptr, n);

	return order != 0      ? order
	    : x->len == y->len ? 0
	    : x->len < y->len  ? -1
			       : 1;
}

static uint32_t
hash_of(struct slice path)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < path.len; i++)
		h = (h ^ (unsigned char)path.ptr[i]) * 16777619u;
	return h >> (32 - HASH_BITS);
}

static int
by_hash(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool
may_be_listed(const struct fim_packages *p, struct slice path)
{
	uint32_t h = hash_of(path), shelf = h >> LOW_BITS;
	uint32_t at = shelf == 0 ? 0 : p->ends[shelf - 1];

	while (at < p->ends[shelf] && p->low[at] != (uint16_t)h)
		at++;
	return at < p->ends[shelf];
}

static void
want(const struct fim_packages *p, struct search *s, struct slice path,
    struct fim_change *c)
{
	if (may_be_listed(p, path))
		s->wanted[s->n++] = (struct wanted){ path, c };
}

/* "/usr/bin/x" is listed as "usr/bin/x", or, before /usr was merged, "bin/x" */
static void
want_change(const struct fim_packages *p, struct search *s,
    struct fim_change *c)
{
	struct slice path = c->after->path;
	static const struct slice usr = SLICE_INIT("usr/");

	path.ptr++;
	path.len--;
	want(p, s, path, c);
	if (path.len > usr.len && memcmp(path.ptr, usr.ptr, usr.len) == 0)
		want(p, s,
		    (struct slice){ path.ptr + usr.len, path.len - usr.len },
		    c);
}

static const struct wanted *
find(const struct search *s, struct slice path)
{
	return bsearch(&path, s->wanted, s->n, sizeof(*s->wanted), by_path);
}

static bool
has_md5(struct search *s, const struct fim_change *c, struct slice hex)
{
	struct opener_stat st;
	struct error err;
	uint8_t digest[MD5_BYTES];
	char text[MD5_TEXT];
	bool same = false;
	int fd;

	if (opener_open_itself(s->opener, c->after->path.ptr, &fd, &st, &err) !=
	    RC_OK)
		return false;
	/* what the event tells is what was read here */
	if (md5_of_fd(fd, digest) && fim_same_stat(&st, &c->after->st)) {
		hex_text(digest, sizeof(digest), text);
		same = hex.len == HEX && memcmp(text, hex.ptr, HEX) == 0;
	}
	(void)close(fd);
	return same;
}

static void
remember(struct hashes *h, struct slice path)
{
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? 4096 : 2 * h->cap;
		h->all = xreallocarray(h->all, h->cap, sizeof(*h->all));
	}
	h->all[h->n++] = hash_of(path);
}

/* Without doubles. */
static void
shelve(struct fim_packages *p, struct hashes *h)
{
	size_t kept = 0;

	if (h->n > 1)
		qsort(h->all, h->n, sizeof(*h->all), by_hash);
	free(p->low);
	p->low = xcalloc(h->n + 1, sizeof(*p->low));
	memset(p->ends, 0, sizeof(p->ends));
	for (size_t i = 0; i < h->n; i++) {
		if (i > 0 && h->all[i] == h->all[i - 1])
			continue;
		p->low[kept++] = (uint16_t)h->all[i];
		p->ends[h->all[i] >> LOW_BITS] = (uint32_t)kept;
	}
	for (size_t i = 1; i < SHELVES; i++) {
		if (p->ends[i] == 0)
			p->ends[i] = p->ends[i - 1];
	}
	p->low = xreallocarray(p->low, kept + 1, sizeof(*p->low));
}

static bool
holds(struct search *s, const struct fim_change *c, const struct claim *claim)
{
	char text[SHA256_TEXT];

	if (claim->mode != 0 && claim->mode != c->after->st.mode)
		return false;
	if (claim->algorithm == RPM_MD5)
		return has_md5(s, c, claim->hex);
	hex_text(c->after->sha256, SHA256_BYTES, text);
	return claim->hex.len == SHA256_TEXT - 1 &&
	    memcmp(text, claim->hex.ptr, claim->hex.len) == 0;
}

static void
listed(struct search *s, const struct claim *claim)
{
	const struct wanted *w = NULL;

	if (s->index != NULL)
		remember(s->index, claim->path);
	else
		w = find(s, claim->path);
	if (w == NULL || w->change->package.verified)
		return;
	w->change->package.owned = true;
	(void)snprintf(w->change->package.name, sizeof(w->change->package.name),
	    "%.*s", SLICE_ARG(claim->package));
	w->change->package.verified = holds(s, w->change, claim);
}

/* As dpkg writes it. */
static void
listed_md5(struct search *s, struct slice path, struct slice md5,
    struct slice package)
{
	const struct claim claim = { path, package, md5, RPM_MD5, 0 };

	listed(s, &claim);
}

/* "0123...cdef  usr/bin/x"; the package is the file's name up to '.' or ':' */
static void
read_md5sums(void *ctx, const char *path, const struct opener_stat *st)
{
	struct search *s = ctx;
	const char *base = strrchr(path, '/') + 1;
	struct slice package = { base, strcspn(base, ":") };
	struct slice rest, line;

	(void)st;
	if (package.len == strlen(base))
		package.len -= sizeof(".md5sums") - 1;
	if (!slurp(s->opener, path, &s->list))
		return;
	for (rest = buf_slice(&s->list); slurp_line(&rest, &line);) {
		if (line.len > HEX + 2)
			listed_md5(s,
			    (struct slice){ line.ptr + HEX + 2,
				line.len - HEX - 2 },
			    (struct slice){ line.ptr, HEX }, package);
	}
}

/* " /etc/hosts 0123...cdef [obsolete]" below "Conffiles:" */
static void
read_conffile(struct search *s, struct slice line, struct slice package)
{
	const char *path = line.ptr + 2, *end = line.ptr + line.len;
	const char *space =
	    line.len < 3 ? NULL : memchr(path, ' ', (size_t)(end - path));

	if (space == NULL || line.ptr[1] != '/' || end - space - 1 < HEX)
		return;
	listed_md5(s, (struct slice){ path, (size_t)(space - path) },
	    (struct slice){ space + 1, HEX }, package);
}

static void
read_status(struct search *s, const char *path)
{
	static const struct slice name = SLICE_INIT("Package: ");
	static const struct slice conffiles = SLICE_INIT("Conffiles:");
	struct slice package = SLICE(""), rest, line;
	bool within = false;

	if (!slurp(s->opener, path, &s->list))
		return;
	for (rest = buf_slice(&s->list); slurp_line(&rest, &line);) {
		if (line.len > name.len &&
		    memcmp(line.ptr, name.ptr, name.len) == 0)
			package = (struct slice){ line.ptr + name.len,
				line.len - name.len };
		if (line.len > 0 && line.ptr[0] != ' ')
			within = slice_eq(line, conffiles);
		else if (within && line.len > 0)
			read_conffile(s, line, package);
	}
}

static void
read_rpm_file(void *ctx, const struct rpm_file *f)
{
	struct search *s = ctx;
	struct claim claim = { .package = s->package,
		.hex = f->digest,
		.algorithm = f->algorithm,
		.mode = f->mode };

	buf_clear(&s->list);
	if (f->dir.len == 0 || f->dir.ptr[0] != '/' ||
	    !buf_add(&s->list, f->dir.ptr + 1, f->dir.len - 1) ||
	    !buf_add_slice(&s->list, f->base))
		return;
	claim.path = buf_slice(&s->list);
	listed(s, &claim);
}

static void
read_rpm_package(void *ctx, const struct rpm_header *h)
{
	struct search *s = ctx;

	if (rpm_header_text(h, RPM_NAME, &s->package))
		(void)rpm_header_files(h, read_rpm_file, s);
}

static const char *
rpm_dir(const struct fim_packages *p)
{
	return p->rpm_dir != NULL ? p->rpm_dir : rpm_db_dir(p->opener);
}

static uint64_t
rpm_state(const struct fim_packages *p)
{
	const char *dir = rpm_dir(p);

	return dir == NULL ? 0 : rpm_db_state(p->opener, dir);
}

/* RC_AGAIN: it changes all the time. */
static enum rc
read_rpm(const struct fim_packages *p, struct search *s)
{
	const char *dir = rpm_dir(p);
	enum rc rc = RC_AGAIN;
	struct error err;

	if (rpm_state(p) == 0)
		return RC_OK; /* there is none */
	for (int i = 0; i < RPM_TRIES && rc == RC_AGAIN; i++)
		rc = rpm_db_each(p->opener, dir, read_rpm_package, s, &err);
	return rc;
}

static enum rc
read_lists(const struct fim_packages *p, struct search *s)
{
	char path[PATH_MAX];
	struct error err;
	enum rc rc;

	buf_init(&s->list, LIST_MAX);
	(void)snprintf(path, sizeof(path), "%s/info/*.md5sums", p->dir);
	(void)opener_list(p->opener, path, read_md5sums, s, &err);
	(void)snprintf(path, sizeof(path), "%s/status", p->dir);
	read_status(s, path);
	rc = read_rpm(p, s);
	buf_fini(&s->list);
	return rc;
}

static int64_t
changed_ns(const struct fim_packages *p, const char *name)
{
	char path[PATH_MAX];
	struct opener_stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	return opener_lstat(p->opener, path, &st) ? st.ctime_ns : 0;
}

bool
fim_packages_prepare(struct fim_packages *p)
{
	struct hashes hashes = { 0 };
	struct search s = { .opener = p->opener, .index = &hashes };
	int64_t info_ns = changed_ns(p, "info");
	int64_t status_ns = changed_ns(p, "status");
	uint64_t state = rpm_state(p);

	if (p->info_ns == info_ns && p->status_ns == status_ns &&
	    p->rpm_state == state)
		return false;
	p->info_ns = info_ns;
	p->status_ns = status_ns;
	p->rpm_state = state;
	if (read_lists(p, &s) == RC_AGAIN)
		p->rpm_state = 0;
	shelve(p, &hashes);
	free(hashes.all);
	return true;
}

struct fim_packages *
fim_packages_new(struct opener *o, const char *dir, const char *rpm_dir)
{
	struct fim_packages *p = xzalloc(sizeof(*p));

	p->opener = o;
	p->dir = xstrdup(dir);
	p->rpm_dir = rpm_dir == NULL ? NULL : xstrdup(rpm_dir);
	p->low = xcalloc(1, sizeof(*p->low));
	return p;
}

void
fim_packages_free(struct fim_packages *p)
{
	if (p == NULL)
		return;
	free(p->low);
	free(p->rpm_dir);
	free(p->dir);
	free(p);
}

void
fim_packages_find(struct fim_packages *p, struct fim_change *changes, size_t n)
{
	struct search s = { .opener = p->opener };

	(void)fim_packages_prepare(p);
	s.wanted = xcalloc(NAMES_PER_CHANGE * n + 1, sizeof(*s.wanted));
	for (size_t i = 0; i < n; i++) {
		if (changes[i].after != NULL &&
		    changes[i].after->content == FIM_HASHED)
			want_change(p, &s, &changes[i]);
	}
	if (s.n > 0) {
		qsort(s.wanted, s.n, sizeof(*s.wanted), by_path);
		(void)read_lists(p, &s);
	}
	free(s.wanted);
}

static bool
rpm_busy(const struct fim_packages *p)
{
	const char *dir = rpm_dir(p);

	return dir != NULL && rpm_db_busy(p->opener, dir);
}

bool
fim_packages_busy(const struct fim_packages *p)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX];
	bool busy;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/lock", p->dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return rpm_busy(p);
	busy = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	(void)close(fd);
	return busy || rpm_busy(p);
}
