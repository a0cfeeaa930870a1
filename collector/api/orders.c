/* SPDX-License-Identifier: Apache-2.0 */
/* What agents are told: configurations, orders and their answers. */
#include "api_private.h"
#include "order.h"

enum { SHOWN = 128, KEY_BYTES = 4096 };

static bool
line(void *ctx, struct slice json)
{
	struct ask *a = ctx;

	(void)buf_add_slice(&a->line, json);
	return ask_line(a);
}

static const struct api_orders *
orders_of(struct ask *a)
{
	const struct api_orders *o = a->api->options.orders;
	struct error err;

	if (o == NULL)
		ask_fail(a,
		    error_set(&err, RC_AGAIN, "nobody tells agents anything"),
		    &err);
	return o;
}

static void
configs(struct ask *a, struct slice agent, bool check)
{
	const struct api_orders *o = orders_of(a);
	struct error err;

	if (o != NULL)
		ask_fail(a,
		    o->configs(a->api->options.ctx,
			&(struct api_configs){ ask_owner(a), agent, check,
			    ask_name(a) },
			line, a, &err),
		    &err);
}

void
get_configs(struct ask *a)
{
	configs(a, http_param(a->request, "agent"), false);
}

void
post_config_check(struct ask *a)
{
	struct slice agent = { NULL, 0 };
	const struct body_member members[] = {
		{ "agent", BODY_TEXT, &agent, false, NULL },
	};
	struct error err;
	enum rc rc = body_parse(a, members, 1, &err);

	if (rc == RC_OK)
		configs(a, agent, true);
	else
		ask_fail(a, rc, &err);
}

void
post_config_push(struct ask *a)
{
	const struct api_orders *o = orders_of(a);
	struct error err;
	enum rc rc = RC_OK;

	if (o == NULL)
		return;
	if (ask_owner(a).ptr != NULL)
		rc = error_set(&err, RC_DENIED,
		    "the configurations are those of all organizations");
	if (rc == RC_OK)
		rc = o->push(a->api->options.ctx, &err);
	if (rc == RC_OK)
		configs(a, (struct slice){ NULL, 0 }, false);
	else
		ask_fail(a, rc, &err);
}

void
get_config_key(struct ask *a)
{
	const struct api_orders *o = orders_of(a);
	struct json_writer w;
	struct buf pem;

	if (o == NULL)
		return;
	buf_init(&pem, KEY_BYTES);
	o->key(a->api->options.ctx, &pem);
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "key");
	json_string(&w, buf_slice(&pem));
	json_close(&w, '}');
	buf_fini(&pem);
	http_type(a->reply, 200, "application/json");
	(void)ask_line(a);
}

void
get_orders(struct ask *a)
{
	const struct api_orders *o = orders_of(a);

	if (o != NULL)
		o->list(a->api->options.ctx, ask_owner(a),
		    (struct slice){ NULL, 0 }, http_param(a->request, "agent"),
		    line, a);
}

struct one_order {
	struct ask *ask;
	bool found;
};

static bool
only_line(void *ctx, struct slice json)
{
	struct one_order *one = ctx;

	one->found = true;
	http_type(one->ask->reply, 200, "application/json");
	return line(one->ask, json);
}

void
get_order(struct ask *a)
{
	const struct api_orders *o = orders_of(a);
	struct one_order one = { .ask = a };
	struct error err;

	if (o == NULL)
		return;
	o->list(a->api->options.ctx, ask_owner(a), a->path[0],
	    (struct slice){ NULL, 0 }, only_line, &one);
	if (!one.found)
		ask_fail(a,
		    error_set(&err, RC_EOF, "there is no order \"%.*s\"",
			(int)(a->path[0].len < SHOWN ? a->path[0].len : SHOWN),
			a->path[0].ptr),
		    &err);
}

/* ---- what is to be done on a machine -------------------------------------- */

