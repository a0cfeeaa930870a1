/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped formats: they load, and their ways are found. */
#include <stdlib.h>
#include <unistd.h>

#include "json.h"
#include "normalize.h"
#include "tap.h"

enum { PATH_BYTES = 4096, ARENA_BLOCK = 64 * 1024 };

static unsigned findings;

static void
on_finding(void *ctx, const struct normalizer_finding *f)
{
	(void)ctx;
	findings++;
	(void)printf("# %s:%u: %s\n", f->file, f->line, f->message);
}

static const struct {
	const char *dataset, *program, *line;
	const char *want; /* dataset, space, action; "-" for none */
} cases[] = {
	{ "", "", "Nov 22 01:02:03 h sshd[1]: Invalid user a from 192.0.2.1",
	    "system.auth ssh_invalid_user" },
	{ "", "", "Nov 22 01:02:03 h sshd[1]: what nobody ever said",
	    "system.auth -" },
	{ "", "", "Nov 22 01:02:03 h frobnicator[1]: hello",
	    "system.syslog -" },
	{ "", "",
	    "Nov 22 01:02:03 h login[1]: pam_unix(login:session): session "
	    "closed for user bob",
	    "system.auth session_closed" },
	{ "system.syslog", "",
	    "Nov 22 01:02:03 h sshd[1]: Invalid user a from 192.0.2.1",
	    "system.syslog ssh_invalid_user" },
	{ "system.auth", "", "Nov 22 01:02:03 h frobnicator[1]: hello",
	    "system.auth -" },
	{ "", "sshd", "Invalid user a from 192.0.2.1",
	    "system.auth ssh_invalid_user" },
	{ "", "",
	    "192.0.2.1 - - [22/Nov/2026:01:02:03 +0500] \"GET / HTTP/1.1\" "
	    "200 1 \"-\" \"x\"",
	    "apache.access http_request" },
	{ "nginx.access", "",
	    "192.0.2.1 - - [22/Nov/2026:01:02:03 +0500] \"GET / HTTP/1.1\" "
	    "200 1 \"-\" \"x\"",
	    "nginx.access http_request" },
	{ "nginx.access", "", "2026/11/22 01:02:03 [error] 5#5: *7 x",
	    "nginx.error http_error" },
	{ "", "",
	    "Nov 22 01:02:03 h nginx[5]: 2026/11/22 01:02:03 [error] 5#5: *7 x",
	    "nginx.error http_error" },
	{ "", "", "garbage", "- -" },
	{ "", "", "", "- -" },
	{ "my.own", "", "garbage", "my.own -" },
	{ "", "", "{\"event\":{\"dataset\":\"x.y\"}}", "x.y -" },
};

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static struct slice
or_dash(struct slice s)
{
	return s.len > 0 ? s : SLICE("-");
}

static void
check_case(struct normalizer *n, size_t i)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct normalize_hints hints = { text(cases[i].dataset),
		text(cases[i].program), { NULL, 2026, 0 }, { NULL, 0 } };
	char got[256];
	struct event ev;

	event_begin(&ev, arena);
	(void)normalizer_line(n, &ev, text(cases[i].line), &hints);
	(void)snprintf(got, sizeof(got), "%.*s %.*s",
	    SLICE_ARG(or_dash(event_get_string(&ev, FIELD_EVENT_DATASET))),
	    SLICE_ARG(or_dash(event_get_string(&ev, FIELD_EVENT_ACTION))));
	CHECK(strcmp(got, cases[i].want) == 0 &&
		slice_eq(event_get_string(&ev, FIELD_EVENT_ORIGINAL),
		    text(cases[i].line)),
	    "%s: %s (%s)", cases[i].line, cases[i].want, got);
	arena_free(arena);
}

