/* SPDX-License-Identifier: Apache-2.0 */
#include "soc.h"

#include <stdlib.h>

#include "store_fixture.h"
#include "tap.h"

#define MINUTE (60 * SECOND)

static struct error err;

static struct incident
incident(const char *id, uint64_t events)
{
	return (struct incident){
		.id = { id, strlen(id) },
		.owner = SLICE("default"),
		.rule_id = SLICE("r-1"),
		.rule_title = SLICE("Many failures"),
		.rule_author = SLICE("Somebody"),
		.rule_tags = SLICE("[\"attack.t1110\"]"),
		.level = SLICE("high"),
		.status = SLICE("new"),
		.first_seen_ns = T0,
		.last_seen_ns = T0 + (int64_t)events * SECOND,
		.fired_ns = T0,
		.group = SLICE("{\"source.ip\":\"203.0.113.7\"}"),
		.events = events,
		.agents = SLICE("[\"web-1\"]"),
	};
}

struct due {
	unsigned n;
	uint64_t revision;
	char id[64];
	char json[2048];
	bool stop;
};

static bool
take_due(void *ctx, struct slice id, uint64_t revision, struct slice json)
{
	struct due *d = ctx;

	d->n++;
	d->revision = revision;
	(void)snprintf(d->id, sizeof(d->id), "%.*s", SLICE_ARG(id));
	(void)snprintf(d->json, sizeof(d->json), "%.*s", SLICE_ARG(json));
	return true;
}

