/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kuzetctl rules test: scenarios, as a team keeps them under continuous
 * integration.  A scenario is a folder with
 *
 *   input.log, or input.jsonl   lines, or events as `rules match --events`
 *   rules.yml, or rules/        rules of its own, optional
 *   scenario.json               optional: "about", one sentence; "rules", files
 *                               or folders below --rules; "dataset",
 *                               "program", "year", "timezone", "logsource"
 *   expected.jsonl              what `rules match --json` must print, in this
 *                               order; only the keys given count.  Empty:
 *                               nothing of level medium or above and no
 *                               correlation may match
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "input.h"
#include "json.h"
#include "query.h"
#include "rules.h"
#include "rules_output.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 1 << 16,
	OUT_MAX = 64 << 20,
	FILE_MAX = 16 << 20,
	RULES_MAX = 256,
	DIFFERENCES_MAX = 40
};

struct testing {
	struct rules_arguments arguments;
	const char *base; /* where the rules of scenario.json are */
	uint32_t passed, failed;
};

struct scenario {
	const struct testing *testing;
	const char *folder;
	struct arena *arena; /* owned: everything below */
	struct slice about;
	const char *rules[RULES_MAX];
	size_t n_rules;
	struct input_options input;
	struct logsource logsource;

	/* of the run */
	struct matcher *matcher;
	struct rules_output *output;
	uint64_t index;

	/* "expected", "got" or "error": line */
	struct buf differences; /* text for people */
	struct buf json;        /* objects */
	uint32_t n_differences;
};

/* ---- what is wrong ----------------------------------------------------- */

/* Either may be empty; `error` is text, the others are JSON. */
static void
differ(struct scenario *s, struct slice expected, struct slice got,
    const char *error)
{
	struct json_writer w;

	if (++s->n_differences > DIFFERENCES_MAX)
		return;
	if (s->json.len > 0)
		(void)buf_add_char(&s->json, ',');
	json_begin(&w, &s->json);
	json_open(&w, '{');
	if (error != NULL) {
		(void)buf_printf(&s->differences, "    ! %s\n", error);
		json_key(&w, "error");
		json_str(&w, error);
	}
	if (expected.len > 0) {
		(void)buf_printf(&s->differences, "    - %.*s\n",
		    SLICE_ARG(expected));
		json_key(&w, "expected");
		json_raw(&w, expected);
	}
	if (got.len > 0) {
		(void)buf_printf(&s->differences, "    + %.*s\n",
		    SLICE_ARG(got));
		json_key(&w, "got");
		json_raw(&w, got);
	}
	json_close(&w, '}');
}

static void
fail(struct scenario *s, const struct error *err)
{
	differ(s, SLICE(""), SLICE(""), err->text);
}

static void
on_finding(void *ctx, const struct rule_finding *f)
{
	struct error err;

	if (f->severity != RULE_ERROR)
		return;
	(void)error_set(&err, RC_INVALID, "%s:%u: refused: %s", f->file,
	    f->line, f->message);
	fail(ctx, &err);
}

/* ---- files ------------------------------------------------------------- */

/* FOLDER/NAME in the arena. */
static const char *
path_in(struct arena *arena, const char *folder, struct slice name)
{
	size_t n = strlen(folder);
	char *path = arena_alloc(arena, n + 1 + name.len + 1);

	memcpy(path, folder, n);
	path[n] = '/';
	memcpy(path + n + 1, name.ptr, name.len);
	path[n + 1 + name.len] = '\0';
	return path;
}

/* FOLDER/NAME if it is there, else NULL. */
static const char *
existing(struct scenario *s, const char *name)
{
	const char *path =
	    path_in(s->arena, s->folder, (struct slice){ name, strlen(name) });

	return access(path, R_OK) == 0 ? path : NULL;
}

