/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opener's promise: whoever owns the worker gets what the configuration
 * lists and nothing else.  The test speaks the protocol itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/confine.h"
#include "agent/roles/opener_parts.h"
#include "agent/roles/opener_path.h"
#include "agent/roles/opener_serve.h"
#include "agent/roles/sandbox.h"
#include "arena.h"
#include "folder.h"
#include "log.h"
#include "tap.h"
#include "xalloc.h"

enum { NOBODY = 65534 };

static char dir[128]; /* DIR/logs is granted, DIR/tree as a tree; DIR/out not */

static const char *
in_dir(const char *name)
{
	static char paths[8][512];
	static size_t at;
	char *path = paths[at++ % 8];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void
put(const char *name, const char *text)
{
	int fd =
	    open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || write(fd, text, strlen(text)) < 0)
		abort();
	(void)close(fd);
}

static void
make_world(void)
{
	static const char *const folders[] = { "", "logs", "tree", "tree/sub",
		"out", "out/deep" };
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread */
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(dir, sizeof(dir), "%s/kuzet-opener-XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(dir) == NULL)
		abort();
	for (size_t i = 1; i < sizeof(folders) / sizeof(folders[0]); i++)
		(void)mkdir(in_dir(folders[i]), 0755);
	put("logs/a.log", "a\n");
	put("logs/a.log.1", "rotated\n");
	put("logs/secret", "no log\n");
	put("tree/file", "t\n");
	put("tree/sub/deep", "d\n");
	put("out/secret", "secret\n");
	put("out/a.log", "of another\n");
	if (mkfifo(in_dir("logs/fifo.log"), 0600) != 0 ||
	    symlink("../out/secret", in_dir("logs/link.log")) != 0 ||
	    symlink("a.log", in_dir("logs/own.log")) != 0 ||
	    symlink("../out", in_dir("tree/up")) != 0)
		abort();
}

/* One that listens; -1: it cannot be made. */
static int
listen_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int folder = open(in_dir("logs"), O_PATH | O_CLOEXEC);

	/* TMPDIR may be longer than sun_path */
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s",
	    folder, name);
	if (fd == -1 || folder == -1 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, 8) != 0)
		abort();
	(void)close(folder);
	return fd;
}

static struct grants *
make_grants(void)
{
	struct grants *g = grants_new();

	(void)grants_add(g, GRANT_LOG, in_dir("logs/*.log"));
	(void)grants_add(g, GRANT_TREE, in_dir("tree"));
	(void)grants_add(g, GRANT_SOCKET, in_dir("logs/sock"));
	return g;
}

/* ---- grants -------------------------------------------------------------- */

static const struct {
	const char *name;
	enum grant_kind kind;
	bool granted;
	const char *pattern, *path;
} grant_cases[] = {
	{ "the file itself", GRANT_FILE, true, "/a/b", "/a/b" },
	{ "another", GRANT_FILE, false, "/a/b", "/a/c" },
	{ "what a star names", GRANT_LOG, true, "/l/*.log", "/l/x.log" },
	{ "no folder by a star", GRANT_LOG, false, "/l/*.log", "/l/d/x.log" },
	{ "no hidden file by a star", GRANT_LOG, false, "/l/*", "/l/.x" },
	{ "no folder above by a star", GRANT_LOG, false, "/l/*/x", "/l/../x" },
	{ "a rotation", GRANT_LOG, true, "/l/x.log", "/l/x.log.1" },
	{ "a packed one", GRANT_LOG, true, "/l/x.log", "/l/x.log.2.gz" },
	{ "a dated one", GRANT_LOG, true, "/l/*.log", "/l/x-20261122.log" },
	{ "a packed and dated one", GRANT_LOG, true, "/l/*.log",
	    "/l/x-20261122.log.gz" },
	{ "no rotation of another", GRANT_LOG, false, "/l/x.log",
	    "/l/y.log.1" },
	{ "no rotation elsewhere", GRANT_LOG, false, "/l/x.log", "/m/x.log.1" },
	{ "no rotation of a mere file", GRANT_FILE, false, "/l/x.log",
	    "/l/x.log.1" },
	{ "the tree itself", GRANT_TREE, true, "/etc", "/etc" },
	{ "below the tree", GRANT_TREE, true, "/etc/", "/etc/a/b/c" },
	{ "beside the tree", GRANT_TREE, false, "/etc", "/etcetera" },
	{ "above the tree", GRANT_TREE, false, "/etc/a", "/etc" },
	{ "out of the tree by ..", GRANT_TREE, false, "/etc", "/etc/../root" },
	{ "out of it by .. at the end", GRANT_TREE, false, "/etc",
	    "/etc/a/.." },
	{ "below trees by a pattern", GRANT_TREE, true, "/srv/*/bin",
	    "/srv/u/bin/x" },
	{ "beside them", GRANT_TREE, false, "/srv/*/bin", "/srv/u/x" },
	{ "everything", GRANT_TREE, true, "/", "/any/where" },
	{ "everything but ..", GRANT_TREE, false, "/", "/any/../where" },
	{ "no relative path", GRANT_TREE, false, "/", "any" },
	{ "no empty path", GRANT_TREE, false, "/", "" },
};

static void
test_grants(void)
{
	for (size_t i = 0; i < sizeof(grant_cases) / sizeof(grant_cases[0]);
	     i++) {
		struct grants *g = grants_new(), *none = grants_new(), *both;

		(void)grants_add(g, grant_cases[i].kind,
		    grant_cases[i].pattern);
		both = grants_union(none, g);
		CHECK(grants_path(g, grant_cases[i].path) ==
			    grant_cases[i].granted &&
			grants_path(both, grant_cases[i].path) ==
			    grant_cases[i].granted,
		    "grants: %s", grant_cases[i].name);
		grants_free(g);
		grants_free(none);
		grants_free(both);
	}
}

/* ---- the protocol, without a socket -------------------------------------- */

struct talk {
	struct opener_server *server;
	struct opener_client *client;
	struct wire_answer answer;
	struct buf out;
	struct wire_fds fds;
	int fd; /* the first of them, or -1 */
};

static enum rc
no_reload(void *ctx, struct buf *text, struct grants **out, struct error *err)
{
	(void)ctx;
	(void)text;
	*out = NULL;
	return error_set(err, RC_INVALID, "a.yaml:3: no");
}

