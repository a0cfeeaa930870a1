/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	CHUNK = 128 * 1024, /* bytes of one read */
	TRIES = 3,          /* of a file that changes while it is read */
	QUEUE = 4,          /* batches under way */
	AHEAD = 4 << 20,    /* bytes of the files that are open together */
	XATTRS_READ_MAX = 1 << 20
};

/* As often a stop is looked for while waiting for the pace. */
static const int64_t nap_ns = 50 * NS_PER_MS;

struct fim_pace {
	int64_t rate;
	pthread_mutex_t lock;
	int64_t free_ns; /* when what was taken will have been paid */
};

struct fim_pace *
fim_pace_new(int64_t bytes_per_second)
{
	struct fim_pace *p = xzalloc(sizeof(*p));

	p->rate = bytes_per_second;
	(void)pthread_mutex_init(&p->lock, NULL);
	return p;
}

void
fim_pace_free(struct fim_pace *p)
{
	if (p == NULL)
		return;
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

static void
take(struct fim_pace *p, size_t bytes, const atomic_bool *stop)
{
	int64_t now_ns, wait_ns;

	if (p->rate == 0)
		return;
	(void)pthread_mutex_lock(&p->lock);
	now_ns = loop_now();
	if (p->free_ns < now_ns)
		p->free_ns = now_ns;
	wait_ns = p->free_ns - now_ns;
	p->free_ns += (int64_t)((double)bytes * 1e9 / (double)p->rate);
	(void)pthread_mutex_unlock(&p->lock);
	while (wait_ns > 0 && !atomic_load(stop)) {
		int64_t ns = wait_ns < nap_ns ? wait_ns : nap_ns;
		struct timespec t = { .tv_nsec = (long)ns };

		(void)nanosleep(&t, NULL);
		wait_ns -= ns;
	}
}

struct fim_hasher {
	const struct fim_reading *reading;
	struct sha256 *sha256;
	struct buf xattrs;
	char *chunk;
};

struct fim_hasher *
fim_hasher_new(const struct fim_reading *reading)
{
	struct fim_hasher *h = xzalloc(sizeof(*h));

	h->reading = reading;
	h->sha256 = sha256_new();
	h->chunk = xzalloc(CHUNK);
	buf_init(&h->xattrs, XATTRS_READ_MAX);
	return h;
}

void
fim_hasher_free(struct fim_hasher *h)
{
	if (h == NULL)
		return;
	sha256_free(h->sha256);
	buf_fini(&h->xattrs);
	free(h->chunk);
	free(h);
}

static void
keep_xattrs(struct fim_hasher *h, struct arena *arena, struct fim_entry *e,
    int fd)
{
	static const char name[] = "sha256";
	uint8_t digest[SHA256_BYTES];

	buf_clear(&h->xattrs);
	(void)opener_xattrs(h->reading->opener, e->path.ptr, fd, &h->xattrs);
	if (h->xattrs.len > FIM_XATTRS_MAX) {
		sha256_of(buf_slice(&h->xattrs), digest);
		buf_clear(&h->xattrs);
		(void)buf_add(&h->xattrs, name, sizeof(name));
		(void)buf_add_u32be(&h->xattrs, sizeof(digest));
		(void)buf_add(&h->xattrs, digest, sizeof(digest));
	}
	e->xattrs = arena_copy(arena, buf_slice(&h->xattrs));
}

/* To the end of the file; false: it cannot be read, or is not to be. */
static bool
hash_bytes(struct fim_hasher *h, int fd, uint64_t size, uint8_t *out)
{
	const struct fim_reading *r = h->reading;
	uint64_t at = 0;
	ssize_t n;

	for (;;) {
		take(r->pace, CHUNK < size - at ? CHUNK : (size_t)(size - at),
		    r->stop);
		n = read(fd, h->chunk, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || atomic_load(r->stop))
			break;
		sha256_add(h->sha256, h->chunk, (size_t)n);
		at += (uint64_t)n;
		/* a look at the end costs as much as a small file; who writes
		 * behind it is seen by the stat */
		if (at == size && (size_t)n < CHUNK) {
			n = 0;
			break;
		}
		if (at > r->max_file_size)
			break;
	}
	sha256_done(h->sha256, out);
	return n == 0;
}

enum look { LOOK_DONE, LOOK_AGAIN, LOOK_GONE };

/* Takes the descriptor. */
static enum look
look_into(struct fim_hasher *h, struct arena *arena, struct fim_entry *e,
    const struct opener_opened *file)
{
	int errnum = file->errnum, fd = file->fd;
	struct opener_stat st;
	enum look look = LOOK_DONE;
	bool whole;

	if (fd == -1) {
		if (errnum == ENOENT || errnum == ENOTDIR)
			return LOOK_GONE;
		if (errnum == 0 || errnum == ELOOP || errnum == ENXIO)
			return LOOK_AGAIN; /* it is something else by now */
		e->content = FIM_UNREADABLE;
		keep_xattrs(h, arena, e, -1);
		return LOOK_DONE;
	}
	whole = hash_bytes(h, fd, e->st.size, e->sha256);
	e->content = whole ? FIM_HASHED : FIM_UNREADABLE;
	keep_xattrs(h, arena, e, fd);
	if (!opener_stat_fd(fd, &st) || st.dev != e->st.dev ||
	    !fim_same_stat(&st, &e->st))
		look = LOOK_AGAIN;
	(void)close(fd);
	return look;
}

static bool
is_read(const struct fim_hasher *h, const struct fim_entry *e)
{
	return e->st.regular && e->st.size <= h->reading->max_file_size;
}

/* `opened`: the file, taken; NULL, or where there were too many files open: it
 * is opened here. */
static bool
observe(struct fim_hasher *h, struct arena *arena, struct fim_entry *e,
    const struct opener_opened *opened)
{
	const struct fim_reading *r = h->reading;
	struct opener_opened file = { -1, EMFILE };

	if (opened != NULL)
		file = *opened;
	for (int i = 0; i < TRIES; i++) {
		enum look look = LOOK_DONE;

		memset(e->sha256, 0, sizeof(e->sha256));
		if (atomic_load(r->stop)) {
			if (file.fd != -1)
				(void)close(file.fd);
			return false;
		}
		if (!is_read(h, e)) {
			e->content =
			    e->st.regular ? FIM_TOO_LARGE : FIM_NO_CONTENT;
			keep_xattrs(h, arena, e, -1);
			return true;
		}
		if (file.fd == -1 &&
		    (i > 0 || file.errnum == EMFILE ||
			file.errnum == ETOOMANYREFS))
			opener_open_many(r->opener, &e->path.ptr, 1, &file);
		look = look_into(h, arena, e, &file);
		file.fd = -1;
		if (look == LOOK_DONE)
			return !atomic_load(r->stop);
		if (look == LOOK_GONE ||
		    !opener_lstat(r->opener, e->path.ptr, &e->st))
			return false;
	}
	if (e->content == FIM_HASHED)
		e->content = FIM_UNSTABLE;
	return true;
}

bool
fim_observe(struct fim_hasher *h, struct arena *arena, struct fim_entry *e)
{
	return observe(h, arena, e, NULL);
}

/* How many of these may be open together. */
static size_t
run_of(const struct fim_work *work, size_t n)
{
	uint64_t bytes = 0;
	size_t i = 0;

	while (i < n && i < OPENER_MANY && (i == 0 || bytes < AHEAD))
		bytes += work[i++].entry->st.size;
	return i;
}

/* Of one run. */
static void
observe_run(struct fim_hasher *h, struct arena *arena, struct fim_work *work,
    size_t n)
{
	const char *paths[OPENER_MANY] = { NULL };
	struct opener_opened files[OPENER_MANY];
	size_t n_paths = 0, at = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_read(h, work[i].entry))
			paths[n_paths++] = work[i].entry->path.ptr;
	}
	opener_open_many(h->reading->opener, paths, n_paths, files);
	for (size_t i = 0; i < n; i++) {
		const struct opener_opened *file =
		    is_read(h, work[i].entry) ? &files[at++] : NULL;

		work[i].gone = !observe(h, arena, work[i].entry, file);
	}
}

