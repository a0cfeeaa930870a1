/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collector may configure: a group's file is read with a part of the
 * agent's own table, checked as agent.yaml is, and held against the list that
 * the owner gives in `central`.
 */
#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "agent/inputs/input.h"
#include "agent/roles/responder.h"
#include "json.h"
#include "sign.h"
#include "xalloc.h"

enum { ROWS_MAX = 64 };

/* Neither who the agent is, nor where it sends, nor where its state lies. */
static const char *const settable[] = { "collector.compression_level",
	"collector.pipelining", "heartbeat", "scan_interval", "report_interval",
	"spool.max_size", "spool.drop", "inputs", NULL };

/* ---- the owner's list ---------------------------------------------------- */

static bool
has_wildcard(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strchr("*?[\\", s[i]) != NULL)
			return true;
	}
	return false;
}

/* Absolute, and without a part that could lead elsewhere. */
static bool
is_straight(const char *path)
{
	if (path[0] != '/' || strchr(path, '\\') != NULL)
		return false;
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n == 0 && *path != '\0')
			return false;
		if (path[0] == '.' &&
		    (n == 1 || (n == 2 && path[1] == '.') ||
			has_wildcard(path, n)))
			return false;
		path += n;
	}
	return true;
}

/* The length of the folder before a slash and two stars; 0: it names no tree. */
static size_t
tree_of(const char *allowed)
{
	size_t n = strlen(allowed);

	return n > 3 && strcmp(allowed + n - 3, "/**") == 0 ? n - 3 : 0;
}

static bool
is_allowed_by(const char *path, const char *allowed)
{
	size_t tree = tree_of(allowed);

	if (tree > 0)
		return strncmp(path, allowed, tree) == 0 &&
		    (path[tree] == '/' || path[tree] == '\0');
	if (strcmp(path, allowed) == 0)
		return true;
	return !has_wildcard(path, strlen(path)) &&
	    fnmatch(allowed, path, FNM_PATHNAME | FNM_PERIOD) == 0;
}

static bool
path_is_allowed(const struct conf_strings *list, const char *path)
{
	for (size_t i = 0; is_straight(path) && i < list->n; i++) {
		if (is_allowed_by(path, list->items[i]))
			return true;
	}
	return false;
}

static bool
type_is_allowed(const struct agent_config *c, const char *type)
{
	for (size_t i = 0; i < c->central.inputs.n; i++) {
		if (strcmp(c->central.inputs.items[i], type) == 0)
			return true;
	}
	return false;
}

static bool
is_type(const char *name)
{
	for (size_t i = 0; agent_input_types[i] != NULL; i++) {
		if (strcmp(name, agent_input_types[i]) == 0)
			return true;
	}
	return false;
}

static enum rc
check_response(const char *path, const struct agent_config *c,
    struct error *err)
{
	const struct conf_strings *actions = &c->response.enabled;
	const struct conf_strings *services = &c->response.services;
	const struct conf_strings *evidence = &c->response.evidence;
	const struct conf_strings *never = &c->response.never;
	struct ip_network network;

	for (size_t i = 0; i < actions->n; i++) {
		if (!response_is_action(actions->items[i]))
			return error_set(err, RC_INVALID,
			    "%s:%u: response.enabled: there is no \"%s\": "
			    "block_address, stop_service, collect_evidence",
			    path, actions->line, actions->items[i]);
	}
	for (size_t i = 0; i < services->n; i++) {
		if (!response_is_unit(services->items[i]))
			return error_set(err, RC_INVALID,
			    "%s:%u: response.services: \"%s\" is no unit such "
			    "as nginx.service",
			    path, services->line, services->items[i]);
	}
	for (size_t i = 0; i < evidence->n; i++) {
		if (evidence->items[i][0] != '/')
			return error_set(err, RC_INVALID,
			    "%s:%u: response.evidence: \"%s\" is no absolute "
			    "path",
			    path, evidence->line, evidence->items[i]);
	}
	for (size_t i = 0; i < never->n; i++) {
		if (ip_network_parse((struct slice){ never->items[i],
					 strlen(never->items[i]) },
			&network, err) != RC_OK)
			return error_prefix(err, "%s:%u: response.never", path,
			    never->line);
	}
	return RC_OK;
}

enum rc
agent_config_check_central(const char *path, const struct agent_config *c,
    struct error *err)
{
	const struct conf_strings *types = &c->central.inputs;
	const struct conf_strings *paths = &c->central.paths;

	if (c->central.accept && !c->control_messages)
		return error_set(err, RC_INVALID,
		    "%s: central.accept: needs collector.control_messages",
		    path);
	for (size_t i = 0; i < types->n; i++) {
		if (!is_type(types->items[i]))
			return error_set(err, RC_INVALID,
			    "%s:%u: central.inputs: there is no type \"%s\": "
			    "file, fim, journal, audit, inventory, policy, "
			    "probe",
			    path, types->line, types->items[i]);
	}
	for (size_t i = 0; i < paths->n; i++) {
		size_t tree = tree_of(paths->items[i]);

		if (paths->items[i][0] != '/' ||
		    (tree > 0 && has_wildcard(paths->items[i], tree)))
			return error_set(err, RC_INVALID,
			    "%s:%u: central.paths: \"%s\": must be an absolute "
			    "path, a pattern, or FOLDER/** without another "
			    "wildcard",
			    path, paths->line, paths->items[i]);
	}
	return check_response(path, c, err);
}

