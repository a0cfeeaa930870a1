/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats of a folder and the ways to one of them: by program, by dataset,
 * and by literals of the line, of MSG and of the path, each one look-up or one
 * pass, however many formats there are.
 */
#pragma once

#include <stdatomic.h>

#include "format.h"
#include "literals.h"
#include "text_index.h"

enum {
	FORMATS_MAX = 1024,
	SCAN_BYTES = 512 /* of a line: where `contains` is looked for */
};

/* Sorted by text; formats of one text by falling priority, then name. */
struct way {
	struct slice text;
	uint32_t format;
};

struct ways {
	struct way *list;
	uint32_t n;
	struct text_index index;
};

struct normalizer_set {
	_Atomic uint32_t references;
	struct arena *arena;     /* the ways' indexes */
	struct format **formats; /* by falling priority, then name */
	uint32_t n;
	struct ways programs;
	struct ways datasets;
	struct ways json;      /* by the first name of `match: {json: …}` */
	struct literals *line; /* `starts` and `contains` */
	struct literals *message; /* `message` */
	struct literals *path;    /* `paths` */
	uint32_t fallback;        /* a format, or UINT32_MAX */
	uint32_t any_object;      /* the same */
	uint32_t *last; /* formats that are tried after all others, in order */
	uint32_t n_last;
};

/* The entries of `text`: *n of them; NULL where there is none. */
const struct way *ways_find(const struct ways *w, struct slice text,
    uint32_t *n);
