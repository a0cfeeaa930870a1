/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int
real_create(int dir_fd, const char *name)
{
	return openat(dir_fd, name,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int
real_rename(int dir_fd, const char *from, const char *to)
{
	return renameat(dir_fd, from, dir_fd, to);
}

static int
real_unlink(int dir_fd, const char *name)
{
	return unlinkat(dir_fd, name, 0);
}

const struct spool_disk spool_disk_real = {
	.create = real_create,
	.pwrite = pwrite,
	.truncate = ftruncate,
	.sync = fsync,
	.rename = real_rename,
	.unlink = real_unlink,
};
