/* SPDX-License-Identifier: Apache-2.0 */
/* An incident for tests; they change what they look at. */
#pragma once

#include "soc.h"

static inline struct incident
incident_fixture(void)
{
	return (struct incident){
		.id = SLICE("abc"),
		.owner = SLICE("default"),
		.rule_id = SLICE("r-1"),
		.rule_title = SLICE("Many failures"),
		.rule_author = SLICE("Somebody"),
		.rule_tags = SLICE("[]"),
		.level = SLICE("high"),
		.status = SLICE("new"),
		.group = SLICE("{}"),
		.events = 2,
		.agents = SLICE("[\"web-1\"]"),
	};
}
