/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/opener_wire.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static enum rc
decode_paths(struct slice rest, struct wire_asked *a)
{
	while (rest.len > 0) {
		size_t len = strnlen(rest.ptr, rest.len);

		if (len == rest.len || len > WALK_PATH_MAX ||
		    a->n_paths == OPENER_MANY)
			return RC_INVALID;
		a->paths[a->n_paths++] = rest.ptr;
		rest.ptr += len + 1;
		rest.len -= len + 1;
	}
	return a->n_paths > 0 ? RC_OK : RC_INVALID;
}

enum rc
wire_request_decode(struct slice message, struct wire_asked *a)
{
	struct wire_request *r = &a->request;
	struct slice rest;

	a->path[0] = '\0';
	a->n_paths = 0;
	if (message.len < sizeof(*r))
		return RC_INVALID;
	memcpy(r, message.ptr, sizeof(*r));
	rest = (struct slice){ message.ptr + sizeof(*r),
		message.len - sizeof(*r) };
	if (r->op == WIRE_OPEN_MANY)
		return decode_paths(rest, a);
	if (r->op == 0 || r->op >= WIRE_OPS || rest.len > WALK_PATH_MAX ||
	    memchr(rest.ptr, '\0', rest.len) != NULL)
		return RC_INVALID;
	memcpy(a->path, rest.ptr, rest.len);
	a->path[rest.len] = '\0';
	return RC_OK;
}

bool
wire_node_add(struct buf *out, const struct opener_node *node)
{
	struct wire_node head;

	memset(&head, 0, sizeof(head)); /* no padding of ours goes out */
	head.st = node->st;
	head.error = node->error;
	head.path_len = (uint32_t)node->path_len;
	head.target_len = node->target.ptr == NULL ? WIRE_NO_TARGET
						   : (uint32_t)node->target.len;
	if (buf_reserve(out,
		sizeof(head) + node->path_len + node->target.len + 2) == NULL)
		return false;
	return buf_add(out, &head, sizeof(head)) &&
	    buf_add(out, node->path, node->path_len) && buf_add_char(out, 0) &&
	    buf_add(out, node->target.ptr == NULL ? "" : node->target.ptr,
		node->target.len) &&
	    buf_add_char(out, 0);
}

enum rc
wire_node_take(struct slice *rest, struct opener_node *node)
{
	struct wire_node head;
	size_t target_len, whole;

	if (rest->len == 0)
		return RC_EOF;
	if (rest->len < sizeof(head))
		return RC_INVALID;
	memcpy(&head, rest->ptr, sizeof(head));
	target_len = head.target_len == WIRE_NO_TARGET ? 0 : head.target_len;
	if (head.path_len > WALK_PATH_MAX || target_len > WALK_TARGET_MAX + 1)
		return RC_INVALID;
	whole = sizeof(head) + head.path_len + target_len + 2;
	if (rest->len < whole)
		return RC_INVALID;
	*node = (struct opener_node){ .path = rest->ptr + sizeof(head),
		.path_len = head.path_len,
		.st = head.st,
		.error = head.error };
	if (node->path[head.path_len] != '\0' || rest->ptr[whole - 1] != '\0')
		return RC_INVALID;
	if (head.target_len != WIRE_NO_TARGET)
		node->target = (struct slice){ node->path + head.path_len + 1,
			target_len };
	rest->ptr += whole;
	rest->len -= whole;
	return RC_OK;
}

enum rc
wire_send(int channel, const void *head, size_t head_len, struct slice body,
    const int *fds, size_t n_fds)
{
	alignas(struct cmsghdr) char
	    room[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))] = { 0 };
	size_t bytes = n_fds * sizeof(int);
	struct iovec parts[2] = { { (void *)(uintptr_t)head, head_len },
		{ (void *)(uintptr_t)body.ptr, body.len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	struct cmsghdr *c;
	ssize_t n;

	assert(n_fds <= WIRE_FDS_MAX);
	if (n_fds > 0) {
		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	do
		n = sendmsg(channel, &m, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EPIPE || errno == ECONNRESET ? RC_EOF
							     : RC_SYSTEM;
	return RC_OK;
}

/* Keeps the first `max`; how many there were. */
static size_t
take_descriptors(struct msghdr *m, int *fds, size_t max)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR(m, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes;
		     at += sizeof(int)) {
			int one;

			memcpy(&one, CMSG_DATA(c) + at, sizeof(one));
			if (n < max)
				fds[n] = one;
			else
				(void)close(one);
			n++;
		}
	}
	return n;
}

enum rc
wire_receive(int channel, struct buf *out, int *fds, size_t max)
{
	alignas(struct cmsghdr) char
	    room[CMSG_SPACE((WIRE_FDS_MAX + 1) * sizeof(int))];
	struct iovec part = { .iov_len = WIRE_MESSAGE_MAX };
	struct msghdr m = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };
	size_t descriptors;
	ssize_t n;

	for (size_t i = 0; i < max; i++)
		fds[i] = -1;
	buf_clear(out);
	part.iov_base = buf_reserve(out, WIRE_MESSAGE_MAX);
	do
		n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? RC_EOF : RC_SYSTEM;
	/* MSG_CTRUNC: too many came, or there are no free ones in this process */
	descriptors = take_descriptors(&m, fds, max);
	if ((m.msg_flags & MSG_TRUNC) != 0 || descriptors > max) {
		for (size_t i = 0; i < max; i++) {
			if (fds[i] != -1)
				(void)close(fds[i]);
			fds[i] = -1;
		}
		return RC_INVALID;
	}
	out->len = (size_t)n;
	return RC_OK;
}

void
wire_fds_close(struct wire_fds *fds)
{
	for (size_t i = 0; fds->own && i < fds->n; i++)
		(void)close(fds->at[i]);
	*fds = (struct wire_fds){ .n = 0 };
}
