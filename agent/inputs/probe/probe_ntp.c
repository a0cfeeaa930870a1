/* SPDX-License-Identifier: Apache-2.0 */
/* How far the clock of this machine is from a time server's (RFC 5905). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/probe/probe.h"
#include "digest.h"
#include "loop.h"
#include "timestamp.h"

enum {
	PACKET = 48,
	PORT = 123,
	CLIENT_V4 = 4 << 3 | 3,
	MODE_SERVER = 4,
	UNSYNCHRONIZED = 3,
	STRATUM_MAX = 15,
	ORIGIN_AT = 24,
	RECEIVE_AT = 32,
	TRANSMIT_AT = 40
};

/* 1900-01-01 to 1970-01-01. */
static const int64_t era_s = INT64_C(2208988800);

static int64_t
time_at(const unsigned char *p)
{
	uint64_t seconds = 0, fraction = 0;

	for (int i = 0; i < 4; i++) {
		seconds = seconds << 8 | p[i];
		fraction = fraction << 8 | p[4 + i];
	}
	if (seconds < (UINT64_C(1) << 31))
		seconds += UINT64_C(1) << 32; /* the era that begins in 2036 */
	return ((int64_t)seconds - era_s) * NS_PER_SEC +
	    (int64_t)((fraction * (uint64_t)NS_PER_SEC) >> 32);
}

/* One exchange; the packet that answers ours, or false. */
/* false: errno */
static bool
exchange(const struct probe_job *job, int fd, unsigned char packet[PACKET],
    int64_t *sent_ns, int64_t *got_ns)
{
	unsigned char cookie[8];

	/* a random time stamp: only who saw it can answer */
	random_bytes(cookie, sizeof(cookie));
	memset(packet, 0, PACKET);
	packet[0] = CLIENT_V4;
	memcpy(packet + TRANSMIT_AT, cookie, sizeof(cookie));
	*sent_ns = timestamp_now();
	if (send(fd, packet, PACKET, 0) != PACKET)
		return false;
	while (probe_wait(job, fd, LOOP_READ)) {
		ssize_t n = recv(fd, packet, PACKET, 0);

		*got_ns = timestamp_now();
		if (n < 0 && errno != EAGAIN)
			return false; /* ECONNREFUSED: nobody is there */
		if (n == PACKET &&
		    memcmp(packet + ORIGIN_AT, cookie, sizeof(cookie)) == 0)
			return true;
	}
	errno = ETIMEDOUT;
	return false;
}

static void
judge(const struct probe_job *job, const unsigned char *packet, int64_t sent_ns,
    int64_t got_ns, struct probe_result *r)
{
	int64_t received_ns = time_at(packet + RECEIVE_AT);
	int64_t transmitted_ns = time_at(packet + TRANSMIT_AT);
	int64_t offset_ns =
	    (received_ns - sent_ns) / 2 + (transmitted_ns - got_ns) / 2;
	struct json_writer w;

	if ((packet[0] & 7) != MODE_SERVER || packet[1] == 0 ||
	    packet[1] > STRATUM_MAX || packet[0] >> 6 == UNSYNCHRONIZED) {
		probe_fail(r, "the server is not synchronized");
		return;
	}
	json_begin(&w, &r->detail);
	json_open(&w, '{');
	json_key(&w, "offset_ms");
	json_double(&w, (double)offset_ns / (double)NS_PER_MS);
	json_key(&w, "stratum");
	json_uint(&w, packet[1]);
	json_close(&w, '}');
	r->good = llabs(offset_ns) <= job->config->offset_max_ns;
	if (!r->good)
		probe_fail(r, "the clocks are %lld ms apart",
		    (long long)(offset_ns / NS_PER_MS));
}

static void
fail(struct probe_result *r, int errnum)
{
	struct error err;

	if (errnum == ETIMEDOUT) {
		probe_fail(r, "no answer in time");
		return;
	}
	(void)error_set_errno(&err, errnum, "%s port %u", r->ip,
	    (unsigned)r->port);
	probe_fail(r, "%s", err.text);
}

void
probe_ntp(const struct probe_job *job, struct probe_result *r)
{
	struct probe_address addresses[PROBE_ADDRESSES];
	unsigned char packet[PACKET];
	int64_t sent_ns = 0, got_ns = 0;
	struct error err;
	char host[256];
	uint16_t port;
	int fd;

	if (!probe_split(job->target, PORT, host, &port)) {
		probe_fail(r, "no HOST[:PORT]");
		return;
	}
	if (probe_resolve(job, host, port, addresses, &err) == 0) {
		probe_fail(r, "%s", err.text);
		return;
	}
	memcpy(r->ip, addresses[0].ip, sizeof(r->ip));
	r->port = port;
	fd = socket(addresses[0].family,
	    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    connect(fd, (const struct sockaddr *)&addresses[0].addr,
		addresses[0].len) != 0 ||
	    !exchange(job, fd, packet, &sent_ns, &got_ns))
		fail(r, errno);
	else
		judge(job, packet, sent_ns, got_ns, r);
	if (fd != -1)
		(void)close(fd);
}
