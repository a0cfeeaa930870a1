/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/granted.h"
#include "agent/inputs/policy/policy.h"
#include "agent/roles/opener.h"
#include "arena.h"
#include "log.h"
#include "privileges.h"
#include "xalloc.h"

/*
 * What libraries read behind our back (names of hosts and users, certificates
 * of the system, time zones, modules): nothing of it is secret, and files in
 * /etc that are, have their modes.  Folders, since most of these files are
 * replaced and not written.
 */
static const char *const of_system[] = { "/etc", "/usr/share/zoneinfo",
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/usr/lib/ssl", "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/proc",
	"/sys/devices/system/cpu", "/run/systemd/resolve",
	"/run/systemd/userdb", "/run/NetworkManager", "/run/resolvconf",
	"/run/nscd", "/var/lib/sss", "/dev/urandom" };
static const char *const of_journal[] = { "/var/log/journal",
	"/run/log/journal" };

static bool
has_type(const struct agent_config *c, enum agent_input_type type)
{
	const struct agent_input *inputs = c->inputs.items;

	for (size_t i = 0; i < c->inputs.n; i++) {
		if (inputs[i].type == (int)type)
			return true;
	}
	return false;
}

enum rc
confine_start(const char *path, const struct agent_config *c,
    struct processes *out, struct error *err)
{
	*out = (struct processes){ .opener = { -1, -1 }, .runner = -1 };
	if (!c->sandbox || !processes_wanted(c->user))
		return RC_OK;
	return processes_start(
	    &(struct processes_options){ .user = c->user,
		.policy = { (void *)(uintptr_t)path, granted_read },
		.commands =
		    has_type(c, AGENT_INPUT_POLICY) ? policy_command : NULL },
	    granted_by(c), out, err);
}

enum { TLS_FILES = 4, TLS_FILE_MAX = 16 * 1024 * 1024 };

/* A file that only the opener may read, as one of ours; its mode counts, too. */
static int
private_copy(struct opener *o, const char *path, char name[PATH_MAX])
{
	char whole[PATH_MAX];
	struct opener_stat st;
	struct error err;
	int from, to = -1;
	off_t at = 0;

	granted_name(path, whole);
	if (opener_open(o, whole, &from, &st, &err) != RC_OK)
		return -1; /* who asks for the path itself, says why */
	if (st.size <= TLS_FILE_MAX)
		to = memfd_create("tls", MFD_CLOEXEC);
	while (to != -1 && at < (off_t)st.size) {
		if (sendfile(to, from, &at, st.size - (size_t)at) <= 0)
			break;
	}
	if (to != -1)
		(void)fchmod(to, st.mode & 07777);
	(void)close(from);
	(void)snprintf(name, PATH_MAX, "/proc/self/fd/%d", to);
	return to;
}

static bool
can_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd != -1)
		(void)close(fd);
	return fd != -1;
}

enum rc
confine_tls(const struct agent_config *c, struct opener *o,
    struct tls_context **out, struct error *err)
{
	struct tls_files files = agent_tls_files(c);
	const char **paths[TLS_FILES] = { &files.ca, &files.certificate,
		&files.key, &files.crl };
	char names[TLS_FILES][PATH_MAX];
	int copies[TLS_FILES];
	enum rc rc;

	for (size_t i = 0; i < TLS_FILES; i++) {
		copies[i] = *paths[i] == NULL || can_open(*paths[i])
		    ? -1
		    : private_copy(o, *paths[i], names[i]);
		if (copies[i] != -1)
			*paths[i] = names[i];
	}
	rc = tls_context_new(TLS_CLIENT, &files, false, out, err);
	for (size_t i = 0; i < TLS_FILES; i++) {
		if (copies[i] != -1)
			(void)close(copies[i]);
	}
	return rc == RC_OK ? rc
			   : error_prefix(err, "tls (%s, %s, %s)", c->tls.ca,
				 c->tls.certificate, c->tls.key);
}

static void
add(struct sandbox_paths *p, const char *path)
{
	if (path != NULL && p->n_read < SANDBOX_PATHS_MAX)
		p->read[p->n_read++] = path;
}

/* A journal's file is replaced by another of its name. */
static void
add_folder(struct sandbox_paths *p, const char *path, struct arena *arena)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
	char *copy;

	if (len == 0) {
		add(p, ".");
		return;
	}
	copy = arena_alloc(arena, len + 1);
	memcpy(copy, path, len);
	copy[len] = '\0';
	add(p, copy);
}

/* The files that inputs open through libraries. */
static void
add_input(struct sandbox_paths *p, const struct agent_input *in,
    struct arena *arena)
{
	if (in->type == AGENT_INPUT_JOURNAL) {
		for (size_t i = 0; i < in->files.n; i++)
			add_folder(p, in->files.items[i], arena);
		add(p, in->directory);
		if (in->files.n > 0 || in->directory != NULL)
			return;
		for (size_t i = 0; i < 2; i++)
			add(p, of_journal[i]);
	}
	if (in->type == AGENT_INPUT_PROBE)
		add(p, in->ca);
}

enum rc
confine_worker(const struct agent_config *c, bool split,
    struct sandbox_state *out, struct error *err)
{
	struct sandbox_paths paths = { .write = c->state_dir };
	const struct agent_input *inputs = c->inputs.items;
	struct arena *arena;
	enum rc rc;

	*out = (struct sandbox_state){ 0 };
	if (!split)
		return privileges_drop(c->user, err);
	rc = privileges_become(c->user, -1, err);
	if (rc != RC_OK)
		return rc;
	arena = arena_new(4096);
	for (size_t i = 0; i < sizeof(of_system) / sizeof(of_system[0]); i++)
		add(&paths, of_system[i]);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	add(&paths, getenv("TZDIR"));
	for (size_t i = 0; i < c->inputs.n; i++)
		add_input(&paths, &inputs[i], arena);
	rc = sandbox_worker(&paths, out, err);
	arena_free(arena);
	return rc == RC_OK
	    ? rc
	    : error_prefix(err, "sandbox (`sandbox: false` goes without)");
}
