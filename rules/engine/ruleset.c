/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "database_cache.h"
#include "datadir.h"
#include "serial.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 1 << 18,
	SERIAL_MAX = 1 << 28,
	CACHE_WORTH = 32 /* databases: fewer are made as soon as read */
};

/* ---- findings ---------------------------------------------------------- */

void
loader_report(struct loader *l, const struct loading_rule *r, unsigned line,
    enum rule_severity severity, const char *message)
{
	const struct sigma_rule *rule = &r->rule;
	struct rule_finding finding = {
		.file = rule->file,
		.line = line,
		.rule = rule->id.len > 0 ? rule->id : rule->title,
		.severity = severity,
		.message = message,
	};

	if (l->options->on_finding != NULL)
		l->options->on_finding(l->options->ctx, &finding);
}

void
loader_refuse(struct loader *l, struct loading_rule *r, unsigned line,
    const char *fmt, ...)
{
	char message[512];
	va_list ap;

	if (r->refused)
		return;
	r->refused = true;
	l->set->refused++;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	loader_report(l, r, line > 0 ? line : r->rule.line, RULE_ERROR,
	    message);
}

/* ---- entries ----------------------------------------------------------- */

static void
keep_info(struct loader *l, const struct loading_rule *r)
{
	struct arena *arena = l->set->arena;
	struct ruleset_entry *e = &l->set->entries[r->index];
	const struct sigma_rule *rule = &r->rule;
	struct slice *tags =
	    arena_alloc(arena, (rule->n_tags + 1) * sizeof(tags[0]));

	for (uint32_t i = 0; i < rule->n_tags; i++)
		tags[i] = arena_copy(arena, rule->tags[i]);
	*e = (struct ruleset_entry){
		.info = {
			.id = arena_copy(arena,
			    rule->id.len > 0 ? rule->id : rule->name),
			.title = arena_copy(arena, rule->title),
			.author = arena_copy(arena, rule->author),
			.tags = tags,
			.n_tags = rule->n_tags,
			.level = rule->level,
			.correlation = rule->kind == RULE_CORRELATION,
			.scope_all = rule->scope_all,
			.file = rule->file,
			.line = rule->line,
		},
		.name = arena_copy(arena, rule->name),
	};
}

static void
digest_entry(struct loader *l, const struct loading_rule *r,
    struct sha256 *hash)
{
	struct ruleset_entry *e = &l->set->entries[r->index];
	const struct sigma_correlation *c = e->correlation;
	uint8_t(*digests)[SHA256_BYTES];
	struct buf bytes;
	char hex[SHA256_TEXT];

	buf_init(&bytes, SERIAL_MAX);
	(void)buf_add_slice(&bytes, e->info.id);
	(void)buf_add_char(&bytes, '\0');
	(void)buf_add_char(&bytes, (char)e->info.scope_all);
	if (c == NULL) {
		serial_detection(&bytes, &r->rule);
	} else {
		digests = xcalloc(c->n_rules, sizeof(digests[0]));
		for (uint32_t i = 0; i < c->n_rules; i++)
			memcpy(digests[i],
			    l->set->entries[c->rules[i]].info.digest,
			    SHA256_BYTES);
		serial_correlation(&bytes, c,
		    (const uint8_t(*)[SHA256_BYTES])digests);
		free(digests);
	}
	sha256_add(hash, bytes.ptr, bytes.len);
	sha256_done(hash, e->info.digest);
	buf_fini(&bytes);
	if (e->info.id.len == 0) {
		hex_text(e->info.digest, SHA256_BYTES, hex);
		e->info.id = arena_copy(l->set->arena,
		    (struct slice){ hex, SHA256_TEXT - 1 });
	}
}

/* What a correlation refers to comes before it. */
static void
digest_entries(struct loader *l)
{
	struct sha256 *hash = sha256_new();

	for (unsigned height = 0; height <= RULE_CHAIN_MAX; height++)
		for (uint32_t i = 0; i < l->n; i++)
			if (!l->rules[i]->refused &&
			    l->rules[i]->rule.kind != RULE_FILTER &&
			    l->rules[i]->height == height)
				digest_entry(l, l->rules[i], hash);
	sha256_free(hash);
}

