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

#include "agent/roles/opener_parts.h"
#include "agent/roles/opener_path.h"
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
	struct opener *opener;
	const struct opener_walk_options *options;
	uint32_t handle;    /* of the opener process's walk; 0: it is over */
	struct buf message; /* its last answer, */
	struct slice rest;  /* and what is left of it */
	char **roots;       /* sorted, none within another */
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

static bool
granted(struct opener *o, const char *path, size_t len)
{
	const struct grants *g = opener_grants(o);
	char *name = xmemdupz(path, len);
	bool good = g == NULL || grants_path(g, name);

	free(name);
	return good;
}

static void
add_root(struct opener_walk *w, const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len > WALK_PATH_MAX)
		return;
	/* what is granted by its name alone: no link of another's led there */
	if (!granted(w->opener, path, len))
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

static void
find_roots(struct opener_walk *w)
{
	const struct opener_walk_options *options = w->options;
	size_t kept = 0;

	for (size_t i = 0; i < options->n_patterns; i++) {
		if (opener_may_look(w->opener, options->patterns[i]))
			expand(w, options->patterns[i]);
	}
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
}

/* ---- in the opener process ----------------------------------------------- */

static void
send_all(struct opener_walk *w, enum wire_op op, const char *const *texts,
    size_t n)
{
	struct wire_request q = { op, w->handle, 0 };
	struct wire_answer a;

	for (size_t i = 0; w->handle != 0 && i < n; i++)
		(void)remote_ask(opener_remote(w->opener), &q, texts[i], &a,
		    NULL, NULL);
}

static void
fetch_roots(struct opener_walk *w)
{
	struct remote *r = opener_remote(w->opener);
	struct opener_node node;
	struct wire_answer a = { .n = 1 };

	while (w->handle != 0 && w->n_roots < a.n) {
		struct wire_request q = { WIRE_ROOTS, w->handle,
			(uint32_t)w->n_roots };
		size_t before = w->n_roots;

		if (remote_ask(r, &q, NULL, &a, &w->message, NULL) != RC_OK)
			return;
		w->rest = buf_slice(&w->message);
		while (wire_node_take(&w->rest, &node) == RC_OK) {
			w->roots = xreallocarray(w->roots, w->n_roots + 1,
			    sizeof(char *));
			w->roots[w->n_roots++] =
			    xmemdupz(node.path, node.path_len);
		}
		if (w->n_roots == before)
			return;
	}
}

static void
begin_remote(struct opener_walk *w)
{
	const struct opener_walk_options *o = w->options;
	struct remote *r = opener_remote(w->opener);
	struct wire_request q = { WIRE_WALK, 0,
		(o->flat ? WIRE_FLAT : 0) | (o->literal ? WIRE_LITERAL : 0) };
	struct wire_answer a;

	buf_init(&w->message, WIRE_MESSAGE_MAX);
	if (remote_ask(r, &q, NULL, &a, NULL, NULL) != RC_OK)
		return;
	w->handle = a.handle;
	send_all(w, WIRE_WALK_PATTERN, o->patterns, o->n_patterns);
	send_all(w, WIRE_WALK_EXCLUDE, o->exclude, o->n_exclude);
	q = (struct wire_request){ WIRE_WALK_BEGIN, w->handle, 0 };
	(void)remote_ask(r, &q, NULL, &a, NULL, NULL);
	fetch_roots(w);
	w->rest = (struct slice){ NULL, 0 };
}

static size_t
next_remote(struct opener_walk *w, struct arena *arena,
    struct opener_node *nodes, size_t max)
{
	struct wire_request q = { WIRE_NEXT, w->handle, 0 };
	struct wire_answer a;
	size_t n = 0;

	while (w->rest.len == 0 && w->handle != 0) {
		(void)remote_ask(opener_remote(w->opener), &q, NULL, &a,
		    &w->message, NULL);
		w->handle = a.handle;
		w->too_long = a.key;
		w->rest = buf_slice(&w->message);
	}
	while (n < max && wire_node_take(&w->rest, &nodes[n]) == RC_OK) {
		struct opener_node *node = &nodes[n++];

		node->path = arena_copy(arena,
		    (struct slice){ node->path, node->path_len + 1 })
				 .ptr;
		if (node->target.ptr != NULL)
			node->target = arena_copy(arena, node->target);
	}
	return n;
}

struct opener_walk *
opener_walk_begin(struct opener *o, const struct opener_walk_options *options)
{
	struct opener_walk *w = xzalloc(sizeof(*w));

	w->opener = o;
	w->options = options;
	if (opener_remote(o) != NULL) {
		begin_remote(w);
		return w;
	}
	w->frames = xcalloc(WALK_DEPTH_MAX, sizeof(*w->frames));
	find_roots(w);
	return w;
}

/* ---- in this process ----------------------------------------------------- */

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

