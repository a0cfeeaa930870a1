/* SPDX-License-Identifier: Apache-2.0 */
#include "listener_world.h"

#include "lumberjack.h"

enum { IDLE = 1000, EVENT = 500 };

static struct world w;

static void
put_events(struct buf *out, uint32_t from, uint32_t n, size_t bytes)
{
	char *text = xzalloc(bytes + 1);

	memset(text, 'x', bytes);
	for (uint32_t i = from; i < from + n; i++)
		lumberjack_put_json(out, i, (struct slice){ text, bytes });
	free(text);
}

static void
put_compressed(struct buf *out, uint32_t n)
{
	struct lumberjack_deflate *d = lumberjack_deflate_new(3);
	struct buf frames;
	struct error err;

	buf_init(&frames, 64 << 20);
	put_events(&frames, 1, n, EVENT);
	(void)lumberjack_put_compressed(d, out, buf_slice(&frames), &err);
	buf_fini(&frames);
	lumberjack_deflate_free(d);
}

static void
test_windows(void)
{
	struct error err;
	struct buf out;
	struct tls *t;
	int64_t first, second;
	uint64_t id;

	if (!world_start(&w, 64 << 20))
		return;
	buf_init(&out, 1 << 20);
	t = client_open(&w, w.agent, &err);
	lumberjack_put_window(&out, 3);
	put_events(&out, 1, 3, 10);
	lumberjack_put_window(&out, 2);
	put_compressed(&out, 2);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 0);
	CHECK(client_send(t, out.ptr, out.len, 5000) == out.len,
	    "three windows are sent");
	CHECK(world_wait_pieces(&w, 3), "three pieces come");
	id = w.pieces[0]->connection;
	CHECK(w.pieces[0]->kind == PIECE_JSON && w.pieces[0]->window == 3 &&
		w.pieces[0]->len == 60,
	    "bare events are one piece");
	CHECK(w.pieces[1]->kind == PIECE_COMPRESSED &&
		w.pieces[1]->window == 2 && w.pieces[1]->number == 1,
	    "a compressed frame is one piece");
	CHECK(w.pieces[2]->kind == PIECE_JSON && w.pieces[2]->window == 1 &&
		w.pieces[2]->number == 2 && w.pieces[2]->connection == id,
	    "an event without text is one");
	CHECK(strcmp(w.pieces[0]->agent, "agent") == 0 &&
		strncmp(w.pieces[0]->peer, "127.0.0.1:", 10) == 0,
	    "pieces say from whom they are");
	CHECK(client_ack(t, 200) == -2, "nothing is acknowledged yet");
	world_ack(&w, id, 3);
	world_ack(&w, id, 2);
	first = client_ack(t, 5000);
	second = client_ack(t, 5000);
	CHECK(first == 3 && second == 2, "ACKs come in the order of the calls");
	CHECK(client_ack(t, 4500) == 0, "a keep-alive comes while one is due");
	world_ack(&w, id, 1);
	CHECK(client_ack(t, 5000) == 1, "the last ACK");
	buf_clear(&out);
	lumberjack_put_window(&out, 0);
	(void)client_send(t, out.ptr, out.len, 5000);
	CHECK(client_ack(t, 5000) == 0, "a window of 0 is answered");
	world_ack(&w, id + 2, 9); /* unknown: no harm */
	tls_free(t);
	buf_fini(&out);
	world_stop(&w);
}

