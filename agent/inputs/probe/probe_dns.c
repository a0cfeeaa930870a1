/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone on each of its servers: does it answer with authority, how fast, and
 * with which serial (RFC 1035 section 3.3.13)?  The servers are those that the
 * zone's NS records name, on all their addresses, or those configured.  Those
 * that live are asked once more for what DNSSEC signs of it.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/probe/dns_signatures.h"
#include "agent/inputs/probe/probe.h"
#include "agent/inputs/probe/resolver.h"
#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	SERVERS_MAX = RESOLVER_CHANNELS,
	NAME_MAX_BYTES = 256,
	SERVER_TEXT = 96,
	AA_BYTE = 2,
	SECONDS_OF_DAY = 86400,
};

/* Who does not like to be asked for signatures does not hold up the look. */
static const int64_t signatures_ns = 3 * NS_PER_SEC;

struct server {
	char name[NAME_MAX_BYTES];
	char address[SERVER_TEXT]; /* IP or IP:PORT */
	bool live;
	bool authoritative;
	uint32_t serial;
	int64_t began_ns, latency_ns;
	int64_t signed_until_s; /* 0: not signed */
	char problem[96];
};

struct zone {
	struct server servers[SERVERS_MAX];
	size_t n;
	char names[SERVERS_MAX][NAME_MAX_BYTES];
	size_t n_names;
	int status;
};

static void
on_names(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
	struct zone *z = ctx;
	struct hostent *host = NULL;

	(void)timeouts;
	z->status = status;
	if (status != ARES_SUCCESS)
		return;
	z->status = ares_parse_ns_reply(bytes, len, &host);
	if (z->status != ARES_SUCCESS)
		return;
	for (char **a = host->h_aliases; *a != NULL && z->n_names < SERVERS_MAX;
	     a++)
		(void)snprintf(z->names[z->n_names++], NAME_MAX_BYTES, "%s",
		    *a);
	ares_free_hostent(host);
}

static void
add_server(struct zone *z, const char *name, const char *address)
{
	struct server *s;

	if (z->n == SERVERS_MAX)
		return;
	s = &z->servers[z->n++];
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	(void)snprintf(s->address, sizeof(s->address), "%s", address);
}

static bool
discover(const struct probe_job *job, struct zone *z, struct probe_result *r)
{
	void *channel = resolver_new(job, NULL, true);

	if (channel == NULL) {
		probe_fail(r, "no resolver");
		return false;
	}
	z->status = ARES_ETIMEOUT;
	ares_query(channel, job->target, ns_c_in, ns_t_ns, on_names, z);
	resolver_run(job, &channel, 1);
	ares_destroy(channel);
	if (z->n_names == 0) {
		probe_fail(r, "NS of %s: %s", job->target,
		    ares_strerror(z->status));
		return false;
	}
	for (size_t i = 0; i < z->n_names; i++) {
		struct probe_address addresses[PROBE_ADDRESSES];
		struct error err;
		size_t n = probe_resolve(job, z->names[i], 53, addresses, &err);

		if (n == 0)
			add_server(z, z->names[i], "");
		for (size_t k = 0; k < n; k++)
			add_server(z, z->names[i], addresses[k].ip);
	}
	return true;
}

static void
on_soa(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
	struct server *s = ctx;
	struct ares_soa_reply *soa = NULL;

	(void)timeouts;
	s->latency_ns = loop_now() - s->began_ns;
	if (status == ARES_SUCCESS)
		status = ares_parse_soa_reply(bytes, len, &soa);
	if (status != ARES_SUCCESS) {
		(void)snprintf(s->problem, sizeof(s->problem), "%s",
		    status == ARES_ECANCELLED ? "no answer in time"
					      : ares_strerror(status));
		return;
	}
	s->authoritative = len > AA_BYTE && (bytes[AA_BYTE] & 0x04) != 0;
	s->serial = soa->serial;
	s->live = true;
	ares_free_data(soa);
}

/* All at once, each by a channel of its own. */
static void
ask_servers(const struct probe_job *job, struct zone *z)
{
	void *channels[SERVERS_MAX] = { NULL };

	for (size_t i = 0; i < z->n; i++) {
		struct server *s = &z->servers[i];

		(void)snprintf(s->problem, sizeof(s->problem), "no address");
		if (s->address[0] == '\0')
			continue;
		channels[i] = resolver_new(job, s->address, false);
		if (channels[i] == NULL) {
			(void)snprintf(s->problem, sizeof(s->problem),
			    "no address of a server");
			continue;
		}
		s->began_ns = loop_now();
		ares_query(channels[i], job->target, ns_c_in, ns_t_soa, on_soa,
		    s);
	}
	resolver_run(job, channels, z->n);
	for (size_t i = 0; i < z->n; i++) {
		if (channels[i] != NULL)
			ares_destroy(channels[i]);
	}
}

/* ---- signatures ------------------------------------------------------------ */

/* What the SOA and the keys of the zone are signed for. */
static const int signed_types[] = { ns_t_soa, ns_t_dnskey };
enum { SIGNED_TYPES = sizeof(signed_types) / sizeof(signed_types[0]) };

struct signed_answer {
	struct server *server;
	int type;
};

static void
on_signed(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
	const struct signed_answer *a = ctx;
	int64_t until_s;

	(void)timeouts;
	if (status != ARES_SUCCESS)
		return;
	until_s =
	    dns_signed_until((struct slice){ (const char *)bytes, (size_t)len },
		a->type, timestamp_now() / NS_PER_SEC);
	/* the first that ends */
	if (until_s != 0 &&
	    (a->server->signed_until_s == 0 ||
		until_s < a->server->signed_until_s))
		a->server->signed_until_s = until_s;
}

