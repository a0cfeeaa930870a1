/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detections: as they came, or page by page in the order of time.  A page's
 * cursor is the time and the id of its last one: the same wherever its event
 * lies in the store.
 */
#include <stdlib.h>

#include "api_private.h"
#include "page.h"
#include "xalloc.h"

enum {
	DETECTION_ID_BYTES = 16,
	DETECTION_ID_TEXT = 2 * DETECTION_ID_BYTES + 1,
	PAGE_MAX = 10000, /* detections; they are held until all were seen */
};

/* A detection is told by its rule and its event, however often it is read. */
static void
detection_id(const struct detection *d, char out[DETECTION_ID_TEXT])
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *h = sha256_new();

	sha256_add(h, d->rule_id.ptr, d->rule_id.len);
	sha256_add(h, "", 1);
	sha256_add(h, d->event_id.ptr, d->event_id.len);
	sha256_done(h, digest);
	sha256_free(h);
	hex_text(digest, DETECTION_ID_BYTES, out);
}

void
detection_write(struct buf *out, const struct detection *d)
{
	char id[DETECTION_ID_TEXT];
	struct json_writer w;

	detection_id(d, id);
	json_begin(&w, out);
	json_open(&w, '{');
	json_key(&w, "id");
	json_str(&w, id);
	json_key(&w, "rule");
	json_raw(&w, d->rule);
	json_key(&w, "level");
	json_string(&w, d->level);
	json_key(&w, "@timestamp");
	json_time(&w, d->time_ns);
	json_key(&w, "event");
	json_string(&w, d->event_id);
	json_key(&w, "group");
	json_raw(&w, d->group.len > 0 ? d->group : SLICE("{}"));
	json_close(&w, '}');
}

static struct detection
detection_of(const struct store_detection *d)
{
	return (struct detection){
		.rule = d->rule,
		.rule_id = d->rule_id,
		.level = d->level,
		.event_id = event_id_text(d->event),
		.time_ns = d->event->time_ns,
		.group = d->group,
	};
}

static bool
detection_line(void *ctx, const struct store_detection *d)
{
	struct ask *a = ctx;
	const struct detection row = detection_of(d);

	detection_write(&a->line, &row);
	return ask_line(a);
}

/* ---- pages -------------------------------------------------------------------- */

struct row {
	int64_t time_ns;
	char id[DETECTION_ID_TEXT];
	char *line; /* owned */
	size_t len;
};

/* The first `most` behind the cursor: a heap, the last of them on top. */
struct first_rows {
	struct ask *ask;
	struct store_query *query;
	const struct page *page;
	struct row *rows;
	size_t n, most;
};

static int
compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return memcmp(x->id, y->id, sizeof(x->id));
}

static void
swap_rows(struct row *a, struct row *b)
{
	struct row t = *a;

	*a = *b;
	*b = t;
}

static void
sift_up(struct row *rows, size_t at)
{
	for (; at > 0 && compare_rows(&rows[at], &rows[(at - 1) / 2]) > 0;
	     at = (at - 1) / 2)
		swap_rows(&rows[at], &rows[(at - 1) / 2]);
}

static void
sift_down(struct row *rows, size_t n)
{
	for (size_t at = 0, child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n &&
		    compare_rows(&rows[child + 1], &rows[child]) > 0)
			child++;
		if (compare_rows(&rows[at], &rows[child]) >= 0)
			return;
		swap_rows(&rows[at], &rows[child]);
	}
}

static bool
is_wanted(const struct first_rows *f, const struct row *row)
{
	return page_is_behind(f->page, row->time_ns,
		   (struct slice){ row->id, DETECTION_ID_TEXT - 1 }) &&
	    (f->n < f->most || compare_rows(row, &f->rows[0]) < 0);
}

static bool
keep_row(void *ctx, const struct store_detection *d)
{
	struct first_rows *f = ctx;
	const struct detection seen = detection_of(d);
	struct row row = { .time_ns = seen.time_ns };

	/* the peer may be gone long before the page is */
	if (!http_write(f->ask->reply, SLICE("")))
		return false;
	if (row.time_ns < f->page->after_ns ||
	    (f->n == f->most && row.time_ns > f->rows[0].time_ns))
		return true;
	detection_id(&seen, row.id);
	if (!is_wanted(f, &row))
		return true;
	buf_clear(&f->ask->line);
	detection_write(&f->ask->line, &seen);
	row.len = f->ask->line.len;
	row.line = xmemdupz(f->ask->line.ptr, row.len);
	if (f->n < f->most) {
		f->rows[f->n] = row;
		sift_up(f->rows, f->n++);
	} else {
		free(f->rows[0].line);
		f->rows[0] = row;
		sift_down(f->rows, f->n);
	}
	/* blocks that are later need not be read */
	if (f->n == f->most && f->rows[0].time_ns < f->query->until_ns - 1)
		f->query->until_ns = f->rows[0].time_ns + 1;
	return true;
}

static void
give_rows(struct first_rows *f)
{
	size_t n = f->n < f->most ? f->n : f->most - 1;
	const struct row *last = n > 0 ? &f->rows[n - 1] : NULL;

	buf_clear(&f->ask->line);
	for (size_t i = 0; i < n; i++) {
		(void)buf_add(&f->ask->line, f->rows[i].line, f->rows[i].len);
		if (!ask_line(f->ask))
			return;
	}
	if (!f->page->next)
		return;
	if (f->n < f->most || last == NULL)
		page_line(f->ask, NULL);
	else
		page_next(f->ask, last->time_ns,
		    (struct slice){ last->id, DETECTION_ID_TEXT - 1 });
}

static enum rc
answer_page(struct ask *a, struct store_query *q, const struct page *page,
    struct error *err)
{
	uint64_t limit = q->limit > 0 ? q->limit : PAGE_MAX;
	struct first_rows f = { .ask = a, .query = q, .page = page };
	enum rc rc;

	if (limit > PAGE_MAX)
		return error_set(err, RC_INVALID,
		    "limit: a page has at most %d", PAGE_MAX);
	f.most = (size_t)limit + 1; /* one more: whether any follows */
	f.rows = xcalloc(f.most, sizeof(f.rows[0]));
	q->limit = 0;
	if (q->since_ns < page->after_ns)
		q->since_ns = page->after_ns;
	rc = store_detections(a->api->options.store, q,
	    http_param(a->request, "rule"), keep_row, &f, err);
	if (rc == RC_OK) {
		qsort(f.rows, f.n, sizeof(f.rows[0]), compare_rows);
		give_rows(&f);
	}
	for (size_t i = 0; i < f.n; i++)
		free(f.rows[i].line);
	free(f.rows);
	return rc;
}

void
get_detections(struct ask *a)
{
	struct store_filter filters[HTTP_PARAMS_MAX];
	struct store_query q;
	struct page page;
	struct error err;
	enum rc rc = param_query(a, &q, filters, &err);

	if (rc == RC_OK)
		rc = param_page(a, &page, &err);
	if (rc == RC_OK && (page.next || page.after_id.ptr != NULL))
		rc = answer_page(a, &q, &page, &err);
	else if (rc == RC_OK)
		rc = store_detections(a->api->options.store, &q,
		    http_param(a->request, "rule"), detection_line, a, &err);
	ask_fail(a, rc, &err);
}
