/* SPDX-License-Identifier: Apache-2.0 */
/* What a correlation wants, and into which group of it an event goes. */
#include "explain_engine.h"
#include "json.h"
#include "timestamp.h"

enum { TEXT_MAX = 1 << 16 };

static void
timespan_text(struct buf *out, int64_t ns)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	int64_t seconds = ns / NS_PER_SEC;
	size_t i = 0;

	while (seconds % units[i].seconds != 0)
		i++;
	(void)buf_printf(out, "%lld%c", (long long)(seconds / units[i].seconds),
	    units[i].unit);
}

static void
keys_text(struct buf *out, const char *before,
    const struct correlation_key *keys, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		(void)buf_printf(out, "%s%.*s", i == 0 ? before : ", ",
		    SLICE_ARG(keys[i].name));
}

struct slice
explain_definition(struct explainer *x, const struct sigma_correlation *c)
{
	static const char *const operators[] = { "eq", "neq", "gt", "gte", "lt",
		"lte" };
	struct slice text;
	struct buf out;

	buf_init(&out, TEXT_MAX);
	(void)buf_add_str(&out, correlation_type_name(c->type));
	keys_text(&out, " of ", c->values, c->n_values);
	for (uint32_t i = 0; i < c->n_bounds; i++)
		(void)buf_printf(&out, " %s %.15g", operators[c->bounds[i].op],
		    c->bounds[i].value);
	if (c->n_bounds == 0)
		(void)buf_add_str(&out,
		    c->extended != NULL ? " as its condition says"
					: " of all rules");
	(void)buf_add_str(&out, " within ");
	timespan_text(&out, c->timespan_ns);
	keys_text(&out, " by ", c->group_by, c->n_group_by);
	text = arena_copy(x->now, buf_slice(&out));
	buf_fini(&out);
	return text;
}

/* Adds NAME: VALUE for each key; the name of the first the event lacks. */
static struct slice
write_keys(struct json_writer *w, const struct explainer *x,
    const struct correlation_key *keys, uint32_t n, uint32_t slot)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct correlation_field *f = &keys[i].by_rule[slot];
		struct value v = correlation_value(f, x->event);

		if (v.kind == VALUE_NULL)
			return f->name;
		json_key_slice(w, keys[i].name);
		json_write_value(w->out, &v);
		w->comma = true;
	}
	return SLICE("");
}

void
explain_group(struct explainer *x, const struct sigma_correlation *c,
    uint32_t slot, struct explanation *e)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, TEXT_MAX);
	json_begin(&w, &out);
	json_open(&w, '{');
	e->missing = write_keys(&w, x, c->group_by, c->n_group_by, slot);
	json_close(&w, '}');
	if (e->missing.len == 0)
		e->group = arena_copy(x->now, buf_slice(&out));
	buf_clear(&out);
	json_begin(&w, &out);
	json_open(&w, '{');
	if (e->missing.len == 0)
		e->missing = write_keys(&w, x, c->values, c->n_values, slot);
	json_close(&w, '}');
	if (e->missing.len == 0 && c->n_values > 0)
		e->counted = arena_copy(x->now, buf_slice(&out));
	buf_fini(&out);
}
