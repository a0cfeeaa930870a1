/* SPDX-License-Identifier: Apache-2.0 */
#include "file_watch.h"

#include <sys/stat.h>

static struct file_state
look(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct file_state){ .size = 0 };
	return (
	    struct file_state){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
}

static bool
same_state(const struct file_state *a, const struct file_state *b)
{
	return a->device == b->device && a->inode == b->inode &&
	    a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	    a->changed.tv_nsec == b->changed.tv_nsec;
}

void
file_watch_begin(struct file_watch *w, const char *path)
{
	w->read = w->last = look(path);
}

bool
file_watch_changed(struct file_watch *w, const char *path)
{
	struct file_state now = look(path);
	bool rests = same_state(&now, &w->last);

	w->last = now;
	if (!rests || same_state(&now, &w->read))
		return false;
	w->read = now;
	return true;
}
