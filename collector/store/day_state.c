/* SPDX-License-Identifier: Apache-2.0 */
/* The appender's state, from and to a day file. */
#include "collector/store/daylog.h"

/* ---- loading ------------------------------------------------------------ */

struct loading {
	struct sql *sql;
	struct state *state;
};

static enum rc
inconsistent(const struct loading *l, const char *table, struct error *err)
{
	return error_set(err, RC_LIBRARY, "%s: damaged: its %s do not agree",
	    l->sql->path, table);
}

/* The agent in `column`; false: there is none of that number. */
static bool
agent_of_row(const struct loading *l, sqlite3_stmt *q, int column,
    uint32_t *agent)
{
	int64_t id = sqlite3_column_int64(q, column);

	*agent = (uint32_t)(id - 1);
	return id >= 1 && id <= l->state->n_agents;
}

static enum rc
load_agent(void *ctx, sqlite3_stmt *q, struct error *err)
{
	const struct loading *l = ctx;
	uint32_t i = state_agent(l->state, sql_text(q, 1), sql_text(q, 2));

	if (sqlite3_column_int64(q, 0) != (int64_t)i + 1)
		return inconsistent(l, "agents", err);
	l->state->agents[i].now =
	    (struct agent_values){ sqlite3_column_int64(q, 3),
		    (uint64_t)sqlite3_column_int64(q, 4) };
	return RC_OK;
}

static enum rc
load_source(void *ctx, sqlite3_stmt *q, struct error *err)
{
	const struct loading *l = ctx;
	uint32_t agent, i;

	if (!agent_of_row(l, q, 1, &agent))
		return inconsistent(l, "sources", err);
	i = state_source(l->state, agent, sql_text(q, 2));
	if (sqlite3_column_int64(q, 0) != (int64_t)i + 1)
		return inconsistent(l, "sources", err);
	l->state->sources[i].now =
	    (struct source_values){ sqlite3_column_int64(q, 3),
		    sqlite3_column_int64(q, 4), sqlite3_column_int(q, 5) != 0 };
	return RC_OK;
}

static enum rc
load_mark(void *ctx, sqlite3_stmt *q, struct error *err)
{
	const struct loading *l = ctx;
	struct slice stream = sql_blob(q, 1);
	uint32_t agent, i;

	if (!agent_of_row(l, q, 0, &agent) || stream.len != 16)
		return inconsistent(l, "marks", err);
	i = state_mark(l->state, agent, (const uint8_t *)stream.ptr);
	l->state->marks[i].now =
	    (struct mark_values){ (uint64_t)sqlite3_column_int64(q, 2),
		    sqlite3_column_int64(q, 3), true };
	return RC_OK;
}

static enum rc
load_seen(void *ctx, sqlite3_stmt *q, struct error *err)
{
	const struct loading *l = ctx;
	uint32_t agent;

	if (!agent_of_row(l, q, 0, &agent))
		return inconsistent(l, "identities", err);
	state_load_identities(l->state, agent,
	    (uint64_t)sqlite3_column_int64(q, 1), sql_blob(q, 2));
	return RC_OK;
}

enum rc
day_load_state(struct sql *s, struct state *st, struct error *err)
{
	struct loading l = { s, st };

	if (sql_each(s,
		"SELECT id, owner, agent, last_seen, events FROM agents"
		" ORDER BY id",
		load_agent, &l, err) != RC_OK ||
	    sql_each(s,
		"SELECT id, agent, input, time, arrival, live FROM sources"
		" ORDER BY id",
		load_source, &l, err) != RC_OK ||
	    sql_each(s, "SELECT agent, stream, offset, ended FROM marks",
		load_mark, &l, err) != RC_OK ||
	    sql_each(s,
		"SELECT agent, first, hashes FROM seen ORDER BY agent, first",
		load_seen, &l, err) != RC_OK)
		return err->code;
	state_commit(st);
	return RC_OK;
}

/* ---- saving ------------------------------------------------------------- */

static enum rc
save_agent(struct sql *s, const struct state *st, uint32_t i, struct error *err)
{
	const struct agent_state *a = &st->agents[i];

	return SQL_PUT(s, err,
	    "INSERT INTO agents(id, owner, agent, last_seen, events)"
	    " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE SET"
	    " last_seen = ?4, events = ?5",
	    BIND_INT(i + INT64_C(1)), BIND_TEXT(a->owner), BIND_TEXT(a->agent),
	    BIND_INT(a->now.last_seen_ns), BIND_INT(a->now.events));
}

static enum rc
save_source(struct sql *s, const struct state *st, uint32_t i,
    struct error *err)
{
	const struct source_state *x = &st->sources[i];

