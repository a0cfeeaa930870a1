/* SPDX-License-Identifier: Apache-2.0 */
/* Search: events, counts, groups. */
#include <stdio.h>
#include <stdlib.h>

#include "api_private.h"
#include "page.h"
#include "search.h"
#include "timestamp.h"

enum {
	BAD_REQUEST = 400,
	KEY_MAX_BYTES = 16 << 20,
	PERCENT_TEXT_MAX = 16,
};

/* One answer in the making. */
struct search_answer {
	struct ask *ask;
	struct store *store;
	struct search_query *query;
	size_t column; /* of a mistake in the query */
	struct search_request request;
	struct search_page page;
	struct search_groups groups;
	bool count, next;
};

static bool
is_gone(void *ctx)
{
	struct search_answer *a = ctx;

	return !http_write(a->ask->reply, SLICE(""));
}

static struct slice
param(const struct search_answer *a, const char *name)
{
	return http_param(a->ask->request, name);
}

/* ---- parameters -------------------------------------------------------------- */

/* NUL-terminated; RC_INVALID: too long. */
static enum rc
short_text(struct slice s, const char *name, char *out, size_t room,
    struct error *err)
{
	if (s.len >= room || memchr(s.ptr, '\0', s.len) != NULL)
		return error_set(err, RC_INVALID, "%s: too long", name);
	memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return RC_OK;
}

static enum rc
read_field(struct slice name, const char *param, uint32_t *out,
    struct error *err)
{
	*out = field_intern(name);
	if (*out == FIELD_TIMESTAMP || *out == FIELD_EVENT_ID)
		return error_set(err, RC_INVALID,
		    "%s: %.*s is different in every event%s", param,
		    SLICE_ARG(name),
		    *out == FIELD_TIMESTAMP ? "; use every=1h" : "");
	if (*out == FIELD_NONE)
		return error_set(err, RC_INVALID,
		    "%s: no field can have that name", param);
	return RC_OK;
}

