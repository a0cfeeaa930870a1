/* SPDX-License-Identifier: Apache-2.0 */
#include "identities.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pki.h"
#include "store_fixture.h"
#include "tap.h"
#include "timestamp.h"

enum { THREADS = 4, TEXT_MAX = 16 * 1024 };

#define HOUR (3600 * SECOND)

static struct pki pki;
static char *dir;
static struct store *store;
static struct identities *ids;
static struct authority *authority;
static struct error err;
static int64_t now_ns;

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* A request of a new key that calls itself NAME. */
static void
make_request(const char *name, struct buf *out)
{
	char path[PKI_PATH];

	(void)snprintf(path, sizeof(path), "%s/request.key", pki.dir);
	buf_init(out, TEXT_MAX);
	if (certificate_new_key(path, &err) != RC_OK ||
	    certificate_request(path, name, out, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
}

static enum rc
add_token(const char *agent, int64_t uses, bool replace,
    char secret[ENROL_SECRET])
{
	struct identity_token t = { .uses = uses,
		.replace = replace,
		.group = "servers",
		.creator = "anna",
		.created_ns = now_ns,
		.expires_ns = now_ns + HOUR };

	(void)snprintf(t.agent, sizeof(t.agent), "%s", agent);
	return identities_token_add(ids, &t, secret, &err);
}

static enum rc
enrol_with(const char *secret, struct slice request,
    struct identity_issued *out)
{
	const struct identity_order order = { authority, request, now_ns,
		24 * HOUR };
	struct buf pem;
	enum rc rc;

	buf_init(&pem, CERTIFICATE_PEM_MAX);
	rc = identities_enrol(ids, text(secret), &order, out, &pem, &err);
	buf_fini(&pem);
	return rc;
}

static enum rc
enrol(const char *secret, const char *name, struct identity_issued *out)
{
	struct buf request;
	enum rc rc;

	make_request(name, &request);
	rc = enrol_with(secret, buf_slice(&request), out);
	buf_fini(&request);
	return rc;
}

static enum rc
renew(const char *of, struct identity_issued *out)
{
	char sha256[SHA256_TEXT]; /* `out` may be where it is */
	struct identity_order order = { .authority = authority,
		.now_ns = now_ns,
		.lifetime_ns = 24 * HOUR };
	struct buf request, pem;
	enum rc rc;

	(void)snprintf(sha256, sizeof(sha256), "%s", of);
	make_request("whatever", &request);
	buf_init(&pem, CERTIFICATE_PEM_MAX);
	order.request = buf_slice(&request);
	rc = identities_renew(ids, text(sha256), &order, out, &pem, &err);
	buf_fini(&request);
	buf_fini(&pem);
	return rc;
}

static enum rc
revoke_agent(const char *agent)
{
	const struct identity_revocation r = { .agent = text(agent),
		.reason = SLICE("stolen"),
		.by = SLICE("anna"),
		.now_ns = now_ns };

	return identities_revoke(ids, &r, &err);
}

static bool
admits(const char *agent, const char *sha256)
{
	return identities_admit(ids, text(agent), text(sha256));
}

static void
the_text_of_a_token_is_checked(void)
{
	struct enrol_token t = { .secret = "000102030405060708090a0b0c0d0e0f" },
			   back;
	char whole[ENROL_TOKEN], part[ENROL_TOKEN + 8];
	size_t len, refused = 0;

	memset(t.fingerprint, 'c', SHA256_TEXT - 1);
	enrol_token_write(&t, whole);
	len = strlen(whole);
	(void)snprintf(part, sizeof(part), " %s\n", whole);
	CHECK(enrol_token_parse(text(part), &back, &err) == RC_OK &&
		strcmp(back.secret, t.secret) == 0 &&
		strcmp(back.fingerprint, t.fingerprint) == 0,
	    "a token comes back, white space does not count");
	for (size_t i = 0; i < len; i++) {
		memcpy(part, whole, len);
		part[i] = part[i] == '1' ? '2' : '1';
		refused += enrol_token_parse((struct slice){ part, len }, &back,
			       &err) == RC_INVALID;
		refused += enrol_token_parse((struct slice){ whole, i }, &back,
			       &err) == RC_INVALID;
	}
	CHECK(refused == 2 * len,
	    "one with a changed or missing digit is none");
	(void)snprintf(part, sizeof(part), "%s0", whole);
	CHECK(enrol_token_parse(text(part), &back, &err) == RC_INVALID,
	    "nor is one with another digit behind it: %s", err.text);
}

static void
tokens_are_bounded(void)
{
	static const struct {
		const char *name, *agent;
		int64_t uses;
		bool replace;
		enum rc rc;
	} rows[] = {
		{ "for a named agent", "db-1", 1, false, RC_OK },
		{ "for some agents", "", 3, false, RC_OK },
		{ "for a named agent, twice", "db-1", 2, false, RC_INVALID },
		{ "for nobody", "", 0, false, RC_INVALID },
		{ "for too many", "", 1000000, false, RC_INVALID },
		{ "for a name that is none", "db 1", 1, false, RC_INVALID },
		{ "that replaces whomever", "", 1, true, RC_INVALID },
	};
	char secret[ENROL_SECRET];
	struct identity_issued got;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(add_token(rows[i].agent, rows[i].uses, rows[i].replace,
			  secret) == rows[i].rc,
		    "a token %s is %s", rows[i].name,
		    rows[i].rc == RC_OK ? "made" : "refused");
	CHECK(identities_token_remove(ids, 1, &err) == RC_OK,
	    "a token is removed");
	CHECK(identities_token_remove(ids, 1, &err) == RC_EOF, "once");
	CHECK(enrol("ffffffffffffffffffffffffffffffff", "x", &got) ==
		    RC_DENIED &&
		got.token == 0,
	    "a token that nobody made: %s", err.text);
	CHECK(add_token("", 1, false, secret) == RC_OK &&
		enrol_with(secret, SLICE("no request"), &got) == RC_INVALID &&
		got.token != 0 && enrol(secret, "late-1", &got) == RC_OK,
	    "what is no request leaves the token as it was");
	CHECK(add_token("", 1, false, secret) == RC_OK, "another one");
	now_ns += HOUR;
	CHECK(enrol(secret, "late-2", &got) == RC_DENIED &&
		strstr(err.text, "expired") != NULL,
	    "it ends with its hour: %s", err.text);
	now_ns -= HOUR;
}

struct contender {
	struct buf request;
	char secret[ENROL_SECRET];
	enum rc rc;
};

static void *
contend(void *ctx)
{
	struct contender *c = ctx;
	const struct identity_order order = { authority, buf_slice(&c->request),
		now_ns, 24 * HOUR };
	struct identity_issued got;
	struct error why;
	struct buf pem;

	buf_init(&pem, CERTIFICATE_PEM_MAX);
	c->rc =
	    identities_enrol(ids, text(c->secret), &order, &got, &pem, &why);
	buf_fini(&pem);
	return NULL;
}

static void
one_of_many_gets_it(void)
{
	struct contender list[THREADS];
	pthread_t threads[THREADS];
	struct identity_issued got;
	char secret[ENROL_SECRET];
	size_t winners = 0, won = 0;

	(void)add_token("", 1, false, secret);
	for (size_t i = 0; i < THREADS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "many-%zu", i);
		make_request(name, &list[i].request);
		memcpy(list[i].secret, secret, sizeof(secret));
	}
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, contend, &list[i]) != 0)
			abort();
	for (size_t i = 0; i < THREADS; i++) {
		(void)pthread_join(threads[i], NULL);
		winners += list[i].rc == RC_OK;
		if (list[i].rc == RC_OK)
			won = i;
	}
	CHECK(winners == 1, "of %d at once one gets the certificate", THREADS);
	CHECK(enrol_with(secret, buf_slice(&list[won].request), &got) == RC_OK,
	    "whose answer was lost is answered again");
	CHECK(enrol_with(secret, buf_slice(&list[won == 0].request), &got) ==
		    RC_DENIED &&
		strstr(err.text, "used") != NULL,
	    "another one is not: %s", err.text);
	for (size_t i = 0; i < THREADS; i++)
		buf_fini(&list[i].request);
}

