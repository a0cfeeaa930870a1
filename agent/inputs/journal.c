/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/journal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

enum { STREAMS_MAX = 64, ID_DIGITS = 32 };

/* The last number given out of one seqnum_id. */
struct numbering {
	char id[ID_DIGITS + 1];
	uint8_t stream[16];
	uint64_t last;
	uint64_t used; /* the least recently used one goes first */
};

/*
 * libsystemd is loaded when the first journal is opened: with what it brings
 * along it costs a megabyte, which an agent without this input does not pay.
 */
/* clang-format off */
#define CALLS(X) \
	X(sd_journal_add_conjunction) \
	X(sd_journal_add_disjunction) \
	X(sd_journal_add_match) \
	X(sd_journal_close) \
	X(sd_journal_enumerate_available_data) \
	X(sd_journal_get_cursor) \
	X(sd_journal_get_realtime_usec) \
	X(sd_journal_next) \
	X(sd_journal_open_files_fd) \
	X(sd_journal_previous) \
	X(sd_journal_restart_data) \
	X(sd_journal_seek_cursor) \
	X(sd_journal_seek_head) \
	X(sd_journal_seek_tail) \
	X(sd_journal_set_data_threshold) \
	X(sd_journal_test_cursor)
/* clang-format on */

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration's name */
#define MEMBER(name) __typeof__(&(name)) name;
#define NAME(name)   { #name, offsetof(struct library, name) },
static struct library {
	void *handle;
	CALLS(MEMBER)
} lib;

static enum rc
load_library(struct error *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} calls[] = { CALLS(NAME) };
	void *handle, *call;

	if (lib.handle != NULL)
		return RC_OK;
	handle = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		return error_set(err, RC_LIBRARY,
		    "the journal needs libsystemd, which cannot be loaded");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		call = dlsym(handle, calls[i].name);
		if (call == NULL) {
			(void)dlclose(handle);
			return error_set(err, RC_LIBRARY,
			    "libsystemd has no %s: it is too old",
			    calls[i].name);
		}
		memcpy((char *)&lib + calls[i].offset, &call, sizeof(call));
	}
	lib.handle = handle;
	return RC_OK;
}

struct journal {
	sd_journal *sd;
	char *filters; /* as text, for the streams */
	struct numbering numberings[STREAMS_MAX];
	size_t n_numberings;
	uint64_t uses;
};

static enum rc
failed(int r, const char *what, struct error *err)
{
	(void)error_set_errno(err, -r, "journal: %s", what);
	err->code = RC_LIBRARY;
	return RC_LIBRARY;
}

/* ---- filters --------------------------------------------------------------- */

static int
match(sd_journal *sd, const char *field, const char *value)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%s=%s", field, value);
	return lib.sd_journal_add_match(sd, text, 0);
}

/* What `journalctl --unit` shows of it: what it wrote, and what others wrote
 * about it. */
static int
match_unit(sd_journal *sd, const char *unit)
{
	static const char *const ways[][2] = {
		{ "_SYSTEMD_UNIT", NULL },
		{ "UNIT", "_PID=1" },
		{ "COREDUMP_UNIT", "_UID=0" },
		{ "OBJECT_SYSTEMD_UNIT", "_UID=0" },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof(ways) / sizeof(*ways); i++) {
		r = match(sd, ways[i][0], unit);
		if (r >= 0 && ways[i][1] != NULL)
			r = lib.sd_journal_add_match(sd, ways[i][1], 0);
		if (r >= 0)
			r = lib.sd_journal_add_disjunction(sd);
	}
	return r;
}

static int
add_filters(sd_journal *sd, const struct journal_config *c)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < c->n_units; i++) {
		char unit[256];

		(void)snprintf(unit, sizeof(unit), "%s%s", c->units[i],
		    strchr(c->units[i], '.') == NULL ? ".service" : "");
		r = match_unit(sd, unit);
	}
	if (r >= 0)
		r = lib.sd_journal_add_conjunction(sd);
	for (int p = 0; r >= 0 && c->priority < 7 && p <= c->priority; p++) {
		const char digit[2] = { (char)('0' + p), '\0' };

		r = match(sd, "PRIORITY", digit);
	}
	return r;
}

/* In one spelling, whatever their order: the set is what counts. */
static char *
filters_text(const struct journal_config *c)
{
	struct buf b;
	uint64_t sum[4] = { 0 };

	buf_init(&b, 4096);
	for (size_t i = 0; i < c->n_units; i++) {
		uint8_t digest[SHA256_BYTES];
		uint64_t part[4];

		sha256_of((struct slice){ c->units[i], strlen(c->units[i]) },
		    digest);
		memcpy(part, digest, sizeof(part));
		for (size_t k = 0; k < 4; k++)
			sum[k] += part[k];
	}
	(void)buf_printf(&b, "priority %d units %zu", c->priority, c->n_units);
	for (size_t k = 0; k < 4; k++)
		(void)buf_printf(&b, " %016" PRIx64, sum[k]);
	(void)buf_add_char(&b, '\0');
	return b.ptr;
}

