/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses: a message as it comes, or the text of an order, which
 * is signed here.  What is taken is written and read back as itself.
 */
#include "order.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "json.h"
#include "utf8.h"

enum { PATH_BYTES = 64, ARENA_BLOCK = 65536 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct signer *signer;
static struct sign_keys *keys;

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
make_keys(void)
{
	char dir[PATH_BYTES] = "/tmp/kuzet-fuzz-XXXXXX";
	char key[PATH_BYTES + 8], pub[PATH_BYTES + 8];
	struct error err;
	struct buf pem;
	FILE *f;

	must(mkdtemp(dir) != NULL);
	(void)snprintf(key, sizeof(key), "%s/key", dir);
	(void)snprintf(pub, sizeof(pub), "%s/pub", dir);
	must(signer_open(key, true, &signer, &err) == RC_OK);
	buf_init(&pem, 4096);
	signer_public(signer, &pem);
	f = fopen(pub, "we");
	must(f != NULL && fwrite(pem.ptr, 1, pem.len, f) == pem.len &&
	    fclose(f) == 0);
	buf_fini(&pem);
	must(sign_keys_read(pub, &keys, &err) == RC_OK);
	(void)unlink(key);
	(void)unlink(pub);
	(void)rmdir(dir);
}

static void
sign_text(struct slice text, struct buf *out)
{
	uint8_t signature[SIGNATURE_BYTES];
	char hex[2 * SIGNATURE_BYTES + 1];
	struct json_writer w;

	signer_sign(signer, text, signature);
	hex_text(signature, sizeof(signature), hex);
	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "kuzet");
	json_open(&w, '{');
	json_key(&w, "control");
	json_str(&w, "order");
	json_key(&w, "key");
	json_str(&w, signer_id(signer));
	json_key(&w, "signature");
	json_str(&w, hex);
	json_key(&w, "order");
	json_string(&w, text);
	json_close(&w, '}');
	json_close(&w, '}');
}

static bool
same(const struct order *a, const struct order *b)
{
	return slice_eq(a->kind, b->kind) && slice_eq(a->agent, b->agent) &&
	    slice_eq(a->id, b->id) && slice_eq(a->by, b->by) &&
	    slice_eq(a->reason, b->reason) && slice_eq(a->name, b->name) &&
	    slice_eq(a->text, b->text) && slice_eq(a->target, b->target) &&
	    a->issued_ns == b->issued_ns && a->expires_ns == b->expires_ns &&
	    a->version == b->version && a->seconds == b->seconds;
}

static void
check(struct slice wire, struct arena *arena)
{
	struct order o, again;
	struct error err;
	struct buf copy;

	if (order_open(wire, keys, arena, &o, &err) != RC_OK)
		return;
	must(o.kind.len > 0 && o.agent.len > 0 && o.text.len <= ORDER_TEXT_MAX);
	buf_init(&copy, ORDER_WIRE_MAX);
	order_sign(&o, signer, &copy);
	must(copy.overflowed ||
	    (order_open(buf_slice(&copy), keys, arena, &again, &err) == RC_OK &&
		same(&o, &again)));
	buf_fini(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = { (const char *)data, size };
	struct arena *arena;
	struct buf wire;

	if (size == 0)
		return 0;
	if (signer == NULL)
		make_keys();
	arena = arena_new(ARENA_BLOCK);
	buf_init(&wire, ORDER_WIRE_MAX);
	input.ptr++;
	input.len--;
	if (data[0] % 2 == 1) {
		sign_text(utf8_repair(arena, input), &wire);
		input = buf_slice(&wire);
	}
	check(input, arena);
	buf_fini(&wire);
	arena_free(arena);
	return 0;
}
