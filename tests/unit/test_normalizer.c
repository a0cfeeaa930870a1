/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped formats: they load, and their ways are found. */
#include <stdlib.h>

#include "json.h"
#include "normalize.h"
#include "tap.h"

enum { PATH_BYTES = 4096, ARENA_BLOCK = 64 * 1024, OUT_MAX = 1 << 20 };

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
		text(cases[i].program), { NULL, 2026, 0 } };
	char got[256];
	struct event ev;

	event_init(&ev, arena);
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

int
main(void)
{
	const char *top = getenv("top_srcdir");
	char path[PATH_BYTES];
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
	n = normalizer_new(set);
	normalizer_set_unref(set);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(n, i);
	normalizer_free(n);
	return tap_done();
}
