/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded first-in first-out queue of pointers between threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t capacity);
void queue_free(struct queue *q); /* must be empty; NULL is fine */

/* Waits for room; false after queue_close(): the item stays the caller's. */
bool queue_push(struct queue *q, void *item);
/* Never waits: false if it is full or closed. */
bool queue_try_push(struct queue *q, void *item);

/* Waits; NULL when closed and empty. */
void *queue_pop(struct queue *q);
/* Waits at most so long; NULL: nothing came, or closed and empty. */
void *queue_pop_timeout(struct queue *q, int64_t timeout_ns);

/* No more pushes; what is inside can still be popped. */
void queue_close(struct queue *q);
bool queue_closed(struct queue *q);
size_t queue_length(struct queue *q);
