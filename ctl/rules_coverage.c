/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kuzetctl rules coverage: the ATT&CK techniques that rules speak of, as a
 * table and as a layer of the ATT&CK Navigator (layer format 4.5, for Navigator
 * 4.9.0 and later,
 * https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/).
 */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "json.h"
#include "query.h"
#include "rules.h"
#include "xalloc.h"

enum {
	LINE_MAX_BYTES = 64 << 20,
	TITLES_SHOWN = 3,  /* of a technique, in the table; --json has all */
	TECHNIQUE_LEN = 5, /* T1110 */
	SUB_LEN = 9,       /* T1110.001 */
	WIDTH = 12
};

/* One tag of one rule. */
struct mention {
	char technique[SUB_LEN + 1];
	uint32_t rule;
};

struct coverage {
	const struct ruleset *rules; /* borrowed */
	struct mention *mentions;    /* owned; by technique, then rule */
	size_t n, cap;
	uint32_t untagged;   /* rules without a technique */
	uint32_t techniques; /* distinct */
	uint32_t most;       /* rules of one technique */
};

enum form { FORM_TABLE, FORM_JSON, FORM_NAVIGATOR };

static bool
digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

/* "attack.t1110", "attack.t1110.001" -> "T1110.001" */
static bool
technique_of(struct slice tag, char out[SUB_LEN + 1])
{
	static const size_t head = sizeof("attack.") - 1;
	const char *t;
	size_t n;

	if (tag.len <= head || strncasecmp(tag.ptr, "attack.", head) != 0)
		return false;
	t = tag.ptr + head;
	n = tag.len - head;
	if ((n != TECHNIQUE_LEN && n != SUB_LEN) ||
	    (t[0] != 't' && t[0] != 'T') || !digits(t + 1, TECHNIQUE_LEN - 1) ||
	    (n == SUB_LEN &&
		(t[TECHNIQUE_LEN] != '.' ||
		    !digits(t + TECHNIQUE_LEN + 1,
			SUB_LEN - TECHNIQUE_LEN - 1))))
		return false;
	memcpy(out, t, n);
	out[0] = 'T';
	out[n] = '\0';
	return true;
}

static void
add_rule(struct coverage *c, uint32_t rule)
{
	const struct rule_info *info = ruleset_rule(c->rules, rule);
	bool any = false;

	for (uint32_t i = 0; i < info->n_tags; i++) {
		struct mention m = { .rule = rule };

		if (!technique_of(info->tags[i], m.technique))
			continue;
		any = true;
		if (c->n == c->cap) {
			c->cap = c->cap == 0 ? 256 : 2 * c->cap;
			c->mentions = xreallocarray(c->mentions, c->cap,
			    sizeof(c->mentions[0]));
		}
		c->mentions[c->n++] = m;
	}
	c->untagged += any ? 0 : 1;
}

