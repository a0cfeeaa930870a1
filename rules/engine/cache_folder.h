/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of database_cache.h: who may have written it, and its bound. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

enum {
	CACHE_FILES_MAX = 8, /* of a folder */
	CACHE_BYTES_MAX = 128 << 20
};

#define CACHE_SUFFIX    ".hsdb"
#define CACHE_TEMPORARY ".tmp"

/* Nobody but us could have written it. */
bool cache_is_ours(const struct stat *st);

/* The folder and the one it is in, mode 0700. */
void cache_folder_make(const char *path);
/* -1 and errno: it is not there, or not ours. */
int cache_folder_open(const char *path);

struct cache_file {
	char name[NAME_MAX + 1];
	struct timespec changed;
	off_t size;
};
/* The files that end so, the newest first; free() it. */
struct cache_file *cache_folder_list(int folder, const char *end, size_t *n);

/* The oldest go, and what a writer that was killed has left. */
void cache_folder_clean(int folder);
