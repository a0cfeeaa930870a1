/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/responder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "agent/roles/evidence.h"
#include "agent/roles/responder_event.h"
#include "agent/roles/spawn.h"
#include "arena.h"
#include "conf.h"
#include "log.h"
#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 16384,
	SCRIPT_BYTES = 4096,
	SECONDS_MAX = 30, /* of a program */
	SAID_BYTES = 512, /* of what it says */
	LOOK_MS = 20,
	UNIT_MAX = 128
};

struct seen {
	char id[UUID_TEXT];
	int64_t until_ns; /* no order of that id is good any more */
};

struct responder {
	struct responder_options options;
	struct seen seen[RESPONDER_SEEN_MAX];
	size_t n_seen;
	uint64_t foreign; /* messages that nobody we trust signed */
};

/* ---- programs ------------------------------------------------------------ */

static const char *
find_program(const char *given, const char *const *places)
{
	if (given != NULL)
		return given;
	for (; places[1] != NULL && access(places[0], X_OK) != 0;)
		places++;
	return places[0];
}

static int
text_fd(struct slice text)
{
	int fd = memfd_create("script", MFD_CLOEXEC);

	if (fd != -1 &&
	    (write(fd, text.ptr, text.len) != (ssize_t)text.len ||
		lseek(fd, 0, SEEK_SET) != 0)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

/* Its status, as waitpid(2); it has SECONDS_MAX. */
static int
await(pid_t pid)
{
	int64_t until_ns = loop_now() + SECONDS_MAX * NS_PER_SEC;
	int status = -1;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (loop_now() >= until_ns)
			(void)kill(pid, SIGKILL);
		(void)poll(NULL, 0, LOOK_MS);
	}
	return status;
}

/* Runs it with `input`; what it says goes into the error, too. */
static enum rc
run_for(const char *const *argv, struct slice input, char said[SAID_BYTES + 1],
    struct error *err)
{
	int in = text_fd(input), out = memfd_create("said", MFD_CLOEXEC);
	const struct spawn_files files = { in, out, out };
	enum rc rc = RC_OK;
	pid_t pid;
	int status;

	memset(said, 0, SAID_BYTES + 1);
	if (in == -1 || out == -1 || !spawn_program(argv, &files, &pid)) {
		rc = error_set(err, RC_SYSTEM, "%s cannot be run", argv[0]);
	} else {
		status = await(pid);
		if (pread(out, said, SAID_BYTES, 0) < 0)
			said[0] = '\0';
		for (char *c = said; *c != '\0'; c++) {
			if ((unsigned char)*c < ' ')
				*c = ' ';
		}
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			rc = error_set(err, RC_SYSTEM, "%s: %s", argv[0],
			    said[0] == '\0' ? "failed" : said);
	}
	if (in != -1)
		(void)close(in);
	if (out != -1)
		(void)close(out);
	return rc;
}

static enum rc
run(const char *const *argv, struct slice input, struct error *err)
{
	char said[SAID_BYTES + 1];

	return run_for(argv, input, said, err);
}

/* ---- addresses ----------------------------------------------------------- */

static const char *const nft_places[] = { "/usr/sbin/nft", "/sbin/nft",
	"/usr/bin/nft", NULL };

static bool
ip_in(const struct ip *ip, const struct ip_network *n)
{
	return memcmp(ip->bytes, n->first.bytes, 16) >= 0 &&
	    memcmp(ip->bytes, n->last.bytes, 16) <= 0;
}

/* Without these the machine, or its way to the collector, would be gone. */
static const char *const never_blocked[] = { "127.0.0.0/8", "0.0.0.0/8",
	"224.0.0.0/4", "255.255.255.255", "::1", "::", "ff00::/8", "fe80::/10",
	NULL };

static bool
is_within(const struct ip *ip, const char *network)
{
	struct ip_network n;
	struct error err;

	return ip_network_parse((struct slice){ network, strlen(network) }, &n,
		   &err) == RC_OK &&
	    ip_in(ip, &n);
}

static bool
may_be_blocked(const struct responder_options *o, const struct ip *ip,
    struct error *err)
{
	char host[ADDRESS_HOST];
	uint16_t port;
	struct ip other;
	bool never = false;

	for (size_t i = 0; never_blocked[i] != NULL; i++)
		never = never || is_within(ip, never_blocked[i]);
	for (size_t i = 0; i < o->never->n; i++)
		never = never || is_within(ip, o->never->items[i]);
	for (size_t i = 0; i < o->hosts->n; i++)
		never = never ||
		    (address_split(o->hosts->items[i], host, &port) &&
			ip_parse((struct slice){ host, strlen(host) },
			    &other) &&
			memcmp(&other, ip, sizeof(other)) == 0);
	if (never)
		(void)error_set(err, RC_DENIED,
		    "this address is never blocked: it is the machine's own, "
		    "the collector's, or in response.never");
	return !never;
}

/* One transaction: all of it or nothing.  An element that is there gets the new
 * time. */
static void
write_rules(struct buf *out, const char *set, const char *address,
    uint64_t seconds)
{
	static const char table[] =
	    "add table inet kuzet\n"
	    "add set inet kuzet blocked4 { type ipv4_addr; flags timeout; "
	    "size 65536; }\n"
	    "add set inet kuzet blocked6 { type ipv6_addr; flags timeout; "
	    "size 65536; }\n"
	    "add chain inet kuzet input { type filter hook input priority "
	    "-150; policy accept; }\n"
	    "add chain inet kuzet output { type filter hook output priority "
	    "-150; policy accept; }\n"
	    "flush chain inet kuzet input\n"
	    "flush chain inet kuzet output\n"
	    "add rule inet kuzet input ip saddr @blocked4 counter drop\n"
	    "add rule inet kuzet input ip6 saddr @blocked6 counter drop\n"
	    "add rule inet kuzet output ip daddr @blocked4 counter drop\n"
	    "add rule inet kuzet output ip6 daddr @blocked6 counter drop\n";

	(void)buf_add_str(out, table);
	(void)buf_printf(out, "add element inet kuzet %s { %s }\n", set,
	    address);
	(void)buf_printf(out, "delete element inet kuzet %s { %s }\n", set,
	    address);
	if (seconds > 0)
		(void)buf_printf(out,
		    "add element inet kuzet %s { %s timeout %llus }\n", set,
		    address, (unsigned long long)seconds);
}

/* Printed from its bytes: nothing of the text that came gets any further. */
static const char *
print_address(const struct ip *ip, char out[INET6_ADDRSTRLEN])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
		0xff };
	bool four = memcmp(ip->bytes, mapped, sizeof(mapped)) == 0;

	(void)inet_ntop(four ? AF_INET : AF_INET6,
	    ip->bytes + (four ? sizeof(mapped) : 0), out, INET6_ADDRSTRLEN);
	return four ? "blocked4" : "blocked6";
}

