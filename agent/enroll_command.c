/* SPDX-License-Identifier: Apache-2.0 */
/* kuzet-agent enroll: this machine becomes an agent. */
#include "agent/enroll_command.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "agent/config.h"
#include "agent/identity.h"
#include "agent/pipeline.h"
#include "enrol_token.h"
#include "log.h"
#include "timestamp.h"
#include "tls_stream.h"

enum { EXIT_USAGE = 2, API_PORT = 8443, TOKEN_MAX = 512, TRIES = 3 };
enum { OPT_SERVER = 256, OPT_TOKEN, OPT_NAME, OPT_FORCE };

static const char help[] =
    "Usage: kuzet-agent enroll --server HOST[:PORT] --token TOKEN [-c FILE]\n"
    "                          [--name AGENT] [--force]\n"
    "\n"
    "Makes this machine an agent: makes a key that never leaves it, gets a\n"
    "certificate for it by a one-time token, and writes both, and the\n"
    "certificates to verify the collector with, where the configuration names\n"
    "them; and the key of the collector's orders (central.key), which does\n"
    "nothing until central.accept or response.enabled is set.  The token says by\n"
    "which certificate the collector is known; nothing is sent to anybody else.\n"
    "Once the agent runs it renews its certificate by itself.\n"
    "\n"
    "  -c, --config FILE   configuration; default: " AGENT_CONFIG_PATH "\n"
    "      --server HOST   of the collector's API; its port is 8443 by default\n"
    "      --token TOKEN   of kuzetctl agent enroll-token; - reads it from\n"
    "                      standard input, where no list of processes shows it\n"
    "      --name AGENT    what it wants to be called where the token does not\n"
    "                      say; default: the host's name\n"
    "      --force         although it has an identity: that is replaced\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit status: 0 enrolled, 1 not, or it cannot connect, 2 wrong usage or\n"
    "configuration.\n";

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "token", required_argument, NULL, OPT_TOKEN },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct enrolling {
	const char *config_path, *server, *name;
	bool force;
	char token_text[TOKEN_MAX];
	struct enrol_token token;
	char address[ADDRESS_TEXT];
	struct agent_config config;
	struct identity_files files;
	enum rc pinned; /* identity_pin() */
};

static void
say_error(const char *text)
{
	(void)fprintf(stderr, "kuzet-agent enroll: %s\n", text);
}

/* ---- what is asked for ------------------------------------------------------------ */

static void
take_token(struct enrolling *e, const char *text)
{
	if (strcmp(text, "-") != 0)
		(void)snprintf(e->token_text, sizeof(e->token_text), "%s",
		    text);
	else if (fgets(e->token_text, sizeof(e->token_text), stdin) == NULL)
		e->token_text[0] = '\0';
}

/* -1: go on. */
static int
parse_options(struct enrolling *e, int argc, char *argv[])
{
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			e->config_path = optarg;
			break;
		case OPT_SERVER:
			e->server = optarg;
			break;
		case OPT_TOKEN:
			take_token(e, optarg);
			break;
		case OPT_NAME:
			e->name = optarg;
			break;
		case OPT_FORCE:
			e->force = true;
			break;
		case 'h':
			(void)fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	if (e->server != NULL && e->token_text[0] != '\0' && optind == argc)
		return -1;
	(void)fputs(help, stderr);
	return EXIT_USAGE;
}

/* HOST, HOST:PORT, [ADDRESS], ADDRESS of version 6. */
static enum rc
complete_address(struct enrolling *e, struct error *err)
{
	char host[ADDRESS_HOST];
	uint16_t port;
	size_t len = strlen(e->server);

	if (address_split(e->server, host, &port)) {
		(void)snprintf(e->address, sizeof(e->address), "%s", e->server);
		return RC_OK;
	}
	if (len == 0 || len >= ADDRESS_HOST || strchr(e->server, '/') != NULL)
		return error_set(err, RC_INVALID,
		    "--server %s: must be HOST or HOST:PORT", e->server);
	if (e->server[0] == '[')
		(void)snprintf(e->address, sizeof(e->address), "%s:%d",
		    e->server, API_PORT);
	else
		address_join(e->server, API_PORT, e->address);
	return address_split(e->address, host, &port)
	    ? RC_OK
	    : error_set(err, RC_INVALID,
		  "--server %s: must be HOST or HOST:PORT", e->server);
}

static void
own_files(struct enrolling *e)
{
	const struct agent_config *c = &e->config;
	char text[4096];
	struct passwd pw, *found = NULL;

	e->files = agent_identity_files(c);
	if (geteuid() != 0 || c->user == NULL)
		return;
	(void)getpwnam_r(c->user, &pw, text, sizeof(text), &found);
	if (found != NULL) {
		e->files.uid = pw.pw_uid;
		e->files.gid = pw.pw_gid;
	}
}