/* Files with mistakes: the message and line that are told. */
static const struct {
	const char *name, *text, *want;
	unsigned line;
} bad_files[] = {
	{ "pattern",
	    "dataset: a.b\nmatch: {programs: [x]}\npatterns:\n"
	    "  - pattern: 'a(b'\n",
	    "does not compile", 4 },
	{ "key", "dataset: a.b\nmatch: {programs: [x]}\npattern: []\n",
	    "unknown key \"pattern\"", 3 },
	{ "group",
	    "dataset: a.b\nmatch: {programs: [x]}\npatterns:\n"
	    "  - pattern: '(?<u>.*)'\n",
	    "group u has no place", 4 },
	{ "define",
	    "dataset: a.b\nmatch: {programs: [x]}\npatterns:\n"
	    "  - pattern: '%{NO}'\n",
	    "%{NO} is not defined", 4 },
	{ "loop",
	    "dataset: a.b\nmatch: {programs: [x]}\n"
	    "define: {A: '%{A}'}\npatterns: [{pattern: '%{A}'}]\n",
	    "refer to each other", 4 },
	{ "none", "dataset: a.b\n", "match is missing", 1 },
	{ "nothing", "dataset: a.b\nmatch: {}\n", "names nothing", 2 },
	{ "dataset", "match: {programs: [x]}\n", "dataset is missing", 1 },
	{ "type",
	    "dataset: a.b\nmatch: {programs: [x]}\n"
	    "fields: {u: {to: a, type: number}}\n"
	    "patterns: [{pattern: '(?<u>.)'}]\n",
	    "type is string", 3 },
	{ "lookup",
	    "dataset: a.b\nmatch: {programs: [x]}\n"
	    "fields: {u: {to: a, lookup: no}}\n"
	    "patterns: [{pattern: '(?<u>.)'}]\n",
	    "no such lookup", 3 },
	{ "time",
	    "dataset: a.b\nmatch: {programs: [x]}\n"
	    "fields: {u: '@timestamp'}\n"
	    "patterns: [{pattern: '(?<u>.)'}]\n",
	    "a time needs", 3 },
};

static void
write_file(const char *dir, const char *name, const char *content)
{
	char path[PATH_BYTES + 64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s.yml", dir, name);
	f = fopen(path, "we");
	if (f == NULL)
		return;
	(void)fputs(content, f);
	(void)fclose(f);
}

static void
remove_file(const char *dir, const char *name)
{
	char path[PATH_BYTES + 64];

	(void)snprintf(path, sizeof(path), "%s/%s.yml", dir, name);
	(void)unlink(path);
}

struct last_finding {
	unsigned n, line;
	char message[256];
};

static void
keep_finding(void *ctx, const struct normalizer_finding *f)
{
	struct last_finding *last = ctx;

	last->n++;
	last->line = f->line;
	(void)snprintf(last->message, sizeof(last->message), "%s", f->message);
}

static void
bad_files_are_refused_alone(void)
{
	char dir[] = "/tmp/kuzet-test-XXXXXX";
	struct error err;

	if (mkdtemp(dir) == NULL)
		return;
	write_file(dir, "good", "dataset: a.b\nmatch: {programs: [good]}\n");
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		struct last_finding last = { .n = 0 };
		struct normalizer_set *set = NULL;

		write_file(dir, bad_files[i].name, bad_files[i].text);
		CHECK(normalizer_set_load(dir, keep_finding, &last, &set,
			  &err) == RC_OK &&
			last.n == 1 && last.line == bad_files[i].line &&
			strstr(last.message, bad_files[i].want) != NULL &&
			normalizer_set_count(set) == 1,
		    "a mistake in \"%s\" is told with its line (%u: %s)",
		    bad_files[i].name, last.line, last.message);
		normalizer_set_unref(set);
		remove_file(dir, bad_files[i].name);
	}
	remove_file(dir, "good");
	(void)rmdir(dir);
}

