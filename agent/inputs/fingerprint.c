/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fingerprint.h"

#include <unistd.h>

#include "digest.h"

void
fingerprint_of(struct fingerprint *f, struct slice bytes, uint64_t at)
{
	uint8_t digest[SHA256_BYTES];

	sha256_of(bytes, digest);
	f->at = at;
	f->len = (uint32_t)bytes.len;
	memcpy(f->digest, digest, sizeof(f->digest));
}

bool
fingerprint_eq(const struct fingerprint *a, const struct fingerprint *b)
{
	return a->len == b->len && a->at == b->at &&
	    memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

bool
fingerprint_grow(int fd, struct fingerprint *f)
{
	char bytes[PRINT_BYTES_MAX];
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
	struct fingerprint now;

	if (n <= 0 || n < (ssize_t)f->len)
		return false;
	if (f->len > 0) {
		fingerprint_of(&now, (struct slice){ bytes, f->len }, f->at);
		if (!fingerprint_eq(&now, f))
			return false;
	}
	fingerprint_of(f, (struct slice){ bytes, (size_t)n }, (uint64_t)n);
	return true;
}

bool
fingerprint_fits(int fd, const struct fingerprint *f)
{
	char bytes[PRINT_BYTES_MAX];
	struct fingerprint now;

	if (f->len == 0)
		return true;
	if (f->len > sizeof(bytes) || f->len > f->at ||
	    pread(fd, bytes, f->len, (off_t)(f->at - f->len)) !=
		(ssize_t)f->len)
		return false;
	fingerprint_of(&now, (struct slice){ bytes, f->len }, f->at);
	return fingerprint_eq(&now, f);
}

bool
file_id_eq(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	    (a->btime_ns == b->btime_ns || a->btime_ns == 0 ||
		b->btime_ns == 0);
}
