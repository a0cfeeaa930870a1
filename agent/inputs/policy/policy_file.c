/* SPDX-License-Identifier: Apache-2.0 */
/* Reading policy files: policy.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/policy/policy.h"
#include "xalloc.h"

struct reader {
	struct policy *policy;
	struct error *err;
};

static enum rc
wrong(struct reader *r, const struct yaml_node *at, const char *text)
{
	return error_set(r->err, RC_INVALID, "%s:%u: %s", r->policy->path,
	    at->line, text);
}

static enum rc
wrong_key(struct reader *r, const struct yaml_node *at, const char *key,
    const char *text)
{
	return error_set(r->err, RC_INVALID, "%s:%u: %s: %s", r->policy->path,
	    at->line, key, text);
}

/* A scalar with text. */
static enum rc
get_text(struct reader *r, const struct yaml_node *node, const char *key,
    const char **out)
{
	if (node->kind != YAML_SCALAR || node->text.len == 0 ||
	    memchr(node->text.ptr, '\0', node->text.len) != NULL)
		return wrong_key(r, node, key, "a text is needed");
	*out = node->text.ptr;
	return RC_OK;
}

static enum rc
get_bool(struct reader *r, const struct yaml_node *node, const char *key,
    bool *out)
{
	if (!yaml_bool(node, out))
		return wrong_key(r, node, key, "true or false is needed");
	return RC_OK;
}

static enum rc
get_pattern(struct reader *r, const struct yaml_node *node, const char *key,
    struct policy_pattern **out)
{
	struct error err;
	const char *text = "";
	enum rc rc = get_text(r, node, key, &text);

	if (rc != RC_OK)
		return rc;
	rc = policy_pattern_new(text, out, &err);
	return rc == RC_OK ? RC_OK : wrong_key(r, node, key, err.text);
}

static enum rc
get_mode(struct reader *r, const struct yaml_node *node, const char *key,
    int64_t *out)
{
	const char *text = "";
	char *end = NULL;
	enum rc rc = get_text(r, node, key, &text);

	if (rc != RC_OK)
		return rc;
	*out = strtol(text, &end, 8);
	if (*end != '\0' || *out < 0 || *out > 07777)
		return wrong_key(r, node, key,
		    "an octal mode such as \"0640\" is needed");
	return RC_OK;
}

static enum rc
get_state(struct reader *r, const struct yaml_node *node, const char *key,
    const char **out)
{
	static const char *const states[] = { "enabled", "disabled", "masked",
		"absent", "off" };
	enum rc rc = get_text(r, node, key, out);

	for (size_t i = 0; rc == RC_OK && i < 5; i++) {
		if (strcmp(*out, states[i]) == 0)
			return RC_OK;
	}
	return rc != RC_OK ? rc
			   : wrong_key(r, node, key,
				 "enabled, disabled, masked, absent or off is "
				 "needed");
}

/* ---- one test ------------------------------------------------------------ */

typedef enum rc test_key_fn(struct reader *r, const struct yaml_node *value,
    struct policy_test *t);

static enum rc
key_exists(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	t->want_exists = true;
	return get_bool(r, v, "exists", &t->exists);
}

static enum rc
key_mode(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_mode(r, v, "mode", &t->mode);
}

static enum rc
key_owner(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_text(r, v, "owner", &t->owner);
}

static enum rc
key_group(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_text(r, v, "group", &t->group);
}

static enum rc
key_matches(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_pattern(r, v, "matches", &t->matches);
}

static enum rc
key_lacks(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_pattern(r, v, "lacks", &t->lacks);
}

static enum rc
key_equals(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_text(r, v, "equals", &t->equals);
}

static enum rc
key_at_least(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	t->want_at_least = true;
	if (!yaml_int(v, &t->at_least))
		return wrong_key(r, v, "at_least", "a number is needed");
	return RC_OK;
}

static enum rc
key_state(struct reader *r, const struct yaml_node *v, struct policy_test *t)
{
	return get_state(r, v, "state", &t->state);
}

static enum rc
key_installed(struct reader *r, const struct yaml_node *v,
    struct policy_test *t)
{
	return get_bool(r, v, "installed", &t->installed);
}

enum {
	OF_FILE = 1 << POLICY_FILE,
	OF_SYSCTL = 1 << POLICY_SYSCTL,
	OF_SERVICE = 1 << POLICY_SERVICE,
	OF_PACKAGE = 1 << POLICY_PACKAGE,
	OF_COMMAND = 1 << POLICY_COMMAND
};

static const struct {
	const char *key;
	unsigned kinds;
	test_key_fn *set;
} test_keys[] = {
	{ "exists", OF_FILE, key_exists },
	{ "mode", OF_FILE, key_mode },
	{ "owner", OF_FILE, key_owner },
	{ "group", OF_FILE, key_group },
	{ "matches", OF_FILE | OF_COMMAND, key_matches },
	{ "lacks", OF_FILE | OF_COMMAND, key_lacks },
	{ "equals", OF_SYSCTL, key_equals },
	{ "at_least", OF_SYSCTL, key_at_least },
	{ "state", OF_SERVICE, key_state },
	{ "installed", OF_PACKAGE, key_installed },
};