/* Pieces stay within their bounds and windows, whatever is sent at once. */
static void
test_cuts(void)
{
	size_t frames = 0;
	bool fits = true;
	struct error err;
	struct buf out;
	struct tls *t;

	if (!world_start(&w, 64 << 20))
		return;
	buf_init(&out, 64 << 20);
	t = client_open(&w, w.agent, &err);
	lumberjack_put_window(&out, 10000);
	put_events(&out, 1, 10000, 1);
	lumberjack_put_window(&out, 4);
	put_events(&out, 1, 4, 3 << 20);
	CHECK(client_send(t, out.ptr, out.len, 5000) == out.len, "12 MiB go");
	for (int i = 0; i < 1000 && world_bytes(&w) < out.len - 12; i++)
		world_pause(10);
	for (size_t i = 0; i < world_count(&w); i++) {
		fits = fits &&
		    (w.pieces[i]->len <= 1 << 20 ||
			w.pieces[i]->len == 10 + (3 << 20));
		fits = fits && w.pieces[i]->number == i;
		frames += w.pieces[i]->len <= (size_t)2048 * 11;
	}
	CHECK(fits && world_bytes(&w) == out.len - 12,
	    "pieces are bounded, in order, and all there");
	CHECK(frames >= 5, "2,048 events at most are one piece");
	tls_free(t);
	buf_fini(&out);
	world_stop(&w);
}

/* clang-format off */
#define BYTES(lit) { lit, sizeof(lit) - 1 }
/* clang-format on */

static const struct {
	const char *name;
	struct slice bytes;
	const char *says;
} lies[] = {
	{ "a window of 4 billion", BYTES("2W\xff\xff\xff\xff"), "window of" },
	{ "an event of 2 GiB",
	    BYTES("2W\0\0\0\1"
		  "2J\0\0\0\1\x7f\xff\xff\xff"),
	    "event of" },
	{ "a compressed frame of 4 GiB",
	    BYTES("2W\0\0\0\1"
		  "2C\xff\xff\xff\xff"),
	    "compressed frame of" },
	{ "an event without a window", BYTES("2J\0\0\0\1\0\0\0\0"),
	    "more events than" },
	{ "more events than the window has",
	    BYTES("2W\0\0\0\1"
		  "2J\0\0\0\1\0\0\0\0"
		  "2J\0\0\0\2\0\0\0\0"),
	    "more events than" },
	{ "fewer events than the window has",
	    BYTES("2W\0\0\0\2"
		  "2J\0\0\0\1\0\0\0\0"
		  "2W\0\0\0\2"),
	    "lacks 1 events" },
	{ "protocol version 1", BYTES("1W\0\0\0\1"), "version 1" },
	{ "an unknown frame", BYTES("2Z\0\0\0\1"), "unknown frame type" },
	{ "an ACK", BYTES("2A\0\0\0\1"), "an ACK from a sender" },
	{ "HTTP", BYTES("GET / HTTP/1.1\r\n\r\n"), "no Lumberjack frame" },
};

static void
test_lies(void)
{
	struct tls *good;
	struct error err;
	struct buf out;

	if (!world_start(&w, 64 << 20))
		return;
	good = client_open(&w, w.agent, &err);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct tls *t = client_open(&w, w.agent, &err);
		size_t before = world_count(&w);
		bool failed = false;

		w.log.len = 0;
		(void)client_send(t, lies[i].bytes.ptr, lies[i].bytes.len,
		    1000);
		/* what came before is downstream: the failure follows it */
		for (int k = 0; k < 100 && !world_logged(&w, lies[i].says); k++)
			world_pause(10);
		if (world_count(&w) > before) {
			struct piece *last = w.pieces[world_count(&w) - 1];
			struct world_ack a = { &w, last->connection, 0 };

			failed = last->kind == PIECE_FAILURE &&
			    last->failure != NULL && client_ack(t, 50) == -2;
			world_do(&w, world_fail_call, &a);
		} else {
			failed = true;
		}
		CHECK(failed && client_ack(t, 5000) == -1,
		    "%s ends the connection without an ACK", lies[i].name);
		tls_free(t);
	}
	buf_init(&out, 100);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 1);
	CHECK(client_send(good, out.ptr, out.len, 1000) == out.len &&
		client_ack(good, 100) == -2,
	    "and no other");
	tls_free(good);
	buf_fini(&out);
	world_stop(&w);
}

