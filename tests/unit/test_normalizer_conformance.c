/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats against cases that others wrote: fail2ban's lines with the host,
 * time and user they tell, Filebeat's with their whole event.  Of each family
 * 95 of 100 values must be right.  Skipped where the corpus is absent.
 *
 * Not counted: what no line tells by itself (fail2ban's hosts that come from an
 * earlier line), "-" (we leave such fields out), what later stages add
 * (user_agent.name, source.geo), Filebeat's own names (fileset, service), and
 * sshd's "Accepted" as event.outcome, which ECS has since made "success".
 */
#include <stdlib.h>

#include "json.h"
#include "normalize.h"
#include "tap.h"
#include "xalloc.h"

enum { PATH_BYTES = 4096, CASE_MAX = 1 << 20, ARENA_BLOCK = 64 * 1024 };

static const char *const families[] = { "sshd_auth", "linux_syslog",
	"web_apache", "web_nginx" };
enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

struct score {
	unsigned right, all;
};

struct run {
	struct normalizer *n;
	struct timezone_info *tz;
	struct score scores[FAMILIES];
	struct event given; /* the case */
	struct event made;
	unsigned family;
};

static struct slice
given(const struct run *r, const char *name)
{
	return event_get_string(&r->given,
	    field_intern((struct slice){ name, strlen(name) }));
}

static void
count(struct run *r, bool right, const char *what, struct slice want)
{
	struct score *s = &r->scores[r->family];

	s->all++;
	s->right += right;
	if (!right)
		(void)printf("# %.*s: %s is not %.*s\n",
		    SLICE_ARG(given(r, "id")), what, SLICE_ARG(want));
}

static bool
line_tells(struct slice line, struct slice text)
{
	return memmem(line.ptr, line.len, text.ptr, text.len) != NULL;
}

static int
year_of(struct slice time)
{
	int year = 0;

	for (size_t i = 0; i < 4 && i < time.len; i++)
		year = year * 10 + (time.ptr[i] - '0');
	return time.len > 4 ? year : 2005;
}

static void
fail2ban_case(struct run *r)
{
	struct slice line = given(r, "log"), want;
	struct slice time = given(r, "expected.time");
	struct normalize_hints hints = { .time = { r->tz, year_of(time),
					     INT64_C(1795348800) *
						 NS_PER_SEC } };
	const struct value *match =
	    event_get(&r->given, field_intern(SLICE("expected.match")));
	int64_t time_ns = 0;

	if (match == NULL || match->kind != VALUE_BOOL || !match->b)
		return;
	(void)normalizer_line(r->n, &r->made, line, &hints);
	want = given(r, "expected.host");
	if (want.len > 0 && line_tells(line, want))
		count(r,
		    slice_eq(event_get_string(&r->made, FIELD_SOURCE_ADDRESS),
			want),
		    "source.address", want);
	want = given(r, "expected.user");
	if (want.len > 0)
		count(r,
		    slice_eq(event_get_string(&r->made, FIELD_USER_NAME), want),
		    "user.name", want);
	/* a time that carries its zone was not converted in the case */
	if (time.len == 0 || line.ptr[0] == '{')
		return;
	(void)timestamp_parse_rfc3339(time, &hints.time, &time_ns);
	count(r, time_ns / NS_PER_SEC == r->made.time_ns / NS_PER_SEC,
	    "@timestamp", time);
}

static bool
starts_with(struct slice s, const char *head)
{
	size_t n = strlen(head);

	return s.len >= n && memcmp(s.ptr, head, n) == 0;
}

static bool
is_counted(struct slice name, const struct value *want)
{
	static const char *const not_ours[] = { "fileset.", "service.", "ecs.",
		"source.geo.", "user_agent.device", "user_agent.os",
		"user_agent.name", "user_agent.version", "event.outcome",
		"log.flags", "@timestamp", NULL };

	for (size_t i = 0; not_ours[i] != NULL; i++)
		if (starts_with(name, not_ours[i]))
			return false;
	return want->kind != VALUE_STRING || !slice_eq(want->s, SLICE("-"));
}

