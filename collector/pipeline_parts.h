/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pipeline's own files share; nobody else includes it.
 *
 *   pipeline.c          the stages behind the listeners, the order of start and
 *                       end
 *   pipeline_network.c  listeners: who is let in, what goes back to peers
 *   pipeline_api.c      what the API asks the stages
 *   pipeline_reload.c   what changes while the collector runs: certificates,
 *                       rules, formats, the register; who watches for it
 */
#pragma once

#include "agents.h"
#include "api/api.h"
#include "audit_feed.h"
#include "budget.h"
#include "certificate_watch.h"
#include "findings.h"
#include "health.h"
#include "identities.h"
#include "incidents/incidents.h"
#include "listeners/listener.h"
#include "log.h"
#include "loop.h"
#include "object_watch.h"
#include "orders.h"
#include "pipeline.h"
#include "presence.h"
#include "publish/publish.h"
#include "reload.h"
#include "stages.h"
#include "store.h"
#include "store/keeper.h"
#include "store/writer.h"
#include "volume_watch.h"
#include "worker.h"

struct pipeline {
	const char *path;                      /* borrowed */
	const struct collector_config *config; /* borrowed */

	struct loop *loop;
	struct loop_timer *flushed, *drained;
	int64_t drain_until_ns;
	struct listener_tls tls;
	struct budget *budget;
	struct presence *presence;
	struct agents *agents;
	struct findings *findings;
	struct orders *orders;
	struct certificate_watch *certificates;
	struct object_watch *objects; /* NULL: there is no register */
	struct volume_watch *volumes;
	struct listener *beats;
	struct listener *syslog;

	struct stages *stages;
	struct workers *workers;
	struct reload *reload;

	struct store *store;
	struct identities *identities;
	struct writer *writer;
	struct keeper *keeper;
	struct incidents *incidents;
	struct publish *publish; /* NULL: no Kafka is configured */
	struct api *api;
	struct audit_feed *audit;
	struct health *health;

	/* For the API's threads: __atomic. */
	bool ready;
	uint64_t rules_loaded, rules_refused, n_objects, handshakes_limited;
};

/* pipeline_network.c; callbacks' ctx is the pipeline */

enum rc pipeline_start_listeners(struct pipeline *p, struct error *err);
/* Asks of every handshake from now on whether the name is closed. */
void pipeline_admit(struct pipeline *p, const struct listener_tls *tls);
/* To the workers; takes the piece.  false: no room, it stays the caller's. */
bool pipeline_submit(void *ctx, struct piece *piece);
void pipeline_on_room(void *ctx); /* any thread */
/* Any thread: an ACK of so many frames; 0 ends the connection. */
void pipeline_reply(struct pipeline *p, uint64_t connection, uint32_t count);
/* Loses nothing: what was not acknowledged comes again. */
void pipeline_end_connection(void *ctx, uint64_t connection);
void pipeline_on_tell(void *ctx, uint64_t connection, struct slice wire);
void pipeline_on_revoked(void *ctx, struct slice agent);
/* Accepts nobody any more; what syslog peers have sent by now is read. */
void pipeline_stop_listening(struct pipeline *p);
void pipeline_look_drained(void *ctx); /* p->drained's */

/* pipeline_api.c */

enum rc pipeline_start_api(struct pipeline *p, struct error *err);

/* pipeline_reload.c */

void pipeline_start_reload(struct pipeline *p);
void pipeline_start_watches(struct pipeline *p);
void pipeline_on_reload(void *ctx, int signo);
/* Whoever answers about rules and objects has those of p->stages. */
void pipeline_tell_rules(struct pipeline *p);