enum rc
agent_config_keys(const struct agent_config *c, struct sign_keys **out,
    struct error *err)
{
	bool needed = c->central.accept || c->response.enabled.n > 0;
	/* not access(2), which looks past capabilities */
	int fd = open(c->central.key, O_RDONLY | O_CLOEXEC);

	*out = NULL;
	if (fd != -1) {
		(void)close(fd);
		return sign_keys_read(c->central.key, out, err) == RC_OK
		    ? RC_OK
		    : error_prefix(err, "central.key");
	}
	if (!needed)
		return RC_OK;
	(void)error_set_errno(err, errno,
	    "central.key: central.accept and response.enabled need it, and %s "
	    "cannot be read; kuzet-agent enroll writes it, or write what "
	    "`kuzetctl agent config key` prints at the collector there",
	    c->central.key);
	return err->code;
}

/* ---- a group's file ------------------------------------------------------ */

/* The rows of agent_options that it may have; none has a default. */
static void
settable_rows(struct conf_option out[ROWS_MAX])
{
	size_t n = 0;

	out[n++] = (struct conf_option){ .key = "agents",
		.type = CONF_STRINGS,
		.offset = offsetof(struct agent_config, agents),
		.help = "Whose configuration it is." };
	for (const struct conf_option *o = agent_options; o->key != NULL; o++) {
		for (size_t i = 0; settable[i] != NULL; i++) {
			if (strcmp(settable[i], o->key) != 0)
				continue;
			out[n] = *o;
			out[n].def = NULL;
			out[n++].required = false;
		}
	}
	out[n] = (struct conf_option){ .key = NULL };
}

/* Numbers and choices; nothing that is owned is among them. */
static size_t
size_of(const struct conf_option *o)
{
	return o->type == CONF_CHOICE ? sizeof(int) : sizeof(int64_t);
}

static void
copy_numbers(const struct conf_option *rows, const struct agent_config *from,
    struct agent_config *to)
{
	for (const struct conf_option *o = rows; o->key != NULL; o++) {
		if (o->type != CONF_LIST && o->type != CONF_STRINGS)
			memcpy((char *)to + o->offset,
			    (const char *)from + o->offset, size_of(o));
	}
}

static enum rc
check_allowed(const char *name, const struct agent_config *central,
    const struct agent_config *c, size_t i, struct error *err)
{
	const struct agent_input *in = agent_input_at(central, i);
	const char *type = agent_input_types[in->type];
	unsigned line = central->inputs.lines[i];

	if (!type_is_allowed(c, type))
		return error_set(err, RC_DENIED,
		    "%s:%u: inputs.type: %s is not allowed here: the owner of "
		    "the machine lists it in central.inputs of agent.yaml, or "
		    "not",
		    name, line, type);
	for (size_t k = 0; k < in->paths.n; k++) {
		if (!path_is_allowed(&c->central.paths, in->paths.items[k]))
			return error_set(err, RC_DENIED,
			    "%s:%u: inputs.paths: %s is not allowed here: the "
			    "owner of the machine lists it in central.paths of "
			    "agent.yaml, or not",
			    name, line, in->paths.items[k]);
	}
	if (in->socket != NULL || in->directory != NULL || in->files.n > 0 ||
	    in->ca != NULL)
		return error_set(err, RC_DENIED,
		    "%s:%u: inputs: directory, socket, files and ca are for "
		    "agent.yaml only",
		    name, line);
	return RC_OK;
}

/* An audit input without paths has one, policies without are kuzet's own. */
static bool
names_paths(const struct agent_input *in)
{
	return in->type != AGENT_INPUT_POLICY || in->paths.n > 0;
}

static enum rc
check_inputs(const char *name, struct agent_config *central,
    const struct agent_config *c, struct opener *o, struct error *err)
{
	bool *checked = xcalloc(central->inputs.n + 1, sizeof(*checked));
	enum rc rc = RC_OK;

	for (size_t i = 0; i < central->inputs.n; i++)
		checked[i] = names_paths(agent_input_at(central, i));
	for (size_t i = 0; rc == RC_OK && i < central->inputs.n; i++)
		rc = check_allowed(name, central, c, i, err);
	if (rc == RC_OK)
		rc = agent_config_check_list(name, central, err);
	/* again: defaults came */
	for (size_t i = 0; rc == RC_OK && i < central->inputs.n; i++) {
		if (checked[i])
			rc = check_allowed(name, central, c, i, err);
		for (size_t k = 0; rc == RC_OK && k < c->inputs.n; k++) {
			if (strcmp(agent_input_at(central, i)->name,
				agent_input_at(c, k)->name) == 0)
				rc = error_set(err, RC_INVALID,
				    "%s:%u: inputs.name: \"%s\" is the name of "
				    "an input of agent.yaml: each needs its "
				    "own",
				    name, central->inputs.lines[i],
				    agent_input_at(c, k)->name);
		}
	}
	if (rc == RC_OK && o != NULL)
		rc = agent_config_check_inputs(name, central, o, err);
	free(checked);
	return rc;
}

