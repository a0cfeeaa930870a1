/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Of headers that are newer than Debian 12's. */
#define FS_REFER       (UINT64_C(1) << 13)
#define FS_TRUNCATE    (UINT64_C(1) << 14)
#define FS_IOCTL       (UINT64_C(1) << 15)
#define NET_BIND_TCP   (UINT64_C(1) << 0)
#define SCOPE_ABSTRACT (UINT64_C(1) << 0) /* UNIX sockets without a path */
#define SCOPE_SIGNAL   (UINT64_C(1) << 1)
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

/* ---- system calls -------------------------------------------------------- */

/* Memory, threads, time, signals, and what is open already. */
static const char *const common_calls[] = { "arch_prctl", "brk", "clock_getres",
	"clock_gettime", "clock_nanosleep", "close", "close_range", "dup",
	"dup2", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "eventfd2", "exit", "exit_group", "fcntl",
	"fstat", "fstatfs", "futex", "futex_waitv", "futex_wait", "futex_wake",
	"getcpu", "getcwd", "getdents64", "getegid", "geteuid", "getgid",
	"getgroups", "getpgrp", "getpid", "getppid", "getrandom", "getresgid",
	"getresuid", "getrlimit", "getrusage", "gettid", "gettimeofday",
	"getuid", "get_robust_list", "lseek", "madvise", "membarrier",
	"memfd_create", "mincore", "mmap", "mprotect", "mremap", "munmap",
	"nanosleep", "newfstatat", "open", "openat", "openat2", "pipe2", "poll",
	"ppoll", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
	"pselect6", "pwrite64", "pwritev", "read", "readlink", "readlinkat",
	"readv", "recvfrom", "recvmsg", "restart_syscall", "rseq",
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigsuspend", "rt_sigtimedwait", "sched_getaffinity",
	"sched_getparam", "sched_getscheduler", "sched_yield", "select",
	"sendmsg", "sendto", "set_robust_list", "set_tid_address",
	"sigaltstack", "stat", "lstat", "statfs", "statx", "sysinfo", "time",
	"times", "ugetrlimit", "uname", "write", "writev", "access",
	"faccessat", "faccessat2", "getxattr", "lgetxattr", "fgetxattr",
	"listxattr", "llistxattr", "flistxattr" };

/* Its state, the network, and reading what it is given. */
static const char *const worker_calls[] = { "accept4", "accept", "bind",
	"capget", "chmod", "connect", "fadvise64", "fallocate", "fchmod",
	"fchmodat", "fdatasync", "flock", "fsync", "ftruncate", "getpeername",
	"getsockname", "getsockopt", "inotify_add_watch", "inotify_init1",
	"inotify_rm_watch", "listen", "mkdir", "mkdirat", "mlock", "msync",
	"munlock", "pipe", "readahead", "recvmmsg", "rename", "renameat",
	"renameat2", "rmdir", "sendfile", "sendmmsg", "setrlimit", "setsockopt",
	"shutdown", "signalfd4", "socketpair", "sync_file_range",
	"timerfd_create", "timerfd_gettime", "timerfd_settime", "truncate",
	"umask", "unlink", "unlinkat", "utimensat" };

static const char *const opener_calls[] = { "connect", "fanotify_init",
	"fanotify_mark", "inotify_add_watch", "inotify_init1",
	"name_to_handle_at" };

static const char *const sanitizer_calls[] = { "clone", "getdents",
	"personality", "ptrace", "process_vm_readv", "rt_sigqueueinfo",
	"tgkill", "tkill", "wait4", "kill", "mlock", "munlock", "mlockall",
	"munlockall", "setrlimit", "ioctl" };

