/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that says anything: the opener gives no descriptor of a file outside
 * its folder, and every answer can be read.  And an answer of any bytes is read
 * within its bounds.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/roles/opener_serve.h"
#include "agent/roles/opener_wire.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static struct opener_server *server;

static enum rc
no_reload(void *ctx, struct buf *text, struct grants **out, struct error *err)
{
	(void)ctx;
	(void)text;
	*out = NULL;
	return error_set(err, RC_INVALID, "no");
}

static void
remove_dir(void)
{
	char path[128];

	opener_server_free(server);
	(void)snprintf(path, sizeof(path), "%s/a.log", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/b.log", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void
set_up(void)
{
	struct grants *g = grants_new();
	char path[128];
	int fd;

	if (server != NULL) {
		grants_free(g);
		return;
	}
	log_setup("fuzz", LOG_LEVEL_ERROR, LOG_TEXT);
	(void)snprintf(dir, sizeof(dir), "/tmp/kuzet-fuzz-XXXXXX");
	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/a.log", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/b.log", dir);
	(void)symlink("/etc/passwd", path);
	(void)grants_add(g, GRANT_TREE, dir);
	server =
	    opener_server_new(g, &(struct opener_policy){ .read = no_reload });
	(void)atexit(remove_dir);
}

static void
check_one(int fd)
{
	char name[32], path[PATH_MAX] = "";
	struct stat st;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    readlink(name, path, sizeof(path) - 1) <= 0)
		abort();
	/* b.log is the tester's link: that is followed */
	if (strncmp(path, dir, strlen(dir)) != 0 &&
	    strcmp(path, "/etc/passwd") != 0)
		abort();
}

static void
check_descriptors(struct wire_fds *fds)
{
	for (size_t i = 0; fds->own && i < fds->n; i++)
		check_one(fds->at[i]);
	wire_fds_close(fds);
}

/* Each path has its answer, each that was opened its descriptor. */
static void
check_many(const struct wire_answer *a, struct slice body,
    const struct wire_fds *fds)
{
	struct wire_opened one;
	size_t opened = 0;

	if (a->rc != RC_OK && body.len + fds->n > 0)
		abort();
	if (body.len != a->n * sizeof(one) || a->n > OPENER_MANY)
		abort();
	for (size_t i = 0; i < a->n; i++) {
		memcpy(&one, body.ptr + i * sizeof(one), sizeof(one));
		opened += one.rc == RC_OK;
	}
	if (opened != fds->n)
		abort();
}

/* One byte each of op, handle and arg, then a path up to a newline; '@' stands
 * for the folder, '|' for a NUL. */
static size_t
one_request(struct opener_client *c, const uint8_t *data, size_t size)
{
	struct wire_request q = { data[0], data[1], data[2] };
	char message[4096];
	struct wire_answer a;
	struct opener_node node;
	struct wire_fds fds;
	struct slice rest;
	struct buf out;
	size_t len = sizeof(q), at = 3;

	memcpy(message, &q, sizeof(q));
	for (; at < size && data[at] != '\n'; at++) {
		if (len + sizeof(dir) >= sizeof(message))
			continue;
		if (data[at] == '@') {
			for (const char *p = dir; *p != '\0'; p++)
				message[len++] = *p;
		} else if (data[at] == '|') {
			message[len++] = '\0';
		} else {
			message[len++] = (char)data[at];
		}
	}
	buf_init(&out, WIRE_MESSAGE_MAX);
	opener_client_answer(c, (struct slice){ message, len }, &out, &fds);
	memcpy(&a, out.ptr, sizeof(a));
	rest = (struct slice){ out.ptr + sizeof(a), out.len - sizeof(a) };
	if (q.op == WIRE_LIST || q.op == WIRE_NEXT || q.op == WIRE_ROOTS) {
		while (wire_node_take(&rest, &node) == RC_OK)
			continue;
		if (rest.len > 0)
			abort();
	}
	if (q.op == WIRE_OPEN_MANY)
		check_many(&a, rest, &fds);
	check_descriptors(&fds);
	buf_fini(&out);
	return at < size ? at + 1 : size;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size };
	struct opener_client *c;
	struct opener_node node;
	struct wire_fds fds;
	struct buf out;

	set_up();
	while (wire_node_take(&rest, &node) == RC_OK) {
		if (strlen(node.path) > node.path_len)
			abort();
	}
	c = opener_client_new(server);
	buf_init(&out, WIRE_MESSAGE_MAX);
	opener_client_answer(c, (struct slice){ (const char *)data, size },
	    &out, &fds);
	check_descriptors(&fds);
	buf_fini(&out);
	for (size_t at = 0, n = 0; at + 3 <= size && n < 64; n++)
		at += one_request(c, data + at, size - at);
	/* what is watched belongs to the server */
	for (uint32_t i = 1; i <= WIRE_NOTIFIES_MAX; i++) {
		const uint8_t give_back[3] = { WIRE_UNNOTIFY, (uint8_t)i, 0 };

		(void)one_request(c, give_back, sizeof(give_back));
	}
	opener_client_free(c);
	return 0;
}
