/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of audit records that are known: how their values are written, and
 * what they say.  A record has twenty, so they are found by one hash of length
 * and ends; which bytes of a key tell it from the others is tried once.
 */
#include "audit_event.h"

#include <pthread.h>

enum { SLOTS = 256 };

#define TEXT(key, id, how)                                                     \
 {                                                                             \
  SLICE_INIT(key), AUDIT_READ_##how, AUDIT_SAYS_TEXT, FIELD_##id               \
 }
#define SAYS(key, what, how)                                                   \
 {                                                                             \
  SLICE_INIT(key), AUDIT_READ_##how, AUDIT_SAYS_##what, FIELD_NONE             \
 }
/* kept below auditd.data by its own name */
#define DATA(key, how) SAYS(key, DATA, how)

/* clang-format off */
static struct audit_key keys[] = { /* DATA's fields are set once */
	{ SLICE_INIT("pid"), AUDIT_READ_PLAIN, AUDIT_SAYS_NUMBER,
	    FIELD_PROCESS_PID },
	{ SLICE_INIT("ppid"), AUDIT_READ_PLAIN, AUDIT_SAYS_NUMBER,
	    FIELD_PROCESS_PARENT_PID },
	TEXT("comm", PROCESS_NAME, UNTRUSTED),
	TEXT("exe", PROCESS_EXECUTABLE, UNTRUSTED),
	TEXT("cwd", PROCESS_WORKING_DIRECTORY, UNTRUSTED),
	TEXT("proctitle", PROCESS_TITLE, UNTRUSTED),
	TEXT("auid", USER_AUDIT_ID, UNSET),
	TEXT("uid", USER_ID, PLAIN),
	TEXT("gid", USER_GROUP_ID, PLAIN),
	TEXT("euid", USER_EFFECTIVE_ID, PLAIN),
	TEXT("egid", USER_EFFECTIVE_GROUP_ID, PLAIN),
	TEXT("suid", USER_SAVED_ID, PLAIN),
	TEXT("sgid", USER_SAVED_GROUP_ID, PLAIN),
	TEXT("fsuid", USER_FILESYSTEM_ID, PLAIN),
	TEXT("fsgid", USER_FILESYSTEM_GROUP_ID, PLAIN),
	TEXT("ses", AUDITD_SESSION, UNSET),
	SAYS("subj", SUBJECT, PLAIN),
	SAYS("key", TAGS, UNTRUSTED),
	SAYS("res", RESULT, PLAIN),
	SAYS("result", RESULT, PLAIN),
	SAYS("success", SUCCESS, PLAIN),
	SAYS("addr", ADDRESS, PLAIN),
	SAYS("hostname", HOSTNAME, PLAIN),
	SAYS("acct", ACCOUNT, UNTRUSTED),
	SAYS("saddr", SOCKET, PLAIN),
	SAYS("cmd", COMMAND, UNTRUSTED),
	SAYS("items", ITEMS, PLAIN),
	/* frequent ones, so that their fields are known beforehand */
	DATA("a0", PLAIN),
	DATA("a1", PLAIN),
	DATA("a2", PLAIN),
	DATA("a3", PLAIN),
	DATA("entries", PLAIN),
	DATA("family", PLAIN),
	DATA("grantors", PLAIN),
	DATA("op", PLAIN),
	DATA("table", PLAIN),
	DATA("terminal", PLAIN),
	DATA("tty", PLAIN),
	DATA("arch", ARCH),
	DATA("syscall", SYSCALL),
	DATA("exit", EXIT),
	DATA("sig", SIGNAL),
	DATA("old-auid", UNSET),
	/* What the kernel writes as hex where it holds more than plain letters
	 * (audit_log_untrustedstring), besides EXECVE's arguments. */
	DATA("data", UNTRUSTED),
	DATA("device", UNTRUSTED),
	DATA("dir", UNTRUSTED),
	DATA("file", UNTRUSTED),
	DATA("grp", UNTRUSTED),
	DATA("invalid_context", UNTRUSTED),
	DATA("name", UNTRUSTED),
	DATA("new-chardev", UNTRUSTED),
	DATA("new-disk", UNTRUSTED),
	DATA("new-fs", UNTRUSTED),
	DATA("new-rng", UNTRUSTED),
	DATA("ocomm", UNTRUSTED),
	DATA("old-chardev", UNTRUSTED),
	DATA("old-disk", UNTRUSTED),
	DATA("old-fs", UNTRUSTED),
	DATA("old-rng", UNTRUSTED),
	DATA("path", UNTRUSTED),
	DATA("root_dir", UNTRUSTED),
	DATA("sw", UNTRUSTED),
	DATA("vm", UNTRUSTED),
	DATA("watch", UNTRUSTED),
};
/* clang-format on */
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

static const struct audit_key unknown = { { NULL, 0 }, AUDIT_READ_PLAIN,
	AUDIT_SAYS_DATA, FIELD_NONE };
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t slots[SLOTS]; /* number of a key from 1, 0: none */

static unsigned
slot_of(struct slice key)
{
	unsigned first = (unsigned char)key.ptr[0];
	unsigned middle = (unsigned char)key.ptr[key.len / 2];
	unsigned last = (unsigned char)key.ptr[key.len - 1];

	return (first * 7 + middle * 31 + last * 3 + (unsigned)key.len * 11) %
	    SLOTS;
}

static void
fill_slots(void)
{
	for (unsigned i = 0; i < N_KEYS; i++) {
		unsigned at = slot_of(keys[i].name);

		if (keys[i].saying == AUDIT_SAYS_DATA)
			keys[i].field =
			    field_child(FIELD_AUDITD_DATA, keys[i].name);
		while (slots[at] != 0)
			at = (at + 1) % SLOTS;
		slots[at] = (uint8_t)(i + 1);
	}
}

const struct audit_key *
audit_key(struct slice name)
{
	if (name.len == 0)
		return &unknown;
	(void)pthread_once(&once, fill_slots);
	for (unsigned at = slot_of(name); slots[at] != 0;
	     at = (at + 1) % SLOTS) {
		const struct audit_key *k = &keys[slots[at] - 1];

		if (slice_eq(k->name, name))
			return k;
	}
	return &unknown;
}
