/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How agents come in and go: tokens, enrolment, renewal, revocation.
 *
 * Enrolment and renewal are for strangers: a body of few kilobytes, failures
 * counted by address as those of log-ins, the token looked up by its hash before
 * anything else is read, and no word on what is not theirs.
 */
#include <stdio.h>

#include "api_private.h"
#include "log.h"
#include "timestamp.h"

#define TOKEN_DEFAULT_NS (NS_PER_SEC * 3600)
#define TOKEN_MAX_NS     (NS_PER_SEC * 86400 * 31)

enum {
	CREATED = 201,
	NOT_FOUND = 404,
	TOO_LARGE = 413,
	UNAUTHORIZED = 401,
	ENROL_BODY_MAX = 8 * 1024, /* a token and a request */
	ORDERS_KEY_MAX = 4096,
};

/* ---- strangers ---------------------------------------------------------------- */

/* NULL: it is answered already. */
static struct authority *
authority_for(struct ask *a)
{
	struct authority *authority = api_authority(a->api);

	if (authority == NULL)
		http_fail(a->reply, NOT_FOUND,
		    "agents do not enrol here: enrolment.ca_key is not "
		    "configured");
	else if (a->request->body.len > ENROL_BODY_MAX) {
		authority_free(authority);
		authority = NULL;
		http_fail(a->reply, TOO_LARGE, "the request is too long");
	}
	return authority;
}

/* Whose orders the agent may trust, if its owner says so. */
static void
write_orders_key(struct ask *a, struct json_writer *w)
{
	const struct api_options *o = &a->api->options;
	struct buf pem;

	if (o->orders == NULL)
		return;
	buf_init(&pem, ORDERS_KEY_MAX);
	o->orders->key(o->ctx, &pem);
	json_key(w, "orders_key");
	json_string(w, buf_slice(&pem));
	buf_fini(&pem);
}

static void
answer_issued(struct ask *a, const struct authority *authority,
    const struct identity_issued *got, const struct buf *pem)
{
	const struct certificate *c = &got->certificate;
	int64_t renew_ns = c->not_after_ns - a->api->options.renew_before_ns;
	struct json_writer w;

	http_type(a->reply, CREATED, "application/json");
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "agent");
	json_str(&w, c->name);
	json_optional_str(&w, "group", got->group);
	json_key(&w, "serial");
	json_str(&w, c->serial);
	json_key(&w, "expires");
	json_time(&w, c->not_after_ns);
	json_key(&w, "renew_at");
	json_time(&w, renew_ns);
	json_key(&w, "certificate");
	json_string(&w, buf_slice(pem));
	json_key(&w, "ca");
	json_string(&w, authority_trust(authority));
	write_orders_key(a, &w);
	json_close(&w, '}');
	(void)ask_line(a);
}

/* What went wrong, and to whom it is told how. */
static void
refuse(struct ask *a, enum rc rc, const struct error *err)
{
	if (rc == RC_DENIED)
		http_fail(a->reply, UNAUTHORIZED, err->text);
	else
		ask_fail(a, rc, err);
}

/* Reads the question, says who asks, and gets the certificate. */
typedef enum rc issue_fn(struct ask *a, struct identity_order *order,
    struct identity_issued *got, struct buf *pem, struct error *err);

static void
issue(struct ask *a, issue_fn *by)
{
	struct authority *authority = authority_for(a);
	struct identity_order order;
	struct identity_issued got = { .token = 0 };
	struct error err;
	struct buf pem;
	enum rc rc;

	if (authority == NULL)
		return;
	order = (struct identity_order){ .authority = authority,
		.now_ns = timestamp_now(),
		.lifetime_ns = a->api->options.certificate_ns };
	buf_init(&pem, CERTIFICATE_PEM_MAX);
	rc = by(a, &order, &got, &pem, &err);
	if (rc == RC_OK) {
		ask_note(a, "agent %s serial %s", got.certificate.name,
		    got.certificate.serial);
		answer_issued(a, authority, &got, &pem);
	}
	refuse(a, rc, &err);
	buf_fini(&pem);
	authority_free(authority);
}

