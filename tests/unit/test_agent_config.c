/* SPDX-License-Identifier: Apache-2.0 */
/* What a group's file may do to an agent's configuration. */
#include "agent/config.h"

#include <string.h>

#include "tap.h"

static const char own[] =
    "collector: {hosts: [\"127.0.0.1:5044\"]}\n"
    "tls: {ca: ca.pem, certificate: a.pem, key: a.key}\n"
    "state_dir: /nowhere\n"
    "central:\n"
    "  accept: true\n"
    "  key: orders.pub\n"
    "  inputs: [file, fim, journal, audit, policy]\n"
    "  paths: [\"/var/log/**\", /etc/hosts, \"/srv/*/app.log\"]\n"
    "inputs: [{type: file, name: mine, paths: [/var/log/auth.log]}]\n";

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static enum rc
add(const char *group, struct agent_config *c, struct error *err)
{
	*c = (struct agent_config){ 0 };
	if (agent_config_parse("/x/agent.yaml", text(own), c, err) != RC_OK)
		return RC_SYSTEM;
	return agent_config_add("web.yaml", text(group), c, NULL, err);
}

static void
paths_are_held_against_the_list(void)
{
	static const struct {
		const char *path;
		bool allowed;
	} cases[] = {
		{ "/var/log/nginx/access.log", true },
		{ "/var/log/*/*.log", true },
		{ "/var/log", true },
		{ "/var/log/../../etc/shadow", false },
		{ "/var/log/./x", false },
		{ "/var/log//x", false },
		{ "/var/log/.[.]/.[.]/etc/shadow", false },
		{ "/var/log/.*/.*/etc/shadow", false },
		{ "/var/log/\\.\\./x", false },
		{ "/var/logs/x", false },
		{ "/var/lo?/x", false },
		{ "/etc/hosts", true },
		{ "/etc/hosts.allow", false },
		{ "/etc/*", false },
		{ "/etc/shadow", false },
		{ "/srv/one/app.log", true },
		{ "/srv/one/two/app.log", false },
		{ "/srv/*/app.log", true },
		{ "/srv/*/*.log", false },
		{ "/*", false },
		{ "relative.log", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char group[512];
		struct agent_config c;
		struct error err;
		enum rc rc;

		(void)snprintf(group, sizeof(group),
		    "agents: [a]\ninputs: [{type: file, name: n, paths: "
		    "['%s']}]\n",
		    cases[i].path);
		rc = add(group, &c, &err);
		CHECK((rc == RC_OK) == cases[i].allowed &&
			c.inputs.n == (cases[i].allowed ? 2u : 1u),
		    "%s is %s", cases[i].path,
		    cases[i].allowed ? "allowed" : "refused");
		agent_config_free(&c);
	}
}

static void
nothing_else_may_be_set(void)
{
	static const struct {
		const char *group, *says;
	} cases[] = {
		{ "state_dir: /tmp\n", "web.yaml:1: state_dir: unknown key" },
		{ "tls: {key: x}\n", "web.yaml:1: tls: unknown key" },
		{ "user: root\n", "web.yaml:1: user: unknown key" },
		{ "sandbox: false\n", "web.yaml:1: sandbox: unknown key" },
		{ "host_name: x\n", "web.yaml:1: host_name: unknown key" },
		{ "central: {paths: [/]}\n", "web.yaml:1: central: unknown" },
		{ "collector: {hosts: [a:1]}\n",
		    "web.yaml:1: collector.hosts: unknown key" },
		{ "heartbeat: 1ns\n", "web.yaml:1: heartbeat: " },
		{ "inputs:\n  - {type: probe, targets: [a:1]}\n",
		    "web.yaml:2: inputs.type: probe is not allowed" },
		{ "inputs:\n  - {type: journal, directory: /var/log/j}\n",
		    "web.yaml:2: inputs: directory" },
		{ "inputs:\n\n  - {type: fim, paths: [/etc]}\n",
		    "web.yaml:3: inputs.paths: /etc is not allowed" },
		{ "inputs: [{type: policy, paths: [/tmp/p.yml]}]\n",
		    "web.yaml:1: inputs.paths: /tmp/p.yml" },
		{ "inputs: [{type: audit, name: a, socket: /run/x}]",
		    "web.yaml:1: inputs: directory, socket, files and ca" },
		{ "inputs: [{type: file, name: mine, paths: [/var/log/x]}]\n",
		    "is the name of an input of agent.yaml" },
		{ "inputs: [{type: file, name: a, paths: [/var/log/x]},\n"
		  "  {type: file, name: a, paths: [/var/log/y]}]\n",
		    "is the name of another" },
		{ "inputs: [{type: file, paths: [/var/log/x], encoding: no}]\n",
		    "web.yaml:1: inputs.encoding" },
		{ "\t", "web.yaml:1" },
		{ "a: b\n---\nc: d\n", "more than one document" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct agent_config c;
		struct error err = { .text = "" };
		enum rc rc = add(cases[i].group, &c, &err);

		CHECK(rc != RC_OK && strstr(err.text, cases[i].says) != NULL &&
			c.inputs.n == 1,
		    "refused: %s", cases[i].says);
		agent_config_free(&c);
	}
}

static void
what_is_allowed_is_there(void)
{
	struct agent_config c, before = { 0 };
	struct error err = { .text = "" };
	struct buf changes;
	enum rc rc = add("agents: [web-*]\n"
			 "heartbeat: 7s\n"
			 "spool: {drop: oldest}\n"
			 "inputs:\n"
			 "  - {type: audit}\n"
			 "  - {type: journal, units: [ssh.service]}\n",
	    &c, &err);

	CHECK(rc == RC_OK && c.inputs.n == 3 && c.spool_drop == 1 &&
		c.heartbeat == INT64_C(7000000000) &&
		c.scan_interval == INT64_C(5000000000),
	    "inputs are added, numbers are set, the others stay: %s", err.text);
	(void)agent_config_parse("/x/agent.yaml", text(own), &before, &err);
	buf_init(&changes, 4096);
	agent_config_diff(&before, &c, &changes);
	(void)buf_add_char(&changes, '\0');
	CHECK(strstr(changes.ptr,
		  "{\"key\":\"heartbeat\",\"change\":"
		  "\"changed\"}") != NULL &&
		strstr(changes.ptr, "\"spool.drop\"") != NULL &&
		strstr(changes.ptr,
		    "{\"key\":\"inputs\",\"input\":"
		    "\"journal:ssh.service\",\"change\":"
		    "\"added\"}") != NULL &&
		strstr(changes.ptr, "scan_interval") == NULL,
	    "what is different is named: %s", changes.ptr);
	buf_fini(&changes);
	agent_config_free(&before);
	agent_config_free(&c);
	rc = add("", &c, &err);
	CHECK(rc == RC_OK && c.inputs.n == 1, "an empty one changes nothing");
	agent_config_free(&c);
}

static void
the_list_itself_is_checked(void)
{
	static const char *const central[] = {
		"{accept: true, key: k, paths: [relative]}",
		"{accept: true, key: k, paths: [\"/a/*/**\"]}",
		"{accept: true, key: k, inputs: [files]}"
	};
	bool refused = true;

	for (size_t i = 0; i < sizeof(central) / sizeof(central[0]); i++) {
		struct agent_config c = { 0 };
		struct error err;
		char group[512];

		(void)snprintf(group, sizeof(group),
		    "collector: {hosts: [\"127.0.0.1:5044\"]}\n"
		    "tls: {ca: ca.pem, certificate: a.pem, key: a.key}\n"
		    "state_dir: /nowhere\ncentral: %s\n",
		    central[i]);
		refused = refused &&
		    agent_config_parse("/x/agent.yaml", text(group), &c,
			&err) != RC_OK &&
		    strstr(err.text, "central.") != NULL;
		agent_config_free(&c);
	}
	CHECK(refused, "a list that says nothing is an error");
}

/* /x is not there. */
static void
a_key_is_needed_where_something_may_be_ordered(void)
{
	static const struct {
		const char *central;
		bool good;
	} cases[] = {
		{ "central: {accept: false}", true },
		{ "central: {accept: true}", false },
		{ "central: {accept: true, key: k}", false },
		{ "response: {enabled: [block_address]}", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct agent_config c = { 0 };
		struct sign_keys *keys = NULL;
		struct error err;
		char file[512];
		enum rc rc;

		(void)snprintf(file, sizeof(file),
		    "collector: {hosts: [\"127.0.0.1:5044\"]}\n"
		    "tls: {ca: ca.pem, certificate: a.pem, key: a.key}\n"
		    "state_dir: /nowhere\n%s\n"
		    "inputs: [{type: file, paths: [/var/log/a.log]}]\n",
		    cases[i].central);
		rc = agent_config_parse("/x/agent.yaml", text(file), &c, &err);
		if (rc == RC_OK)
			rc = agent_config_keys(&c, &keys, &err);
		CHECK(keys == NULL && (rc == RC_OK) == cases[i].good &&
			(rc == RC_OK ||
			    strstr(err.text, "central.key") != NULL),
		    "%s is %s without a key: %s", cases[i].central,
		    cases[i].good ? "good" : "refused",
		    rc == RC_OK ? "" : err.text);
		agent_config_free(&c);
	}
}

int
main(void)
{
	paths_are_held_against_the_list();
	nothing_else_may_be_set();
	what_is_allowed_is_there();
	the_list_itself_is_checked();
	a_key_is_needed_where_something_may_be_ordered();
	return tap_done();
}
