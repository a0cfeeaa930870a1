/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "collector/store/internal.h"

enum {
	RECORD_ARENA = 64 * 1024,
	TOLD_RULES = 64,
	ABOUT_BYTES = 1 << 20,
};

static const uint32_t dropped = UINT32_MAX;

/* What the record says of a rule, once for all its hits. */
struct told_rule {
	const struct ruleset *rules; /* NULL: free */
	uint32_t index, id;          /* in the ruleset; in the day */
	struct slice name;
	uint32_t *fields;
	uint32_t *near; /* of each: see event_get_near() */
	uint32_t n_fields;
};

/* One commit while it is made. */
struct append {
	struct store *s;
	struct sql *day;
	bool new_day;
	int32_t day_number;
	uint64_t next_block;
	int64_t first_ns, last_ns; /* event times of the day */
	struct log_record *record;
	uint64_t detections;
	uint64_t events_before; /* in the store */
	struct chain_link link;
	/* of the block under way */
	uint32_t row;
	struct stored_hit *hits; /* room for every hit of the commit */
	size_t n_hits;
	uint32_t input_near;
	/* of the batch under way, in the record's arena */
	struct slice owner, agent;
	struct told_rule told[TOLD_RULES];
	struct error *err;
};

/* ---- rules -------------------------------------------------------------- */

static void
rules_cut(struct store *s, uint32_t n)
{
	while (s->n_rules > n) {
		struct day_rule *r = &s->rules[--s->n_rules];

		free((char *)r->id.ptr);
		free((char *)r->about.ptr);
		free((char *)r->level.ptr);
	}
	if (s->ruleset != NULL)
		ruleset_unref(s->ruleset);
	s->ruleset = NULL;
	free(s->rule_ids);
	s->rule_ids = NULL;
}

static struct slice
own(struct slice s)
{
	return (struct slice){ xmemdupz(s.ptr, s.len), s.len };
}

static void
rules_add(struct store *s, const struct day_rule *r)
{
	struct day_rule *copy;

	if ((s->n_rules & (s->n_rules - 1)) == 0)
		s->rules = xreallocarray(s->rules,
		    s->n_rules > 0 ? 2 * (size_t)s->n_rules : 1,
		    sizeof(s->rules[0]));
	copy = &s->rules[s->n_rules++];
	*copy = *r;
	copy->id = own(r->id);
	copy->about = own(r->about);
	copy->level = own(r->level);
}

static enum rc
rules_load(struct store *s, struct sql *day, struct error *err)
{
	struct arena *arena = arena_new(RECORD_ARENA);
	struct rule_rows rows = { 0 };
	enum rc rc = rules_read(day, arena, &rows, err);

	rules_cut(s, 0);
	for (size_t i = 0; rc == RC_OK && i < rows.n; i++)
		rules_add(s, &rows.list[i]);
	s->final_rules = s->n_rules;
	s->rules_loaded = rc == RC_OK;
	arena_free(arena);
	return rc;
}

static bool
same_rule(const struct day_rule *a, const struct day_rule *b)
{
	return memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
	    slice_eq(a->id, b->id) && slice_eq(a->about, b->about) &&
	    slice_eq(a->level, b->level) && a->visible == b->visible;
}

static uint32_t
rule_id_make(struct store *s, const struct rule_info *info)
{
	const char *level = rule_level_name(info->level);
	struct day_rule r = { .id = info->id,
		.level = { level, strlen(level) },
		.visible = info->visible };
	struct buf about;
	uint32_t i;

	buf_init(&about, ABOUT_BYTES);
	rule_write_about(&about, info);
	r.about = buf_slice(&about);
	memcpy(r.digest, info->digest, sizeof(r.digest));
	for (i = 0; i < s->n_rules; i++)
		if (same_rule(&s->rules[i], &r))
			break;
	if (i == s->n_rules)
		rules_add(s, &r);
	buf_fini(&about);
	return i + 1;
}