static enum rc
issue_by_token(struct ask *a, struct identity_order *order,
    struct identity_issued *got, struct buf *pem, struct error *err)
{
	struct slice token = { NULL, 0 };
	const struct body_member members[] = {
		{ "token", BODY_TEXT, &token, true, NULL },
		{ "csr", BODY_TEXT, &order->request, true, NULL },
	};
	enum rc rc = body_parse(a, members, 2, err);

	if (rc == RC_OK)
		rc = identities_enrol(a->api->options.identities, token, order,
		    got, pem, err);
	/* somebody made this token: it is told and written down */
	if (got->token != 0)
		(void)snprintf(a->caller.name, sizeof(a->caller.name),
		    "enroll-token:%lld", (long long)got->token);
	if (rc == RC_OK)
		log_info("agent %s enrolled from %s, certificate %s",
		    got->certificate.name, a->request->peer.address,
		    got->certificate.serial);
	return rc;
}

static enum rc
issue_by_certificate(struct ask *a, struct identity_order *order,
    struct identity_issued *got, struct buf *pem, struct error *err)
{
	const char *shown = a->request->peer.certificate;
	const struct body_member members[] = {
		{ "csr", BODY_TEXT, &order->request, true, NULL },
	};
	enum rc rc;

	if (shown[0] == '\0')
		return error_set(err, RC_DENIED,
		    "the certificate that is to be renewed is not shown");
	rc = body_parse(a, members, 1, err);
	if (rc == RC_OK)
		rc = identities_renew(a->api->options.identities,
		    (struct slice){ shown, strlen(shown) }, order, got, pem,
		    err);
	if (got->certificate.name[0] != '\0')
		(void)snprintf(a->caller.name, sizeof(a->caller.name), "%s",
		    got->certificate.name);
	return rc;
}

void
post_enroll(struct ask *a)
{
	issue(a, issue_by_token);
}

void
post_enroll_renew(struct ask *a)
{
	issue(a, issue_by_certificate);
}

/* ---- tokens --------------------------------------------------------------------- */

static void
write_token(struct json_writer *w, const struct identity_token *t)
{
	json_key(w, "id");
	json_int(w, t->id);
	json_optional_str(w, "agent", t->agent);
	json_optional_str(w, "group", t->group);
	json_key(w, "replace");
	json_bool(w, t->replace);
	json_key(w, "uses");
	json_int(w, t->uses);
	json_key(w, "used");
	json_int(w, t->used);
	json_key(w, "creator");
	json_str(w, t->creator);
	json_key(w, "created");
	json_time(w, t->created_ns);
	json_key(w, "expires");
	json_time(w, t->expires_ns);
}

static bool
token_line(void *ctx, const struct identity_token *t)
{
	struct ask *a = ctx;
	struct json_writer w;

	json_begin(&w, &a->line);
	json_open(&w, '{');
	write_token(&w, t);
	json_close(&w, '}');
	return ask_line(a);
}

void
get_enroll_tokens(struct ask *a)
{
	struct error err;
	enum rc rc = identities_tokens(a->api->options.identities,
	    timestamp_now(), token_line, a, &err);

	ask_fail(a, rc, &err);
}

static enum rc
copy_text(const char *what, struct slice s, char *out, size_t room,
    struct error *err)
{
	if (s.len >= room)
		return error_set(err, RC_INVALID, "%s: at most %zu bytes", what,
		    room - 1);
	if (s.len > 0)
		memcpy(out, s.ptr, s.len);
	return RC_OK;
}

