/* SPDX-License-Identifier: Apache-2.0 */
#include "soc.h"

void
incident_write(struct buf *out, const struct incident *i)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "type");
	json_str(&w, "incident");
	json_key(&w, "id");
	json_string(&w, i->id);
	json_key(&w, "rule");
	json_open(&w, '{');
	json_key(&w, "id");
	json_string(&w, i->rule_id);
	json_key(&w, "title");
	json_string(&w, i->rule_title);
	json_key(&w, "author");
	json_string(&w, i->rule_author);
	json_key(&w, "tags");
	json_raw(&w, i->rule_tags.len > 0 ? i->rule_tags : SLICE("[]"));
	json_close(&w, '}');
	json_key(&w, "level");
	json_string(&w, i->level);
	json_key(&w, "status");
	json_string(&w, i->status);
	json_optional(&w, "reason", i->reason);
	json_optional(&w, "assignee", i->assignee);
	json_key(&w, "first_seen");
	json_time(&w, i->first_seen_ns);
	json_key(&w, "last_seen");
	json_time(&w, i->last_seen_ns);
	json_key(&w, "group");
	json_raw(&w, i->group.len > 0 ? i->group : SLICE("{}"));
	json_key(&w, "events");
	json_uint(&w, i->events);
	json_key(&w, "agents");
	json_raw(&w, i->agents.len > 0 ? i->agents : SLICE("[]"));
	if (i->owner_about.len > 0) {
		json_key(&w, "owner");
		json_raw(&w, i->owner_about);
	}
	if (i->objects.len > 0) {
		json_key(&w, "objects");
		json_raw(&w, i->objects);
	}
	json_close(&w, '}');
}
