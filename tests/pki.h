/* SPDX-License-Identifier: Apache-2.0 */
/* A throw-away PKI for unit tests: tests/lib/make-pki in a temporary folder. */
#pragma once

#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tls.h"

enum { PKI_DIR = 64, PKI_PATH = 128 };

struct pki {
	char dir[PKI_DIR];
};

/* The names of one party's files; they live as long as this. */
struct pki_files {
	char ca[PKI_PATH], certificate[PKI_PATH], key[PKI_PATH], crl[PKI_PATH];
	struct tls_files files;
};

static inline bool
pki_run(const char *const argv[])
{
	int status;
	pid_t pid;

	return posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv,
		   environ) == 0 &&
	    waitpid(pid, &status, 0) == pid && status == 0;
}

/* False if there is no openssl command, or it failed. */
static inline bool
pki_make(struct pki *pki)
{
	static const char script[] = KUZET_SRCDIR "/tests/lib/make-pki";
	const char *argv[] = { script, pki->dir, "--agents", "agent,other",
		NULL };

	(void)snprintf(pki->dir, sizeof(pki->dir), "/tmp/kuzet-pki-XXXXXX");
	return mkdtemp(pki->dir) != NULL && pki_run(argv);
}

static inline void
pki_remove(struct pki *pki)
{
	const char *argv[] = { "rm", "-rf", pki->dir, NULL };

	(void)pki_run(argv);
}

/* `ca` "ca" or "stranger-ca"; `name` "collector", "agent", "expired" ... */
static inline const struct tls_files *
pki_files(const struct pki *pki, struct pki_files *f, const char *ca,
    const char *name)
{
	(void)snprintf(f->ca, PKI_PATH, "%s/%s.pem", pki->dir, ca);
	(void)snprintf(f->certificate, PKI_PATH, "%s/%s.pem", pki->dir, name);
	(void)snprintf(f->key, PKI_PATH, "%s/%s.key", pki->dir, name);
	(void)snprintf(f->crl, PKI_PATH, "%s/crl.pem", pki->dir);
	f->files = (struct tls_files){ .ca = f->ca,
		.certificate = f->certificate,
		.key = f->key };
	return &f->files;
}

static inline struct tls_context *
pki_context(const struct pki *pki, enum tls_role role, const char *ca,
    const char *name)
{
	struct tls_context *ctx = NULL;
	struct pki_files f;
	struct error err;

	if (tls_context_new(role, pki_files(pki, &f, ca, name), false, &ctx,
		&err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return ctx;
}
