/* SPDX-License-Identifier: Apache-2.0 */
/* The API's own state, shared by its parts. */
#pragma once

#include <pthread.h>

#include "ask.h"
#include "collector/api/audit.h"
#include "collector/api/live.h"
#include "engine.h"
#include "limiter.h"

struct api {
	struct api_options options;
	struct http *http;
	char *control_path;
	struct accounts *accounts;
	struct auditor *auditor;
	struct live *live;
	struct limiter *by_account; /* requests of each */
	struct limiter *by_failure; /* failed log-ins of an address */

	pthread_mutex_t lock;        /* of what is counted below */
	struct ruleset *rules;       /* counted; NULL: none said yet */
	struct objects *objects;     /* counted; NULL: there is no register */
	struct authority *authority; /* counted; NULL: nobody enrols */
	char anchor[SHA256_TEXT];    /* of the API's chain; empty: no HTTPS */
	int64_t started_ns;
};

/* The rules that run now, counted; NULL: none yet. */
struct ruleset *api_rules(struct api *api);

/* Who signs agents' certificates, counted; NULL: nobody enrols. */
struct authority *api_authority(struct api *api);
/* By what a stranger knows the API's certificate; false: there is no HTTPS. */
bool api_anchor(struct api *api, char out[SHA256_TEXT]);

/* The register of objects, counted; NULL: there is none. */
struct objects *api_objects(struct api *api);

/* Who asks; RC_DENIED: nobody that may.  api.c asks auth.c. */
enum rc auth_caller(struct ask *a, struct error *err);
/* A page of another site must not act in a session of a browser. */
enum rc auth_csrf(const struct ask *a, struct error *err);
extern const char auth_cookie[];

/* One shape for queries and the live stream. */
struct detection {
	struct slice rule; /* JSON object */
	struct slice rule_id, level, event_id;
	int64_t time_ns;
	struct slice group; /* JSON object; empty: {} */
};
void detection_write(struct buf *out, const struct detection *d);
