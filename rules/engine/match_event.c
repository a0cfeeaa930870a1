/* SPDX-License-Identifier: Apache-2.0 */
/* An event as rules see it: its fields by slot. */
#include <stdlib.h>

#include "match.h"
#include "timestamp.h"
#include "xalloc.h"

/* ---- values ------------------------------------------------------------ */

/* Room for so many; new ones are of no event. */
static void
reserve_refs(struct matcher *m, uint32_t n)
{
	uint32_t cap = m->cap_refs == 0 ? 256 : m->cap_refs;

	if (n <= m->cap_refs)
		return;
	while (cap < n)
		cap *= 2;
	m->refs = xreallocarray(m->refs, cap, sizeof(m->refs[0]));
	memset(m->refs + m->cap_refs, 0,
	    (cap - m->cap_refs) * sizeof(m->refs[0]));
	m->cap_refs = cap;
}

static uint32_t
add_ref(struct matcher *m, const struct value *v, struct slice raw)
{
	reserve_refs(m, m->n_refs + 1);
	m->refs[m->n_refs] =
	    (struct ref){ .epoch = m->epoch, .value = v, .raw = raw };
	return m->n_refs++;
}

/* Refs for each scalar of field `i`; the first, and how many. */
static uint32_t
add_refs(struct matcher *m, uint32_t i, uint32_t *n)
{
	static const struct slice none = { NULL, 0 };
	const struct value *v = &m->event->fields[i].value;
	bool list = v->kind == VALUE_LIST;
	const struct value *items = list ? v->list : v;
	uint32_t total = list ? v->n : 1, first = m->n_refs;

	for (uint32_t k = 0; k < total; k++)
		if (items[k].kind != VALUE_NULL)
			(void)add_ref(m, &items[k], none);
	*n = m->n_refs - first;
	return first;
}

void
match_make_ref(struct matcher *m, uint32_t ref)
{
	const struct value *v = match_planned_value(m, ref);
	struct ref *r = &m->refs[ref];

	r->epoch = m->epoch;
	r->value = v;
	r->raw.ptr = NULL;
	r->folded.ptr = NULL;
	if (v->kind == VALUE_STRING)
		r->raw = v->s;
}

/* The state of a slot, of this event's own. */
static struct slot_state *
touch_slot(struct matcher *m, uint16_t slot)
{
	struct slot_state *s = &m->slots[slot];
	uint16_t at;

	if (s->epoch == m->epoch)
		return s;
	at = m->as_planned ? m->plan->by_slot[slot] : 0;
	*s = at != 0 ? m->plan->slots[at - 1].state : (struct slot_state){ 0 };
	s->epoch = m->epoch;
	return s;
}

static void
reserve_links(struct matcher *m, uint32_t n)
{
	uint32_t cap = m->cap_links == 0 ? 256 : m->cap_links;

	if (n <= m->cap_links)
		return;
	while (cap < n)
		cap *= 2;
	m->own_links =
	    xreallocarray(m->own_links, cap, sizeof(m->own_links[0]));
	m->cap_links = cap;
}

/* Before they are changed: a plan's are everyone's. */
static void
take_links(struct matcher *m)
{
	if (m->links == m->own_links)
		return;
	reserve_links(m, m->n_links);
	if (m->n_links > 0)
		memcpy(m->own_links, m->links,
		    m->n_links * sizeof(m->own_links[0]));
	m->links = m->own_links;
}

/* A link to `ref` in no chain yet. */
static uint32_t
add_link(struct matcher *m, uint32_t ref)
{
	take_links(m);
	reserve_links(m, m->n_links + 1);
	m->links = m->own_links;
	m->own_links[m->n_links] = (struct link){ ref, 0 };
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
		m->own_links[s->last - 1].next = m->n_links;
	s->last = m->n_links;
}

/* ---- what is made of other things than fields -------------------------- */

/* A value of a slot; the slot is among `extras` if no field is. */
static void
add_extra(struct matcher *m, uint16_t slot, struct slice text)
{
	if (m->slots[slot].epoch != m->epoch && m->plan->by_slot[slot] == 0)
		m->extras[m->n_extras++] = slot;
	link_ref(m, slot, add_ref(m, NULL, text));
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
		    ascii_starts_with(one, key))
			return (struct slice){ one.ptr + key.len + 1,
				one.len - key.len - 1 };
		if (comma == NULL)
			break;
		s = (struct slice){ comma + 1, s.len - len - 1 };
	}
	return (struct slice){ NULL, 0 };
}

static void
add_derived(struct matcher *m, uint16_t derived)
{
	const struct slot *slot = &m->program->slots[derived];

	for (uint32_t at = match_first(m, slot->derived_from); at != 0;
	     at = m->links[at - 1].next) {
		struct slice v =
		    value_of_key(ref_raw(m, match_ref(m, m->links[at - 1].ref)),
			slot->derived_key);

		if (v.ptr != NULL)
			add_extra(m, derived, v);
	}
}

static bool
has_slot(const struct matcher *m, uint16_t slot)
{
	return m->slots[slot].epoch == m->epoch || m->plan->by_slot[slot] != 0;
}

