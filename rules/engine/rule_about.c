/* SPDX-License-Identifier: Apache-2.0 */
/* How incidents and detections name the rule that they are of. */
#include "engine.h"
#include "json.h"

void
rule_write_about(struct buf *out, const struct rule_info *info)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "id");
	json_string(&w, info->id);
	json_key(&w, "title");
	json_string(&w, info->title);
	json_key(&w, "author");
	json_string(&w, info->author);
	json_key(&w, "tags");
	json_open(&w, '[');
	for (uint32_t i = 0; i < info->n_tags; i++)
		json_string(&w, info->tags[i]);
	json_close(&w, ']');
	json_close(&w, '}');
}
