/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation by rename, by copying, with and without compression. */
#include <dirent.h>
#include <zlib.h>

#include "agent_rig.h"

/* How many descriptors of deleted files this process holds. */
static int
deleted_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	char target[512];
	int n = 0;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	while ((e = readdir(d)) != NULL) {
		ssize_t len =
		    readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		if (len > 0) {
			target[len] = '\0';
			n += strstr(target, "kuzet-rig") != NULL &&
			    strstr(target, "(deleted)") != NULL;
		}
	}
	(void)closedir(d);
	return n;
}

static void
compress_file(struct rig *r, const char *from, const char *to)
{
	char a[512], b[512], bytes[65536];
	int fd = open(rig_path(r, from, a), O_RDONLY);
	gzFile out = gzopen(rig_path(r, to, b), "wb");
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		(void)gzwrite(out, bytes, (unsigned)n);
	(void)gzclose(out);
	(void)close(fd);
}

static size_t
streams(const struct rig *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		size_t k = 0;

		while (k < i &&
		    strcmp(r->events[k].stream, r->events[i].stream) != 0)
			k++;
		n += k == i;
	}
	return n;
}

static void
rename_once(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log", NULL);
	rig_append(&r, "app.log", "a1\na2\n");
	rig_open(&r);
	rig_until(&r, 2, 2000);
	rig_rename(&r, "app.log", "app.log.1");
	rig_append(&r, "app.log.1", "a3\n");
	rig_append(&r, "app.log", "b1\n");
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "a1|a2|a3|b1",
	    "what is written after the rename is read before the new file");
	CHECK(streams(&r) == 2, "a rotation begins a new stream");
	rig_append(&r, "app.log.1", "a4\n");
	rig_until(&r, 5, 3000);
	CHECK(r.n_lines == 5 && strcmp(r.events[4].message, "a4") == 0,
	    "a renamed file is read on as long as somebody writes to it");
	rig_end(&r);
}

static void
rename_often(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log", NULL);
	rig_append(&r, "app.log", "a\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	rig_append(&r, "app.log", "a-rest\n");
	rig_rename(&r, "app.log", "app.log.1");
	rig_append(&r, "app.log", "b\n");
	rig_rename(&r, "app.log.1", "app.log.2");
	rig_rename(&r, "app.log", "app.log.1");
	rig_tick();
	rig_append(&r, "app.log", "c\n");
	rig_rename(&r, "app.log.2", "app.log.3");
	rig_rename(&r, "app.log.1", "app.log.2");
	rig_rename(&r, "app.log", "app.log.1");
	rig_append(&r, "app.log", "d\n");
	rig_until(&r, 5, 4000);
	CHECK_LINES(&r, "a|a-rest|b|c|d",
	    "several rotations between two scans lose nothing");
	rig_end(&r);
}

static void
other_logs_beside(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log", NULL);
	rig_append(&r, "app.log.1", "old\n");
	rig_append(&r, "app-errors.log", "other\n");
	rig_tick();
	rig_append(&r, "app.log", "a\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	rig_rename(&r, "app.log.1", "app.log.2");
	rig_rename(&r, "app.log", "app.log.1");
	rig_append(&r, "app.log", "b\n");
	rig_append(&r, "app-errors.log", "other\n");
	rig_until(&r, 2, 3000);
	CHECK_LINES(&r, "a|b",
	    "neither older generations nor other logs are swept in");
	rig_end(&r);
}

static void
deleted_before_read(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "app.log", "a\nb\nlast");
	r.blocked = true;
	rig_open(&r);
	rig_run(&r, 50);
	rig_unlink(&r, "app.log");
	rig_run(&r, 100);
	CHECK(r.n == 0 && deleted_descriptors() == 1,
	    "a deleted file is kept while it is not read");
	r.blocked = false;
	rig_wake(&r);
	rig_until(&r, 3, 5000);
	CHECK_LINES(&r, "a|b|last",
	    "it is read to its end, its unfinished line too");
	for (int i = 0; i < 250 && deleted_descriptors() > 0; i++)
		rig_run(&r, 20);
	CHECK(deleted_descriptors() == 0, "and closed within 5 s");
	rig_run(&r, 1200);
	CHECK(strcmp(r.events[r.n - 1].control, "stream_end") == 0 &&
		strcmp(r.events[r.n - 1].stream, r.events[0].stream) == 0,
	    "the collector is told that the stream ended");
	rig_end(&r);
}

static void
unfinished_line_rotated(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "app.log", "a\nunfinished");
	rig_open(&r);
	rig_run(&r, 2500);
	CHECK_LINES(&r, "a", "an unfinished line waits for its end");
	rig_rename(&r, "app.log", "app.log.1");
	rig_until(&r, 2, 6000);
	CHECK_LINES(&r, "a|unfinished", "it is sent when its file is rotated");
	rig_end(&r);
}

