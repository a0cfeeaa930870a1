/* SPDX-License-Identifier: Apache-2.0 */
/* collector.yaml(5): the option table and what it fills. */
#pragma once

#include "conf.h"
#include "error.h"
#include "publish/publish.h"

struct collector_config {
	char *beats_address;  /* NULL: no such listener */
	char *syslog_address; /* NULL: no such listener */
	char *tls_ca;
	char *tls_certificate;
	char *tls_key;
	char *tls_crl;
	char *state_dir;
	char *control;
	char *api_address;     /* NULL: no HTTPS */
	char *api_certificate; /* NULL: tls_certificate, and so the key */
	char *api_key;
	int64_t api_session_idle_ns;
	int64_t api_request_timeout_ns;
	int64_t api_rate;
	int64_t api_max_connections;
	char *enrolment_key;         /* NULL: nobody enrols */
	char *enrolment_certificate; /* NULL: tls_ca */
	char *enrolment_trust;       /* NULL: tls_ca */
	char *enrolment_crl;         /* NULL: none is written */
	int64_t enrolment_lifetime_ns;
	int64_t enrolment_renew_before_ns; /* 0: a third of that */
	char *user;
	struct conf_strings rules;
	char *normalizers;
	char *taxonomy;
	struct conf_strings extra_taxonomy;
	char *geoip_country;
	char *geoip_asn;
	struct conf_strings kafka_brokers;
	char *kafka_topic_prefix;
	struct conf_map kafka_properties;
	char *organization;
	struct conf_map organizations;
	char *objects;                                   /* NULL: no register */
	int personal_iin, personal_card, personal_phone; /* personal_mode */
	char *personal_key;
	char *agent_groups; /* NULL: agents are not configured from here */
	char *orders_key;   /* NULL: state_dir/orders.key */
	int incident_level; /* enum rule_level */
	int64_t silent_after_ns;
	char *store_key; /* NULL: state_dir/store.key */
	int64_t store_sign_every_ns;
	char *store_tsa_url; /* NULL: none */
	char *store_tsa_ca;
	bool store_merge;
	int64_t store_keep_ns;    /* 0: for ever */
	int64_t store_disk_bytes; /* 0: no bound */
	char *store_archive;      /* NULL: none */
	bool store_archive_first;
	int64_t memory_bytes;
	int64_t workers;
	int64_t max_connections;
	int64_t connection_rate;
	int64_t idle_timeout_ns;
};

extern const struct conf_option collector_options[];

enum rc collector_config_load(const char *path, struct collector_config *out,
    struct error *err);
void collector_config_free(struct collector_config *config);

/* What the configuration says of Kafka; borrows from it. */
struct publish_options collector_publish(const struct collector_config *config);
