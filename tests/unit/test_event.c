/* SPDX-License-Identifier: Apache-2.0 */
#include "event.h"

#include <pthread.h>
#include <stdio.h>

#include "batch.h"
#include "tap.h"

static void
names_are_interned_once(void)
{
	uint32_t id = field_intern(SLICE("Winlog.Event Data.x"));

	CHECK(id != FIELD_NONE, "a new name gets an id");
	CHECK(field_intern(SLICE("Winlog.Event Data.x")) == id, "and keeps it");
	CHECK(field_find(SLICE("never.seen.name")) == FIELD_NONE,
	    "looking up makes nothing");
	CHECK(field_folded(id) == field_intern(SLICE("winlog.eventdata.x")),
	    "case and spaces fold away");
	CHECK(slice_eq(field_name(FIELD_SOURCE_IP), SLICE("source.ip")),
	    "known names have constants");
	CHECK(field_child(field_intern(SLICE("source")), SLICE("ip")) ==
		FIELD_SOURCE_IP,
	    "a child is found by its parent");
	CHECK(field_child(field_intern(SLICE("a.b")), SLICE("c.d")) ==
		field_intern(SLICE("a.b.c.d")),
	    "dots in a key are dots of the name");
	CHECK(field_intern(SLICE("")) == FIELD_NONE, "no empty name");
}

static void *
intern_many(void *ctx)
{
	uint32_t *ids = ctx;
	char name[32];

	for (int i = 0; i < 2000; i++) {
		int n = snprintf(name, sizeof(name), "thread.f%d.x", i);

		ids[i] = field_intern((struct slice){ name, (size_t)n });
	}
	return NULL;
}

static void
threads_agree_on_ids(void)
{
	static uint32_t ids[2][2000];
	pthread_t threads[2];

	for (int t = 0; t < 2; t++)
		(void)pthread_create(&threads[t], NULL, intern_many, ids[t]);
	for (int t = 0; t < 2; t++)
		(void)pthread_join(threads[t], NULL);
	CHECK(memcmp(ids[0], ids[1], sizeof(ids[0])) == 0,
	    "two threads get the same ids");
}

static void
fields_set_replace_and_list(void)
{
	struct batch *b = batch_new();
	struct event *ev = batch_add_event(b);
	const struct value *v;

	event_set_string(ev, FIELD_MESSAGE, SLICE("one"));
	event_set_string(ev, FIELD_MESSAGE, SLICE("two"));
	CHECK(ev->n == 1 &&
		slice_eq(event_get_string(ev, FIELD_MESSAGE), SLICE("two")),
	    "a field occurs once");
	event_add_string(ev, FIELD_TAGS, SLICE("a"));
	event_add_string(ev, FIELD_TAGS, SLICE("b"));
	event_add_string(ev, FIELD_TAGS, SLICE("a"));
	v = event_get(ev, FIELD_TAGS);
	CHECK(v != NULL && v->kind == VALUE_LIST && v->n == 2,
	    "a list keeps equal items once");
	event_unset(ev, FIELD_MESSAGE);
	CHECK(event_get(ev, FIELD_MESSAGE) == NULL, "a field can go");
	for (uint32_t i = 0; i < EVENT_FIELDS_MAX + 10; i++) {
		char name[32];
		int n = snprintf(name, sizeof(name), "many.f%u", i);

		event_set_int(ev,
		    field_intern((struct slice){ name, (size_t)n }), i);
	}
	CHECK(ev->n == EVENT_FIELDS_MAX && ev->dropped == 11,
	    "fields are bounded, what a bound kept out is counted");
	batch_free(b);
}

static void
ids_print_and_parse(void)
{
	struct batch *b = batch_new();
	struct event *ev = batch_add_event(b);
	struct event_id id;
	struct slice text = SLICE("6ba7b810-9dad-11d1-80b4-00c04fd430c8:1234");

	CHECK(event_id_parse(text, &ev->id), "an id parses");
	CHECK(slice_eq(event_id_text(ev), text), "and prints as it was");
	CHECK(!event_id_parse(SLICE("6ba7b810-9dad-11d1-80b4-00c04fd430c8:"),
		  &id) &&
		!event_id_parse(SLICE("6ba7b810-9dad-11d1-80b4-00c04fd430c8:"
				      "99999999999999999999"),
		    &id),
	    "what is no id is refused");
	batch_free(b);
}

static void
batches_are_bounded(void)
{
	struct batch *b = batch_new();

	for (int i = 0; i < BATCH_EVENTS; i++)
		(void)batch_add_event(b);
	CHECK(b->n == BATCH_EVENTS && batch_add_event(b) == NULL,
	    "a batch is full at its bound");
	for (uint32_t i = 0; i < 1000; i++)
		batch_add_hit(b, i, i);
	CHECK(b->n_hits == 1000 && b->hits[999].rule == 999, "hits grow");
	batch_free(b);
}

int
main(void)
{
	names_are_interned_once();
	threads_agree_on_ids();
	fields_set_replace_and_list();
	ids_print_and_parse();
	batches_are_bounded();
	return tap_done();
}
