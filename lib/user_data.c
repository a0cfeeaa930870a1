/* SPDX-License-Identifier: Apache-2.0 */
#include "user_data.h"

#include <string.h>

static const struct slice below = SLICE_INIT("Event.UserData.");
static const struct slice other = SLICE_INIT("winlog.user_data.");

uint32_t
user_data_mark(void)
{
	return field_intern(SLICE("Event.System.Channel"));
}

/* The name behind the provider's own; ptr NULL: it is no datum. */
static struct slice
datum_name(struct slice name)
{
	const struct slice none = { NULL, 0 };
	const char *dot;
	size_t rest;

	if (name.len <= below.len ||
	    memcmp(name.ptr, below.ptr, below.len) != 0)
		return none;
	rest = name.len - below.len;
	dot = memchr(name.ptr + below.len, '.', rest);
	if (dot == NULL)
		return none;
	rest = (size_t)(name.ptr + name.len - dot) - 1;
	if (rest == 0 || dot[1] == '#') /* attributes */
		return none;
	return (struct slice){ dot + 1, rest };
}

static uint32_t
other_name(struct slice datum)
{
	char name[FIELD_NAME_MAX];

	if (other.len + datum.len > sizeof(name))
		return FIELD_NONE;
	memcpy(name, other.ptr, other.len);
	memcpy(name + other.len, datum.ptr, datum.len);
	return field_intern((struct slice){ name, other.len + datum.len });
}

void
user_data_names(struct event *ev, uint32_t mark)
{
	uint32_t n = ev->n;

	if (!event_may_have(ev, mark) || event_get(ev, mark) == NULL)
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct slice datum = datum_name(field_name(ev->fields[i].id));
		struct value value = ev->fields[i].value; /* fields may move */
		uint32_t id =
		    datum.ptr != NULL ? other_name(datum) : FIELD_NONE;

		if (id != FIELD_NONE && event_get(ev, id) == NULL)
			event_set_value(ev, id, value);
	}
}