static void
talk_begin(struct talk *t)
{
	*t = (struct talk){ .fd = -1 };
	t->server = opener_server_new(make_grants(),
	    &(struct opener_policy){ .read = no_reload });
	t->client = opener_client_new(t->server);
	buf_init(&t->out, WIRE_MESSAGE_MAX);
}

static void
talk_end(struct talk *t)
{
	wire_fds_close(&t->fds);
	opener_client_free(t->client);
	opener_server_free(t->server);
	buf_fini(&t->out);
}

static void
say(struct talk *t, struct slice message)
{
	wire_fds_close(&t->fds);
	opener_client_answer(t->client, message, &t->out, &t->fds);
	t->fd = t->fds.n > 0 ? t->fds.at[0] : -1;
	memcpy(&t->answer, t->out.ptr, sizeof(t->answer));
}

static enum rc
ask(struct talk *t, enum wire_op op, uint32_t handle, uint32_t arg,
    const char *path)
{
	struct wire_request q = { op, handle, arg };
	struct buf message;

	buf_init(&message, WIRE_MESSAGE_MAX);
	(void)buf_add(&message, &q, sizeof(q));
	(void)buf_add_str(&message, path);
	say(t, buf_slice(&message));
	buf_fini(&message);
	return (enum rc)t->answer.rc;
}

static size_t
nodes_in(const struct talk *t, const char *with)
{
	struct slice rest = { t->out.ptr + sizeof(t->answer),
		t->out.len - sizeof(t->answer) };
	struct opener_node node;
	size_t n = 0;

	while (wire_node_take(&rest, &node) == RC_OK)
		n += with == NULL || strstr(node.path, with) != NULL;
	return n;
}

static const struct {
	const char *name, *path; /* '/' first: as it is, else in the world */
	int errnum;              /* of WIRE_OPEN; 0: RC_OK; -1: RC_INVALID */
	bool counted;
} opens[] = {
	{ "a log", "logs/a.log", 0, false },
	{ "its rotation", "logs/a.log.1", 0, false },
	{ "a link beside it, of the same owner", "logs/own.log", 0, false },
	{ "a file of the tree", "tree/sub/deep", 0, false },
	{ "a fifo", "logs/fifo.log", -1, false },
	{ "a folder", "tree/sub", -1, false },
	{ "a file beside the log", "logs/secret", EACCES, true },
	{ "a file elsewhere", "out/secret", EACCES, true },
	{ "the same by ..", "tree/../out/secret", EACCES, true },
	{ "a log that is not there", "logs/b.log", ENOENT, false },
	{ "/etc/shadow", "/etc/shadow", EACCES, true },
	{ "/etc/shadow by ..", "/etc/../etc/shadow", EACCES, true },
	{ "the opener's memory", "/proc/self/mem", EACCES, true },
	{ "the opener's descriptors", "/proc/self/fd/0", EACCES, true },
	{ "a device", "/dev/sda", EACCES, true },
	{ "a terminal", "/dev/tty", EACCES, true },
	{ "nothing", "", EACCES, true },
};

static void
test_opens(void)
{
	struct talk t;

	talk_begin(&t);
	for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
		const char *path = opens[i].path;
		uint64_t before = t.answer.refused;
		enum rc rc;
		bool right;

		if (path[0] != '/' && path[0] != '\0')
			path = in_dir(path);
		rc = ask(&t, WIRE_OPEN, 0, 0, path);
		right = opens[i].errnum == 0 ? rc == RC_OK && t.fd != -1
		    : opens[i].errnum == -1  ? rc == RC_INVALID && t.fd == -1
					     : rc == RC_SYSTEM && t.fd == -1 &&
			t.answer.errnum == opens[i].errnum;
		CHECK(right && (t.answer.refused > before) == opens[i].counted,
		    "opening %s", opens[i].name);
	}
	talk_end(&t);
}

/* Who can make links in a log folder cannot lead the opener elsewhere; root can,
 * and so can who owns what is behind. */
static void
test_links(void)
{
	struct talk t;
	bool as_root = geteuid() == 0;

	talk_begin(&t);
	if (as_root) {
		CHECK(ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/link.log")) ==
			RC_OK,
		    "root's link leads out of what is granted");
		(void)lchown(in_dir("logs/link.log"), NOBODY, NOBODY);
		CHECK(ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/link.log")) ==
			    RC_SYSTEM &&
			t.answer.errnum == EACCES && t.answer.refused == 1,
		    "a stranger's does not, and is counted");
		CHECK(ask(&t, WIRE_STAT, 0, 0, in_dir("logs/link.log")) ==
			RC_SYSTEM,
		    "nor is anything told about what is behind");
		CHECK(ask(&t, WIRE_LIST, 0, 0, in_dir("logs/*.log")) == RC_OK &&
			nodes_in(&t, "link.log") == 0 &&
			nodes_in(&t, "a.log") == 1,
		    "nor is it in a list");
		(void)chown(in_dir("out/secret"), NOBODY, NOBODY);
		CHECK(ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/link.log")) ==
			RC_OK,
		    "to what is the stranger's own, it does");
		(void)chown(in_dir("out/secret"), 0, 0);
		(void)lchown(in_dir("tree/up"), NOBODY, NOBODY);
		CHECK(ask(&t, WIRE_OPEN, 0, 0, in_dir("tree/up/secret")) ==
			RC_SYSTEM,
		    "a stranger's link on the way does not");
		(void)symlink(in_dir("tree/file"), in_dir("logs/in.log"));
		(void)lchown(in_dir("logs/in.log"), NOBODY, NOBODY);
		CHECK(ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/in.log")) == RC_OK,
		    "to what is granted by its own name, it does");
		(void)unlink(in_dir("logs/in.log"));
		(void)lchown(in_dir("logs/link.log"), 0, 0);
		(void)lchown(in_dir("tree/up"), 0, 0);
	}
	CHECK(ask(&t, WIRE_OPEN_ITSELF, 0, 0, in_dir("logs/own.log")) ==
		    RC_SYSTEM &&
		t.answer.errnum == ELOOP,
	    "no link is opened where the file itself is asked for");
	CHECK(ask(&t, WIRE_LSTAT, 0, 0, in_dir("tree/up")) == RC_OK &&
		S_ISLNK(t.answer.st.mode),
	    "a link in a tree is seen as one");
	talk_end(&t);
}

