/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kuzetctl rules test: scenarios (scenario.h), as a team keeps them under
 * continuous integration.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "json.h"
#include "junit.h"
#include "query.h"
#include "rules.h"
#include "scenario.h"
#include "xalloc.h"

enum {
	OUT_MAX = 64 << 20,
	DEPTH_MAX = 8,         /* of folders */
	DIFF_LINES_MAX = 200,  /* that people see of one scenario */
	DIFFERENCES_MAX = 40,  /* that programs do */
	FAILED_NAMES_MAX = 10, /* in the last line */
};

enum { OPTION_JUNIT = 1 };

struct testing {
	struct rules_arguments arguments;
	struct scenario_options options;
	const char *junit_path; /* NULL: none is wanted */
	struct junit *junit;
	char **folders; /* owned: of the scenarios, in the order they run */
	size_t n_folders, cap_folders;
	struct buf failed_names;
	uint32_t passed, failed;
	bool colour, progress;
};

static double
seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The last part of a path, and what stands before it. */
static const char *
name_of(const char *folder)
{
	const char *slash = strrchr(folder, '/');

	return slash != NULL ? slash + 1 : folder;
}

/* ---- reports ----------------------------------------------------------- */

/* What was wrong, as text; the lines of a diff are its own. */
static void
describe(const struct scenario *s, struct buf *out)
{
	struct slice rest = buf_slice(&s->errors);
	char name[PATH_MAX];

	while (rest.len > 0) {
		const char *end = memchr(rest.ptr, '\n', rest.len);
		size_t n = (size_t)(end - rest.ptr);

		(void)buf_printf(out, "! %.*s\n", (int)n, rest.ptr);
		rest.ptr += n + 1;
		rest.len -= n + 1;
	}
	(void)snprintf(name, sizeof(name), "%s/expected.jsonl", s->folder);
	if (s->diff.differences > 0)
		diff_print(&s->diff, name, DIFF_LINES_MAX, out);
}

/* A line in the colour that diffs have; on a terminal nothing that it obeys. */
static void
print_described(struct slice line, bool colour)
{
	static const struct {
		char first;
		const char *colour;
	} colours[] = {
		{ '!', "\033[31m" },
		{ '-', "\033[31m" },
		{ '+', "\033[32m" },
		{ '@', "\033[36m" },
	};
	const char *begin = NULL;

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (colour && line.len > 0 && line.ptr[0] == colours[i].first)
			begin = colours[i].colour;
	if (begin != NULL)
		(void)fputs(begin, stdout);
	print_text(line, 0);
	(void)fputs(begin != NULL ? "\033[0m\n" : "\n", stdout);
}

static void
report_to_people(const struct testing *t, const struct scenario *s,
    struct slice described)
{
	bool good = scenario_passed(s);

	if (t->colour)
		(void)fputs(good ? "\033[32m" : "\033[1;31m", stdout);
	(void)fputs(good ? "pass" : "FAIL", stdout);
	(void)printf("%s  %s%s", t->colour ? "\033[0m" : "", name_of(s->folder),
	    s->about.len > 0 ? ": " : "");
	print_text(s->about, 0);
	(void)putchar('\n');
	while (described.len > 0) {
		const char *end = memchr(described.ptr, '\n', described.len);
		size_t n =
		    end != NULL ? (size_t)(end - described.ptr) : described.len;

		print_described((struct slice){ described.ptr, n }, t->colour);
		n += end != NULL ? 1 : 0;
		described.ptr += n;
		described.len -= n;
	}
	(void)fflush(stdout);
}

static void
write_differences(struct json_writer *w, const struct scenario *s)
{
	struct slice errors = buf_slice(&s->errors), expected, got;

	if (errors.len > 0) {
		json_open(w, '{');
		json_key(w, "error");
		json_string(w, (struct slice){ errors.ptr, errors.len - 1 });
		json_close(w, '}');
	}
	for (size_t i = 0;
	     i < DIFFERENCES_MAX && diff_pair(&s->diff, i, &expected, &got);
	     i++) {
		json_open(w, '{');
		if (expected.len > 0) {
			json_key(w, "expected");
			json_raw(w, expected);
		}
		if (got.len > 0) {
			json_key(w, "got");
			json_raw(w, got);
		}
		json_close(w, '}');
	}
}

