/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate_state.h"

#include <stdlib.h>

#include "xalloc.h"

enum { MAP_MIN = 64, MAP_LARGE = 1024 };

/*
 * What a window of hits holds, kept while hits enter and leave.
 *
 * temporal_ordered keeps for each slot the latest start of a chain of slots 0,
 * 1, ... up to it: chains only ever get better, so nothing has to leave.
 */
struct corr_window {
	uint32_t distinct; /* values, or slots */
	uint32_t present;  /* slots, as bits */
	uint32_t slot_n[CORR_SLOTS_MAX];
	int64_t chain_ns[CORR_SLOTS_MAX];
	uint32_t *values; /* open addressing, INTERN_NONE: free */
	uint32_t *counts;
	uint32_t mask, used;
};

static uint32_t
place(const struct corr_window *w, uint32_t value)
{
	uint32_t at = (value * UINT32_C(2654435769)) & w->mask;

	while (w->values[at] != value && w->values[at] != INTERN_NONE)
		at = (at + 1) & w->mask;
	return at;
}

/* Values whose count fell to 0 stay until here. */
static void
rehash(struct corr_window *w)
{
	uint32_t n = w->mask + 1, size = MAP_MIN;
	uint32_t *values = w->values, *counts = w->counts;

	while (size < 4 * (w->distinct + 1))
		size *= 2;
	w->values = xcalloc(size, sizeof(*w->values));
	w->counts = xcalloc(size, sizeof(*w->counts));
	memset(w->values, 0xff, size * sizeof(*w->values));
	w->mask = size - 1;
	w->used = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at;

		if (w->distinct == 0 || values[i] == INTERN_NONE ||
		    counts[i] == 0)
			continue;
		at = place(w, values[i]);
		w->values[at] = values[i];
		w->counts[at] = counts[i];
		w->used++;
	}
	free(values);
	free(counts);
}

struct corr_window *
corr_window_new(void)
{
	struct corr_window *w = xzalloc(sizeof(*w));

	w->mask = MAP_MIN - 1;
	w->values = xcalloc(MAP_MIN, sizeof(*w->values));
	w->counts = xcalloc(MAP_MIN, sizeof(*w->counts));
	corr_window_clear(w);
	return w;
}

void
corr_window_free(struct corr_window *w)
{
	if (w == NULL)
		return;
	free(w->values);
	free(w->counts);
	free(w);
}

void
corr_window_clear(struct corr_window *w)
{
	w->distinct = 0;
	w->present = 0;
	w->used = 0;
	memset(w->slot_n, 0, sizeof(w->slot_n));
	for (uint32_t i = 0; i < CORR_SLOTS_MAX; i++)
		w->chain_ns[i] = INT64_MIN;
	if (w->mask >= MAP_LARGE)
		rehash(w); /* nothing is in it: to the least size */
	memset(w->values, 0xff, (w->mask + 1) * sizeof(*w->values));
}

static void
add_value(struct corr_window *w, uint32_t value)
{
	uint32_t at = place(w, value);

	if (w->values[at] == INTERN_NONE) {
		if (2 * (w->used + 1) > w->mask) {
			rehash(w);
			at = place(w, value);
		}
		w->values[at] = value;
		w->counts[at] = 0;
		w->used++;
	}
	if (w->counts[at]++ == 0)
		w->distinct++;
}

static void
remove_value(struct corr_window *w, uint32_t value)
{
	uint32_t at = place(w, value);

	if (w->values[at] == value && --w->counts[at] == 0)
		w->distinct--;
}

static void
add_slots(struct corr_window *w, uint32_t slots)
{
	for (uint32_t i = 0; slots >> i != 0; i++)
		if ((slots >> i & 1) != 0 && w->slot_n[i]++ == 0) {
			w->present |= UINT32_C(1) << i;
			w->distinct++;
		}
}

static void
remove_slots(struct corr_window *w, uint32_t slots)
{
	for (uint32_t i = 0; slots >> i != 0; i++)
		if ((slots >> i & 1) != 0 && --w->slot_n[i] == 0) {
			w->present &= ~(UINT32_C(1) << i);
			w->distinct--;
		}
}

/* From the last slot down: one event is not two steps of a chain. */
static void
add_chain(struct corr_window *w, const struct corr_hit *h)
{
	for (uint32_t i = CORR_SLOTS_MAX; i-- > 0;) {
		if ((h->slots >> i & 1) == 0)
			continue;
		if (i == 0)
			w->chain_ns[0] = h->time_ns;
		else if (w->chain_ns[i - 1] > w->chain_ns[i])
			w->chain_ns[i] = w->chain_ns[i - 1];
	}
}

void
corr_window_add(struct corr_window *w, const struct corr_rule *r,
    const struct corr_hit *h)
{
	if (r->def->type == CORRELATION_VALUE_COUNT) {
		add_value(w, h->value);
	} else if (r->def->type == CORRELATION_TEMPORAL ||
	    r->def->type == CORRELATION_TEMPORAL_ORDERED) {
		add_slots(w, h->slots);
		add_chain(w, h);
	}
}