/* Inputs move over. */
static void
append_inputs(struct agent_config *c, struct agent_config *central)
{
	size_t size = sizeof(struct agent_input), n = central->inputs.n;
	struct conf_list *to = &c->inputs;

	if (n == 0)
		return;
	to->items = xreallocarray(to->items, to->n + n, size);
	to->lines = xreallocarray(to->lines, to->n + n, sizeof(*to->lines));
	memcpy((char *)to->items + to->n * size, central->inputs.items,
	    n * size);
	memcpy(to->lines + to->n, central->inputs.lines,
	    n * sizeof(*to->lines));
	to->n += n;
	central->inputs.n = 0;
}

enum rc
agent_config_add(const char *name, struct slice text, struct agent_config *c,
    struct opener *o, struct error *err)
{
	struct conf_option rows[ROWS_MAX];
	struct agent_config central = { 0 };
	enum rc rc;

	settable_rows(rows);
	copy_numbers(rows, c, &central);
	rc = conf_parse(name, text, rows, &central, err);
	if (rc != RC_OK)
		return rc;
	rc = check_inputs(name, &central, c, o, err);
	if (rc == RC_OK) {
		copy_numbers(rows, &central, c);
		append_inputs(c, &central);
	}
	conf_free(rows, &central);
	return rc;
}

/* ---- what is different --------------------------------------------------- */

static void
put_change(struct json_writer *w, const char *key, const char *input,
    const char *change)
{
	json_open(w, '{');
	json_key(w, "key");
	json_str(w, key);
	if (input != NULL) {
		json_key(w, "input");
		json_str(w, input);
	}
	json_key(w, "change");
	json_str(w, change);
	json_close(w, '}');
}

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool
same_texts(const struct conf_strings *a, const struct conf_strings *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = strcmp(a->items[i], b->items[i]) == 0;
	return same;
}

static bool
same_value(const struct conf_option *o, const void *a, const void *b)
{
	switch (o->type) {
	case CONF_STRING:
	case CONF_PATH:
	case CONF_ADDRESS:
		return same_text(*(char *const *)a, *(char *const *)b);
	case CONF_STRINGS:
	case CONF_PATHS:
	case CONF_ADDRESSES:
		return same_texts(a, b);
	case CONF_BOOL:
	case CONF_SECTION:
		return *(const bool *)a == *(const bool *)b;
	case CONF_CHOICE:
		return *(const int *)a == *(const int *)b;
	case CONF_INT:
	case CONF_SIZE:
	case CONF_DURATION:
		return *(const int64_t *)a == *(const int64_t *)b;
	case CONF_MAP:
	case CONF_LIST:
		break;
	}
	return true; /* an input has none */
}

static const struct agent_input *
input_named(const struct agent_config *c, const char *name)
{
	for (size_t i = 0; i < c->inputs.n; i++) {
		if (strcmp(agent_input_at(c, i)->name, name) == 0)
			return agent_input_at(c, i);
	}
	return NULL;
}

static void
diff_input(const struct conf_option *rows, const struct agent_input *from,
    const struct agent_input *to, struct json_writer *w)
{
	for (const struct conf_option *o = rows; o->key != NULL; o++) {
		if (!same_value(o, (const char *)from + o->offset,
			(const char *)to + o->offset))
			put_change(w, o->key, to->name, "changed");
	}
}

static void
diff_inputs(const struct conf_option *rows, const struct agent_config *from,
    const struct agent_config *to, struct json_writer *w)
{
	for (size_t i = 0; i < from->inputs.n; i++) {
		const struct agent_input *old = agent_input_at(from, i);
		const struct agent_input *new = input_named(to, old->name);

		if (new == NULL)
			put_change(w, "inputs", old->name, "removed");
		else
			diff_input(rows, old, new, w);
	}
	for (size_t i = 0; i < to->inputs.n; i++) {
		const char *name = agent_input_at(to, i)->name;

		if (input_named(from, name) == NULL)
			put_change(w, "inputs", name, "added");
	}
}

void
agent_config_diff(const struct agent_config *from,
    const struct agent_config *to, struct buf *out)
{
	struct conf_option rows[ROWS_MAX];
	struct json_writer w;

	settable_rows(rows);
	json_begin(&w, out);
	json_open(&w, '[');
	for (const struct conf_option *o = rows; o->key != NULL; o++) {
		if (o->type == CONF_LIST)
			diff_inputs(o->items, from, to, &w);
		else if (o->type != CONF_STRINGS &&
		    !same_value(o, (const char *)from + o->offset,
			(const char *)to + o->offset))
			put_change(&w, o->key, NULL, "changed");
	}
	json_close(&w, ']');
}
