/* SPDX-License-Identifier: Apache-2.0 */
/* What an event has in a field, by the taxonomy's words. */
#include <stdlib.h>

#include "derived.h"
#include "explain_engine.h"
#include "taxonomy_state.h"
#include "timestamp.h"
#include "xalloc.h"

/* ---- names ------------------------------------------------------------- */

static struct explain_field *
new_field(struct explainer *x, struct slice folded)
{
	struct explain_field *f = arena_alloc(x->forever, sizeof(*f));
	uint32_t n;
	const struct slice *names =
	    taxonomy_names(x->rules->taxonomy, folded, &n);

	*f = (struct explain_field){ .n_names = n + 1 };
	f->names = arena_alloc(x->forever, (n + 1) * sizeof(f->names[0]));
	f->names[0] = folded;
	for (uint32_t i = 0; i < n; i++)
		f->names[i + 1] = taxonomy_fold(x->forever, names[i]);
	(void)taxonomy_derived(x->rules->taxonomy, folded, &f->from, &f->key);
	if (x->n_fields == x->cap_fields) {
		x->cap_fields = x->cap_fields == 0 ? 64 : 2 * x->cap_fields;
		x->fields =
		    xreallocarray(x->fields, x->cap_fields, sizeof(void *));
	}
	x->fields[x->n_fields++] = f;
	return f;
}

static bool
is_name(const struct explain_field *f, struct slice name)
{
	for (uint32_t i = 0; i < f->n_names; i++)
		if (slice_eq(f->names[i], name))
			return true;
	return false;
}

/* "provider.#attributes.name" -> "provider_name", of event XML */
static struct slice
without_attributes(struct arena *arena, struct slice name)
{
	static const struct slice mark = SLICE_INIT(".#attributes.");
	const char *at = memmem(name.ptr, name.len, mark.ptr, mark.len);
	size_t head, tail;
	char *out;

	if (at == NULL)
		return name;
	head = (size_t)(at - name.ptr);
	tail = name.len - head - mark.len;
	out = arena_alloc(arena, head + 1 + tail);
	memcpy(out, name.ptr, head);
	out[head] = '_';
	memcpy(out + head + 1, at + mark.len, tail);
	return (struct slice){ out, head + 1 + tail };
}

/* How many bytes of `name` are like `prefix`, "*" being one part; 0: none. */
static size_t
prefix_length(struct slice name, struct slice prefix)
{
	size_t at = 0;

	for (size_t i = 0; i < prefix.len; i++) {
		if (prefix.ptr[i] == '*') {
			while (at < name.len && name.ptr[at] != '.')
				at++;
			continue;
		}
		if (at == name.len || name.ptr[at] != prefix.ptr[i])
			return 0;
		at++;
	}
	return at;
}

/* Whether a field of the event is what rules call `f`. */
static bool
is_meant(struct explainer *x, const struct explain_field *f, uint32_t id)
{
	struct slice name = field_name(field_folded(id));
	uint32_t n;
	const struct slice *prefixes =
	    taxonomy_prefixes(x->rules->taxonomy, &n);

	if (is_name(f, name))
		return true;
	for (uint32_t i = 0; i < n; i++) {
		size_t len = prefix_length(name, prefixes[i]);
		struct slice rest;

		if (len == 0 || len + 1 >= name.len || name.ptr[len] != '.')
			continue;
		rest = (struct slice){ name.ptr + len + 1, name.len - len - 1 };
		if (is_name(f, without_attributes(x->now, rest)))
			return true;
	}
	return false;
}

/* ---- values ------------------------------------------------------------ */

static void
see(struct explainer *x, struct explain_field *f, struct slice name,
    struct ref ref)
{
	struct slice text = ref_raw(&x->values, &ref);

