/* SPDX-License-Identifier: Apache-2.0 */
#include "sql_fds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xalloc.h"

struct sql_fds {
	sqlite3_vfs vfs;
	char name[40]; /* its own: the list of them is the process's */
	int files[2];
};

struct open_file {
	sqlite3_file base; /* first: what SQLite holds */
	int fd;            /* -1: a log that is missing is an empty one */
};

static int
fd_of(sqlite3_file *file)
{
	return ((struct open_file *)file)->fd;
}

static int
close_file(sqlite3_file *file)
{
	(void)file; /* borrowed */
	return SQLITE_OK;
}

static int
read_file(sqlite3_file *file, void *out, int amount, sqlite3_int64 offset)
{
	size_t n = (size_t)amount, got = 0;
	ssize_t more = 1;

	while (fd_of(file) != -1 && got < n && more != 0) {
		more = pread(fd_of(file), (char *)out + got, n - got,
		    offset + (off_t)got);
		if (more == -1 && errno != EINTR)
			return SQLITE_IOERR_READ;
		got += more > 0 ? (size_t)more : 0;
	}
	memset((char *)out + got, 0, n - got);
	return got < n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int
write_file(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
	(void)file;
	(void)bytes;
	(void)n;
	(void)offset;
	return SQLITE_READONLY;
}

static int
truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file;
	(void)size;
	return SQLITE_READONLY;
}

/* There is nothing to sync, and nobody to lock out. */
static int
nothing(sqlite3_file *file, int how)
{
	(void)file;
	(void)how;
	return SQLITE_OK;
}

static int
file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct stat st = { 0 };

	if (fd_of(file) != -1 && fstat(fd_of(file), &st) != 0)
		return SQLITE_IOERR_FSTAT;
	*size = st.st_size;
	return SQLITE_OK;
}

static int
check_lock(sqlite3_file *file, int *locked)
{
	(void)file;
	*locked = 0;
	return SQLITE_OK;
}

static int
control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int
characteristics(sqlite3_file *file)
{
	(void)file;
	return 0; /* the default, of the sector's size too */
}

static int
open_one(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
    int *out_flags)
{
	/* version 1: no shared memory */
	static const sqlite3_io_methods methods = { .iVersion = 1,
		.xClose = close_file,
		.xRead = read_file,
		.xWrite = write_file,
		.xTruncate = truncate_file,
		.xSync = nothing,
		.xFileSize = file_size,
		.xLock = nothing,
		.xUnlock = nothing,
		.xCheckReservedLock = check_lock,
		.xFileControl = control,
		.xSectorSize = characteristics,
		.xDeviceCharacteristics = characteristics };
	const struct sql_fds *f = vfs->pAppData;
	struct open_file *o = (struct open_file *)file;

	(void)name;
	o->base.pMethods = NULL; /* not to be closed */
	if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0)
		return SQLITE_CANTOPEN;
	o->fd = f->files[(flags & SQLITE_OPEN_WAL) != 0];
	o->base.pMethods = &methods;
	if (out_flags != NULL)
		*out_flags = SQLITE_OPEN_READONLY;
	return SQLITE_OK;
}

static int
delete_one(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	(void)name;
	(void)sync;
	return SQLITE_READONLY;
}

static int
access_one(sqlite3_vfs *vfs, const char *name, int how, int *out)
{
	const struct sql_fds *f = vfs->pAppData;
	size_t n = strlen(name);

	(void)how;
	*out = n > 4 && strcmp(name + n - 4, "-wal") == 0 && f->files[1] != -1;
	return SQLITE_OK;
}

static int
full_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	(void)snprintf(out, (size_t)size, "%s", name);
	return SQLITE_OK;
}

struct sql_fds *
sql_fds_new(const int files[2])
{
	struct sql_fds *f = xzalloc(sizeof(*f));

	f->vfs = *sqlite3_vfs_find(NULL); /* time, sleep, random numbers */
	f->vfs.pNext = NULL;
	f->vfs.szOsFile = sizeof(struct open_file);
	f->vfs.zName = f->name;
	f->vfs.pAppData = f;
	f->vfs.xOpen = open_one;
	f->vfs.xDelete = delete_one;
	f->vfs.xAccess = access_one;
	f->vfs.xFullPathname = full_name;
	memcpy(f->files, files, sizeof(f->files));
	(void)snprintf(f->name, sizeof(f->name), "descriptors-%p", (void *)f);
	(void)sqlite3_vfs_register(&f->vfs, 0);
	return f;
}

void
sql_fds_free(struct sql_fds *f)
{
	if (f == NULL)
		return;
	(void)sqlite3_vfs_unregister(&f->vfs);
	free(f);
}

const char *
sql_fds_name(const struct sql_fds *f)
{
	return f->name;
}
