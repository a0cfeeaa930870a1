/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a server's routes as a table. */
#pragma once

#include <string.h>

#include "collector/api/http.h"

struct http_table_row {
	const char *path;
	http_handler *handler;
};

static inline void
http_table_dispatch(const struct http_table_row *rows, size_t n, void *ctx,
    const struct http_request *r, struct http_reply *reply)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(r->path,
			(struct slice){ rows[i].path, strlen(rows[i].path) })) {
			rows[i].handler(ctx, r, reply);
			return;
		}
	http_fail(reply, 404, "no such resource");
}
