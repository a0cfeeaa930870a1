/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener_remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "xalloc.h"

struct channel {
	int fd;
	pthread_mutex_t lock; /* one question at a time */
	struct buf message;
};

struct remote {
	struct channel channels[OPENER_CHANNELS];
	pthread_t first; /* whose the first channel is */
	atomic_uint_fast64_t refused;
};

struct remote *
remote_new(const int channels[OPENER_CHANNELS])
{
	struct remote *r = xzalloc(sizeof(*r));

	r->first = pthread_self();
	for (size_t i = 0; i < OPENER_CHANNELS; i++) {
		r->channels[i].fd = channels[i];
		(void)pthread_mutex_init(&r->channels[i].lock, NULL);
		buf_init(&r->channels[i].message, WIRE_MESSAGE_MAX);
	}
	return r;
}

void
remote_free(struct remote *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < OPENER_CHANNELS; i++) {
		(void)close(r->channels[i].fd);
		(void)pthread_mutex_destroy(&r->channels[i].lock);
		buf_fini(&r->channels[i].message);
	}
	free(r);
}

static size_t
index_of(const struct remote *r)
{
	return pthread_equal(pthread_self(), r->first) ? 0 : 1;
}

int
remote_channel(const struct remote *r)
{
	return r->channels[index_of(r)].fd;
}

uint64_t
remote_refused(const struct remote *r)
{
	return atomic_load(&r->refused);
}

void
remote_lost(void)
{
	log_error("the opener process is gone: ending, to be started again");
	_exit(EXIT_FAILURE);
}

/* Its answer in c->message; anything else is the end. */
static void
exchange(struct remote *r, struct channel *c, const struct wire_request *q,
    struct slice text, int *fds, size_t max)
{
	struct wire_answer a;

	if (wire_send(c->fd, q, sizeof(*q), text, NULL, 0) != RC_OK ||
	    wire_receive(c->fd, &c->message, fds, max) != RC_OK ||
	    c->message.len < sizeof(a))
		remote_lost();
	memcpy(&a, c->message.ptr, sizeof(a));
	atomic_store(&r->refused, a.refused);
}

enum rc
remote_ask(struct remote *r, const struct wire_request *q, const char *path,
    struct wire_answer *a, struct buf *body, int *fd)
{
	struct channel *c = &r->channels[index_of(r)];
	int got = -1;

	*a = (struct wire_answer){ .rc = RC_SYSTEM, .errnum = ENAMETOOLONG };
	if (body != NULL)
		buf_clear(body);
	if (fd != NULL)
		*fd = -1;
	if (path != NULL && strlen(path) > WALK_PATH_MAX) {
		errno = ENAMETOOLONG;
		return RC_SYSTEM;
	}
	(void)pthread_mutex_lock(&c->lock);
	exchange(r, c, q,
	    (struct slice){ path, path == NULL ? 0 : strlen(path) }, &got, 1);
	memcpy(a, c->message.ptr, sizeof(*a));
	if (body != NULL &&
	    !buf_add(body, c->message.ptr + sizeof(*a),
		c->message.len - sizeof(*a)))
		a->rc = RC_LIMIT;
	(void)pthread_mutex_unlock(&c->lock);
	if (fd != NULL)
		*fd = got;
	else if (got != -1)
		(void)close(got);
	errno = a->errnum;
	return (enum rc)a->rc;
}

/* As many as there is room for in one message. */
static size_t
gather(const char *const *paths, size_t n, struct buf *out)
{
	size_t i = 0;

	for (; i < n && i < OPENER_MANY; i++) {
		size_t len = strlen(paths[i]) + 1;

		if (len > WALK_PATH_MAX + 1 ||
		    out->len + len >
			WIRE_MESSAGE_MAX - sizeof(struct wire_request))
			break;
		(void)buf_add(out, paths[i], len);
	}
	return i;
}

/* The answer's parts, with descriptors for those that have one. */
static void
spread(struct slice answer, const int *fds, struct opener_opened *out, size_t n)
{
	struct wire_answer a;
	struct wire_opened one;
	size_t at = sizeof(a), used = 0;

	memcpy(&a, answer.ptr, sizeof(a));
	for (size_t i = 0; i < n; i++, at += sizeof(one)) {
		/* of the whole, where nothing is said of the one */
		one = (struct wire_opened){ RC_SYSTEM,
			a.errnum == 0 ? EIO : a.errnum };
		if (a.rc == RC_OK && at + sizeof(one) <= answer.len)
			memcpy(&one, answer.ptr + at, sizeof(one));
		out[i] = (struct opener_opened){ -1, one.errnum };
		if (one.rc == RC_OK && used < OPENER_MANY)
			out[i].fd = fds[used++];
		if (one.rc == RC_OK && out[i].fd == -1)
			out[i].errnum = EMFILE; /* no room for it here */
		else if (one.rc == RC_INVALID)
			out[i].errnum = 0;
	}
	/* more than were promised */
	for (; used < OPENER_MANY; used++) {
		if (fds[used] != -1)
			(void)close(fds[used]);
	}
}

size_t
remote_open_many(struct remote *r, const char *const *paths, size_t n,
    struct opener_opened *out)
{
	struct channel *c = &r->channels[index_of(r)];
	struct wire_request q = { .op = WIRE_OPEN_MANY };
	int fds[OPENER_MANY];
	struct buf text;
	size_t asked;

	buf_init(&text, WIRE_MESSAGE_MAX);
	asked = gather(paths, n, &text);
	if (asked == 0) { /* the first is longer than any path */
		out[0] = (struct opener_opened){ -1, ENAMETOOLONG };
		return 1;
	}
	(void)pthread_mutex_lock(&c->lock);
	exchange(r, c, &q, buf_slice(&text), fds, OPENER_MANY);
	spread(buf_slice(&c->message), fds, out, asked);
	(void)pthread_mutex_unlock(&c->lock);
	buf_fini(&text);
	return asked;
}
