/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way: who asks (auth.c), which route it is (routes.c), whether the
 * caller may, its handler, and a line in the audit log (audit.c).
 */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api_private.h"
#include "control.h"
#include "loop.h"
#include "timestamp.h"
#include "tls.h"
#include "xalloc.h"

enum {
	LINE_MAX_BYTES = 64 * 1024 * 1024,
	QUERY_THREADS = 2,
	ARENA_BLOCK = 4096,
	TARGET_MAX = 1024, /* bytes of it in the audit log */
	NO_CONTENT = 204,
	UNAUTHORIZED = 401,
	FORBIDDEN = 403,
	NOT_FOUND = 404,
	BAD_METHOD = 405,
	TOO_MANY = 429,
	UNAVAILABLE = 503,
	FAILURES_BURST = 20, /* of log-ins from an address */
};

static const int64_t timeout_ns = 60 * NS_PER_SEC;
static const double failures_rate = 0.5; /* a second */

struct ruleset *
api_rules(struct api *api)
{
	struct ruleset *rules;

	(void)pthread_mutex_lock(&api->lock);
	rules = api->rules != NULL ? ruleset_ref(api->rules) : NULL;
	(void)pthread_mutex_unlock(&api->lock);
	return rules;
}

struct objects *
api_objects(struct api *api)
{
	struct objects *objects;

	(void)pthread_mutex_lock(&api->lock);
	objects = api->objects != NULL ? objects_ref(api->objects) : NULL;
	(void)pthread_mutex_unlock(&api->lock);
	return objects;
}

struct authority *
api_authority(struct api *api)
{
	struct authority *a;

	(void)pthread_mutex_lock(&api->lock);
	a = api->authority != NULL ? authority_share(api->authority) : NULL;
	(void)pthread_mutex_unlock(&api->lock);
	return a;
}

bool
api_anchor(struct api *api, char out[SHA256_TEXT])
{
	(void)pthread_mutex_lock(&api->lock);
	memcpy(out, api->anchor, SHA256_TEXT);
	(void)pthread_mutex_unlock(&api->lock);
	return out[0] != '\0';
}

/* ---- may it? ------------------------------------------------------------------ */

static struct slice
address_key(const struct ask *a)
{
	return limiter_address(a->request->peer.address);
}

/* Whoever fails to log in again and again has to wait. */
static bool
fails_too_often(const struct ask *a)
{
	return !a->request->peer.local && !ask_only_reads(a) &&
	    !limiter_has(a->api->by_failure, address_key(a), loop_now());
}

static void
refuse_caller(struct ask *a, const struct error *err)
{
	http_header(a->reply, "WWW-Authenticate", "Bearer");
	http_fail(a->reply, UNAUTHORIZED, err->text);
}

/* False: it is answered already. */
static bool
know_caller(struct ask *a)
{
	struct error err;
	enum rc rc;

	if (a->route != NULL && a->route->need == 0) {
		/* strangers: passwords, tokens of enrolment */
		if (!fails_too_often(a))
			return true;
		http_header(a->reply, "Retry-After", "10");
		http_fail(a->reply, TOO_MANY,
		    "too many failures; wait a while");
		return false;
	}
	rc = auth_caller(a, &err);
	if (rc == RC_DENIED)
		refuse_caller(a, &err);
	else
		ask_fail(a, rc, &err);
	return rc == RC_OK;
}

static bool
check_route(struct ask *a, const char *allow)
{
	if (a->route != NULL)
		return true;
	if (allow[0] != '\0')
		http_header(a->reply, "Allow", allow);
	if (allow[0] != '\0' && strcmp(a->request->method, "OPTIONS") == 0) {
		http_type(a->reply, NO_CONTENT, "application/json");
	} else if (allow[0] != '\0') {
		http_fail(a->reply, BAD_METHOD, "not by this method");
	} else {
		http_fail(a->reply, NOT_FOUND, "no such resource");
	}
	return false;
}

static bool
check_rights(struct ask *a)
{
	struct error err;

	if ((a->route->need & ~a->caller.permissions) != 0) {
		http_fail(a->reply, FORBIDDEN,
		    "not allowed with this role or token");
		return false;
	}
	if (a->route->need != 0 && auth_csrf(a, &err) != RC_OK) {
		http_fail(a->reply, FORBIDDEN, err.text);
		return false;
	}
	if (a->caller.kind > CALLER_LOCAL &&
	    !limiter_take(a->api->by_account, ask_name(a), loop_now())) {
		http_fail(a->reply, TOO_MANY, "too many requests; try again");
		return false;
	}
	if (!ask_only_reads(a) && !auditor_works(a->api->auditor)) {
		http_fail(a->reply, UNAVAILABLE,
		    "the audit log cannot be written: nothing is changed");
		return false;
	}
	return true;
}

/* ---- its way -------------------------------------------------------------------- */

