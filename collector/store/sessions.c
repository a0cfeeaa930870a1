/* SPDX-License-Identifier: Apache-2.0 */
/* Logging in, and whose a secret is. */
#include <stdio.h>

#include "collector/store/account_rows.h"
#include "collector/store/internal.h"
#include "secret.h"
#include "timestamp.h"

#define SESSION_NS (NS_PER_SEC * 3600 * 12)
/* how exact "last used" is, as a part of the idle limit */
#define IDLE_PART     8
#define LOCK_FIRST_NS (NS_PER_SEC * 30)

enum {
	SECRET_BYTES = 32,
	FAILURES_FREE = 5,
	LOCK_DOUBLINGS = 7, /* 64 minutes */
};

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static void
digest_of(struct slice secret, uint8_t out[SHA256_BYTES])
{
	sha256_of(secret, out);
}

static struct slice
blob_of(const uint8_t digest[SHA256_BYTES])
{
	return (struct slice){ (const char *)digest, SHA256_BYTES };
}

/* What a page must know to act in a session: made of its secret. */
static void
csrf_of(struct slice secret, char out[CSRF_TEXT])
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *h = sha256_new();

	sha256_add(h, "kuzet csrf", 11);
	sha256_add(h, secret.ptr, secret.len);
	sha256_done(h, digest);
	sha256_free(h);
	hex_text(digest, (CSRF_TEXT - 1) / 2, out);
}

static void
new_secret(bool session, char out[TOKEN_TEXT])
{
	uint8_t bytes[SECRET_BYTES];

	random_bytes(bytes, sizeof(bytes));
	(void)snprintf(out, TOKEN_TEXT, session ? "kzs_" : "kzt_");
	hex_text(bytes, sizeof(bytes), out + 4);
}

enum rc
sessions_end(struct accounts *a, struct slice name, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "DELETE FROM tokens WHERE account = ?1 AND session = 1", err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, name);
	return sql_run(a->db, q, err);
}

/* ---- logging in ------------------------------------------------------------- */

/* What is needed to judge an attempt. */
struct attempt {
	char hash[PASSWORD_HASH_TEXT];
	char totp[TOTP_SECRET_TEXT];
	int64_t totp_step, locked_until_ns, failures;
	struct account account;
	bool known;
};

static enum rc
read_attempt(struct accounts *a, struct slice name, struct attempt *out,
    struct error *err)
{
	sqlite3_stmt *q;
	enum rc rc;