static const struct {
	const char *name, *kind;
	bool needs_target, needs_time;
} actions[] = {
	{ "block", "block_address", true, true },
	{ "unblock", "unblock_address", true, false },
	{ "stop", "stop_service", true, true },
	{ "collect", "collect_evidence", false, false },
};
enum { ACTIONS = sizeof(actions) / sizeof(actions[0]), TEXT_MAX = 512 };

struct wish {
	struct slice action, agent, target, reason;
	uint64_t seconds;
};

static enum rc
check_texts(const struct wish *wish, struct error *err)
{
	const struct {
		const char *name;
		struct slice text;
		size_t least;
	} texts[] = {
		{ "agent", wish->agent, 1 },
		{ "target", wish->target, 0 },
		{ "reason", wish->reason, 1 },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].text.len < texts[i].least ||
		    texts[i].text.len > TEXT_MAX)
			return error_set(err, RC_INVALID,
			    "%s: must be %zu to %d bytes", texts[i].name,
			    texts[i].least, TEXT_MAX);
	}
	return RC_OK;
}

static enum rc
check_wish(const struct wish *wish, struct order *out, struct error *err)
{
	size_t i = 0;

	while (i < ACTIONS &&
	    !slice_eq(wish->action,
		(struct slice){ actions[i].name, strlen(actions[i].name) }))
		i++;
	if (i == ACTIONS)
		return error_set(err, RC_INVALID,
		    "action: must be block, unblock, stop or collect");
	if ((wish->target.len > 0) != actions[i].needs_target)
		return error_set(err, RC_INVALID, "target: %s %s",
		    actions[i].name,
		    actions[i].needs_target ? "needs one" : "has none");
	if ((wish->seconds > 0) != actions[i].needs_time)
		return error_set(err, RC_INVALID, "seconds: %s %s",
		    actions[i].name,
		    actions[i].needs_time
			? "is for a time: 1 or more are needed"
			: "is for no time");
	*out = (struct order){
		.kind = { actions[i].kind, strlen(actions[i].kind) },
		.agent = wish->agent,
		.target = wish->target,
		.reason = wish->reason,
		.seconds = wish->seconds,
	};
	return check_texts(wish, err);
}

static enum rc
respond(struct ask *a, const struct api_orders *calls, const struct wish *wish,
    char id[UUID_TEXT], struct error *err)
{
	struct order order = { .version = 0 };
	enum rc rc = check_wish(wish, &order, err);

	if (rc != RC_OK)
		return rc;
	ask_note(a, "%.*s %.*s on %.*s for %llu s: %.*s", SLICE_ARG(order.kind),
	    SLICE_ARG(order.target), SLICE_ARG(order.agent),
	    (unsigned long long)order.seconds, SLICE_ARG(order.reason));
	order.by = ask_name(a);
	return calls->ask(a->api->options.ctx, ask_owner(a), &order, id, err);
}

void
post_respond(struct ask *a)
{
	const struct api_orders *calls = orders_of(a);
	struct wish wish = { .seconds = 0 };
	const struct body_member members[] = {
		{ "action", BODY_TEXT, &wish.action, true, NULL },
		{ "agent", BODY_TEXT, &wish.agent, true, NULL },
		{ "target", BODY_TEXT, &wish.target, false, NULL },
		{ "reason", BODY_TEXT, &wish.reason, true, NULL },
		{ "seconds", BODY_NUMBER, &wish.seconds, false, NULL },
	};
	char id[UUID_TEXT] = "";
	struct error err;
	enum rc rc;

	if (calls == NULL)
		return;
	rc = body_parse(a, members, sizeof(members) / sizeof(members[0]), &err);
	if (rc == RC_OK)
		rc = respond(a, calls, &wish, id, &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	http_type(a->reply, 200, "application/json");
	calls->list(a->api->options.ctx, ask_owner(a),
	    (struct slice){ id, UUID_TEXT - 1 }, (struct slice){ NULL, 0 },
	    line, a);
}
