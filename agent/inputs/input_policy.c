/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `policy` input: checks of the machine's settings; each tells its result at
 * first, and then when it is another one.
 */
#include <stdio.h>
#include <string.h>

#include "agent/inputs/periodic.h"
#include "agent/inputs/policy/policy_event.h"

enum { EVENT_MAX = 64 * 1024 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS result (input TEXT, policy TEXT, id TEXT,"
    " result TEXT, PRIMARY KEY (input, policy, id)) WITHOUT ROWID;";

struct look {
	const struct periodic_turn *turn;
	struct policy_eye *eye;
};

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static sqlite3_stmt *
prepare(struct look *l, const char *text, const struct policy *p,
    const struct policy_check *c, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(l->turn->db->sql, text, err);

	if (q == NULL)
		return NULL;
	sql_bind_text(q, 1, text_of(l->turn->name));
	sql_bind_text(q, 2, text_of(p->name));
	sql_bind_text(q, 3, text_of(c->id));
	return q;
}

/* What it was at the last look; empty: there was none. */
static enum rc
read_result(struct look *l, const struct policy *p,
    const struct policy_check *c, char out[32], struct error *err)
{
	sqlite3_stmt *q = prepare(l,
	    "SELECT result FROM result WHERE input = ? AND policy = ?"
	    " AND id = ?",
	    p, c, err);
	enum rc rc;

	out[0] = '\0';
	if (q == NULL)
		return err->code;
	rc = sql_step(l->turn->db->sql, q, err);
	if (rc == RC_OK)
		(void)snprintf(out, 32, "%.*s", SLICE_ARG(sql_text(q, 0)));
	(void)sqlite3_reset(q);
	return rc == RC_EOF ? RC_OK : rc;
}

static enum rc
keep(struct look *l, const struct policy *p, const struct policy_check *c,
    const struct policy_finding *f, const char *previous, struct error *err)
{
	struct policy_origin origin = { .host_name = l->turn->host_name,
		.input = l->turn->name,
		.previous = previous[0] == '\0' ? NULL : previous };
	sqlite3_stmt *q = prepare(l,
	    "INSERT OR REPLACE INTO result (input, policy, id, result)"
	    " VALUES (?, ?, ?, ?)",
	    p, c, err);
	struct buf out;
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 4, text_of(policy_result_name(f->result)));
	rc = sql_run(l->turn->db->sql, q, err);
	if (rc != RC_OK)
		return rc;
	buf_init(&out, EVENT_MAX);
	policy_event(&out, &origin, p, c, f);
	rc = out.overflowed
	    ? error_set(err, RC_LIMIT, "%s: %s: its texts are too long",
		  p->path, c->id)
	    : outbox_add(l->turn->db, buf_slice(&out), err);
	buf_fini(&out);
	return rc;
}

static enum rc
one_policy(void *ctx, struct policy *p, struct error *err)
{
	struct look *l = ctx;
	char previous[32];
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < p->n; i++) {
		const struct policy_check *c = &p->checks[i];
		struct policy_finding f;

		if (atomic_load(l->turn->stop))
			return error_set(err, RC_AGAIN, "stopped");
		policy_look(l->eye, c, &f);
		rc = read_result(l, p, c, previous, err);
		if (rc == RC_OK &&
		    strcmp(previous, policy_result_name(f.result)) != 0)
			rc = keep(l, p, c, &f, previous, err);
	}
	return rc;
}

static enum rc
look(const struct periodic_turn *turn, struct error *err)
{
	struct look l = { turn, policy_eye_new(turn->opener, turn->stop) };
	enum rc rc = policy_each(turn->opener, turn->paths, turn->n_paths,
	    one_policy, &l, err);

	policy_eye_free(l.eye);
	return rc;
}

static enum rc
policy_open(const struct input_setup *setup, void **out, struct error *err)
{
	static const struct periodic_kind kind = { .db_name = "policy.db",
		.schema = schema,
		.look = look };

	(void)err;
	return periodic_open(&kind, setup, out);
}

const struct input_kind input_policy = {
	.name = "policy",
	.help = "whether the machine's settings are as a policy wants them",
	.open = policy_open,
	PERIODIC_CALLS,
};
