/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority.h"
#include "pki.h"
#include "sign.h"
#include "tap.h"
#include "timestamp.h"

enum { COPY_MAX = 64 * 1024 };

static struct pki pki;
static struct error err;
static char ca[PKI_PATH], certificate[PKI_PATH], key[PKI_PATH];
static char new_certificate[IDENTITY_PATH], new_key[IDENTITY_PATH];
static struct identity_files files;

static void
copy_file(const char *from, const char *to, mode_t mode)
{
	char bytes[COPY_MAX];
	FILE *in = fopen(from, "rbe"), *out = fopen(to, "wbe");
	size_t n;

	if (in == NULL || out == NULL)
		abort();
	n = fread(bytes, 1, sizeof(bytes), in);
	(void)fwrite(bytes, 1, n, out);
	(void)fclose(in);
	(void)fclose(out);
	(void)chmod(to, mode);
}

/* An agent with the identity "agent", as make-pki made it. */
static void
start_over(void)
{
	char from[PKI_PATH];

	(void)unlink(new_key);
	(void)unlink(new_certificate);
	(void)snprintf(from, sizeof(from), "%s/agent.pem", pki.dir);
	copy_file(from, certificate, 0644);
	(void)snprintf(from, sizeof(from), "%s/agent.key", pki.dir);
	copy_file(from, key, 0600);
}

