/* SPDX-License-Identifier: Apache-2.0 */
/* An event as rules see it: its fields by slot, and the units it belongs to. */
#include <stdlib.h>

#include "match.h"
#include "timestamp.h"
#include "xalloc.h"

/* ---- values ------------------------------------------------------------ */

static uint32_t
add_ref(struct matcher *m, const struct value *v, struct slice raw)
{
	if (m->n_refs == m->cap_refs) {
		m->cap_refs = m->cap_refs == 0 ? 256 : 2 * m->cap_refs;
		m->refs =
		    xreallocarray(m->refs, m->cap_refs, sizeof(m->refs[0]));
	}
	m->refs[m->n_refs] = (struct ref){ .value = v, .raw = raw };
	return m->n_refs++;
}

/* Refs for each scalar of field `i`, once; the first, and how many. */
static uint32_t
refs_of(struct matcher *m, uint32_t i, uint32_t *n)
{
	static const struct slice none = { NULL, 0 };
	const struct value *v = &m->event->fields[i].value;
	bool list = v->kind == VALUE_LIST;
	const struct value *items = list ? v->list : v;
	uint32_t total = list ? v->n : 1, first = m->field_refs[i];

	*n = 0;
	for (uint32_t k = 0; k < total; k++)
		*n += items[k].kind == VALUE_NULL ? 0 : 1;
	if (first != UINT32_MAX)
		return first;
	first = m->n_refs;
	m->field_refs[i] = first;
	for (uint32_t k = 0; k < total; k++)
		if (items[k].kind != VALUE_NULL)
			(void)add_ref(m, &items[k], none);
	return first;
}

static struct slot_state *
touch_slot(struct matcher *m, uint16_t slot)
{
	struct slot_state *s = &m->slots[slot];

	if (s->epoch != m->epoch) {
		*s = (struct slot_state){ .epoch = m->epoch };
		m->present[m->n_present++] = slot;
	}
	return s;
}

/* A link to `ref` in no chain yet. */
static uint32_t
add_link(struct matcher *m, uint32_t ref)
{
	if (m->n_links == m->cap_links) {
		m->cap_links = m->cap_links == 0 ? 256 : 2 * m->cap_links;
		m->links =
		    xreallocarray(m->links, m->cap_links, sizeof(m->links[0]));
	}
	m->links[m->n_links] = (struct link){ ref, 0 };
	return m->n_links++;
}

static void
link_ref(struct matcher *m, uint16_t slot, uint32_t ref)
{
	struct slot_state *s = touch_slot(m, slot);

	(void)add_link(m, ref);
	if (s->first == 0)
		s->first = m->n_links;
	else
		m->links[s->last - 1].next = m->n_links;
	s->last = m->n_links;
}

static bool
starts_with(struct slice s, struct slice lower)
{
	if (s.len < lower.len)
		return false;
	for (size_t i = 0; i < lower.len; i++) {
		char c = ascii_lower(s.ptr[i]);

		if (c != lower.ptr[i])
			return false;
	}
	return true;
}

/* The value of KEY in "MD5=...,SHA256=..."; ptr NULL: none. */
static struct slice
value_of_key(struct slice s, struct slice key)
{
	while (s.len > 0) {
		const char *comma = memchr(s.ptr, ',', s.len);
		size_t len = comma != NULL ? (size_t)(comma - s.ptr) : s.len;
		struct slice one = { s.ptr, len };

		while (one.len > 0 && one.ptr[0] == ' ') {
			one.ptr++;
			one.len--;
		}
		if (one.len > key.len && one.ptr[key.len] == '=' &&
		    starts_with(one, key))
			return (struct slice){ one.ptr + key.len + 1,
				one.len - key.len - 1 };
		if (comma == NULL)
			break;
		s = (struct slice){ comma + 1, s.len - len - 1 };
	}
	return (struct slice){ NULL, 0 };
}

static void
add_derived(struct matcher *m)
{
	const struct program *p = m->program;

	for (uint32_t i = 0; i < p->n_derived; i++) {
		const struct slot *slot = &p->slots[p->derived[i]];
		const struct slot_state *from = &m->slots[slot->derived_from];

		if (from->epoch != m->epoch)
			continue;
		for (uint32_t at = from->first; at != 0;
		     at = m->links[at - 1].next) {
			struct ref *r = &m->refs[m->links[at - 1].ref];
			struct slice v =
			    value_of_key(ref_raw(m, r), slot->derived_key);

			if (v.ptr != NULL)
				link_ref(m, p->derived[i], add_ref(m, NULL, v));
		}
	}
}

