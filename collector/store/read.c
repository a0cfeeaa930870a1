/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/internal.h"

#include <stdio.h>
#include <unistd.h>

uint64_t
store_readings(struct store *s)
{
	uint64_t n;

	(void)pthread_mutex_lock(&s->readers_lock);
	n = s->n_readings;
	(void)pthread_mutex_unlock(&s->readers_lock);
	return n;
}

uint64_t
store_oldest_reading(struct store *s)
{
	uint64_t oldest = UINT64_MAX;

	(void)pthread_mutex_lock(&s->readers_lock);
	for (const struct reading *r = s->readers; r != NULL; r = r->next)
		oldest = r->since; /* the newest comes first */
	(void)pthread_mutex_unlock(&s->readers_lock);
	return oldest;
}

enum rc
days_begin(struct store *s, struct days *d, struct error *err)
{
	struct reading *r = &d->reading;

	*d = (struct days){ .store = s };
	(void)pthread_mutex_lock(&s->readers_lock);
	r->since = ++s->n_readings;
	r->next = s->readers;
	r->at = &s->readers;
	if (r->next != NULL)
		r->next->at = &r->next;
	s->readers = r;
	(void)pthread_mutex_unlock(&s->readers_lock);
	if (day_list(s->dir, &d->list, &d->n, err) != RC_OK) {
		days_end(d);
		return err->code;
	}
	return RC_OK;
}

/* Both lists ascend; a day that is in both is not taken as restored. */
static void
add_restored(struct days *d, const int32_t *restored, size_t n)
{
	int32_t *list = xcalloc(d->n + n + 1, sizeof(list[0]));
	bool *from = xcalloc(d->n + n + 1, sizeof(from[0]));
	size_t i = 0, k = 0, to = 0;

	while (i < d->n || k < n) {
		bool own = k == n || (i < d->n && d->list[i] <= restored[k]);

		if (own && k < n && d->list[i] == restored[k])
			k++;
		from[to] = !own;
		list[to++] = own ? d->list[i++] : restored[k++];
	}
	free(d->list);
	d->list = list;
	d->restored = from;
	d->n = to;
}

enum rc
days_with_restored(struct days *d, struct error *err)
{
	int32_t *restored;
	char dir[4096];
	size_t n;

	(void)snprintf(dir, sizeof(dir), "%s/%s", d->store->dir,
	    STORE_RESTORED);
	if (access(dir, F_OK) != 0)
		return RC_OK;
	if (day_list(dir, &restored, &n, err) != RC_OK)
		return err->code;
	add_restored(d, restored, n);
	free(restored);
	return RC_OK;
}

enum rc
days_open(struct days *d, size_t at, struct sql **day, struct error *err)
{
	char dir[4096];
	bool restored = d->restored != NULL && d->restored[at];
	enum rc rc;

	(void)snprintf(dir, sizeof(dir), "%s/%s", d->store->dir,
	    STORE_RESTORED);
	rc = day_open(restored ? dir : d->store->dir, d->list[at], SQL_READ,
	    day, err);
	/* beside a collector that does not know of this reader */
	if (rc == RC_OK && d->store->dir_fd < 0)
		rc = sql_exec(*day, "BEGIN", err);
	if (rc != RC_OK) {
		sql_close(*day);
		*day = NULL;
	}
	return rc;
}

enum rc
days_next(struct days *d, struct sql **day, struct error *err)
{
	enum rc rc = RC_EOF;

	*day = NULL;
	while (rc == RC_EOF && d->at < d->n)
		rc = days_open(d, d->at++, day, err);
	return rc;
}

void
days_end(struct days *d)
{
	struct store *s = d->store;

	if (s != NULL) {
		(void)pthread_mutex_lock(&s->readers_lock);
		*d->reading.at = d->reading.next;
		if (d->reading.next != NULL)
			d->reading.next->at = d->reading.at;
		(void)pthread_mutex_unlock(&s->readers_lock);
	}
	free(d->list);
	free(d->restored);
	*d = (struct days){ 0 };
}

enum rc
rules_read(struct sql *day, struct arena *arena, struct rule_rows *out,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(day,
	    "SELECT id, digest, rule, about, level, visible FROM rules"
	    " ORDER BY id",
	    err);
	struct day_rule *list = NULL;
	size_t n = 0, cap = 0;
	enum rc rc;

	if (q == NULL)
		return err->code;
	while ((rc = sql_step(day, q, err)) == RC_OK) {
		struct slice digest = sql_blob(q, 1);

		if (sqlite3_column_int64(q, 0) != (int64_t)n + 1 ||
		    digest.len != SHA256_BYTES) {
			(void)sqlite3_reset(q);
			rc = error_set(err, RC_LIBRARY,
			    "%s: damaged: its rules do not agree", day->path);
			break;
		}
		if (n == cap) {
			cap = cap > 0 ? 2 * cap : 64;
			list = xreallocarray(list, cap, sizeof(list[0]));
		}
		memcpy(list[n].digest, digest.ptr, SHA256_BYTES);
		list[n].id = arena_copy(arena, sql_text(q, 2));
		list[n].about = arena_copy(arena, sql_text(q, 3));
		list[n].level = arena_copy(arena, sql_text(q, 4));
		list[n++].visible = sqlite3_column_int(q, 5) != 0;
	}
	if (rc == RC_EOF) {
		out->n = n;
		out->list = arena_alloc(arena, (n + 1) * sizeof(list[0]));
		if (n > 0)
			memcpy(out->list, list, n * sizeof(list[0]));
		rc = RC_OK;
	}
	free(list);
	return rc;
}

enum rc
rules_follow(struct sql *day, struct arena *arena, struct rule_rows *rows,
    struct error *err)
{
	sqlite3_stmt *q =
	    sql_prepare(day, "SELECT coalesce(max(id), 0) FROM rules", err);
	int64_t n;
	enum rc rc;

	if (q == NULL)
		return err->code;
	rc = sql_step(day, q, err);
	if (rc != RC_OK)
		return rc;
	n = sqlite3_column_int64(q, 0);
	(void)sqlite3_reset(q);
	if (n == (int64_t)rows->n)
		return RC_OK;
	return rules_read(day, arena, rows, err);
}
