/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `inventory` input: what the machine is made of, whole at first, then what
 * differs.  What is known and the events that tell it change together.
 *
 *   sources --items, sorted--> merge with stored items --> events, outbox
 */
#include <stdio.h>
#include <string.h>

#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/periodic.h"
#include "timestamp.h"

enum { EVENT_MAX = 512 * 1024 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS item (input TEXT, class TEXT, key TEXT,"
    " ecs TEXT, more TEXT, PRIMARY KEY (input, class, key)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS input (name TEXT PRIMARY KEY) WITHOUT ROWID;";

/* What a class is in ECS. */
static const struct {
	const char *class, *category;
} categories[] = {
	{ "os", "host" },
	{ "package", "package" },
	{ "user", "iam" },
	{ "group", "iam" },
	{ "port", "network" },
	{ "service", "configuration" },
	{ "task", "configuration" },
	{ "interface", "configuration" },
	{ "route", "configuration" },
};

enum difference { SNAPSHOT, ADDED, REMOVED, CHANGED };

struct look {
	const struct periodic_turn *turn;
	struct inventory inv;
	bool first;
	uint64_t events;
	struct sha256 *digest;
};

/* ---- events -------------------------------------------------------------- */

static void
put_raw_members(struct buf *out, struct slice members)
{
	if (members.len == 0)
		return;
	(void)buf_add_char(out, ',');
	(void)buf_add_slice(out, members);
}

static void
begin(struct json_writer *w, struct buf *out, const struct look *l)
{
	json_begin(w, out);
	json_open(w, '{');
	json_key(w, "@timestamp");
	json_time(w, timestamp_now() / NS_PER_MS * NS_PER_MS);
	json_key(w, "host.name");
	json_str(w, l->turn->host_name);
	json_key(w, "input.type");
	json_str(w, "inventory");
	json_key(w, "kuzet.input");
	json_str(w, l->turn->name);
}

static void
put_kind(struct json_writer *w, const char *kind, const char *category,
    const char *type, const char *action)
{
	json_key(w, "event");
	json_open(w, '{');
	json_key(w, "kind");
	json_str(w, kind);
	json_key(w, "category");
	json_open(w, '[');
	json_str(w, category);
	json_close(w, ']');
	json_key(w, "type");
	json_open(w, '[');
	json_str(w, type);
	json_close(w, ']');
	json_key(w, "action");
	json_str(w, action);
	json_key(w, "module");
	json_str(w, "inventory");
	json_key(w, "dataset");
	json_str(w, "inventory.item");
	json_close(w, '}');
}

static const char *
category_of(const char *class)
{
	for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]);
	     i++) {
		if (strcmp(categories[i].class, class) == 0)
			return categories[i].category;
	}
	return "configuration";
}

static enum rc
tell(struct look *l, enum difference d, const struct inventory_item *now,
    const struct inventory_item *before, struct error *err)
{
	static const struct {
		const char *kind, *type, *action;
	} words[] = {
		[SNAPSHOT] = { "state", "info", "inventory-snapshot" },
		[ADDED] = { "event", "creation", "inventory-added" },
		[REMOVED] = { "event", "deletion", "inventory-removed" },
		[CHANGED] = { "event", "change", "inventory-changed" },
	};
	struct json_writer w;
	struct buf out;
	enum rc rc;

	buf_init(&out, EVENT_MAX);
	begin(&w, &out, l);
	put_kind(&w, words[d].kind, category_of(now->class), words[d].type,
	    words[d].action);
	json_key(&w, "kuzet.inventory");
	json_open(&w, '{');
	json_key(&w, "class");
	json_str(&w, now->class);
	json_key(&w, "key");
	json_string(&w, now->key);
	json_key(&w, "item");
	json_open(&w, '{');
	(void)buf_add_slice(&out, now->more);
	json_close(&w, '}');
	if (before != NULL) {
		json_key(&w, "before");
		json_open(&w, '{');
		(void)buf_add_slice(&out, before->ecs);
		if (before->ecs.len > 0)
			put_raw_members(&out, before->more);
		else
			(void)buf_add_slice(&out, before->more);
		json_close(&w, '}');
	}
	json_close(&w, '}');
	put_raw_members(&out, now->ecs);
	json_close(&w, '}');
	l->events++;
	rc = out.overflowed
	    ? error_set(err, RC_LIMIT, "inventory: an event is too large")
	    : outbox_add(l->turn->db, buf_slice(&out), err);
	buf_fini(&out);
	return rc;
}

