/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The positions' file, its digest made right: what is read is written, and read
 * again it is the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "agent/inputs/file_state.h"
#include "digest.h"

enum { TEXT_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take(void *ctx, struct tail *t)
{
	struct tail_list *tails = ctx;

	if (t->path == NULL || t->origin == NULL || t->fd != -1)
		abort();
	TAILQ_INSERT_TAIL(tails, t, all);
}

/* Adds the digest, reads, writes to `out`; false: it is refused. */
static bool
round_trip(struct slice body, struct buf *out)
{
	struct tail_list tails = TAILQ_HEAD_INITIALIZER(tails);
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_TEXT];
	struct error err;
	struct tail *t;
	struct buf in;
	bool good;

	sha256_of(body, digest);
	hex_text(digest, sizeof(digest), hex);
	buf_init(&in, TEXT_MAX);
	(void)buf_add_slice(&in, body);
	(void)buf_printf(&in, "sha256 %s\n", hex);
	good = file_state_parse(&in, take, &tails, &err) == RC_OK;
	if (good)
		file_state_write(out, &tails);
	while ((t = TAILQ_FIRST(&tails)) != NULL) {
		TAILQ_REMOVE(&tails, t, all);
		tail_free(t);
	}
	buf_fini(&in);
	return good;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t trailer = sizeof("sha256 \n") - 1 + 64;
	struct buf once, twice;

	buf_init(&once, TEXT_MAX);
	buf_init(&twice, TEXT_MAX);
	if (round_trip((struct slice){ (const char *)data, size }, &once)) {
		struct slice body = { once.ptr, once.len - trailer };

		if (!round_trip(body, &twice) ||
		    !slice_eq(buf_slice(&once), buf_slice(&twice)))
			abort();
	}
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
