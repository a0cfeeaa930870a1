/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved searches.  What is searched is kept as the members of the body that
 * are parameters of /v1/search; to run it they become that request again, and
 * what the caller gives goes before them.
 */
#include "saved_search.h"

#include <stdio.h>

#include "api_private.h"
#include "timestamp.h"

enum {
	CREATED = 201,
	BAD_REQUEST = 400,
	FORBIDDEN = 403,
	DEFINITION_MAX = 2 * HTTP_BODY_MAX,
	DEFINITION_DEPTH = 4,
	ID_DIGITS = 18,
};

/* What a body says. */
struct saved_body {
	struct slice name, visibility, query, since, until, sort, every,
	    distinct, measure, percentiles;
	struct body_texts by;
	uint64_t limit, revision;
	bool count, has_limit;
};

/* ---- requests ---------------------------------------------------------------- */

static struct saved_query
visible(const struct ask *a)
{
	return (struct saved_query){ .account = ask_name(a),
		.organization = ask_owner(a) };
}

/* An auditor and an administrator may look after those of others. */
static bool
sees_everybodys(const struct ask *a)
{
	return (a->caller.permissions & (MAY_AUDIT | MAY_USERS_WRITE)) != 0 &&
	    a->caller.organization[0] == '\0';
}

static int64_t
path_id(const struct ask *a)
{
	struct slice text = a->path[0];
	int64_t id = 0;

	if (text.len == 0 || text.len > ID_DIGITS)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return -1;
		id = id * 10 + (text.ptr[i] - '0');
	}
	return id > 0 ? id : -1;
}

/* One that was found, in the request's arena. */
struct found {
	struct arena *arena;
	struct saved_search saved;
	bool any;
};

static bool
take_found(void *ctx, const struct saved_search *s)
{
	struct found *f = ctx;

	f->any = true;
	f->saved = *s;
	f->saved.name = arena_copy(f->arena, s->name);
	f->saved.account = arena_copy(f->arena, s->account);
	f->saved.organization = arena_copy(f->arena, s->organization);
	f->saved.definition = arena_copy(f->arena, s->definition);
	return false;
}

static enum rc
find(struct ask *a, int64_t id, struct saved_search *out, struct error *err)
{
	struct saved_query q = visible(a);
	struct found f = { .arena = a->arena };
	enum rc rc;

	q.id = id;
	q.everybodys = sees_everybodys(a);
	rc = saved_search_list(a->api->options.store, &q, take_found, &f, err);
	*out = f.saved;
	return rc == RC_OK && !f.any
	    ? error_set(err, RC_EOF, "there is no such saved search")
	    : rc;
}

static bool
is_own(const struct ask *a, const struct saved_search *s)
{
	return slice_eq(s->account, ask_name(a));
}

/* ---- answers ----------------------------------------------------------------- */

static bool
saved_line(void *ctx, const struct saved_search *s)
{
	struct ask *a = ctx;
	struct json_writer w;

	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "id");
	json_int(&w, s->id);
	json_key(&w, "name");
	json_string(&w, s->name);
	json_key(&w, "owner");
	json_string(&w, s->account);
	json_key(&w, "visibility");
	json_str(&w, s->shared ? "shared" : "own");
	json_key(&w, "mine");
	json_bool(&w, is_own(a, s));
	json_key(&w, "created");
	json_time(&w, s->created_ns);
	json_key(&w, "updated");
	json_time(&w, s->updated_ns);
	json_key(&w, "revision");
	json_uint(&w, s->revision);
	/* its members are members of the answer; it has at least `query` */
	(void)buf_add_char(&a->line, ',');
	(void)buf_add(&a->line, s->definition.ptr + 1, s->definition.len - 1);
	return ask_line(a);
}

static void
show(struct ask *a, int64_t id, int status)
{
	struct saved_search s;
	struct error err;
	enum rc rc = find(a, id, &s, &err);

	if (rc == RC_OK) {
		http_type(a->reply, status, "application/json");
		(void)saved_line(a, &s);
	}
	ask_fail(a, rc, &err);
}

