/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kuzetctl's commands that ask the collector, against a server with answers of
 * its own and against peers that do not speak HTTP as they should.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/api/http.h"
#include "control.h"
#include "http_table.h"
#include "run.h"
#include "tap.h"

enum { COMMAND_MAX = 4096, LINES = 3000 };

static char dir[] = "/tmp/kuzet-ctl-XXXXXX";
static char path[64];
static struct run run;
/* How reload 3 ends; how often that was asked. */
static const char *reload_end;
static unsigned asked;

static void
get_status(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	(void)r;
	if (reload_end != NULL) {
		const char *text = asked++ == 0
		    ? "{\"reload\":{\"number\":2,\"state\":\"done\"}}\n"
		    : reload_end;

		(void)http_write(reply, (struct slice){ text, strlen(text) });
		return;
	}
	(void)http_write(reply,
	    SLICE("{\"version\":\"1\",\"ready\":true,\"events\":"
		  "{\"stored\":42},\"rules\":{\"loaded\":7}}\n"));
}

/* One event whose message is the request. */
static void
get_events(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	struct buf out;

	(void)ctx;
	buf_init(&out, COMMAND_MAX);
	if (slice_eq(http_param(r, "where"), SLICE("fail=400"))) {
		http_fail(reply, 400, "no such thing");
		return;
	}
	if (slice_eq(http_param(r, "where"), SLICE("fail=late"))) {
		for (int i = 0; i < LINES; i++)
			(void)http_write(reply,
			    SLICE("{\"@timestamp\":\"2026-11-22T01:02:03Z\"}"
				  "\n"));
		http_fail(reply, 500, "the disk went");
		return;
	}
	if (http_param(r, "count").ptr != NULL) {
		(void)http_write(reply, SLICE("{\"count\":12}\n"));
		return;
	}
	(void)buf_add_str(&out,
	    "{\"@timestamp\":\"2026-11-22T01:02:03.5Z\","
	    "\"host\":{\"name\":\"web-1\"},\"process\":"
	    "{\"name\":\"ssh\\u001b[2Jd\"},\"message\":\"");
	for (size_t i = 0; i < r->n_params; i++)
		(void)buf_printf(&out, "<%.*s:%.*s>",
		    SLICE_ARG(r->params[i].name),
		    SLICE_ARG(r->params[i].value));
	(void)buf_add_str(&out, "\"}\n");
	(void)http_write(reply, buf_slice(&out));
	buf_fini(&out);
}

static void
get_incidents(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	(void)r;
	(void)http_write(reply,
	    SLICE("{\"type\":\"incident\",\"id\":\"ab\",\"rule\":{\"id\":\"r\","
		  "\"title\":\"SSH brute force\"},\"level\":\"high\","
		  "\"status\":\"new\",\"last_seen\":"
		  "\"2026-11-22T01:02:03.000Z\",\"group\":{\"source.ip\":"
		  "\"203.0.113.7\"},\"events\":42}\n"));
}

static void
post_reload(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	(void)r;
	asked = 0;
	(void)http_write(reply, SLICE("{\"reload\":\"begun\",\"number\":3}\n"));
}

static void
get_nothing(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	(void)ctx;
	(void)r;
	(void)reply;
}

static void
dispatch(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	static const struct http_table_row routes[] = {
		{ "/v1/status", get_status },
		{ "/v1/events", get_events },
		{ "/v1/incidents", get_incidents },
		{ "/v1/detections", get_nothing },
		{ "/v1/rules/reload", post_reload },
	};

	http_table_dispatch(routes, sizeof(routes) / sizeof(routes[0]), ctx, r,
	    reply);
}

/* The exit status of `kuzetctl --socket ... ARGUMENTS`. */
static int
ctl(const char *arguments)
{
	char line[COMMAND_MAX];
	bool own = strncmp(arguments, "--", 2) == 0;

	(void)snprintf(line, sizeof(line), "%s%s %s", own ? "" : "--socket ",
	    own ? "" : path, arguments);
	return run_program(&run, "kuzetctl", line);
}

