/* SPDX-License-Identifier: Apache-2.0 */
/* The units that an event belongs to. */
#include <stdlib.h>

#include "match.h"
#include "xalloc.h"

static bool
said_otherwise(struct slice said, struct slice wanted)
{
	if (said.len == 0 || wanted.len == 0)
		return false;
	return said.len != wanted.len || !ascii_starts_with(said, wanted);
}

static unsigned
said_parts(const struct logsource *ls)
{
	if (ls == NULL)
		return 0;
	return (ls->product.len > 0 ? SOURCE_PRODUCT : 0u) |
	    (ls->category.len > 0 ? SOURCE_CATEGORY : 0u) |
	    (ls->service.len > 0 ? SOURCE_SERVICE : 0u);
}

static bool
belongs(struct matcher *m, const struct unit *u, const struct logsource *ls)
{
	unsigned said = said_parts(ls);

	if (ls != NULL &&
	    (said_otherwise(ls->product, u->logsource.product) ||
		said_otherwise(ls->category, u->logsource.category) ||
		said_otherwise(ls->service, u->logsource.service)))
		return false;
	for (uint32_t i = 0; i < u->n_terms; i++) {
		if ((u->terms[i].parts & ~said) == 0)
			continue;
		if (!match_tree(m, u->terms[i].tree))
			return false;
	}
	return true;
}

static void
find_units(struct matcher *m, const struct logsource *ls)
{
	m->n_units = 0;
	m->units = m->own_units;
	for (uint32_t i = 0; i < m->program->n_units; i++)
		if (belongs(m, &m->program->units[i], ls))
			m->own_units[m->n_units++] = (uint16_t)i;
}

static bool
has_literals(const struct unit *u)
{
	return u->keywords != NULL && u->keywords->folded != NULL;
}

static bool
is_busy(const struct unit *u)
{
	return u->has_extras || u->n_always > 0 ||
	    (u->keywords != NULL &&
		(u->keywords->raw != NULL || u->keywords->n_others > 0));
}

/* What the event's units want; literals of a group are sought at once. */
static void
find_work(struct matcher *m, struct route_work *w)
{
	const struct program *p = m->program;

	w->n_joined = w->n_busy = 0;
	for (uint32_t i = 0; i < m->n_units; i++) {
		const struct unit *u = &p->units[m->units[i]];

		if (has_literals(u))
			m->in_group[u->group]++;
		if (is_busy(u))
			w->busy[w->n_busy++] = m->units[i];
	}
	for (uint32_t i = 0; i < m->n_units; i++) {
		const struct unit *u = &p->units[m->units[i]];
		uint16_t *n = &m->in_group[u->group];

		if (!has_literals(u) || *n == 0)
			continue;
		w->joined[w->n_joined++] =
		    *n == 1 ? u->keywords : &p->groups[u->group];
		*n = 0;
	}
}

static void
work_init(struct route_work *w, uint32_t n_units)
{
	w->joined = xcalloc(n_units + 1, sizeof(void *));
	w->busy = xcalloc(n_units + 1, sizeof(w->busy[0]));
}

static void
work_fini(struct route_work *w)
{
	free(w->joined);
	free(w->busy);
}

void
match_routes_init(struct matcher *m)
{
	const struct program *p = m->program;

	m->routes = xcalloc(ROUTE_CACHE, sizeof(m->routes[0]));
	m->own_units = xcalloc(p->n_units + 1, sizeof(m->own_units[0]));
	m->in_group = xcalloc(p->n_groups + 1, sizeof(m->in_group[0]));
	work_init(&m->own_work, p->n_units);
}

void
match_routes_fini(struct matcher *m)
{
	for (uint32_t i = 0; i < ROUTE_CACHE; i++)
		work_fini(&m->routes[i].work);
	work_fini(&m->own_work);
	free(m->routes);
	free(m->own_units);
	free(m->in_group);
}

enum { KEY_END = UINT8_MAX /* no text is so long */ };

static bool
key_add_text(char *key, size_t *len, struct slice s)
{
	if (s.len >= KEY_END || s.len + 1 > ROUTE_KEY_MAX - *len)
		return false;
	key[(*len)++] = (char)s.len;
	if (s.len > 0)
		memcpy(key + *len, s.ptr, s.len);
	*len += s.len;
	return true;
}

