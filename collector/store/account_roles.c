/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

enum { WORD_MAX = 32 };

static const struct {
	const char *name;
	unsigned permissions;
} roles[ROLES] = {
	[ROLE_OWNER] = { "owner",
	    MAY_EVENTS | MAY_INCIDENTS | MAY_AGENTS | MAY_SEARCHES_WRITE |
		MAY_SELF },
	[ROLE_ANALYST] = { "analyst",
	    MAY_EVENTS | MAY_INCIDENTS | MAY_INCIDENTS_WRITE | MAY_AGENTS |
		MAY_RULES | MAY_RULES_RELOAD | MAY_STATUS | MAY_SEARCHES_WRITE |
		MAY_SELF },
	[ROLE_RESPONDER] = { "responder",
	    MAY_EVENTS | MAY_INCIDENTS | MAY_INCIDENTS_WRITE | MAY_AGENTS |
		MAY_RULES | MAY_STATUS | MAY_SEARCHES_WRITE | MAY_RESPOND |
		MAY_SELF },
	[ROLE_AUDITOR] = { "auditor",
	    MAY_EVENTS | MAY_INCIDENTS | MAY_AGENTS | MAY_RULES | MAY_STATUS |
		MAY_USERS | MAY_AUDIT | MAY_SELF },
	[ROLE_ADMINISTRATOR] = { "administrator", MAY_ALL },
	[ROLE_NATIONAL_CENTRE] = { "national-centre",
	    MAY_INCIDENTS | MAY_SELF },
};

static const struct {
	const char *name;
	unsigned permission;
} scopes[] = {
	{ "events", MAY_EVENTS },
	{ "searches:write", MAY_SEARCHES_WRITE },
	{ "incidents", MAY_INCIDENTS },
	{ "incidents:write", MAY_INCIDENTS_WRITE },
	{ "agents", MAY_AGENTS },
	{ "agents:write", MAY_AGENTS_WRITE },
	{ "respond", MAY_RESPOND },
	{ "rules", MAY_RULES },
	{ "rules:reload", MAY_RULES_RELOAD },
	{ "status", MAY_STATUS },
	{ "users", MAY_USERS },
	{ "users:write", MAY_USERS_WRITE },
	{ "audit", MAY_AUDIT },
	{ "self", MAY_SELF },
};
enum { SCOPES = sizeof(scopes) / sizeof(scopes[0]) };

static bool
is(struct slice text, const char *name)
{
	return slice_eq(text, (struct slice){ name, strlen(name) });
}

const char *
role_name(enum account_role role)
{
	return roles[role].name;
}

bool
role_parse(struct slice name, enum account_role *out)
{
	for (int i = 0; i < ROLES; i++)
		if (is(name, roles[i].name)) {
			*out = (enum account_role)i;
			return true;
		}
	return false;
}

unsigned
role_permissions(enum account_role role)
{
	return roles[role].permissions;
}

enum rc
scope_parse(struct slice text, unsigned *permissions, struct error *err)
{
	*permissions = 0;
	while (text.len > 0) {
		struct slice word = { text.ptr, 0 };
		size_t i = 0;

		while (word.len < text.len && text.ptr[word.len] != ' ')
			word.len++;
		while (i < SCOPES && !is(word, scopes[i].name))
			i++;
		if (word.len > 0 && i == SCOPES)
			return error_set(err, RC_INVALID,
			    "there is no scope \"%.*s\"",
			    (int)(word.len < WORD_MAX ? word.len : WORD_MAX),
			    word.ptr);
		if (word.len > 0)
			*permissions |= scopes[i].permission;
		word.len += word.len < text.len;
		text.ptr += word.len;
		text.len -= word.len;
	}
	return RC_OK;
}

void
scope_write(unsigned permissions, struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < SCOPES; i++) {
		if ((permissions & scopes[i].permission) == 0)
			continue;
		(void)buf_printf(out, "%s%s", first ? "" : " ", scopes[i].name);
		first = false;
	}
}
