/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/restore_hits.h"

#include <errno.h>
#include <zlib.h>

#include "json.h"

enum {
	HIT_LINE = 1 << 20,
	RULES_MAX = 65536,
	HITS_MAX = 1 << 20, /* of one commit */
	HITS_ARENA = 64 * 1024,
};

/* Of the commit that is being made. */
struct taken_hit {
	size_t batch;
	uint32_t at, rule; /* rule: id in the new file */
};

struct restored_hits {
	gzFile file; /* NULL: none */
	char *text;  /* a line */
	struct arena *line;
	uint64_t at_line; /* of the hit ahead; 0: no more */
	struct day_rule ahead;
	struct arena *kept;
	struct day_rule *rules;
	uint32_t n_rules, n_saved;
	struct taken_hit *taken;
	size_t n_taken, cap_taken;
	uint64_t commit; /* that is being written */
	struct bytes stored;
};

static enum rc
damaged(struct error *err)
{
	return error_set(err, RC_INVALID, "its detections are damaged");
}

/* The object behind "rule":, the line's last member, as it is written. */
static struct slice
rule_text(char *text)
{
	static const char name[] = ",\"rule\":{";
	char *at = strstr(text, name);
	size_t len;

	if (at == NULL)
		return SLICE("");
	at += sizeof(name) - 2;
	len = strcspn(at, "\n");
	return (struct slice){ at, len > 0 ? len - 1 : 0 };
}

static bool
digest_of(struct slice hex, uint8_t out[SHA256_BYTES])
{
	if (hex.len != 2 * (size_t)SHA256_BYTES)
		return false;
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		char digits[3] = { hex.ptr[2 * i], hex.ptr[2 * i + 1], '\0' };
		char *end;

		out[i] = (uint8_t)strtoul(digits, &end, 16);
		if (*end != '\0')
			return false;
	}
	return true;
}

static struct value
member(const struct event *ev, const char *name)
{
	const struct value *v =
	    event_get(ev, field_intern((struct slice){ name, strlen(name) }));

	return v != NULL ? *v : (struct value){ .kind = VALUE_NULL };
}

/* The next hit of the file, into h->ahead. */
static enum rc
read_ahead(struct restored_hits *h, struct error *err)
{
	const struct json_limits limits = { json_limits_default.depth,
		HIT_LINE };
	struct value line, visible, digest;
	struct event ev;
	int errnum = 0;

	h->at_line = 0;
	if (h->file == NULL || gzgets(h->file, h->text, HIT_LINE) == NULL) {
		if (h->file != NULL)
			(void)gzerror(h->file, &errnum);
		return errnum == Z_OK || errnum == Z_STREAM_END ? RC_OK
								: damaged(err);
	}
	arena_reset(h->line);
	event_begin(&ev, h->line);
	if (json_read_event((struct slice){ h->text, strcspn(h->text, "\n") },
		&limits, &ev, err) != RC_OK)
		return damaged(err);
	line = member(&ev, "line");
	visible = member(&ev, "visible");
	digest = member(&ev, "digest");
	h->ahead = (struct day_rule){ .id = member(&ev, "rule_id").s,
		.level = member(&ev, "level").s,
		.about = rule_text(h->text),
		.visible = visible.b };
	if (line.kind != VALUE_INT || line.i < 1 ||
	    visible.kind != VALUE_BOOL || digest.kind != VALUE_STRING ||
	    h->ahead.id.len == 0 || h->ahead.about.len == 0 ||
	    !digest_of(digest.s, h->ahead.digest))
		return damaged(err);
	h->at_line = (uint64_t)line.i;
	return RC_OK;
}

enum rc
restored_hits_open(const char *path, struct restored_hits **out,
    struct error *err)
{
	struct restored_hits *h = xzalloc(sizeof(*h));

	*out = h;
	h->line = arena_new(HITS_ARENA);
	h->kept = arena_new(HITS_ARENA);
	h->text = xcalloc(HIT_LINE, 1);
	if (path != NULL) {
		h->file = gzopen(path, "rbe");
		if (h->file == NULL)
			return error_set_errno(err, errno, "%s", path);
	}
	return read_ahead(h, err);
}

void
restored_hits_free(struct restored_hits *h)
{
	if (h == NULL)
		return;
	if (h->file != NULL)
		(void)gzclose(h->file);
	arena_free(h->line);
	arena_free(h->kept);
	free(h->text);
	free(h->rules);
	free(h->taken);
	bytes_fini(&h->stored);
	free(h);
}

