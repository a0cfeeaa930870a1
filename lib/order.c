/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "json.h"
#include "timestamp.h"

enum { DEPTH = 8, SHOWN = 128, SIGNATURE_TEXT = 2 * SIGNATURE_BYTES + 1 };

static const struct slice format = SLICE_INIT("kuzet/1");

/* ---- writing ------------------------------------------------------------- */

static void
put_number(struct json_writer *w, const char *key, uint64_t n)
{
	if (n == 0)
		return;
	json_key(w, key);
	json_uint(w, n);
}

static void
write_signed(const struct order *o, struct buf *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_optional(&w, "order", format); /* first: nothing else begins so */
	json_optional(&w, "kind", o->kind);
	json_optional(&w, "agent", o->agent);
	json_optional(&w, "id", o->id);
	json_key(&w, "issued");
	json_time(&w, o->issued_ns);
	json_key(&w, "expires");
	json_time(&w, o->expires_ns);
	json_optional(&w, "by", o->by);
	json_optional(&w, "reason", o->reason);
	json_optional(&w, "name", o->name);
	json_optional(&w, "text", o->text);
	put_number(&w, "version", o->version);
	json_optional(&w, "target", o->target);
	put_number(&w, "seconds", o->seconds);
	json_close(&w, '}');
}

void
order_sign(const struct order *o, const struct signer *s, struct buf *out)
{
	uint8_t signature[SIGNATURE_BYTES];
	char hex[SIGNATURE_TEXT];
	struct json_writer w;
	struct buf text;

	buf_init(&text, ORDER_WIRE_MAX);
	write_signed(o, &text);
	if (text.overflowed)
		out->overflowed = true;
	signer_sign(s, buf_slice(&text), signature);
	hex_text(signature, sizeof(signature), hex);
	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "kuzet");
	json_open(&w, '{');
	json_key(&w, "control");
	json_str(&w, "order");
	json_key(&w, "key");
	json_str(&w, signer_id(s));
	json_key(&w, "signature");
	json_str(&w, hex);
	json_key(&w, "order");
	json_string(&w, buf_slice(&text));
	json_close(&w, '}');
	json_close(&w, '}');
	buf_fini(&text);
}

/* ---- reading ------------------------------------------------------------- */

struct member {
	const char *name;
	struct slice *text;
	uint64_t *number;
	int64_t *time;
};

static bool
read_number(struct slice text, uint64_t *out)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	*out = n;
	return true;
}

static bool
take_member(const struct member *m, enum json_token token, struct slice text)
{
	struct timestamp_hints hints = { .now_ns = 0 };

	if (m->number != NULL)
		return token == JSON_NUMBER && read_number(text, m->number);
	if (token != JSON_STRING)
		return false;
	if (m->time != NULL)
		return text.len > 0 &&
		    timestamp_parse_rfc3339(text, &hints, m->time) == text.len;
	*m->text = text;
	return true;
}

static const struct member *
find_member(const struct member *list, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_eq(name,
			(struct slice){ list[i].name, strlen(list[i].name) }))
			return &list[i];
	}
	return NULL;
}

/* The members of an object that began; others are passed over. */
static bool
read_members(struct json_reader *r, const struct member *list, size_t n)
{
	enum json_token token;

	while ((token = json_next(r)) == JSON_KEY) {
		const struct member *m = find_member(list, n, r->text);

		token = json_next(r);
		if (token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN) {
			if (m != NULL || json_skip(r).ptr == NULL)
				return false;
		} else if (token == JSON_ERROR ||
		    (m != NULL && !take_member(m, token, r->text))) {
			return false;
		}
	}
	return token == JSON_OBJECT_END;
}

/* {"kuzet":{members}} */
static bool
read_envelope(struct slice wire, struct arena *arena, const struct member *list,
    size_t n)
{
	static const enum json_token around[] = { JSON_OBJECT_BEGIN, JSON_KEY,
		JSON_OBJECT_BEGIN };
	struct json_reader r;
	enum json_token next = JSON_ERROR;

	json_reader_init(&r, wire, arena, DEPTH);
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		next = json_next(&r);
		if (next != around[i] ||
		    (next == JSON_KEY && !slice_eq(r.text, SLICE("kuzet"))))
			return false;
	}
	if (!read_members(&r, list, n))
		return false;
	next = json_next(&r);
	if (next == JSON_OBJECT_END)
		next = json_next(&r);
	return next == JSON_END;
}

