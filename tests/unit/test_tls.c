/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "authority.h"
#include "loop.h"
#include "pki.h"
#include "tap.h"
#include "timestamp.h"
#include "xalloc.h"

enum { TURNS = 200, BIG = 4 << 20 };

static struct pki pki;

/* Two ends of one connection, and how far each came. */
struct pair {
	struct tls *client, *server;
	enum rc client_rc, server_rc;
	struct error client_err, server_err;
};

static bool
pair_open(struct pair *p, struct tls_context *client,
    struct tls_context *server, const char *host)
{
	int fds[2];

	*p = (struct pair){ .client_rc = RC_AGAIN, .server_rc = RC_AGAIN };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return false;
	p->client = tls_new(client, fds[0], host);
	p->server = tls_new(server, fds[1], NULL);
	for (int i = 0; i < TURNS; i++) {
		if (p->client_rc == RC_AGAIN)
			p->client_rc = tls_handshake(p->client, &p->client_err);
		if (p->server_rc == RC_AGAIN)
			p->server_rc = tls_handshake(p->server, &p->server_err);
	}
	return p->client_rc == RC_OK && p->server_rc == RC_OK;
}

static void
pair_close(struct pair *p)
{
	tls_free(p->client);
	tls_free(p->server);
}

/* What the client learns by its first read after the handshake. */
static enum rc
client_reads(struct pair *p)
{
	char byte;
	size_t n;

	if (p->client_rc == RC_OK)
		p->client_rc =
		    tls_read(p->client, &byte, 1, &n, &p->client_err);
	return p->client_rc;
}

static void
test_refused(void)
{
	static const struct {
		const char *name;
		const char *client_ca, *client, *server_ca, *server, *host;
		bool crl;
		const char *client_says, *server_says;
	} cases[] = {
		{ "an agent of a stranger's CA", "ca", "stranger", "ca",
		    "collector", "localhost", false, "unknown ca",
		    "CN=agent: unable to get local issuer certificate" },
		{ "an expired agent", "ca", "expired", "ca", "collector",
		    "localhost", false, "certificate expired",
		    "CN=expired: certificate has expired" },
		{ "a revoked agent", "ca", "revoked", "ca", "collector",
		    "localhost", true, "certificate revoked",
		    "CN=revoked: certificate revoked" },
		{ "a collector of a stranger's CA", "ca", "agent", "ca",
		    "stranger-collector", "localhost", false,
		    "CN=collector: unable to get local issuer certificate",
		    "unknown ca" },
		{ "an expired collector", "ca", "agent", "ca",
		    "expired-collector", "127.0.0.1", false,
		    "CN=collector: certificate has expired",
		    "certificate expired" },
		{ "a collector of another name", "ca", "agent", "ca",
		    "otherhost", "localhost", false,
		    "CN=collector: hostname mismatch", "bad certificate" },
		{ "a collector of another address", "ca", "agent", "ca",
		    "otherhost", "127.0.0.1", false,
		    "CN=collector: IP address mismatch", "bad certificate" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_context *client, *server = NULL;
		struct pki_files f;
		struct pair p;

		client = pki_context(&pki, TLS_CLIENT, cases[i].client_ca,
		    cases[i].client);
		(void)pki_files(&pki, &f, cases[i].server_ca, cases[i].server);
		f.files.crl = cases[i].crl ? f.crl : NULL;
		(void)tls_context_new(TLS_SERVER, &f.files, false, &server,
		    &p.client_err);
		CHECK(!pair_open(&p, client, server, cases[i].host),
		    "%s is refused", cases[i].name);
		CHECK(client_reads(&p) == RC_DENIED &&
			strstr(p.client_err.text, cases[i].client_says) != NULL,
		    "the client says why: %s", p.client_err.text);
		CHECK(p.server_rc == RC_DENIED &&
			strstr(p.server_err.text, cases[i].server_says) != NULL,
		    "the server says why: %s", p.server_err.text);
		pair_close(&p);
		tls_context_free(client);
		tls_context_free(server);
	}
}

/* Appends what an authority signs: a list of one's serial, or of none. */
static void
add_list(struct buf *out, const char *ca, const char *revoked, int hours_ago)
{
	struct authority_files files;
	struct authority *a = NULL;
	struct crl *crl = authority_crl_new();
	int64_t now_ns =
	    timestamp_now() - (int64_t)hours_ago * 3600 * NS_PER_SEC;
	struct certificate c;
	struct pki_files f, g;
	struct error err;

	(void)pki_files(&pki, &f, ca, ca);
	(void)pki_files(&pki, &g, ca, revoked == NULL ? "agent" : revoked);
	files = (struct authority_files){ .certificate = f.ca,
		.key = f.key,
		.trust = f.ca };
	if (certificate_read(g.certificate, &c, &err) != RC_OK ||
	    authority_open(&files, &a, &err) != RC_OK ||
	    (revoked != NULL && !authority_crl_add(crl, c.serial, now_ns)) ||
	    authority_crl_sign(a, crl, now_ns, INT64_C(86400) * NS_PER_SEC, out,
		&err) != RC_OK)
		abort();
	authority_crl_free(crl);
	authority_free(a);
}

static char *
write_file(const char *name, struct slice text)
{
	static char paths[2][2 * PKI_PATH];
	static unsigned at;
	char *path = paths[at++ % 2];
	FILE *f;

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", pki.dir, name);
	f = fopen(path, "we");
	if (f == NULL || fwrite(text.ptr, 1, text.len, f) != text.len ||
	    fclose(f) != 0)
		abort();
	return path;
}

/* Both authorities, in one file. */
static const char *
both_authorities(void)
{
	static const char *const names[] = { "ca", "stranger-ca" };
	char text[8192];
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		struct pki_files f;
		FILE *in;

		(void)pki_files(&pki, &f, names[i], "agent");
		in = fopen(f.ca, "re");
		if (in == NULL)
			abort();
		n += fread(text + n, 1, sizeof(text) - n, in);
		(void)fclose(in);
	}
	return write_file("both.pem", (struct slice){ text, n });
}

