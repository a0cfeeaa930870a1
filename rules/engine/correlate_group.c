/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate_state.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "xalloc.h"

enum {
	SLOTS_MIN = 1024,
	EPOCH_HITS = 256,
	CACHE_LINE = 64,
	HUGE_PAGE = 1 << 21
};

/* ---- epochs of positions ------------------------------------------------ */

static void
drop_old_epochs(struct correlator *c)
{
	while (c->epoch_n > 1 &&
	    c->epochs[c->epoch_first % c->epoch_cap].users == 0) {
		c->epoch_first++;
		c->epoch_n--;
	}
}

static void
grow_epochs(struct correlator *c)
{
	uint32_t cap = c->epoch_cap == 0 ? 64 : 2 * c->epoch_cap;
	struct corr_epoch *ring = xcalloc(cap, sizeof(*ring));

	for (uint32_t i = 0; i < c->epoch_n; i++)
		ring[(c->epoch_first + i) % cap] =
		    c->epochs[(c->epoch_first + i) % c->epoch_cap];
	free(c->epochs);
	c->epochs = ring;
	c->epoch_cap = cap;
}

/*
 * A power of two as capacity, so that numbers that wrap around still fall on
 * the same place.
 */
uint32_t
corr_epoch_of(struct correlator *c, uint64_t position)
{
	uint32_t newest = c->epoch_first + c->epoch_n - 1;

	if (c->epoch_n == 0 ||
	    (position != c->epoch_last && c->epoch_hits >= EPOCH_HITS)) {
		drop_old_epochs(c);
		if (c->epoch_n == c->epoch_cap)
			grow_epochs(c);
		c->epoch_n++;
		newest = c->epoch_first + c->epoch_n - 1;
		c->epochs[newest % c->epoch_cap] =
		    (struct corr_epoch){ position, 0 };
		c->epoch_hits = 0;
	}
	c->epoch_last = position;
	c->epoch_hits++;
	return newest;
}

void
corr_epoch_ref(struct correlator *c, uint32_t epoch)
{
	c->epochs[epoch % c->epoch_cap].users++;
}

void
corr_epoch_drop(struct correlator *c, uint32_t epoch)
{
	c->epochs[epoch % c->epoch_cap].users--;
}

uint64_t
correlator_rebuild_position(const struct correlator *c)
{
	for (uint32_t i = 0; i < c->epoch_n; i++) {
		const struct corr_epoch *e =
		    &c->epochs[(c->epoch_first + i) % c->epoch_cap];

		if (e->users > 0)
			return e->position;
	}
	return UINT64_MAX;
}

/* ---- hits of a group ---------------------------------------------------- */

int
corr_hit_order(const struct correlator *c, const struct corr_hit *a,
    const struct corr_hit *b)
{
	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	if (a->stream != b->stream) {
		struct slice x = intern_text(&c->streams, a->stream);
		struct slice y = intern_text(&c->streams, b->stream);
		int d = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);

		if (d != 0)
			return d < 0 ? -1 : 1;
		return x.len < y.len ? -1 : 1;
	}
	if (a->k != b->k)
		return a->k < b->k ? -1 : 1;
	return 0;
}