/* The kinds, and the key that says what of them is looked at. */
static const struct {
	const char *key, *name;
} kinds[] = {
	[POLICY_FILE] = { "file", "path" },
	[POLICY_SYSCTL] = { "sysctl", "key" },
	[POLICY_SERVICE] = { "service", "name" },
	[POLICY_PACKAGE] = { "package", "name" },
	[POLICY_COMMAND] = { "command", "run" },
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static enum rc
unknown_key(struct reader *r, const struct yaml_node *key,
    enum policy_kind kind)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
	    "there is no such key here: one of %s", kinds[kind].name);

	for (size_t i = 0; i < sizeof(test_keys) / sizeof(test_keys[0]); i++) {
		if ((test_keys[i].kinds & 1u << kind) != 0)
			len += snprintf(text + len, sizeof(text) - (size_t)len,
			    ", %s", test_keys[i].key);
	}
	return wrong_key(r, key, key->text.ptr, text);
}

static enum rc
one_key(struct reader *r, const struct yaml_node *key,
    const struct yaml_node *value, struct policy_test *t)
{
	if (strcmp(key->text.ptr, kinds[t->kind].name) == 0)
		return get_text(r, value, kinds[t->kind].name, &t->name);
	for (size_t i = 0; i < sizeof(test_keys) / sizeof(test_keys[0]); i++) {
		if (strcmp(test_keys[i].key, key->text.ptr) == 0 &&
		    (test_keys[i].kinds & 1u << t->kind) != 0)
			return test_keys[i].set(r, value, t);
	}
	return unknown_key(r, key, t->kind);
}

static enum rc
check_command(struct reader *r, const struct yaml_node *node,
    const struct policy_test *t)
{
	struct buf list;
	char text[256];

	if (t->kind != POLICY_COMMAND || policy_command(t->name) != NULL)
		return RC_OK;
	buf_init(&list, 200);
	policy_commands(&list);
	(void)snprintf(text, sizeof(text), "only these can be run: %.*s",
	    (int)list.len, list.ptr);
	buf_fini(&list);
	return wrong_key(r, node, t->name, text);
}

/* `{path: P, mode: "0640"}`, or in `when` a name alone: it is there. */
static enum rc
read_test(struct reader *r, enum policy_kind kind, const struct yaml_node *node,
    bool when, struct policy_test *t)
{
	enum rc rc = RC_OK;

	*t =
	    (struct policy_test){ .kind = kind, .mode = -1, .installed = true };
	if (when && node->kind == YAML_SCALAR) {
		rc = get_text(r, node, kinds[kind].key, &t->name);
		return rc == RC_OK ? check_command(r, node, t) : rc;
	}
	if (node->kind != YAML_MAPPING)
		return wrong_key(r, node, kinds[kind].key,
		    "a mapping is needed");
	for (size_t i = 0; rc == RC_OK && i < node->n; i++)
		rc = one_key(r, node->keys[i], node->items[i], t);
	if (rc == RC_OK && t->name == NULL)
		return wrong_key(r, node, kinds[kind].name, "is missing");
	if (rc == RC_OK && !when &&
	    (kind == POLICY_COMMAND || kind == POLICY_SYSCTL ||
		kind == POLICY_SERVICE) &&
	    t->matches == NULL && t->lacks == NULL && t->equals == NULL &&
	    !t->want_at_least && t->state == NULL)
		return wrong_key(r, node, kinds[kind].key,
		    "what must it be? matches, lacks, equals, at_least or "
		    "state is missing");
	return rc == RC_OK ? check_command(r, node, t) : rc;
}

static int
kind_of(const char *key)
{
	for (int i = 0; i < N_KINDS; i++) {
		if (strcmp(kinds[i].key, key) == 0)
			return i;
	}
	return -1;
}

static enum rc
read_when(struct reader *r, const struct yaml_node *node,
    struct policy_check *c)
{
	int kind = node->kind == YAML_MAPPING && node->n == 1
	    ? kind_of(node->keys[0]->text.ptr)
	    : -1;

	if (kind == -1)
		return wrong_key(r, node, "when",
		    "one of file, sysctl, service, package, command is needed");
	c->has_when = true;
	return read_test(r, (enum policy_kind)kind, node->items[0], true,
	    &c->when);
}

/* ---- one check ----------------------------------------------------------- */

static enum rc
read_severity(struct reader *r, const struct yaml_node *node,
    struct policy_check *c)
{
	for (int i = POLICY_LOW; i <= POLICY_HIGH; i++) {
		if (node->kind == YAML_SCALAR &&
		    strcmp(node->text.ptr,
			policy_severity_name((enum policy_severity)i)) == 0) {
			c->severity = (enum policy_severity)i;
			return RC_OK;
		}
	}
	return wrong_key(r, node, "severity", "low, medium or high is needed");
}

