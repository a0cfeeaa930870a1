/* SPDX-License-Identifier: Apache-2.0 */
#include "json_paths.h"

#include <stdlib.h>

#include "xalloc.h"

struct json_paths *
json_paths_new(void)
{
	struct json_paths *p = xzalloc(sizeof(*p));

	json_paths_clear(p);
	return p;
}

void
json_paths_clear(struct json_paths *p)
{
	p->full = false;
	p->n = ROOT_STEP + 1;
	p->steps[ROOT_STEP].next = 0;
}

void
json_paths_free(struct json_paths *p)
{
	free(p);
}

uint16_t
json_step_add(struct json_paths *p, uint16_t from, struct slice text,
    const struct json_spot *spot)
{
	uint16_t *link = &p->steps[from].next;
	struct json_around *around;
	struct json_step *s;

	if (p->n == STEPS_MAX)
		p->full = true;
	if (p->full || text.len == 0 || text.len > STEP_TEXT ||
	    spot->depth > STEP_DEPTH)
		return NO_STEP;
	for (unsigned n = 0; *link != 0; link = &p->steps[*link].sibling)
		if (++n == SIBLINGS_MAX)
			return NO_STEP;
	*link = p->n;
	s = &p->steps[p->n];
	*s = (struct json_step){ .id = spot->id,
		.first = text.len < STEP_BLOCK
		    ? (uint16_t)((1U << text.len) - 1)
		    : UINT16_MAX,
		.len = (uint8_t)text.len,
		.kind = (uint8_t)spot->kind };
	memcpy(s->text, text.ptr, text.len);
	around = &p->around[p->n];
	*around = p->around[from];
	around->depth = spot->depth;
	for (unsigned i = 0; i < spot->depth; i++)
		around->parents[i] = spot->parents[i];
	if (spot->kind != STEP_END && spot->kind != STEP_TIME)
		event_filter_add(around->seen, spot->id);
	return p->n++;
}
