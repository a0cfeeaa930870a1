/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/roles/opener_stat.h"
#include "buf.h"
#include "xalloc.h"

enum {
	NAMES_BYTES_MAX = WALK_NAMES_MAX * 64,
	ATTRS_MAX = 65536 /* bytes: what the kernel gives at most */
};

/* One open folder on the way down. */
struct frame {
	int fd;
	size_t path_len; /* of the walk's path: this folder's part */
	uint64_t dev, ino;
	char *names; /* one after the other, each with its NUL */
	uint32_t *order;
	size_t n, at;
};

struct opener_walk {
	const struct opener_walk_options *options;
	char **roots; /* sorted, none within another */
	size_t n_roots, root_at;
	struct frame *frames;
	size_t depth;
	uint64_t too_long;
	char path[WALK_PATH_MAX + NAME_MAX + 2];
};

int
opener_path_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		unsigned char x = (unsigned char)a.ptr[i];
		unsigned char y = (unsigned char)b.ptr[i];

		if (x != y) {
			x = x == '/' ? 0 : x;
			y = y == '/' ? 0 : y;
			return x < y ? -1 : 1;
		}
	}
	return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

bool
opener_path_within(struct slice path, struct slice folder)
{
	if (folder.len == 1 && folder.ptr[0] == '/')
		return path.len > 0 && path.ptr[0] == '/';
	return path.len >= folder.len &&
	    memcmp(path.ptr, folder.ptr, folder.len) == 0 &&
	    (path.len == folder.len || path.ptr[folder.len] == '/');
}

bool
opener_path_matches(const char *const *patterns, size_t n, const char *path)
{
	const char *base = strrchr(path, '/');

	base = base == NULL ? path : base + 1;
	for (size_t i = 0; i < n; i++) {
		if (fnmatch(patterns[i], path, FNM_PATHNAME) == 0 ||
		    fnmatch(patterns[i], base, 0) == 0)
			return true;
	}
	return false;
}

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static int
by_path(const void *a, const void *b)
{
	return opener_path_cmp(text_of(*(char *const *)a),
	    text_of(*(char *const *)b));
}

static void
add_root(struct opener_walk *w, const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len > WALK_PATH_MAX)
		return;
	w->roots = xreallocarray(w->roots, w->n_roots + 1, sizeof(char *));
	w->roots[w->n_roots++] = xmemdupz(path, len);
}

static void
expand(struct opener_walk *w, const char *pattern)
{
	glob_t found = { 0 };

	if (w->options->literal) {
		add_root(w, pattern);
		return;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no tilde, no user data base */
	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_root(w, found.gl_pathv[i]);
	}
	globfree(&found);
}

struct opener_walk *
opener_walk_begin(struct opener *o, const struct opener_walk_options *options)
{
	struct opener_walk *w = xzalloc(sizeof(*w));
	size_t kept = 0;

	(void)o;
	w->options = options;
	w->frames = xcalloc(WALK_DEPTH_MAX, sizeof(*w->frames));
	for (size_t i = 0; i < options->n_patterns; i++)
		expand(w, options->patterns[i]);
	if (w->n_roots > 1)
		qsort(w->roots, w->n_roots, sizeof(char *), by_path);
	for (size_t i = 0; i < w->n_roots; i++) {
		if (kept > 0 &&
		    opener_path_within(text_of(w->roots[i]),
			text_of(w->roots[kept - 1])) &&
		    (!options->flat ||
			strcmp(w->roots[i], w->roots[kept - 1]) == 0))
			free(w->roots[i]);
		else
			w->roots[kept++] = w->roots[i];
	}
	w->n_roots = kept;
	return w;
}

static int
by_name(const void *a, const void *b, void *names)
{
	const char *base = names;

	return strcmp(base + *(const uint32_t *)a, base + *(const uint32_t *)b);
}

