/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Personal data in events: IIN and BIN, numbers of payment cards and telephones
 * of Kazakhstan, recognised by their form and checksum, and masked or replaced
 * by a token before anything is stored, matched or told.
 *
 * The token is a keyed hash (HMAC-SHA-256, 128 bits of it): the same number gives
 * the same token in whatever form it was written, so events can still be
 * counted and joined by it, and nobody without the key can try numbers out.
 */
#pragma once

#include "error.h"
#include "event.h"

enum personal_kind {
	PERSONAL_IIN,   /* 12 digits with a checksum */
	PERSONAL_CARD,  /* 13 to 19 digits, Luhn; in groups, too */
	PERSONAL_PHONE, /* +7 and 8, then 6 or 7; in groups, too */
	PERSONAL_KINDS
};
enum personal_mode { PERSONAL_KEEP, PERSONAL_MASK, PERSONAL_HASH };

enum {
	PERSONAL_DIGITS = 19,
	PERSONAL_KEY_MIN = 32, /* bytes */
	PERSONAL_KEY_MAX = 4096
};

/* ---- recognising ------------------------------------------------------------- */

struct personal_match {
	enum personal_kind kind;
	size_t from, len;             /* in the text */
	char digits[PERSONAL_DIGITS]; /* a telephone's with 7 in front */
	size_t n;
};

/* The first one at or behind `at`; linear in the text. */
bool personal_find(struct slice text, size_t at, struct personal_match *out);

/* ---- replacing --------------------------------------------------------------- */

struct personal_options {
	enum personal_mode modes[PERSONAL_KINDS];
	struct slice key; /* borrowed while personal_new() runs */
};

/* Of one thread. */
struct personal;
struct personal *personal_new(const struct personal_options *options);
void personal_free(struct personal *p); /* NULL is fine */

/* The text without them, in the arena; the text itself where it has none. */
struct slice personal_text(struct personal *p, struct arena *arena,
    struct slice text);

/*
 * All texts and whole numbers of an event, but for what the collector itself put
 * there and who the event is.  True: something was replaced.
 */
bool personal_event(struct personal *p, struct event *ev);

/*
 * The key's bytes, which the caller frees; RC_DENIED: others may read the file,
 * RC_INVALID: it is shorter than PERSONAL_KEY_MIN or longer than
 * PERSONAL_KEY_MAX.
 */
enum rc personal_key_read(const char *path, struct slice *out,
    struct error *err);