static enum rc
set_address(struct responder *r, const struct order *o, uint64_t seconds,
    struct error *err)
{
	const char *nft = find_program(r->options.nft, nft_places);
	const char *const argv[] = { nft, "-f", "-", NULL };
	char address[INET6_ADDRSTRLEN];
	const char *set;
	struct buf rules;
	struct ip ip;
	enum rc rc;

	if (!ip_parse(o->target, &ip))
		return error_set(err, RC_INVALID, "the target is no address");
	if (seconds > 0 && !may_be_blocked(&r->options, &ip, err))
		return err->code;
	set = print_address(&ip, address);
	buf_init(&rules, SCRIPT_BYTES);
	write_rules(&rules, set, address, seconds);
	rc = run(argv, buf_slice(&rules), err);
	buf_fini(&rules);
	return rc;
}

static enum rc
check_time(const struct responder *r, const struct order *o, struct error *err)
{
	uint64_t most = (uint64_t)(r->options.max_ns / NS_PER_SEC);

	if (o->seconds >= 1 && o->seconds <= most)
		return RC_OK;
	return error_set(err, RC_DENIED,
	    "for %llu s: 1 to %llu are allowed (response.max_time)",
	    (unsigned long long)o->seconds, (unsigned long long)most);
}

static enum rc
block_address(struct responder *r, const struct order *o, struct error *err)
{
	enum rc rc = check_time(r, o, err);

	return rc == RC_OK ? set_address(r, o, o->seconds, err) : rc;
}

static enum rc
unblock_address(struct responder *r, const struct order *o, struct error *err)
{
	return set_address(r, o, 0, err);
}

/* ---- services ------------------------------------------------------------ */

static const char *const systemctl_places[] = { "/usr/bin/systemctl",
	"/bin/systemctl", NULL };
static const char *const systemd_run_places[] = { "/usr/bin/systemd-run",
	"/bin/systemd-run", NULL };

bool
response_is_unit(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		if (strchr(
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789:-_.\\@",
			name[i]) == NULL)
			return false;
	}
	return n > 8 && n < UNIT_MAX && name[0] != '-' &&
	    strcmp(name + n - 8, ".service") == 0;
}

static const char *
service_of(const struct responder *r, struct slice name)
{
	const struct conf_strings *list = r->options.services;

	for (size_t i = 0; i < list->n; i++) {
		if (slice_eq(name,
			(struct slice){ list->items[i],
			    strlen(list->items[i]) }))
			return list->items[i];
	}
	return NULL;
}