static void
test_names(void)
{
	struct talk t;

	talk_begin(&t);
	CHECK(ask(&t, WIRE_ROTATED, 0, 0, in_dir("logs/a.log")) == RC_OK &&
		nodes_in(&t, NULL) == 1,
	    "rotations are found beside a log");
	CHECK(ask(&t, WIRE_LIST, 0, 0, in_dir("out/*")) == RC_SYSTEM &&
		t.answer.refused == 1,
	    "no other pattern is looked for");
	CHECK(ask(&t, WIRE_LIST, 0, 0, in_dir("tree/../out/*")) == RC_SYSTEM,
	    "nor one that leaves the tree");
	CHECK(ask(&t, WIRE_ROTATED, 0, 0, in_dir("out/a.log")) == RC_OK &&
		nodes_in(&t, NULL) == 0 && t.answer.refused == 3,
	    "nor rotations elsewhere");
	CHECK(ask(&t, WIRE_NOTIFY, 0, WIRE_OF_LOGS, "") == RC_OK && t.fd != -1,
	    "a descriptor for events");
	CHECK(ask(&t, WIRE_WATCH, t.answer.handle, 0, in_dir("logs")) == RC_OK,
	    "the folder of a log is watched");
	CHECK(ask(&t, WIRE_WATCH, 1, 0, in_dir("out")) == RC_SYSTEM &&
		t.answer.refused == 4,
	    "no other is");
	CHECK(ask(&t, WIRE_UNNOTIFY, 1, 0, "") == RC_OK &&
		ask(&t, WIRE_WATCH, 1, 0, in_dir("logs")) == RC_SYSTEM,
	    "nor any when it is given back");
	talk_end(&t);
}

static size_t
walk_by(struct talk *t, const char *pattern, const char *with)
{
	uint32_t handle;
	size_t n = 0;

	(void)ask(t, WIRE_WALK, 0, 0, "");
	handle = t->answer.handle;
	(void)ask(t, WIRE_WALK_PATTERN, handle, 0, pattern);
	(void)ask(t, WIRE_WALK_BEGIN, handle, 0, "");
	do {
		(void)ask(t, WIRE_NEXT, handle, 0, "");
		n += nodes_in(t, with);
	} while (t->answer.handle != 0);
	return n;
}

static void
test_walks(void)
{
	struct talk t;

	talk_begin(&t);
	CHECK(walk_by(&t, in_dir("tree"), NULL) == 5, "a tree is walked");
	CHECK(walk_by(&t, in_dir("tree"), "secret") == 0,
	    "and no link in it followed");
	CHECK(walk_by(&t, in_dir("out"), NULL) == 0 && t.answer.refused == 1,
	    "another is not");
	CHECK(walk_by(&t, in_dir("tree/../out"), NULL) == 0,
	    "nor by way of the tree");
	CHECK(walk_by(&t, "/*", NULL) == 0, "nor the root's folders");
	CHECK(ask(&t, WIRE_XATTRS, 0, 0, in_dir("out/secret")) == RC_SYSTEM,
	    "no attributes of anything else");
	talk_end(&t);
}

static struct wire_opened
opened_at(const struct talk *t, size_t i)
{
	struct wire_opened one;

	memcpy(&one, t->out.ptr + sizeof(t->answer) + i * sizeof(one),
	    sizeof(one));
	return one;
}

/* All of opens[] by one question, and by one each. */
static void
test_opens_of_many(void)
{
	const size_t n = sizeof(opens) / sizeof(opens[0]);
	struct wire_request q = { .op = WIRE_OPEN_MANY };
	struct talk many, each;
	struct opener_stat a, b;
	struct buf message;
	size_t used = 0;

	buf_init(&message, WIRE_MESSAGE_MAX);
	(void)buf_add(&message, &q, sizeof(q));
	talk_begin(&many);
	talk_begin(&each);
	for (size_t i = 0; i < n; i++) {
		const char *path = opens[i].path;

		if (path[0] != '/' && path[0] != '\0')
			path = in_dir(path);
		(void)buf_add(&message, path, strlen(path) + 1);
	}
	say(&many, buf_slice(&message));
	CHECK(many.answer.rc == RC_OK && many.answer.n == n &&
		many.out.len ==
		    sizeof(many.answer) + n * sizeof(struct wire_opened),
	    "several files are opened by one question");
	for (size_t i = 0; i < n; i++) {
		struct wire_opened one = opened_at(&many, i);
		const char *path = opens[i].path;
		bool right;

		if (path[0] != '/' && path[0] != '\0')
			path = in_dir(path);
		(void)ask(&each, WIRE_OPEN_ITSELF, 0, 0, path);
		right = one.rc == each.answer.rc &&
		    (one.rc != RC_SYSTEM || one.errnum == each.answer.errnum);
		if (one.rc == RC_OK)
			right = right && used < many.fds.n &&
			    opener_stat_fd(many.fds.at[used++], &a) &&
			    opener_stat_fd(each.fd, &b) && a.ino == b.ino;
		CHECK(right, "of several as alone: %s", opens[i].name);
	}
	CHECK(used == many.fds.n && used == 3 &&
		many.answer.refused == each.answer.refused,
	    "no descriptor more, and each refusal is counted");
	talk_end(&many);
	talk_end(&each);
	buf_fini(&message);
}

static void
test_nonsense_of_many(void)
{
	struct wire_request q = { .op = WIRE_OPEN_MANY };
	struct buf message;
	struct talk t;

	talk_begin(&t);
	buf_init(&message, WIRE_MESSAGE_MAX);
	(void)buf_add(&message, &q, sizeof(q));
	say(&t, buf_slice(&message));
	CHECK(t.answer.rc == RC_INVALID, "no path at all");
	(void)buf_add_str(&message, in_dir("tree/file"));
	say(&t, buf_slice(&message));
	CHECK(t.answer.rc == RC_INVALID && t.fds.n == 0,
	    "a path without its end");
	buf_clear(&message);
	(void)buf_add(&message, &q, sizeof(q));
	for (int i = 0; i <= OPENER_MANY; i++)
		(void)buf_add(&message, in_dir("tree/file"),
		    strlen(in_dir("tree/file")) + 1);
	say(&t, buf_slice(&message));
	CHECK(t.answer.rc == RC_INVALID && t.fds.n == 0, "too many paths");
	buf_clear(&message);
	(void)buf_add(&message, &q, sizeof(q));
	(void)buf_add(&message, in_dir("tree/file"),
	    strlen(in_dir("tree/file")) + 1);
	for (int i = 0; i <= WALK_PATH_MAX; i++)
		(void)buf_add_char(&message, '/');
	(void)buf_add_char(&message, '\0');
	say(&t, buf_slice(&message));
	CHECK(t.answer.rc == RC_INVALID && t.fds.n == 0, "too long a path");
	talk_end(&t);
	buf_fini(&message);
}