/* ---- identity -------------------------------------------------------------- */

/* Version 8 (RFC 9562): made of a digest. */
static void
stream_of(const char *filters, const char *id, uint64_t late, uint8_t out[16])
{
	uint8_t digest[SHA256_BYTES];
	char text[4096 + 64];
	int n = snprintf(text, sizeof(text), "kuzet journal %s %s %" PRIu64, id,
	    filters, late);

	sha256_of((struct slice){ text, (size_t)n }, digest);
	memcpy(out, digest, 16);
	out[6] = (uint8_t)(0x80 | (out[6] & 0x0f));
	out[8] = (uint8_t)(0x80 | (out[8] & 0x3f));
}

static struct numbering *
numbering_of(struct journal *j, const char *id)
{
	struct numbering *oldest = &j->numberings[0], *n;

	for (size_t i = 0; i < j->n_numberings; i++) {
		n = &j->numberings[i];
		if (strcmp(n->id, id) == 0)
			return n;
		if (n->used < oldest->used)
			oldest = n;
	}
	n = j->n_numberings < STREAMS_MAX ? &j->numberings[j->n_numberings++]
					  : oldest;
	(void)snprintf(n->id, sizeof(n->id), "%s", id);
	stream_of(j->filters, id, 0, n->stream);
	n->last = 0;
	return n;
}

/* "s=SEQNUM_ID;i=SEQNUM;b=…" */
static bool
parse_cursor(const char *cursor, char id[ID_DIGITS + 1], uint64_t *seqnum)
{
	char *end;

	if (strncmp(cursor, "s=", 2) != 0 ||
	    strspn(cursor + 2, "0123456789abcdef") != ID_DIGITS ||
	    strncmp(cursor + 2 + ID_DIGITS, ";i=", 3) != 0)
		return false;
	memcpy(id, cursor + 2, ID_DIGITS);
	id[ID_DIGITS] = '\0';
	*seqnum = strtoull(cursor + 2 + ID_DIGITS + 3, &end, 16);
	return *end == ';' && *seqnum > 0 && *seqnum <= INT64_MAX;
}

/*
 * Files are merged by number where their ids are equal, else by time; with
 * three of them an entry may come behind a higher number of its id.  The mark
 * would drop it, so it gets a stream of its own, the same one each time.
 */
static void
identify(struct journal *j, const char *id, struct journal_entry *e)
{
	struct numbering *n = numbering_of(j, id);

	n->used = ++j->uses;
	e->late = e->seqnum <= n->last;
	if (e->late) {
		stream_of(j->filters, id, e->seqnum, e->stream);
		return;
	}
	n->last = e->seqnum;
	memcpy(e->stream, n->stream, sizeof(e->stream));
}

/* ---- opening --------------------------------------------------------------- */

/* Whether libsystemd takes this file. */
static int
try_file(int fd)
{
	sd_journal *alone = NULL;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r = copy == -1 ? -errno
			   : lib.sd_journal_open_files_fd(&alone, &copy, 1, 0);

	if (r >= 0)
		lib.sd_journal_close(alone); /* and the descriptor */
	else if (copy != -1)
		(void)close(copy);
	return r;
}

/* One that it does not take it would not leave out, but refuse them all. */
static void
leave_out_damaged(struct journal_file *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = at[i].fd == -1 ? 0 : try_file(at[i].fd);

		if (r < 0)
			at[i].refused = -r;
	}
}

/* The descriptors become libsystemd's, where it takes them. */
static int
open_good(struct journal_file *at, size_t n, sd_journal **out)
{
	int *fds = xcalloc(n + 1, sizeof(*fds)), r = -ENODATA;
	unsigned count = 0;

	for (size_t i = 0; i < n; i++) {
		if (at[i].refused == 0)
			fds[count++] = at[i].fd;
	}
	if (count > 0)
		r = lib.sd_journal_open_files_fd(out, fds, count, 0);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (at[i].refused == 0)
			at[i].fd = -1;
	}
	free(fds);
	return r;
}

static int
open_source(struct journal_files *files, const struct journal_config *c,
    sd_journal **out)
{
	size_t n;
	struct journal_file *at = journal_files_open(files, &n);
	int r = open_good(at, n, out);

	if (r < 0 && n > 0) {
		leave_out_damaged(at, n);
		r = open_good(at, n, out);
	}
	journal_files_close(files);
	if (r < 0)
		*out = NULL;
	else
		r = add_filters(*out, c);
	return r;
}

/* Behind the entry of the cursor, or of what follows where it would stand. */
static int
go_behind(sd_journal *sd, const char *cursor, bool *exact)
{
	int r = lib.sd_journal_seek_cursor(sd, cursor);

	*exact = false;
	if (r >= 0)
		r = lib.sd_journal_next(sd);
	if (r > 0)
		r = lib.sd_journal_test_cursor(sd, cursor);
	if (r < 0)
		return r;
	*exact = r > 0;
	if (*exact)
		return 0;
	/* not that one: the next call gives it again */
	return lib.sd_journal_seek_cursor(sd, cursor);
}

