/* SPDX-License-Identifier: Apache-2.0 */
/* What entries of `inputs` of agent.yaml(5) may be, and what they leave out. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/inputs/encoding.h"
#include "agent/inputs/input.h"
#include "agent/inputs/maintenance.h"
#include "agent/inputs/policy/policy_event.h"
#include "agent/inputs/probe/probe.h"
#include "agent/roles/opener.h"
#include "datadir.h"
#include "timestamp.h"
#include "xalloc.h"

/* An event's records come at once; one without EOE waits no longer. */
#define AUDIT_TIMEOUT (2 * NS_PER_SEC)

#define TYPE(t)       (1u << (t))

/* Keys that have a meaning for some types only, and no default. */
static const struct {
	const char *key;
	unsigned types;
} keys_of_types[] = {
	{ "paths",
	    TYPE(AGENT_INPUT_FILE) | TYPE(AGENT_INPUT_FIM) |
		TYPE(AGENT_INPUT_AUDIT) | TYPE(AGENT_INPUT_POLICY) },
	{ "exclude",
	    TYPE(AGENT_INPUT_FILE) | TYPE(AGENT_INPUT_FIM) |
		TYPE(AGENT_INPUT_AUDIT) },
	{ "dataset", TYPE(AGENT_INPUT_FILE) | TYPE(AGENT_INPUT_JOURNAL) },
	{ "timezone",
	    TYPE(AGENT_INPUT_FILE) | TYPE(AGENT_INPUT_PROBE) |
		TYPE(AGENT_INPUT_FIM) },
	{ "year", TYPE(AGENT_INPUT_FILE) },
	{ "encoding", TYPE(AGENT_INPUT_FILE) },
	{ "multiline.first", TYPE(AGENT_INPUT_FILE) },
	{ "multiline.next", TYPE(AGENT_INPUT_FILE) },
	{ "socket", TYPE(AGENT_INPUT_AUDIT) },
	{ "directory", TYPE(AGENT_INPUT_JOURNAL) },
	{ "files", TYPE(AGENT_INPUT_JOURNAL) },
	{ "units", TYPE(AGENT_INPUT_JOURNAL) },
	{ "targets", TYPE(AGENT_INPUT_PROBE) },
	{ "servers", TYPE(AGENT_INPUT_PROBE) },
	{ "status", TYPE(AGENT_INPUT_PROBE) },
	{ "sha256", TYPE(AGENT_INPUT_PROBE) },
	{ "ca", TYPE(AGENT_INPUT_PROBE) },
	{ "maintenance", TYPE(AGENT_INPUT_PROBE) | TYPE(AGENT_INPUT_FIM) },
};
enum { N_KEYS_OF_TYPES = sizeof(keys_of_types) / sizeof(keys_of_types[0]) };

static unsigned
types_of(const char *key)
{
	size_t i = 0;

	while (i < N_KEYS_OF_TYPES && strcmp(keys_of_types[i].key, key) != 0)
		i++;
	return i == N_KEYS_OF_TYPES ? ~0u : keys_of_types[i].types;
}

static enum rc
check_text(const char *file, unsigned line, const char *key, const char *text,
    struct error *err)
{
	if (text != NULL && (strlen(text) > AGENT_TEXT_MAX || text[0] == '\0'))
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.%s: must be 1 to %d characters", file, line,
		    key, AGENT_TEXT_MAX);
	return RC_OK;
}

/* "file:/var/log/auth.log": stays the same when other inputs come and go. */
static void
name_input(struct agent_input *in)
{
	const char *type = agent_input_types[in->type];
	const struct conf_strings *what = in->paths.n > 0 ? &in->paths
	    : in->files.n > 0                             ? &in->files
	    : in->targets.n > 0                           ? &in->targets
							  : &in->units;
	const char *first = what->n > 0 ? what->items[0]
	    : in->socket != NULL        ? in->socket
					: in->directory;
	size_t room = strlen(type) + (first == NULL ? 0 : strlen(first)) + 2;

	if (in->name != NULL)
		return;
	in->name = xzalloc(room);
	(void)snprintf(in->name, room, "%s%s%s", type, first == NULL ? "" : ":",
	    first == NULL ? "" : first);
	if (strlen(in->name) > AGENT_TEXT_MAX)
		in->name[AGENT_TEXT_MAX] = '\0';
}

