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
exchange(struct channel *c, const struct wire_request *q, const char *path,
    int *fd)
{
	size_t len = path == NULL ? 0 : strlen(path);

	if (wire_send(c->fd, q, sizeof(*q), (struct slice){ path, len }, -1) !=
		RC_OK ||
	    wire_receive(c->fd, &c->message, fd) != RC_OK ||
	    c->message.len < sizeof(struct wire_answer))
		remote_lost();
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
	exchange(c, q, path, &got);
	memcpy(a, c->message.ptr, sizeof(*a));
	if (body != NULL &&
	    !buf_add(body, c->message.ptr + sizeof(*a),
		c->message.len - sizeof(*a)))
		a->rc = RC_LIMIT;
	(void)pthread_mutex_unlock(&c->lock);
	atomic_store(&r->refused, a->refused);
	if (fd != NULL)
		*fd = got;
	else if (got != -1)
		(void)close(got);
	errno = a->errnum;
	return (enum rc)a->rc;
}
