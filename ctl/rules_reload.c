/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kuzetctl rules reload: asks for it, waits for what comes of it.  A reload that
 * the store holds up goes on by itself: it is said, and not waited for.
 */
#include <getopt.h>
#include <stdio.h>
#include <time.h>

#include "client.h"
#include "command.h"
#include "json.h"
#include "rules.h"

enum {
	ARENA_BLOCK = 16 * 1024,
	LOOK_NS = 200 * 1000 * 1000,
	OUT_MAX = 64 * 1024
};

static const char help[] =
    "usage: kuzetctl rules reload [--no-wait] [--json]\n\n"
    "Has the collector read its rules, log formats, GeoIP databases, objects "
    "and\ncertificates again, and prints what came of it.  What is refused "
    "leaves\neverything as it was.\n\n"
    "  --no-wait          return as soon as it has begun\n"
    "  --json             one object: reload, number, message, rules\n\n"
    "Exit status 1 if it is refused, or put off as the store cannot write: it "
    "then\ngoes on by itself as soon as the store can.\n";

/* An answer, in the arena. */
struct answer {
	struct arena *arena; /* borrowed */
	struct event ev;
	bool valid;
};

static bool
on_line(void *ctx, struct slice line)
{
	struct answer *a = ctx;
	struct error err;

	event_begin(&a->ev, a->arena);
	a->valid = json_read_event(arena_copy(a->arena, line),
		       &json_limits_default, &a->ev, &err) == RC_OK;
	return false;
}

static struct slice
text_of(const struct answer *a, const char *name)
{
	return event_get_string(&a->ev,
	    field_intern((struct slice){ name, strlen(name) }));
}

static int64_t
number_of(const struct answer *a, const char *name)
{
	const struct value *v = event_get(&a->ev,
	    field_intern((struct slice){ name, strlen(name) }));

	return v != NULL && v->kind == VALUE_INT ? v->i : -1;
}

static enum rc
ask(const struct global_options *global, const char *method, const char *target,
    struct answer *out, struct error *err)
{
	const struct client_request request = { .method = method,
		.target = target };
	enum rc rc = client_ask(global, &request, on_line, out, err);

	if (rc == RC_OK && !out->valid)
		rc = error_set(err, RC_INVALID,
		    "%s: the answer is no JSON object", target);
	return rc;
}

/* How it ended, or why it waits. */
static enum rc
wait_for_end(const struct global_options *global, int64_t number,
    struct answer *out, struct error *err)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };

	for (;;) {
		struct slice state;

		arena_reset(out->arena);
		if (ask(global, "GET", "/v1/status", out, err) != RC_OK)
			return err->code;
		state = text_of(out, "reload.state");
		if (slice_eq(state, SLICE("waiting")) ||
		    (number_of(out, "reload.number") >= number &&
			!slice_eq(state, SLICE("reading"))))
			return RC_OK;
		(void)nanosleep(&look, NULL);
	}
}

static void
print_json(int64_t number, const struct answer *a)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, OUT_MAX);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "reload");
	json_string(&w, text_of(a, "reload.state"));
	json_key(&w, "number");
	json_int(&w, number);
	json_key(&w, "message");
	json_string(&w, text_of(a, "reload.message"));
	json_key(&w, "rules");
	json_open(&w, '{');
	json_key(&w, "loaded");
	json_int(&w, number_of(a, "rules.loaded"));
	json_key(&w, "refused");
	json_int(&w, number_of(a, "rules.refused"));
	json_close(&w, '}');
	json_close(&w, '}');
	(void)printf("%.*s\n", SLICE_ARG(buf_slice(&out)));
	buf_fini(&out);
}

/* The exit status. */
static int
print_end(bool json, int64_t number, const struct answer *a)
{
	struct slice state = text_of(a, "reload.state");
	struct slice message = text_of(a, "reload.message");
	bool done = slice_eq(state, SLICE("done"));

	if (json)
		print_json(number, a);
	else if (done)
		(void)printf("reloaded: %lld rules, %lld refused%s\n",
		    (long long)number_of(a, "rules.loaded"),
		    (long long)number_of(a, "rules.refused"),
		    number_of(a, "rules.refused") > 0
			? ": the collector's log says which, and why"
			: "");
	else
		(void)fprintf(stderr, "kuzetctl rules reload: %s: %.*s\n",
		    slice_eq(state, SLICE("waiting")) ? "put off" : "refused",
		    SLICE_ARG(message));
	if (!json && done && message.len > 0)
		(void)fprintf(stderr, "kuzetctl rules reload: %.*s\n",
		    SLICE_ARG(message));
	return done && fflush(stdout) == 0 ? EXIT_GOOD : EXIT_FAILED;
}

static int
reload(const struct global_options *global, bool wait)
{
	struct answer answer = { .arena = arena_new(ARENA_BLOCK) };
	struct error err;
	int status = EXIT_GOOD;
	int64_t number = 0;
	enum rc rc = ask(global, "POST", "/v1/rules/reload", &answer, &err);

	if (rc == RC_OK) {
		number = number_of(&answer, "number");
		if (!wait)
			(void)printf(global->json
				? "{\"reload\":\"begun\",\"number\":%lld}\n"
				: "reload %lld has begun\n",
			    (long long)number);
		else
			rc = wait_for_end(global, number, &answer, &err);
	}
	if (rc != RC_OK) {
		(void)fprintf(stderr, "kuzetctl rules reload: %s\n", err.text);
		status = rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
	} else if (wait) {
		status = print_end(global->json, number, &answer);
	}
	arena_free(answer.arena);
	return fflush(stdout) == 0 ? status : EXIT_FAILED;
}

int
rules_reload(const struct global_options *global, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "no-wait", no_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct global_options own = *global;
	bool wait = true;
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		}
		if (c == '?')
			return EXIT_USAGE; /* and it is said */
		wait = wait && c != 'n';
		own.json = own.json || c == 'j';
	}
	if (optind < argc) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	return reload(&own, wait);
}