static enum rc
check_key(struct reader *r, const struct yaml_node *key,
    const struct yaml_node *value, struct policy_check *c, bool *has_test)
{
	const char *k = key->text.ptr;
	int kind = kind_of(k);

	if (strcmp(k, "id") == 0)
		return get_text(r, value, k, &c->id);
	if (strcmp(k, "title") == 0)
		return get_text(r, value, k, &c->title);
	if (strcmp(k, "remedy") == 0)
		return get_text(r, value, k, &c->remedy);
	if (strcmp(k, "severity") == 0)
		return read_severity(r, value, c);
	if (strcmp(k, "when") == 0)
		return read_when(r, value, c);
	if (kind == -1)
		return wrong_key(r, key, k, "there is no such key in a check");
	if (*has_test)
		return wrong_key(r, key, k,
		    "a check has one of file, sysctl, service, package, "
		    "command");
	*has_test = true;
	return read_test(r, (enum policy_kind)kind, value, false, &c->test);
}

static enum rc
read_check(struct reader *r, const struct yaml_node *node,
    struct policy_check *c)
{
	bool has_test = false;
	enum rc rc = RC_OK;

	if (node->kind != YAML_MAPPING)
		return wrong(r, node, "a check is a mapping");
	*c = (struct policy_check){ .line = node->line,
		.severity = POLICY_MEDIUM };
	for (size_t i = 0; rc == RC_OK && i < node->n; i++)
		rc = check_key(r, node->keys[i], node->items[i], c, &has_test);
	if (rc != RC_OK)
		return rc;
	if (c->id == NULL || c->title == NULL || c->remedy == NULL)
		return wrong(r, node, "id, title and remedy are needed");
	if (!has_test)
		return wrong(r, node,
		    "one of file, sysctl, service, package, command is needed");
	for (const struct policy_check *other = r->policy->checks; other < c;
	     other++) {
		if (strcmp(other->id, c->id) == 0)
			return wrong_key(r, node, c->id,
			    "another check has this id");
	}
	return RC_OK;
}

static enum rc
read_checks(struct reader *r, const struct yaml_node *node)
{
	struct policy *p = r->policy;
	enum rc rc = RC_OK;

	if (node->kind != YAML_SEQUENCE || node->n == 0)
		return wrong_key(r, node, "checks", "a list is needed");
	if (node->n > POLICY_CHECKS_MAX)
		return wrong_key(r, node, "checks", "there are too many");
	p->checks = xcalloc(node->n, sizeof(*p->checks));
	for (size_t i = 0; rc == RC_OK && i < node->n; i++) {
		p->n++; /* what a broken one holds is freed, too */
		rc = read_check(r, node->items[i], &p->checks[i]);
	}
	return rc;
}

static enum rc
read_policy(struct reader *r, const struct yaml_node *root)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < root->n; i++) {
		const struct yaml_node *key = root->keys[i];
		const struct yaml_node *value = root->items[i];

		if (strcmp(key->text.ptr, "policy") == 0)
			rc = get_text(r, value, "policy", &r->policy->name);
		else if (strcmp(key->text.ptr, "title") == 0)
			rc = get_text(r, value, "title", &r->policy->title);
		else if (strcmp(key->text.ptr, "checks") == 0)
			rc = read_checks(r, value);
		else
			rc = wrong_key(r, key, key->text.ptr,
			    "there is no such key: policy, title, checks");
	}
	if (rc == RC_OK && (r->policy->name == NULL || r->policy->n == 0))
		rc = wrong(r, root, "policy and checks are needed");
	return rc;
}

static enum rc
read_yaml(struct policy *p, struct policy **out, struct error *err)
{
	struct reader r = { p, err };
	const struct yaml_node *root =
	    yaml_documents(p->yaml) == 1 ? yaml_root(p->yaml, 0) : NULL;
	enum rc rc = root == NULL || root->kind != YAML_MAPPING
	    ? error_set(err, RC_INVALID,
		  "%s:1: a policy is one mapping with policy and checks",
		  p->path)
	    : read_policy(&r, root);

	if (rc == RC_OK)
		*out = p;
	else
		policy_free(p);
	return rc;
}

static struct policy *
policy_new(const char *path)
{
	struct policy *p = xzalloc(sizeof(*p));

	p->path = xstrdup(path);
	return p;
}

enum rc
policy_parse(const char *path, struct slice text, struct policy **out,
    struct error *err)
{
	struct policy *p = policy_new(path);
	enum rc rc = yaml_parse(path, text, &p->yaml, err);

	*out = NULL;
	if (rc == RC_OK)
		return read_yaml(p, out, err);
	policy_free(p);
	return rc;
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++) {
		policy_pattern_free(p->checks[i].test.matches);
		policy_pattern_free(p->checks[i].test.lacks);
		policy_pattern_free(p->checks[i].when.matches);
		policy_pattern_free(p->checks[i].when.lacks);
	}
	free(p->checks);
	yaml_free(p->yaml);
	free(p->path);
	free(p);
}