static void
test_lists(void)
{
	/* a list: its authority, whom it names, how old it is */
	static const struct {
		const char *name, *peer;
		struct {
			const char *ca, *revoked;
			int hours_ago;
		} lists[2];
		bool in;
	} cases[] = {
		{ "whom an older list of the same authority names", "revoked",
		    { { "ca", "revoked", 2 }, { "ca", NULL, 1 } }, false },
		{ "in whatever order they are", "revoked",
		    { { "ca", NULL, 1 }, { "ca", "revoked", 2 } }, false },
		{ "whom none of the lists names", "agent",
		    { { "ca", "revoked", 2 }, { "ca", "other", 1 } }, true },
		{ "whom the list of one of two authorities names", "revoked",
		    { { "stranger-ca", NULL, 1 }, { "ca", "revoked", 2 } },
		    false },
		{ "another authority's own", "stranger",
		    { { "stranger-ca", NULL, 1 }, { "ca", "revoked", 2 } },
		    true },
		{ "one of an authority without a list", "stranger",
		    { { "ca", NULL, 1 }, { "ca", NULL, 2 } }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_context *client, *server = NULL;
		struct pki_files f;
		struct buf crl;
		struct pair p;
		bool in;

		buf_init(&crl, 65536);
		for (size_t k = 0; k < 2; k++)
			add_list(&crl, cases[i].lists[k].ca,
			    cases[i].lists[k].revoked,
			    cases[i].lists[k].hours_ago);
		(void)pki_files(&pki, &f, "ca", "collector");
		f.files.ca = both_authorities();
		f.files.crl = write_file("lists.pem", buf_slice(&crl));
		if (tls_context_new(TLS_SERVER, &f.files, false, &server,
			&p.client_err) != RC_OK)
			abort();
		client = pki_context(&pki, TLS_CLIENT, "ca", cases[i].peer);
		in = pair_open(&p, client, server, "localhost");
		CHECK(in == cases[i].in, "%s: %s", cases[i].name,
		    in ? "let in" : p.server_err.text);
		pair_close(&p);
		tls_context_free(client);
		tls_context_free(server);
		buf_fini(&crl);
	}
}

/* Sends all of `bytes` through the pair; writes are partial on the way. */
static bool
transfer(struct pair *p, const char *bytes, size_t len, size_t *partial)
{
	char *got = xzalloc(len);
	size_t sent = 0, received = 0, n;
	bool same;

	for (int i = 0; i < 100000 && received < len; i++) {
		if (sent < len &&
		    tls_write(p->client, bytes + sent, len - sent, &n,
			&p->client_err) == RC_OK) {
			sent += n;
			*partial += sent < len;
		}
		if (tls_read(p->server, got + received, len - received, &n,
			&p->server_err) == RC_OK)
			received += n;
	}
	same = received == len && memcmp(bytes, got, len) == 0;
	free(got);
	return same;
}

static void
test_good(struct tls_context *client, struct tls_context *server)
{
	static const char *const hosts[] = { "localhost", "127.0.0.1", "::1",
		NULL };
	char *big = xzalloc(BIG);
	size_t partial = 0, n;
	struct pair p;
	char c;

	memset(big, 'x', BIG);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		bool ok = pair_open(&p, client, server, hosts[i]);

		CHECK(ok, "handshake with %s: %s %s",
		    hosts[i] != NULL ? hosts[i] : "nobody in particular",
		    p.client_err.text, p.server_err.text);
		CHECK(strcmp(tls_peer_name(p.server), "agent") == 0 &&
			strcmp(tls_peer_name(p.client), "collector") == 0,
		    "each knows the other's name");
		CHECK(tls_read(p.client, &c, 1, &n, &p.client_err) ==
			    RC_AGAIN &&
			tls_wants(p.client) == LOOP_READ,
		    "nothing to read yet");
		CHECK(transfer(&p, big, 100000, &partial), "bytes go through");
		if (i + 1 < sizeof(hosts) / sizeof(hosts[0]))
			pair_close(&p);
	}
	partial = 0;
	CHECK(transfer(&p, big, BIG, &partial) && partial > 2,
	    "many bytes go through by partial writes");
	tls_shutdown(p.client);
	CHECK(tls_read(p.server, &c, 1, &n, &p.server_err) == RC_EOF,
	    "a shutdown is an end: %s", p.server_err.text);
	pair_close(&p);
	free(big);
}

