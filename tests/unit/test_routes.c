/* SPDX-License-Identifier: Apache-2.0 */
/* The route table and its contract, doc/openapi.yaml: each has what the other
 * has; and who may what. */
#include <ctype.h>
#include <stdio.h>

#include "collector/api/ask.h"
#include "conf.h"
#include "tap.h"

extern const char openapi_text[];

static const struct yaml_node *root;
static struct arena *arena;

static const char *
text_of(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *n = map != NULL ? yaml_get(map, key) : NULL;

	return n != NULL && n->kind == YAML_SCALAR ? n->text.ptr : "";
}

static const struct yaml_node *
operation_of(const struct route *r)
{
	const struct yaml_node *path =
	    yaml_get(yaml_get(root, "paths"), r->path);
	char method[16];
	size_t i;

	for (i = 0; r->method[i] != '\0'; i++)
		method[i] = (char)tolower(r->method[i]);
	method[i] = '\0';
	return path != NULL ? yaml_get(path, method) : NULL;
}

/* "#/components/parameters/since": its `name` if it is in the query. */
static const char *
query_parameter(const struct yaml_node *reference)
{
	const char *at = text_of(reference, "$ref");
	const struct yaml_node *list =
	    yaml_get(yaml_get(root, "components"), "parameters");
	const struct yaml_node *p;

	at = strrchr(at, '/');
	p = at != NULL ? yaml_get(list, at + 1) : NULL;
	return strcmp(text_of(p, "in"), "query") == 0 ? text_of(p, "name")
						      : NULL;
}

