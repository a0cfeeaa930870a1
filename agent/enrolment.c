/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enrolment.h"

#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "json.h"
#include "timestamp.h"
#include "tls_stream.h"

enum {
	ANSWER_MAX = 256 * 1024,
	REQUEST_MAX = 32 * 1024,
	ARENA_BLOCK = 64 * 1024,
	STATUS_CREATED = 201,
	STATUS_UNAUTHORIZED = 401,
	STATUS_CLIENT_ERROR = 400,
	STATUS_SERVER_ERROR = 500,
	STATUS_TOO_MANY = 429,
	DEPTH_MAX = 8,
};

static const struct tls_stream_patience patience = { 20, 30 };

void
enrolment_init(struct enrolment *e)
{
	*e = (struct enrolment){ .renew_ns = 0 };
	buf_init(&e->pem, CERTIFICATE_PEM_MAX);
	buf_init(&e->ca, CERTIFICATE_PEM_MAX);
	buf_init(&e->orders_key, ORDERS_KEY_MAX);
}

void
enrolment_fini(struct enrolment *e)
{
	buf_fini(&e->pem);
	buf_fini(&e->ca);
	buf_fini(&e->orders_key);
}

/* ---- the answer ----------------------------------------------------------------- */

/* The status, and what follows the head; 0: it is no answer. */
static int
split_answer(struct slice answer, struct slice *body)
{
	const char *end = memmem(answer.ptr, answer.len, "\r\n\r\n", 4);
	int status = 0;

	if (end == NULL || answer.len < 12 ||
	    memcmp(answer.ptr, "HTTP/1.", 7) != 0 || answer.ptr[8] != ' ')
		return 0;
	for (size_t i = 9; i < 12; i++) {
		if (answer.ptr[i] < '0' || answer.ptr[i] > '9')
			return 0;
		status = status * 10 + (answer.ptr[i] - '0');
	}
	body->ptr = end + 4;
	body->len = answer.len - (size_t)(body->ptr - answer.ptr);
	return status;
}

struct members {
	struct slice error, certificate, ca, renew_at, orders_key, group;
};

static bool
read_members(struct slice body, struct arena *arena, struct members *m)
{
	const struct {
		struct slice name, *out;
	} list[] = {
		{ SLICE("error"), &m->error },
		{ SLICE("certificate"), &m->certificate },
		{ SLICE("ca"), &m->ca },
		{ SLICE("renew_at"), &m->renew_at },
		{ SLICE("orders_key"), &m->orders_key },
		{ SLICE("group"), &m->group },
	};
	enum json_token token;
	struct json_reader r;

	json_reader_init(&r, body, arena, DEPTH_MAX);
	if (json_next(&r) != JSON_OBJECT_BEGIN)
		return false;
	while ((token = json_next(&r)) == JSON_KEY) {
		struct slice key = r.text;

		token = json_next(&r);
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
			if (token == JSON_STRING && slice_eq(key, list[i].name))
				*list[i].out = r.text;
		if ((token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN) &&
		    json_skip(&r).ptr == NULL)
			return false;
	}
	return token == JSON_OBJECT_END && json_next(&r) == JSON_END;
}

static enum rc
refused(int status, const struct members *m, struct error *err)
{
	struct slice why =
	    m->error.len > 0 ? m->error : SLICE("no reason given");
	int shown = why.len < 400 ? (int)why.len : 400;
	enum rc rc = status == STATUS_UNAUTHORIZED ? RC_DENIED
	    : status == STATUS_TOO_MANY || status < STATUS_CLIENT_ERROR ||
		status >= STATUS_SERVER_ERROR
	    ? RC_SYSTEM
	    : RC_INVALID;

	return error_set(err, rc, "the collector refuses: %.*s", shown,
	    why.ptr);
}

