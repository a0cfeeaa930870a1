/* SPDX-License-Identifier: Apache-2.0 */
/* event.action has the words that Auditbeat's users know. */
#include "audit_event.h"

#include <stdlib.h>
#include <string.h>

#define IN   AUDIT_INGRESS
#define OUT  AUDIT_EGRESS
#define NO   AUDIT_NOWHERE

#define AUTH "authentication"

/* clang-format off */
/* Both tables are in byte order. */
static const struct audit_action types[] = {
	{ "ACCT_LOCK", "locked-account", "iam", "user info", "account", 0, NO },
	{ "ACCT_UNLOCK", "unlocked-account", "iam", "user info", "account", 0, NO },
	{ "ADD_GROUP", "added-group-account-to", "iam", "group creation", "account", 0, NO },
	{ "ADD_USER", "added-user-account", "iam", "user creation", "account", 0, NO },
	{ "ANOM_ABEND", "crashed-program", "process intrusion_detection", "end info", "process", 0, NO },
	{ "ANOM_LOGIN_FAILURES", "failed-log-in-too-many-times-to", AUTH " intrusion_detection", "start info", "user-session", 0, NO },
	{ "ANOM_PROMISCUOUS", "changed-promiscuous-mode-on-device", "intrusion_detection process", "info change", "network-device", 0, NO },
	{ "AVC", "violated-selinux-policy", "file", "info", "policy", 0, NO },
	{ "CHGRP_ID", "changed-group", "iam", "group change", "account", 0, NO },
	{ "CHUSER_ID", "changed-user-id", "iam", "user change", "account", 0, NO },
	{ "CONFIG_CHANGE", "changed-audit-configuration", "process configuration", "change", "audit-config", 0, NO },
	{ "CRED_ACQ", "acquired-credentials", AUTH, "info", "user-session", 0, NO },
	{ "CRED_DISP", "disposed-credentials", AUTH, "info", "user-session", 0, NO },
	{ "CRED_REFR", "refreshed-credentials", AUTH, "info", "user-session", 0, NO },
	{ "CRYPTO_KEY_USER", "negotiated-crypto-key", "process", "info", "user-session", 0, NO },
	{ "CRYPTO_SESSION", "started-crypto-session", "process", "info", "user-session", 0, NO },
	{ "DAEMON_ABORT", "aborted-auditd-startup", "process", "stop", "service", 0, NO },
	{ "DAEMON_CONFIG", "changed-auditd-configuration", "process configuration", "change", "audit-config", 0, NO },
	{ "DAEMON_END", "shutdown-audit", "process", "stop", "service", 0, NO },
	{ "DAEMON_START", "started-audit", "process", "start", "service", 0, NO },
	{ "DEL_GROUP", "deleted-group-account-from", "iam", "group deletion", "account", 0, NO },
	{ "DEL_USER", "deleted-user-account", "iam", "user deletion", "account", 0, NO },
	{ "FEATURE_CHANGE", "changed-audit-feature", "configuration", "change", "audit-config", 0, NO },
	{ "GRP_CHAUTHTOK", "changed-group-password", "iam", "group change", "account", 0, NO },
	{ "GRP_MGMT", "modified-group-account", "iam", "group change", "account", 0, NO },
	{ "LOGIN", "changed-login-id-to", AUTH, "start", "user-session", 0, NO },
	{ "MAC_CONFIG_CHANGE", "changed-selinux-boolean", "configuration", "change", "mac-config", 0, NO },
	{ "MAC_POLICY_LOAD", "loaded-selinux-policy", "configuration", "access", "mac-config", 0, NO },
	{ "MAC_STATUS", "changed-selinux-enforcement", "configuration", "change", "mac-config", 0, NO },
	{ "NETFILTER_CFG", "loaded-firewall-rule-to", "configuration", "change", "firewall", 0, NO },
	{ "ROLE_ASSIGN", "assigned-user-role-to", "iam", "user change", "account", 0, NO },
	{ "ROLE_REMOVE", "removed-user-role-from", "iam", "user change", "account", 0, NO },
	{ "SECCOMP", "violated-seccomp-policy", "process", "info", "process", 0, NO },
	{ "SERVICE_START", "started-service", "process", "start", "service", 0, NO },
	{ "SERVICE_STOP", "stopped-service", "process", "stop", "service", 0, NO },
	{ "SYSTEM_BOOT", "booted-system", "host", "start", "system", 0, NO },
	{ "SYSTEM_RUNLEVEL", "changed-to-runlevel", "host", "change", "system", 0, NO },
	{ "SYSTEM_SHUTDOWN", "shutdown-system", "host", "end", "system", 0, NO },
	{ "TIME_ADJNTPVAL", "changed-system-time", "host", "change", "system", 0, NO },
	{ "TIME_INJOFFSET", "changed-system-time", "host", "change", "system", 0, NO },
	{ "TTY", "typed", "process", "info", "keystrokes", 0, NO },
	{ "USER_ACCT", "was-authorized", AUTH, "info", "user-session", 0, NO },
	{ "USER_AUTH", "authenticated", AUTH, "start", "user-session", 0, NO },
	{ "USER_AVC", "access-result", "file", "info", "policy", 0, NO },
	{ "USER_CHAUTHTOK", "changed-password", "iam", "user change", "user-session", 0, NO },
	{ "USER_CMD", "ran-command", "process", "start", "process", 0, NO },
	{ "USER_END", "ended-session", "session", "end", "user-session", 0, NO },
	{ "USER_ERR", "error", AUTH, "info", "user-session", 0, NO },
	{ "USER_LOGIN", "logged-in", AUTH, "start", "user-session", 0, NO },
	{ "USER_LOGOUT", "logged-out", AUTH, "end", "user-session", 0, NO },
	{ "USER_MGMT", "modified-user-account", "iam", "user change", "account", 0, NO },
	{ "USER_ROLE_CHANGE", "changed-role-to", "iam", "user change", "user-session", 0, NO },
	{ "USER_SELINUX_ERR", "access-error", "file", "info", "policy", 0, NO },
	{ "USER_START", "started-session", "session", "start", "user-session", 0, NO },
	{ "USER_TTY", "typed", "process", "info", "keystrokes", 0, NO },
};

