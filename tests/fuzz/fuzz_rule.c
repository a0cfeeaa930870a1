/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a rule: whatever it says, it is refused or it loads, and what
 * loads compiles, matches and has a digest, twice the same.
 */
#include <stdlib.h>

#include "json.h"
#include "rules/engine/parse.h"
#include "rules/engine/ruleset.h"
#include "rules/engine/serial.h"
#include "xalloc.h"

enum { ARENA_BLOCK = 65536, SERIAL_MAX = 1 << 24 };

static const char event_text[] =
    "{\"A\":\"abc\",\"B\":[1,2.5,null,\"-x /y\"],\"C\":true,"
    "\"source\":{\"ip\":\"192.0.2.1\"},\"Channel\":\"Security\","
    "\"EventID\":4688,\"Hashes\":\"MD5=1,SHA256=2\",\"message\":"
    "\"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\"}";

static struct taxonomy *
taxonomy(void)
{
	static struct taxonomy *t;
	struct error err;

	if (t == NULL &&
	    taxonomy_load(KUZET_SRCDIR "/rules/taxonomy", &t, &err) != RC_OK)
		abort();
	return t;
}

static uint32_t
run(struct ruleset *rs)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct matcher *m = matcher_new(rs);
	struct event ev;
	struct error err;
	uint32_t n[2];

	event_begin(&ev, arena);
	if (json_read_event((struct slice){ event_text,
				sizeof(event_text) - 1 },
		&json_limits_default, &ev, &err) != RC_OK)
		abort();
	(void)matcher_run(m, &ev, NULL, &n[0]);
	(void)matcher_run(m, &ev, NULL, &n[1]);
	if (n[0] != n[1] || n[0] > 1)
		abort(); /* an event must not change the next */
	matcher_free(m);
	arena_free(arena);
	return n[0];
}

static void
compile(const struct sigma_rule *rule)
{
	const struct program_source source = { .rules = &rule,
		.n = 1,
		.taxonomy = taxonomy() };
	struct ruleset *rs = xzalloc(sizeof(*rs));
	struct error err;

	rs->references = 1;
	rs->arena = arena_new(ARENA_BLOCK);
	if (program_compile(&source, rs->arena, &rs->program, &err) == RC_OK)
		(void)run(rs);
	ruleset_unref(rs);
}

static void
digest(const struct sigma_rule *rule)
{
	struct buf b;

	buf_init(&b, SERIAL_MAX);
	serial_detection(&b, rule);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_file *yaml = NULL;
	struct error err;

	if (yaml_parse("fuzz", (struct slice){ (const char *)data, size },
		&yaml, &err) != RC_OK)
		return 0;
	for (size_t i = 0; i < yaml_documents(yaml); i++) {
		struct arena *arena = arena_new(ARENA_BLOCK);
		struct rule_parser p = { .arena = arena };
		struct sigma_rule rule = { .file = "fuzz" };

		if (!parse_rule(&p, yaml_root(yaml, i), &rule)) {
			if (p.message[0] == '\0')
				abort(); /* refused without a reason */
		} else if (rule.kind != RULE_CORRELATION) {
			digest(&rule);
			compile(&rule);
		}
		arena_free(arena);
	}
	yaml_free(yaml);
	return 0;
}
