/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_feed.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "json.h"
#include "log.h"
#include "timestamp.h"
#include "xalloc.h"

enum { AT_ONCE = 500, LINE_MAX = 64 * 1024, WINDOW_MAX = 8 << 20 };

struct audit_feed {
	struct audit_feed_options o;
	struct accounts *accounts;
	struct audit_cursor cursor;
	pthread_t thread;
	bool runs;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop, news;
	uint64_t connection; /* of now: from the highest number down, which no
			      * listener's reach */
	uint64_t piece;
	bool waits;  /* for the writer's word */
	bool failed; /* was it */
};

/* A window in the making. */
struct window {
	const struct audit_feed *feed;
	struct buf frames, line;
	uint32_t n;
	int64_t last; /* id */
};

/* ---- an entry as an event ------------------------------------------------------ */

static void
open_part(struct json_writer *w, const char *key)
{
	json_key(w, key);
	json_open(w, '{');
}

static bool
begins(struct slice s, const char *with)
{
	return s.len >= strlen(with) && memcmp(s.ptr, with, strlen(with)) == 0;
}

/* ECS: event.category and event.type. */
static void
write_kind(struct json_writer *w, const struct audit_entry *e)
{
	bool change = !slice_eq(e->method, SLICE("GET"));
	const char *category = "web", *type = change ? "change" : "access";

	if (begins(e->action, "login")) {
		category = "authentication";
		type = "start";
	} else if (begins(e->action, "logout")) {
		category = "authentication";
		type = "end";
	} else if (begins(e->action, "users") || begins(e->action, "me.") ||
	    begins(e->action, "tokens")) {
		category = "iam";
	}
	json_key(w, "category");
	json_open(w, '[');
	json_str(w, category);
	json_close(w, ']');
	json_key(w, "type");
	json_open(w, '[');
	json_str(w, type);
	json_close(w, ']');
}

static void
write_http(struct json_writer *w, const struct audit_entry *e)
{
	const char *mark = memchr(e->target.ptr, '?', e->target.len);
	struct slice path = e->target, query = { NULL, 0 };

	if (mark != NULL) {
		path.len = (size_t)(mark - path.ptr);
		query =
		    (struct slice){ mark + 1, e->target.len - path.len - 1 };
	}
	open_part(w, "http");
	open_part(w, "request");
	json_optional(w, "method", e->method);
	json_close(w, '}');
	open_part(w, "response");
	json_key(w, "status_code");
	json_int(w, e->status);
	json_close(w, '}');
	json_close(w, '}');
	open_part(w, "url");
	json_optional(w, "path", path);
	json_optional(w, "query", query);
	json_close(w, '}');
}

static void
write_event(struct window *win, const struct audit_entry *e)
{
	const char *stream = win->feed->cursor.stream;
	struct json_writer w;

	buf_clear(&win->line);
	json_begin(&w, &win->line);
	json_open(&w, '{');
	json_key(&w, "@timestamp");
	json_time(&w, e->time_ns);
	open_part(&w, "event");
	json_key(&w, "kind");
	json_str(&w, "event");
	json_key(&w, "dataset");
	json_str(&w, "kuzet.audit");
	json_optional(&w, "action", e->action);
	write_kind(&w, e);
	json_key(&w, "outcome");
	json_str(&w, e->status < 400 ? "success" : "failure");
	json_optional(&w, "reason", e->detail);
	json_close(&w, '}');
	open_part(&w, "user");
	json_optional(&w, "name", e->account);
	if (e->role.len > 0) {
		json_key(&w, "roles");
		json_open(&w, '[');
		json_string(&w, e->role);
		json_close(&w, ']');
	}
	json_close(&w, '}');
	if (!slice_eq(e->address, SLICE("unix"))) {
		open_part(&w, "source");
		json_optional(&w, "ip", e->address);
		json_close(&w, '}');
	}
	write_http(&w, e);
	open_part(&w, "kuzet");
	json_optional_str(&w, "stream", stream);
	json_key(&w, "input");
	json_str(&w, "audit");
	json_close(&w, '}');
	open_part(&w, "log");
	json_key(&w, "offset");
	json_int(&w, e->id);
	json_close(&w, '}');
	json_close(&w, '}');
}

static bool
add_entry(void *ctx, const struct audit_entry *e)
{
	struct window *win = ctx;

	write_event(win, e);
	win->n++;
	win->last = e->id;
	(void)buf_add_str(&win->frames, "2J");
	(void)buf_add_u32be(&win->frames, win->n);
	(void)buf_add_u32be(&win->frames, (uint32_t)win->line.len);
	(void)buf_add_slice(&win->frames, buf_slice(&win->line));
	return !win->frames.overflowed;
}

/* ---- the thread ------------------------------------------------------------------ */

