/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/central.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/central_files.h"
#include "agent/inputs/line_event.h"
#include "arena.h"
#include "json.h"
#include "log.h"
#include "timestamp.h"
#include "tls.h"
#include "xalloc.h"

enum {
	TRIES = 3,        /* starts of a trial that nothing came of */
	WAITING_MAX = 16, /* messages that came */
	ANSWERS_MAX = 64, /* that are yet to be sent */
	ANSWER_BYTES = 64 * 1024,
	ARENA_BLOCK = 64 * 1024
};

struct text {
	char *ptr; /* owned */
	size_t len;
};

struct central {
	struct central_options options;
	char *state_dir; /* options' */
	struct sign_keys *keys;
	bool unkept; /* the trial is good, and could not be kept */
	char agent[CENTRAL_AGENT];
	enum central_copy in_use;
	struct central_seen seen;
	uint64_t mark; /* grows with each change of what is in use */
	struct loop_timer *timer;
	struct text waiting[WAITING_MAX], answers[ANSWERS_MAX];
	size_t n_waiting, n_answers;
	bool posted;
	uint64_t rejected; /* messages of nobody that we trust */
	uint64_t left_out; /* messages and answers that a bound forced out */
};

static void
group_name(const struct order *o, char out[CENTRAL_NAME])
{
	central_text(out, CENTRAL_NAME, o->name);
}

enum rc
central_add(const struct central_trust *trust, enum central_copy which,
    struct agent_config *c, struct opener *o, struct error *err)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	char name[CENTRAL_NAME];
	struct order order;
	enum rc rc = central_copy_open(trust, which, arena, &order, err);

	if (rc == RC_OK) {
		group_name(&order, name);
		rc = agent_config_add(name, order.text, c, o, err);
	}
	arena_free(arena);
	return rc;
}

/* ---- the start ----------------------------------------------------------- */

/* The trial, if it goes on; true: it was added. */
static bool
begin_trial(const struct central_trust *trust, const struct central_seen *seen,
    struct agent_config *c, struct central_start *out)
{
	enum rc rc;

	if (seen->fate != FATE_TRIAL)
		return false;
	if (seen->tries >= TRIES) {
		out->given_up = true;
		(void)error_set(&out->reason, RC_LIMIT,
		    "the agent ended %d times before it reached a collector",
		    TRIES);
		return false;
	}
	rc = central_add(trust, CENTRAL_TRIAL, c, NULL, &out->reason);
	out->given_up = rc != RC_OK && rc != RC_EOF;
	return rc == RC_OK;
}

enum rc
central_begin(struct agent_config *c, struct central_start *out,
    struct error *err)
{
	struct central_trust trust = { .state_dir = c->state_dir,
		.agent = out->agent };
	struct error why;
	struct central_seen seen;
	enum rc rc;

	*out = (struct central_start){ .in_use = CENTRAL_NONE };
	rc = agent_config_keys(c, &out->keys, err);
	if (rc != RC_OK || out->keys == NULL)
		return rc;
	rc = tls_certificate_name(c->tls.certificate, out->agent,
	    sizeof(out->agent), err);
	if (rc != RC_OK)
		return error_prefix(err, "tls.certificate");
	if (!c->central.accept)
		return RC_OK;
	trust.keys = out->keys;
	central_seen_read(c->state_dir, &seen);
	if (begin_trial(&trust, &seen, c, out)) {
		out->in_use = CENTRAL_TRIAL;
		return RC_OK;
	}
	rc = central_add(&trust, CENTRAL_GOOD, c, NULL, &why);
	if (rc == RC_OK)
		out->in_use = CENTRAL_GOOD;
	else if (rc != RC_EOF)
		log_warn("central configuration: %s: going on with the local "
			 "one",
		    why.text);
	return RC_OK;
}

/* ---- what is told -------------------------------------------------------- */

static void
tell(struct central *c)
{
	c->options.wake(c->options.ctx);
}

static void
answer(struct central *c, struct slice order, struct slice result,
    struct slice reason, struct slice changes)
{
	struct json_writer w;
	struct buf text;

	if (c->n_answers == ANSWERS_MAX) {
		c->left_out++;
		return;
	}
	buf_init(&text, ANSWER_BYTES);
	json_begin(&w, &text);
	json_open(&w, '{');
	json_key(&w, "@timestamp");
	json_time(&w, timestamp_now());
	json_key(&w, "kuzet");
	json_open(&w, '{');
	json_key(&w, "control");
	json_str(&w, "answer");
	json_key(&w, "order");
	json_string(&w, order);
	json_key(&w, "result");
	json_string(&w, result);
	json_optional(&w, "reason", reason);
	if (changes.len > 0) {
		json_key(&w, "changes");
		json_raw(&w, changes);
	}
	json_close(&w, '}');
	json_close(&w, '}');
	if (text.overflowed)
		c->left_out++;
	else
		c->answers[c->n_answers++] =
		    (struct text){ xmemdupz(text.ptr, text.len), text.len };
	buf_fini(&text);
	c->options.wake(c->options.ctx);
}

