/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of rules: a ruleset out of text, an event out of JSON. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine.h"
#include "json.h"

struct rules_text {
	char findings[8192]; /* "LINE severity message" lines */
	size_t n;
};

static inline void
rules_text_finding(void *ctx, const struct rule_finding *f)
{
	struct rules_text *t = ctx;
	int n = snprintf(t->findings + t->n, sizeof(t->findings) - t->n,
	    "%u %s %s\n", f->line,
	    f->severity == RULE_ERROR ? "error" : "warning", f->message);

	if (n > 0 && t->n + (size_t)n < sizeof(t->findings))
		t->n += (size_t)n;
}

/* NULL if not even that could be done; with `placeholders` and `work_max`
 * of `with`. */
static inline struct ruleset *
rules_text_load_with(struct rules_text *t, const char *text,
    const struct rule_options *with)
{
	char path[] = "/tmp/kuzet-rule-XXXXXX.yml";
	const char *paths[] = { path };
	struct rule_options options = {
		.paths = paths,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy",
		.placeholders = with->placeholders,
		.work_max = with->work_max,
		.on_finding = rules_text_finding,
		.ctx = t,
		.lint = true,
	};
	struct ruleset *rs = NULL;
	struct error err;
	int fd = mkstemps(path, 4);

	*t = (struct rules_text){ .n = 0 };
	if (fd < 0)
		return NULL;
	if (write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
	    ruleset_load(&options, &rs, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	(void)close(fd);
	(void)unlink(path);
	return rs;
}

static inline struct ruleset *
rules_text_load(struct rules_text *t, const char *text,
    const struct conf_map *placeholders)
{
	const struct rule_options with = { .placeholders = placeholders };

	return rules_text_load_with(t, text, &with);
}

/* How many rules match the event; SIZE_MAX: no such JSON. */
static inline size_t
rules_text_match(struct ruleset *rs, const char *json,
    const struct logsource *ls)
{
	struct arena *arena = arena_new(65536);
	struct matcher *m = matcher_new(rs);
	struct event ev;
	struct error err;
	uint32_t n = 0;
	size_t matched = SIZE_MAX;

	event_begin(&ev, arena);
	ev.time_ns = INT64_C(1795323723000000000); /* 2026-11-22T05:02:03Z */
	if (json_read_event((struct slice){ json, strlen(json) },
		&json_limits_default, &ev, &err) == RC_OK) {
		(void)matcher_run(m, &ev, ls, &n);
		matched = n;
	} else {
		(void)printf("# %s\n", err.text);
	}
	matcher_free(m);
	arena_free(arena);
	return matched;
}