static void
report_to_programs(const struct scenario *s, double seconds)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, OUT_MAX);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "scenario");
	json_str(&w, name_of(s->folder));
	json_key(&w, "folder");
	json_str(&w, s->folder);
	json_key(&w, "about");
	json_string(&w, s->about);
	json_key(&w, "result");
	json_str(&w, scenario_passed(s) ? "pass" : "fail");
	json_key(&w, "seconds");
	(void)buf_printf(&out, "%.3f", seconds);
	w.comma = true;
	json_key(&w, "differences");
	json_open(&w, '[');
	write_differences(&w, s);
	json_close(&w, ']');
	json_close(&w, '}');
	(void)printf("%.*s\n", SLICE_ARG(buf_slice(&out)));
	buf_fini(&out);
}

static void
report_to_junit(const struct testing *t, const struct scenario *s,
    double seconds, struct slice described)
{
	struct slice why = buf_slice(&s->errors);
	const char *end = why.len > 0 ? memchr(why.ptr, '\n', why.len) : NULL;
	char message[64];

	if (scenario_passed(s)) {
		junit_pass(t->junit, s->folder, seconds);
		return;
	}
	(void)snprintf(message, sizeof(message), "%zu lines differ",
	    s->diff.differences);
	junit_fail(t->junit, s->folder, seconds,
	    end != NULL ? (struct slice){ why.ptr, (size_t)(end - why.ptr) }
			: (struct slice){ message, strlen(message) },
	    described);
}

/* ---- running ----------------------------------------------------------- */

static void
show_progress(const struct testing *t, size_t i)
{
	if (!t->progress)
		return;
	(void)fputs("\r\033[K", stderr);
	if (i < t->n_folders)
		(void)fprintf(stderr, "%zu of %zu scenarios, %u failed: %s", i,
		    t->n_folders, t->failed, name_of(t->folders[i]));
}

static void
note_failure(struct testing *t, const char *folder)
{
	if (++t->failed <= FAILED_NAMES_MAX)
		(void)buf_printf(&t->failed_names, "%s%s",
		    t->failed > 1 ? ", " : ": ", name_of(folder));
	else if (t->failed == FAILED_NAMES_MAX + 1)
		(void)buf_add_str(&t->failed_names, ", ...");
}

static void
test_folder(struct testing *t, const char *folder)
{
	double began = seconds_now(), seconds;
	struct scenario s;
	struct buf described;

	buf_init(&described, OUT_MAX);
	scenario_run(&s, folder, &t->options);
	seconds = seconds_now() - began;
	describe(&s, &described);
	if (t->arguments.json)
		report_to_programs(&s, seconds);
	else
		report_to_people(t, &s, buf_slice(&described));
	if (t->junit != NULL)
		report_to_junit(t, &s, seconds, buf_slice(&described));
	if (scenario_passed(&s))
		t->passed++;
	else
		note_failure(t, folder);
	buf_fini(&described);
	scenario_fini(&s);
}

static void
print_sums(const struct testing *t)
{
	if (t->arguments.json)
		(void)printf("{\"passed\":%u,\"failed\":%u}\n", t->passed,
		    t->failed);
	else
		(void)printf("%u passed, %u failed%.*s\n", t->passed, t->failed,
		    SLICE_ARG(buf_slice(&t->failed_names)));
}

/* ---- which they are ---------------------------------------------------- */

