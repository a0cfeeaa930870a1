/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl login, logout: a profile with a session of a distant collector. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_account.h"
#include "json.h"
#include "profile.h"
#include "xalloc.h"

enum { BODY_MAX = 8192, SECRET_MAX = 2048, ARENA_BLOCK = 4096 };

static const char login_help[] =
    "usage: kuzetctl [--profile NAME] login --server HOST:PORT --ca FILE\n"
    "                --user NAME [--certificate FILE --key FILE]\n"
    "       kuzetctl [--profile NAME] login\n"
    "       kuzetctl login --list\n\n"
    "Begins a session with a collector's HTTPS API and keeps it in the\n"
    "profile NAME (default: \"default\"), which other commands then use.  Only\n"
    "certificates of --ca are believed.  The password, and a one-time code\n"
    "where one is needed, are asked for, or read as lines of standard input.\n"
    "Without --user nobody is logged in: the certificate says who it is.\n"
    "The second form begins another session of a profile that is there, the\n"
    "third shows which there are.  A profile stays as it was where logging in\n"
    "fails.\n";

static const char logout_help[] =
    "usage: kuzetctl [--profile NAME] logout [--forget]\n\n"
    "Ends the session; the profile stays, unless it is to be forgotten.\n";

static const char *
profile_name(const struct global_options *global)
{
	const char *name = profile_chosen(global);

	return name != NULL ? name : "default";
}

/* The session's token out of the answer. */
static bool
take_token(void *ctx, struct slice line)
{
	char **token = ctx;
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct slice text;
	struct event ev;
	struct error err;

	event_begin(&ev, arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) == RC_OK) {
		text = event_get_string(&ev, field_intern(SLICE("token")));
		if (text.len > 0)
			*token = xmemdupz(text.ptr, text.len);
	}
	arena_free(arena);
	return true;
}

static enum rc
ask_session(const struct global_options *global, const char *user,
    struct slice password, struct slice code, char **token, struct error *err)
{
	struct client_request request = { .method = "POST",
		.target = "/v1/login" };
	struct json_writer w;
	struct buf body;
	enum rc rc;

	buf_init(&body, BODY_MAX);
	json_begin(&w, &body);
	json_open(&w, '{');
	body_text(&w, "user", user);
	json_key(&w, "password");
	json_string(&w, password);
	json_optional(&w, "code", code);
	json_close(&w, '}');
	request.body = buf_slice(&body);
	rc = client_ask(global, &request, take_token, token, err);
	explicit_bzero(body.ptr, body.len);
	buf_fini(&body);
	if (rc == RC_OK && *token == NULL)
		rc = error_set(err, RC_LIBRARY, "the collector gave no token");
	return rc;
}

/* A one-time code only where the collector wants one. */
static enum rc
begin_session(const struct global_options *global, const char *user,
    char **token, struct error *err)
{
	struct buf password, code;
	enum rc rc;

	buf_init(&password, SECRET_MAX);
	buf_init(&code, SECRET_MAX);
	rc = read_secret("password", false, &password, err);
	if (rc == RC_OK)
		rc = ask_session(global, user, buf_slice(&password),
		    (struct slice){ NULL, 0 }, token, err);
	if (rc == RC_DENIED && strstr(err->text, "one-time code") != NULL) {
		rc = read_secret("one-time code", false, &code, err);
		if (rc == RC_OK)
			rc = ask_session(global, user, buf_slice(&password),
			    buf_slice(&code), token, err);
	}
	if (password.ptr != NULL)
		explicit_bzero(password.ptr, password.len);
	buf_fini(&password);
	buf_fini(&code);
	return rc;
}

static void
replace(char **at, const char *value)
{
	if (value == NULL)
		return;
	free(*at);
	*at = xstrdup(value);
}

static bool
ignore_line(void *ctx, struct slice line)
{
	(void)ctx;
	(void)line;
	return true;
}

/* Nothing but the certificate says who it is: is it somebody? */
static enum rc
ask_who(const struct global_options *global, struct error *err)
{
	return client_get(global, "/v1/me", ignore_line, NULL, err);
}

/* The profile is written when all is well, and not touched otherwise. */
static enum rc
log_in(const char *name, const struct profile *given, struct error *err)
{
	struct profile p = { .server = NULL };
	struct global_options own = { .given = &p };
	char *token = NULL;
	enum rc rc = RC_OK;

	if (profile_exists(name) || given->server == NULL || given->ca == NULL)
		rc = profile_load(name, &p, err);
	if (rc != RC_OK)
		return rc;
	replace(&p.server, given->server);
	replace(&p.ca, given->ca);
	replace(&p.user, given->user);
	replace(&p.certificate, given->certificate);
	replace(&p.key, given->key);
	free(p.token);
	p.token = NULL;
	rc = p.user != NULL ? begin_session(&own, p.user, &token, err)
			    : ask_who(&own, err);
	if (rc == RC_OK) {
		p.token = token;
		rc = profile_save(name, &p, err);
	}
	profile_free(&p);
	return rc;
}

