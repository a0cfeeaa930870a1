/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the Linux audit system (audit-userspace, auditd.conf(5)) as one
 * ECS event; fields without a place in ECS have Auditbeat's names.
 *
 *   node=N type=SYSCALL msg=audit(1763773323.123:9): arch=c000003e syscall=59 …
 *   type=PATH msg=audit(1763773323.123:9): item=0 name="/bin/ls" …
 *
 * The records of one event (one serial) stand below each other; which they are
 * is known by include/audit.h, which also joins them.
 */
#pragma once

#include <stdbool.h>

#include "event.h"

/* `text` begins with a record; valid UTF-8, lives as long as the event. */
void audit_event(struct event *ev, struct slice text);

/* ---- between the files of this reader ------------------------------------- */

enum {
	AUDIT_FIELDS_MAX = 512, /* of one record */
	AUDIT_RECORDS_MAX = 256
};

/* How a value is written, see audit_value(). */
enum audit_reading {
	AUDIT_READ_PLAIN,
	AUDIT_READ_UNTRUSTED, /* in hex where it is not plain */
	AUDIT_READ_ARCH,
	AUDIT_READ_SYSCALL,
	AUDIT_READ_EXIT,
	AUDIT_READ_SIGNAL, /* of SECCOMP records */
	AUDIT_READ_UNSET   /* an id that -1 means nobody by */
};

/* What a value says to the event. */
enum audit_saying {
	AUDIT_SAYS_DATA, /* a field below auditd.data */
	AUDIT_SAYS_TEXT, /* a field of its own */
	AUDIT_SAYS_NUMBER,
	AUDIT_SAYS_SUBJECT,
	AUDIT_SAYS_TAGS,
	AUDIT_SAYS_RESULT,
	AUDIT_SAYS_SUCCESS,
	AUDIT_SAYS_ADDRESS,
	AUDIT_SAYS_HOSTNAME,
	AUDIT_SAYS_ACCOUNT,
	AUDIT_SAYS_SOCKET,
	AUDIT_SAYS_COMMAND,
	AUDIT_SAYS_ITEMS, /* how many PATHs: nothing where they are there */
	AUDIT_SAYINGS
};

struct audit_key {
	struct slice name;
	enum audit_reading reading;
	enum audit_saying saying;
	uint32_t field; /* TEXT, NUMBER, DATA; of an unknown key FIELD_NONE */
};

/* What is known of a key: never NULL. */
const struct audit_key *audit_key(struct slice name);

struct audit_field {
	const struct audit_key *known;
	struct slice key;
	struct slice value;
	bool quoted;   /* in the record: is no hex */
	bool enriched; /* auditd's own reading of another field */
};

struct audit_record {
	struct slice type; /* SYSCALL, … */
	struct audit_field *fields;
	size_t n;
	bool is_path, is_execve;
};

/* The fields of what stands behind a record's header.  In the arena. */
void audit_fields(struct arena *arena, struct slice type, struct slice text,
    struct audit_record *out);
/* NULL: it has none. */
const struct audit_field *audit_find(const struct audit_record *r,
    struct slice key);

/*
 * A value as people write it: hex decoded where the kernel encodes so, numbers
 * of architectures, system calls, errors and signals named, "unset" ids.  Empty
 * where it says nothing ("?", "(null)").
 */
struct slice audit_value(struct arena *arena, const struct audit_record *r,
    const struct audit_field *f);

/* A socket's address (saddr); what does not apply is empty. */
struct audit_address {
	struct slice family, ip, port, path;
};
void audit_address(struct arena *arena, struct slice hex,
    struct audit_address *out);

enum audit_direction { AUDIT_NOWHERE, AUDIT_INGRESS, AUDIT_EGRESS };

/* What a record type or a system call means. */
struct audit_action {
	const char *name; /* USER_LOGIN, execve */
	const char *action;
	const char *category; /* ECS; two, with a space between */
	const char *type;     /* the same */
	const char *object;   /* file, user-session, … NULL: none */
	int path;             /* which PATH is the object */
	enum audit_direction direction;
};
/* NULL: nothing is known of it. */
const struct audit_action *audit_action_of_type(struct slice type);
const struct audit_action *audit_action_of_syscall(struct slice name);
