/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What alike events share: their names are looked up once, and where the rules
 * of their route look into them is written down.
 */
#include <stdlib.h>

#include "match.h"
#include "xalloc.h"

/* ---- names ------------------------------------------------------------- */

static void
pool_add(struct matcher *m, uint16_t n)
{
	if (m->n_pool == m->cap_pool) {
		m->cap_pool = m->cap_pool == 0 ? 1024 : 2 * m->cap_pool;
		m->pool =
		    xreallocarray(m->pool, m->cap_pool, sizeof(m->pool[0]));
	}
	m->pool[m->n_pool++] = n;
}

/* Adds the slots that a folded name means; `count` is where theirs stands. */
static void
add_slots(struct matcher *m, uint32_t count, struct slice name)
{
	const struct program *p = m->program;

	for (uint32_t at = program_name(p, name); at != 0;
	     at = p->names[at - 1].next) {
		uint16_t slot = p->names[at - 1].slot;
		bool known = false;

		for (uint32_t i = 0; i < m->pool[count]; i++)
			known = known || m->pool[count + 1 + i] == slot;
		if (known)
			continue;
		pool_add(m, slot);
		m->pool[count]++;
	}
}

/* Behind `prefix` and its dot, or ptr NULL; "*" is one part of the name. */
static struct slice
behind(struct slice name, struct slice prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < prefix.len; i++) {
		if (prefix.ptr[i] == '*') {
			while (n < name.len && name.ptr[n] != '.')
				n++;
		} else if (n < name.len && name.ptr[n] == prefix.ptr[i]) {
			n++;
		} else {
			return (struct slice){ NULL, 0 };
		}
	}
	if (n + 1 >= name.len || name.ptr[n] != '.')
		return (struct slice){ NULL, 0 };
	return (struct slice){ name.ptr + n + 1, name.len - n - 1 };
}

/* XML attributes join with "_": provider.#attributes.name */
static struct slice
join_attributes(struct slice name, char out[FIELD_NAME_MAX])
{
	static const char mark[] = ".#attributes.";
	const char *found = memmem(name.ptr, name.len, mark, sizeof(mark) - 1);
	size_t head, rest;

	if (found == NULL || name.len > FIELD_NAME_MAX)
		return name;
	head = (size_t)(found - name.ptr);
	rest = name.len - head - (sizeof(mark) - 1);
	memcpy(out, name.ptr, head);
	out[head] = '_';
	memcpy(out + head + 1, found + sizeof(mark) - 1, rest);
	return (struct slice){ out, head + 1 + rest };
}

/* Their place in the pool: a count, then the slots. */
static uint32_t
look_up_slots(struct matcher *m, uint32_t field)
{
	const struct program *p = m->program;
	struct slice name = field_name(field_folded(field));
	char joined[FIELD_NAME_MAX];
	uint32_t count = m->n_pool;

	pool_add(m, 0);
	add_slots(m, count, name);
	for (uint32_t i = 0; i < p->n_prefixes; i++) {
		struct slice rest = behind(name, p->prefixes[i]);

		if (rest.ptr != NULL)
			add_slots(m, count, join_attributes(rest, joined));
	}
	return count;
}

static uint32_t
slots_of(struct matcher *m, uint32_t field)
{
	if (field >= m->cap_field_slots) {
		uint32_t cap = field_count() + 256;

		m->field_slots = xreallocarray(m->field_slots, cap,
		    sizeof(m->field_slots[0]));
		memset(m->field_slots + m->cap_field_slots, 0,
		    (cap - m->cap_field_slots) * sizeof(m->field_slots[0]));
		m->cap_field_slots = cap;
	}
	if (m->field_slots[field] == 0)
		m->field_slots[field] = look_up_slots(m, field) + 1;
	return m->field_slots[field] - 1;
}

/* ---- plans ------------------------------------------------------------- */

void
match_plans_init(struct matcher *m)
{
	m->plans = xcalloc(PLANS + 1, sizeof(m->plans[0]));
	for (uint32_t i = 0; i <= PLANS; i++)
		m->plans[i].n = UINT32_MAX;
}

void
match_plans_fini(struct matcher *m)
{
	for (uint32_t i = 0; i <= PLANS; i++) {
		free(m->plans[i].ids);
		free(m->plans[i].used);
		free(m->plans[i].slots);
		free(m->plans[i].by_slot);
		free(m->plans[i].routing);
		free(m->plans[i].deciding);
		free(m->plans[i].lasts);
		free(m->plans[i].links);
		for (uint32_t k = 0; k < PLAN_ROUTES; k++)
			free(m->plans[i].routes[k].scans);
	}
	free(m->plans);
}

static struct slot_state *
plan_slot(struct plan *p, uint16_t slot)
{
	uint16_t *at = &p->by_slot[slot];

	if (*at != 0)
		return &p->slots[*at - 1].state;
	if (p->n_slots == p->cap_slots) {
		p->cap_slots = p->cap_slots == 0 ? 32 : 2 * p->cap_slots;
		p->slots =
		    xreallocarray(p->slots, p->cap_slots, sizeof(p->slots[0]));
		p->routing = xreallocarray(p->routing, p->cap_slots,
		    sizeof(p->routing[0]));
	}
	p->slots[p->n_slots] = (struct plan_slot){ .slot = slot };
	*at = (uint16_t)++p->n_slots;
	return &p->slots[p->n_slots - 1].state;
}

static void
plan_link(struct plan *p, uint16_t slot, uint32_t ref)
{
	struct slot_state *s = plan_slot(p, slot);

	if (p->n_links == p->cap_links) {
		p->cap_links = p->cap_links == 0 ? 32 : 2 * p->cap_links;
		p->links =
		    xreallocarray(p->links, p->cap_links, sizeof(p->links[0]));
	}
	p->links[p->n_links++] = (struct link){ ref, 0 };
	if (s->first == 0)
		s->first = p->n_links;
	else
		p->links[s->last - 1].next = p->n_links;
	s->last = p->n_links;
}

