/* SPDX-License-Identifier: Apache-2.0 */
/* c-ares' channels with our deadlines; void * is an ares_channel. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct probe_job;

/* `server`: IP or IP:PORT, NULL: the system's.  ares_destroy() it. */
void *resolver_new(const struct probe_job *job, const char *server,
    bool recurse);
/* Until all is answered, or nothing will be in time; NULL is none. */
enum { RESOLVER_CHANNELS = 64 };
void resolver_run(const struct probe_job *job, void *const *channels, size_t n);
