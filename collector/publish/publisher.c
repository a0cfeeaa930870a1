/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher's thread.  One round: what is due is read, the ends of the
 * topic are noted, everything is sent, and each row is marked as its delivery
 * is reported.  A round that ends otherwise makes the next one begin with
 * reading the topic from the noted ends (`in_doubt`).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arena.h"
#include "collector/publish/kafka.h"
#include "digest.h"
#include "loop.h"
#include "soc.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 1 << 16,
	ROUND = 500, /* rows of one round */
	TOPIC_TEXT = 256,
	NOTE_TEXT = 64 * 1024,
	SEEN_MAX = 1 << 20,
	TROUBLE_TEXT = 1024, /* as an error */
	POLL_MS = 100,
	SETTLE_LOOKS = 10,
};

#define MS 1000000LL

static const int64_t look_ns = 500 * MS;
static const int64_t first_pause_ns = 250 * MS;
static const int64_t longest_pause_ns = 5000 * MS;
static const int64_t drain_default_ns = 5000 * MS;
static const int64_t settle_ns = 3000 * MS;

/* A message that the topic held when it was read: digests of key and value. */
struct seen {
	uint8_t key[SHA256_BYTES];
	uint8_t value[SHA256_BYTES];
	size_t order;
};

struct row {
	struct kafka_message message; /* in the round's arena */
	uint64_t revision;
	bool marked;
};

struct publish {
	struct publish_options options; /* its texts are ours */
	struct outbox *outbox;
	struct kafka *kafka; /* NULL: to be made */
	char topic[TOPIC_TEXT];
	char note[TOPIC_TEXT + 16];
	bool in_doubt; /* what was sent last may or may not be there */
	bool ready;    /* the topic's ends are known */
	int64_t pause_ns;

	struct seen *seen; /* sorted; dropped after a round without rows */
	size_t n_seen, seen_cap;
	char trouble[TROUBLE_TEXT]; /* told, not over */

	struct row rows[ROUND];
	size_t n;
	struct arena *arena; /* of the rows */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool woken, stopping;
	int64_t deadline; /* while stopping */
};

static int64_t
wall_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void
tell(struct publish *p, const char *message)
{
	if (strcmp(p->trouble, message) == 0)
		return;
	/* the library words one outage in many ways: one message is enough */
	if (p->trouble[0] != '\0' && message[0] != '\0')
		return;
	(void)snprintf(p->trouble, sizeof(p->trouble), "%s", message);
	if (p->options.on_trouble != NULL)
		p->options.on_trouble(p->options.ctx, message);
}

static void
on_kafka_error(void *ctx, const char *message)
{
	char text[TROUBLE_TEXT];

	(void)snprintf(text, sizeof(text), "kafka: %s", message);
	tell(ctx, text);
}

static bool
is_stopping(struct publish *p, bool *late)
{
	bool stopping;

	(void)pthread_mutex_lock(&p->lock);
	stopping = p->stopping;
	*late = stopping && loop_now() >= p->deadline;
	(void)pthread_mutex_unlock(&p->lock);
	return stopping;
}

static bool
is_late(struct publish *p)
{
	bool late;

	(void)is_stopping(p, &late);
	return late;
}

/* Until woken, stopped, or so long. */
static void
wait_for(struct publish *p, int64_t ns)
{
	struct timespec until;
	int64_t at = loop_now() + ns;

	(void)pthread_mutex_lock(&p->lock);
	if (p->stopping && p->deadline < at)
		at = p->deadline;
	until.tv_sec = (time_t)(at / 1000000000LL);
	until.tv_nsec = (long)(at % 1000000000LL);
	while (!p->woken)
		if (pthread_cond_timedwait(&p->changed, &p->lock, &until) != 0)
			break;
	p->woken = false;
	(void)pthread_mutex_unlock(&p->lock);
}