void
get_saved_searches(struct ask *a)
{
	struct saved_query q = visible(a);
	struct error err;
	bool all = false;
	enum rc rc = param_flag(a, "all", &all, &err);

	if (rc == RC_OK && all && !sees_everybodys(a)) {
		http_fail(a->reply, FORBIDDEN,
		    "all: not allowed with this role or token");
		return;
	}
	q.everybodys = all;
	q.name = http_param(a->request, "name");
	if (rc == RC_OK)
		rc = saved_search_list(a->api->options.store, &q, saved_line, a,
		    &err);
	ask_fail(a, rc, &err);
}

void
get_saved_search(struct ask *a)
{
	show(a, path_id(a), 200);
}

/* ---- what is searched ----------------------------------------------------------- */

static void
write_definition(const struct saved_body *b, struct buf *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "query");
	json_string(&w, b->query);
	json_optional(&w, "since", b->since);
	json_optional(&w, "until", b->until);
	json_optional(&w, "sort", b->sort);
	if (b->has_limit) {
		json_key(&w, "limit");
		json_uint(&w, b->limit);
	}
	if (b->count) {
		json_key(&w, "count");
		json_bool(&w, true);
	}
	if (b->by.n > 0) {
		json_key(&w, "by");
		json_open(&w, '[');
		for (size_t i = 0; i < b->by.n; i++)
			json_string(&w, b->by.list[i]);
		json_close(&w, ']');
	}
	json_optional(&w, "every", b->every);
	json_optional(&w, "distinct", b->distinct);
	json_optional(&w, "measure", b->measure);
	json_optional(&w, "percentiles", b->percentiles);
	json_close(&w, '}');
}

/* A parameter of the search, unless the caller gave it. */
static bool
add_param(struct http_request *r, const struct http_request *given,
    struct slice name, struct slice value)
{
	for (size_t i = 0; i < given->n_params; i++)
		if (slice_eq(given->params[i].name, name))
			return true;
	if (r->n_params == HTTP_PARAMS_MAX)
		return false;
	r->params[r->n_params++] = (struct http_param){ name, value };
	return true;
}

/* `given` with what the definition says besides; texts are in the arena. */
static enum rc
make_request(struct ask *a, struct slice definition,
    const struct http_request *given, struct http_request *out,
    struct error *err)
{
	struct slice name = { NULL, 0 };
	enum json_token token;
	struct json_reader r;
	bool good = true;

	*out = *given;
	json_reader_init(&r, definition, a->arena, DEFINITION_DEPTH);
	while (good && (token = json_next(&r)) != JSON_END) {
		if (token == JSON_ERROR)
			return error_set(err, RC_LIBRARY,
			    "the saved search is damaged: %s", r.err.text);
		if (token == JSON_KEY)
			name = r.text;
		else if (token == JSON_STRING || token == JSON_NUMBER)
			good = add_param(out, given, name, r.text);
		else if (token == JSON_TRUE)
			good = add_param(out, given, name, SLICE("1"));
	}
	return good ? RC_OK : error_set(err, RC_INVALID, "too many parameters");
}

/* ---- changes ---------------------------------------------------------------------- */

static enum rc
parse_saved(struct ask *a, struct saved_body *b, bool add, struct error *err)
{
	const struct body_member members[] = {
		{ "name", BODY_TEXT, &b->name, true, NULL },
		{ "query", BODY_TEXT, &b->query, true, NULL },
		{ "visibility", BODY_TEXT, &b->visibility, false, NULL },
		{ "since", BODY_TEXT, &b->since, false, NULL },
		{ "until", BODY_TEXT, &b->until, false, NULL },
		{ "sort", BODY_TEXT, &b->sort, false, NULL },
		{ "limit", BODY_NUMBER, &b->limit, false, &b->has_limit },
		{ "count", BODY_FLAG, &b->count, false, NULL },
		{ "by", BODY_TEXTS, &b->by, false, NULL },
		{ "every", BODY_TEXT, &b->every, false, NULL },
		{ "distinct", BODY_TEXT, &b->distinct, false, NULL },
		{ "measure", BODY_TEXT, &b->measure, false, NULL },
		{ "percentiles", BODY_TEXT, &b->percentiles, false, NULL },
		/* of one that exists only */
		{ "revision", BODY_NUMBER, &b->revision, false, NULL },
	};
	enum rc rc = body_parse(a, members,
	    sizeof(members) / sizeof(members[0]) - add, err);

	if (rc == RC_OK && b->visibility.ptr != NULL &&
	    !slice_eq(b->visibility, SLICE("own")) &&
	    !slice_eq(b->visibility, SLICE("shared")))
		return error_set(err, RC_INVALID, "visibility: own or shared");
	return rc;
}