static void
copytruncate(const char *pattern, const char *what)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", pattern, NULL);
	rig_append(&r, "app.log", "one\ntwo\n");
	rig_open(&r);
	rig_until(&r, 2, 2000);
	r.blocked = true;
	rig_append(&r, "app.log", "three\n");
	rig_copy(&r, "app.log", "app.log.1");
	rig_overwrite(&r, "app.log", "");
	rig_append(&r, "app.log", "four\n");
	rig_run(&r, 300);
	r.blocked = false;
	rig_wake(&r);
	rig_until(&r, 4, 3000);
	rig_run(&r, 300);
	CHECK_LINES(&r, "one|two|three|four", "%s: the copy's tail is read",
	    what);
	CHECK(r.n > 2 && strcmp(r.events[2].stream, r.events[0].stream) == 0 &&
		r.events[2].offset == 8,
	    "%s: in the stream of the truncated file", what);
	rig_append(&r, "app.log", "five\n");
	rig_until(&r, 5, 3000);
	CHECK_LINES(&r, "one|two|three|four|five", "%s: and it goes on", what);
	rig_end(&r);
}

static void
copytruncate_now(struct rig *r, int number)
{
	char to[32];

	(void)snprintf(to, sizeof(to), "app.log.%d", number);
	rig_copy(r, "app.log", to);
	rig_overwrite(r, "app.log", "");
}

static void
copytruncate_often(bool down)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log", NULL);
	rig_append(&r, "app.log", "first line\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	copytruncate_now(&r, 1);
	rig_run(&r, 300); /* the empty file is looked at */
	if (down)
		rig_close(&r);
	rig_tick();
	for (int i = 2; i < 5; i++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "line of %d\n", i);
		rig_append(&r, "app.log", line);
		copytruncate_now(&r, i);
		rig_tick();
	}
	rig_append(&r, "app.log", "last line\n");
	if (down)
		rig_open(&r);
	rig_until(&r, 5, 3000);
	CHECK_LINES(&r, "first line|line of 2|line of 3|line of 4|last line",
	    "copied and truncated several times since the file was seen "
	    "empty%s: the copies are read, once",
	    down ? ", the agent being down" : "");
	rig_end(&r);
}

static void
copy_of_live(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log*", NULL);
	rig_append(&r, "app.log", "one\ntwo\n");
	rig_open(&r);
	rig_until(&r, 2, 2000);
	rig_copy(&r, "app.log", "app.log.1");
	rig_run(&r, 300);
	CHECK_LINES(&r, "one|two", "a copy that matches is not read");
	rig_overwrite(&r, "app.log", "");
	rig_run(&r, 300);
	rig_append(&r, "app.log", "three\n");
	rig_until(&r, 3, 2000);
	CHECK_LINES(&r, "one|two|three", "also after its origin is truncated");
	rig_rename(&r, "app.log.1", "app.log.2");
	rig_run(&r, 300);
	compress_file(&r, "app.log.2", "app.log.2.gz");
	rig_run(&r, 300);
	rig_unlink(&r, "app.log.2");
	rig_run(&r, 300);
	CHECK_LINES(&r, "one|two|three", "nor renamed, nor compressed");
	rig_close(&r);
	rig_open(&r);
	rig_run(&r, 500);
	CHECK_LINES(&r, "one|two|three", "nor after a restart");
	rig_end(&r);
}

static void
copy_that_becomes_another(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log*", NULL);
	rig_append(&r, "app.log", "start\none\n");
	rig_open(&r);
	rig_until(&r, 2, 2000);
	rig_append(&r, "app.log.1", "start\n");
	rig_run(&r, 300);
	rig_append(&r, "app.log.1", "something else\n");
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "start|one|start|something else",
	    "a file that only began like another one is read");
	rig_end(&r);
}

