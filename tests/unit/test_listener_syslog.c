/* SPDX-License-Identifier: Apache-2.0 */
#include "listener_world.h"

static struct world w;

static uint32_t
get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 |
	    (uint32_t)u[2] << 8 | u[3];
}

/* All messages of all pieces, joined by '|', a cut one ends with '~'. */
static void
show(struct buf *out)
{
	for (size_t i = 0; i < world_count(&w); i++) {
		const char *p = w.pieces[i]->bytes;
		const char *end = p + w.pieces[i]->len;

		while (p < end) {
			uint32_t len = get_u32(p);
			bool cut = (len & PIECE_SYSLOG_CUT) != 0;

			len &= ~PIECE_SYSLOG_CUT;
			(void)buf_add(out, p + 4, len);
			(void)buf_add_str(out, cut ? "~|" : "|");
			p += 4 + len;
		}
	}
	(void)buf_add_char(out, '\0');
}

/* clang-format off */
#define BYTES(lit) { lit, sizeof(lit) - 1 }
/* clang-format on */

static const struct {
	const char *name;
	struct slice bytes;
	const char *expect;
} cases[] = {
	{ "octet counting", BYTES("7 <13>abc5 <13>d"), "<13>abc|<13>d|" },
	{ "lines", BYTES("<13>abc\n<13>d\n"), "<13>abc|<13>d|" },
	{ "both on one connection", BYTES("<13>abc\n7 <13>x\ny<13>d\n"),
	    "<13>abc|<13>x\ny|<13>d|" },
	{ "a line that begins with a digit", BYTES("12:30 up\n2x\n"),
	    "12:30 up|2x|" },
	{ "line ends of others", BYTES("<13>a\r\n8 <13>abc\n<13>b\0\n"),
	    "<13>a|<13>abc|<13>b|" },
	{ "empty lines are none", BYTES("\n\n<13>a\n\n"), "<13>a|" },
	{ "a last line without its end", BYTES("<13>a\n<13>b"),
	    "<13>a|<13>b|" },
	{ "a last message that is cut off", BYTES("5 <13>a9 <13>"),
	    "<13>a|<13>~|" },
	{ "many digits are a line", BYTES("12345678901234567890 x\n"),
	    "12345678901234567890 x|" },
};

static void
run_case(size_t i, size_t chunk)
{
	struct slice rest = cases[i].bytes;
	struct error err;
	struct buf out;
	struct tls *t;

	w.n = w.bytes = 0;
	if (!world_start(&w, 64 << 20))
		return;
	t = client_open(&w, w.agent, &err);
	while (rest.len > 0) {
		size_t n = rest.len < chunk ? rest.len : chunk;

		(void)client_send(t, rest.ptr, n, 5000);
		rest.ptr += n;
		rest.len -= n;
	}
	tls_shutdown(t);
	(void)world_wait_gone(&w);
	tls_free(t);
	buf_init(&out, 4096);
	show(&out);
	CHECK(strcmp(out.ptr, cases[i].expect) == 0, "%s, chunks of %zu: %s",
	    cases[i].name, chunk, out.ptr);
	buf_fini(&out);
	world_stop(&w);
}

static void
test_long(void)
{
	static const size_t big = 3 << 20;
	struct error err;
	struct buf in, out;
	struct tls *t;
	char *text = xzalloc(big + 1);

	if (!world_start(&w, 64 << 20))
		return;
	memset(text, 'x', big);
	buf_init(&in, 64 << 20);
	buf_init(&out, 64 << 20);
	(void)buf_printf(&in, "8192 %.8192s", text);
	(void)buf_printf(&in, "%.9000s\n", text);
	(void)buf_printf(&in, "1048576 %.1048576s", text);
	(void)buf_printf(&in, "%zu %s", big, text);
	(void)buf_printf(&in, "%s\n1 y<13>z\n", text);
	t = client_open(&w, w.agent, &err);
	CHECK(client_send(t, in.ptr, in.len, 5000) == in.len, "7 MiB go");
	tls_shutdown(t);
	for (int k = 0; k < 1000; k++) {
		if (world_connections(&w) == 0)
			break;
		world_pause(5);
	}
	tls_free(t);
	show(&out);
	CHECK(out.len ==
		    8193 + 9001 + 1048577 + 2 * (1048576 + 2) + 2 + 6 + 1 &&
		strcmp(out.ptr + out.len - 10, "x~|y|<13>z|") != 0 &&
		strstr(out.ptr, "~|y|<13>z|") != NULL,
	    "up to 1 MiB comes whole, more is cut and marked: %zu", out.len);
	free(text);
	buf_fini(&in);
	buf_fini(&out);
	world_stop(&w);
}

static void
test_claim(void)
{
	struct error err;
	struct tls *t;

	if (!world_start(&w, 64 << 20))
		return;
	t = client_open(&w, w.agent, &err);
	(void)client_send(t, "999999999 <13>", 14, 1000);
	CHECK(client_ack(t, 5000) == -1 && world_logged(&w, "the bound is"),
	    "a claim of 1 GB ends the connection");
	tls_free(t);
	world_stop(&w);
}

static void
stop_accepting(void *ctx)
{
	struct world *world = ctx;

	listener_stop_accepting(world->listener);
}

/* No room downstream: what is received before the end of the peer is kept. */
static void
test_stuck_end(void)
{
	struct error err;
	struct buf out;
	struct tls *t;

	w.full = true;
	if (!world_start(&w, 64 << 20))
		return;
	t = client_open(&w, w.agent, &err);
	(void)client_send(t, "<13>a\n<13>b\n<13>c", 17, 1000);
	tls_shutdown(t);
	tls_free(t);
	(void)world_wait_opened(&w);
	world_pause(200);
	CHECK(world_count(&w) == 0, "nothing is taken yet");
	(void)pthread_mutex_lock(&w.lock);
	w.full = false;
	(void)pthread_mutex_unlock(&w.lock);
	world_do(&w, world_room, &w);
	(void)world_wait_gone(&w);
	buf_init(&out, 4096);
	show(&out);
	CHECK(strcmp(out.ptr, "<13>a|<13>b|<13>c|") == 0,
	    "all of a peer that left is taken: %s", out.ptr);
	buf_fini(&out);
	world_stop(&w);
}

static void
test_drain(void)
{
	struct error err;
	struct buf out;
	struct tls *t;

	if (!world_start(&w, 64 << 20))
		return;
	t = client_open(&w, w.agent, &err);
	(void)client_send(t, "<13>a\n<13>b", 11, 1000);
	CHECK(world_wait_opened(&w), "a peer is there");
	world_do(&w, stop_accepting, &w);
	(void)world_wait_gone(&w);
	buf_init(&out, 4096);
	show(&out);
	CHECK(strcmp(out.ptr, "<13>a|<13>b|") == 0,
	    "a drain reads what is there: %s", out.ptr);
	CHECK(client_ack(t, 5000) == -1, "then closes");
	tls_free(t);
	buf_fini(&out);
	world_stop(&w);
}

int
main(void)
{
	w.listen = syslog_listen;
	if (!pki_make(&w.pki)) {
		(void)puts("1..0 # SKIP no openssl command");
		return 0;
	}
	w.server = pki_context(&w.pki, TLS_SERVER, "ca", "collector");
	w.agent = pki_context(&w.pki, TLS_CLIENT, "ca", "agent");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t chunk = 1; chunk < 100; chunk *= 33)
			run_case(i, chunk);
	test_long();
	test_claim();
	test_stuck_end();
	test_drain();
	tls_context_free(w.server);
	tls_context_free(w.agent);
	pki_remove(&w.pki);
	return tap_done();
}
