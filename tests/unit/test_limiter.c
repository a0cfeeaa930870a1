/* SPDX-License-Identifier: Apache-2.0 */
#include "limiter.h"

#include "tap.h"
#include "timestamp.h"

/* More than a table of any size here has room for. */
enum { MANY = 100000 };

static const struct slice anna = SLICE_INIT("192.0.2.1"),
			  boris = SLICE_INIT("192.0.2.2");

static unsigned
take_all(struct limiter *l, struct slice key, int64_t now_ns)
{
	unsigned n = 0;

	while (n < MANY && limiter_take(l, key, now_ns))
		n++;
	return n;
}

static void
a_burst_then_a_rate(void)
{
	static const struct {
		const char *what;
		int64_t at_ns;
		unsigned there;
	} rows[] = {
		{ "the burst at first", NS_PER_SEC, 30 },
		{ "nothing in the same moment", NS_PER_SEC, 0 },
		{ "nothing before a part is whole", NS_PER_SEC * 105 / 100, 0 },
		{ "one after a tenth of a second", NS_PER_SEC * 11 / 10, 1 },
		{ "none for a clock that steps back", NS_PER_SEC, 0 },
		{ "ten a second", NS_PER_SEC * 21 / 10, 10 },
		{ "never more than the burst", NS_PER_SEC * 1000, 30 },
	};
	struct limiter *l = limiter_new(10, 30);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned n = take_all(l, anna, rows[i].at_ns);

		CHECK(n == rows[i].there, "%s: %u", rows[i].what, n);
	}
	limiter_free(l);
}

static void
keys_have_their_own(void)
{
	struct limiter *l = limiter_new(1, 2);

	CHECK(take_all(l, anna, 0) == 2 && !limiter_has(l, anna, 0),
	    "one key uses up what is its own");
	CHECK(limiter_has(l, boris, 0) && limiter_has(l, boris, 0) &&
		take_all(l, boris, 0) == 2,
	    "another has all of its own, and asking takes nothing");
	limiter_free(l);
}

/* Each takes one of ten: the fullest are forgotten first. */
static void
a_flood_of_keys_frees_nobody(void)
{
	struct limiter *l = limiter_new(1, 10);
	unsigned served = 0;
	char key[32];

	(void)take_all(l, anna, 0);
	for (unsigned i = 0; i < MANY; i++) {
		int n = snprintf(key, sizeof(key), "198.51.100.%u", i);

		served += limiter_take(l, (struct slice){ key, (size_t)n }, 0);
	}
	CHECK(served == MANY, "keys without number are served: %u", served);
	CHECK(!limiter_has(l, anna, 0),
	    "who used up all is not forgotten for them");
	limiter_free(l);
	limiter_free(NULL);
}

static void
a_peer_is_an_address_or_its_network(void)
{
	static const struct {
		const char *address, *key;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2" },
		{ "2001:db8::1", "2001:db8" },
		{ "::1", "" },
		{ "unix", "unix" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice key = limiter_address(rows[i].address);

		CHECK(slice_eq(key,
			  (struct slice){ rows[i].key, strlen(rows[i].key) }),
		    "%s counts as \"%.*s\"", rows[i].address, SLICE_ARG(key));
	}
}

int
main(void)
{
	a_burst_then_a_rate();
	keys_have_their_own();
	a_flood_of_keys_frees_nobody();
	a_peer_is_an_address_or_its_network();
	return tap_done();
}
