/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/roles/opener_parts.h"
#include "arena.h"
#include "log.h"
#include "xalloc.h"

enum {
	NODES_AT_ONCE = 256,
	BODY_MAX = WIRE_MESSAGE_MAX - (int)sizeof(struct wire_answer),
	PATTERNS_MAX = 65536,          /* of one walk */
	CONFIG_MAX = 16 * 1024 * 1024, /* bytes */
	ARENA_BLOCK = 64 * 1024,
	REFUSALS_SAID = 16 /* then each time there are twice as many */
};

/* What is asked for in pieces. */
struct cursor {
	bool used;
	struct buf names; /* a list's nodes, all of them */
	size_t at;
	/* a walk */
	bool walks;
	struct opener_walk_options options;
	char **patterns, **exclude;
	struct opener_walk *walk; /* NULL: not begun */
	bool over;                /* a walk; of a list: it was cut */
};

struct notify {
	int fd; /* -1: free */
	enum wire_notify kind;
};

struct opener_server {
	struct opener_policy policy;
	pthread_rwlock_t lock;         /* of the grants: held for each answer */
	struct grants *grants;         /* what holds */
	struct grants *before, *fresh; /* while it is not said which one does */
	pthread_mutex_t notify_lock;
	struct notify notifies[WIRE_NOTIFIES_MAX];
	int by_whom; /* fanotify(7), from when it was allowed; -1: none */
	atomic_uint_fast64_t refused;
};

struct opener_client {
	struct opener_server *server;
	struct opener *opener;
	struct cursor cursors[WIRE_CURSORS_MAX]; /* handle - 1 */
	struct arena *arena;
	uint64_t counted; /* of the opener's refusals */
	/* the answer that is being made */
	struct wire_answer answer;
	struct buf body;
	struct wire_fds fds;
};

static enum rc
failed(struct opener_client *c, int errnum)
{
	c->answer.errnum = errnum;
	return RC_SYSTEM;
}

static void
count_refusals(struct opener_client *c, const char *path)
{
	uint64_t now = opener_refused(c->opener), all;

	if (now == c->counted)
		return;
	all = atomic_fetch_add(&c->server->refused, now - c->counted) + now -
	    c->counted;
	c->counted = now;
	if (all <= REFUSALS_SAID || (all & (all - 1)) == 0)
		log_warn("opener: refused, the configuration does not list it, "
			 "or a link of another's leads there: \"%s\" (%llu "
			 "times something)",
		    path, (unsigned long long)all);
}

/* ---- files --------------------------------------------------------------- */

/* -1: none */
static void
give(struct opener_client *c, int fd, bool own)
{
	if (fd == -1)
		return;
	c->fds.at[c->fds.n++] = fd;
	c->fds.own = own;
}

static enum rc
on_open(struct opener_client *c, const struct wire_asked *a)
{
	struct error err;
	int fd;
	enum rc rc = a->request.op == WIRE_OPEN
	    ? opener_open(c->opener, a->path, &fd, &c->answer.st, &err)
	    : opener_open_itself(c->opener, a->path, &fd, &c->answer.st, &err);

	give(c, fd, true);
	return rc == RC_SYSTEM ? failed(c, errno) : rc;
}

static enum rc
on_open_many(struct opener_client *c, const struct wire_asked *a)
{
	struct opener_stat st;
	struct error err;
	int fd;

	for (size_t i = 0; i < a->n_paths; i++) {
		enum rc rc =
		    opener_open_itself(c->opener, a->paths[i], &fd, &st, &err);
		struct wire_opened one = { rc, rc == RC_SYSTEM ? errno : 0 };

		give(c, fd, true);
		(void)buf_add(&c->body, &one, sizeof(one));
		count_refusals(c, a->paths[i]);
	}
	c->answer.n = (uint32_t)a->n_paths;
	return RC_OK;
}

static enum rc
on_socket(struct opener_client *c, const struct wire_asked *a)
{
	struct error err;
	int fd;
	enum rc rc = opener_socket(c->opener, a->path, &fd, &err);

	give(c, fd, true);
	return rc == RC_SYSTEM ? failed(c, errno) : rc;
}

static enum rc
on_stat(struct opener_client *c, const struct wire_asked *a)
{
	bool good = a->request.op == WIRE_STAT
	    ? opener_stat(c->opener, a->path, &c->answer.st) == RC_OK
	    : opener_lstat(c->opener, a->path, &c->answer.st);

	return good ? RC_OK : failed(c, errno);
}

