/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl respond: what is to be done on an agent's machine. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "command.h"
#include "json.h"
#include "orders.h"
#include "timestamp.h"

enum { BODY_BYTES = 8192, ANSWER_BYTES = 256 * 1024, FIELD_BYTES = 1024 };

static const char help[] =
    "usage: kuzetctl respond block ADDRESS --agent AGENT --for TIME --reason "
    "TEXT\n"
    "       kuzetctl respond unblock ADDRESS --agent AGENT --reason TEXT\n"
    "       kuzetctl respond stop UNIT --agent AGENT --for TIME --reason TEXT\n"
    "       kuzetctl respond collect --agent AGENT --reason TEXT\n"
    "       kuzetctl respond list [--agent AGENT]\n"
    "       each with [--json]\n\n"
    "block drops what comes from and goes to an address (nftables), stop stops a\n"
    "service, both for a time (30m, 2h), after which the machine undoes them by\n"
    "itself; collect brings processes, sockets, log-ins and files as events.\n"
    "Only what response.enabled of the machine's agent.yaml lists is done.\n"
    "list prints what agents were asked for, and what they answered.\n\n"
    "Exit status: 1 if it is refused, fails, or is not answered in 30 s.\n";

struct arguments {
	struct global_options global;
	const char *agent, *span, *reason; /* NULL: not given */
	const char *target;                /* NULL: not given */
};

/* -1: go on. */
static int
parse(const struct global_options *global, int argc, char *argv[],
    struct arguments *out)
{
	static const struct option options[] = {
		{ "agent", required_argument, NULL, 'a' },
		{ "for", required_argument, NULL, 'f' },
		{ "reason", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*out = (struct arguments){ .global = *global };
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			out->agent = optarg;
			break;
		case 'f':
			out->span = optarg;
			break;
		case 'r':
			out->reason = optarg;
			break;
		case 'j':
			out->global.json = true;
			break;
		case 'h':
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		out->target = argv[optind++];
	if (optind == argc)
		return -1;
	(void)fputs(help, stderr);
	return EXIT_USAGE;
}

static void
put(struct json_writer *w, const char *key, const char *text)
{
	if (text == NULL)
		return;
	json_key(w, key);
	json_str(w, text);
}

static enum rc
write_body(const char *action, const struct arguments *a, struct buf *out,
    struct error *err)
{
	struct json_writer w;
	int64_t ns = 0;

	if (a->agent == NULL || a->reason == NULL)
		return error_set(err, RC_INVALID,
		    "--agent and --reason are needed");
	if (a->span != NULL &&
	    duration_parse((struct slice){ a->span, strlen(a->span) }, &ns,
		err) != RC_OK)
		return error_prefix(err, "--for");
	json_begin(&w, out);
	json_open(&w, '{');
	put(&w, "action", action);
	put(&w, "agent", a->agent);
	put(&w, "target", a->target);
	put(&w, "reason", a->reason);
	if (ns > 0) {
		json_key(&w, "seconds");
		json_uint(&w, (uint64_t)((ns + NS_PER_SEC - 1) / NS_PER_SEC));
	}
	json_close(&w, '}');
	return RC_OK;
}

/* The last state of the order; false: it was not done. */
static bool
print_order(const struct global_options *global, struct slice json)
{
	static const char *const fields[] = { "agent", "kind", "target",
		"state", "result", "message" };
	char text[FIELD_BYTES];

	if (global->json) {
		(void)printf("%.*s\n", SLICE_ARG(json));
	} else {
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]);
		     i++) {
			order_member(json, fields[i], text, sizeof(text));
			if (text[0] != '\0')
				(void)printf("%s%s", i == 0 ? "" : " ", text);
		}
		(void)putchar('\n');
	}
	order_member(json, "result", text, sizeof(text));
	return strcmp(text, "done") == 0;
}

static int
act(const char *action, const struct global_options *global, int argc,
    char *argv[])
{
	struct client_request request = { .method = "POST",
		.target = "/v1/respond" };
	struct arguments a;
	struct buf body, answer;
	struct error err;
	char id[UUID_TEXT];
	int status = parse(global, argc, argv, &a);
	bool done = false;
	enum rc rc;

	if (status != -1)
		return status;
	buf_init(&body, BODY_BYTES);
	buf_init(&answer, ANSWER_BYTES);
	rc = write_body(action, &a, &body, &err);
	request.body = buf_slice(&body);
	if (rc == RC_OK)
		rc = client_ask(&a.global, &request, order_keep_line, &answer,
		    &err);
	if (rc == RC_OK) {
		order_member(buf_slice(&answer), "id", id, sizeof(id));
		rc = order_await(&a.global, id, &answer, &err);
	}
	if (rc == RC_OK)
		done = print_order(&a.global, buf_slice(&answer));
	else
		(void)fprintf(stderr, "kuzetctl respond: %s\n", err.text);
	buf_fini(&body);
	buf_fini(&answer);
	if (rc == RC_INVALID)
		return EXIT_USAGE;
	return done ? EXIT_GOOD : EXIT_FAILED;
}

static int
block(const struct global_options *global, int argc, char *argv[])
{
	return act("block", global, argc, argv);
}

static int
unblock(const struct global_options *global, int argc, char *argv[])
{
	return act("unblock", global, argc, argv);
}

static int
stop(const struct global_options *global, int argc, char *argv[])
{
	return act("stop", global, argc, argv);
}

static int
collect(const struct global_options *global, int argc, char *argv[])
{
	return act("collect", global, argc, argv);
}

static bool
print_line(void *ctx, struct slice line)
{
	(void)print_order(ctx, line);
	return true;
}

static int
list_orders(const struct global_options *global, int argc, char *argv[])
{
	struct arguments a;
	struct buf target;
	struct error err;
	int status = parse(global, argc, argv, &a);
	enum rc rc;

	if (status != -1)
		return status;
	buf_init(&target, BODY_BYTES);
	(void)buf_add_str(&target, "/v1/orders");
	if (a.agent != NULL)
		client_param(&target, "agent",
		    (struct slice){ a.agent, strlen(a.agent) });
	(void)buf_add_char(&target, '\0');
	rc = client_get(&a.global, target.ptr, print_line, &a.global, &err);
	buf_fini(&target);
	if (rc == RC_OK)
		return EXIT_GOOD;
	(void)fprintf(stderr, "kuzetctl respond: %s\n", err.text);
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int
run_respond(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "block", block },
		{ "unblock", unblock },
		{ "stop", stop },
		{ "collect", collect },
		{ "list", list_orders },
		{ NULL, NULL },
	};

	return family_run("respond", list, help, global, argc, argv);
}

const struct command cmd_respond = { "respond",
	"act on an agent's machine: block, stop, collect", run_respond };
