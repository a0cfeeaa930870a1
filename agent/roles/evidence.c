/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/evidence.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmpx.h>

#include "buf.h"
#include "conf.h"
#include "timestamp.h"

enum { READ_BYTES = 16384, LOGINS_MAX = 512 };

struct gather {
	evidence_cb *cb;
	void *ctx;
	size_t left; /* bytes of all that may still go out */
};

static void
hand_out(struct gather *g, const char *item, const struct buf *text,
    uint64_t left_out)
{
	struct slice rest = buf_slice(text);
	unsigned part = 0;

	if (rest.len > g->left) {
		left_out += rest.len - g->left;
		rest.len = g->left;
	}
	g->left -= rest.len;
	do {
		size_t n =
		    rest.len < EVIDENCE_PIECE ? rest.len : EVIDENCE_PIECE;

		g->cb(g->ctx,
		    &(struct evidence_piece){ .item = item,
			.part = ++part,
			.text = { n == 0 ? "" : rest.ptr, n },
			.left_out = rest.len == n ? left_out : 0 });
		rest.ptr += n;
		rest.len -= n;
	} while (rest.len > 0);
}

/* Up to `max` bytes of it; false: it is not there. */
static bool
add_file(struct buf *out, const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char text[READ_BYTES];
	ssize_t n = 0;

	if (fd == -1)
		return false;
	while (max > 0 &&
	    (n = read(fd, text, max < sizeof(text) ? max : sizeof(text))) > 0) {
		(void)buf_add(out, text, (size_t)n);
		max -= (size_t)n;
	}
	(void)close(fd);
	return true;
}

/* ---- processes ----------------------------------------------------------- */

static struct slice
status_line(const struct buf *status, const char *key)
{
	struct slice rest = buf_slice(status);
	size_t n = strlen(key);

	while (rest.len > n) {
		const char *end = memchr(rest.ptr, '\n', rest.len);
		size_t len = end == NULL ? rest.len : (size_t)(end - rest.ptr);

		if (len > n && memcmp(rest.ptr, key, n) == 0) {
			while (n < len &&
			    (rest.ptr[n] == '\t' || rest.ptr[n] == ' '))
				n++;
			return (struct slice){ rest.ptr + n, len - n };
		}
		if (end == NULL)
			break;
		rest.len -= len + 1;
		rest.ptr += len + 1;
	}
	return (struct slice){ "?", 1 };
}

static void
add_process(struct buf *out, const char *pid)
{
	char path[64], exe[512];
	struct buf status, line;
	ssize_t n;

	buf_init(&status, READ_BYTES);
	buf_init(&line, READ_BYTES);
	(void)snprintf(path, sizeof(path), "/proc/%.20s/status", pid);
	if (add_file(&status, path, READ_BYTES)) {
		(void)snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
		(void)add_file(&line, path, 1024);
		for (size_t i = 0; i < line.len; i++) {
			if ((unsigned char)line.ptr[i] < ' ')
				line.ptr[i] = ' ';
		}
		(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
		n = readlink(path, exe, sizeof(exe));
		(void)buf_printf(out,
		    "pid %s ppid %.*s uid %.*s name %.*s exe %.*s: %.*s\n", pid,
		    SLICE_ARG(status_line(&status, "PPid:")),
		    SLICE_ARG(status_line(&status, "Uid:")),
		    SLICE_ARG(status_line(&status, "Name:")),
		    n > 0 ? (int)n : 1, n > 0 ? exe : "-", (int)line.len,
		    line.len > 0 ? line.ptr : "");
	}
	buf_fini(&status);
	buf_fini(&line);
}

static void
add_processes(struct buf *out)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;

	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours */
	while ((entry = readdir(d)) != NULL && !out->overflowed) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			add_process(out, entry->d_name);
	}
	(void)closedir(d);
}

/* ---- sockets, log-ins, files --------------------------------------------- */

static void
add_sockets(struct buf *out)
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6",
		"/proc/net/udp", "/proc/net/udp6", "/proc/net/raw",
		"/proc/net/raw6" };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		(void)buf_printf(out, "%s\n", tables[i]);
		(void)add_file(out, tables[i],
		    EVIDENCE_ITEM_MAX / (sizeof(tables) / sizeof(tables[0])));
	}
}

static void
add_login(struct buf *out, const char *kind, const struct utmpx *u)
{
	char when[TIMESTAMP_TEXT_MAX];
	struct slice time =
	    timestamp_format((int64_t)u->ut_tv.tv_sec * NS_PER_SEC, when);

	(void)buf_printf(out, "%s %.*s %.*s on %.*s from %.*s pid %d\n", kind,
	    SLICE_ARG(time), (int)sizeof(u->ut_user), u->ut_user,
	    (int)sizeof(u->ut_line), u->ut_line,
	    u->ut_host[0] == '\0' ? 1 : (int)sizeof(u->ut_host),
	    u->ut_host[0] == '\0' ? "-" : u->ut_host, (int)u->ut_pid);
}

/* The newest of a file of records: from its end. */
static void
add_logins(struct buf *out, const char *kind, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	off_t size = fd == -1 ? 0 : lseek(fd, 0, SEEK_END);
	off_t one = (off_t)sizeof(struct utmpx), n = size / one, from;
	struct utmpx u;

	from = n > LOGINS_MAX ? n - LOGINS_MAX : 0;
	for (off_t i = from; i < n; i++) {
		if (pread(fd, &u, sizeof(u), i * one) != one)
			break;
		if (u.ut_type == USER_PROCESS || u.ut_type == DEAD_PROCESS)
			add_login(out,
			    u.ut_type == USER_PROCESS ? kind : "ended", &u);
	}
	if (fd != -1)
		(void)close(fd);
}

/* A file's end, of what is a file: no pipe, no device. */
static void
gather_file(struct gather *g, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;
	struct buf text;
	uint64_t left_out = 0;
	char *room;
	ssize_t n;

	buf_init(&text, EVIDENCE_ITEM_MAX + 256);
	if (fd == -1 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)buf_add_str(&text, "cannot be read\n");
	} else {
		if (st.st_size > EVIDENCE_ITEM_MAX)
			left_out = (uint64_t)(st.st_size - EVIDENCE_ITEM_MAX);
		(void)lseek(fd, (off_t)left_out, SEEK_SET);
		room = buf_reserve(&text, EVIDENCE_ITEM_MAX);
		while (text.len < EVIDENCE_ITEM_MAX &&
		    (n = read(fd, room + text.len,
			 EVIDENCE_ITEM_MAX - text.len)) > 0)
			text.len += (size_t)n;
	}
	if (fd != -1)
		(void)close(fd);
	hand_out(g, path, &text, left_out);
	buf_fini(&text);
}

static void
gather(struct gather *g, const char *item, void (*add)(struct buf *out))
{
	struct buf text;

	buf_init(&text, EVIDENCE_ITEM_MAX);
	add(&text);
	hand_out(g, item, &text, text.overflowed ? 1 : 0);
	buf_fini(&text);
}

static void
add_all_logins(struct buf *out)
{
	add_logins(out, "now", "/var/run/utmp");
	add_logins(out, "began", "/var/log/wtmp");
	add_logins(out, "failed", "/var/log/btmp");
}

void
evidence_gather(const struct conf_strings *files, evidence_cb *cb, void *ctx)
{
	struct gather g = { cb, ctx, EVIDENCE_MAX };

	gather(&g, "processes", add_processes);
	gather(&g, "sockets", add_sockets);
	gather(&g, "logins", add_all_logins);
	for (size_t i = 0; i < files->n; i++)
		gather_file(&g, files->items[i]);
}