/* What the collector would send for KEY.new. */
static void
sign_new_key(struct enrolment *e)
{
	struct authority_request *r = NULL;
	struct authority *a = NULL;
	struct pki_files f;
	struct buf csr;

	(void)pki_files(&pki, &f, "ca", "ca");
	buf_init(&csr, REQUEST_PEM_MAX);
	enrolment_init(e);
	if (authority_open(&(struct authority_files){ f.ca, f.key, f.ca }, &a,
		&err) != RC_OK ||
	    certificate_request(new_key, "agent", &csr, &err) != RC_OK ||
	    authority_request_read(buf_slice(&csr), &r, &err) != RC_OK ||
	    authority_sign(a, r,
		&(struct authority_order){ "agent", timestamp_now(),
		    3600 * NS_PER_SEC },
		&e->certificate, &e->pem, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	(void)buf_add_slice(&e->ca, authority_trust(a));
	authority_request_free(r);
	authority_free(a);
	buf_fini(&csr);
}

static void
what_came_is_put_in_place(void)
{
	struct certificate now;
	struct enrolment e;
	struct stat st;

	start_over();
	CHECK(identity_new_key(&files, false, &err) == RC_OK &&
		certificate_fits(certificate, key),
	    "a new key leaves the old one in place");
	sign_new_key(&e);
	CHECK(identity_install(&files, &e, &err) == RC_OK &&
		certificate_fits(certificate, key) &&
		certificate_read(certificate, &now, &err) == RC_OK &&
		strcmp(now.sha256, e.certificate.sha256) == 0,
	    "certificate and key are replaced");
	CHECK(stat(key, &st) == 0 && (st.st_mode & 07777) == 0600 &&
		access(new_key, F_OK) != 0 &&
		access(new_certificate, F_OK) != 0,
	    "the key is its owner's only, and nothing is left beside");
	enrolment_fini(&e);
}

static void
what_does_not_fit_is_refused(void)
{
	struct enrolment e;

	start_over();
	(void)identity_new_key(&files, false, &err);
	sign_new_key(&e);
	(void)identity_new_key(&files, false, &err); /* another one */
	CHECK(identity_install(&files, &e, &err) == RC_INVALID &&
		certificate_fits(certificate, key),
	    "a certificate of another key changes nothing: %s", err.text);
	enrolment_fini(&e);
}

/* Whether two files hold one key. */
static bool
same_key(const char *a, const char *b)
{
	const char *const paths[] = { a, b };
	char keys[2][SHA256_TEXT] = { "", "" };

	for (size_t i = 0; i < 2; i++) {
		struct authority_request *r = NULL;
		struct buf csr;

		buf_init(&csr, REQUEST_PEM_MAX);
		if (certificate_request(paths[i], "agent", &csr, &err) ==
			RC_OK &&
		    authority_request_read(buf_slice(&csr), &r, &err) == RC_OK)
			(void)snprintf(keys[i], SHA256_TEXT, "%s",
			    authority_request_key(r));
		authority_request_free(r);
		buf_fini(&csr);
	}
	return keys[0][0] != '\0' && strcmp(keys[0], keys[1]) == 0;
}

static void
a_key_is_kept_for_a_lost_answer(void)
{
	start_over();
	(void)identity_new_key(&files, true, &err);
	copy_file(new_key, new_certificate, 0600); /* to compare with */
	CHECK(identity_new_key(&files, true, &err) == RC_OK &&
		same_key(new_key, new_certificate),
	    "the same key is asked for again");
	CHECK(identity_new_key(&files, false, &err) == RC_OK &&
		!same_key(new_key, new_certificate),
	    "a renewal takes another one");
	copy_file(certificate, new_key, 0600);
	CHECK(identity_new_key(&files, true, &err) == RC_OK &&
		same_key(new_key, new_key),
	    "what is no key is replaced");
}

/* A crash at each place of the order in which files are replaced. */
static void
what_a_crash_left_is_mended(void)
{
	static const char *const places[] = {
		"before the certificate is written",
		"before the key is renamed", "between the two renames",
		"after both"
	};

	for (int place = 0; place < 4; place++) {
		struct certificate now;
		struct enrolment e;

		start_over();
		(void)identity_new_key(&files, false, &err);
		sign_new_key(&e);
		if (place > 0) {
			FILE *f = fopen(new_certificate, "wbe");

			if (f == NULL)
				abort();
			(void)fwrite(e.pem.ptr, 1, e.pem.len, f);
			(void)fclose(f);
		}
		if (place > 1)
			(void)rename(new_key, key);
		if (place > 2)
			(void)rename(new_certificate, certificate);
		identity_mend(&files);
		(void)certificate_read(certificate, &now, &err);
		CHECK(certificate_fits(certificate, key) &&
			(strcmp(now.sha256, e.certificate.sha256) == 0) ==
			    (place > 1),
		    "killed %s the agent has a pair that fits", places[place]);
		enrolment_fini(&e);
	}
}

static void
where_it_enrolled_is_remembered(void)
{
	struct identity_record r = { .server = "soc.example.org:8443",
		.agent = "web-1",
		.group = "databases",
		.renew_ns = INT64_C(1763773323000000000) };
	struct identity_record back;
	char path[PKI_PATH];
	FILE *f;

	memset(r.fingerprint, 'a', SHA256_TEXT - 1);
	CHECK(identity_record_read(pki.dir, &back, &err) == RC_EOF,
	    "who never enrolled has no record");
	CHECK(identity_record_write(&files, &r, &err) == RC_OK &&
		identity_record_read(pki.dir, &back, &err) == RC_OK &&
		strcmp(back.server, r.server) == 0 &&
		strcmp(back.agent, r.agent) == 0 &&
		strcmp(back.group, r.group) == 0 &&
		strcmp(back.fingerprint, r.fingerprint) == 0 &&
		back.renew_ns == r.renew_ns,
	    "a record comes back as it was");
	(void)snprintf(path, sizeof(path), "%s/enrolment.json", pki.dir);
	f = fopen(path, "we");
	if (f != NULL) {
		(void)fputs("{\"agent\":", f);
		(void)fclose(f);
	}
	CHECK(identity_record_read(pki.dir, &back, &err) == RC_INVALID,
	    "half a record is none: %s", err.text);
}

/* An answer with the key of a collector, made in that file. */
static void
answer_with_key(const char *path, struct enrolment *e)
{
	struct signer *s = NULL;

	enrolment_init(e);
	if (signer_open(path, true, &s, &err) != RC_OK)
		abort();
	signer_public(s, &e->orders_key);
	signer_free(s);
}

/* Whether the file of orders' keys is what came with that answer. */
static bool
pinned(const struct enrolment *e)
{
	char text[ORDERS_KEY_MAX] = "";
	FILE *f = fopen(files.orders_key, "rbe");
	size_t n;

	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	return n == e->orders_key.len &&
	    memcmp(text, e->orders_key.ptr, n) == 0;
}

static void
whose_orders_are_trusted_is_the_owners_word(void)
{
	char path[PKI_PATH], one[PKI_PATH], two[PKI_PATH];
	struct enrolment a, b, none;
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/orders.pub", pki.dir);
	(void)snprintf(one, sizeof(one), "%s/one.key", pki.dir);
	(void)snprintf(two, sizeof(two), "%s/two.key", pki.dir);
	files.orders_key = path;
	answer_with_key(one, &a);
	answer_with_key(two, &b);
	enrolment_init(&none);
	CHECK(identity_pin(&files, &none, false, &err) == RC_EOF &&
		access(path, F_OK) != 0,
	    "a collector that gives no key pins none");
	CHECK(identity_pin(&files, &a, false, &err) == RC_OK && pinned(&a) &&
		stat(path, &st) == 0 && (st.st_mode & 07777) == 0644,
	    "the key that came is pinned");
	CHECK(identity_pin(&files, &a, false, &err) == RC_OK && pinned(&a),
	    "once more it is the same");
	CHECK(identity_pin(&files, &b, false, &err) == RC_DENIED && pinned(&a),
	    "another collector's does not take its place: %s", err.text);
	CHECK(identity_pin(&files, &b, true, &err) == RC_OK && pinned(&b),
	    "unless the owner says so");
	(void)buf_add_str(&none.orders_key, "no key");
	CHECK(identity_pin(&files, &none, true, &err) != RC_OK && pinned(&b),
	    "what is no key is not: %s", err.text);
	enrolment_fini(&a);
	enrolment_fini(&b);
	enrolment_fini(&none);
}

int
main(void)
{
	if (!pki_make(&pki)) {
		(void)puts("1..0 # SKIP no openssl command");
		return 0;
	}
	(void)snprintf(ca, sizeof(ca), "%s/own-ca.pem", pki.dir);
	(void)snprintf(certificate, sizeof(certificate), "%s/own.pem", pki.dir);
	(void)snprintf(key, sizeof(key), "%s/own.key", pki.dir);
	identity_new_name(certificate, new_certificate);
	identity_new_name(key, new_key);
	files = (struct identity_files){ .ca = ca,
		.certificate = certificate,
		.key = key,
		.state_dir = pki.dir,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	what_came_is_put_in_place();
	what_does_not_fit_is_refused();
	a_key_is_kept_for_a_lost_answer();
	what_a_crash_left_is_mended();
	where_it_enrolled_is_remembered();
	whose_orders_are_trusted_is_the_owners_word();
	pki_remove(&pki);
	return tap_done();
}
