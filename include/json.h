/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259), in and out.
 *
 * In: one strict pass, straight into an event; nested objects become dotted
 * names.  Out: events, nested or flat, and a small writer for everything else.
 */
#pragma once

#include "buf.h"
#include "error.h"
#include "event.h"

struct json_limits {
	unsigned depth;    /* arrays and objects within each other */
	size_t text_bytes; /* longer strings are cut at a character and
	                    * log.flags gets "truncated" */
};

/* 64 levels, 1 MiB */
extern const struct json_limits json_limits_default;

/*
 * Adds the members of one JSON object to `ev`.  "@timestamp" (RFC 3339 text)
 * sets ev->time_ns, or becomes the field kuzet.timestamp if it cannot be read.  Invalid UTF-8 in
 * strings becomes U+FFFD.  A name that comes twice keeps its last value.  Empty
 * keys and keys beyond the bounds of field.h are counted in ev->dropped.
 * `text` is borrowed by the event's strings: it must live as long as the arena.
 * RC_INVALID: not one JSON object (err says where); ev then holds what came
 * before the error.  RC_LIMIT: too deep.
 */
enum rc json_read_event(struct slice text, const struct json_limits *limits,
    struct event *ev, struct error *err);

/*
 * The same for many events: most have the names of one before, in its order,
 * and what stands between their values is remembered, so that it is compared
 * instead of read.  The results are equal.  One thread's; some 400 kB.
 */
struct json_paths;
struct json_paths *json_paths_new(void);
void json_paths_free(struct json_paths *p); /* NULL is fine */
enum rc json_read_event_again(struct slice text,
    const struct json_limits *limits, struct event *ev,
    struct json_paths *paths, struct error *err);

/*
 * A streaming reader for other JSON (configuration of peers, tests): strict,
 * depth-bounded, no numbers lost.  `text` must outlive it.
 */
enum json_token {
	JSON_END,
	JSON_NULL,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NUMBER, /* text is the number as written */
	JSON_STRING, /* text is decoded, valid UTF-8, in the arena or `text` */
	JSON_KEY,    /* as STRING */
	JSON_OBJECT_BEGIN,
	JSON_OBJECT_END,
	JSON_ARRAY_BEGIN,
	JSON_ARRAY_END,
	JSON_ERROR /* err is filled; the reader stays there */
};

enum { JSON_DEPTH_MAX = 512 };

struct json_reader {
	const char *at;
	const char *end;
	const char *start;
	struct arena *arena; /* borrowed: decoded strings */
	unsigned depth_max;
	unsigned depth;
	uint8_t state;
	uint64_t in_object[JSON_DEPTH_MAX / 64]; /* bit per level */
	struct slice text;                       /* of NUMBER, STRING, KEY */
	struct error err;
};

void json_reader_init(struct json_reader *r, struct slice text,
    struct arena *arena, unsigned depth_max);
enum json_token json_next(struct json_reader *r);
/* After *_BEGIN: skips to its end; its JSON text, or ptr NULL on error. */
struct slice json_skip(struct json_reader *r);

enum json_shape { JSON_NESTED, JSON_FLAT };

/*
 * The event as one JSON object without a line end: members in byte order of
 * their dotted names but "@timestamp" first, so that equal events give equal
 * text.  Where `a` and `a.b` both exist, the longer is a dotted key beside.
 */
void json_write_event(struct buf *out, const struct event *ev,
    enum json_shape shape);

/*
 * The same text for many events: most have the fields of one before, and what
 * stands between their values is remembered.  One thread's; at most some 500 kB.
 */
struct json_memo;
struct json_memo *json_memo_new(enum json_shape shape);
void json_memo_free(struct json_memo *m); /* NULL is fine */
void json_write_event_again(struct buf *out, const struct event *ev,
    struct json_memo *m);

void json_write_value(struct buf *out, const struct value *v);

/* "text" with quotes and escapes; `s` must be valid UTF-8 */
void json_write_string(struct buf *out, struct slice s);

/*
 * A writer that places commas:
 *   struct json_writer w; json_begin(&w, out);
 *   json_open(&w, '{'); json_key(&w, "n"); json_int(&w, 1); json_close(&w, '}');
 */
struct json_writer {
	struct buf *out; /* borrowed */
	bool comma;
};

void json_begin(struct json_writer *w, struct buf *out);
void json_open(struct json_writer *w, char bracket);  /* '{' or '[' */
void json_close(struct json_writer *w, char bracket); /* '}' or ']' */
void json_key(struct json_writer *w, const char *key);
void json_key_slice(struct json_writer *w, struct slice key);
void json_string(struct json_writer *w, struct slice s);
void json_str(struct json_writer *w, const char *s);
void json_int(struct json_writer *w, int64_t i);
void json_uint(struct json_writer *w, uint64_t u);
void json_double(struct json_writer *w, double d);
void json_bool(struct json_writer *w, bool b);
void json_null(struct json_writer *w);
void json_raw(struct json_writer *w, struct slice json);
/* A member, or nothing where the text is empty (or NULL). */
void json_optional(struct json_writer *w, const char *key, struct slice text);
void json_optional_str(struct json_writer *w, const char *key,
    const char *text);
void json_time(struct json_writer *w, int64_t time_ns); /* RFC 3339 */
