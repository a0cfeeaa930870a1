/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP(S) (RFC 9110) and TLS.  One GET by HTTP/1.0, so that the body comes as
 * it is; redirects are an answer, not followed.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/inputs/probe/probe.h"
#include "digest.h"
#include "timestamp.h"
#include "tls_look.h"

enum {
	HEAD_MAX = 64 * 1024,
	READ_BYTES = 16 * 1024,
	URL_MAX = 2048,
	DAY_S = 86400
};

struct url {
	bool tls;
	char host[256];
	char authority[300];
	uint16_t port;
	char path[URL_MAX];
};

struct web {
	const struct probe_job *job;
	int fd;
	struct tls_look *tls; /* NULL: plain */
};

static bool
on_wait(void *ctx, int fd, unsigned ready)
{
	return probe_wait(ctx, fd, ready);
}

static bool
parse_url(const char *text, struct url *out)
{
	const char *rest, *path;
	size_t len;

	memset(out, 0, sizeof(*out));
	if (strncasecmp(text, "https://", 8) == 0)
		out->tls = true;
	else if (strncasecmp(text, "http://", 7) != 0)
		return false;
	rest = text + (out->tls ? 8 : 7);
	path = rest + strcspn(rest, "/?#");
	len = (size_t)(path - rest);
	if (len == 0 || len >= sizeof(out->authority) ||
	    strlen(path) >= sizeof(out->path) - 1 ||
	    memchr(rest, '@', len) != NULL)
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return false;
	}
	(void)snprintf(out->authority, sizeof(out->authority), "%.*s", (int)len,
	    rest);
	(void)snprintf(out->path, sizeof(out->path), "%s%.*s",
	    path[0] == '/' ? "" : "/", (int)strcspn(path, "#"), path);
	return probe_split(out->authority, out->tls ? 443 : 80, out->host,
	    &out->port);
}

bool
probe_url_valid(const char *text)
{
	struct url url;

	return parse_url(text, &url);
}

/* ---- certificates ------------------------------------------------------------ */

static void
write_time(struct json_writer *w, const char *key, int64_t time_ns)
{
	json_key(w, key);
	json_time(w, time_ns);
}

static void
write_certificate(struct json_writer *w, const struct tls_found *f,
    int64_t days)
{
	json_key(w, "tls");
	json_open(w, '{');
	json_key(w, "version");
	json_str(w, f->version);
	json_key(w, "trusted");
	json_bool(w, f->trusted);
	if (!f->trusted) {
		json_key(w, "problem");
		json_str(w, f->problem);
	}
	json_key(w, "subject");
	json_str(w, f->subject);
	json_key(w, "issuer");
	json_str(w, f->issuer);
	json_key(w, "sha256");
	json_str(w, f->sha256);
	write_time(w, "not_before", f->not_before_ns);
	write_time(w, "not_after", f->not_after_ns);
	write_time(w, "chain_not_after", f->chain_not_after_ns);
	json_key(w, "chain");
	json_uint(w, f->chain);
	json_key(w, "days_left");
	json_int(w, days);
	json_close(w, '}');
}

/* Writes what it found; a bad certificate is a bad result. */
static bool
judge_certificate(const struct web *web, struct probe_result *r,
    struct json_writer *w)
{
	struct tls_found f;
	int64_t left_ns, days;

	tls_look_found(web->tls, &f);
	left_ns = f.chain_not_after_ns - timestamp_now();
	days = left_ns / (DAY_S * NS_PER_SEC);
	write_certificate(w, &f, days);
	if (!f.trusted)
		probe_fail(r, "certificate: %s", f.problem);
	else if (days < web->job->config->certificate_days)
		probe_fail(r, "the certificate ends in %lld days",
		    (long long)days);
	return r->problem[0] == '\0';
}

static bool
open_web(struct web *web, const char *host, uint16_t port, bool tls,
    struct probe_result *r)
{
	struct tls_look_waiting waiting = { on_wait, (void *)web->job };
	struct error err;

	web->fd = probe_connect(web->job, host, port, r);
	if (web->fd == -1)
		return false;
	if (tls &&
	    tls_look_open(web->fd, host, web->job->config->ca, &waiting,
		&web->tls, &err) != RC_OK) {
		probe_fail(r, "%s", err.text);
		return false;
	}
	return true;
}

static void
close_web(struct web *web)
{
	tls_look_close(web->tls);
	if (web->fd != -1)
		(void)close(web->fd);
}

void
probe_tls(const struct probe_job *job, struct probe_result *r)
{
	struct web web = { .job = job, .fd = -1 };
	struct json_writer w;
	char host[256];
	uint16_t port;

	if (!probe_split(job->target, 443, host, &port)) {
		probe_fail(r, "no HOST:PORT");
		return;
	}
	if (open_web(&web, host, port, true, r)) {
		json_begin(&w, &r->detail);
		json_open(&w, '{');
		r->good = judge_certificate(&web, r, &w);
		json_close(&w, '}');
	}
	close_web(&web);
}

