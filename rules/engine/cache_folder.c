/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xalloc.h"

enum { TEMPORARY_SECONDS = 3600 /* older ones nobody writes any more */ };

bool
cache_is_ours(const struct stat *st)
{
	return st->st_uid == geteuid() &&
	    (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void
cache_folder_make(const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = slash != NULL ? (int)(slash - path) : 0;

	if (mkdir(path, 0700) == 0 || errno != ENOENT || n == 0 ||
	    (size_t)n >= sizeof(parent))
		return;
	(void)snprintf(parent, sizeof(parent), "%.*s", n, path);
	if (mkdir(parent, 0700) == 0)
		(void)mkdir(path, 0700);
}

int
cache_folder_open(const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && cache_is_ours(&st))
		return fd;
	(void)close(fd);
	errno = EPERM;
	return -1;
}

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static int
newest_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct cache_file *)a)->changed;
	const struct timespec *y = &((const struct cache_file *)b)->changed;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec > y->tv_sec ? -1 : 1;
	return x->tv_nsec > y->tv_nsec ? -1 : x->tv_nsec < y->tv_nsec;
}

struct cache_file *
cache_folder_list(int folder, const char *end, size_t *n)
{
	struct dirent **names = NULL;
	int all = scandirat(folder, ".", &names, NULL, NULL);
	struct cache_file *list =
	    xcalloc(all > 0 ? (size_t)all : 1, sizeof(*list));
	struct stat st;

	*n = 0;
	for (int i = 0; i < all; i++) {
		const char *name = names[i]->d_name;

		if (ends_with(name, end) &&
		    fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode)) {
			struct cache_file *l = &list[(*n)++];

			(void)snprintf(l->name, sizeof(l->name), "%s", name);
			l->changed = st.st_mtim;
			l->size = st.st_size;
		}
		free(names[i]);
	}
	free(names);
	if (*n > 1)
		qsort(list, *n, sizeof(list[0]), newest_first);
	return list;
}

void
cache_folder_clean(int folder)
{
	size_t n;
	struct cache_file *list = cache_folder_list(folder, CACHE_SUFFIX, &n);
	struct timespec now;
	off_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += list[i].size;
		if (i > 0 && (i >= CACHE_FILES_MAX || bytes > CACHE_BYTES_MAX))
			(void)unlinkat(folder, list[i].name, 0);
	}
	free(list);
	list = cache_folder_list(folder, CACHE_TEMPORARY, &n);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < n; i++)
		if (list[i].changed.tv_sec < now.tv_sec - TEMPORARY_SECONDS)
			(void)unlinkat(folder, list[i].name, 0);
	free(list);
}
