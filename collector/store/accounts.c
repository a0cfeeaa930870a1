/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/account_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/store/internal.h"
#include "secret.h"

enum rc
accounts_open(struct store *s, struct accounts **out, struct error *err)
{
	struct accounts *a = xzalloc(sizeof(*a));

	(void)pthread_mutex_init(&a->lock, NULL);
	(void)sem_init(&a->hashing, 0, HASHING_MAX);
	*out = NULL;
	if (soc_connect(s->dir, SQL_WRITE, &a->db, err) != RC_OK) {
		accounts_close(a);
		return err->code;
	}
	*out = a;
	return RC_OK;
}

void
accounts_close(struct accounts *a)
{
	if (a == NULL)
		return;
	sql_close(a->db);
	(void)pthread_mutex_destroy(&a->lock);
	(void)sem_destroy(&a->hashing);
	free(a);
}

void
hashing_begin(struct accounts *a)
{
	while (sem_wait(&a->hashing) != 0)
		if (errno != EINTR)
			abort();
}

void
hashing_end(struct accounts *a)
{
	(void)sem_post(&a->hashing);
}

void
text_copy(char *out, size_t room, struct slice s)
{
	size_t n = s.len < room ? s.len : room - 1;

	memcpy(out, s.ptr, n);
	out[n] = '\0';
}

enum rc
accounts_end(struct accounts *a, enum rc rc, struct error *err)
{
	if (rc == RC_OK)
		rc = sql_commit(a->db, err);
	if (rc != RC_OK)
		sql_rollback(a->db);
	return rc;
}

void
account_of_row(sqlite3_stmt *q, struct account *out)
{
	*out = (struct account){ .role = ROLE_NATIONAL_CENTRE };
	text_copy(out->name, sizeof(out->name), sql_text(q, 0));
	/* a role that this version does not know may do least */
	(void)role_parse(sql_text(q, 1), &out->role);
	text_copy(out->organization, sizeof(out->organization), sql_text(q, 2));
	text_copy(out->certificate, sizeof(out->certificate), sql_text(q, 3));
	out->enabled = sqlite3_column_int(q, 4) != 0;
	out->has_password = sqlite3_column_int(q, 5) != 0;
	out->has_totp = sqlite3_column_int(q, 6) != 0;
	out->created_ns = sqlite3_column_int64(q, 7);
	out->last_login_ns = sqlite3_column_int64(q, 8);
	out->locked_until_ns = sqlite3_column_int64(q, 9);
}

/* ---- reading -------------------------------------------------------------- */

/* Copied first: the callback may write to a slow peer. */
enum rc
accounts_list(struct accounts *a, account_cb *cb, void *ctx, struct error *err)
{
	struct account *list = xcalloc(ACCOUNTS_MAX, sizeof(*list));
	sqlite3_stmt *q;
	size_t n = 0;
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	q = sql_prepare(a->db,
	    "SELECT " ACCOUNT_COLUMNS " FROM accounts a ORDER BY name", err);
	rc = q != NULL ? RC_OK : err->code;
	while (rc == RC_OK && n < ACCOUNTS_MAX &&
	    (rc = sql_step(a->db, q, err)) == RC_OK)
		account_of_row(q, &list[n++]);
	if (q != NULL)
		(void)sqlite3_reset(q);
	(void)pthread_mutex_unlock(&a->lock);
	rc = rc == RC_EOF ? RC_OK : rc;
	for (size_t i = 0; rc == RC_OK && i < n && cb(ctx, &list[i]); i++)
		;
	free(list);
	return rc;
}

static enum rc
get_account(struct accounts *a, struct slice name, struct account *out,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "SELECT " ACCOUNT_COLUMNS " FROM accounts a WHERE name = ?1", err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, name);
	rc = sql_step(a->db, q, err);
	if (rc == RC_EOF)
		return error_set(err, RC_EOF, "there is no user \"%.*s\"",
		    (int)(name.len < ACCOUNT_NAME ? name.len : ACCOUNT_NAME),
		    name.ptr);
	if (rc != RC_OK)
		return rc;
	account_of_row(q, out);
	(void)sqlite3_reset(q);
	return RC_OK;
}