static int
by_technique(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;
	int order = strcmp(x->technique, y->technique);

	if (order != 0)
		return order;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

/* How many mentions from `at` on are of one technique. */
static size_t
run_length(const struct coverage *c, size_t at)
{
	size_t n = 1;

	while (at + n < c->n &&
	    strcmp(c->mentions[at].technique, c->mentions[at + n].technique) ==
		0)
		n++;
	return n;
}

static void
collect(struct coverage *c)
{
	size_t kept = 0;

	for (uint32_t i = 0; i < ruleset_count(c->rules); i++)
		add_rule(c, i);
	if (c->n > 0)
		qsort(c->mentions, c->n, sizeof(c->mentions[0]), by_technique);
	/* a rule that says it twice says it once */
	for (size_t i = 0; i < c->n; i++)
		if (kept == 0 ||
		    by_technique(&c->mentions[kept - 1], &c->mentions[i]) != 0)
			c->mentions[kept++] = c->mentions[i];
	c->n = kept;
	for (size_t i = 0; i < c->n; i += run_length(c, i)) {
		c->techniques++;
		if (run_length(c, i) > c->most)
			c->most = (uint32_t)run_length(c, i);
	}
}

static enum rule_level
highest(const struct coverage *c, size_t at, size_t n)
{
	enum rule_level level = RULE_INFORMATIONAL;

	for (size_t i = at; i < at + n; i++) {
		enum rule_level l =
		    ruleset_rule(c->rules, c->mentions[i].rule)->level;

		level = l > level ? l : level;
	}
	return level;
}

/* ---- printing ---------------------------------------------------------- */

static void
print_table(const struct coverage *c)
{
	(void)puts("TECHNIQUE    RULES  LEVEL          TITLES");
	for (size_t i = 0; i < c->n;) {
		size_t n = run_length(c, i);

		(void)printf("%-*s %5zu  %-13s  ", WIDTH,
		    c->mentions[i].technique, n,
		    rule_level_name(highest(c, i, n)));
		for (size_t k = i; k < i + n && k < i + TITLES_SHOWN; k++) {
			if (k > i)
				(void)fputs("; ", stdout);
			print_text(
			    ruleset_rule(c->rules, c->mentions[k].rule)->title,
			    0);
		}
		if (n > TITLES_SHOWN)
			(void)printf("; and %zu more", n - TITLES_SHOWN);
		(void)putchar('\n');
		i += n;
	}
	(void)printf("%u techniques by %u rules; %u rules name none\n",
	    c->techniques, ruleset_count(c->rules), c->untagged);
}

static void
print_json(const struct coverage *c, struct buf *out)
{
	struct json_writer w;

	for (size_t i = 0; i < c->n;) {
		size_t n = run_length(c, i);

		json_begin(&w, out);
		json_open(&w, '{');
		json_key(&w, "technique");
		json_str(&w, c->mentions[i].technique);
		json_key(&w, "count");
		json_uint(&w, n);
		json_key(&w, "level");
		json_str(&w, rule_level_name(highest(c, i, n)));
		json_key(&w, "rules");
		json_open(&w, '[');
		for (size_t k = i; k < i + n; k++)
			json_string(&w,
			    ruleset_rule(c->rules, c->mentions[k].rule)->id);
		json_close(&w, ']');
		json_close(&w, '}');
		(void)buf_add_char(out, '\n');
		i += n;
	}
	(void)buf_printf(out,
	    "{\"techniques\":%u,\"rules\":%u,\"untagged\":%u}\n", c->techniques,
	    ruleset_count(c->rules), c->untagged);
}

static void
write_technique(const struct coverage *c, struct json_writer *w, size_t at,
    size_t n)
{
	struct buf comment;

	buf_init(&comment, LINE_MAX_BYTES);
	for (size_t k = at; k < at + n; k++) {
		if (k > at)
			(void)buf_add_char(&comment, '\n');
		(void)buf_add_slice(&comment,
		    ruleset_rule(c->rules, c->mentions[k].rule)->title);
	}
	json_open(w, '{');
	json_key(w, "techniqueID");
	json_str(w, c->mentions[at].technique);
	json_key(w, "score");
	json_uint(w, n);
	json_key(w, "comment");
	json_string(w, buf_slice(&comment));
	json_key(w, "enabled");
	json_bool(w, true);
	json_close(w, '}');
	buf_fini(&comment);
}

static void
print_navigator(const struct coverage *c, struct buf *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "name");
	json_str(&w, "kuzet rules");
	json_key(&w, "versions");
	json_raw(&w, SLICE("{\"navigator\":\"4.9.0\",\"layer\":\"4.5\"}"));
	json_key(&w, "domain");
	json_str(&w, "enterprise-attack");
	json_key(&w, "description");
	json_str(&w,
	    "Techniques that the loaded rules name; the score is the "
	    "number of rules");
	json_key(&w, "sorting");
	json_uint(&w, 0);
	json_key(&w, "layout"); /* a rule for a sub-technique is seen */
	json_raw(&w, SLICE("{\"expandedSubtechniques\":\"annotated\"}"));
	json_key(&w, "hideDisabled");
	json_bool(&w, false);
	json_key(&w, "techniques");
	json_open(&w, '[');
	for (size_t i = 0; i < c->n; i += run_length(c, i))
		write_technique(c, &w, i, run_length(c, i));
	json_close(&w, ']');
	json_key(&w, "gradient");
	json_open(&w, '{');
	json_key(&w, "colors");
	json_raw(&w, SLICE("[\"#e8f1fa\",\"#2b6cb0\"]"));
	json_key(&w, "minValue");
	json_uint(&w, 0);
	json_key(&w, "maxValue");
	json_uint(&w, c->most > 0 ? c->most : 1);
	json_close(&w, '}');
	json_close(&w, '}');
	(void)buf_add_char(out, '\n');
}

static int
print_coverage(const struct coverage *c, enum form form)
{
	struct buf out;
	bool good;

	buf_init(&out, LINE_MAX_BYTES);
	if (form == FORM_TABLE)
		print_table(c);
	else if (form == FORM_JSON)
		print_json(c, &out);
	else
		print_navigator(c, &out);
	if (out.len > 0)
		(void)fwrite(out.ptr, 1, out.len, stdout);
	good = fflush(stdout) == 0 && !ferror(stdout);
	buf_fini(&out);
	return good ? EXIT_GOOD : EXIT_FAILED;
}

/* ---- arguments --------------------------------------------------------- */

static void
usage(FILE *out)
{
	(void)fputs(
	    "usage: kuzetctl rules coverage [--rules PATH...] [--json | "
	    "--navigator]\n\n"
	    "Which ATT&CK techniques rules speak of, by their tags.\n\n"
	    "  --rules PATH...    files, or folders of *.yml; without it: the "
	    "packs\n",
	    out);
	(void)fputs(rules_taxonomy_help, out);
	(void)
	    fputs("  --json             one object a technique; last the sums\n"
		  "  --navigator        a layer for the ATT&CK Navigator\n",
		out);
}

static void
take_own(void *ctx, int code, const char *text)
{
	(void)code;
	(void)text;
	*(bool *)ctx = true;
}

int
rules_coverage(bool json, int argc, char *argv[])
{
	static const struct option options[] = { RULES_OPTIONS,
		{ "navigator", no_argument, NULL, 'n' }, { NULL, 0, NULL, 0 } };
	bool navigator = false;
	const struct rules_command command = {
		.name = "coverage",
		.options = options,
		.usage = usage,
		.own = take_own,
		.ctx = &navigator,
	};
	struct rules_arguments a = { .json = json };
	struct coverage coverage = { .n = 0 };
	struct ruleset *rs;
	enum form form;
	int status = rules_arguments_read(&a, &command, argc, argv);

	rules_rest_is_rules(&a);
	if (status == -1) {
		form = a.json ? FORM_JSON : FORM_TABLE;
		rs = rules_load(&a, false);
		status = EXIT_USAGE;
		if (rs != NULL) {
			coverage.rules = rs;
			collect(&coverage);
			status = print_coverage(&coverage,
			    navigator ? FORM_NAVIGATOR : form);
		}
		free(coverage.mentions);
		ruleset_unref(rs);
	}
	rules_arguments_fini(&a);
	return status;
}
