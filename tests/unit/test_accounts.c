/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "secret.h"
#include "store_fixture.h"
#include "tap.h"
#include "timestamp.h"

#define IDLE (SECOND * 60 * 30)

static char *dir;
static struct store *store;
static struct accounts *accounts;
static struct error err;
static const struct slice anna = SLICE_INIT("anna");
static const struct slice password = SLICE_INIT("dveri zakryty 7");

static enum rc
add(struct slice name, enum account_role role, struct slice organization)
{
	const struct account_change change = { .role = &role,
		.organization = organization,
		.password = password };

	return accounts_add(accounts, name, &change, T0, &err);
}

/* By hand, as somebody with the file could. */
static bool
sql_refused(const char *text)
{
	char path[4096];
	sqlite3 *db = NULL;
	bool refused;

	(void)snprintf(path, sizeof(path), "%s/soc.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		abort();
	(void)sqlite3_busy_timeout(db, 5000);
	refused = sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK;
	(void)sqlite3_close(db);
	return refused;
}

/* The same password with a hash that takes no time: many log in below. */
static void
make_cheap(void)
{
	if (sql_refused("UPDATE accounts SET password ="
			" '$scrypt$ln=4,r=8,p=1$"
			"000102030405060708090a0b0c0d0e0f$"
			"3eadd27a797785f172a89eaa3ced78c3"
			"d99340ba809e93180db05f9685524b39'"
			" WHERE name = 'anna'"))
		abort();
}

static enum rc
log_in(struct slice word, const char *code, int64_t now_ns,
    char secret[TOKEN_TEXT])
{
	const struct login l = { .name = anna,
		.password = word,
		.code = { code, strlen(code) },
		.address = SLICE("192.0.2.1"),
		.now_ns = now_ns };
	struct caller caller;

	return accounts_login(accounts, &l, secret, &caller, &err);
}

static enum rc
who(const char *secret, int64_t now_ns, struct caller *out)
{
	return accounts_by_secret(accounts,
	    (struct slice){ secret, strlen(secret) }, now_ns, IDLE, out, &err);
}

static void
accounts_are_checked(void)
{
	static const struct {
		const char *name;
		struct slice user, organization;
		enum account_role role;
		enum rc rc;
	} rows[] = {
		{ "an analyst", SLICE_INIT("anna"), { NULL, 0 }, ROLE_ANALYST,
		    RC_OK },
		{ "a second of that name", SLICE_INIT("anna"), { NULL, 0 },
		    ROLE_ANALYST, RC_DENIED },
		{ "an owner without an organization", SLICE_INIT("oleg"),
		    { NULL, 0 }, ROLE_OWNER, RC_INVALID },
		{ "an owner of one", SLICE_INIT("oleg"), SLICE_INIT("plant"),
		    ROLE_OWNER, RC_OK },
		{ "an upper-case name", SLICE_INIT("Anna"), { NULL, 0 },
		    ROLE_ANALYST, RC_INVALID },
		{ "an empty name", SLICE_INIT(""), { NULL, 0 }, ROLE_ANALYST,
		    RC_INVALID },
		{ "a name like an option", SLICE_INIT("-x"), { NULL, 0 },
		    ROLE_ANALYST, RC_INVALID },
		{ "an organization with a line end", SLICE_INIT("ivan"),
		    SLICE_INIT("a\nb"), ROLE_OWNER, RC_INVALID },
	};
	const struct account_change weak = { .password = SLICE("short") };
	const struct account_change none = { .organization = SLICE("") };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(add(rows[i].user, rows[i].role, rows[i].organization) ==
			rows[i].rc,
		    "%s: %s", rows[i].name,
		    rows[i].rc == RC_OK ? "is made" : "is refused");
	CHECK(accounts_change(accounts, anna, &weak, &err) == RC_INVALID,
	    "a weak password is refused");
	CHECK(accounts_change(accounts, SLICE("oleg"), &none, &err) ==
		RC_INVALID,
	    "an owner does not lose its organization");
	CHECK(accounts_change(accounts, SLICE("nobody"), &none, &err) ==
		    RC_EOF &&
		accounts_remove(accounts, SLICE("nobody"), &err) == RC_EOF,
	    "who is not there is not changed");
}

static void
sessions_end(void)
{
	char secret[TOKEN_TEXT], again[TOKEN_TEXT];
	struct caller c;
	const struct account_change other = { .password =
						  SLICE("dveri otkryty 8") };
	const struct account_change back = { .password = password };

	make_cheap();
	CHECK(log_in(password, "", T0, secret) == RC_OK &&
		who(secret, T0 + SECOND, &c) == RC_OK &&
		c.kind == CALLER_SESSION && c.role == ROLE_ANALYST &&
		strcmp(c.name, "anna") == 0 && strlen(c.csrf) == 32,
	    "a session is known by its secret");
	CHECK(who("kzs_00", T0, &c) == RC_DENIED, "another secret is nobody's");
	CHECK(who(secret, T0 + IDLE - SECOND, &c) == RC_OK &&
		who(secret, T0 + 2 * IDLE - 2 * SECOND, &c) == RC_OK &&
		who(secret, T0 + 3 * IDLE, &c) == RC_DENIED,
	    "use keeps it, half an hour without any ends it");
	CHECK(log_in(password, "", T0, secret) == RC_OK &&
		accounts_change(accounts, anna, &other, &err) == RC_OK &&
		who(secret, T0, &c) == RC_DENIED,
	    "another password ends it");
	CHECK(log_in(password, "", T0, secret) == RC_DENIED,
	    "the old password is of no use");
	(void)accounts_change(accounts, anna, &back, &err);
	make_cheap();
	CHECK(log_in(password, "", T0, secret) == RC_OK &&
		who(secret, T0, &c) == RC_OK &&
		accounts_logout(accounts, c.token, &err) == RC_OK &&
		who(secret, T0, &c) == RC_DENIED,
	    "logging out ends it");
	(void)log_in(password, "", T0, secret);
	for (int i = 0; i < SESSIONS_MAX; i++)
		(void)log_in(password, "", T0, again);
	CHECK(who(secret, T0, &c) == RC_DENIED && who(again, T0, &c) == RC_OK,
	    "beyond %d the oldest goes", (int)SESSIONS_MAX);
}

static void
guessing_locks(void)
{
	char secret[TOKEN_TEXT];
	const struct account_change unlock = { .unlock = true };
	int64_t now_ns = T0;

	for (int i = 0; i < 5; i++)
		(void)log_in(SLICE("not this one, no"), "", now_ns, secret);
	CHECK(log_in(password, "", now_ns + SECOND, secret) == RC_DENIED,
	    "after five failures the right password is of no use");
	CHECK(log_in(password, "", now_ns + 31 * SECOND, secret) == RC_OK,
	    "half a minute later it is");
	for (int i = 0; i < 5; i++)
		(void)log_in(SLICE("not this one, no"), "", now_ns, secret);
	(void)log_in(SLICE("not this one, no"), "", now_ns + 31 * SECOND,
	    secret);
	CHECK(log_in(password, "", now_ns + 62 * SECOND, secret) == RC_DENIED,
	    "each further failure doubles the time");
	CHECK(accounts_change(accounts, anna, &unlock, &err) == RC_OK &&
		log_in(password, "", now_ns, secret) == RC_OK,
	    "an administrator unlocks it");
}

static void
codes_are_asked_for(void)
{
	char totp[33], secret[TOKEN_TEXT], code[7], next[7];
	int64_t step = T0 / SECOND / TOTP_STEP_SECONDS;
	const struct account_change remove = { .remove_totp = true };

	CHECK(accounts_totp_confirm(accounts, anna, SLICE("123456"), T0,
		  &err) == RC_INVALID,
	    "nothing to confirm yet");
	(void)accounts_totp_begin(accounts, anna, totp, &err);
	(void)totp_code(totp, step, code);
	(void)totp_code(totp, step + 1, next);
	CHECK(log_in(password, "", T0, secret) == RC_OK,
	    "what is not confirmed is not asked for");
	CHECK(accounts_totp_confirm(accounts, anna, (struct slice){ code, 6 },
		  T0, &err) == RC_OK,
	    "a code confirms the second factor");
	CHECK(log_in(password, "", T0, secret) == RC_EOF,
	    "then a code is asked for");
	CHECK(log_in(password, code, T0, secret) == RC_DENIED,
	    "the one that confirmed it is used up");
	CHECK(log_in(password, next, T0, secret) == RC_OK, "the next is good");
	CHECK(log_in(password, next, T0, secret) == RC_DENIED, "and only once");
	CHECK(accounts_change(accounts, anna, &remove, &err) == RC_OK &&
		log_in(password, "", T0, secret) == RC_OK,
	    "an administrator takes it away");
}

static bool
count_token(void *ctx, const struct token *t)
{
	*(int *)ctx += !t->session;
	return true;
}

static void
tokens_say_what_they_may(void)
{
	struct token t = { .permissions = MAY_EVENTS | MAY_USERS,
		.created_ns = T0,
		.expires_ns = T0 + 100 * SECOND };
	char secret[TOKEN_TEXT];
	struct caller c;
	int n = 0;

	memcpy(t.account, "anna", 5);
	CHECK(accounts_token_add(accounts, &t, secret, &err) == RC_INVALID,
	    "a token needs a name");
	memcpy(t.name, "report", 7);
	CHECK(accounts_token_add(accounts, &t, secret, &err) == RC_OK &&
		who(secret, T0 + SECOND, &c) == RC_OK &&
		c.kind == CALLER_TOKEN && c.permissions == MAY_EVENTS,
	    "it may what it says, and no more than its user");
	CHECK(who(secret, T0 + 90 * SECOND + IDLE, &c) == RC_DENIED,
	    "it expires");
	(void)accounts_tokens(accounts, anna, count_token, &n, &err);
	CHECK(n == 1, "it is listed");
	CHECK(accounts_token_remove(accounts, SLICE("oleg"), t.id, &err) ==
		    RC_EOF &&
		accounts_token_remove(accounts, anna, t.id, &err) == RC_OK &&
		who(secret, T0 + SECOND, &c) == RC_DENIED,
	    "its user ends it, nobody else's does");
	n = 0;
	while (accounts_token_add(accounts, &t, secret, &err) == RC_OK)
		n++;
	CHECK(n == TOKENS_MAX && err.code == RC_LIMIT, "there are %d at most",
	    n);
}

static void
organizations_restrict(void)
{
	struct token t = { .permissions = MAY_ALL,
		.created_ns = T0,
		.expires_ns = T0 + 100 * SECOND,
		.name = "x",
		.account = "rita" };
	char secret[TOKEN_TEXT];
	struct caller c;

	(void)add(SLICE("rita"), ROLE_ADMINISTRATOR, SLICE("plant"));
	CHECK(accounts_token_add(accounts, &t, secret, &err) == RC_OK &&
		who(secret, T0, &c) == RC_OK &&
		strcmp(c.organization, "plant") == 0 &&
		(c.permissions &
		    (MAY_STATUS | MAY_USERS | MAY_USERS_WRITE | MAY_AUDIT |
			MAY_RULES_RELOAD)) == 0,
	    "of one organization nobody may what concerns all");
}

static void
certificates_belong_to_one(void)
{
	const struct slice digest = SLICE("000102030405060708090a0b0c0d0e0f"
					  "101112131415161718191a1b1c1d1e1f");
	const struct account_change change = { .certificate = digest };
	const struct account_change bad = { .certificate = SLICE("00FF") };
	struct caller c;

	CHECK(accounts_by_certificate(accounts, digest, &c, &err) ==
		    RC_DENIED &&
		accounts_change(accounts, anna, &change, &err) == RC_OK &&
		accounts_by_certificate(accounts, digest, &c, &err) == RC_OK &&
		strcmp(c.name, "anna") == 0,
	    "an account is known by its certificate");
	CHECK(accounts_change(accounts, SLICE("oleg"), &change, &err) ==
		RC_DENIED,
	    "which no other can have");
	CHECK(accounts_change(accounts, anna, &bad, &err) == RC_INVALID,
	    "what is no digest is refused");
	CHECK(accounts_by_certificate(accounts, SLICE(""), &c, &err) ==
		RC_DENIED,
	    "no certificate is nobody's");
}

static bool
count_entry(void *ctx, const struct audit_entry *e)
{
	int *n = ctx;

	*n += slice_eq(e->action, SLICE("events.list"));
	return true;
}

static void
the_audit_log_only_grows(void)
{
	const struct audit_entry e = {
		.time_ns = T0,
		.account = anna,
		.action = SLICE("events.list"),
		.method = SLICE("GET"),
		.target = SLICE("/v1/events"),
		.status = 200,
	};
	const struct audit_entry two[] = { e, e };
	struct audit_query q = { .since_ns = INT64_MIN, .until_ns = INT64_MAX };
	struct audit_cursor cursor, again;
	int n = 0;

	for (int i = 0; i < 150; i++)
		if (accounts_audit(accounts, two, 2, &err) != RC_OK)
			break;
	CHECK(accounts_audit_read(accounts, &q, count_entry, &n, &err) ==
		    RC_OK &&
		n == 300,
	    "entries are read back, however many");
	n = 0;
	q.after = 290;
	(void)accounts_audit_read(accounts, &q, count_entry, &n, &err);
	CHECK(n == 10, "from an id on");
	CHECK(sql_refused("DELETE FROM audit WHERE id = 3") &&
		sql_refused("UPDATE audit SET status = 0") &&
		sql_refused("DELETE FROM audit"),
	    "none is changed or removed");
	CHECK(accounts_audit_cursor(accounts, &cursor, &err) == RC_OK &&
		cursor.shipped == 0 &&
		accounts_audit_shipped(accounts, 300, &err) == RC_OK &&
		accounts_audit_cursor(accounts, &again, &err) == RC_OK &&
		again.shipped == 300 &&
		strcmp(cursor.stream, again.stream) == 0,
	    "how far it is in the log of events is remembered");
	CHECK(sql_refused("DELETE FROM audit WHERE id = 3"),
	    "what is stored as an event stays too, until a million follow");
}

int
main(void)
{
	dir = fixture_folder();
	if (store_open(dir, &store, &err) != RC_OK ||
	    accounts_open(store, &accounts, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		return 1;
	}
	accounts_are_checked();
	sessions_end();
	guessing_locks();
	codes_are_asked_for();
	tokens_say_what_they_may();
	organizations_restrict();
	certificates_belong_to_one();
	the_audit_log_only_grows();
	accounts_close(accounts);
	store_close(store);
	fixture_remove(dir);
	return tap_done();
}