/* What the open day calls the rule. */
static uint32_t
rule_id_of(struct store *s, struct ruleset *rs, uint32_t index)
{
	assert(rs != NULL && index < ruleset_count(rs));
	if (s->ruleset != rs) {
		if (s->ruleset != NULL)
			ruleset_unref(s->ruleset);
		s->ruleset = ruleset_ref(rs);
		free(s->rule_ids);
		s->rule_ids =
		    xcalloc(ruleset_count(rs), sizeof(s->rule_ids[0]));
	}
	if (s->rule_ids[index] == 0)
		s->rule_ids[index] = rule_id_make(s, ruleset_rule(rs, index));
	return s->rule_ids[index];
}

static enum rc
rules_save(struct append *a)
{
	struct store *s = a->s;

	for (uint32_t i = s->final_rules; i < s->n_rules; i++) {
		const struct day_rule *r = &s->rules[i];

		if (SQL_PUT(a->day, a->err,
			"INSERT INTO rules(id, digest, rule, about, level,"
			" visible) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
			BIND_INT(i + INT64_C(1)), BIND_BYTES(r->digest),
			BIND_TEXT(r->id), BIND_TEXT(r->about),
			BIND_TEXT(r->level), BIND_INT(r->visible)) != RC_OK)
			return a->err->code;
	}
	return RC_OK;
}

/* ---- begin and end ------------------------------------------------------ */

static void
arrival_of(const struct event *list, uint32_t n, int64_t *arrival_ns)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i].arrival_ns > *arrival_ns)
			*arrival_ns = list[i].arrival_ns;
}

/*
 * The file of the new day.  It stays open when its first transaction fails:
 * opened again, SQLite would recover what is whole in its WAL, though it was
 * reported as failed.  Of a day that is given up nothing was ever reported.
 */
static enum rc
begun_day(struct append *a)
{
	struct store *s = a->s;

	if (s->begun != NULL && s->begun_number != a->day_number) {
		day_abandon(s->begun);
		s->begun = NULL;
	}
	if (s->begun == NULL &&
	    day_open(s->dir, a->day_number, SQL_CREATE, &s->begun, a->err) !=
		RC_OK)
		return a->err->code;
	s->begun_number = a->day_number;
	a->day = s->begun;
	return RC_OK;
}

/* The transaction; in a new day's file if the day is new. */
static enum rc
begin(struct append *a)
{
	struct store *s = a->s;

	state_trim_marks(&s->state);
	atomic_store(&s->forgotten, s->state.forgotten);
	if (!a->new_day) {
		a->day = s->day;
		a->day_number = s->day_number;
		a->next_block = s->next_block;
		a->first_ns = s->first_ns;
		a->last_ns = s->last_ns;
		if (!s->rules_loaded && rules_load(s, s->day, a->err) != RC_OK)
			return a->err->code;
		return sql_begin(a->day, a->err);
	}
	rules_cut(s, 0);
	s->final_rules = 0;
	s->rules_loaded = false;
	a->next_block = 1;
	a->first_ns = INT64_MAX;
	a->last_ns = INT64_MIN;
	state_drop_ended(&s->state, a->record->arrival_ns - ENDED_KEPT_NS);
	if (begun_day(a) != RC_OK || sql_begin(a->day, a->err) != RC_OK ||
	    day_create(a->day, a->err) != RC_OK)
		return a->err->code;
	return SQL_PUT(a->day, a->err,
	    "INSERT INTO meta(name, value) VALUES('chain_before', ?1)",
	    BIND_BYTES(s->chain));
}

