/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A field's values in one block as small numbers: each event has the code of
 * its value, or those of its items.
 */
#pragma once

#include "store.h"

struct codes {
	const struct value *values; /* by code */
	uint32_t n_values;
	/* by row: code + 1; 0: the event has none, or is in `lists` */
	uint32_t *first;
	/* events with several: by row, `n` codes at `items` + from; or NULL */
	struct codes_list {
		uint32_t from, n;
	} * lists;
	uint32_t *items;
	uint32_t one; /* for codes_at() */
	void *owned[3];
};

/* Of the events of `mask` only.  codes_fini() frees, also after an error. */
enum rc codes_read(struct codes *c, struct store_block *b, uint32_t field,
    const uint8_t *mask, struct error *err);
/* The spans of `every_ns` that the events' times lie in: VALUE_INT, begins. */
enum rc codes_times(struct codes *c, struct store_block *b, int64_t every_ns,
    const uint8_t *mask, struct error *err);
void codes_fini(struct codes *c);

/* The codes of one event; valid until the next call. */
const uint32_t *codes_at(struct codes *c, uint32_t row, uint32_t *n);

/* Scalars as groups tell them apart: by kind and, of text, byte by byte. */
uint64_t value_hash(const struct value *v);
bool value_same(const struct value *a, const struct value *b);
int value_compare(const struct value *a, const struct value *b);
/* A number, or a text that is one. */
bool value_number(const struct value *v, double *out);
