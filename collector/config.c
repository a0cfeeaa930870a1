/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "engine.h"
#include "enrich/personal.h"

#define AT(member) offsetof(struct collector_config, member)

static const char *const levels[] = { "informational", "low", "medium", "high",
	"critical", NULL };

/* enum personal_mode */
static const char *const personal_modes[] = { "keep", "mask", "hash", NULL };

/* clang-format off */
const struct conf_option collector_options[] = {
	{ .key = "listeners.beats.address", .type = CONF_ADDRESS,
	  .offset = AT(beats_address),
	  .help = "Lumberjack v2 over mutual TLS, for agents and Beats" },
	{ .key = "listeners.syslog.address", .type = CONF_ADDRESS,
	  .offset = AT(syslog_address),
	  .help = "syslog over mutual TLS (RFC 5425)" },
	{ .key = "tls.ca", .type = CONF_PATH, .offset = AT(tls_ca),
	  .required = true,
	  .help = "PEM file of the authority whose certificates are accepted" },
	{ .key = "tls.certificate", .type = CONF_PATH,
	  .offset = AT(tls_certificate), .required = true,
	  .help = "PEM file of the collector's certificate chain" },
	{ .key = "tls.key", .type = CONF_PATH, .offset = AT(tls_key),
	  .required = true,
	  .help = "PEM file of its private key, readable by its owner only" },
	{ .key = "tls.crl", .type = CONF_PATH, .offset = AT(tls_crl),
	  .help = "PEM file of revoked certificates" },
	{ .key = "state_dir", .type = CONF_PATH, .offset = AT(state_dir),
	  .def = "/var/lib/kuzet",
	  .help = "folder of the store; made if it is missing" },
	{ .key = "control", .type = CONF_PATH, .offset = AT(control),
	  .def = "/run/kuzet/collector.sock",
	  .help = "socket for kuzetctl; mode 0600" },
	{ .key = "api.address", .type = CONF_ADDRESS,
	  .offset = AT(api_address),
	  .help = "HTTPS API, such as 0.0.0.0:8443; without it there is none" },
	{ .key = "api.certificate", .type = CONF_PATH,
	  .offset = AT(api_certificate),
	  .help = "PEM file of its certificate chain; default: "
		  "tls.certificate" },
	{ .key = "api.key", .type = CONF_PATH, .offset = AT(api_key),
	  .help = "PEM file of its private key; default: tls.key" },
	{ .key = "api.session_idle", .type = CONF_DURATION,
	  .offset = AT(api_session_idle_ns), .def = "30m",
	  .min = 1000000000, .max = 12 * INT64_C(3600000000000),
	  .help = "a session that nobody uses so long is over" },
	{ .key = "api.request_timeout", .type = CONF_DURATION,
	  .offset = AT(api_request_timeout_ns), .def = "20s",
	  .min = 1000000000, .max = INT64_C(3600000000000),
	  .help = "a new connection has so long for its first request" },
	{ .key = "api.rate", .type = CONF_INT, .offset = AT(api_rate),
	  .def = "50", .min = 1, .max = 100000,
	  .help = "requests a second of a user; an address has twice as many" },
	{ .key = "api.max_connections", .type = CONF_INT,
	  .offset = AT(api_max_connections), .def = "500",
	  .min = 1, .max = 100000,
	  .help = "bound of HTTPS connections" },
	{ .key = "enrolment.ca_key", .type = CONF_PATH,
	  .offset = AT(enrolment_key),
	  .help = "PEM file of the key that signs agents' certificates; "
		  "without it no agent enrols" },
	{ .key = "enrolment.ca_certificate", .type = CONF_PATH,
	  .offset = AT(enrolment_certificate),
	  .help = "PEM file of its certificate; default: tls.ca" },
	{ .key = "enrolment.trust", .type = CONF_PATH,
	  .offset = AT(enrolment_trust),
	  .help = "PEM file that agents get to verify collectors with; "
		  "default: tls.ca" },
	{ .key = "enrolment.crl", .type = CONF_PATH,
	  .offset = AT(enrolment_crl),
	  .help = "Written here: what was revoked, for other collectors." },
	{ .key = "enrolment.lifetime", .type = CONF_DURATION,
	  .offset = AT(enrolment_lifetime_ns), .def = "90d",
	  .min = INT64_C(10000000000), .max = 3650 * INT64_C(86400000000000),
	  .help = "how long agents' certificates are good" },
	{ .key = "enrolment.renew_before", .type = CONF_DURATION,
	  .offset = AT(enrolment_renew_before_ns), .def = "0s",
	  .min = 0, .max = 3650 * INT64_C(86400000000000),
	  .help = "so long before their end agents renew them; 0s: a third of "
		  "lifetime" },
	{ .key = "user", .type = CONF_STRING, .offset = AT(user),
	  .help = "user to become when started by root" },
	{ .key = "rules", .type = CONF_PATHS, .offset = AT(rules),
	  .help = "Sigma rules: files, or folders searched for *.yml" },
	{ .key = "normalizers", .type = CONF_PATH, .offset = AT(normalizers),
	  .help = "folder of log formats; default: the installed ones" },
	{ .key = "taxonomy", .type = CONF_PATH, .offset = AT(taxonomy),
	  .help = "folder of field and logsource maps; default: installed" },
	{ .key = "extra_taxonomy", .type = CONF_PATHS,
	  .offset = AT(extra_taxonomy),
	  .help = "folders of maps of your own, read after those" },
	{ .key = "geoip.country", .type = CONF_PATH,
	  .offset = AT(geoip_country),
	  .help = "MaxMind DB file of countries or cities" },
	{ .key = "geoip.asn", .type = CONF_PATH, .offset = AT(geoip_asn),
	  .help = "MaxMind DB file of autonomous systems" },
	{ .key = "kafka.brokers", .type = CONF_ADDRESSES,
	  .offset = AT(kafka_brokers),
	  .help = "Kafka brokers that incidents are published to" },
	{ .key = "kafka.topic_prefix", .type = CONF_STRING,
	  .offset = AT(kafka_topic_prefix), .def = "kuzet.",
	  .help = "what topics' names begin with" },
	{ .key = "kafka.properties", .type = CONF_MAP,
	  .offset = AT(kafka_properties),
	  .help = "any properties of librdkafka" },
	{ .key = "organization", .type = CONF_STRING,
	  .offset = AT(organization), .def = "default",
	  .help = "organization.id of events" },
	{ .key = "organizations", .type = CONF_MAP,
	  .offset = AT(organizations),
	  .help = "certificate's CN: organization.id, where another owns it" },
	{ .key = "objects", .type = CONF_PATH, .offset = AT(objects),
	  .help = "register of objects, objects.yaml(5)" },
	{ .key = "agent_groups", .type = CONF_PATH, .offset = AT(agent_groups),
	  .help = "folder of the agents' configurations, one file a group" },
	{ .key = "orders.key", .type = CONF_PATH, .offset = AT(orders_key),
	  .help = "PEM file of the Ed25519 key that signs what agents are "
		  "told; default: state_dir/orders.key, made at the first "
		  "start" },
	{ .key = "personal_data.iin", .type = CONF_CHOICE,
	  .offset = AT(personal_iin), .def = "keep", .choices = personal_modes,
	  .help = "IIN and BIN in events, before they are stored" },
	{ .key = "personal_data.card", .type = CONF_CHOICE,
	  .offset = AT(personal_card), .def = "keep",
	  .choices = personal_modes,
	  .help = "numbers of payment cards" },
	{ .key = "personal_data.phone", .type = CONF_CHOICE,
	  .offset = AT(personal_phone), .def = "keep",
	  .choices = personal_modes,
	  .help = "telephone numbers of Kazakhstan" },
	{ .key = "personal_data.key", .type = CONF_PATH,
	  .offset = AT(personal_key),
	  .help = "file of 32 bytes or more, the key of hash" },
	{ .key = "incident_level", .type = CONF_CHOICE,
	  .offset = AT(incident_level), .def = "high", .choices = levels,
	  .help = "a single-event rule opens an incident from this level on" },
	{ .key = "silent_after", .type = CONF_DURATION,
	  .offset = AT(silent_after_ns), .def = "10m",
	  .min = 1000000000, .max = INT64_MAX,
	  .help = "a live source unheard so long follows the clock" },
	{ .key = "store.key", .type = CONF_PATH, .offset = AT(store_key),
	  .help = "PEM file of the Ed25519 key that signs the store; default: "
		  "state_dir/store.key, made at the first start" },
	{ .key = "store.sign_every", .type = CONF_DURATION,
	  .offset = AT(store_sign_every_ns), .def = "1h",
	  .min = 1000000000, .max = INT64_C(86400000000000),
	  .help = "how often the store's head is signed" },
	{ .key = "store.tsa.url", .type = CONF_STRING,
	  .offset = AT(store_tsa_url),
	  .help = "authority that stamps signed heads (RFC 3161 over HTTP)" },
	{ .key = "store.tsa.ca", .type = CONF_PATH, .offset = AT(store_tsa_ca),
	  .help = "PEM file of who certifies that authority" },
	{ .key = "store.merge", .type = CONF_BOOL, .offset = AT(store_merge),
	  .def = "true",
	  .help = "merge small blocks while there is little to do" },
	{ .key = "store.keep", .type = CONF_DURATION,
	  .offset = AT(store_keep_ns), .def = "0s",
	  .min = 0, .max = INT64_MAX,
	  .help = "days that ended longer ago are removed; 0s: never" },
	{ .key = "store.disk", .type = CONF_SIZE,
	  .offset = AT(store_disk_bytes), .def = "0",
	  .min = 0, .max = INT64_MAX,
	  .help = "the oldest days are removed while all take more; 0: never" },
	{ .key = "store.archive", .type = CONF_PATH,
	  .offset = AT(store_archive),
	  .help = "folder in which closed days are archived" },
	{ .key = "store.archive_first", .type = CONF_BOOL,
	  .offset = AT(store_archive_first), .def = "true",
	  .help = "never remove a day that is not in store.archive" },
	{ .key = "memory", .type = CONF_SIZE, .offset = AT(memory_bytes),
	  .def = "64MiB", .min = 16 << 20, .max = INT64_C(1) << 40,
	  .help = "bound of what is received and not yet stored" },
	{ .key = "workers", .type = CONF_INT, .offset = AT(workers),
	  .def = "0", .min = 0, .max = 256,
	  .help = "threads that parse and match; 0: one a core" },
	{ .key = "max_connections", .type = CONF_INT,
	  .offset = AT(max_connections), .def = "10000",
	  .min = 1, .max = 1000000,
	  .help = "bound of a listener's connections" },
	{ .key = "connection_rate", .type = CONF_INT,
	  .offset = AT(connection_rate), .def = "50",
	  .min = 1, .max = 100000,
	  .help = "new connections a second of an address to a listener; a "
		  "burst may be ten times as many" },
	{ .key = "idle_timeout", .type = CONF_DURATION,
	  .offset = AT(idle_timeout_ns), .def = "15m",
	  .min = 0, .max = INT64_MAX,
	  .help = "a connection silent so long is closed; 0: never" },
	{ .key = NULL },
};
/* clang-format on */

