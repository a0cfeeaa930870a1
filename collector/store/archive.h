/* SPDX-License-Identifier: Apache-2.0 */
/* What archiving and restoring share. */
#pragma once

#include "digest.h"
#include "error.h"
#include "store_keep.h"

enum { ARCHIVE_PARTS = 5, ARCHIVE_PATH = 4096 };

/* That archives of older versions do not have. */
#define ARCHIVE_DETECTIONS "detections.jsonl.gz"

/* "jsonl.gz", ...: what the manifest lists. */
extern const char *const archive_parts[ARCHIVE_PARTS];

/* FOLDER/YYYY-MM-DD.PART */
enum rc archive_path(const char *folder, int32_t day, const char *part,
    char out[ARCHIVE_PATH], struct error *err);
enum rc digest_file(const char *path, char hex[SHA256_TEXT], struct error *err);
enum rc sync_path(const char *path, struct error *err);
enum rc make_folder(const char *path, struct error *err);
