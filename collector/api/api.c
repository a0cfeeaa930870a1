/* SPDX-License-Identifier: Apache-2.0 */
/* The route table, and what each route answers. */
#include "api.h"

#include <stdlib.h>
#include <unistd.h>

#include "control.h"
#include "http.h"
#include "soc.h"
#include "store_answers.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	FILTERS_MAX = HTTP_PARAMS_MAX,
	LINE_MAX_BYTES = 64 * 1024 * 1024,
	QUERY_THREADS = 2,
	DETECTION_ID_BYTES = 16,
	BAD_REQUEST = 400,
	INTERNAL_ERROR = 500,
};

static const int64_t timeout_ns = 60 * NS_PER_SEC;

struct api {
	struct api_options options;
	struct http *http;
	char *control_path;
};

/* One answer in the making: a line at a time. */
struct answer {
	struct http_reply *reply;
	struct buf line;
	enum json_shape shape;
};

static void
answer_init(struct answer *a, struct http_reply *reply)
{
	a->reply = reply;
	a->shape = JSON_NESTED;
	buf_init(&a->line, LINE_MAX_BYTES);
}

/* Sends the line; false: nobody reads any more. */
static bool
answer_line(struct answer *a)
{
	bool more = true;

	(void)buf_add_char(&a->line, '\n');
	if (!a->line.overflowed)
		more = http_write(a->reply, buf_slice(&a->line));
	buf_clear(&a->line);
	return more;
}

/* Ends it; what went wrong, if anything did, goes to the peer. */
static void
answer_fini(struct answer *a, enum rc rc, const struct error *err)
{
	if (rc == RC_INVALID)
		http_fail(a->reply, BAD_REQUEST, err->text);
	else if (rc != RC_OK)
		http_fail(a->reply, INTERNAL_ERROR, err->text);
	buf_fini(&a->line);
}

static enum rc
param_time(const struct http_request *r, const char *name, int64_t *time_ns,
    struct error *err)
{
	struct slice s = http_param(r, name);
	char text[TIMESTAMP_TEXT_MAX];

	if (s.ptr == NULL)
		return RC_OK;
	if (s.len >= sizeof(text))
		return error_set(err, RC_INVALID, "%s: no time", name);
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (timestamp_parse_argument(text, timestamp_now(), time_ns, err) !=
	    RC_OK)
		return error_prefix(err, "%s", name);
	return RC_OK;
}

static enum rc
param_number(const struct http_request *r, const char *name, uint64_t *out,
    struct error *err)
{
	struct slice s = http_param(r, name);
	uint64_t v = 0;

	if (s.ptr == NULL)
		return RC_OK;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return error_set(err, RC_INVALID, "%s: no number",
			    name);
		v = v * 10 + digit;
	}
	if (s.len == 0)
		return error_set(err, RC_INVALID, "%s: no number", name);
	*out = v;
	return RC_OK;
}

static bool
param_flag(const struct http_request *r, const char *name)
{
	struct slice s = http_param(r, name);

	return s.ptr != NULL && !slice_eq(s, SLICE("0")) &&
	    !slice_eq(s, SLICE("false"));
}

/* FIELD=VALUE; `filters` has room for all params. */
static enum rc
param_filters(const struct http_request *r, struct store_filter *filters,
    size_t *n, struct error *err)
{
	*n = 0;
	for (size_t i = 0; i < r->n_params; i++) {
		struct slice v = r->params[i].value;
		struct slice name = { v.ptr, 0 };
		uint32_t field;

		if (!slice_eq(r->params[i].name, SLICE("where")))
			continue;
		while (name.len < v.len && v.ptr[name.len] != '=')
			name.len++;
		if (name.len == 0 || name.len == v.len)
			return error_set(err, RC_INVALID,
			    "where: write FIELD=VALUE");
		/* interned: an old day may hold a name that is new to us */
		field = field_intern(name);
		if (field == FIELD_NONE)
			return error_set(err, RC_INVALID,
			    "where: no field can have that name");
		filters[(*n)++] = (struct store_filter){ field,
			{ v.ptr + name.len + 1, v.len - name.len - 1 } };
	}
	return RC_OK;
}

