/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/stamp.h"

#include "http_post.h"
#include "tsa.h"

enum { PATIENCE_SECONDS = 8 };

static enum rc
find_head(struct sql *file, int64_t *commit, struct bytes *signature,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(file,
	    "SELECT commit_number, signature FROM heads"
	    " WHERE timestamp IS NULL ORDER BY commit_number LIMIT 1",
	    err);
	struct slice s;
	enum rc rc = q != NULL ? sql_step(file, q, err) : err->code;

	if (rc != RC_OK)
		return rc;
	*commit = sqlite3_column_int64(q, 0);
	s = sql_blob(q, 1);
	bytes_add(signature, s.ptr, s.len);
	(void)sqlite3_reset(q);
	return RC_OK;
}

static enum rc
ask(struct slice signature, const char *url, const char *ca, struct buf *answer,
    struct error *err)
{
	struct buf request;
	enum rc rc;

	buf_init(&request, TSA_ANSWER_MAX);
	tsa_request(signature, &request);
	rc = http_post(url, "application/timestamp-query", buf_slice(&request),
	    PATIENCE_SECONDS, answer, err);
	if (rc == RC_OK)
		rc = tsa_check(buf_slice(&request), buf_slice(answer), ca, err);
	buf_fini(&request);
	return rc;
}

static enum rc
keep(struct store *s, struct sql *file, int64_t commit, struct slice answer,
    struct error *err)
{
	enum rc rc;

	(void)pthread_mutex_lock(&s->write_lock);
	rc = SQL_PUT(file, err,
	    "UPDATE heads SET timestamp = ?2 WHERE commit_number = ?1",
	    BIND_INT(commit), BIND_BLOB(answer));
	(void)pthread_mutex_unlock(&s->write_lock);
	return rc;
}

static enum rc
stamp(struct store *s, struct sql *file, const char *url, const char *ca,
    struct error *err)
{
	struct bytes signature = { 0 };
	struct buf answer;
	int64_t commit = 0;
	enum rc rc = find_head(file, &commit, &signature, err);

	buf_init(&answer, TSA_ANSWER_MAX);
	if (rc == RC_OK)
		rc = ask(bytes_slice(&signature), url, ca, &answer, err);
	if (rc == RC_OK)
		rc = keep(s, file, commit, buf_slice(&answer), err);
	buf_fini(&answer);
	bytes_fini(&signature);
	return rc;
}

enum rc
stamp_step(struct store *s, int32_t day, const char *url, const char *ca,
    bool *done, struct error *err)
{
	struct sql *file = NULL;
	int version = 0;
	enum rc rc = day_open(s->dir, day, SQL_WRITE, &file, err);

	*done = false;
	if (rc == RC_OK)
		rc = sql_version(file, &version, err);
	if (rc == RC_OK && version >= 2) {
		rc = stamp(s, file, url, ca, err);
		*done = rc == RC_OK;
	}
	sql_close(file);
	if (rc == RC_OK || rc == RC_EOF)
		return RC_OK;
	return error_prefix(err, "signed heads wait for their time stamps");
}