/* All of a file, in the arena; false: `err` says why. */
static bool
read_whole(struct arena *arena, const char *path, struct slice *out,
    struct error *err)
{
	FILE *f = fopen(path, "rbe");
	struct buf text;
	char *room;
	size_t n = 1;
	bool good;

	if (f == NULL) {
		(void)error_set_errno(err, errno, "%s", path);
		return false;
	}
	buf_init(&text, FILE_MAX);
	while (n > 0 && (room = buf_reserve(&text, BUFSIZ)) != NULL) {
		n = fread(room, 1, BUFSIZ, f);
		text.len += n;
	}
	good = n == 0 && !ferror(f);
	if (good)
		*out = arena_copy(arena, buf_slice(&text));
	else
		(void)error_set(err, RC_LIMIT,
		    "%s: cannot be read, or is larger than %d bytes", path,
		    FILE_MAX);
	(void)fclose(f);
	buf_fini(&text);
	return good;
}

/* ---- scenario.json ----------------------------------------------------- */

static void
add_rules(struct scenario *s, const char *base, struct slice name)
{
	struct error err;

	if (s->n_rules == RULES_MAX) {
		(void)error_set(&err, RC_LIMIT,
		    "scenario.json: more than %d rules", RULES_MAX);
		fail(s, &err);
		return;
	}
	s->rules[s->n_rules++] = path_in(s->arena, base, name);
}

static const char *
text_of(struct scenario *s, struct slice v)
{
	return v.ptr == NULL ? NULL : path_in(s->arena, "", v) + 1;
}

/* One key; false: it is not known, or of the wrong type. */
static bool
take_key(struct scenario *s, const char *base, struct slice name,
    const struct value *v)
{
	struct slice text = v->kind == VALUE_STRING ? v->s : SLICE("");
	int code = input_option_named(name);
	struct error err;
	char year[32];

	if (slice_eq(name, SLICE("rules"))) {
		for (uint32_t i = 0; v->kind == VALUE_LIST && i < v->n; i++) {
			if (v->list[i].kind != VALUE_STRING)
				return false;
			add_rules(s, base, v->list[i].s);
		}
		if (v->kind == VALUE_STRING)
			add_rules(s, base, v->s);
		return v->kind == VALUE_LIST || v->kind == VALUE_STRING;
	}
	if (code == INPUT_YEAR && v->kind == VALUE_INT) {
		(void)snprintf(year, sizeof(year), "%lld", (long long)v->i);
		text = (struct slice){ year, strlen(year) };
	} else if (v->kind != VALUE_STRING) {
		return false;
	}
	if (code != -1) {
		if (input_option(&s->input, code, text_of(s, text), &err) !=
		    RC_OK) {
			(void)error_prefix(&err, "scenario.json");
			fail(s, &err);
		}
		return true;
	}
	if (slice_eq(name, SLICE("about")))
		s->about = text;
	else if (slice_eq(name, SLICE("logsource")))
		return rules_logsource(text_of(s, text), &s->logsource);
	else
		return false;
	return true;
}

static void
read_settings(struct scenario *s, const char *base)
{
	const char *path = existing(s, "scenario.json");
	struct event ev;
	struct slice text;
	struct error err;

	if (path == NULL)
		return;
	event_begin(&ev, s->arena);
	if (!read_whole(s->arena, path, &text, &err)) {
		fail(s, &err);
		return;
	}
	if (json_read_event(text, &json_limits_default, &ev, &err) != RC_OK) {
		(void)error_prefix(&err, "%s", path);
		fail(s, &err);
		return;
	}
	for (uint32_t i = 0; i < ev.n; i++) {
		struct slice name = field_name(ev.fields[i].id);

		if (take_key(s, base, name, &ev.fields[i].value))
			continue;
		(void)error_set(&err, RC_INVALID,
		    "%s: \"%.*s\" is wrong: about, rules, dataset, program, "
		    "year, timezone, logsource are known",
		    path, SLICE_ARG(name));
		fail(s, &err);
	}
}

/* ---- comparing --------------------------------------------------------- */

