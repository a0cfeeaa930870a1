/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/central.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/inputs/line_event.h"
#include "agent/inputs/slurp.h"
#include "arena.h"
#include "json.h"
#include "log.h"
#include "state_file.h"
#include "timestamp.h"
#include "tls.h"
#include "xalloc.h"

enum {
	TRIES = 3, /* starts of a trial that nothing came of */
	STATE_BYTES = 8192,
	NAME_BYTES = 256,
	REASON_BYTES = 1024,
	WAITING_MAX = 16, /* messages that came */
	ANSWERS_MAX = 64, /* that are yet to be sent */
	ANSWER_BYTES = 64 * 1024,
	ARENA_BLOCK = 64 * 1024
};

static const char *const copy_names[] = {
	[CENTRAL_GOOD] = "central.good",
	[CENTRAL_TRIAL] = "central.trial",
	[CENTRAL_CHECK] = "central.check",
};
static const char state_name[] = "central.state";

/* What became of the newest version. */
enum fate { FATE_NONE, FATE_TRIAL, FATE_APPLIED, FATE_REFUSED, FATE_FALLEN };
static const char *const fates[] = { "none", "trial", "applied", "refused",
	"fallen_back" };
enum { FATES = sizeof(fates) / sizeof(fates[0]) };

struct seen {
	uint64_t version;
	enum fate fate;
	unsigned tries;
	char hash[SHA256_TEXT];
	char name[NAME_BYTES];
	char reason[REASON_BYTES];
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
	struct seen seen;
	uint64_t mark; /* grows with each change of what is in use */
	struct loop_timer *timer;
	struct text waiting[WAITING_MAX], answers[ANSWERS_MAX];
	size_t n_waiting, n_answers;
	bool posted;
	uint64_t rejected; /* messages of nobody that we trust */
	uint64_t left_out; /* messages and answers that a bound forced out */
};

/* ---- the state folder ---------------------------------------------------- */

