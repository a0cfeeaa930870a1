/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl user: who may ask the collector. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd_account.h"
#include "json.h"
#include "tls.h"

enum { BODY_MAX = 16 * 1024, TARGET_MAX = 1024 };

enum {
	OPT_ROLE = 256,
	OPT_ORGANIZATION,
	OPT_CERTIFICATE,
	OPT_PASSWORD,
	OPT_NO_PASSWORD,
	OPT_ENABLE,
	OPT_DISABLE,
	OPT_REMOVE_TOTP,
	OPT_UNLOCK,
	OPT_JSON,
};

static const char help[] =
    "usage: kuzetctl user list [--json]\n"
    "       kuzetctl user show NAME [--json]\n"
    "       kuzetctl user add NAME --role ROLE [--organization ID]\n"
    "                [--certificate FILE] [--no-password]\n"
    "       kuzetctl user update NAME [--role ROLE] [--organization ID]\n"
    "                [--certificate FILE|none] [--password]\n"
    "                [--enable|--disable] [--remove-totp] [--unlock]\n"
    "       kuzetctl user remove NAME\n\n"
    "ROLE is owner, analyst, responder, auditor, administrator or\n"
    "national-centre.  A user of an organization sees that one's events and\n"
    "incidents; an owner needs one.  The password is asked for, or read from\n"
    "standard input; --certificate is the PEM file of a client certificate.\n";

static const struct account_column columns[] = {
	{ "USER", "user", 20 },
	{ "ROLE", "role", 16 },
	{ "ORGANIZATION", "organization", 16 },
	{ "ENABLED", "enabled", 8 },
	{ "TOTP", "totp", 6 },
	{ "LAST LOGIN", "last_login", 0 },
};

struct user_options {
	const char *name, *role, *organization, *certificate;
	bool password, no_password, enable, disable, remove_totp, unlock;
};

static const struct option options[] = {
	{ "role", required_argument, NULL, OPT_ROLE },
	{ "organization", required_argument, NULL, OPT_ORGANIZATION },
	{ "certificate", required_argument, NULL, OPT_CERTIFICATE },
	{ "password", no_argument, NULL, OPT_PASSWORD },
	{ "no-password", no_argument, NULL, OPT_NO_PASSWORD },
	{ "enable", no_argument, NULL, OPT_ENABLE },
	{ "disable", no_argument, NULL, OPT_DISABLE },
	{ "remove-totp", no_argument, NULL, OPT_REMOVE_TOTP },
	{ "unlock", no_argument, NULL, OPT_UNLOCK },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static bool
take_option(struct user_options *o, struct global_options *global, int c)
{
	switch (c) {
	case OPT_ROLE:
		o->role = optarg;
		return true;
	case OPT_ORGANIZATION:
		o->organization = optarg;
		return true;
	case OPT_CERTIFICATE:
		o->certificate = optarg;
		return true;
	case OPT_PASSWORD:
		return o->password = true;
	case OPT_NO_PASSWORD:
		return o->no_password = true;
	case OPT_ENABLE:
		return o->enable = true;
	case OPT_DISABLE:
		return o->disable = true;
	case OPT_REMOVE_TOTP:
		return o->remove_totp = true;
	case OPT_UNLOCK:
		return o->unlock = true;
	case OPT_JSON:
		return global->json = true;
	default:
		return false;
	}
}

/* -1: go on; else the exit status.  One NAME where `named`. */
static int
parse(struct user_options *o, struct global_options *global, bool named,
    int argc, char *argv[])
{
	int c;

	*o = (struct user_options){ .name = NULL };
	optind = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		}
		if (!take_option(o, global, c))
			return EXIT_USAGE;
	}
	if (argc - optind != (named ? 1 : 0)) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	o->name = named ? argv[optind] : NULL;
	return -1;
}