static enum rc
on_xattrs(struct opener_client *c, const struct wire_asked *a)
{
	return opener_xattrs(c->opener, a->path, -1, &c->body)
	    ? RC_OK
	    : failed(c, errno);
}

/* ---- names --------------------------------------------------------------- */

static struct cursor *
cursor_of(struct opener_client *c, const struct wire_asked *a)
{
	uint32_t at = a->request.handle - 1;

	return at < WIRE_CURSORS_MAX && c->cursors[at].used ? &c->cursors[at]
							    : NULL;
}

static struct cursor *
cursor_new(struct opener_client *c)
{
	for (uint32_t i = 0; i < WIRE_CURSORS_MAX; i++) {
		if (c->cursors[i].used)
			continue;
		c->cursors[i] = (struct cursor){ .used = true };
		c->answer.handle = i + 1;
		return &c->cursors[i];
	}
	c->answer.errnum = EMFILE;
	return NULL;
}

static void
free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void
cursor_end(struct cursor *k)
{
	buf_fini(&k->names);
	opener_walk_end(k->walk);
	free_texts(k->patterns, k->options.n_patterns);
	free_texts(k->exclude, k->options.n_exclude);
	*k = (struct cursor){ .used = false };
}

static void
on_name(void *ctx, const char *path, const struct opener_stat *st)
{
	struct cursor *k = ctx;

	(void)wire_node_add(&k->names,
	    &(struct opener_node){ .path = path,
		.path_len = strlen(path),
		.st = *st });
}

/* As many whole nodes of the list as an answer takes. */
static enum rc
give_names(struct opener_client *c, struct cursor *k)
{
	struct slice rest = buf_slice(&k->names), before;
	struct opener_node node;
	bool cut;

	if (k->at > 0) /* an empty list has no bytes to point into */
		rest = (struct slice){ rest.ptr + k->at, rest.len - k->at };
	before = rest;
	while (wire_node_take(&rest, &node) == RC_OK &&
	    buf_add(&c->body, before.ptr, before.len - rest.len)) {
		k->at += before.len - rest.len;
		before = rest;
		c->answer.n++;
	}
	if (k->at < k->names.len)
		return RC_OK;
	cut = k->over;
	c->answer.handle = 0;
	cursor_end(k);
	return cut ? RC_LIMIT : RC_OK;
}

static enum rc
on_names(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_new(c);
	struct error err;
	enum rc rc = RC_OK;

	if (k == NULL)
		return RC_SYSTEM;
	buf_init(&k->names, (size_t)OPENER_PATHS_MAX * WIRE_NODE_MAX);
	if (a->request.op == WIRE_LIST)
		rc = opener_list(c->opener, a->path, on_name, k, &err);
	else
		opener_rotated(c->opener, a->path, on_name, k);
	if (rc == RC_SYSTEM) {
		c->answer.handle = 0;
		cursor_end(k);
		return failed(c, errno);
	}
	k->over = rc == RC_LIMIT;
	return give_names(c, k);
}

static enum rc
give_nodes(struct opener_client *c, struct cursor *k)
{
	struct opener_node node;

	while (!k->over && BODY_MAX - c->body.len >= WIRE_NODE_MAX &&
	    c->answer.n < NODES_AT_ONCE) {
		k->over = opener_walk_next(k->walk, c->arena, &node, 1) == 0;
		if (k->over)
			break;
		(void)wire_node_add(&c->body, &node);
		c->answer.n++;
	}
	c->answer.key = opener_walk_too_long(k->walk);
	c->answer.handle = (uint32_t)(k - c->cursors) + 1;
	if (k->over) {
		c->answer.handle = 0;
		cursor_end(k);
	}
	return RC_OK;
}

static enum rc
on_next(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_of(c, a);

	if (k == NULL || (k->walks && k->walk == NULL))
		return failed(c, EBADF);
	c->answer.handle = a->request.handle;
	return k->walks ? give_nodes(c, k) : give_names(c, k);
}

static enum rc
on_end(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_of(c, a);

	if (k == NULL)
		return failed(c, EBADF);
	cursor_end(k);
	return RC_OK;
}

/* ---- walks --------------------------------------------------------------- */

