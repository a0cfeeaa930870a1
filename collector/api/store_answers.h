/* SPDX-License-Identifier: Apache-2.0 */
/* What the API answers about the store itself: JSON, one object a line. */
#pragma once

#include "collector/api/http.h"
#include "store.h"

/*
 * GET /v1/store/verify: {"progress":{...}} now and then, findings, and last
 * what was looked at.
 */
void answer_store_verify(struct store *s, const char *tsa_ca,
    struct http_reply *reply);

/*
 * GET /v1/store/proof?event=ID: the proof's files in pieces,
 * {"name":...,"text":...} or {"name":...,"hex":...}, and last what was looked
 * at.
 */
void answer_store_proof(struct store *s, const struct http_request *r,
    struct http_reply *reply);
