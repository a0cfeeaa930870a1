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
