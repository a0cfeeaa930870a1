/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of compiled databases: whatever is in it, a database is found whole or
 * not at all.  The digest of the index is made right, so that the fuzzer gets
 * to what is behind it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rules/engine/database_cache.h"

/* See struct head of database_cache.c. */
enum { HEAD = 64, INDEX_AT = 16, SIZE = 24, DIGEST = 32, ENTRY = 80 };

static char folder[] = "/tmp/kuzet-fuzz-cache-XXXXXX";

static void
remove_folder(void)
{
	(void)rmdir(folder);
}

static const char *
open_folder(void)
{
	static bool made;

	if (!made && (mkdtemp(folder) == NULL || atexit(remove_folder) != 0))
		abort();
	made = true;
	return folder;
}

static void
mend(uint8_t *bytes, size_t size)
{
	uint64_t index_at, total = size;

	memcpy(&index_at, bytes + INDEX_AT, sizeof(index_at));
	memcpy(bytes + SIZE, &total, sizeof(total));
	if (index_at <= size)
		sha256_of((struct slice){ (const char *)bytes + index_at,
			      size - index_at },
		    bytes + DIGEST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t name[SHA256_BYTES];
	uint8_t copy[4096], notes[4], key[SHA256_BYTES] = { 0 };
	struct database_cache *c;
	hs_database_t *db;
	char path[128];
	int fd;

	if (size < HEAD || size > sizeof(copy))
		return 0;
	memcpy(copy, data, size);
	mend(copy, size);
	(void)snprintf(path, sizeof(path), "%s/%032d.hsdb", open_folder(), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, copy, size) != (ssize_t)size)
		abort();
	(void)close(fd);
	if (size >= HEAD + ENTRY)
		memcpy(key, copy + size - ENTRY, sizeof(key));
	c = database_cache_open(folder, name);
	for (uint32_t n = 0; n <= sizeof(notes); n++)
		if (database_cache_get(c, key, &db, notes, n))
			(void)hs_free_database(db);
	database_cache_free(c);
	(void)unlink(path);
	return 0;
}