static void
names_have_one_owner(void)
{
	struct identity_issued first, got;
	char secret[ENROL_SECRET];
	struct agent_identity id;
	struct log_record record;

	(void)add_token("web-1", 1, false, secret);
	CHECK(enrol(secret, "something-else", &first) == RC_OK &&
		strcmp(first.certificate.name, "web-1") == 0 &&
		strcmp(first.group, "servers") == 0,
	    "the token's name counts");
	(void)add_token("", 5, false, secret);
	CHECK(enrol(secret, "web-1", &got) == RC_LIMIT,
	    "nobody takes a live agent's name: %s", err.text);
	CHECK(enrol(secret, "kuzet-collector", &got) == RC_LIMIT,
	    "nor the collector's: %s", err.text);
	CHECK(enrol(secret, "web 1", &got) == RC_INVALID, "nor none: %s",
	    err.text);
	CHECK(enrol(secret, "web-2", &got) == RC_OK &&
		strcmp(got.certificate.name, "web-2") == 0,
	    "without a name the request's counts");
	(void)add_token("web-1", 1, false, secret);
	CHECK(enrol(secret, "web-1", &got) == RC_LIMIT,
	    "a token with a name is not enough: %s", err.text);
	(void)add_token("web-1", 1, true, secret);
	CHECK(enrol(secret, "web-1", &got) == RC_OK &&
		admits("web-1", got.certificate.sha256) &&
		!admits("web-1", first.certificate.sha256),
	    "one that replaces is, and the one before is out");
	CHECK(identities_get(ids, SLICE("web-1"), now_ns, &id, &err) == RC_OK &&
		id.live == 1 && id.revoked_ns == 0 &&
		strcmp(id.last.sha256, got.certificate.sha256) == 0,
	    "and so it is listed");
	/* one that came with a certificate of its own */
	(void)add_token("", 5, false, secret);
	(void)fixture_append(store,
	    &(struct fixture_batch){ .agent = "old-1", .n = 1 }, &record, &err);
	log_record_fini(&record);
	CHECK(enrol(secret, "old-1", &got) == RC_LIMIT,
	    "nor is the name of one free that never enrolled: %s", err.text);
}