	*out = (struct attempt){ .known = false };
	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db,
	    "SELECT " ACCOUNT_COLUMNS ", password, totp, totp_step, failures"
	    " FROM accounts a WHERE name = ?1",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_text(q, 1, name);
		rc = sql_step(a->db, q, err);
	}
	if (rc == RC_OK) {
		account_of_row(q, &out->account);
		out->known = true;
		text_copy(out->hash, sizeof(out->hash),
		    sql_text(q, N_ACCOUNT_COLUMNS));
		text_copy(out->totp, sizeof(out->totp),
		    sql_text(q, N_ACCOUNT_COLUMNS + 1));
		out->totp_step = sqlite3_column_int64(q, N_ACCOUNT_COLUMNS + 2);
		out->failures = sqlite3_column_int64(q, N_ACCOUNT_COLUMNS + 3);
		out->locked_until_ns = out->account.locked_until_ns;
		(void)sqlite3_reset(q);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
note_failure(struct accounts *a, struct slice name, const struct attempt *t,
    int64_t now_ns, struct error *err)
{
	int64_t over = t->failures + 1 - FAILURES_FREE;
	int64_t until_ns = 0;
	sqlite3_stmt *q;
	enum rc rc;

	if (over > LOCK_DOUBLINGS)
		over = LOCK_DOUBLINGS;
	if (over >= 0)
		until_ns = now_ns + (LOCK_FIRST_NS << over);
	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db,
	    "UPDATE accounts SET failures = failures + 1,"
	    " locked_until = max(locked_until, ?2) WHERE name = ?1",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_text(q, 1, name);
		sql_bind_int(q, 2, until_ns);
		rc = sql_run(a->db, q, err);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

/* RC_DENIED: wrong, and counted. */
static enum rc
check_password(struct accounts *a, const struct login *l, struct attempt *t,
    struct error *err)
{
	bool good;

	hashing_begin(a);
	/* of whom nobody knows too: it takes the same time */
	good = password_verify(l->password, t->hash);
	hashing_end(a);
	if (good && t->known && t->account.enabled &&
	    t->locked_until_ns <= l->now_ns)
		return RC_OK;
	if (t->known && t->locked_until_ns <= l->now_ns &&
	    note_failure(a, l->name, t, l->now_ns, err) != RC_OK)
		return err->code;
	return error_set(err, RC_DENIED,
	    "the name, the password or the code is wrong, or the account is "
	    "locked for a while");
}

static enum rc
check_code(struct accounts *a, const struct login *l, struct attempt *t,
    struct error *err)
{
	int64_t step;

	if (t->totp[0] == '\0')
		return RC_OK;
	if (l->code.len == 0)
		return error_set(err, RC_EOF, "a one-time code is needed");
	step = totp_step(t->totp, l->code, l->now_ns, t->totp_step);
	if (step > 0) {
		t->totp_step = step;
		return RC_OK;
	}
	if (note_failure(a, l->name, t, l->now_ns, err) != RC_OK)
		return err->code;
	return error_set(err, RC_DENIED,
	    "the name, the password or the code is wrong, or the account is "
	    "locked for a while");
}

/* The step is used up in the transaction that makes the session. */
static enum rc
note_success(struct accounts *a, const struct login *l, const struct attempt *t,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "UPDATE accounts SET failures = 0, locked_until = 0,"
	    " last_login = ?2, totp_step = max(totp_step, ?3)"
	    " WHERE name = ?1 AND enabled = 1 AND (totp = '' OR"
	    "  totp_step < ?3) AND password = ?4",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, l->name);
	sql_bind_int(q, 2, l->now_ns);
	sql_bind_int(q, 3, t->totp_step);
	sql_bind_text(q, 4, text_of(t->hash));
	if (sql_run(a->db, q, err) != RC_OK)
		return err->code;
	/* the same code at the same time, or a change of the account */
	return sqlite3_changes(a->db->db) == 1
	    ? RC_OK
	    : error_set(err, RC_DENIED, "the code was used already");
}

/* The oldest sessions above the bound go, and what expired. */
static enum rc
make_room(struct accounts *a, struct slice name, int64_t now_ns,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "DELETE FROM tokens WHERE session = 1 AND (expires <= ?2 OR"
	    " account = ?1 AND id NOT IN (SELECT id FROM tokens"
	    "  WHERE account = ?1 AND session = 1"
	    "  ORDER BY id DESC LIMIT ?3))",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, name);
	sql_bind_int(q, 2, now_ns);
	sql_bind_int(q, 3, SESSIONS_MAX - 1);
	return sql_run(a->db, q, err);
}

static enum rc
insert_token(struct accounts *a, struct token *t, struct slice secret,
    struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	sqlite3_stmt *q = sql_prepare(a->db,
	    "INSERT INTO tokens(account, session, hash, name, permissions,"
	    " created, expires, last_used) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7,"
	    " ?8 WHERE EXISTS (SELECT 1 FROM accounts WHERE name = ?1)"
	    " AND (?2 OR (SELECT count(*) FROM tokens"
	    "  WHERE account = ?1 AND session = 0) < ?9)",
	    err);

	if (q == NULL)
		return err->code;
	digest_of(secret, digest);
	sql_bind_text(q, 1, text_of(t->account));
	sql_bind_int(q, 2, t->session);
	sql_bind_blob(q, 3, blob_of(digest));
	sql_bind_text(q, 4, text_of(t->name));
	sql_bind_int(q, 5, t->permissions);
	sql_bind_int(q, 6, t->created_ns);
	sql_bind_int(q, 7, t->expires_ns);
	sql_bind_int(q, 8, t->last_used_ns);
	sql_bind_int(q, 9, TOKENS_MAX);
	if (sql_run(a->db, q, err) != RC_OK)
		return err->code;
	if (sqlite3_changes(a->db->db) == 0)
		return error_set(err, RC_LIMIT,
		    "there is no such user, or it has %d tokens already",
		    (int)TOKENS_MAX);
	t->id = sqlite3_last_insert_rowid(a->db->db);
	return RC_OK;
}

/* Who belongs to one organization may nothing that concerns all of them. */
static void
caller_of(const struct account *account, struct caller *out)
{
	static const unsigned of_one = MAY_EVENTS | MAY_INCIDENTS |
	    MAY_INCIDENTS_WRITE | MAY_AGENTS | MAY_RULES | MAY_SEARCHES_WRITE |
	    MAY_SELF;

	*out = (struct caller){
		.role = account->role,
		.permissions = role_permissions(account->role),
	};
	if (account->organization[0] != '\0')
		out->permissions &= of_one;
	memcpy(out->name, account->name, sizeof(out->name));
	memcpy(out->organization, account->organization,
	    sizeof(out->organization));
}

