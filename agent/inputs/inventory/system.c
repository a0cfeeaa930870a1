/* SPDX-License-Identifier: Apache-2.0 */
/* Operating system, kernel, and the packages of dpkg and rpm. */
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

struct package {
	struct slice name, version, architecture, status;
};

static void
add_package(struct inventory *inv, const struct package *p)
{
	struct json_writer ecs, more;
	struct buf key;

	/* "install ok installed"; what was removed has left its settings */
	if (p->name.len == 0 ||
	    memmem(p->status.ptr, p->status.len, " installed", 10) == NULL)
		return;
	inventory_begin(inv, &ecs, &more);
	json_key(&ecs, "package");
	json_open(&ecs, '{');
	inventory_text(inv, &ecs, "name", p->name);
	inventory_text(inv, &ecs, "version", p->version);
	inventory_text(inv, &ecs, "architecture", p->architecture);
	json_key(&ecs, "type");
	json_str(&ecs, "dpkg");
	json_close(&ecs, '}');
	buf_init(&key, 1024);
	(void)buf_add_slice(&key, p->name);
	(void)buf_add_char(&key, ':');
	(void)buf_add_slice(&key, p->architecture);
	inventory_add(inv, "package", buf_slice(&key));
	buf_fini(&key);
}

static void
dpkg(struct inventory *inv)
{
	static const struct {
		struct slice name;
		size_t offset;
	} fields[] = {
		{ SLICE_INIT("Package"), offsetof(struct package, name) },
		{ SLICE_INIT("Version"), offsetof(struct package, version) },
		{ SLICE_INIT("Architecture"),
		    offsetof(struct package, architecture) },
		{ SLICE_INIT("Status"), offsetof(struct package, status) },
	};
	struct slice rest, line, name;
	struct package p = { 0 };

	if (!slurp(inv->opener, "/var/lib/dpkg/status", &inv->file))
		return;
	for (rest = buf_slice(&inv->file); slurp_line(&rest, &line);) {
		if (line.len == 0) {
			add_package(inv, &p);
			p = (struct package){ 0 };
			continue;
		}
		if (line.ptr[0] == ' ' || !slurp_field(&line, ':', &name))
			continue;
		if (line.len > 0 && line.ptr[0] == ' ')
			line = (struct slice){ line.ptr + 1, line.len - 1 };
		for (size_t i = 0; i < 4; i++) {
			if (slice_eq(name, fields[i].name))
				memcpy((char *)&p + fields[i].offset, &line,
				    sizeof(line));
		}
	}
	add_package(inv, &p);
}

void
inventory_system(struct inventory *inv)
{
	operating_system(inv);
	dpkg(inv);
}
