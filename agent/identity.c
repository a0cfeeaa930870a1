/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "json.h"
#include "sign.h"
#include "timestamp.h"

enum { RECORD_MAX = 8192, ARENA_BLOCK = 8192 };

void
identity_new_name(const char *path, char out[IDENTITY_PATH])
{
	(void)snprintf(out, IDENTITY_PATH, "%s.new", path);
}

/* The name itself is on the disk. */
static void
sync_folder_of(const char *path)
{
	char dir[IDENTITY_PATH];
	char *slash;
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		(void)snprintf(dir, sizeof(dir), ".");
	else
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return;
	(void)fsync(fd);
	(void)close(fd);
}

static enum rc
give(const struct identity_files *f, const char *path, struct error *err)
{
	if (f->uid == (uid_t)-1 || lchown(path, f->uid, f->gid) == 0)
		return RC_OK;
	return error_set_errno(err, errno, "cannot give %s to its user", path);
}

static enum rc
write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return RC_SYSTEM;
		s.ptr += n;
		s.len -= (size_t)n;
	}
	return RC_OK;
}

/* Beside the name first: `path` is whole, or as it was. */
static enum rc
write_file(const struct identity_files *f, const char *path, struct slice text,
    mode_t mode, struct error *err)
{
	char part[IDENTITY_PATH];
	bool good;
	int fd;

	if ((size_t)snprintf(part, sizeof(part), "%s.part", path) >=
	    sizeof(part))
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    path);
	(void)unlink(part);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd == -1)
		return error_set_errno(err, errno, "cannot write %s", path);
	good = write_all(fd, text) == RC_OK && fchmod(fd, mode) == 0 &&
	    fsync(fd) == 0;
	if (!good)
		(void)error_set_errno(err, errno, "cannot write %s", path);
	if (close(fd) != 0 || !good || give(f, part, err) != RC_OK ||
	    rename(part, path) != 0) {
		if (good && err->code == RC_OK)
			(void)error_set_errno(err, errno, "cannot write %s",
			    path);
		(void)unlink(part);
		return err->code != RC_OK ? err->code : RC_SYSTEM;
	}
	return RC_OK;
}

static enum rc
read_text(const char *path, struct buf *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[1024];
	ssize_t n;

	if (fd == -1 && errno == ENOENT)
		return error_set(err, RC_EOF, "%s is not there", path);
	if (fd == -1)
		return error_set_errno(err, errno, "%s", path);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		if (!buf_add(out, piece, (size_t)n))
			break;
	(void)close(fd);
	return n == 0 ? RC_OK
		      : error_set(err, RC_INVALID, "%s cannot be read", path);
}

/* ---- key and certificate ------------------------------------------------------------ */

enum rc
identity_new_key(const struct identity_files *f, bool keep, struct error *err)
{
	char key[IDENTITY_PATH];
	struct buf probe;
	enum rc rc;

	identity_new_name(f->key, key);
	if (keep && access(key, F_OK) == 0) {
		buf_init(&probe, REQUEST_PEM_MAX);
		rc = certificate_request(key, "probe", &probe, err);
		buf_fini(&probe);
		if (rc == RC_OK)
			return RC_OK;
	}
	rc = certificate_new_key(key, err);
	return rc == RC_OK ? give(f, key, err) : rc;
}

static enum rc
put_in_place(const char *from, const char *to, struct error *err)
{
	if (rename(from, to) != 0)
		return error_set_errno(err, errno, "cannot replace %s", to);
	sync_folder_of(to);
	return RC_OK;
}

enum rc
identity_install(const struct identity_files *f, const struct enrolment *e,
    struct error *err)
{
	char key[IDENTITY_PATH], certificate[IDENTITY_PATH];
	enum rc rc;

	err->code = RC_OK;
	identity_new_name(f->key, key);
	identity_new_name(f->certificate, certificate);
	rc = write_file(f, certificate, buf_slice(&e->pem), 0644, err);
	if (rc == RC_OK && !certificate_fits(certificate, key))
		rc = error_set(err, RC_INVALID,
		    "the certificate that came is not of our key");
	if (rc == RC_OK)
		rc = write_file(f, f->ca, buf_slice(&e->ca), 0644, err);
	if (rc == RC_OK)
		rc = put_in_place(key, f->key, err);
	if (rc == RC_OK)
		rc = put_in_place(certificate, f->certificate, err);
	return rc;
}

/* Whether what is there has all of them, as text: PEM has one way to write a
 * key. */
static bool
has_keys(const char *path, struct slice pem, bool *there)
{
	struct error err;
	struct buf text;
	bool has;

	buf_init(&text, (size_t)SIGN_KEYS_MAX * ORDERS_KEY_MAX);
	*there = read_text(path, &text, &err) != RC_EOF;
	has = text.len > 0 && memmem(text.ptr, text.len, pem.ptr, pem.len);
	buf_fini(&text);
	return has;
}

