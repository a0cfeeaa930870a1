/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: what kuzetctl, the console and other programs ask the collector.
 *
 * One route table (routes.c), served as HTTP/1.1 on the control socket, a UNIX
 * socket of mode 0600 whose peers must be of our user or root, and over HTTPS
 * to those who log in.  One thread for the sockets, a few for the queries; an
 * answer is streamed as JSON lines and a slow reader makes its query wait, so
 * memory does not grow with the answer.
 */
#pragma once

#include "engine.h"
#include "identities.h"
#include "objects.h"
#include "program_count.h"
#include "soc.h"
#include "store.h"

struct api;
struct order;
struct tls_context;

/* What only the pipeline knows; the rest is read from the store. */
/* One of the collector's own; texts are constant or the configuration's. */
struct api_certificate {
	const char *use, *path; /* its option, its file */
	bool authority;
	char subject[CERTIFICATE_NAME]; /* CN; may be empty */
	int64_t expires_ns;
	enum certificate_state state;
};
enum { API_CERTIFICATES = 4 };

struct api_status {
	/* Everything is up, the backlog is correlated, and agents can verify
	 * the certificate. */
	bool ready;
	int64_t uptime_ns;
	uint64_t received; /* events since the start */
	uint64_t unparsed; /* of them */
	/* Of those, by program, the commonest first; the last is the rest. */
	struct program_count programs[PROGRAM_COUNTS];
	size_t n_programs;
	/* The register of objects, and what was found out about it. */
	uint64_t objects, objects_unmonitored, findings, findings_left_out;
	uint64_t correlated; /* commits that are in soc.db */
	uint64_t agents_connected;
	/* The first one is what the listeners show. */
	struct api_certificate certificates[API_CERTIFICATES];
	size_t n_certificates;
	uint64_t handshakes_limited; /* of the listeners' new connections */
	uint64_t outbox_pending, outbox_delivered;
	uint64_t rules_loaded, rules_refused;
	uint64_t rules_given_up; /* regular expressions, at their limit */
	/* What correlation holds, and what a bound forced out. */
	uint64_t hits, groups, late_hits, evicted_hits, evicted_groups;
	uint64_t shortened_hits; /* left sooner than late ones may come */
	uint64_t unknown_hits;   /* their rule had changed before they came */
	uint64_t unjudged_hits;  /* a source was too far behind to wait for */
	/* What the store's keeper did since the start. */
	uint64_t merged_blocks, archived_days, removed_days, removed_events;
	struct api_reload {
		uint64_t number;    /* of the newest that has ended */
		const char *state;  /* constant; NULL: there was none */
		char message[1024]; /* why it waits or was refused */
	} reload;
};

/* What an agent said of itself last; "" where it said nothing. */
struct api_agent {
	bool connected;
	int64_t heard_ns; /* 0: not since the collector's start */
	struct slice version, instance, started, peer;
	struct slice status;    /* JSON object */
	struct slice positions; /* JSON array */
};
typedef void api_agent_cb(void *ctx, const struct api_agent *agent);

/* What agents are told; in any of the API's threads.  `owner` and `agent` with
 * ptr NULL: all.  A line is a JSON object. */
typedef bool api_line_cb(void *ctx, struct slice json);
struct api_configs {
	struct slice owner, agent;
	bool check;      /* ask them to check the files as they are now */
	struct slice by; /* who asks */
};
struct api_orders {
	enum rc (*ask)(void *ctx, struct slice owner, const struct order *what,
	    char id[UUID_TEXT], struct error *err);
	void (*list)(void *ctx, struct slice owner, struct slice id,
	    struct slice agent, api_line_cb *cb, void *cb_ctx);
	enum rc (*configs)(void *ctx, const struct api_configs *which,
	    api_line_cb *cb, void *cb_ctx, struct error *err);
	enum rc (*push)(void *ctx, struct error *err);
	void (*key)(void *ctx, struct buf *pem);
};

struct api_options {
	const char *control_path; /* of the socket; its folder exists */
	struct store *store;      /* borrowed: outlives the api */
	/* HOST:PORT of HTTPS; NULL: none.  `tls` asks for certificates. */
	const char *https_address;
	struct tls_context *tls;       /* takes a reference */
	struct identities *identities; /* borrowed: outlives the api */
	struct authority
	    *authority;         /* takes a reference; NULL: nobody enrols */
	int64_t certificate_ns; /* how long what it signs is good */
	int64_t renew_before_ns;
	size_t max_connections;     /* over HTTPS */
	double rate;                /* requests a second of an account; an
	                          * address may have twice as many */
	int64_t session_idle_ns;    /* ends sessions */
	int64_t request_timeout_ns; /* for a connection's first request */
	bool outbox;                /* a publisher takes incidents */
	const char *tsa_ca;         /* of the store's time stamps; NULL: none */
	/* Called in any of the API's threads; *out is zeroed before. */
	void (*status)(void *ctx, struct api_status *out);
	/* The same; calls back once. */
	void (*agent)(void *ctx, struct slice owner, struct slice agent,
	    api_agent_cb *cb, void *cb_ctx);
	const struct api_orders *orders; /* NULL: there are none */
	uint64_t (*reload)(void *ctx); /* begins to: its number; may be NULL */
	/* This agent is let in no more: its connections are to end. */
	void (*revoked)(void *ctx, struct slice agent);
	void (*audited)(void *ctx); /* new entries; may be NULL */
	void *ctx;
	unsigned query_threads; /* 0: 2 */
};

/*
 * RC_DENIED: another collector answers on that socket.  A socket that nobody
 * answers on is replaced; anything else of that name is not: RC_INVALID.
 */
enum rc api_start(const struct api_options *options, struct api **out,
    struct error *err);

/* For new connections over HTTPS; takes a reference. */
void api_set_tls(struct api *api, struct tls_context *tls);
/* Who signs from here on; takes a reference; NULL: nobody enrols. */
void api_set_authority(struct api *api, struct authority *authority);
/* The rules that run; takes a reference.  Any thread, as all below. */
void api_set_rules(struct api *api, struct ruleset *rules);
/* The register of objects; takes a reference; NULL: there is none. */
void api_set_objects(struct api *api, struct objects *objects);
/* For those who listen: an incident changed, events were committed. */
void api_incident(struct api *api, const struct incident *i);
void api_record(struct api *api, const struct log_record *r);

/*
 * Breaks off what is being answered and removes the socket.  What others tell
 * is heard no more, but still may be told until api_free().  NULL is fine.
 */
void api_stop(struct api *api);
void api_free(struct api *api);