/* Nothing of events; all memory stays. */
static void
clear_plan(const struct matcher *m, struct plan *p)
{
	if (p->by_slot == NULL) {
		p->by_slot =
		    xcalloc(m->program->n_slots + 1, sizeof(p->by_slot[0]));
		p->lasts = xcalloc(PLAN_LASTS, sizeof(p->lasts[0]));
		p->last = p->lasts;
	}
	for (uint32_t i = 0; i < p->n_slots; i++)
		p->by_slot[p->slots[i].slot] = 0;
	p->n_used = p->n_slots = p->n_links = p->n_routing = 0;
	for (uint32_t i = 0; i < PLAN_ROUTES; i++)
		p->routes[i].number = 0;
	for (uint32_t i = 0; i < PLAN_LASTS; i++)
		p->lasts[i].route = NULL;
	p->n_deciding = 0;
	p->original = UINT32_MAX;
}

/* Whether a value of one of these slots does; their count is the first. */
static bool
decides(const struct matcher *m, const uint16_t *slots)
{
	for (uint32_t i = 0; i < slots[0]; i++)
		if (m->program->routing[slots[1 + i]] == ROUTING_VALUE)
			return true;
	return false;
}

static void
make_plan(struct matcher *m, struct plan *p, const struct event *ev)
{
	clear_plan(m, p);
	if (ev->n > p->cap) {
		p->cap = ev->n;
		p->ids = xreallocarray(p->ids, p->cap, sizeof(p->ids[0]));
		p->used = xreallocarray(p->used, p->cap, sizeof(p->used[0]));
		p->deciding =
		    xreallocarray(p->deciding, p->cap, sizeof(p->deciding[0]));
	}
	p->n = ev->n;
	for (uint32_t i = 0; i < ev->n; i++) {
		uint32_t id = ev->fields[i].id, at = slots_of(m, id);

		p->ids[i] = id;
		if (id == FIELD_EVENT_ORIGINAL)
			p->original = i;
		if (m->pool[at] == 0)
			continue;
		p->used[p->n_used] = (struct plan_field){ (uint16_t)i,
			m->pool[at], at + 1, p->n_links };
		for (uint32_t k = 0; k < m->pool[at]; k++)
			plan_link(p, m->pool[at + 1 + k], p->n_used);
		if (decides(m, m->pool + at))
			p->deciding[p->n_deciding++] = (uint16_t)p->n_used;
		p->n_used++;
	}
	for (uint32_t i = 0; i < p->n_slots; i++)
		if (m->program->routing[p->slots[i].slot] != ROUTING_NOTHING)
			p->routing[p->n_routing++] = (uint16_t)i;
}

static bool
is_planned(const struct plan *p, const struct event *ev)
{
	const uint32_t *ids = p->ids;
	const struct field *f = ev->fields;
	uint32_t i = 0, n = ev->n;

	if (p->n != n)
		return false;
	for (; i + 4 <= n; i += 4, ids += 4, f += 4)
		if (((ids[0] ^ f[0].id) | (ids[1] ^ f[1].id) |
			(ids[2] ^ f[2].id) | (ids[3] ^ f[3].id)) != 0)
			return false;
	for (; i < n; i++, ids++, f++)
		if (*ids != f->id)
			return false;
	return true;
}

/* The plan of an event, made if need be in the place of an older one. */
static struct plan *
find_plan(struct matcher *m, uint32_t hash, const struct event *ev)
{
	uint32_t first = hash % (PLANS / PLAN_WAYS) * PLAN_WAYS;
	struct plan *set = &m->plans[first], *p;

	for (uint32_t i = 0; i < PLAN_WAYS; i++)
		if (is_planned(&set[i], ev))
			return &set[i];
	p = &set[m->n_plans++ % PLAN_WAYS];
	make_plan(m, p, ev);
	return p;
}

void
match_plan(struct matcher *m, const struct event *ev)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = ev->n;

	m->plan_route = NULL;
	if (m->plan != NULL && is_planned(m->plan, ev))
		return; /* as the event before */
	if (ev->n > PLAN_FIELDS) {
		m->plan = &m->plans[PLANS];
		make_plan(m, m->plan, ev);
		return;
	}
	/* of the same fields in most cases, in whatever order */
	for (uint32_t i = 0; i < EVENT_SEEN_WORDS; i++)
		hash = (hash ^ ev->seen[i] ^ ev->seen[i] >> 32) * odd;
	m->plan = find_plan(m, (uint32_t)(hash >> 40), ev);
}

/* ---- their routes ------------------------------------------------------ */

static void
add_scan(struct plan_route *r, const struct slot_index *index)
{
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 16 : 2 * r->cap;
		r->scans = xreallocarray(r->scans, r->cap, sizeof(void *));
	}
	r->scans[r->n++] = index;
}

void
match_plan_route(struct matcher *m, const struct route_entry *e)
{
	struct plan_route *r = &m->plan->routes[e->number % PLAN_ROUTES];

	m->plan_route = r;
	if (r->number == e->number)
		return;
	r->number = e->number;
	r->n = 0;
	for (uint32_t i = 0; i < m->n_units; i++) {
		const struct unit *u = &m->program->units[m->units[i]];

		for (uint32_t k = 0; k < m->plan->n_slots; k++) {
			uint16_t at = u->by_slot[m->plan->slots[k].slot];

			if (at != 0)
				add_scan(r, &u->indexes[at - 1]);
		}
	}
}
