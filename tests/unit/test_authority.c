/* SPDX-License-Identifier: Apache-2.0 */
#include "authority.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "pki.h"
#include "tap.h"
#include "timestamp.h"

enum { TURNS = 200, FILE_MAX = 16 * 1024 };

static const int64_t day_ns = 86400 * NS_PER_SEC;
static struct pki pki;

static const char *
path_of(const char *name)
{
	static char paths[4][PKI_PATH];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, PKI_PATH, "%s/%s", pki.dir, name);
	return path;
}

static struct authority *
open_authority(const char *certificate, const char *key, struct error *err)
{
	char cert_path[PKI_PATH], key_path[PKI_PATH];
	struct authority *a = NULL;

	(void)snprintf(cert_path, sizeof(cert_path), "%s",
	    path_of(certificate));
	(void)snprintf(key_path, sizeof(key_path), "%s", path_of(key));
	(void)authority_open(&(struct authority_files){ cert_path, key_path,
				 cert_path },
	    &a, err);
	return a;
}

static void
write_file(const char *name, struct slice bytes, mode_t mode)
{
	FILE *f = fopen(path_of(name), "wbe");

	if (f == NULL)
		return;
	(void)fwrite(bytes.ptr, 1, bytes.len, f);
	(void)fclose(f);
	(void)chmod(path_of(name), mode);
}

/* A request for a new key in NAME.key. */
static struct buf
make_request(const char *file, const char *name)
{
	struct error err = { .code = RC_OK };
	struct buf pem;

	buf_init(&pem, FILE_MAX);
	if (certificate_new_key(path_of(file), &err) != RC_OK ||
	    certificate_request(path_of(file), name, &pem, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return pem;
}

static void
test_open(void)
{
	static const struct {
		const char *name, *certificate, *key, *says;
	} cases[] = {
		{ "an agent's certificate", "agent.pem", "agent.key",
		    "no authority's certificate" },
		{ "another key", "ca.pem", "agent.key", "does not fit" },
		{ "an absent key", "ca.pem", "none.key", "No such file" },
		{ "an absent certificate", "none.pem", "ca.key",
		    "No such file" },
	};
	struct authority *a;
	struct error err = { .code = RC_OK };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a = open_authority(cases[i].certificate, cases[i].key, &err);
		CHECK(a == NULL && strstr(err.text, cases[i].says) != NULL,
		    "%s cannot sign: %s", cases[i].name, err.text);
		authority_free(a);
	}
	(void)chmod(path_of("ca.key"), 0640);
	a = open_authority("ca.pem", "ca.key", &err);
	CHECK(a == NULL && err.code == RC_DENIED &&
		strstr(err.text, "chmod 600") != NULL,
	    "a key that the group can read is refused: %s", err.text);
	authority_free(a);
	(void)chmod(path_of("ca.key"), 0600);
}

static void
test_names(void)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{ "web-1", true },
		{ "db01.example.org", true },
		{ "7", true },
		{ "under_score", true },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaa",
		    true },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaa",
		    false },
		{ "", false },
		{ "-web", false },
		{ ".web", false },
		{ "web 1", false },
		{ "web/1", false },
		{ "web,DNS:collector", false },
		{ "web\n1", false },
		{ "w\xc3\xa9", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice name = { cases[i].name, strlen(cases[i].name) };

		CHECK(certificate_name_valid(name) == cases[i].good,
		    "name %zu is %s", i, cases[i].good ? "good" : "none");
	}
	CHECK(!certificate_name_valid((struct slice){ "a\0b", 3 }),
	    "a NUL is no part of a name");
}

static void
test_requests(void)
{
	static const char *const rsa[] = { "openssl", "req", "-new", "-newkey",
		"rsa:2048", "-nodes", "-subj", "/CN=web-1", "-keyout",
		"/dev/null", "-out", NULL, NULL };
	const char *argv[sizeof(rsa) / sizeof(rsa[0])];
	struct buf good = make_request("one.key", "web-1");
	struct authority_request *r = NULL;
	struct error err = { .code = RC_OK };
	char bytes[FILE_MAX];
	struct stat st;
	size_t n;
	FILE *f;

	CHECK(stat(path_of("one.key"), &st) == 0 &&
		(st.st_mode & 07777) == 0600,
	    "a new key is for its owner only");
	CHECK(authority_request_read(buf_slice(&good), &r, &err) == RC_OK &&
		strcmp(authority_request_name(r), "web-1") == 0,
	    "an agent's request is read");
	authority_request_free(r);
	/* a bit of the signature, near the end of the base64 */
	memcpy(bytes, good.ptr, good.len);
	n = good.len - sizeof("-----END CERTIFICATE REQUEST-----\n") - 12;
	bytes[n] = bytes[n] == 'A' ? 'B' : 'A';
	CHECK(authority_request_read((struct slice){ bytes, good.len }, &r,
		  &err) == RC_INVALID &&
		r == NULL,
	    "a changed request is refused: %s", err.text);
	for (size_t len = 0; len < good.len - 2; len += 7)
		if (authority_request_read((struct slice){ good.ptr, len }, &r,
			&err) == RC_OK)
			break;
	CHECK(r == NULL, "no beginning of a request is one");
	memset(bytes, 'A', sizeof(bytes));
	CHECK(authority_request_read((struct slice){ bytes, sizeof(bytes) }, &r,
		  &err) == RC_LIMIT,
	    "a long request is refused unread");
	buf_fini(&good);
	good = make_request("two.key", "web 1 or so");
	CHECK(authority_request_read(buf_slice(&good), &r, &err) == RC_OK &&
		authority_request_name(r)[0] == '\0',
	    "a name that is none does not count");
	authority_request_free(r);
	buf_fini(&good);
	memcpy(argv, rsa, sizeof(rsa));
	argv[sizeof(rsa) / sizeof(rsa[0]) - 2] = path_of("rsa.csr");
	if (!pki_run(argv) || (f = fopen(path_of("rsa.csr"), "rbe")) == NULL) {
		CHECK(false, "openssl makes an RSA request");
		return;
	}
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	CHECK(authority_request_read((struct slice){ bytes, n }, &r, &err) ==
		    RC_INVALID &&
		strstr(err.text, "P-256") != NULL,
	    "another kind of key is refused: %s", err.text);
}

