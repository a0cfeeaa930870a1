/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_event.h"

#include <arpa/inet.h>
#include <libaudit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum { NUMBER_TEXT = 24, PLAIN_DIGITS = 15 };

/* linux/audit.h: AUDIT_ARCH_*, ELF machine and flags. */
static const struct {
	unsigned elf;
	int machine; /* of libaudit */
	const char *name;
} arches[] = {
	{ 0xc000003e, MACH_86_64, "x86_64" },
	{ 0x40000003, MACH_X86, "i386" },
	{ 0xc00000b7, MACH_AARCH64, "aarch64" },
	{ 0x40000028, MACH_ARM, "arm" },
	{ 0x80000015, MACH_PPC64, "ppc64" },
	{ 0xc0000015, MACH_PPC64LE, "ppc64le" },
	{ 0x00000014, MACH_PPC, "ppc" },
	{ 0x80000016, MACH_S390X, "s390x" },
	{ 0x00000016, MACH_S390, "s390" },
	{ 0xc00000f3, -1, "riscv64" },
	{ 0xc0000102, -1, "loongarch64" },
};
enum { N_ARCHES = sizeof(arches) / sizeof(arches[0]) };

/* signal(7), x86 and most others. */
static const char *const signals[] = { NULL, "SIGHUP", "SIGINT", "SIGQUIT",
	"SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL",
	"SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM",
	"SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN",
	"SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF",
	"SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS" };

/* Digits and no more, hexadecimal ones in lower case: what nearly all are. */
static bool
plain_number(struct slice s, int base, long long *out)
{
	long long n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c >= '0' && c <= '9')
			n = n * base + (c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			n = n * base + (c - 'a' + 10);
		else
			return false;
	}
	*out = n;
	return true;
}

static bool
number_of(struct slice s, int base, long long *out)
{
	char text[NUMBER_TEXT], *end;

	if (s.len > 0 && s.len <= PLAIN_DIGITS && plain_number(s, base, out))
		return true;
	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	*out = strtoll(text, &end, base);
	return *end == '\0';
}

static struct slice
copied(struct arena *arena, const char *text)
{
	return arena_copy(arena, (struct slice){ text, strlen(text) });
}

/* ---- hex -------------------------------------------------------------------- */

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Empty if it is no hex. */
static struct slice
bytes_of(struct arena *arena, struct slice hex)
{
	char *out;

	if (hex.len < 2 || hex.len % 2 != 0)
		return (struct slice){ NULL, 0 };
	out = arena_alloc(arena, hex.len / 2);
	for (size_t i = 0; i < hex.len; i += 2) {
		int high = digit(hex.ptr[i]), low = digit(hex.ptr[i + 1]);

		if (high < 0 || low < 0)
			return (struct slice){ NULL, 0 };
		out[i / 2] = (char)(high << 4 | low);
	}
	return (struct slice){ out, hex.len / 2 };
}

/* Arguments end with NUL: a space between them, none behind. */
static struct slice
text_of_hex(struct arena *arena, struct slice hex)
{
	struct slice s = bytes_of(arena, hex);
	char *bytes = (char *)s.ptr;

	if (s.ptr == NULL)
		return hex;
	while (s.len > 0 && bytes[s.len - 1] == '\0')
		s.len--;
	for (size_t i = 0; i < s.len; i++) {
		if (bytes[i] == '\0')
			bytes[i] = ' ';
	}
	return utf8_repair(arena, s);
}

/* EXECVE's arguments are a0, a1, a2[0] … */
static enum audit_reading
reading_of(const struct audit_record *r, const struct audit_field *f)
{
	enum audit_reading reading = f->known->reading;

	if (!r->is_execve)
		return reading;
	if (f->key.len > 1 && f->key.ptr[0] == 'a' &&
	    memchr(f->key.ptr, '_', f->key.len) == NULL)
		return AUDIT_READ_UNTRUSTED;
	return reading == AUDIT_READ_UNTRUSTED ? AUDIT_READ_PLAIN : reading;
}

/* ---- names ------------------------------------------------------------------ */

static size_t
arch_of(const struct audit_record *r)
{
	const struct audit_field *f = audit_find(r, SLICE("arch"));
	long long elf;
	size_t i = 0;

	if (f == NULL || !number_of(f->value, 16, &elf))
		return N_ARCHES;
	while (i < N_ARCHES && arches[i].elf != (unsigned long long)elf)
		i++;
	return i;
}

static struct slice
name_of_arch(struct arena *arena, const struct audit_record *r, struct slice v)
{
	size_t i = arch_of(r);

	return i == N_ARCHES ? v : copied(arena, arches[i].name);
}

static struct slice
name_of_syscall(struct arena *arena, const struct audit_record *r,
    struct slice v)
{
	size_t i = arch_of(r);
	const char *name = NULL;
	long long number;

