/* SPDX-License-Identifier: Apache-2.0 */
/* A compressed file of any bytes: bounded, and the same from any position. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/inputs/gzip.h"
#include "buf.h"

enum { MAX_LINE = 256, TEXT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file = -1; /* one for all runs: making one is slow */

static enum rc
read_all(uint64_t from, size_t step, struct buf *out)
{
	struct gzip *g = gzip_new(file, from, MAX_LINE);
	struct slice data;
	struct error err;
	enum rc rc;
	size_t n;

	do {
		rc = gzip_peek(g, step, &data, &err);
		n = data.len < step ? data.len : step;
		if (rc == RC_OK && n < step && step <= MAX_LINE)
			abort(); /* there is as much as was wanted */
		if (!buf_add(out, data.ptr, n))
			break;
		gzip_consume(g, n);
	} while (n > 0);
	gzip_free(g);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, rest;
	char middle[64];
	uint64_t from;
	enum rc rc;
	long n;

	if (file == -1)
		file = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(file, 0) != 0 ||
	    pwrite(file, data, size, 0) != (ssize_t)size)
		abort();
	buf_init(&whole, TEXT_MAX);
	buf_init(&rest, TEXT_MAX);
	rc = read_all(0, MAX_LINE, &whole);
	if (!whole.overflowed) {
		from = whole.len / 2;
		if (read_all(from, 1 + size % MAX_LINE, &rest) != rc ||
		    rest.len != whole.len - from ||
		    (rest.len > 0 &&
			memcmp(rest.ptr, whole.ptr + from, rest.len) != 0))
			abort();
		n = gzip_at(file, from, middle, sizeof(middle));
		if (n > 0 && memcmp(middle, whole.ptr + from, (size_t)n) != 0)
			abort();
	}
	buf_fini(&whole);
	buf_fini(&rest);
	return 0;
}
