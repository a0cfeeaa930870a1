/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/inventory/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "xalloc.h"

enum { MEMBERS_MAX = 65536 };

void
inventory_init(struct inventory *inv, struct opener *o)
{
	*inv = (struct inventory){ .opener = o, .arena = arena_new(65536) };
	buf_init(&inv->file, INVENTORY_FILE_MAX);
	buf_init(&inv->ecs, MEMBERS_MAX);
	buf_init(&inv->more, MEMBERS_MAX);
}

void
inventory_fini(struct inventory *inv)
{
	arena_free(inv->arena);
	free(inv->items);
	buf_fini(&inv->file);
	buf_fini(&inv->ecs);
	buf_fini(&inv->more);
}

void
inventory_begin(struct inventory *inv, struct json_writer *ecs,
    struct json_writer *more)
{
	buf_clear(&inv->ecs);
	buf_clear(&inv->more);
	json_begin(ecs, &inv->ecs);
	json_begin(more, &inv->more);
}

void
inventory_add(struct inventory *inv, const char *class, struct slice key)
{
	if (inv->n >= INVENTORY_ITEMS_MAX || inv->ecs.overflowed ||
	    inv->more.overflowed) {
		inv->dropped++;
		return;
	}
	if (inv->n == inv->cap) {
		inv->cap = inv->cap == 0 ? 256 : 2 * inv->cap;
		inv->items =
		    xreallocarray(inv->items, inv->cap, sizeof(*inv->items));
	}
	inv->items[inv->n] = (struct inventory_item){ .class = class,
		.at = inv->n,
		.key = utf8_repair(inv->arena, arena_copy(inv->arena, key)),
		.ecs = arena_copy(inv->arena, buf_slice(&inv->ecs)),
		.more = arena_copy(inv->arena, buf_slice(&inv->more)) };
	inv->n++;
}

void
inventory_unknown(struct inventory *inv, const char *class, const char *why)
{
	inv->unknown = class;
	inventory_unread(inv, class, why);
}

void
inventory_unread(struct inventory *inv, const char *what, const char *why)
{
	struct json_writer ecs, more;
	size_t n = strlen(inv->why);

	(void)snprintf(inv->why + n, sizeof(inv->why) - n, "%s%s",
	    n == 0 ? "" : "; ", why);
	inventory_begin(inv, &ecs, &more);
	inventory_text(inv, &more, "reason",
	    (struct slice){ why, strlen(why) });
	inventory_add(inv, INVENTORY_UNREAD,
	    (struct slice){ what, strlen(what) });
}

void
inventory_text(struct inventory *inv, struct json_writer *w, const char *key,
    struct slice text)
{
	json_key(w, key);
	json_string(w, utf8_repair(inv->arena, text));
}

int
inventory_compare(const struct inventory_item *a,
    const struct inventory_item *b)
{
	int order = strcmp(a->class, b->class);
	size_t n = a->key.len < b->key.len ? a->key.len : b->key.len;

	if (order == 0)
		order = memcmp(a->key.ptr, b->key.ptr, n);
	if (order != 0)
		return order;
	return a->key.len == b->key.len ? 0 : a->key.len < b->key.len ? -1 : 1;
}

static int
by_key(const void *a, const void *b)
{
	const struct inventory_item *x = a, *y = b;
	int order = inventory_compare(x, y);

	return order != 0 ? order : x->at < y->at ? -1 : x->at > y->at;
}

void
inventory_collect(struct inventory *inv)
{
	size_t kept = 0;

	inventory_system(inv);
	inventory_packages(inv);
	inventory_accounts(inv);
	inventory_network(inv);
	inventory_services(inv);
	if (inv->n > 1)
		qsort(inv->items, inv->n, sizeof(*inv->items), by_key);
	for (size_t i = 0; i < inv->n; i++) {
		if (kept > 0 &&
		    inventory_compare(&inv->items[kept - 1], &inv->items[i]) ==
			0)
			continue; /* a socket that several processes hold */
		inv->items[kept++] = inv->items[i];
	}
	inv->n = kept;
}

void
inventory_keep_unknown(struct inventory *inv,
    const struct inventory_item *stored, size_t n)
{
	size_t kept = 0;

	if (inv->unknown == NULL)
		return;
	for (size_t i = 0; i < inv->n; i++) {
		if (strcmp(inv->items[i].class, inv->unknown) != 0)
			inv->items[kept++] = inv->items[i];
	}
	inv->n = kept;
	inv->cap = kept + n + 1;
	inv->items = xreallocarray(inv->items, inv->cap, sizeof(*inv->items));
	for (size_t i = 0; i < n; i++) {
		if (strcmp(stored[i].class, inv->unknown) == 0)
			inv->items[inv->n++] = stored[i];
	}
	qsort(inv->items, inv->n, sizeof(*inv->items), by_key);
}