/* Signs NAME's request; what it gives is in NAME.pem. */
static enum rc
sign(const struct authority *a, const char *name, int64_t lifetime_ns,
    struct certificate *out, struct error *err)
{
	char key[PKI_PATH], cert[PKI_PATH];
	struct authority_request *r = NULL;
	struct buf csr, pem;
	enum rc rc;

	(void)snprintf(key, sizeof(key), "%s.key", name);
	(void)snprintf(cert, sizeof(cert), "%s.pem", name);
	csr = make_request(key, "what the agent calls itself");
	buf_init(&pem, CERTIFICATE_PEM_MAX);
	rc = authority_request_read(buf_slice(&csr), &r, err);
	if (rc == RC_OK)
		rc = authority_sign(a, r,
		    &(struct authority_order){ name, timestamp_now(),
			lifetime_ns },
		    out, &pem, err);
	if (rc == RC_OK)
		write_file(cert, buf_slice(&pem), 0644);
	authority_request_free(r);
	buf_fini(&csr);
	buf_fini(&pem);
	return rc;
}

/* Whether a handshake comes off, and what the client says. */
static bool
shake(struct tls_context *client, struct tls_context *server, const char *host,
    struct error *err)
{
	enum rc ours = RC_AGAIN, theirs = RC_AGAIN;
	struct tls *c, *s;
	struct error said;
	int fds[2];

