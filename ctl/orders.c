/* SPDX-License-Identifier: Apache-2.0 */
#include "orders.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "json.h"
#include "loop.h"
#include "timestamp.h"

enum { ARENA_BLOCK = 16384, LOOK_MS = 100, TARGET_MAX = 256 };

void
order_member(struct slice json, const char *name, char *out, size_t room)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct slice text = { "", 0 };
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(json, &json_limits_default, &ev, &err) == RC_OK)
		text = event_get_string(&ev,
		    field_find((struct slice){ name, strlen(name) }));
	(void)snprintf(out, room, "%.*s", SLICE_ARG(text));
	arena_free(arena);
}

bool
order_keep_line(void *ctx, struct slice line)
{
	struct buf *out = ctx;

	buf_clear(out);
	(void)buf_add_slice(out, line);
	return true;
}

enum rc
order_await(const struct global_options *global, const char *id,
    struct buf *out, struct error *err)
{
	int64_t until_ns = loop_now() + ORDER_WAIT_SECONDS * NS_PER_SEC;
	char target[TARGET_MAX], state[32] = "";
	enum rc rc = RC_OK;

	(void)snprintf(target, sizeof(target), "/v1/orders/%s", id);
	while (rc == RC_OK) {
		rc = client_get(global, target, order_keep_line, out, err);
		if (rc == RC_OK)
			order_member(buf_slice(out), "state", state,
			    sizeof(state));
		if (strcmp(state, "answered") == 0 ||
		    strcmp(state, "expired") == 0 || loop_now() > until_ns)
			break;
		(void)poll(NULL, 0, LOOK_MS);
	}
	return rc;
}
