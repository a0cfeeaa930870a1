/* SPDX-License-Identifier: Apache-2.0 */
/* A table of objects: refused with its line, or a register as text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/register.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was good is so in every form. */
static void
check_forms(struct objects *o)
{
	struct objects_import counts;
	struct objects *again = NULL;
	struct buf table, text;
	struct error err;

	buf_init(&table, 16 << 20);
	buf_init(&text, 16 << 20);
	objects_write_csv(&table, o);
	if (objects_import_csv("t", buf_slice(&table), o, &text, &counts,
		&err) != RC_OK ||
	    counts.added != 0 || counts.changed != objects_count(o) ||
	    objects_parse("t", buf_slice(&text), &again, &err) != RC_OK)
		abort();
	objects_unref(again);
	buf_fini(&table);
	buf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct objects_import counts;
	struct objects *o = NULL;
	struct buf out;
	struct error err = { .text = "" };

	buf_init(&out, 16 << 20);
	if (objects_import_csv("t", (struct slice){ (const char *)data, size },
		NULL, &out, &counts, &err) != RC_OK) {
		if (strncmp(err.text, "t:", 2) != 0)
			abort();
	} else if (objects_parse("t", buf_slice(&out), &o, &err) == RC_OK) {
		check_forms(o);
	}
	objects_unref(o);
	buf_fini(&out);
	return 0;
}