static bool
has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)) != NULL; at++)
		if ((at == words || at[-1] == ' ') &&
		    (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

static size_t
words(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += *s != ' ' && (s[1] == ' ' || s[1] == '\0');
	return n;
}

static bool
same_parameters(const struct route *r, const struct yaml_node *operation)
{
	const struct yaml_node *list = yaml_get(operation, "parameters");
	size_t n = 0;

	for (size_t i = 0; list != NULL && i < list->n; i++) {
		const char *name = query_parameter(list->items[i]);

		if (name == NULL)
			continue;
		if (!has_word(r->params, name))
			return false;
		n++;
	}
	return n == words(r->params);
}

static bool
same_scope(const struct route *r, const struct yaml_node *operation)
{
	struct buf scope;
	bool same;

	buf_init(&scope, 256);
	scope_write(r->need, &scope);
	(void)buf_add_char(&scope, '\0');
	same = strcmp(scope.ptr, text_of(operation, "x-scope")) == 0;
	buf_fini(&scope);
	return same;
}

static void
each_route_is_described(void)
{
	for (const struct route *r = routes; r->path != NULL; r++) {
		const struct yaml_node *o = operation_of(r);

		CHECK(o != NULL &&
			strcmp(text_of(o, "operationId"), r->action) == 0 &&
			same_parameters(r, o) && same_scope(r, o),
		    "%s %s is described: name, parameters, scope", r->method,
		    r->path);
	}
}

static void
nothing_else_is_described(void)
{
	const struct yaml_node *paths = yaml_get(root, "paths");
	size_t described = 0, served = 0;

	for (size_t i = 0; i < paths->n; i++)
		described += paths->items[i]->n;
	for (const struct route *r = routes; r->path != NULL; r++)
		served++;
	CHECK(described == served, "%zu are described, %zu are served",
	    described, served);
}

static void
paths_find_their_route(void)
{
	static const struct {
		const char *method, *path, *action, *first, *allow;
	} rows[] = {
		{ "GET", "/v1/events", "events.list", NULL, "" },
		{ "HEAD", "/v1/events", "events.list", NULL, "" },
		{ "HEAD", "/v1/login", NULL, NULL, "POST, OPTIONS" },
		{ "GET", "/v1/incidents/abc", "incidents.show", "abc", "" },
		{ "PATCH", "/v1/users/a%40b", "users.update", "a@b", "" },
		{ "POST", "/v1/users/anna/tokens", "users.tokens.add", "anna",
		    "" },
		{ "POST", "/v1/rules/reload", "rules.reload", NULL, "" },
		{ "GET", "/v1/incidents/a/b", NULL, NULL, "" },
		{ "GET", "/v1/incidents/", NULL, NULL, "" },
		{ "GET", "/v1/incidents//", NULL, NULL, "" },
		{ "GET", "/v1/users/%zz", NULL, NULL, "" },
		{ "GET", "//v1/events", NULL, NULL, "" },
		{ "GET", "/", NULL, NULL, "" },
		{ "GET", "", NULL, NULL, "" },
		{ "DELETE", "/v1/users", NULL, NULL,
		    "GET, HEAD, POST, OPTIONS" },
		{ "", "/v1/me/password", NULL, NULL, "PUT, OPTIONS" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice path = { rows[i].path, strlen(rows[i].path) };
		struct slice parts[PATH_PARAMS_MAX];
		char allow[ALLOW_MAX];
		const struct route *r = route_find(routes, rows[i].method, path,
		    arena, parts, allow);

		CHECK((r == NULL) == (rows[i].action == NULL) &&
			(r == NULL || strcmp(r->action, rows[i].action) == 0) &&
			(rows[i].first == NULL ||
			    slice_eq(parts[0],
				(struct slice){ rows[i].first,
				    strlen(rows[i].first) })) &&
			(r != NULL || strcmp(allow, rows[i].allow) == 0),
		    "%s %s: %s", rows[i].method, rows[i].path,
		    rows[i].action != NULL ? rows[i].action : "none");
	}
}

static void
parameters_are_known(void)
{
	static const struct {
		const char *name, *query;
		bool good;
	} rows[] = {
		{ "those of the route", "since=2h&limit=3&where=a=b&where=c=d",
		    true },
		{ "one that it does not have", "since=2h&sinse=2h", false },
		{ "one twice", "limit=1&limit=2", false },
		{ "a part of a name", "lim=1", false },
		{ "an empty name", "=1", false },
	};
	char text[128];
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_request r = { .n_params = 0 };
		const struct route *route = routes;

		while (strcmp(route->action, "events.list") != 0)
			route++;
		(void)snprintf(text, sizeof(text), "%s", rows[i].query);
		CHECK(http_parse_query(text, &r) &&
			(route_check_params(route, &r, &err) == RC_OK) ==
			    rows[i].good,
		    "%s: %s", rows[i].name, rows[i].good ? "good" : "refused");
	}
}

static void
scopes_are_read_as_written(void)
{
	unsigned permissions = 0;
	struct error err;
	struct buf out;

	buf_init(&out, 256);
	scope_write(MAY_ALL, &out);
	CHECK(scope_parse(buf_slice(&out), &permissions, &err) == RC_OK &&
		permissions == MAY_ALL,
	    "%.*s", SLICE_ARG(buf_slice(&out)));
	CHECK(scope_parse(SLICE("events  audit"), &permissions, &err) ==
		    RC_OK &&
		permissions == (MAY_EVENTS | MAY_AUDIT),
	    "two of them");
	CHECK(scope_parse(SLICE("events everything"), &permissions, &err) ==
		RC_INVALID,
	    "there is no scope \"everything\"");
	buf_fini(&out);
}

static void
cookies_are_found(void)
{
	const struct slice header = SLICE("a=1; __Host-kuzet=abc; b=2");

	CHECK(slice_eq(http_cookie(header, "__Host-kuzet"), SLICE("abc")) &&
		slice_eq(http_cookie(header, "a"), SLICE("1")) &&
		slice_eq(http_cookie(header, "b"), SLICE("2")) &&
		http_cookie(header, "kuzet").ptr == NULL &&
		http_cookie(SLICE("a"), "a").ptr == NULL &&
		http_cookie(SLICE(""), "a").ptr == NULL,
	    "a cookie is found by its whole name");
}

int
main(void)
{
	struct yaml_file *file = NULL;
	struct error err;

	if (yaml_parse("openapi.yaml",
		(struct slice){ openapi_text, strlen(openapi_text) }, &file,
		&err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return 1;
	}
	root = yaml_root(file, 0);
	arena = arena_new(4096);
	each_route_is_described();
	nothing_else_is_described();
	paths_find_their_route();
	parameters_are_known();
	scopes_are_read_as_written();
	cookies_are_found();
	arena_free(arena);
	yaml_file_free(file);
	return tap_done();
}
