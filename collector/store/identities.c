/* SPDX-License-Identifier: Apache-2.0 */
/* Who there is, and who is let in no more. */
#include <stdlib.h>

#include "collector/store/account_rows.h"
#include "collector/store/identity_rows.h"
#include "collector/store/internal.h"
#include "utf8.h"

enum { LIST_AT_ONCE = 64 };

enum rc
identities_open(struct store *s, struct identities **out, struct error *err)
{
	struct identities *i = xzalloc(sizeof(*i));
	enum rc rc;

	(void)pthread_mutex_init(&i->lock, NULL);
	(void)pthread_mutex_init(&i->closed_lock, NULL);
	i->store = s;
	rc = soc_connect(s->dir, SQL_WRITE, &i->db, err);
	if (rc == RC_OK)
		rc = identities_load_closed(i, err);
	if (rc != RC_OK) {
		identities_close(i);
		i = NULL;
	}
	*out = i;
	return rc;
}

void
identities_close(struct identities *i)
{
	if (i == NULL)
		return;
	sql_close(i->db);
	free(i->closed);
	(void)pthread_mutex_destroy(&i->lock);
	(void)pthread_mutex_destroy(&i->closed_lock);
	free(i);
}

enum rc
identities_end(struct identities *i, enum rc rc, struct error *err)
{
	if (rc == RC_OK)
		rc = sql_commit(i->db, err);
	if (rc != RC_OK)
		sql_rollback(i->db);
	return rc;
}

/* ---- admission ------------------------------------------------------------ */

struct loading {
	struct closed *list;
	size_t n, room;
};

static enum rc
add_closed(void *ctx, sqlite3_stmt *row, struct error *err)
{
	struct loading *l = ctx;
	struct closed *c;

	(void)err;
	if (l->n == l->room) {
		l->room = l->room == 0 ? 16 : 2 * l->room;
		l->list = xreallocarray(l->list, l->room, sizeof(*l->list));
	}
	c = &l->list[l->n++];
	*c = (struct closed){ .agent = "" };
	text_copy(c->agent, sizeof(c->agent), sql_text(row, 0));
	text_copy(c->sha256, sizeof(c->sha256), sql_text(row, 1));
	return RC_OK;
}

enum rc
identities_load_closed(struct identities *i, struct error *err)
{
	struct loading l = { .n = 0 };
	struct closed *old;
	enum rc rc = sql_each(i->db,
	    "SELECT agent, '' FROM agent_identities WHERE revoked <> 0"
	    " UNION ALL SELECT c.agent, c.sha256 FROM agent_certificates c"
	    "  JOIN agent_identities i ON i.agent = c.agent"
	    "  WHERE i.revoked <> 0 AND c.revoked = 0 ORDER BY 1, 2",
	    add_closed, &l, err);

	if (rc != RC_OK) {
		free(l.list);
		return rc;
	}
	(void)pthread_mutex_lock(&i->closed_lock);
	old = i->closed;
	i->closed = l.list;
	i->n_closed = l.n;
	(void)pthread_mutex_unlock(&i->closed_lock);
	free(old);
	return RC_OK;
}

static int
compare_closed(const void *a, const void *b)
{
	const struct closed *x = a, *y = b;
	int c = strcmp(x->agent, y->agent);

	return c != 0 ? c : strcmp(x->sha256, y->sha256);
}

static bool
is_closed(const struct identities *i, const struct closed *key)
{
	return i->n_closed > 0 &&
	    bsearch(key, i->closed, i->n_closed, sizeof(*key),
		compare_closed) != NULL;
}

bool
identities_admit(struct identities *i, struct slice agent, struct slice sha256)
{
	struct closed key = { .agent = "" };
	bool good;

	if (agent.len >= sizeof(key.agent))
		return true; /* no name that can be closed */
	text_copy(key.agent, sizeof(key.agent), agent);
	(void)pthread_mutex_lock(&i->closed_lock);
	good = !is_closed(i, &key);
	if (!good && sha256.len > 0) {
		text_copy(key.sha256, sizeof(key.sha256), sha256);
		good = is_closed(i, &key);
	}
	(void)pthread_mutex_unlock(&i->closed_lock);
	return good;
}

