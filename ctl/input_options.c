/* SPDX-License-Identifier: Apache-2.0 */
/* --dataset, --program, --year, --timezone: read and checked in one place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "timestamp.h"

enum { YEAR_MIN = 1970, YEAR_MAX = 9999 };

const char input_options_help[] =
    "  --dataset NAME     the format, e.g. system.auth; else found from the "
    "content\n"
    "  --program NAME     process.name, where the lines do not say it\n"
    "  --year YEAR        for time stamps without a year\n"
    "  --timezone ZONE    for time stamps without a zone; UTC\n";

static const char *const names[] = {
	[INPUT_DATASET - INPUT_FIRST] = "dataset",
	[INPUT_PROGRAM - INPUT_FIRST] = "program",
	[INPUT_YEAR - INPUT_FIRST] = "year",
	[INPUT_TIMEZONE - INPUT_FIRST] = "timezone",
};

int
input_option_named(struct slice name)
{
	for (int i = 0; i < INPUT_END - INPUT_FIRST; i++)
		if (slice_eq(name,
			(struct slice){ names[i], strlen(names[i]) }))
			return INPUT_FIRST + i;
	return -1;
}

static enum rc
read_year(struct input_options *o, const char *text, struct error *err)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || value < YEAR_MIN ||
	    value > YEAR_MAX)
		return error_set(err, RC_INVALID,
		    "year takes a year from %d to %d, not \"%s\"", YEAR_MIN,
		    YEAR_MAX, text);
	o->year = (int)value;
	return RC_OK;
}

static enum rc
read_timezone(struct input_options *o, const char *text, struct error *err)
{
	struct timezone_info *tz = NULL;

	if (timezone_open(text, &tz, err) != RC_OK)
		return error_prefix(err, "timezone");
	timezone_close(tz);
	o->timezone = text;
	return RC_OK;
}

enum rc
input_option(struct input_options *o, int code, const char *text,
    struct error *err)
{
	if (code == INPUT_YEAR)
		return read_year(o, text, err);
	if (code == INPUT_TIMEZONE)
		return read_timezone(o, text, err);
	if (code == INPUT_DATASET)
		o->dataset = text;
	else
		o->program = text;
	return RC_OK;
}