static void
refuse(struct central *c, const struct order *o, const struct error *err)
{
	answer(c, o->id, SLICE("refused"),
	    (struct slice){ err->text, strlen(err->text) },
	    (struct slice){ NULL, 0 });
}

void
central_answer(struct central *c, struct slice order, struct slice result,
    struct slice reason)
{
	answer(c, order, result, reason, (struct slice){ NULL, 0 });
}

void
central_fill(struct central *c, struct window *w)
{
	size_t n = 0;

	while (n < c->n_answers && !window_full(w)) {
		control_add(w,
		    (struct slice){ c->answers[n].ptr, c->answers[n].len });
		w->receipts[w->n - 1] = (struct receipt){ .input = NULL };
		free(c->answers[n++].ptr);
	}
	c->n_answers -= n;
	memmove(c->answers, c->answers + n,
	    c->n_answers * sizeof(c->answers[0]));
}

void
central_status(const struct central *c, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "accept");
	json_bool(w, c->options.accept);
	json_key(w, "state");
	json_str(w, central_fate_name(c->seen.fate));
	json_key(w, "version");
	json_uint(w, c->seen.version);
	json_optional_str(w, "hash", c->seen.hash);
	json_optional_str(w, "group", c->seen.name);
	json_optional_str(w, "reason", c->seen.reason);
	json_key(w, "rejected");
	json_uint(w, c->rejected);
	json_key(w, "left_out");
	json_uint(w, c->left_out);
	json_close(w, '}');
}

/* ---- the way of a configuration ------------------------------------------ */

static void
settle(struct central *c, enum central_fate fate, const char *reason)
{
	c->seen.fate = fate;
	central_text(c->seen.reason, sizeof(c->seen.reason),
	    (struct slice){ reason, strlen(reason) });
	central_seen_save(c->state_dir, &c->seen);
	tell(c);
}

static void
use(struct central *c, enum central_copy which)
{
	c->in_use = which;
	c->mark++;
}

static enum central_copy
good_one(const struct central *c)
{
	return central_copy_exists(c->state_dir, CENTRAL_GOOD) ? CENTRAL_GOOD
							       : CENTRAL_NONE;
}

static void
use_good(struct central *c)
{
	enum central_copy to = good_one(c);
	struct error err;

	if (c->options.apply(c->options.ctx, to, &err) == RC_OK) {
		use(c, to);
		return;
	}
	log_error("the configuration before cannot be used now: %s", err.text);
	loop_timer_start(c->timer, c->options.fall_back_ns);
}

/* Said first and done then: an end in between goes on with the good one. */
static void
fall_back(struct central *c, const char *reason)
{
	log_warn("configuration %llu of %s: %s: back to the one before",
	    (unsigned long long)c->seen.version, c->seen.name, reason);
	settle(c, FATE_FALLEN, reason);
	central_copy_remove(c->state_dir, CENTRAL_TRIAL);
	use_good(c);
}

static void
on_timer(void *ctx)
{
	struct central *c = ctx;
	char reason[128];

	if (c->in_use != CENTRAL_TRIAL)
		return;
	if (c->unkept)
		(void)snprintf(reason, sizeof(reason),
		    "it could not be kept in the state folder");
	else
		(void)snprintf(reason, sizeof(reason),
		    "no collector acknowledged anything for %lld s",
		    (long long)(c->options.fall_back_ns / NS_PER_SEC));
	fall_back(c, reason);
}

uint64_t
central_mark(const struct central *c)
{
	return c->mark;
}

void
central_acked(struct central *c, uint64_t mark)
{
	if (c->in_use != CENTRAL_TRIAL || mark != c->mark)
		return;
	loop_timer_stop(c->timer);
	c->unkept = !central_copy_keep(c->state_dir);
	if (c->unkept) {
		loop_timer_start(c->timer, 0); /* not within the sender */
		return;
	}
	use(c, CENTRAL_GOOD);
	log_info("configuration %llu of %s is in use",
	    (unsigned long long)c->seen.version, c->seen.name);
	settle(c, FATE_APPLIED, "");
}