static enum rc
check_request(struct enrolling *e, struct error *err)
{
	const char *name = e->name != NULL ? e->name : e->config.host_name;
	struct certificate old;
	char until[TIMESTAMP_TEXT_MAX];

	e->name = name;
	if (e->force || access(e->config.tls.certificate, F_OK) != 0)
		return RC_OK;
	if (certificate_read(e->config.tls.certificate, &old, err) != RC_OK)
		return error_set(err, RC_DENIED,
		    "%s is there already: --force replaces it",
		    e->config.tls.certificate);
	return error_set(err, RC_DENIED,
	    "this machine is the agent \"%s\" already: %s is good until %.*s; "
	    "--force replaces it",
	    old.name, e->config.tls.certificate,
	    SLICE_ARG(timestamp_format(old.not_after_ns, until)));
}

/* ---- enrolling -------------------------------------------------------------------- */

/* The folder of a file, if only it is missing. */
static enum rc
make_folder_of(const struct identity_files *f, const char *path,
    struct error *err)
{
	char dir[IDENTITY_PATH];
	char *slash;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return RC_OK;
	*slash = '\0';
	if (mkdir(dir, 0700) != 0)
		return errno == EEXIST
		    ? RC_OK
		    : error_set_errno(err, errno, "cannot make %s", dir);
	if (f->uid != (uid_t)-1 && lchown(dir, f->uid, f->gid) != 0)
		return error_set_errno(err, errno, "cannot give %s away", dir);
	return RC_OK;
}

/* The commonest mistakes, each with its remedy. */
static enum rc
explain(struct error *err)
{
	struct error why = *err;
	const char *remedy = "";

	if (why.code != RC_DENIED)
		return why.code;
	if (strstr(why.text, "has the fingerprint") != NULL)
		remedy = "; nothing was sent: this is not the collector that "
			 "made the token, or somebody is in between";
	else if (strstr(why.text, "mismatch") != NULL)
		remedy = "; nothing was sent: --server must be a name or an "
			 "address that the collector's certificate has";
	else if (strstr(why.text, "not yet valid") != NULL ||
	    strstr(why.text, "certificate has expired") != NULL)
		remedy = "; nothing was sent: is the clock right here and "
			 "there?";
	return error_set(err, why.code, "%s%s", why.text, remedy);
}

/* A lost answer is asked for again: the token knows the key. */
static enum rc
get_certificate(struct enrolling *e, struct enrolment *got, struct error *err)
{
	const struct enrolment_server server = { .address = e->address,
		.fingerprint = e->token.fingerprint };
	char key[IDENTITY_PATH];
	enum rc rc = RC_SYSTEM;

	identity_new_name(e->files.key, key);
	for (int i = 0; rc == RC_SYSTEM && i < TRIES; i++) {
		enrolment_fini(got);
		enrolment_init(got);
		rc = enrolment_ask(&server,
		    (struct slice){ e->token.secret, ENROL_SECRET - 1 }, key,
		    e->name, got, err);
	}
	return rc == RC_OK ? rc : explain(err);
}

static enum rc
check_clock(const struct certificate *c, struct error *err)
{
	if (c->not_before_ns <= timestamp_now() &&
	    c->not_after_ns > timestamp_now())
		return RC_OK;
	return error_set(err, RC_INVALID,
	    "the certificate that came is not good now: the clocks of this "
	    "machine and of the collector are more than five minutes apart");
}

static enum rc
enroll(struct enrolling *e, struct enrolment *got, struct error *err)
{
	struct identity_record record = { .renew_ns = 0 };
	const char *const files[] = { e->files.ca, e->files.certificate,
		e->files.key };
	enum rc rc = RC_OK;

	pipeline_make_state_dir(&e->config);
	for (size_t i = 0; rc == RC_OK && i < 3; i++)
		rc = make_folder_of(&e->files, files[i], err);
	if (rc == RC_OK)
		rc = identity_new_key(&e->files, true, err);
	if (rc == RC_OK)
		rc = get_certificate(e, got, err);
	if (rc == RC_OK)
		rc = check_clock(&got->certificate, err);
	if (rc == RC_OK)
		rc = identity_install(&e->files, got, err);
	if (rc != RC_OK)
		return rc;
	(void)snprintf(record.server, sizeof(record.server), "%s", e->address);
	memcpy(record.fingerprint, e->token.fingerprint,
	    sizeof(record.fingerprint));
	memcpy(record.agent, got->certificate.name, sizeof(record.agent));
	memcpy(record.group, got->group, sizeof(record.group));
	record.renew_ns = got->renew_ns;
	return identity_record_write(&e->files, &record, err);
}

/* It is enrolled, whatever comes of this. */
static void
pin_orders_key(struct enrolling *e, const struct enrolment *got)
{
	struct error err;

	e->pinned = identity_pin(&e->files, got, e->force, &err);
	if (e->pinned != RC_OK && e->pinned != RC_EOF)
		say_error(err.text);
}