static bool
event_line(void *ctx, const struct event *ev)
{
	struct answer *a = ctx;

	json_write_event(&a->line, ev, a->shape);
	return answer_line(a);
}

static enum rc
count_events(struct answer *a, struct store *s, const struct store_query *q,
    struct error *err)
{
	struct json_writer w;
	uint64_t count = 0;
	enum rc rc = store_count(s, q, &count, err);

	if (rc != RC_OK)
		return rc;
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "count");
	json_uint(&w, count);
	json_close(&w, '}');
	(void)answer_line(a);
	return RC_OK;
}

/* GET /v1/events?since=&until=&where=FIELD=VALUE&limit=&count=&flat= */
static void
get_events(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	const struct api *api = ctx;
	struct store_filter filters[FILTERS_MAX];
	struct store_query q = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.filters = filters };
	struct answer a;
	struct error err;
	enum rc rc;

	answer_init(&a, reply);
	a.shape = param_flag(r, "flat") ? JSON_FLAT : JSON_NESTED;
	rc = param_time(r, "since", &q.since_ns, &err);
	if (rc == RC_OK)
		rc = param_time(r, "until", &q.until_ns, &err);
	if (rc == RC_OK)
		rc = param_number(r, "limit", &q.limit, &err);
	if (rc == RC_OK)
		rc = param_filters(r, filters, &q.n_filters, &err);
	if (rc == RC_OK && param_flag(r, "count"))
		rc = count_events(&a, api->options.store, &q, &err);
	else if (rc == RC_OK)
		rc = store_events(api->options.store, &q, event_line, &a, &err);
	answer_fini(&a, rc, &err);
}

static bool
incident_line(void *ctx, const struct incident *i)
{
	struct answer *a = ctx;

	incident_write(&a->line, i);
	return answer_line(a);
}

/* GET /v1/incidents?since=&until=&rule=&limit= */
static void
get_incidents(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	const struct api *api = ctx;
	struct soc_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct answer a;
	struct error err;
	enum rc rc;

	answer_init(&a, reply);
	q.rule = http_param(r, "rule");
	rc = param_time(r, "since", &q.since_ns, &err);
	if (rc == RC_OK)
		rc = param_time(r, "until", &q.until_ns, &err);
	if (rc == RC_OK)
		rc = param_number(r, "limit", &q.limit, &err);
	if (rc == RC_OK)
		rc = soc_incidents(api->options.store, &q, incident_line, &a,
		    &err);
	answer_fini(&a, rc, &err);
}

/* A detection is told by its rule and its event, however often it is read. */
static void
detection_id(const struct store_detection *d, struct slice event_id,
    char out[2 * DETECTION_ID_BYTES + 1])
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *h = sha256_new();

	sha256_add(h, d->rule_id.ptr, d->rule_id.len);
	sha256_add(h, "", 1);
	sha256_add(h, event_id.ptr, event_id.len);
	sha256_done(h, digest);
	sha256_free(h);
	hex_text(digest, DETECTION_ID_BYTES, out);
}

static bool
detection_line(void *ctx, const struct store_detection *d)
{
	struct answer *a = ctx;
	struct slice event_id = event_id_text(d->event);
	char id[2 * DETECTION_ID_BYTES + 1];
	struct json_writer w;

	detection_id(d, event_id, id);
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "id");
	json_str(&w, id);
	json_key(&w, "rule");
	json_raw(&w, d->rule);
	json_key(&w, "level");
	json_string(&w, d->level);
	json_key(&w, "@timestamp");
	json_time(&w, d->event->time_ns);
	json_key(&w, "event");
	json_string(&w, event_id);
	json_key(&w, "group");
	json_raw(&w, d->group.len > 0 ? d->group : SLICE("{}"));
	json_close(&w, '}');
	return answer_line(a);
}