/* -1: none; as hex_text() writes them, lower case. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
hex_bytes(struct slice hex, uint8_t *out, size_t n)
{
	if (hex.len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex.ptr[2 * i]);
		int low = hex_digit(hex.ptr[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

static enum rc
read_signed(struct slice text, struct arena *arena, struct order *out,
    struct error *err)
{
	struct slice begin = { NULL, 0 };
	uint8_t uuid[16];
	const struct member members[] = {
		{ "order", &begin, NULL, NULL },
		{ "kind", &out->kind, NULL, NULL },
		{ "agent", &out->agent, NULL, NULL },
		{ "id", &out->id, NULL, NULL },
		{ "issued", NULL, NULL, &out->issued_ns },
		{ "expires", NULL, NULL, &out->expires_ns },
		{ "by", &out->by, NULL, NULL },
		{ "reason", &out->reason, NULL, NULL },
		{ "name", &out->name, NULL, NULL },
		{ "text", &out->text, NULL, NULL },
		{ "version", NULL, &out->version, NULL },
		{ "target", &out->target, NULL, NULL },
		{ "seconds", NULL, &out->seconds, NULL },
	};
	struct json_reader r;

	json_reader_init(&r, text, arena, DEPTH);
	if (json_next(&r) != JSON_OBJECT_BEGIN ||
	    !read_members(&r, members, sizeof(members) / sizeof(members[0])) ||
	    json_next(&r) != JSON_END || !slice_eq(begin, format))
		return error_set(err, RC_INVALID,
		    "the signed text is no order of this version");
	if (out->kind.len == 0 || out->agent.len == 0 ||
	    !uuid_parse(out->id, uuid) || out->text.len > ORDER_TEXT_MAX)
		return error_set(err, RC_INVALID,
		    "the order lacks a kind, an agent or an id, or is too "
		    "long");
	return RC_OK;
}

enum rc
order_open(struct slice wire, const struct sign_keys *keys, struct arena *arena,
    struct order *out, struct error *err)
{
	struct slice control = { NULL, 0 }, key = { NULL, 0 };
	struct slice hex = { NULL, 0 }, text = { NULL, 0 };
	const struct member members[] = {
		{ "control", &control, NULL, NULL },
		{ "key", &key, NULL, NULL },
		{ "signature", &hex, NULL, NULL },
		{ "order", &text, NULL, NULL },
	};
	uint8_t signature[SIGNATURE_BYTES];

	*out = (struct order){ .version = 0 };
	if (wire.len > ORDER_WIRE_MAX ||
	    !read_envelope(wire, arena, members,
		sizeof(members) / sizeof(members[0])) ||
	    !slice_eq(control, SLICE("order")) ||
	    !hex_bytes(hex, signature, sizeof(signature)))
		return error_set(err, RC_INVALID, "no order");
	if (!sign_keys_have(keys, key))
		return error_set(err, RC_DENIED,
		    "signed with another key (%.*s) than the agent trusts",
		    (int)(key.len < SHOWN ? key.len : SHOWN), key.ptr);
	if (!sign_keys_check(keys, key, text,
		(struct slice){ (const char *)signature, sizeof(signature) }))
		return error_set(err, RC_DENIED, "the signature is wrong");
	return read_signed(text, arena, out, err);
}

/* ---- checking ------------------------------------------------------------ */

enum rc
order_is_for(const struct order *o, const char *agent, struct error *err)
{
	if (slice_eq(o->agent, (struct slice){ agent, strlen(agent) }))
		return RC_OK;
	return error_set(err, RC_DENIED, "the order is for %.*s, this is %s",
	    (int)(o->agent.len < SHOWN ? o->agent.len : SHOWN), o->agent.ptr,
	    agent);
}

enum rc
order_in_time(const struct order *o, int64_t now_ns, int64_t skew_ns,
    struct error *err)
{
	if (o->issued_ns > now_ns + skew_ns)
		return error_set(err, RC_DENIED,
		    "the order was issued %lld s in the future: set the clocks",
		    (long long)((o->issued_ns - now_ns) / NS_PER_SEC));
	if (o->expires_ns <= o->issued_ns ||
	    o->expires_ns - o->issued_ns > ORDER_LIFE_NS)
		return error_set(err, RC_DENIED,
		    "the order is good for longer than %lld s",
		    (long long)(ORDER_LIFE_NS / NS_PER_SEC));
	if (o->expires_ns + skew_ns <= now_ns)
		return error_set(err, RC_DENIED,
		    "the order was over %lld s ago",
		    (long long)((now_ns - o->expires_ns) / NS_PER_SEC));
	return RC_OK;
}

void
order_hash(struct slice text, char out[SHA256_TEXT])
{
	uint8_t digest[SHA256_BYTES];

	sha256_of(text, digest);
	hex_text(digest, sizeof(digest), out);
}
