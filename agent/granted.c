/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/granted.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/central.h"
#include "agent/inputs/input.h"
#include "agent/inputs/journal_files.h"
#include "agent/inputs/policy/policy_event.h"
#include "agent/inputs/slurp.h"
#include "tls.h"

/* What the inventory is made of, and what names the owners of changed files. */
static const struct {
	enum grant_kind kind;
	const char *pattern;
} of_machine[] = {
	{ GRANT_FILE, "/etc/os-release" },
	{ GRANT_FILE, "/etc/crontab" },
	{ GRANT_FILE, "/etc/anacrontab" },
	{ GRANT_FILE, "/etc/cron.*/*" },
	{ GRANT_FILE, "/var/spool/cron/crontabs/*" },
	{ GRANT_FILE, "/var/spool/cron/*" },
	{ GRANT_FILE, "/proc/net/tcp" },
	{ GRANT_FILE, "/proc/net/tcp6" },
	{ GRANT_FILE, "/proc/net/udp" },
	{ GRANT_FILE, "/proc/net/udp6" },
	{ GRANT_FILE, "/proc/net/route" },
	{ GRANT_FILE, "/proc/net/ipv6_route" },
	{ GRANT_FILE, "/proc/sys/net/ipv4/ip_local_port_range" },
	{ GRANT_TREE, "/etc/systemd/system" },
	{ GRANT_TREE, "/run/systemd/system" },
	{ GRANT_TREE, "/usr/local/lib/systemd/system" },
	{ GRANT_TREE, "/usr/lib/systemd/system" },
	{ GRANT_TREE, "/lib/systemd/system" },
};
static const char *const of_packages[] = { "/var/lib/dpkg/status",
	"/var/lib/dpkg/info", "/var/lib/dpkg/info/*.md5sums",
	"/usr/lib/sysimage/rpm/rpmdb.sqlite",
	"/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
	"/usr/lib/sysimage/rpm/Packages", "/usr/lib/sysimage/rpm/Packages.db",
	"/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db",
	"/usr/lib/sysimage/rpm/.rpm.lock", "/var/lib/rpm/rpmdb.sqlite",
	"/var/lib/rpm/rpmdb.sqlite-wal", "/var/lib/rpm/.rpm.lock" };

static void
grant_all(struct grants *g, enum grant_kind kind, const struct conf_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		(void)grants_add(g, kind, s->items[i]);
}

static void
grant_machine(struct grants *g)
{
	for (size_t i = 0; i < sizeof(of_machine) / sizeof(of_machine[0]); i++)
		(void)grants_add(g, of_machine[i].kind, of_machine[i].pattern);
}

/* Who the numbers are. */
static void
grant_names(struct grants *g)
{
	(void)grants_add(g, GRANT_FILE, "/etc/passwd");
	(void)grants_add(g, GRANT_FILE, "/etc/group");
}

/* Who changed a file: what everybody may know of a process. */
static void
grant_processes(struct grants *g)
{
	(void)grants_add(g, GRANT_FILE, "/proc/[0-9]*/comm");
	(void)grants_add(g, GRANT_FILE, "/proc/[0-9]*/status");
	(void)grants_add(g, GRANT_FILE, "/proc/[0-9]*/loginuid");
}

static void
grant_packages(struct grants *g)
{
	for (size_t i = 0; i < sizeof(of_packages) / sizeof(of_packages[0]);
	     i++)
		(void)grants_add(g, GRANT_FILE, of_packages[i]);
}

static void
grant_test(struct grants *g, const struct policy_test *t)
{
	char path[PATH_MAX];

	if (t->kind == POLICY_FILE)
		(void)grants_add(g, GRANT_FILE, t->name);
	if (t->kind == POLICY_SYSCTL && policy_sysctl_path(t->name, path))
		(void)grants_add(g, GRANT_FILE, path);
}

static enum rc
grant_policy(void *ctx, struct policy *p, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < p->n; i++) {
		grant_test(ctx, &p->checks[i].test);
		if (p->checks[i].has_when)
			grant_test(ctx, &p->checks[i].when);
	}
	return RC_OK;
}

static void
grant_policies(struct grants *g, const struct agent_input *in)
{
	struct opener *o = opener_new(NULL);
	struct error err; /* the check of the configuration says it */

	grant_all(g, GRANT_FILE, &in->paths);
	grant_packages(g);
	grant_names(g);
	(void)policy_each(o, (const char *const *)in->paths.items, in->paths.n,
	    grant_policy, g, &err);
	opener_free(o);
}