static int
by_id(const void *a, const void *b, void *ctx)
{
	const struct ruleset *rs = ctx;
	struct slice x = rs->entries[*(const uint32_t *)a].info.id;
	struct slice y = rs->entries[*(const uint32_t *)b].info.id;
	size_t n = x.len < y.len ? x.len : y.len;
	int order = n > 0 ? memcmp(x.ptr, y.ptr, n) : 0;

	if (order != 0)
		return order;
	return x.len < y.len ? -1 : x.len > y.len;
}

static int
by_digest(const void *a, const void *b, void *ctx)
{
	const struct ruleset *rs = ctx;

	return memcmp(rs->entries[*(const uint32_t *)a].info.digest,
	    rs->entries[*(const uint32_t *)b].info.digest, SHA256_BYTES);
}

static void
index_entries(struct ruleset *rs)
{
	uint32_t *ids = arena_alloc(rs->arena, (rs->n + 1) * sizeof(ids[0]));
	uint32_t *digests =
	    arena_alloc(rs->arena, (rs->n + 1) * sizeof(digests[0]));

	for (uint32_t i = 0; i < rs->n; i++)
		ids[i] = digests[i] = i;
	qsort_r(ids, rs->n, sizeof(ids[0]), by_id, rs);
	qsort_r(digests, rs->n, sizeof(digests[0]), by_digest, rs);
	rs->by_id = ids;
	rs->by_digest = digests;
}

/* ---- loading ----------------------------------------------------------- */

/* What a set's cached databases are called: its rules, whatever their order. */
static void
name_set(const struct ruleset *rs, uint8_t out[SHA256_BYTES])
{
	struct sha256 *hash = sha256_new();

	for (uint32_t i = 0; i < rs->n; i++)
		sha256_add(hash, rs->entries[rs->by_digest[i]].info.digest,
		    SHA256_BYTES);
	sha256_done(hash, out);
	sha256_free(hash);
}

/* Rules work without it: a folder that cannot be written is a remark. */
static void
save_cache(struct ruleset *rs, struct database_cache *cache)
{
	struct error err;

	database_cache_counts(cache, &rs->databases_found, &rs->databases_made);
	if (rs->databases_found + rs->databases_made >= CACHE_WORTH &&
	    database_cache_save(cache, &err) != RC_OK)
		(void)snprintf(rs->cache_trouble, sizeof(rs->cache_trouble),
		    "%s", err.text);
}

static enum rc
compile(struct loader *l, struct error *err)
{
	struct ruleset *rs = l->set;
	const struct sigma_rule **rules = xcalloc(rs->n + 1, sizeof(void *));
	uint8_t name[SHA256_BYTES];
	struct program_source source = {
		.rules = rules,
		.n = rs->n,
		.taxonomy = l->taxonomy,
	};
	enum rc rc;

	for (uint32_t i = 0; i < l->n; i++)
		if (!l->rules[i]->refused &&
		    l->rules[i]->rule.kind == RULE_DETECTION)
			rules[l->rules[i]->index] = &l->rules[i]->rule;
	name_set(rs, name);
	source.cache = database_cache_open(l->options->cache, name);
	rc = program_compile(&source, rs->arena, &rs->program, err);
	if (rc == RC_OK)
		save_cache(rs, source.cache);
	database_cache_free(source.cache);
	free(rules);
	return rc;
}

static enum rc
load(struct loader *l, struct error *err)
{
	struct ruleset *rs = l->set;
	char path[PATH_MAX];
	const char *dir = l->options->taxonomy;
	enum rc rc;

	if (dir == NULL) {
		if (!datadir_path("taxonomy", path, sizeof(path)))
			return error_set(err, RC_LIMIT,
			    "the path of the data folder is too long");
		dir = path;
	}
	rc = taxonomy_load(dir, &l->taxonomy, err);
	if (rc == RC_SYSTEM && dir == path)
		(void)error_prefix(err,
		    "kuzet's data files are not where they were installed "
		    "(KUZET_DATADIR names another folder)");
	for (size_t i = 0; rc == RC_OK && i < l->options->n_extra_taxonomy; i++)
		rc = taxonomy_extend(l->taxonomy, l->options->extra_taxonomy[i],
		    err);
	if (rc != RC_OK)
		return rc;
	rc = loader_read(l, err);
	if (rc != RC_OK)
		return rc;
	loader_resolve(l);
	rs->entries =
	    arena_alloc(rs->arena, (rs->n + 1) * sizeof(rs->entries[0]));
	for (uint32_t i = 0; i < l->n; i++)
		if (!l->rules[i]->refused &&
		    l->rules[i]->rule.kind != RULE_FILTER)
			keep_info(l, l->rules[i]);
	loader_fields(l);
	digest_entries(l);
	index_entries(rs);
	return compile(l, err);
}

