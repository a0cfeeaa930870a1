/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/state.h"

#include <assert.h>

enum { FIRST_SLOTS = 256, FIRST_SEEN = 1024 };

static void
seen_free(struct seen *s)
{
	if (s == NULL)
		return;
	free(s->slots);
	free(s->ring);
	free(s->added);
	free(s);
}

void
state_fini(struct state *st)
{
	for (uint32_t i = 0; i < st->n_agents; i++) {
		free((char *)st->agents[i].owner.ptr);
		free((char *)st->agents[i].agent.ptr);
		seen_free(st->agents[i].seen);
	}
	for (uint32_t i = 0; i < st->n_sources; i++)
		free((char *)st->sources[i].input.ptr);
	free(st->agents);
	free(st->sources);
	free(st->marks);
	free(st->mark_slots);
	free(st->agent_slots);
	free(st->lost);
	free(st->touched_agents.list);
	free(st->touched_sources.list);
	free(st->touched_marks.list);
	*st = (struct state){ 0 };
}

static struct slice
own(struct slice s)
{
	return (struct slice){ xmemdupz(s.len > 0 ? s.ptr : "", s.len), s.len };
}

static void *
room(void *list, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap)
		return list;
	*cap = *cap > 0 ? 2 * *cap : 16;
	return xreallocarray(list, *cap, size);
}

static void
touch(struct touched *t, uint32_t index)
{
	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? 2 * t->cap : 64;
		t->list = xreallocarray(t->list, t->cap, sizeof(t->list[0]));
	}
	t->list[t->n++] = index;
}

/* ---- agents ------------------------------------------------------------- */

static uint64_t
agent_hash(struct slice owner, struct slice agent)
{
	return hash_bytes(agent.ptr, agent.len,
	    hash_bytes(owner.ptr, owner.len, 1));
}

static void
agent_slots_fill(struct state *st, uint32_t n)
{
	free(st->agent_slots);
	st->agent_slots = xcalloc(n, sizeof(st->agent_slots[0]));
	st->n_agent_slots = n;
	for (uint32_t i = 0; i < st->n_agents; i++) {
		uint32_t at = (uint32_t)agent_hash(st->agents[i].owner,
				  st->agents[i].agent) &
		    (n - 1);

		while (st->agent_slots[at] != 0)
			at = (at + 1) & (n - 1);
		st->agent_slots[at] = i + 1;
	}
}

uint32_t
state_agent(struct state *st, struct slice owner, struct slice agent)
{
	struct agent_state *a;
	uint32_t at;

	if (2 * st->n_agents >= st->n_agent_slots)
		agent_slots_fill(st,
		    st->n_agent_slots > 0 ? 2 * st->n_agent_slots
					  : FIRST_SLOTS);
	at = (uint32_t)agent_hash(owner, agent) & (st->n_agent_slots - 1);
	while (st->agent_slots[at] != 0) {
		a = &st->agents[st->agent_slots[at] - 1];
		if (slice_eq(a->agent, agent) && slice_eq(a->owner, owner))
			return st->agent_slots[at] - 1;
		at = (at + 1) & (st->n_agent_slots - 1);
	}
	st->agents =
	    room(st->agents, st->n_agents, &st->cap_agents, sizeof(*a));
	a = &st->agents[st->n_agents++];
	*a = (struct agent_state){ .owner = own(owner), .agent = own(agent) };
	st->agent_slots[at] = st->n_agents;
	(void)state_touch_agent(st, st->n_agents - 1);
	return st->n_agents - 1;
}

struct agent_state *
state_touch_agent(struct state *st, uint32_t agent)
{
	struct agent_state *a = &st->agents[agent];

	if (!a->touched) {
		a->touched = true;
		a->saved = a->now;
		touch(&st->touched_agents, agent);
	}
	return a;
}

/* ---- sources ------------------------------------------------------------ */

uint32_t
state_source(struct state *st, uint32_t agent, struct slice input)
{
	struct agent_state *a = &st->agents[agent];
	struct source_state *s;

	for (uint32_t i = a->first_source; i != 0; i = s->next) {
		s = &st->sources[i - 1];
		if (slice_eq(s->input, input))
			return i - 1;
	}
	if (a->n_sources >= INPUTS_MAX && input.len > 0)
		return state_source(st, agent, SLICE(""));
	st->sources =
	    room(st->sources, st->n_sources, &st->cap_sources, sizeof(*s));
	s = &st->sources[st->n_sources++];
	*s = (struct source_state){ .agent = agent,
		.input = own(input),
		.next = a->first_source };
	a->first_source = st->n_sources;
	a->n_sources++;
	(void)state_touch_source(st, st->n_sources - 1);
	return st->n_sources - 1;
}

