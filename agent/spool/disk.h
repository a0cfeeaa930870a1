/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the spool does to the disk, as a table: a test gives one that fails, or
 * that ends the process, at any single operation.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As the system calls of these names: -1 and errno on failure. */
struct spool_disk {
	int (*create)(int dir_fd, const char *name); /* new; for writing */
	ssize_t (*pwrite)(int fd, const void *bytes, size_t len, off_t at);
	int (*truncate)(int fd, off_t size);
	int (*sync)(int fd);
	int (*rename)(int dir_fd, const char *from, const char *to);
	int (*unlink)(int dir_fd, const char *name);
};

extern const struct spool_disk spool_disk_real;