static void
test_strangers(void)
{
	static const char http[] = "GET / HTTP/1.1\r\n\r\n";
	struct tls_context *stranger =
	    pki_context(&w.pki, TLS_CLIENT, "ca", "stranger");
	struct error err = { .text = "" };
	char bytes[64], *flood = xzalloc(1 << 20);
	struct tls *t;
	int fd;

	if (!world_start(&w, 64 << 20))
		return;
	t = client_open(&w, stranger, &err);
	CHECK(t != NULL &&
		client_receive(t, bytes, 1, 5000, &err) == RC_DENIED &&
		strstr(err.text, "unknown ca") != NULL,
	    "a stranger is told why: %s", err.text);
	tls_free(t);
	t = client_open(&w, stranger, &err);
	err.text[0] = '\0';
	if (t != NULL) { /* who talks at once learns it as well */
		size_t n;
		enum rc rc;

		do {
			rc = tls_write(t, flood, 1 << 20, &n, &err);
		} while (
		    rc == RC_OK || (rc == RC_AGAIN && client_wait(t, 5000)));
		CHECK(rc == RC_DENIED, "even one that writes at once: %s",
		    err.text);
	}
	tls_free(t);
	CHECK(world_logged(&w, "CN=agent: unable to get local issuer"),
	    "the operator too");
	fd = client_socket(&w);
	CHECK(write(fd, http, sizeof(http)) == sizeof(http) &&
		recv(fd, bytes, sizeof(bytes), 0) >= 0,
	    "garbage is answered by the end");
	(void)close(fd);
	free(flood);
	tls_context_free(stranger);
	world_stop(&w);
}

static bool
exchange(struct tls *t)
{
	size_t before = world_count(&w);
	struct buf out;
	bool ok;

	buf_init(&out, 1000);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 10);
	ok = client_send(t, out.ptr, out.len, 5000) == out.len &&
	    world_wait_pieces(&w, before + 1);
	if (ok)
		world_ack(&w, w.pieces[before]->connection, 1);
	buf_fini(&out);
	return ok && client_ack(t, 5000) == 1;
}

static void
test_many(void)
{
	struct tls **idle = xcalloc(IDLE, sizeof(struct tls *));
	struct error err = { .text = "" };
	unsigned opened = 0;
	int silent, i;
	char byte;
	int64_t begin;

	if (!world_start(&w, 64 << 20))
		return;
	silent = client_socket(&w); /* says nothing, and stops nobody */
	begin = loop_now();
	for (i = 0; i < IDLE; i++) {
		idle[i] = client_open(&w, w.agent, &err);
		opened += idle[i] != NULL;
	}
	CHECK(opened == IDLE, "1,000 connections open: %u %s", opened,
	    err.text);
	CHECK(idle[0] != NULL && idle[IDLE - 1] != NULL && exchange(idle[0]) &&
		exchange(idle[IDLE - 1]),
	    "first and last are served");
	CHECK(budget_used(w.budget) == 0, "idle ones hold no buffers");
	CHECK(recv(silent, &byte, 1, 0) <= 0 &&
		loop_now() - begin >= 900000000LL &&
		world_logged(&w, "no handshake in time"),
	    "who does not shake hands is let go");
	(void)close(silent);
	for (i = 0; i < IDLE; i++)
		tls_free(idle[i]);
	free(idle);
	world_stop(&w);
}

static void
give_back(void)
{
	size_t bytes;

	(void)pthread_mutex_lock(&w.lock);
	bytes = w.hoarded;
	w.hoarded = 0;
	(void)pthread_mutex_unlock(&w.lock);
	budget_release(w.budget, bytes);
}