/* So long, woken or not; less only when the time to stop has come. */
static void
rest(struct publish *p, int64_t ns)
{
	int64_t until = loop_now() + ns;
	bool over = false;

	while (!over && loop_now() < until) {
		wait_for(p, until - loop_now());
		(void)pthread_mutex_lock(&p->lock);
		over = p->stopping && loop_now() >= p->deadline;
		(void)pthread_mutex_unlock(&p->lock);
	}
}

static int
by_key(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int order = memcmp(x->key, y->key, SHA256_BYTES);

	if (order != 0)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void
forget_seen(struct publish *p)
{
	free(p->seen);
	p->seen = NULL;
	p->n_seen = p->seen_cap = 0;
}

static void
on_tail(void *ctx, struct slice key, struct slice value)
{
	struct publish *p = ctx;
	struct seen *s;

	if (p->n_seen == SEEN_MAX)
		return;
	if (p->n_seen == p->seen_cap) {
		p->seen_cap = p->seen_cap > 0 ? 2 * p->seen_cap : 64;
		p->seen = xreallocarray(p->seen, p->seen_cap, sizeof(*p->seen));
	}
	s = &p->seen[p->n_seen];
	sha256_of(key, s->key);
	sha256_of(value, s->value);
	s->order = p->n_seen++;
}

/* Whether the topic's last value for the key is this one. */
static bool
is_there(const struct publish *p, const struct kafka_message *m)
{
	uint8_t key[SHA256_BYTES], value[SHA256_BYTES];
	size_t low = 0, high = p->n_seen;

	if (high == 0)
		return false;
	sha256_of(m->key, key);
	sha256_of(m->value, value);
	while (low < high) { /* the first that is greater */
		size_t mid = low + (high - low) / 2;

		if (memcmp(p->seen[mid].key, key, SHA256_BYTES) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 &&
	    memcmp(p->seen[low - 1].key, key, SHA256_BYTES) == 0 &&
	    memcmp(p->seen[low - 1].value, value, SHA256_BYTES) == 0;
}

/*
 * A broker that was frozen may still take what a producer before this one sent:
 * its ends are believed when two looks agree.
 */
static enum rc
settle(struct publish *p, struct error *err)
{
	struct buf before, after;
	enum rc rc = RC_OK;
	bool agree = false;

	buf_init(&before, NOTE_TEXT);
	buf_init(&after, NOTE_TEXT);
	for (int i = 0; rc == RC_OK && !agree && i < SETTLE_LOOKS; i++) {
		buf_clear(&before);
		buf_clear(&after);
		kafka_ends(p->kafka, &before);
		rest(p, settle_ns);
		rc = kafka_ready(p->kafka, err);
		kafka_ends(p->kafka, &after);
		agree = slice_eq(buf_slice(&before), buf_slice(&after));
	}
	buf_fini(&before);
	buf_fini(&after);
	return rc;
}

/* What is in the topic since the ends that were noted before a send. */
static enum rc
read_again(struct publish *p, struct error *err)
{
	struct buf ends;
	enum rc rc;

	buf_init(&ends, NOTE_TEXT);
	forget_seen(p);
	rc = outbox_note_get(p->outbox, p->note, &ends, err);
	if (rc == RC_OK && ends.len > 0)
		rc = settle(p, err);
	if (rc == RC_OK && ends.len > 0)
		rc = kafka_read_tail(p->kafka, buf_slice(&ends), on_tail, p,
		    err);
	if (rc == RC_OK && p->n_seen > 1)
		qsort(p->seen, p->n_seen, sizeof(*p->seen), by_key);
	buf_fini(&ends);
	return rc;
}

/* A producer, its topic, and no doubt. */
static enum rc
get_ready(struct publish *p, struct error *err)
{
	enum rc rc = RC_OK;

	if (p->kafka != NULL && kafka_is_broken(p->kafka)) {
		kafka_free(p->kafka);
		p->kafka = NULL;
		p->ready = false;
		p->in_doubt = true;
	}
	if (p->kafka == NULL)
		rc = kafka_new(&p->options, p->topic, on_kafka_error, p,
		    &p->kafka, err);
	if (rc == RC_OK && (!p->ready || p->in_doubt)) {
		rc = kafka_ready(p->kafka, err);
		if (rc == RC_OK && p->in_doubt)
			rc = read_again(p, err);
		p->ready = rc == RC_OK;
		p->in_doubt = p->in_doubt && !p->ready;
		if (p->ready)
			tell(p, "");
	}
	if (p->kafka != NULL)
		kafka_poll(p->kafka, 0); /* its errors */
	return rc;
}

static bool
on_due(void *ctx, struct slice id, uint64_t revision, struct slice json)
{
	struct publish *p = ctx;
	struct row *r = &p->rows[p->n++];

	*r = (struct row){ .revision = revision };
	r->message.key = arena_copy(p->arena, id);
	r->message.value = arena_copy(p->arena, json);
	r->message.state =
	    is_there(p, &r->message) ? KAFKA_DELIVERED : KAFKA_WAITING;
	return p->n < ROUND;
}

static enum rc
mark_delivered(struct publish *p, struct error *err)
{
	struct outbox_sent sent[ROUND];
	size_t n = 0;
	enum rc rc;

	for (size_t i = 0; i < p->n; i++) {
		const struct row *r = &p->rows[i];

		if (!r->marked && r->message.state == KAFKA_DELIVERED)
			sent[n++] = (struct outbox_sent){ r->message.key,
				r->revision, r->message.value };
	}
	if (n == 0)
		return RC_OK;
	rc = outbox_delivered(p->outbox, sent, n, wall_clock(), err);
	for (size_t i = 0; rc == RC_OK && i < p->n; i++)
		p->rows[i].marked = p->rows[i].message.state == KAFKA_DELIVERED;
	return rc;
}

static size_t
count_waiting(const struct publish *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->rows[i].message.state == KAFKA_WAITING;
	return n;
}

static enum rc
note_ends(struct publish *p, struct error *err)
{
	struct buf ends;
	enum rc rc;

	buf_init(&ends, NOTE_TEXT);
	kafka_ends(p->kafka, &ends);
	rc = outbox_note_set(p->outbox, p->note, buf_slice(&ends), err);
	buf_fini(&ends);
	return rc;
}

/* Everything of the round is delivered, failed, or it is late. */
static enum rc
send_round(struct publish *p, struct error *err)
{
	enum rc rc = note_ends(p, err);

	for (size_t i = 0; rc == RC_OK && i < p->n; i++)
		if (p->rows[i].message.state == KAFKA_WAITING)
			rc = kafka_send(p->kafka, &p->rows[i].message, err);
	while (rc == RC_OK && count_waiting(p) > 0 && !is_late(p) &&
	    !kafka_is_broken(p->kafka)) {
		kafka_poll(p->kafka, POLL_MS);
		rc = mark_delivered(p, err);
	}
	return rc;
}

static enum rc
finish_round(struct publish *p, enum rc rc, struct error *err)
{
	bool all = true;

	if (rc == RC_OK)
		rc = mark_delivered(p, err);
	for (size_t i = 0; i < p->n; i++)
		all = all && p->rows[i].marked;
	if (all) {
		tell(p, "");
		return rc;
	}
	/* reports write to rows that end with the round: no producer after it */
	kafka_free(p->kafka);
	p->kafka = NULL;
	p->ready = false;
	p->in_doubt = true;
	return rc != RC_OK ? rc
			   : error_set(err, RC_LIBRARY,
				 "kafka: not everything could be delivered");
}

/* RC_EOF: nothing is due. */
static enum rc
round_of_rows(struct publish *p, struct error *err)
{
	enum rc rc;

	p->n = 0;
	arena_reset(p->arena);
	rc = outbox_due(p->outbox, wall_clock(), ROUND, on_due, p, err);
	if (rc != RC_OK)
		return rc;
	if (p->n == 0) {
		forget_seen(p);
		return RC_EOF;
	}
	if (count_waiting(p) > 0)
		rc = send_round(p, err);
	return finish_round(p, rc, err);
}

/* Nothing is in doubt: the next start need not read the topic. */
static void
end_clean(struct publish *p)
{
	struct error err;

	if (!p->in_doubt && p->ready)
		(void)outbox_note_set(p->outbox, p->note,
		    (struct slice){ "", 0 }, &err);
}

static void *
publisher_run(void *ctx)
{
	struct publish *p = ctx;
	bool flushed = false, late;

	for (;;) {
		bool stopping = is_stopping(p, &late);
		struct error err;
		enum rc rc;

		if (late)
			break;
		if (stopping && !flushed)
			flushed = outbox_flush(p->outbox, wall_clock(), &err) ==
			    RC_OK;
		/* a complaint while nothing is sent: look whether it is over */
		p->ready = p->ready && p->trouble[0] == '\0';
		rc = get_ready(p, &err);
		if (rc == RC_OK)
			rc = round_of_rows(p, &err);
		if (rc == RC_OK || rc == RC_EOF) {
			p->pause_ns = first_pause_ns;
			if (rc == RC_EOF && stopping)
				break;
			if (rc == RC_EOF)
				wait_for(p, look_ns);
			continue;
		}
		tell(p, err.text);
		wait_for(p, p->pause_ns);
		p->pause_ns = p->pause_ns * 2 < longest_pause_ns
		    ? p->pause_ns * 2
		    : longest_pause_ns;
	}
	end_clean(p);
	return NULL;
}

static const char *const *
copy_texts(const char *const *texts, size_t n)
{
	char **copy = xcalloc(n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(texts[i]);
	return (const char *const *)copy;
}

static void
free_texts(const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)texts[i]);
	free((void *)texts);
}

static void
copy_options(struct publish *p, const struct publish_options *from)
{
	struct publish_options *o = &p->options;

	*o = *from;
	o->brokers = copy_texts(from->brokers, from->n_brokers);
	o->names = copy_texts(from->names, from->n_properties);
	o->values = copy_texts(from->values, from->n_properties);
	(void)snprintf(p->topic, sizeof(p->topic), "%sincidents",
	    from->topic_prefix != NULL ? from->topic_prefix : "");
	o->topic_prefix = NULL;
	(void)snprintf(p->note, sizeof(p->note), "ends:%s", p->topic);
}

static void
free_options(struct publish *p)
{
	free_texts(p->options.brokers, p->options.n_brokers);
	free_texts(p->options.names, p->options.n_properties);
	free_texts(p->options.values, p->options.n_properties);
}

enum rc
publish_check(const struct publish_options *options, size_t *property,
    struct error *err)
{
	return kafka_check(options, property, err);
}

enum rc
publish_new(const struct publish_options *options, struct publish **out,
    struct error *err)
{
	struct publish *p;
	pthread_condattr_t attr;
	size_t property;
	enum rc rc = kafka_check(options, &property, err);

	*out = NULL;
	if (rc != RC_OK)
		return rc;
	p = xzalloc(sizeof(*p));
	p->pause_ns = first_pause_ns;
	p->in_doubt = true; /* until the note is read */
	copy_options(p, options);
	rc = outbox_open(options->store, &p->outbox, err);
	if (rc != RC_OK) {
		free_options(p);
		free(p);
		return rc;
	}
	p->arena = arena_new(ARENA_BLOCK);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (pthread_create(&p->thread, NULL, publisher_run, p) != 0)
		abort();
	*out = p;
	return RC_OK;
}

void
publish_wake(struct publish *p)
{
	(void)pthread_mutex_lock(&p->lock);
	p->woken = true;
	(void)pthread_cond_signal(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

void
publish_free(struct publish *p)
{
	int64_t drain;

	if (p == NULL)
		return;
	drain =
	    p->options.drain_ns > 0 ? p->options.drain_ns : drain_default_ns;
	(void)pthread_mutex_lock(&p->lock);
	p->stopping = true;
	p->deadline = loop_now() + drain;
	p->woken = true;
	(void)pthread_cond_signal(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->thread, NULL);
	kafka_free(p->kafka);
	outbox_close(p->outbox);
	forget_seen(p);
	arena_free(p->arena);
	free_options(p);
	(void)pthread_cond_destroy(&p->changed);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}