/* What the given path, a link, leads to. */
static int
open_root(struct opener_walk *w)
{
	int fd = opener_fd(w->opener, w->path, true), real, errnum;

	if (fd == -1)
		return -1;
	real = opener_path_reopen(fd, O_DIRECTORY);
	errnum = errno;
	(void)close(fd);
	errno = errnum;
	return real;
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
	fd = link
	    ? open_root(w)
	    : openat(parent, name,
		  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
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
		    opener_stat(w->opener, w->path, &behind) == RC_OK &&
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
	char folder[WALK_PATH_MAX + 2];
	const char *name;
	bool there;
	int parent;

	(void)snprintf(w->path, sizeof(w->path), "%s", w->roots[w->root_at++]);
	if (opener_path_matches(w->options->exclude, w->options->n_exclude,
		w->path))
		return false;
	if (opener_grants(w->opener) == NULL)
		return visit(w, AT_FDCWD, w->path, arena, node);
	name = strrchr(w->path, '/') + 1;
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(name - w->path),
	    w->path);
	parent = opener_way_fd(w->opener, folder);
	if (parent == -1 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	if (parent == -1) {
		*node = (struct opener_node){ .error = errno,
			.path_len = strlen(w->path) };
		node->path = arena_copy(arena,
		    (struct slice){ w->path, node->path_len + 1 })
				 .ptr;
		return true;
	}
	there = visit(w, parent, *name == '\0' ? "." : name, arena, node);
	(void)close(parent);
	return there;
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

	if (opener_remote(w->opener) != NULL)
		return next_remote(w, arena, nodes, max);
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

static void
end_remote(struct opener_walk *w)
{
	struct wire_request q = { WIRE_END, w->handle, 0 };
	struct wire_answer a;

	if (w->handle != 0)
		(void)remote_ask(opener_remote(w->opener), &q, NULL, &a, NULL,
		    NULL);
	buf_fini(&w->message);
}

void
opener_walk_end(struct opener_walk *w)
{
	if (w == NULL)
		return;
	end_remote(w);
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

/* Of a descriptor; of a path itself; of what /proc's name of a descriptor is. */
struct attrs_of {
	int fd; /* -1: */
	const char *path;
	bool behind;
};

static ssize_t
list_attrs(const struct attrs_of *f, char list[ATTRS_MAX])
{
	return f->fd != -1 ? flistxattr(f->fd, list, ATTRS_MAX)
	    : f->behind    ? listxattr(f->path, list, ATTRS_MAX)
			   : llistxattr(f->path, list, ATTRS_MAX);
}

static ssize_t
get_attr(const struct attrs_of *f, const char *name, char value[ATTRS_MAX])
{
	return f->fd != -1 ? fgetxattr(f->fd, name, value, ATTRS_MAX)
	    : f->behind    ? getxattr(f->path, name, value, ATTRS_MAX)
			   : lgetxattr(f->path, name, value, ATTRS_MAX);
}

static bool
add_attr(const struct attrs_of *f, const char *name, struct buf *out)
{
	static const char overlay[] = "trusted.overlay.";
	char value[ATTRS_MAX];
	ssize_t n;

	if (strncmp(name, overlay, sizeof(overlay) - 1) == 0)
		return true;
	n = get_attr(f, name, value);
	if (n < 0)
		return errno == ENODATA;
	return buf_add(out, name, strlen(name) + 1) &&
	    buf_add_u32be(out, (uint32_t)n) && buf_add(out, value, (size_t)n);
}

static bool
add_attrs(const struct attrs_of *f, struct buf *out)
{
	char list[ATTRS_MAX];
	ssize_t n = list_attrs(f, list);
	const char **names;
	size_t count = 0;
	bool whole = true;

	if (n <= 0)
		return n == 0 || errno == ENOTSUP;
	names = xcalloc((size_t)n, sizeof(*names));
	for (const char *at = list; at < list + n; at += strlen(at) + 1)
		names[count++] = at;
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++)
		whole = add_attr(f, names[i], out) && whole;
	free(names);
	return whole;
}

/* "user." ones are read with the right to read the file, which only the opener
 * has; most files have none at all. */
static bool
ask_attrs(struct opener *o, const char *path, int fd, struct buf *out)
{
	struct wire_request q = { .op = WIRE_XATTRS };
	struct wire_answer a;
	struct buf part;
	bool whole;

	if (fd != -1 && flistxattr(fd, NULL, 0) == 0)
		return true;
	buf_init(&part, WIRE_MESSAGE_MAX);
	whole =
	    remote_ask(opener_remote(o), &q, path, &a, &part, NULL) == RC_OK;
	whole = buf_add_slice(out, buf_slice(&part)) && whole;
	buf_fini(&part);
	return whole;
}

bool
opener_xattrs(struct opener *o, const char *path, int fd, struct buf *out)
{
	char name[32];
	bool whole;
	int at;

	if (opener_remote(o) != NULL)
		return ask_attrs(o, path, fd, out);
	if (fd != -1 || opener_grants(o) == NULL)
		return add_attrs(&(struct attrs_of){ fd, path, false }, out);
	at = opener_fd(o, path, false);
	if (at == -1)
		return false;
	/* of what the descriptor is, a link too: nothing behind it is read */
	opener_path_name(at, name);
	whole = add_attrs(&(struct attrs_of){ -1, name, true }, out);
	(void)close(at);
	return whole;
}