uint32_t
corr_hits_after(const struct corr_group *g, int64_t after_ns)
{
	const struct corr_hit *hits = corr_hits(g);
	uint32_t low = 0, high = g->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (hits[mid].time_ns > after_ns)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void
corr_hit_drop(struct correlator *c, const struct corr_hit *hit)
{
	intern_drop(&c->streams, hit->stream);
	intern_drop(&c->agents, hit->agent);
	intern_drop(&c->values, hit->value);
}

static void
forget_hit(struct correlator *c, const struct corr_hit *hit)
{
	corr_epoch_drop(c, hit->epoch);
	c->stats.hits--;
	corr_hit_drop(c, hit);
}

/* Room for one more at the end. */
static void
make_room(struct correlator *c, struct corr_group *g)
{
	uint32_t cap;
	struct corr_hit *hits;

	if (g->first + g->n < g->cap)
		return;
	if (g->first >= g->cap / 2 && g->first > 0) {
		memmove(g->hits, corr_hits(g), g->n * sizeof(*g->hits));
		g->first = 0;
		return;
	}
	cap = g->cap < 4 ? 4 : g->cap + g->cap / 2;
	hits = xreallocarray(NULL, cap, sizeof(*hits));
	memcpy(hits, corr_hits(g), g->n * sizeof(*hits));
	c->stats.bytes += cap * sizeof(*hits);
	if (g->hits != &g->one) {
		c->stats.bytes -= g->cap * sizeof(*hits);
		free(g->hits);
	}
	g->hits = hits;
	g->first = 0;
	g->cap = cap;
}

void
corr_hit_insert(struct correlator *c, struct corr_group *g, uint32_t at,
    const struct corr_hit *hit)
{
	struct corr_hit *hits;

	make_room(c, g);
	hits = corr_hits(g);
	memmove(hits + at + 1, hits + at, (g->n - at) * sizeof(*hits));
	hits[at] = *hit;
	g->n++;
	c->stats.hits++;
	corr_epoch_ref(c, hit->epoch);
}

void
corr_hit_remove(struct correlator *c, struct corr_group *g, uint32_t at)
{
	struct corr_hit *hits = corr_hits(g);

	forget_hit(c, &hits[at]);
	memmove(hits + at, hits + at + 1, (g->n - at - 1) * sizeof(*hits));
	g->n--;
	if (g->win > at)
		g->win--;
}

/* A group that was busy once gives the memory back. */
static void
shrink(struct correlator *c, struct corr_group *g)
{
	uint32_t cap = g->cap / 4;
	struct corr_hit *hits;

	if (g->cap < 64 || g->n > g->cap / 8)
		return;
	hits = xreallocarray(NULL, cap, sizeof(*hits));
	memcpy(hits, corr_hits(g), g->n * sizeof(*hits));
	c->stats.bytes -= (g->cap - cap) * sizeof(*hits);
	free(g->hits);
	g->hits = hits;
	g->first = 0;
	g->cap = cap;
}

void
corr_hits_trim(struct correlator *c, struct corr_group *g, uint32_t n)
{
	const struct corr_hit *hits = corr_hits(g);

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		forget_hit(c, &hits[i]);
	g->first += n;
	g->n -= n;
	g->win = g->win > n ? g->win - n : 0;
	shrink(c, g);
}

/* ---- the table ---------------------------------------------------------- */

static struct corr_slot *
new_slots(struct correlator *c, uint32_t n)
{
	size_t bytes = n * sizeof(struct corr_slot);
	struct corr_slot *slots;

	/* A large table is looked up all over: huge pages halve the time */
	slots =
	    aligned_alloc(bytes < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE, bytes);
	if (slots == NULL)
		abort(); /* out of memory */
	if (bytes >= HUGE_PAGE)
		(void)madvise(slots, bytes, MADV_HUGEPAGE);
	memset(slots, 0xff, bytes);
	c->stats.bytes += bytes;
	return slots;
}

void
corr_groups_init(struct correlator *c)
{
	c->mask = SLOTS_MIN - 1;
	c->slots = new_slots(c, SLOTS_MIN);
	c->free_group = UINT32_MAX;
	c->touched = xcalloc(c->plan->n + 1, sizeof(*c->touched));
	for (uint32_t i = 0; i < c->plan->n; i++)
		c->touched[i] =
		    (struct corr_list){ CORR_NONE, CORR_NONE, INT64_MIN };
}

static void
link_slot(struct correlator *c, struct corr_slot slot)
{
	uint32_t at = slot.hash & c->mask;

	while (c->slots[at].group != UINT32_MAX)
		at = (at + 1) & c->mask;
	c->slots[at] = slot;
}

/* Closes the gap: what stands behind it moves up to where it belongs. */
static void
unlink_slot(struct correlator *c, uint32_t hash, uint32_t group)
{
	uint32_t gap = hash & c->mask, at;

	while (c->slots[gap].group != group)
		gap = (gap + 1) & c->mask;
	for (at = (gap + 1) & c->mask; c->slots[at].group != UINT32_MAX;
	     at = (at + 1) & c->mask) {
		uint32_t home = c->slots[at].hash & c->mask;

		if (((at - home) & c->mask) < ((at - gap) & c->mask))
			continue;
		c->slots[gap] = c->slots[at];
		gap = at;
	}
	c->slots[gap].group = UINT32_MAX;
}

static void
grow_slots(struct correlator *c)
{
	struct corr_slot *old = c->slots;
	uint32_t n = c->mask + 1;

	c->mask = 2 * n - 1;
	c->slots = new_slots(c, 2 * n);
	for (uint32_t i = 0; i < n; i++)
		if (old[i].group != UINT32_MAX)
			link_slot(c, old[i]);
	c->stats.bytes -= n * sizeof(*old);
	free(old);
}

static uint32_t
group_hash(const struct correlator *c, uint32_t rule, uint32_t owner,
    struct slice key)
{
	uint64_t seed[2] = { c->hash_key[0] ^ rule, c->hash_key[1] ^ owner };

	return (uint32_t)sip_hash(seed, key.ptr, key.len);
}

static uint32_t
new_group(struct correlator *c)
{
	uint32_t i = c->free_group;

	if (i != UINT32_MAX) {
		c->free_group = corr_group(c, i)->next;
		return i;
	}
	if (c->n_groups % CORR_CHUNK == 0) {
		uint32_t n = c->n_groups / CORR_CHUNK;

		c->chunks = xreallocarray(c->chunks, n + 1,
		    sizeof(struct corr_group *));
		c->chunks[n] = xcalloc(CORR_CHUNK, sizeof(struct corr_group));
		c->stats.bytes += CORR_CHUNK * sizeof(struct corr_group);
	}
	return c->n_groups++;
}

static int32_t
make_group(struct correlator *c, uint32_t hash, uint32_t rule, uint32_t owner,
    struct slice key)
{
	uint32_t i;
	struct corr_group *g;

	if (c->live_groups >= c->mask / 8 * 5)
		grow_slots(c);
	i = new_group(c);
	g = corr_group(c, i);
	*g = (struct corr_group){ .hash = hash,
		.rule = rule,
		.owner = owner,
		.key_len = (uint32_t)key.len,
		.cap = 1,
		.older = CORR_NONE,
		.newer = CORR_NONE,
		.incidents = CORR_NONE,
		.generation = g->generation + 1,
		.trimmed_ns = INT64_MIN };
	g->hits = &g->one;
	intern_ref(&c->owners, owner);
	if (key.len > sizeof(g->key.small)) {
		g->key.text = xmemdupz(key.ptr, key.len);
		c->stats.bytes += key.len + 1;
	} else if (key.len > 0) {
		memcpy(g->key.small, key.ptr, key.len);
	}
	link_slot(c, (struct corr_slot){ hash, i });
	c->live_groups++;
	c->stats.groups++;
	return (int32_t)i;
}

int32_t
corr_group_find(struct correlator *c, uint32_t rule, uint32_t owner,
    struct slice key, bool make)
{
	uint32_t hash = group_hash(c, rule, owner, key);
	uint32_t at = hash & c->mask;

	for (; c->slots[at].group != UINT32_MAX; at = (at + 1) & c->mask) {
		const struct corr_group *g;

		if (c->slots[at].hash != hash)
			continue;
		g = corr_group(c, c->slots[at].group);
		if (g->rule == rule && g->owner == owner &&
		    slice_eq(corr_key(g), key))
			return (int32_t)c->slots[at].group;
	}
	return make ? make_group(c, hash, rule, owner, key) : CORR_NONE;
}

static void
unlink_touched(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	struct corr_list *list = &c->touched[g->rule];
	int32_t self = (int32_t)group;

	if (g->older == CORR_NONE && list->oldest != self)
		return; /* never touched */
	if (g->older != CORR_NONE)
		corr_group(c, (uint32_t)g->older)->newer = g->newer;
	else
		list->oldest = g->newer;
	if (g->newer != CORR_NONE)
		corr_group(c, (uint32_t)g->newer)->older = g->older;
	else
		list->newest = g->older;
}

void
corr_group_remove(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);

	while (g->incidents != CORR_NONE)
		corr_incident_detach(c, g, g->incidents);
	if (corr_rule_of(c, g)->kind == CORR_AFTER)
		corr_absence_free(c, g);
	else
		corr_run_forget_window(g);
	for (uint32_t i = 0; i < g->n; i++)
		forget_hit(c, &corr_hits(g)[i]);
	if (g->hits != &g->one) {
		c->stats.bytes -= g->cap * sizeof(*g->hits);
		free(g->hits);
	}
	unlink_touched(c, group);
	unlink_slot(c, g->hash, group);
	intern_drop(&c->owners, g->owner);
	if (g->key_len > sizeof(g->key.small)) {
		c->stats.bytes -= g->key_len + 1;
		free(g->key.text);
	}
	g->hits = NULL;
	g->next = c->free_group;
	c->free_group = group;
	c->live_groups--;
	c->stats.groups--;
}