/* Port 0 is any free one, each time another. */
static bool
same_address(const char *a, const char *b)
{
	size_t len = a != NULL ? strlen(a) : 0;

	return a != NULL && b != NULL && strcmp(a, b) == 0 &&
	    !(len > 2 && strcmp(a + len - 2, ":0") == 0);
}

static enum rc
check_addresses(const char *path, const struct collector_config *c,
    struct error *err)
{
	const struct {
		const char *key, *address;
	} list[] = {
		{ "listeners.beats.address", c->beats_address },
		{ "listeners.syslog.address", c->syslog_address },
		{ "api.address", c->api_address },
	};
	size_t n = sizeof(list) / sizeof(list[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (same_address(list[i].address, list[j].address))
				return error_set(err, RC_INVALID,
				    "%s: %s and %s are both %s: each needs its "
				    "own port",
				    path, list[i].key, list[j].key,
				    list[i].address);
	return RC_OK;
}

static enum rc
check_enrolment(const char *path, struct collector_config *c, struct error *err)
{
	if (c->enrolment_key == NULL)
		return RC_OK;
	if (c->api_address == NULL)
		return error_set(err, RC_INVALID,
		    "%s: enrolment.ca_key: agents enrol over HTTPS: set "
		    "api.address",
		    path);
	if (c->enrolment_renew_before_ns == 0)
		c->enrolment_renew_before_ns = c->enrolment_lifetime_ns / 3;
	if (c->enrolment_renew_before_ns >= c->enrolment_lifetime_ns)
		return error_set(err, RC_INVALID,
		    "%s: enrolment.renew_before: must be below "
		    "enrolment.lifetime",
		    path);
	return RC_OK;
}

enum rc
collector_config_load(const char *path, struct collector_config *out,
    struct error *err)
{
	enum rc rc;

	*out = (struct collector_config){ .workers = 0 };
	rc = conf_load(path, collector_options, out, err);
	if (rc != RC_OK)
		return rc;
	if (out->beats_address == NULL && out->syslog_address == NULL)
		return error_set(err, RC_INVALID,
		    "%s: no listener: set listeners.beats.address or "
		    "listeners.syslog.address",
		    path);
	if ((out->api_certificate == NULL) != (out->api_key == NULL))
		return error_set(err, RC_INVALID,
		    "%s: api.certificate and api.key belong together: give "
		    "both, or none and those of tls count",
		    path);
	if ((out->store_tsa_url == NULL) != (out->store_tsa_ca == NULL))
		return error_set(err, RC_INVALID,
		    "%s: store.tsa.url and store.tsa.ca go together", path);
	if (out->personal_key == NULL &&
	    (out->personal_iin == PERSONAL_HASH ||
		out->personal_card == PERSONAL_HASH ||
		out->personal_phone == PERSONAL_HASH))
		return error_set(err, RC_INVALID,
		    "%s: personal_data.key is missing: hash needs one; make it "
		    "with \"openssl rand -out FILE 32\"",
		    path);
	rc = check_enrolment(path, out, err);
	return rc == RC_OK ? check_addresses(path, out, err) : rc;
}

void
collector_config_free(struct collector_config *config)
{
	conf_free(collector_options, config);
}

struct publish_options
collector_publish(const struct collector_config *config)
{
	const struct conf_map *properties = &config->kafka_properties;

	return (struct publish_options){
		.brokers = (const char *const *)config->kafka_brokers.items,
		.n_brokers = config->kafka_brokers.n,
		.topic_prefix = config->kafka_topic_prefix,
		.names = (const char *const *)properties->names,
		.values = (const char *const *)properties->values,
		.n_properties = properties->n,
	};
}
