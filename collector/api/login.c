/* SPDX-License-Identifier: Apache-2.0 */
/* Logging in and out, and what everybody may do with the own account. */
#include <stdio.h>

#include "api_private.h"
#include "timestamp.h"

#define TOKEN_DEFAULT_NS (NS_PER_SEC * 86400 * 90)
#define TOKEN_MAX_NS     (NS_PER_SEC * 86400 * 366)

enum { UNAUTHORIZED = 401, CREATED = 201, COOKIE_MAX = 256 };

static void
write_caller(struct json_writer *w, const struct caller *c)
{
	struct buf scope;

	json_key(w, "user");
	json_str(w, c->name);
	json_key(w, "role");
	json_str(w, role_name(c->role));
	json_optional_str(w, "organization", c->organization);
	buf_init(&scope, DETAIL_MAX);
	scope_write(c->permissions, &scope);
	json_key(w, "scope");
	json_string(w, buf_slice(&scope));
	buf_fini(&scope);
}

static void
set_cookie(struct ask *a, const char *secret, bool end)
{
	char text[COOKIE_MAX];

	(void)snprintf(text, sizeof(text),
	    "%s=%s; Path=/; Secure; HttpOnly; SameSite=Strict%s", auth_cookie,
	    secret, end ? "; Max-Age=0" : "");
	http_header(a->reply, "Set-Cookie", text);
}

/* A browser gets the secret as a cookie that no page can read. */
static void
answer_login(struct ask *a, const char *secret, bool cookie)
{
	struct json_writer w;

	http_type(a->reply, 200, "application/json");
	if (cookie)
		set_cookie(a, secret, false);
	json_begin(&w, &a->line);
	json_open(&w, '{');
	if (cookie) {
		json_key(&w, "csrf");
		json_str(&w, a->caller.csrf);
	} else {
		json_key(&w, "token");
		json_str(&w, secret);
	}
	write_caller(&w, &a->caller);
	json_close(&w, '}');
	(void)ask_line(a);
}

void
post_login(struct ask *a)
{
	struct login l = { .now_ns = timestamp_now(),
		.address = { a->request->peer.address,
		    strlen(a->request->peer.address) } };
	bool cookie = false;
	const struct body_member members[] = {
		{ "user", BODY_TEXT, &l.name, true, NULL },
		{ "password", BODY_TEXT, &l.password, true, NULL },
		{ "code", BODY_TEXT, &l.code, false, NULL },
		{ "cookie", BODY_FLAG, &cookie, false, NULL },
	};
	char secret[TOKEN_TEXT];
	struct caller caller;
	struct error err;
	enum rc rc =
	    body_parse(a, members, sizeof(members) / sizeof(members[0]), &err);

	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	(void)snprintf(a->caller.name, sizeof(a->caller.name), "%.*s",
	    (int)(l.name.len < ACCOUNT_NAME ? l.name.len : 0), l.name.ptr);
	rc = accounts_login(a->api->accounts, &l, secret, &caller, &err);
	if (rc == RC_OK) {
		a->caller = caller;
		answer_login(a, secret, cookie);
	} else if (rc == RC_DENIED || rc == RC_EOF) {
		http_header(a->reply, "WWW-Authenticate", "Bearer");
		http_fail(a->reply, UNAUTHORIZED, err.text);
	} else {
		ask_fail(a, rc, &err);
	}
}

