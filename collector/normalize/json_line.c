/* SPDX-License-Identifier: Apache-2.0 */
#include "json_line.h"

#include "json.h"
#include "timestamp.h"

static bool
starts_with(struct slice name, const char *head)
{
	size_t n = strlen(head);

	return name.len >= n && memcmp(name.ptr, head, n) == 0;
}

/*
 * Own names that ECS has no place for and only the application knows
 * (doc/packs.md).
 */
static bool
is_told_by_applications(struct slice name)
{
	static const char *const heads[] = { "kuzet.auth.", "kuzet.backup.",
		"kuzet.contact_centre.", "kuzet.integration.", "kuzet.message.",
		"kuzet.otp.", "kuzet.payment.", "kuzet.pki." };

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (starts_with(name, heads[i]))
			return true;
	return false;
}

/* What a line of text may not say about itself: who sent it, who owns it. */
static bool
is_ours(uint32_t field)
{
	struct slice name = field_name(field);

	if (name.ptr[0] != 'k' && name.ptr[0] != 'o')
		return field == FIELD_EVENT_ORIGINAL || field == FIELD_AGENT_ID;
	if (starts_with(name, "kuzet."))
		return !is_told_by_applications(name);
	return starts_with(name, "organization.");
}

void
json_line_merge(struct event *ev, const struct event *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		if (event_get(ev, from->fields[i].id) == NULL)
			event_set_value(ev, from->fields[i].id,
			    from->fields[i].value);
	ev->dropped += from->dropped;
}

/* Loggers that write JSON name their time so; RFC 3339 in all of it. */
static void
guess_json_time(struct event *object, const struct timestamp_hints *hints)
{
	static const struct slice names[] = { SLICE_INIT("timestamp"),
		SLICE_INIT("time"), SLICE_INIT("ts") };
	int64_t time_ns;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct slice s =
		    event_get_string(object, field_intern(names[i]));

		if (s.len > 0 &&
		    timestamp_parse_rfc3339(s, hints, &time_ns) == s.len) {
			object->time_ns = time_ns;
			return;
		}
	}
}

bool
json_line_read(struct event *object, const struct event *ev, struct slice line,
    const struct normalize_hints *hints)
{
	struct error err;

	event_begin(object, ev->arena);
	object->time_ns = ev->time_ns;
	if (json_read_event(line, &json_limits_default, object, &err) != RC_OK)
		return false;
	for (uint32_t i = object->n; i > 0; i--)
		if (is_ours(object->fields[i - 1].id))
			event_unset(object, object->fields[i - 1].id);
	if (object->time_ns == ev->time_ns)
		guess_json_time(object, &hints->time);
	return true;
}