static void
test_resumption(struct tls_context *client, struct tls_context *server)
{
	struct tls_context *other =
	    pki_context(&pki, TLS_SERVER, "ca", "collector");
	struct pair p;
	bool first, second;

	(void)pair_open(&p, client, other, "localhost");
	first = tls_resumed(p.client);
	(void)client_reads(&p); /* the ticket */
	pair_close(&p);
	(void)pair_open(&p, client, other, "localhost");
	second = tls_resumed(p.client) && tls_resumed(p.server);
	CHECK(!first && second, "the second connection resumes");
	CHECK(strcmp(tls_peer_name(p.server), "agent") == 0,
	    "a resumed peer has its name");
	(void)client_reads(&p);
	pair_close(&p);
	CHECK(pair_open(&p, client, other, "127.0.0.1") &&
		!tls_resumed(p.client),
	    "not with another host");
	(void)client_reads(&p);
	pair_close(&p);
	CHECK(pair_open(&p, client, server, "127.0.0.1") &&
		!tls_resumed(p.client),
	    "nor with another context of the server");
	pair_close(&p);
	tls_context_free(other);
}

static void
test_gone(struct tls_context *client, struct tls_context *server)
{
	static char bytes[1 << 20];
	struct pair p;
	size_t n = 0;
	char c;
	enum rc rc;

	(void)pair_open(&p, client, server, "localhost");
	tls_free(p.server);
	p.server = NULL;
	rc = tls_write(p.client, bytes, sizeof(bytes), &n, &p.client_err);
	CHECK(rc == RC_SYSTEM || rc == RC_EOF,
	    "a write to a peer that is gone is an error, no signal: %s",
	    p.client_err.text);
	CHECK(tls_read(p.client, &c, 1, &n, &p.client_err) != RC_OK,
	    "so is a read");
	tls_shutdown(p.client); /* nothing to say any more, and no crash */
	pair_close(&p);
}

static void
test_garbage(struct tls_context *server)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct error err;
	struct tls *t;
	int fds[2];
	enum rc rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return;
	t = tls_new(server, fds[0], NULL);
	(void)!write(fds[1], http, sizeof(http));
	rc = tls_handshake(t, &err);
	CHECK(rc == RC_LIBRARY, "HTTP is no TLS: %s", err.text);
	tls_free(t);
	(void)close(fds[1]);
	(void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
	t = tls_new(server, fds[0], NULL);
	(void)close(fds[1]);
	rc = tls_handshake(t, &err);
	CHECK(rc == RC_EOF, "a peer that leaves at once: %s", err.text);
	tls_free(t);
}