/* All names of the folder, sorted; 0, or errno and what was read till then. */
static int
read_names(DIR *d, struct frame *f)
{
	struct buf names;
	struct dirent *entry;
	size_t cap = 0;
	int error = 0;

	buf_init(&names, NAMES_BYTES_MAX);
	for (errno = 0; error == 0; errno = 0) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): ours alone */
		entry = readdir(d);
		if (entry == NULL) {
			error = errno;
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (f->n == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			f->order =
			    xreallocarray(f->order, cap, sizeof(*f->order));
		}
		f->order[f->n] = (uint32_t)names.len;
		if (f->n >= WALK_NAMES_MAX ||
		    !buf_add(&names, entry->d_name, strlen(entry->d_name) + 1))
			error = E2BIG;
		else
			f->n++;
	}
	f->names = names.ptr;
	if (f->n > 1)
		qsort_r(f->order, f->n, sizeof(*f->order), by_name, f->names);
	return error;
}

/* Made by the kernel for its own talk: nothing in there is a file. */
static bool
kernel_talk(int fd)
{
	static const long magics[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,
		CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
		DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC,
		PSTOREFS_MAGIC, EFIVARFS_MAGIC, BINFMTFS_MAGIC, NSFS_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if ((long)fs.f_type == magics[i])
			return true;
	}
	return false;
}

static bool
within_itself(const struct opener_walk *w, const struct opener_stat *st)
{
	for (size_t i = 0; i < w->depth; i++) {
		if (w->frames[i].dev == st->dev && w->frames[i].ino == st->ino)
			return true;
	}
	return false;
}

/* Opens the folder at the end of w->path; what it holds comes next. */
static int
descend(struct opener_walk *w, int parent, const char *name, bool link,
    const struct opener_stat *st)
{
	struct frame *f = &w->frames[w->depth];
	int fd, copy, error;
	DIR *d;

	if (within_itself(w, st))
		return ELOOP;
	if (w->depth == WALK_DEPTH_MAX)
		return ENAMETOOLONG;
	fd = openat(parent, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK |
		(link ? 0 : O_NOFOLLOW));
	if (fd == -1)
		return errno;
	if (st->mount_root && w->depth > 0 && kernel_talk(fd)) {
		(void)close(fd);
		return 0;
	}
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	d = copy == -1 ? NULL : fdopendir(copy);
	if (d == NULL) {
		error = errno;
		(void)close(fd);
		if (copy != -1)
			(void)close(copy);
		return error;
	}
	*f = (struct frame){ .fd = fd,
		.path_len = strlen(w->path),
		.dev = st->dev,
		.ino = st->ino };
	error = read_names(d, f);
	(void)closedir(d);
	w->depth++;
	return error;
}

static void
leave(struct opener_walk *w)
{
	struct frame *f = &w->frames[--w->depth];

	(void)close(f->fd);
	free(f->names);
	free(f->order);
}

static struct slice
link_target(int parent, const char *name, struct arena *arena)
{
	char target[WALK_TARGET_MAX + 1];
	ssize_t n = readlinkat(parent, name, target, sizeof(target));

	if (n < 0)
		return (struct slice){ NULL, 0 };
	return arena_copy(arena, (struct slice){ target, (size_t)n });
}

/* The node at w->path, seen as `name` of `parent`; false: not there. */
static bool
visit(struct opener_walk *w, int parent, const char *name, struct arena *arena,
    struct opener_node *node)
{
	bool root = w->depth == 0;
	struct opener_stat behind;

