/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"
#include "json.h"
#include "normalize.h"
#include "run.h"
#include "tap.h"

/* ---- heads, joining --------------------------------------------------------- */

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static void
heads(void)
{
	static const struct {
		const char *line, *stamp, *type, *node;
	} cases[] = {
		{ "type=SYSCALL msg=audit(1763773323.123:9): arch=1",
		    "1763773323.123:9", "SYSCALL", "" },
		{ "node=web-1 type=EOE msg=audit(1763773323.123:9): ",
		    "1763773323.123:9", "EOE", "web-1" },
		{ "type=UNKNOWN[1329] msg=audit(1763773323.123:9):",
		    "1763773323.123:9", "UNKNOWN[1329]", "" },
		{ "type=UNKNOWN[1329] msg=?", NULL, NULL, NULL },
		{ "type=SYSCALL msg=audit(1763773323.123:9", NULL, NULL, NULL },
		{ "type=SYSCALL msg=audit(x.123:9): a", NULL, NULL, NULL },
		{ "type= msg=audit(1763773323.123:9): a", NULL, NULL, NULL },
		{ "node=", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct audit_head h;
		bool is = audit_head(text(cases[i].line), &h);

		CHECK(is == (cases[i].stamp != NULL) &&
			(!is ||
			    (slice_eq(h.stamp, text(cases[i].stamp)) &&
				slice_eq(h.type, text(cases[i].type)) &&
				slice_eq(h.node, text(cases[i].node)))),
		    "\"%s\" is %s record", cases[i].line,
		    cases[i].stamp == NULL ? "no" : "a");
	}
}

struct joined {
	char all[64 * 1024];
	size_t n, cut;
};

static void
on_joined(void *ctx, struct slice s, bool cut)
{
	struct joined *out = ctx;
	size_t len = strlen(out->all);

	out->n++;
	out->cut += cut;
	(void)snprintf(out->all + len, sizeof(out->all) - len, "%.*s|",
	    SLICE_ARG(s));
	for (char *c = out->all + len; *c != '\0'; c++) {
		if (*c == '\n')
			*c = '+';
	}
}

#define A(n) "type=A msg=audit(1763773323.123:" n "): "
#define Z(n) "type=EOE msg=audit(1763773323.123:" n "): "

static void
joining(void)
{
	static const struct {
		const char *what;
		const char *lines[8];
		const char *out;
	} cases[] = {
		{ "records of one event are joined",
		    { A("1") "x", A("1") "y", A("2") "z" },
		    A("1") "x+" A("1") "y|" A("2") "z|" },
		{ "so are those that stand among others",
		    { A("1") "x", A("2") "z", A("1") "y", Z("1"), Z("2") },
		    A("1") "x+" A("1") "y+" Z("1") "|" A("2") "z+" Z("2") "|" },
		{ "first lines give the order",
		    { A("1") "x", A("2") "z", Z("2"), A("1") "y" },
		    A("1") "x+" A("1") "y|" A("2") "z+" Z("2") "|" },
		{ "behind its EOE a number begins another event",
		    { A("1") "x", Z("1"), A("1") "y" },
		    A("1") "x+" Z("1") "|" A("1") "y|" },
		{ "nodes count by themselves",
		    { "node=a " A("1") "x", "node=b " A("1") "y" },
		    "node=a " A("1") "x|node=b " A("1") "y|" },
		{ "other lines stand by themselves",
		    { A("1") "x", "hello", A("1") "y", "" },
		    A("1") "x+" A("1") "y|hello||" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct joined out;
		struct audit_join *j = audit_join_new(on_joined, &out);

		out = (struct joined){ .n = 0 };
		for (size_t k = 0; k < 8 && cases[i].lines[k] != NULL; k++)
			audit_join_line(j, text(cases[i].lines[k]), false);
		audit_join_flush(j);
		CHECK(strcmp(out.all, cases[i].out) == 0, "%s", cases[i].what);
		if (strcmp(out.all, cases[i].out) != 0)
			(void)printf("# %s\n", out.all);
		audit_join_free(j);
	}
}

/* As records come: a look, more of them, a look. */
static void
idle(void)
{
	static struct joined out;
	struct audit_join *j = audit_join_new(on_joined, &out);

	audit_join_line(j, text(A("1") "x"), false);
	audit_join_line(j, text(A("2") "y"), false);
	audit_join_flush_idle(j);
	CHECK(out.n == 0, "what has just come may grow");
	audit_join_line(j, text(A("2") "z"), false);
	audit_join_line(j, text(A("3") "x"), false);
	audit_join_line(j, text(Z("3")), false);
	audit_join_flush_idle(j);
	CHECK(strcmp(out.all, A("1") "x|") == 0,
	    "what did not, is whole; what grew, is not");
	audit_join_flush_idle(j);
	CHECK(strcmp(out.all,
		  A("1") "x|" A("2") "y+" A("2") "z|" A("3") "x+" Z("3") "|") ==
		0,
	    "what was whole behind it comes with it, in order");
	audit_join_flush_idle(j);
	CHECK(out.n == 3, "and once");
	audit_join_free(j);
}

struct measured {
	size_t n, longest, cut;
};

static void
on_measured(void *ctx, struct slice s, bool cut)
{
	struct measured *m = ctx;

	m->n++;
	m->cut += cut;
	if (s.len > m->longest)
		m->longest = s.len;
}

static void
bounds(void)
{
	struct measured m = { 0 };
	struct audit_join *j = audit_join_new(on_measured, &m);
	static char line[AUDIT_TEXT_MAX + 100];

	for (unsigned i = 0; i < 10000; i++) {
		int n = snprintf(line, sizeof(line),
		    "type=A msg=audit(1763773323.123:%u): x", i);

		audit_join_line(j, (struct slice){ line, (size_t)n }, false);
		if (i - m.n > AUDIT_OPEN_MAX)
			m.cut++;
	}
	CHECK(m.cut == 0, "so many events wait at most");
	audit_join_flush(j);
	CHECK(m.n == 10000, "each comes out once");
	m = (struct measured){ 0 };
	memset(line, 'y', sizeof(line));
	for (size_t i = 0; i < strlen(A("1")); i++)
		line[i] = A("1")[i];
	audit_join_line(j, (struct slice){ line, 700000 }, false);
	audit_join_line(j, (struct slice){ line, 700000 }, false);
	audit_join_line(j, (struct slice){ line, sizeof(line) }, false);
	audit_join_flush(j);
	CHECK(m.n == 3 && m.cut == 1 && m.longest < AUDIT_TEXT_MAX,
	    "an event's text is bounded");
	audit_join_free(j);
}

/* ---- events ----------------------------------------------------------------- */

#define H(type) "type=" type " msg=audit(1763773323.123:9): "
#define SYSCALL_EXECVE                                                         \
 H("SYSCALL")                                                                  \
 "arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 a2=57 a3=58 "        \
 "items=2 ppid=10 pid=11 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 "         \
 "egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm=\"cat\" "                          \
 "exe=\"/usr/bin/cat\" subj=unconfined key=\"shadow\"\n"

static const struct {
	const char *what;
	const char *records;
	const char *expected[12]; /* parts of the flat JSON */
} events[] = {
	{ "a program that is run",
	    SYSCALL_EXECVE
		H("EXECVE") "argc=2 a0=\"cat\" a1=2F6574632F736861646F77\n" H("CWD") "cwd=\"/root\"\n" H(
		    "PATH") "item=0 name=\"/usr/bin/cat\" inode=5 dev=08:01 "
			    "mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL\n" H(
				"PROCTITLE") "proctitle=636174002F6574632F736861646F77",
	    { "\"auditd.sequence\":9", "\"event.action\":\"executed\"",
		"\"process.args\":[\"cat\",\"/etc/shadow\"]",
		"\"process.command_line\":\"cat /etc/shadow\"",
		"\"process.title\":\"cat /etc/shadow\"",
		"\"auditd.data.syscall\":\"execve\"",
		"\"user.audit.id\":\"1000\"", "\"auditd.session\":\"3\"",
		"\"file.path\":\"/usr/bin/cat\"", "\"file.mode\":\"0755\"",
		"\"tags\":[\"shadow\"]" } },
	{ "a connection, by IPv4",
	    H("SYSCALL") "arch=c000003e syscall=42 success=no exit=-111 pid=7 "
			 "auid=4294967295 ses=4294967295 key=(null)\n" H(
			     "SOCKADDR") "saddr=02000050C6336407",
	    { "\"destination.ip\":\"198.51.100.7\"", "\"destination.port\":80",
		"\"network.direction\":\"egress\"",
		"\"event.outcome\":\"failure\"",
		"\"auditd.data.exit\":\"ECONNREFUSED\"",
		"\"user.audit.id\":\"unset\"" } },
	{ "IPv6 and UNIX addresses",
	    H("SOCKADDR") "saddr=0A0001BB00000000"
			  "20010DB800000000000000000000000100000000",
	    { "\"auditd.data.socket_addr\":\"2001:db8::1\"",
		"\"auditd.data.socket_port\":\"443\"" } },
	{ "an abstract UNIX address", H("SOCKADDR") "saddr=0100006162",
	    { "\"auditd.data.socket_path\":\"@ab\"" } },
	{ "another architecture's system call",
	    H("SECCOMP") "auid=7 sig=31 arch=40000003 syscall=132 code=0x0",
	    { "\"auditd.data.arch\":\"i386\"",
		"\"auditd.data.syscall\":\"getpgid\"",
		"\"auditd.data.sig\":\"SIGSYS\"" } },
	{ "a log-in that failed",
	    H("USER_LOGIN") "pid=5 uid=0 auid=4294967295 ses=4294967295 "
			    "msg='op=login acct=28696E76616C6964207573657229 "
			    "exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh "
			    "res=failed'",
	    { "\"event.action\":\"logged-in\"", "\"source.ip\":\"192.0.2.7\"",
		"\"user.name\":\"(invalid user)\"",
		"\"event.category\":[\"authentication\"]",
		"\"event.outcome\":\"failure\"",
		"\"auditd.message_type\":\"user_login\"" } },
	{ "sudo's command",
	    H("USER_CMD") "pid=5 uid=1000 auid=1000 ses=3 msg='cwd=\"/home/b\" "
			  "cmd=6964202D75 terminal=pts/0 res=success'",
	    { "\"process.command_line\":\"id -u\"",
		"\"process.working_directory\":\"/home/b\"" } },
	{ "auditd's own readings",
	    H("USER_ACCT") "pid=5 uid=0 auid=1000 ses=3 msg='op=x res=success'"
			   "\x1dUID=\"root\" AUID=\"bob\"",
	    { "\"user.audit.name\":\"bob\"", "\"user.name\":\"root\"" } },
	{ "SELinux' decision",
	    H("AVC") "avc:  denied  { read write } for  pid=5 comm=\"x\" "
		     "scontext=a:b:c:s0 tcontext=d:e:f:s0 tclass=file permissive=0",
	    { "\"auditd.data.seresult\":\"denied\"",
		"\"auditd.data.seperms\":\"read write\"",
		"\"auditd.data.tclass\":\"file\"",
		"\"event.action\":\"violated-selinux-policy\"" } },
	{ "old words between the fields",
	    H("LOGIN") "login pid=13 uid=0 old auid=4294967295 new auid=5",
	    { "\"auditd.data.new_auid\":\"5\"", "\"process.pid\":13" } },
	{ "an argument in pieces",
	    H("EXECVE") "argc=2 a0=\"x\" a1_len=6 a1[0]=414243 a1[1]=444546",
	    { "\"process.args\":[\"x\",\"ABCDEF\"]" } },
	{ "a record behind a syslog header",
	    "Nov 22 01:02:03 web-1 audisp-syslog[7]: " H(
		"SERVICE_STOP") "pid=1 uid=0 auid=4294967295 ses=4294967295 msg='unit=auditd "
				"comm=\"systemd\" res=success'",
	    { "\"event.action\":\"stopped-service\"",
		"\"auditd.data.unit\":\"auditd\"",
		"\"host.hostname\":\"web-1\"" } },
	{ "an unknown type", H("NEVER_HEARD") "x=1",
	    { "\"event.action\":\"never_heard\"", "\"auditd.data.x\":\"1\"" } },
};

static void
read_events(void)
{
	struct normalizer_set *set = NULL;
	struct normalizer *n;
	struct arena *arena = arena_new(65536);
	struct normalize_hints hints = { .dataset = { NULL, 0 } };
	struct error err;
	struct buf out;

	if (normalizer_set_load(KUZET_SRCDIR "/rules/normalizers", NULL, NULL,
		&set, &err) != RC_OK) {
		(void)printf("Bail out! %s\n", err.text);
		return;
	}
	n = normalizer_new(set);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct event ev;
		bool known;

		arena_reset(arena);
		event_begin(&ev, arena);
		known =
		    normalizer_line(n, &ev, text(events[i].records), &hints);
		CHECK(known, "%s is known", events[i].what);
		buf_clear(&out);
		json_write_event(&out, &ev, JSON_FLAT);
		(void)buf_add_char(&out, '\0');
		for (size_t k = 0; k < 12 && events[i].expected[k] != NULL;
		     k++) {
			bool there =
			    strstr(out.ptr, events[i].expected[k]) != NULL;

			CHECK(there, "%s: %s", events[i].what,
			    events[i].expected[k]);
			if (!there)
				(void)printf("# %s\n", out.ptr);
		}
	}
	buf_fini(&out);
	normalizer_free(n);
	normalizer_set_unref(set);
	arena_free(arena);
}

int
main(void)
{
	heads();
	joining();
	idle();
	bounds();
	read_events();
	return tap_done();
}
