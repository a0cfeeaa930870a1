/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

bool
rules_packs(char *out, size_t room)
{
	/* in the source they are beside the taxonomy */
	return (datadir_path("packs", out, room) && access(out, R_OK) == 0) ||
	    datadir_path("rules", out, room);
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
rules_load(const struct rules_paths *p, bool keep_syntax)
{
	char packs[PATH_MAX];
	const char *const standard[] = { packs };
	struct rule_options load = {
		.paths = p->n > 0 ? p->paths : standard,
		.n_paths = p->n > 0 ? p->n : 1,
		.on_finding = on_finding,
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
