/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/inputs/policy/policy_event.h"
#include "agent/roles/opener.h"
#include "tap.h"

#define HEAD       "policy: p\nchecks:\n"
#define CHECK_HEAD HEAD "  - id: a\n    title: t\n    remedy: r\n"

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- files --------------------------------------------------------------- */

static const struct {
	const char *name, *text, *message; /* NULL: it is good */
} files[] = {
	{ "a file and a mode",
	    CHECK_HEAD "    file: {path: /x, mode: '0640'}\n", NULL },
	{ "a condition by name",
	    CHECK_HEAD "    when: {package: p}\n    service: {name: s, state: "
		       "off}\n",
	    NULL },
	{ "no checks", "policy: p\n", "p.yml:1: policy and checks are needed" },
	{ "an unknown key", HEAD "  - idd: a\n", "p.yml:3: idd: there is no" },
	{ "a check without a remedy", HEAD "  - id: a\n    title: t\n",
	    "p.yml:3: id, title and remedy" },
	{ "a check that looks at nothing", CHECK_HEAD,
	    "p.yml:3: one of file, sysctl" },
	{ "a check that looks at two things",
	    CHECK_HEAD "    file: {path: /x}\n    package: {name: p}\n",
	    "p.yml:7: package: a check has one" },
	{ "a mode that is none", CHECK_HEAD "    file: {path: /x, mode: rw}\n",
	    "p.yml:6: mode: an octal mode" },
	{ "a key of another kind",
	    CHECK_HEAD "    package: {name: p, mode: '0640'}\n",
	    "p.yml:6: mode: there is no such key here: one of name, installed" },
	{ "a broken expression",
	    CHECK_HEAD "    file: {path: /x, matches: '('}\n",
	    "p.yml:6: matches: " },
	{ "a command of one's own",
	    CHECK_HEAD "    command: {run: 'rm -rf', matches: x}\n",
	    "only these can be run: sshd-settings" },
	{ "a command of one's own as a condition",
	    CHECK_HEAD "    when: {command: sh}\n    file: {path: /x}\n",
	    "only these can be run" },
	{ "a setting that may be anything", CHECK_HEAD "    sysctl: {key: k}\n",
	    "p.yml:6: sysctl: what must it be?" },
	{ "a state that is none",
	    CHECK_HEAD "    service: {name: s, state: on}\n",
	    "p.yml:6: state: enabled" },
	{ "one id twice",
	    CHECK_HEAD "    file: {path: /x}\n  - id: a\n    title: t\n    "
		       "remedy: r\n    file: {path: /y}\n",
	    "another check has this id" },
	{ "no YAML", "policy: [\n", "p.yml" },
	{ "two documents", "policy: a\n---\npolicy: b\n", "p.yml:1: a policy" },
};

static void
reads_files(void)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct error err = { .code = RC_OK };
		struct policy *p = NULL;
		enum rc rc =
		    policy_parse("p.yml", text_of(files[i].text), &p, &err);

		if (files[i].message == NULL)
			CHECK(rc == RC_OK && p->n == 1, "%s is good%s",
			    files[i].name, rc == RC_OK ? "" : err.text);
		else
			CHECK(rc == RC_INVALID && p == NULL &&
				strstr(err.text, files[i].message) != NULL,
			    "%s is refused (%s)", files[i].name, err.text);
		policy_free(p);
	}
}

/* ---- looking ------------------------------------------------------------- */

