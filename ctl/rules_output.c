/* SPDX-License-Identifier: Apache-2.0 */
#include "rules_output.h"

#include <stdio.h>
#include <stdlib.h>

#include "correlate.h"
#include "json.h"
#include "xalloc.h"

enum { LINE_MAX_BYTES = 64 << 20 };

/* A line that waits: correlations are known at the end only. */
struct line {
	uint64_t index; /* of the event it belongs to */
	uint64_t order; /* among those of one event */
	char *text;     /* owned */
	size_t len;
};

struct rules_output {
	struct ruleset *rules; /* borrowed */
	FILE *stream;          /* borrowed */
	bool json;
	bool failed;
	uint32_t only; /* a correlation; UINT32_MAX: everything */
	struct buf out;
	struct correlator *correlator; /* NULL: there is no correlation */
	struct value *values;          /* of one hit */
	uint32_t cap_values;
	int64_t newest_ns;
	struct line *lines;
	size_t n, cap;
};

static void
put(struct rules_output *o, const char *text, size_t len)
{
	if (fwrite(text, 1, len, o->stream) != len)
		o->failed = true;
}

/* The line in o->out: now, or kept for the end. */
static void
finish_line(struct rules_output *o, uint64_t index)
{
	(void)buf_add_char(&o->out, '\n');
	if (o->correlator == NULL) {
		put(o, o->out.ptr, o->out.len);
		return;
	}
	if (o->n == o->cap) {
		o->cap = o->cap == 0 ? 256 : 2 * o->cap;
		o->lines = xreallocarray(o->lines, o->cap, sizeof(o->lines[0]));
	}
	o->lines[o->n] = (struct line){ index, o->n,
		xmemdupz(o->out.ptr, o->out.len), o->out.len };
	o->n++;
}

static void
begin_json(struct json_writer *w, struct buf *out, const uint64_t *index,
    const struct rule_info *info)
{
	json_begin(w, out);
	json_open(w, '{');
	json_key(w, "event");
	if (index != NULL)
		json_uint(w, *index);
	else
		json_null(w);
	json_key(w, "rule");
	json_string(w, info->id);
	json_key(w, "title");
	json_string(w, info->title);
	json_key(w, "level");
	json_str(w, rule_level_name(info->level));
}

static void
write_match(struct rules_output *o, uint64_t index,
    const struct rule_info *info)
{
	struct json_writer w;

	buf_clear(&o->out);
	if (o->json) {
		begin_json(&w, &o->out, &index, info);
		json_close(&w, '}');
	} else {
		(void)buf_printf(&o->out, "%llu\t%s\t%.*s\t%.*s",
		    (unsigned long long)index, rule_level_name(info->level),
		    SLICE_ARG(info->id), SLICE_ARG(info->title));
	}
	finish_line(o, index);
}

/* ---- correlations ------------------------------------------------------ */

static void
on_incident(void *ctx, const struct correlate_incident *inc)
{
	struct rules_output *o = ctx;
	const struct rule_info *info = ruleset_rule(o->rules, inc->rule);
	bool at_event = inc->completed_by != UINT64_MAX;
	uint64_t place = inc->completed_by;
	struct json_writer w;

	if (inc->disproved ||
	    (o->only != UINT32_MAX ? inc->rule != o->only : !info->visible))
		return;
	if (!at_event)
		place = inc->n_ordinals > 0 ? inc->ordinals[inc->n_ordinals - 1]
					    : UINT64_MAX;
	buf_clear(&o->out);
	if (!o->json) {
		if (at_event)
			(void)buf_add_u64dec(&o->out, inc->completed_by);
		else
			(void)buf_add_char(&o->out, '-');
		(void)buf_printf(&o->out, "\t%s\t%.*s\t%.*s\t%.*s\t%llu",
		    rule_level_name(info->level), SLICE_ARG(info->id),
		    SLICE_ARG(info->title), SLICE_ARG(inc->group),
		    (unsigned long long)inc->events);
		finish_line(o, place);
		return;
	}
	begin_json(&w, &o->out, at_event ? &inc->completed_by : NULL, info);
	json_key(&w, "group");
	json_raw(&w, inc->group);
	json_key(&w, "count");
	json_uint(&w, inc->events);
	json_key(&w, "events");
	json_open(&w, '[');
	for (size_t i = 0; i < inc->n_ordinals; i++)
		json_uint(&w, inc->ordinals[i]);
	json_close(&w, ']');
	json_close(&w, '}');
	finish_line(o, place);
}