void
fim_observe_all(struct fim_hasher *h, struct arena *arena,
    struct fim_work *work, size_t n)
{
	while (n > 0) {
		size_t some = run_of(work, n);

		observe_run(h, arena, work, some);
		work += some;
		n -= some;
	}
}

struct fim_pool {
	const struct fim_reading *reading;
	pthread_t threads[FIM_HASHERS];
	unsigned n_threads;
	pthread_mutex_t lock;
	pthread_cond_t come, over;
	struct fim_batch *queue[QUEUE];
	unsigned n_queue;
	unsigned started;
	bool closing;
};

static void
drop_first(struct fim_pool *p)
{
	p->n_queue--;
	for (unsigned i = 0; i < p->n_queue; i++)
		p->queue[i] = p->queue[i + 1];
}

static void *
hash_batches(void *ctx)
{
	struct fim_pool *p = ctx;
	struct fim_hasher *h = fim_hasher_new(p->reading);
	unsigned me;

	(void)pthread_mutex_lock(&p->lock);
	me = p->started++;
	while (p->n_queue > 0 || !p->closing) {
		struct fim_batch *b = p->n_queue > 0 ? p->queue[0] : NULL;
		struct fim_work *w;
		size_t n;

		if (b == NULL) {
			(void)pthread_cond_wait(&p->come, &p->lock);
			continue;
		}
		w = &b->work[b->next];
		n = run_of(w, b->n - b->next);
		b->next += n;
		if (b->next == b->n)
			drop_first(p);
		(void)pthread_mutex_unlock(&p->lock);
		observe_run(h, b->arenas[me], w, n);
		(void)pthread_mutex_lock(&p->lock);
		b->done += n;
		if (b->done == b->n)
			(void)pthread_cond_broadcast(&p->over);
	}
	(void)pthread_mutex_unlock(&p->lock);
	fim_hasher_free(h);
	return NULL;
}

