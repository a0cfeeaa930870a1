/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/region.h"

#include "collector/store/scan.h"

enum {
	PROBES = 6,
	PART_BITS = REGION_PART_BYTES * 8,
	BLOCKS_A_STEP = 16,
	SMALLEST = 65536, /* events: a shorter rest of a day has no region */
};

/* ---- where a token's bits are --------------------------------------------- */

static uint32_t
part_of(uint64_t h, uint32_t parts)
{
	return (uint32_t)(((h >> 32) * parts) >> 32);
}

/* Of the part: the hash is mixed again, its high half chose the part. */
static uint32_t
bit_of(uint64_t h, unsigned probe)
{
	uint64_t m = hash_mix(h, UINT64_C(0x9e3779b97f4a7c15));
	uint32_t x = (uint32_t)m + probe * ((uint32_t)(m >> 32) | 1);

	return (uint32_t)(((uint64_t)x * PART_BITS) >> 32);
}

/* ---- reading -------------------------------------------------------------- */

static enum rc
add_region(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct regions *r = ctx;

	(void)err;
	r->list = xreallocarray(r->list, r->n + 1, sizeof(r->list[0]));
	r->list[r->n++] = (struct region){
		.id = sqlite3_column_int64(q, 0),
		.first = (uint64_t)sqlite3_column_int64(q, 1),
		.last = (uint64_t)sqlite3_column_int64(q, 2),
		.parts = (uint32_t)sqlite3_column_int64(q, 3),
		.verdict = -1,
	};
	return RC_OK;
}

enum rc
regions_read(struct sql *day, struct regions *out, struct error *err)
{
	int version = 0;

	*out = (struct regions){ 0 };
	if (sql_version(day, &version, err) != RC_OK)
		return err->code;
	if (version < 2)
		return RC_OK;
	return sql_each(day,
	    "SELECT id, first_commit, last_commit, parts FROM regions"
	    " WHERE parts BETWEEN 1 AND 4096 ORDER BY first_commit",
	    add_region, out, err);
}

void
regions_fini(struct regions *r)
{
	free(r->list);
	*r = (struct regions){ 0 };
}

struct region *
regions_find(const struct regions *r, uint64_t first, uint64_t last)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (r->list[mid].last < first)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n && r->list[low].first <= first &&
		last <= r->list[low].last
	    ? &r->list[low]
	    : NULL;
}

static bool
has(struct sql *day, const struct region *r, uint64_t h)
{
	struct error ignored;
	sqlite3_stmt *q = sql_prepare(day,
	    "SELECT bits FROM region_parts WHERE id = ?1", &ignored);
	struct slice bits;
	bool found = true;

	if (q == NULL)
		return true;
	sql_bind_int(q, 1, r->id * REGION_PARTS_MAX + part_of(h, r->parts));
	if (sql_step(day, q, &ignored) != RC_OK)
		return true;
	bits = sql_blob(q, 0);
	for (unsigned k = 0;
	     bits.len == REGION_PART_BYTES && found && k < PROBES; k++) {
		uint32_t bit = bit_of(h, k);

		found = ((uint8_t)bits.ptr[bit / 8] & (1U << (bit % 8))) != 0;
	}
	(void)sqlite3_reset(q);
	return found;
}

struct look {
	struct sql *day;
	const struct region *region;
};

static bool
look_for(void *ctx, uint64_t h)
{
	const struct look *l = ctx;

	return has(l->day, l->region, h);
}

bool
region_may_have_text(struct sql *day, const struct region *r, struct slice text)
{
	struct look l = { day, r };

	return tokens_each(text, look_for, &l);
}

bool
region_may_have_whole(struct sql *day, const struct region *r,
    struct slice bytes)
{
	return has(day, r, token_of_whole(bytes));
}

/* ---- building ------------------------------------------------------------- */

struct region_builder {
	struct store *store;
	uint64_t enough, least; /* events */
	struct block_decoder *decoder;
	struct block_encoder *encoder;
	struct bytes data;
	/* the region under way; parts 0: none */
	int32_t day;
	uint64_t first, last; /* commits */
	uint64_t events;
	uint32_t parts;
	uint8_t *bits;
	int64_t generation;
	uint64_t at; /* its blocks up to here are in it */
	int64_t at_block;
};

