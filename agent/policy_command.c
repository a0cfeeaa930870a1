/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy_command.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/inputs/policy/policy_event.h"
#include "datadir.h"
#include "log.h"

enum { EXIT_FAILED_CHECKS = 1, EXIT_USAGE = 2 };
enum { OPT_JSON = 256 };

static const char usage[] =
    "Usage: kuzet-agent policy check [-c FILE] [--json] [POLICY...]\n"
    "\n"
    "Checks the settings of this machine, and prints what it finds; needs no\n"
    "collector.  POLICY is a file, see kuzet-policies(5); without one, the\n"
    "policies of the configuration's `policy` inputs are checked, or those\n"
    "that come with kuzet.\n"
    "\n"
    "  -c, --config FILE   configuration, see agent.yaml(5)\n"
    "      --json          one event for each check, one object a line\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit status: 0 nothing failed, 1 a check failed, 2 wrong usage, or a\n"
    "policy with a mistake.\n";

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct session {
	struct opener *opener;
	struct policy_eye *eye;
	char host_name[256];
	bool json;
	uint64_t results[POLICY_UNKNOWN + 1];
};

static void
print_finding(struct session *s, const struct policy *p,
    const struct policy_check *c, const struct policy_finding *f)
{
	struct policy_origin origin = { .host_name = s->host_name };
	struct buf out;

	if (!s->json) {
		(void)printf("%-14s %-6s %-28s %s\n",
		    policy_result_name(f->result),
		    policy_severity_name(c->severity), c->id, c->title);
		if (f->result == POLICY_FAIL || f->result == POLICY_UNKNOWN)
			(void)printf("%22s found: %s\n", "", f->detail);
		if (f->result == POLICY_FAIL)
			(void)printf("%22s remedy: %s\n", "", c->remedy);
		return;
	}
	buf_init(&out, 65536);
	policy_event(&out, &origin, p, c, f);
	(void)printf("%.*s\n", (int)out.len, out.ptr);
	buf_fini(&out);
}

static enum rc
one_policy(void *ctx, struct policy *p, struct error *err)
{
	struct session *s = ctx;

	(void)err;
	if (!s->json)
		(void)printf("%s%s%s\n", p->name, p->title == NULL ? "" : ": ",
		    p->title == NULL ? "" : p->title);
	for (size_t i = 0; i < p->n; i++) {
		struct policy_finding f;

		policy_look(s->eye, &p->checks[i], &f);
		s->results[f.result]++;
		print_finding(s, p, &p->checks[i], &f);
	}
	return RC_OK;
}

/* The paths of all `policy` inputs. */
static enum rc
from_config(struct session *s, const char *path, struct error *err)
{
	struct agent_config config = { 0 };
	enum rc rc = agent_config_load_alone(path, &config, err);
	bool any = false;

	for (size_t i = 0; rc == RC_OK && i < config.inputs.n; i++) {
		const struct agent_input *in = agent_input_at(&config, i);

		if (in->type != AGENT_INPUT_POLICY)
			continue;
		any = true;
		rc =
		    policy_each(s->opener, (const char *const *)in->paths.items,
			in->paths.n, one_policy, s, err);
	}
	if (rc == RC_OK && !any)
		rc = error_set(err, RC_INVALID, "%s: there is no policy input",
		    path);
	agent_config_free(&config);
	return rc;
}

static enum rc
check(struct session *s, const char *config, size_t n, char **files,
    struct error *err)
{
	char ours[PATH_MAX];
	const char *const one = ours;

	if (n > 0)
		return policy_each(s->opener, (const char *const *)files, n,
		    one_policy, s, err);
	if (config != NULL)
		return from_config(s, config, err);
	(void)datadir_path("policies/*.yml", ours, sizeof(ours));
	return policy_each(s->opener, &one, 1, one_policy, s, err);
}

static int
run(struct session *s, const char *config, int n, char **files)
{
	struct error err = { .code = RC_OK };
	atomic_bool stop = false;
	enum rc rc;

	if (gethostname(s->host_name, sizeof(s->host_name) - 1) != 0)
		(void)snprintf(s->host_name, sizeof(s->host_name), "localhost");
	s->opener = opener_new(NULL);
	s->eye = policy_eye_new(s->opener, &stop);
	rc = check(s, config, (size_t)n, files, &err);
	policy_eye_free(s->eye);
	opener_free(s->opener);
	if (rc != RC_OK) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	if (!s->json)
		(void)printf("%llu pass, %llu fail, %llu not applicable, %llu "
			     "unknown\n",
		    (unsigned long long)s->results[POLICY_PASS],
		    (unsigned long long)s->results[POLICY_FAIL],
		    (unsigned long long)s->results[POLICY_NOT_APPLICABLE],
		    (unsigned long long)s->results[POLICY_UNKNOWN]);
	return s->results[POLICY_FAIL] > 0 ? EXIT_FAILED_CHECKS : EXIT_SUCCESS;
}

int
policy_command_main(int argc, char **argv)
{
	struct session s = { 0 };
	const char *config = NULL;
	int option;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) !=
	    -1) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case OPT_JSON:
			s.json = true;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			(void)fputs("Try kuzet-agent policy --help.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc || strcmp(argv[optind], "check") != 0) {
		(void)fputs(usage, stderr);
		return EXIT_USAGE;
	}
	log_setup("kuzet-agent", LOG_LEVEL_INFO, LOG_TEXT);
	return run(&s, config, argc - optind - 1, argv + optind + 1);
}
