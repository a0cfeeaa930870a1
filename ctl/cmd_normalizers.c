/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl normalizers check|test DIR: are these log formats good? */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "json.h"
#include "normalize.h"
#include "normalizers.h"

enum { LINE_MAX_BYTES = 256 * 1024 };

struct report {
	bool json;
	uint32_t findings;
};

static void
on_finding(void *ctx, const struct normalizer_finding *f)
{
	struct report *r = ctx;
	struct json_writer w;
	struct buf out;

	r->findings++;
	if (!r->json) {
		(void)printf("%s:%u: %s\n", f->file, f->line, f->message);
		return;
	}
	buf_init(&out, LINE_MAX_BYTES);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "file");
	json_str(&w, f->file);
	json_key(&w, "line");
	json_uint(&w, f->line);
	json_key(&w, "severity");
	json_str(&w, "error");
	json_key(&w, "message");
	json_str(&w, f->message);
	json_close(&w, '}');
	(void)fwrite(out.ptr, 1, out.len, stdout);
	(void)putchar('\n');
	buf_fini(&out);
}

static void
usage(FILE *out)
{
	(void)fputs(
	    "usage: kuzetctl normalizers check|test [--json] DIR\n"
	    "       kuzetctl normalizers unparsed [OPTION...] [FILE...]\n\n"
	    "check: loads every log format below DIR and tells the bad ones,\n"
	    "       and the patterns that a hostile line can make run away.\n"
	    "test:  runs the samples that stand in the files as well.\n"
	    "unparsed: the commonest shapes of lines that no format knows; its\n"
	    "       --help tells more.\n"
	    "Exit status 1 if there is something to tell.\n",
	    out);
}

static int
examine(const char *dir, bool test, struct report *r)
{
	struct normalizer_samples samples = { 0, 0 };
	struct normalizer_set *set;
	uint32_t refused, loaded;
	struct error err;

	if (normalizer_set_load(dir, on_finding, r, &set, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
		return EXIT_USAGE;
	}
	loaded = normalizer_set_count(set);
	if (normalizer_set_examine(dir, set, on_finding, r,
		test ? &samples : NULL, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
		normalizer_set_unref(set);
		return EXIT_FAILED;
	}
	normalizer_set_unref(set);
	refused = r->findings - samples.failed;
	if (r->json)
		(void)printf("{\"loaded\":%u,\"refused\":%u", loaded, refused);
	else
		(void)printf("%u loaded, %u refused", loaded, refused);
	if (test)
		(void)printf(r->json ? ",\"samples\":%u,\"failed\":%u"
				     : ", %u samples, %u of them failed",
		    samples.run, samples.failed);
	(void)puts(r->json ? "}" : "");
	return r->findings == 0 ? EXIT_GOOD : EXIT_FAILED;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	struct report report = { global->json, 0 };
	const char *verb = NULL, *dir = NULL;

	for (int i = 1; i < argc; i++) {
		struct global_options more = *global;

		if (verb == NULL && strcmp(argv[i], "unparsed") == 0) {
			more.json = report.json;
			return normalizers_unparsed(&more, argc - i, argv + i);
		}
		if (strcmp(argv[i], "--json") == 0) {
			report.json = true;
		} else if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return EXIT_GOOD;
		} else if (verb == NULL) {
			verb = argv[i];
		} else if (dir == NULL) {
			dir = argv[i];
		} else {
			verb = NULL;
			break;
		}
	}
	if (verb == NULL || dir == NULL ||
	    (strcmp(verb, "check") != 0 && strcmp(verb, "test") != 0)) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return examine(dir, strcmp(verb, "test") == 0, &report);
}

const struct command cmd_normalizers = {
	.name = "normalizers",
	.summary = "check or test log formats",
	.run = run,
};
