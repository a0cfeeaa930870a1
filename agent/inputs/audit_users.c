/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/audit_users.h"

#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/inputs/line_event.h"
#include "buf.h"
#include "xalloc.h"

enum {
	USERS_MAX = 65536,
	NAME_MAX_BYTES = 64,
	ENTRY_BYTES = 4096,
	LOOK_SECONDS = 10,
	UID_DIGITS = 10,
	EXPANSION = 6
};

static const char passwd_file[] = "/etc/passwd";

struct user {
	uint64_t uid;
	char name[NAME_MAX_BYTES];
};

struct audit_users {
	struct user *users;
	size_t n;
	struct timespec mtime;
	time_t looked; /* monotonic seconds */
	struct buf text;
};

struct audit_users *
audit_users_new(void)
{
	struct audit_users *u = xzalloc(sizeof(*u));

	buf_init(&u->text, 4096);
	return u;
}

void
audit_users_free(struct audit_users *u)
{
	if (u == NULL)
		return;
	buf_fini(&u->text);
	free(u->users);
	free(u);
}

static void
read_users(struct audit_users *u)
{
	FILE *f = fopen(passwd_file, "re");
	char bytes[ENTRY_BYTES];
	struct passwd entry, *found;

	u->n = 0;
	while (f != NULL && u->n < USERS_MAX &&
	    fgetpwent_r(f, &entry, bytes, sizeof(bytes), &found) == 0) {
		if (strlen(entry.pw_name) >= NAME_MAX_BYTES)
			continue;
		if ((u->n & (u->n - 1)) == 0) /* doubles at powers of two */
			u->users = xreallocarray(u->users, 2 * u->n + 1,
			    sizeof(*u->users));
		u->users[u->n].uid = entry.pw_uid;
		(void)snprintf(u->users[u->n].name, NAME_MAX_BYTES, "%s",
		    entry.pw_name);
		u->n++;
	}
	if (f != NULL)
		(void)fclose(f);
}

static void
look(struct audit_users *u)
{
	struct timespec now;
	struct stat st;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (u->looked != 0 && now.tv_sec - u->looked < LOOK_SECONDS)
		return;
	u->looked = now.tv_sec;
	if (stat(passwd_file, &st) != 0 ||
	    (st.st_mtim.tv_sec == u->mtime.tv_sec &&
		st.st_mtim.tv_nsec == u->mtime.tv_nsec))
		return;
	u->mtime = st.st_mtim;
	read_users(u);
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
	struct slice name;
	uint64_t uid;
	char *room;

	if (!number_of(records, key, &uid))
		return;
	for (size_t i = 0; i < u->n; i++) {
		if (u->users[i].uid != uid)
			continue;
		name = (struct slice){ u->users[i].name,
			strlen(u->users[i].name) };
		room = buf_reserve(&u->text, EXPANSION * name.len + 64);
		if (room == NULL)
			return;
		(void)buf_printf(&u->text, ",\"%s\":\"", member);
		u->text.len +=
		    (size_t)(json_escape(u->text.ptr + u->text.len, name) -
			(u->text.ptr + u->text.len));
		(void)buf_add_char(&u->text, '"');
		return;
	}
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
	look(u);
	add_name(u, records, SLICE(" auid="), "user.audit.name");
	if (memmem(records.ptr, records.len, account.ptr, account.len) ==
	    NULL) {
		add_name(u, records, SLICE(" uid="), "user.name");
		add_name(u, records, SLICE(" euid="), "user.effective.name");
	}
	return buf_slice(&u->text);
}
