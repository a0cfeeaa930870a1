/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate_state.h"

#include <assert.h>
#include <stdlib.h>

#include "digest.h"
#include "json.h"
#include "xalloc.h"

/* ---- texts ----------------------------------------------------------------- */

/* The end of the JSON value that begins at `at`; our own text, so no checks. */
static size_t
value_end(struct slice json, size_t at)
{
	unsigned depth = 0;
	bool quoted = false;

	for (; at < json.len; at++) {
		char ch = json.ptr[at];

		if (quoted) {
			if (ch == '\\')
				at++;
			else if (ch == '"')
				quoted = false;
		} else if (ch == '"') {
			quoted = true;
		} else if (ch == '[' || ch == '{') {
			depth++;
		} else if (depth > 0 && (ch == ']' || ch == '}')) {
			depth--;
		} else if (depth == 0 && (ch == ',' || ch == '}')) {
			return at;
		}
	}
	return json.len;
}

static void
group_to_json(struct buf *out, const struct corr_rule *r, struct slice key)
{
	size_t at = 0;
	bool first = true;

	buf_clear(out);
	(void)buf_add_char(out, '{');
	for (uint32_t i = 0; i < r->n_keys; i++) {
		size_t end = value_end(key, at);

		if (end > at) {
			if (!first)
				(void)buf_add_char(out, ',');
			json_write_string(out, r->key_names[i]);
			(void)buf_add_char(out, ':');
			(void)buf_add(out, key.ptr + at, end - at);
			first = false;
		}
		at = end < key.len ? end + 1 : key.len;
	}
	(void)buf_add_char(out, '}');
}

struct slice
corr_key_part(struct slice key, uint32_t i)
{
	size_t at = 0;

	for (; i > 0 && at < key.len; i--)
		at = value_end(key, at) + 1;
	if (at >= key.len)
		return (struct slice){ NULL, 0 };
	return (struct slice){ key.ptr + at, value_end(key, at) - at };
}

struct slice
corr_group_json(struct correlator *c, const struct corr_group *g)
{
	group_to_json(&c->group, corr_rule_of(c, g), corr_key(g));
	return buf_slice(&c->group);
}

bool
corr_group_parse(struct correlator *c, const struct corr_rule *r,
    struct slice json, struct buf *key)
{
	size_t at = 1;

	buf_clear(key);
	for (uint32_t i = 0; i < r->n_keys; i++) {
		struct slice name;
		size_t end;

		buf_clear(&c->group);
		json_write_string(&c->group, r->key_names[i]);
		(void)buf_add_char(&c->group, ':');
		name = buf_slice(&c->group);
		if (i > 0)
			(void)buf_add_char(key, ',');
		if (at + name.len > json.len ||
		    memcmp(json.ptr + at, name.ptr, name.len) != 0)
			continue; /* an optional key */
		at += name.len;
		end = value_end(json, at);
		(void)buf_add(key, json.ptr + at, end - at);
		at = end + 1;
	}
	group_to_json(&c->group, r, buf_slice(key));
	return slice_eq(buf_slice(&c->group), json);
}

static void
agents_to_json(struct correlator *c, const struct corr_incident *inc)
{
	struct json_writer w;

	buf_clear(&c->agents_json);
	json_begin(&w, &c->agents_json);
	json_open(&w, '[');
	for (uint32_t i = 0; i < inc->n_agents; i++)
		json_string(&w, intern_text(&c->agents, inc->agents[i]));
	json_close(&w, ']');
}

/* ---- what joins ------------------------------------------------------------ */

/* Keeps the least CORR_AGENTS_MAX, whatever order they come in. */
static void
add_agent(struct correlator *c, struct corr_incident *inc, uint32_t agent)
{
	struct slice text = intern_text(&c->agents, agent);
	uint32_t at = 0;

	if (text.len == 0)
		return;
	for (; at < inc->n_agents; at++) {
		int d;

		if (inc->agents[at] == agent)
			return;
		d = slice_compare(intern_text(&c->agents, inc->agents[at]),
		    text);
		if (d > 0)
			break;
	}
	if (at == CORR_AGENTS_MAX)
		return;
	if (inc->n_agents == CORR_AGENTS_MAX)
		intern_drop(&c->agents, inc->agents[--inc->n_agents]);
	if ((inc->n_agents & (inc->n_agents - 1)) == 0)
		inc->agents = xreallocarray(inc->agents,
		    inc->n_agents == 0 ? 1 : 2 * inc->n_agents,
		    sizeof(*inc->agents));
	memmove(inc->agents + at + 1, inc->agents + at,
	    (inc->n_agents - at) * sizeof(*inc->agents));
	inc->agents[at] = agent;
	inc->n_agents++;
	intern_ref(&c->agents, agent);
}