/* Its id in the new file; 0: there are too many. */
static uint32_t
rule_number(struct restored_hits *h)
{
	const struct day_rule *r = &h->ahead;
	struct day_rule *to;

	for (uint32_t i = 0; i < h->n_rules; i++)
		if (memcmp(h->rules[i].digest, r->digest, SHA256_BYTES) == 0 &&
		    h->rules[i].visible == r->visible &&
		    slice_eq(h->rules[i].id, r->id) &&
		    slice_eq(h->rules[i].about, r->about) &&
		    slice_eq(h->rules[i].level, r->level))
			return i + 1;
	if (h->n_rules == RULES_MAX)
		return 0;
	h->rules = xreallocarray(h->rules, h->n_rules + 1, sizeof(h->rules[0]));
	to = &h->rules[h->n_rules++];
	*to = *r;
	to->id = arena_copy(h->kept, r->id);
	to->about = arena_copy(h->kept, r->about);
	to->level = arena_copy(h->kept, r->level);
	return h->n_rules;
}

enum rc
restored_hits_take(struct restored_hits *h, uint64_t line, size_t batch,
    uint32_t at, struct error *err)
{
	while (h->at_line != 0 && h->at_line <= line) {
		struct taken_hit hit = { batch, at, rule_number(h) };

		if (h->at_line < line || hit.rule == 0 ||
		    h->n_taken == HITS_MAX)
			return damaged(err);
		if (h->n_taken == h->cap_taken) {
			h->cap_taken = h->cap_taken > 0 ? 2 * h->cap_taken : 64;
			h->taken = xreallocarray(h->taken, h->cap_taken,
			    sizeof(h->taken[0]));
		}
		h->taken[h->n_taken++] = hit;
		if (read_ahead(h, err) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

static enum rc
save_rules(struct restored_hits *h, struct sql *day, struct error *err)
{
	for (; h->n_saved < h->n_rules; h->n_saved++) {
		const struct day_rule *r = &h->rules[h->n_saved];

		if (SQL_PUT(day, err,
			"INSERT INTO rules(id, digest, rule, about, level,"
			" visible) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
			BIND_INT(h->n_saved + INT64_C(1)),
			BIND_BYTES(r->digest), BIND_TEXT(r->id),
			BIND_TEXT(r->about), BIND_TEXT(r->level),
			BIND_INT(r->visible)) != RC_OK)
			return err->code;
	}
	return RC_OK;
}

/* A block has the events of one owner, batch by batch. */
static enum rc
save_owner(struct restored_hits *h, struct sql *day,
    struct batch *const *batches, size_t first, size_t n, struct error *err)
{
	struct slice owner = batches[first]->source.owner;
	struct stored_hit *list = xcalloc(h->n_taken + 1, sizeof(list[0]));
	uint32_t row = 0;
	size_t k = 0;
	enum rc rc = RC_OK;

	for (size_t b = first; b < n; b++) {
		if (!slice_eq(batches[b]->source.owner, owner))
			continue;
		for (size_t i = 0; i < h->n_taken; i++)
			if (h->taken[i].batch == b)
				list[k++] =
				    (struct stored_hit){ row + h->taken[i].at,
					    h->taken[i].rule };
		row += batches[b]->n;
	}
	if (k > 0) {
		h->stored.n = 0;
		hits_write(&h->stored, list, k);
		rc = SQL_PUT(day, err,
		    "UPDATE main.blocks SET hits = ?1 WHERE commit_number = ?2"
		    " AND owner = ?3",
		    BIND_BLOB(bytes_slice(&h->stored)), BIND_INT(h->commit),
		    BIND_TEXT(owner));
	}
	free(list);
	return rc;
}

static bool
came_before(struct batch *const *batches, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (slice_eq(batches[i]->source.owner,
			batches[at]->source.owner))
			return true;
	return false;
}

enum rc
restored_hits_write(struct restored_hits *h, struct store *s,
    struct batch *const *batches, size_t n, uint64_t commit, struct error *err)
{
	enum rc rc = RC_OK;

	if (h->n_taken == 0)
		return RC_OK;
	h->commit = commit;
	rc = sql_begin(s->day, err);
	if (rc == RC_OK)
		rc = save_rules(h, s->day, err);
	for (size_t i = 0; rc == RC_OK && i < n; i++)
		if (!came_before(batches, i))
			rc = save_owner(h, s->day, batches, i, n, err);
	if (rc == RC_OK)
		rc = sql_commit(s->day, err);
	if (rc != RC_OK)
		sql_rollback(s->day);
	h->n_taken = 0;
	return rc;
}