/* What is a member of the event, not a field. */
static void
add_members(struct matcher *m)
{
	const struct program *p = m->program;
	struct slice s;

	if (p->timestamp != NO_SLOT && !has_slot(m, p->timestamp)) {
		s = timestamp_format(m->event->time_ns,
		    arena_alloc(m->arena, TIMESTAMP_TEXT_MAX));
		add_extra(m, p->timestamp, s);
	}
	if (p->event_id != NO_SLOT && !has_slot(m, p->event_id)) {
		s = event_id_text(m->event);
		if (s.len > 0)
			add_extra(m, p->event_id, s);
	}
}

void
match_extras(struct matcher *m)
{
	m->extras_ready = true;
	for (uint32_t i = 0; i < m->program->n_derived; i++)
		add_derived(m, m->program->derived[i]);
	add_members(m);
}

/* ---- the event --------------------------------------------------------- */

/* Whether a list has another number of values than items. */
static bool
has_null(const struct value *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (list->list[i].kind == VALUE_NULL)
			return true;
	return false;
}

/*
 * Whether each field that has slots is a scalar or a list of them, none null;
 * notes which are lists of more than one.
 */
static bool
is_usual(struct matcher *m, const struct plan *p)
{
	m->n_lists = 0;
	for (uint32_t i = 0; i < p->n_used; i++) {
		const struct value *v =
		    &m->event->fields[p->used[i].field].value;

		if (v->kind == VALUE_NULL)
			return false;
		if (v->kind != VALUE_LIST)
			continue;
		if (v->n == 0 || has_null(v))
			return false;
		if (v->n == 1)
			continue;
		if (m->n_lists == PLAN_LISTS)
			return false;
		m->lists[m->n_lists++] = (uint16_t)i;
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
	struct slot_state *s = touch_slot(m, slot);

	take_links(m);
	m->own_links[at].ref = refs.first;
	for (uint32_t i = 1; i < refs.n; i++) {
		uint32_t added = add_link(m, refs.first + i);

		m->own_links[added].next = m->own_links[at].next;
		m->own_links[at].next = added + 1;
		if (s->last == at + 1)
			s->last = added + 1;
		at = added;
	}
}

/* The values of lists: refs behind the others, chained in their links' place. */
static void
add_planned_lists(struct matcher *m, const struct plan *p)
{
	for (uint32_t i = 0; i < m->n_lists; i++) {
		const struct plan_field *f = &p->used[m->lists[i]];
		const uint16_t *slots = m->pool + f->slots;
		uint32_t n_refs, first = add_refs(m, f->field, &n_refs);

		for (uint32_t k = 0; k < f->n; k++)
			chain_refs(m, slots[k], f->links + k,
			    (struct ref_range){ first, n_refs });
	}
}

/* The usual event: everything lies where the plan says. */
static void
add_planned(struct matcher *m, const struct plan *p)
{
	reserve_refs(m, p->n_used);
	m->as_planned = true;
	m->n_refs = p->n_used;
	m->n_links = p->n_links;
	m->links = p->links;
}

static void
add_one_by_one(struct matcher *m, const struct plan *p)
{
	m->as_planned = false;
	m->n_refs = m->n_links = 0;
	m->links = m->own_links;
	for (uint32_t i = 0; i < p->n_used; i++) {
		const struct plan_field *f = &p->used[i];
		const uint16_t *slots = m->pool + f->slots;
		uint32_t n_refs, first = add_refs(m, f->field, &n_refs);

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
	m->n_extras = 0;
	m->extras_ready = !m->program->has_extras;
	m->keywords_ready = false;
	m->joined = (struct slice){ NULL, 0 };
	match_plan(m, ev);
	if (is_usual(m, m->plan)) {
		add_planned(m, m->plan);
		add_planned_lists(m, m->plan);
	} else {
		add_one_by_one(m, m->plan);
	}
}

/* ---- keywords ---------------------------------------------------------- */

static void
add_keyword(struct matcher *m, const struct value *v)
{
	struct keyword *k;

	if (v->kind == VALUE_NULL)
		return;
	if (m->n_keywords == m->cap_keywords) {
		m->cap_keywords =
		    m->cap_keywords == 0 ? 256 : 2 * m->cap_keywords;
		m->keywords = xreallocarray(m->keywords, m->cap_keywords,
		    sizeof(m->keywords[0]));
	}
	k = &m->keywords[m->n_keywords++];
	k->ref.value = v;
	k->ref.raw.ptr = NULL;
	k->ref.folded.ptr = NULL;
}

static void
add_keywords(struct matcher *m, const struct value *v)
{
	if (v->kind != VALUE_LIST) {
		add_keyword(m, v);
		return;
	}
	for (uint32_t i = 0; i < v->n; i++)
		add_keyword(m, &v->list[i]);
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

void
match_keywords(struct matcher *m)
{
	const struct event *ev = m->event;
	uint32_t original = m->plan->original;

	if (m->keywords_ready)
		return;
	m->keywords_ready = true;
	m->n_keywords = 0;
	if (original != UINT32_MAX &&
	    ev->fields[original].value.kind == VALUE_STRING &&
	    is_text_line(ev->fields[original].value.s)) {
		add_keyword(m, &ev->fields[original].value);
		return;
	}
	for (uint32_t i = 0; i < ev->n; i++)
		if (i != original)
			add_keywords(m, &ev->fields[i].value);
}
