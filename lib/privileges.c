/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

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
