/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that run. */
#include "api_private.h"

static void
write_rule(struct buf *out, const struct rule_info *info)
{
	char digest[SHA256_TEXT];
	struct json_writer w;

	hex_text(info->digest, SHA256_BYTES, digest);
	rule_write_about(out, info);
	out->len--; /* its brace: more follows */
	w = (struct json_writer){ .out = out, .comma = true };
	json_key(&w, "level");
	json_str(&w, rule_level_name(info->level));
	json_key(&w, "correlation");
	json_bool(&w, info->correlation);
	json_key(&w, "visible");
	json_bool(&w, info->visible);
	json_key(&w, "digest");
	json_str(&w, digest);
	json_key(&w, "file");
	json_str(&w, info->file != NULL ? info->file : "");
	json_key(&w, "line");
	json_uint(&w, info->line);
	json_close(&w, '}');
}

void
get_rules(struct ask *a)
{
	struct ruleset *rules = api_rules(a->api);
	uint32_t n = rules != NULL ? ruleset_count(rules) : 0;
	bool more = true;

	for (uint32_t i = 0; more && i < n; i++) {
		write_rule(&a->line, ruleset_rule(rules, i));
		more = ask_line(a);
	}
	ruleset_unref(rules);
}

void
get_rule(struct ask *a)
{
	struct ruleset *rules = api_rules(a->api);
	uint32_t at =
	    rules != NULL ? ruleset_find(rules, a->path[0]) : UINT32_MAX;
	struct error err;

	if (at == UINT32_MAX) {
		ask_fail(a, error_set(&err, RC_EOF, "there is no such rule"),
		    &err);
	} else {
		write_rule(&a->line, ruleset_rule(rules, at));
		http_type(a->reply, 200, "application/json");
		(void)ask_line(a);
	}
	ruleset_unref(rules);
}

/* What became of it is in the collector's log, and in `status`. */
void
post_reload(struct ask *a)
{
	uint64_t number;
	struct error err;

	if (a->api->options.reload == NULL) {
		ask_fail(a,
		    error_set(&err, RC_AGAIN, "the collector cannot reload"),
		    &err);
		return;
	}
	number = a->api->options.reload(a->api->options.ctx);
	http_type(a->reply, 202, "application/json");
	(void)buf_printf(&a->line, "{\"reload\":\"begun\",\"number\":%llu}",
	    (unsigned long long)number);
	(void)ask_line(a);
}
