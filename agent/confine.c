/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "agent/granted.h"
#include "agent/identity.h"
#include "agent/inputs/policy/policy.h"
#include "agent/roles/opener.h"
#include "arena.h"
#include "log.h"
#include "privileges.h"
#include "xalloc.h"

/*
 * All that the worker itself opens once it is confined, beside its state: what
 * packages brought, read by libraries when they need it (character sets, NSS,
 * libsystemd), and nothing of /etc that is not named here.  Everything else
 * comes through the opener.
 */
static const char *const of_libraries[] = { "/lib", "/usr/lib", "/lib64",
	"/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo",
	"/etc/localtime", "/dev/urandom" };
/* Where the collector, or a probe's target, has a name.  Those of /etc are
 * files: see confined_stale(). */
static const char *const of_names[] = { "/etc/resolv.conf", "/etc/hosts",
	"/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
	"/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf",
	"/run/nscd" };
/* Whom a probe trusts that names no `ca`. */
static const char *const of_trust[] = { "/etc/ssl/certs", "/etc/pki/tls/certs",
	"/etc/pki/ca-trust/extracted", "/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct confined {
	struct sandbox_state sandbox;
	struct sandbox_paths paths;
	struct arena *arena; /* the paths' */
	bool names;          /* of_names could be read at the start */
};

/* It has such an input, or may get one. */
static bool
may_have(const struct agent_config *c, enum agent_input_type type,
    const char *name)
{
	const struct agent_input *inputs = c->inputs.items;

	for (size_t i = 0; c->central.accept && i < c->central.inputs.n; i++) {
		if (strcmp(c->central.inputs.items[i], name) == 0)
			return true;
	}
	for (size_t i = 0; i < c->inputs.n; i++) {
		if (inputs[i].type == (int)type)
			return true;
	}
	return false;
}

/* The opener tells a link that another made from a file, but not which name of a
 * file was its first: that nobody links what he may not read is the kernel's. */
static void
warn_of_hard_links(void)
{
	static const char path[] = "/proc/sys/fs/protected_hardlinks";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char value = '1';

	if (fd == -1)
		return;
	if (read(fd, &value, 1) == 1 && value == '0')
		log_warn("%s is 0: whoever can write to the folder of a log "
			 "can have files of others sent by linking them there; "
			 "set it to 1",
		    path);
	(void)close(fd);
}

enum rc
confine_start(const char *path, const struct agent_config *c,
    struct processes *out, struct error *err)
{
	*out = (struct processes){ .opener = { -1, -1 }, .runner = -1 };
	if (!c->sandbox || !processes_wanted(c->user))
		return RC_OK;
	warn_of_hard_links();
	return processes_start(
	    &(struct processes_options){ .user = c->user,
		.policy = { (void *)(uintptr_t)path, granted_read },
		.commands = may_have(c, AGENT_INPUT_POLICY, "policy")
		    ? policy_command
		    : NULL },
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
add(struct confined *k, const char *path)
{
	size_t len = path == NULL ? 0 : strlen(path) + 1;

	if (len > 0 && k->paths.n_read < SANDBOX_PATHS_MAX)
		k->paths.read[k->paths.n_read++] =
		    memcpy(arena_alloc(k->arena, len), path, len);
}

static void
add_all(struct confined *k, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(k, paths[i]);
}

/* The files that inputs open through libraries. */
static void
add_input(struct confined *k, const struct agent_input *in)
{
	if (in->type != AGENT_INPUT_PROBE)
		return;
	add(k, in->ca);
	if (in->ca == NULL)
		add_all(k, of_trust, COUNT(of_trust));
}

/* HOST:PORT, and not a number. */
static bool
has_name(const char *address)
{
	char host[ADDRESS_HOST];
	uint16_t port;
	struct ip ip;

	return !address_split(address, host, &port) ||
	    !ip_parse((struct slice){ host, strlen(host) }, &ip);
}

/* Whether names of hosts are looked up. */
static bool
asks_for_names(const struct agent_config *c)
{
	struct identity_record record;
	struct error err;

	for (size_t i = 0; i < c->hosts.n; i++)
		if (has_name(c->hosts.items[i]))
			return true;
	/* the certificate is renewed there */
	if (identity_record_read(c->state_dir, &record, &err) == RC_OK &&
	    has_name(record.server))
		return true;
	return may_have(c, AGENT_INPUT_PROBE, "probe");
}

static struct confined *
wanted_by(const struct agent_config *c)
{
	struct confined *k = xzalloc(sizeof(*k));
	const struct agent_input *inputs = c->inputs.items;

	k->arena = arena_new(4096);
	k->paths.write = c->state_dir;
	add_all(k, of_libraries, COUNT(of_libraries));
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes it */
	add(k, getenv("TZDIR"));
	if (asks_for_names(c))
		add_all(k, of_names, COUNT(of_names));
	for (size_t i = 0; i < c->inputs.n; i++)
		add_input(k, &inputs[i]);
	if (may_have(c, AGENT_INPUT_PROBE, "probe"))
		add_all(k, of_trust, COUNT(of_trust));
	return k;
}

enum rc
confine_worker(const struct agent_config *c, bool split, struct confined **out,
    struct error *err)
{
	struct confined *k;
	enum rc rc;

	if (!split) {
		*out = xzalloc(sizeof(**out));
		return privileges_drop(c->user, err);
	}
	rc = privileges_become(c->user, -1, err);
	if (rc != RC_OK)
		return rc;
	k = wanted_by(c);
	rc = sandbox_worker(&k->paths, &k->sandbox, err);
	k->paths.write = NULL; /* the configuration's may go */
	k->names = asks_for_names(c) && can_open(of_names[0]);
	if (rc != RC_OK) {
		confined_free(k);
		return error_prefix(err,
		    "sandbox (`sandbox: false` goes without)");
	}
	if (k->sandbox.landlock == 0)
		log_warn("this kernel has no Landlock: whoever owns the worker "
			 "reads what user %s may read",
		    c->user == NULL ? "of this process" : c->user);
	*out = k;
	return RC_OK;
}

void
confined_free(struct confined *k)
{
	if (k == NULL)
		return;
	arena_free(k->arena);
	free(k);
}

int
confined_landlock(const struct confined *k)
{
	return k->sandbox.landlock;
}

bool
confined_lacks(const struct confined *k, const struct agent_config *fresh,
    char path[PATH_MAX])
{
	struct confined *want;
	bool lacks = false;

	if (k->sandbox.landlock == 0)
		return false;
	want = wanted_by(fresh);
	for (size_t i = 0; !lacks && i < want->paths.n_read; i++) {
		size_t at = 0;

		while (at < k->paths.n_read &&
		    strcmp(k->paths.read[at], want->paths.read[i]) != 0)
			at++;
		lacks = at == k->paths.n_read;
		if (lacks)
			(void)snprintf(path, PATH_MAX, "%s",
			    want->paths.read[i]);
	}
	confined_free(want);
	return lacks;
}

bool
confined_stale(const struct confined *k)
{
	int fd;

	if (k->sandbox.landlock == 0 || !k->names)
		return false;
	for (size_t i = 0; i < 2; i++) {
		fd = open(of_names[i], O_RDONLY | O_CLOEXEC);
		if (fd == -1 && errno == EACCES)
			return true;
		if (fd != -1)
			(void)close(fd);
	}
	return false;
}
