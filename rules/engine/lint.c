/* SPDX-License-Identifier: Apache-2.0 */
#include "lint.h"

#include <stdlib.h>

#include "compile.h"
#include "taxonomy_state.h"
#include "xalloc.h"

static bool
has_attack_tag(const struct sigma_rule *rule)
{
	static const size_t head = sizeof("attack.") - 1;

	for (uint32_t i = 0; i < rule->n_tags; i++)
		if (rule->tags[i].len > head &&
		    strncasecmp(rule->tags[i].ptr, "attack.", head) == 0)
			return true;
	return false;
}

static void
lint_metadata(struct rule_parser *p, const struct sigma_rule *rule)
{
	if (rule->author.len == 0)
		parse_warn(p, rule->line,
		    "there is no author: add it, each match names the author");
	if (!rule->has_level)
		parse_warn(p, rule->line,
		    "there is no level: medium is taken; add informational, "
		    "low, medium, high or critical");
	if (!has_attack_tag(rule))
		parse_warn(p, rule->line,
		    "no tag says what of ATT&CK it detects: add one, as "
		    "attack.t1110");
}

static void
lint_logsource(struct rule_parser *p, const struct taxonomy *t,
    const struct sigma_rule *rule)
{
	static const char *const parts[] = { "product", "category", "service" };

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct slice near = taxonomy_near_part(t, &rule->logsource, i);

		if (near.len > 0)
			parse_warn(p, rule->logsource_line,
			    "no event is known to be of the %s \"%.*s\": is "
			    "\"%.*s\" meant?",
			    parts[i],
			    SLICE_ARG(taxonomy_part(&rule->logsource, i)),
			    SLICE_ARG(near));
	}
}

/* ---- fields ------------------------------------------------------------ */

static void
lint_field(struct rule_parser *p, const struct taxonomy *t,
    const struct sigma_logsource *ls, const struct sigma_item *item)
{
	struct slice near;

	/* dotted names are the event's own, not Sigma's */
	if (item->field.len == 0 ||
	    memchr(item->field.ptr, '.', item->field.len) != NULL ||
	    item->field.ptr[0] == '@' || taxonomy_has_field(t, ls, item->field))
		return;
	near = taxonomy_near_field(t, ls, item->field);
	if (near.len > 0)
		parse_warn(p, item->line,
		    "events of this logsource have no field \"%.*s\": is "
		    "\"%.*s\" meant?",
		    SLICE_ARG(item->field), SLICE_ARG(near));
	else
		parse_warn(p, item->line,
		    "events of this logsource have no field \"%.*s\": if yours "
		    "do, add it to a taxonomy of your own under \"common\"",
		    SLICE_ARG(item->field));
}

/* ---- regular expressions ----------------------------------------------- */

static bool
hyperscan_takes(const struct sigma_match *m)
{
	char *text = xmemdupz(m->text.ptr, m->text.len);
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *why = NULL;
	bool good = hs_expression_info(text, compile_hs_flags(m->flags), &info,
			&why) == HS_SUCCESS;

	free(info);
	(void)hs_free_compile_error(why);
	free(text);
	return good;
}

static void
lint_match(struct rule_parser *p, const struct sigma_item *item,
    const struct sigma_match *m)
{
	if (m->kind != MATCH_REGEX)
		return;
	if (regex_is_heavy(m->text))
		parse_warn(p, item->line,
		    "slow: the regular expression counts far (the repeats "
		    "{n,m} of one sum up to 100 or more); * or + is quick");
	else if (regex_places(m->text) > REGEX_DATABASE_PLACES)
		parse_warn(p, item->line,
		    "slow: the counts of the regular expression multiply to "
		    "more than %d characters, so it is tried on each event by "
		    "itself; * or + is quick",
		    REGEX_DATABASE_PLACES);
	else if (!hyperscan_takes(m))
		parse_warn(p, item->line,
		    "slow: the regular expression looks around or back, so it "
		    "is tried on each event by itself; write it without");
}

static void
lint_item(struct rule_parser *p, const struct sigma_item *item)
{
	for (uint32_t i = 0; i < item->n; i++)
		for (uint32_t k = 0; k < item->values[i].n; k++)
			lint_match(p, item, &item->values[i].matches[k]);
}

static void
lint_selection(struct rule_parser *p, const struct taxonomy *t,
    const struct sigma_rule *rule, const struct sigma_selection *s)
{
	bool complete = taxonomy_is_complete(t, &rule->logsource);

	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = 0; k < s->maps[i].n; k++) {
			const struct sigma_item *item = &s->maps[i].items[k];

			if (complete)
				lint_field(p, t, &rule->logsource, item);
			lint_item(p, item);
		}
	}
}

void
lint_rule(struct rule_parser *p, struct taxonomy *t,
    const struct sigma_rule *rule)
{
	if (rule->kind != RULE_FILTER)
		lint_metadata(p, rule);
	if (rule->kind != RULE_CORRELATION)
		lint_logsource(p, t, rule);
	for (uint32_t i = 0; i < rule->n_selections; i++)
		lint_selection(p, t, rule, &rule->selections[i]);
}
