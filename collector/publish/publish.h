/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher: one thread that brings what is due in the outbox to Kafka.
 *
 * Each state of an incident goes out once: the producer is idempotent
 * (acks=all), the row is marked when the broker has it, and after anything that
 * leaves this open (a crash between the two, a time-out) the topic is read from
 * where it ended before the last send, and what is there already is not sent
 * again.  While Kafka is away nothing stops: rows wait, and it tries again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct store;
struct publish;

struct publish_options {
	struct store *store;        /* borrowed; not used by publish_check() */
	const char *const *brokers; /* HOST:PORT; texts are copied */
	size_t n_brokers;
	const char *topic_prefix; /* "kuzet.": topic kuzet.incidents */
	/* librdkafka properties, parallel arrays */
	const char *const *names;
	const char *const *values;
	size_t n_properties;
	int64_t drain_ns; /* how long publish_free() may take; 0: 5 s */
	/* In the publisher's thread; "" when over.  Once for each trouble. */
	void (*on_trouble)(void *ctx, const char *message);
	void *ctx;
};

/*
 * Everything that can be told without Kafka: for --check-config.  *property is
 * the index of the property that librdkafka refuses, else n_properties.
 */
enum rc publish_check(const struct publish_options *options, size_t *property,
    struct error *err);

/* Starts the thread; it connects by itself, now or later. */
enum rc publish_new(const struct publish_options *options, struct publish **out,
    struct error *err);

/* Any thread: something is due now.  It looks twice a second anyway. */
void publish_wake(struct publish *p);

/*
 * Sends what is due and what would be within the minute, as long as drain_ns
 * allows; the rest stays in the outbox.  NULL is fine.
 */
void publish_free(struct publish *p);
