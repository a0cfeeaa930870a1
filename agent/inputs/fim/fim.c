/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim.h"

#include <string.h>
#include <sys/stat.h>

static unsigned
bit_if(bool differs, unsigned bit)
{
	return differs ? bit : 0;
}

static unsigned
compare_content(const struct fim_entry *a, const struct fim_entry *b)
{
	if (a->content != b->content)
		return FIM_CONTENT;
	return bit_if(a->content == FIM_HASHED &&
		memcmp(a->sha256, b->sha256, SHA256_BYTES) != 0,
	    FIM_CONTENT);
}

unsigned
fim_compare(const struct fim_entry *a, const struct fim_entry *b)
{
	const struct opener_stat *x = &a->st, *y = &b->st;
	unsigned d = bit_if((x->mode & S_IFMT) != (y->mode & S_IFMT), FIM_TYPE);

	d |= bit_if((x->mode & 07777) != (y->mode & 07777), FIM_MODE);
	d |= bit_if(x->uid != y->uid, FIM_UID);
	d |= bit_if(x->gid != y->gid, FIM_GID);
	d |= bit_if(x->ino != y->ino, FIM_INODE);
	d |= bit_if(x->mount_root != y->mount_root, FIM_MOUNT);
	d |= bit_if(!slice_eq(a->xattrs, b->xattrs), FIM_XATTRS);
	if (S_ISDIR(x->mode) && S_ISDIR(y->mode))
		return d;
	d |= bit_if(x->size != y->size, FIM_SIZE);
	d |= bit_if(x->mtime_ns != y->mtime_ns, FIM_MTIME);
	d |= bit_if(x->links != y->links, FIM_LINKS);
	d |= bit_if(!slice_eq(a->target, b->target), FIM_TARGET);
	return d | compare_content(a, b);
}

bool
fim_same_stat(const struct opener_stat *a, const struct opener_stat *b)
{
	return a->ino == b->ino && a->ctime_ns == b->ctime_ns &&
	    a->mtime_ns == b->mtime_ns && a->size == b->size &&
	    a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	    a->links == b->links && a->mount_root == b->mount_root;
}

static void
put_slice(struct sha256 *h, struct slice s)
{
	uint64_t len = s.len;

	sha256_add(h, &len, sizeof(len));
	sha256_add(h, s.ptr != NULL ? s.ptr : "", s.len);
}

void
fim_digest_add(struct sha256 *h, const struct fim_entry *e)
{
	const struct opener_stat *st = &e->st;
	uint64_t numbers[] = { st->mode, st->uid, st->gid, st->size, st->ino,
		st->links, (uint64_t)st->mtime_ns, (uint64_t)st->ctime_ns,
		st->mount_root, e->content };

	put_slice(h, e->path);
	sha256_add(h, numbers, sizeof(numbers));
	put_slice(h, e->target);
	put_slice(h, e->xattrs);
	sha256_add(h, e->sha256, sizeof(e->sha256));
}

struct fim_entry
fim_copy(struct arena *arena, const struct fim_entry *e)
{
	struct fim_entry out = *e;
	char *path = arena_alloc(arena, e->path.len + 1);

	memcpy(path, e->path.ptr, e->path.len);
	path[e->path.len] = '\0';
	out.path.ptr = path;
	out.target = arena_copy(arena, e->target);
	out.xattrs = arena_copy(arena, e->xattrs);
	return out;
}

const char *
fim_type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char_device";
	case S_IFBLK:
		return "block_device";
	default:
		return "unknown";
	}
}
