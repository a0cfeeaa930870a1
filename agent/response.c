/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/central.h"
#include "agent/inputs/spool_event.h"
#include "agent/roles/responder.h"
#include "arena.h"
#include "json.h"
#include "log.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 16384, AT_ONCE = 16, DEPTH = 16 };

struct response {
	struct response_options options;
	char *host_name;
	struct loop_io *io;
	char *message; /* RESPONDER_SAYS_MAX bytes */
	bool told;     /* that events do not fit */
};

/* ---- what the responder says --------------------------------------------- */

struct said {
	struct slice type, order, result, reason, event;
};

static bool
read_said(struct slice json, struct arena *arena, struct said *out)
{
	const struct {
		const char *name;
		struct slice *text;
	} members[] = {
		{ "type", &out->type },
		{ "order", &out->order },
		{ "result", &out->result },
		{ "reason", &out->reason },
	};
	struct json_reader r;
	enum json_token token;

	json_reader_init(&r, json, arena, DEPTH);
	token = json_next(&r);
	if (token != JSON_OBJECT_BEGIN)
		return false;
	while ((token = json_next(&r)) == JSON_KEY) {
		struct slice key = r.text;

		token = json_next(&r);
		if (token == JSON_OBJECT_BEGIN) {
			out->event = json_skip(&r);
			continue;
		}
		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]);
		     i++) {
			if (token == JSON_STRING &&
			    slice_eq(key,
				(struct slice){ members[i].name,
				    strlen(members[i].name) }))
				*members[i].text = r.text;
		}
	}
	return token == JSON_OBJECT_END;
}

static void
keep_event(struct response *r, struct slice members)
{
	const struct input_setup setup = { .host_name = r->host_name };
	struct spool_event_text t;
	struct error err;

	if (r->options.spool == NULL || members.len < 2)
		return;
	spool_event_begin(&t, &setup, "response", "response", timestamp_now());
	/* its own braces are ours */
	(void)buf_add_char(&t.text, ',');
	(void)buf_add(&t.text, members.ptr + 1, members.len - 2);
	if (spool_event_put(&t, r->options.spool, &err) != RC_OK && !r->told) {
		r->told = true;
		log_warn("an event of a response is not kept: %s", err.text);
	}
}

static void
take_said(struct response *r, struct slice json)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct said said = { .type = { NULL, 0 } };

	if (!read_said(json, arena, &said))
		log_warn("the responder says what nobody understands");
	else if (slice_eq(said.type, SLICE("answer")))
		central_answer(r->options.central, said.order, said.result,
		    said.reason);
	else if (slice_eq(said.type, SLICE("event")))
		keep_event(r, said.event);
	arena_free(arena);
}

static void
lose(struct response *r)
{
	log_error("the responder process is gone: what is ordered is refused "
		  "until the agent is started again");
	loop_io_free(r->io);
	r->io = NULL;
	(void)close(r->options.channel);
	r->options.channel = -1;
}

static void
on_readable(void *ctx, int fd, unsigned ready)
{
	struct response *r = ctx;

	(void)ready;
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n =
		    recv(fd, r->message, RESPONDER_SAYS_MAX, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lose(r);
			return;
		}
		take_said(r, (struct slice){ r->message, (size_t)n });
	}
}

/* ---- what it is told ------------------------------------------------------ */

void
response_take(struct response *r, struct slice id, struct slice wire)
{
	if (r->options.channel == -1)
		central_answer(r->options.central, id, SLICE("refused"),
		    SLICE("response.enabled of agent.yaml lists no action, or "
			  "the responder is gone"));
	else if (send(r->options.channel, wire.ptr, wire.len,
		     MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)wire.len)
		central_answer(r->options.central, id, SLICE("failed"),
		    SLICE("the responder is busy"));
}

struct response *
response_new(const struct response_options *options)
{
	struct response *r = xzalloc(sizeof(*r));

	r->options = *options;
	r->host_name = xstrdup(options->host_name);
	r->message = xzalloc(RESPONDER_SAYS_MAX);
	if (options->channel != -1) {
		r->io = loop_io_new(options->loop, options->channel,
		    on_readable, r);
		loop_io_want(r->io, LOOP_READ);
	}
	return r;
}

void
response_free(struct response *r)
{
	if (r == NULL)
		return;
	loop_io_free(r->io);
	if (r->options.channel != -1)
		(void)close(r->options.channel);
	free(r->host_name);
	free(r->message);
	free(r);
}
