/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for agents: by a token, or by the one before. */
#include <stdio.h>

#include "collector/store/account_rows.h"
#include "collector/store/identity_rows.h"
#include "collector/store/internal.h"
#include "timestamp.h"

/* so long are ended certificates remembered */
#define FORGET_NS (NS_PER_SEC * 86400 * 90)

/* What the collector itself is called in the store. */
static const struct slice own_name = SLICE_INIT("kuzet-collector");

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* One certificate that is about to be. */
struct issue {
	const struct identity_order *order;
	const struct authority_request *request;
	const char *name;
	int64_t token; /* 0: a renewal */
};

static enum rc
insert_certificate(struct identities *i, const struct issue *s,
    const struct certificate *c, struct error *err)
{
	return SQL_PUT(i->db, err,
	    "INSERT INTO agent_certificates(sha256, agent, serial, key_sha256,"
	    " token, issued, not_before, not_after, revoked)"
	    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
	    BIND_TEXT(text_of(c->sha256)), BIND_TEXT(text_of(c->name)),
	    BIND_TEXT(text_of(c->serial)), BIND_TEXT(text_of(c->key_sha256)),
	    BIND_INT(s->token), BIND_INT(s->order->now_ns),
	    BIND_INT(c->not_before_ns), BIND_INT(c->not_after_ns));
}

/* Signs, and writes down what it signed. */
static enum rc
issue(struct identities *i, const struct issue *s, struct identity_issued *out,
    struct buf *pem, struct error *err)
{
	const struct authority_order order = { s->name, s->order->now_ns,
		s->order->lifetime_ns };
	enum rc rc = SQL_PUT(i->db, err,
	    "DELETE FROM agent_certificates WHERE not_after < ?1",
	    BIND_INT(order.now_ns - FORGET_NS));

	if (rc == RC_OK)
		rc = authority_sign(s->order->authority, s->request, &order,
		    &out->certificate, pem, err);
	return rc == RC_OK ? insert_certificate(i, s, &out->certificate, err)
			   : rc;
}

static enum rc
live_count(struct identities *i, struct slice agent, int64_t now_ns, int64_t *n,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(i->db,
	    "SELECT count(*) FROM agent_certificates WHERE agent = ?1"
	    " AND revoked = 0 AND not_after > ?2",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, agent);
	sql_bind_int(q, 2, now_ns);
	rc = sql_step(i->db, q, err);
	*n = rc == RC_OK ? sqlite3_column_int64(q, 0) : 0;
	(void)sqlite3_reset(q);
	return rc;
}

/* ---- by a token --------------------------------------------------------------- */

/* Whether this key has a certificate by this token, and for whom. */
static enum rc
find_repeated(struct identities *i, int64_t token, const char *key,
    char name[CERTIFICATE_NAME], struct error *err)
{
	sqlite3_stmt *q = sql_prepare(i->db,
	    "SELECT agent FROM agent_certificates WHERE token = ?1"
	    " AND key_sha256 = ?2 AND revoked = 0 LIMIT 1",
	    err);
	enum rc rc;

	name[0] = '\0';
	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, token);
	sql_bind_text(q, 2, text_of(key));
	rc = sql_step(i->db, q, err);
	if (rc == RC_OK) {
		text_copy(name, CERTIFICATE_NAME, sql_text(q, 0));
		(void)sqlite3_reset(q);
	}
	return rc == RC_EOF ? RC_OK : rc;
}

/* Who has the name now, or had it. */
struct name_use {
	int64_t live; /* certificates of ours */
	bool row;     /* it enrolled, or was revoked */
	bool sent;    /* with whatever certificate */
};

static enum rc
look_up_name(struct identities *i, struct slice agent, int64_t now_ns,
    struct name_use *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(i->db,
	    "SELECT 1 FROM agent_identities WHERE agent = ?1", err);
	enum rc rc;

	*out = (struct name_use){ .live = 0 };
	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, agent);
	rc = sql_step(i->db, q, err);
	out->row = rc == RC_OK;
	(void)sqlite3_reset(q);
	if (rc == RC_OK)
		rc = live_count(i, agent, now_ns, &out->live, err);
	else if (rc == RC_EOF)
		rc = identity_has_sent(i, agent, &out->sent, err);
	return rc;
}