static enum rc
read_by(struct search_answer *a, struct error *err)
{
	struct search_groups *g = &a->groups;

	for (size_t i = 0; i < a->ask->request->n_params; i++) {
		if (!slice_eq(a->ask->request->params[i].name, SLICE("by")))
			continue;
		if (g->n_by == SEARCH_BY_MAX)
			return error_set(err, RC_INVALID,
			    "by: at most %d fields", SEARCH_BY_MAX);
		if (read_field(a->ask->request->params[i].value, "by",
			&g->by[g->n_by++], err) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

/* "50,95,99.9" */
static enum rc
read_percents(struct search_answer *a, struct error *err)
{
	struct search_groups *g = &a->groups;
	struct slice rest = param(a, "percentiles");
	char text[PERCENT_TEXT_MAX], *end;

	if (rest.ptr == NULL)
		rest = SLICE("50,95,99");
	while (rest.len > 0) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		size_t n =
		    comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
		double v;

		if (short_text((struct slice){ rest.ptr, n }, "percentiles",
			text, sizeof(text), err) != RC_OK)
			return err->code;
		v = strtod(text, &end);
		if (n == 0 || *end != '\0' || !(v >= 0 && v <= 100) ||
		    g->n_percents == SEARCH_PERCENTILES_MAX)
			return error_set(err, RC_INVALID,
			    "percentiles: up to %d numbers from 0 to 100, such "
			    "as 50,95,99",
			    SEARCH_PERCENTILES_MAX);
		g->percents[g->n_percents++] = v;
		n += comma != NULL;
		rest.ptr += n;
		rest.len -= n;
	}
	return RC_OK;
}

static enum rc
read_groups(struct search_answer *a, struct error *err)
{
	struct search_groups *g = &a->groups;
	struct slice every = param(a, "every");
	struct slice distinct = param(a, "distinct");
	struct slice measure = param(a, "measure");

	if (read_by(a, err) != RC_OK)
		return err->code;
	if (every.ptr == NULL &&
	    strcmp(a->ask->route->action, "histogram") == 0)
		every = SLICE("1h");
	if (every.ptr != NULL) {
		if (duration_parse(every, &g->every_ns, err) != RC_OK)
			return error_prefix(err, "every");
		if (g->every_ns < NS_PER_MS)
			return error_set(err, RC_INVALID,
			    "every: at least 1ms");
	}
	if (distinct.ptr != NULL &&
	    read_field(distinct, "distinct", &g->distinct, err) != RC_OK)
		return err->code;
	if (measure.ptr == NULL)
		return RC_OK;
	if (read_field(measure, "measure", &g->measure, err) != RC_OK)
		return err->code;
	return read_percents(a, err);
}

static enum rc
read_page(struct search_answer *a, struct error *err)
{
	struct slice sort = param(a, "sort");

	a->page.after = param(a, "after");
	a->page.sort = SEARCH_OLDEST;
	if (sort.ptr == NULL || slice_eq(sort, SLICE("time")))
		return RC_OK;
	if (slice_eq(sort, SLICE("-time")))
		a->page.sort = SEARCH_NEWEST;
	else if (slice_eq(sort, SLICE("arrival")))
		a->page.sort = SEARCH_ARRIVAL;
	else
		return error_set(err, RC_INVALID,
		    "sort: time, -time or arrival");
	return RC_OK;
}

static enum rc
read_query(struct search_answer *a, struct error *err)
{
	enum rc rc = search_parse(param(a, "query"), timestamp_now(), &a->query,
	    &a->column, err);

	a->request.query = a->query;
	return rc;
}

static bool
has_groups(const struct search_answer *a)
{
	const struct search_groups *g = &a->groups;

	return g->n_by > 0 || g->every_ns > 0 || g->distinct != FIELD_NONE ||
	    g->measure != FIELD_NONE;
}

static enum rc
read_all(struct search_answer *a, struct error *err)
{
	bool flat = false;
	enum rc rc = read_query(a, err);

	if (rc == RC_OK)
		rc = param_time(a->ask, "since", &a->request.since_ns, err);
	if (rc == RC_OK)
		rc = param_time(a->ask, "until", &a->request.until_ns, err);
	if (rc == RC_OK)
		rc = param_number(a->ask, "limit", &a->page.limit, err);
	if (rc == RC_OK)
		rc = param_flag(a->ask, "count", &a->count, err);
	if (rc == RC_OK)
		rc = param_flag(a->ask, "next", &a->next, err);
	if (rc == RC_OK)
		rc = param_flag(a->ask, "flat", &flat, err);
	if (rc == RC_OK)
		rc = read_page(a, err);
	if (rc == RC_OK)
		rc = read_groups(a, err);
	if (rc == RC_OK && a->page.after.ptr != NULL &&
	    (a->count || has_groups(a) || param(a, "tail").ptr != NULL))
		rc = error_set(err, RC_INVALID,
		    "after: only events in order of time have pages");
	a->groups.limit = a->page.limit;
	a->ask->shape = flat ? JSON_FLAT : JSON_NESTED;
	return rc;
}

/* ---- answers ------------------------------------------------------------------ */

static bool
event_line(void *ctx, const struct event *ev)
{
	struct search_answer *a = ctx;

	json_write_event(&a->ask->line, ev, a->ask->shape);
	return ask_line(a->ask);
}

static void
number_line(struct search_answer *a, const char *key, uint64_t n)
{
	struct json_writer w;

	json_begin(&w, &a->ask->line);
	json_open(&w, '{');
	json_key(&w, key);
	json_uint(&w, n);
	json_close(&w, '}');
	(void)ask_line(a->ask);
}

static void
write_key(struct json_writer *w, const struct search_row *row, uint32_t n)
{
	json_key(w, "key");
	json_open(w, '[');
	if (row->bucket_ns != NULL)
		json_time(w, *row->bucket_ns);
	for (uint32_t i = 0; i < n; i++) {
		struct buf text;

		buf_init(&text, KEY_MAX_BYTES);
		json_write_value(&text, &row->key[i]);
		json_raw(w, buf_slice(&text));
		buf_fini(&text);
	}
	json_close(w, ']');
}

static void
write_percentiles(struct json_writer *w, const struct search_groups *g,
    const struct search_row *row)
{
	char name[PERCENT_TEXT_MAX + 8];

	json_key(w, "measured");
	json_uint(w, row->measured);
	json_key(w, "sum");
	json_double(w, row->sum);
	json_key(w, "percentiles");
	json_open(w, '{');
	for (uint32_t i = 0; row->percentiles != NULL && i < g->n_percents;
	     i++) {
		(void)snprintf(name, sizeof(name), "%g", g->percents[i]);
		json_key(w, name);
		json_double(w, row->percentiles[i]);
	}
	json_close(w, '}');
}

static bool
row_line(void *ctx, const struct search_row *row)
{
	struct search_answer *a = ctx;
	const struct search_groups *g = &a->groups;
	struct json_writer w;

	json_begin(&w, &a->ask->line);
	json_open(&w, '{');
	write_key(&w, row, g->n_by);
	json_key(&w, "count");
	json_uint(&w, row->count);
	if (g->distinct != FIELD_NONE) {
		json_key(&w, "distinct");
		json_uint(&w, row->distinct);
	}
	if (g->measure != FIELD_NONE)
		write_percentiles(&w, g, row);
	if (!row->distinct_exact || !row->percentiles_exact) {
		json_key(&w, "estimated");
		json_bool(&w, true);
	}
	json_close(&w, '}');
	return ask_line(a->ask);
}

static enum rc
answer_groups(struct search_answer *a, struct error *err)
{
	enum rc rc =
	    search_group(a->store, &a->request, &a->groups, row_line, a, err);

	if (rc == RC_OK && a->groups.other > 0)
		number_line(a, "other", a->groups.other);
	return rc;
}

static enum rc
answer_count(struct search_answer *a, struct error *err)
{
	uint64_t count;
	enum rc rc = search_count(a->store, &a->request, &count, err);

	if (a->page.limit > 0 && count > a->page.limit)
		count = a->page.limit;
	if (rc == RC_OK)
		number_line(a, "count", count);
	return rc;
}

/* What was committed behind `position`; the position is read before. */
static enum rc
answer_tail(struct search_answer *a, struct slice position, struct error *err)
{
	struct store_counters counters;
	enum rc rc = RC_OK;

	store_counters(a->store, &counters);
	if (!slice_eq(position, SLICE("now"))) {
		rc =
		    param_number(a->ask, "tail", &a->request.after_commit, err);
		a->request.last_commit = counters.commits;
		a->page.sort = SEARCH_ARRIVAL;
		a->page.limit = 0;
		if (rc == RC_OK && counters.commits > a->request.after_commit)
			rc = search_events(a->store, &a->request, &a->page,
			    event_line, a, err);
	}
	if (rc == RC_OK)
		number_line(a, "tail", counters.commits);
	return rc;
}

static enum rc
answer_events(struct search_answer *a, struct error *err)
{
	enum rc rc =
	    search_events(a->store, &a->request, &a->page, event_line, a, err);

	if (rc == RC_OK && a->next)
		page_line(a->ask,
		    a->page.next[0] != '\0' ? a->page.next : NULL);
	return rc;
}

static enum rc
answer(struct search_answer *a, struct error *err)
{
	struct slice tail = param(a, "tail");
	enum rc rc = read_all(a, err);

	if (rc != RC_OK)
		return rc;
	if (tail.ptr != NULL)
		return answer_tail(a, tail, err);
	if (has_groups(a))
		return answer_groups(a, err);
	if (a->count)
		return answer_count(a, err);
	return answer_events(a, err);
}

enum rc
search_check(struct ask *ask, size_t *column, struct error *err)
{
	struct search_answer a = { .ask = ask };
	enum rc rc = read_all(&a, err);

	*column = a.column;
	search_free(a.query);
	return rc;
}

/* GET /v1/search; see doc/openapi.yaml */
void
get_search(struct ask *ask)
{
	struct search_answer a = { .ask = ask,
		.store = ask->api->options.store,
		.request = { .owner = ask_owner(ask),
		    .since_ns = INT64_MIN,
		    .until_ns = INT64_MAX,
		    .cancelled = is_gone,
		    .ctx = &a } };
	struct error err;
	enum rc rc = answer(&a, &err);

	if (a.column > 0)
		http_fail_at(ask->reply, BAD_REQUEST, err.text, a.column);
	else if (rc != RC_EOF)
		ask_fail(ask, rc, &err);
	search_free(a.query);
}