/*
 * Everything over HTTPS, and every change; but not what nobody stands behind:
 * it would push out what matters.
 */
static bool
is_audited(const struct ask *a)
{
	if (a->route != NULL && strcmp(a->route->action, "health") == 0)
		return false;
	if (a->request->peer.local)
		return !ask_only_reads(a);
	return a->caller.name[0] != '\0' ||
	    a->request->headers.authorization.ptr != NULL ||
	    a->request->headers.cookie.ptr != NULL;
}

static void
write_audit(struct ask *a)
{
	const struct http_request *r = a->request;
	const char *role =
	    a->caller.kind != CALLER_NOBODY ? role_name(a->caller.role) : "";
	const char *action = a->route != NULL ? a->route->action : "unknown";
	struct audit_entry e = {
		.time_ns = timestamp_now(),
		.account = ask_name(a),
		.role = { role, strlen(role) },
		.address = { r->peer.address, strlen(r->peer.address) },
		.action = { action, strlen(action) },
		.method = { r->method, strlen(r->method) },
		.target = r->target,
		.status = http_status(a->reply),
		.detail = { a->detail, strlen(a->detail) },
	};

	if (e.target.len > TARGET_MAX)
		e.target.len = TARGET_MAX;
	(void)auditor_add(a->api->auditor, &e, !ask_only_reads(a));
}

static void
count_failure(struct ask *a)
{
	if (http_status(a->reply) == UNAUTHORIZED && a->route != NULL &&
	    a->route->need == 0)
		(void)limiter_take(a->api->by_failure, address_key(a),
		    loop_now());
}

static void
run(struct ask *a)
{
	char allow[ALLOW_MAX];
	struct error err;
	enum rc rc;

	a->route = route_find(routes, a->request->method, a->request->path,
	    a->arena, a->path, allow);
	if (!know_caller(a) || !check_route(a, allow) || !check_rights(a))
		return;
	rc = route_check_params(a->route, a->request, &err);
	if (rc == RC_OK)
		a->route->handler(a);
	ask_fail(a, rc, &err);
}

static bool
is_slow(void *ctx, const struct http_request *request)
{
	(void)ctx;
	return route_is_slow(request->method, request->path);
}

static void
on_request(void *ctx, const struct http_request *request,
    struct http_reply *reply)
{
	struct ask a = { .api = ctx, .request = request, .reply = reply };

	a.arena = arena_new(ARENA_BLOCK);
	buf_init(&a.line, LINE_MAX_BYTES);
	run(&a);
	count_failure(&a);
	if (is_audited(&a))
		write_audit(&a);
	buf_fini(&a.line);
	arena_free(a.arena);
}

/* ---- start, stop ------------------------------------------------------------------ */

static void
on_audited(void *ctx)
{
	struct api *api = ctx;

	if (api->options.audited != NULL)
		api->options.audited(api->options.ctx);
}

static enum rc
serve_control(struct api *api, struct error *err)
{
	int fd;
	enum rc rc = control_listen(api->options.control_path, &fd, err);

	if (rc != RC_OK)
		return rc;
	api->control_path = xstrdup(api->options.control_path);
	return http_serve_unix(api->http, fd, geteuid(), err);
}

static enum rc
serve_https(struct api *api, struct error *err)
{
	const struct api_options *o = &api->options;
	const struct http_limits limits = {
		.connections = o->max_connections,
		.address_connections = o->max_connections / 4 + 1,
		.head_ns = o->request_timeout_ns,
		.idle_ns = timeout_ns,
		.address_rate = 2 * o->rate,
	};
	char bound[ADDRESS_TEXT];
	int fd;
	enum rc rc;

	if (o->https_address == NULL)
		return RC_OK;
	rc = address_listen(o->https_address, &fd, bound, err);
	return rc == RC_OK ? http_serve_tls(api->http, fd, o->tls, &limits, err)
			   : rc;
}

enum rc
api_start(const struct api_options *options, struct api **out,
    struct error *err)
{
	const struct http_options http = {
		.handler = on_request,
		.is_slow = is_slow,
		.ctx = NULL,
		.query_threads = options->query_threads > 0
		    ? options->query_threads
		    : QUERY_THREADS,
		.timeout_ns = timeout_ns,
	};
	struct http_options with_ctx = http;
	struct api *api = xzalloc(sizeof(*api));
	enum rc rc;

	api->options = *options;
	api->started_ns = timestamp_now();
	(void)pthread_mutex_init(&api->lock, NULL);
	rc = accounts_open(options->store, &api->accounts, err);
	if (rc != RC_OK) {
		api_free(api);
		return rc;
	}
	api_set_authority(api, options->authority);
	if (options->tls != NULL)
		tls_context_anchor(options->tls, api->anchor);
	api->live = live_new();
	api->auditor = auditor_new(api->accounts, on_audited, api);
	api->by_account = limiter_new(options->rate, 4 * options->rate);
	api->by_failure = limiter_new(failures_rate, FAILURES_BURST);
	with_ctx.ctx = api;
	api->http = http_start(&with_ctx);
	rc = serve_control(api, err);
	if (rc == RC_OK)
		rc = serve_https(api, err);
	if (rc != RC_OK) {
		api_free(api);
		return rc;
	}
	http_run(api->http);
	*out = api;
	return RC_OK;
}