static void
test_budget(void)
{
	size_t sent, all;
	struct error err;
	struct buf out;
	struct tls *t;

	w.hoard = true;
	if (!world_start(&w, 1 << 20))
		return;
	buf_init(&out, 64 << 20);
	for (int i = 0; i < 64; i++) {
		lumberjack_put_window(&out, 250);
		put_events(&out, 1, 250, 2000);
	}
	all = out.len - (size_t)64 * 6;
	t = client_open(&w, w.agent, &err);
	sent = client_send(t, out.ptr, out.len, 700);
	CHECK(sent < out.len, "the sender is stopped");
	CHECK(world_bytes(&w) < 2 << 20, "what is taken is bounded: %zu",
	    world_bytes(&w));
	CHECK(client_ack(t, 3500) == 0, "a stopped sender is kept alive");
	while (sent < out.len) {
		size_t n;

		give_back();
		n = client_send(t, out.ptr + sent, out.len - sent, 50);
		sent += n;
	}
	for (int i = 0; i < 500 && world_bytes(&w) < all; i++) {
		give_back();
		world_pause(10);
	}
	CHECK(world_bytes(&w) == all, "everything comes when there is room");
	tls_free(t);
	buf_fini(&out);
	world_stop(&w);
}

/* Frames larger than the budget from several at once: none may wait for ever */
static void
test_unfinished(void)
{
	struct tls *t[3];
	size_t sent[3] = { 0 };
	struct error err;
	struct buf out;
	bool all = false;

	if (!world_start(&w, 1 << 20))
		return;
	buf_init(&out, 8 << 20);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 4 << 20);
	for (int i = 0; i < 3; i++) {
		t[i] = client_open(&w, w.agent, &err);
		sent[i] = client_send(t[i], out.ptr, 600000, 100);
	}
	for (int k = 0; k < 2000 && !all; k++) {
		all = true;
		for (int i = 0; i < 3; i++) {
			sent[i] += client_send(t[i], out.ptr + sent[i],
			    out.len - sent[i], 5);
			all = all && sent[i] == out.len;
		}
	}
	CHECK(all && world_wait_pieces(&w, 3),
	    "unfinished frames that fill the budget get through");
	for (int i = 0; i < 3; i++)
		tls_free(t[i]);
	buf_fini(&out);
	world_stop(&w);
}

static void
set_full(bool full)
{
	(void)pthread_mutex_lock(&w.lock);
	w.full = full;
	(void)pthread_mutex_unlock(&w.lock);
}

/*
 * Room in the budget and none downstream: of two that wait, the first waits on
 * and the second, whose frame is half there, becomes the favourite.
 */
static void
test_stuck_beside_unfinished(void)
{
	enum { BUDGET = 4 << 20, HALF = 100000 };
	struct tls *stuck, *unfinished;
	struct error err;
	struct buf out;

	if (!world_start(&w, BUDGET))
		return;
	buf_init(&out, 1 << 20);
	stuck = client_open(&w, w.agent, &err);
	unfinished = client_open(&w, w.agent, &err);
	set_full(true);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 10);
	(void)client_send(stuck, out.ptr, out.len, 5000);
	buf_clear(&out);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, (size_t)2 * HALF);
	(void)client_send(unfinished, out.ptr, HALF, 5000);
	world_pause(300);
	budget_charge(w.budget, BUDGET);
	(void)client_send(unfinished, (char *)out.ptr + HALF, 10, 5000);
	world_pause(100);
	budget_release(w.budget, BUDGET);
	world_pause(100);
	set_full(false);
	loop_post(w.loop, world_room, &w);
	(void)client_send(unfinished, (char *)out.ptr + HALF + 10,
	    out.len - HALF - 10, 5000);
	CHECK(world_wait_pieces(&w, 2),
	    "a favourite among those that wait ends the round");
	tls_free(stuck);
	tls_free(unfinished);
	buf_fini(&out);
	world_stop(&w);
}

static void
test_stuck(void)
{
	bool ordered = true;
	struct error err;
	struct buf out;
	struct tls *t;

	if (!world_start(&w, 64 << 20))
		return;
	buf_init(&out, 1 << 20);
	for (int i = 0; i < 50; i++) {
		lumberjack_put_window(&out, 2);
		put_events(&out, 1, 2, 10);
	}
	lumberjack_put_window(&out, 99999);
	set_full(true);
	t = client_open(&w, w.agent, &err);
	(void)client_send(t, out.ptr, out.len, 5000);
	world_pause(100);
	CHECK(world_count(&w) == 0, "no room downstream: nothing is lost yet");
	set_full(false);
	world_do(&w, world_room, &w);
	CHECK(world_wait_pieces(&w, 51), "all come when there is room");
	for (size_t i = 0; i < world_count(&w); i++)
		ordered = ordered && w.pieces[i]->number == i;
	CHECK(ordered && w.pieces[50]->kind == PIECE_FAILURE,
	    "in order, the failure last");
	tls_free(t);
	buf_fini(&out);
	world_stop(&w);
}

