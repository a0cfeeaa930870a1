/* SPDX-License-Identifier: Apache-2.0 */
/* What the responder tells, as JSON: {"type":"answer",…}, {"type":"event",…}. */
#pragma once

#include "agent/roles/evidence.h"
#include "order.h"

void responder_answer(const struct order *o, const char *result,
    const struct error *err, struct buf *out);
/* An ECS event without @timestamp, host and input: members of an object. */
void responder_event_result(const struct order *o, const char *result,
    const struct error *err, struct buf *out);
void responder_event_evidence(const struct order *o,
    const struct evidence_piece *piece, struct buf *out);
