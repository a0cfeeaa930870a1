/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: within a block each field's values become small codes, events are
 * counted by their combination, and each combination that occurred is added to
 * the groups of all blocks once.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "collector/search/codes.h"
#include "collector/search/evaluate.h"
#include "collector/search/sketch.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	GROUPS_MAX = 1 << 18,
	GROUP_BYTES_MAX = 128 << 20, /* keys and sketches of one answer */
	FIRST_SLOTS = 1024,
	ARENA_BLOCK = 256 * 1024,
	FLAT_MAX = 1 << 16, /* combinations counted in an array */
	BLOCK_GROUPS_FIRST = 256,
};

struct group {
	uint64_t hash;
	int64_t bucket_ns;
	struct value *key;
	uint64_t count;
	struct distinct distinct;
	struct percentiles measured;
	double sum;
};

/* A combination of codes in the block at hand. */
struct combination {
	uint64_t codes; /* 0 is free */
	uint64_t count;
	uint32_t group; /* its index in `groups`, + 1; 0: not looked up */
	bool other;     /* there is no room for it */
};

struct grouping {
	const struct search_groups *wanted;
	struct evaluation *evaluation;
	struct arena *arena; /* keys */
	struct group *groups;
	uint32_t n, cap;
	uint32_t *slots; /* index + 1; cap is a power of two */
	uint32_t n_slots;
	size_t sketch_bytes;
	uint64_t other;
	/* of the block at hand */
	struct codes by[SEARCH_BY_MAX + 1]; /* the last: the histogram */
	uint32_t n_by;
	struct combination *local;
	uint32_t n_local, cap_local;
	uint64_t *flat;
	const uint8_t *mask;
	uint32_t n_rows;
	struct store_block *block;
};

/* ---- the groups of all blocks ------------------------------------------------ */

static uint64_t
mix(uint64_t h, uint64_t v)
{
	unsigned __int128 p =
	    (unsigned __int128)(h ^ v) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static bool
same_key(const struct grouping *g, const struct group *a, int64_t bucket_ns,
    const struct value *key)
{
	if (a->bucket_ns != bucket_ns)
		return false;
	for (uint32_t i = 0; i < g->wanted->n_by; i++)
		if (!value_same(&a->key[i], &key[i]))
			return false;
	return true;
}

static void
grow_slots(struct grouping *g)
{
	uint32_t n = g->n_slots > 0 ? 2 * g->n_slots : FIRST_SLOTS;

	free(g->slots);
	g->slots = xcalloc(n, sizeof(g->slots[0]));
	g->n_slots = n;
	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t at = (uint32_t)g->groups[i].hash & (n - 1);

		while (g->slots[at] != 0)
			at = (at + 1) & (n - 1);
		g->slots[at] = i + 1;
	}
}

static struct group *
add_group(struct grouping *g, uint64_t hash, int64_t bucket_ns,
    const struct value *key)
{
	struct group *x;
	uint32_t n_by = g->wanted->n_by;

	if (g->n == GROUPS_MAX ||
	    arena_used(g->arena) + g->sketch_bytes > GROUP_BYTES_MAX)
		return NULL;
	if (g->n == g->cap) {
		g->cap = g->cap > 0 ? 2 * g->cap : FIRST_SLOTS / 2;
		g->groups =
		    xreallocarray(g->groups, g->cap, sizeof(g->groups[0]));
	}
	x = &g->groups[g->n++];
	*x = (struct group){ .hash = hash, .bucket_ns = bucket_ns };
	x->key = arena_alloc(g->arena, (n_by + 1) * sizeof(x->key[0]));
	for (uint32_t i = 0; i < n_by; i++)
		x->key[i] = value_copy(g->arena, &key[i]);
	return x;
}