/* ---- HTTP -------------------------------------------------------------------- */

static bool
send_all(struct web *web, const char *bytes, size_t len)
{
	if (web->tls != NULL)
		return tls_look_write(web->tls, bytes, len) == 0;
	while (len > 0) {
		ssize_t n = send(web->fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN &&
		    probe_wait(web->job, web->fd, LOOP_WRITE))
			continue;
		if (n < 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static int
receive(struct web *web, char *out, size_t room)
{
	if (web->tls != NULL)
		return tls_look_read(web->tls, out, room);
	for (;;) {
		ssize_t n = recv(web->fd, out, room, 0);

		if (n >= 0)
			return (int)n;
		if (errno != EAGAIN ||
		    !probe_wait(web->job, web->fd, LOOP_READ))
			return -1;
	}
}

/* Up to the empty line; the body's first bytes are behind it. */
static bool
read_head(struct web *web, struct buf *b, size_t *head_len)
{
	for (;;) {
		char *room = buf_reserve(b, READ_BYTES);
		const char *end;
		int n;

		if (room == NULL)
			return false;
		n = receive(web, room, READ_BYTES);
		if (n <= 0)
			return false;
		b->len += (size_t)n;
		end = memmem(b->ptr, b->len, "\r\n\r\n", 4);
		if (end != NULL) {
			*head_len = (size_t)(end - b->ptr) + 4;
			return true;
		}
	}
}

static int
status_of(const struct buf *b)
{
	if (b->len < 12 || memcmp(b->ptr, "HTTP/1.", 7) != 0 ||
	    b->ptr[8] != ' ' || !isdigit((unsigned char)b->ptr[9]) ||
	    !isdigit((unsigned char)b->ptr[10]) ||
	    !isdigit((unsigned char)b->ptr[11]))
		return 0;
	return (b->ptr[9] - '0') * 100 + (b->ptr[10] - '0') * 10 +
	    (b->ptr[11] - '0');
}

/* Its length and digest; false: it does not end in time, or is too long. */
static bool
read_body(struct web *web, struct slice begun, struct probe_result *r)
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];
	char bytes[READ_BYTES];
	int n;

	sha256_add(h, begun.ptr, begun.len);
	r->body_bytes = begun.len;
	while ((n = receive(web, bytes, sizeof(bytes))) > 0 &&
	    r->body_bytes < PROBE_BODY_MAX) {
		sha256_add(h, bytes, (size_t)n);
		r->body_bytes += (uint64_t)n;
	}
	sha256_done(h, digest);
	sha256_free(h);
	if (n == 0)
		hex_text(digest, sizeof(digest), r->body_sha256);
	return n == 0;
}

static void
get(struct web *web, const struct url *url, struct probe_result *r)
{
	char request[URL_MAX + 512];
	const struct probe_config *c = web->job->config;
	struct buf b;
	size_t head = 0;
	int n = snprintf(request, sizeof(request),
	    "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: kuzet-agent\r\n"
	    "Accept: */*\r\nConnection: close\r\n\r\n",
	    url->path, url->authority);

	buf_init(&b, HEAD_MAX);
	if (!send_all(web, request, (size_t)n) || !read_head(web, &b, &head)) {
		probe_fail(r,
		    probe_over(web->job) ? "no answer in time"
					 : "no answer by HTTP");
	} else if ((r->status = status_of(&b)) == 0) {
		probe_fail(r, "no answer by HTTP");
	} else if (!read_body(web, (struct slice){ b.ptr + head, b.len - head },
		       r)) {
		probe_fail(r,
		    "the body does not end in time, or is over 16 "
		    "MiB");
	} else if (c->status != 0 ? r->status != c->status : r->status >= 400) {
		probe_fail(r, "status %d", r->status);
	} else if (c->sha256 != NULL &&
	    strcasecmp(c->sha256, r->body_sha256) != 0) {
		probe_fail(r, "the content is another one");
	}
	buf_fini(&b);
}

void
probe_http(const struct probe_job *job, struct probe_result *r)
{
	struct web web = { .job = job, .fd = -1 };
	struct json_writer w;
	struct url url;

	if (!parse_url(job->target, &url)) {
		probe_fail(r, "no URL of http or https");
		return;
	}
	json_begin(&w, &r->detail);
	json_open(&w, '{');
	if (open_web(&web, url.host, url.port, url.tls, r)) {
		if (url.tls)
			(void)judge_certificate(&web, r, &w);
		get(&web, &url, r);
		r->good = r->problem[0] == '\0';
	}
	json_close(&w, '}');
	close_web(&web);
}
