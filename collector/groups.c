/* SPDX-License-Identifier: Apache-2.0 */
#include "groups.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "conf.h"
#include "order.h"
#include "state_file.h"
#include "timestamp.h"
#include "xalloc.h"

struct groups {
	struct group *list; /* by name */
	size_t n;
	uint64_t version;
};

static const char state_name[] = "agent-groups.state";
enum { STATE_BYTES = 256 };

/* ---- one file ------------------------------------------------------------ */

static void
group_fini(struct group *g)
{
	for (size_t i = 0; i < g->n_agents; i++)
		free(g->agents[i]);
	free(g->agents);
	free(g->lines);
	free(g->name);
	free(g->text);
}

static enum rc
take_agents(const char *path, const struct yaml_node *list, struct group *g,
    struct error *err)
{
	if (list == NULL)
		return RC_OK; /* of those who enrol for it */
	if (list->kind != YAML_SEQUENCE || list->n == 0 ||
	    list->n > GROUP_AGENTS_MAX)
		return error_set(err, RC_INVALID,
		    "%s:%u: agents: must be a list of 1 to %d ids and patterns",
		    path, list->line, GROUP_AGENTS_MAX);
	g->agents = xcalloc(list->n, sizeof(*g->agents));
	g->lines = xcalloc(list->n, sizeof(*g->lines));
	for (size_t i = 0; i < list->n; i++) {
		const struct yaml_node *item = list->items[i];

		if (item->kind != YAML_SCALAR || item->text.len == 0)
			return error_set(err, RC_INVALID,
			    "%s:%u: agents: must be ids and patterns", path,
			    item->line);
		g->lines[i] = item->line;
		g->agents[g->n_agents++] =
		    xmemdupz(item->text.ptr, item->text.len);
	}
	return RC_OK;
}

static enum rc
parse(const char *path, struct group *g, struct error *err)
{
	struct yaml_file *y = NULL;
	const struct yaml_node *root;
	enum rc rc =
	    yaml_parse(path, (struct slice){ g->text, g->len }, &y, err);

	if (rc != RC_OK)
		return rc;
	root = yaml_root(y, 0);
	if (yaml_documents(y) != 1 || root == NULL ||
	    root->kind != YAML_MAPPING)
		rc = error_set(err, RC_INVALID,
		    "%s:1: must be one document of keys with values", path);
	else
		rc = take_agents(path, yaml_get(root, "agents"), g, err);
	yaml_free(y);
	return rc;
}

static enum rc
load_file(const char *dir, const char *name, struct group *g, struct error *err)
{
	char path[PATH_MAX];
	struct buf text;
	enum rc rc;

	*g = (struct group){ .name = xstrdup(name) };
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (strlen(name) > GROUP_NAME_MAX)
		return error_set(err, RC_LIMIT, "%s: the name is too long",
		    path);
	buf_init(&text, ORDER_TEXT_MAX + 65536); /* whole reads */
	rc = state_file_read(path, &text, err);
	if (rc == RC_EOF)
		rc = error_set(err, RC_SYSTEM, "%s: is gone", path);
	if (rc == RC_OK && text.len > ORDER_TEXT_MAX)
		rc = error_set(err, RC_LIMIT, "%s: larger than %d bytes", path,
		    ORDER_TEXT_MAX);
	if (rc == RC_OK) {
		g->text = xmemdupz(text.ptr == NULL ? "" : text.ptr, text.len);
		g->len = text.len;
		order_hash((struct slice){ g->text, g->len }, g->hash);
		rc = parse(path, g, err);
	}
	buf_fini(&text);
	return rc;
}

/* ---- the folder ---------------------------------------------------------- */

static bool
is_group(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot != NULL &&
	    (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct group *)a)->name,
	    ((const struct group *)b)->name);
}

static enum rc
load_files(const char *dir, struct groups *g, struct error *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	enum rc rc = RC_OK;

	if (d == NULL)
		return error_set_errno(err, errno, "agent_groups: %s", dir);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours */
	while (rc == RC_OK && (entry = readdir(d)) != NULL) {
		if (!is_group(entry->d_name))
			continue;
		if (g->n == GROUPS_MAX) {
			rc = error_set(err, RC_LIMIT,
			    "agent_groups: %s: more than %d groups", dir,
			    GROUPS_MAX);
			break;
		}
		g->list = xreallocarray(g->list, g->n + 1, sizeof(g->list[0]));
		rc = load_file(dir, entry->d_name, &g->list[g->n++], err);
	}
	(void)closedir(d);
	if (rc == RC_OK && g->n > 1)
		qsort(g->list, g->n, sizeof(g->list[0]), by_name);
	return rc;
}

static bool
is_pattern(const char *id)
{
	return strpbrk(id, "*?[") != NULL;
}

/* An id that two files name would be a matter of their names. */
static enum rc
check_ids(const char *dir, const struct groups *g, const struct group *one,
    size_t i, struct error *err)
{
	for (const struct group *other = g->list; other < one; other++) {
		for (size_t k = 0; k < other->n_agents; k++) {
			if (strcmp(other->agents[k], one->agents[i]) == 0)
				return error_set(err, RC_INVALID,
				    "%s/%s:%u: agents: %s is in %s, too (line "
				    "%u): an agent has one group",
				    dir, one->name, one->lines[i],
				    one->agents[i], other->name,
				    other->lines[k]);
		}
	}
	return RC_OK;
}