static void
beats_events_keep_what_they_have(struct normalizer *n)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct normalize_hints hints = { .time = { .year = 2026 } };
	struct event ev;

	event_begin(&ev, arena);
	event_set_string(&ev, FIELD_EVENT_DATASET, SLICE("system.auth"));
	event_set_string(&ev, FIELD_HOST_NAME, SLICE("own-name"));
	event_set_string(&ev, FIELD_MESSAGE,
	    SLICE("Nov 22 01:02:03 h sshd[1]: Invalid user a from 192.0.2.1"));
	CHECK(normalizer_event(n, &ev, &hints) &&
		slice_eq(event_get_string(&ev, FIELD_EVENT_ACTION),
		    SLICE("ssh_invalid_user")) &&
		slice_eq(event_get_string(&ev, FIELD_HOST_NAME),
		    SLICE("own-name")) &&
		event_get_string(&ev, FIELD_MESSAGE).ptr[0] == 'N' &&
		ev.time_ns == INT64_C(1795309323) * NS_PER_SEC,
	    "an event of a Beat is parsed, and keeps its own fields");
	event_begin(&ev, arena);
	event_set_string(&ev, FIELD_EVENT_DATASET, SLICE("system.auth"));
	event_set_string(&ev, FIELD_EVENT_TIMEZONE, SLICE("+05:00"));
	event_set_string(&ev, FIELD_MESSAGE,
	    SLICE("Nov 22 01:02:03 h sshd[1]: Invalid user a from 192.0.2.1"));
	CHECK(normalizer_event(n, &ev, &hints) &&
		ev.time_ns == INT64_C(1795291323) * NS_PER_SEC,
	    "the time zone that a Beat tells counts");
	event_begin(&ev, arena);
	event_set_string(&ev, FIELD_MESSAGE, SLICE("anything"));
	CHECK(normalizer_event(n, &ev, &hints) &&
		event_get(&ev, FIELD_EVENT_KIND) == NULL,
	    "a message that nobody promised to know is left alone");
	event_set_string(&ev, FIELD_EVENT_DATASET, SLICE("nginx.access"));
	CHECK(!normalizer_event(n, &ev, &hints) &&
		slice_eq(event_get_string(&ev, FIELD_EVENT_KIND),
		    SLICE("pipeline_error")),
	    "one that its dataset does not know is a pipeline_error");
	event_begin(&ev, arena);
	event_set_string(&ev, field_intern(SLICE("Event.System.Channel")),
	    SLICE("x"));
	event_set_string(&ev, field_intern(SLICE("Event.UserData.A.User")),
	    SLICE("bob"));
	CHECK(normalizer_event(n, &ev, &hints) &&
		slice_eq(event_get_string(&ev,
			     field_intern(SLICE("winlog.user_data.User"))),
		    SLICE("bob")),
	    "data of event XML have one name, whatever the provider calls "
	    "them");
	arena_free(arena);
}

/* What would take for ever ends soon, and says so. */
static void
matching_is_bounded(void)
{
	static const char text[] = "dataset: a.b\nmatch: {programs: [x]}\n"
				   "patterns: [{pattern: '(?:(?:a|aa)+)+b'}]\n";
	char dir[] = "/tmp/kuzet-test-XXXXXX", line[256];
	struct normalize_hints hints = { .program = SLICE("x") };
	struct normalizer_set *set = NULL;
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct normalizer *n;
	struct error err;
	struct event ev;

	memset(line, 'a', sizeof(line));
	line[sizeof(line) - 2] = 'b'; /* not the end */
	if (mkdtemp(dir) == NULL)
		return;
	write_file(dir, "slow", text);
	if (normalizer_set_load(dir, NULL, NULL, &set, &err) == RC_OK) {
		n = normalizer_new(set);
		event_begin(&ev, arena);
		(void)normalizer_line(n, &ev,
		    (struct slice){ line, sizeof(line) }, &hints);
		CHECK(normalizer_limits(n) == 1 &&
			event_get(&ev, FIELD_ERROR_MESSAGE) != NULL,
		    "a pattern that would match for ever is ended and told");
		normalizer_free(n);
		normalizer_set_unref(set);
	}
	remove_file(dir, "slow");
	(void)rmdir(dir);
	arena_free(arena);
}