static void
revoked_ones_stay_out(void)
{
	struct identity_issued first, second, got;
	char secret[ENROL_SECRET];
	struct agent_identity id;

	(void)add_token("gone-1", 1, false, secret);
	(void)enrol(secret, "x", &first);
	CHECK(renew(first.certificate.sha256, &second) == RC_OK &&
		strcmp(second.certificate.name, "gone-1") == 0 &&
		strcmp(second.certificate.serial, first.certificate.serial) !=
		    0,
	    "an agent renews under its own name");
	CHECK(admits("gone-1", first.certificate.sha256) &&
		admits("gone-1", second.certificate.sha256) &&
		admits("gone-1", "of somebody else's authority"),
	    "both are good until they end");
	CHECK(revoke_agent("gone-1") == RC_OK, "an agent is revoked");
	CHECK(revoke_agent("gone-1") == RC_DENIED, "once: %s", err.text);
	CHECK(revoke_agent("nobody") == RC_EOF, "nobody is not");
	CHECK(!admits("gone-1", first.certificate.sha256) &&
		!admits("gone-1", second.certificate.sha256) &&
		!admits("gone-1", "of somebody else's authority") &&
		!admits("gone-1", "") && admits("gone-10", "") &&
		admits("gone-", ""),
	    "nobody of that name comes in, everybody else does");
	CHECK(renew(second.certificate.sha256, &got) == RC_DENIED,
	    "nor renews: %s", err.text);
	identities_close(ids);
	CHECK(identities_open(store, &ids, &err) == RC_OK &&
		!admits("gone-1", second.certificate.sha256),
	    "nor after a restart");
	CHECK(identities_get(ids, SLICE("gone-1"), now_ns, &id, &err) ==
		    RC_OK &&
		id.live == 0 && id.revoked_ns == now_ns &&
		strcmp(id.reason, "stolen") == 0,
	    "it is listed as revoked, and why");
	(void)add_token("", 1, false, secret);
	CHECK(enrol(secret, "gone-1", &got) == RC_LIMIT,
	    "it comes back by no word of its own: %s", err.text);
	(void)add_token("gone-1", 1, false, secret);
	CHECK(enrol(secret, "x", &got) == RC_OK &&
		admits("gone-1", got.certificate.sha256) &&
		!admits("gone-1", second.certificate.sha256),
	    "but with a token for it, and its old certificates do not");
	CHECK(renew(got.certificate.sha256, &second) == RC_OK &&
		admits("gone-1", second.certificate.sha256),
	    "what it renews counts");
	CHECK(revoke_agent("gone-1") == RC_OK &&
		!admits("gone-1", second.certificate.sha256),
	    "and it can be revoked again");
	CHECK(revoke_agent("old-1") == RC_OK && !admits("old-1", ""),
	    "so can one that never enrolled");
}