void
corr_group_touch(struct correlator *c, uint32_t group)
{
	struct corr_group *g = corr_group(c, group);
	struct corr_list *list = &c->touched[g->rule];

	g->touched = c->clock;
	if (corr_hits(g)[g->n - 1].time_ns > list->newest_ns)
		list->newest_ns = corr_hits(g)[g->n - 1].time_ns;
	if (list->newest == (int32_t)group)
		return;
	unlink_touched(c, group);
	g->older = list->newest;
	g->newer = CORR_NONE;
	if (list->newest != CORR_NONE)
		corr_group(c, (uint32_t)list->newest)->newer = (int32_t)group;
	else
		list->oldest = (int32_t)group;
	list->newest = (int32_t)group;
}

/* The group whose newest hit is the oldest among those untouched longest. */
static int32_t
worst_group(const struct correlator *c, uint32_t keep)
{
	int32_t worst = CORR_NONE;
	int64_t worst_ns = INT64_MAX;

	for (uint32_t r = 0; r < c->plan->n; r++) {
		int32_t i = c->touched[r].oldest;
		const struct corr_group *g;
		int64_t newest_ns;

		if (i == (int32_t)keep)
			i = corr_group(c, keep)->newer;
		if (i == CORR_NONE)
			continue;
		g = corr_group(c, (uint32_t)i);
		newest_ns =
		    g->n == 0 ? INT64_MIN : corr_hits(g)[g->n - 1].time_ns;
		if (worst == CORR_NONE || newest_ns < worst_ns) {
			worst = i;
			worst_ns = newest_ns;
		}
	}
	return worst;
}

