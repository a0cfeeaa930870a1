/* SPDX-License-Identifier: Apache-2.0 */
/* What passes the gateways in an hour, against its history in the store. */
#include <stdio.h>
#include <stdlib.h>

#include "collector/volume_watch.h"
#include "store_fixture.h"
#include "tap.h"
#include "xalloc.h"

#define MIB (INT64_C(1) << 20)

/* 2025-11-22T02:00:00Z is the end of the hour that is looked at. */
#define HOUR    (3600 * SECOND)
#define END     (T0 - T0 % HOUR + HOUR)
#define SETTLED (END + 60 * SECOND * VOLUME_SETTLE_MINUTES)

static struct error err;

/* Bytes in one hour, `ago` hours before the one that is looked at. */
static void
pass(struct store *s, const char *dataset, const char *source, int ago,
    int64_t bytes)
{
	static uint64_t offset;
	struct batch *b = batch_new();
	struct log_record r;

	b->source.owner = SLICE("bank");
	b->source.agent = SLICE("gw-1");
	/* in two messages: a sum is meant */
	for (int i = 0; i < 2; i++) {
		struct event *ev = batch_add_event(b);

		ev->id.stream[0] = 1;
		ev->id.offset = ++offset;
		ev->time_ns = END - (ago + 1) * HOUR + (i + 1) * SECOND;
		ev->arrival_ns = END;
		event_set_string(ev, FIELD_ORGANIZATION_ID, SLICE("bank"));
		event_set_string(ev, FIELD_EVENT_DATASET,
		    (struct slice){ dataset, strlen(dataset) });
		event_set_string(ev, FIELD_SOURCE_IP,
		    (struct slice){ source, strlen(source) });
		event_set_int(ev, field_intern(SLICE("destination.bytes")),
		    bytes / 2);
	}
	if (store_append(s, &b, 1, &r, &err) != RC_OK)
		abort();
	log_record_fini(&r);
	batch_free(b);
}

/* So many hours before with so much each, then the hour at hand. */
static void
pass_hours(struct store *s, const char *source, int hours, int64_t usual,
    int64_t now)
{
	for (int i = 1; i <= hours; i++)
		pass(s, "egov.gateway", source, i, usual);
	pass(s, "egov.gateway", source, 0, now);
}

/* The frames of what was found; the caller's. */
static char *
findings_text(struct findings *f)
{
	struct piece *p = findings_piece(f, END);
	char *text = p == NULL ? xstrdup("") : xmemdupz(p->bytes, p->len);

	/* frames have binary heads */
	for (size_t i = 0; p != NULL && i < p->len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	if (p != NULL)
		piece_free(p);
	return text;
}

static uint32_t
look(struct store *s, struct findings *f, int64_t now_ns)
{
	bool stop = false;
	uint32_t told = 0;

	if (volume_look(s, f, now_ns, &stop, &told, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return told;
}

int
main(void)
{
	char *dir = fixture_folder(), *text;
	struct store *s = fixture_open(dir);
	struct findings *f = findings_new();

	pass_hours(s, "192.0.2.1", 30, 20 * MIB, 41 * MIB); /* told */
	pass_hours(s, "192.0.2.2", 30, 20 * MIB, 40 * MIB); /* twice is usual */
	pass_hours(s, "192.0.2.3", 23, 20 * MIB, 900 * MIB); /* no history */
	pass_hours(s, "192.0.2.4", 30, 1000, 15 * MIB);      /* too little */
	pass_hours(s, "192.0.2.5", 30, 20 * MIB, 90 * MIB);
	/* it has been so */
	pass(s, "egov.gateway", "192.0.2.5", 167, 60 * MIB);
	pass_hours(s, "192.0.2.6", 30, 20 * MIB, 90 * MIB);
	/* too long ago; told */
	pass(s, "egov.gateway", "192.0.2.6", 169, 60 * MIB);
	pass(s, "nginx.access", "192.0.2.7", 0, 900 * MIB); /* no gateway */
	CHECK(look(s, f, SETTLED) == 2, "two systems took unusually much");
	text = findings_text(f);
	CHECK(strstr(text, "\"source\":{\"ip\":\"192.0.2.1\"}") != NULL &&
		strstr(text, "\"source\":{\"ip\":\"192.0.2.6\"}") != NULL &&
		strstr(text, "\"action\":\"volume-unusual\"") != NULL &&
		strstr(text,
		    "\"volume\":{\"hour\":\"2025-11-22T01:00:00.000Z\","
		    "\"bytes\":42991616") != NULL &&
		strstr(text, "\"hours\":30}") != NULL,
	    "a finding says who, when, how much and against what: %s", text);
	free(text);
	CHECK(look(s, f, SETTLED - SECOND) == 0,
	    "an hour is looked at when its late events have had their time");
	CHECK(look(s, f, SETTLED + HOUR) == 0, "the hour behind it is empty");
	findings_free(f);
	store_close(s);
	fixture_remove(dir);
	return tap_done();
}