/* GET /v1/detections?since=&until=&rule=&limit= */
static void
get_detections(void *ctx, const struct http_request *r,
    struct http_reply *reply)
{
	const struct api *api = ctx;
	struct store_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct answer a;
	struct error err;
	enum rc rc;

	answer_init(&a, reply);
	rc = param_time(r, "since", &q.since_ns, &err);
	if (rc == RC_OK)
		rc = param_time(r, "until", &q.until_ns, &err);
	if (rc == RC_OK)
		rc = param_number(r, "limit", &q.limit, &err);
	if (rc == RC_OK)
		rc = store_detections(api->options.store, &q,
		    http_param(r, "rule"), detection_line, &a, &err);
	answer_fini(&a, rc, &err);
}

static bool
count_agent(void *ctx, const struct store_agent *agent)
{
	uint64_t *n = ctx;

	(void)agent;
	++*n;
	return true;
}

static void
put_number(struct json_writer *w, const char *key, uint64_t n)
{
	json_key(w, key);
	json_uint(w, n);
}

static void
open_part(struct json_writer *w, const char *key)
{
	json_key(w, key);
	json_open(w, '{');
}

static void
write_status(struct buf *out, const struct api_status *s,
    const struct store_counters *c, uint64_t incidents, uint64_t agents)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "version");
	json_str(&w, PACKAGE_VERSION);
	json_key(&w, "ready");
	json_bool(&w, s->ready);
	put_number(&w, "uptime_seconds", (uint64_t)(s->uptime_ns / NS_PER_SEC));
	open_part(&w, "events");
	put_number(&w, "received", s->received);
	put_number(&w, "stored", c->events);
	put_number(&w, "duplicates_dropped", c->duplicates);
	put_number(&w, "unparsed", s->unparsed);
	json_close(&w, '}');
	put_number(&w, "detections", c->detections);
	put_number(&w, "incidents", incidents);
	open_part(&w, "agents");
	put_number(&w, "known", agents);
	put_number(&w, "connected", s->agents_connected);
	json_close(&w, '}');
	open_part(&w, "outbox");
	put_number(&w, "pending", s->outbox_pending);
	put_number(&w, "delivered", s->outbox_delivered);
	json_close(&w, '}');
	open_part(&w, "rules");
	put_number(&w, "loaded", s->rules_loaded);
	put_number(&w, "refused", s->rules_refused);
	json_close(&w, '}');
	open_part(&w, "correlation");
	put_number(&w, "hits", s->hits);
	put_number(&w, "groups", s->groups);
	put_number(&w, "late_hits", s->late_hits);
	put_number(&w, "evicted_hits", s->evicted_hits);
	put_number(&w, "unknown_hits", s->unknown_hits);
	json_close(&w, '}');
	open_part(&w, "log");
	put_number(&w, "commits", c->commits);
	put_number(&w, "correlated", s->correlated);
	json_close(&w, '}');
	json_close(&w, '}');
}

/* GET /v1/status */
static void
get_status(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	const struct api *api = ctx;
	struct api_status status = { .ready = false };
	struct store_counters counters = { .events = 0 };
	uint64_t incidents = 0, agents = 0;
	struct answer a;
	struct error err;
	enum rc rc;

	(void)r;
	answer_init(&a, reply);
	api->options.status(api->options.ctx, &status);
	store_counters(api->options.store, &counters);
	rc = soc_incident_count(api->options.store, &incidents, &err);
	if (rc == RC_OK)
		rc = store_agents(api->options.store, count_agent, &agents,
		    &err);
	if (rc == RC_OK) {
		write_status(&a.line, &status, &counters, incidents, agents);
		(void)answer_line(&a);
	}
	answer_fini(&a, rc, &err);
}

static void
get_store_verify(void *ctx, const struct http_request *r,
    struct http_reply *reply)
{
	const struct api *api = ctx;

	answer_store_verify(api->options.store, r, reply);
}

static void
get_store_proof(void *ctx, const struct http_request *r,
    struct http_reply *reply)
{
	const struct api *api = ctx;

