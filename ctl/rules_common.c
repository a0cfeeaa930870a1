/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "datadir.h"
#include "rules.h"
#include "xalloc.h"

void
rules_paths_init(struct rules_paths *p, int argc)
{
	p->paths = xcalloc((size_t)argc + 1, sizeof(p->paths[0]));
	p->n = 0;
}

void
rules_paths_fini(struct rules_paths *p)
{
	free(p->paths);
	*p = (struct rules_paths){ NULL };
}

const char rules_input_help[] =
    "  --log FILE         a log, through the normalizers; - is standard input\n"
    "                     (either may be compressed with gzip)\n"
    "  --logsource ...    what the events are, where they do not say it "
    "themselves\n";

const char rules_taxonomy_help[] =
    "  --taxonomy DIR     maps of logsources and fields of your own, besides "
    "the\n                     installed ones\n";

/* False: `err` says what is wrong with it. */
static bool
take_option(struct rules_arguments *a, int code, const char *text,
    struct error *err)
{
	switch (code) {
	case RULES_RULES:
		a->rules.paths[a->rules.n++] = text;
		return true;
	case RULES_TAXONOMY:
		a->taxonomy.paths[a->taxonomy.n++] = text;
		return true;
	case RULES_EVENTS:
		a->events = text;
		return true;
	case RULES_LOG:
		a->log = text;
		return true;
	case RULES_JSON:
		a->json = true;
		return true;
	case RULES_LOGSOURCE:
		if (rules_logsource(text, &a->logsource))
			return true;
		(void)error_set(err, RC_INVALID,
		    "logsource takes product=P,category=C,service=S, not "
		    "\"%s\"",
		    text);
		return false;
	default:
		return input_option(&a->input, code, text, err) == RC_OK;
	}
}

int
rules_arguments_read(struct rules_arguments *a,
    const struct rules_command *command, int argc, char *argv[])
{
	struct error err;
	int c;

	rules_paths_init(&a->rules, argc);
	rules_paths_init(&a->taxonomy, argc);
	optind = 0;
	for (;;) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
		c = getopt_long(argc, argv, "h", command->options, NULL);
		if (c == -1)
			break;
		if (c == 'h') {
			command->usage(stdout);
			return EXIT_GOOD;
		}
		if (c == '?')
			return EXIT_USAGE; /* and it is said */
		if (c < INPUT_FIRST) {
			command->own(command->ctx, c, optarg);
		} else if (!take_option(a, c, optarg, &err)) {
			(void)fprintf(stderr, "kuzetctl rules %s: --%s\n",
			    command->name, err.text);
			return EXIT_USAGE;
		}
	}
	a->rest = argv + optind;
	a->n_rest = argc - optind;
	return -1;
}

void
rules_arguments_fini(struct rules_arguments *a)
{
	rules_paths_fini(&a->rules);
	rules_paths_fini(&a->taxonomy);
}

void
rules_rest_is_rules(struct rules_arguments *a)
{
	for (int i = 0; i < a->n_rest; i++)
		a->rules.paths[a->rules.n++] = a->rest[i];
}

enum rc
rules_input(const struct rules_arguments *a, input_event_cb *cb, void *ctx,
    struct error *err)
{
	return a->events != NULL ? input_jsonl(a->events, cb, ctx, err)
				 : input_log(a->log, &a->input, cb, ctx, err);
}

bool
rules_packs(char *out, size_t room)
{
	/* in the source they are beside the taxonomy */
	return (datadir_path("packs", out, room) && access(out, R_OK) == 0) ||
	    datadir_path("rules", out, room);
}

const char *
rules_cache(char *out, size_t room)
{
	return cachedir_path(out, room) ? out : NULL;
}

static void
on_finding(void *ctx, const struct rule_finding *f)
{
	(void)ctx;
	if (f->severity == RULE_ERROR)
		(void)fprintf(stderr, "%s:%u: refused: %s\n", f->file, f->line,
		    f->message);
}

struct ruleset *
rules_load(const struct rules_arguments *a, bool keep_syntax)
{
	const struct rules_paths *p = &a->rules;
	char packs[PATH_MAX], cache[PATH_MAX];
	const char *const standard[] = { packs };
	struct rule_options load = {
		.paths = p->n > 0 ? p->paths : standard,
		.n_paths = p->n > 0 ? p->n : 1,
		.extra_taxonomy = a->taxonomy.paths,
		.n_extra_taxonomy = a->taxonomy.n,
		.on_finding = on_finding,
		.cache = rules_cache(cache, sizeof(cache)),
		.keep_syntax = keep_syntax,
	};
	struct ruleset *rs = NULL;
	struct error err;

	if (p->n == 0 && !rules_packs(packs, sizeof(packs))) {
		(void)fputs("kuzetctl: the path of the packs is too long\n",
		    stderr);
		return NULL;
	}
	if (ruleset_load(&load, &rs, &err) == RC_OK)
		return rs;
	(void)fprintf(stderr, "kuzetctl: %s\n", err.text);
	return NULL;
}

bool
rules_logsource(const char *text, struct logsource *ls)
{
	static const char *const names[] = { "product", "category", "service" };
	struct slice *parts[] = { &ls->product, &ls->category, &ls->service };

	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		bool known = false;

		for (size_t i = 0; i < 3; i++) {
			size_t n = strlen(names[i]);

			if (len <= n || strncmp(text, names[i], n) != 0 ||
			    text[n] != '=')
				continue;
			*parts[i] = (struct slice){ text + n + 1, len - n - 1 };
			known = true;
		}
		if (!known)
			return false;
		text += len;
		text += *text == ',' ? 1 : 0;
	}
	return true;
}