/* NULL: there is no room for one more. */
static struct group *
find_group(struct grouping *g, int64_t bucket_ns, const struct value *key)
{
	uint64_t hash = mix(0, (uint64_t)bucket_ns);
	struct group *x;
	uint32_t at;

	for (uint32_t i = 0; i < g->wanted->n_by; i++)
		hash = mix(hash, value_hash(&key[i]));
	if (2 * g->n >= g->n_slots)
		grow_slots(g);
	at = (uint32_t)hash & (g->n_slots - 1);
	for (; g->slots[at] != 0; at = (at + 1) & (g->n_slots - 1)) {
		x = &g->groups[g->slots[at] - 1];
		if (x->hash == hash && same_key(g, x, bucket_ns, key))
			return x;
	}
	x = add_group(g, hash, bucket_ns, key);
	if (x != NULL)
		g->slots[at] = g->n;
	return x;
}

/* ---- the combinations of one block ------------------------------------------- */

static void
grow_local(struct grouping *g)
{
	uint32_t cap = g->cap_local > 0 ? 2 * g->cap_local : BLOCK_GROUPS_FIRST;
	struct combination *list = xcalloc(cap, sizeof(list[0]));

	for (uint32_t i = 0; i < g->cap_local; i++) {
		uint32_t at;

		if (g->local[i].codes == 0)
			continue;
		at = (uint32_t)mix(0, g->local[i].codes) & (cap - 1);
		while (list[at].codes != 0)
			at = (at + 1) & (cap - 1);
		list[at] = g->local[i];
	}
	free(g->local);
	g->local = list;
	g->cap_local = cap;
}

static struct combination *
combination(struct grouping *g, uint64_t codes)
{
	uint32_t at;

	if (2 * g->n_local >= g->cap_local)
		grow_local(g);
	at = (uint32_t)mix(0, codes) & (g->cap_local - 1);
	while (g->local[at].codes != 0) {
		if (g->local[at].codes == codes)
			return &g->local[at];
		at = (at + 1) & (g->cap_local - 1);
	}
	g->n_local++;
	g->local[at] = (struct combination){ .codes = codes };
	return &g->local[at];
}

/* The group of a combination; NULL: no room. */
static struct group *
group_of(struct grouping *g, struct combination *c)
{
	struct value key[SEARCH_BY_MAX];
	uint64_t codes = c->codes - 1;
	int64_t bucket_ns = 0;
	struct group *x;

	if (c->group > 0)
		return &g->groups[c->group - 1];
	if (c->other)
		return NULL;
	for (uint32_t i = 0; i < g->n_by; i++) {
		uint32_t code = (uint32_t)(codes % g->by[i].n_values);

		codes /= g->by[i].n_values;
		if (i < g->wanted->n_by)
			key[i] = g->by[i].values[code];
		else
			bucket_ns = g->by[i].values[code].i;
	}
	x = find_group(g, bucket_ns, key);
	c->other = x == NULL;
	if (x != NULL)
		c->group = (uint32_t)(x - g->groups) + 1;
	return x;
}

static void
measure(struct grouping *g, struct group *x, uint32_t row, struct codes *extra)
{
	uint32_t n;
	const uint32_t *codes;

	if (g->wanted->distinct != FIELD_NONE) {
		codes = codes_at(&extra[0], row, &n);
		for (uint32_t i = 0; i < n; i++)
			g->sketch_bytes += distinct_add(&x->distinct,
			    value_hash(&extra[0].values[codes[i]]));
	}
	if (g->wanted->measure != FIELD_NONE) {
		codes = codes_at(&extra[1], row, &n);
		for (uint32_t i = 0; i < n; i++) {
			double v;

			if (!value_number(&extra[1].values[codes[i]], &v))
				continue;
			g->sketch_bytes += percentiles_add(&x->measured, v);
			x->sum += v;
		}
	}
}

/* One event in one combination. */
static void
count_one(struct grouping *g, uint64_t codes, uint32_t row, struct codes *extra)
{
	struct combination *c = combination(g, codes + 1);
	struct group *x;

	c->count++;
	if (extra == NULL)
		return;
	x = group_of(g, c);
	if (x != NULL)
		measure(g, x, row, extra);
}

/* Every combination of the event's values, from field `i` on. */
static void
count_product(struct grouping *g, uint32_t i, uint64_t codes, uint64_t factor,
    uint32_t row, struct codes *extra)
{
	uint32_t n;
	const uint32_t *list;

	if (i == g->n_by) {
		count_one(g, codes, row, extra);
		return;
	}
	assert(i < sizeof(g->by) / sizeof(g->by[0]));
	list = codes_at(&g->by[i], row, &n);
	for (uint32_t k = 0; k < n; k++)
		count_product(g, i + 1, codes + factor * list[k],
		    factor * g->by[i].n_values, row, extra);
}

