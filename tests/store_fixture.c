/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "xalloc.h"

struct ruleset {
	unsigned refs;
};

static struct ruleset the_rules;
static const struct rule_info infos[] = {
	{ .id = SLICE_INIT("rule-zero"),
	    .title = SLICE_INIT("Zero"),
	    .visible = true,
	    .digest = { 1 } },
	{ .id = SLICE_INIT("rule-one"),
	    .title = SLICE_INIT("One"),
	    .digest = { 2 } },
};

struct ruleset *
fixture_rules(void)
{
	return ruleset_ref(&the_rules);
}

struct ruleset *
ruleset_ref(struct ruleset *rs)
{
	(void)__atomic_add_fetch(&rs->refs, 1, __ATOMIC_SEQ_CST);
	return rs;
}

void
ruleset_unref(struct ruleset *rs)
{
	if (rs != NULL)
		(void)__atomic_sub_fetch(&rs->refs, 1, __ATOMIC_SEQ_CST);
}

uint32_t
ruleset_count(const struct ruleset *rs)
{
	(void)rs;
	return 2;
}

const struct rule_info *
ruleset_rule(const struct ruleset *rs, uint32_t index)
{
	(void)rs;
	return &infos[index];
}

const uint32_t *
ruleset_hit_fields(const struct ruleset *rs, uint32_t index, uint32_t *n)
{
	static const uint32_t fields[] = { FIELD_SOURCE_IP, FIELD_USER_NAME };

	(void)rs;
	*n = index == 0 ? 2 : 0;
	return fields;
}

uint32_t
ruleset_find(const struct ruleset *rs, struct slice id)
{
	(void)rs;
	for (uint32_t i = 0; i < 2; i++)
		if (slice_eq(infos[i].id, id))
			return i;
	return UINT32_MAX;
}

uint32_t
ruleset_find_digest(const struct ruleset *rs,
    const uint8_t digest[SHA256_BYTES])
{
	(void)rs;
	for (uint32_t i = 0; i < 2; i++)
		if (memcmp(infos[i].digest, digest, SHA256_BYTES) == 0)
			return i;
	return UINT32_MAX;
}

const char *
rule_level_name(enum rule_level level)
{
	(void)level;
	return "informational";
}

char *
fixture_folder(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it */
	const char *tmp = getenv("TMPDIR");
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/kuzet-store-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(path) == NULL)
		abort();
	return xstrdup(path);
}

