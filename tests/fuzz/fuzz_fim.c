/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of files, and the lines that differ, of any bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/inputs/fim/fim_attrs.h"
#include "agent/inputs/fim/fim_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = { (const char *)data, size }, rest = all;
	struct slice a, b;
	struct fim_attr attr;
	struct buf out;
	size_t half = size / 2;

	if (size == 0)
		return 0;
	buf_init(&out, 4096);
	while (fim_attr_next(&rest, &attr)) {
		if (attr.value.ptr + attr.value.len > all.ptr + all.len)
			abort();
		(void)fim_acl_text(attr.value, &out);
		(void)fim_capability_text(attr.value, &out);
	}
	(void)fim_acl_text(all, &out);
	(void)fim_capability_text(all, &out);
	buf_clear(&out);
	a = (struct slice){ all.ptr, half };
	b = (struct slice){ all.ptr + half, size - half };
	(void)fim_diff(a, b, &out);
	buf_clear(&out);
	if (!fim_diff(a, a, &out) || out.len != 0)
		abort();
	buf_fini(&out);
	return 0;
}
