/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of JSON objects, one a line.  Whatever shape the objects have (ECS,
 * Winlogbeat, event XML rendered to JSON, flat Windows events), they are taken
 * as they are: rules/taxonomy says under which names rules find their fields.
 * Only the time is sought where each shape has it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "input_file.h"
#include "json.h"
#include "timestamp.h"
#include "user_data.h"

enum { ARENA_BLOCK = 256 * 1024 };

static const char *const time_fields[] = {
	"Event.System.TimeCreated.#attributes.SystemTime",
	"UtcTime",
	"TimeCreated",
	"EventTime",
	"eventTime",
	"timestamp",
	"time",
	"ts",
	"event.created",
};
enum { N_TIME_FIELDS = sizeof(time_fields) / sizeof(time_fields[0]) };

static bool
read_time(const struct value *v, int64_t *time_ns)
{
	static const struct timestamp_hints none = { .tz = NULL };

	if (v->kind == VALUE_INT && v->i > 0 && v->i < INT64_MAX / NS_PER_SEC) {
		*time_ns = v->i * NS_PER_SEC;
		return true;
	}
	if (v->kind == VALUE_DOUBLE && v->d > 0 && v->d < 9e9) {
		*time_ns = (int64_t)(v->d * 1e9);
		return true;
	}
	return v->kind == VALUE_STRING &&
	    (timestamp_parse_rfc3339(v->s, &none, time_ns) > 0 ||
		timestamp_parse_unix(v->s, &none, time_ns) > 0);
}

static void
find_time(struct event *ev, const uint32_t ids[N_TIME_FIELDS])
{
	for (size_t i = 0; i < N_TIME_FIELDS; i++) {
		const struct value *v = event_get(ev, ids[i]);

		if (v != NULL && read_time(v, &ev->time_ns))
			return;
	}
	ev->time_ns = ev->arrival_ns;
}

static bool
is_blank(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr(" \t\r\n", s.ptr[i]) == NULL)
			return false;
	return true;
}

enum rc
input_jsonl(const char *path, input_event_cb *cb, void *ctx, struct error *err)
{
	struct input_file in;
	struct json_paths *paths;
	struct arena *arena;
	uint32_t ids[N_TIME_FIELDS], mark = user_data_mark();
	int64_t now = timestamp_now();
	enum rc rc = RC_OK;
	unsigned long number = 0;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (input_file_open(&in, path, err) != RC_OK)
		return err->code;
	arena = arena_new(ARENA_BLOCK);
	paths = json_paths_new();
	for (size_t i = 0; i < N_TIME_FIELDS; i++)
		ids[i] = field_intern(
		    (struct slice){ time_fields[i], strlen(time_fields[i]) });
	while (rc == RC_OK && (n = getline(&line, &cap, in.f)) > 0 &&
	    !ferror(in.f)) {
		struct slice text = { line, (size_t)n };
		struct event ev;
		struct error why;

		number++;
		if (is_blank(text))
			continue;
		arena_reset(arena);
		event_begin(&ev, arena);
		ev.arrival_ns = now;
		ev.time_ns = INT64_MIN;
		ev.size = (uint32_t)text.len;
		rc = json_read_event_again(text, &json_limits_default, &ev,
		    paths, &why);
		if (rc != RC_OK) {
			(void)error_set(err, rc,
			    "%s:%lu: %s; a line must be one JSON object: jq -c "
			    ". makes it of an object of several lines, jq -c "
			    ".[] of a list",
			    path, number, why.text);
			break;
		}
		if (ev.time_ns == INT64_MIN)
			find_time(&ev, ids);
		user_data_names(&ev, mark);
		if (!cb(ctx, &ev))
			break;
	}
	if (rc == RC_OK)
		rc = input_file_check(&in, err);
	free(line);
	json_paths_free(paths);
	arena_free(arena);
	input_file_close(&in);
	return rc;
}
