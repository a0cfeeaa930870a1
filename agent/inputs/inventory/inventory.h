/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine is made of, as items: each has a class ("package"), a key
 * within it ("bash:amd64"), ECS members and members of its own, as JSON.  Each
 * source adds the items of some classes; all read with bounds, and leave out
 * what cannot be read.
 */
#pragma once

#include "agent/roles/opener.h"
#include "buf.h"
#include "json.h"

enum { INVENTORY_ITEMS_MAX = 65536, INVENTORY_FILE_MAX = 64 * 1024 * 1024 };

struct inventory_item {
	const char *class; /* a literal */
	size_t at;         /* of equal ones the first counts */
	struct slice key;
	struct slice ecs;  /* members without braces: "package":{...} */
	struct slice more; /* the same, of kuzet.inventory.item */
};

struct inventory {
	struct opener *opener;
	struct arena *arena;
	struct inventory_item *items;
	size_t n, cap;
	uint64_t dropped; /* beyond the bound */
	/* A class that could not be read; NULL: all could be. */
	const char *unknown; /* a literal */
	char why[1024];      /* what could not be read; empty: nothing */
	struct buf file;     /* scratch of the sources */
	struct buf ecs, more;
};

void inventory_init(struct inventory *inv, struct opener *o);
void inventory_fini(struct inventory *inv);
int inventory_compare(const struct inventory_item *a,
    const struct inventory_item *b);
/* All sources; then sorted by class and key, each once. */
void inventory_collect(struct inventory *inv);
/* The items of the unknown class are those of `stored`, borrowed; sorted again. */
void inventory_keep_unknown(struct inventory *inv,
    const struct inventory_item *stored, size_t n);

/*
 * For the sources: members go into the writers, then the item is added.
 *   struct json_writer ecs, more;
 *   inventory_begin(inv, &ecs, &more); json_key(&ecs, "user") ...;
 *   inventory_add(inv, "user", key);
 */
void inventory_begin(struct inventory *inv, struct json_writer *ecs,
    struct json_writer *more);
void inventory_add(struct inventory *inv, const char *class, struct slice key);
/* Any bytes: what is no UTF-8 becomes U+FFFD. */
void inventory_text(struct inventory *inv, struct json_writer *w,
    const char *key, struct slice text);

/* The items of this class are not known this time, and why: an item of the class
 * "unread", too. */
void inventory_unknown(struct inventory *inv, const char *class,
    const char *why);
/* Only that: nothing else of this class is missing. */
#define INVENTORY_UNREAD "unread"
void inventory_unread(struct inventory *inv, const char *what, const char *why);

void inventory_system(struct inventory *inv);   /* os */
void inventory_packages(struct inventory *inv); /* package */
void inventory_accounts(struct inventory *inv); /* user, group */
void inventory_network(struct inventory *inv);  /* port, interface, route */
void inventory_services(struct inventory *inv); /* service, task */

/* Of the database in this folder. */
void inventory_rpm(struct inventory *inv, const char *dir);

/* "enabled" "disabled" "masked" "absent", of a unit of systemd. */
const char *inventory_unit_state(const char *unit);
