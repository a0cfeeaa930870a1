/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity.h"
#include "agent/output/sender.h"
#include "agent/roles/opener.h"
#include "agent/spool/spool.h"
#include "sign.h"
#include "timestamp.h"
#include "xalloc.h"

#define MS NS_PER_MS
#define S  NS_PER_SEC

static const char *const spool_drops[] = { "newest", "oldest", NULL };

/* clang-format off */
const struct conf_option agent_options[] = {
	{ .key = "collector.hosts", .type = CONF_ADDRESSES, .required = true,
	    .offset = offsetof(struct agent_config, hosts),
	    .help = "HOST:PORT of the collector; others take over in turn." },
	{ .key = "collector.compression_level", .type = CONF_INT, .def = "1",
	    .min = 0, .max = 9,
	    .offset = offsetof(struct agent_config, compression_level),
	    .help = "zlib's level; 0: no compression." },
	{ .key = "collector.control_messages", .type = CONF_BOOL, .def = "true",
	    .offset = offsetof(struct agent_config, control_messages),
	    .help = "Signs of life; false for a receiver other than "
		    "kuzet-collector." },
	{ .key = "collector.pipelining", .type = CONF_INT, .def = "3",
	    .min = 1, .max = SENDER_WINDOWS_MAX,
	    .offset = offsetof(struct agent_config, pipelining),
	    .help = "Windows that may wait for their acknowledgement." },
	{ .key = "collector.ack_timeout", .type = CONF_DURATION, .def = "30s",
	    .min = 100 * MS, .max = 3600 * S,
	    .offset = offsetof(struct agent_config, ack_timeout),
	    .help = "Silence of the collector before another connection." },
	{ .key = "collector.connect_timeout", .type = CONF_DURATION,
	    .def = "10s", .min = 100 * MS, .max = 600 * S,
	    .offset = offsetof(struct agent_config, connect_timeout),
	    .help = "For connection and TLS handshake together." },
	{ .key = "collector.backoff_min", .type = CONF_DURATION,
	    .def = "200ms", .min = 10 * MS, .max = 3600 * S,
	    .offset = offsetof(struct agent_config, backoff_min),
	    .help = "First pause before another connection; doubles." },
	{ .key = "collector.backoff_max", .type = CONF_DURATION, .def = "30s",
	    .min = 10 * MS, .max = 3600 * S,
	    .offset = offsetof(struct agent_config, backoff_max),
	    .help = "Longest pause before another connection." },
	{ .key = "collector.return_after", .type = CONF_DURATION,
	    .def = "10m", .min = 0, .max = 86400 * S,
	    .offset = offsetof(struct agent_config, return_after),
	    .help = "With another host so long, the first is tried again; "
		    "0s: never." },
	{ .key = "tls.ca", .type = CONF_PATH, .required = true,
	    .offset = offsetof(struct agent_config, tls.ca),
	    .help = "Certificates that may sign the collector's (PEM)." },
	{ .key = "tls.certificate", .type = CONF_PATH, .required = true,
	    .offset = offsetof(struct agent_config, tls.certificate),
	    .help = "The agent's certificate; its CN is the agent's id (PEM)." },
	{ .key = "tls.key", .type = CONF_PATH, .required = true,
	    .offset = offsetof(struct agent_config, tls.key),
	    .help = "The agent's private key, readable by it alone (PEM)." },
	{ .key = "tls.crl", .type = CONF_PATH,
	    .offset = offsetof(struct agent_config, tls.crl),
	    .help = "Revoked certificates (PEM)." },
	{ .key = "state_dir", .type = CONF_PATH, .required = true,
	    .offset = offsetof(struct agent_config, state_dir),
	    .help = "Folder of the positions; made if it is not there." },
	{ .key = "user", .type = CONF_STRING,
	    .offset = offsetof(struct agent_config, user),
	    .help = "Started by root, the agent becomes this user." },
	{ .key = "sandbox", .type = CONF_BOOL, .def = "true",
	    .offset = offsetof(struct agent_config, sandbox),
	    .help = "Started with rights, the agent keeps them in a process "
		    "that opens only what is configured, and confines the "
		    "rest." },
	{ .key = "host_name", .type = CONF_STRING,
	    .offset = offsetof(struct agent_config, host_name),
	    .help = "host.name of the events; by default the machine's." },
	{ .key = "heartbeat", .type = CONF_DURATION, .def = "30s",
	    .min = 100 * MS, .max = 3600 * S,
	    .offset = offsetof(struct agent_config, heartbeat),
	    .help = "How often an idle input says that it lives." },
	{ .key = "scan_interval", .type = CONF_DURATION, .def = "5s",
	    .min = 50 * MS, .max = 3600 * S,
	    .offset = offsetof(struct agent_config, scan_interval),
	    .help = "Between two looks at all paths, beside inotify." },
	{ .key = "report_interval", .type = CONF_DURATION, .def = "60s",
	    .min = 1 * S, .max = 86400 * S,
	    .offset = offsetof(struct agent_config, report_interval),
	    .help = "How often the counters are logged." },
	{ .key = "spool.max_size", .type = CONF_SIZE, .def = "256MiB",
	    .min = SPOOL_BYTES_MIN, .max = INT64_C(1) << 40,
	    .offset = offsetof(struct agent_config, spool_size),
	    .help = "Disk space for events that no file stands behind." },
	{ .key = "spool.drop", .type = CONF_CHOICE, .choices = spool_drops,
	    .def = "newest", .offset = offsetof(struct agent_config, spool_drop),
	    .help = "What a full spool leaves out; counted and reported." },
	{ .key = "inputs", .type = CONF_LIST, .items = agent_input_options,
	    .item_size = sizeof(struct agent_input),
	    .offset = offsetof(struct agent_config, inputs),
	    .help = "What is read; needed unless central.accept." },
	{ .key = "central.accept", .type = CONF_BOOL, .def = "false",
	    .offset = offsetof(struct agent_config, central.accept),
	    .help = "The collector may add inputs and set budgets, signed." },
	{ .key = "central.key", .type = CONF_PATH, .def = "orders.pub",
	    .offset = offsetof(struct agent_config, central.key),
	    .help = "Ed25519 public keys (PEM) whose orders are trusted; "
		    "`enroll` writes the collector's there." },
	{ .key = "central.inputs", .type = CONF_STRINGS,
	    .def = "[file, journal]",
	    .offset = offsetof(struct agent_config, central.inputs),
	    .help = "Types of the inputs that the collector may add." },
	{ .key = "central.paths", .type = CONF_STRINGS,
	    .def = "[/var/log/**]",
	    .offset = offsetof(struct agent_config, central.paths),
	    .help = "What their paths may be; FOLDER/** is all below it." },
	{ .key = "central.fall_back", .type = CONF_DURATION, .def = "60s",
	    .min = 1 * S, .max = 3600 * S,
	    .offset = offsetof(struct agent_config, central.fall_back),
	    .help = "A configuration that does not reach a collector in this "
		    "time is given up for the one before." },
	{ .key = "response.enabled", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_config, response.enabled),
	    .help = "block_address, stop_service, collect_evidence: what a "
		    "collector may order; by default nothing." },
	{ .key = "response.services", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_config, response.services),
	    .help = "Units that stop_service may stop." },
	{ .key = "response.evidence", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_config, response.evidence),
	    .help = "Files that collect_evidence brings." },
	{ .key = "response.never", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_config, response.never),
	    .help = "Networks that block_address never blocks." },
	{ .key = "response.max_time", .type = CONF_DURATION, .def = "24h",
	    .min = 1 * S, .max = INT64_C(30) * 86400 * S,
	    .offset = offsetof(struct agent_config, response.max_time),
	    .help = "Longest time for which something is blocked or "
		    "stopped." },
	{ .key = NULL },
};
/* clang-format on */

