/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts in soc.db: who may ask the API, and for what.  People have a
 * password, a second factor or a certificate; programs have tokens.  Of
 * passwords and tokens only hashes are stored.
 *
 * Errors of all functions: RC_INVALID what was given is no good, RC_EOF there
 * is no such thing, RC_DENIED it clashes with what is there, RC_LIMIT there are
 * too many, RC_AGAIN and RC_SYSTEM try later.  Any thread may call.
 */
#pragma once

#include "buf.h"
#include "digest.h"
#include "store.h"

enum account_role {
	ROLE_OWNER,   /* of objects: sees those of its organization */
	ROLE_ANALYST, /* searches, works on incidents, reloads rules */
	ROLE_RESPONDER,
	ROLE_AUDITOR, /* reads everything, changes nothing */
	ROLE_ADMINISTRATOR,
	ROLE_NATIONAL_CENTRE, /* reads incidents */
	ROLES,
};

/* What a route asks for; their names are the scopes of tokens. */
enum permission {
	MAY_EVENTS = 1 << 0,
	MAY_INCIDENTS = 1 << 1,
	MAY_INCIDENTS_WRITE = 1 << 2,
	MAY_AGENTS = 1 << 3,
	MAY_RULES = 1 << 4,
	MAY_RULES_RELOAD = 1 << 5,
	MAY_STATUS = 1 << 6,
	MAY_USERS = 1 << 7,
	MAY_USERS_WRITE = 1 << 8,
	MAY_AUDIT = 1 << 9,
	MAY_SELF = 1 << 10, /* one's own password, second factor, tokens */
	MAY_SEARCHES_WRITE = 1 << 11, /* saved searches of one's own */
	MAY_AGENTS_WRITE = 1 << 12,   /* who is let in, what they are told */
	MAY_RESPOND = 1 << 13,        /* what is done on agents' machines */
	MAY_ALL = (1 << 14) - 1,
};

const char *role_name(enum account_role role); /* "national-centre" */
bool role_parse(struct slice name, enum account_role *out);
unsigned role_permissions(enum account_role role);
/* "events incidents:write"; RC_INVALID names the word that is none. */
enum rc scope_parse(struct slice text, unsigned *permissions,
    struct error *err);
void scope_write(unsigned permissions, struct buf *out);

enum {
	ACCOUNT_NAME = 65,          /* with the NUL, as all of these */
	ACCOUNT_ORGANIZATION = 129, /* organization.id */
	TOKEN_NAME = 65,
	TOKEN_TEXT = 72, /* of a secret that is given out */
	CSRF_TEXT = 33,
	ACCOUNTS_MAX = 10000,
	TOKENS_MAX = 64,   /* of an account */
	SESSIONS_MAX = 32, /* of an account; the oldest goes */
};

struct account {
	char name[ACCOUNT_NAME]; /* a-z 0-9 . _ - @ */
	enum account_role role;
	char organization[ACCOUNT_ORGANIZATION]; /* empty: all of them */
	char certificate[SHA256_TEXT];           /* its SHA-256; empty: none */
	bool enabled, has_password, has_totp;
	int64_t created_ns, last_login_ns, locked_until_ns;
};

struct accounts;
enum rc accounts_open(struct store *s, struct accounts **out,
    struct error *err);
void accounts_close(struct accounts *a); /* NULL is fine */

/* What is NULL (or has ptr NULL) stays as it is, or empty in a new one. */
struct account_change {
	const enum account_role *role;
	struct slice organization, certificate, password;
	const bool *enabled;
	bool remove_totp, unlock;
};

/* By name; the callback returns false to stop. */
typedef bool account_cb(void *ctx, const struct account *account);
enum rc accounts_list(struct accounts *a, account_cb *cb, void *ctx,
    struct error *err);
enum rc accounts_get(struct accounts *a, struct slice name, struct account *out,
    struct error *err);
enum rc accounts_add(struct accounts *a, struct slice name,
    const struct account_change *change, int64_t now_ns, struct error *err);
/* Sessions of the account end with another role, password or organization. */
enum rc accounts_change(struct accounts *a, struct slice name,
    const struct account_change *change, struct error *err);
enum rc accounts_remove(struct accounts *a, struct slice name,
    struct error *err);