	if (i < N_ARCHES && arches[i].machine >= 0 &&
	    number_of(v, 10, &number) && number >= 0 && number < 100000)
		name = audit_syscall_to_name((int)number, arches[i].machine);
	return name == NULL ? v : copied(arena, name);
}

static struct slice
name_of_error(struct arena *arena, struct slice v)
{
	const char *name = NULL;
	long long number;

	if (number_of(v, 10, &number) && number < 0 && number > -4096)
		name = audit_errno_to_name((int)-number);
	return name == NULL ? v : copied(arena, name);
}

static struct slice
name_of_signal(struct arena *arena, struct slice v)
{
	long long number;

	if (!number_of(v, 10, &number) || number < 1 ||
	    number >= (long long)(sizeof(signals) / sizeof(*signals)))
		return v;
	return copied(arena, signals[number]);
}

static bool
is_unset(struct slice v)
{
	return slice_eq(v, SLICE("4294967295")) || slice_eq(v, SLICE("-1"));
}

static bool
says_nothing(struct slice v)
{
	return v.len == 0 || slice_eq(v, SLICE("?")) ||
	    slice_eq(v, SLICE("(null)")) || slice_eq(v, SLICE("?,"));
}

struct slice
audit_value(struct arena *arena, const struct audit_record *r,
    const struct audit_field *f)
{
	struct slice v = f->value;

	if (says_nothing(v))
		return (struct slice){ NULL, 0 };
	switch (reading_of(r, f)) {
	case AUDIT_READ_UNTRUSTED:
		return f->quoted ? v : text_of_hex(arena, v);
	case AUDIT_READ_ARCH:
		return name_of_arch(arena, r, v);
	case AUDIT_READ_SYSCALL:
		return name_of_syscall(arena, r, v);
	case AUDIT_READ_EXIT:
		return name_of_error(arena, v);
	case AUDIT_READ_SIGNAL:
		return slice_eq(r->type, SLICE("SECCOMP"))
		    ? name_of_signal(arena, v)
		    : v;
	case AUDIT_READ_UNSET:
		return is_unset(v) ? SLICE("unset") : v;
	case AUDIT_READ_PLAIN:
		break;
	}
	return v;
}

/* ---- socket addresses ------------------------------------------------------- */

enum { UNIX = 1, INET = 2, NETLINK = 16, INET6 = 10 };

static struct slice
decimal(struct arena *arena, unsigned v)
{
	char text[NUMBER_TEXT];

	(void)snprintf(text, sizeof(text), "%u", v);
	return copied(arena, text);
}

static struct slice
port_of(struct arena *arena, const unsigned char *b)
{
	return decimal(arena, (unsigned)b[2] << 8 | b[3]);
}

/* A name in the file system, or an abstract one, which begins with NUL. */
static struct slice
unix_path(struct arena *arena, struct slice bytes)
{
	struct slice path = { bytes.ptr + 2, bytes.len - 2 };
	bool abstract = path.len > 1 && path.ptr[0] == '\0';
	const char *nul;
	char *out;

	if (abstract) {
		path.ptr++;
		path.len--;
	}
	nul = memchr(path.ptr, '\0', path.len);
	if (nul != NULL)
		path.len = (size_t)(nul - path.ptr);
	path = utf8_repair(arena, path);
	if (!abstract || path.len == 0)
		return path;
	out = arena_alloc(arena, path.len + 1);
	out[0] = '@';
	memcpy(out + 1, path.ptr, path.len);
	return (struct slice){ out, path.len + 1 };
}

void
audit_address(struct arena *arena, struct slice hex, struct audit_address *out)
{
	struct slice s = bytes_of(arena, hex);
	const unsigned char *b = (const unsigned char *)s.ptr;
	char text[INET6_ADDRSTRLEN];
	unsigned family;

	*out = (struct audit_address){ .family = { NULL, 0 } };
	if (s.len < 2)
		return;
	/* in the byte order of the machine; families are small */
	family = b[0] != 0 ? b[0] : b[1];
	if (family == UNIX && s.len > 2) {
		out->family = SLICE("unix");
		out->path = unix_path(arena, s);
	} else if (family == INET && s.len >= 8) {
		out->family = SLICE("ipv4");
		out->port = port_of(arena, b);
		if (inet_ntop(AF_INET, b + 4, text, sizeof(text)) != NULL)
			out->ip = copied(arena, text);
	} else if (family == INET6 && s.len >= 24) {
		out->family = SLICE("ipv6");
		out->port = port_of(arena, b);
		if (inet_ntop(AF_INET6, b + 8, text, sizeof(text)) != NULL)
			out->ip = copied(arena, text);
	} else if (family == NETLINK) {
		out->family = SLICE("netlink");
	} else {
		out->family = decimal(arena, family);
	}
}
