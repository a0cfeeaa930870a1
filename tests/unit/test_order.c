/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "tap.h"
#include "timestamp.h"

enum { WIRE = ORDER_WIRE_MAX };
static const int64_t now_ns = INT64_C(1795366953000000000);

struct world {
	char dir[64];
	struct signer *signer, *stranger;
	struct sign_keys *keys;
	struct arena *arena;
	struct buf wire;
};

static struct signer *
make_signer(const char *dir, const char *name)
{
	struct signer *s = NULL;
	struct error err;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)signer_open(path, true, &s, &err);
	return s;
}

static void
begin(struct world *w)
{
	char path[128];
	struct error err;
	struct buf pem;
	FILE *f;

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/kuzet-order-XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		abort();
	w->signer = make_signer(w->dir, "key");
	w->stranger = make_signer(w->dir, "stranger");
	buf_init(&pem, 4096);
	signer_public(w->signer, &pem);
	(void)snprintf(path, sizeof(path), "%s/pub", w->dir);
	f = fopen(path, "we");
	(void)fwrite(pem.ptr, 1, pem.len, f);
	(void)fclose(f);
	buf_fini(&pem);
	if (sign_keys_read(path, &w->keys, &err) != RC_OK)
		abort();
	w->arena = arena_new(4096);
	buf_init(&w->wire, WIRE);
}

static void
end(struct world *w)
{
	static const char *const names[] = { "key", "stranger", "pub" };
	char path[128];

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(w->dir);
	signer_free(w->signer);
	signer_free(w->stranger);
	sign_keys_free(w->keys);
	arena_free(w->arena);
	buf_fini(&w->wire);
}

static struct order
some_order(void)
{
	return (struct order){ .kind = SLICE("block_address"),
		.agent = SLICE("web-1"),
		.id = SLICE("6ba7b810-9dad-41d1-80b4-00c04fd430c8"),
		.issued_ns = now_ns,
		.expires_ns = now_ns + ORDER_LIFE_NS,
		.by = SLICE("aigerim"),
		.reason = SLICE("\"quoted\"\nand more"),
		.target = SLICE("192.0.2.7"),
		.seconds = 3600 };
}

static void
what_is_signed_comes_back(struct world *w)
{
	struct order o = some_order(), got;
	struct error err;
	enum rc rc;

	o.text = SLICE("agents: [web-1]\ninputs: []\n");
	o.version = UINT64_C(1795366953);
	order_sign(&o, w->signer, &w->wire);
	rc = order_open(buf_slice(&w->wire), w->keys, w->arena, &got, &err);
	CHECK(rc == RC_OK && slice_eq(got.kind, o.kind) &&
		slice_eq(got.agent, o.agent) && slice_eq(got.id, o.id) &&
		slice_eq(got.by, o.by) && slice_eq(got.reason, o.reason) &&
		slice_eq(got.target, o.target) && slice_eq(got.text, o.text) &&
		got.seconds == o.seconds && got.version == o.version &&
		got.issued_ns == o.issued_ns && got.expires_ns == o.expires_ns,
	    "an order comes back as it was signed");
	CHECK(order_is_for(&got, "web-1", &err) == RC_OK &&
		order_is_for(&got, "web-2", &err) == RC_DENIED &&
		order_is_for(&got, "web-", &err) == RC_DENIED,
	    "it is for one agent");
}

static void
each_changed_byte_is_noticed(struct world *w)
{
	struct order o = some_order(), got;
	struct error err;
	size_t taken = 0;

	buf_clear(&w->wire);
	order_sign(&o, w->signer, &w->wire);
	for (size_t i = 0; i < w->wire.len; i++) {
		char was = w->wire.ptr[i];

		for (unsigned bit = 0; bit < 8; bit++) {
			w->wire.ptr[i] = (char)(was ^ (1 << bit));
			taken += order_open(buf_slice(&w->wire), w->keys,
				     w->arena, &got, &err) == RC_OK;
		}
		w->wire.ptr[i] = was;
		taken += order_open((struct slice){ w->wire.ptr, i }, w->keys,
			     w->arena, &got, &err) == RC_OK;
		arena_reset(w->arena);
	}
	CHECK(taken == 0, "no bit may be another, no end may be missing");
	CHECK(order_open(buf_slice(&w->wire), w->keys, w->arena, &got, &err) ==
		RC_OK,
	    "the whole is good");
	buf_clear(&w->wire);
	order_sign(&o, w->stranger, &w->wire);
	CHECK(order_open(buf_slice(&w->wire), w->keys, w->arena, &got, &err) ==
		RC_DENIED,
	    "another key is not trusted");
}

static void
time_is_bounded(void)
{
	static const struct {
		int64_t issued, expires;
		enum rc rc;
		const char *name;
	} cases[] = {
		{ 0, 600, RC_OK, "fresh" },
		{ 59, 600, RC_OK, "a clock that is a little ahead" },
		{ 61, 600, RC_DENIED, "from the future" },
		{ -650, -50, RC_OK, "a clock that is a little behind" },
		{ -660, -60, RC_DENIED, "over" },
		{ 0, 601, RC_DENIED, "good for too long" },
		{ 0, 0, RC_DENIED, "never good" },
		{ 10, 5, RC_DENIED, "over before it began" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order o = some_order();
		struct error err;

		o.issued_ns = now_ns + cases[i].issued * NS_PER_SEC;
		o.expires_ns = now_ns + cases[i].expires * NS_PER_SEC;
		CHECK(order_in_time(&o, now_ns, ORDER_SKEW_NS, &err) ==
			cases[i].rc,
		    "%s", cases[i].name);
	}
}

static void
only_an_order_is_one(struct world *w)
{
	static const char *const texts[] = { "", "{}", "[]", "{\"kuzet\":{}}",
		"{\"kuzet\":{\"control\":\"order\"}}",
		"{\"kuzet\":{\"control\":\"order\",\"key\":[]}}",
		"{\"kuzet\":{\"control\":\"order\",\"key\":\"a\",",
		"{\"order\":\"kuzet/1\"}" };
	struct order got;
	struct error err;
	bool refused = true;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused = refused &&
		    order_open((struct slice){ texts[i], strlen(texts[i]) },
			w->keys, w->arena, &got, &err) != RC_OK;
	CHECK(refused, "other JSON is none");
}

int
main(void)
{
	struct world w = { .keys = NULL };

	begin(&w);
	what_is_signed_comes_back(&w);
	each_changed_byte_is_noticed(&w);
	only_an_order_is_one(&w);
	time_is_bounded();
	end(&w);
	return tap_done();
}