static void
test_nonsense(void)
{
	static const enum wire_op with_handle[] = { WIRE_NEXT, WIRE_END,
		WIRE_WALK_PATTERN, WIRE_WALK_EXCLUDE, WIRE_WALK_BEGIN,
		WIRE_ROOTS, WIRE_WATCH };
	struct wire_request q = { WIRE_OPS, 0, 0 };
	struct talk t;
	bool refused = true;

	talk_begin(&t);
	for (uint32_t h = 0; h < 3; h++) {
		for (size_t i = 0;
		     i < sizeof(with_handle) / sizeof(with_handle[0]); i++)
			refused =
			    ask(&t, with_handle[i], h == 2 ? UINT32_MAX : h, 0,
				"/x") != RC_OK &&
			    refused;
	}
	CHECK(refused, "handles that nobody gave mean nothing");
	(void)ask(&t, WIRE_WALK, 0, 0, "");
	CHECK(ask(&t, WIRE_NEXT, t.answer.handle, 0, "") == RC_SYSTEM,
	    "a walk that is not begun gives nothing");
	for (int i = 0; i < WIRE_CURSORS_MAX; i++)
		(void)ask(&t, WIRE_WALK, 0, 0, "");
	CHECK(t.answer.rc == RC_SYSTEM && t.answer.errnum == EMFILE,
	    "there is a bound of walks");
	say(&t, (struct slice){ (const char *)&q, sizeof(q) });
	CHECK(t.answer.rc == RC_INVALID, "an unknown request");
	say(&t, (struct slice){ (const char *)&q, 3 });
	CHECK(t.answer.rc == RC_INVALID, "half a request");
	say(&t, SLICE("\1\0\0\0\0\0\0\0\0\0\0\0/etc/\0shadow"));
	CHECK(t.answer.rc == RC_INVALID, "a path with a NUL in it");
	CHECK(ask(&t, WIRE_RELOAD, 0, 0, "") == RC_INVALID &&
		memmem(t.out.ptr, t.out.len, "a.yaml:3", 8) != NULL,
	    "a configuration that is wrong is told, and changes nothing");
	CHECK(ask(&t, WIRE_KEEP, 0, 1, "") == RC_OK &&
		ask(&t, WIRE_OPEN, 0, 0, in_dir("out/secret")) == RC_SYSTEM &&
		ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/a.log")) == RC_OK,
	    "nothing that is said widens what is granted");
	talk_end(&t);
}

/* ---- sockets ------------------------------------------------------------- */

static void
test_sockets(void)
{
	int granted = listen_at("sock"), other = listen_at("other.log");
	struct talk t;

	talk_begin(&t);
	CHECK(ask(&t, WIRE_SOCKET, 0, 0, in_dir("logs/sock")) == RC_OK &&
		t.fd != -1 && write(t.fd, "x", 1) == 1,
	    "the socket that is granted is connected to");
	CHECK(ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/sock")) == RC_INVALID &&
		t.fd == -1,
	    "and not opened as a file");
	CHECK(ask(&t, WIRE_SOCKET, 0, 0, in_dir("logs/other.log")) ==
		    RC_SYSTEM &&
		t.answer.errnum == EACCES && t.answer.refused == 1 &&
		t.fd == -1,
	    "one where a log may be is not, and is counted");
	CHECK(ask(&t, WIRE_SOCKET, 0, 0, in_dir("logs/../logs/sock")) ==
		    RC_SYSTEM &&
		t.answer.refused == 2,
	    "nor by another name");
	(void)close(granted);
	CHECK(ask(&t, WIRE_SOCKET, 0, 0, in_dir("logs/sock")) == RC_SYSTEM &&
		t.answer.errnum == ECONNREFUSED,
	    "where nobody listens it says so");
	(void)unlink(in_dir("logs/sock"));
	CHECK(ask(&t, WIRE_SOCKET, 0, 0, in_dir("logs/sock")) == RC_SYSTEM &&
		t.answer.errnum == ENOENT,
	    "and where there is none");
	put("logs/sock", "");
	CHECK(ask(&t, WIRE_SOCKET, 0, 0, in_dir("logs/sock")) == RC_INVALID,
	    "and where it is a file");
	talk_end(&t);
	(void)close(other);
	(void)unlink(in_dir("logs/sock"));
	(void)unlink(in_dir("logs/other.log"));
}

/* ---- a swapper ----------------------------------------------------------- */

static _Noreturn void
swap_for_ever(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;) {
		(void)symlink(in_dir("out/secret"), in_dir("logs/new"));
		(void)lchown(in_dir("logs/new"), NOBODY, NOBODY);
		(void)rename(in_dir("logs/new"), in_dir("logs/swap.log"));
		(void)link(in_dir("logs/a.log"), in_dir("logs/new"));
		(void)rename(in_dir("logs/new"), in_dir("logs/swap.log"));
		(void)unlink(in_dir("logs/new"));
	}
}