/* Of a token of one's own: it ends as well. */
void
post_logout(struct ask *a)
{
	struct error err;
	enum rc rc = RC_OK;

	if (a->caller.token != 0)
		rc = accounts_logout(a->api->accounts, a->caller.token, &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	http_type(a->reply, 204, "application/json");
	set_cookie(a, "", true);
}

void
get_me(struct ask *a)
{
	static const char *const kinds[] = { "nobody", "local", "session",
		"token", "certificate" };
	struct json_writer w;

	http_type(a->reply, 200, "application/json");
	json_begin(&w, &a->line);
	json_open(&w, '{');
	write_caller(&w, &a->caller);
	json_key(&w, "by");
	json_str(&w, kinds[a->caller.kind]);
	json_optional_str(&w, "csrf", a->caller.csrf);
	json_close(&w, '}');
	(void)ask_line(a);
}

/* ---- one's own account ---------------------------------------------------------- */

/* Who comes over the control socket has none. */
static enum rc
needs_account(const struct ask *a, struct error *err)
{
	return a->caller.kind != CALLER_LOCAL
	    ? RC_OK
	    : error_set(err, RC_DENIED,
		  "over the control socket there is no account of your own; "
		  "use those of /v1/users");
}

/* A token or a session that was stolen must not take the account over. */
static enum rc
check_password(const struct ask *a, struct slice password, struct error *err)
{
	enum rc rc = accounts_check_password(a->api->accounts, ask_name(a),
	    password, timestamp_now(), err);

	return rc == RC_DENIED
	    ? error_set(err, RC_DENIED, "the password is wrong")
	    : rc;
}

void
put_password(struct ask *a)
{
	struct account_change change = { .role = NULL };
	struct slice old = { NULL, 0 };
	const struct body_member members[] = {
		{ "old", BODY_TEXT, &old, true, NULL },
		{ "new", BODY_TEXT, &change.password, true, NULL },
	};
	struct error err;
	enum rc rc = body_parse(a, members, 2, &err);

	if (rc == RC_OK)
		rc = needs_account(a, &err);
	if (rc == RC_OK)
		rc = check_password(a, old, &err);
	if (rc == RC_OK && change.password.len == 0)
		rc = error_set(&err, RC_INVALID,
		    "a password has at least 12 characters");
	if (rc == RC_OK)
		rc = accounts_change(a->api->accounts, ask_name(a), &change,
		    &err);
	if (rc == RC_OK)
		http_type(a->reply, 204, "application/json");
	ask_fail(a, rc, &err);
}

void
post_totp(struct ask *a)
{
	struct slice password = { NULL, 0 };
	const struct body_member members[] = {
		{ "password", BODY_TEXT, &password, true, NULL },
	};
	char secret[33];
	struct json_writer w;
	struct error err;
	enum rc rc = body_parse(a, members, 1, &err);

	if (rc == RC_OK)
		rc = needs_account(a, &err);
	if (rc == RC_OK)
		rc = check_password(a, password, &err);
	if (rc == RC_OK)
		rc = accounts_totp_begin(a->api->accounts, ask_name(a), secret,
		    &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	http_type(a->reply, 200, "application/json");
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "secret");
	json_str(&w, secret);
	json_key(&w, "uri");
	(void)buf_printf(&a->line,
	    "\"otpauth://totp/kuzet:%s?secret=%s&issuer=kuzet\"",
	    a->caller.name, secret);
	json_close(&w, '}');
	(void)ask_line(a);
}

void
put_totp(struct ask *a)
{
	struct slice code = { NULL, 0 };
	const struct body_member members[] = {
		{ "code", BODY_TEXT, &code, true, NULL },
	};
	struct error err;
	enum rc rc = body_parse(a, members, 1, &err);

	if (rc == RC_OK)
		rc = needs_account(a, &err);
	if (rc == RC_OK)
		rc = accounts_totp_confirm(a->api->accounts, ask_name(a), code,
		    timestamp_now(), &err);
	if (rc == RC_OK)
		http_type(a->reply, 204, "application/json");
	ask_fail(a, rc, &err);
}

/* ---- tokens ------------------------------------------------------------------------ */

static bool
token_line(void *ctx, const struct token *t)
{
	struct ask *a = ctx;
	struct json_writer w;
	struct buf scope;

	buf_init(&scope, DETAIL_MAX);
	scope_write(t->permissions, &scope);
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "id");
	json_int(&w, t->id);
	json_key(&w, "user");
	json_str(&w, t->account);
	json_key(&w, "kind");
	json_str(&w, t->session ? "session" : "token");
	json_key(&w, "name");
	json_str(&w, t->name);
	json_key(&w, "scope");
	json_string(&w, buf_slice(&scope));
	json_key(&w, "created");
	json_time(&w, t->created_ns);
	json_key(&w, "expires");
	json_time(&w, t->expires_ns);
	json_key(&w, "last_used");
	json_time(&w, t->last_used_ns);
	json_close(&w, '}');
	buf_fini(&scope);
	return ask_line(a);
}

static void
list_tokens(struct ask *a, struct slice account)
{
	struct error err;
	enum rc rc =
	    accounts_tokens(a->api->accounts, account, token_line, a, &err);

	ask_fail(a, rc, &err);
}

