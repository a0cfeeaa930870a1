/* SPDX-License-Identifier: Apache-2.0 */
/* The units that an event belongs to. */
#include "match.h"

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
	for (uint32_t i = 0; i < m->program->n_units; i++)
		if (belongs(m, &m->program->units[i], ls))
			m->units[m->n_units++] = i;
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
		e->units[i] = (uint16_t)m->units[i];
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
	if (key.len == 0 || m->n_units > ROUTE_UNITS_MAX)
		return NULL;
	keep_route(m, e, key);
	return e;
}

/* ---- as the event before ----------------------------------------------- */

/* A value's kind, length and bytes; false: no room. */
static bool
last_add(char text[ROUTE_KEY_MAX], size_t *len, const struct value *v)
{
	struct slice s = { (const char *)&v->i, sizeof(v->i) };

	if (v->kind == VALUE_STRING || v->kind == VALUE_JSON)
		s = v->s;
	else if (v->kind == VALUE_BOOL)
		s = (struct slice){ v->b ? "t" : "f", 1 };
	if (s.len >= KEY_END || s.len + 2 > ROUTE_KEY_MAX - *len)
		return false;
	text[(*len)++] = (char)v->kind;
	text[(*len)++] = (char)s.len;
	if (s.len > 0)
		memcpy(text + *len, s.ptr, s.len);
	*len += s.len;
	return true;
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
 * decide are single values; 0: they are not, or too long.
 */
static size_t
last_text(struct matcher *m, const struct logsource *ls,
    char text[ROUTE_KEY_MAX])
{
	const struct plan *p = m->plan;
	size_t len = 0;

	if (!m->as_planned || m->program->extras_route)
		return 0;
	text[len++] = ls != NULL ? 1 : 2;
	if (ls != NULL &&
	    !(key_add_text(text, &len, ls->product) &&
		key_add_text(text, &len, ls->category) &&
		key_add_text(text, &len, ls->service)))
		return 0;
	for (uint32_t i = 0; i < p->n_deciding; i++) {
		const struct value *v =
		    single_value(m, &p->used[p->deciding[i]]);

		if (v == NULL || !last_add(text, &len, v))
			return 0;
	}
	return len;
}

static void
take_route(struct matcher *m, const struct route_entry *e)
{
	m->n_units = e->n_units;
	for (uint32_t i = 0; i < e->n_units; i++)
		m->units[i] = e->units[i];
	match_plan_route(m, e);
}

/* What an event of the plan that had the same took; NULL: none lately. */
static const struct route_entry *
find_last(const struct plan *p, struct slice text)
{
	for (uint32_t i = 0; i < PLAN_LASTS; i++) {
		const struct plan_last *last = &p->lasts[i];

		if (last->route != NULL && last->len == text.len &&
		    last->route->number == last->number &&
		    memcmp(last->text, text.ptr, text.len) == 0)
			return last->route;
	}
	return NULL;
}

static void
keep_last(struct plan *p, const struct route_entry *e, struct slice text)
{
	struct plan_last *last = &p->lasts[p->n_lasts++ % PLAN_LASTS];

	last->route = e;
	last->number = e->number;
	last->len = (uint16_t)text.len;
	memcpy(last->text, text.ptr, text.len);
}

void
match_route(struct matcher *m, const struct logsource *ls)
{
	char text[ROUTE_KEY_MAX], key[ROUTE_KEY_MAX];
	struct slice had = { text, last_text(m, ls, text) };
	const struct route_entry *e =
	    had.len > 0 ? find_last(m->plan, had) : NULL;

	if (e != NULL) {
		take_route(m, e);
		return;
	}
	e = find_route(m, ls, (struct slice){ key, route_key(m, ls, key) });
	if (e == NULL)
		return;
	take_route(m, e);
	if (had.len > 0)
		keep_last(m->plan, e, had);
}