static enum rc
insert_commit(struct append *a)
{
	struct log_record *r = a->record;
	struct store *s = a->s;
	struct chain_link *link = &a->link;

	link->number = r->commit;
	link->first = a->events_before + 1;
	link->last = a->events_before + r->stored;
	chain_digest_done(&s->digest, link);
	chain_link_seal(link, s->chain);
	watermarks_write(&s->watermarks, r->watermarks, r->n_watermarks);
	return SQL_PUT(a->day, a->err,
	    "INSERT INTO commits(number, arrival, stored, duplicates,"
	    " detections, total_events, total_detections, watermarks,"
	    " day_first, day_last, first, last, digest, hits_digest, chain)"
	    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	    " ?14, ?15)",
	    BIND_INT(r->commit), BIND_INT(r->arrival_ns), BIND_INT(r->stored),
	    BIND_INT(r->duplicates), BIND_INT(a->detections),
	    BIND_INT(a->events_before + r->stored),
	    BIND_INT(atomic_load(&s->detections) + a->detections),
	    BIND_BLOB(bytes_slice(&s->watermarks)), BIND_INT(a->first_ns),
	    BIND_INT(a->last_ns), BIND_INT(link->first), BIND_INT(link->last),
	    BIND_BYTES(link->digest), BIND_BYTES(link->hits),
	    BIND_BYTES(link->chain));
}

/* What the record says of the sources that this commit moved. */
static void
record_watermarks(struct append *a)
{
	const struct state *st = &a->s->state;
	struct log_record *r = a->record;

	r->n_watermarks = st->touched_sources.n;
	r->watermarks = arena_alloc(r->arena,
	    (r->n_watermarks + 1) * sizeof(r->watermarks[0]));
	for (size_t i = 0; i < r->n_watermarks; i++) {
		uint32_t x = st->touched_sources.list[i];
		const struct source_values *v = &st->sources[x].now;

		r->watermarks[i] = (struct log_watermark){ x + 1, v->time_ns,
			v->arrival_ns, v->live };
	}
}

static enum rc
end(struct append *a)
{
	struct store *s = a->s;

	record_watermarks(a);
	if (rules_save(a) != RC_OK || insert_commit(a) != RC_OK ||
	    day_save_state(a->day, &s->state, a->new_day, a->err) != RC_OK)
		return a->err->code;
	return sql_commit(a->day, a->err);
}

/* It is on disk: what was tentative is final. */
static void
settle(struct append *a)
{
	struct store *s = a->s;
	const struct log_record *r = a->record;

	if (a->new_day) {
		sql_close(s->day);
		s->day = a->day;
		s->day_number = a->day_number;
		s->begun = NULL;
	}
	s->rules_loaded = true;
	s->final_rules = s->n_rules;
	s->next_block = a->next_block;
	s->first_ns = a->first_ns;
	s->last_ns = a->last_ns;
	state_commit(&s->state);
	seal_add(s, &a->link);
	atomic_store(&s->commits, r->commit);
	atomic_fetch_add(&s->events, r->stored);
	atomic_fetch_add(&s->duplicates, r->duplicates);
	atomic_fetch_add(&s->detections, a->detections);
}

static void
undo(struct append *a)
{
	struct store *s = a->s;

	sql_rollback(a->day);
	chain_digest_clear(&s->digest);
	/* of a new day: the old one's are read again */
	rules_cut(s, a->new_day ? 0 : s->final_rules);
	state_rollback(&s->state);
	log_record_fini(a->record);
}

/* ---- events ------------------------------------------------------------- */

/* False: it was here before. */
static bool
is_new(struct store *s, uint32_t agent, const struct event *ev)
{
	struct mark *m;
	uint32_t i;

	if (ev->own_id)
		return true;
	if (!event_has_stream(ev))
		return ev->foreign.len == 0 ||
		    state_add_identity(&s->state, agent, ev->foreign);
	i = state_mark(&s->state, agent, ev->id.stream);
	m = &s->state.marks[i];
	if (m->now.set && ev->id.offset <= m->now.offset)
		return false;
	m = state_touch_mark(&s->state, i);
	m->now = (struct mark_values){ ev->id.offset, 0, true };
	return true;
}

static uint32_t
source_of(struct append *a, const struct source *from, uint32_t agent,
    const struct event *ev)
{
	const struct value *v =
	    event_get_near(ev, FIELD_KUZET_INPUT, &a->input_near);
	struct slice input = { NULL, 0 };

	if (v != NULL && v->kind == VALUE_STRING)
		input = v->s;
	if (from->kind == SOURCE_SYSLOG)
		input = SLICE("syslog");
	else if (from->kind == SOURCE_FOREIGN &&
	    (input.len == 0 || !event_has_stream(ev) || ev->own_id))
		input = SLICE("beats");
	return state_source(&a->s->state, agent, input);
}