static void
test_swaps(void)
{
	enum { ROUNDS = 3000 };
	struct opener_stat secret;
	struct talk t;
	bool leaked = false;
	size_t got = 0, refused = 0;
	pid_t pid;

	if (geteuid() != 0) {
		(void)printf("# not root: nothing is swapped\n");
		return;
	}
	if (!opener_stat_at(AT_FDCWD, in_dir("out/secret"), 0, &secret))
		abort();
	put("logs/swap.log", "");
	pid = fork();
	if (pid == 0)
		swap_for_ever();
	talk_begin(&t);
	for (int i = 0; i < ROUNDS; i++) {
		struct opener_stat st;
		enum rc rc = ask(&t, WIRE_OPEN, 0, 0, in_dir("logs/swap.log"));

		got += rc == RC_OK;
		refused += rc != RC_OK;
		if (rc == RC_OK &&
		    (!opener_stat_fd(t.fd, &st) || st.ino == secret.ino ||
			t.answer.st.ino == secret.ino))
			leaked = true;
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	CHECK(!leaked, "swapped in between: what is behind is never given");
	(void)printf("# %zu opened, %zu refused\n", got, refused);
	talk_end(&t);
}

/* ---- two processes ------------------------------------------------------- */

struct pair {
	pid_t pid;
	struct loop *loop;
	struct opener *opener;
};

static void
pair_begin(struct pair *p)
{
	int ends[2][2];

	for (size_t i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			ends[i]) != 0)
			abort();
	}
	p->pid = fork();
	if (p->pid == 0) {
		const int mine[2] = { ends[0][1], ends[1][1] };

		(void)close(ends[0][0]);
		(void)close(ends[1][0]);
		opener_server_run(opener_server_new(make_grants(),
				      &(struct opener_policy){
					  .read = no_reload }),
		    mine);
	}
	for (size_t i = 0; i < 2; i++)
		(void)close(ends[i][1]);
	p->loop = loop_new();
	p->opener = opener_connect(p->loop,
	    (const int[2]){ ends[0][0], ends[1][0] }, -1);
}

/* Its status as waitpid(2). */
static int
pair_end(struct pair *p)
{
	int status = -1;

	opener_free(p->opener);
	loop_free(p->loop);
	(void)waitpid(p->pid, &status, 0);
	return status;
}

/* As the agent has it: the opener in its process. */
static void
test_socket_handed_over(void)
{
	int server = listen_at("sock"), fd = -1, theirs;
	char text[8] = "";
	struct error err;
	struct pair p;

	pair_begin(&p);
	CHECK(opener_socket(p.opener, in_dir("logs/sock"), &fd, &err) == RC_OK,
	    "the other process connects");
	theirs = accept(server, NULL, NULL);
	CHECK(write(theirs, "hello", 5) == 5 && read(fd, text, 5) == 5 &&
		strcmp(text, "hello") == 0,
	    "and hands over what is connected");
	(void)close(fd);
	(void)close(theirs);
	CHECK(opener_socket(p.opener, in_dir("out/none"), &fd, &err) ==
		    RC_SYSTEM &&
		fd == -1 && strstr(err.text, "out/none") != NULL,
	    "what is not granted is an error that names it");
	(void)pair_end(&p);
	(void)close(server);
	(void)unlink(in_dir("logs/sock"));
}

static void
collect(void *ctx, const char *path, const struct opener_stat *st)
{
	(void)buf_printf(ctx, "%s %llu\n", path, (unsigned long long)st->ino);
}

static void
walk_text(struct opener *o, struct buf *out)
{
	const char *const pattern = in_dir("tree");
	const struct opener_walk_options options = { .patterns = &pattern,
		.n_patterns = 1 };
	struct opener_walk *w = opener_walk_begin(o, &options);
	struct arena *arena = arena_new(65536);
	struct opener_node nodes[2];
	const char *const *roots;
	size_t n;

	roots = opener_walk_roots(w, &n);
	(void)buf_printf(out, "%zu %s\n", n, roots[0]);
	while ((n = opener_walk_next(w, arena, nodes, 2)) > 0) {
		for (size_t i = 0; i < n; i++)
			(void)buf_printf(out, "%s %o %.*s %d\n", nodes[i].path,
			    nodes[i].st.mode, SLICE_ARG(nodes[i].target),
			    nodes[i].error);
	}
	opener_walk_end(w);
	arena_free(arena);
}

static bool
same_text(struct opener *a, struct opener *b,
    void (*make)(struct opener *o, struct buf *out))
{
	struct buf x, y;
	bool same;

	buf_init(&x, 1 << 20);
	buf_init(&y, 1 << 20);
	make(a, &x);
	make(b, &y);
	same = x.len > 0 && x.len == y.len && memcmp(x.ptr, y.ptr, x.len) == 0;
	buf_fini(&x);
	buf_fini(&y);
	return same;
}

static void
list_text(struct opener *o, struct buf *out)
{
	struct error err;

	/* one name: the order is the folder's */
	(void)opener_list(o, in_dir("logs/a*.log"), collect, out, &err);
	opener_rotated(o, in_dir("logs/a.log"), collect, out);
}

static void
file_text(struct opener *o, struct buf *out)
{
	char text[64] = "";
	struct opener_stat st;
	struct error err;
	int fd;

	if (opener_open(o, in_dir("logs/a.log"), &fd, &st, &err) == RC_OK) {
		(void)buf_printf(out, "%zd %s", read(fd, text, 63), text);
		(void)close(fd);
	}
	(void)buf_printf(out, "%d %d",
	    opener_open(o, in_dir("logs/fifo.log"), &fd, &st, &err),
	    opener_open(o, in_dir("logs/none.log"), &fd, &st, &err));
	(void)buf_printf(out, " %s %d", err.text,
	    opener_stat(o, in_dir("tree/sub"), &st));
	(void)buf_printf(out, " %o %d", st.mode,
	    opener_xattrs(o, in_dir("tree/file"), -1, out));
}

/* DIR/tree///...///NAME, the caller's */
static char *
wide_path(int len, const char *name)
{
	char slashes[WALK_PATH_MAX + 2], *path = xzalloc((size_t)len + 1);
	const char *tree = in_dir("tree");

	memset(slashes, '/', sizeof(slashes));
	(void)snprintf(path, (size_t)len + 1, "%s%.*s%s", tree,
	    len - (int)strlen(tree) - (int)strlen(name), slashes, name);
	return path;
}

static void
many_text(struct opener *o, struct buf *out)
{
	static const char *const names[] = { "tree/file", "logs/fifo.log",
		"logs/none.log", "tree/sub/deep", "logs/own.log" };
	char *paths[OPENER_MANY + 5];
	struct opener_opened files[OPENER_MANY + 5];
	struct opener_stat st = { 0 };
	size_t n = 0;

	/* more than one message takes, and one that is no path */
	for (; n < OPENER_MANY; n++)
		paths[n] = wide_path(n == 7 ? WALK_PATH_MAX + 1 : 4000,
		    n % 4 == 0 ? "file" : "none");
	for (size_t i = 0; i < 5; i++)
		paths[n++] = xstrdup(in_dir(names[i]));
	opener_open_many(o, (const char *const *)paths, n, files);
	for (size_t i = 0; i < n; i++) {
		st.ino = 0;
		(void)opener_stat_fd(files[i].fd, &st);
		(void)buf_printf(out, "%d %d %llu\n", files[i].fd != -1,
		    files[i].errnum, (unsigned long long)st.ino);
		if (files[i].fd != -1)
			(void)close(files[i].fd);
		free(paths[i]);
	}
}