static void
add_folder(struct testing *t, const char *folder)
{
	if (t->n_folders == t->cap_folders) {
		t->cap_folders = t->cap_folders > 0 ? 2 * t->cap_folders : 64;
		t->folders = xreallocarray(t->folders, t->cap_folders,
		    sizeof(t->folders[0]));
	}
	t->folders[t->n_folders++] = xstrdup(folder);
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A scenario, or those below a folder, by name.  False: it cannot be read. */
/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX bounds it */
static bool
find_scenarios(struct testing *t, const char *path, unsigned depth)
{
	struct dirent **list = NULL;
	int n;

	if (scenario_is_one(path)) {
		add_folder(t, path);
		return true;
	}
	n = scandir(path, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char below[PATH_MAX];
		int len = snprintf(below, sizeof(below), "%s/%s", path,
		    list[i]->d_name);

		if (list[i]->d_name[0] != '.' && len > 0 &&
		    (size_t)len < sizeof(below) && depth < DEPTH_MAX &&
		    is_folder(below))
			(void)find_scenarios(t, below, depth + 1);
		free(list[i]);
	}
	free(list);
	return n >= 0;
}

/* False: there is none, and it is said. */
static bool
find_below(struct testing *t, char *path)
{
	size_t before = t->n_folders, len = strlen(path);
	struct error err;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	if (!find_scenarios(t, path, 0)) {
		(void)error_set_errno(&err, errno, "%s", path);
		(void)fprintf(stderr, "kuzetctl rules test: %s\n", err.text);
		return false;
	}
	if (t->n_folders == before)
		(void)fprintf(stderr,
		    "kuzetctl rules test: %s: no scenario (a folder with "
		    "expected.jsonl)\n",
		    path);
	return t->n_folders > before;
}

/* ---- arguments --------------------------------------------------------- */

static void
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: kuzetctl rules test [--rules DIR] [--taxonomy DIR] "
	    "[--junit FILE] [--json]\n"
	    "                           DIR...\n\n"
	    "Runs scenarios: each DIR is one, or holds some, also in folders "
	    "of folders.  A\nscenario is a folder with\n\n"
	    "  input.log, or input.jsonl   lines, or events\n"
	    "  rules.yml, or rules/        rules of its own, optional\n"
	    "  scenario.json               optional: about, rules (below "
	    "--rules), dataset,\n"
	    "                              program, year, timezone, logsource\n"
	    "  expected.jsonl              what rules match --json must print; "
	    "keys left out\n"
	    "                              do not count; empty: no alarm\n\n"
	    "What differs is printed as a unified diff of expected.jsonl: with "
	    "patch -p0 it\nbecomes what is expected.\n\n"
	    "  --rules DIR        where the rules of scenario.json are; "
	    "without it: the packs\n%s"
	    "  --junit FILE       the results as JUnit's XML, too\n"
	    "  --json             one object a scenario; last the sums\n\n"
	    "Exit status 1 if a scenario fails, 2 if there is none.\n",
	    rules_taxonomy_help);
}

static void
take_own(void *ctx, int code, const char *text)
{
	struct testing *t = ctx;

	if (code == OPTION_JUNIT)
		t->junit_path = text;
}

static int
test_all(struct testing *t)
{
	const struct rules_arguments *a = &t->arguments;
	bool good = true;
	struct error err;

	for (int i = 0; i < a->n_rest; i++)
		good = find_below(t, a->rest[i]) && good;
	if (t->junit_path != NULL)
		t->junit = junit_new("kuzetctl rules test");
	for (size_t i = 0; i < t->n_folders; i++) {
		show_progress(t, i);
		test_folder(t, t->folders[i]);
	}
	show_progress(t, t->n_folders);
	print_sums(t);
	if (t->junit != NULL &&
	    junit_save(t->junit, t->junit_path, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl rules test: %s\n", err.text);
		return EXIT_FAILED;
	}
	if (fflush(stdout) != 0)
		return EXIT_FAILED;
	if (!good)
		return EXIT_USAGE;
	return t->failed > 0 ? EXIT_FAILED : EXIT_GOOD;
}

static void
testing_fini(struct testing *t)
{
	for (size_t i = 0; i < t->n_folders; i++)
		free(t->folders[i]);
	free(t->folders);
	junit_free(t->junit);
	buf_fini(&t->failed_names);
	rules_arguments_fini(&t->arguments);
}

int
rules_test(bool json, int argc, char *argv[])
{
	static const struct option options[] = { RULES_OPTIONS,
		{ "junit", required_argument, NULL, OPTION_JUNIT },
		{ NULL, 0, NULL, 0 } };
	struct testing t = { .arguments = { .json = json } };
	struct rules_command command = {
		.name = "test",
		.options = options,
		.usage = usage,
		.own = take_own,
		.ctx = &t,
	};
	struct rules_arguments *a = &t.arguments;
	char packs[PATH_MAX], cache[PATH_MAX];
	int status = rules_arguments_read(a, &command, argc, argv);

	if (status == -1 && !rules_packs(packs, sizeof(packs)))
		status = EXIT_FAILED;
	t.options = (struct scenario_options){
		.base = a->rules.n > 0 ? a->rules.paths[a->rules.n - 1] : packs,
		.taxonomy = &a->taxonomy,
		.cache = rules_cache(cache, sizeof(cache)),
	};
	buf_init(&t.failed_names, OUT_MAX);
	t.colour = print_in_colour();
	t.progress = isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1;
	if (status == -1 && a->n_rest == 0) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (status == -1)
		status = test_all(&t);
	testing_fini(&t);
	return status;
}
