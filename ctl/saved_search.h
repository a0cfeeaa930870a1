/* SPDX-License-Identifier: Apache-2.0 */
/* Searches that the collector keeps for people: kuzetctl search --saved. */
#pragma once

#include "client.h"

enum { SAVED_GIVEN_MAX = 32, SAVED_PATH_MAX = 64 };

/* What the command line says of the search itself; borrowed. */
struct saved_given {
	const char *name;
	struct slice value;
};

struct saved_arguments {
	const char *save, *saved, *remove; /* names; NULL: not asked for */
	bool list, share, replace;
	struct saved_given given[SAVED_GIVEN_MAX];
	size_t n_given;
};

/* Each prints and returns the exit status. */
int saved_list(const struct global_options *global);
int saved_remove(const struct global_options *global, const char *name);
int saved_save(const struct global_options *global,
    const struct saved_arguments *a, const char *query);

/* How to run a search that was found. */
struct saved_found {
	char path[SAVED_PATH_MAX]; /* of the request */
	bool groups, count;        /* what comes is no events */
};
/*
 * The search of that name, one's own before those that others share;
 * "OWNER/NAME" is that owner's.  RC_EOF: there is none; RC_INVALID: several
 * share one.
 */
enum rc saved_find(const struct global_options *global, const char *name,
    struct saved_found *out, struct error *err);