/* This process may have two descriptors more. */
static void
test_no_room_for_descriptors(void)
{
	char *paths[4];
	struct opener_opened files[4];
	struct rlimit before, limit;
	struct pair p;
	int next;

	for (size_t i = 0; i < 4; i++)
		paths[i] = xstrdup(in_dir("tree/file"));
	pair_begin(&p);
	next = dup(0);
	(void)getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = (rlim_t)next + 2;
	(void)close(next);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	opener_open_many(p.opener, (const char *const *)paths, 4, files);
	(void)setrlimit(RLIMIT_NOFILE, &before);
	CHECK(files[0].fd != -1 && files[1].fd != -1 && files[2].fd == -1 &&
		files[2].errnum == EMFILE && files[3].errnum == EMFILE,
	    "what finds no room here is told, the rest is open");
	for (size_t i = 0; i < 4; i++) {
		if (files[i].fd != -1)
			(void)close(files[i].fd);
		free(paths[i]);
	}
	(void)pair_end(&p);
}

static void
test_processes(void)
{
	struct opener *alone = opener_new(NULL);
	struct pair p;
	int status;

	pair_begin(&p);
	CHECK(same_text(alone, p.opener, list_text),
	    "asked or by itself: the same names");
	CHECK(same_text(alone, p.opener, file_text), "the same files");
	CHECK(same_text(alone, p.opener, walk_text), "the same walk");
	CHECK(same_text(alone, p.opener, many_text),
	    "the same of many files at once");
	CHECK(opener_refused(p.opener) == 0, "and nothing of it refused");
	status = pair_end(&p);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "the opener ends when the worker does");
	opener_free(alone);
}

/* Whoever asks a dead opener must not hear "there is nothing". */
static void
test_death(void)
{
	struct opener_stat st;
	struct pair p;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		pair_begin(&p);
		(void)kill(p.pid, SIGKILL);
		(void)waitpid(p.pid, NULL, 0);
		(void)opener_stat(p.opener, in_dir("logs/a.log"), &st);
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE,
	    "the worker ends when the opener is gone");
}

/* ---- the sandbox --------------------------------------------------------- */

static int
opens_for(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), errnum = errno;

	if (fd != -1)
		(void)close(fd);
	return fd == -1 ? errnum : 0;
}

static int
in_sandbox(void)
{
	struct sandbox_paths paths = { .read = { in_dir("logs") },
		.n_read = 1,
		.write = in_dir("tree") };
	struct sandbox_state state;
	struct error err;
	char call[SANDBOX_CALL_NAME];
	uint64_t before = sandbox_refused(call);
	int closed;

	if (sandbox_worker(&paths, &state, &err) != RC_OK)
		return 1;
	closed = state.landlock > 0 ? EACCES : 0;
	if (opens_for(in_dir("logs/a.log"), O_RDONLY) != 0 ||
	    opens_for(in_dir("tree/mine"), O_RDWR | O_CREAT) != 0 ||
	    unlink(in_dir("tree/mine")) != 0)
		return 2;
	if (opens_for(in_dir("out/secret"), O_RDONLY) != closed ||
	    opens_for(in_dir("logs/link.log"), O_RDONLY) != closed ||
	    opens_for(in_dir("tree/../out/a.log"), O_RDONLY) != closed ||
	    opens_for(in_dir("logs/a.log"), O_WRONLY) != closed ||
	    opens_for(in_dir("out/new"), O_WRONLY | O_CREAT) != closed)
		return 3;
	if (symlink("x", in_dir("tree/link")) == 0 || errno != EPERM)
		return 4; /* no call of ours */
	if (sandbox_refused(call) != before + 1 || strstr(call, "link") == NULL)
		return 5;
	return state.landlock > 0 ? 0 : 100;
}

static int
child(int (*run)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run());
	(void)waitpid(pid, &status, 0);
	return status;
}

static int
run_something(void)
{
	struct sandbox_paths paths = { .write = in_dir("tree") };
	char *const argv[] = { (char[]){ "/bin/true" }, NULL };
	struct sandbox_state state;
	struct error err;

	if (sandbox_worker(&paths, &state, &err) == RC_OK)
		(void)execv(argv[0], argv);
	return 1;
}

static int
families_of_opener(void)
{
	struct error err;

	if (sandbox_opener(&err) != RC_OK)
		return 1;
	if (socket(AF_UNIX, SOCK_STREAM, 0) == -1)
		return 2;
	if (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EPERM)
		return 3;
	return 0;
}

static int
open_by_handle(void)
{
	struct error err;

	if (sandbox_opener(&err) == RC_OK)
		(void)syscall(SYS_open_by_handle_at, -1, NULL, 0);
	return 1;
}

/* ---- what whoever owns the worker could try ------------------------------ */

static long
try_user_namespace(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
}