static void
stop_accepting(void *ctx)
{
	struct world *world = ctx;

	listener_stop_accepting(world->listener);
}

static void
test_drain(void)
{
	struct error err;
	struct buf out;
	struct tls *t;
	int fd;

	if (!world_start(&w, 64 << 20))
		return;
	buf_init(&out, 1000);
	t = client_open(&w, w.agent, &err);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 10);
	lumberjack_put_window(&out, 5);
	put_events(&out, 1, 1, 10);
	(void)client_send(t, out.ptr, out.len, 5000);
	(void)world_wait_pieces(&w, 2);
	world_do(&w, stop_accepting, &w);
	CHECK(listener_unacked(w.listener) == 1,
	    "a window that lacks events is not waited for");
	fd = client_socket(&w);
	CHECK(fd == -1, "nobody new is let in");
	world_ack(&w, w.pieces[0]->connection, 1);
	CHECK(client_ack(t, 5000) == 1 && listener_unacked(w.listener) == 0,
	    "what is whole is acknowledged");
	tls_free(t);
	buf_fini(&out);
	world_stop(&w);
}

static void
test_idle(void)
{
	struct error err;
	struct buf out;
	struct tls *quiet, *waiting;

	w.options.idle_timeout_ns = 700000000LL;
	if (!world_start(&w, 64 << 20))
		return;
	buf_init(&out, 1000);
	quiet = client_open(&w, w.agent, &err);
	waiting = client_open(&w, w.agent, &err);
	lumberjack_put_window(&out, 1);
	put_events(&out, 1, 1, 10);
	(void)client_send(waiting, out.ptr, out.len, 5000);
	CHECK(client_ack(quiet, 3000) == -1, "a silent peer is let go");
	CHECK(client_ack(waiting, 1000) == -2, "not with data in flight");
	tls_free(quiet);
	tls_free(waiting);
	buf_fini(&out);
	w.options.idle_timeout_ns = 0;
	world_stop(&w);
}

/* One at once, the next after ten seconds. */
static void
test_newcomers(void)
{
	struct error err;
	struct tls *first, *more = NULL;
	int tries = 0;

	w.options.connection_rate = 0.1;
	if (!world_start(&w, 64 << 20))
		return;
	first = client_open(&w, w.agent, &err);
	CHECK(first != NULL, "the first of an address is served");
	do {
		tls_free(more);
		more = client_open(&w, w.agent, &err);
	} while (more != NULL && ++tries < 20);
	CHECK(more == NULL && world_logged(&w, "too many new connections"),
	    "too many of one address get no handshake, and it is logged");
	CHECK(first != NULL && exchange(first), "those before are served on");
	tls_free(first);
	tls_free(more);
	w.options.connection_rate = 0;
	world_stop(&w);
}

int
main(void)
{
	world_more_descriptors();
	w.listen = beats_listen;
	if (!pki_make(&w.pki)) {
		(void)puts("1..0 # SKIP no openssl command");
		return 0;
	}
	w.server = pki_context(&w.pki, TLS_SERVER, "ca", "collector");
	w.agent = pki_context(&w.pki, TLS_CLIENT, "ca", "agent");
	test_windows();
	test_cuts();
	test_lies();
	test_strangers();
	test_budget();
	test_unfinished();
	test_stuck();
	test_stuck_beside_unfinished();
	test_drain();
	test_idle();
	test_newcomers();
	test_many();
	tls_context_free(w.server);
	tls_context_free(w.agent);
	pki_remove(&w.pki);
	return tap_done();
}
