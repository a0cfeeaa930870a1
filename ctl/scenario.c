/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "input.h"
#include "json.h"
#include "rules_output.h"

enum {
	ARENA_BLOCK = 1 << 16,
	ERRORS_MAX = 64 << 10,
	FILE_MAX = 16 << 20,
	RULES_MAX = 256,
};

/* One while it runs. */
struct run {
	struct scenario *s;
	const char *rules[RULES_MAX];
	size_t n_rules;
	struct input_options input;
	struct logsource logsource;
	struct matcher *matcher;
	struct rules_output *output;
	uint64_t index;
};

/* ---- what is wrong ----------------------------------------------------- */

static void
fail(struct scenario *s, const struct error *err)
{
	(void)buf_printf(&s->errors, "%s\n", err->text);
}

static void
on_finding(void *ctx, const struct rule_finding *f)
{
	struct run *r = ctx;

	if (f->severity == RULE_ERROR)
		(void)buf_printf(&r->s->errors, "%s:%u: refused: %s\n", f->file,
		    f->line, f->message);
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
existing(const struct scenario *s, const char *name)
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
add_rules(struct run *r, const char *base, struct slice name)
{
	struct error err;

	if (r->n_rules == RULES_MAX) {
		(void)error_set(&err, RC_LIMIT,
		    "scenario.json: more than %d rules", RULES_MAX);
		fail(r->s, &err);
		return;
	}
	r->rules[r->n_rules++] = path_in(r->s->arena, base, name);
}

static const char *
text_of(struct run *r, struct slice v)
{
	return v.ptr == NULL ? NULL : path_in(r->s->arena, "", v) + 1;
}

/* One key; false: it is not known, or of the wrong type. */
static bool
take_key(struct run *r, const char *base, struct slice name,
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
			add_rules(r, base, v->list[i].s);
		}
		if (v->kind == VALUE_STRING)
			add_rules(r, base, v->s);
		return v->kind == VALUE_LIST || v->kind == VALUE_STRING;
	}
	if (code == INPUT_YEAR && v->kind == VALUE_INT) {
		(void)snprintf(year, sizeof(year), "%lld", (long long)v->i);
		text = (struct slice){ year, strlen(year) };
	} else if (v->kind != VALUE_STRING) {
		return false;
	}
	if (code != -1) {
		if (input_option(&r->input, code, text_of(r, text), &err) !=
		    RC_OK) {
			(void)error_prefix(&err, "scenario.json");
			fail(r->s, &err);
		}
		return true;
	}
	if (slice_eq(name, SLICE("about")))
		r->s->about = text;
	else if (slice_eq(name, SLICE("logsource")))
		return rules_logsource(text_of(r, text), &r->logsource);
	else
		return false;
	return true;
}

static void
read_settings(struct run *r, const char *base)
{
	const char *path = existing(r->s, "scenario.json");
	struct event ev;
	struct slice text;
	struct error err;

	if (path == NULL)
		return;
	event_begin(&ev, r->s->arena);
	if (!read_whole(r->s->arena, path, &text, &err)) {
		fail(r->s, &err);
		return;
	}
	if (json_read_event(text, &json_limits_default, &ev, &err) != RC_OK) {
		(void)error_prefix(&err, "%s", path);
		fail(r->s, &err);
		return;
	}
	for (uint32_t i = 0; i < ev.n; i++) {
		struct slice name = field_name(ev.fields[i].id);

		if (take_key(r, base, name, &ev.fields[i].value))
			continue;
		(void)error_set(&err, RC_INVALID,
		    "%s: \"%.*s\" is wrong: about, rules, dataset, program, "
		    "year, timezone, logsource are known",
		    path, SLICE_ARG(name));
		fail(r->s, &err);
	}
}

/* ---- a scenario -------------------------------------------------------- */

static bool
on_event(void *ctx, struct event *ev)
{
	struct run *r = ctx;
	uint32_t n;
	const uint32_t *hits = matcher_run(r->matcher, ev, &r->logsource, &n);

	rules_output_event(r->output, ev, r->index++, hits, n);
	return rules_output_good(r->output);
}

