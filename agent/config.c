/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "agent/identity.h"
#include "agent/inputs/encoding.h"
#include "agent/inputs/input.h"
#include "agent/inputs/maintenance.h"
#include "agent/inputs/policy/policy_event.h"
#include "agent/inputs/probe/probe.h"
#include "agent/output/sender.h"
#include "agent/roles/opener.h"
#include "agent/spool/spool.h"
#include "datadir.h"
#include "sign.h"
#include "timestamp.h"
#include "xalloc.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

/* An event's records come at once; one without EOE waits no longer. */
#define AUDIT_TIMEOUT (2 * S)

enum { TEXT_MAX = 256 }; /* of what goes into each event */

static const char *const input_types[] = { "file", "fim", "journal", "audit",
	"inventory", "policy", "probe", NULL };
static const char *const spool_drops[] = { "newest", "oldest", NULL };
static const char *const probe_checks[] = { "dns", "tcp", "http", "tls", "ntp",
	NULL };
static const char *const seeks[] = { "head", "tail", NULL };
static const char *const priorities[] = { "emerg", "alert", "crit", "err",
	"warning", "notice", "info", "debug", NULL };
static const char *const rescan_kinds[] = { "metadata", "full", NULL };

/* clang-format off */
static const struct conf_option input_options[] = {
	{ .key = "type", .type = CONF_CHOICE, .choices = input_types,
	    .offset = offsetof(struct agent_input, type), .required = true,
	    .help = "What kind of input it is." },
	{ .key = "name", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, name),
	    .help = "Its name at the collector; by default type and first path." },
	{ .key = "paths", .type = CONF_PATHS,
	    .offset = offsetof(struct agent_input, paths),
	    .help = "Files to follow; glob patterns are allowed." },
	{ .key = "exclude", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, exclude),
	    .help = "Patterns of paths or names that are left out." },
	{ .key = "dataset", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, dataset),
	    .help = "Chooses the normalizer; otherwise found from the content." },
	{ .key = "timezone", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, timezone),
	    .help = "For time stamps that carry none." },
	{ .key = "year", .type = CONF_INT, .min = 1970, .max = 9999,
	    .offset = offsetof(struct agent_input, year),
	    .help = "For time stamps that carry none." },
	{ .key = "max_line", .type = CONF_SIZE, .def = "1MiB",
	    .min = 64, .max = MAX_LINE_DEFAULT,
	    .offset = offsetof(struct agent_input, max_line),
	    .help = "Longer lines are cut and marked." },
	{ .key = "encoding", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, encoding),
	    .help = "utf-8, utf-16le, utf-16be, or one of one byte: latin1, "
		    "cp1251; by default UTF-8, or what a byte order mark "
		    "says." },
	{ .key = "multiline.first", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, multiline.first),
	    .help = "Pattern of the lines that begin an event." },
	{ .key = "multiline.next", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, multiline.next),
	    .help = "Pattern of the lines that go on with an event." },
	{ .key = "multiline.indent", .type = CONF_BOOL, .def = "false",
	    .offset = offsetof(struct agent_input, multiline.indent),
	    .help = "Lines that begin with white space go on." },
	{ .key = "multiline.timestamp", .type = CONF_BOOL, .def = "false",
	    .offset = offsetof(struct agent_input, multiline.timestamp),
	    .help = "Lines that begin with a time stamp begin an event." },
	{ .key = "multiline.max_lines", .type = CONF_INT, .def = "500",
	    .min = 2, .max = 100000,
	    .offset = offsetof(struct agent_input, multiline.max_lines),
	    .help = "Lines of one event; what follows is another." },
	{ .key = "multiline.timeout", .type = CONF_DURATION, .def = "5s",
	    .min = 1 * S, .max = 3600 * S,
	    .offset = offsetof(struct agent_input, multiline.timeout),
	    .help = "An event that nothing is added to for so long is "
		    "whole." },
	{ .key = "realtime", .type = CONF_BOOL, .def = "true",
	    .offset = offsetof(struct agent_input, realtime),
	    .help = "fim: look when something changes." },
	{ .key = "interval", .type = CONF_DURATION, .def = "12h",
	    .min = 1 * S, .max = INT64_MAX,
	    .offset = offsetof(struct agent_input, interval),
	    .help = "fim, inventory, policy: between two looks at all." },
	{ .key = "rescan", .type = CONF_CHOICE, .choices = rescan_kinds,
	    .def = "metadata", .offset = offsetof(struct agent_input, rescan),
	    .help = "fim: what makes a file be hashed again." },
	{ .key = "rate", .type = CONF_SIZE, .def = "20MB/s",
	    .offset = offsetof(struct agent_input, rate),
	    .help = "fim: reading pace; 0: as fast as it goes." },
	{ .key = "socket", .type = CONF_PATH,
	    .offset = offsetof(struct agent_input, socket),
	    .help = "audit: where auditd's af_unix plugin writes, in place of "
		    "paths." },
	{ .key = "directory", .type = CONF_PATH,
	    .offset = offsetof(struct agent_input, directory),
	    .help = "journal: its folder; by default this machine's." },
	{ .key = "files", .type = CONF_PATHS,
	    .offset = offsetof(struct agent_input, files),
	    .help = "journal: only these files of one." },
	{ .key = "units", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, units),
	    .help = "journal: only what these units write, or systemd of them." },
	{ .key = "priority", .type = CONF_CHOICE, .choices = priorities,
	    .def = "debug", .offset = offsetof(struct agent_input, priority),
	    .help = "journal: only what is at least so urgent." },
	{ .key = "seek", .type = CONF_CHOICE, .choices = seeks, .def = "head",
	    .offset = offsetof(struct agent_input, seek),
	    .help = "journal: where the first start begins to read." },
	{ .key = "max_file_size", .type = CONF_SIZE, .def = "1GiB",
	    .min = 1, .max = INT64_MAX,
	    .offset = offsetof(struct agent_input, max_file_size),
	    .help = "fim: larger files are known by their stat alone." },
	{ .key = "diff", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, diff),
	    .help = "fim: patterns of text files whose changes are shown." },
	{ .key = "diff_never", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, diff_never),
	    .help = "fim: of these never, beside the secrets it knows." },
	{ .key = "diff_max", .type = CONF_SIZE, .def = "64KiB",
	    .min = 1, .max = INT64_C(256) * 1024,
	    .offset = offsetof(struct agent_input, diff_max),
	    .help = "fim: changes of larger files are not shown." },
	{ .key = "check", .type = CONF_CHOICE, .choices = probe_checks,
	    .def = "tcp", .offset = offsetof(struct agent_input, check),
	    .help = "probe: what is looked at." },
	{ .key = "targets", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, targets),
	    .help = "probe: zones, HOST:PORT or URLs." },
	{ .key = "servers", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, servers),
	    .help = "probe: addresses of the zone's servers; by default found." },
	{ .key = "every", .type = CONF_DURATION, .def = "60s",
	    .min = 1 * S, .max = 86400 * S,
	    .offset = offsetof(struct agent_input, every),
	    .help = "probe: between two looks at a target." },
	{ .key = "timeout", .type = CONF_DURATION, .def = "10s",
	    .min = 100 * MS, .max = 60 * S,
	    .offset = offsetof(struct agent_input, timeout),
	    .help = "probe: for one look." },
	{ .key = "status", .type = CONF_INT, .min = 100, .max = 599,
	    .offset = offsetof(struct agent_input, status),
	    .help = "probe: HTTP status that is good; by default below 400." },
	{ .key = "sha256", .type = CONF_STRING,
	    .offset = offsetof(struct agent_input, sha256),
	    .help = "probe: digest that an HTTP body must have." },
	{ .key = "ca", .type = CONF_PATH,
	    .offset = offsetof(struct agent_input, ca),
	    .help = "probe: certificates to trust; by default the system's." },
	{ .key = "certificate_days", .type = CONF_INT, .def = "14",
	    .min = 0, .max = 3650,
	    .offset = offsetof(struct agent_input, certificate_days),
	    .help = "probe: a certificate must be good for so long." },
	{ .key = "signature_days", .type = CONF_INT, .def = "3",
	    .min = 0, .max = 365,
	    .offset = offsetof(struct agent_input, signature_days),
	    .help = "probe: so long must a zone's DNSSEC signatures be good." },
	{ .key = "offset_max", .type = CONF_DURATION, .def = "1s",
	    .min = 1 * MS, .max = 86400 * S,
	    .offset = offsetof(struct agent_input, offset_max),
	    .help = "probe: how far the clock may be from the NTP server's." },
	{ .key = "maintenance", .type = CONF_STRINGS,
	    .offset = offsetof(struct agent_input, maintenance),
	    .help = "probe, fim: windows in which results are marked, and changes "
		    "expected." },
	{ .key = NULL },
};

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
	{ .key = "inputs", .type = CONF_LIST, .items = input_options,
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

const struct input_kind *
agent_input_kind(const struct agent_input *in)
{
	const struct input_kind *const *kind = input_kinds;

	/* a file, whose records are joined */
	const char *name = in->type == AGENT_INPUT_AUDIT && in->socket == NULL
	    ? input_types[AGENT_INPUT_FILE]
	    : input_types[in->type];

	while (*kind != NULL && strcmp((*kind)->name, name) != 0)
		kind++;
	return *kind;
}

static struct agent_input *
input_at(const struct agent_config *c, size_t i)
{
	return (struct agent_input *)c->inputs.items + i;
}

static enum rc
check_text(const char *file, unsigned line, const char *key, const char *text,
    struct error *err)
{
	if (text != NULL && (strlen(text) > TEXT_MAX || text[0] == '\0'))
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.%s: must be 1 to %d characters", file, line,
		    key, TEXT_MAX);
	return RC_OK;
}

