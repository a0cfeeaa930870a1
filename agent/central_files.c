/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/central_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/inputs/slurp.h"
#include "arena.h"
#include "log.h"
#include "state_file.h"

enum { STATE_BYTES = 8192 };

static const char *const copy_names[] = {
	[CENTRAL_GOOD] = "central.good",
	[CENTRAL_TRIAL] = "central.trial",
	[CENTRAL_CHECK] = "central.check",
};
static const char state_name[] = "central.state";

static const char *const fates[] = { "none", "trial", "applied", "refused",
	"fallen_back" };
enum { FATES = sizeof(fates) / sizeof(fates[0]) };

const char *
central_fate_name(enum central_fate fate)
{
	return fates[fate];
}

void
central_text(char *out, size_t room, struct slice s)
{
	size_t n = s.len < room ? s.len : room - 1;

	if (n > 0)
		memcpy(out, s.ptr, n);
	out[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)out[i] < ' ')
			out[i] = ' ';
	}
}

static void
path_in(const char *dir, const char *name, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

/* Root may read it before it becomes another: no link, no pipe is followed. */
static enum rc
read_file(const char *dir, const char *name, struct buf *out, struct error *err)
{
	char path[PATH_MAX];
	struct stat st;
	ssize_t n = 1;
	char *room;
	int fd;

	path_in(dir, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return errno == ENOENT
		    ? RC_EOF
		    : error_set_errno(err, errno, "%s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		n = -1;
	while (n > 0 && (room = buf_reserve(out, 4096)) != NULL) {
		n = read(fd, room, 4096);
		if (n > 0)
			out->len += (size_t)n;
	}
	(void)close(fd);
	return n == 0 ? RC_OK
		      : error_set(err, RC_INVALID, "%s: cannot be read", path);
}

/* ---- what was seen -------------------------------------------------------- */

static uint64_t
number_of(struct slice s)
{
	char text[24];

	central_text(text, sizeof(text), s);
	return strtoull(text, NULL, 10);
}

static void
read_state_line(struct central_seen *s, struct slice line)
{
	struct slice key;

	if (!slurp_field(&line, ' ', &key))
		return;
	if (slice_eq(key, SLICE("version")))
		s->version = number_of(line);
	else if (slice_eq(key, SLICE("tries")))
		s->tries = (unsigned)number_of(line);
	else if (slice_eq(key, SLICE("hash")))
		central_text(s->hash, sizeof(s->hash), line);
	else if (slice_eq(key, SLICE("name")))
		central_text(s->name, sizeof(s->name), line);
	else if (slice_eq(key, SLICE("reason")))
		central_text(s->reason, sizeof(s->reason), line);
	for (size_t i = 0; slice_eq(key, SLICE("state")) && i < FATES; i++) {
		if (slice_eq(line,
			(struct slice){ fates[i], strlen(fates[i]) }))
			s->fate = (enum central_fate)i;
	}
}

void
central_seen_read(const char *dir, struct central_seen *s)
{
	struct slice rest, line;
	struct error err;
	struct buf text;

	*s = (struct central_seen){ .version = 0 };
	buf_init(&text, STATE_BYTES);
	if (read_file(dir, state_name, &text, &err) == RC_OK) {
		rest = buf_slice(&text);
		while (slurp_line(&rest, &line))
			read_state_line(s, line);
	}
	buf_fini(&text);
}

void
central_seen_save(const char *dir, const struct central_seen *s)
{
	struct error err;
	struct buf text;

	buf_init(&text, STATE_BYTES);
	(void)buf_printf(&text,
	    "version %llu\nhash %s\nstate %s\ntries %u\nname %s\nreason %s\n",
	    (unsigned long long)s->version, s->hash, fates[s->fate], s->tries,
	    s->name, s->reason);
	if (state_file_replace(dir, state_name, buf_slice(&text), &err) !=
	    RC_OK)
		log_warn("%s", err.text);
	buf_fini(&text);
}

/* ---- copies --------------------------------------------------------------- */

bool
central_copy_exists(const char *dir, enum central_copy which)
{
	char path[PATH_MAX];

	path_in(dir, copy_names[which], path);
	return access(path, F_OK) == 0;
}

enum rc
central_copy_write(const char *dir, enum central_copy which, struct slice wire,
    struct error *err)
{
	return state_file_replace(dir, copy_names[which], wire, err);
}

void
central_copy_remove(const char *dir, enum central_copy which)
{
	char path[PATH_MAX];

	path_in(dir, copy_names[which], path);
	if (unlink(path) != 0 && errno != ENOENT)
		log_warn("cannot remove %s", path);
}

bool
central_copy_keep(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool kept = fd != -1 &&
	    renameat(fd, copy_names[CENTRAL_TRIAL], fd,
		copy_names[CENTRAL_GOOD]) == 0 &&
	    fsync(fd) == 0;

	if (fd != -1)
		(void)close(fd);
	return kept;
}

enum rc
central_copy_open(const struct central_trust *trust, enum central_copy which,
    struct arena *arena, struct order *out, struct error *err)
{
	struct buf wire;
	enum rc rc;

	buf_init(&wire, ORDER_WIRE_MAX);
	rc = read_file(trust->state_dir, copy_names[which], &wire, err);
	if (rc == RC_OK)
		rc = order_open(arena_copy(arena, buf_slice(&wire)),
		    trust->keys, arena, out, err);
	if (rc == RC_OK)
		rc = order_is_for(out, trust->agent, err);
	buf_fini(&wire);
	if (rc != RC_OK && rc != RC_EOF)
		(void)error_prefix(err, "%s/%s", trust->state_dir,
		    copy_names[which]);
	return rc;
}