/* One field with one value an event at most: counted by code. */
static void
count_flat(struct grouping *g)
{
	const struct codes *c = &g->by[0];

	memset(g->flat, 0, (c->n_values + 1) * sizeof(g->flat[0]));
	for (uint32_t i = 0; i < g->n_rows; i++)
		g->flat[c->first[i]] += g->mask[i];
	for (uint32_t i = 0; i < c->n_values; i++)
		if (g->flat[i + 1] > 0)
			combination(g, (uint64_t)i + 1)->count +=
			    g->flat[i + 1];
}

static void
add_counts(struct grouping *g)
{
	for (uint32_t i = 0; i < g->cap_local; i++) {
		struct combination *c = &g->local[i];
		struct group *x;

		if (c->codes == 0)
			continue;
		x = group_of(g, c);
		if (x != NULL)
			x->count += c->count;
		else
			g->other += c->count;
	}
}

/* ---- blocks ------------------------------------------------------------------ */

static enum rc
read_codes(struct grouping *g, struct codes *extra, struct error *err)
{
	const struct search_groups *w = g->wanted;

	g->n_by = w->n_by;
	for (uint32_t i = 0; i < w->n_by; i++)
		if (codes_read(&g->by[i], g->block, w->by[i], g->mask, err) !=
		    RC_OK)
			return err->code;
	if (w->every_ns > 0 &&
	    codes_times(&g->by[g->n_by++], g->block, w->every_ns, g->mask,
		err) != RC_OK)
		return err->code;
	if (w->distinct != FIELD_NONE &&
	    codes_read(&extra[0], g->block, w->distinct, g->mask, err) != RC_OK)
		return err->code;
	if (w->measure != FIELD_NONE &&
	    codes_read(&extra[1], g->block, w->measure, g->mask, err) != RC_OK)
		return err->code;
	return RC_OK;
}

/* Whether the numbers of all combinations fit 64 bits. */
static bool
product_fits(const struct grouping *g)
{
	double product = 1;

	for (uint32_t i = 0; i < g->n_by; i++)
		product *= (double)g->by[i].n_values;
	return product < 1e18;
}

static enum rc
count_rows(struct grouping *g, struct codes *extra, struct error *err)
{
	bool sketches = g->wanted->distinct != FIELD_NONE ||
	    g->wanted->measure != FIELD_NONE;

	for (uint32_t i = 0; i < g->n_by; i++)
		if (g->by[i].n_values == 0)
			return RC_OK; /* no event has it */
	if (!product_fits(g))
		return error_set(err, RC_LIMIT,
		    "a block has too many combinations of values");
	if (g->cap_local > 0)
		memset(g->local, 0, g->cap_local * sizeof(g->local[0]));
	g->n_local = 0;
	if (g->n_by == 1 && !sketches && g->by[0].lists == NULL &&
	    g->by[0].n_values < FLAT_MAX) {
		count_flat(g);
	} else {
		for (uint32_t i = 0; i < g->n_rows; i++)
			if (g->mask[i])
				count_product(g, 0, 0, 1, i,
				    sketches ? extra : NULL);
	}
	add_counts(g);
	if (g->sketch_bytes > GROUP_BYTES_MAX)
		return error_set(err, RC_LIMIT,
		    "too many groups for distinct values or percentiles: "
		    "narrow the search or group by less");
	return RC_OK;
}

static enum rc
group_block(void *ctx, struct store_block *b, struct error *err)
{
	struct grouping *g = ctx;
	struct codes extra[2] = { 0 };
	uint32_t kept;
	enum rc rc;

	rc = evaluation_run(g->evaluation, b, &g->mask, &kept, err);
	if (rc != RC_OK || kept == 0)
		return rc;
	g->block = b;
	g->n_rows = store_block_info(b).n;
	rc = read_codes(g, extra, err);
	if (rc == RC_OK)
		rc = count_rows(g, extra, err);
	for (uint32_t i = 0; i <= SEARCH_BY_MAX; i++)
		codes_fini(&g->by[i]);
	codes_fini(&extra[0]);
	codes_fini(&extra[1]);
	return rc;
}