/* Whether the slot is there, null or not, and its values if they decide. */
static bool
key_add_slot(struct matcher *m, char *key, size_t *len, uint16_t slot,
    enum routing routing)
{
	uint32_t at = match_first(m, slot);

	if (ROUTE_KEY_MAX - *len < sizeof(slot) + 2)
		return false;
	memcpy(key + *len, &slot, sizeof(slot));
	*len += sizeof(slot);
	key[(*len)++] = at != 0 ? 1 : 2;
	if (routing == ROUTING_PRESENCE)
		return true;
	for (; at != 0; at = m->links[at - 1].next)
		if (!key_add_text(key, len,
			ref_raw(m, match_ref(m, m->links[at - 1].ref))))
			return false;
	if (*len == ROUTE_KEY_MAX)
		return false;
	key[(*len)++] = (char)KEY_END;
	return true;
}

/*
 * Everything that routing looks at, in the order of the event, so that it costs
 * the same however many rules there are; 0: too long to remember.
 */
static size_t
route_key(struct matcher *m, const struct logsource *ls,
    char key[ROUTE_KEY_MAX])
{
	const uint8_t *routing = m->program->routing;
	size_t len = 0;
	bool ok = true;

	key[len++] = ls != NULL ? 1 : 2;
	if (ls != NULL)
		ok = ok && key_add_text(key, &len, ls->product) &&
		    key_add_text(key, &len, ls->category) &&
		    key_add_text(key, &len, ls->service);
	for (uint32_t i = 0; ok && i < m->plan->n_routing; i++) {
		uint16_t slot = m->plan->slots[m->plan->routing[i]].slot;

		ok = key_add_slot(m, key, &len, slot, routing[slot]);
	}
	if (!m->program->extras_route)
		return ok ? len : 0;
	if (!m->extras_ready)
		match_extras(m);
	for (uint32_t i = 0; ok && i < m->n_extras; i++) {
		uint16_t slot = m->extras[i];

		if (routing[slot] != ROUTING_NOTHING)
			ok = key_add_slot(m, key, &len, slot, routing[slot]);
	}
	return ok ? len : 0;
}

/* A new entry in the key's place, if the units fit. */
static void
keep_route(struct matcher *m, struct route_entry *e, struct slice key)
{
	e->number = ++m->n_routes;
	e->key_len = (uint16_t)key.len;
	memcpy(e->key, key.ptr, key.len);
	e->n_units = (uint16_t)m->n_units;
	for (uint32_t i = 0; i < m->n_units; i++)
		e->units[i] = m->units[i];
	if (e->work.joined == NULL)
		work_init(&e->work, ROUTE_UNITS_MAX);
	find_work(m, &e->work);
}

static bool
has_key(const struct route_entry *e, struct slice key)
{
	return e->key_len == key.len && memcmp(e->key, key.ptr, key.len) == 0;
}

/* The entry of a key, made if need be; NULL: there can be none. */
static const struct route_entry *
find_route(struct matcher *m, const struct logsource *ls, struct slice key)
{
	uint32_t hash = program_hash(key);
	struct route_entry *e = &m->routes[hash % ROUTE_CACHE];

	if (key.len > 0 && has_key(e, key))
		return e;
	find_units(m, ls);
	if (key.len == 0 || m->n_units > ROUTE_UNITS_MAX) {
		find_work(m, &m->own_work);
		m->work = &m->own_work;
		return NULL;
	}
	keep_route(m, e, key);
	return e;
}

/* ---- as the event before ----------------------------------------------- */

static inline struct slice
last_slice(const struct value *v)
{
	if (v->kind == VALUE_STRING || v->kind == VALUE_JSON)
		return v->s;
	if (v->kind == VALUE_BOOL)
		return v->b ? SLICE("t") : SLICE("f");
	return (struct slice){ (const char *)&v->i, sizeof(v->i) };
}

/* A value's kind, length and bytes; false: no room. */
static bool
last_add(char text[ROUTE_KEY_MAX], size_t *len, const struct value *v)
{
	if (*len == ROUTE_KEY_MAX)
		return false;
	text[(*len)++] = (char)v->kind;
	return key_add_text(text, len, last_slice(v));
}

/* The one scalar of a field, itself or as an item; NULL: there are more. */
static const struct value *
single_value(const struct matcher *m, const struct plan_field *f)
{
	const struct value *v = &m->event->fields[f->field].value;

	if (v->kind != VALUE_LIST)
		return v;
	return v->n == 1 ? v->list : NULL;
}