	answer_store_proof(api->options.store, r, reply);
}

struct agents_answer {
	struct answer answer;
	const struct api *api;
	struct slice only; /* this one, with its positions; ptr NULL: all */
	const struct store_agent *row;
	bool found;
};

static void
put_text(struct json_writer *w, const char *key, struct slice text)
{
	if (text.len == 0)
		return;
	json_key(w, key);
	json_string(w, text);
}

static void
write_agent(void *ctx, const struct api_agent *says)
{
	struct agents_answer *a = ctx;
	struct json_writer w;

	json_begin(&w, &a->answer.line);
	json_open(&w, '{');
	json_key(&w, "agent");
	json_string(&w, a->row->agent);
	json_key(&w, "organization");
	json_string(&w, a->row->owner);
	json_key(&w, "connected");
	json_bool(&w, says->connected);
	json_key(&w, "last_seen");
	json_time(&w, a->row->last_seen_ns);
	put_number(&w, "events", a->row->events);
	put_text(&w, "version", says->version);
	put_text(&w, "peer", says->peer);
	put_text(&w, "started", says->started);
	put_text(&w, "instance", says->instance);
	if (says->heard_ns != 0) {
		json_key(&w, "heard");
		json_time(&w, says->heard_ns);
	}
	if (says->status.len > 0) {
		json_key(&w, "status");
		json_raw(&w, says->status);
	}
	if (a->only.ptr != NULL && says->positions.len > 0) {
		json_key(&w, "positions");
		json_raw(&w, says->positions);
	}
	json_close(&w, '}');
}

static bool
agent_line(void *ctx, const struct store_agent *row)
{
	struct agents_answer *a = ctx;

	if (a->only.ptr != NULL && !slice_eq(a->only, row->agent))
		return true;
	a->found = true;
	a->row = row;
	a->api->options.agent(a->api->options.ctx, row->owner, row->agent,
	    write_agent, a);
	return answer_line(&a->answer);
}

/* GET /v1/agents?agent= */
static void
get_agents(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	struct agents_answer a = { .api = ctx };
	struct error err;
	enum rc rc;

	answer_init(&a.answer, reply);
	a.only = http_param(r, "agent");
	rc = store_agents(a.api->options.store, agent_line, &a, &err);
	if (rc == RC_OK && a.only.ptr != NULL && !a.found)
		rc = error_set(&err, RC_INVALID, "there is no agent \"%.*s\"",
		    SLICE_ARG(a.only));
	answer_fini(&a.answer, rc, &err);
}

static const struct http_route routes[] = {
	{ "GET", "/v1/status", get_status },
	{ "GET", "/v1/agents", get_agents },
	{ "GET", "/v1/events", get_events },
	{ "GET", "/v1/incidents", get_incidents },
	{ "GET", "/v1/detections", get_detections },
	{ "GET", "/v1/store/verify", get_store_verify },
	{ "GET", "/v1/store/proof", get_store_proof },
	{ NULL, NULL, NULL },
};

enum rc
api_start(const struct api_options *options, struct api **out,
    struct error *err)
{
	struct http_options http = { .routes = routes,
		.timeout_ns = timeout_ns };
	struct api *api = NULL;
	enum rc rc;
	int fd;

	rc = control_listen(options->control_path, &fd, err);
	if (rc != RC_OK)
		return rc;
	api = xzalloc(sizeof(*api));
	api->options = *options;
	api->control_path = xstrdup(options->control_path);
	http.ctx = api;
	http.query_threads =
	    options->query_threads > 0 ? options->query_threads : QUERY_THREADS;
	api->http = http_start(&http);
	rc = http_serve_unix(api->http, fd, geteuid(), err);
	if (rc != RC_OK) {
		api_stop(api);
		return rc;
	}
	*out = api;
	return RC_OK;
}

void
api_stop(struct api *api)
{
	if (api == NULL)
		return;
	/* first the name, so that nobody comes while we go */
	(void)unlink(api->control_path);
	http_stop(api->http);
	free(api->control_path);
	free(api);
}
