/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "arena.h"
#include "audit.h"
#include "collector/normalize/audit_event.h"
#include "json.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct joined {
	struct arena *arena;
	struct buf out;
	size_t bytes;
};

/* Whatever the records say, the event is good JSON. */
static void
on_joined(void *ctx, struct slice text, bool cut)
{
	struct joined *j = ctx;
	struct audit_head head;
	struct event ev, again;
	struct error err;

	(void)cut;
	j->bytes += text.len + 1;
	arena_reset(j->arena);
	text = utf8_repair(j->arena, text);
	if (!audit_head(text, &head))
		return;
	event_begin(&ev, j->arena);
	audit_event(&ev, text);
	buf_clear(&j->out);
	json_write_event(&j->out, &ev, JSON_FLAT);
	if (j->out.overflowed)
		return;
	event_begin(&again, j->arena);
	if (json_read_event(buf_slice(&j->out), &json_limits_default, &again,
		&err) != RC_OK)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct joined j = { .arena = arena_new(65536) };
	struct audit_join *join = audit_join_new(on_joined, &j);
	struct slice rest = { (const char *)data, size };
	size_t lines = 0;

	buf_init(&j.out, 8 << 20);
	while (rest.len > 0) {
		const char *lf = memchr(rest.ptr, '\n', rest.len);
		size_t len = lf == NULL ? rest.len : (size_t)(lf - rest.ptr);

		audit_join_line(join, (struct slice){ rest.ptr, len }, false);
		lines += len + 1;
		rest.ptr += len + (lf != NULL);
		rest.len -= len + (lf != NULL);
	}
	audit_join_flush(join);
	if (j.bytes != lines) /* nothing is lost, nothing is doubled */
		abort();
	audit_join_free(join);
	buf_fini(&j.out);
	arena_free(j.arena);
	return 0;
}