static const struct {
	const char *name, *test; /* "%s" is a file with "Port 22\n", 0640 */
	enum policy_result result;
} looks[] = {
	{ "a file that is there", "file: {path: %s}", POLICY_PASS },
	{ "a file that should not be there", "file: {path: %s, exists: false}",
	    POLICY_FAIL },
	{ "a missing file", "file: {path: %s.no}", POLICY_FAIL },
	{ "a file that is rightly missing",
	    "file: {path: %s.no, exists: false}", POLICY_PASS },
	{ "a mode with less rights", "file: {path: %s, mode: '0644'}",
	    POLICY_PASS },
	{ "a mode with more rights", "file: {path: %s, mode: '0600'}",
	    POLICY_FAIL },
	{ "a user that is not there", "file: {path: %s, owner: no-such-user}",
	    POLICY_FAIL },
	{ "a line that is there", "file: {path: %s, matches: '^Port 22$'}",
	    POLICY_PASS },
	{ "a line that is not there", "file: {path: %s, matches: '^Port 23$'}",
	    POLICY_FAIL },
	{ "a line that should not be there", "file: {path: %s, lacks: Port}",
	    POLICY_FAIL },
	{ "a condition that is not met",
	    "when: {file: %s.no}\n    file: {path: /}", POLICY_NOT_APPLICABLE },
	{ "a condition that is met",
	    "when: {file: %s}\n    file: {path: /no-such-file}", POLICY_FAIL },
	{ "a setting of the kernel",
	    "sysctl: {key: kernel.ostype, equals: Linux}", POLICY_PASS },
	{ "another value", "sysctl: {key: kernel.ostype, equals: Minix}",
	    POLICY_FAIL },
	{ "a value that is large enough",
	    "sysctl: {key: kernel.pid_max, at_least: 2}", POLICY_PASS },
	{ "a setting that is not there",
	    "sysctl: {key: kernel.no_such, equals: '1'}", POLICY_UNKNOWN },
	{ "a setting outside of the kernel's",
	    "sysctl: {key: ../../etc/hostname, equals: '1'}", POLICY_UNKNOWN },
	{ "a service that is not there",
	    "service: {name: no-such.service, state: off}", POLICY_PASS },
	{ "a service that should be",
	    "service: {name: no-such.service, state: enabled}", POLICY_FAIL },
};

static void
looks_at_machine(void)
{
	char path[] = "/tmp/kuzet-policy-XXXXXX";
	int fd = mkstemp(path);
	struct opener *o = opener_new(NULL);
	atomic_bool stop = false;
	struct policy_eye *eye = policy_eye_new(o, &stop);

	if (fd == -1 || write(fd, "Port 22\n", 8) != 8 || fchmod(fd, 0640) != 0)
		abort();
	(void)close(fd);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		struct error err = { .code = RC_OK };
		struct policy_finding f = { .result = POLICY_UNKNOWN };
		struct policy *p = NULL;
		char test[512], text[1024];

		(void)snprintf(test, sizeof(test), looks[i].test, path);
		(void)snprintf(text, sizeof(text), CHECK_HEAD "    %s\n", test);
		if (policy_parse("p.yml", text_of(text), &p, &err) == RC_OK)
			policy_look(eye, &p->checks[0], &f);
		CHECK(p != NULL && f.result == looks[i].result, "%s: %s (%s%s)",
		    looks[i].name, policy_result_name(looks[i].result),
		    f.detail, p == NULL ? err.text : "");
		policy_free(p);
	}
	policy_eye_free(eye);
	opener_free(o);
	(void)unlink(path);
}

static enum rc
count_policy(void *ctx, struct policy *p, struct error *err)
{
	size_t *n = ctx;

	(void)err;
	*n += p->n > 0;
	return RC_OK;
}

static void
ships_good_ones(void)
{
	static const char *const shipped[] = { KUZET_SRCDIR
		"/rules/policies/*.yml" };
	struct error err = { .code = RC_OK };
	struct opener *o = opener_new(NULL);
	size_t n = 0;

	CHECK(policy_each(o, shipped, 1, count_policy, &n, &err) == RC_OK &&
		n > 0,
	    "the policies that come with kuzet are good %s", err.text);
	opener_free(o);
}

int
main(void)
{
	reads_files();
	looks_at_machine();
	ships_good_ones();
	return tap_done();
}
