/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/file_state.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "state_file.h"
#include "xalloc.h"

enum {
	STATE_BYTES_MAX = 64 * 1024 * 1024,
	FIELDS = 12,
	FIELD_PATH = 10,
	FIELD_ORIGIN = 11,
	TRAILER_BYTES = 7 + 64 + 1 /* "sha256 ", digits, LF */
};

static const char first_line[] = "kuzet-agent files 1\n";

static const struct {
	char letter;
	size_t offset;
} flags[] = {
	{ 'm', offsetof(struct tail, acked_mid_line) },
	{ 'r', offsetof(struct tail, rotated) },
	{ 'g', offsetof(struct tail, is_gzip) },
	{ 'c', offsetof(struct tail, copy) },
	{ 'f', offsetof(struct tail, finished) },
	{ 'x', offsetof(struct tail, replaced) },
};
enum { N_FLAGS = sizeof(flags) / sizeof(flags[0]) };

/* White space, '%' and control characters become %XX. */
static void
put_path(struct buf *b, const char *path)
{
	for (; *path != '\0'; path++) {
		unsigned char c = (unsigned char)*path;

		if (c <= ' ' || c == '%' || c == 0x7f)
			(void)buf_printf(b, "%%%02x", c);
		else
			(void)buf_add_char(b, (char)c);
	}
}

static void
put_print(struct buf *b, const struct fingerprint *f)
{
	char hex[2 * PRINT_DIGEST + 1];

	if (f->len == 0) {
		(void)buf_add_str(b, " -");
		return;
	}
	hex_text(f->digest, sizeof(f->digest), hex);
	(void)buf_printf(b, " %" PRIu64 ":%" PRIu32 ":%s", f->at, f->len, hex);
}

static void
put_flags(struct buf *b, const struct tail *t)
{
	size_t before = b->len;

	for (size_t i = 0; i < N_FLAGS; i++) {
		if (*(const bool *)((const char *)t + flags[i].offset))
			(void)buf_add_char(b, flags[i].letter);
	}
	if (b->len == before)
		(void)buf_add_char(b, '-');
}

static void
put_tail(struct buf *b, const struct tail *t)
{
	char stream[UUID_TEXT];

	uuid_text(t->stream, stream);
	(void)buf_printf(b,
	    "%s %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRId64
	    " %" PRIu64 " ",
	    stream, t->id.dev, t->id.ino, t->id.btime_ns, t->size, t->mtime_ns,
	    t->acked_at);
	put_flags(b, t);
	put_print(b, &t->head);
	put_print(b, &t->check);
	(void)buf_add_char(b, ' ');
	put_path(b, t->path);
	(void)buf_add_char(b, ' ');
	put_path(b, t->origin);
	(void)buf_add_char(b, '\n');
}

void
file_state_write(struct buf *b, const struct tail_list *tails)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_TEXT];
	const struct tail *t;

	(void)buf_add_str(b, first_line);
	TAILQ_FOREACH (t, tails, all) {
		if (!t->dead)
			put_tail(b, t);
	}
	sha256_of(buf_slice(b), digest);
	hex_text(digest, sizeof(digest), hex);
	(void)buf_printf(b, "sha256 %s\n", hex);
}

enum rc
file_state_save(const char *dir, const struct tail_list *tails,
    struct error *err)
{
	struct buf b;
	enum rc rc;

	buf_init(&b, STATE_BYTES_MAX);
	file_state_write(&b, tails);
	rc = b.overflowed
	    ? error_set(err, RC_LIMIT, "%s: too large", dir)
	    : state_file_replace(dir, "files.state", buf_slice(&b), err);
	buf_fini(&b);
	return rc;
}

static bool
get_u64(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && (*end == '\0' || *end == ':');
}

