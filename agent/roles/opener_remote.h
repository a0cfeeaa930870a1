/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of the opener's channels: one for the thread that made it,
 * one for all others, so that a slow disk under a scan holds up no log.  Between
 * the parts of the opener; nobody else includes it.
 *
 * Where the opener is gone the program ends at once, status 1: no input may take
 * its silence for "there are no files".  What is not acknowledged is read again.
 */
#pragma once

#include "agent/roles/opener_wire.h"

enum { OPENER_CHANNELS = 2 };

struct remote;

/* Takes the channels; the thread that calls is the one with its own. */
struct remote *remote_new(const int channels[OPENER_CHANNELS]);
void remote_free(struct remote *r); /* NULL is fine */
/* The calling thread's channel; readable only when the opener is gone. */
int remote_channel(const struct remote *r);
/* The opener is gone: says so and ends. */
_Noreturn void remote_lost(void);
uint64_t remote_refused(const struct remote *r);

/*
 * One question.  *a is the answer, `body` (NULL: not wanted) gets a copy of its
 * rest, *fd (NULL: none is expected) a descriptor or -1.  Returns a->rc, with
 * errno where it is RC_SYSTEM.
 */
enum rc remote_ask(struct remote *r, const struct wire_request *q,
    const char *path, struct wire_answer *a, struct buf *body, int *fd);

/*
 * WIRE_OPEN_MANY: as many of the `n` paths as one question takes, at least one;
 * how many these are.
 */
size_t remote_open_many(struct remote *r, const char *const *paths, size_t n,
    struct opener_opened *out);