struct region_builder *
region_builder_new(struct store *s)
{
	struct region_builder *b = xzalloc(sizeof(*b));

	b->store = s;
	b->enough = REGION_EVENTS;
	b->least = SMALLEST;
	b->decoder = block_decoder_new();
	b->encoder = block_encoder_new();
	return b;
}

void
region_builder_free(struct region_builder *b)
{
	if (b == NULL)
		return;
	block_decoder_free(b->decoder);
	block_encoder_free(b->encoder);
	bytes_fini(&b->data);
	free(b->bits);
	free(b);
}

void
region_builder_size(struct region_builder *b, uint64_t events)
{
	b->enough = events;
	b->least = 1;
}

static void
forget(struct region_builder *b)
{
	free(b->bits);
	b->bits = NULL;
	b->parts = 0;
}

/* The next run of commits that holds enough: blocks are not cut. */
struct extent {
	uint64_t enough, first, last, events;
	uint64_t filter_bytes;
	bool full;
};

static enum rc
extend(void *ctx, sqlite3_stmt *q, struct error *err)
{
	struct extent *x = ctx;
	uint64_t commit = (uint64_t)sqlite3_column_int64(q, 0);
	uint64_t last = (uint64_t)sqlite3_column_int64(q, 1);

	(void)err;
	if (x->events >= x->enough && commit > x->last) {
		x->full = true;
		return RC_EOF;
	}
	if (x->first == 0)
		x->first = commit;
	if (last > x->last)
		x->last = last;
	x->events += (uint64_t)sqlite3_column_int64(q, 2);
	x->filter_bytes += (uint64_t)sqlite3_column_int64(q, 3);
	return RC_OK;
}

static enum rc
find_extent(struct region_builder *b, struct sql *day, struct extent *x,
    struct error *err)
{
	enum rc rc;

	*x = (struct extent){ .enough = b->enough };
	rc = sql_each(day,
	    "SELECT commit_number, last_commit, n, length(bloom) FROM live"
	    " WHERE commit_number > (SELECT coalesce(max(last_commit), 0)"
	    " FROM regions) ORDER BY commit_number, id",
	    extend, x, err);
	return rc == RC_EOF ? RC_OK : rc;
}

static void
begin_region(struct region_builder *b, int32_t day, const struct extent *x)
{
	uint64_t parts = x->filter_bytes / REGION_PART_BYTES + 1;

	forget(b);
	b->day = day;
	b->first = x->first;
	b->last = x->last;
	b->events = x->events;
	b->parts =
	    parts < REGION_PARTS_MAX ? (uint32_t)parts : REGION_PARTS_MAX;
	b->bits = xcalloc(b->parts, REGION_PART_BYTES);
	b->at = 0;
	b->at_block = 0;
}

static bool
add_token(void *ctx, uint64_t h)
{
	struct region_builder *b = ctx;
	uint8_t *part =
	    b->bits + (size_t)part_of(h, b->parts) * REGION_PART_BYTES;

	for (unsigned k = 0; k < PROBES; k++) {
		uint32_t bit = bit_of(h, k);

		part[bit / 8] |= (uint8_t)(1U << (bit % 8));
	}
	return true;
}

static enum rc
add_block(struct region_builder *b, struct sql *day, int64_t id,
    struct error *err)
{
	struct block_encoded block;
	struct block_heads heads;
	struct event ev;

	if (read_block(day, id, &b->data, err) != RC_OK ||
	    block_decoder_open(b->decoder, bytes_slice(&b->data), err) !=
		RC_OK ||
	    block_decoder_all(b->decoder, err) != RC_OK ||
	    block_decoder_heads(b->decoder, &heads, err) != RC_OK)
		return err->code;
	block_encoder_begin(b->encoder);
	for (uint32_t i = 0; i < block_events(b->decoder); i++) {
		block_event(b->decoder, i, &ev);
		block_encoder_add(b->encoder, &ev, ev.time_ns,
		    heads.sources[i]);
	}
	if (block_encoder_finish(b->encoder, &block, err) != RC_OK)
		return err->code;
	tokens_visit(block_encoder_tokens(b->encoder), add_token, b);
	return RC_OK;
}