static void
evict(struct correlator *c, uint32_t rule, uint64_t hits)
{
	c->stats.evicted_hits += hits;
	if (c->options.on_evict != NULL)
		c->options.on_evict(c->options.ctx, c->plan->rules[rule].index,
		    hits);
}

/* Whether so many hits are held that none is for longer than it must be. */
static bool
is_short(const struct correlator *c)
{
	return c->stats.hits >= c->options.max_hits / CORR_RELAXED_PART;
}

/*
 * Where memory is short a rule's groups live no longer than their hits would:
 * those that rested longest go, two for each that comes.
 */
static void
drop_resting(struct correlator *c, uint32_t rule, uint32_t keep)
{
	const struct corr_rule *r = &c->plan->rules[rule];
	int64_t kept_ns = CORR_KEEP_SPANS * r->span_ns;

	if (r->kind == CORR_AFTER)
		return;
	for (int n = 0; n < 2; n++) {
		int32_t i = c->touched[rule].oldest;
		const struct corr_group *g;

		if (i == CORR_NONE || i == (int32_t)keep)
			return;
		g = corr_group(c, (uint32_t)i);
		if (g->n > 0 &&
		    corr_hits(g)[g->n - 1].time_ns + kept_ns >
			c->touched[rule].newest_ns)
			return;
		c->stats.shortened_hits += g->n;
		corr_group_remove(c, (uint32_t)i);
	}
}

/* One group alone is too large: its older half goes. */
static void
halve(struct correlator *c, struct corr_group *g)
{
	int64_t cut_ns = corr_hits(g)[g->n / 2 - 1].time_ns;
	uint32_t n = corr_hits_after(g, cut_ns);

	if (n < g->n)
		g->trimmed_ns = cut_ns;
	else
		n = g->n / 2; /* all have one time */
	evict(c, g->rule, n);
	corr_hits_trim(c, g, n);
	if (corr_rule_of(c, g)->kind == CORR_AFTER)
		corr_absence_unfeed(c, g);
}