/* The end of a look: how much there is, and the digest of all of it. */
static enum rc
tell_end(struct look *l, struct error *err)
{
	uint8_t sha256[SHA256_BYTES];
	char hex[SHA256_TEXT];
	struct json_writer w;
	struct buf out;
	enum rc rc;

	sha256_done(l->digest, sha256);
	hex_text(sha256, sizeof(sha256), hex);
	buf_init(&out, EVENT_MAX);
	begin(&w, &out, l);
	put_kind(&w, "state", "host", "info",
	    l->first ? "inventory-baseline" : "inventory-differences");
	json_key(&w, "kuzet.inventory");
	json_open(&w, '{');
	json_key(&w, "items");
	json_uint(&w, l->inv.n);
	json_key(&w, "differences");
	json_uint(&w, l->first ? 0 : l->events);
	json_key(&w, "dropped");
	json_uint(&w, l->inv.dropped);
	json_key(&w, "sha256");
	json_str(&w, hex);
	json_close(&w, '}');
	json_close(&w, '}');
	rc = outbox_add(l->turn->db, buf_slice(&out), err);
	buf_fini(&out);
	return rc;
}

/* ---- what is stored ------------------------------------------------------ */

static struct slice
text_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static sqlite3_stmt *
prepare(struct look *l, const char *text, const struct inventory_item *item,
    struct error *err)
{
	sqlite3_stmt *q = sql_prepare(l->turn->db->sql, text, err);

	if (q == NULL)
		return NULL;
	sql_bind_text(q, 1, text_of(l->turn->name));
	if (item != NULL) {
		sql_bind_text(q, 2, text_of(item->class));
		sql_bind_text(q, 3, item->key);
	}
	return q;
}

static enum rc
put_item(struct look *l, const struct inventory_item *item, struct error *err)
{
	sqlite3_stmt *q = prepare(l,
	    "INSERT OR REPLACE INTO item (input, class, key, ecs, more)"
	    " VALUES (?, ?, ?, ?, ?)",
	    item, err);

	if (q == NULL)
		return err->code;
	sql_bind_text(q, 4, item->ecs);
	sql_bind_text(q, 5, item->more);
	return sql_run(l->turn->db->sql, q, err);
}

static enum rc
drop_item(struct look *l, const struct inventory_item *item, struct error *err)
{
	sqlite3_stmt *q = prepare(l,
	    "DELETE FROM item WHERE input = ? AND class = ? AND key = ?", item,
	    err);

	return q == NULL ? err->code : sql_run(l->turn->db->sql, q, err);
}

/* Was there a look before? */
static enum rc
begin_input(struct look *l, struct error *err)
{
	sqlite3_stmt *q = prepare(l,
	    "INSERT OR IGNORE INTO input (name) VALUES (?)", NULL, err);
	enum rc rc = q == NULL ? err->code : sql_run(l->turn->db->sql, q, err);

	l->first = sqlite3_changes(l->turn->db->sql->db) > 0;
	return rc;
}

struct stored {
	struct inventory_item *at;
	size_t n;
};

static enum rc
read_stored(struct look *l, struct stored *s, struct error *err)
{
	sqlite3_stmt *q = prepare(l,
	    "SELECT class, key, ecs, more FROM item WHERE input = ?"
	    " ORDER BY class, key",
	    NULL, err);
	struct arena *a = l->inv.arena;
	size_t cap = 1024;
	enum rc rc;

	*s = (struct stored){ arena_alloc(a, cap * sizeof(*s->at)), 0 };
	if (q == NULL)
		return err->code;
	while ((rc = sql_step(l->turn->db->sql, q, err)) == RC_OK) {
		struct slice class = sql_text(q, 0);
		char *room = arena_alloc(a, class.len + 1);

		if (s->n == cap) {
			struct inventory_item *more =
			    arena_alloc(a, 2 * cap * sizeof(*more));

			memcpy(more, s->at, cap * sizeof(*more));
			s->at = more;
			cap *= 2;
		}
		memcpy(room, class.ptr, class.len);
		room[class.len] = '\0';
		s->at[s->n++] = (struct inventory_item){ .class = room,
			.key = arena_copy(a, sql_text(q, 1)),
			.ecs = arena_copy(a, sql_text(q, 2)),
			.more = arena_copy(a, sql_text(q, 3)) };
	}
	return rc == RC_EOF ? RC_OK : rc;
}