/* ---- revoking --------------------------------------------------------------- */

enum rc
identity_close(struct identities *i, const struct identity_revocation *r,
    struct error *err)
{
	enum rc rc = SQL_PUT(i->db, err,
	    "INSERT INTO agent_identities(agent, grp, enrolled, revoked,"
	    " revoked_by, reason) VALUES(?1, '', 0, ?2, ?3, ?4)"
	    " ON CONFLICT(agent) DO UPDATE SET revoked = ?2,"
	    " revoked_by = ?3, reason = ?4",
	    BIND_TEXT(r->agent), BIND_INT(r->now_ns), BIND_TEXT(r->by),
	    BIND_TEXT(r->reason));

	if (rc != RC_OK)
		return rc;
	return SQL_PUT(i->db, err,
	    "UPDATE agent_certificates SET revoked = ?2"
	    " WHERE agent = ?1 AND revoked = 0",
	    BIND_TEXT(r->agent), BIND_INT(r->now_ns));
}

struct looked_for {
	struct slice agent;
	bool found;
};

static bool
look_for(void *ctx, const struct store_agent *a)
{
	struct looked_for *l = ctx;

	l->found = slice_eq(a->agent, l->agent);
	return !l->found;
}

enum rc
identity_has_sent(struct identities *i, struct slice agent, bool *out,
    struct error *err)
{
	struct looked_for l = { .agent = agent };
	enum rc rc = store_agents(i->store, (struct slice){ NULL, 0 }, look_for,
	    &l, err);

	*out = l.found;
	return rc;
}

/* Whether there is somebody to revoke. */
static enum rc
check_revoke(struct identities *i, const struct identity_revocation *r,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(i->db,
	    "SELECT revoked <> 0 AND NOT EXISTS (SELECT 1 FROM"
	    " agent_certificates c WHERE c.agent = ?1 AND c.revoked = 0"
	    " AND c.not_after > ?2) FROM agent_identities WHERE agent = ?1",
	    err);
	bool revoked = false, sent = false;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 1, r->agent);
	sql_bind_int(q, 2, r->now_ns);
	rc = sql_step(i->db, q, err);
	if (rc == RC_OK) {
		revoked = sqlite3_column_int(q, 0) != 0;
		(void)sqlite3_reset(q);
	} else if (rc == RC_EOF) {
		rc = identity_has_sent(i, r->agent, &sent, err);
		if (rc == RC_OK && !sent)
			return error_set(err, RC_EOF,
			    "there is no agent \"%.*s\"", SLICE_ARG(r->agent));
	}
	if (rc == RC_OK && revoked)
		return error_set(err, RC_DENIED, "%.*s is revoked already",
		    SLICE_ARG(r->agent));
	return rc;
}

enum rc
identities_revoke(struct identities *i, const struct identity_revocation *r,
    struct error *err)
{
	enum rc rc;

	if (r->agent.len == 0 || r->agent.len >= CERTIFICATE_NAME)
		return error_set(err, RC_EOF, "there is no such agent");
	if (r->reason.len >= REVOKE_REASON || !utf8_valid(r->reason))
		return error_set(err, RC_INVALID,
		    "reason: at most %d bytes of text", REVOKE_REASON - 1);
	(void)pthread_mutex_lock(&i->lock);
	rc = sql_begin(i->db, err);
	if (rc == RC_OK) {
		rc = check_revoke(i, r, err);
		if (rc == RC_OK)
			rc = identity_close(i, r, err);
		rc = identities_end(i, rc, err);
	}
	if (rc == RC_OK)
		rc = identities_load_closed(i, err);
	(void)pthread_mutex_unlock(&i->lock);
	return rc;
}

/* ---- looking ------------------------------------------------------------------ */

#define IDENTITY_COLUMNS                                                       \
 "SELECT i.agent, i.grp, i.enrolled, i.revoked, i.revoked_by, i.reason,"       \
 " (SELECT count(*) FROM agent_certificates n WHERE n.agent = i.agent"         \
 "  AND n.revoked = 0 AND n.not_after > ?2),"                                  \
 " c.sha256, c.serial, c.not_before, c.not_after"                              \
 " FROM agent_identities i LEFT JOIN agent_certificates c ON c.sha256 ="       \
 " (SELECT l.sha256 FROM agent_certificates l WHERE l.agent = i.agent"         \
 "  ORDER BY l.revoked = 0 DESC, l.not_after DESC, l.issued DESC LIMIT 1)"

