/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/audit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "log.h"
#include "xalloc.h"

enum { WAITING_MAX = 4096, AT_ONCE = 256, RETRY_SECONDS = 1, LAST_TRIES = 3 };

/* An entry with its texts behind it. */
struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct audit_entry entry;
	char text[];
};

struct auditor {
	struct accounts *accounts;
	void (*written)(void *ctx);
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, done;
	STAILQ_HEAD(, waiting) list;
	size_t n;
	uint64_t added, finished; /* entries so far */
	bool trouble, stop;
	uint64_t lost;
};

static struct slice
put(char **at, struct slice s)
{
	struct slice copy = { *at, s.len };

	if (s.len > 0)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

static struct waiting *
copy_of(const struct audit_entry *e)
{
	struct waiting *w = xzalloc(sizeof(*w) + e->account.len + e->role.len +
	    e->address.len + e->action.len + e->method.len + e->target.len +
	    e->detail.len + 1);
	char *at = w->text;

	w->entry = *e;
	w->entry.account = put(&at, e->account);
	w->entry.role = put(&at, e->role);
	w->entry.address = put(&at, e->address);
	w->entry.action = put(&at, e->action);
	w->entry.method = put(&at, e->method);
	w->entry.target = put(&at, e->target);
	w->entry.detail = put(&at, e->detail);
	return w;
}

/* Under the lock: the first so many, which stay in the list. */
static size_t
first_ones(struct auditor *a, struct audit_entry list[AT_ONCE])
{
	const struct waiting *w;
	size_t n = 0;

	STAILQ_FOREACH (w, &a->list, link) {
		if (n == AT_ONCE)
			break;
		list[n++] = w->entry;
	}
	return n;
}

/* Under the lock. */
static void
drop_first(struct auditor *a, size_t n)
{
	a->n -= n;
	a->finished += n;
	while (n-- > 0) {
		struct waiting *w = STAILQ_FIRST(&a->list);

		STAILQ_REMOVE_HEAD(&a->list, link);
		free(w);
	}
}

/* Under the lock, which it gives up meanwhile. */
static void
write_some(struct auditor *a)
{
	struct audit_entry list[AT_ONCE];
	struct error err;
	size_t n = first_ones(a, list);
	enum rc rc;

	(void)pthread_mutex_unlock(&a->lock);
	rc = accounts_audit(a->accounts, list, n, &err);
	if (rc == RC_OK)
		a->written(a->ctx);
	(void)pthread_mutex_lock(&a->lock);
	if (rc != RC_OK && !a->trouble)
		log_error("the audit log cannot be written; nothing can be "
			  "changed until it can: %s",
		    err.text);
	else if (rc == RC_OK && a->trouble)
		log_info("the audit log can be written again");
	a->trouble = rc != RC_OK;
	if (rc == RC_OK)
		drop_first(a, n);
	(void)pthread_cond_broadcast(&a->done);
}

static void *
run(void *ctx)
{
	struct auditor *a = ctx;
	unsigned tries = 0;

	(void)pthread_mutex_lock(&a->lock);
	while (!a->stop || a->n > 0) {
		struct timespec until;

		if (a->n == 0) {
			(void)pthread_cond_wait(&a->more, &a->lock);
			continue;
		}
		write_some(a);
		if (!a->trouble)
			continue;
		if (a->stop && ++tries == LAST_TRIES)
			break;
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += RETRY_SECONDS;
		(void)pthread_cond_timedwait(&a->more, &a->lock, &until);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return NULL;
}

struct auditor *
auditor_new(struct accounts *accounts, void (*written)(void *ctx), void *ctx)
{
	struct auditor *a = xzalloc(sizeof(*a));

	a->accounts = accounts;
	a->written = written;
	a->ctx = ctx;
	STAILQ_INIT(&a->list);
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->more, NULL);
	(void)pthread_cond_init(&a->done, NULL);
	if (pthread_create(&a->thread, NULL, run, a) != 0)
		abort();
	return a;
}

void
auditor_free(struct auditor *a)
{
	if (a == NULL)
		return;
	(void)pthread_mutex_lock(&a->lock);
	a->stop = true;
	(void)pthread_cond_signal(&a->more);
	(void)pthread_mutex_unlock(&a->lock);
	(void)pthread_join(a->thread, NULL);
	if (a->n > 0)
		log_error("%zu entries of the audit log could not be written",
		    a->n);
	drop_first(a, a->n);
	(void)pthread_cond_destroy(&a->more);
	(void)pthread_cond_destroy(&a->done);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

bool
auditor_add(struct auditor *a, const struct audit_entry *e, bool wait)
{
	struct waiting *w;
	uint64_t mine;
	bool done;

	(void)pthread_mutex_lock(&a->lock);
	if (a->n == WAITING_MAX) {
		a->lost++;
		(void)pthread_mutex_unlock(&a->lock);
		return false;
	}
	w = copy_of(e);
	STAILQ_INSERT_TAIL(&a->list, w, link);
	a->n++;
	mine = ++a->added;
	(void)pthread_cond_signal(&a->more);
	while (wait && a->finished < mine && !a->trouble)
		(void)pthread_cond_wait(&a->done, &a->lock);
	done = a->finished >= mine;
	(void)pthread_mutex_unlock(&a->lock);
	return done;
}

bool
auditor_works(struct auditor *a)
{
	bool works;

	(void)pthread_mutex_lock(&a->lock);
	works = !a->trouble;
	(void)pthread_mutex_unlock(&a->lock);
	return works;
}

uint64_t
auditor_lost(struct auditor *a)
{
	uint64_t lost;

	(void)pthread_mutex_lock(&a->lock);
	lost = a->lost;
	(void)pthread_mutex_unlock(&a->lock);
	return lost;
}