static void
add_ordinal(struct corr_incident *inc, uint32_t ordinal)
{
	uint32_t at = inc->n_ordinals;

	while (at > 0 && inc->ordinals[at - 1] > ordinal)
		at--;
	if (inc->n_ordinals == inc->cap_ordinals) {
		inc->cap_ordinals =
		    inc->cap_ordinals == 0 ? 16 : 2 * inc->cap_ordinals;
		inc->ordinals = xreallocarray(inc->ordinals, inc->cap_ordinals,
		    sizeof(*inc->ordinals));
	}
	memmove(inc->ordinals + at + 1, inc->ordinals + at,
	    (inc->n_ordinals - at) * sizeof(*inc->ordinals));
	inc->ordinals[at] = ordinal;
	inc->n_ordinals++;
}

void
corr_incident_add(struct correlator *c, int32_t incident,
    const struct corr_hit *h)
{
	struct corr_incident *inc = corr_incident(c, incident);

	inc->events++;
	if (h->time_ns < inc->first_ns)
		inc->first_ns = h->time_ns;
	add_agent(c, inc, h->agent);
	if (c->options.keep_ordinals)
		add_ordinal(inc, h->ordinal);
	corr_incident_dirty(c, incident);
}

static void
add_range(struct correlator *c, int32_t incident, int64_t after_ns,
    int64_t until_ns)
{
	const struct corr_group *g =
	    corr_group(c, corr_incident(c, incident)->group);
	uint32_t i = corr_hits_after(g, after_ns);

	for (; i < g->n && corr_hits(g)[i].time_ns <= until_ns; i++)
		corr_incident_add(c, incident, &corr_hits(g)[i]);
}

/* Puts it where the list is ordered, the latest first. */
static void
link_incident(struct correlator *c, struct corr_group *g, int32_t incident)
{
	int64_t fired_ns = corr_incident(c, incident)->fired_ns;
	int32_t *at = &g->incidents;

	while (*at != CORR_NONE && corr_incident(c, *at)->fired_ns > fired_ns)
		at = &corr_incident(c, *at)->next;
	corr_incident(c, incident)->next = *at;
	*at = incident;
}

static void
unlink_incident(struct correlator *c, struct corr_group *g, int32_t incident)
{
	int32_t *at = &g->incidents;

	while (*at != incident)
		at = &corr_incident(c, *at)->next;
	*at = corr_incident(c, incident)->next;
}

void
corr_incident_grow(struct correlator *c, int32_t incident, int64_t fired_ns,
    int64_t last_ns)
{
	struct corr_incident *inc = corr_incident(c, incident);
	struct corr_group *g = corr_group(c, inc->group);
	int64_t reach_ns = corr_rule_of(c, g)->reach_ns;

	if (fired_ns < inc->fired_ns) {
		add_range(c, incident, fired_ns - reach_ns,
		    inc->fired_ns - reach_ns);
		inc->fired_ns = fired_ns;
		unlink_incident(c, g, incident);
		link_incident(c, g, incident);
		corr_incident_dirty(c, incident);
	}
	if (last_ns > inc->last_ns) {
		add_range(c, incident, inc->last_ns, last_ns);
		inc->last_ns = last_ns;
	}
}

/* ---- opening and ending --------------------------------------------------- */

static int32_t
new_incident(struct correlator *c)
{
	int32_t i = c->free_incident;

	if (i != CORR_NONE) {
		c->free_incident = corr_incident(c, i)->next;
	} else {
		if (c->n_incidents == c->cap_incidents) {
			c->cap_incidents =
			    c->cap_incidents == 0 ? 64 : 2 * c->cap_incidents;
			c->incidents = xreallocarray(c->incidents,
			    c->cap_incidents, sizeof(*c->incidents));
		}
		i = (int32_t)c->n_incidents++;
	}
	*corr_incident(c, i) = (struct corr_incident){ .next = CORR_NONE };
	return i;
}