static void
identity_of_row(sqlite3_stmt *q, struct agent_identity *out)
{
	*out = (struct agent_identity){
		.enrolled_ns = sqlite3_column_int64(q, 2),
		.revoked_ns = sqlite3_column_int64(q, 3),
		.live = sqlite3_column_int64(q, 6),
		.last.not_before_ns = sqlite3_column_int64(q, 9),
		.last.not_after_ns = sqlite3_column_int64(q, 10),
	};
	text_copy(out->agent, sizeof(out->agent), sql_text(q, 0));
	text_copy(out->group, sizeof(out->group), sql_text(q, 1));
	text_copy(out->revoked_by, sizeof(out->revoked_by), sql_text(q, 4));
	text_copy(out->reason, sizeof(out->reason), sql_text(q, 5));
	text_copy(out->last.sha256, sizeof(out->last.sha256), sql_text(q, 7));
	text_copy(out->last.serial, sizeof(out->last.serial), sql_text(q, 8));
	memcpy(out->last.name, out->agent, sizeof(out->agent));
	if (out->live > 0)
		out->revoked_ns = 0; /* it came back since */
}

enum rc
identities_get(struct identities *i, struct slice agent, int64_t now_ns,
    struct agent_identity *out, struct error *err)
{
	sqlite3_stmt *q;
	enum rc rc;

	(void)pthread_mutex_lock(&i->lock);
	q = sql_prepare(i->db, IDENTITY_COLUMNS " WHERE i.agent = ?1", err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK) {
		sql_bind_text(q, 1, agent);
		sql_bind_int(q, 2, now_ns);
		rc = sql_step(i->db, q, err);
	}
	if (rc == RC_OK) {
		identity_of_row(q, out);
		(void)sqlite3_reset(q);
	}
	(void)pthread_mutex_unlock(&i->lock);
	return rc;
}

/* Some at a time, so that no lock is held while the callback writes. */
enum rc
identities_list(struct identities *i, int64_t now_ns, identity_cb *cb,
    void *ctx, struct error *err)
{
	struct agent_identity *list = xcalloc(LIST_AT_ONCE, sizeof(*list));
	char after[CERTIFICATE_NAME] = "";
	bool more = true;
	enum rc rc = RC_OK;

	while (more && rc == RC_OK) {
		sqlite3_stmt *q;
		size_t n = 0;

		(void)pthread_mutex_lock(&i->lock);
		q = sql_prepare(i->db,
		    IDENTITY_COLUMNS " WHERE i.agent > ?1"
				     " ORDER BY i.agent LIMIT 64",
		    err);
		rc = q != NULL ? RC_OK : err->code;
		if (rc == RC_OK) {
			sql_bind_text(q, 1,
			    (struct slice){ after, strlen(after) });
			sql_bind_int(q, 2, now_ns);
		}
		while (rc == RC_OK && (rc = sql_step(i->db, q, err)) == RC_OK)
			identity_of_row(q, &list[n++]);
		(void)pthread_mutex_unlock(&i->lock);
		rc = rc == RC_EOF ? RC_OK : rc;
		more = n == LIST_AT_ONCE;
		if (n > 0)
			memcpy(after, list[n - 1].agent, sizeof(after));
		for (size_t k = 0; rc == RC_OK && k < n; k++)
			if (!cb(ctx, &list[k]))
				more = false;
	}
	free(list);
	return rc;
}