/* The name up to its first dot. */
static struct slice
top_of(uint32_t id)
{
	struct slice name = field_name(id);
	const char *dot = memchr(name.ptr, '.', name.len);

	if (dot != NULL)
		name.len = (size_t)(dot - name.ptr);
	return name;
}

static bool
equal_values(const struct value *a, const struct value *b)
{
	struct buf x, y;
	bool equal;

	buf_init(&x, OUT_MAX);
	buf_init(&y, OUT_MAX);
	json_write_value(&x, a);
	json_write_value(&y, b);
	equal = slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return equal;
}

/* Whether each member of `want` is in `have`, whole. */
static bool
is_like(const struct event *want, const struct event *have)
{
	for (uint32_t i = 0; i < want->n; i++) {
		const struct value *v = event_get(have, want->fields[i].id);

		if (v == NULL || !equal_values(&want->fields[i].value, v))
			return false;
	}
	for (uint32_t i = 0; i < have->n; i++) {
		struct slice top = top_of(have->fields[i].id);
		bool asked = false;

		if (event_get(want, have->fields[i].id) != NULL)
			continue;
		for (uint32_t k = 0; k < want->n && !asked; k++)
			asked = slice_eq(top, top_of(want->fields[k].id));
		if (asked)
			return false;
	}
	return true;
}

/* Nobody is woken by it. */
static bool
is_quiet(const struct event *match)
{
	struct slice level =
	    event_get_string(match, field_intern(SLICE("level")));

	for (uint32_t i = 0; i < match->n; i++)
		if (slice_eq(top_of(match->fields[i].id), SLICE("group")))
			return false;
	return slice_eq(level, SLICE("informational")) ||
	    slice_eq(level, SLICE("low"));
}

/* The next line that is not blank; false: none. */
static bool
next_line(struct slice *rest, struct slice *line)
{
	while (rest->len > 0) {
		const char *end = memchr(rest->ptr, '\n', rest->len);
		size_t n = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
		size_t step = end != NULL ? n + 1 : n;

		*line = (struct slice){ rest->ptr, n };
		rest->ptr += step;
		rest->len -= step;
		if (n > 0 && line->ptr[n - 1] == '\r')
			line->len--;
		if (line->len > 0)
			return true;
	}
	return false;
}

static bool
read_match(struct scenario *s, struct slice line, struct event *ev)
{
	struct error err;

	event_begin(ev, s->arena);
	if (json_read_event(line, &json_limits_default, ev, &err) == RC_OK)
		return true;
	(void)error_prefix(&err, "expected.jsonl");
	fail(s, &err);
	return false;
}

static void
compare(struct scenario *s, struct slice expected, struct slice got)
{
	bool any = false;
	struct slice want, have;

	while (next_line(&expected, &want)) {
		bool more = next_line(&got, &have);
		struct event x, y;

		any = true;
		if (!read_match(s, want, &x))
			return;
		if (more && read_match(s, have, &y) && is_like(&x, &y))
			continue;
		differ(s, want, more ? have : SLICE(""), NULL);
	}
	while (next_line(&got, &have)) {
		struct event y;

		if (!any && read_match(s, have, &y) && is_quiet(&y))
			continue;
		differ(s, SLICE(""), have, NULL);
	}
}

/* ---- a scenario -------------------------------------------------------- */

static bool
on_event(void *ctx, struct event *ev)
{
	struct scenario *s = ctx;
	uint32_t n;
	const uint32_t *hits = matcher_run(s->matcher, ev, &s->logsource, &n);

	rules_output_event(s->output, ev, s->index++, hits, n);
	return rules_output_good(s->output);
}

/* What the rules say of the input, as text in *got (free it). */
static bool
match_input(struct scenario *s, struct ruleset *rs, char **got, size_t *len,
    struct error *err)
{
	const char *log = existing(s, "input.log");
	const char *events = existing(s, "input.jsonl");
	FILE *f;
	enum rc rc;

