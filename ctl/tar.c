/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX.1-1988 ustar, as every tar reads it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store_commands.h"
#include "xalloc.h"

enum { TAR_BLOCK = 512, NAME_MAX_BYTES = 100 };

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12],
	    checksum[8], type, link[100], magic[6], version[2], user[32],
	    group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is a block");

struct tar {
	FILE *f;
	char *path;
	char name[NAME_MAX_BYTES];
	long header; /* where that of `name` is */
	unsigned long long size;
};

enum rc
tar_create(const char *path, struct tar **out, struct error *err)
{
	FILE *f = fopen(path, "wxe");
	struct tar *t;

	*out = NULL;
	if (f == NULL)
		return error_set_errno(err, errno, "cannot make %s", path);
	t = xzalloc(sizeof(*t));
	t->f = f;
	t->path = xstrdup(path);
	*out = t;
	return RC_OK;
}

static enum rc
failed(const struct tar *t, struct error *err)
{
	return error_set_errno(err, errno, "cannot write %s", t->path);
}

static bool
put_header(struct tar *t)
{
	struct header h = { .type = '0' };
	const unsigned char *p = (const unsigned char *)&h;
	unsigned sum = 0;

	(void)snprintf(h.name, sizeof(h.name), "%s", t->name);
	(void)snprintf(h.mode, sizeof(h.mode), "%07o", 0644U);
	(void)snprintf(h.uid, sizeof(h.uid), "%07o", 0U);
	(void)snprintf(h.gid, sizeof(h.gid), "%07o", 0U);
	(void)snprintf(h.size, sizeof(h.size), "%011llo", t->size);
	(void)snprintf(h.mtime, sizeof(h.mtime), "%011llo",
	    (unsigned long long)time(NULL));
	memcpy(h.magic, "ustar", sizeof(h.magic));
	memcpy(h.version, "00", sizeof(h.version));
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += p[i];
	(void)snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
	return fwrite(&h, sizeof(h), 1, t->f) == 1;
}

/* Pads the file under way, and says in its header how long it became. */
static bool
end_file(struct tar *t)
{
	static const char zeros[TAR_BLOCK];
	size_t pad = (TAR_BLOCK - t->size % TAR_BLOCK) % TAR_BLOCK;

	if (t->name[0] == '\0')
		return true;
	return (pad == 0 || fwrite(zeros, pad, 1, t->f) == 1) &&
	    fseek(t->f, t->header, SEEK_SET) == 0 && put_header(t) &&
	    fseek(t->f, 0, SEEK_END) == 0;
}

enum rc
tar_add(struct tar *t, const char *name, const void *bytes, size_t n,
    struct error *err)
{
	if (strcmp(t->name, name) != 0) {
		if (!end_file(t))
			return failed(t, err);
		(void)snprintf(t->name, sizeof(t->name), "%s", name);
		t->header = ftell(t->f);
		t->size = 0;
		if (t->header < 0 || !put_header(t))
			return failed(t, err);
	}
	t->size += n;
	if (n > 0 && fwrite(bytes, n, 1, t->f) != 1)
		return failed(t, err);
	return RC_OK;
}

enum rc
tar_finish(struct tar *t, struct error *err)
{
	static const char zeros[2 * TAR_BLOCK];
	enum rc rc = RC_OK;

	if (t == NULL)
		return RC_OK;
	if (!end_file(t) || fwrite(zeros, sizeof(zeros), 1, t->f) != 1 ||
	    fflush(t->f) != 0 || fsync(fileno(t->f)) != 0)
		rc = failed(t, err);
	if (fclose(t->f) != 0 && rc == RC_OK)
		rc = failed(t, err);
	if (rc != RC_OK)
		(void)unlink(t->path);
	free(t->path);
	free(t);
	return rc;
}

void
tar_abandon(struct tar *t)
{
	if (t == NULL)
		return;
	(void)fclose(t->f);
	(void)unlink(t->path);
	free(t->path);
	free(t);
}
