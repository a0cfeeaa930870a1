/* SPDX-License-Identifier: Apache-2.0 */
/* agent.yaml(5): the option table and what it fills. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "error.h"
#include "multiline.h"
#include "tls.h"

struct input_config;
struct input_kind;
struct opener;

enum agent_input_type {
	AGENT_INPUT_FILE,
	AGENT_INPUT_FIM,
	AGENT_INPUT_JOURNAL,
	AGENT_INPUT_AUDIT,
	AGENT_INPUT_INVENTORY,
	AGENT_INPUT_POLICY,
	AGENT_INPUT_PROBE,
};

struct agent_input {
	int type; /* enum agent_input_type */
	char *name;
	struct conf_strings paths;
	struct conf_strings exclude;
	char *dataset;
	char *timezone;
	int64_t year;
	int64_t max_line;
	char *encoding;
	struct {
		char *first, *next;
		bool indent, timestamp;
		int64_t max_lines, timeout;
	} multiline;
	/* of `fim` */
	bool realtime;
	int64_t interval;
	int rescan;   /* 1: full */
	int64_t rate; /* bytes a second */
	int64_t max_file_size;
	struct conf_strings diff, diff_never;
	int64_t diff_max;
	/* of `audit` */
	char *socket;
	/* of `journal` */
	char *directory;
	struct conf_strings files;
	struct conf_strings units;
	int priority;
	int seek; /* 0: head, 1: tail */
	/* of `probe` */
	int check; /* enum probe_check */
	struct conf_strings targets, servers, maintenance;
	int64_t every, timeout;
	int64_t status;
	char *sha256;
	char *ca;
	int64_t certificate_days, signature_days;
	int64_t offset_max;
};

struct agent_config {
	struct conf_strings hosts;
	struct {
		char *ca, *certificate, *key, *crl;
	} tls;
	char *state_dir;
	char *user;
	bool sandbox;
	char *host_name;
	int64_t compression_level;
	bool control_messages;
	int64_t pipelining;
	int64_t ack_timeout;
	int64_t connect_timeout;
	int64_t backoff_min, backoff_max;
	int64_t return_after;
	int64_t heartbeat;
	int64_t scan_interval;
	int64_t report_interval;
	int64_t spool_size;
	int spool_drop;          /* 0: newest, 1: oldest */
	struct conf_list inputs; /* struct agent_input */
	/* What the collector may configure; kuzet-order messages (order.h). */
	struct {
		bool accept;
		char *key; /* public keys that are trusted, if there is such a
			    * file */
		struct conf_strings inputs, paths;
		int64_t fall_back;
	} central;
	struct conf_strings agents; /* of a group's file: not ours */
	/* What may be done on the machine when a collector orders it. */
	struct {
		struct conf_strings enabled, services, evidence, never;
		int64_t max_time;
	} response;
};

/* Bytes of a name that goes into each event. */
/* Where packages put it; the commands beside the daemon read it by default. */
#define AGENT_CONFIG_PATH "/etc/kuzet/agent.yaml"

enum { AGENT_TEXT_MAX = 256 };

extern const struct conf_option agent_options[];
extern const struct conf_option agent_input_options[]; /* of `inputs` */
/* Each with NULL behind its last name. */
extern const char *const agent_input_types[], *const agent_probe_checks[];

/* Reads and checks everything the file says by itself; *c is zeroed before. */
enum rc agent_config_load(const char *path, struct agent_config *c,
    struct error *err);
/* The same of its text. */
enum rc agent_config_parse(const char *path, struct slice text,
    struct agent_config *c, struct error *err);
/* The same for commands that need no collector: only `inputs` and `state_dir`
 * are asked for. */
enum rc agent_config_load_alone(const char *path, struct agent_config *c,
    struct error *err);
void agent_config_free(struct agent_config *c);

/*
 * Adds a group's file (collector.yaml(5), agent_groups) as far as `central`
 * allows: its inputs beside those of *c, its other keys in place of theirs.
 * `name` is the file's, for messages.  `o` opens what inputs name; NULL: they
 * are not looked at.  After an error *c is as it was.
 */
enum rc agent_config_add(const char *name, struct slice text,
    struct agent_config *c, struct opener *o, struct error *err);
/* Writes what is different as members of a JSON array: {"key","change"}. */
void agent_config_diff(const struct agent_config *from,
    const struct agent_config *to, struct buf *out);
/* RC_INVALID: `central` or `response` cannot be. */
enum rc agent_config_check_central(const char *path,
    const struct agent_config *c, struct error *err);
/*
 * The keys whose orders are trusted; *out is NULL where there is no such file and
 * nothing of `central` and `response` needs one.
 */
struct sign_keys;
enum rc agent_config_keys(const struct agent_config *c, struct sign_keys **out,
    struct error *err);
/* Each input by itself, and their names. */
enum rc agent_config_check_list(const char *path, struct agent_config *c,
    struct error *err);

/* Opens and parses everything it names; binds and creates nothing. */
enum rc agent_config_check(const char *path, const struct agent_config *c,
    struct error *err);
/* The same of what its inputs name, opened by `o`. */
enum rc agent_config_check_inputs(const char *path,
    const struct agent_config *c, struct opener *o, struct error *err);

static inline struct agent_input *
agent_input_at(const struct agent_config *c, size_t i)
{
	return (struct agent_input *)c->inputs.items + i;
}

/* NULL: there is none of its type in this build. */
const struct input_kind *agent_input_kind(const struct agent_input *in);

/* Its texts are the input's. */
struct multiline_options agent_multiline(const struct agent_input *in);
/* They stay ours, whoever we are. */
struct identity_files;
struct identity_files agent_identity_files(const struct agent_config *c);
struct tls_files agent_tls_files(const struct agent_config *c);

/* As the input takes it; borrows everything from `in`. */
struct input_config agent_input_config(const struct agent_input *in);
