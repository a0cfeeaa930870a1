/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs that the configuration asks for, and the spool among them. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/inputs/state_db.h"
#include "agent/pipeline_parts.h"
#include "xalloc.h"

/* The spool serves all those that go through it. */
static bool
serves(const struct input_kind *kind, const struct agent_input *in)
{
	const struct input_kind *own = agent_input_kind(in);

	return kind == own || (kind == &input_spool && own->spools);
}

/* The entries of one kind, as the input takes them. */
static void
set_configs(const struct agent_config *c, struct active_input *out)
{
	out->configs = xcalloc(c->inputs.n, sizeof(*out->configs));
	out->n_configs = 0;
	for (size_t i = 0; i < c->inputs.n; i++) {
		const struct agent_input *in = agent_input_at(c, i);

		if (serves(out->kind, in))
			out->configs[out->n_configs++] = agent_input_config(in);
	}
}

static struct input_setup
input_setup(struct pipeline *p, const struct active_input *in)
{
	return (struct input_setup){
		.loop = p->loop,
		.opener = p->opener,
		.spool = p->spool,
		.state_dir = p->config.state_dir,
		.host_name = p->config.host_name,
		.inputs = in->configs,
		.n_inputs = in->n_configs,
		.heartbeat_ns = p->config.heartbeat,
		.controls = p->config.control_messages,
		.scan_ns = p->config.scan_interval,
		.wake = pipeline_wake,
		.say = pipeline_say,
		.ctx = p,
	};
}

static enum spool_full
spool_full(const struct agent_config *c)
{
	return c->spool_drop == 0 ? SPOOL_DROP_NEWEST : SPOOL_DROP_OLDEST;
}

static enum rc
open_spool(struct pipeline *p, struct error *err)
{
	char dir[4200];

	(void)snprintf(dir, sizeof(dir), "%s/spool", p->config.state_dir);
	return spool_open(&(struct spool_options){ .dir = dir,
			      .max_bytes = (uint64_t)p->config.spool_size,
			      .when_full = spool_full(&p->config),
			      .ready = pipeline_wake,
			      .ctx = p },
	    &p->spool, err);
}

enum rc
pipeline_open_inputs(struct pipeline *p, struct error *err)
{
	enum rc rc = open_spool(p, err);

	state_db_keep_small();
	if (rc != RC_OK)
		log_warn("the spool: %s", err->text);
	for (size_t i = 0; input_kinds[i] != NULL; i++) {
		struct active_input *in = &p->inputs[p->n_inputs];
		struct input_setup setup;

		if (p->spool == NULL && input_kinds[i] == &input_spool)
			continue;
		in->kind = input_kinds[i];
		set_configs(&p->config, in);
		if (p->spool == NULL && in->n_configs > 0 && in->kind->spools)
			return error_prefix(err, "input %s needs the spool",
			    in->kind->name);
		setup = input_setup(p, in);
		rc = in->kind->open(&setup, &in->self, err);
		if (rc != RC_OK)
			return error_prefix(err, "input %s", in->kind->name);
		p->n_inputs++;
	}
	return RC_OK;
}

void
pipeline_reload_inputs(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_inputs; i++) {
		struct active_input *in = &p->inputs[i];
		struct input_config *old = in->configs;
		struct input_setup setup;

		set_configs(&p->config, in);
		setup = input_setup(p, in);
		in->kind->reload(in->self, &setup);
		free(old);
	}
	if (p->spool != NULL)
		spool_limit(p->spool, (uint64_t)p->config.spool_size,
		    spool_full(&p->config));
}

void
pipeline_counts(void *ctx, struct input_counts *sum)
{
	const struct pipeline *p = ctx;
	struct input_counts one;

	*sum = (struct input_counts){ 0 };
	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].kind->counts == NULL)
			continue;
		p->inputs[i].kind->counts(p->inputs[i].self, &one);
		sum->files += one.files;
		sum->read += one.read;
		sum->acked += one.acked;
		sum->cut += one.cut;
		sum->skipped += one.skipped;
		sum->dropped += one.dropped;
		sum->damaged += one.damaged;
	}
}

void
pipeline_each_file(void *ctx, input_file_cb *cb, void *cb_ctx)
{
	const struct pipeline *p = ctx;

	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].kind->files != NULL)
			p->inputs[i].kind->files(p->inputs[i].self, cb, cb_ctx);
	}
}

bool
pipeline_inputs_idle(const struct pipeline *p)
{
	for (size_t i = 0; i < p->n_inputs; i++) {
		const struct active_input *in = &p->inputs[i];

		if (in->kind->idle != NULL && !in->kind->idle(in->self))
			return false;
	}
	return true;
}

void
pipeline_drain_inputs(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_inputs; i++) {
		if (p->inputs[i].kind->drain != NULL)
			p->inputs[i].kind->drain(p->inputs[i].self);
	}
}

void
pipeline_close_inputs(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_inputs; i++)
		p->inputs[i].kind->close(p->inputs[i].self);
	for (size_t i = 0; i < KINDS_MAX; i++)
		free(p->inputs[i].configs); /* of one that failed, too */
}
