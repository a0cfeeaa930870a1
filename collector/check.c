/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "publish/publish.h"
#include "reload.h"
#include "stages.h"

enum rc
collector_check(const char *path, const struct collector_config *config,
    struct error *err)
{
	const struct publish_options publish = collector_publish(config);
	struct listener_tls tls;
	struct stages *stages = NULL;
	size_t bad = publish.n_properties;
	enum rc rc = listener_tls_load(config, &tls, err);

	if (rc == RC_OK)
		rc = stages_load(config, false, &stages, err);
	if (rc == RC_OK && publish.n_brokers > 0)
		rc = publish_check(&publish, &bad, err);
	stages_unref(stages);
	listener_tls_free(&tls);
	if (bad < publish.n_properties)
		return error_prefix(err, "%s:%u", path,
		    config->kafka_properties.lines[bad]);
	if (rc != RC_OK)
		return error_prefix(err, "%s", path);
	return RC_OK;
}