static void
free_parts(struct journal *j)
{
	if (j->sd != NULL)
		lib.sd_journal_close(j->sd);
	free(j->filters);
	free(j);
}

/* No file can be read. */
static enum rc
cannot_open(int r, const struct journal_config *c, struct error *err)
{
	if (r != -ENODATA)
		return failed(r, "cannot be opened", err);
	return error_set(err, RC_EOF, "journal: no file can be read %s%s",
	    c->n_files > 0 ? "of those that are named" : "in ",
	    c->n_files > 0             ? ""
		: c->directory != NULL ? c->directory
				       : "/run/log/journal, /var/log/journal");
}

enum rc
journal_open(struct journal_files *files, const struct journal_config *config,
    const char *cursor, struct journal **out, bool *exact, struct error *err)
{
	struct journal *j;
	char id[ID_DIGITS + 1];
	uint64_t seqnum;
	int r;

	if (load_library(err) != RC_OK)
		return err->code;
	j = xzalloc(sizeof(*j));
	r = open_source(files, config, &j->sd);
	*exact = true;
	j->filters = filters_text(config);
	if (r >= 0)
		r = cursor == NULL ? lib.sd_journal_seek_head(j->sd)
				   : go_behind(j->sd, cursor, exact);
	if (r < 0) {
		free_parts(j);
		return cannot_open(r, config, err);
	}
	if (cursor != NULL && parse_cursor(cursor, id, &seqnum))
		numbering_of(j, id)->last = seqnum;
	*out = j;
	return RC_OK;
}

void
journal_close(struct journal *j)
{
	if (j != NULL)
		free_parts(j);
}

static int
cursor_of(sd_journal *sd, char out[JOURNAL_CURSOR_MAX])
{
	char *cursor = NULL;
	int r = lib.sd_journal_get_cursor(sd, &cursor);

	if (r < 0)
		return r;
	if (strlen(cursor) >= JOURNAL_CURSOR_MAX)
		r = -EBADMSG;
	else
		(void)snprintf(out, JOURNAL_CURSOR_MAX, "%s", cursor);
	free(cursor);
	return r;
}

enum rc
journal_tail(struct journal_files *files, const struct journal_config *config,
    char out[JOURNAL_CURSOR_MAX], struct error *err)
{
	sd_journal *sd = NULL;
	int r;

	out[0] = '\0';
	if (load_library(err) != RC_OK)
		return err->code;
	r = open_source(files, config, &sd);
	if (r >= 0)
		r = lib.sd_journal_seek_tail(sd);
	if (r >= 0)
		r = lib.sd_journal_previous(sd);
	if (r > 0)
		r = cursor_of(sd, out);
	if (sd != NULL)
		lib.sd_journal_close(sd);
	if (r == -ENODATA)
		return RC_OK;
	return r < 0 ? failed(r, "its end cannot be found", err) : RC_OK;
}

/* ---- reading --------------------------------------------------------------- */

enum rc
journal_next(struct journal *j, struct journal_entry *out, struct error *err)
{
	int r = lib.sd_journal_next(j->sd);
	char id[ID_DIGITS + 1];
	uint64_t usec;

	out->cursor[0] = '\0';
	if (r < 0)
		return failed(r, "cannot be read on", err);
	if (r == 0)
		return RC_EOF;
	r = cursor_of(j->sd, out->cursor);
	if (r >= 0)
		r = lib.sd_journal_get_realtime_usec(j->sd, &usec);
	if (r < 0 || !parse_cursor(out->cursor, id, &out->seqnum))
		return error_set(err, RC_INVALID,
		    "journal: an entry without identity");
	out->time_ns = usec > INT64_MAX / 1000 ? 0 : (int64_t)usec * 1000;
	identify(j, id, out);
	return RC_OK;
}

enum rc
journal_fields(struct journal *j, size_t longest, journal_field_cb *cb,
    void *ctx, struct error *err)
{
	const void *data;
	size_t len;
	int r;

	(void)lib.sd_journal_set_data_threshold(j->sd, longest + 256);
	lib.sd_journal_restart_data(j->sd);
	while ((r = lib.sd_journal_enumerate_available_data(j->sd, &data,
		    &len)) > 0) {
		const char *bytes = data;
		const char *equals = memchr(bytes, '=', len);
		struct slice name, value;

		if (equals == NULL)
			continue;
		name = (struct slice){ bytes, (size_t)(equals - bytes) };
		value = (struct slice){ equals + 1, len - name.len - 1 };
		if (value.len > longest)
			value.len = longest;
		cb(ctx, name, value, value.len < len - name.len - 1);
	}
	return r < 0 ? error_set(err, RC_INVALID, "journal: a damaged entry")
		     : RC_OK;
}
