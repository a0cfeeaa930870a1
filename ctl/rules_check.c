/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
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
	    "usage: kuzetctl rules check [--json] PATH...\n\n"
	    "Reads rules (files, or folders of *.yml) as the collector "
	    "would, and says what\nis wrong with them (errors: the rule is "
	    "refused) and what their author would\nwant to know "
	    "(warnings: no author, level or ATT&CK tag, a field that "
	    "events of\nthe logsource do not have, slow regular "
	    "expressions).\n\nExit status 1 if a rule is refused, 2 if "
	    "nothing could be read.\n",
	    out);
}

int
rules_check(bool json, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct checking checking = { .json = json };
	struct rule_options load = {
		.on_finding = on_finding,
		.ctx = &checking,
		.lint = true,
	};
	struct ruleset *rs = NULL;
	struct error err;
	int c, status;

	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return EXIT_GOOD;
		}
		if (c != 'j')
			return EXIT_USAGE;
		checking.json = true;
	}
	if (optind >= argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	load.paths = (const char *const *)argv + optind;
	load.n_paths = (size_t)(argc - optind);
	buf_init(&checking.out, LINE_MAX_BYTES);
	if (ruleset_load(&load, &rs, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
		buf_fini(&checking.out);
		return EXIT_USAGE;
	}
	print_summary(&checking, rs);
	status = ruleset_refused(rs) > 0 ? EXIT_FAILED : EXIT_GOOD;
	ruleset_unref(rs);
	buf_fini(&checking.out);
	return fflush(stdout) == 0 ? status : EXIT_FAILED;
}
