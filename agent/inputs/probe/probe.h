/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look at a service, in a thread of its own: it may wait, never longer than
 * its deadline, and ends within a moment when `stop` is set.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/inputs/input.h"
#include "buf.h"
#include "json.h"

struct probe_job {
	const struct probe_config *config; /* borrowed */
	const char *target;
	int64_t deadline_ns; /* loop_now() */
	const bool *stop;    /* __atomic */
};

enum { PROBE_DETAIL_MAX = 64 * 1024, PROBE_BODY_MAX = 16 * 1024 * 1024 };

struct probe_result {
	bool good;
	char problem[512];   /* why not */
	int64_t duration_ns; /* 0: all the time that it took */
	char ip[64];
	uint16_t port;
	/* http */
	int status;
	uint64_t body_bytes;
	char body_sha256[65];
	/* of the check: one JSON object, below kuzet.probe */
	struct buf detail;
};

void probe_fail(struct probe_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

void probe_dns(const struct probe_job *job, struct probe_result *r);
void probe_tcp(const struct probe_job *job, struct probe_result *r);
void probe_http(const struct probe_job *job, struct probe_result *r);
void probe_tls(const struct probe_job *job, struct probe_result *r);
void probe_ntp(const struct probe_job *job, struct probe_result *r);

enum { PROBE_TARGETS_MAX = 256 };
/* Whether it is what the check takes, and what that is. */
bool probe_target_valid(int check, const char *target);
/* An address, with a port or without. */
bool probe_server_valid(const char *server);
const char *probe_target_help(int check);

/* ---- between the checks --------------------------------------------------- */

/* False: the deadline, or the stop. */
bool probe_wait(const struct probe_job *job, int fd, unsigned ready);
bool probe_over(const struct probe_job *job);

/* Addresses of a host (a number too); how many, at most `most`. */
enum { PROBE_ADDRESSES = 16 };
struct probe_address {
	int family;
	socklen_t len;
	struct sockaddr_storage addr;
	char ip[64];
};
size_t probe_resolve(const struct probe_job *job, const char *host,
    uint16_t port, struct probe_address *out, struct error *err);

/* Connected and non-blocking, or -1 and r says why; fills ip, port. */
int probe_connect(const struct probe_job *job, const char *host, uint16_t port,
    struct probe_result *r);

/* "host:port", "[v6]:port", "host" with `otherwise`. */
bool probe_url_valid(const char *text);
bool probe_split(const char *text, uint16_t otherwise, char host[256],
    uint16_t *port);
