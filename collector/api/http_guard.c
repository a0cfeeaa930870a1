/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be read as a request libevent answers by itself, with a page of
 * its own and without a word to us (2.1 has no hook).  All that is written goes
 * through a connection's output buffer, though: what gets there while we do not
 * answer is libevent's, and an answer of ours takes its place.  Nothing of an
 * earlier answer is in that buffer then: libevent reads the next request when
 * it is written.
 */
#include <event2/buffer.h>
#include <stdlib.h>

#include "http_private.h"

/* "HTTP/1.1 400" */
enum { STATUS_AT = 9, HEAD_BYTES = 12, STATUS_CONTINUE = 100 };

struct own_word {
	int status;
	const char *phrase, *message;
};

/* The last stands for all others. */
static const struct own_word words[] = {
	{ 413, "Content Too Large", "the request or its head is too large" },
	{ 417, "Expectation Failed", "Expect: only 100-continue" },
	{ 501, "Not Implemented", "not by this method" },
	{ 400, "Bad Request", "the request is malformed" },
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

/* Of the answer that begins in the buffer; 0: none that we know. */
static int
status_of(struct evbuffer *out)
{
	char head[HEAD_BYTES + 1] = "";
	ev_ssize_t n = evbuffer_copyout(out, head, HEAD_BYTES);

	if (n != HEAD_BYTES || strncmp(head, "HTTP/", 5) != 0)
		return 0;
	return (int)strtol(head + STATUS_AT, NULL, 10);
}

/* A plain bufferevent keeps others from taking out; one with TLS does not. */
static void
empty(struct evbuffer *out)
{
	if (evbuffer_drain(out, evbuffer_get_length(out)) == 0)
		return;
	(void)evbuffer_unfreeze(out, 1);
	(void)evbuffer_drain(out, evbuffer_get_length(out));
	(void)evbuffer_freeze(out, 1);
}

static void
add_answer(const struct http_face *face, struct evbuffer *out, int status)
{
	size_t at = 0, length;

	while (at < WORDS - 1 && words[at].status != status)
		at++;
	length = strlen(words[at].message) + sizeof("{\"error\":\"\"}\n") - 1;
	(void)evbuffer_add_printf(out,
	    "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n",
	    words[at].status, words[at].phrase, length);
	for (size_t i = 0; i < http_fixed_count(face); i++)
		(void)evbuffer_add_printf(out, "%s: %s\r\n", http_fixed[i].name,
		    http_fixed[i].value);
	(void)evbuffer_add_printf(out, "\r\n{\"error\":\"%s\"}\n",
	    words[at].message);
}

/* Once for each piece that libevent adds: the answer is put there each time. */
static void
on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *ctx)
{
	struct http_face *face = ctx;
	int status;

	if (info->n_added == 0 || face->http->answers)
		return;
	status = status_of(out);
	if (status == STATUS_CONTINUE)
		return;
	if (info->orig_size == 0)
		atomic_fetch_add(&face->http->refused, 1);
	face->http->answers = true;
	empty(out);
	add_answer(face, out, status);
	face->http->answers = false;
}

void
guard_output(struct http_face *face, struct bufferevent *bev)
{
	if (evbuffer_add_cb(bufferevent_get_output(bev), on_output, face) ==
	    NULL)
		abort(); /* of memory */
}
