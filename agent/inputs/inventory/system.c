/* SPDX-License-Identifier: Apache-2.0 */
/* Operating system and kernel. */
#include <string.h>
#include <sys/utsname.h>

#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/slurp.h"

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* NAME="value" of os-release(5); empty: it is not there. */
static struct slice
release_value(struct slice file, const char *name)
{
	struct slice line, key, quote = { "\"", 1 };

	while (slurp_line(&file, &line)) {
		if (!slurp_field(&line, '=', &key) ||
		    !slice_eq(key, text_of(name)))
			continue;
		if (line.len >= 2 && line.ptr[0] == quote.ptr[0])
			line = (struct slice){ line.ptr + 1, line.len - 2 };
		return line;
	}
	return (struct slice){ "", 0 };
}

static void
operating_system(struct inventory *inv)
{
	struct json_writer ecs, more;
	struct utsname u;

	if (uname(&u) != 0)
		return;
	if (!slurp(inv->opener, "/etc/os-release", &inv->file))
		buf_clear(&inv->file);
	inventory_begin(inv, &ecs, &more);
	json_key(&ecs, "host.os");
	json_open(&ecs, '{');
	inventory_text(inv, &ecs, "platform",
	    release_value(buf_slice(&inv->file), "ID"));
	inventory_text(inv, &ecs, "name",
	    release_value(buf_slice(&inv->file), "NAME"));
	inventory_text(inv, &ecs, "version",
	    release_value(buf_slice(&inv->file), "VERSION_ID"));
	inventory_text(inv, &ecs, "full",
	    release_value(buf_slice(&inv->file), "PRETTY_NAME"));
	json_key(&ecs, "type");
	json_str(&ecs, "linux");
	inventory_text(inv, &ecs, "kernel", text_of(u.release));
	json_close(&ecs, '}');
	inventory_text(inv, &ecs, "host.architecture", text_of(u.machine));
	inventory_text(inv, &more, "kernel_build", text_of(u.version));
	inventory_add(inv, "os", SLICE("os"));
}

void
inventory_system(struct inventory *inv)
{
	operating_system(inv);
}