/* One that does not run was stopped by others: nobody would want it started
 * after a while. */
static enum rc
check_runs(const char *systemctl, const char *unit, struct error *err)
{
	const char *const show[] = { systemctl, "show",
		"--property=ActiveState", "--value", "--", unit, NULL };
	char said[SAID_BYTES + 1];
	enum rc rc = run_for(show, (struct slice){ "", 0 }, said, err);

	if (rc != RC_OK)
		return rc;
	if (strncmp(said, "inactive", 8) == 0 ||
	    strncmp(said, "failed", 6) == 0)
		return error_set(err, RC_DENIED,
		    "%s does not run: there is nothing to stop", unit);
	return RC_OK;
}

/* systemd's timer first: no service is stopped that nobody would start. */
static enum rc
stop_service(struct responder *r, const struct order *o, struct error *err)
{
	const char *unit = service_of(r, o->target);
	const char *systemctl =
	    find_program(r->options.systemctl, systemctl_places);
	char after[64], timer[64];
	const char *const undo[] = { find_program(r->options.systemd_run,
					 systemd_run_places),
		"--quiet", "--collect", after, timer, systemctl, "start", "--",
		unit, NULL };
	const char *const stop[] = { systemctl, "stop", "--", unit, NULL };
	const struct slice nothing = { "", 0 };
	enum rc rc = check_time(r, o, err);

	if (rc != RC_OK)
		return rc;
	if (unit == NULL)
		return error_set(err, RC_DENIED,
		    "response.services of agent.yaml does not list this "
		    "service");
	rc = check_runs(systemctl, unit, err);
	if (rc != RC_OK)
		return rc;
	(void)snprintf(after, sizeof(after), "--on-active=%llus",
	    (unsigned long long)o->seconds);
	(void)snprintf(timer, sizeof(timer), "--unit=kuzet-%.*s",
	    SLICE_ARG(o->id));
	rc = run(undo, nothing, err);
	return rc == RC_OK ? run(stop, nothing, err) : rc;
}

/* ---- evidence ------------------------------------------------------------ */

struct gathering {
	struct responder *responder;
	const struct order *order;
};

static void
evidence_piece(void *ctx, const struct evidence_piece *piece)
{
	const struct gathering *g = ctx;
	struct buf json;

	buf_init(&json, RESPONDER_SAYS_MAX);
	responder_event_evidence(g->order, piece, &json);
	if (!json.overflowed)
		g->responder->options.say(g->responder->options.ctx,
		    buf_slice(&json));
	buf_fini(&json);
}

static enum rc
collect_evidence(struct responder *r, const struct order *o, struct error *err)
{
	struct gathering g = { r, o };

	(void)err;
	evidence_gather(r->options.evidence, evidence_piece, &g);
	return RC_OK;
}

/* ---- orders -------------------------------------------------------------- */

const char *const response_actions[] = { "block_address", "stop_service",
	"collect_evidence", NULL };

static const struct action {
	const char *name;
	const char *needs; /* of response_actions, enabled */
	enum rc (*act)(struct responder *r, const struct order *o,
	    struct error *err);
} actions[] = {
	{ "block_address", "block_address", block_address },
	{ "unblock_address", "block_address", unblock_address },
	{ "stop_service", "stop_service", stop_service },
	{ "collect_evidence", "collect_evidence", collect_evidence },
};

bool
response_is_action(const char *name)
{
	for (size_t i = 0; response_actions[i] != NULL; i++) {
		if (strcmp(name, response_actions[i]) == 0)
			return true;
	}
	return false;
}

static const struct action *
action_of(const struct responder *r, struct slice kind, struct error *err)
{
	const struct conf_strings *enabled = r->options.enabled;
	size_t n = sizeof(actions) / sizeof(actions[0]), i = 0;

	while (i < n &&
	    !slice_eq(kind,
		(struct slice){ actions[i].name, strlen(actions[i].name) }))
		i++;
	for (size_t k = 0; i < n && k < enabled->n; k++) {
		if (strcmp(enabled->items[k], actions[i].needs) == 0)
			return &actions[i];
	}
	(void)error_set(err, RC_DENIED,
	    "response.enabled of agent.yaml does not list this action");
	return NULL;
}