static void
make_id(struct correlator *c, const struct corr_group *g,
    const struct corr_hit *h, uint8_t id[16])
{
	const struct corr_rule *r = corr_rule_of(c, g);
	uint8_t digest[SHA256_BYTES], none[16] = { 0 };
	struct slice stream = intern_text(&c->streams, h->stream);
	struct buf b;

	buf_init(&b, SIZE_MAX);
	(void)buf_add_slice(&b, r->id);
	(void)buf_add_char(&b, '\0');
	if (!r->scope_all)
		(void)buf_add_slice(&b, intern_text(&c->owners, g->owner));
	(void)buf_add_char(&b, '\0');
	(void)buf_add_slice(&b, corr_group_json(c, g));
	(void)buf_add_char(&b, '\0');
	(void)buf_add(&b, stream.len == 16 ? stream.ptr : (char *)none, 16);
	(void)buf_printf(&b, "%llu", (unsigned long long)h->k);
	if (stream.len != 16 && h->k == 0) /* no identity: its time */
		(void)buf_printf(&b, "@%lld", (long long)h->time_ns);
	sha256_of(buf_slice(&b), digest);
	buf_fini(&b);
	memcpy(id, digest, 16);
}

/*
 * What fires is a hit of the correlations that refer to this one; it holds the
 * log back to the first event that made it fire.
 */
static void
chain(struct correlator *c, const struct corr_group *g,
    const struct corr_incident *inc, const struct corr_hit *h, uint32_t epoch)
{
	static const uint64_t fixed[2] = { 0, 0 };
	const struct corr_rule *r = corr_rule_of(c, g);
	struct corr_chained *x;

	if (r->kind == CORR_SINGLE || c->plan->by_rule[r->index].n == 0)
		return;
	if (c->n_chained == c->cap_chained) {
		c->cap_chained = c->cap_chained == 0 ? 8 : 2 * c->cap_chained;
		c->chained = xreallocarray(c->chained, c->cap_chained,
		    sizeof(*c->chained));
	}
	x = &c->chained[c->n_chained++];
	*x = (struct corr_chained){ .rule = g->rule,
		.owner = g->owner,
		.hit = *h,
		.key = xmemdupz(corr_key(g).ptr, g->key_len),
		.key_len = g->key_len };
	x->hit.k = sip_hash(fixed, inc->id, sizeof(inc->id));
	x->hit.stream = INTERN_NONE;
	x->hit.value = INTERN_NONE;
	x->hit.epoch = epoch;
	corr_epoch_ref(c, epoch);
	intern_ref(&c->agents, x->hit.agent);
	intern_ref(&c->owners, x->owner);
}

int32_t
corr_incident_namesake(struct correlator *c, const struct corr_group *g,
    uint32_t from)
{
	uint8_t id[sizeof(corr_incident(c, 0)->id)];
	int32_t i = g->incidents;

	if (i == CORR_NONE)
		return i;
	make_id(c, g, &corr_hits(g)[from], id);
	while (i != CORR_NONE &&
	    memcmp(corr_incident(c, i)->id, id, sizeof(id)) != 0)
		i = corr_incident(c, i)->next;
	return i;
}

int32_t
corr_incident_open(struct correlator *c, uint32_t group, uint32_t from,
    uint32_t at)
{
	struct corr_group *g = corr_group(c, group);
	const struct corr_rule *r = corr_rule_of(c, g);
	const struct corr_hit *h = &corr_hits(g)[at];
	struct corr_incident *inc;
	int32_t i = new_incident(c);

	inc = corr_incident(c, i);
	make_id(c, g, &corr_hits(g)[from], inc->id);
	inc->group = group;
	inc->fired_ns = h->time_ns;
	inc->last_ns = h->time_ns;
	inc->first_ns = h->time_ns;
	inc->completed_by = h->ordinal;
	inc->ended_window = r->kind == CORR_AFTER;
	link_incident(c, g, i);
	if (r->pure_absence)
		corr_incident_add(c, i, h); /* others of its time may be gone */
	else
		add_range(c, i, h->time_ns - r->reach_ns, h->time_ns);
	chain(c, g, inc, h, corr_hits(g)[from].epoch);
	return i;
}

static void
report(struct correlator *c, struct corr_incident *inc)
{
	const struct corr_group *g = corr_group(c, inc->group);
	const struct corr_rule *r = corr_rule_of(c, g);
	struct correlate_incident out = { .rule = r->index,
		.owner = intern_text(&c->owners, g->owner),
		.first_seen_ns = inc->first_ns,
		.last_seen_ns = inc->last_ns,
		.fired_ns = inc->fired_ns,
		.events = inc->events,
		.opened = !inc->reported,
		.disproved = inc->disproved,
		.completed_by =
		    inc->ended_window ? UINT64_MAX : inc->completed_by };

	inc->dirty = false;
	if (inc->disproved && !inc->stood && !inc->reported)
		return; /* one record made and disproved it: nobody saw it */
	inc->reported = true;
	if (!r->visible || c->options.on_incident == NULL)
		return;
	hex_text(inc->id, sizeof(inc->id), out.id);
	out.group = corr_group_json(c, g);
	agents_to_json(c, inc);
	out.agents = buf_slice(&c->agents_json);
	if (inc->n_ordinals > c->cap_ordinals) {
		c->cap_ordinals = 2 * inc->n_ordinals;
		c->ordinals = xreallocarray(c->ordinals, c->cap_ordinals,
		    sizeof(*c->ordinals));
	}
	for (uint32_t i = 0; i < inc->n_ordinals; i++)
		c->ordinals[i] = inc->ordinals[i];
	out.ordinals = c->ordinals;
	out.n_ordinals = inc->n_ordinals;
	c->options.on_incident(c->options.ctx, &out);
}

