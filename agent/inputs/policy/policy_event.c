/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/policy/policy_event.h"

#include <stdlib.h>
#include <string.h>

#include "agent/inputs/slurp.h"
#include "json.h"
#include "timestamp.h"
#include "utf8.h"
#include "xalloc.h"

enum { FILES_MAX = 256 };

static void
put(struct json_writer *w, const char *key, const char *text)
{
	struct arena *arena = arena_new(1024);

	json_key(w, key);
	json_string(w,
	    utf8_repair(arena, (struct slice){ text, strlen(text) }));
	arena_free(arena);
}

static const char *
outcome_of(enum policy_result r)
{
	return r == POLICY_PASS ? "success"
	    : r == POLICY_FAIL  ? "failure"
				: "unknown";
}

void
policy_event(struct buf *out, const struct policy_origin *origin,
    const struct policy *p, const struct policy_check *c,
    const struct policy_finding *f)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "@timestamp");
	json_time(&w, timestamp_now() / NS_PER_MS * NS_PER_MS);
	json_key(&w, "host");
	json_open(&w, '{');
	put(&w, "name", origin->host_name);
	json_close(&w, '}');
	json_key(&w, "input");
	json_open(&w, '{');
	put(&w, "type", "policy");
	json_close(&w, '}');
	json_key(&w, "event");
	json_open(&w, '{');
	put(&w, "kind", "state");
	json_key(&w, "category");
	json_open(&w, '[');
	json_str(&w, "configuration");
	json_close(&w, ']');
	json_key(&w, "type");
	json_open(&w, '[');
	json_str(&w, origin->previous == NULL ? "info" : "change");
	json_close(&w, ']');
	put(&w, "action", "policy-check");
	put(&w, "outcome", outcome_of(f->result));
	put(&w, "module", "policy");
	put(&w, "dataset", "policy.check");
	json_close(&w, '}');
	json_key(&w, "rule");
	json_open(&w, '{');
	put(&w, "id", c->id);
	put(&w, "name", c->title);
	put(&w, "ruleset", p->name);
	json_close(&w, '}');
	json_key(&w, "kuzet");
	json_open(&w, '{');
	if (origin->input != NULL)
		put(&w, "input", origin->input);
	json_key(&w, "policy");
	json_open(&w, '{');
	put(&w, "result", policy_result_name(f->result));
	if (origin->previous != NULL)
		put(&w, "previous", origin->previous);
	put(&w, "severity", policy_severity_name(c->severity));
	put(&w, "detail", f->detail);
	if (f->result == POLICY_FAIL)
		put(&w, "remedy", c->remedy);
	json_close(&w, '}');
	json_close(&w, '}');
	json_close(&w, '}');
}

struct names {
	char *at[FILES_MAX];
	size_t n;
};

static void
one_name(void *ctx, const char *path, const struct opener_stat *st)
{
	struct names *names = ctx;

	(void)st;
	if (names->n < FILES_MAX)
		names->at[names->n++] = xstrdup(path);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum rc
load(struct opener *o, const char *path, struct policy **out, struct error *err)
{
	struct buf text;
	enum rc rc;

	buf_init(&text, POLICY_CONTENT_MAX);
	rc = slurp(o, path, &text)
	    ? policy_parse(path, buf_slice(&text), out, err)
	    : error_set(err, RC_SYSTEM, "%s: cannot be read, or is too large",
		  path);
	buf_fini(&text);
	return rc;
}

enum rc
policy_each(struct opener *o, const char *const *patterns, size_t n,
    policy_cb *cb, void *ctx, struct error *err)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < n; i++) {
		struct names names = { .n = 0 };

		rc = opener_list(o, patterns[i], one_name, &names, err);
		if (rc == RC_OK && names.n == 0)
			rc = error_set(err, RC_INVALID,
			    "%s: there is no policy file", patterns[i]);
		if (names.n > 1)
			qsort(names.at, names.n, sizeof(char *), by_name);
		for (size_t k = 0; k < names.n; k++) {
			struct policy *p = NULL;

			if (rc == RC_OK)
				rc = load(o, names.at[k], &p, err);
			if (rc == RC_OK)
				rc = cb(ctx, p, err);
			policy_free(p);
			free(names.at[k]);
		}
	}
	return rc;
}
