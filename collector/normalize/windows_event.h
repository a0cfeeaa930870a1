/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of Windows as the XML that Windows itself, its event forwarding, NXLog
 * and Fluentd write: <Event><System>…</System><EventData>…</EventData></Event>.
 * https://learn.microsoft.com/windows/win32/wes/eventschema-schema
 *
 * They become the object that Winlogbeat would have sent (winlog.channel,
 * winlog.event_id, winlog.event_data.NAME …), so that the formats, and the
 * rules, for these serve both.  That is why this is no reader of a format.
 */
#pragma once

#include "event.h"
#include "normalize.h"

/*
 * Whether `text` is such an event.  Then `object` has what it says, in the
 * arena of `ev`; its time is TimeCreated, else that of `ev`.  Of XML that is
 * damaged behind the channel and the event's id, what stands before the damage
 * is kept and error.message says so.  A document with a DOCTYPE is none.
 */
bool windows_event_read(struct event *object, const struct event *ev,
    struct slice text, const struct normalize_hints *hints);
