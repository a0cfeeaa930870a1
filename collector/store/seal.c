/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing the chain's head: hourly, at a day's end, when the collector ends,
 * and at its start for what a crash left unsigned.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "collector/store/internal.h"
#include "timestamp.h"

enum { PUBLIC_KEYS_MAX = 64 * 1024, PATH_BYTES = 4096 };

/* ---- keys --------------------------------------------------------------- */

static enum rc
state_path(const struct store *s, const char *name, char out[PATH_BYTES],
    struct error *err)
{
	if ((size_t)snprintf(out, PATH_BYTES, "%s/%s", s->dir, name) >=
	    PATH_BYTES)
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    s->dir);
	return RC_OK;
}

static enum rc
write_beside(const char *path, const struct buf *text, struct error *err)
{
	char beside[PATH_BYTES + 8];
	FILE *f;
	bool ok;

	(void)snprintf(beside, sizeof(beside), "%s.new", path);
	f = fopen(beside, "we");
	ok = f != NULL && fwrite(text->ptr, 1, text->len, f) == text->len &&
	    fflush(f) == 0 && fsync(fileno(f)) == 0;
	if (!ok)
		(void)error_set_errno(err, errno, "cannot write %s", beside);
	if (f != NULL)
		(void)fclose(f);
	if (ok && rename(beside, path) != 0) {
		ok = false;
		(void)error_set_errno(err, errno, "cannot write %s", path);
	}
	return ok ? RC_OK : err->code;
}

/* The public halves of all keys that ever signed here: the new one is added. */
static enum rc
export_public(const struct store *s, struct error *err)
{
	const char *id = signer_id(s->signer);
	struct slice own = { id, SHA256_TEXT - 1 };
	struct sign_keys *known = NULL;
	char path[PATH_BYTES], text[4096];
	struct buf out;
	enum rc rc = RC_OK;
	FILE *f;
	size_t n;

	if (state_path(s, STORE_PUBLIC, path, err) != RC_OK)
		return err->code;
	if (access(path, F_OK) == 0) {
		rc = sign_keys_read(path, &known, err);
		if (rc == RC_INVALID)
			rc = error_prefix(err,
			    "move it away, it is made anew, and old heads are "
			    "checked with a copy of it");
		if (rc != RC_OK || sign_keys_have(known, own)) {
			sign_keys_free(known);
			return rc;
		}
	}
	sign_keys_free(known);
	buf_init(&out, PUBLIC_KEYS_MAX);
	f = fopen(path, "re");
	while (f != NULL && (n = fread(text, 1, sizeof(text), f)) > 0)
		(void)buf_add(&out, text, n);
	if (f != NULL)
		(void)fclose(f);
	signer_public(s->signer, &out);
	rc = out.overflowed
	    ? error_set(err, RC_LIMIT, "%s: too many keys", path)
	    : write_beside(path, &out, err);
	buf_fini(&out);
	return rc;
}

enum rc
seal_open(struct store *s, const char *key, struct error *err)
{
	char path[PATH_BYTES];

	if (key == NULL) {
		if (state_path(s, STORE_KEY, path, err) != RC_OK)
			return err->code;
		key = path;
	}
	if (signer_open(key, true, &s->signer, err) != RC_OK)
		return error_prefix(err, "the key that signs the store");
	return export_public(s, err);
}

/* ---- what is not signed yet --------------------------------------------- */

enum rc
link_of_row(sqlite3_stmt *q, struct chain_link *out, struct error *err)
{
	struct slice digest = sql_blob(q, 3), hits = sql_blob(q, 4),
		     chain = sql_blob(q, 5);

	if (digest.len != SHA256_BYTES || hits.len != SHA256_BYTES ||
	    chain.len != SHA256_BYTES)
		return error_set(err, RC_INVALID,
		    "commit %lld: no digests of 32 bytes",
		    (long long)sqlite3_column_int64(q, 0));
	out->number = (uint64_t)sqlite3_column_int64(q, 0);
	out->first = (uint64_t)sqlite3_column_int64(q, 1);
	out->last = (uint64_t)sqlite3_column_int64(q, 2);
	memcpy(out->digest, digest.ptr, SHA256_BYTES);
	memcpy(out->hits, hits.ptr, SHA256_BYTES);
	memcpy(out->chain, chain.ptr, SHA256_BYTES);
	return RC_OK;
}

void
seal_add(struct store *s, const struct chain_link *link)
{
	char row[CHAIN_ROW_TEXT];
	struct slice text = chain_row(link, row);

	sha256_add(s->rows_digest, text.ptr, text.len);
	memcpy(s->chain, link->chain, SHA256_BYTES);
	if (s->unsealed == 0)
		s->unsealed = link->number;
}