/* A new secret, of use once a code of it was confirmed. */
enum rc accounts_totp_begin(struct accounts *a, struct slice name,
    char secret[33], struct error *err);
enum rc accounts_totp_confirm(struct accounts *a, struct slice name,
    struct slice code, int64_t now_ns, struct error *err);
/* RC_DENIED: it is not the account's password. */
enum rc accounts_check_password(struct accounts *a, struct slice name,
    struct slice password, int64_t now_ns, struct error *err);

/* ---- who asks ---------------------------------------------------------- */

enum caller_kind {
	CALLER_NOBODY,
	CALLER_LOCAL, /* over the control socket */
	CALLER_SESSION,
	CALLER_TOKEN,
	CALLER_CERTIFICATE,
};

struct caller {
	enum caller_kind kind;
	char name[ACCOUNT_NAME];
	enum account_role role;
	char organization[ACCOUNT_ORGANIZATION]; /* empty: all */
	unsigned permissions;
	int64_t token;        /* the session or token; 0: none */
	char csrf[CSRF_TEXT]; /* of a session */
};

struct login {
	struct slice name, password, code;
	struct slice address; /* where it comes from */
	int64_t now_ns;
};
/*
 * A new session; its secret is given out once.  RC_DENIED: wrong; nothing says
 * what of it.  RC_EOF: all was right, but a one-time code is needed.  Waits
 * while others' passwords are hashed: those who call bound how many.  After five failures the account is locked
 * for half a minute, and twice as long with each further one, at most an hour.
 */
enum rc accounts_login(struct accounts *a, const struct login *l,
    char secret[TOKEN_TEXT], struct caller *out, struct error *err);
/* Ends a session, or all of an account but `except`. */
enum rc accounts_logout(struct accounts *a, int64_t token, struct error *err);

/* RC_DENIED: of no use (any more).  `idle_ns` ends sessions. */
enum rc accounts_by_secret(struct accounts *a, struct slice secret,
    int64_t now_ns, int64_t idle_ns, struct caller *out, struct error *err);
enum rc accounts_by_certificate(struct accounts *a, struct slice sha256,
    struct caller *out, struct error *err);

struct token {
	int64_t id;
	char account[ACCOUNT_NAME];
	bool session;
	char name[TOKEN_NAME];
	unsigned permissions;
	int64_t created_ns, expires_ns, last_used_ns;
};
typedef bool token_cb(void *ctx, const struct token *t);
/* `account` ptr NULL: of everybody. */
enum rc accounts_tokens(struct accounts *a, struct slice account, token_cb *cb,
    void *ctx, struct error *err);
/* What the account may not, its token may not either.  Fills t->id. */
enum rc accounts_token_add(struct accounts *a, struct token *t,
    char secret[TOKEN_TEXT], struct error *err);
/* `account` ptr NULL: whoever it belongs to. */
enum rc accounts_token_remove(struct accounts *a, struct slice account,
    int64_t id, struct error *err);

/* ---- the audit log --------------------------------------------------------
 * Append-only: triggers refuse anything else, but for what is older than the
 * newest million and is stored as events.
 */
struct audit_entry {
	int64_t id, time_ns;
	struct slice account, role, address;
	struct slice action; /* of the route: "events.search" */
	struct slice method, target;
	int status;
	struct slice detail; /* what was changed; may be empty */
};
enum rc accounts_audit(struct accounts *a, const struct audit_entry *list,
    size_t n, struct error *err);

typedef bool audit_cb(void *ctx, const struct audit_entry *e);
struct audit_query {
	int64_t after;              /* id */
	int64_t since_ns, until_ns; /* half open */
	struct slice account;       /* ptr NULL: all */
	uint64_t limit;             /* 0: all */
};
enum rc accounts_audit_read(struct accounts *a, const struct audit_query *q,
    audit_cb *cb, void *ctx, struct error *err);

/* How far it is in the log of events, and the stream that it has there. */
struct audit_cursor {
	char stream[UUID_TEXT];
	int64_t shipped; /* id */
};
enum rc accounts_audit_cursor(struct accounts *a, struct audit_cursor *out,
    struct error *err);
enum rc accounts_audit_shipped(struct accounts *a, int64_t id,
    struct error *err);
