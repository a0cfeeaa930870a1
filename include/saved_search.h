/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searches that people keep, in soc.db: a name, whose it is, who else may see
 * it, and what is searched as a JSON object that only the API reads.
 *
 * A name is one account's: two may have a search of the same name.  A search
 * that is shared is seen by those of its organization, and by the SOC, which
 * has none.  What is found is always what the one who runs it may see.
 *
 * Errors: RC_EOF there is no such search, RC_DENIED there is one of that name
 * or it has changed since, RC_LIMIT there are too many, RC_INVALID a name that
 * is no good, else as SQLite says.  Any thread may call.
 */
#pragma once

#include "store.h"

enum {
	SAVED_NAME_MAX = 64, /* bytes */
	SAVED_OF_ACCOUNT = 200,
	SAVED_MAX = 10000,
};

struct saved_search {
	int64_t id;
	struct slice name, account;
	struct slice organization; /* of the account; empty: the SOC */
	bool shared;
	struct slice definition; /* JSON object */
	int64_t created_ns, updated_ns;
	uint64_t revision; /* from 1 */
};

/* Of those that somebody may see, which. */
struct saved_query {
	struct slice account;      /* who asks */
	struct slice organization; /* its; ptr NULL: sees all of them */
	bool everybodys;           /* also what is not shared */
	int64_t id;                /* 0: any */
	struct slice name;         /* ptr NULL: any */
};
/* By name; `s` lives during the call, false stops. */
typedef bool saved_search_cb(void *ctx, const struct saved_search *s);
enum rc saved_search_list(struct store *s, const struct saved_query *q,
    saved_search_cb *cb, void *ctx, struct error *err);

/* Fills `id`, `revision` and the times. */
enum rc saved_search_add(struct store *s, struct saved_search *new,
    int64_t now_ns, struct error *err);
/*
 * Another name, definition or visibility for `changed->id` of
 * `changed->account`, if it still is at that revision (0: whatever it is at).
 */
enum rc saved_search_replace(struct store *s,
    const struct saved_search *changed, int64_t now_ns, struct error *err);
/* `account` ptr NULL: whosever it is. */
enum rc saved_search_remove(struct store *s, struct slice account, int64_t id,
    struct error *err);
