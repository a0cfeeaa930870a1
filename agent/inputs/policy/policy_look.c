/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the machine for one check: policy.h. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/inputs/account_names.h"
#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/policy/policy.h"
#include "agent/inputs/rpm_db.h"
#include "agent/inputs/slurp.h"
#include "agent/roles/runner.h"
#include "loop.h"
#include "timestamp.h"
#include "utf8.h"
#include "xalloc.h"

struct policy_eye {
	struct opener *opener;
	struct account_names *names;
	const atomic_bool *stop;
	struct buf text;     /* what a file or command says; ends with NUL */
	struct buf packages; /* dpkg's status, read once */
	struct buf rpms;     /* as rpm_db_names() */
	bool packages_read, packages_there, rpms_there;
	char no_packages[400]; /* why some cannot be known; "": all are */
};

/* All that is ever run: nothing of a policy file gets into a command line. */
static const struct {
	const char *name;
	const char *const argv[6];
} commands[] = {
	{ "sshd-settings", { "/usr/sbin/sshd", "-T", NULL } },
	{ "firewall", { "/usr/sbin/nft", "list", "ruleset", NULL } },
	{ "audit-rules", { "/usr/sbin/auditctl", "-l", NULL } },
	{ "apparmor", { "/usr/sbin/aa-status", NULL } },
	{ "time-sync", { "/usr/bin/timedatectl", "show", NULL } },
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

const char *const *
policy_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].argv;
	}
	return NULL;
}

void
policy_commands(struct buf *out)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		(void)buf_printf(out, "%s%s", i == 0 ? "" : ", ",
		    commands[i].name);
}

const char *
policy_result_name(enum policy_result r)
{
	static const char *const names[] = { [POLICY_PASS] = "pass",
		[POLICY_FAIL] = "fail",
		[POLICY_NOT_APPLICABLE] = "not_applicable",
		[POLICY_UNKNOWN] = "unknown" };

	return names[r];
}

const char *
policy_severity_name(enum policy_severity s)
{
	static const char *const names[] = { [POLICY_LOW] = "low",
		[POLICY_MEDIUM] = "medium",
		[POLICY_HIGH] = "high" };

	return names[s];
}

struct policy_eye *
policy_eye_new(struct opener *o, const atomic_bool *stop)
{
	struct policy_eye *e = xzalloc(sizeof(*e));

	e->opener = o;
	e->names = account_names_new(o);
	e->stop = stop;
	buf_init(&e->text, POLICY_CONTENT_MAX);
	buf_init(&e->packages, INVENTORY_FILE_MAX);
	buf_init(&e->rpms, INVENTORY_FILE_MAX);
	return e;
}

void
policy_eye_free(struct policy_eye *e)
{
	if (e == NULL)
		return;
	account_names_free(e->names);
	buf_fini(&e->text);
	buf_fini(&e->packages);
	buf_fini(&e->rpms);
	free(e);
}