/* ---- the look ------------------------------------------------------------ */

static enum rc
came(struct look *l, const struct inventory_item *now, struct error *err)
{
	enum rc rc = tell(l, l->first ? SNAPSHOT : ADDED, now, NULL, err);

	return rc == RC_OK ? put_item(l, now, err) : rc;
}

static enum rc
went(struct look *l, const struct inventory_item *before, struct error *err)
{
	enum rc rc = tell(l, REMOVED, before, NULL, err);

	return rc == RC_OK ? drop_item(l, before, err) : rc;
}

static enum rc
stayed(struct look *l, const struct inventory_item *now,
    const struct inventory_item *before, struct error *err)
{
	enum rc rc;

	if (slice_eq(now->ecs, before->ecs) &&
	    slice_eq(now->more, before->more))
		return RC_OK;
	rc = tell(l, CHANGED, now, before, err);
	return rc == RC_OK ? put_item(l, now, err) : rc;
}

static enum rc
merge(struct look *l, const struct stored *s, struct error *err)
{
	const struct inventory *inv = &l->inv;
	size_t i = 0, k = 0;
	enum rc rc = RC_OK;

	while (rc == RC_OK && (i < inv->n || k < s->n)) {
		int order = i == inv->n ? 1
		    : k == s->n         ? -1
				: inventory_compare(&inv->items[i], &s->at[k]);

		if (order < 0)
			rc = came(l, &inv->items[i++], err);
		else if (order > 0)
			rc = went(l, &s->at[k++], err);
		else
			rc = stayed(l, &inv->items[i++], &s->at[k++], err);
	}
	return rc;
}

static void
digest_items(struct look *l)
{
	for (size_t i = 0; i < l->inv.n; i++) {
		const struct inventory_item *item = &l->inv.items[i];

		sha256_add(l->digest, item->class, strlen(item->class) + 1);
		sha256_add(l->digest, item->key.ptr, item->key.len);
		sha256_add(l->digest, "", 1);
		sha256_add(l->digest, item->ecs.ptr, item->ecs.len);
		sha256_add(l->digest, "", 1);
		sha256_add(l->digest, item->more.ptr, item->more.len);
		sha256_add(l->digest, "", 1);
	}
}

/* What is told as an item is for who reads the agent's log, too. */
static void
say_unread(const struct look *l)
{
	const struct input_setup *setup = l->turn->setup;
	char text[1400];

	if (l->inv.why[0] == '\0')
		return;
	(void)snprintf(text, sizeof(text), "%.200s: %s%s%s%s", l->turn->name,
	    l->inv.why, l->inv.unknown == NULL ? "" : "; the items of class ",
	    l->inv.unknown == NULL ? "" : l->inv.unknown,
	    l->inv.unknown == NULL ? "" : " stay as they were");
	setup->say(setup->ctx, LOG_LEVEL_WARN, text);
}

static enum rc
look_at_machine(const struct periodic_turn *turn, struct error *err)
{
	struct look l = { .turn = turn, .digest = sha256_new() };
	struct stored stored = { NULL, 0 };
	enum rc rc;

	inventory_init(&l.inv, turn->opener);
	inventory_collect(&l.inv);
	rc = begin_input(&l, err);
	if (rc == RC_OK)
		rc = read_stored(&l, &stored, err);
	say_unread(&l);
	if (rc == RC_OK && l.inv.unknown != NULL)
		inventory_keep_unknown(&l.inv, stored.at, stored.n);
	if (rc == RC_OK)
		rc = merge(&l, &stored, err);
	digest_items(&l);
	if (rc == RC_OK && l.events > 0)
		rc = tell_end(&l, err);
	sha256_free(l.digest);
	inventory_fini(&l.inv);
	return rc;
}

static enum rc
inventory_open(const struct input_setup *setup, void **out, struct error *err)
{
	static const struct periodic_kind kind = { .db_name = "inventory.db",
		.schema = schema,
		.look = look_at_machine };

	(void)err;
	return periodic_open(&kind, setup, out);
}

const struct input_kind input_inventory = {
	.name = "inventory",
	.help = "what the machine is made of, and what changes",
	.open = inventory_open,
	PERIODIC_CALLS,
};
