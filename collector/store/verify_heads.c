/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/verify.h"
#include "timestamp.h"
#include "tsa.h"

enum { HEADS_MAX = 100000 }; /* of a day: one a second */

static enum rc
add_head(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct verify *v = ctx;
	struct verify_head *h;

	if (v->n_heads == HEADS_MAX)
		return error_set(err, RC_LIMIT, "more than %d signed heads",
		    HEADS_MAX);
	if ((v->n_heads & (v->n_heads - 1)) == 0) {
		size_t cap = v->n_heads > 0 ? 2 * v->n_heads : 1;
		struct verify_head *list =
		    arena_alloc(v->day_arena, cap * sizeof(list[0]));

		if (v->n_heads > 0)
			memcpy(list, v->heads, v->n_heads * sizeof(list[0]));
		v->heads = list;
	}
	h = &v->heads[v->n_heads++];
	h->last = (uint64_t)sqlite3_column_int64(q, 0);
	h->text = arena_copy(v->day_arena, sql_text(q, 1));
	h->signature = arena_copy(v->day_arena, sql_blob(q, 2));
	h->stamp = (struct slice){ NULL, 0 };
	if (sqlite3_column_type(q, 3) != SQLITE_NULL)
		h->stamp = arena_copy(v->day_arena, sql_blob(q, 3));
	v->last_head = h->last;
	return RC_OK;
}

enum rc
verify_heads_begin(struct verify *v, struct error *err)
{
	v->heads = NULL;
	v->n_heads = v->at_head = 0;
	v->last_head = 0;
	v->first_row = 0;
	sha256_clear(v->rows);
	return sql_each(v->day,
	    "SELECT commit_number, head, signature, timestamp FROM heads"
	    " ORDER BY commit_number",
	    add_head, v, err);
}

static void
check_signature(struct verify *v, const struct verify_head *h, int64_t block)
{
	struct slice key = chain_head_value(h->text, "key");

	if (v->keys == NULL)
		verify_finding(v, h->last, block, "missing",
		    "the public key of the signed heads, %s, is missing: "
		    "give it with --key",
		    STORE_PUBLIC);
	else if (!sign_keys_have(v->keys, key))
		verify_finding(v, h->last, block, "changed",
		    "the head of commit %llu is signed with a key that is not "
		    "known: %.*s",
		    (unsigned long long)h->last, SLICE_ARG(key));
	else if (!sign_keys_check(v->keys, key, h->text, h->signature))
		verify_finding(v, h->last, block, "changed",
		    "the signature of the head of commit %llu is wrong",
		    (unsigned long long)h->last);
}

/* What is stamped is the signature: stamp.c. */
static void
check_stamp(struct verify *v, const struct verify_head *h, int64_t block)
{
	struct error err;

	if (h->stamp.ptr == NULL)
		return; /* none was asked for, or not yet */
	if (tsa_verify(h->signature, h->stamp, v->what->tsa_ca, &err) == RC_OK)
		v->out->stamps++;
	else
		verify_finding(v, h->last, block, "changed",
		    "the time stamp of the head of commit %llu: %s",
		    (unsigned long long)h->last, err.text);
}

/* The head as it would be made of the rows that are there now. */
static bool
says_what_is_there(struct verify *v, const struct verify_head *h)
{
	const char *slash = strrchr(v->day->path, '/');
	const char *file = slash != NULL ? slash + 1 : v->day->path;
	struct timestamp_hints hints = { 0 };
	struct chain_head head = {
		.file = { file, strlen(file) },
		.first = v->first_row,
		.last = v->number,
		.events = v->last,
		.key = chain_head_value(h->text, "key"),
	};

	(void)timestamp_parse_rfc3339(chain_head_value(h->text, "time"), &hints,
	    &head.time_ns);
	sha256_done(v->rows, head.rows);
	memcpy(head.chain, v->chain, SHA256_BYTES);
	buf_clear(&v->head_text);
	chain_head_text(&v->head_text, &head);
	return slice_eq(buf_slice(&v->head_text), h->text);
}

/* The first live block at or after a commit: what a finding names. */
static int64_t
block_from(struct verify *v, uint64_t commit)
{
	sqlite3_stmt *q = sql_prepare(v->day,
	    "SELECT id FROM live WHERE commit_number >= ?1"
	    " ORDER BY commit_number, id LIMIT 1",
	    &v->ignored);
	int64_t id = 0;

	if (q == NULL)
		return 0;
	sql_bind_int(q, 1, (int64_t)commit);
	if (sql_step(v->day, q, &v->ignored) == RC_OK)
		id = sqlite3_column_int64(q, 0);
	(void)sqlite3_reset(q);
	return id;
}

void
verify_head(struct verify *v)
{
	const struct verify_head *h;
	uint64_t first = v->first_row;

	/* heads of commits that are not there any more */
	while (v->at_head < v->n_heads && v->heads[v->at_head].last < v->number)
		v->at_head++;
	if (v->at_head == v->n_heads || v->heads[v->at_head].last != v->number)
		return;
	h = &v->heads[v->at_head++];
	v->out->heads++;
	if (!says_what_is_there(v, h) && v->bad_commit < first)
		verify_finding(v, first, block_from(v, first), "changed",
		    "commits %llu to %llu are not what was signed: their rows "
		    "or the head were written anew",
		    (unsigned long long)first, (unsigned long long)h->last);
	check_signature(v, h, block_from(v, first));
	check_stamp(v, h, block_from(v, first));
	v->first_row = 0;
}

void
verify_heads_end(struct verify *v, bool newest)
{
	uint64_t last = v->n_heads > 0 ? v->last_head : 0;

	if (last > v->number) {
		verify_finding(v, v->number + 1, v->next_block, "missing",
		    "commits %llu to %llu are missing at the end: a signed "
		    "head names them",
		    (unsigned long long)v->number + 1,
		    (unsigned long long)last);
		v->number = last;
		return;
	}
	if (v->first_row == 0)
		return;
	if (newest)
		v->out->unsealed += v->number - v->first_row + 1;
	else
		verify_finding(v, v->first_row, block_from(v, v->first_row),
		    "missing",
		    "the signed head of the day's end is missing: commits %llu "
		    "to %llu",
		    (unsigned long long)v->first_row,
		    (unsigned long long)v->number);
}
