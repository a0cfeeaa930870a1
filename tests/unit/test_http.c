/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/http.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "http_table.h"
#include "tap.h"

enum { ANSWER_MAX = 1 << 20, BIG_LINES = 200000 };

static char dir[] = "/tmp/kuzet-http-XXXXXX";
static char path[64];
static _Atomic uint64_t lines_written;
static _Atomic bool told_gone;
static _Atomic int in_handler, let_go;

static void
nap(int ms)
{
	(void)poll(NULL, 0, ms);
}

static void
get_echo(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	struct buf out;
	struct slice a = http_param(r, "a"), b = http_param(r, "b c");

	(void)ctx;
	buf_init(&out, 4096);
	(void)buf_printf(&out, "%zu [%.*s] [%.*s]\n", r->n_params, SLICE_ARG(a),
	    SLICE_ARG(b));
	(void)http_write(reply, buf_slice(&out));
	buf_fini(&out);
}

static void
get_big(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	const struct slice line = SLICE("some bytes, as many as a line of "
					"a log has, if it is short\n");

	(void)ctx;
	(void)r;
	lines_written = 0;
	told_gone = false;
	for (int i = 0; i < BIG_LINES; i++) {
		if (!http_write(reply, line)) {
			told_gone = true;
			return;
		}
		lines_written++;
	}
}

static void
get_failure(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	if (http_param(r, "late").ptr != NULL)
		for (int i = 0; i < 1000; i++)
			(void)http_write(reply,
			    SLICE("0123456789abcdef0123456"
				  "789abcdef0123456789\n"));
	http_fail(reply, 500, "the disk is \"gone\"");
}

static void
get_wait(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	(void)r;
	in_handler++;
	while (!let_go)
		nap(5);
	(void)http_write(reply, SLICE("done\n"));
}

static void
post_body(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	struct buf out;

	(void)ctx;
	buf_init(&out, 4096);
	(void)buf_printf(&out, "%s [%.*s]\n", r->method, SLICE_ARG(r->body));
	http_type(reply, 201, "text/plain");
	(void)http_write(reply, buf_slice(&out));
	buf_fini(&out);
}

static struct http_reply *_Atomic streaming;

static void
on_stream_gone(void *ctx)
{
	struct http_reply *reply = atomic_exchange(&streaming, NULL);

	(void)ctx;
	if (reply != NULL)
		http_stream_end(reply);
}

static void
get_stream(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	(void)r;
	if (http_stream(reply, on_stream_gone, NULL))
		streaming = reply;
}

static void
dispatch(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	static const struct http_table_row routes[] = {
		{ "/echo", get_echo },
		{ "/big", get_big },
		{ "/failure", get_failure },
		{ "/wait", get_wait },
		{ "/body", post_body },
		{ "/stream", get_stream },
	};

	http_table_dispatch(routes, sizeof(routes) / sizeof(routes[0]), ctx, r,
	    reply);
}