static void
show_profile(void *ctx, const char *name)
{
	const struct global_options *global = ctx;
	struct json_writer w;
	struct profile p;
	struct error err;
	struct buf line;

	if (profile_load(name, &p, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl login: %s\n", err.text);
		return;
	}
	buf_init(&line, BODY_MAX);
	if (global->json) {
		json_begin(&w, &line);
		json_open(&w, '{');
		body_text(&w, "profile", name);
		body_text(&w, "server", p.server);
		body_text(&w, "user", p.user);
		json_key(&w, "session");
		json_bool(&w, p.token != NULL);
		json_close(&w, '}');
	} else {
		(void)buf_printf(&line, "%-16s %-28s %-16s %s", name, p.server,
		    p.user != NULL ? p.user : "-",
		    p.token != NULL      ? "logged in"
			: p.user != NULL ? "logged out"
					 : "by certificate");
	}
	(void)printf("%.*s\n", SLICE_ARG(buf_slice(&line)));
	buf_fini(&line);
	profile_free(&p);
}

/* What is on this machine: whether a session still holds the collector knows. */
static int
list_profiles(const struct global_options *global)
{
	struct global_options own = *global;
	struct error err;

	if (!own.json)
		(void)printf("%-16s %-28s %-16s %s\n", "PROFILE", "SERVER",
		    "USER", "SESSION");
	if (profile_list(show_profile, &own, &err) != RC_OK) {
		(void)fprintf(stderr, "kuzetctl login: %s\n", err.text);
		return EXIT_FAILED;
	}
	return fflush(stdout) == 0 && ferror(stdout) == 0 ? EXIT_GOOD
							  : EXIT_FAILED;
}

static int
run_login(const struct global_options *global, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "server", required_argument, NULL, 's' },
		{ "ca", required_argument, NULL, 'a' },
		{ "user", required_argument, NULL, 'u' },
		{ "certificate", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "list", no_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct global_options own = *global;
	bool list = false;
	struct profile given = { .server = NULL };
	struct error err;
	enum rc rc;
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			given.server = optarg;
			break;
		case 'a':
			given.ca = optarg;
			break;
		case 'u':
			given.user = optarg;
			break;
		case 'c':
			given.certificate = optarg;
			break;
		case 'k':
			given.key = optarg;
			break;
		case 'l':
			list = true;
			break;
		case 'j':
			own.json = true;
			break;
		case 'h':
			(void)fputs(login_help, stdout);
			return EXIT_GOOD;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		(void)fputs(login_help, stderr);
		return EXIT_USAGE;
	}
	if (list)
		return list_profiles(&own);
	rc = log_in(profile_name(global), &given, &err);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl login: %s\n", err.text);
	else
		(void)fprintf(stderr, "logged in; the profile is \"%s\"\n",
		    profile_name(global));
	return rc == RC_OK     ? EXIT_GOOD
	    : rc == RC_INVALID ? EXIT_USAGE
			       : EXIT_FAILED;
}

/* A session that is over already is no failure. */
static enum rc
log_out(const char *name, bool forget, struct error *err)
{
	static const struct client_request request = { .method = "POST",
		.target = "/v1/logout" };
	struct profile p;
	struct global_options own = { .given = &p };
	enum rc rc = profile_load(name, &p, err);

	if (rc != RC_OK)
		return rc;
	if (p.token != NULL)
		rc = client_ask(&own, &request, ignore_line, NULL, err);
	free(p.token);
	p.token = NULL;
	if (rc == RC_DENIED)
		rc = RC_OK;
	if (rc != RC_OK && forget)
		(void)fprintf(stderr,
		    "kuzetctl logout: %s; the session ends by itself\n",
		    err->text);
	if (forget)
		rc = profile_remove(name, err);
	else if (rc == RC_OK)
		rc = profile_save(name, &p, err);
	profile_free(&p);
	return rc;
}

static int
run_logout(const struct global_options *global, int argc, char *argv[])
{
	bool forget = argc == 2 && strcmp(argv[1], "--forget") == 0;
	struct error err;
	enum rc rc;

	if (argc > 1 && !forget) {
		bool asked = strcmp(argv[1], "--help") == 0 ||
		    strcmp(argv[1], "-h") == 0;

		(void)fputs(logout_help, asked ? stdout : stderr);
		return asked ? EXIT_GOOD : EXIT_USAGE;
	}
	rc = log_out(profile_name(global), forget, &err);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl logout: %s\n", err.text);
	return rc == RC_OK     ? EXIT_GOOD
	    : rc == RC_INVALID ? EXIT_USAGE
			       : EXIT_FAILED;
}

const struct command cmd_login = { "login",
	"begin a session over HTTPS and keep it", run_login };
const struct command cmd_logout = { "logout", "end that session", run_logout };