static struct due
due_at(struct outbox *o, int64_t now_ns)
{
	struct due d = { 0 };

	if (outbox_due(o, now_ns, 10, take_due, &d, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return d;
}

static void
deliver(struct outbox *o, const struct due *d, int64_t now_ns)
{
	const struct outbox_sent row = { { d->id, strlen(d->id) }, d->revision,
		{ d->json, strlen(d->json) } };

	if (outbox_delivered(o, &row, 1, now_ns, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
}

static void
apply(struct soc *soc, const struct incident *i, uint64_t commit,
    int64_t now_ns)
{
	struct soc_cursor cursor = { commit, 1 };

	if (soc_apply(soc, i, i != NULL, &cursor, true, now_ns, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
}

static bool
take_incident(void *ctx, const struct incident *i)
{
	struct buf *out = ctx;

	(void)buf_add_slice(out, i->id);
	(void)buf_add_char(out, ' ');
	return true;
}

static void
incidents_and_the_cursor_move_together(struct store *s, struct soc *soc)
{
	struct incident a = incident("a", 3);
	struct incident b = incident("b", 4);
	struct soc_cursor cursor;
	struct soc_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct buf out;
	uint64_t n;

	CHECK(soc_cursor_get(soc, &cursor, &err) == RC_OK && cursor.commit == 0,
	    "the cursor begins at 0");
	b.first_seen_ns += SECOND;
	b.rule_id = SLICE("r-2");
	apply(soc, &b, 4, T0);
	apply(soc, &a, 5, T0);
	CHECK(soc_cursor_get(soc, &cursor, &err) == RC_OK &&
		cursor.commit == 5 && cursor.rebuild_from == 1,
	    "and moves");
	buf_init(&out, 1024);
	CHECK(soc_incidents(s, &q, take_incident, &out, &err) == RC_OK &&
		slice_eq(buf_slice(&out), SLICE("a b ")),
	    "incidents come by their first event");
	buf_clear(&out);
	q.rule = SLICE("r-2");
	CHECK(soc_incidents(s, &q, take_incident, &out, &err) == RC_OK &&
		slice_eq(buf_slice(&out), SLICE("b ")),
	    "of one rule");
	buf_clear(&out);
	q.rule.ptr = NULL;
	q.owner = SLICE("north");
	CHECK(soc_incidents(s, &q, take_incident, &out, &err) == RC_OK &&
		out.len == 0,
	    "of one owner");
	q.owner.ptr = NULL;
	q.since_ns = T0 + 4 * SECOND;
	CHECK(soc_incidents(s, &q, take_incident, &out, &err) == RC_OK &&
		slice_eq(buf_slice(&out), SLICE("b ")),
	    "and those that were seen since");
	CHECK(soc_incident_count(s, &n, &err) == RC_OK && n == 2,
	    "they are counted");
	buf_fini(&out);
}

static void
an_incident_has_one_shape(void)
{
	struct incident i = incident("a", 42);
	struct buf out;

	buf_init(&out, 4096);
	incident_write(&out, &i);
	CHECK(slice_eq(buf_slice(&out),
		  SLICE("{\"type\":\"incident\",\"id\":\"a\",\"rule\":{\"id\":"
			"\"r-1\",\"title\":\"Many failures\",\"author\":"
			"\"Somebody\",\"tags\":[\"attack.t1110\"]},\"level\":"
			"\"high\",\"status\":\"new\",\"first_seen\":"
			"\"2025-11-22T01:02:03.000Z\",\"last_seen\":"
			"\"2025-11-22T01:02:45.000Z\",\"group\":{\"source.ip\""
			":\"203.0.113.7\"},\"events\":42,\"agents\":"
			"[\"web-1\"]}")),
	    "an incident is written as everybody knows it");
	buf_fini(&out);
}

static void
the_outbox_sends_what_matters(struct soc *soc, struct outbox *o)
{
	struct incident i = incident("c", 1);
	uint64_t pending, delivered;
	struct due d;

	apply(soc, &i, 6, T0);
	d = due_at(o, T0);
	CHECK(d.n == 3 &&
		outbox_counts(o, &pending, &delivered, &err) == RC_OK &&
		pending == 3 && delivered == 0,
	    "a new incident is due at once");
	for (unsigned k = 0; k < 3; k++) {
		d = due_at(o, T0);
		deliver(o, &d, T0);
	}
	d = due_at(o, T0 + DAY);
	CHECK(d.n == 0 &&
		outbox_counts(o, &pending, &delivered, &err) == RC_OK &&
		pending == 0 && delivered == 3,
	    "what is delivered is not due again");

	apply(soc, &i, 7, T0 + SECOND);
	CHECK(due_at(o, T0 + DAY).n == 0, "the same state again is nothing");
	i.events = 2;
	apply(soc, &i, 7, T0 + SECOND);
	CHECK(due_at(o, T0 + 2 * SECOND).n == 0 &&
		due_at(o, T0 + MINUTE).n == 1,
	    "growth waits for a minute after the last message");
	i.events = 3;
	apply(soc, &i, 8, T0 + 30 * SECOND);
	d = due_at(o, T0 + MINUTE);
	CHECK(d.n == 1 && d.revision == 3,
	    "no longer, and in its newest state");
	i.events = 4;
	apply(soc, &i, 9, T0 + MINUTE);
	deliver(o, &d, T0 + MINUTE);
	CHECK(due_at(o, T0 + MINUTE).n == 0 &&
		due_at(o, T0 + 2 * MINUTE).n == 1,
	    "what grew while it was sent waits again");
	d = due_at(o, T0 + 2 * MINUTE);
	i.status = SLICE("closed");
	apply(soc, &i, 10, T0 + MINUTE + SECOND);
	CHECK(due_at(o, T0 + MINUTE + SECOND).n == 1,
	    "a change of status does not wait");
	deliver(o, &d, T0 + MINUTE + SECOND);
	d = due_at(o, T0 + MINUTE + SECOND);
	CHECK(d.n == 1 && d.revision == 5, "not even for what was being sent");
	deliver(o, &d, T0 + MINUTE + SECOND);
	i.events = 5;
	apply(soc, &i, 11, T0 + MINUTE + 2 * SECOND);
	CHECK(due_at(o, T0 + MINUTE + 2 * SECOND).n == 0 &&
		outbox_flush(o, T0 + MINUTE + 2 * SECOND, &err) == RC_OK &&
		due_at(o, T0 + MINUTE + 2 * SECOND).n == 1,
	    "a flush makes everything due");
	i.events = 4;
	apply(soc, &i, 12, T0 + MINUTE + 3 * SECOND);
	CHECK(due_at(o, T0 + 5 * MINUTE).n == 0 &&
		outbox_counts(o, &pending, &delivered, &err) == RC_OK &&
		pending == 0,
	    "the text that was sent last is never sent again");
}

static void
notes_are_kept(struct outbox *o)
{
	struct buf text;

	buf_init(&text, 100);
	CHECK(outbox_note_get(o, "end", &text, &err) == RC_OK && text.len == 0,
	    "a note that was never set is empty");
	CHECK(outbox_note_set(o, "end", SLICE("1"), &err) == RC_OK &&
		outbox_note_set(o, "end", SLICE("22"), &err) == RC_OK &&
		outbox_note_get(o, "end", &text, &err) == RC_OK &&
		slice_eq(buf_slice(&text), SLICE("22")),
	    "a note is replaced");
	buf_fini(&text);
}

int
main(void)
{
	char *dir = fixture_folder();
	struct store *s;
	struct soc *soc;
	struct outbox *o;

	if (store_open(dir, &s, &err) != RC_OK ||
	    soc_open(s, &soc, &err) != RC_OK ||
	    outbox_open(s, &o, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return 1;
	}
	incidents_and_the_cursor_move_together(s, soc);
	an_incident_has_one_shape();
	the_outbox_sends_what_matters(soc, o);
	notes_are_kept(o);
	outbox_close(o);
	soc_close(soc);
	store_close(s);
	fixture_remove(dir);
	return tap_done();
}