static bool
may_group(void *ctx, const struct store_words *w)
{
	const struct grouping *g = ctx;

	return evaluation_may_match(g->evaluation, w);
}

/* ---- the answer --------------------------------------------------------------- */

static int
compare_groups(const void *a, const void *b, void *ctx)
{
	const struct group *x = a, *y = b;
	const struct search_groups *w = ctx;

	if (x->bucket_ns != y->bucket_ns)
		return x->bucket_ns < y->bucket_ns ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	for (uint32_t i = 0; i < w->n_by; i++) {
		int c = value_compare(&x->key[i], &y->key[i]);

		if (c != 0)
			return c;
	}
	return 0;
}

static bool
give_group(struct group *x, const struct search_groups *w, search_row_cb *cb,
    void *ctx)
{
	double percents[SEARCH_PERCENTILES_MAX];
	struct search_row row = {
		.bucket_ns = w->every_ns > 0 ? &x->bucket_ns : NULL,
		.key = x->key,
		.count = x->count,
		.distinct_exact = true,
		.percentiles_exact = true,
		.measured = x->measured.n,
		.sum = x->sum,
	};

	if (w->distinct != FIELD_NONE)
		row.distinct =
		    distinct_count(&x->distinct, &row.distinct_exact);
	for (uint32_t i = 0; i < w->n_percents && x->measured.n > 0; i++)
		percents[i] = percentiles_get(&x->measured, w->percents[i],
		    &row.percentiles_exact);
	if (x->measured.n > 0)
		row.percentiles = percents;
	return cb(ctx, &row);
}

static void
forget_groups(struct grouping *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		distinct_fini(&g->groups[i].distinct);
		percentiles_fini(&g->groups[i].measured);
	}
	if (g->n_slots > 0)
		memset(g->slots, 0, g->n_slots * sizeof(g->slots[0]));
	g->n = 0;
	g->other = 0;
	g->sketch_bytes = 0;
	arena_reset(g->arena);
}

static enum rc
scan_groups(struct grouping *g, struct store *s, const struct search_request *r,
    struct error *err)
{
	enum { TRIES = 20 };
	struct store_scan scan = { .owner = r->owner,
		.after_commit = r->after_commit,
		.last_commit = r->last_commit,
		.may_match = may_group,
		.on_block = group_block,
		.ctx = g };
	enum rc rc = RC_AGAIN;

	evaluation_range(g->evaluation, &scan.since_ns, &scan.until_ns);
	for (unsigned i = 0; i < TRIES && rc == RC_AGAIN; i++) {
		forget_groups(g);
		rc = store_scan(s, &scan, err);
	}
	return rc;
}

static void
give_groups(struct grouping *g, search_row_cb *cb, void *ctx)
{
	const struct search_groups *w = g->wanted;
	uint64_t n = w->limit > 0 && w->limit < g->n ? w->limit : g->n;

	if (g->n > 1)
		qsort_r(g->groups, g->n, sizeof(g->groups[0]), compare_groups,
		    (void *)w);
	for (uint64_t i = 0; i < n; i++)
		if (!give_group(&g->groups[i], w, cb, ctx))
			break;
}

enum rc
search_group(struct store *s, const struct search_request *r,
    struct search_groups *wanted, search_row_cb *cb, void *ctx,
    struct error *err)
{
	struct grouping g = { .wanted = wanted };
	enum rc rc;

	g.evaluation = evaluation_new(r);
	g.arena = arena_new(ARENA_BLOCK);
	g.flat = xcalloc(FLAT_MAX + 1, sizeof(g.flat[0]));
	rc = scan_groups(&g, s, r, err);
	if (rc == RC_OK)
		give_groups(&g, cb, ctx);
	wanted->other = g.other;
	forget_groups(&g);
	evaluation_free(g.evaluation);
	arena_free(g.arena);
	free(g.groups);
	free(g.slots);
	free(g.local);
	free(g.flat);
	return rc;
}
