/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of `inputs` of agent.yaml(5): its options, and the input it asks for. */
#include <string.h>

#include "agent/config.h"
#include "agent/inputs/input.h"
#include "agent/inputs/probe/probe.h"
#include "timestamp.h"

#define MS NS_PER_MS
#define S  NS_PER_SEC

const char *const agent_input_types[] = {
	[AGENT_INPUT_FILE] = "file",
	[AGENT_INPUT_FIM] = "fim",
	[AGENT_INPUT_JOURNAL] = "journal",
	[AGENT_INPUT_AUDIT] = "audit",
	[AGENT_INPUT_INVENTORY] = "inventory",
	[AGENT_INPUT_POLICY] = "policy",
	[AGENT_INPUT_PROBE] = "probe",
	[AGENT_INPUT_PROBE + 1] = NULL,
};
const char *const agent_probe_checks[] = { "dns", "tcp", "http", "tls", "ntp",
	NULL };
static const char *const seeks[] = { "head", "tail", NULL };
static const char *const priorities[] = { "emerg", "alert", "crit", "err",
	"warning", "notice", "info", "debug", NULL };
static const char *const rescan_kinds[] = { "metadata", "full", NULL };

/* clang-format off */
const struct conf_option agent_input_options[] = {
	{ .key = "type", .type = CONF_CHOICE, .choices = agent_input_types,
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
	{ .key = "check", .type = CONF_CHOICE, .choices = agent_probe_checks,
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
/* clang-format on */

const struct input_kind *
agent_input_kind(const struct agent_input *in)
{
	const struct input_kind *const *kind = input_kinds;

	/* a file, whose records are joined */
	const char *name = in->type == AGENT_INPUT_AUDIT && in->socket == NULL
	    ? agent_input_types[AGENT_INPUT_FILE]
	    : agent_input_types[in->type];

	while (*kind != NULL && strcmp((*kind)->name, name) != 0)
		kind++;
	return *kind;
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
