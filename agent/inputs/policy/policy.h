/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files (kuzet-policies(5)): checks of a machine's settings, each with a
 * remedy, and what they give on this machine.
 *
 *   policy: debian-server
 *   checks:
 *     - id: ssh-root-password
 *       title: root does not log in by SSH with a password
 *       severity: high
 *       when: {package: openssh-server}
 *       command: {run: sshd-settings, matches: '^permitrootlogin (no|prohi)'}
 *       remedy: "PermitRootLogin no in /etc/ssh/sshd_config"
 *
 * A file with a mistake is refused as a whole, by file and line: a check that
 * silently does nothing would be taken for a pass.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>

#include "agent/inputs/policy/policy_pattern.h"
#include "agent/roles/opener.h"
#include "buf.h"
#include "conf.h"

enum {
	POLICY_CHECKS_MAX = 1024, /* of one file */
	POLICY_CONTENT_MAX =
	    1024 * 1024, /* bytes of a file that is looked into */
	POLICY_DETAIL_MAX = 256,
	POLICY_COMMAND_MS = 10000
};

enum policy_kind {
	POLICY_FILE,
	POLICY_SYSCTL,
	POLICY_SERVICE,
	POLICY_PACKAGE,
	POLICY_COMMAND
};

enum policy_severity { POLICY_LOW, POLICY_MEDIUM, POLICY_HIGH };

/* What is looked at, and what it must be; texts belong to the file. */
struct policy_test {
	enum policy_kind kind;
	const char *name; /* path, key, unit, package, command */
	/* FILE */
	bool want_exists, exists;
	int64_t mode; /* no bits but these; -1: any */
	const char *owner, *group;
	/* FILE, COMMAND; NULL: not asked */
	struct policy_pattern *matches, *lacks;
	/* SYSCTL */
	const char *equals;
	bool want_at_least;
	int64_t at_least;
	const char *state; /* SERVICE; NULL: not asked */
	bool installed;    /* PACKAGE */
};

struct policy_check {
	const char *id, *title, *remedy;
	enum policy_severity severity;
	unsigned line;
	struct policy_test test;
	bool has_when;
	struct policy_test when;
};

struct policy {
	char *path;
	const char *name, *title;
	struct policy_check *checks;
	size_t n;
	struct yaml_file *yaml;
};

/* Text of the file `path`.  RC_INVALID: "FILE:LINE: what is wrong: what is
 * allowed". */
enum rc policy_parse(const char *path, struct slice text, struct policy **out,
    struct error *err);
void policy_free(struct policy *p); /* NULL is fine */

enum policy_result {
	POLICY_PASS,
	POLICY_FAIL,
	POLICY_NOT_APPLICABLE,
	POLICY_UNKNOWN /* it could not be looked at */
};

struct policy_finding {
	enum policy_result result;
	char detail[POLICY_DETAIL_MAX]; /* what was found; valid UTF-8 */
};

/* Looks; scratch memory that lasts for many checks. */
struct policy_eye;
struct policy_eye *policy_eye_new(struct opener *o, const atomic_bool *stop);
void policy_eye_free(struct policy_eye *e); /* NULL is fine */
void policy_look(struct policy_eye *e, const struct policy_check *c,
    struct policy_finding *out);

/* "/proc/sys/net/ipv4/ip_forward" of "net.ipv4.ip_forward"; false: no such
 * name can be. */
bool policy_sysctl_path(const char *name, char path[PATH_MAX]);

const char *policy_result_name(enum policy_result r);
const char *policy_severity_name(enum policy_severity s);

/* Whether `name` is in the fixed list of commands, and what it runs. */
const char *const *policy_command(const char *name);
/* "sshd-settings, firewall, ..." */
void policy_commands(struct buf *out);
