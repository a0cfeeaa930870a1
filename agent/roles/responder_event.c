/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/responder_event.h"

#include <string.h>

#include "arena.h"
#include "json.h"
#include "utf8.h"

enum { ARENA_BLOCK = 65536, MESSAGE_BYTES = 8192 };

/* ECS: what kind of event an action is. */
static const struct {
	const char *kind, *category, *type;
} kinds[] = {
	{ "block_address", "network", "denied" },
	{ "unblock_address", "network", "allowed" },
	{ "stop_service", "process", "end" },
	{ "collect_evidence", "host", "info" },
	{ "", "configuration", "info" }, /* none that we know */
};

static void
put_one(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_open(w, '[');
	json_str(w, text);
	json_close(w, ']');
}

static void
begin(struct json_writer *w, const struct order *o, const char *outcome,
    const char *reason)
{
	size_t k = 0;

	while (kinds[k].kind[0] != '\0' &&
	    !slice_eq(o->kind,
		(struct slice){ kinds[k].kind, strlen(kinds[k].kind) }))
		k++;
	json_open(w, '{');
	json_key(w, "type");
	json_str(w, "event");
	json_key(w, "event");
	json_open(w, '{');
	json_key(w, "event");
	json_open(w, '{');
	json_key(w, "kind");
	json_str(w, "event");
	put_one(w, "category", kinds[k].category);
	put_one(w, "type", kinds[k].type);
	json_optional(w, "action", o->kind);
	json_key(w, "outcome");
	json_str(w, outcome);
	if (reason != NULL) {
		json_key(w, "reason");
		json_str(w, reason);
	}
	json_close(w, '}');
}

static void
begin_response(struct json_writer *w, const struct order *o)
{
	json_key(w, "kuzet.response");
	json_open(w, '{');
	json_optional(w, "order", o->id);
	json_optional(w, "target", o->target);
	json_optional(w, "by", o->by);
	json_optional(w, "reason", o->reason);
	if (o->seconds > 0) {
		json_key(w, "seconds");
		json_uint(w, o->seconds);
	}
}

static bool
is(struct slice text, const char *name)
{
	return slice_eq(text, (struct slice){ name, strlen(name) });
}

void
responder_event_result(const struct order *o, const char *result,
    const struct error *err, struct buf *out)
{
	bool done = strcmp(result, "done") == 0;
	struct json_writer w;
	struct buf message;

	json_begin(&w, out);
	begin(&w, o, done ? "success" : "failure", done ? NULL : err->text);
	buf_init(&message, MESSAGE_BYTES);
	(void)buf_printf(&message, "%.*s %.*s: %s%s%s", SLICE_ARG(o->kind),
	    SLICE_ARG(o->target), result, done ? "" : ": ",
	    done ? "" : err->text);
	json_optional(&w, "message", buf_slice(&message));
	buf_fini(&message);
	if (is(o->kind, "stop_service"))
		json_optional(&w, "service.name", o->target);
	if (done &&
	    (is(o->kind, "block_address") || is(o->kind, "unblock_address"))) {
		json_key(&w, "related.ip");
		json_open(&w, '[');
		json_string(&w, o->target);
		json_close(&w, ']');
	}
	begin_response(&w, o);
	json_key(&w, "result");
	json_str(&w, result);
	json_close(&w, '}');
	json_close(&w, '}');
	json_close(&w, '}');
}

void
responder_event_evidence(const struct order *o,
    const struct evidence_piece *piece, struct buf *out)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct slice text = utf8_repair(arena, piece->text);
	struct slice item = utf8_repair(arena,
	    (struct slice){ piece->item, strlen(piece->item) });
	struct json_writer w;

	json_begin(&w, out);
	begin(&w, o, "success", NULL);
	json_optional(&w, "message", text);
	begin_response(&w, o);
	json_optional(&w, "item", item);
	json_key(&w, "part");
	json_uint(&w, piece->part);
	if (piece->left_out > 0) {
		json_key(&w, "left_out");
		json_uint(&w, piece->left_out);
	}
	json_close(&w, '}');
	json_close(&w, '}');
	json_close(&w, '}');
	arena_free(arena);
}

void
responder_answer(const struct order *o, const char *result,
    const struct error *err, struct buf *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "type");
	json_str(&w, "answer");
	json_optional(&w, "order", o->id);
	json_key(&w, "result");
	json_str(&w, result);
	if (err->code != RC_OK) {
		json_key(&w, "reason");
		json_str(&w, err->text);
	}
	json_close(&w, '}');
}