void
corr_incident_dirty(struct correlator *c, int32_t incident)
{
	struct corr_incident *inc = corr_incident(c, incident);

	if (inc->dirty)
		return;
	inc->dirty = true;
	if (c->n_dirty == c->cap_dirty) {
		c->cap_dirty = c->cap_dirty == 0 ? 64 : 2 * c->cap_dirty;
		c->dirty =
		    xreallocarray(c->dirty, c->cap_dirty, sizeof(*c->dirty));
	}
	c->dirty[c->n_dirty++] = incident;
}

void
corr_incidents_stand(struct correlator *c)
{
	for (uint32_t i = 0; i < c->n_dirty; i++) {
		struct corr_incident *inc = corr_incident(c, c->dirty[i]);

		if (inc->dirty && !inc->disproved)
			inc->stood = true;
	}
}

void
corr_incidents_report(struct correlator *c)
{
	for (uint32_t i = 0; i < c->n_dirty; i++) {
		struct corr_incident *inc = corr_incident(c, c->dirty[i]);

		if (inc->dirty) /* a slot may stand here twice */
			report(c, inc);
	}
	c->n_dirty = 0;
}

static void
free_incident(struct correlator *c, int32_t incident)
{
	struct corr_incident *inc = corr_incident(c, incident);

	for (uint32_t i = 0; i < inc->n_agents; i++)
		intern_drop(&c->agents, inc->agents[i]);
	free(inc->agents);
	free(inc->ordinals);
	*inc = (struct corr_incident){ .next = c->free_incident };
	c->free_incident = incident;
}

void
corr_incident_detach(struct correlator *c, struct corr_group *g,
    int32_t incident)
{
	struct corr_incident *inc = corr_incident(c, incident);

	if (inc->dirty)
		report(c, inc);
	unlink_incident(c, g, incident);
	free_incident(c, incident);
}

/* ---- restoring ------------------------------------------------------------- */

static void
restore_agents(struct correlator *c, struct corr_incident *inc,
    struct slice json)
{
	struct arena *arena = arena_new(1024);
	struct json_reader r;
	enum json_token token;

	json_reader_init(&r, json, arena, 4);
	while ((token = json_next(&r)) != JSON_END && token != JSON_ERROR) {
		uint32_t agent;

		if (token != JSON_STRING)
			continue;
		agent = intern_take(&c->agents, r.text);
		add_agent(c, inc, agent);
		intern_drop(&c->agents, agent);
	}
	arena_free(arena);
}

static unsigned
hex_digit(char ch)
{
	return ch >= 'a' ? (unsigned)(ch - 'a') + 10 : (unsigned)(ch - '0');
}

int32_t
corr_incident_restore(struct correlator *c, uint32_t group,
    const struct correlate_incident *in)
{
	int32_t i = new_incident(c);
	struct corr_incident *inc = corr_incident(c, i);

	for (size_t j = 0; j < sizeof(inc->id); j++)
		inc->id[j] = (uint8_t)(hex_digit(in->id[2 * j]) << 4 |
		    hex_digit(in->id[2 * j + 1]));
	inc->group = group;
	inc->fired_ns = in->fired_ns;
	inc->first_ns = in->first_seen_ns;
	inc->last_ns = in->last_seen_ns;
	inc->events = in->events;
	inc->reported = inc->stood = true;
	inc->ended_window =
	    corr_rule_of(c, corr_group(c, group))->kind == CORR_AFTER;
	restore_agents(c, inc, in->agents);
	link_incident(c, corr_group(c, group), i);
	return i;
}

void
corr_incidents_fini(struct correlator *c)
{
	/* The groups have freed what theirs held. */
	free(c->incidents);
	free(c->dirty);
	for (uint32_t i = 0; i < c->n_chained; i++)
		free(c->chained[i].key);
	free(c->chained);
}
