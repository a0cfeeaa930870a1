/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of a scan, as the daemon and the command line do it: is the
 * baseline as it was sealed, what differs, what is told, and the seal anew.
 */
#pragma once

#include "agent/inputs/fim/fim_annotate.h"
#include "agent/inputs/fim/fim_event.h"

struct fim_engine {
	/* borrowed */
	struct fim_store *store;
	const struct fim_spec *spec;
	const struct fim_reading *reading;
	const char *host_name;
	struct fim_annotator *notes;

	const char *by; /* who asks for a new baseline; NULL: nobody */
	bool renew;     /* take the baseline anew, whatever there is */
	bool full;      /* hash everything */

	/* As in struct fim_scan; may be NULL. */
	void *ctx;
	void (*between)(void *ctx, const struct fim_totals *so_far);
	void (*folder)(void *ctx, const char *path);
	struct fim_hurry hurry; /* asked by fim_engine_seal() */
	/* What to do with a change; NULL: it is stored as an event, and the
	 * row with it.  Else nothing is stored at all. */
	enum rc (
	    *tell)(void *ctx, const struct fim_change *c, struct error *err);

	/* filled by fim_engine_scan() */
	struct fim_totals totals;
	bool first;    /* it was the first baseline, or a new one */
	bool tampered; /* rows are not what was sealed */
	/* There is no seal: the last agent was killed within half a minute of a
	 * change, or somebody took it off.  Whether rows are as they were is not
	 * known. */
	bool unsealed;
};

/*
 * All paths of the input.  RC_EOF: there is no baseline, and nothing is to be
 * stored.  RC_LIBRARY: the store is damaged: fim_store_renew().
 */
enum rc fim_engine_scan(struct fim_engine *e, struct error *err);

/* Some paths (fim_scan.h) against a baseline that is there. */
enum rc fim_engine_look(struct fim_engine *e, const char *const *paths,
    size_t n, bool flat, struct error *err);

/*
 * The change window that is open now: one that somebody opened, else one of the
 * configuration (`by` is "configuration", `reason` its text).  RC_EOF: none.
 */
enum rc fim_engine_window(const struct fim_engine *e, struct fim_window *out,
    struct error *err);

/* One event that is no change, in a transaction of its own. */
enum rc fim_engine_tell(struct fim_engine *e, const struct fim_summary *what,
    struct error *err);

/* Seals what looks have changed since the last scan, and says so.  RC_AGAIN:
 * something else waits, nothing was done. */
enum rc fim_engine_seal(struct fim_engine *e, struct error *err);
