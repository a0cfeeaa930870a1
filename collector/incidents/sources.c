/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incidents/sources.h"

#include <stdlib.h>

#include "xalloc.h"

void
sources_fini(struct sources *s)
{
	free(s->list);
}

static struct watermark *
at(struct sources *s, uint32_t source)
{
	if (source >= s->n) {
		uint32_t n = source + 1 > 2 * s->n ? source + 1 : 2 * s->n;

		s->list = xreallocarray(s->list, n, sizeof(*s->list));
		memset(s->list + s->n, 0, (n - s->n) * sizeof(*s->list));
		s->n = n;
	}
	return &s->list[source];
}

void
sources_move(struct sources *s, struct correlator *c,
    const struct log_watermark *w, uint64_t commit)
{
	struct watermark *x = at(s, w->source);

	if (x->moved == 0 || w->time_ns > x->time_ns) {
		x->time_ns = w->time_ns;
		x->moved = commit;
	}
	x->heard_ns = w->arrival_ns;
	x->live = w->live;
	correlator_watermark(c, w->source, w->time_ns);
}

void
sources_tick(const struct sources *s, struct correlator *c, int64_t now_ns,
    int64_t silent_after_ns, int64_t start_ns)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct watermark *x = &s->list[i];
		int64_t heard_ns =
		    x->heard_ns > start_ns ? x->heard_ns : start_ns;

		if (x->moved != 0 && x->live &&
		    now_ns - heard_ns >= silent_after_ns)
			correlator_watermark(c, i, now_ns);
	}
}

uint64_t
sources_oldest(const struct sources *s, const struct correlator *c)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->list[i].moved != 0 && s->list[i].moved < oldest &&
		    correlator_awaits(c, i))
			oldest = s->list[i].moved;
	return oldest;
}