static long
try_process(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static long
try_clone3(void)
{
	uint64_t args[11] = { CLONE_NEWUSER };

	return syscall(SYS_clone3, args, sizeof(args));
}

static long
try_signal(void)
{
	return kill(getppid(), 0);
}

static long
try_thread_signal(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static long
try_terminal(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long
try_terminal_masked(void)
{
	return syscall(SYS_ioctl, STDIN_FILENO,
	    (UINT64_C(1) << 32) | (unsigned long)TIOCSTI, "x");
}

static long
try_io_uring(void)
{
	char params[256] = { 0 };

	return syscall(SYS_io_uring_setup, 4, params);
}

static long
try_pidfd(void)
{
	return syscall(SYS_pidfd_open, getppid(), 0);
}

static long
try_listen(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd == -1 ? 0 : bind(fd, (void *)&any, sizeof(any));
}

static long
try_packets(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long
try_kernel_crypto(void)
{
	return socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static long
try_vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long
try_netfilter(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
}

static long
try_audit(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
}

static long
try_priority(void)
{
	return setpriority(PRIO_PROCESS, (id_t)getppid(), 19);
}

static long
try_memfd(void)
{
	char *const none[] = { NULL };
	int fd = memfd_create("x", MFD_CLOEXEC);

	(void)write(fd, "#!/bin/sh\n", 10);
	return fexecve(fd, none, none);
}

static long
try_ptrace(void)
{
	return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0);
}

static long
try_memory_of_another(void)
{
	return syscall(SYS_process_vm_writev, getppid(), NULL, 0UL, NULL, 0UL,
	    0UL);
}

static long
try_descriptor_of_another(void)
{
	return syscall(SYS_pidfd_getfd, 0, 0, 0);
}

static long
try_mount(void)
{
	return syscall(SYS_mount, "none", "/mnt", "tmpfs", 0UL, NULL);
}

static long
try_unshare(void)
{
	return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long
try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long
try_page_faults(void)
{
	return syscall(SYS_userfaultfd, 0);
}

static long
try_keys(void)
{
	return syscall(SYS_keyctl, 0, 0, 0);
}

static long
try_perf(void)
{
	return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0UL);
}

enum end { FAILS, KILLED };

static const struct {
	const char *name;
	long (*call)(void);
	enum end end;
	int errnum;      /* FAILS: with this */
	bool sanitizers; /* make this call themselves */
	int landlock;    /* it is of this version; else 0 */
} attacks[] = {
	{ "a namespace of users", try_user_namespace, FAILS, EPERM, true, 0 },
	{ "a process", try_process, FAILS, EPERM, true, 0 },
	{ "flags where no filter looks", try_clone3, FAILS, ENOSYS, false, 0 },
	{ "a signal to another", try_signal, FAILS, EPERM, true, 0 },
	{ "a signal to another's thread", try_thread_signal, FAILS, EPERM, true,
	    0 },
	{ "typing at the terminal", try_terminal, FAILS, EPERM, true, 0 },
	{ "the same with other bits", try_terminal_masked, FAILS, EPERM, true,
	    0 },
	{ "io_uring", try_io_uring, FAILS, EPERM, false, 0 },
	{ "a handle on a process", try_pidfd, FAILS, EPERM, false, 0 },
	{ "a port to wait at", try_listen, FAILS, EACCES, false, 4 },
	{ "packets", try_packets, FAILS, EPERM, false, 0 },
	{ "the kernel's ciphers", try_kernel_crypto, FAILS, EPERM, false, 0 },
	{ "the host of a virtual machine", try_vsock, FAILS, EPERM, false, 0 },
	{ "netfilter", try_netfilter, FAILS, EPERM, false, 0 },
	{ "the audit system", try_audit, FAILS, EPERM, false, 0 },
	{ "another's priority", try_priority, FAILS, EPERM, false, 0 },
	{ "running a file of memory", try_memfd, KILLED, 0, false, 0 },
	{ "tracing", try_ptrace, KILLED, 0, true, 0 },
	{ "another's memory", try_memory_of_another, KILLED, 0, false, 0 },
	{ "another's descriptor", try_descriptor_of_another, KILLED, 0, false,
	    0 },
	{ "mounting", try_mount, KILLED, 0, false, 0 },
	{ "unsharing", try_unshare, KILLED, 0, false, 0 },
	{ "bpf", try_bpf, KILLED, 0, false, 0 },
	{ "userfaultfd", try_page_faults, KILLED, 0, false, 0 },
	{ "keys of the kernel", try_keys, KILLED, 0, false, 0 },
	{ "performance counters", try_perf, KILLED, 0, false, 0 },
};

/* 0: it failed as it should; else its errno, or 255: it did not. */
static int
attack(size_t i)
{
	struct sandbox_paths paths = { .write = in_dir("tree") };
	struct sandbox_state state;
	struct error err;
	int errnum;

	if (sandbox_worker(&paths, &state, &err) != RC_OK)
		_exit(254);
	errno = 0;
	errnum = attacks[i].call() == -1 ? errno : 255;
	_exit(errnum == attacks[i].errnum ? 0 : errnum);
}

static void
test_attacks(void)
{
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		int status = -1;
		pid_t pid;

		if ((attacks[i].sanitizers && SANDBOX_SANITIZED) ||
		    attacks[i].landlock > sandbox_landlock())
			continue;
		pid = fork();
		if (pid == 0)
			attack(i);
		(void)waitpid(pid, &status, 0);
		CHECK(attacks[i].end == KILLED
			? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
			: WIFEXITED(status) && WEXITSTATUS(status) == 0,
		    "owned, the worker has no way to %s (%x)", attacks[i].name,
		    (unsigned)status);
	}
}

static void
test_sandbox(void)
{
	int status;

	sandbox_count();
	status = child(in_sandbox);

	CHECK(WIFEXITED(status) &&
		(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 100),
	    "the worker reaches what it was given, and nothing else");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		(void)printf("# status %x (100: no Landlock here)\n", status);
	status = child(run_something);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	    "running a program ends the worker");
	status = child(families_of_opener);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "the opener has no socket but UNIX ones");
	status = child(open_by_handle);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	    "opening by handle ends the opener");
}

/* ---- the whole agent, owned ---------------------------------------------- */

/* What everybody else on the machine may read, and the worker must not. */
static const struct {
	const char *name, *path; /* '/' first: as it is, else in the world */
	int flags;
	bool of_proc; /* a sanitizer needs it */
} forbidden[] = {
	{ "/etc/passwd", "/etc/passwd", O_RDONLY, false },
	{ "/etc/group", "/etc/group", O_RDONLY, false },
	{ "/etc/shadow", "/etc/shadow", O_RDONLY, false },
	{ "/etc/passwd by ..", "/lib/../../etc/passwd", O_RDONLY, false },
	{ "/etc as a folder", "/etc", O_RDONLY | O_DIRECTORY, false },
	{ "the root", "/", O_RDONLY | O_DIRECTORY, false },
	{ "a program", "/bin/sh", O_RDONLY, false },
	{ "a package's file", "/usr/share/common-licenses/GPL-3", O_RDONLY,
	    false },
	{ "dpkg's list", "/var/lib/dpkg/status", O_RDONLY, false },
	{ "a file of everybody", "out/secret", O_RDONLY, false },
	{ "a link to it, made before", "tree/up/secret", O_RDONLY, false },
	{ "a new file elsewhere", "out/new", O_WRONLY | O_CREAT, false },
	{ "a new file in /tmp", "/tmp/kuzet-owned", O_WRONLY | O_CREAT, false },
	{ "init's environment", "/proc/1/environ", O_RDONLY, true },
	{ "init's state", "/proc/1/status", O_RDONLY, true },
	{ "its own memory", "/proc/self/mem", O_RDWR, true },
	{ "its own environment", "/proc/self/environ", O_RDONLY, true },
	{ "/etc by the root of /proc", "/proc/self/root/etc/passwd", O_RDONLY,
	    false },
	{ "all processes", "/proc", O_RDONLY | O_DIRECTORY, true },
};
enum { N_FORBIDDEN = sizeof(forbidden) / sizeof(forbidden[0]) };