struct tls_files
agent_tls_files(const struct agent_config *c)
{
	return (struct tls_files){
		.ca = c->tls.ca,
		.certificate = c->tls.certificate,
		.key = c->tls.key,
		.crl = c->tls.crl,
	};
}

struct identity_files
agent_identity_files(const struct agent_config *c)
{
	return (struct identity_files){ .ca = c->tls.ca,
		.certificate = c->tls.certificate,
		.key = c->tls.key,
		.orders_key = c->central.key,
		.state_dir = c->state_dir,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
}

static enum rc
check_hosts(const char *file, const struct agent_config *c, struct error *err)
{
	if (c->hosts.n == 0)
		return error_set(err, RC_INVALID,
		    "%s:%u: collector.hosts: at least one is needed", file,
		    c->hosts.line);
	for (size_t i = 0; i < c->hosts.n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(c->hosts.items[i], c->hosts.items[k]) == 0)
				return error_set(err, RC_INVALID,
				    "%s:%u: collector.hosts: %s is there twice",
				    file, c->hosts.line, c->hosts.items[i]);
		}
	}
	if (c->backoff_min > c->backoff_max)
		return error_set(err, RC_INVALID,
		    "%s: collector.backoff_min: must not be above "
		    "collector.backoff_max",
		    file);
	return RC_OK;
}