void
api_stop(struct api *api)
{
	if (api == NULL)
		return;
	/* first the name, so that nobody comes while we go */
	if (api->control_path != NULL)
		(void)unlink(api->control_path);
	free(api->control_path);
	api->control_path = NULL;
	http_stop(api->http);
	api->http = NULL;
	auditor_free(api->auditor);
	api->auditor = NULL;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	api_stop(api);
	live_free(api->live);
	accounts_close(api->accounts);
	limiter_free(api->by_account);
	limiter_free(api->by_failure);
	ruleset_unref(api->rules);
	objects_unref(api->objects);
	authority_free(api->authority);
	(void)pthread_mutex_destroy(&api->lock);
	free(api);
}

/* ---- what others tell ---------------------------------------------------------------- */

void
api_set_tls(struct api *api, struct tls_context *tls)
{
	http_set_tls(api->http, tls);
	(void)pthread_mutex_lock(&api->lock);
	tls_context_anchor(tls, api->anchor);
	(void)pthread_mutex_unlock(&api->lock);
}

void
api_set_authority(struct api *api, struct authority *authority)
{
	struct authority *old;

	(void)pthread_mutex_lock(&api->lock);
	old = api->authority;
	api->authority = authority != NULL ? authority_share(authority) : NULL;
	(void)pthread_mutex_unlock(&api->lock);
	authority_free(old);
}

void
api_set_rules(struct api *api, struct ruleset *rules)
{
	struct ruleset *old;

	(void)pthread_mutex_lock(&api->lock);
	old = api->rules;
	api->rules = ruleset_ref(rules);
	(void)pthread_mutex_unlock(&api->lock);
	ruleset_unref(old);
}

void
api_set_objects(struct api *api, struct objects *objects)
{
	struct objects *old;

	(void)pthread_mutex_lock(&api->lock);
	old = api->objects;
	api->objects = objects != NULL ? objects_ref(objects) : NULL;
	(void)pthread_mutex_unlock(&api->lock);
	objects_unref(old);
}

void
api_incident(struct api *api, const struct incident *i)
{
	struct buf json;

	if (!live_wanted(api->live, LIVE_INCIDENT))
		return;
	buf_init(&json, LINE_MAX_BYTES);
	incident_write(&json, i);
	live_send(api->live, LIVE_INCIDENT, i->owner, buf_slice(&json));
	buf_fini(&json);
}

static void
write_group(struct buf *out, const struct log_hit *h)
{
	(void)buf_add_char(out, '{');
	for (uint32_t i = 0; i < h->n_fields; i++) {
		if (h->fields[i] != FIELD_SOURCE_IP ||
		    h->values[i].kind == VALUE_NULL)
			continue;
		(void)buf_add_str(out, "\"source.ip\":");
		json_write_value(out, &h->values[i]);
	}
	(void)buf_add_char(out, '}');
}

static void
send_hit(struct api *api, const struct log_hit *h, const struct rule_info *info)
{
	const char *level = rule_level_name(info->level);
	char id[EVENT_ID_TEXT_MAX];
	struct detection d = {
		.rule_id = info->id,
		.level = { level, strlen(level) },
		.event_id = h->id_text.len > 0 ? h->id_text
					       : event_id_format(&h->id, id),
		.time_ns = h->time_ns,
	};
	struct buf about, group, json;

	buf_init(&about, LINE_MAX_BYTES);
	buf_init(&group, LINE_MAX_BYTES);
	buf_init(&json, LINE_MAX_BYTES);
	rule_write_about(&about, info);
	write_group(&group, h);
	d.rule = buf_slice(&about);
	d.group = buf_slice(&group);
	detection_write(&json, &d);
	live_send(api->live, LIVE_DETECTION, h->owner, buf_slice(&json));
	buf_fini(&about);
	buf_fini(&group);
	buf_fini(&json);
}

void
api_record(struct api *api, const struct log_record *r)
{
	struct ruleset *rules;

	if (!live_wanted(api->live, LIVE_DETECTION))
		return;
	rules = api_rules(api);
	for (size_t i = 0; rules != NULL && i < r->n_hits; i++) {
		uint32_t at =
		    ruleset_find_digest(rules, r->hits[i].rule_digest);

		if (r->hits[i].visible && at != UINT32_MAX)
			send_hit(api, &r->hits[i], ruleset_rule(rules, at));
	}
	ruleset_unref(rules);
}
