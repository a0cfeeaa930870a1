/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window as it goes over the wire: W, then one C frame (or the bare J frames
 * where compression is off).  Kept until it is acknowledged, so that what is
 * sent again after a broken connection is what was sent before.
 */
#pragma once

#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "lumberjack.h"

struct frames {
	int level;
	struct lumberjack_deflate *deflate; /* NULL: not needed yet */
};

void frames_init(struct frames *f, int level); /* 0: no compression */

/* Frees what it holds; it can go on. */
void frames_rest(struct frames *f);

/* Makes the wire bytes of `n` J frames. */
enum rc frames_pack(struct frames *f, struct buf *wire, struct slice j_frames,
    uint32_t n, struct error *err);

/* Makes them anew without the first `skip` of the `n` events. */
enum rc frames_skip(struct frames *f, struct buf *wire, uint32_t n,
    uint32_t skip, struct error *err);