static void
ask_signatures(const struct probe_job *job, struct zone *z)
{
	struct signed_answer answers[SERVERS_MAX][SIGNED_TYPES];
	void *channels[SERVERS_MAX] = { NULL };
	struct probe_job until = *job;
	int64_t end_ns = loop_now() + signatures_ns;

	if (end_ns < until.deadline_ns)
		until.deadline_ns = end_ns;
	for (size_t i = 0; i < z->n; i++) {
		if (z->servers[i].live)
			channels[i] =
			    resolver_new(&until, z->servers[i].address, false);
		for (size_t k = 0; channels[i] != NULL && k < SIGNED_TYPES;
		     k++) {
			unsigned char *query;
			int len;

			answers[i][k] = (struct signed_answer){ &z->servers[i],
				signed_types[k] };
			if (!dns_signed_query(job->target, signed_types[k],
				&query, &len))
				continue;
			ares_send(channels[i], query, len, on_signed,
			    &answers[i][k]);
			ares_free_string(query);
		}
	}
	resolver_run(&until, channels, z->n);
	for (size_t i = 0; i < z->n; i++) {
		if (channels[i] != NULL)
			ares_destroy(channels[i]);
	}
}

/* ---- the result ------------------------------------------------------------- */

static void
write_server(struct json_writer *w, const struct server *s)
{
	json_open(w, '{');
	json_key(w, "name");
	json_str(w, s->name);
	json_key(w, "address");
	json_str(w, s->address);
	json_key(w, "live");
	json_bool(w, s->live);
	if (s->live) {
		json_key(w, "authoritative");
		json_bool(w, s->authoritative);
		json_key(w, "serial");
		json_uint(w, s->serial);
		json_key(w, "latency_ms");
		json_double(w, (double)s->latency_ns / (double)NS_PER_MS);
		json_key(w, "signed");
		json_bool(w, s->signed_until_s != 0);
		if (s->signed_until_s != 0) {
			json_key(w, "signed_until");
			json_time(w, s->signed_until_s * NS_PER_SEC);
		}
	} else {
		json_key(w, "error");
		json_str(w, s->problem);
	}
	json_close(w, '}');
}

/* RFC 1982: serials go round. */
static bool
is_newer(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* Of all servers the signature that ends first; 0: none has one. */
static int64_t
first_end_s(const struct zone *z)
{
	int64_t first_s = 0;

	for (size_t i = 0; i < z->n; i++) {
		int64_t s = z->servers[i].signed_until_s;

		if (s != 0 && (first_s == 0 || s < first_s))
			first_s = s;
	}
	return first_s;
}

/* Whole days that are left; less than nothing: it has ended. */
static int64_t
days_until(int64_t end_s)
{
	int64_t left_s = end_s - timestamp_now() / NS_PER_SEC;

	return left_s >= 0 ? left_s / SECONDS_OF_DAY : -1;
}

static void
conclude_signatures(const struct probe_job *job, const struct zone *z,
    struct json_writer *w, struct probe_result *r)
{
	int64_t end_s = first_end_s(z), days = days_until(end_s);

	json_key(w, "signed");
	json_bool(w, end_s != 0);
	if (end_s == 0)
		return;
	json_key(w, "signed_until");
	json_time(w, end_s * NS_PER_SEC);
	json_key(w, "signature_days_left");
	json_int(w, days);
	if (!r->good || days >= job->config->signature_days)
		return;
	if (days < 0)
		probe_fail(r, "signatures of the zone have expired");
	else
		probe_fail(r, "signatures of the zone hold %lld days more",
		    (long long)days);
}

static void
conclude(const struct probe_job *job, struct zone *z, struct probe_result *r)
{
	struct json_writer w;
	uint32_t serial = 0;
	size_t live = 0, authoritative = 0, agree = 0;

	for (size_t i = 0; i < z->n; i++) {
		const struct server *s = &z->servers[i];

		if (s->live && (live == 0 || is_newer(s->serial, serial)))
			serial = s->serial;
		live += s->live;
		authoritative += s->live && s->authoritative;
	}
	json_begin(&w, &r->detail);
	json_open(&w, '{');
	json_key(&w, "zone");
	json_str(&w, job->target);
	json_key(&w, "servers");
	json_open(&w, '[');
	for (size_t i = 0; i < z->n; i++) {
		agree += z->servers[i].live && z->servers[i].serial == serial;
		write_server(&w, &z->servers[i]);
	}
	json_close(&w, ']');
	json_key(&w, "servers_total");
	json_uint(&w, z->n);
	json_key(&w, "servers_live");
	json_uint(&w, live);
	json_key(&w, "serial");
	json_uint(&w, serial);
	json_key(&w, "serial_agreement");
	json_bool(&w, live > 0 && agree == live);
	r->good = live == z->n && agree == live && authoritative == live;
	if (live < z->n)
		probe_fail(r, "%zu of %zu servers answer", live, z->n);
	else if (agree < live)
		probe_fail(r, "%zu of %zu servers have serial %u", agree, live,
		    serial);
	else if (authoritative < live)
		probe_fail(r, "%zu of %zu servers answer with authority",
		    authoritative, live);
	conclude_signatures(job, z, &w, r);
	json_close(&w, '}');
}

void
probe_dns(const struct probe_job *job, struct probe_result *r)
{
	struct zone *z = xzalloc(sizeof(*z));
	int64_t began_ns = loop_now();

	for (size_t i = 0; i < job->config->n_servers; i++)
		add_server(z, job->config->servers[i], job->config->servers[i]);
	if (z->n > 0 || discover(job, z, r)) {
		ask_servers(job, z);
		r->duration_ns = loop_now() - began_ns;
		ask_signatures(job, z);
		conclude(job, z, r);
	}
	free(z);
}
