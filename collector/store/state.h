/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the appender remembers between commits: agents, marks, sources,
 * identities of foreign events.  All of it is in the newest day file too.
 *
 * A commit changes it tentatively: state_commit() makes the changes final once
 * the transaction is, state_rollback() takes them back.  Things that a failed
 * commit met for the first time are forgotten again.
 */
#pragma once

#include "batch.h"
#include "collector/store/bytes.h"
#include "digest.h"

enum {
	FOREIGN_KEPT = 65536, /* identities remembered of a client */
	INPUTS_MAX = 1024,    /* of an agent; more are taken as one, "" */
	MARKS_MAX = 65536,    /* of an agent: then half of them are forgotten */
	IDENTITY_BYTES = 16,
};

struct identity {
	uint8_t b[IDENTITY_BYTES]; /* never all zero */
};

/* The last FOREIGN_KEPT identities of one client. */
struct seen {
	struct identity *slots; /* open addressing */
	size_t n_slots, n;
	struct identity *ring; /* the committed ones, oldest first */
	size_t head, n_ring;
	uint64_t total;         /* committed, ever */
	struct identity *added; /* by the commit under way */
	size_t n_added, cap_added;
};

struct agent_values {
	int64_t last_seen_ns;
	uint64_t events;
};

struct agent_state {
	struct slice owner, agent; /* owned */
	struct agent_values now, saved;
	bool touched;
	uint32_t first_source; /* chain, + 1 */
	uint32_t n_sources;
	uint32_t n_marks;
	struct seen *seen; /* NULL: none yet */
};

struct source_values {
	int64_t time_ns; /* 0: no event yet */
	int64_t arrival_ns;
	bool live;
};

struct source_state {
	uint32_t agent;
	struct slice input; /* owned */
	struct source_values now, saved;
	bool touched;
	uint32_t next; /* of the same agent, + 1 */
};

struct mark_values {
	uint64_t offset;
	int64_t ended_ns; /* when its end was said; 0: it goes on */
	bool set;         /* false: nothing of the stream is committed */
};

struct mark {
	uint8_t stream[16];
	uint32_t agent;
	uint64_t moved; /* tick of the commit that moved it last */
	struct mark_values now, saved;
	bool touched;
};

/* A mark that the next commit removes from the day file. */
struct lost_mark {
	uint32_t agent;
	uint8_t stream[16];
};

/* Indices of what the commit under way changed. */
struct touched {
	uint32_t *list;
	size_t n, cap;
};

/* Ids are index + 1: they are what the day files say. */
struct state {
	struct agent_state *agents;
	uint32_t n_agents, cap_agents;
	struct source_state *sources;
	uint32_t n_sources, cap_sources;
	struct mark *marks;
	uint32_t n_marks, cap_marks;
	uint32_t *mark_slots; /* + 1 */
	uint32_t n_mark_slots;
	uint32_t *agent_slots;
	uint32_t n_agent_slots;
	uint32_t final_agents, final_sources; /* those of past commits */
	uint64_t tick;                        /* commits since the start */
	bool crowded; /* an agent has more than MARKS_MAX */
	struct lost_mark *lost;
	size_t n_lost;
	uint64_t forgotten; /* marks lost so since the start */
	struct touched touched_agents, touched_sources, touched_marks;
};

void state_fini(struct state *st);
void state_commit(struct state *st);
void state_rollback(struct state *st);

/* Found or made (and then touched). */
uint32_t state_agent(struct state *st, struct slice owner, struct slice agent);
uint32_t state_source(struct state *st, uint32_t agent, struct slice input);
uint32_t state_mark(struct state *st, uint32_t agent, const uint8_t stream[16]);
/* UINT32_MAX: there is none. */
uint32_t state_find_mark(const struct state *st, uint32_t agent,
    const uint8_t stream[16]);

/* Before a change: remembers what was. */
struct agent_state *state_touch_agent(struct state *st, uint32_t agent);
struct source_state *state_touch_source(struct state *st, uint32_t source);
struct mark *state_touch_mark(struct state *st, uint32_t mark);

/* Forgets marks of streams whose end was said before `before_ns`. */
void state_drop_ended(struct state *st, int64_t before_ns);

/*
 * Before a commit: of an agent with too many marks, forgets those of ended
 * streams, then those that have not moved for longest, down to the half.  They
 * are in `lost` until a commit succeeds.
 */
void state_trim_marks(struct state *st);

/* False: seen before (or added twice by this commit); else it is added. */
bool state_add_identity(struct state *st, uint32_t agent, struct slice foreign);
/* From a day file, in order. */
void state_load_identities(struct state *st, uint32_t agent, uint64_t first,
    struct slice hashes);
