/* SPDX-License-Identifier: Apache-2.0 */
/* Personal data: what is recognised, what is not, and what becomes of it. */
#include "collector/enrich/personal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/enrich/personal_number.h"
#include "tap.h"

enum { ARENA_BLOCK = 4096, ROUNDS = 20000, LINE = 120 };

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static bool
is(struct slice s, const char *want)
{
	return slice_eq(s, text_of(want));
}

/* All numbers here are made up; cards are those that issuers give for tests. */
static const struct {
	const char *text, *masked;
} table[] = {
	{ "", "" },
	{ "no number", "no number" },
	{ "iin=850101300124 ok", "iin=************ ok" },
	{ "850101300124", "************" },
	{ "IIN850101300124", "IIN************" },
	{ "bin \"010440000025\"", "bin \"************\"" },
	{ "second weights 900101000906", "second weights ************" },
	{ "850101300125 is wrong", "850101300125 is wrong" },
	{ "900100000390 900100000391", "900100000390 900100000391" },
	{ "000000000000", "000000000000" },
	{ "8501013001240", "8501013001240" },
	{ "/v1/people/850101300124/docs", "/v1/people/************/docs" },
	{ "?iin=%20850101300124&x", "?iin=%20************&x" },
	{ "ab850101300124ef is a hash", "ab850101300124ef is a hash" },
	{ "0.850101300124 s", "0.850101300124 s" },
	{ "ends so: 850101300124.", "ends so: ************." },
	{ "850101300124,990940000056", "************,************" },

	{ "4111111111111111", "************1111" },
	{ "card 4111 1111 1111 1111 was", "card **** **** **** 1111 was" },
	{ "4111-1111-1111-1111", "****-****-****-1111" },
	{ "4111 1111 1111 1111 123", "**** **** **** 1111 123" },
	{ "12 4111 1111 1111 1111", "12 **** **** **** 1111" },
	{ "3782 822463 10005", "**** ****** *0005" },
	{ "378282246310005", "***********0005" },
	{ "3056 930902 5904", "**** ****** 5904" },
	{ "4222222222222", "*********2222" },
	{ "4222 222 222 222", "**** *** **2 222" },
	{ "6304000000000000000", "***************0000" },
	{ "4111111111111112", "4111111111111112" },
	{ "4111 1111-1111 1111", "4111 1111-1111 1111" },
	{ "1763773323123 ms", "1763773323123 ms" },
	{ "0b0f3f9e-4111-4111-8111-111111111111",
	    "0b0f3f9e-4111-4111-8111-111111111111" },

	{ "call +77011234567 now", "call +*********67 now" },
	{ "+7 701 123 45 67", "+* *** *** ** 67" },
	{ "+7 (701) 123-45-67", "+* (***) ***-**-67" },
	{ "8(7172)123456", "*(****)****56" },
	{ "8 701 1234567", "* *** *****67" },
	{ "8-701-123-45-67;", "*-***-***-**-67;" },
	{ "87011234567", "*********67" },
	{ "77011234567", "*********67" },
	{ "phone=%2B77011234567", "phone=%2B*********67" },
	{ "+79161234567 is abroad", "+79161234567 is abroad" },
	{ "8 processes, 701 files", "8 processes, 701 files" },
	{ "2026-11-22 17:01:02 took 8 701", "2026-11-22 17:01:02 took 8 701" },
	{ "7011234567", "7011234567" },
	{ "877011234567890123456", "877011234567890123456" },
};

static struct personal *
masker(void)
{
	const struct personal_options options = {
		.modes = { PERSONAL_MASK, PERSONAL_MASK, PERSONAL_MASK }
	};

	return personal_new(&options);
}

static struct personal *
hasher(const char *key)
{
	const struct personal_options options = {
		.modes = { PERSONAL_HASH, PERSONAL_HASH, PERSONAL_HASH },
		.key = text_of(key)
	};

	return personal_new(&options);
}

static void
test_masks(struct arena *arena)
{
	struct personal *p = masker();

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct slice got =
		    personal_text(p, arena, text_of(table[i].text));

		CHECK(is(got, table[i].masked), "\"%s\" becomes \"%.*s\"",
		    table[i].text, SLICE_ARG(got));
	}
	personal_free(p);
}