/* RC_AGAIN: known, nothing to do but to say so. */
static enum rc
look_at_version(const struct central *c, const struct order *o,
    const char *hash, struct error *err)
{
	const struct central_seen *s = &c->seen;
	bool same = strcmp(hash, s->hash) == 0;

	if (!c->options.accept)
		return error_set(err, RC_DENIED,
		    "central.accept is not set in agent.yaml");
	if (o->version < s->version)
		return error_set(err, RC_DENIED,
		    "version %llu is older than %llu, which was here before",
		    (unsigned long long)o->version,
		    (unsigned long long)s->version);
	if (o->version > s->version)
		return RC_OK;
	if (!same)
		return error_set(err, RC_DENIED,
		    "version %llu was here before with another content",
		    (unsigned long long)o->version);
	return s->fate == FATE_TRIAL || s->fate == FATE_APPLIED ||
		s->fate == FATE_FALLEN
	    ? RC_AGAIN
	    : RC_OK;
}

/* The same content under a new version: nothing changes but the number. */
static bool
renew(struct central *c, const struct order *o, const char *hash,
    struct slice wire)
{
	struct error err;

	if (c->in_use != CENTRAL_GOOD || c->seen.fate != FATE_APPLIED ||
	    strcmp(hash, c->seen.hash) != 0 ||
	    central_copy_write(c->state_dir, CENTRAL_GOOD, wire, &err) != RC_OK)
		return false;
	c->seen.version = o->version;
	settle(c, FATE_APPLIED, "");
	return true;
}

static void
try(struct central *c, const struct order *o, struct slice wire)
{
	struct error err;
	enum rc rc;

	loop_timer_stop(c->timer);
	/* another one's, if that is still on trial */
	central_copy_remove(c->state_dir, CENTRAL_TRIAL);
	c->seen.version = o->version;
	c->seen.tries = 0;
	order_hash(o->text, c->seen.hash);
	group_name(o, c->seen.name);
	settle(c, FATE_TRIAL, "");
	rc = central_copy_write(c->state_dir, CENTRAL_TRIAL, wire, &err);
	if (rc == RC_OK)
		rc = c->options.apply(c->options.ctx, CENTRAL_TRIAL, &err);
	if (rc != RC_OK) {
		log_warn("configuration %llu of %s is refused: %s",
		    (unsigned long long)c->seen.version, c->seen.name,
		    err.text);
		settle(c, FATE_REFUSED, err.text);
		central_copy_remove(c->state_dir, CENTRAL_TRIAL);
		if (c->in_use == CENTRAL_TRIAL)
			use_good(c);
		return;
	}
	use(c, CENTRAL_TRIAL);
	loop_timer_start(c->timer, c->options.fall_back_ns);
	log_info("configuration %llu of %s is tried",
	    (unsigned long long)c->seen.version, c->seen.name);
	tell(c);
}

static void
take_config(struct central *c, const struct order *o, struct slice wire)
{
	char hash[SHA256_TEXT];
	struct error err;
	enum rc rc;

	order_hash(o->text, hash);
	rc = look_at_version(c, o, hash, &err);
	if (rc == RC_AGAIN) {
		tell(c);
	} else if (rc != RC_OK) {
		log_warn("a configuration is refused: %s", err.text);
		refuse(c, o, &err);
	} else if (!renew(c, o, hash, wire)) {
		try(c, o, wire);
	}
}

static void
take_check(struct central *c, const struct order *o, struct slice wire)
{
	struct slice none = { NULL, 0 };
	struct buf changes;
	struct error err;
	enum rc rc = order_in_time(o, timestamp_now(), ORDER_SKEW_NS, &err);

	buf_init(&changes, ANSWER_BYTES / 2);
	if (rc == RC_OK && !c->options.accept)
		rc = error_set(&err, RC_DENIED,
		    "central.accept is not set in agent.yaml");
	if (rc == RC_OK)
		rc =
		    central_copy_write(c->state_dir, CENTRAL_CHECK, wire, &err);
	if (rc == RC_OK)
		rc = c->options.check(c->options.ctx, CENTRAL_CHECK, &changes,
		    &err);
	central_copy_remove(c->state_dir, CENTRAL_CHECK);
	if (rc == RC_OK)
		answer(c, o->id, SLICE("good"), none,
		    changes.overflowed ? none : buf_slice(&changes));
	else
		refuse(c, o, &err);
	buf_fini(&changes);
}

static void
take_order(struct central *c, struct slice wire)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct order o;
	struct error err;
	enum rc rc = order_open(wire, c->keys, arena, &o, &err);

	if (rc == RC_OK)
		rc = order_is_for(&o, c->agent, &err);
	if (rc != RC_OK) {
		c->rejected++;
		log_warn("a message of the collector is refused: %s", err.text);
	} else if (slice_eq(o.kind, SLICE("config"))) {
		take_config(c, &o, wire);
	} else if (slice_eq(o.kind, SLICE("check"))) {
		take_check(c, &o, wire);
	} else {
		c->options.respond(c->options.ctx, o.id, wire);
	}
	arena_free(arena);
}

