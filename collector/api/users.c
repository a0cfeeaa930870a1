/* SPDX-License-Identifier: Apache-2.0 */
/* Users and the audit log. */
#include "api_private.h"
#include "timestamp.h"

enum { CREATED = 201 };

static void
put_time(struct json_writer *w, const char *key, int64_t time_ns)
{
	if (time_ns == 0)
		return;
	json_key(w, key);
	json_time(w, time_ns);
}

static bool
user_line(void *ctx, const struct account *u)
{
	struct ask *a = ctx;
	struct json_writer w;

	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "user");
	json_str(&w, u->name);
	json_key(&w, "role");
	json_str(&w, role_name(u->role));
	json_key(&w, "organization");
	json_str(&w, u->organization);
	json_key(&w, "enabled");
	json_bool(&w, u->enabled);
	json_key(&w, "password");
	json_bool(&w, u->has_password);
	json_key(&w, "totp");
	json_bool(&w, u->has_totp);
	json_key(&w, "certificate");
	json_str(&w, u->certificate);
	json_key(&w, "created");
	json_time(&w, u->created_ns);
	put_time(&w, "last_login", u->last_login_ns);
	put_time(&w, "locked_until", u->locked_until_ns);
	json_close(&w, '}');
	return ask_line(a);
}

void
get_users(struct ask *a)
{
	struct error err;
	enum rc rc = accounts_list(a->api->accounts, user_line, a, &err);

	ask_fail(a, rc, &err);
}

static void
show_user(struct ask *a, struct slice name, int status)
{
	struct account u;
	struct error err;
	enum rc rc = accounts_get(a->api->accounts, name, &u, &err);

	if (rc == RC_OK) {
		http_type(a->reply, status, "application/json");
		(void)user_line(a, &u);
	}
	ask_fail(a, rc, &err);
}

void
get_user(struct ask *a)
{
	show_user(a, a->path[0], 200);
}

/* What a body says of an account; `role` and `enabled` hold what it points to. */
struct user_body {
	struct slice name, role_name;
	struct account_change change;
	enum account_role role;
	bool enabled, has_enabled;
};

static enum rc
parse_user(struct ask *a, struct user_body *u, bool add, struct error *err)
{
	struct account_change *c = &u->change;
	const struct body_member members[] = {
		{ "role", BODY_TEXT, &u->role_name, add, NULL },
		{ "organization", BODY_TEXT, &c->organization, false, NULL },
		{ "certificate", BODY_TEXT, &c->certificate, false, NULL },
		{ "password", BODY_TEXT, &c->password, false, NULL },
		{ "enabled", BODY_FLAG, &u->enabled, false, &u->has_enabled },
		/* of one that exists only, resp. a new one's */
		{ add ? "user" : "remove_totp", add ? BODY_TEXT : BODY_FLAG,
		    add ? (void *)&u->name : (void *)&c->remove_totp, add,
		    NULL },
		{ "unlock", BODY_FLAG, &c->unlock, false, NULL },
	};
	enum rc rc = body_parse(a, members,
	    sizeof(members) / sizeof(members[0]) - add, err);

	if (rc == RC_OK && u->role_name.ptr != NULL) {
		if (!role_parse(u->role_name, &u->role))
			return error_set(err, RC_INVALID,
			    "role: owner, analyst, responder, auditor, "
			    "administrator or national-centre");
		c->role = &u->role;
	}
	if (u->has_enabled)
		c->enabled = &u->enabled;
	return rc;
}

static void
note_change(struct ask *a, struct slice name, const struct account_change *c)
{
	ask_note(a, "user %.*s%s%s%s%s%s%s%s%s%s%s", SLICE_ARG(name),
	    c->role != NULL ? " role " : "",
	    c->role != NULL ? role_name(*c->role) : "",
	    c->organization.ptr != NULL ? " organization" : "",
	    c->certificate.ptr != NULL ? " certificate" : "",
	    c->password.ptr != NULL ? " password" : "",
	    c->enabled != NULL && *c->enabled ? " enabled" : "",
	    c->enabled != NULL && !*c->enabled ? " disabled" : "",
	    c->remove_totp ? " totp removed" : "", c->unlock ? " unlocked" : "",
	    "");
}

void
post_user(struct ask *a)
{
	struct user_body u = { .enabled = true };
	struct error err;
	enum rc rc = parse_user(a, &u, true, &err);

	if (rc == RC_OK)
		rc = accounts_add(a->api->accounts, u.name, &u.change,
		    timestamp_now(), &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	note_change(a, u.name, &u.change);
	show_user(a, u.name, CREATED);
}

void
patch_user(struct ask *a)
{
	struct user_body u = { .enabled = true };
	struct error err;
	enum rc rc = parse_user(a, &u, false, &err);

	if (rc == RC_OK)
		rc = accounts_change(a->api->accounts, a->path[0], &u.change,
		    &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	note_change(a, a->path[0], &u.change);
	show_user(a, a->path[0], 200);
}

void
delete_user(struct ask *a)
{
	struct error err;
	enum rc rc = accounts_remove(a->api->accounts, a->path[0], &err);

	if (rc == RC_OK)
		http_type(a->reply, 204, "application/json");
	ask_fail(a, rc, &err);
}

/* ---- the audit log -------------------------------------------------------------- */

static bool
audit_line(void *ctx, const struct audit_entry *e)
{
	struct ask *a = ctx;
	struct json_writer w;

	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "id");
	json_int(&w, e->id);
	json_key(&w, "@timestamp");
	json_time(&w, e->time_ns);
	json_key(&w, "user");
	json_string(&w, e->account);
	json_key(&w, "role");
	json_string(&w, e->role);
	json_key(&w, "address");
	json_string(&w, e->address);
	json_key(&w, "action");
	json_string(&w, e->action);
	json_key(&w, "method");
	json_string(&w, e->method);
	json_key(&w, "target");
	json_string(&w, e->target);
	json_key(&w, "status");
	json_int(&w, e->status);
	json_optional(&w, "detail", e->detail);
	json_close(&w, '}');
	return ask_line(a);
}

void
get_audit(struct ask *a)
{
	struct audit_query q = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.account = http_param(a->request, "user") };
	uint64_t after = 0;
	struct error err;
	enum rc rc = param_time(a, "since", &q.since_ns, &err);

	if (rc == RC_OK)
		rc = param_time(a, "until", &q.until_ns, &err);
	if (rc == RC_OK)
		rc = param_number(a, "limit", &q.limit, &err);
	if (rc == RC_OK)
		rc = param_number(a, "after", &after, &err);
	q.after = (int64_t)after;
	if (rc == RC_OK)
		rc = accounts_audit_read(a->api->accounts, &q, audit_line, a,
		    &err);
	ask_fail(a, rc, &err);
}
