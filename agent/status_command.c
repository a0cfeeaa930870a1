/* SPDX-License-Identifier: Apache-2.0 */
/* kuzet-agent status: asks the running agent, prints what it says. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/status.h"
#include "arena.h"
#include "control.h"
#include "json.h"
#include "line_splitter.h"
#include "log.h"

enum { EXIT_USAGE = 2, LINE_BYTES = 1 << 20, ARENA_BLOCK = 16 * 1024 };

static const char help[] =
    "Usage: kuzet-agent status [-c FILE] [--json]\n"
    "\n"
    "Prints how the running agent is, and where it is in each file.\n"
    "\n"
    "  -c, --config FILE   the configuration the agent runs with; default:\n"
    "                      " AGENT_CONFIG_PATH "\n"
    "      --json          one JSON object a line: the agent, then each file\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit status: 0 good, 1 no agent answers, or its certificate has ended or\n"
    "ends soon and nobody renews it, 2 wrong usage or configuration.\n";

struct printing {
	bool json;
	bool any;
	bool ends; /* its certificate does, or did */
	struct arena *arena;
};

static const struct value *
field_of(const struct event *ev, const char *name)
{
	return event_get(ev,
	    field_intern((struct slice){ name, strlen(name) }));
}

static int64_t
number(const struct event *ev, const char *name)
{
	const struct value *v = field_of(ev, name);

	return v != NULL && v->kind == VALUE_INT ? v->i : 0;
}

/* A terminal must not obey what a file is named. */
static void
print_safe(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		(void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
	}
}

static struct slice
text(const struct event *ev, const char *name)
{
	const struct value *v = field_of(ev, name);

	return v != NULL && v->kind == VALUE_STRING ? v->s : SLICE("-");
}

static void
print_identity(const struct event *ev)
{
	struct slice state = text(ev, "identity.state");

	if (field_of(ev, "identity.not_after") == NULL)
		return;
	(void)printf("certificate until %.*s",
	    SLICE_ARG(text(ev, "identity.not_after")));
	if (field_of(ev, "identity.renew_at") != NULL)
		(void)printf(", renewed from %.*s on",
		    SLICE_ARG(text(ev, "identity.renew_at")));
	if (slice_eq(state, SLICE("ended")))
		(void)printf("; it has ENDED: kuzet-agent enroll --force");
	else if (slice_eq(state, SLICE("ending")))
		(void)printf("; it ENDS soon");
	if (field_of(ev, "identity.error") != NULL) {
		(void)printf("; NOT renewed: ");
		print_safe(text(ev, "identity.error"));
	}
	(void)putchar('\n');
}

static void
print_agent(const struct event *ev)
{
	const struct value *cpu = field_of(ev, "cpu_seconds");
	const struct value *up = field_of(ev, "output.connected");
	bool connected = up != NULL && up->kind == VALUE_BOOL && up->b;

	(void)printf("version %.*s, process %" PRId64 ", up %" PRId64
		     " s, CPU %.2f s, memory %.1f MB (peak %.1f)\n",
	    SLICE_ARG(text(ev, "version")), number(ev, "pid"),
	    number(ev, "uptime_seconds"),
	    cpu == NULL                     ? 0
		: cpu->kind == VALUE_DOUBLE ? cpu->d
					    : (double)cpu->i,
	    (double)number(ev, "memory.rss_bytes") / 1e6,
	    (double)number(ev, "memory.peak_bytes") / 1e6);
	(void)printf("collector %.*s: %s, connections %" PRId64
		     ", failed %" PRId64 ", sent %" PRId64 " (again %" PRId64
		     ")\n",
	    SLICE_ARG(text(ev, "output.host")),
	    connected ? "connected" : "NOT connected",
	    number(ev, "output.connections"), number(ev, "output.failures"),
	    number(ev, "output.events_sent"),
	    number(ev, "output.events_resent"));
	print_identity(ev);
	(void)printf("events read %" PRId64 ", acknowledged %" PRId64
		     ", cut %" PRId64 "; bytes skipped %" PRId64
		     ", files dropped %" PRId64 ", damaged %" PRId64 "\n",
	    number(ev, "events.read"), number(ev, "events.acked"),
	    number(ev, "events.cut"), number(ev, "lost.bytes_skipped"),
	    number(ev, "lost.files_dropped"), number(ev, "lost.files_damaged"));
	(void)printf("spool: %" PRId64 " events, %" PRId64 " of %" PRId64
		     " bytes; refused %" PRId64 ", dropped %" PRId64 "\n",
	    number(ev, "spool.events"), number(ev, "spool.bytes"),
	    number(ev, "spool.max_bytes"), number(ev, "spool.refused"),
	    number(ev, "spool.dropped"));
	(void)printf("files: %" PRId64 " open, %" PRId64 " known, %" PRId64
		     " behind by %" PRId64 " bytes\n\n",
	    number(ev, "files.open"), number(ev, "files.known"),
	    number(ev, "files.behind"), number(ev, "files.backlog_bytes"));
	(void)printf("%-9s %12s %12s %12s %10s %10s %6s %8s  %s\n", "STATE",
	    "SIZE", "READ", "ACKED", "LINES", "EVENTS", "CUT", "SKIPPED",
	    "PATH");
}

