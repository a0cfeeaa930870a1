/* SPDX-License-Identifier: Apache-2.0 */
/* The places of field names in byte order, made anew as the names grow. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "field.h"
#include "xalloc.h"

enum { SLACK = 64 };

/*
 * Never freed, since readers take no lock: each is a quarter larger than the
 * one before, so all of them together are bounded by FIELDS_MAX too.
 */
struct ranks {
	struct ranks *older;
	uint32_t n;
	uint32_t rank[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct ranks *) current;

static int
compare(const void *a, const void *b)
{
	struct slice x = field_name(*(const uint32_t *)a);
	struct slice y = field_name(*(const uint32_t *)b);
	int c = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);

	return c != 0 ? c : (x.len > y.len) - (x.len < y.len);
}

static struct ranks *
make(uint32_t n, struct ranks *older)
{
	struct ranks *r = xzalloc(sizeof(*r) + n * sizeof(r->rank[0]));
	uint32_t *ids = xcalloc(n, sizeof(ids[0]));

	for (uint32_t i = 1; i < n; i++)
		ids[i] = i;
	qsort(ids + 1, n - 1, sizeof(ids[0]), compare);
	for (uint32_t i = 1; i < n; i++)
		r->rank[ids[i]] = i;
	free(ids);
	r->n = n;
	r->older = older;
	return r;
}

const uint32_t *
field_ranks(uint32_t *n)
{
	struct ranks *r = atomic_load_explicit(&current, memory_order_acquire);
	uint32_t count = field_count();

	if (r == NULL || count > r->n + r->n / 4 + SLACK) {
		(void)pthread_mutex_lock(&lock);
		r = atomic_load_explicit(&current, memory_order_relaxed);
		if (r == NULL || count > r->n + r->n / 4 + SLACK) {
			r = make(count, r);
			atomic_store_explicit(&current, r,
			    memory_order_release);
		}
		(void)pthread_mutex_unlock(&lock);
	}
	*n = r->n;
	return r->rank;
}
