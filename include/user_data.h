/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event XML rendered to JSON has what some providers of Windows tell one name
 * deeper, and that name is the provider's own: Event.UserData.EventXML.User.
 * Such a field gets Winlogbeat's name too, winlog.user_data.User, as what is
 * read from XML has it: so rules can group by it, and a search needs one name.
 */
#pragma once

#include "event.h"

/* The field that tells such events from all others; see user_data_names(). */
uint32_t user_data_mark(void);

/*
 * Adds the names to an event that has the field `mark`; those it has already
 * stay as they are.  Bounded as all fields of an event are.
 */
void user_data_names(struct event *ev, uint32_t mark);
