/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>

#include "arena.h"
#include "connection.h"
#include "json.h"
#include "line_splitter.h"
#include "profile.h"
#include "xalloc.h"

enum {
	READ_BYTES = 64 * 1024,
	HEAD_MAX = 64 * 1024,
	LINE_BYTES_MAX = 64 * 1024 * 1024,
	TARGET_MAX = 64 * 1024,
	REQUEST_MAX = 2 * TARGET_MAX,
	STATUS_OK = 200,
	STATUS_NO_CONTENT = 204,
	STATUS_CLIENT_ERROR = 400,
	STATUS_UNAUTHORIZED = 401,
	STATUS_NOT_FOUND = 404,
	STATUS_SERVER_ERROR = 500,
};

static const char error_start[] = "{\"error\":";

/* The transfer coding "chunked" (RFC 9112, 7.1), a byte or a run at a time. */
enum chunk_state {
	IN_SIZE,
	IN_EXTENSION,
	IN_DATA,
	BEHIND_DATA,
	IN_TRAILER,
	DONE
};

struct answer {
	struct connection *connection;
	int status;
	bool chunked;
	enum chunk_state state;
	uint64_t left; /* of the chunk */
	unsigned digits;
	bool trailer_empty;
	struct line_splitter *lines;
	client_line_cb *cb;
	void *ctx;
	bool stopped;      /* by the callback */
	char failure[512]; /* the collector's own words */
};

void
client_param(struct buf *target, const char *name, struct slice value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~:@/";
	bool first =
	    target->len == 0 || memchr(target->ptr, '?', target->len) == NULL;

	(void)buf_printf(target, "%c%s=", first ? '?' : '&', name);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (c != '\0' && strchr(plain, c) != NULL)
			(void)buf_add_char(target, (char)c);
		else
			(void)buf_printf(target, "%%%02X", c);
	}
}

/* {"error":"..."} */
static void
keep_failure(struct answer *a, struct slice line)
{
	struct arena *arena = arena_new(1024);
	struct json_reader r;
	enum json_token token;

	json_reader_init(&r, line, arena, 2);
	(void)snprintf(a->failure, sizeof(a->failure), "it failed");
	while ((token = json_next(&r)) != JSON_END && token != JSON_ERROR)
		if (token == JSON_STRING)
			(void)snprintf(a->failure, sizeof(a->failure), "%.*s",
			    (int)(r.text.len < 500 ? r.text.len : 500),
			    r.text.ptr);
	arena_free(arena);
}

static void
on_line(void *ctx, struct slice line, bool truncated)
{
	struct answer *a = ctx;

	(void)truncated;
	if (a->stopped || line.len == 0)
		return;
	if (line.len >= sizeof(error_start) - 1 &&
	    memcmp(line.ptr, error_start, sizeof(error_start) - 1) == 0) {
		keep_failure(a, line);
		return;
	}
	if (a->status < STATUS_CLIENT_ERROR && !a->cb(a->ctx, line))
		a->stopped = true;
}

static bool
size_byte(struct answer *a, char c)
{
	unsigned digit;

	if (c >= '0' && c <= '9')
		digit = (unsigned)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		digit = (unsigned)((c | 0x20) - 'a' + 10);
	else {
		a->state = c == '\n' ? IN_DATA : IN_EXTENSION;
		if (a->state == IN_DATA && a->left == 0)
			a->state = IN_TRAILER;
		return a->digits > 0;
	}
	a->left = a->left * 16 + digit;
	return ++a->digits <= 8;
}

/* One byte outside of the data; false: malformed. */
static bool
frame_byte(struct answer *a, char c)
{
	switch (a->state) {
	case IN_SIZE:
		return size_byte(a, c);
	case IN_EXTENSION:
		if (c == '\n') {
			a->state = a->left > 0 ? IN_DATA : IN_TRAILER;
			a->trailer_empty = true;
		}
		return true;
	case BEHIND_DATA:
		if (c == '\n') {
			a->state = IN_SIZE;
			a->digits = 0;
		}
		return c == '\r' || c == '\n';
	case IN_TRAILER:
		if (c == '\n' && a->trailer_empty)
			a->state = DONE;
		else if (c == '\n')
			a->trailer_empty = true;
		else if (c != '\r')
			a->trailer_empty = false;
		return true;
	case IN_DATA:
	case DONE:
	default:
		return false;
	}
}

static bool
take_body(struct answer *a, struct slice s)
{
	if (!a->chunked) {
		/* with its length, or until the end: an error's one line */
		line_splitter_feed(a->lines, s);
		return true;
	}
	while (s.len > 0 && a->state != DONE && !a->stopped) {
		size_t n = 1;

		if (a->state == IN_DATA) {
			n = s.len < a->left ? s.len : (size_t)a->left;
			line_splitter_feed(a->lines,
			    (struct slice){ s.ptr, n });
			a->left -= n;
			if (a->left == 0)
				a->state = BEHIND_DATA;
		} else if (!frame_byte(a, *s.ptr)) {
			return false;
		}
		s.ptr += n;
		s.len -= n;
	}
	return true;
}