static void
down_during_rotation(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log", NULL);
	rig_append(&r, "app.log", "a1\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	rig_close(&r);
	rig_append(&r, "app.log", "a2\n");
	rig_rename(&r, "app.log", "app.log.1");
	rig_append(&r, "app.log", "b1\n");
	rig_rename(&r, "app.log.1", "app.log.2");
	rig_rename(&r, "app.log", "app.log.1");
	rig_append(&r, "app.log", "c1\n");
	rig_open(&r);
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "a1|a2|b1|c1",
	    "rotations while the agent was down: each rest is found, in order");
	rig_end(&r);
}

static void
down_during_compression(const char *pattern, const char *what)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", pattern, NULL);
	rig_append(&r, "app.log", "a1\n");
	rig_open(&r);
	rig_until(&r, 1, 2000);
	rig_close(&r);
	rig_append(&r, "app.log", "a2\na3\n");
	compress_file(&r, "app.log", "app.log.1.gz");
	rig_unlink(&r, "app.log");
	rig_append(&r, "app.log", "b1\n");
	rig_open(&r);
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "a1|a2|a3|b1",
	    "%s: the rest of a file that was rotated and compressed", what);
	CHECK(r.n > 1 && strcmp(r.events[1].stream, r.events[0].stream) == 0 &&
		r.events[1].offset == 3,
	    "%s: goes on in its stream", what);
	rig_close(&r);
	rig_open(&r);
	rig_run(&r, 300);
	CHECK(r.n_lines == 4, "%s: and is not read again", what);
	rig_end(&r);
}

static void
compressed_at_first_start(void)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log*", NULL);
	rig_append(&r, "tmp", "old1\nold2\nlast");
	compress_file(&r, "tmp", "app.log.2.gz");
	rig_unlink(&r, "tmp");
	rig_tick();
	rig_append(&r, "app.log", "new\n");
	rig_open(&r);
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "old1|old2|last|new",
	    "compressed files that match are read at the first start");
	rig_close(&r);
	rig_open(&r);
	rig_run(&r, 300);
	CHECK(r.n_lines == 4, "and at the first start only");
	rig_end(&r);
}

static void
compressed_in_pieces(void)
{
	struct rig r;
	char path[512], bytes[4096];
	int fd;
	ssize_t n;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log.gz", NULL);
	rig_append(&r, "tmp", "one\ntwo\nthree\n");
	compress_file(&r, "tmp", "whole");
	fd = open(rig_path(&r, "whole", path), O_RDONLY);
	n = read(fd, bytes, sizeof(bytes));
	(void)close(fd);
	rig_write(&r, "a.log.gz", O_APPEND,
	    (struct slice){ bytes, (size_t)n / 2 });
	rig_open(&r);
	rig_run(&r, 300);
	rig_write(&r, "a.log.gz", O_APPEND,
	    (struct slice){ bytes + n / 2, (size_t)(n - n / 2) });
	rig_until(&r, 3, 3000);
	CHECK_LINES(&r, "one|two|three",
	    "a compressed file that is still being written is read whole");
	rig_end(&r);
}

/* `keep` bytes of it, the last one of them changed by `flip`. */
static void
compressed_wrong(size_t keep, char flip, const char *what)
{
	char path[512], *bytes = xzalloc(1 << 20), line[32];
	struct rig r;
	size_t n, whole;
	int fd;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log.gz", NULL);
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(line, sizeof(line), "%d %lx\n", i,
		    (unsigned long)i * UINT64_C(0x9e3779b97f4a7c15));
		rig_append(&r, "tmp", line);
	}
	compress_file(&r, "tmp", "whole");
	fd = open(rig_path(&r, "whole", path), O_RDONLY);
	whole = (size_t)read(fd, bytes, 1 << 20);
	(void)close(fd);
	n = keep == 0 || keep > whole ? whole : keep;
	bytes[n - 1] = (char)(bytes[n - 1] ^ flip);
	rig_write(&r, "a.log.gz", O_APPEND, (struct slice){ bytes, n });
	rig_open(&r);
	for (int i = 0; r.warnings == 0 && i < 1500; i++)
		rig_run(&r, 20);
	rig_run(&r, 100);
	CHECK(r.warnings == 1 && r.n_lines > 0 && r.n_lines <= 20001 &&
		strcmp(r.events[0].message, "0 0") == 0,
	    "%s: what is there is read, and the log says so (%zu lines)", what,
	    r.n_lines);
	n = r.n_lines;
	rig_close(&r);
	rig_open(&r);
	rig_run(&r, 300);
	CHECK(r.n_lines == n, "%s: once", what);
	free(bytes);
	rig_end(&r);
}