static void
path_in(const char *dir, const char *name, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

/* Root may read it before it becomes another: no link, no pipe is followed. */
static enum rc
read_file(const char *dir, const char *name, struct buf *out, struct error *err)
{
	char path[PATH_MAX];
	struct stat st;
	ssize_t n = 1;
	char *room;
	int fd;

	path_in(dir, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return errno == ENOENT
		    ? RC_EOF
		    : error_set_errno(err, errno, "%s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		n = -1;
	while (n > 0 && (room = buf_reserve(out, 4096)) != NULL) {
		n = read(fd, room, 4096);
		if (n > 0)
			out->len += (size_t)n;
	}
	(void)close(fd);
	return n == 0 ? RC_OK
		      : error_set(err, RC_INVALID, "%s: cannot be read", path);
}

static void
remove_file(const char *dir, const char *name)
{
	char path[PATH_MAX];

	path_in(dir, name, path);
	if (unlink(path) != 0 && errno != ENOENT)
		log_warn("cannot remove %s", path);
}

static void
copy_text(char *out, size_t room, struct slice s)
{
	size_t n = s.len < room ? s.len : room - 1;

	if (n > 0)
		memcpy(out, s.ptr, n);
	out[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)out[i] < ' ')
			out[i] = ' ';
	}
}

static uint64_t
number_of(struct slice s)
{
	char text[24];

	copy_text(text, sizeof(text), s);
	return strtoull(text, NULL, 10);
}

static void
read_state_line(struct seen *s, struct slice line)
{
	struct slice key;

	if (!slurp_field(&line, ' ', &key))
		return;
	if (slice_eq(key, SLICE("version")))
		s->version = number_of(line);
	else if (slice_eq(key, SLICE("tries")))
		s->tries = (unsigned)number_of(line);
	else if (slice_eq(key, SLICE("hash")))
		copy_text(s->hash, sizeof(s->hash), line);
	else if (slice_eq(key, SLICE("name")))
		copy_text(s->name, sizeof(s->name), line);
	else if (slice_eq(key, SLICE("reason")))
		copy_text(s->reason, sizeof(s->reason), line);
	for (size_t i = 0; slice_eq(key, SLICE("state")) && i < FATES; i++) {
		if (slice_eq(line,
			(struct slice){ fates[i], strlen(fates[i]) }))
			s->fate = (enum fate)i;
	}
}

static void
read_state(const char *dir, struct seen *s)
{
	struct slice rest, line;
	struct error err;
	struct buf text;

	*s = (struct seen){ .version = 0 };
	buf_init(&text, STATE_BYTES);
	if (read_file(dir, state_name, &text, &err) == RC_OK) {
		rest = buf_slice(&text);
		while (slurp_line(&rest, &line))
			read_state_line(s, line);
	}
	buf_fini(&text);
}

static void
save_state(const struct central *c)
{
	const struct seen *s = &c->seen;
	struct error err;
	struct buf text;

	buf_init(&text, STATE_BYTES);
	(void)buf_printf(&text,
	    "version %llu\nhash %s\nstate %s\ntries %u\nname %s\nreason %s\n",
	    (unsigned long long)s->version, s->hash, fates[s->fate], s->tries,
	    s->name, s->reason);
	if (state_file_replace(c->options.state_dir, state_name,
		buf_slice(&text), &err) != RC_OK)
		log_warn("%s", err.text);
	buf_fini(&text);
}

/* A copy that is signed and for us; texts are the arena's. */
static enum rc
open_copy(const struct central_trust *trust, enum central_copy which,
    struct arena *arena, struct order *out, struct error *err)
{
	struct buf wire;
	enum rc rc;

	buf_init(&wire, ORDER_WIRE_MAX);
	rc = read_file(trust->state_dir, copy_names[which], &wire, err);
	if (rc == RC_OK)
		rc = order_open(arena_copy(arena, buf_slice(&wire)),
		    trust->keys, arena, out, err);
	if (rc == RC_OK)
		rc = order_is_for(out, trust->agent, err);
	buf_fini(&wire);
	if (rc != RC_OK && rc != RC_EOF)
		(void)error_prefix(err, "%s/%s", trust->state_dir,
		    copy_names[which]);
	return rc;
}

static void
group_name(const struct order *o, char out[NAME_BYTES])
{
	copy_text(out, NAME_BYTES, o->name);
}

enum rc
central_add(const struct central_trust *trust, enum central_copy which,
    struct agent_config *c, struct opener *o, struct error *err)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	char name[NAME_BYTES];
	struct order order;
	enum rc rc = open_copy(trust, which, arena, &order, err);

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
begin_trial(const struct central_trust *trust, const struct seen *seen,
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
	struct seen seen;
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
	read_state(c->state_dir, &seen);
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
	json_str(w, fates[c->seen.fate]);
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
settle(struct central *c, enum fate fate, const char *reason)
{
	c->seen.fate = fate;
	copy_text(c->seen.reason, sizeof(c->seen.reason),
	    (struct slice){ reason, strlen(reason) });
	save_state(c);
	tell(c);
}

static void
use(struct central *c, enum central_copy which)
{
	c->in_use = which;
	c->mark++;
}

static bool
copy_exists(const struct central *c, enum central_copy which)
{
	char path[PATH_MAX];

	path_in(c->options.state_dir, copy_names[which], path);
	return access(path, F_OK) == 0;
}

static void
use_good(struct central *c)
{
	enum central_copy to =
	    copy_exists(c, CENTRAL_GOOD) ? CENTRAL_GOOD : CENTRAL_NONE;
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
	remove_file(c->options.state_dir, copy_names[CENTRAL_TRIAL]);
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

/* Its folder too, so that the name is there after any crash. */
static bool
keep_trial(const struct central *c)
{
	const char *dir = c->options.state_dir;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool kept = fd != -1 &&
	    renameat(fd, copy_names[CENTRAL_TRIAL], fd,
		copy_names[CENTRAL_GOOD]) == 0 &&
	    fsync(fd) == 0;

	if (fd != -1)
		(void)close(fd);
	return kept;
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
	c->unkept = !keep_trial(c);
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
	const struct seen *s = &c->seen;
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

static enum rc
write_copy(const struct central *c, enum central_copy which, struct slice wire,
    struct error *err)
{
	return state_file_replace(c->options.state_dir, copy_names[which], wire,
	    err);
}

/* The same content under a new version: nothing changes but the number. */
static bool
renew(struct central *c, const struct order *o, const char *hash,
    struct slice wire)
{
	struct error err;

	if (c->in_use != CENTRAL_GOOD || c->seen.fate != FATE_APPLIED ||
	    strcmp(hash, c->seen.hash) != 0 ||
	    write_copy(c, CENTRAL_GOOD, wire, &err) != RC_OK)
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
	remove_file(c->options.state_dir, copy_names[CENTRAL_TRIAL]);
	c->seen.version = o->version;
	c->seen.tries = 0;
	order_hash(o->text, c->seen.hash);
	group_name(o, c->seen.name);
	settle(c, FATE_TRIAL, "");
	rc = write_copy(c, CENTRAL_TRIAL, wire, &err);
	if (rc == RC_OK)
		rc = c->options.apply(c->options.ctx, CENTRAL_TRIAL, &err);
	if (rc != RC_OK) {
		log_warn("configuration %llu of %s is refused: %s",
		    (unsigned long long)c->seen.version, c->seen.name,
		    err.text);
		settle(c, FATE_REFUSED, err.text);
		remove_file(c->options.state_dir, copy_names[CENTRAL_TRIAL]);
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
		rc = write_copy(c, CENTRAL_CHECK, wire, &err);
	if (rc == RC_OK)
		rc = c->options.check(c->options.ctx, CENTRAL_CHECK, &changes,
		    &err);
	remove_file(c->options.state_dir, copy_names[CENTRAL_CHECK]);
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
	remove_file(c->options.state_dir, copy_names[CENTRAL_TRIAL]);
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
		save_state(c);
	} else if (c->in_use == CENTRAL_GOOD &&
	    open_copy(&trust, CENTRAL_GOOD, arena, &good, &err) == RC_OK &&
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
		save_state(c);
	}
	if (c->in_use != CENTRAL_TRIAL)
		remove_file(c->options.state_dir, copy_names[CENTRAL_TRIAL]);
	remove_file(c->options.state_dir, copy_names[CENTRAL_CHECK]);
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
	read_state(options->state_dir, &c->seen);
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
	return c->in_use;
}

struct central_trust
central_trust(const struct central *c)
{
	return (
	    struct central_trust){ c->options.state_dir, c->keys, c->agent };
}