struct owned {
	int started; /* 1: confined; else where it failed */
	int landlock;
	int opens[N_FORBIDDEN]; /* errno */
	int asked[N_FORBIDDEN]; /* the opener: enum rc */
	int by_folder, by_descriptor, linked, moved, hard;
	int log_itself, log, state;
	uint64_t refused;
};

static const char *
place(const char *path)
{
	return path[0] == '/' ? path : in_dir(path);
}

static bool
own_config(struct agent_config *c)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread */
	const char *user = getenv("KUZET_TEST_USER");
	char text[2048];
	struct error err;

	(void)snprintf(text, sizeof(text),
	    "collector: {hosts: ['127.0.0.1:5044']}\n%s%s\n"
	    "tls: {ca: /x/ca, certificate: /x/c, key: /x/k}\n"
	    "state_dir: '%s'\n"
	    "inputs: [{type: file, paths: ['%s']}]\n",
	    geteuid() == 0 ? "user: " : "",
	    geteuid() != 0     ? ""
		: user != NULL ? user
			       : "nobody",
	    in_dir("state"), in_dir("logs/*.log"));
	if (agent_config_parse("a.yaml", (struct slice){ text, strlen(text) },
		c, &err) == RC_OK)
		return true;
	(void)printf("# %s\n", err.text);
	return false;
}

/* Ways around: each must end with an error. */
static void
go_around(struct owned *o)
{
	int dirfd = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	char name[64];

	fd = openat(dirfd, "passwd", O_RDONLY | O_CLOEXEC);
	o->by_folder = fd == -1 ? errno : 0;
	fd = open("/etc/passwd", O_PATH | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	o->by_descriptor = fd == -1 ? errno : 0;
	o->linked =
	    symlink("/etc/passwd", in_dir("state/link")) == 0 ? 0 : errno;
	o->hard =
	    link(in_dir("out/a.log"), in_dir("state/hard")) == 0 ? 0 : errno;
	o->moved =
	    rename(in_dir("out/a.log"), in_dir("state/moved")) == 0 ? 0 : errno;
}

static void
be_owned(struct owned *o)
{
	struct agent_config c = { 0 };
	struct processes processes;
	struct confined *confined;
	struct opener *opener;
	struct opener_stat st;
	struct error err;
	int fd;

	o->started = 2;
	if (!own_config(&c) ||
	    confine_start("a.yaml", &c, &processes, &err) != RC_OK)
		return;
	o->started = 3;
	if (confine_worker(&c, true, &confined, &err) != RC_OK)
		return;
	o->landlock = confined_landlock(confined);
	for (size_t i = 0; i < N_FORBIDDEN; i++)
		o->opens[i] =
		    opens_for(place(forbidden[i].path), forbidden[i].flags);
	o->log_itself = opens_for(in_dir("logs/a.log"), O_RDONLY);
	o->state = opens_for(in_dir("state/mine"), O_RDWR | O_CREAT);
	go_around(o);
	o->started = 1;
	if (processes.opener[0] == -1)
		return;
	opener = opener_connect(loop_new(), processes.opener, -1);
	for (size_t i = 0; i < N_FORBIDDEN; i++)
		o->asked[i] = (int)opener_open(opener, place(forbidden[i].path),
		    &fd, &st, &err);
	o->log = (int)opener_open(opener, in_dir("logs/a.log"), &fd, &st, &err);
	o->refused = opener_refused(opener);
}

static void
check_owned(const struct owned *o)
{
	for (size_t i = 0; i < N_FORBIDDEN; i++) {
		bool open = o->opens[i] == 0;

		if (SANDBOX_SANITIZED && forbidden[i].of_proc)
			continue;
		CHECK(!open, "owned, it cannot open %s: %s", forbidden[i].name,
		    strerrorname_np(o->opens[i]));
	}
	CHECK(o->by_folder == EACCES, "nor from a folder's descriptor");
	CHECK(o->by_descriptor == EACCES, "nor from a file's");
	CHECK(o->linked == EPERM && o->hard == EPERM, "no link is made");
	CHECK(o->moved == EXDEV || o->moved == EACCES || o->moved == EPERM,
	    "nothing is moved to where it may be read");
	CHECK(o->log_itself == EACCES, "a log it gets from the opener only");
	CHECK(o->state == 0, "its state it may write");
}

static void
test_owned(void)
{
	struct owned *o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool all = true;
	pid_t pid;

	(void)mkdir(in_dir("state"), 0777);
	(void)chmod(in_dir("state"), 0777);
	(void)chmod(dir, 0755);
	(void)chmod(in_dir("out/secret"), 0644);
	(void)chmod(in_dir("logs/a.log"), 0600);
	pid = fork();
	if (pid == 0) {
		be_owned(o);
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
	CHECK(o->started == 1, "the worker is confined (%d)", o->started);
	if (o->landlock > 0)
		check_owned(o);
	else
		(void)printf("# no Landlock in this kernel\n");
	if (geteuid() == 0) {
		for (size_t i = 0; i < N_FORBIDDEN; i++)
			all = all && o->asked[i] != RC_OK;
		CHECK(all && o->refused >= N_FORBIDDEN,
		    "nor does the opener open any of them; all are counted");
		CHECK(o->log == RC_OK, "it opens the log that is configured");
	}
	(void)munmap(o, sizeof(*o));
}

int
main(void)
{
	(void)umask(022);
	log_setup("test", LOG_LEVEL_ERROR, LOG_TEXT);
	make_world();
	test_grants();
	test_opens();
	test_links();
	test_names();
	test_walks();
	test_nonsense();
	test_opens_of_many();
	test_nonsense_of_many();
	test_sockets();
	test_swaps();
	test_processes();
	test_no_room_for_descriptors();
	test_socket_handed_over();
	test_death();
	test_sandbox();
	test_attacks();
	test_owned();
	folder_remove(dir);
	return tap_done();
}