static void
set_identity(struct correlate_hit *hit, const struct event *ev, uint64_t index)
{
	hit->id = ev->id;
	if (event_has_stream(ev))
		return;
	hit->id_text = event_id_text(ev);
	if (hit->id_text.len > 0 && !event_id_parse(hit->id_text, &hit->id))
		hit->id = (struct event_id){ .offset = 0 };
	if (hit->id_text.len > 0)
		return;
	/* no identity: each counts, in the order of the file */
	memset(hit->id.stream, 0xff, sizeof(hit->id.stream));
	hit->id.offset = index;
}

static void
correlate(struct rules_output *o, const struct event *ev, uint64_t index,
    uint32_t rule)
{
	struct correlate_hit hit = {
		.rule = rule,
		.time_ns = ev->time_ns,
		.owner = event_get_string(ev, FIELD_ORGANIZATION_ID),
		.agent = event_get_string(ev, FIELD_AGENT_ID),
		.position = index,
		.ordinal = index,
	};
	uint32_t n;
	const uint32_t *fields = ruleset_hit_fields(o->rules, rule, &n);

	if (n > o->cap_values) {
		o->values = xreallocarray(o->values, n, sizeof(o->values[0]));
		o->cap_values = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct value *v = event_get(ev, fields[i]);

		o->values[i] =
		    v != NULL ? *v : (struct value){ .kind = VALUE_NULL };
	}
	if (hit.owner.ptr == NULL)
		hit.owner = SLICE("default");
	if (hit.agent.ptr == NULL)
		hit.agent = SLICE("");
	hit.values = o->values;
	set_identity(&hit, ev, index);
	correlator_hit(o->correlator, &hit);
}

/* ---- events ------------------------------------------------------------ */

struct rules_output *
rules_output_new(struct ruleset *rs, bool json, FILE *stream)
{
	struct rules_output *o = xzalloc(sizeof(*o));
	struct correlate_options options = {
		.keep_ordinals = true,
		.coalesce = true,
		.on_incident = on_incident,
		.ctx = o,
	};
	bool any = false;

	o->rules = rs;
	o->json = json;
	o->stream = stream;
	o->newest_ns = INT64_MIN;
	o->only = UINT32_MAX;
	buf_init(&o->out, LINE_MAX_BYTES);
	for (uint32_t i = 0; i < ruleset_count(rs); i++)
		any = any || ruleset_rule(rs, i)->correlation;
	if (any) {
		o->correlator = correlator_new(rs, &options);
		correlator_source(o->correlator, 0);
	}
	return o;
}

void
rules_output_only(struct rules_output *o, uint32_t rule)
{
	o->only = rule;
}

void
rules_output_free(struct rules_output *o)
{
	if (o == NULL)
		return;
	correlator_free(o->correlator);
	for (size_t i = 0; i < o->n; i++)
		free(o->lines[i].text);
	free(o->lines);
	free(o->values);
	buf_fini(&o->out);
	free(o);
}

void
rules_output_event(struct rules_output *o, const struct event *ev,
    uint64_t index, const uint32_t *hits, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct rule_info *info = ruleset_rule(o->rules, hits[i]);

		if (info->visible && o->only == UINT32_MAX)
			write_match(o, index, info);
		if (o->correlator != NULL)
			correlate(o, ev, index, hits[i]);
	}
	if (o->correlator != NULL && ev->time_ns > o->newest_ns) {
		o->newest_ns = ev->time_ns;
		correlator_watermark(o->correlator, 0, ev->time_ns);
	}
}

static int
by_place(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void
rules_output_end(struct rules_output *o)
{
	if (o->correlator == NULL)
		return;
	correlator_flush(o->correlator);
	if (o->n > 0)
		qsort(o->lines, o->n, sizeof(o->lines[0]), by_place);
	for (size_t i = 0; i < o->n; i++)
		put(o, o->lines[i].text, o->lines[i].len);
}

bool
rules_output_good(const struct rules_output *o)
{
	return !o->failed;
}