/* "file:/var/log/auth.log": stays the same when other inputs come and go. */
static void
name_input(struct agent_input *in)
{
	const char *type = input_types[in->type];
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
	if (strlen(in->name) > TEXT_MAX)
		in->name[TEXT_MAX] = '\0';
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

struct multiline_options
agent_multiline(const struct agent_input *in)
{
	return (struct multiline_options){
		.first = in->multiline.first,
		.next = in->multiline.next,
		.indent = in->multiline.indent,
		.timestamp = in->multiline.timestamp,
		.audit = in->type == AGENT_INPUT_AUDIT,
	};
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

#define TYPE(t) (1u << (t))

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
			    probe_checks[in->check],
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
check_keys(const char *file, unsigned line, const struct agent_input *in,
    struct error *err)
{
	for (size_t i = 0; i < N_KEYS_OF_TYPES; i++) {
		if (!(keys_of_types[i].types & TYPE(in->type)) &&
		    conf_has(in, input_options, keys_of_types[i].key))
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.%s: an input of type %s has no such "
			    "key",
			    file, line, keys_of_types[i].key,
			    input_types[in->type]);
	}
	return RC_OK;
}

/* One place that records come from, and one input for it: auditd serves one. */
static enum rc
check_socket(const char *file, const struct agent_config *c, size_t i,
    struct error *err)
{
	const struct agent_input *in = input_at(c, i);
	unsigned line = c->inputs.lines[i];

	if (in->socket == NULL)
		return RC_OK;
	if (in->paths.n > 0 || in->exclude.n > 0)
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.socket: there are paths, too: an input "
		    "reads the log or the socket",
		    file, line);
	for (size_t k = 0; k < i; k++) {
		const char *other = input_at(c, k)->socket;

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

static enum rc
check_input(const char *file, const struct agent_config *c, size_t i,
    struct error *err)
{
	struct agent_input *in = input_at(c, i);
	unsigned line = c->inputs.lines[i];
	enum rc rc;

	if (agent_input_kind(in) == NULL)
		return error_set(err, RC_INVALID,
		    "%s:%u: inputs.type: %s is not in this build%s", file, line,
		    input_types[in->type],
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
		if (strcmp(in->name, input_at(c, k)->name) == 0)
			return error_set(err, RC_INVALID,
			    "%s:%u: inputs.name: \"%s\" is the name of another "
			    "input (line %u): each needs its own",
			    file, line, in->name, c->inputs.lines[k]);
	}
	return RC_OK;
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

enum rc
agent_config_check_list(const char *path, struct agent_config *c,
    struct error *err)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < c->inputs.n; i++)
		rc = check_input(path, c, i, err);
	return rc;
}

static void
default_host_name(struct agent_config *c)
{
	char name[TEXT_MAX] = "";

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
		rc =
		    strlen(c->host_name) > 0 && strlen(c->host_name) <= TEXT_MAX
		    ? RC_OK
		    : error_set(err, RC_INVALID,
			  "%s: host_name: must be 1 to %d characters", path,
			  TEXT_MAX);
	default_host_name(c);
	return rc;
}

enum rc
agent_config_load(const char *path, struct agent_config *c, struct error *err)
{
	enum rc rc = conf_load(path, agent_options, c, err);

	if (rc == RC_OK)
		rc = check_hosts(path, c, err);
	return rc == RC_OK ? check_rest(path, c, err) : rc;
}

enum rc
agent_config_parse(const char *path, struct slice text, struct agent_config *c,
    struct error *err)
{
	enum rc rc = conf_parse(path, text, agent_options, c, err);

	if (rc == RC_OK)
		rc = check_hosts(path, c, err);
	return rc == RC_OK ? check_rest(path, c, err) : rc;
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
		const struct agent_input *in = input_at(c, i);
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

static struct probe_config
probe_config(const struct agent_input *in)
{
	return (struct probe_config){
		.check = (enum probe_check)in->check,
		.targets = (const char *const *)in->targets.items,
		.n_targets = in->targets.n,
		.servers = (const char *const *)in->servers.items,
		.n_servers = in->servers.n,
		.every_ns = in->every,
		.timeout_ns = in->timeout,
		.status = (int)in->status,
		.sha256 = in->sha256,
		.ca = in->ca,
		.certificate_days = (int)in->certificate_days,
		.signature_days = (int)in->signature_days,
		.offset_max_ns = in->offset_max,
		.maintenance = (const char *const *)in->maintenance.items,
		.n_maintenance = in->maintenance.n,
	};
}

struct input_config
agent_input_config(const struct agent_input *in)
{
	return (struct input_config){
		.name = in->name,
		.paths = (const char *const *)in->paths.items,
		.n_paths = in->paths.n,
		.exclude = (const char *const *)in->exclude.items,
		.n_exclude = in->exclude.n,
		.dataset = in->dataset,
		.timezone = in->timezone,
		.year = (int)in->year,
		.max_line = (size_t)in->max_line,
		.encoding = in->encoding,
		.socket = in->socket,
		.multiline = {
		    .how = agent_multiline(in),
		    .max_lines = (uint32_t)in->multiline.max_lines,
		    .timeout_ns = in->multiline.timeout,
		},
		.journal = { .files = (const char *const *)in->files.items,
		    .n_files = in->files.n,
		    .directory = in->directory,
		    .units = (const char *const *)in->units.items,
		    .n_units = in->units.n,
		    .priority = in->priority,
		    .from_tail = in->seek == 1 },
		.probe = probe_config(in),
		.fim = { .realtime = in->realtime,
		    .interval_ns = in->interval,
		    .full = in->rescan == 1,
		    .rate = in->rate,
		    .max_file_size = (uint64_t)in->max_file_size,
		    .diff = (const char *const *)in->diff.items,
		    .n_diff = in->diff.n,
		    .diff_never = (const char *const *)in->diff_never.items,
		    .n_diff_never = in->diff_never.n,
		    .diff_max = (size_t)in->diff_max,
		    .maintenance =
			(const char *const *)in->maintenance.items,
		    .n_maintenance = in->maintenance.n },
	};
}
