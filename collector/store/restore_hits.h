/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule matches of an archived day, on their way back beside their events:
 * as its detections.jsonl.gz has them (archive.c), a line for each.
 */
#pragma once

#include "collector/store/internal.h"

struct restored_hits;

/* `path` NULL: an archive of a version that kept none. */
enum rc restored_hits_open(const char *path, struct restored_hits **out,
    struct error *err);
void restored_hits_free(struct restored_hits *h); /* NULL is fine */

/*
 * The archive's event of that line, counted from 1 and ascending, is to be event
 * `at` of the commit's batch `batch`: takes its hits.
 */
enum rc restored_hits_take(struct restored_hits *h, uint64_t line, size_t batch,
    uint32_t at, struct error *err);

/* Puts those taken beside the blocks of the commit that the batches became. */
enum rc restored_hits_write(struct restored_hits *h, struct store *s,
    struct batch *const *batches, size_t n, uint64_t commit, struct error *err);
