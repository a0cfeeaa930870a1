/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "command.h"
#include "query.h"

const char event_header[] =
    "TIME                 HOST             PROGRAM          MESSAGE";

void
print_event_row(const struct event *ev)
{
	const char *program = "process.name";

	print_time(ev->time_ns);
	print_field(ev,
	    event_get(ev, FIELD_HOST_NAME) != NULL ? "host.name"
						   : "host.hostname",
	    16);
	if (event_get(ev, FIELD_PROCESS_NAME) == NULL)
		program = "event.dataset";
	print_field(ev, program, 16);
	print_field(ev,
	    event_get(ev, FIELD_MESSAGE) != NULL ? "message" : "event.original",
	    0);
}

static void
row(const struct event *ev, bool colour)
{
	(void)colour;
	print_event_row(ev);
}

static const struct query_spec spec = {
	.name = "events",
	.path = "/v1/events",
	.accepts = QUERY_TIME | QUERY_EVENTS | QUERY_LIMIT,
	.help =
	    "usage: kuzetctl events [--since T] [--until T] "
	    "[--where FIELD=VALUE]...\n"
	    "                       [--limit N] [--count] [--flat] [--json]\n\n"
	    "Prints stored events in the order of their arrival.\n\n"
	    "  --since T            not before T (@timestamp)\n"
	    "  --until T            before T\n"
	    "  --where FIELD=VALUE  only where the field is exactly this; all\n"
	    "                       of several must hold: source.ip=203.0.113.7\n"
	    "  --limit N            at most N; 0, and without it: all\n"
	    "  --count              only how many\n"
	    "  --flat               dotted names instead of nested objects\n"
	    "  --json               one JSON object a line\n\n"
	    "T is RFC 3339 (2026-11-22T01:02:03Z), a date, now, or a span back\n"
	    "from now: 30s 15m 2h 30d 8w.\n",
	.header = event_header,
	.row = row,
};

static int
run(const struct global_options *global, int argc, char *argv[])
{
	return query_run(&spec, global, argc, argv);
}

const struct command cmd_events = { "events", "print stored events", run };
