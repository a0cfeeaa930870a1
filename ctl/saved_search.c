/* SPDX-License-Identifier: Apache-2.0 */
#include "saved_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_account.h"
#include "json.h"

enum { BODY_MAX = 128 * 1024, TARGET_MAX = 1024, ARENA_BLOCK = 16 * 1024 };

static const char searches[] = "/v1/searches";

static const struct account_column columns[] = {
	{ "NAME", "name", 24 },
	{ "OWNER", "owner", 16 },
	{ "VISIBLE", "visibility", 8 },
	{ "SINCE", "since", 8 },
	{ "BY", "by", 24 },
	{ "QUERY", "query", 0 },
};

int
saved_list(const struct global_options *global)
{
	static const struct client_request request = { .method = "GET",
		.target = searches };

	return account_ask(global, &request, columns, "search --list-saved");
}

/* ---- by name -------------------------------------------------------------------- */

struct finder {
	struct slice owner; /* ptr NULL: anybody's */
	int64_t id, revision;
	bool mine, ambiguous;
	struct saved_found found;
};

static bool
has(const struct event *ev, const char *name)
{
	return event_get(ev,
		   field_intern((struct slice){ name, strlen(name) })) != NULL;
}

static int64_t
number(const struct event *ev, struct slice name)
{
	const struct value *v = event_get(ev, field_intern(name));

	return v != NULL && v->kind == VALUE_INT ? v->i : 0;
}

static void
take_found(struct finder *f, const struct event *ev)
{
	const struct value *mine = event_get(ev, field_intern(SLICE("mine")));
	bool own = mine != NULL && mine->kind == VALUE_BOOL && mine->b;

	if (f->owner.ptr != NULL &&
	    !slice_eq(event_get_string(ev, field_intern(SLICE("owner"))),
		f->owner))
		return;
	if (f->id != 0 && !own) {
		f->ambiguous = f->ambiguous || !f->mine;
		return;
	}
	f->mine = own;
	f->ambiguous = false;
	f->id = number(ev, SLICE("id"));
	f->revision = number(ev, SLICE("revision"));
	f->found = (struct saved_found){
		.groups = has(ev, "by") || has(ev, "every") ||
		    has(ev, "distinct") || has(ev, "measure"),
		.count = has(ev, "count"),
	};
}

static bool
on_found(void *ctx, struct slice line)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) == RC_OK)
		take_found(ctx, &ev);
	arena_free(arena);
	return true;
}

static enum rc
find(const struct global_options *global, const char *name, struct finder *f,
    struct error *err)
{
	const char *slash = strchr(name, '/');
	const char *plain = slash != NULL ? slash + 1 : name;
	struct buf target;
	enum rc rc;

	*f = (struct finder){ .id = 0 };
	if (slash != NULL)
		f->owner = (struct slice){ name, (size_t)(slash - name) };
	if (plain[0] == '\0')
		return error_set(err, RC_INVALID,
		    "a saved search has a name: kuzetctl search --list-saved");
	buf_init(&target, TARGET_MAX);
	(void)buf_add_str(&target, searches);
	client_param(&target, "name", (struct slice){ plain, strlen(plain) });
	(void)buf_add_char(&target, '\0');
	rc = target.overflowed
	    ? error_set(err, RC_INVALID, "the name is too long")
	    : client_get(global, target.ptr, on_found, f, err);
	buf_fini(&target);
	if (rc == RC_OK && f->id == 0)
		rc = error_set(err, RC_EOF,
		    "there is no saved search \"%s\": kuzetctl search "
		    "--list-saved shows those there are",
		    name);
	if (rc == RC_OK && f->ambiguous)
		rc = error_set(err, RC_INVALID,
		    "several share a search \"%s\": write OWNER/%s", name,
		    name);
	return rc;
}

enum rc
saved_find(const struct global_options *global, const char *name,
    struct saved_found *out, struct error *err)
{
	struct finder f;
	enum rc rc = find(global, name, &f, err);

	*out = f.found;
	(void)snprintf(out->path, sizeof(out->path), "%s/%lld/run", searches,
	    (long long)f.id);
	return rc;
}