	*node = (struct opener_node){ .path_len = strlen(w->path) };
	if (!opener_stat_at(parent, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		&node->st)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return false;
		node->error = errno;
	}
	node->path =
	    arena_copy(arena, (struct slice){ w->path, node->path_len + 1 })
		.ptr;
	if (node->error != 0)
		return true;
	if (S_ISLNK(node->st.mode)) {
		node->target = link_target(parent, name, arena);
		if (root && !w->options->flat &&
		    opener_stat_at(parent, name, 0, &behind) &&
		    S_ISDIR(behind.mode))
			node->error = descend(w, parent, name, true, &behind);
	} else if (S_ISDIR(node->st.mode) && !w->options->flat) {
		node->error = descend(w, parent, name, false, &node->st);
	}
	/* gone between the two looks: what is below is gone too */
	if (node->error == ENOENT)
		node->error = 0;
	return true;
}

static bool
next_root(struct opener_walk *w, struct arena *arena, struct opener_node *node)
{
	(void)snprintf(w->path, sizeof(w->path), "%s", w->roots[w->root_at++]);
	if (opener_path_matches(w->options->exclude, w->options->n_exclude,
		w->path))
		return false;
	return visit(w, AT_FDCWD, w->path, arena, node);
}

static bool
next_name(struct opener_walk *w, struct arena *arena, struct opener_node *node)
{
	struct frame *f = &w->frames[w->depth - 1];
	const char *name;
	size_t len;

	if (f->at == f->n) {
		leave(w);
		return false;
	}
	name = f->names + f->order[f->at++];
	len = f->path_len == 1 ? 0 : f->path_len; /* "/" */
	(void)snprintf(w->path + len, sizeof(w->path) - len, "/%s", name);
	if (opener_path_matches(w->options->exclude, w->options->n_exclude,
		w->path))
		return false;
	if (strlen(w->path) > WALK_PATH_MAX) {
		w->too_long++;
		return false;
	}
	return visit(w, f->fd, name, arena, node);
}

uint64_t
opener_walk_too_long(const struct opener_walk *w)
{
	return w->too_long;
}

size_t
opener_walk_next(struct opener_walk *w, struct arena *arena,
    struct opener_node *nodes, size_t max)
{
	size_t n = 0;

	while (n < max) {
		if (w->depth > 0)
			n += next_name(w, arena, &nodes[n]);
		else if (w->root_at < w->n_roots)
			n += next_root(w, arena, &nodes[n]);
		else
			break;
	}
	return n;
}

const char *const *
opener_walk_roots(const struct opener_walk *w, size_t *n)
{
	*n = w->n_roots;
	return (const char *const *)w->roots;
}

void
opener_walk_end(struct opener_walk *w)
{
	if (w == NULL)
		return;
	while (w->depth > 0)
		leave(w);
	for (size_t i = 0; i < w->n_roots; i++)
		free(w->roots[i]);
	free(w->roots);
	free(w->frames);
	free(w);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
add_attr(const char *path, int fd, const char *name, struct buf *out)
{
	static const char overlay[] = "trusted.overlay.";
	char value[ATTRS_MAX];
	ssize_t n;

	if (strncmp(name, overlay, sizeof(overlay) - 1) == 0)
		return true;
	n = fd == -1 ? lgetxattr(path, name, value, sizeof(value))
		     : fgetxattr(fd, name, value, sizeof(value));
	if (n < 0)
		return errno == ENODATA;
	return buf_add(out, name, strlen(name) + 1) &&
	    buf_add_u32be(out, (uint32_t)n) && buf_add(out, value, (size_t)n);
}

bool
opener_xattrs(struct opener *o, const char *path, int fd, struct buf *out)
{
	char list[ATTRS_MAX];
	ssize_t n = fd == -1 ? llistxattr(path, list, sizeof(list))
			     : flistxattr(fd, list, sizeof(list));
	const char **names;
	size_t count = 0;
	bool whole = true;

	(void)o;
	if (n <= 0)
		return n == 0 || errno == ENOTSUP;
	names = xcalloc((size_t)n, sizeof(*names));
	for (const char *at = list; at < list + n; at += strlen(at) + 1)
		names[count++] = at;
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++)
		whole = add_attr(path, fd, names[i], out) && whole;
	free(names);
	return whole;
}
