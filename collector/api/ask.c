/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <stdarg.h>
#include <stdio.h>

#include "timestamp.h"

enum {
	BAD_REQUEST = 400,
	NOT_FOUND = 404,
	CONFLICT = 409,
	INTERNAL_ERROR = 500,
	UNAVAILABLE = 503,
	BODY_DEPTH = 4,
};

/* ---- answers ---------------------------------------------------------------- */

bool
ask_only_reads(const struct ask *a)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(a->request->method, methods[i]) == 0)
			return true;
	return false;
}

bool
ask_line(struct ask *a)
{
	bool more = true;

	(void)buf_add_char(&a->line, '\n');
	if (!a->line.overflowed)
		more = http_write(a->reply, buf_slice(&a->line));
	buf_clear(&a->line);
	return more;
}

void
ask_fail(struct ask *a, enum rc rc, const struct error *err)
{
	static const int status[] = {
		[RC_AGAIN] = UNAVAILABLE,
		[RC_EOF] = NOT_FOUND,
		[RC_LIMIT] = CONFLICT,
		[RC_INVALID] = BAD_REQUEST,
		[RC_DENIED] = CONFLICT,
		[RC_SYSTEM] = UNAVAILABLE,
		[RC_LIBRARY] = INTERNAL_ERROR,
	};

	if (rc != RC_OK)
		http_fail(a->reply, status[rc], err->text);
}

struct slice
ask_owner(const struct ask *a)
{
	const char *o = a->caller.organization;

	return o[0] != '\0' ? (struct slice){ o, strlen(o) }
			    : (struct slice){ NULL, 0 };
}

struct slice
ask_name(const struct ask *a)
{
	return (struct slice){ a->caller.name, strlen(a->caller.name) };
}

void
ask_note(struct ask *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(a->detail, sizeof(a->detail), fmt, ap);
	va_end(ap);
}

/* ---- parameters ------------------------------------------------------------- */

enum rc
param_time(const struct ask *a, const char *name, int64_t *time_ns,
    struct error *err)
{
	struct slice s = http_param(a->request, name);
	char text[TIMESTAMP_TEXT_MAX];

	if (s.ptr == NULL)
		return RC_OK;
	if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
		return error_set(err, RC_INVALID, "%s: no time", name);
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (timestamp_parse_argument(text, timestamp_now(), time_ns, err) !=
	    RC_OK)
		return error_prefix(err, "%s", name);
	return RC_OK;
}

enum rc
param_number(const struct ask *a, const char *name, uint64_t *out,
    struct error *err)
{
	struct slice s = http_param(a->request, name);
	uint64_t v = 0;

	if (s.ptr == NULL)
		return RC_OK;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';

		if (digit > 9 || v > ((uint64_t)INT64_MAX - digit) / 10)
			return error_set(err, RC_INVALID, "%s: no number",
			    name);
		v = v * 10 + digit;
	}
	if (s.len == 0)
		return error_set(err, RC_INVALID, "%s: no number", name);
	*out = v;
	return RC_OK;
}

enum rc
param_flag(const struct ask *a, const char *name, bool *out, struct error *err)
{
	struct slice s = http_param(a->request, name);

	if (s.ptr == NULL)
		return RC_OK;
	if (slice_eq(s, SLICE("1")) || slice_eq(s, SLICE("true")))
		*out = true;
	else if (slice_eq(s, SLICE("0")) || slice_eq(s, SLICE("false")))
		*out = false;
	else
		return error_set(err, RC_INVALID, "%s: true or false", name);
	return RC_OK;
}

/* FIELD=VALUE */
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

enum rc
param_query(const struct ask *a, struct store_query *q,
    struct store_filter *filters, struct error *err)
{
	enum rc rc;

	*q = (struct store_query){ .owner = ask_owner(a),
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.filters = filters };
	rc = param_time(a, "since", &q->since_ns, err);
	if (rc == RC_OK)
		rc = param_time(a, "until", &q->until_ns, err);
	if (rc == RC_OK)
		rc = param_number(a, "limit", &q->limit, err);
	if (rc == RC_OK)
		rc = param_filters(a->request, filters, &q->n_filters, err);
	return rc;
}