static int
open_to_server(void)
{
	struct error err;
	int fd;

	if (control_connect(path, &fd, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	return fd;
}

static void
say(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* All that comes until the server closes or `quiet_ms` pass in silence. */
static size_t
hear(int fd, char *out, size_t room, int quiet_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while (len < room - 1 && poll(&p, 1, quiet_ms) > 0) {
		n = read(fd, out + len, room - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
	return len;
}

static const char *
ask(const char *text)
{
	static char answer[ANSWER_MAX];
	int fd = open_to_server();

	say(fd, text);
	(void)hear(fd, answer, sizeof(answer), 5000);
	(void)close(fd);
	return answer;
}

#define TAIL " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static bool
answers(const char *request, const char *status, const char *part)
{
	const char *got = ask(request);
	bool ok = strncmp(got, "HTTP/1.1 ", 9) == 0 &&
	    strncmp(got + 9, status, 3) == 0 && strstr(got, part) != NULL;

	if (!ok)
		(void)printf("# got: %.300s\n", got);
	return ok;
}

static void
requests_are_answered(void)
{
	static char huge[64 * 1024];
	char many[2048];
	size_t n;

	CHECK(answers("GET /echo?a=1%3D2+3&b%20c=%D0%B6&x" TAIL, "200",
		  "3 [1=2 3] [\xd0\xb6]"),
	    "parameters are decoded");
	CHECK(answers("GET /echo?&&a" TAIL, "200", "1 [] []"),
	    "an empty parameter is one");
	CHECK(answers("GET /echo?a=%4" TAIL, "400", "\"error\""),
	    "a malformed query is refused");
	CHECK(answers("GET /nothing" TAIL, "404", "\"error\""),
	    "what does not exist is not found");
	CHECK(answers("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
		      "Connection: close\r\n\r\nabcd",
		  "201", "POST [abcd]"),
	    "a body is read, and the answer has its own status");
	CHECK(answers("POST /body HTTP/1.1\r\nHost: x\r\n"
		      "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		      "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
		  "201", "POST [abcd]"),
	    "one in chunks too");
	CHECK(answers("GET /failure" TAIL, "500",
		  "{\"error\":\"the disk is \\\"gone\\\"\"}"),
	    "a failure has its status and says why");
	CHECK(answers("GET /failure?late=1" TAIL, "200",
		  "{\"error\":\"the disk is \\\"gone\\\"\"}"),
	    "a late one says why in the last line");
	n = (size_t)snprintf(many, sizeof(many), "GET /echo?");
	for (int i = 0; i < 40; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "p=1&");
	(void)snprintf(many + n, sizeof(many) - n, "%s", TAIL);
	CHECK(answers(many, "400", "\"error\""), "too many parameters");
	n = (size_t)snprintf(huge, sizeof(huge), "GET /echo?");
	memset(huge + n, 'x', sizeof(huge) - n - 1);
	CHECK(strstr(ask(huge), " 200 ") == NULL, "a huge request is refused");
	CHECK(strstr(ask("POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n"
			 "\r\n"),
		  " 200 ") == NULL,
	    "a huge body is refused");
	CHECK(strstr(ask("\x16\x03\x01 garbage\r\n\r\n"), " 200 ") == NULL,
	    "garbage is refused");
	CHECK(answers("GET /echo?a=9" TAIL, "200", "[9]"),
	    "and the server lives");
}

static void
connections_are_kept(void)
{
	static char answer[ANSWER_MAX];
	int fd = open_to_server();
	const char *second;

	say(fd, "GET /echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	(void)hear(fd, answer, sizeof(answer), 300);
	say(fd, "GET /echo?a=2" TAIL);
	(void)hear(fd, answer, sizeof(answer), 5000);
	second = strstr(answer, "[2]");
	CHECK(second != NULL, "a second request on one connection");
	(void)close(fd);
}

static void
slow_readers_hold_their_query(void)
{
	static char some[65536];
	int fd = open_to_server();
	uint64_t before, bytes = 0;
	ssize_t n;

	say(fd, "GET /big" TAIL);
	nap(500);
	before = lines_written;
	CHECK(before > 0 && before < BIG_LINES / 4,
	    "a query waits for its reader");
	while ((n = read(fd, some, sizeof(some))) > 0)
		bytes += (uint64_t)n;
	CHECK(lines_written == BIG_LINES && bytes > 50ULL * BIG_LINES,
	    "and gives everything in the end");
	(void)close(fd);

	fd = open_to_server();
	say(fd, "GET /big" TAIL);
	(void)read(fd, some, 1000);
	(void)close(fd);
	for (int i = 0; i < 300 && !told_gone; i++)
		nap(10);
	CHECK(told_gone, "a query ends when its reader goes");
}

static void
stalled_readers_are_dropped(void)
{
	int fd = open_to_server();

	say(fd, "GET /big" TAIL);
	for (int i = 0; i < 800 && !told_gone; i++)
		nap(10);
	CHECK(told_gone, "a reader that never reads is dropped");
	(void)close(fd);
}

static void
waiting_requests_are_bounded(void)
{
	int fds[HTTP_WAITING_MAX + 4];
	static char answer[4096];
	int n = (int)(sizeof(fds) / sizeof(fds[0]));
	int refused = 0, done = 0;

	let_go = 0;
	in_handler = 0;
	for (int i = 0; i < n; i++) {
		fds[i] = open_to_server();
		say(fds[i], "GET /wait" TAIL);
		/* the two threads take theirs before the others queue up */
		for (int j = 0; j < 500 && in_handler < (i < 2 ? i + 1 : 2);
		     j++)
			nap(5);
	}
	nap(100);
	let_go = 1;
	for (int i = 0; i < n; i++) {
		(void)hear(fds[i], answer, sizeof(answer), 5000);
		refused += strstr(answer, " 503 ") != NULL;
		done += strstr(answer, "done") != NULL;
		(void)close(fds[i]);
	}
	CHECK(refused == 2 && done == n - 2,
	    "%d wait and are answered, %d are refused", done, refused);
}

/*
 * What two readers of the same bytes could take for different requests; the
 * connection ends with it, so that nothing of it is taken for the next one.
 */
static void
ambiguous_requests_are_refused(void)
{
	static const struct {
		const char *name, *request;
	} rows[] = {
		{ "Content-Length and Transfer-Encoding",
		    "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
		{ "Transfer-Encoding and Content-Length",
		    "POST /body HTTP/1.1\r\nHost: x\r\n"
		    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
		    "0\r\n\r\n" },
		{ "two lengths",
		    "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
		    "Content-Length: 0\r\n\r\nabcd" },
		{ "a length with a sign",
		    "POST /body HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: +4\r\n\r\nabcd" },
		{ "a coding that only looks like chunked",
		    "POST /body HTTP/1.1\r\nHost: x\r\n"
		    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" },
		{ "a body of a GET",
		    "GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n"
		    "\r\nGET /echo?a=7 HTTP/1.1\r\n\r\n" },
		{ "two hosts",
		    "GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512];
		const char *got;

		(void)snprintf(text, sizeof(text), "%s%s", rows[i].request,
		    "GET /echo?a=smuggled" TAIL);
		got = ask(text);
		CHECK(strncmp(got, "HTTP/1.1 400", 12) == 0 &&
			strstr(got, "smuggled") == NULL &&
			strstr(got, "[abcd]") == NULL,
		    "%s: refused", rows[i].name);
	}
}

static void
pipelined_requests_are_answered_in_turn(void)
{
	const char *got = ask("GET /echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
			      "GET /echo?a=2 HTTP/1.1\r\nHost: x\r\n\r\n"
			      "GET /echo?a=3" TAIL);
	const char *one = strstr(got, "[1]"), *two = strstr(got, "[2]");
	const char *three = strstr(got, "[3]");

	CHECK(one != NULL && two > one && three > two,
	    "three requests at once are answered in their order");
}

static void
streams_go_on(void)
{
	static char answer[65536];
	int fd = open_to_server();
	struct http_reply *reply;
	bool full = false;

	say(fd, "GET /stream" TAIL);
	for (int i = 0; i < 2000 && streaming == NULL; i++)
		nap(5);
	reply = streaming;
	CHECK(reply != NULL && http_stream_send(reply, SLICE("one\n")),
	    "a stream goes on behind its handler");
	(void)hear(fd, answer, sizeof(answer), 500);
	CHECK(strstr(answer, "text/event-stream") != NULL &&
		strstr(answer, "one") != NULL,
	    "and its reader gets what is sent");
	memset(answer, 'x', sizeof(answer));
	for (int i = 0; i < 1000 && !full; i++)
		full = !http_stream_send(reply,
		    (struct slice){ answer, sizeof(answer) / 2 });
	CHECK(full, "one that does not read lags only so far");
	(void)close(fd);
	for (int i = 0; i < 2000 && streaming != NULL; i++)
		nap(5);
	CHECK(streaming == NULL, "a reader that goes ends its stream");
}

static void
sockets_are_private_and_replaced(void)
{
	struct error err;
	struct stat st;
	int fd;

	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600,
	    "the socket is of mode 0600");
	CHECK(control_listen(path, &fd, &err) == RC_DENIED,
	    "one that is answered is left alone");
}

static struct http *
start(unsigned uid, int64_t timeout_ns)
{
	struct http_options options = { .handler = dispatch,
		.query_threads = 2,
		.timeout_ns = timeout_ns };
	struct error err;
	struct http *h;
	int fd;

	if (control_listen(path, &fd, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	h = http_start(&options);
	if (http_serve_unix(h, fd, uid, &err) != RC_OK)
		abort();
	http_run(h);
	return h;
}

static void
long_paths_work(void)
{
	char folder[512], sock[700];
	struct error err;
	FILE *f;
	int fd = -1, to = -1;

	(void)snprintf(folder, sizeof(folder), "%s/%0200d", dir, 7);
	(void)mkdir(folder, 0700);
	(void)snprintf(sock, sizeof(sock), "%s/collector.sock", folder);
	CHECK(control_listen(sock, &fd, &err) == RC_OK &&
		control_connect(sock, &to, &err) == RC_OK,
	    "a path longer than sockaddr_un's is served");
	(void)close(to);
	(void)close(fd);
	CHECK(control_listen(sock, &fd, &err) == RC_OK,
	    "a stale socket is replaced");
	(void)close(fd);
	(void)unlink(sock);
	f = fopen(sock, "we");
	if (f != NULL)
		(void)fclose(f);
	CHECK(control_listen(sock, &fd, &err) == RC_INVALID, "a file is not");
	(void)unlink(sock);
	(void)rmdir(folder);
}

/* Should the socket's mode be widened, its peers are still known. */
static void
strangers_are_refused(void)
{
	bool root = geteuid() == 0;
	struct http *h = start(root ? 0 : geteuid() + 1, 60000000000);
	int status = -1;
	pid_t child;

	if (!root) {
		CHECK(answers("GET /echo" TAIL, "403", "\"error\""),
		    "a stranger is refused");
		http_stop(h);
		return;
	}
	(void)chmod(dir, 0755);
	(void)chmod(path, 0666);
	child = fork();
	if (child == 0)
		_exit(setuid(65534) == 0 &&
			    answers("GET /echo" TAIL, "403", "\"error\"")
			? 0
			: 1);
	(void)waitpid(child, &status, 0);
	CHECK(status == 0, "a stranger is refused");
	http_stop(h);
}

int
main(void)
{
	struct http *h;

	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	long_paths_work();

	h = start(geteuid(), 60000000000);
	sockets_are_private_and_replaced();
	requests_are_answered();
	connections_are_kept();
	ambiguous_requests_are_refused();
	pipelined_requests_are_answered_in_turn();
	streams_go_on();
	slow_readers_hold_their_query();
	waiting_requests_are_bounded();
	http_stop(h);

	h = start(geteuid(), 500000000);
	stalled_readers_are_dropped();
	http_stop(h);

	strangers_are_refused();

	/* stopping with a reader that does not read */
	h = start(geteuid(), 60000000000);
	{
		int fd = open_to_server();

		say(fd, "GET /big" TAIL);
		nap(100);
		http_stop(h);
		CHECK(told_gone, "stopping breaks off what is answered");
		(void)close(fd);
	}
	(void)unlink(path);
	(void)rmdir(dir);
	return tap_done();
}