/* Nobody takes over a name that somebody has, or had, by a word of its own. */
static enum rc
check_name(const struct identity_token *t, const char *name,
    const struct name_use *use, struct error *err)
{
	if (name[0] == '\0')
		return error_set(err, RC_INVALID,
		    "the request names no agent: 1 to 64 of A-Z a-z 0-9 . _ -");
	if (slice_eq(text_of(name), own_name))
		return error_set(err, RC_LIMIT,
		    "\"%s\" is what the collector itself is called", name);
	if ((use->live > 0 || use->sent) && !t->replace)
		return error_set(err, RC_LIMIT,
		    "there is an agent \"%s\" already: if it is this one, make "
		    "a token with --name %s --replace; else choose another "
		    "name",
		    name, name);
	if (use->row && t->agent[0] == '\0')
		return error_set(err, RC_LIMIT,
		    "there was an agent \"%s\": make a token with --name %s for "
		    "it to come back",
		    name, name);
	return RC_OK;
}

/* The token is used up by one, the agent has a row. */
static enum rc
take_place(struct identities *i, const struct identity_token *t,
    const struct issue *s, const struct name_use *use, struct error *err)
{
	const struct identity_revocation before = { .agent = text_of(s->name),
		.reason = SLICE_INIT("replaced"),
		.by = text_of(t->creator),
		.now_ns = s->order->now_ns };
	enum rc rc = SQL_PUT(i->db, err,
	    "UPDATE enrol_tokens SET used = used + 1 WHERE id = ?1",
	    BIND_INT(t->id));

	if (rc == RC_OK && (use->live > 0 || use->sent))
		rc = identity_close(i, &before, err);
	if (rc == RC_OK)
		rc = SQL_PUT(i->db, err,
		    "INSERT INTO agent_identities(agent, grp, enrolled,"
		    " revoked, revoked_by, reason)"
		    " SELECT ?1, ?2, ?3, 0, '', '' WHERE (SELECT count(*)"
		    "  FROM agent_identities) < ?4"
		    " ON CONFLICT(agent) DO UPDATE SET grp = ?2, enrolled = ?3",
		    BIND_TEXT(text_of(s->name)), BIND_TEXT(text_of(t->group)),
		    BIND_INT(s->order->now_ns), BIND_INT(IDENTITIES_MAX));
	if (rc == RC_OK && sqlite3_changes(i->db->db) == 0)
		rc = error_set(err, RC_LIMIT, "there are %d agents already",
		    (int)IDENTITIES_MAX);
	return rc;
}

static enum rc
check_token(const struct identity_token *t, int64_t now_ns, bool repeated,
    struct error *err)
{
	char text[TIMESTAMP_TEXT_MAX];

	if (t->expires_ns <= now_ns)
		return error_set(err, RC_DENIED,
		    "the token has expired (at %.*s): make another one with "
		    "kuzetctl agent enroll-token",
		    SLICE_ARG(timestamp_format(
			t->expires_ns / NS_PER_SEC * NS_PER_SEC, text)));
	if (t->used >= t->uses && !repeated)
		return error_set(err, RC_DENIED,
		    "the token was used already: make another one with "
		    "kuzetctl agent enroll-token");
	return RC_OK;
}

/* `lock` is held; the token is known, the request is read. */
static enum rc
enrol(struct identities *i, const struct identity_token *t,
    const struct issue *asked, struct identity_issued *out, struct buf *pem,
    struct error *err)
{
	const char *key = authority_request_key(asked->request);
	char repeated[CERTIFICATE_NAME];
	struct name_use use = { .live = 0 };
	struct issue s = *asked;
	enum rc rc = find_repeated(i, t->id, key, repeated, err);

	if (rc == RC_OK)
		rc = check_token(t, s.order->now_ns, repeated[0] != '\0', err);
	if (rc == RC_OK && repeated[0] != '\0') {
		s.name = repeated;
		rc = live_count(i, text_of(s.name), s.order->now_ns, &use.live,
		    err);
		if (rc == RC_OK && use.live >= CERTIFICATES_LIVE_MAX)
			rc = error_set(err, RC_DENIED,
			    "the token was used too often");
	} else if (rc == RC_OK) {
		rc = look_up_name(i, text_of(s.name), s.order->now_ns, &use,
		    err);
		if (rc == RC_OK)
			rc = check_name(t, s.name, &use, err);
		if (rc == RC_OK)
			rc = take_place(i, t, &s, &use, err);
	}
	return rc == RC_OK ? issue(i, &s, out, pem, err) : rc;
}

