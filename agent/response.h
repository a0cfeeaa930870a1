/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of the responder (roles/responder.h): hands on what came,
 * and takes back answers, which go to the collector, and events, which go
 * through the spool.
 */
#pragma once

#include "agent/inputs/input.h"

struct central;
struct response;

struct response_options {
	struct loop *loop;
	int channel;             /* taken; -1: there is no responder */
	struct spool *spool;     /* NULL: events are logged only */
	const char *host_name;   /* copied */
	struct central *central; /* for answers */
};
struct response *response_new(const struct response_options *options);
void response_free(struct response *r); /* NULL is fine */

/* A message with an order; `id` is the order's, for what is answered here. */
void response_take(struct response *r, struct slice id, struct slice wire);
