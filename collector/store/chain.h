/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain over commits, and its signed heads.  Everything is text, so that
 * sha256sum and openssl can check it; kuzet-store(5) says how.
 *
 *   lines  = the events of a commit as `kuzetctl events --json` prints them,
 *            owners in the order of their names
 *   hits   = for each owner "owner EVENTS OWNER\n", then for each of its hits
 *            "hit EVENT RULE'S-DIGEST RULE\n", EVENT counted from the first
 *            event of the store
 *   link   = "NUMBER FIRST LAST SHA-256(lines) SHA-256(hits)\n": FIRST and LAST
 *            count events; LAST is FIRST - 1 if there are none
 *   chain  = SHA-256("CHAIN-BEFORE " link)
 *   row    = link with " CHAIN" before its end
 *   head   = chain_head_text(): names the rows since the head before it
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "digest.h"
#include "event.h"
#include "sign.h"

enum {
	CHAIN_ROW_TEXT = 3 * 21 + 3 * SHA256_TEXT + 8,
	CHAIN_LINE_MAX = 64 << 20, /* bytes of one event's line */
	CHAIN_HEAD_MAX = 1024,
};

struct chain_link {
	uint64_t number, first, last;
	uint8_t digest[SHA256_BYTES], hits[SHA256_BYTES], chain[SHA256_BYTES];
};

/* Fills link->chain. */
void chain_link_seal(struct chain_link *link,
    const uint8_t before[SHA256_BYTES]);
/* The row's text, with its LF. */
struct slice chain_row(const struct chain_link *link, char out[CHAIN_ROW_TEXT]);

/* A commit's digests while its events come. */
struct chain_digest {
	struct sha256 *lines, *hits;
	struct buf line; /* scratch */
	struct json_memo *memo;
	struct field *fields; /* scratch */
};
void chain_digest_init(struct chain_digest *d);
void chain_digest_fini(struct chain_digest *d);
/* Forgets what came. */
void chain_digest_clear(struct chain_digest *d);
/* As stored: with that time, without kuzet.input. */
void chain_digest_event(struct chain_digest *d, const struct event *ev,
    int64_t time_ns);
void chain_digest_owner(struct chain_digest *d, struct slice owner,
    uint64_t events);
void chain_digest_hit(struct chain_digest *d, uint64_t event,
    const uint8_t rule_digest[SHA256_BYTES], struct slice rule);
void chain_digest_done(struct chain_digest *d, struct chain_link *out);

/* The line of an event, with its LF; `memo` may be NULL. */
void chain_line(struct buf *out, const struct event *ev,
    struct json_memo *memo);

struct chain_head {
	struct slice file; /* YYYY-MM-DD.db */
	int64_t time_ns;
	uint64_t first, last; /* commits since the head before it */
	uint64_t events;      /* of the store, so far */
	uint8_t rows[SHA256_BYTES];
	uint8_t chain[SHA256_BYTES];
	struct slice key; /* signer_id() */
};
void chain_head_text(struct buf *out, const struct chain_head *head);
/* The value of "name: " in a head's text; empty if it has none. */
struct slice chain_head_value(struct slice text, const char *name);