enum rc
accounts_login(struct accounts *a, const struct login *l,
    char secret[TOKEN_TEXT], struct caller *out, struct error *err)
{
	struct token session = { .session = true,
		.permissions = MAY_ALL,
		.created_ns = l->now_ns,
		.last_used_ns = l->now_ns,
		.expires_ns = l->now_ns + SESSION_NS };
	struct attempt t;
	enum rc rc = read_attempt(a, l->name, &t, err);

	if (rc == RC_OK)
		rc = check_password(a, l, &t, err);
	if (rc == RC_OK)
		rc = check_code(a, l, &t, err);
	if (rc != RC_OK)
		return rc;
	new_secret(true, secret);
	text_copy(session.account, sizeof(session.account), l->name);
	text_copy(session.name, sizeof(session.name), l->address);
	(void)pthread_mutex_lock(&a->lock);
	rc = sql_begin(a->db, err);
	if (rc == RC_OK)
		rc = note_success(a, l, &t, err);
	if (rc == RC_OK)
		rc = make_room(a, l->name, l->now_ns, err);
	if (rc == RC_OK)
		rc = insert_token(a, &session, text_of(secret), err);
	rc = accounts_end(a, rc, err);
	(void)pthread_mutex_unlock(&a->lock);
	caller_of(&t.account, out);
	out->kind = CALLER_SESSION;
	out->token = session.id;
	csrf_of(text_of(secret), out->csrf);
	return rc;
}

enum rc
accounts_check_password(struct accounts *a, struct slice name,
    struct slice password, int64_t now_ns, struct error *err)
{
	struct login l = { .name = name,
		.password = password,
		.now_ns = now_ns };
	struct attempt t;
	enum rc rc = read_attempt(a, name, &t, err);

	return rc == RC_OK ? check_password(a, &l, &t, err) : rc;
}

static enum rc
delete_token(struct accounts *a, struct slice account, int64_t id,
    struct error *err)
{
	sqlite3_stmt *q;
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db,
	    "DELETE FROM tokens WHERE id = ?1"
	    " AND (?2 IS NULL OR account = ?2)",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_int(q, 1, id);
		if (account.ptr != NULL)
			sql_bind_text(q, 2, account);
		rc = sql_run(a->db, q, err);
	}
	if (rc == RC_OK && sqlite3_changes(a->db->db) == 0)
		rc = error_set(err, RC_EOF, "there is no such token");
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

enum rc
accounts_logout(struct accounts *a, int64_t token, struct error *err)
{
	return delete_token(a, (struct slice){ NULL, 0 }, token, err);
}

/* ---- who asks --------------------------------------------------------------- */

static enum rc
touch(struct accounts *a, int64_t id, int64_t now_ns, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "UPDATE tokens SET last_used = ?2 WHERE id = ?1", err);

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, id);
	sql_bind_int(q, 2, now_ns);
	return sql_run(a->db, q, err);
}

/* The row of a secret: RC_DENIED if it is of no use. */
static enum rc
find_secret(struct accounts *a, struct slice secret, int64_t now_ns,
    int64_t idle_ns, struct caller *out, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	int64_t part_ns = idle_ns > 0 ? idle_ns / IDLE_PART : NS_PER_SEC * 60;
	struct account account;
	int64_t used_ns;
	bool session;
	enum rc rc;
	sqlite3_stmt *q = sql_prepare(a->db,
	    "SELECT " ACCOUNT_COLUMNS ", t.id, t.session, t.permissions,"
	    " t.expires, t.last_used FROM tokens t"
	    " JOIN accounts a ON a.name = t.account WHERE t.hash = ?1",
	    err);

	if (q == NULL)
		return err->code;
	digest_of(secret, digest);
	sql_bind_blob(q, 1, blob_of(digest));
	rc = sql_step(a->db, q, err);
	if (rc == RC_EOF)
		return error_set(err, RC_DENIED, "log in first");
	if (rc != RC_OK)
		return rc;
	account_of_row(q, &account);
	caller_of(&account, out);
	out->token = sqlite3_column_int64(q, N_ACCOUNT_COLUMNS);
	session = sqlite3_column_int(q, N_ACCOUNT_COLUMNS + 1) != 0;
	out->kind = session ? CALLER_SESSION : CALLER_TOKEN;
	out->permissions &=
	    (unsigned)sqlite3_column_int64(q, N_ACCOUNT_COLUMNS + 2);
	used_ns = sqlite3_column_int64(q, N_ACCOUNT_COLUMNS + 4);
	if (!account.enabled ||
	    sqlite3_column_int64(q, N_ACCOUNT_COLUMNS + 3) <= now_ns ||
	    (session && idle_ns > 0 && now_ns - used_ns >= idle_ns))
		rc = error_set(err, RC_DENIED, "log in again");
	(void)sqlite3_reset(q);
	return rc == RC_OK && now_ns - used_ns >= part_ns
	    ? touch(a, out->token, now_ns, err)
	    : rc;
}

