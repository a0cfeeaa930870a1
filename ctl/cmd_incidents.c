/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "command.h"
#include "query.h"

static void
row(const struct event *ev, bool colour)
{
	print_time_field(ev, "last_seen");
	print_level(ev, colour);
	print_field(ev, "status", 8);
	print_field(ev, "events", 7);
	print_field(ev, "rule.title", 36);
	print_members(ev, "group");
}

static const struct query_spec spec = {
	.name = "incidents",
	.path = "/v1/incidents",
	.accepts = QUERY_TIME | QUERY_RULE | QUERY_LIMIT | QUERY_AFTER,
	.help =
	    "usage: kuzetctl incidents [--since T] [--until T] [--rule ID]\n"
	    "                          [--limit N] [--after CURSOR] [--json]\n\n"
	    "Prints incidents, the first seen first.\n\n"
	    "  --since T   last seen at T or later\n"
	    "  --until T   first seen before T\n"
	    "  --rule ID   only of this rule\n"
	    "  --limit N   at most N; 0, and without it: all; says --after what goes\n"
	    "              on behind them\n"
	    "  --after CURSOR  goes on where an earlier --limit ended\n"
	    "  --json      one JSON object a line\n\n"
	    "T is RFC 3339 (2026-11-22T01:02:03Z), a date, now, or a span back\n"
	    "from now: 30s 15m 2h 30d 8w.\n",
	.header = "LAST SEEN            LEVEL         STATUS   EVENTS  "
		  "RULE                                 GROUP",
	.row = row,
};

static int
run(const struct global_options *global, int argc, char *argv[])
{
	return query_run(&spec, global, argc, argv);
}

const struct command cmd_incidents = { "incidents", "print incidents", run };
