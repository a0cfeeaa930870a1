/* SPDX-License-Identifier: Apache-2.0 */
/* An event as rules see it: its fields by slot, and the units it belongs to. */
#include <stdlib.h>

#include "match.h"
#include "timestamp.h"
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

static const uint16_t *
slots_of(struct matcher *m, uint32_t field, uint32_t *n)
{
	uint32_t at;

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
	at = m->field_slots[field] - 1;
	*n = m->pool[at];
	return m->pool + at + 1;
}

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

static void
link_ref(struct matcher *m, uint16_t slot, uint32_t ref)
{
	struct slot_state *s = touch_slot(m, slot);

	if (m->n_links == m->cap_links) {
		m->cap_links = m->cap_links == 0 ? 256 : 2 * m->cap_links;
		m->links =
		    xreallocarray(m->links, m->cap_links, sizeof(m->links[0]));
	}
	m->links[m->n_links++] = (struct link){ ref, 0 };
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
	for (uint32_t i = 0; i < ev->n; i++) {
		uint32_t n, first, n_refs;
		const uint16_t *slots = slots_of(m, ev->fields[i].id, &n);

		if (n == 0)
			continue;
		first = refs_of(m, i, &n_refs);
		for (uint32_t k = 0; k < n; k++) {
			(void)touch_slot(m, slots[k]);
			for (uint32_t r = 0; r < n_refs; r++)
				link_ref(m, slots[k], first + r);
		}
	}
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

void
match_keywords(struct matcher *m)
{
	const struct event *ev = m->event;
	bool text = is_text_line(event_get_string(ev, FIELD_EVENT_ORIGINAL));

	if (m->keywords_ready)
		return;
	m->keywords_ready = true;
	for (uint32_t i = 0; i < ev->n; i++) {
		bool original = ev->fields[i].id == FIELD_EVENT_ORIGINAL;
		uint32_t n, first;

		if (original != text)
			continue;
		first = refs_of(m, i, &n);
		for (uint32_t k = 0; k < n; k++)
			add_keyword_ref(m, first + k);
	}
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
key_add(char *key, size_t *len, const void *bytes, size_t n)
{
	if (n > ROUTE_KEY_MAX - *len)
		return false;
	if (n > 0)
		memcpy(key + *len, bytes, n);
	*len += n;
	return true;
}

static bool
key_add_text(char *key, size_t *len, struct slice s)
{
	uint8_t n = (uint8_t)s.len;

	return s.len < KEY_END && key_add(key, len, &n, 1) &&
	    key_add(key, len, s.ptr, s.len);
}

/* Whether the slot is there, null or not, and its values if they decide. */
static bool
key_add_slot(struct matcher *m, char *key, size_t *len, uint16_t slot,
    enum routing routing)
{
	static const uint8_t end = KEY_END;
	uint32_t at = m->slots[slot].first;
	bool ok = key_add(key, len, &slot, sizeof(slot)) &&
	    key_add(key, len, at != 0 ? "\1" : "\2", 1);

	if (routing == ROUTING_PRESENCE)
		return ok;
	for (; ok && at != 0; at = m->links[at - 1].next)
		ok = key_add_text(key, len,
		    ref_raw(m, &m->refs[m->links[at - 1].ref]));
	return ok && key_add(key, len, &end, 1);
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
	bool ok = key_add(key, &len, ls != NULL ? "\1" : "\2", 1);

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

void
match_route(struct matcher *m, const struct logsource *ls)
{
	char key[ROUTE_KEY_MAX];
	size_t len = route_key(m, ls, key);
	uint32_t hash = program_hash((struct slice){ key, len });
	struct route_entry *e = &m->routes[hash % ROUTE_CACHE];

	if (len > 0 && e->hash == hash && e->key_len == len &&
	    memcmp(e->key, key, len) == 0) {
		m->n_units = e->n_units;
		for (uint32_t i = 0; i < e->n_units; i++)
			m->units[i] = e->units[i];
		return;
	}
	find_units(m, ls);
	if (len == 0 || m->n_units > ROUTE_UNITS_MAX)
		return;
	e->hash = hash;
	e->key_len = (uint16_t)len;
	memcpy(e->key, key, len);
	e->n_units = (uint16_t)m->n_units;
	for (uint32_t i = 0; i < m->n_units; i++)
		e->units[i] = (uint16_t)m->units[i];
}
