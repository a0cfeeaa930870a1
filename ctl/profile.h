/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles: which collector, whose certificates are believed, and the token of
 * the session.  One YAML file each, mode 0600, in $XDG_CONFIG_HOME/kuzet or
 * ~/.config/kuzet; beside it the CA's certificate, copied at log-in: no other
 * is believed.
 */
#pragma once

#include "command.h"
#include "error.h"
#include "slice.h"

struct profile {
	char *server; /* HOST:PORT */
	char *ca;     /* path, PEM */
	char *user;
	char *token;             /* may be NULL: logged out */
	char *certificate, *key; /* paths, PEM; NULL: none is shown */
};

/*
 * Which one is meant: --profile, KUZET_PROFILE, or "default" where that exists
 * and neither --socket nor --config was given.  NULL: none, ask the socket.
 */
const char *profile_chosen(const struct global_options *global);

enum rc profile_load(const char *name, struct profile *out, struct error *err);
/* Of its own memory. */
void profile_copy(const struct profile *from, struct profile *out);
bool profile_exists(const char *name);
/* RC_EOF: there is none. */
enum rc profile_remove(const char *name, struct error *err);
/* Names, in order; RC_OK also if there are none. */
typedef void profile_cb(void *ctx, const char *name);
enum rc profile_list(profile_cb *cb, void *ctx, struct error *err);
void profile_free(struct profile *p);

/* Writes it; *ca is copied beside it and p->ca names the copy then. */
enum rc profile_save(const char *name, struct profile *p, struct error *err);
