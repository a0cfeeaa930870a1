/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_engine.h"

#include <stdio.h>
#include <string.h>

#include "agent/inputs/input.h"
#include "agent/inputs/maintenance.h"
#include "loop.h"
#include "timestamp.h"

static struct fim_origin
origin_of(const struct fim_engine *e)
{
	return (struct fim_origin){ .host_name = e->host_name,
		.input = e->spec->name,
		/* a summary has none */
		.names = e->notes == NULL ? NULL : e->notes->names };
}

/* Within a transaction. */
static enum rc
keep_event(struct fim_engine *e, struct buf *json, struct error *err)
{
	enum rc rc = json->overflowed
	    ? error_set(err, RC_LIMIT, "an event is too large")
	    : outbox_add(&e->store->db, buf_slice(json), err);

	buf_fini(json);
	return rc;
}

static enum rc
keep_summary(struct fim_engine *e, const struct fim_summary *what,
    struct error *err)
{
	struct fim_origin origin = origin_of(e);
	struct buf json;

	buf_init(&json, OUTBOX_EVENT_BYTES_MAX);
	fim_event_summary(&json, &origin, what);
	return keep_event(e, &json, err);
}

enum rc
fim_engine_window(const struct fim_engine *e, struct fim_window *out,
    struct error *err)
{
	const struct fim_config *c = e->notes->config;
	int64_t now_ns = timestamp_now();
	enum rc rc = fim_window_current(e->store, now_ns, out, err);

	for (size_t i = 0; rc == RC_EOF && c != NULL && i < c->n_maintenance;
	     i++) {
		if (!maintenance_now(c->maintenance[i], e->notes->tz, now_ns))
			continue;
		*out = (struct fim_window){ .by = "configuration" };
		(void)snprintf(out->reason, sizeof(out->reason), "%s",
		    c->maintenance[i]);
		rc = RC_OK;
	}
	return rc;
}

static enum rc
keep_change(void *ctx, const struct fim_change *c, struct error *err)
{
	struct fim_engine *e = ctx;
	struct fim_origin origin = origin_of(e);
	struct fim_window window;
	struct buf json;
	enum rc open = fim_engine_window(e, &window, err);

	if (open != RC_OK && open != RC_EOF)
		return open;
	buf_init(&json, OUTBOX_EVENT_BYTES_MAX);
	fim_event_change(&json, &origin, c, open == RC_OK ? &window : NULL);
	return keep_event(e, &json, err);
}

/* fim_scan's callbacks carry one ctx: the engine passes its own on. */
static enum rc
tell_change(void *ctx, const struct fim_change *c, struct error *err)
{
	struct fim_engine *e = ctx;

	return e->tell != NULL ? e->tell(e->ctx, c, err)
			       : keep_change(e, c, err);
}

static void
annotate(void *ctx, struct fim_change *changes, size_t n, struct arena *arena)
{
	struct fim_engine *e = ctx;

	fim_annotate(e->notes, changes, n, arena);
}

static struct slice
text_of(void *ctx, const struct fim_entry *entry, struct arena *arena)
{
	struct fim_engine *e = ctx;

	return fim_shown_text(e->notes, entry, arena);
}

static void
between(void *ctx, const struct fim_totals *so_far)
{
	struct fim_engine *e = ctx;

	if (e->between != NULL)
		e->between(e->ctx, so_far);
}

static void
folder(void *ctx, const char *path)
{
	struct fim_engine *e = ctx;

	if (e->folder != NULL)
		e->folder(e->ctx, path);
}

static struct fim_scan
scan_of(struct fim_engine *e, const struct fim_baseline *b)
{
	return (struct fim_scan){
		.store = e->store,
		.spec = e->spec,
		.reading = e->reading,
		.input = b->input,
		.full = e->full || e->spec->full,
		.keep = e->tell == NULL,
		.ctx = e,
		.annotate = annotate,
		.text = text_of,
		.tell = tell_change,
		.between = between,
		.folder = folder,
	};
}

enum rc
fim_engine_tell(struct fim_engine *e, const struct fim_summary *what,
    struct error *err)
{
	struct sql *sql = e->store->db.sql;
	enum rc rc = sql_begin(sql, err);

	if (rc == RC_OK)
		rc = keep_summary(e, what, err);
	if (rc == RC_OK)
		rc = sql_commit(sql, err);
	if (rc != RC_OK)
		sql_rollback(sql);
	return rc;
}

/* What is known before a scan. */
struct before {
	struct fim_baseline baseline;
	bool any_root;
	bool damaged;
	bool only_sealing;
	int verified; /* as in struct fim_summary */
	uint8_t sha256[SHA256_BYTES];
};