struct store *
fixture_open(const char *dir)
{
	struct store *s;
	struct error err;

	if (store_open(dir, &s, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	return s;
}

void
fixture_remove(char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[8192];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		(void)unlink(path);
	}
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(dir);
	free(dir);
}

static struct slice
print(struct arena *arena, const char *fmt, unsigned long long v)
{
	char text[256];
	int n = snprintf(text, sizeof(text), fmt, v);

	return arena_copy(arena, (struct slice){ text, (size_t)n });
}

static void
fill(struct event *ev, const struct fixture_batch *f, unsigned i)
{
	struct slice line = print(ev->arena,
	    "Nov 22 01:02:03 web sshd[4711]: Failed password for root from "
	    "192.0.2.7 port %llu ssh2",
	    f->offset + i);

	ev->id.stream[0] = f->stream;
	ev->id.offset = f->stream != 0 ? f->offset + 100 * (uint64_t)i : 0;
	ev->time_ns = (f->time_ns != 0 ? f->time_ns : T0) + i * SECOND;
	ev->arrival_ns = f->arrival_ns != 0 ? f->arrival_ns : ev->time_ns;
	ev->size = (uint32_t)line.len;
	event_set_string(ev, FIELD_EVENT_ORIGINAL, line);
	event_set_string(ev, FIELD_MESSAGE,
	    (struct slice){ line.ptr + 32, line.len - 32 });
	event_set_string(ev, FIELD_SOURCE_IP, SLICE("192.0.2.7"));
	event_set_int(ev, FIELD_SOURCE_PORT, (int64_t)(f->offset + i));
	event_set_string(ev, FIELD_USER_NAME,
	    print(ev->arena, "user%llu", i % 7));
	event_add_string(ev, FIELD_EVENT_CATEGORY, SLICE("authentication"));
	event_add_string(ev, FIELD_EVENT_CATEGORY, SLICE("session"));
	if (f->kind == SOURCE_FOREIGN && f->stream == 0)
		ev->foreign = print(ev->arena, "beat-%llu", f->offset + i);
}

struct batch *
fixture_batch(const struct fixture_batch *f)
{
	struct batch *b = batch_new();

	b->source.kind = f->kind;
	b->source.owner = arena_copy(b->arena,
	    f->owner != NULL ? (struct slice){ f->owner, strlen(f->owner) }
			     : SLICE("default"));
	b->source.agent = arena_copy(b->arena,
	    f->agent != NULL ? (struct slice){ f->agent, strlen(f->agent) }
			     : SLICE("web-1"));
	b->rules = fixture_rules();
	for (unsigned i = 0; i < f->n; i++) {
		struct event *ev = batch_add_event(b);

		fill(ev, f, i);
		b->bytes += ev->size;
		if (f->kind == SOURCE_AGENT)
			event_set_string(ev, FIELD_KUZET_INPUT, SLICE("auth"));
		if (f->hits_every > 0 && i % f->hits_every == 0) {
			batch_add_hit(b, i, 0);
			batch_add_hit(b, i, 1);
		}
	}
	return b;
}

struct event *
fixture_control(struct batch *b, const char *what, uint8_t stream,
    int64_t time_ns)
{
	struct event *c = batch_add_control(b);
	uint8_t id[16] = { stream };
	char text[UUID_TEXT];

	uuid_text(id, text);
	c->time_ns = time_ns;
	c->arrival_ns = time_ns;
	event_set_string(c, FIELD_KUZET_CONTROL,
	    arena_copy(b->arena, (struct slice){ what, strlen(what) }));
	event_set_string(c, FIELD_KUZET_INPUT, SLICE("auth"));
	if (stream != 0)
		event_set_string(c, FIELD_KUZET_STREAM,
		    arena_copy(b->arena,
			(struct slice){ text, UUID_TEXT - 1 }));
	return c;
}

void
fixture_batch_free(struct batch *b)
{
	if (b->rules != NULL)
		ruleset_unref(b->rules);
	b->rules = NULL;
	batch_free(b);
}

enum rc
fixture_append(struct store *s, const struct fixture_batch *f,
    struct log_record *r, struct error *err)
{
	struct batch *b = fixture_batch(f);
	enum rc rc = store_append(s, &b, 1, r, err);

	fixture_batch_free(b);
	return rc;
}

static struct search_query *
query_of(const struct store_query *q)
{
	enum { FILTERS_MAX = 4 };
	struct search_equal list[FILTERS_MAX];

	assert(q->n_filters <= FILTERS_MAX);
	for (size_t i = 0; i < q->n_filters; i++)
		list[i] = (struct search_equal){ q->filters[i].field,
			q->filters[i].value };
	return search_equals(list, q->n_filters);
}

enum rc
fixture_events(struct store *s, const struct store_query *q,
    search_event_cb *cb, void *ctx, struct error *err)
{
	struct search_page page = { .sort = SEARCH_ARRIVAL, .limit = q->limit };
	struct search_query *query = query_of(q);
	const struct search_request r = { .query = query,
		.owner = q->owner,
		.since_ns = q->since_ns,
		.until_ns = q->until_ns };
	enum rc rc = search_events(s, &r, &page, cb, ctx, err);

	search_free(query);
	return rc;
}

uint64_t
fixture_count_of(struct store *s, const struct store_query *q)
{
	struct search_query *query = query_of(q);
	const struct search_request r = { .query = query,
		.owner = q->owner,
		.since_ns = q->since_ns,
		.until_ns = q->until_ns };
	struct error err;
	uint64_t n = 0;

	if (search_count(s, &r, &n, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		n = UINT64_MAX;
	}
	search_free(query);
	return n;
}

uint64_t
fixture_count(struct store *s)
{
	return fixture_count_of(s,
	    &(struct store_query){ .since_ns = INT64_MIN,
		.until_ns = INT64_MAX });
}

bool
fixture_told_damage(void *ctx, const struct store_finding *f)
{
	(void)ctx;
	(void)printf("# block %llu %s: %s\n", (unsigned long long)f->block,
	    f->problem, f->message);
	return true;
}
