/* SPDX-License-Identifier: Apache-2.0 */
/* What /v1/status and /metrics tell. */
#pragma once

#include "api_private.h"

/* Everything that is counted, from wherever it is. */
struct figures {
	struct api_status status;
	struct store_counters store;
	struct http_counters http;
	uint64_t incidents, agents, listeners, audit_lost;
};
enum rc figures_read(struct api *api, struct figures *f, struct error *err);

/* "other": those without a name, and the rarest. */
const char *figures_program(const struct program_count *p);