enum rc
identity_pin(const struct identity_files *f, const struct enrolment *e,
    bool replace, struct error *err)
{
	const struct identity_files ours = { .uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	struct slice pem = buf_slice(&e->orders_key);
	struct sign_keys *keys = NULL;
	char new[IDENTITY_PATH];
	bool there = false;
	enum rc rc;

	if (pem.len == 0)
		return error_set(err, RC_EOF, "no key of orders came");
	if (has_keys(f->orders_key, pem, &there))
		return RC_OK;
	if (there && !replace)
		return error_set(err, RC_DENIED,
		    "%s holds other keys than this collector's and stays as it "
		    "is: add what `kuzetctl agent config key` prints there",
		    f->orders_key);
	err->code = RC_OK;
	identity_new_name(f->orders_key, new);
	rc = write_file(&ours, new, pem, 0644, err);
	if (rc == RC_OK)
		rc = sign_keys_read(new, &keys, err);
	sign_keys_free(keys);
	if (rc == RC_OK)
		rc = put_in_place(new, f->orders_key, err);
	if (rc != RC_OK)
		(void)unlink(new);
	return rc;
}

void
identity_mend(const struct identity_files *f)
{
	char certificate[IDENTITY_PATH];
	struct error err;

	if (f->certificate == NULL || f->key == NULL)
		return;
	identity_new_name(f->certificate, certificate);
	if (access(certificate, F_OK) == 0 &&
	    !certificate_fits(f->certificate, f->key) &&
	    certificate_fits(certificate, f->key))
		(void)put_in_place(certificate, f->certificate, &err);
}

/* ---- where it enrolled ---------------------------------------------------------------- */

static void
record_path(const char *state_dir, char out[IDENTITY_PATH])
{
	(void)snprintf(out, IDENTITY_PATH, "%s/enrolment.json", state_dir);
}

static void
take_text(const struct event *ev, const char *name, char *out, size_t room)
{
	struct slice s = event_get_string(ev,
	    field_intern((struct slice){ name, strlen(name) }));

	if (s.len > 0 && s.len < room)
		(void)snprintf(out, room, "%.*s", SLICE_ARG(s));
}

enum rc
identity_record_read(const char *state_dir, struct identity_record *out,
    struct error *err)
{
	const struct timestamp_hints hints = { .tz = NULL };
	char path[IDENTITY_PATH], renew_at[TIMESTAMP_TEXT_MAX] = "";
	struct arena *arena;
	struct event ev;
	struct buf text;
	enum rc rc;

	*out = (struct identity_record){ .renew_ns = 0 };
	record_path(state_dir, path);
	buf_init(&text, RECORD_MAX);
	rc = read_text(path, &text, err);
	if (rc == RC_OK) {
		arena = arena_new(ARENA_BLOCK);
		event_begin(&ev, arena);
		rc = json_read_event(buf_slice(&text), &json_limits_default,
		    &ev, err);
		take_text(&ev, "server", out->server, sizeof(out->server));
		take_text(&ev, "fingerprint", out->fingerprint,
		    sizeof(out->fingerprint));
		take_text(&ev, "agent", out->agent, sizeof(out->agent));
		take_text(&ev, "group", out->group, sizeof(out->group));
		take_text(&ev, "renew_at", renew_at, sizeof(renew_at));
		(void)timestamp_parse_rfc3339((struct slice){ renew_at,
						  strlen(renew_at) },
		    &hints, &out->renew_ns);
		arena_free(arena);
	}
	buf_fini(&text);
	if (rc == RC_OK && (out->server[0] == '\0' || out->agent[0] == '\0'))
		rc = error_set(err, RC_INVALID, "%s: no server or agent", path);
	return rc;
}

enum rc
identity_record_write(const struct identity_files *f,
    const struct identity_record *r, struct error *err)
{
	char path[IDENTITY_PATH];
	struct json_writer w;
	struct buf text;
	enum rc rc;

	err->code = RC_OK;
	record_path(f->state_dir, path);
	buf_init(&text, RECORD_MAX);
	json_begin(&w, &text);
	json_open(&w, '{');
	json_key(&w, "agent");
	json_str(&w, r->agent);
	json_optional_str(&w, "group", r->group);
	json_key(&w, "server");
	json_str(&w, r->server);
	json_key(&w, "fingerprint");
	json_str(&w, r->fingerprint);
	if (r->renew_ns != 0) {
		json_key(&w, "renew_at");
		json_time(&w, r->renew_ns);
	}
	json_close(&w, '}');
	(void)buf_add_char(&text, '\n');
	rc = write_file(f, path, buf_slice(&text), 0600, err);
	buf_fini(&text);
	return rc;
}
