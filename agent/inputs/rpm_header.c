/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/rpm_header.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "digest.h"
#include "xalloc.h"

enum { PREFIX = 8, ENTRY = 16 };

enum rpm_type {
	TYPE_CHAR = 1,
	TYPE_INT16 = 3,
	TYPE_INT32 = 4,
	TYPE_STRING = 6,
	TYPE_STRING_ARRAY = 8
};

/* The values of a tag that were not taken yet. */
struct values {
	struct slice rest; /* to the end of the store for texts */
	uint32_t left;
};

static uint32_t
number(const char *at, size_t bytes)
{
	uint32_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n = n << 8 | (unsigned char)at[i];
	return n;
}

enum rc
rpm_header_parse(struct slice bytes, struct rpm_header *h)
{
	uint32_t entries, store;

	if (bytes.len < PREFIX)
		return RC_INVALID;
	entries = number(bytes.ptr, 4);
	store = number(bytes.ptr + 4, 4);
	if (entries > RPM_ENTRIES_MAX)
		return RC_LIMIT;
	if ((uint64_t)entries * ENTRY + store > bytes.len - PREFIX)
		return RC_INVALID;
	h->index =
	    (struct slice){ bytes.ptr + PREFIX, (size_t)entries * ENTRY };
	h->store = (struct slice){ h->index.ptr + h->index.len, store };
	return RC_OK;
}

static size_t
width_of(enum rpm_type type)
{
	switch (type) {
	case TYPE_INT16:
		return 2;
	case TYPE_INT32:
		return 4;
	case TYPE_CHAR:
	case TYPE_STRING:
	case TYPE_STRING_ARRAY:
		break;
	}
	return 1; /* of a text: at least its NUL */
}

static bool
find(const struct rpm_header *h, enum rpm_tag tag, enum rpm_type type,
    struct values *v)
{
	for (size_t i = 0; i < h->index.len; i += ENTRY) {
		const char *e = h->index.ptr + i;
		uint32_t offset = number(e + 8, 4), n = number(e + 12, 4);

		if (number(e, 4) != (uint32_t)tag)
			continue;
		if (number(e + 4, 4) != (uint32_t)type ||
		    offset > h->store.len ||
		    n > (h->store.len - offset) / width_of(type))
			return false;
		v->rest = (struct slice){ h->store.ptr + offset,
			h->store.len - offset };
		v->left = n;
		return true;
	}
	return false;
}

static bool
next_text(struct values *v, struct slice *out)
{
	const char *end =
	    v->left == 0 ? NULL : memchr(v->rest.ptr, '\0', v->rest.len);

	if (end == NULL)
		return false;
	*out = (struct slice){ v->rest.ptr, (size_t)(end - v->rest.ptr) };
	v->rest.ptr += out->len + 1;
	v->rest.len -= out->len + 1;
	v->left--;
	return true;
}

static bool
next_number(struct values *v, enum rpm_type type, uint32_t *out)
{
	size_t width = width_of(type);

	if (v->left == 0) /* find() saw that all of them are there */
		return false;
	*out = number(v->rest.ptr, width);
	v->rest.ptr += width;
	v->rest.len -= width;
	v->left--;
	return true;
}

bool
rpm_header_text(const struct rpm_header *h, enum rpm_tag tag, struct slice *out)
{
	struct values v;

	return find(h, tag, TYPE_STRING, &v) && next_text(&v, out);
}

bool
rpm_header_number(const struct rpm_header *h, enum rpm_tag tag, uint32_t *out)
{
	struct values v;

	return find(h, tag, TYPE_INT32, &v) && next_number(&v, TYPE_INT32, out);
}

/* The lists that go side by side, one value for each file. */
struct files {
	struct values base, dir_index, digest, mode, state;
	bool has_states;
	struct slice *dirs;
	uint32_t n_dirs;
	enum rpm_digest algorithm;
	size_t digest_len;
};

/* false: another one than we know. */
static bool
read_algorithm(const struct rpm_header *h, struct files *f)
{
	struct values v;
	uint32_t n = RPM_MD5; /* of packages without the tag */

	if (find(h, RPM_FILEDIGESTALGO, TYPE_INT32, &v))
		(void)next_number(&v, TYPE_INT32, &n);
	f->algorithm = n == RPM_SHA256 ? RPM_SHA256 : RPM_MD5;
	f->digest_len = (n == RPM_SHA256 ? SHA256_TEXT : MD5_TEXT) - 1;
	return n == RPM_MD5 || n == RPM_SHA256;
}

static enum rc
read_dirs(const struct rpm_header *h, struct files *f)
{
	struct values v;

	if (!find(h, RPM_DIRNAMES, TYPE_STRING_ARRAY, &v))
		return RC_INVALID;
	if (v.left > RPM_DIRS_MAX)
		return RC_LIMIT;
	f->dirs = xcalloc(v.left + 1, sizeof(*f->dirs));
	while (next_text(&v, &f->dirs[f->n_dirs]))
		f->n_dirs++;
	return v.left == 0 ? RC_OK : RC_INVALID;
}

static bool
next_file(struct files *f, rpm_file_cb *cb, void *ctx)
{
	struct rpm_file file = { .algorithm = f->algorithm };
	uint32_t dir, mode, state = 0;

	if (!next_text(&f->base, &file.base) ||
	    !next_text(&f->digest, &file.digest) ||
	    !next_number(&f->dir_index, TYPE_INT32, &dir) ||
	    !next_number(&f->mode, TYPE_INT16, &mode) || dir >= f->n_dirs)
		return false;
	if (f->has_states && !next_number(&f->state, TYPE_CHAR, &state))
		return false;
	file.dir = f->dirs[dir];
	file.mode = (uint16_t)mode;
	/* a folder, a link or a %ghost has no checksum */
	if (S_ISREG(mode) && state == 0 && file.digest.len == f->digest_len)
		cb(ctx, &file);
	return true;
}

enum rc
rpm_header_files(const struct rpm_header *h, rpm_file_cb *cb, void *ctx)
{
	struct files f = { 0 };
	enum rc rc;

	if (!find(h, RPM_BASENAMES, TYPE_STRING_ARRAY, &f.base) ||
	    !read_algorithm(h, &f))
		return RC_OK; /* a package without files is a package */
	if (f.base.left > RPM_FILES_MAX)
		return RC_LIMIT;
	if (!find(h, RPM_DIRINDEXES, TYPE_INT32, &f.dir_index) ||
	    !find(h, RPM_FILEDIGESTS, TYPE_STRING_ARRAY, &f.digest) ||
	    !find(h, RPM_FILEMODES, TYPE_INT16, &f.mode))
		return RC_INVALID;
	f.has_states = find(h, RPM_FILESTATES, TYPE_CHAR, &f.state);
	rc = read_dirs(h, &f);
	while (rc == RC_OK && f.base.left > 0)
		rc = next_file(&f, cb, ctx) ? RC_OK : RC_INVALID;
	free(f.dirs);
	return rc;
}
