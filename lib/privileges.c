/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"

enum { PASSWD_BYTES = 16384 };

enum rc
privileges_drop(const char *user, struct error *err)
{
	char text[PASSWD_BYTES];
	struct passwd pw, *found = NULL;
	int rc;

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (geteuid() != 0)
		return RC_OK;
	if (user == NULL) {
		log_warn("running as root: set `user:` in the configuration");
		return RC_OK;
	}
	rc = getpwnam_r(user, &pw, text, sizeof(text), &found);
	if (found == NULL)
		return error_set(err, RC_INVALID,
		    "user: there is no user \"%s\"%s", user,
		    rc == 0 ? "" : " (the look-up failed)");
	if (initgroups(user, pw.pw_gid) != 0 ||
	    setresgid(pw.pw_gid, pw.pw_gid, pw.pw_gid) != 0 ||
	    setresuid(pw.pw_uid, pw.pw_uid, pw.pw_uid) != 0)
		return error_set_errno(err, errno, "become user %s", user);
	if (pw.pw_uid != 0 && setuid(0) == 0)
		return error_set(err, RC_SYSTEM,
		    "user %s could become root again", user);
	return RC_OK;
}

/* Also the change of user: root's capabilities go with root. */
static int
change(const char *user, const struct passwd *pw)
{
	if (user == NULL)
		return capng_apply(CAPNG_SELECT_CAPS);
	if (initgroups(user, pw->pw_gid) != 0)
		return -1;
	return capng_change_id((int)pw->pw_uid, (int)pw->pw_gid, CAPNG_NO_FLAG);
}

enum rc
privileges_become(const char *user, int capability, struct error *err)
{
	char text[PASSWD_BYTES];
	struct passwd pw, *found = NULL;

	if (geteuid() != 0)
		user = NULL;
	if (user != NULL)
		(void)getpwnam_r(user, &pw, text, sizeof(text), &found);
	if (user != NULL && found == NULL)
		return error_set(err, RC_INVALID,
		    "user: there is no user \"%s\"", user);
	/* a program that is run gets nothing either */
	for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	capng_clear(CAPNG_SELECT_BOTH);
	if (capability != -1)
		(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
		    (unsigned)capability);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (change(user, &pw) != 0)
		return error_set_errno(err, errno, "become user %s",
		    user == NULL ? "without rights" : user);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return RC_OK;
}

static bool
is_listed(const int *list, size_t n, int capability)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == capability)
			return true;
	}
	return false;
}

enum rc
privileges_limit(const int *capabilities, size_t n, struct error *err)
{
	bool had[64] = { false };

	if (n > sizeof(had) / sizeof(had[0]))
		return error_set(err, RC_INVALID, "too many capabilities");
	for (size_t i = 0; i < n; i++)
		had[i] = privileges_has(capabilities[i]);
	for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
		if (!is_listed(capabilities, n, i))
			(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	}
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < n; i++) {
		if (had[i])
			(void)capng_update(CAPNG_ADD,
			    CAPNG_EFFECTIVE | CAPNG_PERMITTED |
				CAPNG_INHERITABLE,
			    (unsigned)capabilities[i]);
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return error_set_errno(err, errno, "limit capabilities");
	for (size_t i = 0; i < n; i++) {
		if (had[i])
			(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
			    capabilities[i], 0, 0);
	}
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return RC_OK;
}

bool
privileges_has(int capability)
{
	return capng_get_caps_process() == 0 &&
	    capng_have_capability(CAPNG_PERMITTED, (unsigned)capability) == 1;
}
