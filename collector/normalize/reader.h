/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: a text that holds many values becomes names with values, which go
 * where `fields` of the format says, as the groups of a pattern do.
 *
 *   pairs     a=1 b="two words"
 *   columns   CSV (RFC 4180) and its relatives, W3C Extended Log
 *   json      an object (RFC 8259); names of nested members are dotted
 *   xml       elements and attributes; names of nested ones are dotted
 *   cef       ArcSight Common Event Format, revision 25
 *   leef      IBM QRadar Log Event Extended Format, 1.0 and 2.0
 *   patterns  regular expressions, the first that fits
 *   line      a line of a log: all formats are tried on it
 *
 * Values are slices of the text, or copies in the event's arena where something
 * had to be undone (escapes, quotes).
 */
#pragma once

#include "format.h"

enum reader_kind {
	READER_PAIRS,
	READER_COLUMNS,
	READER_JSON,
	READER_XML,
	READER_CEF,
	READER_LEEF,
	READER_PATTERNS,
	READER_LINE,
	READER_KINDS
};

struct column_list {
	uint32_t n;
	struct slice *names; /* an empty one is left out */
};

struct reader {
	struct slice name;
	enum reader_kind kind;
	struct slice rest; /* "x.y": names without a place become x.y.NAME */
	/* names with a place, before those of the format; may be none */
	struct names names;
	/* pairs: characters between them, text between name and value */
	struct slice between;
	struct slice equals;
	struct slice quotes;
	struct slice strip; /* characters around a value that are not its own */
	bool spaces;        /* a value ends where the next NAME= begins */
	/* columns: the list with as many names as there are values, else the
	 * first */
	char separator;
	uint32_t n_lists;
	struct column_list *lists;
	uint32_t n_patterns;
	struct pattern *patterns;
};

/* Reads `text` with r; nothing beyond READ_DEPTH_MAX readers. */
void reader_run(const struct reader *r, struct slice text, struct apply *a);

/* The members of an object that was read already. */
void reader_object(const struct reader *r, const struct event *object,
    struct apply *a);

/* What readers are made of: one name with its value. */
void reader_value(const struct reader *r, struct slice name, struct slice value,
    struct apply *a);
/* The same for a value that has a type. */
void reader_typed(const struct reader *r, struct slice name,
    const struct value *value, struct apply *a);

void read_pairs(const struct reader *r, struct slice text, struct apply *a);
void read_columns(const struct reader *r, struct slice text, struct apply *a);
void read_cef(const struct reader *r, struct slice text, struct apply *a);
void read_leef(const struct reader *r, struct slice text, struct apply *a);
void read_xml(const struct reader *r, struct slice text, struct apply *a);
