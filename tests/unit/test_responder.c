/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roles/responder.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "tap.h"
#include "timestamp.h"

enum { SAID = 64 };
static const int64_t now_ns = INT64_C(1795366953000000000);

struct world {
	char dir[64];
	struct signer *signer;
	struct sign_keys *keys;
	struct responder *responder;
	struct responder_options options;
	struct buf answer; /* the last */
	unsigned answers, events;
	struct order order;
	char id[UUID_TEXT];
};

static char block[] = "block_address", stop[] = "stop_service",
	    collect[] = "collect_evidence", nginx[] = "nginx.service",
	    network[] = "198.51.100.0/24", host[] = "203.0.113.9:5044",
	    named[] = "collector:5044";
static char *enabled_items[] = { block, stop, collect };
static char *service_items[] = { nginx };
static char *evidence_items[2];
static char *never_items[] = { network };
static char *host_items[] = { host, named };
static const struct conf_strings enabled = { enabled_items, 3, 0 };
static const struct conf_strings nothing = { NULL, 0, 0 };
static const struct conf_strings services = { service_items, 1, 0 };
static const struct conf_strings never = { never_items, 1, 0 };
static const struct conf_strings hosts = { host_items, 2, 0 };
static const struct conf_strings evidence = { evidence_items, 2, 0 };

static void
hear(void *ctx, struct slice json)
{
	struct world *w = ctx;
	bool answer =
	    memmem(json.ptr, json.len, "{\"type\":\"answer\"", 16) == json.ptr;

	w->answers += answer;
	w->events += !answer;
	if (!answer)
		return;
	buf_clear(&w->answer);
	(void)buf_add_slice(&w->answer, json);
	(void)buf_add_char(&w->answer, '\0');
}