/* The ending of a file does not count. */
static enum rc
check_name(const char *dir, const struct groups *g, const struct group *one,
    struct error *err)
{
	for (const struct group *other = g->list; other < one; other++) {
		size_t len = (size_t)(strrchr(one->name, '.') - one->name) + 1;

		if (strncmp(other->name, one->name, len) == 0 &&
		    strchr(other->name + len, '.') == NULL)
			return error_set(err, RC_INVALID,
			    "%s: %s and %s are one group: keep one of them",
			    dir, other->name, one->name);
	}
	return RC_OK;
}

static enum rc
check_all(const char *dir, const struct groups *g, struct error *err)
{
	for (size_t n = 0; n < g->n; n++) {
		enum rc rc = check_name(dir, g, &g->list[n], err);

		if (rc != RC_OK)
			return rc;
		for (size_t i = 0; i < g->list[n].n_agents; i++) {
			if (is_pattern(g->list[n].agents[i]))
				continue;
			rc = check_ids(dir, g, &g->list[n], i, err);
			if (rc != RC_OK)
				return rc;
		}
	}
	return RC_OK;
}

/* ---- its version --------------------------------------------------------- */

static void
digest_of(const struct groups *g, char out[SHA256_TEXT])
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];

	for (size_t i = 0; i < g->n; i++) {
		sha256_add(h, g->list[i].name, strlen(g->list[i].name) + 1);
		sha256_add(h, g->list[i].hash, SHA256_TEXT);
	}
	sha256_done(h, digest);
	sha256_free(h);
	hex_text(digest, sizeof(digest), out);
}

/* Stored before anybody sees it. */
static enum rc
number(const char *state_dir, bool again, struct groups *g, struct error *err)
{
	uint64_t now = (uint64_t)(timestamp_now() / NS_PER_SEC);
	char path[PATH_MAX], digest[SHA256_TEXT], line[STATE_BYTES];
	struct buf text;
	char *end = NULL;
	enum rc rc;

	(void)snprintf(path, sizeof(path), "%s/%s", state_dir, state_name);
	digest_of(g, digest);
	buf_init(&text, 65536 + STATE_BYTES);
	rc = state_file_read(path, &text, err);
	if (rc == RC_OK && text.len > 0 && buf_add_char(&text, '\0'))
		g->version = strtoull(text.ptr, &end, 10);
	if (end == NULL || strncmp(end, " ", 1) != 0 ||
	    strncmp(end + 1, digest, strlen(digest)) != 0 || again) {
		g->version = g->version + 1 > now ? g->version + 1 : now;
		(void)snprintf(line, sizeof(line), "%llu %s\n",
		    (unsigned long long)g->version, digest);
		rc = state_file_replace(state_dir, state_name,
		    (struct slice){ line, strlen(line) }, err);
	}
	buf_fini(&text);
	return rc;
}

enum rc
groups_load(const char *dir, const char *state_dir, bool again,
    struct groups **out, struct error *err)
{
	struct groups *g = xzalloc(sizeof(*g));
	enum rc rc = load_files(dir, g, err);

	*out = NULL;
	if (rc == RC_OK)
		rc = check_all(dir, g, err);
	if (rc == RC_OK && state_dir != NULL)
		rc = number(state_dir, again, g, err);
	if (rc == RC_OK)
		*out = g;
	else
		groups_free(g);
	return rc;
}

void
groups_free(struct groups *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n; i++)
		group_fini(&g->list[i]);
	free(g->list);
	free(g);
}

uint64_t
groups_version(const struct groups *g)
{
	return g->version;
}

static bool
names(const struct group *g, const char *agent, bool patterns)
{
	for (size_t i = 0; i < g->n_agents; i++) {
		if (patterns ? fnmatch(g->agents[i], agent, 0) == 0
			     : strcmp(g->agents[i], agent) == 0)
			return true;
	}
	return false;
}

/* By those who enrol for it: the file without its ending. */
static bool
is_called(const struct group *g, struct slice name)
{
	return slice_eq(name,
	    (struct slice){ g->name,
		(size_t)(strrchr(g->name, '.') - g->name) });
}

static const struct group *
find_by(const struct groups *g, const char *id, bool patterns)
{
	for (size_t i = 0; i < g->n; i++) {
		if (names(&g->list[i], id, patterns))
			return &g->list[i];
	}
	return NULL;
}

const struct group *
groups_find(const struct groups *g, struct slice agent, struct slice enrolled)
{
	char *id = xmemdupz(agent.ptr, agent.len);
	const struct group *one, *found = find_by(g, id, false);
	size_t i = 0;

	while (found == NULL && enrolled.len > 0 &&
	    (one = groups_at(g, i++)) != NULL) {
		if (is_called(one, enrolled))
			found = one;
	}
	if (found == NULL)
		found = find_by(g, id, true);
	free(id);
	return found;
}

const struct group *
groups_at(const struct groups *g, size_t i)
{
	return i < g->n ? &g->list[i] : NULL;
}