/* RC_EOF: all of its blocks are in it. */
static enum rc
add_next(struct region_builder *b, struct sql *day, struct error *err)
{
	sqlite3_stmt *q = sql_prepare(day,
	    "SELECT id, commit_number FROM live"
	    " WHERE (commit_number, id) > (?1, ?2) AND commit_number >= ?3"
	    " AND commit_number <= ?4 ORDER BY commit_number, id LIMIT 1",
	    err);
	enum rc rc;

	if (q == NULL)
		return err->code;
	sql_bind_int(q, 1, (int64_t)b->at);
	sql_bind_int(q, 2, b->at_block);
	sql_bind_int(q, 3, (int64_t)b->first);
	sql_bind_int(q, 4, (int64_t)b->last);
	rc = sql_step(day, q, err);
	if (rc != RC_OK)
		return rc;
	b->at_block = sqlite3_column_int64(q, 0);
	b->at = (uint64_t)sqlite3_column_int64(q, 1);
	(void)sqlite3_reset(q);
	return add_block(b, day, b->at_block, err);
}

static enum rc
insert_region(struct region_builder *b, struct sql *file, struct error *err)
{
	int64_t id = 0;
	enum rc rc = sql_number(file,
	    "SELECT coalesce(max(id), 0) + 1 FROM regions", &id, err);

	if (rc == RC_OK)
		rc = SQL_PUT(file, err,
		    "INSERT INTO regions(id, first_commit, last_commit, events,"
		    " parts) VALUES(?1, ?2, ?3, ?4, ?5)",
		    BIND_INT(id), BIND_INT(b->first), BIND_INT(b->last),
		    BIND_INT(b->events), BIND_INT(b->parts));
	for (uint32_t i = 0; rc == RC_OK && i < b->parts; i++) {
		struct slice bits = { (const char *)b->bits +
			    (size_t)i * REGION_PART_BYTES,
			REGION_PART_BYTES };

		rc = SQL_PUT(file, err,
		    "INSERT INTO region_parts(id, bits) VALUES(?1, ?2)",
		    BIND_INT(id * REGION_PARTS_MAX + i), BIND_BLOB(bits));
	}
	return rc;
}

static enum rc
write_region(struct region_builder *b, struct error *err)
{
	struct sql *file = NULL;
	enum rc rc = day_open(b->store->dir, b->day, SQL_WRITE, &file, err);

	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	(void)pthread_mutex_lock(&b->store->write_lock);
	rc = sql_begin(file, err);
	if (rc == RC_OK)
		rc = insert_region(b, file, err);
	if (rc == RC_OK)
		rc = sql_commit(file, err);
	if (rc != RC_OK)
		sql_rollback(file);
	(void)pthread_mutex_unlock(&b->store->write_lock);
	sql_close(file);
	return rc;
}

/* A merge between two steps moves blocks: then it begins again. */
static enum rc
step(struct region_builder *b, struct sql *day, int32_t number, bool ended,
    bool *done, struct error *err)
{
	int64_t generation = 0;
	struct extent x;
	enum rc rc = day_generation(day, &generation, err);

	if (rc != RC_OK)
		return rc;
	if (b->parts == 0 || b->day != number || b->generation != generation) {
		if (find_extent(b, day, &x, err) != RC_OK)
			return err->code;
		if (!x.full && (!ended || x.events < b->least))
			return RC_OK;
		begin_region(b, number, &x);
		b->generation = generation;
	}
	*done = true;
	for (int i = 0; rc == RC_OK && i < BLOCKS_A_STEP; i++)
		rc = add_next(b, day, err);
	if (rc != RC_EOF)
		return rc;
	rc = write_region(b, err);
	forget(b);
	return rc;
}

enum rc
region_step(struct region_builder *b, int32_t day, bool ended, bool *done,
    struct error *err)
{
	struct sql *file = NULL;
	int version = 0;
	enum rc rc = day_open(b->store->dir, day, SQL_READ, &file, err);

	*done = false;
	if (rc != RC_OK)
		return rc == RC_EOF ? RC_OK : rc;
	rc = sql_version(file, &version, err);
	if (rc == RC_OK && version >= 2)
		rc = step(b, file, day, ended, done, err);
	sql_close(file);
	if (rc == RC_OK)
		return RC_OK;
	forget(b);
	return error_prefix(err, "cannot make the filter of a long range");
}