static bool
runs(const char *arguments, int status, const char *out, const char *err)
{
	int got = ctl(arguments);
	bool ok = got == status && strstr(run.out, out) != NULL &&
	    strstr(run.err, err) != NULL;

	if (!ok)
		(void)printf("# %s: exit %d\n# out: %.500s\n# err: %.500s\n",
		    arguments, got, run.out, run.err);
	return ok;
}

static void
commands_print_answers(void)
{
	CHECK(runs("status", 0, "events stored                       42", ""),
	    "status prints a table");
	CHECK(runs("status --json", 0,
		  "{\"version\":\"1\",\"ready\":true,\"events\":"
		  "{\"stored\":42},\"rules\":{\"loaded\":7}}\n",
		  ""),
	    "or the object as it came");
	CHECK(runs("events --since 2026-11-22 --until "
		   "2026-11-22T06:00:00+05:00 --where 'a.b=c d&e=f' --where "
		   "x=%41 --limit 5 --flat --json",
		  0,
		  "<since:2026-11-22T00:00:00.000Z>"
		  "<until:2026-11-22T01:00:00.000Z><where:a.b=c d&e=f>"
		  "<where:x=%41><limit:5><flat:1>",
		  ""),
	    "options arrive as they were written");
	CHECK(runs("events", 0,
		  "2026-11-22T01:02:03Z web-1            ssh?[2Jd", "") &&
		strchr(run.out, '\033') == NULL,
	    "a table holds nothing that a terminal obeys");
	CHECK(runs("events --count", 0, "12\n", ""), "a count is a number");
	CHECK(runs("events --count --json", 0, "{\"count\":12}\n", ""),
	    "or an object");
	CHECK(runs("incidents", 0,
		  "high          new      42      SSH brute force", "") &&
		strstr(run.out, "source.ip=203.0.113.7") != NULL,
	    "incidents print as a table");
	CHECK(runs("detections --rule x", 0, "", "none"),
	    "nothing found is said, and is no failure");
	CHECK(runs("detections --json", 0, "", "") && run.out[0] == '\0' &&
		run.err[0] == '\0',
	    "with --json nothing is nothing");
}

#define RELOAD_ENDS(number, state, message)                                    \
 "{\"reload\":{\"number\":" number ",\"state\":\"" state                       \
 "\",\"message\":\"" message "\"},\"rules\":{\"loaded\":7,\"refused\":1}}\n"

static void
a_reload_is_followed_to_its_end(void)
{
	reload_end = RELOAD_ENDS("3", "done", "");
	CHECK(runs("rules reload", 0, "reloaded: 7 rules, 1 refused: ", ""),
	    "the one that was asked for, not the one before");
	CHECK(runs("rules reload --json", 0,
		  "{\"reload\":\"done\",\"number\":3,\"message\":\"\","
		  "\"rules\":{\"loaded\":7,\"refused\":1}}\n",
		  ""),
	    "or as an object");
	reload_end = RELOAD_ENDS("3", "refused", "c.yaml:3: no");
	CHECK(runs("rules reload", 1, "", "refused: c.yaml:3: no"),
	    "why it is refused");
	reload_end = RELOAD_ENDS("2", "waiting", "the disk is full");
	CHECK(runs("rules reload", 1, "", "put off: the disk is full"),
	    "what it waits for is said, and not waited for");
	reload_end = RELOAD_ENDS("2", "reading", "");
	CHECK(runs("rules reload --no-wait", 0, "reload 3 has begun", "") &&
		runs("rules reload --no-wait --json", 0,
		    "{\"reload\":\"begun\",\"number\":3}\n", ""),
	    "--no-wait waits for nothing");
	reload_end = NULL;
	CHECK(runs("rules reload now", 2, "", "usage:") &&
		runs("rules reload --help", 0, "usage:", ""),
	    "usage and help");
}