static void
default_host_name(struct agent_config *c)
{
	char name[AGENT_TEXT_MAX] = "";

	if (c->host_name != NULL)
		return;
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		(void)snprintf(name, sizeof(name), "localhost");
	c->host_name = xstrdup(name);
}

static enum rc
check_rest(const char *path, struct agent_config *c, struct error *err)
{
	enum rc rc = RC_OK;

	if (c->inputs.n == 0 && !c->central.accept)
		rc = error_set(err, RC_INVALID,
		    "%s: inputs: at least one is needed", path);
	if (rc == RC_OK)
		rc = agent_config_check_list(path, c, err);
	if (rc == RC_OK)
		rc = agent_config_check_central(path, c, err);
	if (rc == RC_OK && c->host_name != NULL)
		rc = strlen(c->host_name) > 0 &&
			strlen(c->host_name) <= AGENT_TEXT_MAX
		    ? RC_OK
		    : error_set(err, RC_INVALID,
			  "%s: host_name: must be 1 to %d characters", path,
			  AGENT_TEXT_MAX);
	default_host_name(c);
	return rc;
}

static enum rc
check_all(const char *path, struct agent_config *c, struct error *err)
{
	enum rc rc = check_hosts(path, c, err);

	return rc == RC_OK ? check_rest(path, c, err) : rc;
}

enum rc
agent_config_load(const char *path, struct agent_config *c, struct error *err)
{
	enum rc rc = conf_load(path, agent_options, c, err);

	return rc == RC_OK ? check_all(path, c, err) : rc;
}

enum rc
agent_config_parse(const char *path, struct slice text, struct agent_config *c,
    struct error *err)
{
	enum rc rc = conf_parse(path, text, agent_options, c, err);

	return rc == RC_OK ? check_all(path, c, err) : rc;
}

enum rc
agent_config_load_alone(const char *path, struct agent_config *c,
    struct error *err)
{
	enum { N = sizeof(agent_options) / sizeof(agent_options[0]) };
	struct conf_option alone[N];
	enum rc rc;

	memcpy(alone, agent_options, sizeof(alone));
	for (size_t i = 0; i + 1 < N; i++) {
		if (strcmp(alone[i].key, "inputs") != 0 &&
		    strcmp(alone[i].key, "state_dir") != 0)
			alone[i].required = false;
	}
	rc = conf_load(path, alone, c, err);
	return rc == RC_OK ? check_rest(path, c, err) : rc;
}

void
agent_config_free(struct agent_config *c)
{
	conf_free(agent_options, c);
}

enum rc
agent_config_check(const char *path, const struct agent_config *c,
    struct error *err)
{
	struct tls_files files = agent_tls_files(c);
	struct tls_context *tls = NULL;
	enum rc rc = tls_context_new(TLS_CLIENT, &files, false, &tls, err);
	struct sign_keys *keys = NULL;
	struct opener *o;

	tls_context_free(tls);
	if (rc != RC_OK && access(c->tls.certificate, F_OK) != 0)
		return error_set(err, rc,
		    "%s: tls.certificate: %s is not there: enrol this machine "
		    "with kuzet-agent enroll --server HOST --token TOKEN",
		    path, c->tls.certificate);
	if (rc != RC_OK)
		return error_prefix(err, "%s: tls", path);
	o = opener_new(NULL);
	rc = agent_config_check_inputs(path, c, o, err);
	opener_free(o);
	if (rc != RC_OK)
		return rc; /* which names the file and the line */
	rc = agent_config_keys(c, &keys, err);
	sign_keys_free(keys);
	return rc == RC_OK ? rc : error_prefix(err, "%s", path);
}
