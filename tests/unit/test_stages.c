/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload takes over of log formats, and what it leaves as it was. */
#include "collector/stages.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "folder.h"
#include "tap.h"

static char dir[] = "/tmp/kuzet-stages-XXXXXX";

static const char good[] = "dataset: \"%s.log\"\n"
			   "match:\n"
			   "  programs: [%s]\n"
			   "fields:\n"
			   "  user: user.name\n"
			   "patterns:\n"
			   "  - pattern: 'hello (?<user>\\w+)'\n"
			   "samples:\n"
			   "  - message: 'hello anna'\n"
			   "    event: {user.name: anna}\n";

static void
write_format(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/formats/%s.yml", dir, name);
	f = fopen(path, "we");
	if (f == NULL)
		abort();
	(void)fprintf(f, "%s", text);
	(void)fclose(f);
}

static void
write_good(const char *name)
{
	char text[sizeof(good) + 64];

	(void)snprintf(text, sizeof(text), good, name, name);
	write_format(name, text);
}

static struct stages *
load(const struct stages *before)
{
	char formats[PATH_MAX], rules[PATH_MAX];
	char *paths[] = { rules };
	const struct collector_config config = {
		.rules = { .items = paths, .n = 1 },
		.normalizers = formats,
		.taxonomy = (char *)KUZET_SRCDIR "/rules/taxonomy",
	};
	struct stages *stages = NULL;
	struct error err;

	(void)snprintf(formats, sizeof(formats), "%s/formats", dir);
	(void)snprintf(rules, sizeof(rules), "%s/rules", dir);
	if (stages_load(&config, before, false, &stages, &err) != RC_OK) {
		(void)printf("Bail out! %s\n", err.text);
		abort();
	}
	return stages;
}

static uint32_t
count(const struct stages *s)
{
	return normalizer_set_count(s->normalizers);
}

int
main(void)
{
	struct stages *first, *broken, *mended;
	char path[PATH_MAX];
	uint32_t n;

	if (mkdtemp(dir) == NULL)
		abort();
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir,
		    i == 0 ? "formats" : "rules");
		if (mkdir(path, 0700) != 0)
			abort();
	}
	write_good("one");
	write_format("two", "dataset: two.log\npatterns: 7\n");
	first = load(NULL);
	n = count(first);
	CHECK(n >= 1 && first->remark[0] == '\0',
	    "at the start a refused format stops no other");

	write_good("two");
	mended = load(first);
	CHECK(count(mended) == n + 1 && mended->remark[0] == '\0',
	    "a mended one is there after a reload");

	write_format("one", "dataset: one.log\npatterns: 7\n");
	write_good("three");
	broken = load(mended);
	CHECK(broken->normalizers == mended->normalizers,
	    "while one is refused, those that ran go on");
	CHECK(broken->remark[0] != '\0', "which is told");
	stages_unref(mended);
	CHECK(count(broken) == n + 1, "for as long as they are needed");

	write_good("one");
	mended = load(broken);
	CHECK(count(mended) == n + 2 && mended->remark[0] == '\0',
	    "and all are new once it is mended");
	stages_unref(first);
	stages_unref(broken);
	stages_unref(mended);
	folder_remove(dir);
	return tap_done();
}
