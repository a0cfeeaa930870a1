/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "publish/publish.h"
#include "stages.h"
#include "tls.h"

enum rc
collector_check(const char *path, const struct collector_config *config,
    struct error *err)
{
	const struct tls_files files = {
		.ca = config->tls_ca,
		.certificate = config->tls_certificate,
		.key = config->tls_key,
		.crl = config->tls_crl,
	};
	const struct publish_options publish = collector_publish(config);
	struct tls_context *tls = NULL;
	struct stages *stages = NULL;
	size_t bad = publish.n_properties;
	enum rc rc = tls_context_new(TLS_SERVER, &files, true, &tls, err);

	if (rc == RC_OK)
		rc = stages_load(config, false, &stages, err);
	if (rc == RC_OK && publish.n_brokers > 0)
		rc = publish_check(&publish, &bad, err);
	stages_unref(stages);
	tls_context_free(tls);
	if (bad < publish.n_properties)
		return error_prefix(err, "%s:%u", path,
		    config->kafka_properties.lines[bad]);
	if (rc != RC_OK)
		return error_prefix(err, "%s", path);
	return RC_OK;
}
