/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/store/internal.h"

static enum rc
load_appender(struct store *s, struct sql *day, struct error *err)
{
	int64_t last = 0;
	enum rc rc = day_migrate(day, err);

	if (rc == RC_OK)
		rc = seal_load(s, day, err);
	if (rc == RC_OK)
		rc = sql_number(day, "SELECT coalesce(max(id), 0) FROM blocks",
		    &last, err);
	s->next_block = (uint64_t)last + 1;
	return rc == RC_OK ? day_load_state(day, &s->state, err) : rc;
}

/* The newest day that has a commit: its state is the appender's. */
static enum rc
load_newest(struct store *s, struct error *err)
{
	enum sql_mode mode = s->dir_fd >= 0 ? SQL_WRITE : SQL_READ;
	struct day_totals totals = { 0 };
	struct sql *day = NULL;
	int32_t *days;
	size_t n;
	enum rc rc;

	if (day_list(s->dir, &days, &n, err) != RC_OK)
		return err->code;
	rc = RC_OK;
	while (n > 0 && day == NULL && rc == RC_OK) {
		s->day_number = days[--n];
		rc = day_open(s->dir, s->day_number, mode, &day, err);
		if (rc == RC_EOF)
			rc = RC_OK;
	}
	free(days);
	if (rc != RC_OK || day == NULL)
		goto out;
	rc = day_totals(day, &totals, err);
	if (rc == RC_OK && mode == SQL_WRITE)
		rc = load_appender(s, day, err);
	s->first_ns = totals.first_ns;
	s->last_ns = totals.last_ns;
	atomic_store(&s->commits, totals.commit);
	atomic_store(&s->events, totals.events);
	atomic_store(&s->detections, totals.detections);
	if (rc == RC_OK && mode == SQL_WRITE) {
		s->day = day;
		day = NULL;
	}
out:
	sql_close(day);
	return rc;
}

static enum rc
lock_folder(struct store *s, struct error *err)
{
	if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make %s", s->dir);
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return error_set_errno(err, errno, "%s", s->dir);
	if (flock(s->dir_fd, LOCK_EX | LOCK_NB) == 0)
		return RC_OK;
	if (errno == EWOULDBLOCK)
		return error_set(err, RC_DENIED,
		    "%s: another collector uses it", s->dir);
	return error_set_errno(err, errno, "cannot lock %s", s->dir);
}

struct store *
store_bare(const char *dir)
{
	struct store *s = xzalloc(sizeof(*s));

	s->dir = xstrdup(dir);
	s->dir_fd = -1;
	(void)pthread_mutex_init(&s->write_lock, NULL);
	(void)pthread_mutex_init(&s->readers_lock, NULL);
	return s;
}

enum rc
store_open_with(const struct store_options *o, struct store **out,
    struct error *err)
{
	struct store *s = store_bare(o->dir);
	struct error unsigned_yet;
	enum rc rc;

	s->encoder = block_encoder_new();
	s->rows = xcalloc(BATCH_EVENTS, sizeof(s->rows[0]));
	s->rows_digest = sha256_new();
	chain_digest_init(&s->digest);
	rc = lock_folder(s, err);
	if (rc == RC_OK)
		rc = soc_prepare(o->dir, err);
	if (rc == RC_OK)
		rc = seal_open(s, o->key, err);
	if (rc == RC_OK)
		rc = load_newest(s, err);
	if (rc != RC_OK) {
		store_close(s);
		*out = NULL;
		return rc;
	}
	/* what a crash left; a full disk does not stop the start */
	(void)store_seal(s, &unsigned_yet);
	*out = s;
	return RC_OK;
}

enum rc
store_open(const char *dir, struct store **out, struct error *err)
{
	return store_open_with(&(struct store_options){ .dir = dir }, out, err);
}

enum rc
store_open_readonly(const char *dir, struct store **out, struct error *err)
{
	struct store *s = store_bare(dir);
	enum rc rc = load_newest(s, err);

	if (rc != RC_OK) {
		store_close(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

static void
free_rules(struct store *s)
{
	for (uint32_t i = 0; i < s->n_rules; i++) {
		free((char *)s->rules[i].id.ptr);
		free((char *)s->rules[i].about.ptr);
		free((char *)s->rules[i].level.ptr);
	}
	free(s->rules);
	free(s->rule_ids);
	if (s->ruleset != NULL)
		ruleset_unref(s->ruleset);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->begun != NULL)
		day_abandon(s->begun);
	sql_close(s->day);
	state_fini(&s->state);
	block_encoder_free(s->encoder);
	free_rules(s);
	signer_free(s->signer);
	chain_digest_fini(&s->digest);
	sha256_free(s->rows_digest);
	bytes_fini(&s->hits);
	bytes_fini(&s->watermarks);
	free(s->rows);
	if (s->dir_fd >= 0)
		(void)close(s->dir_fd);
	(void)pthread_mutex_destroy(&s->write_lock);
	(void)pthread_mutex_destroy(&s->readers_lock);
	free(s->dir);
	free(s);
}

void
store_counters(struct store *s, struct store_counters *out)
{
	*out = (struct store_counters){
		.events = atomic_load(&s->events),
		.detections = atomic_load(&s->detections),
		.commits = atomic_load(&s->commits),
		.duplicates = atomic_load(&s->duplicates),
		.forgotten_marks = atomic_load(&s->forgotten),
	};
}