/* No part of the agent makes them, nor does a library of it. */
static const char *const hostile_calls[] = { "add_key", "bpf", "chroot",
	"delete_module", "execve", "execveat", "finit_module", "fsmount",
	"init_module", "kexec_file_load", "kexec_load", "keyctl", "mknod",
	"mknodat", "mount", "move_mount", "open_by_handle_at",
	"perf_event_open", "pidfd_getfd", "pivot_root", "process_vm_writev",
#if !SANDBOX_SANITIZED
	"process_vm_readv", "ptrace",
#endif
	"reboot", "request_key", "setns", "swapon", "umount2", "unshare",
	"userfaultfd" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- refused calls ------------------------------------------------------- */

/* Shared by the processes; a handler of signals has no argument. */
static struct counters {
	atomic_uint_fast64_t refused;
	atomic_int last;
} * counters;

/* The filter sends SIGSYS; what the call returns is ours to say. */
#if defined(__x86_64__)
# define RESULT_OF(uc) ((uc)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
# define RESULT_OF(uc) ((uc)->uc_mcontext.regs[0])
#endif

#ifdef RESULT_OF
static void
on_refused(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)signo;
	atomic_store(&counters->last, info->si_syscall);
	(void)atomic_fetch_add(&counters->refused, 1);
	RESULT_OF(uc) = -EPERM;
}

static uint32_t
refusal(void)
{
	struct sigaction act = { .sa_sigaction = on_refused,
		.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER };

	return counters != NULL && sigaction(SIGSYS, &act, NULL) == 0
	    ? SCMP_ACT_TRAP
	    : SCMP_ACT_ERRNO(EPERM);
}
#else
static uint32_t
refusal(void)
{
	return SCMP_ACT_ERRNO(EPERM);
}
#endif

void
sandbox_count(void)
{
	void *page = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	counters = page == MAP_FAILED ? NULL : page;
}

uint64_t
sandbox_refused(char last[SANDBOX_CALL_NAME])
{
	uint64_t n = counters == NULL ? 0 : atomic_load(&counters->refused);
	char *name;

	last[0] = '\0';
	if (n == 0)
		return 0;
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE,
	    atomic_load(&counters->last));
	(void)snprintf(last, SANDBOX_CALL_NAME, "%s",
	    name == NULL ? "unknown" : name);
	free(name);
	return n;
}

static int
add_calls(scmp_filter_ctx filter, uint32_t action, const char *const *names,
    size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number == __NR_SCMP_ERROR)
			continue; /* newer than this libseccomp */
		r = seccomp_rule_add(filter, action, number, 0);
		if (r == -EACCES || r == -EDOM || r == -EFAULT)
			r = 0; /* not one of this architecture's */
	}
	return r;
}

#define RULE(filter, call, ...)                                                \
 seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(call), __VA_ARGS__)

/* Threads and no processes, thus none in namespaces of its own, where it would
 * have capabilities; signals to itself alone. */
static int
add_threads(scmp_filter_ctx filter)
{
	const scmp_datum_t spaces = CLONE_NEWNS | CLONE_NEWCGROUP |
	    CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
	    CLONE_NEWNET;
	int r = RULE(filter, clone, 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, spaces | CLONE_THREAD, CLONE_THREAD));

	if (r == 0)
		r = RULE(filter, tgkill, 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* its flags are in memory, where a filter cannot look: without it the
	 * C library asks clone(2) */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(clone3), 0);
	return r;
}

/* To what the configuration names. */
static int
add_opener_sockets(scmp_filter_ctx filter)
{
	return RULE(filter, socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

/* Collectors, targets of probes, resolvers; of netlink what lists addresses. */
static int
add_worker_sockets(scmp_filter_ctx filter)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };
	int r = RULE(filter, socket, 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
	    SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));

	for (size_t i = 0; r == 0 && i < COUNT(families); i++)
		r = RULE(filter, socket, 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return r;
}

/* What libraries ask of descriptors; none that puts words into the mouth of the
 * terminal that the agent was started from (TIOCSTI, TIOCLINUX). */
static int
add_worker_ioctls(scmp_filter_ctx filter)
{
	static const scmp_datum_t requests[] = { TCGETS, FIONREAD, FIONBIO,
		FIOCLEX, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFCONF, SIOCGIFFLAGS };
	int r = 0;

	for (size_t i = 0; r == 0 && i < COUNT(requests); i++)
		r = RULE(filter, ioctl, 1, SCMP_A1(SCMP_CMP_EQ, requests[i]));
	return r;
}

static int
add_worker_rules(scmp_filter_ctx filter)
{
	int r = add_worker_sockets(filter);

	return r == 0 ? add_worker_ioctls(filter) : r;
}

