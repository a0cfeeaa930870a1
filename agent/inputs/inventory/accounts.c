/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups of the machine itself: passwd(5), group(5). */
#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/slurp.h"
#include "utf8.h"

enum { FIELDS = 7 };

static size_t
split(struct slice line, struct slice f[FIELDS])
{
	size_t n = 0;

	while (n < FIELDS && slurp_field(&line, ':', &f[n]))
		n++;
	return n;
}

static void
users(struct inventory *inv)
{
	struct json_writer ecs, more;
	struct slice rest, line, f[FIELDS] = { 0 };

	if (!slurp(inv->opener, "/etc/passwd", &inv->file))
		return;
	for (rest = buf_slice(&inv->file); slurp_line(&rest, &line);) {
		f[6] = (struct slice){ "", 0 };
		if (split(line, f) < 6)
			continue;
		inventory_begin(inv, &ecs, &more);
		json_key(&ecs, "user");
		json_open(&ecs, '{');
		inventory_text(inv, &ecs, "name", f[0]);
		inventory_text(inv, &ecs, "id", f[2]);
		inventory_text(inv, &ecs, "full_name", f[4]);
		json_key(&ecs, "group");
		json_open(&ecs, '{');
		inventory_text(inv, &ecs, "id", f[3]);
		json_close(&ecs, '}');
		json_close(&ecs, '}');
		inventory_text(inv, &more, "home", f[5]);
		inventory_text(inv, &more, "shell", f[6]);
		/* "x": in shadow(5), which nobody needs to read for this */
		json_key(&more, "password_in_passwd");
		json_bool(&more,
		    f[1].len > 0 && f[1].ptr[0] != 'x' && f[1].ptr[0] != '*' &&
			f[1].ptr[0] != '!');
		inventory_add(inv, "user", f[0]);
	}
}

static void
groups(struct inventory *inv)
{
	struct json_writer ecs, more;
	struct slice rest, line, member, f[FIELDS] = { 0 };

	if (!slurp(inv->opener, "/etc/group", &inv->file))
		return;
	for (rest = buf_slice(&inv->file); slurp_line(&rest, &line);) {
		f[3] = (struct slice){ "", 0 };
		if (split(line, f) < 3)
			continue;
		inventory_begin(inv, &ecs, &more);
		json_key(&ecs, "group");
		json_open(&ecs, '{');
		inventory_text(inv, &ecs, "name", f[0]);
		inventory_text(inv, &ecs, "id", f[2]);
		json_close(&ecs, '}');
		json_key(&more, "members");
		json_open(&more, '[');
		while (slurp_field(&f[3], ',', &member))
			json_string(&more, utf8_repair(inv->arena, member));
		json_close(&more, ']');
		inventory_add(inv, "group", f[0]);
	}
}

void
inventory_accounts(struct inventory *inv)
{
	users(inv);
	groups(inv);
}
