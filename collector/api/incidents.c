/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents, and what people make of them. */
#include "api_private.h"
#include "page.h"
#include "timestamp.h"

enum { ID_MAX = 128 };

/* An answer, and where its last row stands. */
struct listing {
	struct ask *ask;
	uint64_t limit, given; /* 0: all */
	bool more;
	int64_t last_ns;
	char last_id[ID_MAX];
	size_t id_len;
};

static bool
incident_line(void *ctx, const struct incident *i)
{
	struct listing *l = ctx;

	if (l->limit > 0 && l->given == l->limit) {
		l->more = true;
		return false;
	}
	l->given++;
	l->last_ns = i->first_seen_ns;
	l->id_len = i->id.len < ID_MAX ? i->id.len : ID_MAX;
	memcpy(l->last_id, i->id.ptr, l->id_len);
	incident_write(&l->ask->line, i);
	return ask_line(l->ask);
}

static enum rc
answer_incidents(struct ask *a, struct soc_query *q, bool next,
    struct error *err)
{
	struct listing l = { .ask = a, .limit = q->limit };
	enum rc rc;

	/* one more: whether any follows */
	if (q->limit > 0 && q->limit < INT64_MAX)
		q->limit++;
	rc = soc_incidents(a->api->options.store, q, incident_line, &l, err);
	if (rc != RC_OK || !next)
		return rc;
	if (l.more)
		page_next(a, l.last_ns, (struct slice){ l.last_id, l.id_len });
	else
		page_line(a, NULL);
	return RC_OK;
}

void
get_incidents(struct ask *a)
{
	struct soc_query q = {
		.owner = ask_owner(a),
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.rule = http_param(a->request, "rule"),
		.status = http_param(a->request, "status"),
	};
	struct page page;
	struct error err;
	enum rc rc = param_time(a, "since", &q.since_ns, &err);

	if (rc == RC_OK)
		rc = param_time(a, "until", &q.until_ns, &err);
	if (rc == RC_OK)
		rc = param_number(a, "limit", &q.limit, &err);
	if (rc == RC_OK && q.status.ptr != NULL &&
	    !slice_eq(q.status, SLICE("new")) &&
	    !slice_eq(q.status, SLICE("open")) &&
	    !slice_eq(q.status, SLICE("closed")))
		rc = error_set(&err, RC_INVALID, "status: new, open or closed");
	if (rc == RC_OK)
		rc = param_page(a, &page, &err);
	if (rc == RC_OK) {
		q.after_ns = page.after_ns;
		q.after_id = page.after_id;
		rc = answer_incidents(a, &q, page.next, &err);
	}
	ask_fail(a, rc, &err);
}

/* One incident: the object of the list, and what only who works on it wants. */
struct shown {
	struct ask *ask;
	bool found;
	struct json_writer w;
};

static bool
begin_incident(void *ctx, const struct incident *i)
{
	struct shown *s = ctx;
	struct buf *out = &s->ask->line;

	incident_write(out, i);
	out->len--; /* its brace: more follows */
	s->w = (struct json_writer){ .out = out, .comma = true };
	json_key(&s->w, "organization");
	json_string(&s->w, i->owner);
	json_key(&s->w, "revision");
	json_uint(&s->w, i->revision);
	json_key(&s->w, "notes");
	json_open(&s->w, '[');
	s->found = true;
	return false;
}

static bool
add_note(void *ctx, const struct incident_note *n)
{
	struct shown *s = ctx;

	json_open(&s->w, '{');
	json_key(&s->w, "time");
	json_time(&s->w, n->time_ns);
	json_key(&s->w, "author");
	json_string(&s->w, n->author);
	json_key(&s->w, "text");
	json_string(&s->w, n->text);
	json_close(&s->w, '}');
	return true;
}

static void
show(struct ask *a)
{
	struct soc_query q = { .owner = ask_owner(a),
		.id = a->path[0],
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.limit = 1 };
	struct shown s = { .ask = a };
	struct error err;
	enum rc rc =
	    soc_incidents(a->api->options.store, &q, begin_incident, &s, &err);

	if (rc == RC_OK && !s.found)
		rc = error_set(&err, RC_EOF, "there is no such incident");
	if (rc == RC_OK)
		rc = soc_notes(a->api->options.store, a->path[0], add_note, &s,
		    &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	json_close(&s.w, ']');
	json_close(&s.w, '}');
	http_type(a->reply, 200, "application/json");
	(void)ask_line(a);
}

void
get_incident(struct ask *a)
{
	show(a);
}

void
patch_incident(struct ask *a)
{
	struct incident_edit e = { .id = a->path[0],
		.owner = ask_owner(a),
		.author = ask_name(a) };
	const struct body_member members[] = {
		{ "revision", BODY_NUMBER, &e.revision, true, NULL },
		{ "status", BODY_TEXT, &e.status, false, NULL },
		{ "reason", BODY_TEXT, &e.reason, false, NULL },
		{ "assignee", BODY_TEXT, &e.assignee, false, NULL },
		{ "note", BODY_TEXT, &e.note, false, NULL },
	};
	struct error err;
	enum rc rc =
	    body_parse(a, members, sizeof(members) / sizeof(members[0]), &err);

	if (rc == RC_OK)
		rc = soc_edit(a->api->options.store, &e, a->api->options.outbox,
		    timestamp_now(), &err);
	if (rc != RC_OK) {
		ask_fail(a, rc, &err);
		return;
	}
	ask_note(a, "%s%.*s%s%.*s%s", e.status.ptr != NULL ? "status " : "",
	    SLICE_ARG(e.status), e.assignee.ptr != NULL ? " assignee " : "",
	    SLICE_ARG(e.assignee), e.note.ptr != NULL ? " note" : "");
	show(a);
}