static enum rc
on_walk(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_new(c);

	if (k == NULL)
		return RC_SYSTEM;
	k->walks = true;
	k->options.flat = (a->request.arg & WIRE_FLAT) != 0;
	k->options.literal = (a->request.arg & WIRE_LITERAL) != 0;
	return RC_OK;
}

static enum rc
on_walk_text(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_of(c, a);
	bool pattern = a->request.op == WIRE_WALK_PATTERN;
	size_t n;
	char ***texts;

	if (k == NULL || !k->walks || k->walk != NULL)
		return failed(c, EBADF);
	n = pattern ? k->options.n_patterns : k->options.n_exclude;
	texts = pattern ? &k->patterns : &k->exclude;
	if (n >= PATTERNS_MAX)
		return failed(c, E2BIG);
	if ((n & (n - 1)) == 0)
		*texts =
		    xreallocarray(*texts, n == 0 ? 1 : 2 * n, sizeof(char *));
	(*texts)[n] = xstrdup(a->path);
	if (pattern)
		k->options.n_patterns++;
	else
		k->options.n_exclude++;
	return RC_OK;
}

static enum rc
on_walk_begin(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_of(c, a);

	if (k == NULL || !k->walks || k->walk != NULL)
		return failed(c, EBADF);
	k->options.patterns = (const char *const *)k->patterns;
	k->options.exclude = (const char *const *)k->exclude;
	k->walk = opener_walk_begin(c->opener, &k->options);
	return RC_OK;
}

static enum rc
on_roots(struct opener_client *c, const struct wire_asked *a)
{
	struct cursor *k = cursor_of(c, a);
	const char *const *roots;
	size_t n;

	if (k == NULL || k->walk == NULL)
		return failed(c, EBADF);
	roots = opener_walk_roots(k->walk, &n);
	for (size_t i = a->request.arg; i < n; i++) {
		if (!wire_node_add(&c->body,
			&(struct opener_node){ .path = roots[i],
			    .path_len = strlen(roots[i]) }))
			break;
	}
	c->answer.n = (uint32_t)n;
	return RC_OK;
}

/* ---- events -------------------------------------------------------------- */

/* Under notify_lock.  fanotify(7) needs CAP_SYS_ADMIN, which is gone by now:
 * there is the one that was opened before. */
static int
open_notify(struct opener_server *s, enum wire_notify *kind)
{
	int fd = s->by_whom;

	if (*kind == WIRE_OF_CHANGES_BY_WHOM && fd != -1) {
		s->by_whom = -1;
		return fd;
	}
	return opener_notify_open(kind);
}

static enum rc
on_notify(struct opener_client *c, const struct wire_asked *a)
{
	struct opener_server *s = c->server;
	enum wire_notify kind = (enum wire_notify)a->request.arg;
	uint32_t i = 0;
	enum rc rc = RC_OK;

	if (a->request.arg > WIRE_OF_CHANGES_BY_WHOM)
		return failed(c, EINVAL);
	(void)pthread_mutex_lock(&s->notify_lock);
	while (i < WIRE_NOTIFIES_MAX && s->notifies[i].fd != -1)
		i++;
	if (i == WIRE_NOTIFIES_MAX) {
		rc = failed(c, EMFILE);
	} else {
		int fd = open_notify(s, &kind);

		give(c, fd, false);
		s->notifies[i] = (struct notify){ fd, kind };
		c->answer.handle = i + 1;
		c->answer.key = kind;
		rc = fd == -1 ? failed(c, errno) : RC_OK;
	}
	(void)pthread_mutex_unlock(&s->notify_lock);
	return rc;
}

static enum rc
on_watch(struct opener_client *c, const struct wire_asked *a)
{
	struct opener_server *s = c->server;
	uint32_t at = a->request.handle - 1;
	enum rc rc;

	(void)pthread_mutex_lock(&s->notify_lock);
	if (at >= WIRE_NOTIFIES_MAX || s->notifies[at].fd == -1)
		rc = failed(c, EBADF);
	else
		rc = opener_mark(c->opener, s->notifies[at].fd,
			 s->notifies[at].kind, a->path, &c->answer.key)
		    ? RC_OK
		    : failed(c, errno);
	(void)pthread_mutex_unlock(&s->notify_lock);
	return rc;
}