static void
work(void *ctx)
{
	struct central *c = ctx;

	c->posted = false;
	for (size_t i = 0; i < c->n_waiting; i++) {
		take_order(c,
		    (struct slice){ c->waiting[i].ptr, c->waiting[i].len });
		free(c->waiting[i].ptr);
	}
	c->n_waiting = 0;
}

void
central_take(struct central *c, struct slice wire)
{
	if (c->keys == NULL || c->n_waiting == WAITING_MAX) {
		c->left_out++;
		return;
	}
	c->waiting[c->n_waiting++] =
	    (struct text){ xmemdupz(wire.ptr, wire.len), wire.len };
	if (!c->posted)
		loop_post(c->options.loop, work, c);
	c->posted = true;
}

void
central_failed(struct central *c, const struct error *why)
{
	if (c->in_use != CENTRAL_TRIAL)
		return;
	c->in_use = CENTRAL_NONE;
	settle(c, FATE_FALLEN, why->text);
	central_copy_remove(c->state_dir, CENTRAL_TRIAL);
}

/* ---- the whole ----------------------------------------------------------- */

/* An end between two steps is made good: what is there says what was done. */
static void
reconcile(struct central *c, const struct central_start *start)
{
	struct central_trust trust = central_trust(c);
	struct arena *arena = arena_new(ARENA_BLOCK);
	char hash[SHA256_TEXT];
	struct error err;
	struct order good;

	if (start->given_up) {
		settle(c, FATE_FALLEN, start->reason.text);
	} else if (c->in_use == CENTRAL_TRIAL) {
		c->seen.tries++;
		central_seen_save(c->state_dir, &c->seen);
	} else if (c->in_use == CENTRAL_GOOD &&
	    central_copy_open(&trust, CENTRAL_GOOD, arena, &good, &err) ==
		RC_OK &&
	    good.version >= c->seen.version) {
		order_hash(good.text, hash);
		c->seen.version = good.version;
		memcpy(c->seen.hash, hash, sizeof(hash));
		group_name(&good, c->seen.name);
		if (c->seen.fate != FATE_APPLIED)
			settle(c, FATE_APPLIED, "");
	} else if (c->seen.fate == FATE_TRIAL ||
	    (c->seen.fate == FATE_APPLIED && c->in_use != CENTRAL_GOOD)) {
		c->seen.fate = FATE_NONE; /* it may come again */
		central_seen_save(c->state_dir, &c->seen);
	}
	if (c->in_use != CENTRAL_TRIAL)
		central_copy_remove(c->state_dir, CENTRAL_TRIAL);
	central_copy_remove(c->state_dir, CENTRAL_CHECK);
	arena_free(arena);
}

struct central *
central_new(const struct central_options *options, struct central_start *start)
{
	struct central *c = xzalloc(sizeof(*c));

	c->options = *options;
	c->state_dir = xstrdup(options->state_dir);
	c->options.state_dir = c->state_dir;
	c->keys = start->keys;
	start->keys = NULL;
	memcpy(c->agent, start->agent, sizeof(c->agent));
	c->in_use = start->in_use;
	c->mark = 1;
	c->timer = loop_timer_new(options->loop, on_timer, c);
	if (c->keys == NULL)
		return c;
	central_seen_read(options->state_dir, &c->seen);
	if (options->accept)
		reconcile(c, start);
	if (c->in_use == CENTRAL_TRIAL)
		loop_timer_start(c->timer, options->fall_back_ns);
	return c;
}

void
central_free(struct central *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n_waiting; i++)
		free(c->waiting[i].ptr);
	for (size_t i = 0; i < c->n_answers; i++)
		free(c->answers[i].ptr);
	loop_timer_free(c->timer);
	sign_keys_free(c->keys);
	free(c->state_dir);
	free(c);
}

void
central_reconfigure(struct central *c, bool accept, int64_t fall_back_ns)
{
	c->options.accept = accept && c->keys != NULL;
	c->options.fall_back_ns = fall_back_ns;
	if (!accept && c->in_use != CENTRAL_NONE)
		use(c, CENTRAL_NONE);
	else if (c->in_use != central_in_use(c))
		use(c, central_in_use(c));
}

void
central_refused(struct central *c, const struct error *why)
{
	log_warn("central configuration: %s: going on with the local one",
	    why->text);
	use(c, CENTRAL_NONE);
	settle(c, FATE_REFUSED, why->text);
}

enum central_copy
central_in_use(const struct central *c)
{
	/* given up, and what was before could not be used yet */
	if (c->in_use == CENTRAL_TRIAL &&
	    !central_copy_exists(c->state_dir, CENTRAL_TRIAL))
		return good_one(c);
	return c->in_use;
}

struct central_trust
central_trust(const struct central *c)
{
	return (
	    struct central_trust){ c->options.state_dir, c->keys, c->agent };
}
