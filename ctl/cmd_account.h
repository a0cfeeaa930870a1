/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands about accounts share: requests that have a JSON body and
 * answers that are tables.
 */
#pragma once

#include "client.h"
#include "event.h"

struct account_column {
	const char *title, *field;
	int width; /* 0: the last */
};

/*
 * Asks, and prints what comes: as it is with --json, else as a table of these
 * columns.  The exit status.
 */
int account_ask(const struct global_options *global,
    const struct client_request *request, const struct account_column *columns,
    const char *what);

/* A secret: asked for without echo on a terminal, else a line of standard
 * input.  RC_INVALID: none, or the two are not the same. */
enum rc read_secret(const char *prompt, bool twice, struct buf *out,
    struct error *err);

/* "name":"value", of what is given. */
struct json_writer;
void body_text(struct json_writer *w, const char *name, const char *value);
/* A target with a part that is percent-encoded: "/v1/users/", name, "". */
void target_path(struct buf *out, const char *before, const char *part,
    const char *after);