/*
 * All that the route of an event of a plan depends on, where the fields that
 * decide are single values; false: they are not, or too long.
 */
static bool
last_text(struct matcher *m, const struct logsource *ls,
    char text[ROUTE_KEY_MAX])
{
	const struct plan *p = m->plan;
	size_t len = 0;

	text[len++] = ls != NULL ? 1 : 2;
	if (ls != NULL &&
	    !(key_add_text(text, &len, ls->product) &&
		key_add_text(text, &len, ls->category) &&
		key_add_text(text, &len, ls->service)))
		return false;
	for (uint32_t i = 0; i < p->n_deciding; i++) {
		const struct value *v =
		    single_value(m, &p->used[p->deciding[i]]);

		if (v == NULL || !last_add(text, &len, v))
			return false;
	}
	return true;
}

static void
take_route(struct matcher *m, const struct route_entry *e)
{
	m->n_units = e->n_units;
	m->units = e->units;
	m->work = &e->work;
	match_plan_route(m, e);
}

/* Steps over a text with its length before it; false: it is another one. */
static inline bool
step_text(const char **at, struct slice s)
{
	const char *text = *at + 1;

	*at = text + s.len;
	return (unsigned char)text[-1] == s.len &&
	    match_same(text, s.ptr, s.len);
}

static bool
step_logsource(const char **at, const struct logsource *ls)
{
	const struct slice parts[] = { ls->product, ls->category, ls->service };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!step_text(at, parts[i]))
			return false;
	return true;
}

/* Whether last_text() of this event would be the same. */
static bool
is_last(const struct matcher *m, const struct plan_last *last,
    const struct logsource *ls)
{
	const struct plan *p = m->plan;
	const char *at = last->text;

	if (last->route == NULL || last->route->number != last->number ||
	    *at++ != (ls != NULL ? 1 : 2))
		return false;
	if (ls != NULL && !step_logsource(&at, ls))
		return false;
	for (uint32_t i = 0; i < p->n_deciding; i++) {
		const struct value *v =
		    single_value(m, &p->used[p->deciding[i]]);

		if (v == NULL || *at++ != (char)v->kind ||
		    !step_text(&at, last_slice(v)))
			return false;
	}
	return true;
}

/* The length of a value, and bytes of it; NULL: it is several. */
static uint64_t
last_mix(const struct value *v)
{
	struct slice s = v != NULL ? last_slice(v) : (struct slice){ NULL, 0 };
	uint32_t head = 0, tail = 0;

	if (s.len >= sizeof(head)) {
		memcpy(&head, s.ptr, sizeof(head));
		memcpy(&tail, s.ptr + s.len - sizeof(tail), sizeof(tail));
	}
	return ((uint64_t)head << 32 | tail) + s.len;
}

/* Where a plan remembers what an event with such values took. */
static struct plan_last *
last_place(const struct matcher *m)
{
	const struct plan *p = m->plan;
	uint64_t h = 0;

	for (uint32_t i = 0; i < p->n_deciding; i++)
		h = (h ^ last_mix(single_value(m, &p->used[p->deciding[i]]))) *
		    UINT64_C(0x9e3779b97f4a7c15);
	return &p->lasts[(h >> 40) % PLAN_LASTS];
}

static void
keep_last(struct matcher *m, const struct logsource *ls,
    const struct route_entry *e)
{
	struct plan_last *last = m->plan->last;

	last->route = NULL;
	if (!last_text(m, ls, last->text))
		return;
	last->route = e;
	last->number = e->number;
}

/* Where the plan's `last` is the event's, or is to be. */
static bool
find_last(struct matcher *m, const struct logsource *ls)
{
	struct plan *p = m->plan;

	if (is_last(m, p->last, ls))
		return true;
	p->last = last_place(m);
	return is_last(m, p->last, ls);
}

void
match_route(struct matcher *m, const struct logsource *ls)
{
	char key[ROUTE_KEY_MAX];
	bool may_last = m->as_planned && !m->program->extras_route;
	const struct route_entry *e;

	if (may_last && find_last(m, ls)) {
		take_route(m, m->plan->last->route);
		return;
	}
	e = find_route(m, ls, (struct slice){ key, route_key(m, ls, key) });
	if (e == NULL)
		return;
	take_route(m, e);
	if (may_last)
		keep_last(m, ls, e);
}