/* ---- does it work? ------------------------------------------------------------------ */

/* With TLS 1.3 a refusal comes after the handshake, as an alert. */
static enum rc
try_host(struct tls_context *ctx, const char *host, struct error *err)
{
	static const struct tls_stream_patience patience = { 20, 1 };
	struct tls_stream *s = NULL;
	enum rc rc = tls_stream_open(ctx, host, &patience, &s, err);
	char byte;
	size_t n = 1;

	if (rc == RC_OK) {
		rc = tls_stream_receive(s, &byte, 1, &n, err);
		if (rc == RC_SYSTEM)
			rc = RC_OK; /* it waits for us to speak */
		else if (rc == RC_OK && n == 0)
			rc = error_set(err, RC_DENIED,
			    "%s closed the connection", host);
	}
	tls_stream_close(s);
	return rc;
}

static bool
try_hosts(const struct agent_config *c)
{
	const struct tls_files files = agent_tls_files(c);
	struct tls_context *ctx = NULL;
	bool any = false;
	struct error err;

	if (tls_context_new(TLS_CLIENT, &files, false, &ctx, &err) != RC_OK) {
		say_error(err.text);
		return false;
	}
	for (size_t i = 0; i < c->hosts.n; i++) {
		if (try_host(ctx, c->hosts.items[i], &err) == RC_OK) {
			(void)printf("%s lets it in.\n", c->hosts.items[i]);
			any = true;
		} else {
			say_error(err.text);
		}
	}
	tls_context_free(ctx);
	return any;
}

static bool
is_below(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

static bool
needs_orders_key(const struct agent_config *c)
{
	return c->central.accept || c->response.enabled.n > 0;
}

static int
report(const struct enrolling *e, const struct enrolment *got)
{
	const struct certificate *c = &got->certificate;
	char until[TIMESTAMP_TEXT_MAX];

	(void)printf("This machine is the agent \"%s\" now, until %.*s:\n"
		     "  certificate %s (serial %s)\n"
		     "  key         %s\n"
		     "  collector's %s\n",
	    c->name, SLICE_ARG(timestamp_format(c->not_after_ns, until)),
	    e->files.certificate, c->serial, e->files.key, e->files.ca);
	if (e->pinned == RC_OK)
		(void)printf("  orders'     %s\n", e->files.orders_key);
	if (got->group[0] != '\0')
		(void)printf("It is in the group \"%s\"%s.\n", got->group,
		    e->config.central.accept
			? ""
			: ", whose configuration it does not take: "
			  "central.accept is not set");
	(void)fflush(stdout);
	if (!is_below(e->files.state_dir, e->files.key) ||
	    !is_below(e->files.state_dir, e->files.certificate))
		(void)fprintf(stderr,
		    "kuzet-agent enroll: tls.certificate and tls.key are not "
		    "below state_dir (%s): an agent that may write nowhere "
		    "else cannot renew them by itself\n",
		    e->files.state_dir);
	if (e->pinned == RC_EOF && needs_orders_key(&e->config))
		say_error("the collector gave no key of orders: write what "
			  "`kuzetctl agent config key` prints there to the "
			  "file of central.key");
	if (try_hosts(&e->config)) {
		(void)printf("Start it: systemctl enable --now kuzet-agent\n");
		return e->pinned != RC_OK && needs_orders_key(&e->config)
		    ? EXIT_FAILURE
		    : EXIT_SUCCESS;
	}
	say_error("it is enrolled, but no collector of collector.hosts lets "
		  "it in; there is no need to enrol again");
	return EXIT_FAILURE;
}

int
enroll_command(int argc, char *argv[])
{
	struct enrolling e = { .config_path = AGENT_CONFIG_PATH };
	struct enrolment got;
	struct error err;
	int status = parse_options(&e, argc, argv);
	enum rc rc;

	if (status >= 0)
		return status;
	log_setup("kuzet-agent", LOG_LEVEL_WARN, LOG_TEXT);
	enrolment_init(&got);
	status = EXIT_USAGE;
	rc = enrol_token_parse((struct slice){ e.token_text,
				   strlen(e.token_text) },
	    &e.token, &err);
	if (rc == RC_OK)
		rc = complete_address(&e, &err);
	if (rc == RC_OK)
		rc = agent_config_load(e.config_path, &e.config, &err);
	if (rc == RC_OK) {
		status = EXIT_FAILURE;
		own_files(&e);
		rc = check_request(&e, &err);
	}
	if (rc == RC_OK)
		rc = enroll(&e, &got, &err);
	if (rc == RC_OK) {
		pin_orders_key(&e, &got);
		status = report(&e, &got);
	} else {
		say_error(err.text);
	}
	enrolment_fini(&got);
	agent_config_free(&e.config);
	return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}
