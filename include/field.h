/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field names, interned once: an event carries small numbers, not strings.
 *
 * Names are dotted ECS names (ECS 8, https://www.elastic.co/guide/en/ecs/8.0);
 * our own start with "kuzet.".  The ids of ecs_fields.h are constants, others
 * are given out at run time and never taken back, so the table is bounded:
 * FIELDS_MAX names of at most FIELD_NAME_MAX bytes.  Beyond either bound
 * field_intern() says FIELD_NONE and counts it.
 *
 * All functions are thread-safe; look-ups take no lock.
 */
#pragma once

#include <stdint.h>

#include "slice.h"

enum { FIELDS_MAX = 32768, FIELD_NAME_MAX = 512 };

enum {
	FIELD_NONE = 0,
#define ECS(id, name) FIELD_##id,
#include "ecs_fields.h"
#undef ECS
	FIELD_KNOWN
};

/* The id of a name, made if it is new. */
uint32_t field_intern(struct slice name);

/* The id of a name if anybody ever interned it, else FIELD_NONE. */
uint32_t field_find(struct slice name);

/*
 * The id of `parent`.`key`; FIELD_NONE as parent is the top level.  What a
 * parser of nested objects calls: no dotted name is built when it is known.
 */
uint32_t field_child(uint32_t parent, struct slice key);

/* Valid for ever. */
struct slice field_name(uint32_t id);

/*
 * The id that stands for all spellings of a name: ASCII lower case, spaces
 * dropped (Sigma looks fields up so).  field_folded(a) == field_folded(b) when
 * the names are equal in that sense.
 */
uint32_t field_folded(uint32_t id);

/*
 * The places of the names in byte order, for ids below *n: newer names may have
 * none yet.  Valid for ever.
 */
const uint32_t *field_ranks(uint32_t *n);

/* Ids are below this; grows. */
uint32_t field_count(void);

/* How many names were refused at a bound since the start. */
uint64_t field_refused(void);