static enum rc
parse_token(struct ask *a, struct identity_token *t, struct error *err)
{
	struct slice agent = { NULL, 0 }, group = agent, expires = agent;
	int64_t expires_ns = TOKEN_DEFAULT_NS;
	uint64_t uses = 1;
	const struct body_member members[] = {
		{ "agent", BODY_TEXT, &agent, false, NULL },
		{ "group", BODY_TEXT, &group, false, NULL },
		{ "expires_in", BODY_TEXT, &expires, false, NULL },
		{ "uses", BODY_NUMBER, &uses, false, NULL },
		{ "replace", BODY_FLAG, &t->replace, false, NULL },
	};
	enum rc rc =
	    body_parse(a, members, sizeof(members) / sizeof(members[0]), err);

	if (rc == RC_OK)
		rc = copy_text("agent", agent, t->agent, sizeof(t->agent), err);
	if (rc == RC_OK)
		rc = copy_text("group", group, t->group, sizeof(t->group), err);
	if (rc == RC_OK && expires.ptr != NULL &&
	    duration_parse(expires, &expires_ns, err) != RC_OK)
		return error_prefix(err, "expires_in");
	if (rc == RC_OK && (expires_ns <= 0 || expires_ns > TOKEN_MAX_NS))
		rc = error_set(err, RC_INVALID,
		    "expires_in: at most 31d, such as 1h");
	t->uses = (int64_t)(uses < INT64_MAX ? uses : 0);
	t->created_ns = timestamp_now();
	t->expires_ns = t->created_ns + expires_ns;
	return rc;
}

void
post_enroll_token(struct ask *a)
{
	struct identity_token t = { .replace = false };
	struct enrol_token whole = { .secret = "" };
	char text[ENROL_TOKEN];
	struct authority *authority = authority_for(a);
	struct json_writer w;
	struct error err;
	enum rc rc;

	if (authority == NULL)
		return;
	authority_free(authority);
	(void)snprintf(t.creator, sizeof(t.creator), "%s", a->caller.name);
	rc = parse_token(a, &t, &err);
	if (rc == RC_OK && !api_anchor(a->api, whole.fingerprint))
		rc = error_set(&err, RC_INVALID,
		    "agents enrol over HTTPS, and api.address is not "
		    "configured");
	if (rc == RC_OK)
		rc = identities_token_add(a->api->options.identities, &t,
		    whole.secret, &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	ask_note(a, "enroll-token %lld%s%s%s%s", (long long)t.id,
	    t.agent[0] != '\0' ? " agent " : "", t.agent,
	    t.group[0] != '\0' ? " group " : "", t.group);
	enrol_token_write(&whole, text);
	http_type(a->reply, CREATED, "application/json");
	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "token");
	json_str(&w, text);
	write_token(&w, &t);
	json_close(&w, '}');
	(void)ask_line(a);
}

void
delete_enroll_token(struct ask *a)
{
	struct slice text = a->path[0];
	struct error err;
	int64_t id = 0;
	enum rc rc;

	for (size_t i = 0; i < text.len && text.len < 18; i++)
		id = text.ptr[i] >= '0' && text.ptr[i] <= '9' && id >= 0
		    ? id * 10 + text.ptr[i] - '0'
		    : -1;
	ask_note(a, "enroll-token %lld", (long long)id);
	rc = identities_token_remove(a->api->options.identities, id, &err);
	if (rc == RC_OK)
		http_type(a->reply, 204, "application/json");
	ask_fail(a, rc, &err);
}

/* ---- revocation ------------------------------------------------------------------ */

void
post_revoke_agent(struct ask *a)
{
	const struct api_options *o = &a->api->options;
	struct identity_revocation r = { .agent = a->path[0],
		.reason = { "", 0 },
		.by = ask_name(a),
		.now_ns = timestamp_now() };
	const struct body_member members[] = {
		{ "reason", BODY_TEXT, &r.reason, false, NULL },
	};
	struct error err;
	enum rc rc = body_parse(a, members, 1, &err);

	if (rc == RC_OK)
		rc = identities_revoke(o->identities, &r, &err);
	if (rc == RC_OK) {
		ask_note(a, "agent %.*s%s%.*s", SLICE_ARG(r.agent),
		    r.reason.len > 0 ? ": " : "", SLICE_ARG(r.reason));
		log_info("agent %.*s is revoked by %.*s", SLICE_ARG(r.agent),
		    SLICE_ARG(r.by));
		o->revoked(o->ctx, r.agent);
		http_type(a->reply, 204, "application/json");
	}
	ask_fail(a, rc, &err);
}
