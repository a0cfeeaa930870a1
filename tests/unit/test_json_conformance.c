/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSONTestSuite (https://github.com/nst/JSONTestSuite): what begins with y must
 * be read, with n refused, with i either; nothing may crash.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "run.h"
#include "tap.h"

enum { FILE_MAX = 1 << 20, WRAPPED_MAX = 2 << 20 };

static char input[FILE_MAX];

static bool
accepts(struct slice text)
{
	struct arena *a = arena_new(4096);
	struct json_reader r;
	enum json_token t;

	json_reader_init(&r, text, a, JSON_DEPTH_MAX);
	do
		t = json_next(&r);
	while (t != JSON_END && t != JSON_ERROR);
	arena_free(a);
	return t == JSON_END;
}

/* json_read_event() reads the same of what is wrapped in an object. */
static bool
accepts_member(struct slice text)
{
	struct arena *a = arena_new(4096);
	struct event ev;
	struct error err;
	struct buf wrapped;
	struct json_limits limits = { JSON_DEPTH_MAX, 1 << 20 };
	enum rc rc;

	event_begin(&ev, a);
	buf_init(&wrapped, WRAPPED_MAX);
	(void)buf_add_str(&wrapped, "{\"x\":");
	(void)buf_add_slice(&wrapped, text);
	(void)buf_add_str(&wrapped, "}");
	rc = json_read_event(buf_slice(&wrapped), &limits, &ev, &err);
	buf_fini(&wrapped);
	arena_free(a);
	return rc == RC_OK;
}

static void
check_file(const char *dir, const char *name)
{
	char path[4096];
	struct slice text = { NULL, 0 };
	char *copy;
	bool got, member;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rbe");
	if (f == NULL) {
		CHECK(false, "%s can be read", name);
		return;
	}
	text.len = fread(input, 1, sizeof(input), f);
	(void)fclose(f);
	/* of its exact size, so that AddressSanitizer sees the end */
	copy = malloc(text.len > 0 ? text.len : 1);
	if (copy == NULL)
		abort();
	memcpy(copy, input, text.len);
	text.ptr = copy;
	got = accepts(text);
	member = accepts_member(text);
	if (name[0] == 'y')
		CHECK(got && member, "%s is read", name);
	else if (name[0] == 'n')
		/* "1]" is wrong alone and in an object */
		CHECK(!got && !member, "%s is refused", name);
	else
		CHECK(true, "%s is %s", name, got ? "read" : "refused");
	free(copy);
}

int
main(void)
{
	const char *top = run_env("top_srcdir", KUZET_SRCDIR);
	const char *shared = run_env("KUZET_SHARED", NULL);
	char dir[2048];
	struct dirent *e;
	DIR *d;

	if (shared != NULL)
		(void)snprintf(dir, sizeof(dir),
		    "%s/corpora/conformance/json/test_parsing", shared);
	else
		(void)snprintf(dir, sizeof(dir),
		    "%s/../shared/corpora/conformance/json/test_parsing", top);
	d = opendir(dir);
	if (d == NULL) {
		(void)puts("1..0 # SKIP no corpus");
		return 0;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			check_file(dir, e->d_name);
	(void)closedir(d);
	return tap_done();
}