static const char *
path_of(const struct world *w, const char *name)
{
	static char paths[4][128];
	static unsigned at;
	char *path = paths[at++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", w->dir, name);
	return path;
}

/* A program that writes down how it was called, and what it was told. */
static const char *
make_program(const struct world *w, const char *name)
{
	static char paths[3][128];
	static unsigned at;
	char *path = paths[at++ % 3];
	FILE *f;

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", w->dir, name);
	f = fopen(path, "we");
	(void)fprintf(f,
	    "#!/bin/sh\necho \"%s $*\" >> %s/calls\ncat >> %s/calls\n"
	    "cat %s/state 2>/dev/null || :\n",
	    name, w->dir, w->dir, w->dir);
	(void)fclose(f);
	(void)chmod(path, 0700);
	return path;
}

static void
make_keys(struct world *w)
{
	struct error err;
	struct buf pem;
	FILE *f;

	if (signer_open(path_of(w, "key"), true, &w->signer, &err) != RC_OK)
		abort();
	buf_init(&pem, 4096);
	signer_public(w->signer, &pem);
	f = fopen(path_of(w, "pub"), "we");
	(void)fwrite(pem.ptr, 1, pem.len, f);
	(void)fclose(f);
	buf_fini(&pem);
	if (sign_keys_read(path_of(w, "pub"), &w->keys, &err) != RC_OK)
		abort();
}

static void
restart(struct world *w, int64_t started_ns)
{
	responder_free(w->responder);
	w->options.started_ns = started_ns;
	w->responder = responder_new(&w->options);
}

static void
begin(struct world *w)
{
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/kuzet-respond-XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		abort();
	make_keys(w);
	buf_init(&w->answer, RESPONDER_SAYS_MAX + 1);
	w->options = (struct responder_options){
		.keys = w->keys,
		.agent = "web-1",
		.enabled = &enabled,
		.services = &services,
		.evidence = &evidence,
		.never = &never,
		.hosts = &hosts,
		.max_ns = 3600 * NS_PER_SEC,
		.nft = make_program(w, "nft"),
		.systemctl = make_program(w, "systemctl"),
		.systemd_run = make_program(w, "systemd-run"),
		.say = hear,
		.ctx = w,
	};
	restart(w, now_ns - 3600 * NS_PER_SEC);
}

static void
end(struct world *w)
{
	static const char *const names[] = { "key", "pub", "nft", "systemctl",
		"systemd-run", "calls", "evidence", "state" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(w, names[i]));
	(void)rmdir(w->dir);
	responder_free(w->responder);
	signer_free(w->signer);
	sign_keys_free(w->keys);
	buf_fini(&w->answer);
}

/* A fresh one. */
static struct order *
order(struct world *w, const char *kind, const char *target, uint64_t seconds)
{
	uint8_t uuid[16];

	uuid_new(uuid);
	uuid_text(uuid, w->id);
	w->order = (struct order){ .kind = { kind, strlen(kind) },
		.agent = SLICE("web-1"),
		.id = { w->id, UUID_TEXT - 1 },
		.issued_ns = now_ns,
		.expires_ns = now_ns + ORDER_LIFE_NS,
		.by = SLICE("aigerim"),
		.reason = SLICE("test"),
		.target = { target, strlen(target) },
		.seconds = seconds };
	return &w->order;
}

/* Whether the answer holds it. */
static bool
gives(struct world *w, const struct order *o, int64_t at_ns, const char *result)
{
	struct buf wire;

	buf_clear(&w->answer);
	(void)unlink(path_of(w, "calls"));
	buf_init(&wire, ORDER_WIRE_MAX);
	order_sign(o, w->signer, &wire);
	responder_take(w->responder, buf_slice(&wire), at_ns);
	buf_fini(&wire);
	if (w->answer.len == 0)
		return result == NULL;
	return result != NULL && strstr(w->answer.ptr, result) != NULL &&
	    memmem(w->answer.ptr, w->answer.len, w->id, UUID_TEXT - 1) != NULL;
}

static bool
called(const struct world *w, const char *text)
{
	char calls[8192];
	FILE *f = fopen(path_of(w, "calls"), "re");
	size_t n;

	if (f == NULL)
		return text == NULL;
	n = fread(calls, 1, sizeof(calls) - 1, f);
	calls[n] = '\0';
	(void)fclose(f);
	return text != NULL && strstr(calls, text) != NULL;
}

static const char done[] = "\"result\":\"done\"";
static const char refused[] = "\"result\":\"refused\"";

static void
addresses_are_blocked(struct world *w)
{
	static const struct {
		const char *target, *result, *element;
	} cases[] = {
		{ "203.0.113.7", done,
		    "add element inet kuzet blocked4 { 203.0.113.7 timeout "
		    "60s }" },
		{ "2001:db8::7", done,
		    "add element inet kuzet blocked6 { 2001:db8::7 timeout "
		    "60s }" },
		{ "2001:DB8:0::7", done, "blocked6 { 2001:db8::7 timeout" },
		{ "127.0.0.1", refused, NULL },
		{ "::1", refused, NULL },
		{ "::ffff:127.0.0.1", refused, NULL },
		{ "224.0.0.1", refused, NULL },
		{ "198.51.100.200", refused, NULL }, /* response.never */
		{ "203.0.113.9", refused, NULL },    /* the collector */
		{ "203.0.113.7 }; flush ruleset", refused, NULL },
		{ "0.0.0.0/0", refused, NULL },
		{ "example.org", refused, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order *o =
		    order(w, "block_address", cases[i].target, 60);

		CHECK(gives(w, o, now_ns, cases[i].result) &&
			called(w, cases[i].element),
		    "block %s: %s", cases[i].target, cases[i].result);
	}
	CHECK(gives(w, order(w, "block_address", "203.0.113.7", 0), now_ns,
		  refused) &&
		gives(w, order(w, "block_address", "203.0.113.7", 3601), now_ns,
		    refused) &&
		called(w, NULL),
	    "for ever, and for longer than allowed, is refused");
	CHECK(gives(w, order(w, "unblock_address", "203.0.113.7", 0), now_ns,
		  done) &&
		called(w,
		    "delete element inet kuzet blocked4 { 203.0.113.7 }") &&
		!called(w, "timeout 60s"),
	    "what is blocked can be let in again");
}

static void
services_are_stopped(struct world *w)
{
	static const char *const stopped[] = { "inactive", "failed" };

	CHECK(gives(w, order(w, "stop_service", "nginx.service", 600), now_ns,
		  done) &&
		called(w, "systemctl stop -- nginx.service") &&
		called(w, "--on-active=600s") &&
		called(w, "start -- nginx.service") && called(w, w->id),
	    "a listed service is stopped, and its start is planned first");
	CHECK(gives(w, order(w, "stop_service", "ssh.service", 600), now_ns,
		  refused) &&
		called(w, NULL),
	    "another one is not");
	for (size_t i = 0; i < sizeof(stopped) / sizeof(stopped[0]); i++) {
		FILE *f = fopen(path_of(w, "state"), "we");

		(void)fprintf(f, "%s\n", stopped[i]);
		(void)fclose(f);
		CHECK(gives(w, order(w, "stop_service", "nginx.service", 600),
			  now_ns, refused) &&
			called(w, "systemctl show") && !called(w, "on-active"),
		    "of one that is %s no start is planned", stopped[i]);
	}
	(void)unlink(path_of(w, "state"));
	CHECK(response_is_unit("a@b-1.service") &&
		!response_is_unit("-H.service") &&
		!response_is_unit("a b.service") &&
		!response_is_unit("a/b.service") &&
		!response_is_unit("nginx") && !response_is_unit(".service"),
	    "a unit's name is one word");
}

static void
evidence_is_collected(struct world *w)
{
	static char file[128], missing[] = "/nowhere/at/all";
	unsigned before = w->events;
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s", path_of(w, "evidence"));
	f = fopen(file, "we");
	for (int i = 0; i < 60000; i++)
		(void)fputs("\xff line\n", f);
	(void)fclose(f);
	evidence_items[0] = file;
	evidence_items[1] = missing;
	CHECK(gives(w, order(w, "collect_evidence", "", 0), now_ns, done),
	    "evidence is brought");
	/* 256 KiB of the file in pieces of 8, and of the others one at least */
	CHECK(w->events - before >= 32 + 4 && w->events - before < 300,
	    "in pieces, with a bound: %u", w->events - before);
}

static void
only_what_is_signed_is_done(struct world *w)
{
	struct order *o = order(w, "block_address", "203.0.113.7", 60);
	struct buf wire;
	unsigned before;

	o->agent = SLICE("web-2");
	CHECK(gives(w, o, now_ns, refused) && called(w, NULL),
	    "an order for another agent is refused");
	buf_init(&wire, ORDER_WIRE_MAX);
	o = order(w, "block_address", "203.0.113.7", 60);
	order_sign(o, w->signer, &wire);
	before = w->answers + w->events;
	for (size_t i = 0; i < wire.len; i += 7) {
		wire.ptr[i] ^= 1;
		responder_take(w->responder, buf_slice(&wire), now_ns);
		wire.ptr[i] ^= 1;
	}
	CHECK(called(w, NULL) && w->answers + w->events == before,
	    "a changed one is nobody's");
	responder_take(w->responder, (struct slice){ "{}", 2 }, now_ns);
	CHECK(called(w, NULL), "nor is one without a signature");
	buf_fini(&wire);
	CHECK(gives(w, order(w, "rm", "/", 60), now_ns, refused) &&
		gives(w, order(w, "config", "", 0), now_ns, refused),
	    "what is no action is refused");
	w->options.enabled = &nothing;
	restart(w, now_ns - 3600 * NS_PER_SEC);
	CHECK(gives(w, order(w, "block_address", "203.0.113.7", 60), now_ns,
		  "response.enabled") &&
		called(w, NULL),
	    "what the owner does not list is refused");
	w->options.enabled = &enabled;
	restart(w, now_ns - 3600 * NS_PER_SEC);
}

static void
once_and_in_time(struct world *w)
{
	struct order *o = order(w, "block_address", "203.0.113.7", 60);

	CHECK(gives(w, o, now_ns, done) &&
		gives(w, o, now_ns + NS_PER_SEC, "was here before") &&
		called(w, NULL),
	    "an order is done once");
	CHECK(gives(w, o, now_ns + 590 * NS_PER_SEC, "was here before") &&
		gives(w, o, now_ns - 5 * NS_PER_SEC, "was here before"),
	    "as long as it is good, and by a clock that is set back");
	CHECK(gives(w, o, now_ns + 611 * NS_PER_SEC, refused),
	    "then it is over");
	restart(w, now_ns + NS_PER_SEC);
	CHECK(gives(w, o, now_ns + 2 * NS_PER_SEC, "ask again") &&
		called(w, NULL),
	    "after a restart it is not done again");
	o = order(w, "block_address", "203.0.113.8", 60);
	o->issued_ns = now_ns + 10 * NS_PER_SEC;
	o->expires_ns = o->issued_ns + ORDER_LIFE_NS;
	CHECK(gives(w, o, now_ns + 2 * NS_PER_SEC, "ask again"),
	    "nor one that a clock ahead of ours could have issued before it");
	o = order(w, "block_address", "203.0.113.8", 60);
	o->issued_ns = now_ns + 12 * NS_PER_SEC;
	o->expires_ns = o->issued_ns + ORDER_LIFE_NS;
	CHECK(gives(w, o, now_ns + 12 * NS_PER_SEC, done),
	    "one issued later is");
	o = order(w, "block_address", "203.0.113.8", 60);
	o->issued_ns = now_ns + 100 * NS_PER_SEC;
	o->expires_ns = o->issued_ns + ORDER_LIFE_NS;
	CHECK(gives(w, o, now_ns + 80 * NS_PER_SEC, "in the future"),
	    "one from the future is not");
}

int
main(void)
{
	struct world w = { .answers = 0 };

	begin(&w);
	addresses_are_blocked(&w);
	services_are_stopped(&w);
	evidence_is_collected(&w);
	only_what_is_signed_is_done(&w);
	once_and_in_time(&w);
	end(&w);
	return tap_done();
}