	if (f->n == f->cap) {
		uint32_t cap = f->cap == 0 ? 4 : 2 * f->cap;
		struct ref *refs =
		    arena_alloc(x->now, cap * sizeof(f->refs[0]));
		struct explain_seen *seen =
		    arena_alloc(x->now, cap * sizeof(f->seen[0]));

		if (f->n > 0) {
			memcpy(refs, f->refs, f->n * sizeof(refs[0]));
			memcpy(seen, f->seen, f->n * sizeof(seen[0]));
		}
		f->refs = refs;
		f->seen = seen;
		f->cap = cap;
	}
	f->refs[f->n] = ref;
	f->seen[f->n++] = (struct explain_seen){ name, text };
}

/* Every scalar that is not null. */
static void
see_value(struct explainer *x, struct explain_field *f, uint32_t at)
{
	const struct field *field = &x->event->fields[at];
	const struct value *v = &field->value;
	bool list = v->kind == VALUE_LIST;
	uint32_t n = list ? v->n : 1;

	for (uint32_t i = 0; i < n; i++) {
		const struct value *one = list ? &v->list[i] : v;

		if (one->kind != VALUE_NULL)
			see(x, f, field_name(field->id),
			    (struct ref){ .value = one });
	}
}

static void
see_derived(struct explainer *x, struct explain_field *f)
{
	struct explain_field *from = explain_field(x, f->from);

	for (uint32_t i = 0; i < from->n; i++) {
		struct slice v = derived_member(from->seen[i].text, f->key);

		if (v.ptr == NULL)
			continue;
		f->present = true;
		see(x, f, from->seen[i].field, (struct ref){ .raw = v });
	}
}

/* Time and identity are members of an event, not fields. */
static void
see_members(struct explainer *x, struct explain_field *f)
{
	struct slice text = SLICE("");

	if (f->present)
		return;
	if (slice_eq(f->names[0], SLICE("@timestamp")))
		text = timestamp_format(x->event->time_ns,
		    arena_alloc(x->now, TIMESTAMP_TEXT_MAX));
	else if (slice_eq(f->names[0], SLICE("event.id")))
		text = event_id_text(x->event);
	if (text.len == 0)
		return;
	f->present = true;
	see(x, f, f->names[0], (struct ref){ .raw = text });
}

/*
 * Keywords are sought in the line where that is text, else in every field but
 * the line.
 */
static void
see_keywords(struct explainer *x, struct explain_field *f)
{
	const struct event *ev = x->event;
	struct slice line = event_get_string(ev, FIELD_EVENT_ORIGINAL);
	size_t i = 0;
	bool text;

	while (i < line.len && line.ptr[i] == ' ')
		i++;
	text = i < line.len && line.ptr[i] != '{' && line.ptr[i] != '<';
	for (uint32_t k = 0; k < ev->n; k++)
		if ((ev->fields[k].id == FIELD_EVENT_ORIGINAL) == text)
			see_value(x, f, k);
	f->present = f->n > 0;
}

static void
look(struct explainer *x, struct explain_field *f)
{
	f->epoch = x->epoch;
	f->present = false;
	f->refs = NULL;
	f->seen = NULL;
	f->n = f->cap = 0;
	if (f->names[0].len == 0) {
		see_keywords(x, f);
		return;
	}
	for (uint32_t i = 0; i < x->event->n; i++) {
		if (!is_meant(x, f, x->event->fields[i].id))
			continue;
		f->present = true;
		see_value(x, f, i);
	}
	if (f->from.ptr != NULL)
		see_derived(x, f);
	see_members(x, f);
}

struct explain_field *
explain_field(struct explainer *x, struct slice name)
{
	struct slice folded =
	    name.len > 0 ? taxonomy_fold(x->now, name) : SLICE("");
	bool is_new;
	uint32_t at = *byte_map_at(&x->map, folded, &is_new);
	struct explain_field *f;

	if (is_new) {
		(void)new_field(x, arena_copy(x->forever, folded));
		at = x->n_fields;
		*byte_map_at(&x->map, folded, &is_new) = at;
	}
	f = x->fields[at - 1];
	if (f->epoch != x->epoch)
		look(x, f);
	return f;
}