static enum rc
take_answer(const struct members *m, struct enrolment *out, struct error *err)
{
	const struct timestamp_hints hints = { .tz = NULL };
	struct certificate ca;
	enum rc rc;

	if (!buf_add_slice(&out->pem, m->certificate) ||
	    !buf_add_slice(&out->ca, m->ca) ||
	    !buf_add_slice(&out->orders_key, m->orders_key) ||
	    m->group.len >= sizeof(out->group))
		return error_set(err, RC_LIMIT,
		    "the collector's answer is too long");
	rc = certificate_parse(buf_slice(&out->pem), &out->certificate, err);
	/* an authority may be called as it likes */
	if (rc == RC_OK &&
	    certificate_parse(buf_slice(&out->ca), &ca, err) == RC_LIBRARY)
		rc = RC_LIBRARY;
	if (rc == RC_LIBRARY)
		rc = error_set(err, RC_SYSTEM,
		    "the collector's answer holds no certificate");
	(void)snprintf(out->group, sizeof(out->group), "%.*s",
	    SLICE_ARG(m->group));
	if (m->renew_at.len == 0 ||
	    timestamp_parse_rfc3339(m->renew_at, &hints, &out->renew_ns) == 0)
		out->renew_ns = 0;
	return rc;
}

enum rc
enrolment_read(struct slice answer, struct enrolment *out, struct error *err)
{
	struct members m = { .error = { NULL, 0 } };
	struct slice body = { NULL, 0 };
	int status = split_answer(answer, &body);
	struct arena *arena;
	enum rc rc;

	if (status == 0)
		return error_set(err, RC_SYSTEM,
		    "what answers there does not speak HTTP: --server is the "
		    "address of the collector's API (api.address), port 8443");
	arena = arena_new(ARENA_BLOCK);
	if (!read_members(body, arena, &m))
		rc = error_set(err, RC_SYSTEM,
		    "the collector's answer (status %d) is no JSON, or broke "
		    "off",
		    status);
	else if (status != STATUS_CREATED)
		rc = refused(status, &m, err);
	else
		rc = take_answer(&m, out, err);
	arena_free(arena);
	return rc;
}

/* ---- the question ----------------------------------------------------------------- */

static void
write_request(const struct enrolment_server *server, struct slice secret,
    struct slice csr, struct buf *out)
{
	struct json_writer w;
	struct buf body;

	buf_init(&body, REQUEST_MAX);
	json_begin(&w, &body);
	json_open(&w, '{');
	json_optional(&w, "token", secret);
	json_key(&w, "csr");
	json_string(&w, csr);
	json_close(&w, '}');
	(void)buf_printf(out,
	    "POST /v1/enroll%s HTTP/1.0\r\nHost: %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    secret.len > 0 ? "" : "/renew", server->address, body.len);
	(void)buf_add_slice(out, buf_slice(&body));
	buf_fini(&body);
}

static enum rc
exchange(struct tls_stream *s, struct slice request, struct buf *answer,
    struct error *err)
{
	enum rc rc = tls_stream_send(s, request, err);
	char piece[4096];
	size_t n = 1;

	while (rc == RC_OK && n > 0) {
		rc = tls_stream_receive(s, piece, sizeof(piece), &n, err);
		if (rc == RC_OK && !buf_add(answer, piece, n))
			rc = error_set(err, RC_LIMIT,
			    "the collector's answer is too long");
	}
	return rc;
}

static enum rc
ask(const struct enrolment_server *server, struct slice request,
    struct enrolment *out, struct error *err)
{
	const struct tls_files files = { .ca = server->ca,
		.pin = server->fingerprint,
		.certificate = server->certificate,
		.key = server->key };
	struct tls_context *ctx = NULL;
	struct tls_stream *s = NULL;
	struct buf answer;
	enum rc rc = tls_context_new(TLS_CLIENT, &files, false, &ctx, err);

	buf_init(&answer, ANSWER_MAX);
	if (rc == RC_OK)
		rc = tls_stream_open(ctx, server->address, &patience, &s, err);
	if (rc == RC_OK)
		rc = exchange(s, request, &answer, err);
	if (rc == RC_OK)
		rc = enrolment_read(buf_slice(&answer), out, err);
	tls_stream_close(s);
	tls_context_free(ctx);
	buf_fini(&answer);
	return rc;
}

enum rc
enrolment_ask(const struct enrolment_server *server, struct slice secret,
    const char *key_path, const char *name, struct enrolment *out,
    struct error *err)
{
	struct buf csr, request;
	enum rc rc;

	buf_init(&csr, REQUEST_PEM_MAX);
	buf_init(&request, REQUEST_MAX);
	rc = certificate_request(key_path, name, &csr, err);
	if (rc == RC_OK) {
		write_request(server, secret, buf_slice(&csr), &request);
		rc = ask(server, buf_slice(&request), out, err);
	}
	buf_fini(&csr);
	buf_fini(&request);
	return rc;
}