/* Events and the state name files by their whole paths. */
static void
make_absolute(char **path)
{
	char here[PATH_MAX], *whole;
	const char *from = *path;
	size_t room;

	if (from == NULL || from[0] == '/' ||
	    getcwd(here, sizeof(here)) == NULL)
		return;
	while (from[0] == '.' && from[1] == '/')
		from += 2;
	room = strlen(here) + strlen(from) + 2;
	whole = xzalloc(room);
	(void)snprintf(whole, room, "%s/%s", here, from);
	free(*path);
	*path = whole;
}

static void
make_all_absolute(struct conf_strings *paths)
{
	for (size_t i = 0; i < paths->n; i++)
		make_absolute(&paths->items[i]);
}

/* How text becomes events. */
static enum rc
check_reading(const char *file, unsigned line, const struct agent_input *in,
    struct error *err)
{
	struct multiline_options how = agent_multiline(in);
	struct multiline *m = NULL;
	struct encoding *e = NULL;
	enum rc rc = RC_OK;

	if (multiline_ways(&how) > 0)
		rc = multiline_new(&how, &m, err);
	multiline_free(m);
	if (rc != RC_OK)
		return error_prefix(err, "%s:%u: inputs.multiline%s", file,
		    line,
		    multiline_ways(&how) > 1 ? ""
			: how.first != NULL  ? ".first"
					     : ".next");
	if (in->encoding != NULL)
		rc = encoding_open(in->encoding, &e, err);
	encoding_free(e);
	return rc == RC_OK
	    ? RC_OK
	    : error_prefix(err, "%s:%u: inputs.encoding", file, line);
}

static enum rc
check_keys(const char *file, unsigned line, const struct agent_input *in,
    struct error *err)
{
	for (size_t i = 0; i < N_KEYS_OF_TYPES; i++) {
		if (!(keys_of_types[i].types & TYPE(in->type)) &&
		    conf_has(in, agent_input_options, keys_of_types[i].key))
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.%s: an input of type %s has no such "
			    "key",
			    file, line, keys_of_types[i].key,
			    agent_input_types[in->type]);
	}
	return RC_OK;
}

static enum rc
check_probe(const char *file, unsigned line, const struct agent_input *in,
    struct error *err)
{
	if (in->type != AGENT_INPUT_PROBE)
		return RC_OK;
	if (in->targets.n == 0 || in->targets.n > PROBE_TARGETS_MAX)
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.targets: 1 to %d are needed", file, line,
		    PROBE_TARGETS_MAX);
	for (size_t i = 0; i < in->targets.n; i++) {
		if (!probe_target_valid(in->check, in->targets.items[i]))
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.targets: \"%s\" is no target of %s: "
			    "%s",
			    file, line, in->targets.items[i],
			    agent_probe_checks[in->check],
			    probe_target_help(in->check));
	}
	for (size_t i = 0; i < in->servers.n; i++) {
		if (!probe_server_valid(in->servers.items[i]))
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.servers: \"%s\" is no address: "
			    "IP or IP:PORT, not a name",
			    file, line, in->servers.items[i]);
	}
	return RC_OK;
}

/* One place that records come from, and one input for it: auditd serves one. */
static enum rc
check_socket(const char *file, const struct agent_config *c, size_t i,
    struct error *err)
{
	const struct agent_input *in = agent_input_at(c, i);
	unsigned line = c->inputs.lines[i];

	if (in->socket == NULL)
		return RC_OK;
	if (in->paths.n > 0 || in->exclude.n > 0)
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.socket: there are paths, too: an input "
		    "reads the log or the socket",
		    file, line);
	for (size_t k = 0; k < i; k++) {
		const char *other = agent_input_at(c, k)->socket;

		if (other != NULL && strcmp(in->socket, other) == 0)
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.socket: %s is that of another input "
			    "(line %u): auditd serves one reader",
			    file, line, other, c->inputs.lines[k]);
	}
	return RC_OK;
}

static enum rc
check_maintenance(const char *file, unsigned line, const struct agent_input *in,
    struct error *err)
{
	for (size_t i = 0; i < in->maintenance.n; i++) {
		if (!maintenance_valid(in->maintenance.items[i]))
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.maintenance: \"%s\" is no window: "
			    "02:00-03:00, Sun 02:00-04:00, or two times of RFC "
			    "3339 with / between them",
			    file, line, in->maintenance.items[i]);
	}
	return RC_OK;
}

/* The policies that come with kuzet. */
static void
default_policy(struct agent_input *in)
{
	char path[PATH_MAX];

	if (in->paths.n > 0 ||
	    !datadir_path("policies/*.yml", path, sizeof(path)))
		return;
	in->paths.items = xcalloc(1, sizeof(char *));
	in->paths.items[0] = xstrdup(path);
	in->paths.n = 1;
}

