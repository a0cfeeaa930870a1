/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <stdio.h>

#include "tap.h"
#include "timestamp.h"

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static void
passwords_are_known_by_their_hash(void)
{
	char one[PASSWORD_HASH_TEXT], two[PASSWORD_HASH_TEXT];

	password_hash(text("a password of mine"), one);
	password_hash(text("a password of mine"), two);
	CHECK(strncmp(one, "$scrypt$ln=15,r=8,p=3$", 22) == 0 &&
		strcmp(one, two) != 0,
	    "a hash says how it was made, and no two are the same");
	CHECK(password_verify(text("a password of mine"), one) &&
		password_verify(text("a password of mine"), two),
	    "the password is known by it");
	CHECK(!password_verify(text("a password of mina"), one) &&
		!password_verify(text(""), one),
	    "another is not");
	CHECK(!password_verify(text(""), "") &&
		!password_verify(text("x"), "$scrypt$ln=99,r=8,p=1$00$00") &&
		!password_verify(text("x"), "plain"),
	    "an empty or broken hash is nobody's");
	/* RFC 7914, 12, is of 64 bytes: this one was made by hashlib.scrypt */
	CHECK(password_verify(text("pleaseletmein"),
		  "$scrypt$ln=10,r=8,p=1$"
		  "000102030405060708090a0b0c0d0e0f$"
		  "c748c7505929341889570635021b87ec"
		  "dbb2c559646ab1675e344d869d41fde5"),
	    "one that another program made is understood");
}

static void
weak_passwords_are_refused(void)
{
	static const struct {
		const char *name, *password;
		bool good;
	} rows[] = {
		{ "long enough", "dveri zakryty", true },
		{ "of another script",
		    "\xd0\xba\xd2\xaf\xd0\xb7\xd0\xb5\xd1"
		    "\x82 42",
		    true },
		{ "too short", "dveri zakry", false },
		{ "the user's name in it", "I am Anna, you", false },
		{ "what everybody tries first", "MyPassword2026!", false },
		{ "one character over and over", "aaaaaaaaaaaaaaaa", false },
		{ "no UTF-8", "dveri zakryty\xff", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK((password_weakness(text(rows[i].password),
			   text("anna")) == NULL) == rows[i].good,
		    "%s: %s", rows[i].name, rows[i].good ? "good" : "refused");
}

/* RFC 6238, appendix B, for SHA-1; its codes have eight digits, ours six. */
static void
codes_are_those_of_the_rfc(void)
{
	static const struct {
		int64_t seconds;
		const char *code;
	} rows[] = {
		{ 59, "287082" },
		{ 1111111109, "081804" },
		{ 1111111111, "050471" },
		{ 1234567890, "005924" },
		{ 2000000000, "279037" },
		{ INT64_C(20000000000), "353130" },
	};
	static const char secret[] = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char code[7] = "";

		CHECK(totp_code(secret, rows[i].seconds / TOTP_STEP_SECONDS,
			  code) &&
			strcmp(code, rows[i].code) == 0,
		    "at %lld: %s", (long long)rows[i].seconds, rows[i].code);
	}
}

static void
codes_count_once(void)
{
	int64_t now_ns = INT64_C(1234567890) * NS_PER_SEC;
	int64_t now = 1234567890 / TOTP_STEP_SECONDS;
	char secret[TOTP_SECRET_TEXT], other[TOTP_SECRET_TEXT], code[7];

	totp_secret(secret);
	totp_secret(other);
	CHECK(strlen(secret) == 32 && strcmp(secret, other) != 0,
	    "secrets differ");
	for (int64_t step = now - 1; step <= now + 1; step++) {
		CHECK(totp_code(secret, step, code) &&
			totp_step(secret, text(code), now_ns, 0) == step,
		    "the code of a step %+d is good", (int)(step - now));
		CHECK(totp_step(secret, text(code), now_ns, step) == 0,
		    "and after its use no more");
	}
	(void)totp_code(secret, now + 2, code);
	CHECK(totp_step(secret, text(code), now_ns, 0) == 0,
	    "that of a later one is not");
	(void)totp_code(other, now, code);
	CHECK(totp_step(secret, text(code), now_ns, 0) == 0 &&
		totp_step(secret, text("12345"), now_ns, 0) == 0 &&
		totp_step("short", text(code), now_ns, 0) == 0,
	    "nor one of another secret, of another length, or of none");
}

int
main(void)
{
	passwords_are_known_by_their_hash();
	weak_passwords_are_refused();
	codes_are_those_of_the_rfc();
	codes_count_once();
	return tap_done();
}