/* Hands everything parsed over to the set. */
static void
keep_syntax(struct loader *l)
{
	struct ruleset *rs = l->set;

	rs->parsed = arena_alloc(l->syntax, (rs->n + 1) * sizeof(void *));
	for (uint32_t i = 0; i < l->n; i++)
		if (!l->rules[i]->refused &&
		    l->rules[i]->rule.kind != RULE_FILTER)
			rs->parsed[l->rules[i]->index] = &l->rules[i]->rule;
	rs->syntax = l->syntax;
	rs->taxonomy = l->taxonomy;
}

enum rc
ruleset_load(const struct rule_options *options, struct ruleset **out,
    struct error *err)
{
	struct loader l = { .options = options };
	enum rc rc;

	l.set = xzalloc(sizeof(*l.set));
	l.set->references = 1;
	l.set->arena = arena_new(ARENA_BLOCK);
	l.syntax = arena_new(ARENA_BLOCK);
	rc = load(&l, err);
	if (rc == RC_OK && options->keep_syntax) {
		keep_syntax(&l);
	} else {
		taxonomy_free(l.taxonomy);
		arena_free(l.syntax);
	}
	for (uint32_t i = 0; i < l.n_files; i++)
		free(l.files[i]);
	free(l.files);
	free(l.rules);
	if (rc != RC_OK) {
		ruleset_unref(l.set);
		return rc;
	}
	*out = l.set;
	return RC_OK;
}

struct ruleset *
ruleset_ref(struct ruleset *rs)
{
	atomic_fetch_add_explicit(&rs->references, 1, memory_order_relaxed);
	return rs;
}

void
ruleset_unref(struct ruleset *rs)
{
	if (rs == NULL ||
	    atomic_fetch_sub_explicit(&rs->references, 1,
		memory_order_acq_rel) != 1)
		return;
	program_free(rs->program);
	taxonomy_free(rs->taxonomy);
	arena_free(rs->syntax);
	arena_free(rs->arena);
	free(rs);
}

/* ---- questions --------------------------------------------------------- */

uint32_t
ruleset_loaded(const struct ruleset *rs)
{
	return rs->n;
}

uint32_t
ruleset_refused(const struct ruleset *rs)
{
	return rs->refused;
}

uint32_t
ruleset_count(const struct ruleset *rs)
{
	return rs->n;
}

const struct rule_info *
ruleset_rule(const struct ruleset *rs, uint32_t index)
{
	return &rs->entries[index].info;
}

uint32_t
ruleset_find(const struct ruleset *rs, struct slice id)
{
	uint32_t low = 0, high = rs->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct slice s = rs->entries[rs->by_id[middle]].info.id;
		size_t n = s.len < id.len ? s.len : id.len;
		int order = n > 0 ? memcmp(s.ptr, id.ptr, n) : 0;

		if (order == 0 && s.len == id.len)
			return rs->by_id[middle];
		if (order < 0 || (order == 0 && s.len < id.len))
			low = middle + 1;
		else
			high = middle;
	}
	return UINT32_MAX;
}

uint32_t
ruleset_find_digest(const struct ruleset *rs,
    const uint8_t digest[SHA256_BYTES])
{
	uint32_t low = 0, high = rs->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint32_t index = rs->by_digest[middle];
		int order = memcmp(rs->entries[index].info.digest, digest,
		    SHA256_BYTES);

		if (order == 0)
			return index;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return UINT32_MAX;
}

void
ruleset_cache(const struct ruleset *rs, struct ruleset_cache *out)
{
	*out = (struct ruleset_cache){
		.found = rs->databases_found,
		.made = rs->databases_made,
		.trouble = rs->cache_trouble,
	};
}

const uint32_t *
ruleset_hit_fields(const struct ruleset *rs, uint32_t index, uint32_t *n)
{
	*n = rs->entries[index].n_hit_fields;
	return rs->entries[index].hit_fields;
}

const struct sigma_correlation *
ruleset_correlation(const struct ruleset *rs, uint32_t index)
{
	return rs->entries[index].correlation;
}

const struct program *
ruleset_program(const struct ruleset *rs)
{
	return rs->program;
}