static const struct audit_action syscalls[] = {
	{ "accept", "accepted-connection-from", "network", "connection start", "socket", 0, IN },
	{ "accept4", "accepted-connection-from", "network", "connection start", "socket", 0, IN },
	{ "adjtimex", "changed-system-time", "host", "change", "system", 0, NO },
	{ "bind", "bound-socket", "network", "start", "socket", 0, NO },
	{ "chmod", "changed-file-permissions-of", "file", "change", "file", 0, NO },
	{ "chown", "changed-file-ownership-of", "file", "change", "file", 0, NO },
	{ "clock_adjtime", "changed-system-time", "host", "change", "system", 0, NO },
	{ "clock_settime", "changed-system-time", "host", "change", "system", 0, NO },
	{ "connect", "connected-to", "network", "connection start", "socket", 0, OUT },
	{ "creat", "opened-file", "file", "creation", "file", 0, NO },
	{ "delete_module", "unloaded-kernel-module", "driver", "end", "file", 0, NO },
	{ "execve", "executed", "process", "start", "file", 0, NO },
	{ "execveat", "executed", "process", "start", "file", 0, NO },
	{ "fchmod", "changed-file-permissions-of", "file", "change", "file", 0, NO },
	{ "fchmodat", "changed-file-permissions-of", "file", "change", "file", 0, NO },
	{ "fchown", "changed-file-ownership-of", "file", "change", "file", 0, NO },
	{ "fchownat", "changed-file-ownership-of", "file", "change", "file", 0, NO },
	{ "finit_module", "loaded-kernel-module", "driver", "start", "file", 0, NO },
	{ "fremovexattr", "changed-file-attributes-of", "file", "change", "file", 0, NO },
	{ "fsetxattr", "changed-file-attributes-of", "file", "change", "file", 0, NO },
	{ "ftruncate", "truncated-file", "file", "change", "file", 0, NO },
	{ "futimesat", "changed-timestamp-of", "file", "change", "file", 0, NO },
	{ "init_module", "loaded-kernel-module", "driver", "start", "file", 0, NO },
	{ "kill", "killed-pid", "process", "end", "process", 0, NO },
	{ "lchown", "changed-file-ownership-of", "file", "change", "file", 0, NO },
	{ "link", "linked", "file", "creation", "file", 0, NO },
	{ "linkat", "linked", "file", "creation", "file", 0, NO },
	{ "listen", "listen-for-connections", "network", "start", "socket", 0, NO },
	{ "lremovexattr", "changed-file-attributes-of", "file", "change", "file", 0, NO },
	{ "lsetxattr", "changed-file-attributes-of", "file", "change", "file", 0, NO },
	{ "mkdir", "created-directory", "file", "creation", "file", 1, NO },
	{ "mkdirat", "created-directory", "file", "creation", "file", 1, NO },
	{ "mknod", "make-device", "file", "creation", "file", 0, NO },
	{ "mknodat", "make-device", "file", "creation", "file", 0, NO },
	{ "mount", "mounted", "file", "creation", "file", 1, NO },
	{ "open", "opened-file", "file", "access", "file", 0, NO },
	{ "open_by_handle_at", "opened-file", "file", "access", "file", 0, NO },
	{ "openat", "opened-file", "file", "access", "file", 0, NO },
	{ "openat2", "opened-file", "file", "access", "file", 0, NO },
	{ "ptrace", "traced-process", "process", "access", "process", 0, NO },
	{ "recvfrom", "received-from", "network", "connection info", "socket", 0, IN },
	{ "recvmsg", "received-from", "network", "connection info", "socket", 0, IN },
	{ "removexattr", "changed-file-attributes-of", "file", "change", "file", 0, NO },
	{ "rename", "renamed", "file", "change", "file", 2, NO },
	{ "renameat", "renamed", "file", "change", "file", 2, NO },
	{ "renameat2", "renamed", "file", "change", "file", 2, NO },
	{ "rmdir", "deleted", "file", "deletion", "file", 1, NO },
	{ "sendmsg", "sent-to", "network", "connection info", "socket", 0, OUT },
	{ "sendto", "sent-to", "network", "connection info", "socket", 0, OUT },
	{ "setdomainname", "changed-system-name", "host", "change", "system", 0, NO },
	{ "setfsgid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "setfsuid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "setgid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "sethostname", "changed-system-name", "host", "change", "system", 0, NO },
	{ "setregid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "setresgid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "setresuid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "setreuid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "settimeofday", "changed-system-time", "host", "change", "system", 0, NO },
	{ "setuid", "changed-identity-of", "process", "change", "process", 0, NO },
	{ "setxattr", "changed-file-attributes-of", "file", "change", "file", 0, NO },
	{ "stime", "changed-system-time", "host", "change", "system", 0, NO },
	{ "symlink", "symlinked", "file", "creation", "file", 0, NO },
	{ "symlinkat", "symlinked", "file", "creation", "file", 0, NO },
	{ "tgkill", "killed-pid", "process", "end", "process", 0, NO },
	{ "tkill", "killed-pid", "process", "end", "process", 0, NO },
	{ "truncate", "truncated-file", "file", "change", "file", 0, NO },
	{ "umount", "unmounted", "file", "deletion", "file", 1, NO },
	{ "umount2", "unmounted", "file", "deletion", "file", 1, NO },
	{ "unlink", "deleted", "file", "deletion", "file", 1, NO },
	{ "unlinkat", "deleted", "file", "deletion", "file", 1, NO },
	{ "utime", "changed-timestamp-of", "file", "change", "file", 0, NO },
	{ "utimensat", "changed-timestamp-of", "file", "change", "file", 0, NO },
	{ "utimes", "changed-timestamp-of", "file", "change", "file", 0, NO },
};
/* clang-format on */

static int
compare(const void *key, const void *element)
{
	const struct slice *name = key;
	const struct audit_action *a = element;
	size_t i = 0;

	/* most differ within the first letters */
	while (
	    i < name->len && a->name[i] != '\0' && name->ptr[i] == a->name[i])
		i++;
	if (i == name->len || a->name[i] == '\0')
		return (i < name->len) - (a->name[i] != '\0');
	return (unsigned char)name->ptr[i] - (unsigned char)a->name[i];
}

const struct audit_action *
audit_action_of_type(struct slice type)
{
	return bsearch(&type, types, sizeof(types) / sizeof(types[0]),
	    sizeof(types[0]), compare);
}

const struct audit_action *
audit_action_of_syscall(struct slice name)
{
	return bsearch(&name, syscalls, sizeof(syscalls) / sizeof(syscalls[0]),
	    sizeof(syscalls[0]), compare);
}