static void
test_tokens(struct arena *arena)
{
	struct personal *p = hasher("01234567890123456789012345678901");
	struct personal *other = hasher("another key of thirty-two bytes!");
	struct slice a = personal_text(p, arena, SLICE("+7 (701) 123-45-67"));
	struct slice b = personal_text(p, arena, SLICE("87011234567"));
	struct slice c = personal_text(p, arena, SLICE("87011234568"));
	struct slice d = personal_text(other, arena, SLICE("87011234567"));
	struct slice card =
	    personal_text(p, arena, SLICE("4111 1111 1111 1111"));

	CHECK(a.len == sizeof("phone_") - 1 + 32 &&
		memcmp(a.ptr, "phone_", 6) == 0,
	    "a token is one word: %.*s", SLICE_ARG(a));
	CHECK(slice_eq(a, b), "the same number gives the same token");
	CHECK(!slice_eq(a, c), "another number another one");
	CHECK(!slice_eq(b, d), "another key another one");
	CHECK(slice_eq(card,
		  personal_text(p, arena, SLICE("4111111111111111"))),
	    "a card in groups is the same card");
	CHECK(slice_eq(personal_text(p, arena, a), a), "a token is none again");
	personal_free(p);
	personal_free(other);
}

static void
test_one_mode(struct arena *arena)
{
	const struct personal_options options = {
		.modes = { PERSONAL_KEEP, PERSONAL_MASK, PERSONAL_KEEP }
	};
	struct personal *p = personal_new(&options);

	CHECK(is(personal_text(p, arena,
		     SLICE("850101300124 4111111111111111 87011234567")),
		  "850101300124 ************1111 87011234567"),
	    "each kind has its own mode");
	personal_free(p);
}

static void
test_event(struct arena *arena)
{
	static const char line[] = "pay 4111111111111111 by 850101300124";
	struct personal *p = masker();
	struct value list[] = {
		{ .kind = VALUE_STRING, .s = SLICE("850101300124") },
		{ .kind = VALUE_INT, .i = INT64_C(850101300124) },
	};
	struct event ev;

	event_begin(&ev, arena);
	event_set_string(&ev, FIELD_EVENT_ORIGINAL, text_of(line));
	event_set_string(&ev, FIELD_MESSAGE, text_of(line));
	event_set_string(&ev, FIELD_AGENT_ID, SLICE("850101300124"));
	event_set_int(&ev, FIELD_LOG_OFFSET, INT64_C(850101300124));
	event_set_int(&ev, field_intern(SLICE("http.response.bytes")),
	    INT64_C(850101300124));
	event_set_int(&ev, field_intern(SLICE("labels.iin")),
	    INT64_C(850101300124));
	event_set_int(&ev, FIELD_PROCESS_PID, 850);
	event_set_value(&ev, FIELD_RELATED_USER,
	    (struct value){ .kind = VALUE_LIST, .n = 2, .list = list });
	event_set_value(&ev, field_intern(SLICE("labels.json")),
	    (struct value){ .kind = VALUE_JSON,
		.s = SLICE("[{\"a\":850101300124,\"b\":\"x \\\" "
			   "850101300124\"}]") });
	CHECK(personal_event(p, &ev), "an event is changed");
	CHECK(is(event_get_string(&ev, FIELD_EVENT_ORIGINAL),
		  "pay ************1111 by ************") &&
		is(event_get_string(&ev, FIELD_MESSAGE),
		    "pay ************1111 by ************"),
	    "the line itself, and the message");
	CHECK(is(event_get_string(&ev, FIELD_AGENT_ID), "850101300124") &&
		event_get(&ev, FIELD_LOG_OFFSET)->kind == VALUE_INT &&
		event_get(&ev, field_find(SLICE("http.response.bytes")))
			->kind == VALUE_INT &&
		event_get(&ev, FIELD_PROCESS_PID)->i == 850,
	    "not who sends, nor where it stood, nor what is measured");
	CHECK(is(event_get_string(&ev, field_find(SLICE("labels.iin"))),
		  "************"),
	    "a number becomes a text");
	CHECK(is(event_get(&ev, FIELD_RELATED_USER)->list[0].s,
		  "************") &&
		is(event_get(&ev, FIELD_RELATED_USER)->list[1].s,
		    "************") &&
		list[1].kind == VALUE_INT,
	    "lists are copied, then changed");
	CHECK(is(event_get(&ev, field_find(SLICE("labels.json")))->s,
		  "[{\"a\":\"************\",\"b\":\"x \\\" "
		  "************\"}]"),
	    "JSON stays JSON");
	CHECK(!personal_event(p, &ev), "the second time nothing is left");
	personal_free(p);
}