static enum rc
add_row(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct chain_link link = { 0 };

	if (link_of_row(q, &link, err) != RC_OK)
		return err->code;
	seal_add(ctx, &link);
	return RC_OK;
}

enum rc
chain_before(struct sql *day, uint8_t out[SHA256_BYTES], struct error *err)
{
	sqlite3_stmt *q = sql_prepare(day,
	    "SELECT value FROM meta WHERE name = 'chain_before'", err);
	struct slice v;
	enum rc rc = q != NULL ? sql_step(day, q, err) : err->code;

	memset(out, 0, SHA256_BYTES);
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	v = sql_blob(q, 0);
	if (v.len == SHA256_BYTES)
		memcpy(out, v.ptr, SHA256_BYTES);
	(void)sqlite3_reset(q);
	return RC_OK;
}

static enum rc
add_chain(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct store *s = ctx;
	struct slice chain = sql_blob(q, 0);

	(void)err;
	if (chain.len == SHA256_BYTES)
		memcpy(s->chain, chain.ptr, SHA256_BYTES);
	return RC_OK;
}

enum rc
seal_load(struct store *s, struct sql *day, struct error *err)
{
	if (chain_before(day, s->chain, err) != RC_OK ||
	    sql_each(day,
		"SELECT chain FROM commits WHERE number ="
		" (SELECT max(commit_number) FROM heads)",
		add_chain, s, err) != RC_OK)
		return err->code;
	return sql_each(day,
	    "SELECT number, first, last, digest, hits_digest, chain"
	    " FROM commits WHERE chain IS NOT NULL AND number >"
	    " (SELECT coalesce(max(commit_number), 0) FROM heads)"
	    " ORDER BY number",
	    add_row, s, err);
}

/* ---- signing ------------------------------------------------------------ */

static enum rc
insert_head(struct store *s, const struct chain_head *head, struct error *err)
{
	uint8_t signature[SIGNATURE_BYTES];
	struct buf text;
	enum rc rc;

	buf_init(&text, CHAIN_HEAD_MAX);
	chain_head_text(&text, head);
	signer_sign(s->signer, buf_slice(&text), signature);
	rc = sql_begin(s->day, err);
	if (rc == RC_OK)
		rc = SQL_PUT(s->day, err,
		    "INSERT INTO heads(commit_number, time, head, signature)"
		    " VALUES(?1, ?2, ?3, ?4)",
		    BIND_INT(head->last), BIND_INT(head->time_ns),
		    BIND_TEXT(buf_slice(&text)), BIND_BYTES(signature));
	if (rc == RC_OK)
		rc = sql_commit(s->day, err);
	if (rc != RC_OK)
		sql_rollback(s->day);
	buf_fini(&text);
	return rc;
}

enum rc
store_seal(struct store *s, struct error *err)
{
	const char *slash;
	struct chain_head head;
	struct sha256 *rows;
	enum rc rc;

	if (s->day == NULL || s->unsealed == 0) {
		atomic_store(&s->seals_done, atomic_load(&s->seal_wanted));
		return RC_OK;
	}
	slash = strrchr(s->day->path, '/');
	slash = slash != NULL ? slash + 1 : s->day->path;
	head = (struct chain_head){
		.file = { slash, strlen(slash) },
		.time_ns = timestamp_now(),
		.first = s->unsealed,
		.last = atomic_load(&s->commits),
		.events = atomic_load(&s->events),
		.key = { signer_id(s->signer), SHA256_TEXT - 1 },
	};
	memcpy(head.chain, s->chain, SHA256_BYTES);
	/* the running digest goes on if this fails */
	rows = sha256_copy(s->rows_digest);
	sha256_done(rows, head.rows);
	sha256_free(rows);
	(void)pthread_mutex_lock(&s->write_lock);
	rc = insert_head(s, &head, err);
	(void)pthread_mutex_unlock(&s->write_lock);
	if (rc != RC_OK)
		return error_prefix(err, "cannot sign the store's head");
	sha256_clear(s->rows_digest);
	s->unsealed = 0;
	atomic_fetch_add(&s->n_heads, 1);
	atomic_store(&s->seals_done, atomic_load(&s->seal_wanted));
	return RC_OK;
}

uint64_t
store_unsealed(struct store *s)
{
	return s->unsealed == 0 ? 0
				: atomic_load(&s->commits) - s->unsealed + 1;
}
