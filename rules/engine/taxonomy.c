/* SPDX-License-Identifier: Apache-2.0 */
#include "taxonomy.h"

#include <stdlib.h>

#include "near.h"
#include "serial.h"
#include "taxonomy_state.h"
#include "xalloc.h"

enum { NEAR_MAX = 3 /* letters that may be wrong */ };

struct slice
taxonomy_fold(struct arena *arena, struct slice name)
{
	struct buf b;
	struct slice folded;

	buf_init(&b, FIELD_NAME_MAX + 1);
	serial_field(&b, name);
	folded = arena_copy(arena,
	    (struct slice){ b.ptr, b.len > 0 ? b.len - 1 : 0 });
	buf_fini(&b);
	return folded;
}

static bool
covers(const struct entry *e, const struct sigma_logsource *ls)
{
	for (unsigned i = 0; i < 3; i++)
		if ((e->parts & 1u << i) != 0 &&
		    !slice_eq(taxonomy_part(&e->ls, i), taxonomy_part(ls, i)))
			return false;
	return true;
}

/* The entry that covers most of `missing`; ties go to the later one. */
static const struct entry *
best_entry(const struct taxonomy *t, const struct sigma_logsource *ls,
    unsigned missing)
{
	const struct entry *best = NULL;
	int most = 0;

	for (uint32_t i = 0; i < t->n_entries; i++) {
		const struct entry *e = &t->entries[i];
		int n = __builtin_popcount(e->parts);

		if ((e->parts & missing) != 0 && n >= most && covers(e, ls)) {
			best = e;
			most = n;
		}
	}
	return best;
}

/* The generic condition of a part, or NULL. */
static const struct sigma_selection *
generic_where(struct taxonomy *t, unsigned part, struct slice value)
{
	struct sigma_selection *s = arena_alloc(t->arena, sizeof(*s));
	char *name = xstrdup("value");
	char *text = xmemdupz(value.ptr, value.len);
	struct conf_map map = { .names = &name, .values = &text, .n = 1 };
	struct rule_parser p = { .arena = t->arena, .placeholders = &map };
	bool ok = t->generic[part] != NULL &&
	    parse_selection(&p, SLICE("generic"), t->generic[part], s);

	free(name);
	free(text);
	return ok ? s : NULL;
}

uint32_t
taxonomy_route(struct taxonomy *t, const struct sigma_logsource *ls,
    struct taxonomy_term terms[TAXONOMY_TERMS_MAX])
{
	static const struct sigma_selection never = { .n = 0 };
	unsigned missing = taxonomy_parts(ls);
	uint32_t n = 0;

	while (missing != 0) {
		const struct entry *e = best_entry(t, ls, missing);
		unsigned part = (unsigned)__builtin_ctz(missing);

		if (e != NULL) {
			terms[n++] =
			    (struct taxonomy_term){ e->parts, &e->where };
			missing &= ~e->parts;
			continue;
		}
		terms[n] = (struct taxonomy_term){ 1u << part,
			generic_where(t, part, taxonomy_part(ls, part)) };
		if (terms[n].where == NULL)
			terms[n].where = &never;
		n++;
		missing &= ~(1u << part);
	}
	return n;
}

const struct slice *
taxonomy_names(const struct taxonomy *t, struct slice field, uint32_t *n)
{
	struct slice folded = taxonomy_fold(t->arena, field);

	*n = 0;
	for (uint32_t i = 0; i < t->n_fields; i++) {
		if (slice_eq(t->fields[i].folded, folded)) {
			*n = t->fields[i].n;
			return t->fields[i].names;
		}
	}
	return NULL;
}

const struct conf_map *
taxonomy_placeholders(const struct taxonomy *t)
{
	return &t->placeholders;
}

const struct slice *
taxonomy_prefixes_written(const struct taxonomy *t)
{
	return t->prefixes_written;
}

const struct slice *
taxonomy_prefixes(const struct taxonomy *t, uint32_t *n)
{
	*n = t->n_prefixes;
	return t->prefixes;
}

bool
taxonomy_derived(const struct taxonomy *t, struct slice field,
    struct slice *from, struct slice *key)
{
	struct slice folded = taxonomy_fold(t->arena, field);

	for (uint32_t i = 0; i < t->n_derived; i++) {
		if (!slice_eq(t->derived[i].folded, folded))
			continue;
		*from = t->derived[i].from;
		*key = t->derived[i].key;
		return true;
	}
	return false;
}

bool
taxonomy_is_complete(const struct taxonomy *t, const struct sigma_logsource *ls)
{
	for (uint32_t i = 0; i < t->n_sets; i++)
		if (t->sets[i].complete && covers(&t->sets[i].of, ls) &&
		    t->sets[i].of.parts == taxonomy_parts(ls))
			return true;
	return false;
}

struct slice
taxonomy_near_part(const struct taxonomy *t, const struct sigma_logsource *ls,
    unsigned part)
{
	struct slice value = taxonomy_part(ls, part);
	struct slice *known =
	    arena_alloc(t->arena, (t->n_entries + 1) * sizeof(*known));
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n_entries; i++) {
		known[n] = taxonomy_part(&t->entries[i].ls, part);
		if (slice_eq(known[n], value))
			return SLICE("");
		n += known[n].len > 0 ? 1 : 0;
	}
	return near_of(value, known, n);
}

static bool
in_sets(const struct taxonomy *t, const struct sigma_logsource *ls,
    struct slice folded)
{
	for (uint32_t i = 0; i < t->n_sets; i++) {
		const struct field_set *set = &t->sets[i];

		if (!covers(&set->of, ls))
			continue;
		for (uint32_t k = 0; k < set->n; k++)
			if (slice_eq(set->fields[k], folded))
				return true;
	}
	return false;
}

bool
taxonomy_has_field(const struct taxonomy *t, const struct sigma_logsource *ls,
    struct slice field)
{
	struct slice from, key;

	return in_sets(t, ls, taxonomy_fold(t->arena, field)) ||
	    (taxonomy_derived(t, field, &from, &key) &&
		in_sets(t, ls, taxonomy_fold(t->arena, from)));
}

struct slice
taxonomy_near_field(const struct taxonomy *t, const struct sigma_logsource *ls,
    struct slice field)
{
	struct slice folded = taxonomy_fold(t->arena, field), best = SLICE("");
	unsigned least = NEAR_MAX + 1;

	for (uint32_t i = 0; i < t->n_sets; i++) {
		const struct field_set *set = &t->sets[i];

		for (uint32_t k = 0; covers(&set->of, ls) && k < set->n; k++) {
			unsigned d = near_distance(set->fields[k], folded);

			if (d < least && d < folded.len / 2) {
				least = d;
				best = set->names[k];
			}
		}
	}
	return best;
}
