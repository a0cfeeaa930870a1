/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collector tells an agent, signed (Ed25519): a configuration to check
 * or to use, an action to take.
 *
 * On the wire it is the JSON of a control message (doc/protocol.md); what is
 * signed is the text of its member "order", byte for byte, which begins with
 * {"order":"kuzet/1" and so is never something else that the key signs.
 */
#pragma once

#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "sign.h"
#include "slice.h"

struct arena;

enum {
	ORDER_TEXT_MAX = 128 * 1024, /* bytes of a configuration */
	ORDER_WIRE_MAX = 512 * 1024  /* bytes of a whole message */
};

/* An order that comes this long after it was issued is refused. */
#define ORDER_LIFE_NS (INT64_C(600) * 1000000000)
/* Clocks of collector and agent may differ by so much; by less, where an
 * action is asked for. */
#define ORDER_SKEW_NS  (INT64_C(60) * 1000000000)
#define ACTION_SKEW_NS (INT64_C(10) * 1000000000)

/* Texts are borrowed; empty where a kind has no such member. */
struct order {
	struct slice kind;  /* "config", "check", or an action's name */
	struct slice agent; /* for this one alone */
	struct slice id;    /* UUID, never twice */
	int64_t issued_ns, expires_ns;
	struct slice by, reason; /* who asked for it, and why */
	/* of a configuration */
	struct slice name; /* the group's file, for messages; "": no group */
	struct slice text; /* that file */
	uint64_t version;  /* grows */
	/* of an action */
	struct slice target;
	uint64_t seconds; /* then it is undone; 0: never */
};

/* Appends the message; `out` says whether it was too long. */
void order_sign(const struct order *o, const struct signer *s, struct buf *out);

/*
 * Reads a message and checks its signature; texts are the arena's or `wire`'s.
 * RC_DENIED: not signed by one of `keys`.  RC_INVALID: no order.  Who it is
 * for and whether it is in time is not checked.
 */
enum rc order_open(struct slice wire, const struct sign_keys *keys,
    struct arena *arena, struct order *out, struct error *err);

/* RC_DENIED: for another agent. */
enum rc order_is_for(const struct order *o, const char *agent,
    struct error *err);
/* RC_DENIED: issued in the future, over, or good for longer than it may;
 * clocks may differ by `skew_ns`. */
enum rc order_in_time(const struct order *o, int64_t now_ns, int64_t skew_ns,
    struct error *err);

/* SHA-256 of a configuration's text, in hex. */
void order_hash(struct slice text, char out[SHA256_TEXT]);
