/* SPDX-License-Identifier: Apache-2.0 */
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "agent/inputs/probe/probe.h"
#include "agent/inputs/probe/resolver.h"
#include "loop.h"
#include "timestamp.h"

enum { SLICE_MS = 200 };

void
probe_fail(struct probe_result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r->problem, sizeof(r->problem), fmt, ap);
	va_end(ap);
	r->good = false;
}

bool
probe_over(const struct probe_job *job)
{
	return __atomic_load_n(job->stop, __ATOMIC_RELAXED) ||
	    loop_now() >= job->deadline_ns;
}

bool
probe_wait(const struct probe_job *job, int fd, unsigned ready)
{
	struct pollfd p = { .fd = fd,
		.events = (short)((ready & LOOP_READ ? POLLIN : 0) |
		    (ready & LOOP_WRITE ? POLLOUT : 0)) };

	while (!probe_over(job)) {
		int64_t left_ms =
		    (job->deadline_ns - loop_now()) / NS_PER_MS + 1;

		if (poll(&p, 1, left_ms < SLICE_MS ? (int)left_ms : SLICE_MS) >
		    0)
			return true;
	}
	return false;
}

bool
probe_split(const char *text, uint16_t otherwise, char host[256],
    uint16_t *port)
{
	if (address_split(text, host, port))
		return true;
	*port = otherwise;
	if (otherwise == 0 || strlen(text) == 0 || strlen(text) > 255)
		return false;
	(void)snprintf(host, 256, "%s", text);
	return strchr(text, '/') == NULL && strchr(text, ' ') == NULL;
}

bool
probe_target_valid(int check, const char *target)
{
	char host[256];
	uint16_t port;

	switch ((enum probe_check)check) {
	case PROBE_DNS:
		return target[0] != '\0' && strlen(target) < sizeof(host) &&
		    strpbrk(target, " /:") == NULL;
	case PROBE_HTTP:
		return probe_url_valid(target);
	case PROBE_TCP:
		return probe_split(target, 0, host, &port);
	case PROBE_TLS:
		return probe_split(target, 443, host, &port);
	case PROBE_NTP:
		return probe_split(target, 123, host, &port);
	}
	return false;
}

static bool
is_address(const char *text)
{
	struct in6_addr room;

	return inet_pton(AF_INET, text, &room) == 1 ||
	    inet_pton(AF_INET6, text, &room) == 1;
}

bool
probe_server_valid(const char *server)
{
	char host[256];
	uint16_t port;

	return is_address(server) ||
	    (address_split(server, host, &port) && is_address(host));
}

const char *
probe_target_help(int check)
{
	static const char *const help[] = {
		[PROBE_DNS] = "a zone",
		[PROBE_TCP] = "HOST:PORT",
		[PROBE_HTTP] = "a URL of http or https",
		[PROBE_TLS] = "HOST or HOST:PORT",
		[PROBE_NTP] = "HOST or HOST:PORT",
	};

	return help[check];
}

/* ---- names ------------------------------------------------------------------- */

/* ares_library_init() was called when the first thread began. */
static nfds_t
sockets_of(void *channel, struct pollfd *out)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	/* readable and writable ones, ARES_GETSOCK_MAXNUM bits each */
	unsigned bits =
	    (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
	nfds_t n = 0;

	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		int events = (bits >> i & 1 ? POLLIN : 0) |
		    (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0);

		if (events != 0)
			out[n++] = (struct pollfd){ .fd = sockets[i],
				.events = (short)events };
	}
	return n;
}