/* RC_AGAIN: it was here; else it is from now on. */
static enum rc
remember(struct responder *r, const struct order *o, int64_t now_ns,
    struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_seen; i++) {
		if (r->seen[i].until_ns > now_ns)
			r->seen[kept++] = r->seen[i];
	}
	r->n_seen = kept;
	for (size_t i = 0; i < kept; i++) {
		if (slice_eq(o->id,
			(struct slice){ r->seen[i].id, UUID_TEXT - 1 }))
			return error_set(err, RC_AGAIN,
			    "this order was here before");
	}
	if (kept == RESPONDER_SEEN_MAX)
		return error_set(err, RC_LIMIT,
		    "more than %d orders within %lld s", RESPONDER_SEEN_MAX,
		    (long long)(ORDER_LIFE_NS / NS_PER_SEC));
	(void)snprintf(r->seen[kept].id, UUID_TEXT, "%.*s", SLICE_ARG(o->id));
	/* a clock that is set back a little finds it still */
	r->seen[kept].until_ns = o->expires_ns + ORDER_LIFE_NS;
	r->n_seen++;
	return RC_OK;
}

static enum rc
check(struct responder *r, const struct order *o, int64_t now_ns,
    struct error *err)
{
	int64_t from_ns = r->options.started_ns + ACTION_SKEW_NS;
	enum rc rc = order_is_for(o, r->options.agent, err);

	if (rc == RC_OK)
		rc = order_in_time(o, now_ns, ACTION_SKEW_NS, err);
	if (rc == RC_OK && o->issued_ns <= from_ns)
		rc = error_set(err, RC_DENIED,
		    "the agent began less than %lld s before the order was "
		    "issued, and cannot know whether it was done before: ask "
		    "again",
		    (long long)(ACTION_SKEW_NS / NS_PER_SEC));
	return rc == RC_OK ? remember(r, o, now_ns, err) : rc;
}

static void
report(struct responder *r, const struct order *o, const char *result,
    const struct error *err)
{
	struct buf json;

	if (err->code != RC_OK)
		log_warn("%.*s %.*s, asked for by %.*s: %s: %s",
		    SLICE_ARG(o->kind), SLICE_ARG(o->target), SLICE_ARG(o->by),
		    result, err->text);
	else
		log_warn("%.*s %.*s for %llu s, asked for by %.*s: %s",
		    SLICE_ARG(o->kind), SLICE_ARG(o->target),
		    (unsigned long long)o->seconds, SLICE_ARG(o->by), result);
	buf_init(&json, RESPONDER_SAYS_MAX);
	responder_event_result(o, result, err, &json);
	if (!json.overflowed)
		r->options.say(r->options.ctx, buf_slice(&json));
	buf_clear(&json);
	responder_answer(o, result, err, &json);
	r->options.say(r->options.ctx, buf_slice(&json));
	buf_fini(&json);
}

void
responder_take(struct responder *r, struct slice wire, int64_t now_ns)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct error err = { .code = RC_OK };
	const struct action *action = NULL;
	struct order o;
	enum rc rc = order_open(wire, r->options.keys, arena, &o, &err);

	if (rc != RC_OK) {
		/* whoever owns the worker could fill the log */
		r->foreign++;
		if ((r->foreign & (r->foreign - 1)) == 0)
			log_warn("an order is refused: %s (%llu so far)",
			    err.text, (unsigned long long)r->foreign);
		arena_free(arena);
		return; /* there is nobody to be answered */
	}
	rc = check(r, &o, now_ns, &err);
	if (rc == RC_OK)
		action = action_of(r, o.kind, &err);
	if (action == NULL) {
		report(r, &o, rc == RC_AGAIN ? "repeated" : "refused", &err);
	} else {
		rc = action->act(r, &o, &err);
		report(r, &o,
		    rc == RC_OK            ? "done"
			: rc == RC_DENIED  ? "refused"
			: rc == RC_INVALID ? "refused"
					   : "failed",
		    &err);
	}
	arena_free(arena);
}

struct responder *
responder_new(const struct responder_options *options)
{
	struct responder *r = xzalloc(sizeof(*r));

	r->options = *options;
	return r;
}

void
responder_free(struct responder *r)
{
	free(r);
}

/* ---- the process --------------------------------------------------------- */

struct channel {
	int fd;
};

static void
say(void *ctx, struct slice json)
{
	const struct channel *c = ctx;

	while (send(c->fd, json.ptr, json.len, MSG_NOSIGNAL) == -1 &&
	    errno == EINTR)
		continue;
}

void
responder_serve(int channel, struct responder_options *options)
{
	struct channel c = { channel };
	struct responder *r;
	char *message = xzalloc(ORDER_WIRE_MAX);
	ssize_t n;

	options->say = say;
	options->ctx = &c;
	r = responder_new(options);
	for (;;) {
		n = recv(channel, message, ORDER_WIRE_MAX, 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n > 0)
			responder_take(r, (struct slice){ message, (size_t)n },
			    timestamp_now());
	}
	responder_free(r);
	free(message);
}