static void
default_audit(struct agent_input *in)
{
	if (in->paths.n == 0 && in->socket == NULL) {
		in->paths.items = xcalloc(1, sizeof(char *));
		in->paths.items[0] = xstrdup("/var/log/audit/audit.log");
		in->paths.n = 1;
	}
	in->dataset = xstrdup("auditd.log");
	in->multiline.timeout = AUDIT_TIMEOUT;
}

static enum rc
check_input(const char *file, const struct agent_config *c, size_t i,
    struct error *err)
{
	struct agent_input *in = agent_input_at(c, i);
	unsigned line = c->inputs.lines[i];
	enum rc rc;

	if (agent_input_kind(in) == NULL)
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.type: %s is not in this build%s", file, line,
		    agent_input_types[in->type],
		    in->type == AGENT_INPUT_JOURNAL
			? ": it was configured without libsystemd"
			: "");
	rc = check_keys(file, line, in, err);
	if (rc == RC_OK)
		rc = check_probe(file, line, in, err);
	if (rc == RC_OK)
		rc = check_maintenance(file, line, in, err);
	make_absolute(&in->socket);
	if (rc == RC_OK)
		rc = check_socket(file, c, i, err);
	if (rc != RC_OK)
		return rc;
	if (in->type == AGENT_INPUT_AUDIT)
		default_audit(in);
	if (in->type == AGENT_INPUT_POLICY)
		default_policy(in);
	if (in->paths.n == 0 && in->socket == NULL &&
	    types_of("paths") & TYPE(in->type))
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.paths: at least one is needed", file, line);
	rc = check_text(file, line, "name", in->name, err);
	if (rc == RC_OK)
		rc = check_text(file, line, "dataset", in->dataset, err);
	if (rc == RC_OK)
		rc = check_text(file, line, "timezone", in->timezone, err);
	if (rc == RC_OK)
		rc = check_reading(file, line, in, err);
	if (rc != RC_OK)
		return rc;
	make_all_absolute(&in->paths);
	make_all_absolute(&in->files);
	name_input(in);
	for (size_t k = 0; k < i; k++) {
		if (strcmp(in->name, agent_input_at(c, k)->name) == 0)
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.name: \"%s\" is the name of another "
			    "input (line %u): each needs its own",
			    file, line, in->name, c->inputs.lines[k]);
	}
	return RC_OK;
}

enum rc
agent_config_check_list(const char *path, struct agent_config *c,
    struct error *err)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < c->inputs.n; i++)
		rc = check_input(path, c, i, err);
	return rc;
}

static enum rc
policy_is_good(void *ctx, struct policy *p, struct error *err)
{
	(void)ctx;
	(void)p;
	(void)err;
	return RC_OK;
}

static enum rc
check_policies(const struct agent_input *in, struct opener *o,
    struct error *err)
{
	return policy_each(o, (const char *const *)in->paths.items, in->paths.n,
	    policy_is_good, NULL, err);
}

/* While auditd does not run there is none. */
static enum rc
check_is_socket(const char *file, unsigned line, const struct agent_input *in,
    struct opener *o, struct error *err)
{
	struct opener_stat st;

	if (in->socket == NULL || opener_stat(o, in->socket, &st) != RC_OK ||
	    S_ISSOCK(st.mode))
		return RC_OK;
	return error_set(err, RC_INVALID,
	    "%s:%u: inputs.socket: %s is no socket; af_unix.conf of auditd "
	    "names it",
	    file, line, in->socket);
}

enum rc
agent_config_check_inputs(const char *path, const struct agent_config *c,
    struct opener *o, struct error *err)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < c->inputs.n; i++) {
		const struct agent_input *in = agent_input_at(c, i);
		struct timezone_info *tz = NULL;

		if (in->type == AGENT_INPUT_POLICY)
			rc = check_policies(in, o, err);
		if (rc != RC_OK)
			return error_prefix(err, "%s:%u: inputs.paths", path,
			    c->inputs.lines[i]);
		rc = check_is_socket(path, c->inputs.lines[i], in, o, err);
		if (rc != RC_OK)
			return rc;
		if (in->timezone == NULL)
			continue;
		rc = timezone_open(in->timezone, &tz, err);
		timezone_close(tz);
		if (rc != RC_OK)
			return error_prefix(err, "%s:%u: inputs.timezone", path,
			    c->inputs.lines[i]);
	}
	return RC_OK;
}