static void
process(void *channel, const struct pollfd *p, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		ares_process_fd(channel,
		    p[i].revents & (POLLIN | POLLERR | POLLHUP)
			? p[i].fd
			: ARES_SOCKET_BAD,
		    p[i].revents & POLLOUT ? p[i].fd : ARES_SOCKET_BAD);
	ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void
resolver_run(const struct probe_job *job, void *const *channels, size_t n)
{
	struct pollfd p[RESOLVER_CHANNELS * ARES_GETSOCK_MAXNUM];
	nfds_t counts[RESOLVER_CHANNELS], all = 1;

	while (all > 0 && !probe_over(job)) {
		nfds_t at = 0;

		all = 0;
		for (size_t i = 0; i < n; i++) {
			counts[i] = channels[i] == NULL
			    ? 0
			    : sockets_of(channels[i], p + all);
			all += counts[i];
		}
		if (all == 0)
			return;
		(void)poll(p, all, SLICE_MS / 4);
		for (size_t i = 0; i < n; at += counts[i++]) {
			if (counts[i] > 0)
				process(channels[i], p + at, counts[i]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (channels[i] != NULL)
			ares_cancel(channels[i]);
	}
}

void *
resolver_new(const struct probe_job *job, const char *server, bool recurse)
{
	int64_t left_ms = (job->deadline_ns - loop_now()) / NS_PER_MS;
	struct ares_options options = {
		.flags = ARES_FLAG_NOCHECKRESP |
		    (recurse ? 0 : ARES_FLAG_NORECURSE | ARES_FLAG_NOSEARCH),
		.timeout = left_ms < 3 ? 1 : (int)(left_ms / 3),
		.tries = 2,
	};
	ares_channel channel = NULL;

	if (ares_init_options(&channel, &options,
		ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) !=
	    ARES_SUCCESS)
		return NULL;
	if (server != NULL &&
	    ares_set_servers_ports_csv(channel, server) != ARES_SUCCESS) {
		ares_destroy(channel);
		return NULL;
	}
	return channel;
}

struct resolving {
	uint16_t port;
	struct probe_address *out;
	size_t n;
	int status;
};

static void
on_addresses(void *ctx, int status, int timeouts, struct ares_addrinfo *list)
{
	struct resolving *r = ctx;

	(void)timeouts;
	r->status = status;
	for (struct ares_addrinfo_node *a = list == NULL ? NULL : list->nodes;
	     a != NULL && r->n < PROBE_ADDRESSES; a = a->ai_next) {
		struct probe_address *o = &r->out[r->n];

		if (a->ai_addrlen > sizeof(o->addr))
			continue;
		o->family = a->ai_family;
		o->len = a->ai_addrlen;
		memcpy(&o->addr, a->ai_addr, a->ai_addrlen);
		if (getnameinfo(a->ai_addr, a->ai_addrlen, o->ip, sizeof(o->ip),
			NULL, 0, NI_NUMERICHOST) == 0)
			r->n++;
	}
	if (list != NULL)
		ares_freeaddrinfo(list);
}

size_t
probe_resolve(const struct probe_job *job, const char *host, uint16_t port,
    struct probe_address *out, struct error *err)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct resolving r = { .port = port, .out = out };
	void *channel = resolver_new(job, NULL, true);
	char service[8];

	if (channel == NULL) {
		(void)error_set(err, RC_LIBRARY, "no resolver");
		return 0;
	}
	(void)snprintf(service, sizeof(service), "%u", port);
	ares_getaddrinfo(channel, host, service, &hints, on_addresses, &r);
	resolver_run(job, &channel, 1);
	ares_destroy(channel);
	if (r.n == 0)
		(void)error_set(err, RC_SYSTEM, "%s: %s", host,
		    r.status == ARES_ECANCELLED ? "not resolved in time"
						: ares_strerror(r.status));
	return r.n;
}

/* ---- connections ------------------------------------------------------------- */

static int
connect_one(const struct probe_job *job, const struct probe_address *a,
    int *why)
{
	int fd =
	    socket(a->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*why);

	*why = errno;
	if (fd == -1)
		return -1;
	*why = 0;
	if (connect(fd, (const struct sockaddr *)&a->addr, a->len) == 0)
		return fd;
	*why = errno;
	if (*why == EINPROGRESS) {
		*why = ETIMEDOUT;
		if (probe_wait(job, fd, LOOP_WRITE) &&
		    getsockopt(fd, SOL_SOCKET, SO_ERROR, why, &len) == 0 &&
		    *why == 0)
			return fd;
	}
	(void)close(fd);
	return -1;
}

int
probe_connect(const struct probe_job *job, const char *host, uint16_t port,
    struct probe_result *r)
{
	struct probe_address addresses[PROBE_ADDRESSES];
	struct error err;
	size_t n = probe_resolve(job, host, port, addresses, &err);
	int fd = -1, why = 0;

	if (n == 0) {
		probe_fail(r, "%s", err.text);
		return -1;
	}
	for (size_t i = 0; i < n && fd == -1; i++) {
		(void)snprintf(r->ip, sizeof(r->ip), "%s", addresses[i].ip);
		r->port = port;
		fd = connect_one(job, &addresses[i], &why);
	}
	if (fd == -1) {
		(void)error_set_errno(&err, why, "%s port %u", r->ip, port);
		probe_fail(r, "%s", err.text);
	}
	return fd;
}

void
probe_tcp(const struct probe_job *job, struct probe_result *r)
{
	char host[256];
	uint16_t port;
	int fd;

	if (!probe_split(job->target, 0, host, &port)) {
		probe_fail(r, "no HOST:PORT");
		return;
	}
	fd = probe_connect(job, host, port, r);
	r->good = fd != -1;
	if (fd != -1)
		(void)close(fd);
}