static void
test_clean_line(struct arena *arena)
{
	static const char line[] = "nothing personal 4711";
	struct personal *p = masker();
	struct event ev;

	event_begin(&ev, arena);
	event_set_string(&ev, FIELD_EVENT_ORIGINAL, text_of(line));
	event_set_string(&ev, FIELD_MESSAGE, (struct slice){ line + 8, 8 });
	event_set_string(&ev, FIELD_USER_NAME, SLICE("850101300124"));
	CHECK(personal_event(p, &ev) &&
		event_get_string(&ev, FIELD_MESSAGE).ptr == line + 8 &&
		is(event_get_string(&ev, FIELD_USER_NAME), "************"),
	    "a clean line's pieces stay, what came beside it is looked at");
	personal_free(p);
}

/* ---- against the definition -------------------------------------------------------- */

static unsigned seed = 7;

static unsigned
pick(unsigned n)
{
	seed = seed * 1103515245U + 12345U;
	return (seed >> 16) % n;
}

/* Weights as the law's order lists them. */
static bool
iin_by_definition(const char *d)
{
	int sum = 0, again = 0;

	for (int i = 0; i < 11; i++) {
		sum += (i + 1) * (d[i] - '0');
		again += (i < 9 ? i + 3 : i - 8) * (d[i] - '0');
	}
	sum %= 11;
	if (sum == 10)
		sum = again % 11;
	return sum == d[11] - '0';
}

static bool
only_stars(const char *before, struct slice after)
{
	for (size_t i = 0; i < after.len; i++)
		if (after.ptr[i] != before[i] &&
		    (after.ptr[i] != '*' || before[i] < '0' || before[i] > '9'))
			return false;
	return true;
}

static void
test_properties(struct arena *arena)
{
	static const char alphabet[] = "0123456789 -+()78ax.%";
	struct personal *p = masker();
	unsigned wrong = 0, valid = 0;
	char text[LINE];

	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 12; k++)
			text[k] = (char)('0' + pick(10));
		valid += iin_by_definition(text);
		wrong += iin_is_valid(text) != iin_by_definition(text);
	}
	CHECK(wrong == 0 && valid > ROUNDS / 20,
	    "checksums are those of the definition (%u of %d valid)", valid,
	    ROUNDS);
	for (int i = 0; i < ROUNDS; i++) {
		size_t n = pick(LINE);
		struct slice got;

		for (size_t k = 0; k < n; k++)
			text[k] = alphabet[pick(sizeof(alphabet) - 1)];
		got = personal_text(p, arena, (struct slice){ text, n });
		wrong += got.len != n || !only_stars(text, got);
		arena_reset(arena);
	}
	CHECK(wrong == 0, "masking changes digits to stars and nothing else");
	personal_free(p);
}

static void
test_key(void)
{
	char path[] = "/tmp/kuzet-personal-XXXXXX";
	int fd = mkstemp(path);
	struct slice key = { NULL, 0 };
	struct error err;

	CHECK(write(fd, "short", 5) == 5 &&
		personal_key_read(path, &key, &err) == RC_INVALID &&
		strstr(err.text, "openssl rand") != NULL,
	    "a short key is refused with the remedy");
	CHECK(write(fd, "012345678901234567890123456789", 30) == 30 &&
		personal_key_read(path, &key, &err) == RC_OK && key.len == 35,
	    "a long one is read");
	free((char *)key.ptr);
	(void)fchmod(fd, 0644);
	CHECK(personal_key_read(path, &key, &err) == RC_DENIED,
	    "one that others can read is refused");
	(void)close(fd);
	(void)unlink(path);
}

int
main(void)
{
	struct arena *arena = arena_new(ARENA_BLOCK);

	test_masks(arena);
	test_tokens(arena);
	test_one_mode(arena);
	test_event(arena);
	test_clean_line(arena);
	test_properties(arena);
	test_key();
	arena_free(arena);
	return tap_done();
}
