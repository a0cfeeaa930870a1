/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/audit_users.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/account_names.h"
#include "agent/inputs/line_event.h"
#include "buf.h"
#include "xalloc.h"

enum { UID_DIGITS = 10, EXPANSION = 6 };

struct audit_users {
	struct account_names *names;
	struct buf text;
};

struct audit_users *
audit_users_new(struct opener *o)
{
	struct audit_users *u = xzalloc(sizeof(*u));

	u->names = account_names_new(o);
	buf_init(&u->text, 4096);
	return u;
}

void
audit_users_free(struct audit_users *u)
{
	if (u == NULL)
		return;
	account_names_free(u->names);
	buf_fini(&u->text);
	free(u);
}

/* The number behind the first " key=" of the records. */
static bool
number_of(struct slice records, struct slice key, uint64_t *out)
{
	const char *at = memmem(records.ptr, records.len, key.ptr, key.len);
	const char *end = records.ptr + records.len;
	int n = 0;

	if (at == NULL)
		return false;
	*out = 0;
	for (at += key.len;
	     at < end && *at >= '0' && *at <= '9' && n < UID_DIGITS; at++, n++)
		*out = *out * 10 + (uint64_t)(*at - '0');
	return n > 0;
}

static void
add_name(struct audit_users *u, struct slice records, struct slice key,
    const char *member)
{
	const char *name;
	struct slice text;
	uint64_t uid;
	char *room;

	if (!number_of(records, key, &uid) || uid >= UINT32_MAX)
		return;
	name = account_user(u->names, (uint32_t)uid);
	if (name == NULL)
		return;
	text = (struct slice){ name, strlen(name) };
	room = buf_reserve(&u->text, EXPANSION * text.len + 64);
	if (room == NULL)
		return;
	(void)buf_printf(&u->text, ",\"%s\":\"", member);
	u->text.len += (size_t)(json_escape(u->text.ptr + u->text.len, text) -
	    (u->text.ptr + u->text.len));
	(void)buf_add_char(&u->text, '"');
}

struct slice
audit_users(struct audit_users *u, struct slice records)
{
	/* what auditd resolved is its own word */
	static const struct slice resolved = SLICE_INIT("\x1d");
	static const struct slice account = SLICE_INIT("acct=");

	buf_clear(&u->text);
	if (memmem(records.ptr, records.len, resolved.ptr, resolved.len) !=
	    NULL)
		return buf_slice(&u->text);
	add_name(u, records, SLICE(" auid="), "user.audit.name");
	if (memmem(records.ptr, records.len, account.ptr, account.len) ==
	    NULL) {
		add_name(u, records, SLICE(" uid="), "user.name");
		add_name(u, records, SLICE(" euid="), "user.effective.name");
	}
	return buf_slice(&u->text);
}
