/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its way through the API, and what handlers share: the route
 * table's rows, parameters, bodies, answers line by line.
 */
#pragma once

#include "accounts.h"
#include "arena.h"
#include "collector/api/api.h"
#include "collector/api/http.h"
#include "soc.h"

enum { PATH_PARAMS_MAX = 2, DETAIL_MAX = 512, BODY_TEXTS_MAX = 8 };

struct api;
struct route;

struct ask {
	struct api *api;
	const struct http_request *request;
	struct http_reply *reply;
	const struct route *route;          /* NULL: none fits */
	struct slice path[PATH_PARAMS_MAX]; /* of "{...}", in order */
	struct caller caller;
	struct arena *arena; /* of this request */
	struct buf line;     /* of the answer, being written */
	enum json_shape shape;
	char detail[DETAIL_MAX]; /* for the audit log: what was changed */
};

typedef void ask_handler(struct ask *a);

struct route {
	const char *method; /* "GET" */
	const char *path;   /* "/v1/incidents/{id}"; NULL ends the table */
	const char *action; /* in the audit log: "incidents.show" */
	unsigned need;      /* enum permission; 0: everybody, without log-in */
	const char *params; /* names that the query may have, by spaces */
	ask_handler *handler;
};

/* routes.c: every route of the API. */
extern const struct route routes[];

/*
 * The route of a method and a path, whose parts go to path[] (decoded, in the
 * arena).  NULL: *allow holds the methods that the path has, or is empty.
 */
enum { ALLOW_MAX = 64 };
const struct route *route_find(const struct route *table, const char *method,
    struct slice path, struct arena *arena, struct slice out[PATH_PARAMS_MAX],
    char allow[ALLOW_MAX]);
/* Whether the route hashes passwords. */
bool route_is_slow(const char *method, struct slice path);
/* RC_INVALID: a parameter that the route does not have, or one twice. */
enum rc route_check_params(const struct route *route,
    const struct http_request *r, struct error *err);

/* ---- answers ---------------------------------------------------------------- */

/* GET, HEAD, OPTIONS: nothing is changed. */
bool ask_only_reads(const struct ask *a);
/* Sends the line; false: nobody reads any more. */
bool ask_line(struct ask *a);
/* With the status that such an error has; RC_OK does nothing. */
void ask_fail(struct ask *a, enum rc rc, const struct error *err);
/* The owner whose things the caller may see; ptr NULL: all. */
struct slice ask_owner(const struct ask *a);
struct slice ask_name(const struct ask *a);
/* For the audit log. */
void ask_note(struct ask *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- parameters: *out stays as it is where none is given -------------------- */

enum rc param_time(const struct ask *a, const char *name, int64_t *time_ns,
    struct error *err);
enum rc param_number(const struct ask *a, const char *name, uint64_t *out,
    struct error *err);
enum rc param_flag(const struct ask *a, const char *name, bool *out,
    struct error *err);
/* since, until, limit, where (filters has room for HTTP_PARAMS_MAX). */
enum rc param_query(const struct ask *a, struct store_query *q,
    struct store_filter *filters, struct error *err);

/* ---- bodies ------------------------------------------------------------------ */

enum body_kind { BODY_TEXT, BODY_NUMBER, BODY_FLAG, BODY_TEXTS };
/* An array of strings. */
struct body_texts {
	struct slice list[BODY_TEXTS_MAX];
	size_t n;
};
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in reading order */
struct body_member {
	const char *name;
	enum body_kind kind;
	/* struct slice * (ptr NULL: not given), uint64_t *, bool *,
	 * struct body_texts * */
	void *out;
	bool required;
	bool *given; /* may be NULL */
};
/*
 * One JSON object with such members and no others; texts are in the arena.
 */
enum rc body_parse(struct ask *a, const struct body_member *members, size_t n,
    struct error *err);

/* ---- handlers ----------------------------------------------------------------- */

ask_handler get_events, get_search, get_detections, get_agents, get_objects,
    get_object;
ask_handler post_enroll, post_enroll_renew, post_revoke_agent;
ask_handler get_enroll_tokens, post_enroll_token, delete_enroll_token;
ask_handler get_incidents, get_incident, patch_incident;
ask_handler get_rules, get_rule, post_reload;
ask_handler get_healthz, get_metrics, get_status, get_store, get_openapi;
ask_handler get_store_verify, get_store_proof;
ask_handler get_live;
ask_handler post_login, post_logout, get_me, put_password, post_totp, put_totp;
ask_handler get_my_tokens, post_my_token, delete_my_token;
ask_handler get_users, post_user, get_user, patch_user, delete_user;
ask_handler post_user_token, get_tokens, delete_token;
ask_handler get_audit;
ask_handler get_configs, get_config_key, post_config_check, post_config_push;
ask_handler get_orders, get_order, post_respond;
ask_handler get_saved_searches, post_saved_search, get_saved_search;
ask_handler put_saved_search, delete_saved_search, run_saved_search;

/* search.c: whether the parameters of the request are a search; *column: of a
 * mistake in the query, else 0. */
enum rc search_check(struct ask *a, size_t *column, struct error *err);
