/* SPDX-License-Identifier: Apache-2.0 */
#include "saved_search.h"

#include <stdio.h>

#include "store_fixture.h"
#include "tap.h"

static struct store *store;
static struct error err;
static const struct slice anna = SLICE_INIT("anna");
static const struct slice definition = SLICE_INIT("{\"query\":\"root\"}");

static enum rc
add(struct slice account, struct slice organization, struct slice name,
    bool shared, int64_t *id)
{
	struct saved_search s = { .name = name,
		.account = account,
		.organization = organization,
		.shared = shared,
		.definition = definition };
	enum rc rc = saved_search_add(store, &s, T0, &err);

	*id = s.id;
	return rc;
}

static bool
count(void *ctx, const struct saved_search *s)
{
	size_t *n = ctx;

	*n += slice_eq(s->definition, definition);
	return true;
}

static size_t
seen_by(struct saved_query q)
{
	size_t n = 0;

	return saved_search_list(store, &q, count, &n, &err) == RC_OK ? n : 99;
}

static void
names_are_checked(void)
{
	static const struct {
		const char *what;
		struct slice name;
		enum rc rc;
	} rows[] = {
		{ "a name", SLICE_INIT("logins"), RC_OK },
		{ "the same again", SLICE_INIT("logins"), RC_DENIED },
		{ "one in other letters", SLICE_INIT("кіру әрекеттері"),
		    RC_OK },
		{ "no name", SLICE_INIT(""), RC_INVALID },
		{ "a slash", SLICE_INIT("a/b"), RC_INVALID },
		{ "a line end", SLICE_INIT("a\nb"), RC_INVALID },
		{ "broken UTF-8", SLICE_INIT("a\xff"), RC_INVALID },
		{ "65 bytes",
		    SLICE_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			       "aaaaaaaaaaaaaaaaaa"),
		    RC_INVALID },
	};
	int64_t id;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(add(anna, SLICE(""), rows[i].name, false, &id) ==
			rows[i].rc,
		    "%s: %s", rows[i].what,
		    rows[i].rc == RC_OK ? "is kept" : "is refused");
}

static void
others_see_what_is_shared(void)
{
	const struct slice oleg = SLICE("oleg"), plant = SLICE("plant");
	int64_t id;

	CHECK(add(oleg, plant, SLICE("ours"), true, &id) == RC_OK &&
		add(oleg, plant, SLICE("mine"), false, &id) == RC_OK &&
		add(anna, SLICE(""), SLICE("of the SOC"), true, &id) == RC_OK,
	    "some are shared");
	CHECK(seen_by((struct saved_query){ .account = oleg,
		  .organization = plant }) == 2,
	    "its owner sees both of its own, and none of the SOC's");
	CHECK(seen_by((struct saved_query){ .account = SLICE("olga"),
		  .organization = plant }) == 1,
	    "another of the organization sees the shared one");
	CHECK(seen_by((struct saved_query){ .account = SLICE("ivan"),
		  .organization = SLICE("port") }) == 0,
	    "one of another organization sees none");
	CHECK(seen_by((struct saved_query){ .account = SLICE("ivan") }) == 2,
	    "the SOC sees all that are shared");
	CHECK(seen_by((struct saved_query){ .account = SLICE("ivan"),
		  .everybodys = true }) == 5,
	    "who looks after them sees all");
	CHECK(seen_by((struct saved_query){ .account = anna,
		  .name = SLICE("logins") }) == 1,
	    "one is found by its name");
}

static void
changes_are_of_what_was_seen(void)
{
	struct saved_search s = { .name = SLICE("changing"),
		.account = anna,
		.organization = SLICE(""),
		.definition = definition };

	CHECK(saved_search_add(store, &s, T0, &err) == RC_OK &&
		s.revision == 1 && s.id > 0,
	    "one is made");
	CHECK(saved_search_replace(store, &s, T0 + SECOND, &err) == RC_OK,
	    "it is replaced");
	CHECK(saved_search_replace(store, &s, T0, &err) == RC_DENIED,
	    "not what another saw before");
	s.revision = 0;
	CHECK(saved_search_replace(store, &s, T0, &err) == RC_OK,
	    "whatever it is, if nobody looked");
	s.name = SLICE("logins");
	CHECK(saved_search_replace(store, &s, T0, &err) == RC_DENIED,
	    "not by a name that is taken");
	s.account = SLICE("ivan");
	CHECK(saved_search_replace(store, &s, T0, &err) == RC_EOF,
	    "nobody replaces another's");
	CHECK(saved_search_remove(store, s.account, s.id, &err) == RC_EOF,
	    "nor removes it");
	CHECK(saved_search_remove(store, anna, s.id, &err) == RC_OK,
	    "its owner does");
	CHECK(saved_search_remove(store, anna, s.id, &err) == RC_EOF, "once");
}

static void
there_is_a_bound(void)
{
	char name[32];
	int64_t id;
	enum rc rc = RC_OK;
	int n = 0;

	for (; rc == RC_OK && n <= SAVED_OF_ACCOUNT; n++) {
		(void)snprintf(name, sizeof(name), "search %d", n);
		rc = add(SLICE("keeper"), SLICE(""),
		    (struct slice){ name, strlen(name) }, false, &id);
	}
	CHECK(rc == RC_LIMIT && n == SAVED_OF_ACCOUNT + 1,
	    "an account has %d at most", (int)SAVED_OF_ACCOUNT);
}

int
main(void)
{
	char *dir = fixture_folder();

	store = fixture_open(dir);
	names_are_checked();
	others_see_what_is_shared();
	changes_are_of_what_was_seen();
	there_is_a_bound();
	store_close(store);
	fixture_remove(dir);
	return tap_done();
}