/* One that says who is kept for the next: there will be no other. */
static enum rc
on_unnotify(struct opener_client *c, const struct wire_asked *a)
{
	struct opener_server *s = c->server;
	uint32_t at = a->request.handle - 1;
	struct notify *n;

	if (at >= WIRE_NOTIFIES_MAX)
		return failed(c, EBADF);
	(void)pthread_mutex_lock(&s->notify_lock);
	n = &s->notifies[at];
	if (n->kind == WIRE_OF_CHANGES_BY_WHOM && s->by_whom == -1) {
		s->by_whom = n->fd;
		(void)fanotify_mark(n->fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
	} else if (n->fd != -1) {
		(void)close(n->fd);
	}
	*n = (struct notify){ .fd = -1 };
	(void)pthread_mutex_unlock(&s->notify_lock);
	return RC_OK;
}

/* ---- the configuration --------------------------------------------------- */

static int
text_fd(const struct buf *text)
{
	int fd = memfd_create("configuration", MFD_CLOEXEC);

	if (fd != -1 && write(fd, text->ptr, text->len) != (ssize_t)text->len) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

/* Under the lock, for writing. */
static void
settle(struct opener_server *s, bool fresh)
{
	if (s->fresh == NULL)
		return;
	grants_free(s->grants);
	s->grants = fresh ? s->fresh : s->before;
	grants_free(fresh ? s->before : s->fresh);
	s->before = NULL;
	s->fresh = NULL;
}

static enum rc
on_reload(struct opener_client *c, const struct wire_asked *a)
{
	struct opener_server *s = c->server;
	struct grants *fresh = NULL;
	struct error err = { .text = "" };
	struct buf text;
	enum rc rc;

	(void)a;
	buf_init(&text, CONFIG_MAX);
	rc = s->policy.read(s->policy.ctx, &text, &fresh, &err);
	if (rc == RC_OK) {
		give(c, text_fd(&text), true);
		settle(s, false);
		s->before = s->grants;
		s->fresh = fresh;
		s->grants = grants_union(s->before, s->fresh);
	} else {
		(void)buf_add_str(&c->body, err.text);
	}
	buf_fini(&text);
	return rc;
}

static enum rc
on_keep(struct opener_client *c, const struct wire_asked *a)
{
	settle(c->server, a->request.arg != 0);
	return RC_OK;
}

/* ---- answering ----------------------------------------------------------- */

static const struct {
	enum rc (*answer)(struct opener_client *c, const struct wire_asked *a);
	bool writes; /* the grants */
} handlers[WIRE_OPS] = {
	[WIRE_OPEN] = { on_open, false },
	[WIRE_OPEN_ITSELF] = { on_open, false },
	[WIRE_STAT] = { on_stat, false },
	[WIRE_LSTAT] = { on_stat, false },
	[WIRE_XATTRS] = { on_xattrs, false },
	[WIRE_LIST] = { on_names, false },
	[WIRE_ROTATED] = { on_names, false },
	[WIRE_WALK] = { on_walk, false },
	[WIRE_WALK_PATTERN] = { on_walk_text, false },
	[WIRE_WALK_EXCLUDE] = { on_walk_text, false },
	[WIRE_WALK_BEGIN] = { on_walk_begin, false },
	[WIRE_ROOTS] = { on_roots, false },
	[WIRE_NEXT] = { on_next, false },
	[WIRE_END] = { on_end, false },
	[WIRE_NOTIFY] = { on_notify, false },
	[WIRE_WATCH] = { on_watch, false },
	[WIRE_UNNOTIFY] = { on_unnotify, false },
	[WIRE_RELOAD] = { on_reload, true },
	[WIRE_KEEP] = { on_keep, true },
	[WIRE_SOCKET] = { on_socket, false },
	[WIRE_OPEN_MANY] = { on_open_many, false },
};

void
opener_client_answer(struct opener_client *c, struct slice message,
    struct buf *out, struct wire_fds *fds)
{
	struct opener_server *s = c->server;
	struct wire_asked a;

	memset(&c->answer, 0, sizeof(c->answer));
	buf_clear(&c->body);
	c->fds = (struct wire_fds){ .n = 0 };
	c->answer.rc = RC_INVALID;
	if (wire_request_decode(message, &a) == RC_OK) {
		(void)(handlers[a.request.op].writes
			? pthread_rwlock_wrlock(&s->lock)
			: pthread_rwlock_rdlock(&s->lock));
		opener_grant(c->opener, s->grants);
		c->answer.rc = handlers[a.request.op].answer(c, &a);
		count_refusals(c, a.path);
		opener_grant(c->opener, s->grants);
		(void)pthread_rwlock_unlock(&s->lock);
	}
	arena_reset(c->arena);
	c->answer.refused = atomic_load(&s->refused);
	buf_clear(out);
	(void)buf_add(out, &c->answer, sizeof(c->answer));
	(void)buf_add_slice(out, buf_slice(&c->body));
	*fds = c->fds;
}

struct opener_client *
opener_client_new(struct opener_server *s)
{
	struct opener_client *c = xzalloc(sizeof(*c));

	c->server = s;
	c->opener = opener_new_granted();
	c->arena = arena_new(ARENA_BLOCK);
	buf_init(&c->body, BODY_MAX);
	return c;
}

void
opener_client_free(struct opener_client *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < WIRE_CURSORS_MAX; i++)
		cursor_end(&c->cursors[i]);
	opener_free(c->opener);
	arena_free(c->arena);
	buf_fini(&c->body);
	free(c);
}

/* More descriptors under way than the user may have: it is told instead. */
static enum rc
send_answer(int channel, struct buf *out, const struct wire_fds *fds)
{
	const struct slice nothing = { NULL, 0 };
	struct wire_answer a;
	enum rc rc =
	    wire_send(channel, out->ptr, out->len, nothing, fds->at, fds->n);

	if (rc != RC_SYSTEM || fds->n == 0 || errno != ETOOMANYREFS)
		return rc;
	memcpy(&a, out->ptr, sizeof(a));
	a.rc = RC_SYSTEM;
	a.errnum = ETOOMANYREFS;
	return wire_send(channel, &a, sizeof(a), nothing, NULL, 0);
}

static void
serve(struct opener_server *s, int channel)
{
	struct opener_client *c = opener_client_new(s);
	struct wire_fds fds;
	struct buf in, out;
	enum rc rc = RC_OK;
	int fd;

	buf_init(&in, WIRE_MESSAGE_MAX);
	buf_init(&out, WIRE_MESSAGE_MAX);
	while (rc == RC_OK) {
		rc = wire_receive(channel, &in, &fd, 1);
		if (fd != -1)
			(void)close(fd); /* nobody sends us any */
		if (rc == RC_EOF || rc == RC_SYSTEM)
			break;
		opener_client_answer(c, buf_slice(&in), &out, &fds);
		rc = send_answer(channel, &out, &fds);
		wire_fds_close(&fds);
	}
	buf_fini(&in);
	buf_fini(&out);
	opener_client_free(c);
}

struct background {
	struct opener_server *server;
	int channel;
};

static void *
serve_background(void *ctx)
{
	struct background *b = ctx;

	serve(b->server, b->channel);
	_exit(EXIT_SUCCESS); /* the worker is gone */
	return NULL;
}

void
opener_server_run(struct opener_server *s, const int channels[2])
{
	struct background other = { s, channels[1] };
	pthread_t id;

	if (pthread_create(&id, NULL, serve_background, &other) != 0)
		abort(); /* as without memory */
	serve(s, channels[0]);
	_exit(EXIT_SUCCESS);
}

struct opener_server *
opener_server_new(struct grants *g, const struct opener_policy *policy)
{
	struct opener_server *s = xzalloc(sizeof(*s));
	enum wire_notify kind = WIRE_OF_CHANGES_BY_WHOM;

	s->policy = *policy;
	s->grants = g;
	(void)pthread_rwlock_init(&s->lock, NULL);
	(void)pthread_mutex_init(&s->notify_lock, NULL);
	for (size_t i = 0; i < WIRE_NOTIFIES_MAX; i++)
		s->notifies[i].fd = -1;
	s->by_whom = opener_notify_open(&kind);
	if (s->by_whom != -1 && kind != WIRE_OF_CHANGES_BY_WHOM) {
		(void)close(s->by_whom);
		s->by_whom = -1;
	}
	return s;
}

void
opener_server_free(struct opener_server *s)
{
	if (s == NULL)
		return;
	settle(s, false);
	grants_free(s->grants);
	for (size_t i = 0; i < WIRE_NOTIFIES_MAX; i++) {
		if (s->notifies[i].fd != -1)
			(void)close(s->notifies[i].fd);
	}
	if (s->by_whom != -1)
		(void)close(s->by_whom);
	(void)pthread_rwlock_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->notify_lock);
	free(s);
}