struct source_state *
state_touch_source(struct state *st, uint32_t source)
{
	struct source_state *s = &st->sources[source];

	if (!s->touched) {
		s->touched = true;
		s->saved = s->now;
		touch(&st->touched_sources, source);
	}
	return s;
}

/* ---- marks -------------------------------------------------------------- */

static void
mark_slots_fill(struct state *st, uint32_t n)
{
	free(st->mark_slots);
	st->mark_slots = xcalloc(n, sizeof(st->mark_slots[0]));
	st->n_mark_slots = n;
	for (uint32_t i = 0; i < st->n_marks; i++) {
		uint32_t at = (uint32_t)hash_bytes(st->marks[i].stream, 16,
				  st->marks[i].agent) &
		    (n - 1);

		while (st->mark_slots[at] != 0)
			at = (at + 1) & (n - 1);
		st->mark_slots[at] = i + 1;
	}
}

static uint32_t
mark_slot(const struct state *st, uint32_t agent, const uint8_t stream[16])
{
	uint32_t at =
	    (uint32_t)hash_bytes(stream, 16, agent) & (st->n_mark_slots - 1);

	while (st->mark_slots[at] != 0) {
		const struct mark *m = &st->marks[st->mark_slots[at] - 1];

		if (m->agent == agent && memcmp(m->stream, stream, 16) == 0)
			break;
		at = (at + 1) & (st->n_mark_slots - 1);
	}
	return at;
}

uint32_t
state_find_mark(const struct state *st, uint32_t agent,
    const uint8_t stream[16])
{
	if (st->n_mark_slots == 0)
		return UINT32_MAX;
	return st->mark_slots[mark_slot(st, agent, stream)] - 1;
}

uint32_t
state_mark(struct state *st, uint32_t agent, const uint8_t stream[16])
{
	struct mark *m;
	uint32_t at;

	if (2 * (uint64_t)st->n_marks >= st->n_mark_slots)
		mark_slots_fill(st,
		    st->n_mark_slots > 0 ? 2 * st->n_mark_slots : FIRST_SLOTS);
	at = mark_slot(st, agent, stream);
	if (st->mark_slots[at] != 0)
		return st->mark_slots[at] - 1;
	st->marks = room(st->marks, st->n_marks, &st->cap_marks, sizeof(*m));
	m = &st->marks[st->n_marks++];
	*m = (struct mark){ .agent = agent };
	memcpy(m->stream, stream, 16);
	st->mark_slots[at] = st->n_marks;
	if (++st->agents[agent].n_marks > MARKS_MAX)
		st->crowded = true;
	return st->n_marks - 1;
}

struct mark *
state_touch_mark(struct state *st, uint32_t mark)
{
	struct mark *m = &st->marks[mark];

	if (!m->touched) {
		m->touched = true;
		m->saved = m->now;
		touch(&st->touched_marks, mark);
	}
	m->moved = st->tick;
	return m;
}

/* Keeps the marks whose `agent` is not UINT32_MAX. */
static void
marks_compact(struct state *st)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < st->n_agents; i++)
		st->agents[i].n_marks = 0;
	for (uint32_t i = 0; i < st->n_marks; i++) {
		if (st->marks[i].agent == UINT32_MAX)
			continue;
		st->agents[st->marks[i].agent].n_marks++;
		st->marks[kept++] = st->marks[i];
	}
	st->n_marks = kept;
	if (st->n_mark_slots > 0)
		mark_slots_fill(st, st->n_mark_slots);
}

void
state_drop_ended(struct state *st, int64_t before_ns)
{
	assert(st->touched_marks.n == 0);
	for (uint32_t i = 0; i < st->n_marks; i++) {
		const struct mark_values *v = &st->marks[i].now;

		if (!v->set || (v->ended_ns != 0 && v->ended_ns < before_ns))
			st->marks[i].agent = UINT32_MAX;
	}
	marks_compact(st);
}