/* Of Windows' XML the samples tell; this is what is none, kept whole. */
static void
strangers_to_windows(struct normalizer *n)
{
#define SYSTEM(s) "<System><EventID>7</EventID>" s "</System>"
#define CHANNEL   "<Channel>Application</Channel>"
	static const struct {
		struct slice line;
		bool known;
	} texts[] = {
		{ SLICE_INIT("<Event>" SYSTEM(CHANNEL) "</Event>"), true },
		{ SLICE_INIT("<Event>" SYSTEM("") "</Event>"), false },
		{ SLICE_INIT(
		      "<Event>" SYSTEM(CHANNEL) "<a><a><a><a><a><a><a><a>"
						"<a><a><a><a><a><a><a><a>"),
		    false },
		{ SLICE_INIT("<Events>" SYSTEM(CHANNEL) "</Events>"), false },
		{ SLICE_INIT("<?xml version='1.0'?><!DOCTYPE Event [<!ENTITY a "
			     "'b'>]><Event>" SYSTEM(CHANNEL) "</Event>"),
		    false },
		{ SLICE_INIT("<Event"), false },
	};
#undef SYSTEM
#undef CHANNEL
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct normalize_hints hints = { .time = { .year = 2026 } };
	unsigned wrong = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct event ev;

		event_begin(&ev, arena);
		if (normalizer_line(n, &ev, texts[i].line, &hints) !=
			texts[i].known ||
		    !slice_eq(event_get_string(&ev, FIELD_EVENT_ORIGINAL),
			texts[i].line))
			wrong++;
	}
	CHECK(wrong == 0, "XML that is no event of Windows is no object");
	arena_free(arena);
}

static void
syslog_frames(struct normalizer *n)
{
	static const struct slice frame =
	    SLICE_INIT("<34>1 2026-11-22T01:02:03.003Z h.example su - ID47 - "
		       "\xef\xbb\xbf'su root' failed on /dev/pts/8");
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct normalize_hints hints = { .time = { .year = 2026 } };
	struct event ev;

	event_begin(&ev, arena);
	CHECK(normalizer_syslog(n, &ev, frame, &hints) &&
		slice_eq(event_get_string(&ev, FIELD_MESSAGE),
		    SLICE("'su root' failed on /dev/pts/8")) &&
		slice_eq(event_get_string(&ev, FIELD_PROCESS_NAME),
		    SLICE("su")) &&
		slice_eq(event_get_string(&ev, FIELD_LOG_SYSLOG_APPNAME),
		    SLICE("su")) &&
		slice_eq(event_get_string(&ev, FIELD_EVENT_ORIGINAL), frame),
	    "a frame of RFC 5424 gives MSG and APP-NAME");
	event_begin(&ev, arena);
	CHECK(normalizer_syslog(n, &ev, SLICE("<13>no header\n"), &hints) &&
		slice_eq(event_get_string(&ev, FIELD_MESSAGE),
		    SLICE("no header")),
	    "a frame with a PRI and nothing else is all MSG");
	event_begin(&ev, arena);
	CHECK(!normalizer_line(n, &ev, SLICE("bad \xff byte"), &hints) &&
		slice_eq(event_get_string(&ev, FIELD_EVENT_ORIGINAL),
		    SLICE("bad \xef\xbf\xbd byte")),
	    "invalid UTF-8 becomes U+FFFD");
	arena_free(arena);
}

int
main(void)
{
	const char *top = secure_getenv("top_srcdir");
	char path[PATH_BYTES];
	struct normalizer_samples samples;
	struct normalizer_set *set;
	struct normalizer *n;
	struct error err;

	(void)snprintf(path, sizeof(path), "%s/rules/normalizers",
	    top != NULL ? top : KUZET_SRCDIR);
	if (normalizer_set_load(path, on_finding, NULL, &set, &err) != RC_OK) {
		(void)printf("Bail out! %s\n", err.text);
		return 1;
	}
	CHECK(findings == 0 && normalizer_set_count(set) >= 10,
	    "all of the %u shipped formats load", normalizer_set_count(set));
	CHECK(normalizer_set_examine(path, set, on_finding, NULL, &samples,
		  &err) == RC_OK &&
		samples.failed == 0 && samples.run > 100,
	    "all of their %u samples give the events that stand beside them",
	    samples.run);
	n = normalizer_new(set);
	normalizer_set_unref(set);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(n, i);
	beats_events_keep_what_they_have(n);
	syslog_frames(n);
	strangers_to_windows(n);
	normalizer_free(n);
	bad_files_are_refused_alone();
	matching_is_bounded();
	return tap_done();
}