/* The head, and what of the body came with it. */
static enum rc
read_head(struct answer *a, char *piece, struct error *err)
{
	struct buf head;
	const char *end = NULL;
	enum rc rc = RC_OK;

	buf_init(&head, HEAD_MAX);
	while (end == NULL) {
		size_t n = 0;

		rc = connection_receive(a->connection, piece, READ_BYTES, &n,
		    err);
		if (rc != RC_OK)
			goto out;
		if (n == 0 || !buf_add(&head, piece, n)) {
			rc = error_set(err, RC_SYSTEM,
			    "what answers there does not speak HTTP, or closed "
			    "the connection");
			goto out;
		}
		end = memmem(head.ptr, head.len, "\r\n\r\n", 4);
	}
	if (head.len < 12 || memcmp(head.ptr, "HTTP/1.1 ", 9) != 0) {
		rc = error_set(err, RC_SYSTEM,
		    "what answers there does not speak HTTP/1.1");
		goto out;
	}
	for (size_t i = 9; i < 12; i++)
		a->status = a->status * 10 + (head.ptr[i] - '0');
	a->chunked = memmem(head.ptr, (size_t)(end - head.ptr),
			 "\r\nTransfer-Encoding: chunked", 28) != NULL;
	end += 4;
	if (!take_body(a,
		(struct slice){ end, head.len - (size_t)(end - head.ptr) }))
		rc = error_set(err, RC_SYSTEM,
		    "the collector's answer is malformed");
out:
	buf_fini(&head);
	return rc;
}

static enum rc
read_answer(struct answer *a, struct error *err)
{
	char *piece = xzalloc(READ_BYTES);
	enum rc rc = read_head(a, piece, err);
	size_t n;

	while (rc == RC_OK && !a->stopped && a->state != DONE &&
	    a->status != STATUS_NO_CONTENT) {
		rc = connection_receive(a->connection, piece, READ_BYTES, &n,
		    err);
		if (rc != RC_OK || (n == 0 && !a->chunked))
			break;
		if (n == 0)
			rc = error_set(err, RC_SYSTEM,
			    "the collector's answer broke off; is it being "
			    "stopped?");
		else if (!take_body(a, (struct slice){ piece, n }))
			rc = error_set(err, RC_SYSTEM,
			    "the collector's answer is malformed");
	}
	free(piece);
	if (rc != RC_OK || a->stopped)
		return rc;
	line_splitter_flush(a->lines);
	if (a->status == STATUS_UNAUTHORIZED)
		return error_set(err, RC_DENIED, "the collector refuses: %s",
		    a->failure);
	if (a->status > STATUS_UNAUTHORIZED && a->status < STATUS_SERVER_ERROR)
		return error_set(err,
		    a->status == STATUS_NOT_FOUND ? RC_EOF : RC_DENIED,
		    "the collector refuses: %s", a->failure);
	if (a->status == STATUS_CLIENT_ERROR)
		return error_set(err, RC_INVALID, "the collector refuses: %s",
		    a->failure);
	if (a->failure[0] != '\0' || a->status < STATUS_OK ||
	    a->status >= STATUS_CLIENT_ERROR)
		return error_set(err, RC_LIBRARY,
		    "the collector could not answer: %s",
		    a->failure[0] != '\0' ? a->failure : "no reason given");
	return RC_OK;
}

static enum rc
send_request(struct connection *c, const struct client_request *r,
    struct error *err)
{
	const char *token = connection_token(c);
	struct buf request;
	enum rc rc;

	buf_init(&request, REQUEST_MAX);
	(void)buf_printf(&request,
	    "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r->method,
	    r->target, connection_host(c));
	if (token[0] != '\0')
		(void)buf_printf(&request, "Authorization: Bearer %s\r\n",
		    token);
	if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "DELETE") != 0)
		(void)buf_printf(&request,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    r->body.len);
	(void)buf_add_str(&request, "\r\n");
	if (r->body.ptr != NULL)
		(void)buf_add_slice(&request, r->body);
	rc = request.overflowed
	    ? error_set(err, RC_INVALID, "the request is too long")
	    : connection_send(c, buf_slice(&request), err);
	buf_fini(&request);
	return rc;
}

/* What to do where a session is over, or was never begun. */
static void
advise_login(const char *profile, struct error *err)
{
	struct error why = *err;

	(void)error_set(err, RC_DENIED, "%s: kuzetctl%s%s login", why.text,
	    profile != NULL ? " --profile " : "",
	    profile != NULL ? profile : "");
}

enum rc
client_ask(const struct global_options *global,
    const struct client_request *request, client_line_cb *cb, void *ctx,
    struct error *err)
{
	struct answer a = { .cb = cb, .ctx = ctx };
	enum rc rc = connection_open(global, &a.connection, err);

	if (rc != RC_OK)
		return rc;
	a.trailer_empty = true;
	a.lines = line_splitter_new(LINE_BYTES_MAX, on_line, &a);
	rc = send_request(a.connection, request, err);
	if (rc == RC_OK)
		rc = read_answer(&a, err);
	if (rc == RC_DENIED && a.status == STATUS_UNAUTHORIZED &&
	    global->given == NULL)
		advise_login(profile_chosen(global), err);
	connection_close(a.connection);
	line_splitter_free(a.lines);
	return rc;
}

enum rc
client_get(const struct global_options *global, const char *target,
    client_line_cb *cb, void *ctx, struct error *err)
{
	const struct client_request request = { .method = "GET",
		.target = target };

	return client_ask(global, &request, cb, ctx, err);
}