static void
print_file(const struct event *ev)
{
	(void)printf("%-9.*s %12" PRId64 " %12" PRId64 " %12" PRId64
		     " %10" PRId64 " %10" PRId64 " %6" PRId64 " %8" PRId64 "  ",
	    SLICE_ARG(text(ev, "state")), number(ev, "size"),
	    number(ev, "read"), number(ev, "acked_to"), number(ev, "lines"),
	    number(ev, "sent"), number(ev, "cut"), number(ev, "skipped"));
	print_safe(text(ev, "path"));
	(void)putchar('\n');
}

static void
on_line(void *ctx, struct slice line, bool truncated)
{
	struct printing *p = ctx;
	struct event ev;
	struct error err;

	(void)truncated;
	p->any = true;
	if (p->json)
		(void)printf("%.*s\n", SLICE_ARG(line));
	arena_reset(p->arena);
	event_begin(&ev, p->arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) != RC_OK)
		return;
	p->ends = p->ends ||
	    slice_eq(text(&ev, "identity.state"), SLICE("ended")) ||
	    slice_eq(text(&ev, "identity.state"), SLICE("ending"));
	if (p->json)
		return;
	if (slice_eq(text(&ev, "type"), SLICE("agent")))
		print_agent(&ev);
	else
		print_file(&ev);
}

static enum rc
ask(const char *state_dir, struct printing *p, struct error *err)
{
	char path[4200], bytes[16384];
	struct line_splitter *lines;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/status.sock", state_dir);
	if (control_connect(path, &fd, err) != RC_OK)
		return error_prefix(err,
		    "no agent answers on %s: does it run, and as whom?", path);
	p->arena = arena_new(ARENA_BLOCK);
	lines = line_splitter_new(LINE_BYTES, on_line, p);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		line_splitter_feed(lines, (struct slice){ bytes, (size_t)n });
	if (n < 0)
		(void)error_set_errno(err, errno, "%s", path);
	line_splitter_free(lines);
	arena_free(p->arena);
	(void)close(fd);
	if (n == 0 && !p->any)
		return error_set(err, RC_SYSTEM,
		    "%s: too many ask at once, or the agent ends", path);
	return n < 0 ? err->code : RC_OK;
}

int
status_command(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct agent_config config = { 0 };
	struct printing p = { .json = false };
	const char *path = AGENT_CONFIG_PATH;
	struct error err;
	enum rc rc;
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(help, stdout);
			return EXIT_SUCCESS;
		}
		if (c != 'c' && c != 'j')
			return EXIT_USAGE;
		if (c == 'c')
			path = optarg;
		else
			p.json = true;
	}
	if (optind < argc) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	if (agent_config_load(path, &config, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzet-agent: %s\n", err.text);
		agent_config_free(&config);
		return EXIT_USAGE;
	}
	rc = ask(config.state_dir, &p, &err);
	agent_config_free(&config);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzet-agent: %s\n", err.text);
	return rc == RC_OK && !p.ends && fflush(stdout) == 0 ? EXIT_SUCCESS
							     : EXIT_FAILURE;
}
