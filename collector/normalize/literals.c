/* SPDX-License-Identifier: Apache-2.0 */
#include "literals.h"

#include <stdlib.h>

#include "xalloc.h"

enum { NO_OUTPUT = UINT32_MAX };

struct output {
	uint32_t value;
	uint32_t len; /* of an at_start literal; 0: anywhere */
	uint32_t next;
};

/*
 * next[state * n_classes + class] is the next state; state 0 is the root.
 * outputs[first[state]] and its `next`s are the literals that end there.
 */
struct literals {
	uint8_t class_of[256];
	uint32_t n_classes;
	uint32_t n_states;
	uint16_t *next;
	uint32_t *first;
	struct output *outputs;
	uint32_t n_outputs;
};

static void
make_classes(struct literals *l, const struct literal *list, size_t n)
{
	l->n_classes = 1; /* 0: every byte that no literal has */
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < list[i].text.len; k++) {
			unsigned char c = (unsigned char)list[i].text.ptr[k];

			if (l->class_of[c] == 0 && l->n_classes < 256)
				l->class_of[c] = (uint8_t)l->n_classes++;
		}
	}
}

static void
add_literal(struct literals *l, const struct literal *lit)
{
	uint32_t state = 0, *at;

	for (size_t k = 0; k < lit->text.len; k++) {
		unsigned char c = (unsigned char)lit->text.ptr[k];
		uint16_t *edge =
		    &l->next[state * l->n_classes + l->class_of[c]];

		if (*edge == 0)
			*edge = (uint16_t)l->n_states++;
		state = *edge;
	}
	/* behind those that were given before */
	at = &l->first[state];
	while (*at != NO_OUTPUT)
		at = &l->outputs[*at].next;
	*at = l->n_outputs;
	l->outputs[l->n_outputs++] = (struct output){ lit->value,
		lit->at_start ? (uint32_t)lit->text.len : 0, NO_OUTPUT };
}

/* The outputs of `from` are those of `to` as well, behind its own. */
static void
link_outputs(struct literals *l, uint32_t to, uint32_t from)
{
	uint32_t *at = &l->first[to];

	/* chains share their tails, so appending once is enough */
	while (*at != NO_OUTPUT)
		at = &l->outputs[*at].next;
	*at = l->first[from];
}

/* Breadth first: failure links become edges. */
static void
complete(struct literals *l)
{
	uint32_t *queue = xcalloc(l->n_states, sizeof(queue[0]));
	uint32_t *fail = xcalloc(l->n_states, sizeof(fail[0]));
	uint32_t head = 0, tail = 0;

	for (uint32_t c = 0; c < l->n_classes; c++)
		if (l->next[c] != 0)
			queue[tail++] = l->next[c];
	while (head < tail) {
		uint32_t s = queue[head++];

		link_outputs(l, s, fail[s]);
		for (uint32_t c = 0; c < l->n_classes; c++) {
			uint16_t *edge = &l->next[s * l->n_classes + c];
			uint16_t other = l->next[fail[s] * l->n_classes + c];

			if (*edge == 0) {
				*edge = other;
			} else {
				fail[*edge] = other;
				queue[tail++] = *edge;
			}
		}
	}
	free(queue);
	free(fail);
}

enum rc
literals_new(const struct literal *list, size_t n, struct literals **out,
    struct error *err)
{
	size_t bytes = 1;
	struct literals *l;

	*out = NULL;
	for (size_t i = 0; i < n; i++)
		bytes += list[i].text.len;
	if (bytes > LITERALS_BYTES_MAX)
		return error_set(err, RC_LIMIT,
		    "the literals that choose formats are longer than %d bytes",
		    LITERALS_BYTES_MAX);
	l = xzalloc(sizeof(*l));
	make_classes(l, list, n);
	l->n_states = 1;
	l->next = xcalloc(bytes * l->n_classes, sizeof(l->next[0]));
	l->first = xcalloc(bytes, sizeof(l->first[0]));
	for (size_t i = 0; i < bytes; i++)
		l->first[i] = NO_OUTPUT;
	l->outputs = xcalloc(n + 1, sizeof(l->outputs[0]));
	for (size_t i = 0; i < n; i++)
		if (list[i].text.len > 0)
			add_literal(l, &list[i]);
	complete(l);
	*out = l;
	return RC_OK;
}

void
literals_free(struct literals *l)
{
	if (l == NULL)
		return;
	free(l->next);
	free(l->first);
	free(l->outputs);
	free(l);
}

bool
literals_scan(const struct literals *l, struct slice text, size_t max,
    literal_cb *cb, void *ctx)
{
	size_t n = text.len < max ? text.len : max;
	uint32_t state = 0;

	if (l->n_outputs == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		state = l->next[state * l->n_classes + l->class_of[c]];
		for (uint32_t o = l->first[state]; o != NO_OUTPUT;
		     o = l->outputs[o].next) {
			if (l->outputs[o].len != 0 &&
			    l->outputs[o].len != i + 1)
				continue;
			if (cb(ctx, l->outputs[o].value))
				return true;
		}
	}
	return false;
}
