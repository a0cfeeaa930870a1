/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what it sets at the start, and when it is read again. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pipeline_parts.h"
#include "xalloc.h"

enum { CONFIG_MAX = 16 * 1024 * 1024 }; /* bytes */

static void
configure_sender(struct pipeline *p)
{
	const struct agent_config *c = &p->config;

	sender_configure(p->sender,
	    &(struct sender_config){
		.hosts = (const char *const *)c->hosts.items,
		.n_hosts = c->hosts.n,
		.tls = p->tls,
		.compression_level = (int)c->compression_level,
		.pipelining = (unsigned)c->pipelining,
		.ack_timeout_ns = c->ack_timeout,
		.connect_timeout_ns = c->connect_timeout,
		.backoff_min_ns = c->backoff_min,
		.backoff_max_ns = c->backoff_max,
		.return_ns = c->return_after,
	    });
}

static void
configure_renewal(struct pipeline *p)
{
	struct identity_files files = agent_identity_files(&p->config);

	renewal_configure(p->renewal, &files);
}

void
pipeline_configure(struct pipeline *p)
{
	configure_sender(p);
	configure_renewal(p);
}

/* New connections show the new certificate; nothing is sent twice for it. */
void
pipeline_on_renewed(void *ctx)
{
	struct pipeline *p = ctx;
	struct tls_context *fresh = NULL, *old = p->tls;
	struct error err;

	if (confine_tls(&p->config, p->opener, &fresh, &err) != RC_OK) {
		log_error("the renewed certificate is not used: %s", err.text);
		return;
	}
	p->tls = fresh;
	sender_set_tls(p->sender, fresh);
	tls_context_free(old);
}

/* What the collector gives goes on top.  `must`: or it is an error. */
static enum rc
add_central(struct pipeline *p, enum central_copy which, bool must,
    struct agent_config *fresh, struct error *err)
{
	struct central_trust trust = central_trust(p->central);
	enum rc rc;

	if (which == CENTRAL_NONE || !fresh->central.accept)
		return RC_OK;
	rc = central_add(&trust, which, fresh, p->opener, err);
	if (rc == RC_EOF)
		rc = error_set(err, RC_INVALID, "there is no copy of it in %s",
		    p->config.state_dir);
	if (rc == RC_OK || must)
		return rc;
	central_refused(p->central, err);
	return RC_OK;
}

/* The configuration anew, read by whoever may. */
enum rc
pipeline_load_again(struct pipeline *p, enum central_copy which, bool must,
    struct agent_config *fresh, struct error *err)
{
	char path[PATH_MAX];
	struct buf text;
	enum rc rc;

	buf_init(&text, CONFIG_MAX);
	rc = opener_reload(p->opener, &text, err);
	if (rc == RC_AGAIN)
		rc = agent_config_load(p->path, fresh, err);
	else if (rc == RC_OK)
		rc = agent_config_parse(p->path, buf_slice(&text), fresh, err);
	buf_fini(&text);
	if (rc == RC_OK)
		rc = agent_config_check_inputs(p->path, fresh, p->opener, err);
	if (rc == RC_OK)
		rc = add_central(p, which, must, fresh, err);
	if (rc == RC_OK && confined_lacks(p->confined, fresh, path))
		log_warn("%s can be read from the next start on: the sandbox "
			 "does not grow",
		    path);
	if (rc == RC_OK)
		rc = confine_tls(fresh, p->opener, &p->tls_fresh, err);
	return rc;
}

enum rc
pipeline_reload(struct pipeline *p, enum central_copy which, bool must,
    struct error *err)
{
	struct agent_config fresh = { 0 }, old;
	struct tls_context *old_tls = p->tls;
	enum rc rc = pipeline_load_again(p, which, must, &fresh, err);

	if (rc != RC_OK) {
		opener_reloaded(p->opener, false);
		agent_config_free(&fresh);
		return rc;
	}
	if (strcmp(fresh.state_dir, p->config.state_dir) != 0)
		log_warn("state_dir changes with the next start only");
	free(fresh.state_dir);
	fresh.state_dir = xstrdup(p->config.state_dir);
	old = p->config;
	p->config = fresh;
	p->tls = p->tls_fresh;
	p->tls_fresh = NULL;
	pipeline_reload_inputs(p);
	pipeline_configure(p);
	pipeline_pace_status(p);
	opener_reloaded(p->opener, true);
	central_reconfigure(p->central, p->config.central.accept,
	    p->config.central.fall_back);
	tls_context_free(old_tls);
	agent_config_free(&old);
	pipeline_wake(p);
	return RC_OK;
}

void
pipeline_on_reload_signal(void *ctx, int signo)
{
	struct pipeline *p = ctx;
	struct error err;

	(void)signo;
	if (p->drain_began_ns != 0)
		return;
	if (pipeline_reload(p, central_in_use(p->central), false, &err) ==
	    RC_OK)
		log_info("configuration reloaded");
	else
		log_error("the configuration stays as it was: %s", err.text);
}