/* "30d", at most a year: what is forgotten ends by itself. */
static enum rc
token_expiry(struct slice text, int64_t now_ns, int64_t *out, struct error *err)
{
	int64_t ns = TOKEN_DEFAULT_NS;

	if (text.ptr != NULL && duration_parse(text, &ns, err) != RC_OK)
		return error_prefix(err, "expires_in");
	if (ns <= 0 || ns > TOKEN_MAX_NS)
		return error_set(err, RC_INVALID,
		    "expires_in: at most 366d, such as 30d");
	*out = now_ns + ns;
	return RC_OK;
}

static enum rc
parse_token(struct ask *a, struct token *t, struct error *err)
{
	struct slice name = { NULL, 0 }, scope = name, expires = name;
	const struct body_member members[] = {
		{ "name", BODY_TEXT, &name, true, NULL },
		{ "scope", BODY_TEXT, &scope, true, NULL },
		{ "expires_in", BODY_TEXT, &expires, false, NULL },
	};
	enum rc rc = body_parse(a, members, 3, err);

	*t = (struct token){ .created_ns = timestamp_now() };
	t->last_used_ns = t->created_ns;
	if (rc == RC_OK && (name.len == 0 || name.len >= TOKEN_NAME))
		rc = error_set(err, RC_INVALID, "name: 1 to 64 bytes of text");
	for (size_t i = 0; rc == RC_OK && i < name.len; i++)
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			rc = error_set(err, RC_INVALID,
			    "name: no control characters");
	if (rc == RC_OK)
		rc = scope_parse(scope, &t->permissions, err);
	if (rc == RC_OK && t->permissions == 0)
		rc = error_set(err, RC_INVALID, "scope: at least one");
	if (rc == RC_OK)
		rc = token_expiry(expires, t->created_ns, &t->expires_ns, err);
	if (rc == RC_OK)
		memcpy(t->name, name.ptr, name.len);
	return rc;
}

/* A secret that is given out once. */
static void
add_token(struct ask *a, struct slice account, unsigned allowed)
{
	char secret[TOKEN_TEXT];
	struct json_writer w;
	struct error err;
	struct token t;
	enum rc rc = parse_token(a, &t, &err);

	if (rc == RC_OK && account.len >= sizeof(t.account))
		rc = error_set(&err, RC_EOF, "there is no such user");
	if (rc == RC_OK && (t.permissions & ~allowed) != 0)
		rc = error_set(&err, RC_DENIED,
		    "the scope is more than the user itself may");
	if (rc == RC_OK) {
		memcpy(t.account, account.ptr, account.len);
		rc = accounts_token_add(a->api->accounts, &t, secret, &err);
	}
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	ask_note(a, "token %lld \"%s\" of %s", (long long)t.id, t.name,
	    t.account);
	http_type(a->reply, CREATED, "application/json");
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "id");
	json_int(&w, t.id);
	json_key(&w, "token");
	json_str(&w, secret);
	json_key(&w, "expires");
	json_time(&w, t.expires_ns);
	json_close(&w, '}');
	(void)ask_line(a);
}

static void
remove_token(struct ask *a, struct slice account)
{
	struct slice text = a->path[0];
	struct error err;
	int64_t id = 0;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < text.len && text.len < 18; i++)
		id = text.ptr[i] >= '0' && text.ptr[i] <= '9' && id >= 0
		    ? id * 10 + text.ptr[i] - '0'
		    : -1;
	rc = accounts_token_remove(a->api->accounts, account, id, &err);
	ask_note(a, "token %lld", (long long)id);
	if (rc == RC_OK)
		http_type(a->reply, 204, "application/json");
	ask_fail(a, rc, &err);
}

void
get_my_tokens(struct ask *a)
{
	list_tokens(a, ask_name(a));
}

void
post_my_token(struct ask *a)
{
	struct error err;
	enum rc rc = needs_account(a, &err);

	if (rc == RC_OK)
		add_token(a, ask_name(a), a->caller.permissions);
	ask_fail(a, rc, &err);
}

void
delete_my_token(struct ask *a)
{
	remove_token(a, ask_name(a));
}

void
get_tokens(struct ask *a)
{
	list_tokens(a, http_param(a->request, "user"));
}

void
delete_token(struct ask *a)
{
	remove_token(a, (struct slice){ NULL, 0 });
}

void
post_user_token(struct ask *a)
{
	struct account account;
	struct error err;
	enum rc rc = accounts_get(a->api->accounts, a->path[0], &account, &err);

	if (rc == RC_OK)
		add_token(a, a->path[0], role_permissions(account.role));
	ask_fail(a, rc, &err);
}
