/* SPDX-License-Identifier: Apache-2.0 */
/* A package's header of any bytes: what it gives lies within them. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/inputs/rpm_header.h"
#include "digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
within(struct slice all, struct slice s)
{
	if (s.ptr < all.ptr || s.len > all.len ||
	    s.ptr - all.ptr > (ptrdiff_t)(all.len - s.len))
		abort();
}

static void
one_file(void *ctx, const struct rpm_file *f)
{
	const struct slice *all = ctx;

	within(*all, f->dir);
	within(*all, f->base);
	within(*all, f->digest);
	if (f->digest.len !=
	    (f->algorithm == RPM_SHA256 ? SHA256_TEXT : MD5_TEXT) - 1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum rpm_tag tags[] = { RPM_NAME, RPM_VERSION,
		RPM_RELEASE };
	struct slice all = { (const char *)data, size }, text;
	struct rpm_header h;

	if (rpm_header_parse(all, &h) != RC_OK)
		return 0;
	within(all, h.index);
	within(all, h.store);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		if (rpm_header_text(&h, tags[i], &text))
			within(all, text);
	}
	(void)rpm_header_files(&h, one_file, &all);
	return 0;
}