enum rc
identities_certificates(struct identities *i, struct slice agent,
    identity_certificate_cb *cb, void *ctx, struct error *err)
{
	struct identity_certificate *list =
	    xcalloc(LIST_AT_ONCE, sizeof(*list));
	sqlite3_stmt *q;
	size_t n = 0;
	enum rc rc;

	(void)pthread_mutex_lock(&i->lock);
	q = sql_prepare(i->db,
	    "SELECT sha256, serial, key_sha256, not_before, not_after, issued,"
	    " revoked FROM agent_certificates WHERE agent = ?1"
	    " ORDER BY issued DESC, sha256 LIMIT 64",
	    err);
	rc = q != NULL ? RC_OK : err->code;
	if (rc == RC_OK)
		sql_bind_text(q, 1, agent);
	while (rc == RC_OK && (rc = sql_step(i->db, q, err)) == RC_OK) {
		struct identity_certificate *c = &list[n++];

		text_copy(c->certificate.name, CERTIFICATE_NAME, agent);
		text_copy(c->certificate.sha256, SHA256_TEXT, sql_text(q, 0));
		text_copy(c->certificate.serial, CERTIFICATE_SERIAL,
		    sql_text(q, 1));
		text_copy(c->certificate.key_sha256, SHA256_TEXT,
		    sql_text(q, 2));
		c->certificate.not_before_ns = sqlite3_column_int64(q, 3);
		c->certificate.not_after_ns = sqlite3_column_int64(q, 4);
		c->issued_ns = sqlite3_column_int64(q, 5);
		c->revoked_ns = sqlite3_column_int64(q, 6);
	}
	(void)pthread_mutex_unlock(&i->lock);
	rc = rc == RC_EOF ? RC_OK : rc;
	for (size_t k = 0; rc == RC_OK && k < n; k++)
		if (!cb(ctx, &list[k]))
			break;
	free(list);
	return rc;
}

struct endings {
	struct certificate *list;
	size_t n;
};

static enum rc
add_ending(void *ctx, sqlite3_stmt *row, struct error *err)
{
	struct endings *l = ctx;
	struct certificate *c;

	(void)err;
	if ((l->n & (l->n - 1)) == 0)
		l->list = xreallocarray(l->list, l->n == 0 ? 1 : 2 * l->n,
		    sizeof(*l->list));
	c = &l->list[l->n++];
	*c = (struct certificate){ .not_after_ns =
				       sqlite3_column_int64(row, 1) };
	text_copy(c->name, sizeof(c->name), sql_text(row, 0));
	return RC_OK;
}

enum rc
identities_ending(struct identities *i, int64_t since_ns, int64_t until_ns,
    certificate_cb *cb, void *ctx, struct error *err)
{
	struct endings l = { .n = 0 };
	enum rc rc;

	(void)pthread_mutex_lock(&i->lock);
	rc = sql_each_of(i->db,
	    "SELECT agent, max(not_after) AS last FROM agent_certificates"
	    " WHERE revoked = 0 GROUP BY agent"
	    " HAVING last > ?1 AND last <= ?2 ORDER BY agent",
	    (const struct sql_value[]){ BIND_INT(since_ns),
		BIND_INT(until_ns) },
	    add_ending, &l, err);
	(void)pthread_mutex_unlock(&i->lock);
	for (size_t k = 0; rc == RC_OK && k < l.n; k++)
		if (!cb(ctx, &l.list[k]))
			break;
	free(l.list);
	return rc;
}

struct revoked_certificates {
	identity_certificate_cb *cb;
	void *ctx;
};

static enum rc
tell_revoked(void *ctx, sqlite3_stmt *row, struct error *err)
{
	const struct revoked_certificates *r = ctx;
	struct identity_certificate c = {
		.revoked_ns = sqlite3_column_int64(row, 1),
	};

	text_copy(c.certificate.serial, sizeof(c.certificate.serial),
	    sql_text(row, 0));
	return r->cb(r->ctx, &c)
	    ? RC_OK
	    : error_set(err, RC_INVALID, "%s is no serial number",
		  c.certificate.serial);
}

enum rc
identities_revoked(struct identities *i, int64_t now_ns,
    identity_certificate_cb *cb, void *ctx, struct error *err)
{
	struct revoked_certificates r = { cb, ctx };
	enum rc rc;

	(void)pthread_mutex_lock(&i->lock);
	rc = sql_each_of(i->db,
	    "SELECT serial, revoked FROM agent_certificates"
	    " WHERE revoked <> 0 AND not_after > ?1",
	    (const struct sql_value[]){ BIND_INT(now_ns) }, tell_revoked, &r,
	    err);
	(void)pthread_mutex_unlock(&i->lock);
	return rc;
}