/* Only the future is clamped. */
static int64_t
event_time(const struct event *ev)
{
	return ev->time_ns > ev->arrival_ns + CLAMP_NS ? ev->arrival_ns
						       : ev->time_ns;
}

static void
move_watermark(struct source_state *x, int64_t time_ns, int64_t arrival_ns)
{
	if (x->now.time_ns == 0 || time_ns >= x->now.time_ns) {
		x->now.time_ns = time_ns;
		x->now.live = arrival_ns - time_ns < LIVE_NS;
	}
	if (arrival_ns > x->now.arrival_ns)
		x->now.arrival_ns = arrival_ns;
}

static struct told_rule *
tell_rule(struct append *a, const struct batch *b, uint32_t index)
{
	struct told_rule *t = &a->told[index % TOLD_RULES];
	struct arena *arena = a->record->arena;
	const uint32_t *fields;

	if (t->rules == b->rules && t->index == index)
		return t;
	t->id = rule_id_of(a->s, b->rules, index);
	t->rules = b->rules;
	t->index = index;
	t->name = arena_copy(arena, a->s->rules[t->id - 1].id);
	fields = ruleset_hit_fields(b->rules, index, &t->n_fields);
	t->fields = arena_alloc(arena, t->n_fields * sizeof(t->fields[0]));
	t->near = arena_alloc(arena, t->n_fields * sizeof(t->near[0]));
	for (uint32_t i = 0; i < t->n_fields; i++) {
		t->fields[i] = fields[i];
		t->near[i] = 0;
	}
	return t;
}

/* What correlation is told of a hit: copies, never pointers into the batch. */
static void
record_hit(struct append *a, const struct event *ev, const struct told_rule *t,
    uint32_t source)
{
	struct log_record *r = a->record;
	const struct day_rule *rule = &a->s->rules[t->id - 1];
	struct log_hit *hit = &r->hits[r->n_hits++];
	struct value *values =
	    arena_alloc(r->arena, t->n_fields * sizeof(values[0]));

	*hit = (struct log_hit){
		.rule_id = t->name,
		.visible = rule->visible,
		.time_ns = event_time(ev),
		.arrival_ns = ev->arrival_ns,
		.id = ev->id,
		.owner = a->owner,
		.agent = a->agent,
		.source = source,
		.fields = t->fields,
		.values = values,
		.n_fields = t->n_fields,
	};
	memcpy(hit->rule_digest, rule->digest, sizeof(hit->rule_digest));
	if (!event_has_stream(ev))
		hit->id_text = id_text_copy(r->arena, &ev->id, ev->foreign,
		    event_get(ev, FIELD_EVENT_ID));
	for (uint32_t i = 0; i < t->n_fields; i++)
		values[i] = column_value_copy(r->arena,
		    t->fields[i] == FIELD_KUZET_INPUT
			? NULL
			: event_get_near(ev, t->fields[i], &t->near[i]));
}

static void
take_hits(struct append *a, const struct batch *b, const uint32_t *sources)
{
	for (uint32_t i = 0; i < b->n_hits; i++) {
		const struct hit *h = &b->hits[i];
		const struct told_rule *t;
		uint32_t row;

		assert(h->event < b->n);
		row = a->s->rows[h->event];
		if (row == dropped)
			continue;
		t = tell_rule(a, b, h->rule);
		a->hits[a->n_hits++] = (struct stored_hit){ row, t->id };
		a->detections += a->s->rules[t->id - 1].visible;
		record_hit(a, &b->events[h->event], t, sources[h->event]);
	}
}

