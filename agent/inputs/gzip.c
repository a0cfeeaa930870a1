/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/gzip.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "xalloc.h"

enum {
	IN_BYTES = 16 * 1024,
	OUT_BYTES = 128 * 1024,
	WINDOW_BITS = 15 + 16 /* the gzip format (RFC 1952) only */
};

struct gzip {
	z_stream z;
	int fd;
	uint64_t in_at; /* of the next compressed byte to read */
	uint64_t skip;  /* uncompressed bytes still to be passed over */
	bool between;   /* one member ended: another one or the end follows */
	bool damaged;   /* for good: nothing after it can be trusted */
	char *out;      /* [out_at, out_len) is there to be taken */
	size_t out_at, out_len, out_cap;
	unsigned char in[IN_BYTES];
};

struct gzip *
gzip_new(int fd, uint64_t from, size_t max_line)
{
	struct gzip *g = xzalloc(sizeof(*g));

	g->fd = fd;
	g->skip = from;
	g->out_cap = max_line + OUT_BYTES;
	g->out = xcalloc(g->out_cap, 1);
	if (inflateInit2(&g->z, WINDOW_BITS) != Z_OK)
		abort(); /* out of memory */
	return g;
}

void
gzip_free(struct gzip *g)
{
	if (g == NULL)
		return;
	(void)inflateEnd(&g->z);
	free(g->out);
	free(g);
}

static enum rc
more_input(struct gzip *g, struct error *err)
{
	ssize_t n;

	if (g->z.avail_in > 0)
		return RC_OK;
	n = pread(g->fd, g->in, sizeof(g->in), (off_t)g->in_at);
	if (n < 0)
		return error_set_errno(err, errno, "read");
	if (n == 0)
		return g->between ? RC_EOF : RC_AGAIN;
	g->in_at += (uint64_t)n;
	g->z.next_in = g->in;
	g->z.avail_in = (unsigned)n;
	return RC_OK;
}

static void
skip_output(struct gzip *g, size_t before)
{
	size_t made = g->out_len - before;
	size_t skip = g->skip < made ? (size_t)g->skip : made;

	if (skip == 0)
		return;
	memmove(g->out + before, g->out + before + skip, made - skip);
	g->out_len -= skip;
	g->skip -= skip;
}

static enum rc
damage(struct gzip *g, struct error *err)
{
	g->damaged = true;
	return error_set(err, RC_INVALID, "damaged gzip: %s",
	    g->z.msg != NULL ? g->z.msg : "not a gzip file");
}

static enum rc
inflate_some(struct gzip *g, struct error *err)
{
	size_t before = g->out_len;
	enum rc rc;
	int z;

	if (g->damaged)
		return damage(g, err);
	rc = more_input(g, err);
	if (rc != RC_OK)
		return rc;
	if (g->between) {
		/* gzip(1): what follows and is no member is padding */
		if (g->z.next_in[0] != 0x1f)
			return RC_EOF;
		(void)inflateReset(&g->z);
		g->between = false;
	}
	g->z.next_out = (unsigned char *)g->out + g->out_len;
	g->z.avail_out = (unsigned)(g->out_cap - g->out_len);
	z = inflate(&g->z, Z_NO_FLUSH);
	g->out_len = g->out_cap - g->z.avail_out;
	skip_output(g, before);
	if (z == Z_STREAM_END)
		g->between = true;
	else if (z != Z_OK && z != Z_BUF_ERROR)
		return damage(g, err);
	return RC_OK;
}

enum rc
gzip_peek(struct gzip *g, size_t want, struct slice *data, struct error *err)
{
	enum rc rc = RC_OK;

	if (g->out_at > 0) {
		memmove(g->out, g->out + g->out_at, g->out_len - g->out_at);
		g->out_len -= g->out_at;
		g->out_at = 0;
	}
	if (want > g->out_cap)
		want = g->out_cap;
	while (rc == RC_OK && g->out_len < want)
		rc = inflate_some(g, err);
	*data = (struct slice){ g->out, g->out_len };
	return rc;
}

void
gzip_consume(struct gzip *g, size_t n)
{
	assert(n <= g->out_len - g->out_at);
	g->out_at += n;
}

long
gzip_at(int fd, uint64_t from, char *out, size_t room)
{
	struct gzip *g = gzip_new(fd, from, 0);
	struct slice data;
	struct error err;
	enum rc rc = gzip_peek(g, room, &data, &err);
	long n = -1;

	if (data.len > 0 || rc == RC_EOF || rc == RC_OK) {
		n = (long)(data.len < room ? data.len : room);
		memcpy(out, data.ptr, (size_t)n);
	}
	gzip_free(g);
	return n;
}

long
gzip_head(int fd, char *out, size_t room)
{
	return gzip_at(fd, 0, out, room);
}
