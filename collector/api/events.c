/* SPDX-License-Identifier: Apache-2.0 */
/* Events as they came. */
#include "api_private.h"
#include "search.h"

static bool
event_line(void *ctx, const struct event *ev)
{
	struct ask *a = ctx;

	json_write_event(&a->line, ev, a->shape);
	return ask_line(a);
}

static enum rc
count_events(struct ask *a, const struct search_request *r, uint64_t limit,
    struct error *err)
{
	struct json_writer w;
	uint64_t count = 0;
	enum rc rc = search_count(a->api->options.store, r, &count, err);

	if (rc != RC_OK)
		return rc;
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "count");
	json_uint(&w, limit > 0 && count > limit ? limit : count);
	json_close(&w, '}');
	(void)ask_line(a);
	return RC_OK;
}

/* What `where` says, as a query; search_free() it. */
static struct search_query *
query_of(const struct store_query *q)
{
	struct search_equal list[HTTP_PARAMS_MAX];

	for (size_t i = 0; i < q->n_filters; i++)
		list[i] = (struct search_equal){ q->filters[i].field,
			q->filters[i].value };
	return search_equals(list, q->n_filters);
}

static enum rc
answer_events(struct ask *a, const struct store_query *q, bool count,
    struct error *err)
{
	struct search_page page = { .sort = SEARCH_ARRIVAL, .limit = q->limit };
	struct search_query *query = query_of(q);
	struct search_request r = { .query = query,
		.owner = q->owner,
		.since_ns = q->since_ns,
		.until_ns = q->until_ns };
	enum rc rc = count ? count_events(a, &r, q->limit, err)
			   : search_events(a->api->options.store, &r, &page,
				 event_line, a, err);

	search_free(query);
	return rc;
}

void
get_events(struct ask *a)
{
	struct store_filter filters[HTTP_PARAMS_MAX];
	struct store_query q;
	struct error err;
	bool count = false, flat = false;
	enum rc rc = param_query(a, &q, filters, &err);

	if (rc == RC_OK)
		rc = param_flag(a, "count", &count, &err);
	if (rc == RC_OK)
		rc = param_flag(a, "flat", &flat, &err);
	a->shape = flat ? JSON_FLAT : JSON_NESTED;
	if (rc == RC_OK)
		rc = answer_events(a, &q, count, &err);
	ask_fail(a, rc, &err);
}