static int
list_users(const struct global_options *global, int argc, char *argv[])
{
	static const struct client_request request = { .method = "GET",
		.target = "/v1/users" };
	struct global_options own = *global;
	struct user_options o;
	int status = parse(&o, &own, false, argc, argv);

	return status >= 0 ? status
			   : account_ask(&own, &request, columns, "user list");
}

/* A request about one user, with a body or without. */
static int
ask_user(const struct global_options *global, const char *method,
    const char *name, struct slice body)
{
	struct client_request request = { .method = method, .body = body };
	struct buf target;
	int status;

	buf_init(&target, TARGET_MAX);
	if (name != NULL)
		target_path(&target, "/v1/users/", name, "");
	request.target = name != NULL ? target.ptr : "/v1/users";
	status = account_ask(global, &request,
	    strcmp(method, "DELETE") != 0 ? columns : NULL, "user");
	buf_fini(&target);
	return status;
}

static int
show_user(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct user_options o;
	int status = parse(&o, &own, true, argc, argv);

	return status >= 0
	    ? status
	    : ask_user(&own, "GET", o.name, (struct slice){ NULL, 0 });
}

static int
remove_user(const struct global_options *global, int argc, char *argv[])
{
	struct global_options own = *global;
	struct user_options o;
	int status = parse(&o, &own, true, argc, argv);

	return status >= 0
	    ? status
	    : ask_user(&own, "DELETE", o.name, (struct slice){ NULL, 0 });
}

static enum rc
write_body(struct buf *out, const struct user_options *o, bool add,
    struct error *err)
{
	char digest[SHA256_TEXT] = "";
	struct json_writer w;
	struct buf password;
	enum rc rc = RC_OK;

	json_begin(&w, out);
	json_open(&w, '{');
	body_text(&w, "user", add ? o->name : NULL);
	body_text(&w, "role", o->role);
	body_text(&w, "organization", o->organization);
	if (o->certificate != NULL && strcmp(o->certificate, "none") != 0)
		rc = tls_certificate_digest(o->certificate, digest, err);
	if (o->certificate != NULL)
		body_text(&w, "certificate", digest);
	if (o->enable || o->disable) {
		json_key(&w, "enabled");
		json_bool(&w, o->enable);
	}
	if (o->remove_totp) {
		json_key(&w, "remove_totp");
		json_bool(&w, true);
	}
	if (o->unlock) {
		json_key(&w, "unlock");
		json_bool(&w, true);
	}
	buf_init(&password, BODY_MAX);
	if (rc == RC_OK && (o->password || (add && !o->no_password))) {
		rc = read_secret("password", true, &password, err);
		json_key(&w, "password");
		json_string(&w, buf_slice(&password));
	}
	buf_fini(&password);
	json_close(&w, '}');
	return rc;
}

static int
change_user(const struct global_options *global, bool add, int argc,
    char *argv[])
{
	struct global_options own = *global;
	struct user_options o;
	struct error err;
	struct buf body;
	int status = parse(&o, &own, true, argc, argv);

	if (status >= 0)
		return status;
	buf_init(&body, BODY_MAX);
	if (write_body(&body, &o, add, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl user: %s\n", err.text);
		status = EXIT_USAGE;
	} else {
		status = ask_user(&own, add ? "POST" : "PATCH",
		    add ? NULL : o.name, buf_slice(&body));
	}
	buf_fini(&body);
	return status;
}

static int
add_user(const struct global_options *global, int argc, char *argv[])
{
	return change_user(global, true, argc, argv);
}

static int
update_user(const struct global_options *global, int argc, char *argv[])
{
	return change_user(global, false, argc, argv);
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand list[] = {
		{ "list", list_users },
		{ "show", show_user },
		{ "add", add_user },
		{ "update", update_user },
		{ "remove", remove_user },
		{ NULL, NULL },
	};

	return family_run("user", list, help, global, argc, argv);
}

const struct command cmd_user = { "user", "who may ask the collector", run };