static void
certificates_are_bounded(void)
{
	struct identity_issued got;
	char secret[ENROL_SECRET];
	unsigned n = 1;

	(void)add_token("busy-1", 1, false, secret);
	(void)enrol(secret, "x", &got);
	while (n < 100 && renew(got.certificate.sha256, &got) == RC_OK)
		n++;
	CHECK(n == CERTIFICATES_LIVE_MAX && err.code == RC_LIMIT,
	    "an agent has %u certificates at most: %s", n, err.text);
	now_ns += 25 * HOUR;
	CHECK(renew(got.certificate.sha256, &got) == RC_DENIED,
	    "one that ended renews nothing: %s", err.text);
	now_ns -= 25 * HOUR;
}

static bool
count_one(void *ctx, const struct agent_identity *i)
{
	(void)i;
	(*(unsigned *)ctx)++;
	return true;
}

static void
all_are_listed(void)
{
	unsigned before = 0, after = 0;
	struct identity_issued got;
	char secret[ENROL_SECRET];

	(void)identities_list(ids, now_ns, count_one, &before, &err);
	(void)add_token("", 200, false, secret);
	for (int i = 0; i < 130; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "host-%d", i);
		if (enrol(secret, name, &got) != RC_OK)
			break;
	}
	(void)identities_list(ids, now_ns, count_one, &after, &err);
	CHECK(after == before + 130, "%u agents are listed, each once", after);
}

static bool
look_for_ending(void *ctx, const struct certificate *c)
{
	bool *found = ctx;

	*found = *found || strcmp(c->name, "ends-1") == 0;
	return true;
}

static bool
ends_within(int64_t since_ns, int64_t until_ns)
{
	bool found = false;

	return identities_ending(ids, since_ns, until_ns, look_for_ending,
		   &found, &err) == RC_OK &&
	    found;
}

/* They are given for 24 hours here. */
static void
ends_are_found(void)
{
	struct identity_issued got;
	char secret[ENROL_SECRET];

	(void)add_token("ends-1", 1, false, secret);
	CHECK(enrol(secret, "ends-1", &got) == RC_OK &&
		!ends_within(now_ns, now_ns + 23 * HOUR) &&
		ends_within(now_ns, now_ns + 25 * HOUR),
	    "whose certificate ends by then is found, and only then");
	CHECK(!ends_within(now_ns + 25 * HOUR, now_ns + 30 * HOUR),
	    "not if it ended long ago");
	now_ns += 4 * HOUR;
	CHECK(renew(got.certificate.sha256, &got) == RC_OK &&
		!ends_within(now_ns, now_ns + 21 * HOUR),
	    "who has a newer one is not found");
	CHECK(revoke_agent("ends-1") == RC_OK &&
		!ends_within(now_ns, now_ns + 30 * HOUR),
	    "nor who is revoked");
}

int
main(void)
{
	struct pki_files f;

	now_ns = timestamp_now();
	dir = fixture_folder();
	if (!pki_make(&pki)) {
		(void)puts("1..0 # SKIP no openssl command");
		return 0;
	}
	(void)pki_files(&pki, &f, "ca", "ca");
	if (store_open(dir, &store, &err) != RC_OK ||
	    identities_open(store, &ids, &err) != RC_OK ||
	    authority_open(&(struct authority_files){ f.ca, f.key, f.ca },
		&authority, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return 1;
	}
	the_text_of_a_token_is_checked();
	tokens_are_bounded();
	one_of_many_gets_it();
	names_have_one_owner();
	revoked_ones_stay_out();
	certificates_are_bounded();
	all_are_listed();
	ends_are_found();
	authority_free(authority);
	identities_close(ids);
	store_close(store);
	fixture_remove(dir);
	pki_remove(&pki);
	return tap_done();
}