static void
truncated(const char *after, bool down, const char *what)
{
	struct rig r;
	char expect[128];

	rig_begin(&r);
	(void)rig_input(&r, "in", "app.log", NULL);
	rig_append(&r, "app.log", "first\nsecond\n");
	rig_open(&r);
	rig_until(&r, 2, 2000);
	if (down)
		rig_close(&r);
	rig_overwrite(&r, "app.log", after);
	if (down)
		rig_open(&r);
	rig_until(&r, 3, 3000);
	rig_run(&r, 100);
	(void)snprintf(expect, sizeof(expect), "first|second|%.*s",
	    (int)strlen(after) - 1, after);
	CHECK_LINES(&r, expect, "truncated and written anew, %s, is read anew",
	    what);
	CHECK(streams(&r) == 2, "%s: in a new stream", what);
	rig_end(&r);
}

static void
inode_again(void)
{
	struct rig r;
	struct stat a, b;
	char path[512];
	bool same = false;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "first\nsecond\n");
	(void)stat(rig_path(&r, "a.log", path), &a);
	rig_open(&r);
	rig_until(&r, 2, 2000);
	rig_close(&r);
	rig_unlink(&r, "a.log");
	rig_append(&r, "b.log", "third one\nfourth one\n");
	(void)stat(rig_path(&r, "b.log", path), &b);
	same = a.st_ino == b.st_ino;
	rig_open(&r);
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "first|second|third one|fourth one",
	    "a new file%s is read from its start",
	    same ? " with the inode of a deleted one" : "");
	rig_end(&r);
}

static void
symlink_moves_on(void)
{
	struct rig r;
	char link_path[512], target[512];

	rig_begin(&r);
	(void)rig_input(&r, "in", "current.log", NULL);
	rig_append(&r, "day-1", "a\n");
	(void)symlink(rig_path(&r, "day-1", target),
	    rig_path(&r, "current.log", link_path));
	rig_open(&r);
	rig_until(&r, 1, 2000);
	rig_append(&r, "day-1", "b\n");
	rig_append(&r, "day-2", "c\n");
	(void)unlink(link_path);
	(void)symlink(rig_path(&r, "day-2", target), link_path);
	rig_until(&r, 3, 3000);
	CHECK_LINES(&r, "a|b|c", "a link that points to the next file");
	rig_append(&r, "day-2", "d\n");
	rig_until(&r, 4, 3000);
	CHECK_LINES(&r, "a|b|c|d", "is followed");
	rig_end(&r);
}

int
main(void)
{
	rename_once();
	rename_often();
	other_logs_beside();
	deleted_before_read();
	unfinished_line_rotated();
	copytruncate("app.log", "copy without a match");
	copytruncate("app.log*", "copy that matches");
	copytruncate_often(false);
	copytruncate_often(true);
	copy_of_live();
	copy_that_becomes_another();
	down_during_rotation();
	down_during_compression("app.log", "without a match");
	down_during_compression("app.log*", "with a match");
	compressed_at_first_start();
	compressed_in_pieces();
	compressed_wrong(100000, 0, "a compressed file that is cut short");
	compressed_wrong(100000, 0x55, "a compressed file with wrong bytes");
	compressed_wrong(0, 0x55, "a compressed file with a wrong length");
	truncated("x\n", false, "shorter");
	truncated("other1 other\n", false, "to the same size");
	truncated("longer than all before\n", false, "longer");
	truncated("x\n", true, "shorter, while the agent was down");
	truncated("other1 other\n", true,
	    "to the same size, while the agent was down");
	truncated("longer than all before\n", true,
	    "longer, while the agent was down");
	inode_again();
	symlink_moves_on();
	return tap_done();
}
