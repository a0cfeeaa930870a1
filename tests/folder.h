/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a folder of theirs is removed with all that is in it. */
#pragma once

#include <ftw.h>
#include <stdio.h>

static inline int
folder_remove_one(const char *path, const struct stat *st, int flag,
    struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread walks */
	return remove(path);
}

static inline void
folder_remove(const char *path)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread walks */
	(void)nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
