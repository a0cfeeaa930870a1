/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every route of the API.  doc/openapi.yaml describes the same ones, and the
 * matrix of routes and roles has a row for each: tests compare.
 */
#include <stdio.h>

#include "ask.h"

#define QUERY "since until limit where "

/* clang-format off */
const struct route routes[] = {
	{ "GET", "/healthz", "health", 0, "", get_healthz },
	{ "POST", "/v1/login", "login", 0, "", post_login },
	{ "POST", "/v1/logout", "logout", MAY_SELF, "", post_logout },
	{ "GET", "/v1/me", "me.show", MAY_SELF, "", get_me },
	{ "PUT", "/v1/me/password", "me.password", MAY_SELF, "",
	  put_password },
	{ "POST", "/v1/me/totp", "me.totp.begin", MAY_SELF, "", post_totp },
	{ "PUT", "/v1/me/totp", "me.totp.confirm", MAY_SELF, "", put_totp },
	{ "GET", "/v1/me/tokens", "me.tokens.list", MAY_SELF, "",
	  get_my_tokens },
	{ "POST", "/v1/me/tokens", "me.tokens.add", MAY_SELF, "",
	  post_my_token },
	{ "DELETE", "/v1/me/tokens/{id}", "me.tokens.remove", MAY_SELF, "",
	  delete_my_token },
	{ "GET", "/v1/openapi.yaml", "openapi", MAY_SELF, "", get_openapi },

	{ "GET", "/v1/events", "events.list", MAY_EVENTS, QUERY "count flat",
	  get_events },
	{ "GET", "/v1/search", "search", MAY_EVENTS,
	  "query since until limit sort after next tail count flat by every "
	  "distinct measure percentiles",
	  get_search },
	{ "GET", "/v1/histogram", "histogram", MAY_EVENTS,
	  "query since until every by", get_search },
	{ "GET", "/v1/searches", "searches.list", MAY_EVENTS, "name all",
	  get_saved_searches },
	{ "POST", "/v1/searches", "searches.add",
	  MAY_EVENTS | MAY_SEARCHES_WRITE, "", post_saved_search },
	{ "GET", "/v1/searches/{id}", "searches.show", MAY_EVENTS, "",
	  get_saved_search },
	{ "PUT", "/v1/searches/{id}", "searches.update",
	  MAY_EVENTS | MAY_SEARCHES_WRITE, "", put_saved_search },
	{ "DELETE", "/v1/searches/{id}", "searches.remove",
	  MAY_EVENTS | MAY_SEARCHES_WRITE, "", delete_saved_search },
	{ "GET", "/v1/searches/{id}/run", "searches.run", MAY_EVENTS,
	  "since until limit sort after next tail count flat by every "
	  "distinct measure percentiles",
	  run_saved_search },
	{ "GET", "/v1/detections", "detections.list", MAY_EVENTS,
	  QUERY "rule after next", get_detections },
	{ "GET", "/v1/incidents", "incidents.list", MAY_INCIDENTS,
	  "since until limit rule status after next", get_incidents },
	{ "GET", "/v1/incidents/{id}", "incidents.show", MAY_INCIDENTS, "",
	  get_incident },
	{ "PATCH", "/v1/incidents/{id}", "incidents.update",
	  MAY_INCIDENTS_WRITE, "", patch_incident },
	{ "GET", "/v1/live", "live", MAY_INCIDENTS, "type", get_live },
	{ "GET", "/v1/agents", "agents.list", MAY_AGENTS, "agent", get_agents },
	{ "POST", "/v1/agents/{agent}/revoke", "agents.revoke",
	  MAY_AGENTS | MAY_AGENTS_WRITE, "", post_revoke_agent },
	{ "POST", "/v1/enroll", "agents.enroll", 0, "", post_enroll },
	{ "POST", "/v1/enroll/renew", "agents.renew", 0, "",
	  post_enroll_renew },
	{ "GET", "/v1/enroll-tokens", "enroll_tokens.list",
	  MAY_AGENTS | MAY_AGENTS_WRITE, "", get_enroll_tokens },
	{ "POST", "/v1/enroll-tokens", "enroll_tokens.add",
	  MAY_AGENTS | MAY_AGENTS_WRITE, "", post_enroll_token },
	{ "DELETE", "/v1/enroll-tokens/{id}", "enroll_tokens.remove",
	  MAY_AGENTS | MAY_AGENTS_WRITE, "", delete_enroll_token },
	{ "GET", "/v1/configs", "configs.list", MAY_AGENTS, "agent",
	  get_configs },
	{ "GET", "/v1/configs/key", "configs.key", MAY_AGENTS, "",
	  get_config_key },
	{ "POST", "/v1/configs/check", "configs.check", MAY_AGENTS_WRITE, "",
	  post_config_check },
	{ "POST", "/v1/configs/push", "configs.push", MAY_AGENTS_WRITE, "",
	  post_config_push },
	{ "GET", "/v1/orders", "orders.list", MAY_AGENTS, "agent", get_orders },
	{ "GET", "/v1/orders/{id}", "orders.show", MAY_AGENTS, "", get_order },
	{ "POST", "/v1/respond", "respond", MAY_RESPOND, "", post_respond },
	{ "GET", "/v1/objects", "objects.list", MAY_AGENTS, "", get_objects },
	{ "GET", "/v1/objects/{id}", "objects.show", MAY_AGENTS, "",
	  get_object },

	{ "GET", "/v1/rules", "rules.list", MAY_RULES, "", get_rules },
	{ "GET", "/v1/rules/{id}", "rules.show", MAY_RULES, "", get_rule },
	{ "POST", "/v1/rules/reload", "rules.reload", MAY_RULES_RELOAD, "",
	  post_reload },
	{ "GET", "/v1/status", "status", MAY_STATUS, "", get_status },
	{ "GET", "/v1/store", "store.stats", MAY_STATUS, "", get_store },
	{ "GET", "/v1/store/verify", "store.verify", MAY_AUDIT, "",
	  get_store_verify },
	{ "GET", "/v1/store/proof", "store.proof", MAY_AUDIT, "event",
	  get_store_proof },
	{ "GET", "/metrics", "metrics", MAY_STATUS, "", get_metrics },

	{ "GET", "/v1/users", "users.list", MAY_USERS, "", get_users },
	{ "POST", "/v1/users", "users.add", MAY_USERS_WRITE, "", post_user },
	{ "GET", "/v1/users/{name}", "users.show", MAY_USERS, "", get_user },
	{ "PATCH", "/v1/users/{name}", "users.update", MAY_USERS_WRITE, "",
	  patch_user },
	{ "DELETE", "/v1/users/{name}", "users.remove", MAY_USERS_WRITE, "",
	  delete_user },
	{ "POST", "/v1/users/{name}/tokens", "users.tokens.add",
	  MAY_USERS_WRITE, "", post_user_token },
	{ "GET", "/v1/tokens", "tokens.list", MAY_USERS, "user", get_tokens },
	{ "DELETE", "/v1/tokens/{id}", "tokens.remove", MAY_USERS_WRITE, "",
	  delete_token },
	{ "GET", "/v1/audit", "audit.list", MAY_AUDIT,
	  "since until limit user after", get_audit },
	{ .path = NULL },
};
/* clang-format on */