static void
take_control(struct append *a, const struct source *from, uint32_t agent,
    const struct event *c)
{
	struct store *s = a->s;
	struct slice what = event_get_string(c, FIELD_KUZET_CONTROL);
	struct slice text = event_get_string(c, FIELD_KUZET_STREAM);
	struct source_state *x;
	uint8_t stream[16];
	uint32_t i;

	if (slice_eq(what, SLICE("heartbeat"))) {
		i = source_of(a, from, agent, c);
		x = state_touch_source(&s->state, i);
		if (c->arrival_ns > x->now.arrival_ns)
			x->now.arrival_ns = c->arrival_ns;
		/* idle, and all it read is here: its clock goes on */
		if (x->now.live && event_time(c) > x->now.time_ns)
			x->now.time_ns = event_time(c);
	} else if (slice_eq(what, SLICE("stream_end")) &&
	    uuid_parse(text, stream)) {
		i = state_find_mark(&s->state, agent, stream);
		if (i != UINT32_MAX && s->state.marks[i].now.set)
			state_touch_mark(&s->state, i)->now.ended_ns =
			    c->arrival_ns;
	}
}

static void
take_batch(struct append *a, const struct batch *b)
{
	struct store *s = a->s;
	uint32_t agent =
	    state_agent(&s->state, b->source.owner, b->source.agent);
	struct agent_state *who = state_touch_agent(&s->state, agent);
	uint32_t sources[BATCH_EVENTS];

	assert(b->n <= BATCH_EVENTS);
	a->owner = arena_copy(a->record->arena, b->source.owner);
	a->agent = arena_copy(a->record->arena, b->source.agent);
	arrival_of(b->events, b->n, &who->now.last_seen_ns);
	arrival_of(b->controls, b->n_controls, &who->now.last_seen_ns);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct event *ev = &b->events[i];
		uint32_t source = source_of(a, &b->source, agent, ev);
		struct source_state *x = state_touch_source(&s->state, source);

		sources[i] = source + 1;
		if (!is_new(s, agent, ev)) {
			s->rows[i] = dropped;
			a->record->duplicates++;
			if (ev->arrival_ns > x->now.arrival_ns)
				x->now.arrival_ns = ev->arrival_ns;
			continue;
		}
		s->rows[i] = a->row++;
		who->now.events++;
		move_watermark(x, event_time(ev), ev->arrival_ns);
		block_encoder_add(s->encoder, ev, event_time(ev), source + 1);
		chain_digest_event(&s->digest, ev, event_time(ev));
	}
	take_hits(a, b, sources);
	for (uint32_t i = 0; i < b->n_controls; i++)
		take_control(a, &b->source, agent, &b->controls[i]);
}

/* ---- blocks ------------------------------------------------------------- */

static enum rc
insert_block(struct append *a, struct slice owner)
{
	struct store *s = a->s;
	struct block_encoded block;

	if (block_encoder_finish(s->encoder, &block, a->err) != RC_OK)
		return a->err->code;
	if (block.first_ns < a->first_ns)
		a->first_ns = block.first_ns;
	if (block.last_ns > a->last_ns)
		a->last_ns = block.last_ns;
	if (a->n_hits > 0)
		hits_write(&s->hits, a->hits, a->n_hits);
	if (SQL_PUT(a->day, a->err,
		"INSERT INTO blocks(id, commit_number, owner, first_time,"
		" last_time, n, hits, bloom)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
		BIND_INT(a->next_block), BIND_INT(a->record->commit),
		BIND_TEXT(owner), BIND_INT(block.first_ns),
		BIND_INT(block.last_ns), BIND_INT(block.n),
		a->n_hits > 0 ? BIND_BLOB(bytes_slice(&s->hits)) : BIND_NULL,
		BIND_BLOB(block.bloom)) != RC_OK)
		return a->err->code;
	if (SQL_PUT(a->day, a->err,
		"INSERT INTO block_data(id, data) VALUES(?1, ?2)",
		BIND_INT(a->next_block), BIND_BLOB(block.data)) != RC_OK)
		return a->err->code;
	a->next_block++;
	return RC_OK;
}

