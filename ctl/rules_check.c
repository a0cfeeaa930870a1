/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>

#include "command.h"
#include "engine.h"
#include "json.h"
#include "rules.h"

enum { LINE_MAX_BYTES = 1 << 16 };

struct checking {
	struct buf out;
	bool json;
};

static void
print_line(struct checking *c)
{
	(void)buf_add_char(&c->out, '\n');
	(void)fwrite(c->out.ptr, 1, c->out.len, stdout);
}

static void
on_finding(void *ctx, const struct rule_finding *f)
{
	struct checking *c = ctx;
	const char *severity = f->severity == RULE_ERROR ? "error" : "warning";
	struct json_writer w;

	buf_clear(&c->out);
	if (!c->json) {
		(void)buf_printf(&c->out, "%s:%u: %s: %s", f->file, f->line,
		    severity, f->message);
		if (f->rule.len > 0)
			(void)buf_printf(&c->out, " [%.*s]",
			    SLICE_ARG(f->rule));
		print_line(c);
		return;
	}
	json_begin(&w, &c->out);
	json_open(&w, '{');
	json_key(&w, "file");
	json_str(&w, f->file);
	json_key(&w, "line");
	json_uint(&w, f->line);
	json_key(&w, "rule");
	json_string(&w, f->rule);
	json_key(&w, "severity");
	json_str(&w, severity);
	json_key(&w, "message");
	json_str(&w, f->message);
	json_close(&w, '}');
	print_line(c);
}

static void
print_summary(struct checking *c, const struct ruleset *rs)
{
	uint32_t loaded = ruleset_loaded(rs), refused = ruleset_refused(rs);

	buf_clear(&c->out);
	if (c->json)
		(void)buf_printf(&c->out, "{\"loaded\":%u,\"refused\":%u}",
		    loaded, refused);
	else
		(void)buf_printf(&c->out, "%u rules loaded, %u refused", loaded,
		    refused);
	print_line(c);
}

static void
usage(FILE *out)
{
	(void)fputs(
	    "usage: kuzetctl rules check [--taxonomy DIR] [--json] PATH...\n\n"
	    "Reads rules (files, or folders of *.yml) as the collector "
	    "would, and says what\nis wrong with them (errors: the rule is "
	    "refused) and what their author would\nwant to know "
	    "(warnings: no id, author, level or ATT&CK tag, a key, "
	    "logsource\nor condition that means nothing, a field that "
	    "events of the logsource do not\nhave, slow regular "
	    "expressions).\n\n",
	    out);
	(void)fputs(rules_taxonomy_help, out);
	(void)fputs("  --json             one object a finding; last the sums\n"
		    "\nExit status 1 if a rule is refused, 2 if nothing could "
		    "be read.\n",
	    out);
}

static int
check_all(const struct rules_arguments *a)
{
	struct checking checking = { .json = a->json };
	char cache[PATH_MAX];
	struct rule_options load = {
		.paths = a->rules.paths,
		.n_paths = a->rules.n,
		.extra_taxonomy = a->taxonomy.paths,
		.n_extra_taxonomy = a->taxonomy.n,
		.on_finding = on_finding,
		.cache = rules_cache(cache, sizeof(cache)),
		.ctx = &checking,
		.lint = true,
	};
	struct ruleset *rs = NULL;
	struct error err;
	int status = EXIT_USAGE;

	buf_init(&checking.out, LINE_MAX_BYTES);
	if (ruleset_load(&load, &rs, &err) == RC_OK) {
		print_summary(&checking, rs);
		status = ruleset_refused(rs) > 0 ? EXIT_FAILED : EXIT_GOOD;
	} else {
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
	}
	ruleset_unref(rs);
	buf_fini(&checking.out);
	return fflush(stdout) == 0 ? status : EXIT_FAILED;
}

int
rules_check(bool json, int argc, char *argv[])
{
	static const struct option options[] = { RULES_OPTIONS,
		{ NULL, 0, NULL, 0 } };
	static const struct rules_command command = {
		.name = "check",
		.options = options,
		.usage = usage,
	};
	struct rules_arguments a = { .json = json };
	int status = rules_arguments_read(&a, &command, argc, argv);

	rules_rest_is_rules(&a);
	if (status == -1 && a.rules.n == 0) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (status == -1)
		status = check_all(&a);
	rules_arguments_fini(&a);
	return status;
}
