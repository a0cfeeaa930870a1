/* SPDX-License-Identifier: Apache-2.0 */
/* A register that is read can be asked and written; one that is not says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
ask(struct objects *o)
{
	struct buf out;

	buf_init(&out, 8 << 20);
	for (uint32_t i = 0; i < objects_count(o); i++) {
		const struct object *object = objects_at(o, i);
		struct object_scope scope = objects_scope(o,
		    (struct slice){ object->owner, strlen(object->owner) },
		    false);

		if (objects_find(o,
			(struct slice){ object->id, strlen(object->id) }) != i)
			abort();
		for (size_t k = 0; k < object->networks.n; k++) {
			struct ip_network net;
			struct error err;
			struct slice text = { object->networks.items[k],
				strlen(object->networks.items[k]) };

			if (ip_network_parse(text, &net, &err) != RC_OK ||
			    objects_by_address(o, scope, &net.last) ==
				OBJECT_NONE)
				abort();
		}
		(void)object_in_maintenance(object, 0);
		object_write(&out, o, object);
	}
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct objects *o = NULL;
	struct error err = { .text = "" };

	if (objects_parse("f", (struct slice){ (const char *)data, size }, &o,
		&err) == RC_OK)
		ask(o);
	else if (strncmp(err.text, "f:", 2) != 0)
		abort();
	objects_unref(o);
	return 0;
}