/* What the rules say of the input, as text in *got (free it). */
static bool
match_input(struct run *r, struct ruleset *rs, char **got, size_t *len,
    struct error *err)
{
	const char *log = existing(r->s, "input.log");
	const char *events = existing(r->s, "input.jsonl");
	FILE *f;
	enum rc rc;

	if ((log == NULL) == (events == NULL)) {
		(void)error_set(err, RC_INVALID,
		    "%s: there must be input.log or input.jsonl", r->s->folder);
		return false;
	}
	f = open_memstream(got, len);
	if (f == NULL) {
		(void)error_set_errno(err, errno, "%s", r->s->folder);
		return false;
	}
	r->matcher = matcher_new(rs);
	r->output = rules_output_new(rs, true, f);
	rc = log != NULL ? input_log(log, &r->input, on_event, r, err)
			 : input_jsonl(events, on_event, r, err);
	rules_output_end(r->output);
	rules_output_free(r->output);
	matcher_free(r->matcher);
	if (fclose(f) != 0 && rc == RC_OK)
		rc = error_set_errno(err, errno, "%s", r->s->folder);
	return rc == RC_OK;
}

static void
compare(struct scenario *s, struct slice expected, struct slice got)
{
	struct error err;

	/* what came is kept as long as the scenario */
	if (diff_make(s->arena, expected, arena_copy(s->arena, got), &s->diff,
		&err) != RC_OK)
		fail(s, &err);
}

static void
run_rules(struct run *r, struct slice expected)
{
	const struct scenario_options *o = r->s->options;
	struct rule_options load = {
		.paths = r->rules,
		.n_paths = r->n_rules,
		.extra_taxonomy = o->taxonomy->paths,
		.n_extra_taxonomy = o->taxonomy->n,
		.on_finding = on_finding,
		.cache = o->cache,
		.ctx = r,
	};
	struct ruleset *rs = NULL;
	struct error err;
	char *got = NULL;
	size_t len = 0;

	if (ruleset_load(&load, &rs, &err) != RC_OK) {
		if (r->s->errors.len == 0)
			fail(r->s, &err);
		return;
	}
	if (match_input(r, rs, &got, &len, &err))
		compare(r->s, expected, (struct slice){ got, len });
	else
		fail(r->s, &err);
	free(got);
	ruleset_unref(rs);
}

static void
find_rules(struct run *r)
{
	static const char *const own[] = { "rules.yml", "rules" };

	read_settings(r, r->s->options->base);
	for (size_t i = 0; i < 2; i++)
		if (existing(r->s, own[i]) != NULL && r->n_rules < RULES_MAX)
			r->rules[r->n_rules++] = existing(r->s, own[i]);
}

/* ---- public ------------------------------------------------------------ */

bool
scenario_is_one(const char *folder)
{
	static const char *const names[] = { "expected.jsonl", "input.log",
		"input.jsonl", "scenario.json" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", folder, names[i]);

		if (n > 0 && (size_t)n < sizeof(path) &&
		    access(path, F_OK) == 0)
			return true;
	}
	return false;
}

void
scenario_run(struct scenario *s, const char *folder,
    const struct scenario_options *options)
{
	struct run r = { .s = s };
	const char *path;
	struct slice expected;
	struct error err;

	*s = (struct scenario){ .options = options,
		.folder = folder,
		.arena = arena_new(ARENA_BLOCK),
		.about = SLICE("") };
	buf_init(&s->errors, ERRORS_MAX);
	path = existing(s, "expected.jsonl");
	find_rules(&r);
	if (r.n_rules == 0)
		(void)buf_add_str(&s->errors,
		    "no rules: name them in scenario.json, or put rules.yml or "
		    "rules/ beside it\n");
	else if (path == NULL)
		(void)buf_add_str(&s->errors,
		    "expected.jsonl cannot be read: it holds what `kuzetctl "
		    "rules match --json` must print, or nothing where no alarm "
		    "may be\n");
	else if (read_whole(s->arena, path, &expected, &err))
		run_rules(&r, expected);
	else
		fail(s, &err);
}

bool
scenario_passed(const struct scenario *s)
{
	return s->errors.len == 0 && s->diff.differences == 0;
}

void
scenario_fini(struct scenario *s)
{
	buf_fini(&s->errors);
	arena_free(s->arena);
}