/* Under the lock, as all below: a second, or until it is to stop. */
static void
rest(struct audit_feed *f)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (!f->stop)
		(void)pthread_cond_timedwait(&f->wake, &f->lock, &until);
}

static struct piece *
piece_of(struct audit_feed *f, struct window *win)
{
	struct piece *p = xzalloc(sizeof(*p));

	p->kind = PIECE_JSON;
	p->connection = f->connection;
	p->number = f->piece++;
	p->window = win->n;
	p->bytes = win->frames.ptr;
	p->len = win->frames.len;
	p->agent = xstrdup("kuzet-collector");
	p->peer = xstrdup("unix");
	p->arrival_ns = timestamp_now();
	buf_init(&win->frames, WINDOW_MAX);
	return p;
}

/* Until the writer has it; false: it has not. */
static bool
feed_window(struct audit_feed *f, struct window *win)
{
	struct piece *p = piece_of(f, win);

	f->waits = true;
	f->failed = false;
	while (!f->o.submit(f->o.ctx, p)) {
		if (f->stop) {
			piece_free(p);
			return false;
		}
		rest(f);
	}
	while (!f->stop && f->waits)
		(void)pthread_cond_wait(&f->wake, &f->lock);
	if (f->failed) {
		f->connection--;
		f->piece = 0;
	}
	return !f->waits && !f->failed;
}

/* What is new, once; false: there is trouble. */
static bool
feed(struct audit_feed *f)
{
	struct audit_query q = { .after = f->cursor.shipped,
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.limit = AT_ONCE };
	struct window win = { .feed = f };
	struct error err;
	bool good = false;
	enum rc rc;

	buf_init(&win.frames, WINDOW_MAX);
	buf_init(&win.line, LINE_MAX);
	(void)pthread_mutex_unlock(&f->lock);
	rc = accounts_audit_read(f->accounts, &q, add_entry, &win, &err);
	(void)pthread_mutex_lock(&f->lock);
	if (rc == RC_OK && win.n > 0 && feed_window(f, &win)) {
		(void)pthread_mutex_unlock(&f->lock);
		rc = accounts_audit_shipped(f->accounts, win.last, &err);
		(void)pthread_mutex_lock(&f->lock);
		f->cursor.shipped = win.last;
		f->news = true; /* there may be more */
		good = true;
	} else if (rc == RC_OK && win.n == 0) {
		good = true;
	}
	if (rc != RC_OK)
		log_warn("the audit log waits to be stored as events: %s",
		    err.text);
	buf_fini(&win.frames);
	buf_fini(&win.line);
	return good && rc == RC_OK;
}

static void *
run(void *ctx)
{
	struct audit_feed *f = ctx;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		if (!f->news) {
			(void)pthread_cond_wait(&f->wake, &f->lock);
			continue;
		}
		f->news = false;
		if (!feed(f)) {
			f->news = true;
			rest(f);
		}
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

enum rc
audit_feed_new(const struct audit_feed_options *options,
    struct audit_feed **out, struct error *err)
{
	struct audit_feed *f = xzalloc(sizeof(*f));
	enum rc rc;

	f->o = *options;
	f->connection = UINT64_MAX;
	f->news = true;
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->wake, NULL);
	rc = accounts_open(options->store, &f->accounts, err);
	if (rc == RC_OK)
		rc = accounts_audit_cursor(f->accounts, &f->cursor, err);
	if (rc != RC_OK) {
		audit_feed_free(f);
		return rc;
	}
	if (pthread_create(&f->thread, NULL, run, f) != 0)
		abort();
	f->runs = true;
	*out = f;
	return RC_OK;
}

void
audit_feed_wake(struct audit_feed *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->news = true;
	(void)pthread_cond_signal(&f->wake);
	(void)pthread_mutex_unlock(&f->lock);
}

bool
audit_feed_reply(struct audit_feed *f, uint64_t connection, uint32_t count)
{
	bool mine;

	if (connection < UINT64_MAX / 2)
		return false; /* a listener's: without the lock */
	(void)pthread_mutex_lock(&f->lock);
	mine = connection == f->connection;
	if (mine && f->waits) {
		f->waits = false;
		f->failed = count == 0;
		(void)pthread_cond_signal(&f->wake);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return mine;
}

void
audit_feed_stop(struct audit_feed *f)
{
	if (f == NULL || !f->runs)
		return;
	(void)pthread_mutex_lock(&f->lock);
	f->stop = true;
	(void)pthread_cond_signal(&f->wake);
	(void)pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->thread, NULL);
	f->runs = false;
}

void
audit_feed_free(struct audit_feed *f)
{
	if (f == NULL)
		return;
	audit_feed_stop(f);
	accounts_close(f->accounts);
	(void)pthread_cond_destroy(&f->wake);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
