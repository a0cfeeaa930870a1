/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log format: one file of rules/normalizers, compiled.  Immutable after it is
 * loaded, so threads share it; the scratch of a thread is struct scratch.
 */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "conf.h"
#include "error.h"
#include "event.h"
#include "normalize.h"

/* Bounds of what a file may hold. */
enum {
	PATTERNS_MAX = 512,
	GROUPS_MAX = 48, /* named groups of one pattern */
	TARGETS_MAX = 8, /* fields that one group sets */
	CONSTANTS_MAX = 64,
	LOOKUPS_MAX = 64,
	LOOKUP_ITEMS_MAX = 4096,
	DEFINES_MAX = 128,
	PATTERN_TEXT_MAX = 16 * 1024, /* after its %{NAME}s are replaced */
	PREFIX_MAX = 32, /* literal text that a pattern begins with */
	KEYS_MAX = 256,  /* literals and programs that choose a format */
	SPLIT_MAX = 64,  /* pieces of a `split` value */
};

enum target_type {
	TARGET_STRING,
	TARGET_INT,
	TARGET_FLOAT,
	TARGET_IP,      /* only if it is one; IPv4-mapped is unmapped */
	TARGET_ADDRESS, /* X.address: X.ip or X.domain besides */
	TARGET_USER,    /* related.user besides */
	TARGET_LOWER,
	TARGET_LIST, /* appended; `split` cuts it first */
	TARGET_URL,  /* url.original: url.path, url.query … besides */
	TARGET_TIME, /* the event's instant */
	TARGET_TYPES
};

typedef size_t time_parser(struct slice s, const struct timestamp_hints *hints,
    int64_t *time_ns);

struct lookup_item {
	struct slice key;
	struct slice value; /* interned */
};

struct lookup {
	struct slice name;
	struct lookup_item *items; /* sorted by key */
	size_t n;
};

struct target {
	enum target_type type;
	uint32_t field;
	uint32_t ip_field;           /* ADDRESS */
	uint32_t domain_field;       /* ADDRESS */
	const struct lookup *lookup; /* may be NULL */
	char *split;                 /* LIST: separating characters, or NULL */
	time_parser *parse_time;     /* TIME: a known format, or */
	char *time_format;           /* … a pattern of strptime's */
};

/* What becomes of a group. */
struct capture {
	uint32_t group;
	uint32_t n;
	struct target *targets;
};

struct pattern {
	pcre2_code *code;
	char prefix[PREFIX_MAX]; /* what every match begins with */
	uint32_t prefix_len;
	uint32_t n_captures;
	struct capture *captures; /* by group number */
	uint32_t n_constants;
	struct field *constants; /* the format's and the pattern's */
	bool hinted; /* only where the dataset was named, not guessed */
	unsigned line;
};

enum key_kind {
	KEY_PROGRAM,  /* process.name of a syslog header */
	KEY_MESSAGE,  /* MSG of any program begins with it */
	KEY_STARTS,   /* a line without header begins with it */
	KEY_CONTAINS, /* … or holds it, near its start */
	KEY_PATH,     /* log.file.path holds it */
	KEY_KINDS
};

struct key {
	enum key_kind kind;
	struct slice text; /* in the format's arena */
};

struct format {
	struct arena *arena; /* all below but what PCRE2 owns */
	struct slice name;
	struct slice dataset; /* interned */
	struct slice module;  /* interned */
	int64_t priority;     /* higher is tried first */
	bool fallback;        /* any line with a syslog header */
	bool keep; /* a line with its header is its own, whatever follows */
	uint32_t n_keys;
	struct key *keys;
	uint32_t n_skip;
	struct slice *skip; /* texts before the message that say nothing */
	uint32_t n_none;
	struct slice *none; /* values that mean "no value" */
	uint32_t n_constants;
	struct field *constants;
	uint32_t n_patterns;
	struct pattern *patterns;
	/* first byte of the text -> the patterns that can match it */
	uint16_t first[257];
	uint16_t *by_first;
	uint32_t index; /* in its set */
};

/* A thread's scratch for PCRE2. */
struct scratch {
	pcre2_match_data *match;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	uint64_t limits; /* matches that a limit ended */
};

void scratch_init(struct scratch *s);
void scratch_fini(struct scratch *s);

/*
 * Compiles one file.  RC_INVALID: a mistake in it, err says "line N: …" and
 * *line is N; nothing of it is used then.
 */
enum rc format_load(const char *path, struct format **out, unsigned *line,
    struct error *err);
void format_free(struct format *f); /* NULL is fine */

/* A text that lives for ever; the same text is kept once, see constant.c. */
struct slice constant_intern(struct slice s);
/* The process holds at most so many bytes of them. */
enum { CONSTANT_BYTES_MAX = 8 << 20 };
/* As a value: scalars, or a sequence of them. */
bool constant_from_yaml(const struct yaml_node *node, struct value *out);

/*
 * PCRE2 code of `text`, in which each %{NAME} stands for a define; on failure
 * err says why.  Matches are of the whole text; "." is any character.
 */
struct define {
	struct slice name;
	struct slice text;
};
enum rc pattern_compile(struct slice text, const struct define *defines,
    size_t n_defines, struct pattern *out, struct error *err);

/* Finds the first pattern of `f` that is the whole of `text`. */
const struct pattern *format_match(const struct format *f, struct scratch *s,
    struct slice text, bool hinted);

/* Where a matched pattern's values go. */
struct apply {
	struct event *ev;
	const struct timestamp_hints *hints;
	bool time_set;
};

/* The constants and groups of a pattern that has just matched `text`. */
void pattern_apply(const struct format *f, const struct pattern *p,
    const struct scratch *s, struct slice text, struct apply *apply);

/* One value into one target, as a group would be. */
void target_set(const struct target *t, struct slice value,
    struct apply *apply);
