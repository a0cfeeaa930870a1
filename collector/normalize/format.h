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
#include "pattern_filter.h"
#include "text_index.h"

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
	READERS_MAX = 64,
	COLUMNS_MAX = 256, /* of one list of `columns` */
	NAMES_MAX = 1024,  /* entries of `fields` */
	SLOTS_MAX = 48,    /* names that `cases` and `joins` ask for */
	CASES_MAX = 512,
	CONDITIONS_MAX = 8, /* of a case */
	JOINS_MAX = 16,
	JOIN_PARTS_MAX = 16,
	READ_DEPTH_MAX = 4, /* readers within each other */
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
	TARGET_READ, /* more values are in it, see reader.h */
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
	int64_t times;               /* INT: a factor; 0: none */
	bool text;                   /* STRING: of numbers and truths too */
	const struct lookup *lookup; /* may be NULL */
	char *split;                 /* LIST: separating characters, or NULL */
	time_parser *parse_time;     /* TIME: a known format, or */
	char *time_format;           /* … a pattern of strptime's */
	const struct reader *reader; /* READ */
};

enum { NO_SLOT = -1 };

/* What becomes of a group, or of a value that a reader names. */
struct capture {
	uint32_t group;
	uint32_t n;
	struct target *targets;
	int slot; /* kept for `cases` and `joins`, or NO_SLOT */
};

/* Values by name: the entries of `fields`, sorted. */
struct named {
	struct slice name;
	struct capture capture;
};

struct names {
	uint32_t n;
	struct named *list;
	struct text_index index;
};

/* `name: [text, text]` of a case, or of `match: {json: …}`. */
struct condition {
	struct slice name;
	int slot;             /* of a case */
	bool absent;          /* the name must have no value */
	uint32_t n;           /* 0: any value */
	struct slice *values; /* one that ends with '*' is a beginning */
};

bool condition_holds(const struct condition *c, struct slice value);

/* Constants for the events whose values fit. */
struct format_case {
	uint32_t n_when;
	struct condition *when;
	uint32_t n_constants;
	struct field *constants;
};

/* A value made of others: "%{date} %{time}". */
struct join_part {
	int slot; /* NO_SLOT: `text` */
	struct slice text;
};

struct join {
	uint32_t n;
	struct join_part *parts;
	struct capture capture;
};

struct pattern {
	pcre2_code *code;
	/* the same for texts in ASCII, whose characters are bytes: a tenth of
	 * the time of a line; NULL where it would be another pattern */
	pcre2_code *ascii;
	char prefix[PREFIX_MAX]; /* what every match begins with */
	uint32_t prefix_len;
	bool compiled; /* both to machine code */
	struct pattern_filter filter;
	uint32_t n_captures;
	struct capture *captures; /* by group number */
	uint32_t n_constants;
	struct field *constants;
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

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in reading order */
struct format {
	struct arena *arena; /* all below but what PCRE2 owns */
	struct slice name;
	struct slice dataset; /* interned */
	struct slice module;  /* interned */
	int64_t priority;     /* higher is tried first */
	bool fallback;        /* any line with a syslog header */
	bool last;            /* tried on what no other format took */
	bool any_object;      /* … and on every object that is of no format */
	bool keep; /* a line with its header is its own, whatever follows */
	uint32_t n_keys;
	struct key *keys;
	uint32_t n_skip;
	struct slice *skip; /* texts before the message that say nothing */
	uint32_t n_none;
	struct slice *none; /* values that mean "no value" */
	size_t none_longest;
	uint32_t n_constants;
	struct field *constants;
	struct names names;
	uint32_t n_readers;
	struct reader *readers;
	struct reader *json; /* what a line that is an object goes through */
	uint32_t n_json_when;
	struct condition *json_when;
	uint32_t n_slots;
	uint32_t n_joins;
	struct join *joins;
	uint32_t n_cases;
	struct format_case *cases;
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
	uint64_t limits;    /* matches that a limit ended */
	struct slice ascii; /* the line, if it is ASCII; else none */
	unsigned failed; /* patterns that were tried on this line and failed */
	struct text_pairs pairs; /* of the line, once FAILED_MIN did */
};

void scratch_init(struct scratch *s);
void scratch_fini(struct scratch *s);
/* Another line begins: what was learned of the one before is forgotten. */
void scratch_line(struct scratch *s, struct slice line, bool ascii);

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

/* Without what may stand before a message: "error: " and the like, spaces. */
struct slice format_skip(const struct format *f, struct slice text);

/* A value that is none: empty, or one of the format's `none`. */
bool format_lists_none(const struct format *f, struct slice s);
static inline bool
format_means_none(const struct format *f, struct slice s)
{
	return s.len <= f->none_longest && format_lists_none(f, s);
}

/* `name` of the file, else the file's name without its ending. */
struct slice format_name(const char *path, struct slice name);

/* Finds the first pattern of `f` that is the whole of `text`. */
const struct pattern *format_match(const struct format *f, struct scratch *s,
    struct slice text, bool hinted);

/* Where a matched line's values go. */
struct apply {
	struct event *ev;
	const struct timestamp_hints *hints;
	bool time_set;
	const struct format *format;
	struct scratch *scratch;
	unsigned depth; /* of readers */
	/* a reader of type `line`: the text goes through all formats again */
	void (*line)(struct apply *apply, struct slice text);
	struct normalizer *normalizer; /* of `line` */
	struct slice slots[SLOTS_MAX]; /* ptr NULL: no value yet */
};

/* Whether it is the whole of `text`; its groups are in the scratch then. */
bool pattern_fits(const struct pattern *p, struct scratch *s,
    struct slice text);
/* What a pattern that has just matched `text` says: constants, then groups. */
void pattern_apply(const struct pattern *p, struct slice text,
    struct apply *apply);
/* After all values are read: joins, then cases. */
void format_finish(struct apply *apply);

/* A value as a group would be: nothing where it means none. */
void capture_set(const struct capture *c, struct slice value,
    struct apply *apply);

/* The entry of `fields` with this name, or NULL. */
const struct capture *names_find(const struct names *names, struct slice name);