enum rc
identities_enrol(struct identities *i, struct slice secret,
    const struct identity_order *order, struct identity_issued *out,
    struct buf *pem, struct error *err)
{
	struct authority_request *request = NULL;
	struct issue s = { .order = order };
	struct identity_token t;
	enum rc rc;

	*out = (struct identity_issued){ .token = 0 };
	(void)pthread_mutex_lock(&i->lock);
	rc = identity_token_find(i, secret, &t, err);
	if (rc == RC_EOF)
		rc = error_set(err, RC_DENIED, "the token is not known here");
	if (rc == RC_OK) {
		out->token = s.token = t.id;
		memcpy(out->group, t.group, sizeof(out->group));
		rc = authority_request_read(order->request, &request, err);
		if (rc == RC_LIMIT)
			rc = err->code = RC_INVALID;
	}
	if (rc == RC_OK) {
		s.request = request;
		s.name = t.agent[0] != '\0' ? t.agent
					    : authority_request_name(request);
		rc = sql_begin(i->db, err);
		if (rc == RC_OK)
			rc = identities_end(i, enrol(i, &t, &s, out, pem, err),
			    err);
	}
	/* what is committed counts, whether or not memory knows it yet */
	if (rc == RC_OK)
		rc = identities_load_closed(i, err);
	(void)pthread_mutex_unlock(&i->lock);
	authority_request_free(request);
	return rc;
}

/* ---- by the one before ---------------------------------------------------------- */

static enum rc
find_live(struct identities *i, struct slice sha256, int64_t now_ns,
    struct identity_issued *out, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(i->db,
	    "SELECT c.agent, i.grp, c.revoked <> 0 FROM agent_certificates c"
	    " JOIN agent_identities i ON i.agent = c.agent"
	    " WHERE c.sha256 = ?1 AND c.not_after > ?2",
	    err);
	bool revoked;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, sha256);
	sql_bind_int(q, 2, now_ns);
	rc = sql_step(i->db, q, err);
	if (rc == RC_EOF)
		return error_set(err, RC_DENIED,
		    "this certificate was not given out here: enrol the agent");
	if (rc != RC_OK)
		return rc;
	text_copy(out->certificate.name, CERTIFICATE_NAME, sql_text(q, 0));
	text_copy(out->group, sizeof(out->group), sql_text(q, 1));
	revoked = sqlite3_column_int(q, 2) != 0;
	(void)sqlite3_reset(q);
	return revoked
	    ? error_set(err, RC_DENIED, "this certificate is revoked")
	    : RC_OK;
}

static enum rc
renew(struct identities *i, struct slice sha256, const struct issue *asked,
    struct identity_issued *out, struct buf *pem, struct error *err)
{
	char name[CERTIFICATE_NAME];
	struct issue s = *asked;
	int64_t live = 0;
	enum rc rc = find_live(i, sha256, s.order->now_ns, out, err);

	if (rc != RC_OK)
		return rc;
	memcpy(name, out->certificate.name, sizeof(name));
	s.name = name;
	rc = live_count(i, text_of(name), s.order->now_ns, &live, err);
	if (rc == RC_OK && live >= CERTIFICATES_LIVE_MAX)
		return error_set(err, RC_LIMIT,
		    "%s has %d certificates that are good: it gets another one "
		    "when one of them ends",
		    name, (int)CERTIFICATES_LIVE_MAX);
	return rc == RC_OK ? issue(i, &s, out, pem, err) : rc;
}

enum rc
identities_renew(struct identities *i, struct slice sha256,
    const struct identity_order *order, struct identity_issued *out,
    struct buf *pem, struct error *err)
{
	struct authority_request *request = NULL;
	struct issue s = { .order = order };
	enum rc rc;

	*out = (struct identity_issued){ .token = 0 };
	(void)pthread_mutex_lock(&i->lock);
	/* strangers are not read at all */
	rc = find_live(i, sha256, order->now_ns, out, err);
	if (rc == RC_OK) {
		rc = authority_request_read(order->request, &request, err);
		if (rc == RC_LIMIT)
			rc = err->code = RC_INVALID;
	}
	if (rc == RC_OK) {
		s.request = request;
		rc = sql_begin(i->db, err);
		if (rc == RC_OK)
			rc = identities_end(i,
			    renew(i, sha256, &s, out, pem, err), err);
	}
	if (rc == RC_OK)
		rc = identities_load_closed(i, err);
	(void)pthread_mutex_unlock(&i->lock);
	authority_request_free(request);
	return rc;
}