static enum rc
filter_calls(const char *const *own, size_t n,
    int (*add_own)(scmp_filter_ctx filter), struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(refusal());
	int r = filter == NULL ? -ENOMEM : 0;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	if (r == 0)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (r == 0)
		r = add_calls(filter, SCMP_ACT_ALLOW, common_calls,
		    COUNT(common_calls));
	if (r == 0)
		r = add_calls(filter, SCMP_ACT_ALLOW, own, n);
	if (r == 0)
		r = add_own(filter);
	if (r == 0)
		r = add_threads(filter);
	if (r == 0 && SANDBOX_SANITIZED)
		r = add_calls(filter, SCMP_ACT_ALLOW, sanitizer_calls,
		    COUNT(sanitizer_calls));
	if (r == 0)
		r = add_calls(filter, SCMP_ACT_KILL_PROCESS, hostile_calls,
		    COUNT(hostile_calls));
	if (r == 0)
		r = seccomp_load(filter);
	if (filter != NULL)
		seccomp_release(filter);
	return r == 0 ? RC_OK : error_set_errno(err, -r, "seccomp");
}

/* ---- files --------------------------------------------------------------- */

static const uint64_t may_read =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

static uint64_t
handled(int version)
{
	uint64_t all = (UINT64_C(1) << 13) - 1; /* version 1: up to MAKE_SYM */

	if (version >= 2)
		all |= FS_REFER;
	if (version >= 3)
		all |= FS_TRUNCATE;
	if (version >= 5)
		all |= FS_IOCTL;
	return all;
}

/* What is not there needs no rule. */
static void
allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = { .allowed_access =
							  access };
	struct stat st;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd == -1)
		return;
	if (fstat(beneath.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		beneath.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE |
		    LANDLOCK_ACCESS_FS_WRITE_FILE;
	(void)syscall(SYS_landlock_add_rule, ruleset,
	    LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	(void)close(beneath.parent_fd);
}

static enum rc
confine(const struct sandbox_paths *paths, int version, struct error *err)
{
	struct ruleset_attr attr = { .handled_access_fs = handled(version),
		.handled_access_net = version >= 4 ? NET_BIND_TCP : 0,
		.scoped = version >= 6 ? SCOPE_SIGNAL | SCOPE_ABSTRACT : 0 };
	size_t size = version >= 6 ? sizeof(attr)
	    : version >= 4         ? offsetof(struct ruleset_attr, scoped)
				   : sizeof(uint64_t);
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	enum rc rc = RC_OK;

	if (ruleset == -1)
		return error_set_errno(err, errno, "landlock");
	for (size_t i = 0; i < paths->n_read; i++)
		allow(ruleset, paths->read[i], may_read);
	if (SANDBOX_SANITIZED)
		allow(ruleset, "/proc", may_read); /* its report at the end */
	allow(ruleset, "/dev/null", may_read | LANDLOCK_ACCESS_FS_WRITE_FILE);
	if (paths->write != NULL)
		allow(ruleset, paths->write,
		    attr.handled_access_fs &
			~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE |
			    LANDLOCK_ACCESS_FS_MAKE_CHAR |
			    LANDLOCK_ACCESS_FS_MAKE_BLOCK |
			    LANDLOCK_ACCESS_FS_MAKE_SYM));
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = error_set_errno(err, errno, "landlock");
	(void)close(ruleset);
	return rc;
}

/* ---- processes ----------------------------------------------------------- */

static void
leave_no_core(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	/* the leak sanitizer looks at the process as a debugger does */
	(void)prctl(PR_SET_DUMPABLE, SANDBOX_SANITIZED, 0, 0, 0);
}

int
sandbox_landlock(void)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? version : 0;
}

enum rc
sandbox_worker(const struct sandbox_paths *paths, struct sandbox_state *out,
    struct error *err)
{
	int version = sandbox_landlock();
	enum rc rc = RC_OK;

	*out = (struct sandbox_state){ .landlock = version };
	leave_no_core();
	if (version > 0)
		rc = confine(paths, version, err);
	return rc == RC_OK ? filter_calls(worker_calls, COUNT(worker_calls),
				 add_worker_rules, err)
			   : rc;
}

enum rc
sandbox_opener(struct error *err)
{
	leave_no_core();
	return filter_calls(opener_calls, COUNT(opener_calls),
	    add_opener_sockets, err);
}
