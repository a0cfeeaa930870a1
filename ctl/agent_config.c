/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "client.h"
#include "cmd_account.h"
#include "json.h"
#include "orders.h"
#include "query.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 64 * 1024, TARGET_MAX = 4096, ANSWER_MAX = 1024 * 1024 };
enum { NAME_MAX_BYTES = 256 };

static const char help[] =
    "usage: kuzetctl agent config show [--agent AGENT] [--json]\n"
    "       kuzetctl agent config check [--agent AGENT] [--json]\n"
    "       kuzetctl agent config diff --agent AGENT [--json]\n"
    "       kuzetctl agent config push [--dry-run] [--json]\n"
    "       kuzetctl agent config key\n\n"
    "show prints which group's configuration each agent should have, and\n"
    "what became of it there.\n"
    "check asks the agents to check their files of the folder agent_groups\n"
    "as they are now, without using them; diff prints what would change.\n"
    "push reads the folder, gives it a new version and sends it; agents\n"
    "that fell back try again.  --dry-run is check.\n"
    "key prints the public key that agents trust as central.key; those that\n"
    "enrol get it by themselves.\n\n"
    "Exit status: 1 if an agent refuses, or does not answer in 30 s.\n";

static const struct account_column columns[] = {
	{ "AGENT", "agent", 24 },
	{ "ENROLLED FOR", "enrolled_for", 16 },
	{ "FILE", "group", 20 },
	{ "VERSION", "version", 11 },
	{ "AT AGENT", "agent_version", 11 },
	{ "STATE", "state", 0 },
};

struct arguments {
	struct global_options global;
	const char *agent; /* NULL: all */
	bool dry_run;
};