	return SQL_PUT(s, err,
	    "INSERT INTO sources(id, agent, input, time, arrival, live)"
	    " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO UPDATE SET"
	    " time = ?4, arrival = ?5, live = ?6",
	    BIND_INT(i + INT64_C(1)), BIND_INT(x->agent + INT64_C(1)),
	    BIND_TEXT(x->input), BIND_INT(x->now.time_ns),
	    BIND_INT(x->now.arrival_ns), BIND_INT(x->now.live));
}

static enum rc
save_mark(struct sql *s, const struct state *st, uint32_t i, struct error *err)
{
	const struct mark *m = &st->marks[i];

	if (!m->now.set)
		return RC_OK;
	return SQL_PUT(s, err,
	    "INSERT INTO marks(agent, stream, offset, ended)"
	    " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(agent, stream) DO UPDATE SET"
	    " offset = ?3, ended = ?4",
	    BIND_INT(m->agent + INT64_C(1)), BIND_BYTES(m->stream),
	    BIND_INT(m->now.offset), BIND_INT(m->now.ended_ns));
}

static enum rc
remove_lost(struct sql *s, const struct state *st, struct error *err)
{
	for (size_t i = 0; i < st->n_lost; i++) {
		const struct lost_mark *l = &st->lost[i];

		if (SQL_PUT(s, err,
			"DELETE FROM marks WHERE agent = ?1 AND stream = ?2",
			BIND_INT(l->agent + INT64_C(1)),
			BIND_BYTES(l->stream)) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

static enum rc
insert_seen(struct sql *s, uint32_t agent, uint64_t first,
    const struct identity *list, size_t n, struct error *err)
{
	if (n == 0)
		return RC_OK;
	return SQL_PUT(s, err,
	    "INSERT INTO seen(agent, first, hashes) VALUES(?1, ?2, ?3)",
	    BIND_INT(agent + INT64_C(1)), BIND_INT(first),
	    BIND_BLOB(
		((struct slice){ (const char *)list, n * sizeof(list[0]) })));
}

/* Rows that hold nothing of the last FOREIGN_KEPT any more. */
static enum rc
prune_seen(struct sql *s, uint32_t agent, uint64_t total, struct error *err)
{
	if (total <= FOREIGN_KEPT)
		return RC_OK;
	return SQL_PUT(s, err,
	    "DELETE FROM seen WHERE agent = ?1"
	    " AND first + length(hashes) / 16 <= ?2",
	    BIND_INT(agent + INT64_C(1)), BIND_INT(total - FOREIGN_KEPT));
}

/* The ring from its oldest on: in two runs. */
static enum rc
save_ring(struct sql *s, const struct seen *x, uint32_t agent,
    struct error *err)
{
	size_t tail = x->n_ring - x->head;

	if (insert_seen(s, agent, x->total - x->n_ring, x->ring + x->head, tail,
		err) != RC_OK)
		return err->code;
	return insert_seen(s, agent, x->total - x->head, x->ring, x->head, err);
}

static enum rc
save_seen(struct sql *s, const struct state *st, uint32_t i, bool all,
    struct error *err)
{
	const struct seen *x = st->agents[i].seen;

	if (x == NULL)
		return RC_OK;
	if (all && save_ring(s, x, i, err) != RC_OK)
		return err->code;
	if (x->n_added == 0)
		return RC_OK;
	if (insert_seen(s, i, x->total, x->added, x->n_added, err) != RC_OK)
		return err->code;
	return prune_seen(s, i, x->total + x->n_added, err);
}

/* Which of a table: all of them (list NULL), or those of a list. */
struct chosen {
	const uint32_t *list;
	size_t n;
};

static struct chosen
choose(const struct touched *touched, uint32_t n_all, bool all)
{
	return all ? (struct chosen){ NULL, n_all }
		   : (struct chosen){ touched->list, touched->n };
}

static uint32_t
chosen_at(const struct chosen *c, size_t i)
{
	return c->list != NULL ? c->list[i] : (uint32_t)i;
}

enum rc
day_save_state(struct sql *s, const struct state *st, bool all,
    struct error *err)
{
	struct chosen agents = choose(&st->touched_agents, st->n_agents, all);
	struct chosen sources =
	    choose(&st->touched_sources, st->n_sources, all);
	struct chosen marks = choose(&st->touched_marks, st->n_marks, all);

	/* a new day's file has none of them yet */
	if (!all && remove_lost(s, st, err) != RC_OK)
		return err->code;
	for (size_t i = 0; i < agents.n; i++) {
		uint32_t a = chosen_at(&agents, i);

		if (save_agent(s, st, a, err) != RC_OK ||
		    save_seen(s, st, a, all, err) != RC_OK)
			return err->code;
	}
	for (size_t i = 0; i < sources.n; i++)
		if (save_source(s, st, chosen_at(&sources, i), err) != RC_OK)
			return err->code;
	for (size_t i = 0; i < marks.n; i++)
		if (save_mark(s, st, chosen_at(&marks, i), err) != RC_OK)
			return err->code;
	return RC_OK;
}