struct fim_pool *
fim_pool_new(const struct fim_reading *reading)
{
	struct fim_pool *p = xzalloc(sizeof(*p));
	pthread_condattr_t attr;

	p->reading = reading;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->come, NULL);
	(void)pthread_cond_init(&p->over, &attr);
	(void)pthread_condattr_destroy(&attr);
	while (p->n_threads < FIM_HASHERS &&
	    pthread_create(&p->threads[p->n_threads], NULL, hash_batches, p) ==
		0)
		p->n_threads++;
	if (p->n_threads == 0)
		abort(); /* as without memory */
	return p;
}

void
fim_pool_free(struct fim_pool *p)
{
	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->closing = true;
	(void)pthread_cond_broadcast(&p->come);
	(void)pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++)
		(void)pthread_join(p->threads[i], NULL);
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_cond_destroy(&p->come);
	(void)pthread_cond_destroy(&p->over);
	free(p);
}

void
fim_pool_put(struct fim_pool *p, struct fim_batch *b)
{
	b->next = b->done = 0;
	if (b->n == 0)
		return;
	(void)pthread_mutex_lock(&p->lock);
	while (p->n_queue == QUEUE)
		(void)pthread_cond_wait(&p->over, &p->lock);
	p->queue[p->n_queue++] = b;
	(void)pthread_cond_broadcast(&p->come);
	(void)pthread_mutex_unlock(&p->lock);
}

void
fim_pool_wait(struct fim_pool *p, struct fim_batch *b)
{
	(void)pthread_mutex_lock(&p->lock);
	while (b->done < b->n)
		(void)pthread_cond_wait(&p->over, &p->lock);
	(void)pthread_mutex_unlock(&p->lock);
}

bool
fim_pool_done(struct fim_pool *p, struct fim_batch *b, int64_t wait_ns)
{
	int64_t until_ns = loop_now() + wait_ns;
	const struct timespec until = { .tv_sec = until_ns / NS_PER_SEC,
		.tv_nsec = until_ns % NS_PER_SEC };
	bool done;

	(void)pthread_mutex_lock(&p->lock);
	while (b->done < b->n &&
	    pthread_cond_timedwait(&p->over, &p->lock, &until) == 0)
		;
	done = b->done == b->n;
	(void)pthread_mutex_unlock(&p->lock);
	return done;
}