/* -1: go on. */
static int
parse(const struct global_options *global, int argc, char *argv[],
    struct arguments *out)
{
	static const struct option options[] = {
		{ "agent", required_argument, NULL, 'a' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*out = (struct arguments){ .global = *global };
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'a') {
			out->agent = optarg;
		} else if (c == 'n') {
			out->dry_run = true;
		} else if (c == 'j') {
			out->global.json = true;
		} else if (c == 'h') {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		} else {
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	(void)fputs(help, stderr);
	return EXIT_USAGE;
}

static int
show(const struct global_options *global, int argc, char *argv[])
{
	struct client_request request = { .method = "GET" };
	struct arguments a;
	struct buf target;
	int status = parse(global, argc, argv, &a);

	if (status != -1)
		return status;
	buf_init(&target, TARGET_MAX);
	(void)buf_add_str(&target, "/v1/configs");
	if (a.agent != NULL)
		client_param(&target, "agent",
		    (struct slice){ a.agent, strlen(a.agent) });
	(void)buf_add_char(&target, '\0');
	request.target = target.ptr;
	status = account_ask(&a.global, &request, columns, "agent config");
	buf_fini(&target);
	return status;
}

/* ---- check, diff ---------------------------------------------------------- */

/* The lines that came: one an agent. */
struct answers {
	char **lines;
	size_t n;
};

static bool
keep_answer(void *ctx, struct slice line)
{
	struct answers *a = ctx;

	a->lines = xreallocarray(a->lines, a->n + 1, sizeof(char *));
	a->lines[a->n++] = xmemdupz(line.ptr, line.len);
	return true;
}

static void
print_change(struct slice json)
{
	char key[NAME_MAX_BYTES], input[2 * NAME_MAX_BYTES], change[32];

	order_member(json, "key", key, sizeof(key));
	order_member(json, "input", input, sizeof(input));
	order_member(json, "change", change, sizeof(change));
	(void)printf("  %-8s %s%s%s\n", change, key,
	    input[0] == '\0' ? "" : " of ", input);
}

static void
print_changes(struct slice json)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	const struct value *v;
	struct json_reader r;
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	v = json_read_event(json, &json_limits_default, &ev, &err) == RC_OK
	    ? event_get(&ev, field_find(SLICE("changes")))
	    : NULL;
	if (v != NULL && v->kind == VALUE_JSON) {
		json_reader_init(&r, v->s, arena, JSON_DEPTH_MAX);
		if (json_next(&r) == JSON_ARRAY_BEGIN) {
			while (json_next(&r) == JSON_OBJECT_BEGIN)
				print_change(json_skip(&r));
		}
	}
	arena_free(arena);
}

/* What an agent says to its file; false: it refuses, or says nothing. */
static bool
print_check(const struct arguments *a, const char *line)
{
	struct slice config = { line, strlen(line) };
	char agent[NAME_MAX_BYTES], id[64], state[32], result[32] = "";
	char message[1024] = "";
	struct buf answer;
	struct error err = { .text = "" };

	order_member(config, "agent", agent, sizeof(agent));
	order_member(config, "order", id, sizeof(id));
	order_member(config, "state", state, sizeof(state));
	buf_init(&answer, ANSWER_MAX);
	if (id[0] == '\0') {
		(void)snprintf(message, sizeof(message), "%s", state);
	} else if (order_await(&a->global, id, &answer, &err) != RC_OK) {
		(void)snprintf(message, sizeof(message), "%s", err.text);
	} else {
		order_member(buf_slice(&answer), "result", result,
		    sizeof(result));
		order_member(buf_slice(&answer), "message", message,
		    sizeof(message));
	}
	if (a->global.json) {
		(void)printf("%.*s\n",
		    answer.len > 0 ? (int)answer.len : (int)config.len,
		    answer.len > 0 ? answer.ptr : config.ptr);
	} else {
		(void)printf("%-24s %s%s%s\n", agent,
		    result[0] == '\0' ? "no answer" : result,
		    message[0] == '\0' ? "" : ": ", message);
		print_changes(buf_slice(&answer));
	}
	buf_fini(&answer);
	return strcmp(result, "good") == 0;
}

static void
add_text(struct buf *b, const char *key, const char *value)
{
	struct json_writer w;

	json_begin(&w, b);
	json_open(&w, '{');
	if (value != NULL) {
		json_key(&w, key);
		json_str(&w, value);
	}
	json_close(&w, '}');
}

static int
check_with(const struct arguments *a)
{
	struct client_request request = { .method = "POST",
		.target = "/v1/configs/check" };
	struct answers answers = { .n = 0 };
	struct error err;
	struct buf body;
	bool good = true;
	enum rc rc;

	buf_init(&body, TARGET_MAX);
	add_text(&body, "agent", a->agent);
	request.body = buf_slice(&body);
	rc = client_ask(&a->global, &request, keep_answer, &answers, &err);
	buf_fini(&body);
	for (size_t i = 0; i < answers.n; i++) {
		if (rc == RC_OK)
			good = print_check(a, answers.lines[i]) && good;
		free(answers.lines[i]);
	}
	free(answers.lines);
	if (rc == RC_OK && answers.n == 0 && a->agent != NULL)
		rc = error_set(&err, RC_EOF,
		    "agent %s has not said that it takes configurations",
		    a->agent);
	if (rc == RC_OK)
		return good ? EXIT_GOOD : EXIT_FAILED;
	(void)fprintf(stderr, "kuzetctl agent config: %s\n", err.text);
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int
check(const struct global_options *global, int argc, char *argv[])
{
	struct arguments a;
	int status = parse(global, argc, argv, &a);

	return status != -1 ? status : check_with(&a);
}

static int
diff(const struct global_options *global, int argc, char *argv[])
{
	struct arguments a;
	int status = parse(global, argc, argv, &a);

	if (status == -1 && a.agent == NULL) {
		(void)fputs("kuzetctl agent config diff: --agent is missing\n",
		    stderr);
		return EXIT_USAGE;
	}
	return status != -1 ? status : check_with(&a);
}

static int
push(const struct global_options *global, int argc, char *argv[])
{
	struct client_request request = { .method = "POST",
		.target = "/v1/configs/push" };
	struct arguments a;
	int status = parse(global, argc, argv, &a);

	if (status != -1)
		return status;
	if (a.dry_run)
		return check_with(&a);
	if (a.agent != NULL) {
		(void)fputs("kuzetctl agent config push: --agent goes with "
			    "--dry-run: a push is for all groups\n",
		    stderr);
		return EXIT_USAGE;
	}
	return account_ask(&a.global, &request, columns, "agent config");
}

static bool
print_key(void *ctx, struct slice line)
{
	char key[4096];

	(void)ctx;
	order_member(line, "key", key, sizeof(key));
	(void)fputs(key, stdout);
	return true;
}

static int
key(const struct global_options *global, int argc, char *argv[])
{
	struct arguments a;
	struct error err;
	int status = parse(global, argc, argv, &a);
	enum rc rc;

	if (status != -1)
		return status;
	rc = client_get(&a.global, "/v1/configs/key", print_key, NULL, &err);
	if (rc == RC_OK)
		return EXIT_GOOD;
	(void)fprintf(stderr, "kuzetctl agent config: %s\n", err.text);
	return EXIT_FAILED;
}

int
agent_config(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "show", show },
		{ "check", check },
		{ "diff", diff },
		{ "push", push },
		{ "key", key },
		{ NULL, NULL },
	};

	return family_run("agent config", list, help, global, argc, argv);
}