/* Those to be forgotten first: of ended streams, then what rests longest. */
static int
compare_marks(const void *a, const void *b)
{
	const struct mark *x = *(struct mark *const *)a;
	const struct mark *y = *(struct mark *const *)b;
	bool x_goes_on = x->now.set && x->now.ended_ns == 0;
	bool y_goes_on = y->now.set && y->now.ended_ns == 0;

	if (x_goes_on != y_goes_on)
		return x_goes_on - y_goes_on;
	return (x->moved > y->moved) - (x->moved < y->moved);
}

static void
lose_half(struct state *st, uint32_t agent)
{
	uint32_t n = 0, lose = st->agents[agent].n_marks - MARKS_MAX / 2;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
	struct mark **list = xcalloc(st->agents[agent].n_marks, sizeof(*list));

	for (uint32_t i = 0; i < st->n_marks; i++)
		if (st->marks[i].agent == agent)
			list[n++] = &st->marks[i];
	assert(n == st->agents[agent].n_marks);
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
	qsort(list, n, sizeof(*list), compare_marks);
	st->lost =
	    xreallocarray(st->lost, st->n_lost + lose, sizeof(st->lost[0]));
	for (uint32_t i = 0; i < lose; i++) {
		struct lost_mark *l = &st->lost[st->n_lost++];

		l->agent = agent;
		memcpy(l->stream, list[i]->stream, sizeof(l->stream));
		list[i]->agent = UINT32_MAX;
	}
	st->forgotten += lose;
	free(list);
}

void
state_trim_marks(struct state *st)
{
	assert(st->touched_marks.n == 0);
	if (!st->crowded)
		return;
	for (uint32_t i = 0; i < st->n_agents; i++)
		if (st->agents[i].n_marks > MARKS_MAX)
			lose_half(st, i);
	marks_compact(st);
	st->crowded = false;
}

/* ---- identities of foreign events --------------------------------------- */

static size_t
seen_at(const struct seen *s, const struct identity *id)
{
	size_t at;
	uint64_t h;

	memcpy(&h, id->b, sizeof(h));
	at = (size_t)h & (s->n_slots - 1);
	while (memcmp(&s->slots[at], &(struct identity){ { 0 } },
		   sizeof(*id)) != 0 &&
	    memcmp(&s->slots[at], id, sizeof(*id)) != 0)
		at = (at + 1) & (s->n_slots - 1);
	return at;
}

static bool
seen_free_slot(const struct seen *s, size_t at)
{
	static const struct identity none;

	return memcmp(&s->slots[at], &none, sizeof(none)) == 0;
}

static void
seen_grow(struct seen *s)
{
	struct identity *old = s->slots;
	size_t n_old = s->n_slots;

	s->n_slots = n_old > 0 ? 2 * n_old : FIRST_SEEN;
	s->slots = xcalloc(s->n_slots, sizeof(s->slots[0]));
	for (size_t i = 0; i < n_old; i++)
		if (memcmp(&old[i], &(struct identity){ { 0 } },
			sizeof(old[i])) != 0)
			s->slots[seen_at(s, &old[i])] = old[i];
	free(old);
}

static bool
seen_insert(struct seen *s, const struct identity *id)
{
	size_t at;

	if (2 * s->n >= s->n_slots)
		seen_grow(s);
	at = seen_at(s, id);
	if (!seen_free_slot(s, at))
		return false;
	s->slots[at] = *id;
	s->n++;
	return true;
}

/* Closes the hole that a removed entry leaves in its run. */
static void
seen_remove(struct seen *s, const struct identity *id)
{
	size_t mask = s->n_slots - 1;
	size_t hole = seen_at(s, id);
	uint64_t h;

	if (seen_free_slot(s, hole))
		return;
	s->n--;
	for (size_t at = (hole + 1) & mask; !seen_free_slot(s, at);
	     at = (at + 1) & mask) {
		memcpy(&h, s->slots[at].b, sizeof(h));
		if (((at - ((size_t)h & mask)) & mask) < ((at - hole) & mask))
			continue;
		s->slots[hole] = s->slots[at];
		hole = at;
	}
	s->slots[hole] = (struct identity){ { 0 } };
}

static void
seen_push(struct seen *s, const struct identity *id)
{
	if (s->n_ring == FOREIGN_KEPT) {
		seen_remove(s, &s->ring[s->head]);
		s->ring[s->head] = *id;
		s->head = (s->head + 1) % FOREIGN_KEPT;
	} else {
		s->ring[(s->head + s->n_ring++) % FOREIGN_KEPT] = *id;
	}
	s->total++;
}

