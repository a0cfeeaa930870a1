/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "command.h"
#include "query.h"

static void
row(const struct event *ev, bool colour)
{
	(void)colour;
	print_time(ev->time_ns);
	print_field(ev, "rule.title", 44);
	print_members(ev, "group");
	(void)putchar(' ');
	print_field(ev, "event", 0);
}

static const struct query_spec spec = {
	.name = "detections",
	.path = "/v1/detections",
	.accepts = QUERY_TIME | QUERY_RULE | QUERY_LIMIT | QUERY_AFTER,
	.help =
	    "usage: kuzetctl detections [--since T] [--until T] [--rule ID]\n"
	    "                           [--limit N] [--after CURSOR] [--json]\n\n"
	    "Prints the matches of single rules, in the order of arrival; with\n"
	    "--limit or --after in the order of time.\n\n"
	    "  --since T   of events not before T (@timestamp)\n"
	    "  --until T   of events before T\n"
	    "  --rule ID   only of this rule\n"
	    "  --limit N   at most N; 0, and without it: all\n"
	    "  --after CURSOR  goes on where an earlier --limit ended\n"
	    "  --json      one JSON object a line\n\n"
	    "T is RFC 3339 (2026-11-22T01:02:03Z), a date, now, or a span back\n"
	    "from now: 30s 15m 2h 30d 8w.\n",
	.header = "TIME                 RULE                                   "
		  "      GROUP EVENT",
	.row = row,
};

static int
run(const struct global_options *global, int argc, char *argv[])
{
	return query_run(&spec, global, argc, argv);
}

const struct command cmd_detections = { "detections",
	"print matches of single rules", run };
