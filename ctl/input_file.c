/* SPDX-License-Identifier: Apache-2.0 */
#include "input_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <zlib.h>

#include "xalloc.h"

enum {
	GZIP_BYTES = 64 * 1024,
	GZIP_MAGIC = 0x1f, /* no text begins so (RFC 1952) */
	GZIP_ONLY = 15 + 16,
};

struct gunzip {
	FILE *raw;
	z_stream z;
	bool inside;        /* of a member */
	const char *damage; /* NULL: none was met */
	unsigned char bytes[GZIP_BYTES];
};

/* More compressed bytes; false at the end, or where reading fails. */
static bool
fill(struct gunzip *g)
{
	if (g->z.avail_in > 0)
		return true;
	g->z.next_in = g->bytes;
	g->z.avail_in = (uInt)fread(g->bytes, 1, sizeof(g->bytes), g->raw);
	return g->z.avail_in > 0;
}

static ssize_t
fail(struct gunzip *g, const char *damage)
{
	g->damage = damage;
	errno = EIO;
	return -1;
}

/* Members one behind the other are one file, as gzip(1) reads them. */
static ssize_t
read_gzip(void *cookie, char *out, size_t room)
{
	struct gunzip *g = cookie;

	g->z.next_out = (unsigned char *)out;
	g->z.avail_out = (uInt)room;
	while (g->z.avail_out == room) {
		int rc;

		if (!fill(g)) {
			if (ferror(g->raw))
				return -1;
			return g->inside
			    ? fail(g, "it ends within its compressed data")
			    : 0;
		}
		g->inside = true;
		rc = inflate(&g->z, Z_NO_FLUSH);
		if (rc == Z_STREAM_END) {
			g->inside = false;
			(void)inflateReset(&g->z);
		} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
			return fail(g, "its compressed data is damaged");
		}
	}
	return (ssize_t)(room - g->z.avail_out);
}

static int
close_gzip(void *cookie)
{
	struct gunzip *g = cookie;

	(void)inflateEnd(&g->z);
	if (g->raw != stdin)
		(void)fclose(g->raw);
	free(g);
	return 0;
}

static void
unpack(struct input_file *in)
{
	static const cookie_io_functions_t functions = {
		.read = read_gzip,
		.close = close_gzip,
	};

	in->z = xzalloc(sizeof(*in->z));
	in->z->raw = in->f;
	if (inflateInit2(&in->z->z, GZIP_ONLY) != Z_OK)
		abort(); /* out of memory */
	in->f = fopencookie(in->z, "r", functions);
	if (in->f == NULL)
		abort(); /* out of memory */
}

enum rc
input_file_open(struct input_file *in, const char *path, struct error *err)
{
	int first;

	*in = (struct input_file){ .path = path };
	in->f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
	if (in->f == NULL)
		return error_set_errno(err, errno, "%s", path);
	first = getc(in->f);
	if (first != EOF)
		(void)ungetc(first, in->f);
	if (first == GZIP_MAGIC)
		unpack(in);
	return RC_OK;
}

enum rc
input_file_check(const struct input_file *in, struct error *err)
{
	if (!ferror(in->f))
		return RC_OK;
	if (in->z != NULL && in->z->damage != NULL)
		return error_set(err, RC_INVALID, "%s: %s", in->path,
		    in->z->damage);
	return error_set_errno(err, errno, "%s", in->path);
}

void
input_file_close(struct input_file *in)
{
	if (in->f != stdin)
		(void)fclose(in->f);
}
