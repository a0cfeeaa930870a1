/* SPDX-License-Identifier: Apache-2.0 */
#include "limiter.h"

#include <pthread.h>
#include <stdlib.h>

#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

enum { SLOTS = 8192, PROBES = 8, GROUPS_OF_64 = 4 };

struct bucket {
	uint64_t key;
	int64_t then_ns;
	double left;
};

struct limiter {
	pthread_mutex_t lock;
	double rate, burst;
	uint64_t seed;
	struct bucket buckets[SLOTS];
};

struct limiter *
limiter_new(double rate, double burst)
{
	struct limiter *l = xzalloc(sizeof(*l));

	(void)pthread_mutex_init(&l->lock, NULL);
	l->rate = rate;
	l->burst = burst;
	random_bytes(&l->seed, sizeof(l->seed));
	return l;
}

void
limiter_free(struct limiter *l)
{
	if (l == NULL)
		return;
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

/* FNV-1a from a secret start: nobody can choose keys that meet. */
static uint64_t
hash(const struct limiter *l, struct slice key)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ l->seed;

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ (unsigned char)key.ptr[i]) * UINT64_C(1099511628211);
	return h != 0 ? h : 1;
}

static void
refill(const struct limiter *l, struct bucket *b, int64_t now_ns)
{
	if (now_ns <= b->then_ns)
		return; /* another thread looked at the clock later */
	b->left += l->rate * (double)(now_ns - b->then_ns) / (double)NS_PER_SEC;
	if (b->left > l->burst)
		b->left = l->burst;
	b->then_ns = now_ns;
}

/* The key's bucket, or the fullest of those that it may have. */
static struct bucket *
find(struct limiter *l, struct slice key, int64_t now_ns)
{
	uint64_t h = hash(l, key);
	struct bucket *best = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		struct bucket *b = &l->buckets[(h + i) % SLOTS];

		if (b->key == 0) {
			best = b;
			break;
		}
		refill(l, b, now_ns);
		if (b->key == h)
			return b;
		if (best == NULL || b->left > best->left)
			best = b;
	}
	*best = (struct bucket){ h, now_ns, l->burst };
	return best;
}

static bool
take(struct limiter *l, struct slice key, int64_t now_ns, double n)
{
	struct bucket *b;
	bool there;

	(void)pthread_mutex_lock(&l->lock);
	b = find(l, key, now_ns);
	there = b->left >= 1;
	if (there)
		b->left -= n;
	(void)pthread_mutex_unlock(&l->lock);
	return there;
}

bool
limiter_take(struct limiter *l, struct slice key, int64_t now_ns)
{
	return take(l, key, now_ns, 1);
}

bool
limiter_has(struct limiter *l, struct slice key, int64_t now_ns)
{
	return take(l, key, now_ns, 0);
}

struct slice
limiter_address(const char *address)
{
	size_t len = strlen(address), colons = 0;

	if (strchr(address, ':') == NULL || strstr(address, "::ffff:") != NULL)
		return (struct slice){ address, len };
	for (size_t i = 0; i < len; i++) {
		colons += address[i] == ':';
		/* "::" stands for zeros: what follows it is the host's part */
		if (colons == GROUPS_OF_64 ||
		    (address[i] == ':' && address[i + 1] == ':'))
			return (struct slice){ address, i };
	}
	return (struct slice){ address, len };
}