static int
complain(const char *option, enum rc rc, const struct error *err)
{
	(void)fprintf(stderr, "kuzetctl search %s: %s\n", option, err->text);
	return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int
saved_remove(const struct global_options *global, const char *name)
{
	static const char option[] = "--delete-saved";
	struct client_request request = { .method = "DELETE" };
	char path[SAVED_PATH_MAX];
	struct finder f;
	struct error err;
	enum rc rc = find(global, name, &f, &err);

	if (rc != RC_OK)
		return complain(option, rc, &err);
	(void)snprintf(path, sizeof(path), "%s/%lld", searches,
	    (long long)f.id);
	request.target = path;
	return account_ask(global, &request, NULL, "search --delete-saved");
}

/* ---- saving ----------------------------------------------------------------------- */

static void
write_by(struct json_writer *w, const struct saved_arguments *a)
{
	bool any = false;

	for (size_t i = 0; i < a->n_given; i++) {
		if (strcmp(a->given[i].name, "by") != 0)
			continue;
		if (!any) {
			json_key(w, "by");
			json_open(w, '[');
		}
		any = true;
		json_string(w, a->given[i].value);
	}
	if (any)
		json_close(w, ']');
}

static void
write_body(struct buf *out, const struct saved_arguments *a, const char *query,
    int64_t revision)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "name");
	json_str(&w, a->save);
	json_key(&w, "query");
	json_str(&w, query);
	json_key(&w, "visibility");
	json_str(&w, a->share ? "shared" : "own");
	for (size_t i = 0; i < a->n_given; i++) {
		const struct saved_given *g = &a->given[i];

		if (strcmp(g->name, "by") == 0)
			continue;
		json_key(&w, g->name);
		if (strcmp(g->name, "count") == 0)
			json_bool(&w, true);
		else if (strcmp(g->name, "limit") == 0)
			json_raw(&w, g->value);
		else
			json_string(&w, g->value);
	}
	write_by(&w, a);
	if (revision > 0) {
		json_key(&w, "revision");
		json_int(&w, revision);
	}
	json_close(&w, '}');
}

static bool
pass_line(void *ctx, struct slice line)
{
	const struct global_options *global = ctx;

	if (global->json)
		(void)printf("%.*s\n", SLICE_ARG(line));
	return ferror(stdout) == 0;
}

/* Over what is there only if that is said: it may be somebody's daily work. */
static enum rc
save(const struct global_options *global, const struct saved_arguments *a,
    const char *query, struct error *err)
{
	struct client_request request = { .method = "POST",
		.target = searches };
	struct global_options own = *global;
	char path[SAVED_PATH_MAX];
	struct finder f = { .id = 0 };
	struct buf body;
	enum rc rc = find(global, a->save, &f, err);

	if (rc == RC_EOF || (rc == RC_OK && !f.mine) ||
	    (rc == RC_INVALID && f.ambiguous))
		f.revision = 0;
	else if (rc != RC_OK)
		return rc;
	else if (!a->replace)
		return error_set(err, RC_DENIED,
		    "you have a saved search \"%s\" already: --replace puts "
		    "this one in its place",
		    a->save);
	if (f.revision > 0) {
		(void)snprintf(path, sizeof(path), "%s/%lld", searches,
		    (long long)f.id);
		request =
		    (struct client_request){ .method = "PUT", .target = path };
	}
	buf_init(&body, BODY_MAX);
	write_body(&body, a, query, f.revision);
	request.body = buf_slice(&body);
	rc = body.overflowed
	    ? error_set(err, RC_INVALID, "the search is too long")
	    : client_ask(global, &request, pass_line, &own, err);
	buf_fini(&body);
	return rc;
}

int
saved_save(const struct global_options *global, const struct saved_arguments *a,
    const char *query)
{
	struct error err;
	enum rc rc = strchr(a->save, '/') != NULL
	    ? error_set(&err, RC_INVALID, "a name has no \"/\"")
	    : save(global, a, query, &err);

	if (rc != RC_OK)
		return complain("--save", rc, &err);
	(void)fprintf(stderr, "saved; run it: kuzetctl search --saved '%s'\n",
	    a->save);
	return fflush(stdout) == 0 && ferror(stdout) == 0 ? EXIT_GOOD
							  : EXIT_FAILED;
}
