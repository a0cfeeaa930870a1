/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "collector/normalize/syslog_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was found is a part of the line. */
static void
check_part(struct slice line, struct slice part)
{
	if (part.len > 0 &&
	    (part.ptr < line.ptr || part.ptr + part.len > line.ptr + line.len))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line = { (const char *)data, size };
	struct timestamp_hints hints = { .year = 2026 };
	struct time_cache cache = { .len = 0 };
	struct syslog_header h, again;
	struct arena *arena;
	struct event ev;

	if (!syslog_header_read(line, &hints, &cache, &h))
		return 0;
	check_part(line, h.hostname);
	check_part(line, h.program);
	check_part(line, h.procid);
	check_part(line, h.msgid);
	check_part(line, h.message);
	check_part(line, h.structured_data);
	if (!syslog_header_read(line, &hints, &cache, &again) ||
	    again.time_ns != h.time_ns || again.message.ptr != h.message.ptr)
		abort();
	arena = arena_new(4096);
	event_begin(&ev, arena);
	syslog_header_apply(&h, &ev);
	arena_free(arena);
	return 0;
}