/* ---- bodies ------------------------------------------------------------------ */

static bool
whole_number(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > 18)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.ptr[i] - '0');
	}
	*out = v;
	return true;
}

static bool
take_texts(struct body_texts *out, struct json_reader *r)
{
	enum json_token token;

	while ((token = json_next(r)) == JSON_STRING && out->n < BODY_TEXTS_MAX)
		out->list[out->n++] = r->text;
	return token == JSON_ARRAY_END;
}

static const char *
kind_name(enum body_kind kind)
{
	static const char *const names[] = {
		[BODY_TEXT] = "a string",
		[BODY_NUMBER] = "a whole number",
		[BODY_FLAG] = "true or false",
		[BODY_TEXTS] = "an array of few strings",
	};

	return names[kind];
}

static enum rc
take_member(const struct body_member *m, struct json_reader *r,
    enum json_token token, struct error *err)
{
	bool good = false;

	if (m->kind == BODY_TEXT && token == JSON_STRING) {
		*(struct slice *)m->out = r->text;
		good = true;
	} else if (m->kind == BODY_NUMBER && token == JSON_NUMBER) {
		good = whole_number(r->text, m->out);
	} else if (m->kind == BODY_FLAG &&
	    (token == JSON_TRUE || token == JSON_FALSE)) {
		*(bool *)m->out = token == JSON_TRUE;
		good = true;
	} else if (m->kind == BODY_TEXTS && token == JSON_ARRAY_BEGIN) {
		good = take_texts(m->out, r);
	}
	if (m->given != NULL)
		*m->given = good;
	return good
	    ? RC_OK
	    : error_set(err, RC_INVALID, "%s: %s", m->name, kind_name(m->kind));
}

static enum rc
read_members(struct json_reader *r, const struct body_member *members, size_t n,
    uint64_t *seen, struct error *err)
{
	enum json_token token;

	while ((token = json_next(r)) == JSON_KEY) {
		struct slice key = r->text;
		size_t i = 0;

		while (i < n &&
		    !slice_eq(key,
			(struct slice){ members[i].name,
			    strlen(members[i].name) }))
			i++;
		if (i == n)
			return error_set(err, RC_INVALID,
			    "there is no member \"%.*s\" here",
			    (int)(key.len < 40 ? key.len : 40), key.ptr);
		if ((*seen & UINT64_C(1) << i) != 0)
			return error_set(err, RC_INVALID, "%s stands twice",
			    members[i].name);
		*seen |= UINT64_C(1) << i;
		token = json_next(r);
		if (take_member(&members[i], r, token, err) != RC_OK)
			return err->code;
	}
	if (token != JSON_OBJECT_END || json_next(r) != JSON_END)
		return error_set(err, RC_INVALID,
		    "the body is not one JSON object");
	return RC_OK;
}

static bool
is_json(struct slice type)
{
	static const struct slice json = SLICE_INIT("application/json");

	return type.len >= json.len &&
	    strncasecmp(type.ptr, json.ptr, json.len) == 0 &&
	    (type.len == json.len || type.ptr[json.len] == ';' ||
		type.ptr[json.len] == ' ');
}

enum rc
body_parse(struct ask *a, const struct body_member *members, size_t n,
    struct error *err)
{
	struct json_reader r;
	uint64_t seen = 0;
	enum rc rc;

	/* a form of another site cannot send this type unasked */
	if (!is_json(a->request->headers.content_type))
		return error_set(err, RC_INVALID,
		    "the body must be application/json");
	json_reader_init(&r, a->request->body, a->arena, BODY_DEPTH);
	if (json_next(&r) != JSON_OBJECT_BEGIN)
		return error_set(err, RC_INVALID,
		    "the body is not one JSON object");
	rc = read_members(&r, members, n, &seen, err);
	for (size_t i = 0; rc == RC_OK && i < n; i++)
		if (members[i].required &&
		    ((seen & UINT64_C(1) << i) == 0 ||
			(members[i].kind == BODY_TEXT &&
			    ((struct slice *)members[i].out)->ptr == NULL)))
			rc = error_set(err, RC_INVALID, "%s is missing",
			    members[i].name);
	return rc;
}
