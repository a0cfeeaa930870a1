/* SPDX-License-Identifier: Apache-2.0 */
/* A line of any bytes as JSON: always valid, and the line where it was UTF-8. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/inputs/line_event.h"
#include "arena.h"
#include "json.h"
#include "utf8.h"
#include "xalloc.h"

enum { EXPANSION = 6, SLACK = 16, ARENA_BLOCK = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line = { (const char *)data, size };
	char *json = xcalloc(EXPANSION * size + SLACK + 2, 1), *end;
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct slice repaired = utf8_repair(arena, line);
	struct json_reader r;

	json[0] = '"';
	end = json_escape(json + 1, line);
	if ((size_t)(end - json - 1) > EXPANSION * size)
		abort();
	*end++ = '"';
	json_reader_init(&r, (struct slice){ json, (size_t)(end - json) },
	    arena, 1);
	if (json_next(&r) != JSON_STRING || !utf8_valid(r.text))
		abort();
	/* each maximal part of a character is one U+FFFD, as in the library */
	if (!slice_eq(r.text, repaired))
		abort();
	if (json_next(&r) != JSON_END)
		abort();
	arena_free(arena);
	free(json);
	return 0;
}