	if ((log == NULL) == (events == NULL)) {
		(void)error_set(err, RC_INVALID,
		    "%s: there must be input.log or input.jsonl", s->folder);
		return false;
	}
	f = open_memstream(got, len);
	if (f == NULL) {
		(void)error_set_errno(err, errno, "%s", s->folder);
		return false;
	}
	s->matcher = matcher_new(rs);
	s->output = rules_output_new(rs, true, f);
	rc = log != NULL ? input_log(log, &s->input, on_event, s, err)
			 : input_jsonl(events, on_event, s, err);
	rules_output_end(s->output);
	rules_output_free(s->output);
	matcher_free(s->matcher);
	return fclose(f) == 0 && rc == RC_OK;
}

static void
run_rules(struct scenario *s, struct slice expected)
{
	struct rule_options load = {
		.paths = s->rules,
		.n_paths = s->n_rules,
		.extra_taxonomy = s->testing->arguments.taxonomy.paths,
		.n_extra_taxonomy = s->testing->arguments.taxonomy.n,
		.on_finding = on_finding,
		.ctx = s,
	};
	struct ruleset *rs = NULL;
	struct error err;
	char *got = NULL;
	size_t len = 0;

	if (ruleset_load(&load, &rs, &err) != RC_OK) {
		if (s->n_differences == 0)
			fail(s, &err);
		return;
	}
	if (match_input(s, rs, &got, &len, &err))
		compare(s, expected, (struct slice){ got, len });
	else
		fail(s, &err);
	free(got);
	ruleset_unref(rs);
}

static void
run_scenario(struct scenario *s)
{
	static const char *const own[] = { "rules.yml", "rules" };
	const char *path = existing(s, "expected.jsonl");
	struct slice expected;
	struct error err;

	read_settings(s, s->testing->base);
	for (size_t i = 0; i < 2; i++)
		if (existing(s, own[i]) != NULL && s->n_rules < RULES_MAX)
			s->rules[s->n_rules++] = existing(s, own[i]);
	if (s->n_rules == 0) {
		differ(s, SLICE(""), SLICE(""),
		    "no rules: neither in scenario.json nor beside it");
		return;
	}
	if (path == NULL) {
		differ(s, SLICE(""), SLICE(""),
		    "expected.jsonl cannot be read");
		return;
	}
	if (read_whole(s->arena, path, &expected, &err))
		run_rules(s, expected);
	else
		fail(s, &err);
}

static void
report(const struct testing *t, const struct scenario *s)
{
	bool good = s->n_differences == 0;
	const char *slash = strrchr(s->folder, '/');
	const char *name = slash != NULL ? slash + 1 : s->folder;
	struct json_writer w;
	struct buf out;

	if (!t->arguments.json) {
		(void)printf("%s  %s%s", good ? "pass" : "FAIL", name,
		    s->about.len > 0 ? ": " : "");
		print_text(s->about, 0);
		(void)printf("\n%.*s", SLICE_ARG(buf_slice(&s->differences)));
		if (s->n_differences > DIFFERENCES_MAX)
			(void)printf("    ... and %u more\n",
			    s->n_differences - DIFFERENCES_MAX);
		return;
	}
	buf_init(&out, OUT_MAX);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "scenario");
	json_str(&w, name);
	json_key(&w, "about");
	json_string(&w, s->about);
	json_key(&w, "result");
	json_str(&w, good ? "pass" : "fail");
	json_key(&w, "differences");
	json_open(&w, '[');
	json_raw(&w, buf_slice(&s->json));
	json_close(&w, ']');
	json_close(&w, '}');
	(void)printf("%.*s\n", SLICE_ARG(buf_slice(&out)));
	buf_fini(&out);
}

