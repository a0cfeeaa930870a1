/* SPDX-License-Identifier: Apache-2.0 */
#include "stages.h"

#include <stdio.h>
#include <stdlib.h>

#include "datadir.h"
#include "log.h"
#include "xalloc.h"

enum { PATH_BYTES = 4096 };

static void
on_rule_finding(void *ctx, const struct rule_finding *f)
{
	(void)ctx;
	if (f->severity == RULE_ERROR)
		log_warn("rule refused: %s:%u: %.*s: %s", f->file, f->line,
		    SLICE_ARG(f->rule), f->message);
}

static void
on_normalizer_finding(void *ctx, const struct normalizer_finding *f)
{
	unsigned *refused = ctx;

	(*refused)++;
	log_warn("log format refused: %s:%u: %s", f->file, f->line, f->message);
}

static void
on_geoip_warning(void *ctx, const char *message)
{
	(void)ctx;
	log_warn("GeoIP: %s", message);
}

static void
log_cache(const struct ruleset *rs)
{
	struct ruleset_cache cache;

	ruleset_cache(rs, &cache);
	log_debug("rules: %u pattern databases from the cache, %u compiled",
	    cache.found, cache.made);
	if (cache.trouble[0] != '\0')
		log_warn("compiled rules cannot be kept, the next start takes "
			 "longer: %s",
		    cache.trouble);
}

static enum rc
load_rules(const struct collector_config *config, bool keep, struct stages *s,
    struct error *err)
{
	char cache[PATH_BYTES];
	struct rule_options options = {
		.paths = (const char *const *)config->rules.items,
		.n_paths = config->rules.n,
		.taxonomy = config->taxonomy,
		.extra_taxonomy =
		    (const char *const *)config->extra_taxonomy.items,
		.n_extra_taxonomy = config->extra_taxonomy.n,
		.on_finding = on_rule_finding,
	};
	enum rc rc;
	int n;

	if (keep) {
		n = snprintf(cache, sizeof(cache), "%s/cache",
		    config->state_dir);
		if (n > 0 && (size_t)n < sizeof(cache))
			options.cache = cache;
	}
	rc = ruleset_load(&options, &s->rules, err);
	if (rc == RC_OK)
		log_cache(s->rules);
	return rc;
}

static void
keep_normalizers(const struct stages *before, struct stages *s)
{
	s->remark = "log formats stay as they were, for one is refused (the "
		    "log says why): mend it and reload";
	log_warn("%s", s->remark);
	normalizer_set_unref(s->normalizers);
	s->normalizers = normalizer_set_ref(before->normalizers);
}

static enum rc
load_normalizers(const struct collector_config *config,
    const struct stages *before, struct stages *s, struct error *err)
{
	unsigned refused = 0;
	enum rc rc;
	char path[PATH_BYTES];
	const char *dir = config->normalizers;

	if (dir == NULL) {
		if (!datadir_path("normalizers", path, sizeof(path)))
			return error_set(err, RC_LIMIT,
			    "the path of the data folder is too long");
		dir = path;
	}
	rc = normalizer_set_load(dir, on_normalizer_finding, &refused,
	    &s->normalizers, err);
	if (rc == RC_OK && before != NULL && refused > 0)
		keep_normalizers(before, s);
	return rc;
}

static enum rc
load_personal(const struct collector_config *config, struct stages *s,
    struct error *err)
{
	const struct personal_options options = {
		.modes = {
		    [PERSONAL_IIN] = (enum personal_mode)config->personal_iin,
		    [PERSONAL_CARD] =
			(enum personal_mode)config->personal_card,
		    [PERSONAL_PHONE] =
			(enum personal_mode)config->personal_phone,
		},
	};

	if (config->personal_iin == PERSONAL_KEEP &&
	    config->personal_card == PERSONAL_KEEP &&
	    config->personal_phone == PERSONAL_KEEP)
		return RC_OK;
	s->personal = xzalloc(sizeof(*s->personal));
	*s->personal = options;
	if (config->personal_key == NULL)
		return RC_OK;
	return personal_key_read(config->personal_key, &s->personal->key, err);
}

enum rc
stages_load(const struct collector_config *config, const struct stages *before,
    bool keep, struct stages **out, struct error *err)
{
	struct stages *s = xzalloc(sizeof(*s));
	enum rc rc;

	s->references = 1;
	s->remark = "";
	rc = load_rules(config, keep, s, err);
	if (rc == RC_OK)
		rc = load_normalizers(config, before, s, err);
	if (rc == RC_OK && config->objects != NULL)
		rc = objects_load(config->objects, &s->objects, err);
	if (rc == RC_OK)
		rc = load_personal(config, s, err);
	if (rc != RC_OK) {
		stages_unref(s);
		return rc;
	}
	s->geoip = geoip_open(config->geoip_country, config->geoip_asn,
	    on_geoip_warning, NULL);
	*out = s;
	return RC_OK;
}

struct stages *
stages_ref(struct stages *s)
{
	(void)__atomic_add_fetch(&s->references, 1, __ATOMIC_RELAXED);
	return s;
}

void
stages_unref(struct stages *s)
{
	if (s == NULL ||
	    __atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	ruleset_unref(s->rules);
	normalizer_set_unref(s->normalizers);
	geoip_close(s->geoip);
	objects_unref(s->objects);
	if (s->personal != NULL)
		free((char *)s->personal->key.ptr);
	free(s->personal);
	free(s);
}