static struct seen *
seen_of(struct state *st, uint32_t agent)
{
	struct agent_state *a = &st->agents[agent];

	if (a->seen == NULL) {
		a->seen = xzalloc(sizeof(*a->seen));
		a->seen->ring = xcalloc(FOREIGN_KEPT, sizeof(a->seen->ring[0]));
	}
	return a->seen;
}

bool
state_add_identity(struct state *st, uint32_t agent, struct slice foreign)
{
	struct seen *s = seen_of(st, agent);
	uint8_t digest[SHA256_BYTES];
	struct identity id;

	sha256_of(foreign, digest);
	memcpy(id.b, digest, sizeof(id.b));
	id.b[IDENTITY_BYTES - 1] |= 1;
	if (!seen_insert(s, &id))
		return false;
	if (s->n_added == s->cap_added) {
		s->cap_added = s->cap_added > 0 ? 2 * s->cap_added : 256;
		s->added =
		    xreallocarray(s->added, s->cap_added, sizeof(s->added[0]));
	}
	s->added[s->n_added++] = id;
	(void)state_touch_agent(st, agent);
	return true;
}

void
state_load_identities(struct state *st, uint32_t agent, uint64_t first,
    struct slice hashes)
{
	struct seen *s = seen_of(st, agent);
	struct identity id;

	s->total = first;
	for (size_t i = 0; i + sizeof(id) <= hashes.len; i += sizeof(id)) {
		memcpy(&id, hashes.ptr + i, sizeof(id));
		id.b[IDENTITY_BYTES - 1] |= 1;
		if (seen_insert(s, &id))
			seen_push(s, &id);
	}
	s->total = first + hashes.len / sizeof(id);
}

/* ---- the end of a commit ------------------------------------------------ */

void
state_commit(struct state *st)
{
	for (size_t i = 0; i < st->touched_agents.n; i++) {
		struct agent_state *a = &st->agents[st->touched_agents.list[i]];

		a->touched = false;
		if (a->seen == NULL)
			continue;
		for (size_t k = 0; k < a->seen->n_added; k++)
			seen_push(a->seen, &a->seen->added[k]);
		a->seen->n_added = 0;
	}
	for (size_t i = 0; i < st->touched_sources.n; i++)
		st->sources[st->touched_sources.list[i]].touched = false;
	for (size_t i = 0; i < st->touched_marks.n; i++)
		st->marks[st->touched_marks.list[i]].touched = false;
	st->touched_agents.n = 0;
	st->touched_sources.n = 0;
	st->touched_marks.n = 0;
	st->n_lost = 0;
	st->tick++;
	st->final_agents = st->n_agents;
	st->final_sources = st->n_sources;
}

/* Those that the failed commit made: they are at the ends of their lists. */
static void
forget_new(struct state *st)
{
	while (st->n_sources > st->final_sources) {
		struct source_state *s = &st->sources[--st->n_sources];
		struct agent_state *a = &st->agents[s->agent];

		a->first_source = s->next;
		a->n_sources--;
		free((char *)s->input.ptr);
	}
	if (st->n_agents == st->final_agents)
		return;
	while (st->n_agents > st->final_agents) {
		struct agent_state *a = &st->agents[--st->n_agents];

		free((char *)a->owner.ptr);
		free((char *)a->agent.ptr);
		seen_free(a->seen);
	}
	agent_slots_fill(st, st->n_agent_slots);
}

void
state_rollback(struct state *st)
{
	for (size_t i = 0; i < st->touched_agents.n; i++) {
		struct agent_state *a = &st->agents[st->touched_agents.list[i]];

		a->now = a->saved;
		a->touched = false;
		if (a->seen == NULL)
			continue;
		for (size_t k = 0; k < a->seen->n_added; k++)
			seen_remove(a->seen, &a->seen->added[k]);
		a->seen->n_added = 0;
	}
	for (size_t i = 0; i < st->touched_sources.n; i++) {
		struct source_state *s =
		    &st->sources[st->touched_sources.list[i]];

		s->now = s->saved;
		s->touched = false;
	}
	for (size_t i = 0; i < st->touched_marks.n; i++) {
		struct mark *m = &st->marks[st->touched_marks.list[i]];

		m->now = m->saved;
		m->touched = false;
	}
	forget_new(st);
	st->touched_agents.n = 0;
	st->touched_sources.n = 0;
	st->touched_marks.n = 0;
}