static void
grant_journal_file(void *g, const char *pattern)
{
	(void)grants_add(g, GRANT_LOG, pattern);
}

static void
grant_journal(struct grants *g, const struct agent_input *in)
{
	struct opener *o = opener_new(NULL);
	struct input_config config = agent_input_config(in);

	(void)grants_add(g, GRANT_FILE, "/etc/machine-id");
	journal_patterns(&config.journal, o, grant_journal_file, g);
	opener_free(o);
}

static void
grant_input(struct grants *g, const struct agent_input *in)
{
	switch ((enum agent_input_type)in->type) {
	case AGENT_INPUT_AUDIT:
		grant_names(g);
		grant_all(g, GRANT_LOG, &in->paths);
		if (in->socket != NULL)
			(void)grants_add(g, GRANT_SOCKET, in->socket);
		break;
	case AGENT_INPUT_FILE:
		grant_all(g, GRANT_LOG, &in->paths);
		break;
	case AGENT_INPUT_FIM:
		grant_all(g, GRANT_TREE, &in->paths);
		grant_packages(g);
		grant_names(g);
		grant_processes(g);
		break;
	case AGENT_INPUT_INVENTORY:
		grant_machine(g);
		grant_names(g);
		grant_packages(g);
		break;
	case AGENT_INPUT_POLICY:
		grant_policies(g, in);
		break;
	case AGENT_INPUT_JOURNAL:
		grant_journal(g, in);
		break;
	case AGENT_INPUT_PROBE:
		break;
	}
}

void
granted_name(const char *path, char out[PATH_MAX])
{
	if (path[0] == '/' || getcwd(out, PATH_MAX) == NULL)
		out[0] = '\0';
	(void)snprintf(out + strlen(out), PATH_MAX - strlen(out), "%s%s",
	    path[0] == '/' ? "" : "/", path);
}

struct grants *
granted_by(const struct agent_config *c)
{
	/* again at a reload: the user may not read what root could */
	const char *const files[] = { c->tls.ca, c->tls.certificate, c->tls.key,
		c->tls.crl };
	const struct agent_input *inputs = c->inputs.items;
	struct grants *g = grants_new();

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char name[PATH_MAX];

		if (files[i] == NULL)
			continue;
		granted_name(files[i], name);
		(void)grants_add(g, GRANT_FILE, name);
	}
	for (size_t i = 0; i < c->inputs.n; i++)
		grant_input(g, &inputs[i]);
	return g;
}

/* What the copies of the collector's configuration add; each is checked here,
 * since the worker could have written anything. */
static void
grant_central(const char *path, struct slice text, const struct agent_config *c,
    struct grants **g)
{
	static const enum central_copy copies[] = { CENTRAL_GOOD, CENTRAL_TRIAL,
		CENTRAL_CHECK };
	struct sign_keys *keys = NULL;
	char agent[CENTRAL_AGENT];
	struct error err;

	if (!c->central.accept ||
	    sign_keys_read(c->central.key, &keys, &err) != RC_OK ||
	    tls_certificate_name(c->tls.certificate, agent, sizeof(agent),
		&err) != RC_OK) {
		sign_keys_free(keys);
		return;
	}
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		struct central_trust trust = { c->state_dir, keys, agent };
		struct agent_config with = { 0 };
		struct grants *one, *both;

		if (agent_config_parse(path, text, &with, &err) == RC_OK &&
		    central_add(&trust, copies[i], &with, NULL, &err) ==
			RC_OK) {
			one = granted_by(&with);
			both = grants_union(*g, one);
			grants_free(one);
			grants_free(*g);
			*g = both;
		}
		agent_config_free(&with);
	}
	sign_keys_free(keys);
}

enum rc
granted_read(void *path, struct buf *text, struct grants **out,
    struct error *err)
{
	struct agent_config c = { 0 };
	struct opener *o = opener_new(NULL);
	enum rc rc = slurp(o, path, text)
	    ? agent_config_parse(path, buf_slice(text), &c, err)
	    : error_set(err, RC_SYSTEM, "%s cannot be read", (char *)path);

	opener_free(o);
	if (rc == RC_OK) {
		*out = granted_by(&c);
		grant_central(path, buf_slice(text), &c, out);
	}
	agent_config_free(&c);
	return rc;
}