static bool
get_i64(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

static char *
get_path(const char *text)
{
	char *path = xstrdup(text), *to = path;

	for (const char *s = path; *s != '\0'; s++) {
		int high = *s == '%' ? hex_digit(s[1]) : -1;
		int low = high >= 0 ? hex_digit(s[2]) : -1;

		if (low >= 0) {
			*to++ = (char)((unsigned)high << 4 | (unsigned)low);
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	return path;
}

static bool
get_print(const char *text, struct fingerprint *f)
{
	const char *len_text = strchr(text, ':');
	const char *hex = len_text == NULL ? NULL : strchr(len_text + 1, ':');
	uint64_t len;

	*f = (struct fingerprint){ 0 };
	if (strcmp(text, "-") == 0)
		return true;
	if (hex == NULL || strlen(hex + 1) != 2 * sizeof(f->digest) ||
	    !get_u64(text, &f->at) || !get_u64(len_text + 1, &len) ||
	    len > PRINT_BYTES_MAX || len > f->at)
		return false;
	f->len = (uint32_t)len;
	for (size_t i = 0; i < 2 * sizeof(f->digest); i++) {
		int v = hex_digit(hex[1 + i]);

		if (v < 0)
			return false;
		f->digest[i / 2] = (uint8_t)(f->digest[i / 2] << 4 | v);
	}
	return true;
}

static bool
get_flags(const char *text, struct tail *t)
{
	for (; *text != '\0'; text++) {
		size_t i = 0;

		if (*text == '-')
			continue;
		while (i < N_FLAGS && flags[i].letter != *text)
			i++;
		if (i == N_FLAGS)
			return false;
		*(bool *)((char *)t + flags[i].offset) = true;
	}
	return true;
}

static size_t
split(char *line, char *fields[FIELDS])
{
	size_t n = 0;

	for (char *at = line; at != NULL && n < FIELDS; n++) {
		fields[n] = at;
		at = strchr(at, ' ');
		if (at != NULL)
			*at++ = '\0';
	}
	return n;
}

static struct tail *
get_tail(char *line)
{
	struct tail *t = xzalloc(sizeof(*t));
	char *f[FIELDS];
	struct slice uuid;

	t->fd = -1;
	t->limit = UINT64_MAX;
	t->durable = true;
	if (split(line, f) != FIELDS)
		goto bad;
	uuid = (struct slice){ f[0], strlen(f[0]) };
	if (!uuid_parse(uuid, t->stream) || !get_u64(f[1], &t->id.dev) ||
	    !get_u64(f[2], &t->id.ino) || !get_i64(f[3], &t->id.btime_ns) ||
	    !get_u64(f[4], &t->size) || !get_i64(f[5], &t->mtime_ns) ||
	    !get_u64(f[6], &t->acked_at) || !get_flags(f[7], t) ||
	    !get_print(f[8], &t->head) || !get_print(f[9], &t->check))
		goto bad;
	t->path = get_path(f[FIELD_PATH]);
	t->origin = get_path(f[FIELD_ORIGIN]);
	t->read_at = t->acked_at;
	t->mid_line = t->acked_mid_line;
	return t;
bad:
	tail_free(t);
	return NULL;
}

/* The digest is right, so what is wrong inside is another version's. */
static enum rc
parse(char *text, struct tail_list *out, struct error *err)
{
	char *line = text + strlen(first_line);
	size_t n = 0;

	if (strncmp(text, first_line, strlen(first_line)) != 0)
		return error_set(err, RC_INVALID, "another version's");
	while (*line != '\0') {
		char *lf = strchr(line, '\n');
		struct tail *t;

		if (lf == NULL)
			return error_set(err, RC_INVALID, "no line end");
		*lf = '\0';
		t = n++ < STATE_TAILS_MAX ? get_tail(line) : NULL;
		if (t == NULL)
			return error_set(err, RC_INVALID, "bad line %zu",
			    n + 1);
		TAILQ_INSERT_TAIL(out, t, all);
		line = lf + 1;
	}
	return RC_OK;
}

static enum rc
check_digest(struct buf *b, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	char trailer[TRAILER_BYTES + 1] = "sha256 ";
	size_t body;

	if (b->len < TRAILER_BYTES)
		return error_set(err, RC_INVALID, "cut short");
	body = b->len - TRAILER_BYTES;
	sha256_of((struct slice){ b->ptr, body }, digest);
	hex_text(digest, sizeof(digest), trailer + 7);
	trailer[TRAILER_BYTES - 1] = '\n';
	if (memcmp(b->ptr + body, trailer, TRAILER_BYTES) != 0)
		return error_set(err, RC_INVALID, "its digest is wrong");
	b->ptr[body] = '\0';
	if (memchr(b->ptr, '\0', body) != NULL)
		return error_set(err, RC_INVALID, "holds a NUL");
	return RC_OK;
}

enum rc
file_state_parse(struct buf *text, file_state_cb *cb, void *ctx,
    struct error *err)
{
	struct tail_list tails = TAILQ_HEAD_INITIALIZER(tails);
	enum rc rc = check_digest(text, err);
	struct tail *t;

	if (rc == RC_OK)
		rc = parse(text->ptr, &tails, err);
	while ((t = TAILQ_FIRST(&tails)) != NULL) {
		TAILQ_REMOVE(&tails, t, all);
		if (rc == RC_OK)
			cb(ctx, t);
		else
			tail_free(t);
	}
	return rc;
}

static void
put_aside(const char *path)
{
	char aside[PATH_MAX + 16];

	(void)snprintf(aside, sizeof(aside), "%s.damaged", path);
	(void)rename(path, aside);
}

enum rc
file_state_load(const char *dir, file_state_cb *cb, void *ctx,
    struct error *err)
{
	char path[PATH_MAX];
	struct buf b;
	enum rc rc;

	(void)snprintf(path, sizeof(path), "%s/files.state", dir);
	buf_init(&b, STATE_BYTES_MAX);
	rc = state_file_read(path, &b, err);
	if (rc == RC_OK)
		rc = file_state_parse(&b, cb, ctx, err);
	if (rc == RC_INVALID) {
		(void)error_prefix(err, "%s is damaged", path);
		put_aside(path);
	}
	buf_fini(&b);
	return rc;
}
