/* SPDX-License-Identifier: Apache-2.0 */
/* The API over a real store, asked as kuzetctl asks it. */
#include "collector/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "incident_fixture.h"
#include "json.h"
#include "run.h"
#include "soc.h"
#include "store_fixture.h"
#include "tap.h"

enum { COMMAND_MAX = 4096, EVENTS = 100 };

static char *dir;
static char path[4096];
static struct run run;
static struct store *store;
static struct error err;
static bool ready; /* __atomic: the API asks in its own threads */

static void
fill_status(void *ctx, struct api_status *out)
{
	(void)ctx;
	out->ready = __atomic_load_n(&ready, __ATOMIC_ACQUIRE);
	out->uptime_ns = 61 * SECOND;
	out->received = 123;
	out->unparsed = 4;
	out->agents_connected = 1;
	out->rules_loaded = 2;
	out->rules_given_up = 3;
	out->outbox_pending = 5;
}

/* The exit status; what was printed is in run.out. */
static int
ctl(const char *arguments)
{
	char line[COMMAND_MAX + sizeof(path)];

	(void)snprintf(line, sizeof(line), "--socket '%s' %s", path, arguments);
	return run_program(&run, "kuzetctl", line);
}

static unsigned
lines(void)
{
	unsigned n = 0;

	for (const char *p = run.out; (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return n;
}

static bool
prints(const char *arguments, int status, unsigned n, const char *part)
{
	int got = ctl(arguments);
	bool ok =
	    got == status && lines() == n && strstr(run.out, part) != NULL;

	if (!ok)
		(void)printf("# %s: exit %d, %u lines: %.600s\n", arguments,
		    got, lines(), run.out);
	return ok;
}

static void
status_tells_all(void)
{
	CHECK(prints("status --json", 0, 1,
		  "\"events\":{\"received\":123,"
		  "\"stored\":100,"),
	    "status counts the store's events");
	CHECK(strstr(run.out, "\"unparsed\":4}") != NULL &&
		strstr(run.out, "\"uptime_seconds\":61") != NULL &&
		strstr(run.out, "\"detections\":10,") != NULL &&
		strstr(run.out, "\"incidents\":1,") != NULL &&
		strstr(run.out, "\"agents\":{\"known\":1,\"connected\":1}") !=
		    NULL &&
		strstr(run.out, "\"outbox\":{\"pending\":5,\"delivered\":0}") !=
		    NULL &&
		strstr(run.out,
		    "\"rules\":{\"loaded\":2,\"refused\":0,"
		    "\"given_up\":3}") != NULL,
	    "and everything else that is promised");
	__atomic_store_n(&ready, false, __ATOMIC_RELEASE);
	CHECK(ctl("status --json") == 1 &&
		strstr(run.out, "\"ready\":false") != NULL,
	    "it fails while the collector is not ready");
	__atomic_store_n(&ready, true, __ATOMIC_RELEASE);
}

static void
events_are_found(void)
{
	CHECK(prints("events --json --limit 0", 0, EVENTS,
		  "{\"@timestamp\":\"2025-11-22T01:02:03.000Z\""),
	    "all events");
	CHECK(prints("events --json --limit 7", 0, 7, ""), "some events");
	CHECK(prints("events --json --count", 0, 1, "{\"count\":100}"),
	    "their count");
	CHECK(prints("events --json --count --since 2025-11-22T01:02:13Z "
		     "--until 2025-11-22T01:02:33Z",
		  0, 1, "{\"count\":20}"),
	    "those of a time, which is half open");
	CHECK(prints("events --json --count --since 2000w --until now", 0, 1,
		  "{\"count\":100}"),
	    "spans are understood");
	CHECK(prints("events --json --count --where no.such.field=x", 0, 1,
		  "{\"count\":0}"),
	    "a field that nothing has");
	CHECK(prints("events --json --flat --limit 1", 0, 1, "\"event.id\":\""),
	    "dotted names");
}

/* The value of the first "NAME":"..." in the output. */
static void
first_value(const char *name, char *out, size_t room)
{
	char wanted[64];
	const char *p;
	size_t n = 0;

	(void)snprintf(wanted, sizeof(wanted), "\"%s\":\"", name);
	p = strstr(run.out, wanted);
	for (p = p != NULL ? p + strlen(wanted) : "";
	     *p != '\0' && *p != '"' && n + 1 < room; p++)
		out[n++] = *p;
	out[n] = '\0';
}

static void
one_event_is_found(void)
{
	char id[128], arguments[512];

	(void)ctl("events --json --flat --limit 3");
	first_value("event.id", id, sizeof(id));
	(void)snprintf(arguments, sizeof(arguments),
	    "events --json --where event.id=%s", id);
	CHECK(id[0] != '\0' && prints(arguments, 0, 1, id),
	    "an event by its id");
}

static void
detections_are_found(void)
{
	static char before[RUN_OUTPUT_MAX];
	char rule[128], arguments[512];

	CHECK(prints("detections --json", 0, EVENTS / 10, "\"group\":{"),
	    "detections");
	memcpy(before, run.out, sizeof(before));
	(void)ctl("detections --json");
	CHECK(strcmp(before, run.out) == 0, "are the same each time");
	first_value("rule\":{\"id", rule, sizeof(rule));
	(void)snprintf(arguments, sizeof(arguments),
	    "detections --json --rule '%s'", rule);
	CHECK(rule[0] != '\0' && prints(arguments, 0, EVENTS / 10, rule),
	    "those of a rule");
	CHECK(prints("detections --json --rule nothing", 0, 0, ""),
	    "none of another");
}

static void
incidents_are_found(void)
{
	CHECK(prints("incidents --json --rule r-1", 0, 1,
		  "{\"type\":\"incident\",\"id\":\"abc\","),
	    "incidents");
	CHECK(prints("incidents --json --rule r-2", 0, 0, ""),
	    "none of another");
	CHECK(prints("incidents --json --since 2025-11-23", 0, 0, ""),
	    "none that late");
}

static void
make_store(void)
{
	struct fixture_batch f = { .stream = 1, .n = EVENTS, .hits_every = 10 };
	struct incident i = incident_fixture();
	struct soc_cursor cursor = { 1, 1 };
	struct log_record r;
	struct soc *soc;

	i.first_seen_ns = i.fired_ns = T0;
	i.last_seen_ns = T0 + SECOND;
	dir = fixture_folder();
	if (store_open(dir, &store, &err) != RC_OK ||
	    fixture_append(store, &f, &r, &err) != RC_OK ||
	    soc_open(store, &soc, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	log_record_fini(&r);
	if (soc_apply(soc, &i, 1, &cursor, false, T0, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	soc_close(soc);
	(void)snprintf(path, sizeof(path), "%s/control.sock", dir);
}

int
main(void)
{
	struct api_options options = { .control_path = path,
		.status = fill_status,
		.rate = 50 };
	struct api *api, *second;

	make_store();
	options.store = store;
	if (identities_open(store, &options.identities, &err) != RC_OK)
		abort();
	__atomic_store_n(&ready, true, __ATOMIC_RELEASE);
	if (api_start(&options, &api, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return 1;
	}
	CHECK(api_start(&options, &second, &err) == RC_DENIED,
	    "a second collector is refused");
	status_tells_all();
	events_are_found();
	one_event_is_found();
	detections_are_found();
	incidents_are_found();
	api_stop(api);
	CHECK(access(path, F_OK) != 0, "the socket goes with the collector");
	api_free(api);
	identities_close(options.identities);
	store_close(store);
	fixture_remove(dir);
	return tap_done();
}