enum rc
accounts_get(struct accounts *a, struct slice name, struct account *out,
    struct error *err)
{
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	rc = get_account(a, name, out, err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

/* ---- changing ------------------------------------------------------------- */

static bool
good_name(struct slice name)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789._-@";

	if (name.len == 0 || name.len >= ACCOUNT_NAME || name.ptr[0] == '-' ||
	    name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (memchr(allowed, name.ptr[i], sizeof(allowed) - 1) == NULL)
			return false;
	return true;
}

static bool
good_organization(struct slice s)
{
	if (s.len >= ACCOUNT_ORGANIZATION)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static bool
good_digest(struct slice s)
{
	if (s.len != 0 && s.len != SHA256_TEXT - 1)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (strspn((char[]){ s.ptr[i], 0 }, "0123456789abcdef") == 0)
			return false;
	return true;
}

static enum rc
check_change(struct slice name, const struct account_change *c,
    struct error *err)
{
	const char *weak =
	    c->password.len > 0 ? password_weakness(c->password, name) : NULL;

	if (!good_name(name))
		return error_set(err, RC_INVALID,
		    "a user's name has 1 to 64 of a-z 0-9 . _ - @ and begins "
		    "with a letter or a digit");
	if (!good_organization(c->organization))
		return error_set(err, RC_INVALID,
		    "an organization has at most 128 bytes of text");
	if (!good_digest(c->certificate))
		return error_set(err, RC_INVALID,
		    "a certificate is told by its SHA-256: 64 hexadecimal "
		    "digits in lower case");
	if (weak != NULL)
		return error_set(err, RC_INVALID, "%s", weak);
	return RC_OK;
}

/* An owner of objects belongs to an organization, else it would see all. */
static enum rc
check_owner(enum account_role role, struct slice organization,
    struct error *err)
{
	if (role != ROLE_OWNER || organization.len > 0)
		return RC_OK;
	return error_set(err, RC_INVALID,
	    "an owner needs an organization: it sees that one's objects");
}

static enum rc
check_certificate(struct accounts *a, struct slice name,
    struct slice certificate, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "SELECT name FROM accounts WHERE certificate = ?1 AND name <> ?2",
	    err);
	enum rc rc;

	if (certificate.len == 0)
		return RC_OK;
	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, certificate);
	sql_bind_text(q, 2, name);
	rc = sql_step(a->db, q, err);
	if (rc == RC_OK) {
		(void)sqlite3_reset(q);
		return error_set(err, RC_DENIED,
		    "that certificate belongs to another user");
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
insert_account(struct accounts *a, const struct account *n, const char *hash,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "INSERT INTO accounts(name, role, organization, certificate,"
	    " password, enabled, created) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
	    " WHERE (SELECT count(*) FROM accounts) < ?8"
	    " ON CONFLICT(name) DO NOTHING",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, (struct slice){ n->name, strlen(n->name) });
	sql_bind_text(q, 2,
	    (struct slice){ role_name(n->role), strlen(role_name(n->role)) });
	sql_bind_text(q, 3,
	    (struct slice){ n->organization, strlen(n->organization) });
	sql_bind_text(q, 4,
	    (struct slice){ n->certificate, strlen(n->certificate) });
	sql_bind_text(q, 5, (struct slice){ hash, strlen(hash) });
	sql_bind_int(q, 6, n->enabled);
	sql_bind_int(q, 7, n->created_ns);
	sql_bind_int(q, 8, ACCOUNTS_MAX);
	if (sql_run(a->db, q, err) != RC_OK)
		return err->code;
	if (sqlite3_changes(a->db->db) == 0)
		return error_set(err, RC_DENIED,
		    "there is a user \"%s\" already, or there are %d of them",
		    n->name, (int)ACCOUNTS_MAX);
	return RC_OK;
}

static void
merge(struct account *out, const struct account_change *c)
{
	if (c->role != NULL)
		out->role = *c->role;
	if (c->organization.ptr != NULL)
		text_copy(out->organization, sizeof(out->organization),
		    c->organization);
	if (c->certificate.ptr != NULL)
		text_copy(out->certificate, sizeof(out->certificate),
		    c->certificate);
	if (c->enabled != NULL)
		out->enabled = *c->enabled;
}

/* Empty for an empty password. */
static void
hash_of(struct accounts *a, struct slice password, char out[PASSWORD_HASH_TEXT])
{
	out[0] = '\0';
	if (password.len == 0)
		return;
	hashing_begin(a);
	password_hash(password, out);
	hashing_end(a);
}

enum rc
accounts_add(struct accounts *a, struct slice name,
    const struct account_change *change, int64_t now_ns, struct error *err)
{
	struct account n = { .enabled = true, .created_ns = now_ns };
	char hash[PASSWORD_HASH_TEXT];
	enum rc rc = check_change(name, change, err);

	if (rc != RC_OK)
		return rc;
	if (change->role == NULL)
		rc = error_set(err, RC_INVALID, "a new user needs a role");
	else
		rc = check_owner(*change->role, change->organization, err);
	if (rc != RC_OK)
		return rc;
	text_copy(n.name, sizeof(n.name), name);
	merge(&n, change);
	hash_of(a, change->password, hash);
	(void)pthread_mutex_lock(&a->lock);
	rc = sql_begin(a->db, err);
	if (rc == RC_OK)
		rc = check_certificate(a, name, change->certificate, err);
	if (rc == RC_OK)
		rc = insert_account(a, &n, hash, err);
	rc = accounts_end(a, rc, err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

static enum rc
update_account(struct accounts *a, const struct account *n,
    const struct account_change *c, const char *hash, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "UPDATE accounts SET role = ?2, organization = ?3,"
	    " certificate = ?4, password = CASE WHEN ?5 THEN ?6"
	    " ELSE password END, enabled = ?7,"
	    " totp = CASE WHEN ?8 THEN '' ELSE totp END,"
	    " totp_pending = CASE WHEN ?8 THEN '' ELSE totp_pending END,"
	    " failures = CASE WHEN ?9 THEN 0 ELSE failures END,"
	    " locked_until = CASE WHEN ?9 THEN 0 ELSE locked_until END"
	    " WHERE name = ?1",
	    err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, (struct slice){ n->name, strlen(n->name) });
	sql_bind_text(q, 2,
	    (struct slice){ role_name(n->role), strlen(role_name(n->role)) });
	sql_bind_text(q, 3,
	    (struct slice){ n->organization, strlen(n->organization) });
	sql_bind_text(q, 4,
	    (struct slice){ n->certificate, strlen(n->certificate) });
	sql_bind_int(q, 5, c->password.ptr != NULL);
	sql_bind_text(q, 6, (struct slice){ hash, strlen(hash) });
	sql_bind_int(q, 7, n->enabled);
	sql_bind_int(q, 8, c->remove_totp);
	sql_bind_int(q, 9, c->unlock || c->password.ptr != NULL);
	return sql_run(a->db, q, err);
}

enum rc
accounts_change(struct accounts *a, struct slice name,
    const struct account_change *change, struct error *err)
{
	struct account n = { .enabled = false };
	char hash[PASSWORD_HASH_TEXT];
	enum rc rc = check_change(name, change, err);

	if (rc != RC_OK)
		return rc;
	hash_of(a, change->password, hash);
	(void)pthread_mutex_lock(&a->lock);
	rc = sql_begin(a->db, err);
	if (rc == RC_OK)
		rc = get_account(a, name, &n, err);
	if (rc == RC_OK) {
		merge(&n, change);
		rc = check_owner(n.role,
		    (struct slice){ n.organization, strlen(n.organization) },
		    err);
	}
	if (rc == RC_OK)
		rc = check_certificate(a, name, change->certificate, err);
	if (rc == RC_OK)
		rc = update_account(a, &n, change, hash, err);
	if (rc == RC_OK &&
	    (change->role != NULL || change->password.ptr != NULL ||
		change->organization.ptr != NULL || !n.enabled))
		rc = sessions_end(a, name, err);
	rc = accounts_end(a, rc, err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

/* One statement about an account; RC_EOF: it changed nothing. */
static enum rc
run_for(struct accounts *a, const char *text, struct slice name,
    struct slice value, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db, text, err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, name);
	if (value.ptr != NULL)
		sql_bind_text(q, 2, value);
	if (sql_run(a->db, q, err) != RC_OK)
		return err->code;
	if (sqlite3_changes(a->db->db) == 0)
		return error_set(err, RC_EOF, "there is no such user");
	return RC_OK;
}

enum rc
accounts_remove(struct accounts *a, struct slice name, struct error *err)
{
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	rc = sql_begin(a->db, err);
	if (rc == RC_OK)
		rc = run_for(a, "DELETE FROM accounts WHERE name = ?1", name,
		    (struct slice){ NULL, 0 }, err);
	if (rc == RC_OK)
		rc = SQL_PUT(a->db, err,
		    "DELETE FROM tokens WHERE account = ?1", BIND_TEXT(name));
	/* what others see of it stays */
	if (rc == RC_OK)
		rc = SQL_PUT(a->db, err,
		    "DELETE FROM saved_searches WHERE account = ?1"
		    " AND NOT shared",
		    BIND_TEXT(name));
	rc = accounts_end(a, rc, err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

/* ---- the second factor ------------------------------------------------------ */

enum rc
accounts_totp_begin(struct accounts *a, struct slice name, char secret[33],
    struct error *err)
{
	enum rc rc;

	totp_secret(secret);
	(void)pthread_mutex_lock(&a->lock);
	rc = run_for(a, "UPDATE accounts SET totp_pending = ?2 WHERE name = ?1",
	    name, (struct slice){ secret, strlen(secret) }, err);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

static enum rc
pending_secret(struct accounts *a, struct slice name, char out[33],
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(a->db,
	    "SELECT totp_pending FROM accounts WHERE name = ?1", err);
	enum rc rc;

	out[0] = '\0';
	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, name);
	rc = sql_step(a->db, q, err);
	if (rc == RC_OK)
		text_copy(out, TOTP_SECRET_TEXT, sql_text(q, 0));
	(void)sqlite3_reset(q);
	if (rc == RC_OK && out[0] == '\0')
		return error_set(err, RC_INVALID,
		    "no second factor was begun: ask for a secret first");
	return rc == RC_EOF ? error_set(err, RC_EOF, "there is no such user")
			    : rc;
}

enum rc
accounts_totp_confirm(struct accounts *a, struct slice name, struct slice code,
    int64_t now_ns, struct error *err)
{
	char secret[TOTP_SECRET_TEXT];
	sqlite3_stmt *q;
	int64_t step = 0;
	enum rc rc;

	(void)pthread_mutex_lock(&a->lock);
	rc = pending_secret(a, name, secret, err);
	if (rc == RC_OK)
		step = totp_step(secret, code, now_ns, 0);
	if (rc == RC_OK && step == 0)
		rc = error_set(err, RC_INVALID,
		    "the code is wrong: is the clock right?");
	if (rc == RC_OK) {
		q = sql_prepare(a->db,
		    "UPDATE accounts SET totp = totp_pending,"
		    " totp_pending = '', totp_step = ?2 WHERE name = ?1",
		    err);
		if (q == NULL) {
			rc = err->code;
		} else {
			sql_bind_text(q, 1, name);
			sql_bind_int(q, 2, step);
			rc = sql_run(a->db, q, err);
		}
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}