void
corr_window_remove(struct corr_window *w, const struct corr_rule *r,
    const struct corr_hit *h)
{
	if (r->def->type == CORRELATION_VALUE_COUNT)
		remove_value(w, h->value);
	else if (r->def->type == CORRELATION_TEMPORAL ||
	    r->def->type == CORRELATION_TEMPORAL_ORDERED)
		remove_slots(w, h->slots);
}

static bool
compare(const struct correlation_bound *b, double x)
{
	switch (b->op) {
	case OP_EQ:
		return x == b->value;
	case OP_NEQ:
		return x != b->value;
	case OP_GT:
		return x > b->value;
	case OP_GTE:
		return x >= b->value;
	case OP_LT:
		return x < b->value;
	default:
		return x <= b->value;
	}
}

static bool
within_bounds(const struct sigma_correlation *def, double x)
{
	for (uint32_t i = 0; i < def->n_bounds; i++)
		if (!compare(&def->bounds[i], x))
			return false;
	return true;
}

/* The depth of the tree is bounded by the parser. */
static bool
node_holds(const struct sigma_node *node, uint32_t present)
{
	uint32_t n = 0;

	if (node->kind == NODE_LEAF)
		return node->index < CORR_SLOTS_MAX &&
		    (present >> node->index & 1) != 0;
	for (uint32_t i = 0; i < node->n; i++)
		n += node_holds(node->children[i], present) ? 1 : 0;
	switch (node->kind) {
	case NODE_NOT:
		return n == 0;
	case NODE_AND:
		return n == node->n;
	case NODE_OR:
		return n > 0;
	default:
		return n >= node->index;
	}
}

static bool
temporal_holds(const struct corr_window *w, const struct corr_rule *r,
    int64_t begin_ns)
{
	const struct sigma_correlation *def = r->def;

	if (def->extended != NULL)
		return node_holds(def->extended, w->present);
	if (def->type == CORRELATION_TEMPORAL)
		return def->n_bounds > 0 ? within_bounds(def, w->distinct)
					 : w->distinct == def->n_rules;
	if (def->n_bounds > 0) {
		/* the longest chain from the first rule on */
		uint32_t n = 0;

		while (n < def->n_rules && n < CORR_SLOTS_MAX &&
		    w->chain_ns[n] > begin_ns)
			n++;
		return within_bounds(def, n);
	}
	return def->n_rules <= CORR_SLOTS_MAX &&
	    w->chain_ns[def->n_rules - 1] > begin_ns;
}

bool
corr_window_holds(const struct corr_window *w, const struct corr_rule *r,
    uint32_t n, int64_t begin_ns)
{
	switch (r->def->type) {
	case CORRELATION_EVENT_COUNT:
		return within_bounds(r->def, n);
	case CORRELATION_VALUE_COUNT:
		return within_bounds(r->def, w->distinct);
	default:
		return temporal_holds(w, r, begin_ns);
	}
}

/* ---- aggregates: of the window as a whole, so that no rounding depends on
 * the way it was reached -------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Linear between the two nearest ranks; the median of an even number of values
 * is the middle of the two in the middle. */
static double
percentile(double *x, uint32_t n, double percent)
{
	double rank = percent / 100 * (n - 1);
	uint32_t low = (uint32_t)rank;

	qsort(x, n, sizeof(*x), by_number);
	if (low + 1 >= n)
		return x[n - 1];
	return x[low] + (rank - low) * (x[low + 1] - x[low]);
}

static bool
aggregate_holds(struct correlator *c, const struct corr_group *g, uint32_t from,
    uint32_t to)
{
	const struct sigma_correlation *def = corr_rule_of(c, g)->def;
	const struct corr_hit *hits = corr_hits(g);
	uint32_t n = to - from;
	double sum = 0;

	if (n == 0)
		return false;
	if (n > c->cap_numbers) {
		c->cap_numbers = n < 64 ? 64 : 2 * n;
		c->numbers = xreallocarray(c->numbers, c->cap_numbers,
		    sizeof(*c->numbers));
	}
	for (uint32_t i = 0; i < n; i++) {
		struct slice s = intern_text(&c->values, hits[from + i].value);

		memcpy(&c->numbers[i], s.ptr, sizeof(*c->numbers));
		sum += c->numbers[i];
	}
	switch (def->type) {
	case CORRELATION_VALUE_SUM:
		return within_bounds(def, sum);
	case CORRELATION_VALUE_AVG:
		return within_bounds(def, sum / n);
	case CORRELATION_VALUE_PERCENTILE:
		return within_bounds(def,
		    percentile(c->numbers, n, def->percentile));
	default:
		return within_bounds(def, percentile(c->numbers, n, 50));
	}
}

bool
corr_holds(struct correlator *c, const struct corr_group *g, uint32_t from,
    uint32_t to)
{
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *hits = corr_hits(g);

	if (r->scalar_values)
		return aggregate_holds(c, g, from, to);
	if (r->def->type == CORRELATION_EVENT_COUNT)
		return corr_window_holds(c->scratch, r, to - from, 0);
	corr_window_clear(c->scratch);
	for (uint32_t i = from; i < to; i++)
		corr_window_add(c->scratch, r, &hits[i]);
	return corr_window_holds(c->scratch, r, to - from, INT64_MIN);
}