static void
test_folder(struct testing *t, const char *folder)
{
	struct scenario s = { .testing = t,
		.folder = folder,
		.about = SLICE("") };

	s.arena = arena_new(ARENA_BLOCK);
	buf_init(&s.differences, OUT_MAX);
	buf_init(&s.json, OUT_MAX);
	run_scenario(&s);
	report(t, &s);
	t->passed += s.n_differences == 0 ? 1 : 0;
	t->failed += s.n_differences == 0 ? 0 : 1;
	buf_fini(&s.differences);
	buf_fini(&s.json);
	arena_free(s.arena);
}

static bool
is_scenario(const char *folder)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/expected.jsonl", folder);

	return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}

/* A scenario, or a folder of them; false: neither, and it is said. */
static bool
test_path(struct testing *t, const char *path)
{
	uint32_t before = t->passed + t->failed;
	struct dirent **list = NULL;
	int n;

	if (is_scenario(path)) {
		test_folder(t, path);
		return true;
	}
	n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		perror(path);
	for (int i = 0; i < n; i++) {
		char folder[PATH_MAX];
		int len = snprintf(folder, sizeof(folder), "%s/%s", path,
		    list[i]->d_name);

		if (list[i]->d_name[0] != '.' && len > 0 &&
		    (size_t)len < sizeof(folder) && is_scenario(folder))
			test_folder(t, folder);
		free(list[i]);
	}
	free(list);
	if (n >= 0 && t->passed + t->failed == before)
		(void)fprintf(stderr,
		    "kuzetctl rules test: %s: no scenario (a folder with "
		    "expected.jsonl)\n",
		    path);
	return t->passed + t->failed > before;
}

/* ---- arguments --------------------------------------------------------- */

static void
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: kuzetctl rules test [--rules DIR] [--taxonomy DIR] "
	    "[--json] DIR...\n\n"
	    "Runs scenarios: each DIR is one, or holds some.  A scenario is a "
	    "folder with\n\n"
	    "  input.log, or input.jsonl   lines, or events\n"
	    "  rules.yml, or rules/        rules of its own, optional\n"
	    "  scenario.json               optional: about, rules (below "
	    "--rules), dataset,\n"
	    "                              program, year, timezone, logsource\n"
	    "  expected.jsonl              what rules match --json must print; "
	    "keys left out\n"
	    "                              do not count; empty: no alarm\n\n"
	    "  --rules DIR        where the rules of scenario.json are; "
	    "without it: the packs\n%s"
	    "  --json             one object a scenario; last the sums\n\n"
	    "Exit status 1 if a scenario fails, 2 if there is none.\n",
	    rules_taxonomy_help);
}

static int
test_all(struct testing *t)
{
	const struct rules_arguments *a = &t->arguments;
	bool good = true;

	for (int i = 0; i < a->n_rest; i++)
		good = test_path(t, a->rest[i]) && good;
	(void)printf(a->json ? "{\"passed\":%u,\"failed\":%u}\n"
			     : "%u passed, %u failed\n",
	    t->passed, t->failed);
	if (fflush(stdout) != 0)
		return EXIT_FAILED;
	if (!good)
		return EXIT_USAGE;
	return t->failed > 0 ? EXIT_FAILED : EXIT_GOOD;
}

int
rules_test(bool json, int argc, char *argv[])
{
	static const struct option options[] = { RULES_OPTIONS,
		{ NULL, 0, NULL, 0 } };
	static const struct rules_command command = {
		.name = "test",
		.options = options,
		.usage = usage,
	};
	char packs[PATH_MAX];
	struct testing t = { .base = packs, .arguments = { .json = json } };
	struct rules_arguments *a = &t.arguments;
	int status = rules_arguments_read(a, &command, argc, argv);

	if (status == -1 && !rules_packs(packs, sizeof(packs)))
		status = EXIT_FAILED;
	if (a->rules.n > 0)
		t.base = a->rules.paths[a->rules.n - 1];
	if (status == -1 && a->n_rest == 0) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (status == -1)
		status = test_all(&t);
	rules_arguments_fini(a);
	return status;
}