static void found(struct policy_finding *f, enum policy_result result,
    const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
found(struct policy_finding *f, enum policy_result result, const char *fmt, ...)
{
	va_list ap;
	struct slice s;

	f->result = result;
	va_start(ap, fmt);
	(void)vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
	for (char *at = f->detail; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ')
			*at = ' ';
	}
	s = (struct slice){ f->detail, strlen(f->detail) };
	if (utf8_valid(s))
		return;
	/* a name of other bytes, or a character that was cut */
	for (char *at = f->detail; *at != '\0'; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
}

/* ---- texts --------------------------------------------------------------- */

/* The text must match and lack what the test says. */
static void
judge_text(const struct policy_eye *e, const struct policy_test *t,
    struct policy_finding *f)
{
	struct slice text = { e->text.len > 0 ? e->text.ptr : "", e->text.len };
	enum rc matches =
	    t->matches == NULL ? RC_OK : policy_pattern_match(t->matches, text);
	enum rc lacks =
	    t->lacks == NULL ? RC_EOF : policy_pattern_match(t->lacks, text);

	if (matches == RC_LIMIT || lacks == RC_LIMIT)
		found(f, POLICY_UNKNOWN, "%s: the expression takes too long",
		    t->name);
	else if (matches != RC_OK)
		found(f, POLICY_FAIL, "%s: what must be there is not", t->name);
	else if (lacks == RC_OK)
		found(f, POLICY_FAIL, "%s: what must not be there is", t->name);
	else
		found(f, POLICY_PASS, "%s", t->name);
}

/* ---- files --------------------------------------------------------------- */

static bool
owned(struct policy_eye *e, const struct policy_test *t,
    const struct opener_stat *st, struct policy_finding *f)
{
	uint32_t id;

	if (t->owner != NULL &&
	    (!account_user_id(e->names, t->owner, &id) || id != st->uid)) {
		found(f, POLICY_FAIL, "%s belongs to uid %u, not to %s",
		    t->name, st->uid, t->owner);
		return false;
	}
	if (t->group != NULL &&
	    (!account_group_id(e->names, t->group, &id) || id != st->gid)) {
		found(f, POLICY_FAIL, "%s belongs to gid %u, not to %s",
		    t->name, st->gid, t->group);
		return false;
	}
	return true;
}

static void
look_at_file(struct policy_eye *e, const struct policy_test *t,
    struct policy_finding *f)
{
	struct opener_stat st;
	bool there = opener_stat(e->opener, t->name, &st) == RC_OK;

	if (t->want_exists && !t->exists) {
		found(f, there ? POLICY_FAIL : POLICY_PASS, "%s is %s", t->name,
		    there ? "there" : "not there");
		return;
	}
	if (!there) {
		found(f, POLICY_FAIL, "%s is not there", t->name);
		return;
	}
	if (t->mode >= 0 && (st.mode & 07777 & ~(uint32_t)t->mode) != 0) {
		found(f, POLICY_FAIL, "%s has mode %04o, at most %04o is meant",
		    t->name, st.mode & 07777, (unsigned)t->mode);
		return;
	}
	if (!owned(e, t, &st, f))
		return;
	if (t->matches == NULL && t->lacks == NULL)
		found(f, POLICY_PASS, "%s", t->name);
	else if (!slurp(e->opener, t->name, &e->text))
		found(f, POLICY_UNKNOWN, "%s cannot be read", t->name);
	else
		judge_text(e, t, f);
}

/* ---- the kernel's settings ----------------------------------------------- */

bool
policy_sysctl_path(const char *name, char path[PATH_MAX])
{
	int at = snprintf(path, PATH_MAX, "/proc/sys/%s", name);

	for (int i = 10; i < at && i < PATH_MAX - 1; i++) {
		if (path[i] == '.')
			path[i] = '/';
	}
	return strstr(name, "..") == NULL && strchr(name, '/') == NULL;
}

static void
look_at_sysctl(struct policy_eye *e, const struct policy_test *t,
    struct policy_finding *f)
{
	char path[PATH_MAX];
	struct slice value;
	char *end;

	if (!policy_sysctl_path(t->name, path) ||
	    !slurp(e->opener, path, &e->text) ||
	    !buf_add_char(&e->text, '\0')) {
		found(f, POLICY_UNKNOWN, "%s is not known here", t->name);
		return;
	}
	value = (struct slice){ e->text.ptr, strcspn(e->text.ptr, "\n") };
	e->text.ptr[value.len] = '\0';
	if (t->equals != NULL && strcmp(value.ptr, t->equals) != 0) {
		found(f, POLICY_FAIL, "%s is %s, not %s", t->name, value.ptr,
		    t->equals);
		return;
	}
	if (t->want_at_least && strtoll(value.ptr, &end, 10) < t->at_least) {
		found(f, POLICY_FAIL, "%s is %s, below %lld", t->name,
		    value.ptr, (long long)t->at_least);
		return;
	}
	found(f, POLICY_PASS, "%s is %s", t->name, value.ptr);
}

/* ---- services and packages ----------------------------------------------- */

static void
look_at_service(const struct policy_test *t, struct policy_finding *f)
{
	const char *state = inventory_unit_state(t->name);
	bool good = t->state == NULL       ? strcmp(state, "absent") != 0
	    : strcmp(t->state, "off") == 0 ? strcmp(state, "enabled") != 0
					   : strcmp(state, t->state) == 0;

	found(f, good ? POLICY_PASS : POLICY_FAIL, "%s is %s", t->name, state);
}

/* "Package: NAME" and, before the next empty line, "Status: ... installed". */
static bool
installed(struct slice status, const char *name)
{
	struct slice line, key;
	bool this_one = false;

	while (slurp_line(&status, &line)) {
		if (line.len == 0)
			this_one = false;
		if (!slurp_field(&line, ':', &key) || line.len < 2)
			continue;
		if (slice_eq(key, SLICE("Package")))
			this_one = line.len - 1 == strlen(name) &&
			    memcmp(line.ptr + 1, name, line.len - 1) == 0;
		else if (this_one && slice_eq(key, SLICE("Status")))
			return memmem(line.ptr, line.len, " installed", 10) !=
			    NULL;
	}
	return false;
}

static void
read_packages(struct policy_eye *e)
{
	const char *dir = rpm_db_dir(e->opener);
	struct error err;

	e->packages_read = true;
	e->packages_there =
	    slurp(e->opener, "/var/lib/dpkg/status", &e->packages);
	if (dir != NULL &&
	    rpm_db_names(e->opener, dir, &e->rpms, &err) != RC_OK)
		(void)snprintf(e->no_packages, sizeof(e->no_packages),
		    "rpm's packages of %.50s: %.300s", dir, err.text);
	else if (dir == NULL && !e->packages_there)
		(void)snprintf(e->no_packages, sizeof(e->no_packages),
		    "neither dpkg's status nor rpm's database can be read");
	e->rpms_there = dir != NULL && e->no_packages[0] == '\0';
}

static bool
has_rpm(const struct policy_eye *e, const char *name)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "\n%.500s\n", name);

	return e->rpms_there &&
	    memmem(e->rpms.ptr, e->rpms.len, line, (size_t)n) != NULL;
}