/* What is a member of the event, not a field. */
static void
add_members(struct matcher *m)
{
	const struct program *p = m->program;
	char *text;
	struct slice s;

	if (p->timestamp != NO_SLOT &&
	    m->slots[p->timestamp].epoch != m->epoch) {
		text = arena_alloc(m->arena, TIMESTAMP_TEXT_MAX);
		s = timestamp_format(m->event->time_ns, text);
		link_ref(m, p->timestamp, add_ref(m, NULL, s));
	}
	if (p->event_id != NO_SLOT && m->slots[p->event_id].epoch != m->epoch) {
		s = event_id_text(m->event);
		if (s.len > 0)
			link_ref(m, p->event_id, add_ref(m, NULL, s));
	}
}

static void
reserve(struct matcher *m, const struct plan *p)
{
	if (m->cap_refs < p->n_used) {
		m->cap_refs = 2 * p->n_used;
		m->refs =
		    xreallocarray(m->refs, m->cap_refs, sizeof(m->refs[0]));
	}
	if (m->cap_links < p->n_links) {
		m->cap_links = 2 * p->n_links;
		m->links =
		    xreallocarray(m->links, m->cap_links, sizeof(m->links[0]));
	}
}

/* Whether a list has another number of values than items. */
static bool
has_null(const struct value *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (list->list[i].kind == VALUE_NULL)
			return true;
	return false;
}

/* Refs as the plan has them; false: a field is null, or has none. */
static bool
add_planned_refs(struct matcher *m, const struct plan *p, bool *lists)
{
	*lists = false;
	for (uint32_t i = 0; i < p->n_used; i++) {
		const struct value *v =
		    &m->event->fields[p->used[i].field].value;
		struct ref *r = &m->refs[i];

		if (v->kind == VALUE_LIST) {
			if (v->n == 0 || has_null(v))
				return false;
			*lists = *lists || v->n > 1;
			v = v->list;
		}
		if (v->kind == VALUE_NULL)
			return false;
		r->value = v;
		r->raw.ptr = v->kind == VALUE_STRING ? v->s.ptr : NULL;
		r->raw.len = v->kind == VALUE_STRING ? v->s.len : 0;
		r->folded.ptr = NULL;
	}
	return true;
}

struct ref_range {
	uint32_t first, n;
};

/* Link `at` is of the range's first; links for the others follow it. */
static void
chain_refs(struct matcher *m, uint16_t slot, uint32_t at, struct ref_range refs)
{
	struct slot_state *s = &m->slots[slot];

	m->links[at].ref = refs.first;
	for (uint32_t i = 1; i < refs.n; i++) {
		uint32_t added = add_link(m, refs.first + i);

		m->links[added].next = m->links[at].next;
		m->links[at].next = added + 1;
		if (s->last == at + 1)
			s->last = added + 1;
		at = added;
	}
}

/* The values of lists: refs behind the others, chained in their links' place. */
static void
add_planned_lists(struct matcher *m, const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_used; i++) {
		const struct plan_field *f = &p->used[i];
		const uint16_t *slots = m->pool + f->slots;
		uint32_t n_refs, first;

		if (m->event->fields[f->field].value.kind != VALUE_LIST ||
		    m->event->fields[f->field].value.n == 1)
			continue;
		m->field_refs[f->field] = UINT32_MAX;
		first = refs_of(m, f->field, &n_refs);
		for (uint32_t k = 0; k < f->n; k++)
			chain_refs(m, slots[k], f->links + k,
			    (struct ref_range){ first, n_refs });
	}
}

/* The usual event: everything lies where the plan says. */
static bool
add_planned(struct matcher *m, const struct plan *p)
{
	bool lists;

	reserve(m, p);
	if (!add_planned_refs(m, p, &lists))
		return false;
	m->n_refs = p->n_used;
	for (uint32_t i = 0; i < p->n_used; i++)
		m->field_refs[p->used[i].field] = i;
	m->n_links = p->n_links;
	if (p->n_links > 0)
		memcpy(m->links, p->links, p->n_links * sizeof(m->links[0]));
	m->n_present = p->n_slots;
	for (uint32_t i = 0; i < p->n_slots; i++) {
		struct slot_state *s = &m->slots[p->slots[i].slot];

		*s = p->slots[i].state;
		s->epoch = m->epoch;
		m->present[i] = p->slots[i].slot;
	}
	if (lists)
		add_planned_lists(m, p);
	return true;
}

static void
add_one_by_one(struct matcher *m, const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_used; i++) {
		const struct plan_field *f = &p->used[i];
		const uint16_t *slots = m->pool + f->slots;
		uint32_t n_refs, first = refs_of(m, f->field, &n_refs);

		for (uint32_t k = 0; k < f->n; k++) {
			(void)touch_slot(m, slots[k]);
			for (uint32_t r = 0; r < n_refs; r++)
				link_ref(m, slots[k], first + r);
		}
	}
}