	if (client == NULL || server == NULL ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return false;
	c = tls_new(client, fds[0], host);
	s = tls_new(server, fds[1], NULL);
	for (int i = 0; i < TURNS; i++) {
		if (ours == RC_AGAIN)
			ours = tls_handshake(c, err);
		if (theirs == RC_AGAIN)
			theirs = tls_handshake(s, &said);
	}
	tls_free(c);
	tls_free(s);
	return ours == RC_OK && theirs == RC_OK;
}

static void
test_signing(struct authority *a)
{
	struct tls_context *client, *server;
	struct certificate one = { .serial = "" }, two = one, read = one;
	struct error err = { .code = RC_OK };
	int64_t now = timestamp_now();

	CHECK(sign(a, "signed", 2 * day_ns, &one, &err) == RC_OK &&
		strcmp(one.name, "signed") == 0,
	    "the collector's word is the name, not the request's");
	CHECK(one.not_before_ns <= now - 290 * NS_PER_SEC &&
		one.not_after_ns > now + 2 * day_ns - 60 * NS_PER_SEC &&
		one.not_after_ns <= timestamp_now() + 2 * day_ns,
	    "it is good from before now, for as long as asked");
	CHECK(sign(a, "other", 2 * day_ns, &two, &err) == RC_OK &&
		strlen(one.serial) == 40 && strcmp(one.serial, two.serial) != 0,
	    "serial numbers are long and random");
	CHECK(certificate_read(path_of("signed.pem"), &read, &err) == RC_OK &&
		strcmp(read.sha256, one.sha256) == 0 &&
		strcmp(read.key_sha256, one.key_sha256) == 0 &&
		strcmp(read.serial, one.serial) == 0 &&
		read.not_after_ns == one.not_after_ns,
	    "what was signed is what is read");
	CHECK(certificate_fits(path_of("signed.pem"), path_of("signed.key")) &&
		!certificate_fits(path_of("signed.pem"),
		    path_of("other.key")) &&
		!certificate_fits(path_of("signed.pem"), path_of("none.key")),
	    "the key that fits is known");
	CHECK(sign(a, "long", 36500 * day_ns, &two, &err) == RC_OK &&
		two.not_after_ns < now + 36500 * day_ns / 2,
	    "no certificate outlives its authority");

	client = pki_context(&pki, TLS_CLIENT, "ca", "signed");
	server = pki_context(&pki, TLS_SERVER, "ca", "collector");
	CHECK(shake(client, server, "localhost", &err),
	    "the collector lets it in");
	tls_context_free(server);
	server = pki_context(&pki, TLS_SERVER, "ca", "signed");
	CHECK(!shake(client, server, "signed", &err) && err.code == RC_DENIED,
	    "an agent is no collector: %s", err.text);
	tls_context_free(client);
	tls_context_free(server);
}

/* A client that knows a fingerprint and no file. */
static struct tls_context *
pinned(const char *pin)
{
	const struct tls_files files = { .pin = pin };
	struct tls_context *ctx = NULL;
	struct error err;

	if (tls_context_new(TLS_CLIENT, &files, false, &ctx, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return ctx;
}

static void
test_pins(void)
{
	static const struct {
		const char *name, *pin, *server_ca, *server, *host, *says;
	} cases[] = {
		{ "the authority's fingerprint", "ca", "ca", "collector",
		    "localhost", NULL },
		{ "the server's own", "collector", "ca", "collector",
		    "localhost", NULL },
		{ "another host", "ca", "ca", "collector", "example.org",
		    "ostname mismatch" },
		{ "somebody in between with another authority", "ca",
		    "stranger-ca", "stranger-collector", "localhost",
		    "has the fingerprint" },
		{ "an expired server", "ca", "ca", "expired-collector",
		    "localhost", "expired" },
		{ "a certificate that the server does not show", "agent", "ca",
		    "collector", "localhost", "has the fingerprint" },
	};
	char file[PKI_PATH], pin[SHA256_TEXT], anchor[SHA256_TEXT];
	struct tls_context *client, *server;
	struct error err = { .code = RC_OK };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good;

		(void)snprintf(file, sizeof(file), "%s/%s.pem", pki.dir,
		    cases[i].pin);
		(void)tls_certificate_digest(file, pin, &err);
		client = pinned(pin);
		server = pki_context(&pki, TLS_SERVER, cases[i].server_ca,
		    cases[i].server);
		err.text[0] = '\0';
		/* the server asks for a certificate that there is not: the
		 * client's word counts */
		(void)shake(client, server, cases[i].host, &err);
		good = err.code != RC_DENIED ||
		    strstr(err.text, "the peer's") == NULL;
		err.code = RC_OK;
		CHECK(good == (cases[i].says == NULL) &&
			(good || strstr(err.text, cases[i].says) != NULL),
		    "%s: %s", cases[i].name, good ? "good" : err.text);
		tls_context_free(client);
		tls_context_free(server);
	}
	server = pki_context(&pki, TLS_SERVER, "ca", "collector");
	(void)tls_certificate_digest(path_of("ca.pem"), pin, &err);
	tls_context_anchor(server, anchor);
	CHECK(strcmp(anchor, pin) == 0, "a server shows its authority");
	tls_context_free(server);
}

static void
test_ends(void)
{
	static const struct {
		int64_t begin, end, renew; /* in days; now is 0 */
		bool failing, authority;
		enum certificate_state state;
		const char *what;
	} cases[] = {
		{ -365, 15, 0, false, false, CERTIFICATE_GOOD,
		    "with more than 14 days" },
		{ -365, 13, 0, false, false, CERTIFICATE_ENDING,
		    "with less than 14 days" },
		{ -27, 4, 0, false, false, CERTIFICATE_GOOD,
		    "of a month with more than a tenth of it" },
		{ -28, 2, 0, false, false, CERTIFICATE_ENDING,
		    "of a month with less than a tenth of it" },
		{ -1000, 59, 0, false, true, CERTIFICATE_ENDING,
		    "of an authority with less than 60 days" },
		{ -1000, 61, 0, false, true, CERTIFICATE_GOOD,
		    "of an authority with more than 60 days" },
		{ -89, 1, -29, false, false, CERTIFICATE_GOOD,
		    "renewed by itself" },
		{ -70, 20, -10, true, false, CERTIFICATE_GOOD,
		    "not renewed, with time left" },
		{ -80, 10, -20, true, false, CERTIFICATE_ENDING,
		    "not renewed, half the time gone" },
		{ -90, 0, -30, false, false, CERTIFICATE_ENDED, "at its end" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct certificate_life life = {
			.begin_ns = cases[i].begin * day_ns,
			.end_ns = cases[i].end * day_ns,
			.renew_ns = cases[i].renew * day_ns,
			.failing = cases[i].failing,
			.authority = cases[i].authority,
		};
		enum certificate_state state = certificate_state(&life, 0);

		CHECK(state == cases[i].state, "a certificate %s is %s",
		    cases[i].what, certificate_state_name(state));
	}
}

int
main(void)
{
	struct error err = { .code = RC_OK };
	struct authority *a;

	test_names();
	test_ends();
	if (!pki_make(&pki)) {
		(void)puts("1..0 # SKIP no openssl command");
		return 0;
	}
	test_open();
	test_requests();
	a = open_authority("ca.pem", "ca.key", &err);
	CHECK(a != NULL && authority_trust(a).len > 0, "the authority opens");
	if (a != NULL)
		test_signing(a);
	test_pins();
	authority_free(a);
	pki_remove(&pki);
	return tap_done();
}
