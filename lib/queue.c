/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "xalloc.h"

enum { NS = 1000000000 };

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_cond_t emptied;
	bool closed;
	size_t capacity;
	size_t head; /* next to pop */
	size_t n;
	void *items[];
};

struct queue *
queue_new(size_t capacity)
{
	struct queue *q = xzalloc(sizeof(*q) + capacity * sizeof(q->items[0]));
	pthread_condattr_t attr;

	assert(capacity > 0);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->filled, &attr);
	(void)pthread_cond_init(&q->emptied, &attr);
	(void)pthread_condattr_destroy(&attr);
	q->capacity = capacity;
	return q;
}

void
queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	assert(q->n == 0);
	(void)pthread_cond_destroy(&q->filled);
	(void)pthread_cond_destroy(&q->emptied);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

static void
put(struct queue *q, void *item)
{
	q->items[(q->head + q->n++) % q->capacity] = item;
	(void)pthread_cond_signal(&q->filled);
}

static void *
take(struct queue *q)
{
	void *item = q->items[q->head];

	q->head = (q->head + 1) % q->capacity;
	q->n--;
	(void)pthread_cond_signal(&q->emptied);
	return item;
}

bool
queue_push(struct queue *q, void *item)
{
	bool ok;

	(void)pthread_mutex_lock(&q->lock);
	while (q->n == q->capacity && !q->closed)
		(void)pthread_cond_wait(&q->emptied, &q->lock);
	ok = !q->closed;
	if (ok)
		put(q, item);
	(void)pthread_mutex_unlock(&q->lock);
	return ok;
}

bool
queue_try_push(struct queue *q, void *item)
{
	bool ok;

	(void)pthread_mutex_lock(&q->lock);
	ok = !q->closed && q->n < q->capacity;
	if (ok)
		put(q, item);
	(void)pthread_mutex_unlock(&q->lock);
	return ok;
}

void *
queue_pop(struct queue *q)
{
	void *item = NULL;

	(void)pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->closed)
		(void)pthread_cond_wait(&q->filled, &q->lock);
	if (q->n > 0)
		item = take(q);
	(void)pthread_mutex_unlock(&q->lock);
	return item;
}

void *
queue_pop_timeout(struct queue *q, int64_t timeout_ns)
{
	struct timespec until;
	void *item = NULL;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ns / NS;
	until.tv_nsec += timeout_ns % NS;
	if (until.tv_nsec >= NS) {
		until.tv_sec++;
		until.tv_nsec -= NS;
	}
	(void)pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->closed && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&q->filled, &q->lock, &until);
	if (q->n > 0)
		item = take(q);
	(void)pthread_mutex_unlock(&q->lock);
	return item;
}

void
queue_close(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_cond_broadcast(&q->emptied);
	(void)pthread_mutex_unlock(&q->lock);
}

bool
queue_closed(struct queue *q)
{
	bool closed;

	(void)pthread_mutex_lock(&q->lock);
	closed = q->closed;
	(void)pthread_mutex_unlock(&q->lock);
	return closed;
}

size_t
queue_length(struct queue *q)
{
	size_t n;

	(void)pthread_mutex_lock(&q->lock);
	n = q->n;
	(void)pthread_mutex_unlock(&q->lock);
	return n;
}
