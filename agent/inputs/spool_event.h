/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of inputs that no file stands behind: JSON into the spool, which
 * keeps them until they are acknowledged.  input_spool.c sends them.
 *
 *   struct spool_event_text t;
 *   spool_event_begin(&t, setup, input, "probe", timestamp_now());
 *   json_key(&t.json, "event"); ...
 *   rc = spool_event_put(&t, setup->spool, &err);
 */
#pragma once

#include "agent/inputs/input.h"
#include "agent/spool/spool.h"
#include "json.h"
#include "timestamp.h"

struct spool_event_text {
	struct buf text;
	struct json_writer json; /* within the event's object */
};

/*
 * "@timestamp", host.name, input.type and kuzet.input; the caller adds the rest
 * (his own names below `kuzet` as dotted keys, "kuzet.probe": {}).
 */
void spool_event_begin(struct spool_event_text *t,
    const struct input_setup *setup, const char *input, const char *type,
    int64_t time_ns);
/* Ends it, keeps it as spool_put() does, and frees its memory. */
enum rc spool_event_put(struct spool_event_text *t, struct spool *spool,
    struct error *err);
