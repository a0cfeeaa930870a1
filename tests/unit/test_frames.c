/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output/frames.h"

#include "tap.h"

static struct slice
window_of(struct buf *j_frames, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++)
		lumberjack_put_json(j_frames, i, SLICE("{\"message\":\"x\"}"));
	return buf_slice(j_frames);
}

static void
what_rested_packs_as_before(void)
{
	static const int levels[] = { 0, 1, 9 };

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		struct frames f;
		struct buf j_frames, first, second;
		struct slice window;
		struct error err;
		bool good;

		buf_init(&j_frames, 65536);
		buf_init(&first, 65536);
		buf_init(&second, 65536);
		window = window_of(&j_frames, 100);
		frames_init(&f, levels[i]);
		frames_rest(&f); /* before the first one, too */
		good = frames_pack(&f, &first, window, 100, &err) == RC_OK;
		frames_rest(&f);
		good = good &&
		    frames_pack(&f, &second, window, 100, &err) == RC_OK;
		CHECK(good && slice_eq(buf_slice(&first), buf_slice(&second)),
		    "level %d: the same %zu bytes after a rest", levels[i],
		    first.len);
		good = frames_skip(&f, &second, 100, 99, &err) == RC_OK;
		CHECK(good && second.len > 0 && second.len < first.len,
		    "level %d: %zu bytes without the first 99", levels[i],
		    second.len);
		frames_rest(&f);
		buf_fini(&j_frames);
		buf_fini(&first);
		buf_fini(&second);
	}
}

int
main(void)
{
	what_rested_packs_as_before();
	return tap_done();
}