static void
filebeat_case(struct run *r)
{
	static const struct slice head = SLICE_INIT("expected.");
	struct normalize_hints hints = { .dataset =
					     given(r, "expected.event.dataset"),
		.time = { NULL, 2019, 0 } };

	(void)normalizer_line(r->n, &r->made, given(r, "log"), &hints);
	for (uint32_t i = 0; i < r->given.n; i++) {
		const struct value *want = &r->given.fields[i].value, *got;
		struct slice name = field_name(r->given.fields[i].id);
		struct buf a, b;

		if (!starts_with(name, head.ptr))
			continue;
		name =
		    (struct slice){ name.ptr + head.len, name.len - head.len };
		if (!is_counted(name, want))
			continue;
		buf_init(&a, CASE_MAX);
		buf_init(&b, CASE_MAX);
		json_write_value(&a, want);
		got = event_get(&r->made, field_intern(name));
		if (got != NULL)
			json_write_value(&b, got);
		count(r, slice_eq(buf_slice(&a), buf_slice(&b)), name.ptr,
		    buf_slice(&a));
		buf_fini(&a);
		buf_fini(&b);
	}
}

static bool
one_case(struct run *r, struct slice text, void (*check)(struct run *r))
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct slice family;
	struct error err;

	event_begin(&r->given, arena);
	event_begin(&r->made, arena);
	if (json_read_event(text, &json_limits_default, &r->given, &err) !=
	    RC_OK) {
		arena_free(arena);
		return false;
	}
	family = given(r, "family");
	for (r->family = 0; r->family < FAMILIES; r->family++) {
		const char *name = families[r->family];

		if (slice_eq(family, (struct slice){ name, strlen(name) })) {
			check(r);
			break;
		}
	}
	arena_free(arena);
	return true;
}

static void
conformance(struct run *r, const char *path, const char *source,
    void (*check)(struct run *r))
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	bool good = f != NULL;
	ssize_t n;

	memset(r->scores, 0, sizeof(r->scores));
	while (good && (n = getline(&line, &room, f)) > 0)
		good = one_case(r, (struct slice){ line, (size_t)n }, check);
	if (f != NULL)
		(void)fclose(f);
	free(line);
	CHECK(good, "%s: the cases are read", source);
	for (unsigned i = 0; i < FAMILIES; i++)
		CHECK(r->scores[i].all > 0 &&
			r->scores[i].right * 100 >= r->scores[i].all * 95,
		    "%s, %s: %u of %u values are right", source, families[i],
		    r->scores[i].right, r->scores[i].all);
}

static const char *
corpus(const char *name, char path[PATH_BYTES])
{
	const char *shared = secure_getenv("KUZET_SHARED");
	const char *top = secure_getenv("top_srcdir");

	if (shared != NULL)
		(void)snprintf(path, PATH_BYTES,
		    "%s/corpora/conformance/%s/cases.jsonl", shared, name);
	else
		(void)snprintf(path, PATH_BYTES,
		    "%s/../shared/corpora/conformance/%s/cases.jsonl",
		    top != NULL ? top : KUZET_SRCDIR, name);
	return path;
}

int
main(void)
{
	const char *top = secure_getenv("top_srcdir");
	struct run r = { .tz = NULL };
	char path[PATH_BYTES];
	struct normalizer_set *set;
	struct error err;
	FILE *f = fopen(corpus("fail2ban", path), "re");

	if (f == NULL) {
		(void)puts("1..0 # SKIP no corpus");
		return 0;
	}
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/rules/normalizers",
	    top != NULL ? top : KUZET_SRCDIR);
	if (normalizer_set_load(path, NULL, NULL, &set, &err) != RC_OK ||
	    timezone_open("Europe/Zurich", &r.tz, &err) != RC_OK) {
		(void)printf("Bail out! %s\n", err.text);
		return 1;
	}
	r.n = normalizer_new(set);
	normalizer_set_unref(set);
	conformance(&r, corpus("fail2ban", path), "fail2ban", fail2ban_case);
	conformance(&r, corpus("beats-filebeat", path), "filebeat",
	    filebeat_case);
	normalizer_free(r.n);
	timezone_close(r.tz);
	return tap_done();
}