enum rc
accounts_by_secret(struct accounts *a, struct slice secret, int64_t now_ns,
    int64_t idle_ns, struct caller *out, struct error *err)
{
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	rc = find_secret(a, secret, now_ns, idle_ns, out, err);
	(void)pthread_mutex_unlock(&a->lock);
	if (rc == RC_OK && out->kind == CALLER_SESSION)
		csrf_of(secret, out->csrf);
	return rc;
}

enum rc
accounts_by_certificate(struct accounts *a, struct slice sha256,
    struct caller *out, struct error *err)
{
	struct account account;
	sqlite3_stmt *q;
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db,
	    "SELECT " ACCOUNT_COLUMNS " FROM accounts a WHERE certificate = ?1"
	    " AND certificate <> '' AND enabled = 1",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_text(q, 1, sha256);
		rc = sql_step(a->db, q, err);
	}
	if (rc == RC_OK) {
		account_of_row(q, &account);
		caller_of(&account, out);
		out->kind = CALLER_CERTIFICATE;
		(void)sqlite3_reset(q);
	} else if (rc == RC_EOF) {
		rc = error_set(err, RC_DENIED, "log in first");
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

/* ---- tokens ----------------------------------------------------------------- */

static void
token_of_row(sqlite3_stmt *q, struct token *out)
{
	*out = (struct token){
		.id = sqlite3_column_int64(q, 0),
		.session = sqlite3_column_int(q, 2) != 0,
		.permissions = (unsigned)sqlite3_column_int64(q, 4),
		.created_ns = sqlite3_column_int64(q, 5),
		.expires_ns = sqlite3_column_int64(q, 6),
		.last_used_ns = sqlite3_column_int64(q, 7),
	};
	text_copy(out->account, sizeof(out->account), sql_text(q, 1));
	text_copy(out->name, sizeof(out->name), sql_text(q, 3));
}

/* Some at a time, so that no lock is held while the callback writes. */
enum rc
accounts_tokens(struct accounts *a, struct slice account, token_cb *cb,
    void *ctx, struct error *err)
{
	struct token list[TOKENS_MAX];
	int64_t after = 0;
	size_t n;
	enum rc rc;

	do {
		sqlite3_stmt *q;

		n = 0;
		(void)pthread_mutex_lock(&a->lock);
		q = sql_prepare(a->db,
		    "SELECT id, account, session, name, permissions, created,"
		    " expires, last_used FROM tokens WHERE id > ?1"
		    " AND (?2 IS NULL OR account = ?2) ORDER BY id LIMIT ?3",
		    err);
		rc = q != NULL ? RC_OK : err->code;
		if (rc == RC_OK) {
			sql_bind_int(q, 1, after);
			if (account.ptr != NULL)
				sql_bind_text(q, 2, account);
			sql_bind_int(q, 3, TOKENS_MAX);
		}
		while (rc == RC_OK && (rc = sql_step(a->db, q, err)) == RC_OK)
			token_of_row(q, &list[n++]);
		(void)pthread_mutex_unlock(&a->lock);
		for (size_t i = 0; rc == RC_EOF && i < n; i++)
			if (!cb(ctx, &list[i]))
				return RC_OK;
		after = n > 0 ? list[n - 1].id : after;
	} while (rc == RC_EOF && n == TOKENS_MAX);
	return rc == RC_EOF ? RC_OK : rc;
}

enum rc
accounts_token_add(struct accounts *a, struct token *t, char secret[TOKEN_TEXT],
    struct error *err)
{
	enum rc rc;

	if (t->name[0] == '\0')
		return error_set(err, RC_INVALID, "a token needs a name");
	if (t->expires_ns <= t->created_ns)
		return error_set(err, RC_INVALID,
		    "a token expires at a time to come");
	t->session = false;
	new_secret(false, secret);
	(void)pthread_mutex_lock(&a->lock);
	rc = insert_token(a, t, text_of(secret), err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

enum rc
accounts_token_remove(struct accounts *a, struct slice account, int64_t id,
    struct error *err)
{
	return delete_token(a, account, id, err);
}