/* Is the baseline what was sealed?  If not, the collector hears of it first. */
static enum rc
verify(struct fim_engine *e, struct before *b, struct error *err)
{
	uint64_t files;
	enum rc rc = fim_store_digest(e->store, b->baseline.input,
	    (struct fim_hurry){ 0 }, b->sha256, &files, err);

	b->verified = -1;
	e->unsealed = rc == RC_OK && !b->baseline.sealed;
	if (rc != RC_OK || e->unsealed)
		return rc; /* a look was under way when the agent ended? */
	b->verified = memcmp(b->sha256, b->baseline.sha256, SHA256_BYTES) == 0;
	e->tampered = b->verified == 0;
	if (!e->tampered || e->tell != NULL)
		return RC_OK;
	return fim_engine_tell(e,
	    &(struct fim_summary){ .action = "fim-baseline-tampered",
		.reason = "the stored baseline is not what this agent sealed",
		.alert = true,
		.sha256 = b->sha256,
		.previous = b->baseline.sha256,
		.verified = 0 },
	    err);
}

static enum rc
prepare(struct fim_engine *e, struct before *b, struct error *err)
{
	enum rc rc;

	*b = (struct before){ .verified = -1, .damaged = e->store->db.damaged };
	e->totals = (struct fim_totals){ 0 };
	e->tampered = false;
	e->unsealed = false;
	rc = fim_store_baseline(e->store, e->spec->name, &b->baseline, err);
	if (rc == RC_OK)
		rc = fim_spec_known(e->store, b->baseline.input, e->spec, NULL,
		    &b->any_root, err);
	if (rc != RC_OK)
		return rc;
	e->first = e->renew || !b->any_root;
	if (!e->first)
		return verify(e, b, err);
	if (e->tell != NULL)
		return RC_EOF;
	/* half a new baseline must not pass for a whole one */
	return fim_store_set_roots(e->store, b->baseline.input, NULL, 0, err);
}

static const char *
why_first(const struct fim_engine *e, const struct before *b)
{
	if (b->damaged)
		return "the stored baseline could not be read";
	return e->renew && b->any_root ? "renewed" : "first";
}

/* The new seal and the event that carries it. */
static enum rc
seal(struct fim_engine *e, const struct before *b, int64_t duration_ns,
    struct error *err)
{
	struct fim_baseline sealed = b->baseline;
	struct sql *sql = e->store->db.sql;
	enum rc rc;

	sealed.sealed_ns = timestamp_now();
	rc = fim_store_digest(e->store, sealed.input,
	    b->only_sealing ? e->hurry : (struct fim_hurry){ 0 }, sealed.sha256,
	    &sealed.files, err);
	if (rc == RC_OK)
		rc = sql_begin(sql, err);
	if (rc == RC_OK)
		rc = fim_store_set_roots(e->store, sealed.input, e->spec->paths,
		    e->spec->n_paths, err);
	if (rc == RC_OK)
		rc = fim_store_seal(e->store, &sealed, err);
	if (rc == RC_OK)
		rc = keep_summary(e,
		    &(struct fim_summary){ .action = e->first ? "fim-baseline"
			    : b->only_sealing ? "fim-baseline-sealed"
					      : "fim-scan",
			.reason = e->first ? why_first(e, b) : NULL,
			.by = e->by,
			.totals = b->only_sealing ? NULL : &e->totals,
			.duration_ns = duration_ns,
			.alert = e->first && b->damaged,
			.sha256 = sealed.sha256,
			.previous = e->first ? NULL : b->sha256,
			.unsealed = e->unsealed,
			.verified = b->verified },
		    err);
	if (rc == RC_OK)
		rc = sql_commit(sql, err);
	if (rc != RC_OK)
		sql_rollback(sql);
	else
		e->store->db.damaged = false;
	return rc;
}

enum rc
fim_engine_scan(struct fim_engine *e, struct error *err)
{
	int64_t began_ns = loop_now();
	struct fim_scan scan;
	struct before b;
	enum rc rc = prepare(e, &b, err);

	if (rc != RC_OK)
		return rc;
	scan = scan_of(e, &b.baseline);
	scan.fresh = e->first;
	scan.pool = true;
	rc = fim_scan_run(&scan, err);
	e->totals = scan.totals;
	if (rc == RC_OK && e->tell == NULL)
		rc = seal(e, &b, loop_now() - began_ns, err);
	return rc;
}

enum rc
fim_engine_look(struct fim_engine *e, const char *const *paths, size_t n,
    bool flat, struct error *err)
{
	struct fim_baseline b;
	struct fim_scan scan;
	enum rc rc = fim_store_baseline(e->store, e->spec->name, &b, err);

	if (rc != RC_OK)
		return rc;
	scan = scan_of(e, &b);
	scan.only = paths;
	scan.n_only = n;
	scan.flat = flat;
	scan.full = false;
	rc = fim_scan_run(&scan, err);
	e->totals = scan.totals;
	return rc;
}

enum rc
fim_engine_seal(struct fim_engine *e, struct error *err)
{
	struct before b = { .verified = -1, .only_sealing = true };
	enum rc rc =
	    fim_store_baseline(e->store, e->spec->name, &b.baseline, err);

	if (rc != RC_OK || b.baseline.sealed || b.baseline.sealed_ns == 0)
		return rc;
	memcpy(b.sha256, b.baseline.sha256, SHA256_BYTES);
	e->first = false;
	return seal(e, &b, 0, err);
}