/* One part of a path, up to the next slash. */
static struct slice
part(struct slice *rest)
{
	struct slice p = { rest->ptr, 0 };

	while (p.len < rest->len && rest->ptr[p.len] != '/')
		p.len++;
	rest->ptr += p.len;
	rest->len -= p.len;
	return p;
}

/* Whether the path is of that pattern, and what stands for its "{...}". */
static bool
path_fits(const char *pattern, struct slice path,
    struct slice out[PATH_PARAMS_MAX])
{
	struct slice want = { pattern, strlen(pattern) };
	size_t n = 0;

	while (want.len > 0 && path.len > 0) {
		struct slice w, p;

		if (*want.ptr != '/' || *path.ptr != '/')
			return false;
		want.ptr++, want.len--, path.ptr++, path.len--;
		w = part(&want);
		p = part(&path);
		if (w.len > 0 && w.ptr[0] == '{' && n < PATH_PARAMS_MAX &&
		    p.len > 0)
			out[n++] = p;
		else if (!slice_eq(w, p))
			return false;
	}
	return want.len == 0 && path.len == 0;
}

/* False: malformed. */
static bool
decode_parts(struct slice out[PATH_PARAMS_MAX], struct arena *arena)
{
	for (size_t i = 0; i < PATH_PARAMS_MAX && out[i].ptr != NULL; i++) {
		struct slice copy = arena_copy(arena, out[i]);

		if (!http_decode(&copy, (char *)copy.ptr, false))
			return false;
		out[i] = copy;
	}
	return true;
}

const struct route *
route_find(const struct route *table, const char *method, struct slice path,
    struct arena *arena, struct slice out[PATH_PARAMS_MAX],
    char allow[ALLOW_MAX])
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
	size_t used = 0;

	allow[0] = '\0';
	for (; table->path != NULL; table++) {
		for (size_t i = 0; i < PATH_PARAMS_MAX; i++)
			out[i] = (struct slice){ NULL, 0 };
		if (!path_fits(table->path, path, out))
			continue;
		if (strcmp(table->method, wanted) == 0)
			return decode_parts(out, arena) ? table : NULL;
		used += (size_t)snprintf(allow + used, ALLOW_MAX - used, "%s%s",
		    table->method,
		    strcmp(table->method, "GET") == 0 ? ", HEAD, " : ", ");
	}
	if (used > 0)
		(void)snprintf(allow + used, ALLOW_MAX - used, "OPTIONS");
	return NULL;
}

bool
route_is_slow(const char *method, struct slice path)
{
	static ask_handler *const slow[] = { post_login, put_password,
		post_totp, post_user, patch_user };
	struct slice parts[PATH_PARAMS_MAX];

	for (const struct route *r = routes; r->path != NULL; r++) {
		if (strcmp(r->method, method) != 0 ||
		    !path_fits(r->path, path, parts))
			continue;
		for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++)
			if (r->handler == slow[i])
				return true;
	}
	return false;
}

static bool
is_word_of(const char *words, struct slice name)
{
	const char *at = words;

	while (*at != '\0') {
		size_t len = strcspn(at, " ");

		if (slice_eq((struct slice){ at, len }, name))
			return true;
		at += len;
		at += strspn(at, " ");
	}
	return false;
}

enum rc
route_check_params(const struct route *route, const struct http_request *r,
    struct error *err)
{
	for (size_t i = 0; i < r->n_params; i++) {
		struct slice name = r->params[i].name;
		int shown = name.len < 40 ? (int)name.len : 40;

		if (!is_word_of(route->params, name))
			return error_set(err, RC_INVALID,
			    "%s has no parameter \"%.*s\"", route->path, shown,
			    name.ptr);
		if (r->params[i].value.len == 0 &&
		    !slice_eq(name, SLICE("query")))
			return error_set(err, RC_INVALID, "%.*s is empty",
			    shown, name.ptr);
		for (size_t j = 0; j < i; j++)
			if (slice_eq(r->params[j].name, name) &&
			    !slice_eq(name, SLICE("where")) &&
			    !slice_eq(name, SLICE("by")))
				return error_set(err, RC_INVALID,
				    "%.*s stands twice", shown, name.ptr);
	}
	return RC_OK;
}