static void
look_at_package(struct policy_eye *e, const struct policy_test *t,
    struct policy_finding *f)
{
	bool there;

	if (!e->packages_read)
		read_packages(e);
	there = (e->packages_there &&
		    installed(buf_slice(&e->packages), t->name)) ||
	    has_rpm(e, t->name);
	if (!there && e->no_packages[0] != '\0') {
		found(f, POLICY_UNKNOWN, "%s", e->no_packages);
		return;
	}
	found(f, there == t->installed ? POLICY_PASS : POLICY_FAIL, "%s is %s",
	    t->name, there ? "installed" : "not installed");
}

/* ---- commands ------------------------------------------------------------ */

/* Until its end, too much, a stop, or too long; false: not to its end. */
static bool
read_all(struct policy_eye *e, int fd)
{
	int64_t until_ns = loop_now() + POLICY_COMMAND_MS * NS_PER_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	enum { PIECE = 4096, LOOK_MS = 100 };
	char *room;
	ssize_t n;

	while (loop_now() < until_ns && !atomic_load(e->stop)) {
		if (poll(&p, 1, LOOK_MS) <= 0)
			continue;
		room = buf_reserve(&e->text, PIECE);
		n = room == NULL ? -1 : read(fd, room, PIECE);
		if (n <= 0)
			return n == 0;
		e->text.len += (size_t)n;
	}
	return false;
}

static void
look_at_command(struct policy_eye *e, const struct policy_test *t,
    struct policy_finding *f)
{
	const char *const *argv = policy_command(t->name);
	int channel = opener_runner(e->opener), out, status;
	bool whole;
	pid_t pid;

	if (channel == OPENER_NO_RUNNER) {
		found(f, POLICY_UNKNOWN,
		    "commands are run after a restart of the agent");
		return;
	}
	if (!runner_start(channel, policy_command, t->name, &out, &pid)) {
		found(f, POLICY_UNKNOWN, "%s is not there", argv[0]);
		return;
	}
	buf_clear(&e->text);
	whole = read_all(e, out);
	(void)close(out);
	status = runner_end(channel, pid, !whole);
	if (!whole || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		found(f, POLICY_UNKNOWN, "%s fails, or takes too long",
		    argv[0]);
	else
		judge_text(e, t, f);
}

/* ---- all ----------------------------------------------------------------- */

static void
look(struct policy_eye *e, const struct policy_test *t,
    struct policy_finding *f)
{
	switch (t->kind) {
	case POLICY_FILE:
		look_at_file(e, t, f);
		break;
	case POLICY_SYSCTL:
		look_at_sysctl(e, t, f);
		break;
	case POLICY_SERVICE:
		look_at_service(t, f);
		break;
	case POLICY_PACKAGE:
		look_at_package(e, t, f);
		break;
	case POLICY_COMMAND:
		look_at_command(e, t, f);
		break;
	}
}

void
policy_look(struct policy_eye *e, const struct policy_check *c,
    struct policy_finding *out)
{
	*out = (struct policy_finding){ .result = POLICY_UNKNOWN };
	if (c->has_when) {
		look(e, &c->when, out);
		if (out->result == POLICY_FAIL)
			out->result = POLICY_NOT_APPLICABLE;
		if (out->result != POLICY_PASS)
			return;
	}
	look(e, &c->test, out);
}