static void
failures_are_told(void)
{
	CHECK(runs("events --where fail=400", 2, "", "no such thing"),
	    "a refused request is wrong usage");
	CHECK(runs("events --where fail=late --json", 1, "@timestamp",
		  "the disk went") &&
		strstr(run.out, "error") == NULL,
	    "what goes wrong later is a failure");
	CHECK(runs("events --since never", 2, "",
		  "--since: \"never\" is no "
		  "time"),
	    "a bad time");
	CHECK(runs("events --where =x", 2, "", "FIELD=VALUE"), "a bad filter");
	CHECK(runs("events --limit -1", 2, "", "--limit"), "a bad limit");
	CHECK(runs("events --nonsense", 2, "", "nonsense"),
	    "an unknown option");
	CHECK(runs("incidents --where a=b", 2, "", "where"),
	    "an option of another command");
	CHECK(runs("status now", 2, "", "one too many"), "one too many");
	CHECK(runs("nonsense", 2, "", "no command"), "an unknown command");
	CHECK(runs("events --help", 0, "usage:", "") &&
		runs("status --help", 0, "usage:", ""),
	    "help is help");
	CHECK(runs("--socket /nonexistent/x status", 1, "",
		  "cannot reach the collector at /nonexistent/x"),
	    "nobody there");
	CHECK(runs("--config /nonexistent/x status", 2, "", "/nonexistent/x"),
	    "no configuration");
}

static void
configuration_names_the_socket(void)
{
	char file[128], arguments[256];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s/collector.yaml", dir);
	(void)snprintf(arguments, sizeof(arguments),
	    "--config %s status --json", file);
	f = fopen(file, "we");
	if (f == NULL)
		abort();
	(void)fputs("state_dir: x\ncontrol: sock\n", f);
	(void)fclose(f);
	CHECK(runs(arguments, 0, "\"stored\":42", ""),
	    "a relative path is relative to the file");
	f = fopen(file, "we");
	if (f == NULL)
		abort();
	(void)fputs("state_dir: x\n", f);
	(void)fclose(f);
	CHECK(runs(arguments, 2, "", "no key `control`"),
	    "a configuration without the key is said to be so");
	(void)unlink(file);
}

/* A peer that says what it is told to one client and goes. */
struct peer {
	int fd;
	const char *text;
};

static void *
peer_main(void *ctx)
{
	struct peer *p = ctx;
	char request[4096];
	int fd = accept(p->fd, NULL, NULL);

	(void)read(fd, request, sizeof(request));
	(void)send(fd, p->text, strlen(p->text), MSG_NOSIGNAL);
	(void)close(fd);
	return NULL;
}

static bool
peer_makes(const char *text, int status, const char *out, const char *err)
{
	struct peer p = { .text = text };
	struct error why;
	pthread_t thread;
	bool ok;

	if (control_listen(path, &p.fd, &why) != RC_OK ||
	    pthread_create(&thread, NULL, peer_main, &p) != 0)
		abort();
	ok = runs("events --json", status, out, err);
	(void)pthread_join(thread, NULL);
	(void)close(p.fd);
	return ok;
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void
broken_answers_are_failures(void)
{
	CHECK(peer_makes(CHUNKED "4\r\n{}\r\n\r\n3;x=y\r\n{}\n\r\n0\r\n\r\n", 0,
		  "{}", ""),
	    "chunks may have extensions");
	CHECK(peer_makes(CHUNKED "2\r\n{}\r\n", 1, "", "broke off"),
	    "an answer that breaks off");
	CHECK(peer_makes(CHUNKED "x\r\n{}\r\n", 1, "", "malformed"),
	    "a chunk without a size");
	CHECK(peer_makes(CHUNKED "123456789\r\n{}\r\n", 1, "", "malformed"),
	    "a chunk that is too large");
	CHECK(peer_makes("SSH-2.0-x\r\n\r\n", 1, "", "does not speak HTTP"),
	    "another protocol");
	CHECK(peer_makes("", 1, "", "does not speak HTTP"), "silence");
}

int
main(void)
{
	struct http_options options = { .handler = dispatch,
		.query_threads = 2,
		.timeout_ns = 60000000000 };
	struct http *h;
	struct error err;
	int fd;

	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	if (control_listen(path, &fd, &err) != RC_OK)
		return 1;
	h = http_start(&options);
	if (http_serve_unix(h, fd, geteuid(), &err) != RC_OK)
		return 1;
	http_run(h);
	commands_print_answers();
	a_reload_is_followed_to_its_end();
	failures_are_told();
	configuration_names_the_socket();
	http_stop(h);
	broken_answers_are_failures();
	(void)unlink(path);
	(void)rmdir(dir);
	return tap_done();
}