void
match_begin(struct matcher *m, const struct event *ev)
{
	arena_reset(m->arena);
	m->event = ev;
	m->n_refs = m->n_links = m->n_present = 0;
	m->n_keywords = 0;
	m->keywords_ready = false;
	m->joined = (struct slice){ NULL, 0 };
	if (ev->n > 0)
		memset(m->field_refs, 0xff, ev->n * sizeof(m->field_refs[0]));
	match_plan(m, ev);
	if (!add_planned(m, m->plan))
		add_one_by_one(m, m->plan);
	m->n_planned = m->n_present;
	add_derived(m);
	add_members(m);
}

/* ---- keywords ---------------------------------------------------------- */

static void
add_keyword_ref(struct matcher *m, uint32_t ref)
{
	if (m->n_keywords == m->cap_keywords) {
		m->cap_keywords =
		    m->cap_keywords == 0 ? 256 : 2 * m->cap_keywords;
		m->keyword_refs = xreallocarray(m->keyword_refs,
		    m->cap_keywords, sizeof(m->keyword_refs[0]));
		m->keyword_ends = xreallocarray(m->keyword_ends,
		    m->cap_keywords, sizeof(m->keyword_ends[0]));
	}
	m->keyword_refs[m->n_keywords++] = ref;
}

/* A line that is no JSON or XML: keywords are sought in it alone. */
static bool
is_text_line(struct slice line)
{
	size_t i = 0;

	while (i < line.len && line.ptr[i] == ' ')
		i++;
	return i < line.len && line.ptr[i] != '{' && line.ptr[i] != '<';
}

static void
add_keywords(struct matcher *m, uint32_t field)
{
	uint32_t n, first = refs_of(m, field, &n);

	for (uint32_t k = 0; k < n; k++)
		add_keyword_ref(m, first + k);
}

void
match_keywords(struct matcher *m)
{
	const struct event *ev = m->event;
	uint32_t original = m->plan->original;

	if (m->keywords_ready)
		return;
	m->keywords_ready = true;
	if (original != UINT32_MAX &&
	    ev->fields[original].value.kind == VALUE_STRING &&
	    is_text_line(ev->fields[original].value.s)) {
		add_keywords(m, original);
		return;
	}
	for (uint32_t i = 0; i < ev->n; i++)
		if (i != original)
			add_keywords(m, i);
}

/* ---- routing ----------------------------------------------------------- */

static bool
said_otherwise(struct slice said, struct slice wanted)
{
	if (said.len == 0 || wanted.len == 0)
		return false;
	return said.len != wanted.len || !starts_with(said, wanted);
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
	uint32_t at = m->slots[slot].first;

	if (ROUTE_KEY_MAX - *len < sizeof(slot) + 2)
		return false;
	memcpy(key + *len, &slot, sizeof(slot));
	*len += sizeof(slot);
	key[(*len)++] = at != 0 ? 1 : 2;
	if (routing == ROUTING_PRESENCE)
		return true;
	for (; at != 0; at = m->links[at - 1].next)
		if (!key_add_text(key, len,
			ref_raw(m, &m->refs[m->links[at - 1].ref])))
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
	for (uint32_t i = 0; ok && i < m->n_present; i++) {
		uint16_t slot = m->present[i];

		if (routing[slot] != ROUTING_NOTHING)
			ok = key_add_slot(m, key, &len, slot, routing[slot]);
	}
	return ok ? len : 0;
}

/* A new entry in the key's place, if the units fit. */
static void
keep_route(struct matcher *m, struct route_entry *e, uint32_t hash,
    struct slice key)
{
	e->number = ++m->n_routes;
	e->hash = hash;
	e->key_len = (uint16_t)key.len;
	memcpy(e->key, key.ptr, key.len);
	e->n_units = (uint16_t)m->n_units;
	for (uint32_t i = 0; i < m->n_units; i++)
		e->units[i] = (uint16_t)m->units[i];
}

void
match_route(struct matcher *m, const struct logsource *ls)
{
	char text[ROUTE_KEY_MAX];
	struct slice key = { text, route_key(m, ls, text) };
	uint32_t hash = program_hash(key);
	struct route_entry *e = &m->routes[hash % ROUTE_CACHE];

	if (key.len > 0 && e->hash == hash && e->key_len == key.len &&
	    memcmp(e->key, key.ptr, key.len) == 0) {
		m->n_units = e->n_units;
		for (uint32_t i = 0; i < e->n_units; i++)
			m->units[i] = e->units[i];
	} else {
		find_units(m, ls);
		if (key.len == 0 || m->n_units > ROUTE_UNITS_MAX)
			return;
		keep_route(m, e, hash, key);
	}
	match_plan_route(m, e);
}
