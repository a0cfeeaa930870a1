/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <errno.h>
#include <unistd.h>

#include "groups.h"
#include "publish/publish.h"
#include "reload.h"
#include "sign.h"
#include "stages.h"

/* The key is made at the first start: it may be missing. */
static enum rc
check_store(const struct collector_config *config, struct error *err)
{
	struct signer *signer = NULL;
	enum rc rc = RC_OK;

	if (config->store_key != NULL && access(config->store_key, F_OK) == 0)
		rc = signer_open(config->store_key, false, &signer, err);
	signer_free(signer);
	if (rc == RC_OK && config->store_tsa_ca != NULL &&
	    access(config->store_tsa_ca, R_OK) != 0)
		rc = error_set_errno(err, errno, "store.tsa.ca: %s",
		    config->store_tsa_ca);
	return rc;
}

static enum rc
check_orders(const struct collector_config *config, struct error *err)
{
	struct signer *signer = NULL;
	struct groups *groups = NULL;
	enum rc rc = RC_OK;

	if (config->orders_key != NULL && access(config->orders_key, F_OK) == 0)
		rc = signer_open(config->orders_key, false, &signer, err);
	signer_free(signer);
	if (rc == RC_OK && config->agent_groups != NULL)
		rc = groups_load(config->agent_groups, NULL, false, &groups,
		    err);
	groups_free(groups);
	return rc;
}

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
		rc = stages_load(config, NULL, false, &stages, err);
	if (rc == RC_OK && publish.n_brokers > 0)
		rc = publish_check(&publish, &bad, err);
	if (rc == RC_OK)
		rc = check_store(config, err);
	if (rc == RC_OK)
		rc = check_orders(config, err);
	stages_unref(stages);
	listener_tls_free(&tls);
	if (bad < publish.n_properties)
		return error_prefix(err, "%s:%u", path,
		    config->kafka_properties.lines[bad]);
	if (rc != RC_OK)
		return error_prefix(err, "%s", path);
	return RC_OK;
}
