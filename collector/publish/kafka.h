/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish/: one topic of a Kafka cluster.  Used by one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "collector/publish/publish.h"
#include "slice.h"

struct kafka;

enum kafka_state { KAFKA_WAITING, KAFKA_DELIVERED, KAFKA_FAILED };

struct kafka_message {
	struct slice key, value; /* borrowed until its state is known */
	enum kafka_state state;
};

/* As publish_check().  No connection is made, no thread started that would. */
enum rc kafka_check(const struct publish_options *options, size_t *property,
    struct error *err);

/* `topic` is copied; `on_error` tells what the client library complains of. */
enum rc kafka_new(const struct publish_options *options, const char *topic,
    void (*on_error)(void *ctx, const char *message), void *ctx,
    struct kafka **out, struct error *err);
/* What is not delivered by now is given up.  NULL is fine. */
void kafka_free(struct kafka *k);

/*
 * The topic is there (made if it was missing) and the ends of its partitions
 * are known.  Any error: try again later.
 */
enum rc kafka_ready(struct kafka *k, struct error *err);

/* "0:17 1:4": where each partition ends, as far as is known; no NUL. */
void kafka_ends(const struct kafka *k, struct buf *out);

/*
 * Everything from `ends` (a partition it lacks: from its beginning) to the ends
 * that kafka_ready() found.
 */
typedef void kafka_tail_cb(void *ctx, struct slice key, struct slice value);
enum rc kafka_read_tail(struct kafka *k, struct slice ends, kafka_tail_cb *cb,
    void *ctx, struct error *err);

/* Hands the message over; its state tells how it went. */
enum rc kafka_send(struct kafka *k, struct kafka_message *m, struct error *err);
/* Reports of deliveries come in here. */
void kafka_poll(struct kafka *k, int timeout_ms);
/* The producer cannot go on: free it, make a new one. */
bool kafka_is_broken(const struct kafka *k);