void
corr_groups_bound(struct correlator *c, uint32_t keep)
{
	if (is_short(c))
		drop_resting(c, corr_group(c, keep)->rule, keep);
	while (c->stats.hits > c->options.max_hits ||
	    c->live_groups > c->options.max_groups) {
		int32_t worst = worst_group(c, keep);
		struct corr_group *g;
		uint32_t n;

		if (worst == CORR_NONE)
			break;
		g = corr_group(c, (uint32_t)worst);
		n = g->n;
		c->stats.evicted_groups++;
		evict(c, g->rule, n);
		corr_group_remove(c, (uint32_t)worst);
	}
	if (c->stats.hits > c->options.max_hits)
		halve(c, corr_group(c, keep));
}

static int64_t
kept_for(const struct corr_rule *r, int64_t late_ns)
{
	int64_t least_ns = CORR_KEEP_SPANS * r->span_ns;

	return late_ns > least_ns ? late_ns : least_ns;
}

int64_t
corr_kept_ns(const struct correlator *c, const struct corr_rule *r)
{
	int64_t late_ns = c->options.late_ns;

	if (is_short(c) && r->kind != CORR_AFTER)
		late_ns = 0;
	if (is_short(c) && late_ns > CORR_WAIT_NS)
		late_ns = CORR_WAIT_NS;
	return kept_for(r, late_ns);
}

uint32_t
corr_shortened(const struct correlator *c, const struct corr_group *g,
    uint32_t n)
{
	int64_t whole_ns = kept_for(corr_rule_of(c, g), c->options.late_ns);
	uint32_t due;

	if (!is_short(c))
		return 0;
	due = corr_hits_after(g, corr_hits(g)[g->n - 1].time_ns - whole_ns);
	return n > due ? n - due : 0;
}

static uint32_t
kept_seconds(const struct correlator *c, const struct corr_group *g)
{
	int64_t keep_ns = c->options.keep_ns;
	int64_t span_ns = corr_rule_of(c, g)->span_ns;

	if (keep_ns < CORR_KEEP_SPANS * span_ns)
		keep_ns = CORR_KEEP_SPANS * span_ns;
	if (corr_rule_of(c, g)->kind == CORR_AFTER && corr_absence_pending(g) &&
	    keep_ns < c->options.absence_forget_ns)
		keep_ns = c->options.absence_forget_ns;
	return keep_ns / 1000000000 >= UINT32_MAX - 1
	    ? UINT32_MAX
	    : (uint32_t)(keep_ns / 1000000000) + 1;
}

void
corr_groups_forget(struct correlator *c)
{
	for (uint32_t r = 0; r < c->plan->n; r++) {
		int32_t i = c->touched[r].oldest;

		while (i != CORR_NONE) {
			const struct corr_group *g = corr_group(c, (uint32_t)i);
			int32_t newer = g->newer;

			if (c->clock - g->touched >= kept_seconds(c, g))
				corr_group_remove(c, (uint32_t)i);
			else if (c->plan->rules[r].kind != CORR_AFTER)
				break; /* all newer ones stay too */
			i = newer;
		}
	}
}

void
corr_groups_renumber(struct correlator *c, const uint32_t *places)
{
	memset(c->slots, 0xff, (c->mask + 1) * sizeof(*c->slots));
	for (uint32_t i = 0; i < c->n_groups; i++) {
		struct corr_group *g = corr_group(c, i);

		if (g->hits == NULL)
			continue;
		g->rule = places[g->rule];
		g->hash = group_hash(c, g->rule, g->owner, corr_key(g));
		link_slot(c, (struct corr_slot){ g->hash, i });
	}
}

void
corr_groups_fini(struct correlator *c)
{
	for (uint32_t i = 0; i < c->n_groups; i++)
		if (corr_group(c, i)->hits != NULL)
			corr_group_remove(c, i);
	for (uint32_t i = 0; i * CORR_CHUNK < c->n_groups; i++)
		free(c->chunks[i]);
	free(c->chunks);
	free(c->slots);
	free(c->touched);
	free(c->epochs);
}