/* What could not be run is not kept: as /v1/search itself would take it. */
static enum rc
check_definition(struct ask *a, struct slice definition, size_t *column,
    struct error *err)
{
	static const struct http_request nothing;
	const struct http_request *request = a->request;
	struct http_request search;
	enum rc rc = make_request(a, definition, &nothing, &search, err);

	if (rc != RC_OK)
		return rc;
	a->request = &search;
	rc = search_check(a, column, err);
	a->request = request;
	return rc;
}

/* The search of a body; answers itself if it is no good. */
static bool
read_saved(struct ask *a, bool add, struct saved_search *out)
{
	struct saved_body b = { .limit = 0 };
	size_t column = 0;
	struct buf text;
	struct error err;
	enum rc rc = parse_saved(a, &b, add, &err);

	buf_init(&text, DEFINITION_MAX);
	if (rc == RC_OK)
		write_definition(&b, &text);
	if (rc == RC_OK && text.overflowed)
		rc = error_set(&err, RC_INVALID, "the search is too long");
	*out = (struct saved_search){
		.name = b.name,
		.account = ask_name(a),
		.organization = { a->caller.organization,
		    strlen(a->caller.organization) },
		.shared = slice_eq(b.visibility, SLICE("shared")),
		.definition = arena_copy(a->arena, buf_slice(&text)),
		.revision = b.revision,
	};
	buf_fini(&text);
	if (rc == RC_OK)
		rc = check_definition(a, out->definition, &column, &err);
	if (column > 0)
		http_fail_at(a->reply, BAD_REQUEST, err.text, column);
	else
		ask_fail(a, rc, &err);
	return rc == RC_OK;
}

static void
note(struct ask *a, const struct saved_search *s)
{
	ask_note(a, "saved search %lld \"%.*s\" of %.*s%s", (long long)s->id,
	    SLICE_ARG(s->name), SLICE_ARG(s->account),
	    s->shared ? " shared" : "");
}

void
post_saved_search(struct ask *a)
{
	struct saved_search s;
	struct error err;
	enum rc rc;

	if (!read_saved(a, true, &s))
		return;
	rc = saved_search_add(a->api->options.store, &s, timestamp_now(), &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	note(a, &s);
	show(a, s.id, CREATED);
}

/* Only whose it is changes it: others would run what they did not read. */
void
put_saved_search(struct ask *a)
{
	struct saved_search s, before;
	struct error err;
	enum rc rc;

	if (!read_saved(a, false, &s))
		return;
	rc = find(a, path_id(a), &before, &err);
	if (rc == RC_OK && !is_own(a, &before)) {
		http_fail(a->reply, FORBIDDEN, "it is somebody else's");
		return;
	}
	s.id = before.id;
	if (rc == RC_OK)
		rc = saved_search_replace(a->api->options.store, &s,
		    timestamp_now(), &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	note(a, &s);
	show(a, s.id, 200);
}

/* An administrator tidies up after those who left. */
void
delete_saved_search(struct ask *a)
{
	struct saved_search s;
	struct error err;
	enum rc rc = find(a, path_id(a), &s, &err);

	if (rc == RC_OK && !is_own(a, &s) &&
	    (a->caller.permissions & MAY_USERS_WRITE) == 0) {
		http_fail(a->reply, FORBIDDEN, "it is somebody else's");
		return;
	}
	if (rc == RC_OK)
		rc = saved_search_remove(a->api->options.store, s.account, s.id,
		    &err);
	if (rc == RC_OK) {
		note(a, &s);
		http_type(a->reply, 204, "application/json");
	}
	ask_fail(a, rc, &err);
}

/* Under the rights of the caller, whosever it is. */
void
run_saved_search(struct ask *a)
{
	const struct http_request *request = a->request;
	struct http_request search;
	struct saved_search s;
	struct error err;
	enum rc rc = find(a, path_id(a), &s, &err);

	if (rc == RC_OK)
		rc = make_request(a, s.definition, request, &search, &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	note(a, &s);
	a->request = &search;
	get_search(a);
	a->request = request;
}