/* What the chain says of the block's hits. */
static void
digest_hits(struct append *a, struct slice owner)
{
	const struct store *s = a->s;
	uint64_t first = a->events_before + a->record->stored + 1;

	chain_digest_owner(&a->s->digest, owner, a->row);
	for (size_t i = 0; i < a->n_hits; i++) {
		const struct day_rule *r = &s->rules[a->hits[i].rule - 1];

		chain_digest_hit(&a->s->digest, first + a->hits[i].row,
		    r->digest, r->id);
	}
}

/* The batches of one owner become one block. */
static enum rc
take_owner(struct append *a, struct batch *const *batches, size_t n,
    struct slice owner)
{
	block_encoder_begin(a->s->encoder);
	a->row = 0;
	a->n_hits = 0;
	for (size_t i = 0; i < n; i++)
		if (slice_eq(batches[i]->source.owner, owner))
			take_batch(a, batches[i]);
	if (a->row == 0)
		return RC_OK;
	digest_hits(a, owner);
	a->record->stored += a->row;
	return insert_block(a, owner);
}

/* The least owner after `last`; NULL: there is none. */
static const struct slice *
next_owner(struct batch *const *batches, size_t n, const struct slice *last)
{
	const struct slice *least = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct slice *o = &batches[i]->source.owner;

		if ((last == NULL || slice_compare(*o, *last) > 0) &&
		    (least == NULL || slice_compare(*o, *least) < 0))
			least = o;
	}
	return least;
}

/* Owner by owner in the order of their names: the chain's order. */
static enum rc
take_all(struct append *a, struct batch *const *batches, size_t n)
{
	for (const struct slice *o = next_owner(batches, n, NULL); o != NULL;
	     o = next_owner(batches, n, o))
		if (take_owner(a, batches, n, *o) != RC_OK)
			return a->err->code;
	return RC_OK;
}

/* Which day it belongs to; the end of the one before is signed first. */
static enum rc
find_day(struct append *a)
{
	const struct store *s = a->s;

	a->day_number = day_of(a->record->arrival_ns);
	a->new_day = s->day == NULL || a->day_number > s->day_number;
	return a->new_day ? store_seal(a->s, a->err) : RC_OK;
}

/* In the write lock. */
static enum rc
append(struct append *a, struct batch *const *batches, size_t n)
{
	if (begin(a) != RC_OK || take_all(a, batches, n) != RC_OK ||
	    end(a) != RC_OK) {
		undo(a);
		return a->err->code;
	}
	settle(a);
	return RC_OK;
}

enum rc
store_append(struct store *s, struct batch *const *batches, size_t n,
    struct log_record *out, struct error *err)
{
	struct append a = { .s = s, .record = out, .err = err };
	size_t n_hits = 0, n_events = 0;
	enum rc rc;

	assert(s->dir_fd >= 0);
	*out = (struct log_record){ .arena = arena_new(RECORD_ARENA),
		.commit = atomic_load(&s->commits) };
	for (size_t i = 0; i < n; i++) {
		n_hits += batches[i]->n_hits;
		n_events += batches[i]->n + batches[i]->n_controls;
		arrival_of(batches[i]->events, batches[i]->n, &out->arrival_ns);
		arrival_of(batches[i]->controls, batches[i]->n_controls,
		    &out->arrival_ns);
	}
	if (n_events == 0)
		return RC_OK;
	out->commit++;
	out->hits =
	    arena_alloc(out->arena, (n_hits + 1) * sizeof(out->hits[0]));
	a.hits = arena_alloc(out->arena, (n_hits + 1) * sizeof(a.hits[0]));
	a.events_before = atomic_load(&s->events);
	rc = find_day(&a);
	if (rc == RC_OK) {
		(void)pthread_mutex_lock(&s->write_lock);
		rc = append(&a, batches, n);
		(void)pthread_mutex_unlock(&s->write_lock);
	} else {
		log_record_fini(out);
	}
	return rc == RC_OK
	    ? RC_OK
	    : error_prefix(err, "cannot store %zu events", n_events);
}
