/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services and timers of systemd, by their unit files and whether something
 * wants them at start; tasks of cron(8), line by line.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/slurp.h"
#include "agent/roles/opener_walk.h"

enum { LINE_MAX_BYTES = 1024 };

static const char *const unit_folders[] = { "/etc/systemd/system",
	"/run/systemd/system", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system" };

/* Something in /etc wants it: "multi-user.target.wants/ssh.service". */
static bool
enabled(const char *unit)
{
	static const char *const wants[] = { "multi-user.target.wants",
		"graphical.target.wants", "sysinit.target.wants",
		"basic.target.wants", "timers.target.wants",
		"sockets.target.wants", "network-online.target.wants",
		"default.target.wants", "local-fs.target.wants" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
		(void)snprintf(path, sizeof(path), "/etc/systemd/system/%s/%s",
		    wants[i], unit);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* A link to /dev/null. */
static bool
masked(const char *path)
{
	char target[32];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	return n == 9 && memcmp(target, "/dev/null", 9) == 0;
}

static const char *
state_of(const char *path, const char *unit)
{
	if (masked(path))
		return "masked";
	return enabled(unit) ? "enabled" : "disabled";
}

const char *
inventory_unit_state(const char *unit)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(unit_folders) / sizeof(char *); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", unit_folders[i],
		    unit);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return state_of(path, unit);
	}
	return "absent";
}

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n > k && strcmp(name + n - k, end) == 0;
}

static void
one_unit(struct inventory *inv, const char *path, const char *name)
{
	const char *class = ends_with(name, ".service") ? "service"
	    : ends_with(name, ".timer")                 ? "task"
							: NULL;
	struct json_writer ecs, more;

	if (class == NULL)
		return;
	inventory_begin(inv, &ecs, &more);
	inventory_text(inv, &ecs, "service.name",
	    (struct slice){ name, strlen(name) });
	inventory_text(inv, &more, "file",
	    (struct slice){ path, strlen(path) });
	json_key(&more, "kind");
	json_str(&more, class[0] == 's' ? "systemd" : "systemd-timer");
	json_key(&more, "state");
	json_str(&more, state_of(path, name));
	inventory_add(inv, class, (struct slice){ name, strlen(name) });
}

/* The first folder that has a unit decides, as systemd reads them. */
static void
units(struct inventory *inv)
{
	for (size_t i = 0; i < sizeof(unit_folders) / sizeof(char *); i++) {
		char pattern[PATH_MAX];
		const char *const one = pattern;
		struct opener_walk_options options = { .patterns = &one,
			.n_patterns = 1,
			.flat = true };
		struct opener_node nodes[32];
		struct arena *arena = arena_new(65536);
		struct opener_walk *walk;
		size_t n;

		(void)snprintf(pattern, sizeof(pattern), "%s/*.[st]*",
		    unit_folders[i]);
		walk = opener_walk_begin(inv->opener, &options);
		while ((n = opener_walk_next(walk, arena, nodes, 32)) > 0) {
			for (size_t k = 0; k < n; k++)
				one_unit(inv, nodes[k].path,
				    strrchr(nodes[k].path, '/') + 1);
			arena_reset(arena);
		}
		opener_walk_end(walk);
		arena_free(arena);
	}
}

struct crontab {
	struct inventory *inv;
	bool script; /* the file itself is what runs */
};

static void
add_task(struct inventory *inv, const char *path, struct slice line)
{
	struct json_writer ecs, more;
	char key[PATH_MAX + LINE_MAX_BYTES + 2];

	if (line.len > LINE_MAX_BYTES)
		line.len = LINE_MAX_BYTES;
	(void)snprintf(key, sizeof(key), "%s:%.*s", path, SLICE_ARG(line));
	inventory_begin(inv, &ecs, &more);
	inventory_text(inv, &ecs, "file.path",
	    (struct slice){ path, strlen(path) });
	json_key(&more, "kind");
	json_str(&more, "cron");
	inventory_text(inv, &more, "line", line);
	inventory_add(inv, "task", (struct slice){ key, strlen(key) });
}

static void
one_crontab(void *ctx, const char *path, const struct opener_stat *st)
{
	struct crontab *c = ctx;
	struct inventory *inv = c->inv;
	struct slice rest, line, word, left;

	(void)st;
	if (c->script) {
		add_task(inv, path, (struct slice){ "", 0 });
		return;
	}
	if (!slurp(inv->opener, path, &inv->file))
		return;
	for (rest = buf_slice(&inv->file); slurp_line(&rest, &line);) {
		left = line;
		/* settings ("PATH=...") change what runs, too */
		if (slurp_word(&left, &word) && word.ptr[0] != '#')
			add_task(inv, path, line);
	}
}

static void
tasks(struct inventory *inv)
{
	static const struct {
		const char *pattern;
		bool script;
	} places[] = { { "/etc/crontab", false }, { "/etc/anacrontab", false },
		{ "/etc/cron.d/*", false },
		{ "/var/spool/cron/crontabs/*", false },
		{ "/var/spool/cron/[!.]*", false },
		{ "/etc/cron.hourly/*", true }, { "/etc/cron.daily/*", true },
		{ "/etc/cron.weekly/*", true },
		{ "/etc/cron.monthly/*", true } };
	struct error err;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		(void)opener_list(inv->opener, places[i].pattern, one_crontab,
		    &(struct crontab){ inv, places[i].script }, &err);
}

void
inventory_services(struct inventory *inv)
{
	units(inv);
	tasks(inv);
}
