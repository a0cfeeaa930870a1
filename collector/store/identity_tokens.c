/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens by which agents enrol. */
#include "collector/store/account_rows.h"
#include "collector/store/identity_rows.h"
#include "collector/store/internal.h"
#include "secret.h"
#include "timestamp.h"
#include "utf8.h"

#define FORGET_NS (NS_PER_SEC * 86400 * 7)

enum { USES_MAX = 10000 };

static enum rc
check_token(const struct identity_token *t, struct error *err)
{
	struct slice agent = { t->agent, strlen(t->agent) };
	struct slice group = { t->group, strlen(t->group) };

	if (agent.len > 0 && !certificate_name_valid(agent))
		return error_set(err, RC_INVALID,
		    "agent: 1 to 64 of A-Z a-z 0-9 . _ -, the first of them a "
		    "letter or a digit");
	if (group.len > 0 && !certificate_name_valid(group))
		return error_set(err, RC_INVALID,
		    "group: 1 to 64 of A-Z a-z 0-9 . _ -, the first of them a "
		    "letter or a digit");
	if (t->uses < 1 || t->uses > USES_MAX)
		return error_set(err, RC_INVALID, "uses: 1 to %d", USES_MAX);
	if (agent.len > 0 && t->uses != 1)
		return error_set(err, RC_INVALID,
		    "a token for one agent can be used once");
	if (t->replace && agent.len == 0)
		return error_set(err, RC_INVALID,
		    "replace: only a token for a named agent can");
	if (t->expires_ns <= t->created_ns)
		return error_set(err, RC_INVALID,
		    "a token expires at a time to come");
	return RC_OK;
}

static void
digest_of(struct slice secret, uint8_t out[SHA256_BYTES])
{
	sha256_of(secret, out);
}

static enum rc
insert_token(struct identities *i, struct identity_token *t,
    const char secret[ENROL_SECRET], struct error *err)
{
	uint8_t hash[SHA256_BYTES];
	enum rc rc;

	digest_of((struct slice){ secret, ENROL_SECRET - 1 }, hash);
	rc = SQL_PUT(i->db, err,
	    "INSERT INTO enrol_tokens(hash, agent, grp, replace, uses, used,"
	    " creator, created, expires) SELECT ?1, ?2, ?3, ?4, ?5, 0, ?6, ?7,"
	    " ?8 WHERE (SELECT count(*) FROM enrol_tokens) < ?9",
	    BIND_BYTES(hash),
	    BIND_TEXT(((struct slice){ t->agent, strlen(t->agent) })),
	    BIND_TEXT(((struct slice){ t->group, strlen(t->group) })),
	    BIND_INT(t->replace), BIND_INT(t->uses),
	    BIND_TEXT(((struct slice){ t->creator, strlen(t->creator) })),
	    BIND_INT(t->created_ns), BIND_INT(t->expires_ns),
	    BIND_INT(ENROL_TOKENS_MAX));
	if (rc != RC_OK)
		return rc;
	if (sqlite3_changes(i->db->db) == 0)
		return error_set(err, RC_LIMIT,
		    "there are %d tokens already: remove some",
		    (int)ENROL_TOKENS_MAX);
	t->id = sqlite3_last_insert_rowid(i->db->db);
	return RC_OK;
}

enum rc
identities_token_add(struct identities *i, struct identity_token *t,
    char secret[ENROL_SECRET], struct error *err)
{
	uint8_t bytes[ENROL_SECRET_BYTES];
	enum rc rc = check_token(t, err);

	if (rc != RC_OK)
		return rc;
	random_bytes(bytes, sizeof(bytes));
	hex_text(bytes, sizeof(bytes), secret);
	(void)pthread_mutex_lock(&i->lock);
	rc = sql_begin(i->db, err);
	if (rc == RC_OK) {
		/* for a while it can still be said that it has expired */
		rc = SQL_PUT(i->db, err,
		    "DELETE FROM enrol_tokens WHERE expires < ?1",
		    BIND_INT(t->created_ns - FORGET_NS));
		if (rc == RC_OK)
			rc = insert_token(i, t, secret, err);
		rc = identities_end(i, rc, err);
	}
	(void)pthread_mutex_unlock(&i->lock);
	return rc;
}

#define TOKEN_COLUMNS                                                          \
 "SELECT id, agent, grp, replace, uses, used, creator, created, expires, hash" \
 " FROM enrol_tokens"

static void
token_of_row(sqlite3_stmt *q, struct identity_token *out)
{
	*out = (struct identity_token){
		.id = sqlite3_column_int64(q, 0),
		.replace = sqlite3_column_int(q, 3) != 0,
		.uses = sqlite3_column_int64(q, 4),
		.used = sqlite3_column_int64(q, 5),
		.created_ns = sqlite3_column_int64(q, 7),
		.expires_ns = sqlite3_column_int64(q, 8),
	};
	text_copy(out->agent, sizeof(out->agent), sql_text(q, 1));
	text_copy(out->group, sizeof(out->group), sql_text(q, 2));
	text_copy(out->creator, sizeof(out->creator), sql_text(q, 6));
}

/*
 * The index is over hashes of secrets that nobody guesses: how far a comparison
 * came tells nothing of one.
 */
enum rc
identity_token_find(struct identities *i, struct slice secret,
    struct identity_token *out, struct error *err)
{
	sqlite3_stmt *q =
	    sql_prepare(i->db, TOKEN_COLUMNS " WHERE hash = ?1", err);
	uint8_t hash[SHA256_BYTES];
	bool equal;
	enum rc rc;

	if (q == NULL)
		return err->code;
	digest_of(secret, hash);
	sql_bind_blob(q, 1, (struct slice){ (const char *)hash, sizeof(hash) });
	rc = sql_step(i->db, q, err);
	if (rc != RC_OK)
		return rc;
	equal = secret_equal(sql_blob(q, 9),
	    (struct slice){ (const char *)hash, sizeof(hash) });
	token_of_row(q, out);
	(void)sqlite3_reset(q);
	return equal ? RC_OK : RC_EOF;
}

enum rc
identities_tokens(struct identities *i, int64_t now_ns, identity_token_cb *cb,
    void *ctx, struct error *err)
{
	struct identity_token *list = xcalloc(ENROL_TOKENS_MAX, sizeof(*list));
	sqlite3_stmt *q;
	size_t n = 0;
	enum rc rc;

	(void)pthread_mutex_lock(&i->lock);
	q = sql_prepare(i->db,
	    TOKEN_COLUMNS " WHERE expires > ?1 AND used < uses ORDER BY id",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK)
		sql_bind_int(q, 1, now_ns);
	while (rc == RC_OK && (rc = sql_step(i->db, q, err)) == RC_OK)
		if (n < ENROL_TOKENS_MAX)
			token_of_row(q, &list[n++]);
	(void)pthread_mutex_unlock(&i->lock);
	rc = rc == RC_EOF ? RC_OK : rc;
	for (size_t k = 0; rc == RC_OK && k < n; k++)
		if (!cb(ctx, &list[k]))
			break;
	free(list);
	return rc;
}

enum rc
identities_token_remove(struct identities *i, int64_t id, struct error *err)
{
	enum rc rc;

	(void)pthread_mutex_lock(&i->lock);
	rc = SQL_PUT(i->db, err, "DELETE FROM enrol_tokens WHERE id = ?1",
	    BIND_INT(id));
	if (rc == RC_OK && sqlite3_changes(i->db->db) == 0)
		rc = error_set(err, RC_EOF, "there is no such token");
	(void)pthread_mutex_unlock(&i->lock);
	return rc;
}