static void
test_tls12(void)
{
	struct tls_context *client = NULL, *server = NULL, *strict;
	struct pki_files f;
	struct error err;
	struct pair p;

	strict = pki_context(&pki, TLS_SERVER, "ca", "collector");
	(void)tls_context_new(TLS_SERVER,
	    pki_files(&pki, &f, "ca", "collector"), true, &server, &err);
	(void)tls_context_new(TLS_CLIENT, pki_files(&pki, &f, "ca", "agent"),
	    true, &client, &err);
	CHECK(pair_open(&p, client, server, "localhost"),
	    "contexts that allow 1.2 meet");
	pair_close(&p);
	CHECK(pair_open(&p, client, strict, "localhost"),
	    "and meet one that does not, by 1.3");
	pair_close(&p);
	tls_context_free(client);
	tls_context_free(server);
	tls_context_free(strict);
}

static enum rc
load(const char *ca, const char *certificate, const char *key,
    struct error *err)
{
	struct tls_context *ctx = NULL;
	struct pki_files f;
	enum rc rc;

	(void)pki_files(&pki, &f, ca, certificate);
	(void)snprintf(f.key, sizeof(f.key), "%s/%s.key", pki.dir, key);
	rc = tls_context_new(TLS_CLIENT, &f.files, false, &ctx, err);
	tls_context_free(ctx);
	return rc;
}

static void
test_files(void)
{
	char path[PKI_PATH], name[64] = "";
	struct error err = { .text = "" };
	int fd;

	CHECK(load("ca", "agent", "collector", &err) == RC_INVALID &&
		strstr(err.text, "does not fit") != NULL,
	    "a key of another certificate: %s", err.text);
	CHECK(load("none", "agent", "agent", &err) == RC_SYSTEM &&
		strstr(err.text, "none.pem: No such file") != NULL,
	    "an absent CA is named: %s", err.text);
	CHECK(load("ca", "none", "agent", &err) == RC_SYSTEM &&
		strstr(err.text, "none.pem: No such file") != NULL,
	    "an absent certificate is named: %s", err.text);
	CHECK(load("ca", "agent", "none", &err) == RC_SYSTEM &&
		strstr(err.text, "none.key: No such file") != NULL,
	    "an absent key is named: %s", err.text);
	(void)snprintf(path, sizeof(path), "%s/bad.pem", pki.dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)!write(fd, "no PEM\n", 7);
	(void)close(fd);
	CHECK(load("bad", "agent", "agent", &err) == RC_LIBRARY &&
		strstr(err.text, "bad.pem: no CA certificates") != NULL,
	    "what is no CA: %s", err.text);
	CHECK(load("ca", "bad", "agent", &err) == RC_LIBRARY &&
		strstr(err.text, "bad.pem: no certificate") != NULL,
	    "what is no certificate: %s", err.text);
	(void)snprintf(path, sizeof(path), "%s/agent.key", pki.dir);
	(void)chmod(path, 0640);
	CHECK(load("ca", "agent", "agent", &err) == RC_DENIED &&
		strstr(err.text, "chmod 600 ") != NULL &&
		strstr(err.text, path) != NULL,
	    "a key that the group can read: %s", err.text);
	(void)chmod(path, 0600);
	CHECK(load("ca", "agent", "agent", &err) == RC_OK, "the remedy helps");
	(void)snprintf(path, sizeof(path), "%s/agent.pem", pki.dir);
	CHECK(tls_certificate_name(path, name, sizeof(name), &err) == RC_OK &&
		strcmp(name, "agent") == 0,
	    "a certificate's name");
}

int
main(void)
{
	struct tls_context *client, *server;

	if (!pki_make(&pki)) {
		(void)puts("1..0 # SKIP no openssl command");
		return 0;
	}
	client = pki_context(&pki, TLS_CLIENT, "ca", "agent");
	server = pki_context(&pki, TLS_SERVER, "ca", "collector");
	if (client != NULL && server != NULL) {
		test_good(client, server);
		test_resumption(client, server);
		test_gone(client, server);
		test_garbage(server);
	}
	test_refused();
	test_lists();
	test_tls12();
	test_files();
	tls_context_free(client);
	tls_context_free(server);
	pki_remove(&pki);
	return tap_done();
}
