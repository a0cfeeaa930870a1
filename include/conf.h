/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: one YAML file a program, one table of options.
 *
 * The table says key, type, place, default, bounds and help; out of it come
 * parsing, --help's list of keys and the man page's.  An unknown key, a wrong
 * type, a value out of range, a key given twice are errors that name file,
 * line, key and what is allowed.  libyaml is used here and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "slice.h"

enum conf_type {
	CONF_STRING, /* char * */
	CONF_PATH, /* char *, relative ones are relative to the file's folder */
	CONF_ADDRESS,  /* char *, HOST:PORT, [v6]:PORT */
	CONF_CHOICE,   /* int: index into `choices` */
	CONF_INT,      /* int64_t */
	CONF_SIZE,     /* int64_t bytes: 65536, 64KiB, 8MiB, 20MB */
	CONF_DURATION, /* int64_t ns: 10ms, 30s, 12h, 30d */
	CONF_BOOL,     /* bool */
	CONF_STRINGS,  /* struct conf_strings: a list, or one scalar */
	CONF_PATHS,    /* struct conf_strings, each as CONF_PATH */
	CONF_ADDRESSES,
	CONF_MAP,  /* struct conf_map: name -> scalar */
	CONF_LIST, /* struct conf_list of structs described by `items` */
	/* bool: whether the file has this section.  What is required within
	 * it, is so only then: "kafka", then "kafka.brokers". */
	CONF_SECTION,
};

struct conf_strings {
	char **items;
	size_t n;
	unsigned line; /* of the key in the file; 0 if absent */
};

struct conf_map {
	char **names;
	char **values;
	unsigned *lines; /* in the file, for messages */
	size_t n;
};

struct conf_list {
	void *items; /* n structs of item_size bytes */
	size_t n;
	unsigned *lines; /* in the file, for messages */
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in reading order */
struct conf_option {
	const char *key; /* dotted: "listeners.beats.address"; NULL ends */
	enum conf_type type;
	size_t offset; /* in the struct being filled */
	/* As it would be written in the file, "[a, b]"; NULL: none.  One that
	 * ends with "/s" lets a SIZE be written as a rate ("20MB/s"). */
	const char *def;
	bool required;
	int64_t min, max; /* INT, SIZE (bytes), DURATION (ns); 0,0: any >= 0 */
	const char *const *choices;      /* CHOICE: ends with NULL */
	const struct conf_option *items; /* LIST */
	size_t item_size;
	const char *help; /* one sentence */
};

/*
 * Fills *out (zeroed by the caller) from `path`; everything in it belongs to
 * the caller, who gives it to conf_free().  After an error there is nothing in
 * it.  Messages: "FILE:LINE: KEY: what is wrong: what is allowed".
 */
enum rc conf_load(const char *path, const struct conf_option *table, void *out,
    struct error *err);
void conf_free(const struct conf_option *table, void *out);

/* The same from memory; `path` names it and is where relative paths begin. */
enum rc conf_parse(const char *path, struct slice text,
    const struct conf_option *table, void *out, struct error *err);

/*
 * Whether the file gave the key (a section: any key below it).  An option that
 * has a default does not show it: give its section a CONF_SECTION.
 */
bool conf_has(const void *out, const struct conf_option *table,
    const char *key);

/* "key  type, default, help" lines, for --help. */
void conf_help(const struct conf_option *table, struct buf *out);

/*
 * A YAML document as a tree, for data files (rules, normalizers): each node
 * knows its line.  Bounds: 1 MiB of text, depth 32, 200,000 nodes; aliases and
 * duplicate keys are refused.
 */
enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_kind kind;
	bool plain;        /* SCALAR: not quoted: null, numbers, booleans */
	unsigned line;     /* from 1 */
	unsigned column;   /* from 1 */
	struct slice text; /* SCALAR; NUL follows */
	size_t n;
	const struct yaml_node *const *keys; /* MAPPING: scalars */
	const struct yaml_node *const *items;
};

struct yaml_file;

/* Every document of the file ("---"); *out is the caller's. */
enum rc yaml_load(const char *path, struct yaml_file **out, struct error *err);
enum rc yaml_parse(const char *name, struct slice text, struct yaml_file **out,
    struct error *err);
void yaml_file_free(struct yaml_file *y); /* NULL is fine */
/* Not a symbol: libyaml has a private one of this name and would call ours. */
static inline void
yaml_free(struct yaml_file *y)
{
	yaml_file_free(y);
}
size_t yaml_documents(const struct yaml_file *y);
/* NULL for an empty document */
const struct yaml_node *yaml_root(const struct yaml_file *y, size_t document);

/* The value of a key of a mapping, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* Plain scalars as YAML 1.2's core schema reads them. */
bool yaml_is_null(const struct yaml_node *n);
bool yaml_bool(const struct yaml_node *n, bool *out);
bool yaml_int(const struct yaml_node *n, int64_t *out);
bool yaml_double(const struct yaml_node *n, double *out);
