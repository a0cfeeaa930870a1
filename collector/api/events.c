/* SPDX-License-Identifier: Apache-2.0 */
/* Events and detections: what is read from the log. */
#include "api_private.h"
#include "search.h"

enum { DETECTION_ID_BYTES = 16 };

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

/* ---- detections --------------------------------------------------------------- */

/* A detection is told by its rule and its event, however often it is read. */
static void
detection_id(const struct detection *d, char out[2 * DETECTION_ID_BYTES + 1])
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *h = sha256_new();

	sha256_add(h, d->rule_id.ptr, d->rule_id.len);
	sha256_add(h, "", 1);
	sha256_add(h, d->event_id.ptr, d->event_id.len);
	sha256_done(h, digest);
	sha256_free(h);
	hex_text(digest, DETECTION_ID_BYTES, out);
}

void
detection_write(struct buf *out, const struct detection *d)
{
	char id[2 * DETECTION_ID_BYTES + 1];
	struct json_writer w;

	detection_id(d, id);
	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "id");
	json_str(&w, id);
	json_key(&w, "rule");
	json_raw(&w, d->rule);
	json_key(&w, "level");
	json_string(&w, d->level);
	json_key(&w, "@timestamp");
	json_time(&w, d->time_ns);
	json_key(&w, "event");
	json_string(&w, d->event_id);
	json_key(&w, "group");
	json_raw(&w, d->group.len > 0 ? d->group : SLICE("{}"));
	json_close(&w, '}');
}

static bool
detection_line(void *ctx, const struct store_detection *d)
{
	struct ask *a = ctx;
	const struct detection row = {
		.rule = d->rule,
		.rule_id = d->rule_id,
		.level = d->level,
		.event_id = event_id_text(d->event),
		.time_ns = d->event->time_ns,
		.group = d->group,
	};

	detection_write(&a->line, &row);
	return ask_line(a);
}

void
get_detections(struct ask *a)
{
	struct store_filter filters[HTTP_PARAMS_MAX];
	struct store_query q;
	struct error err;
	enum rc rc = param_query(a, &q, filters, &err);

	if (rc == RC_OK)
		rc = store_detections(a->api->options.store, &q,
		    http_param(a->request, "rule"), detection_line, a, &err);
	ask_fail(a, rc, &err);
}
