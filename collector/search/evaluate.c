/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/evaluate.h"

#include <stdlib.h>

#include "collector/search/column.h"
#include "xalloc.h"

enum { MASKS_MAX = 4 * SEARCH_DEPTH_MAX };

struct evaluation {
	const struct search_request *request;
	int64_t since_ns, until_ns;
	struct columns columns;
	/* masks for the steps under way, as a stack */
	uint8_t *masks[MASKS_MAX];
	uint32_t mask_room[MASKS_MAX];
	unsigned n_masks;
	struct store_block *block;
	uint32_t n; /* events of the block */
};

/* ---- planning --------------------------------------------------------------- */

/* What every event that matches must satisfy: the ranges at the top. */
static void
narrow(struct evaluation *e, const struct node *n)
{
	const struct leaf *leaf = n->leaf;

	for (uint32_t i = 0; n->kind == NODE_AND && i < n->n; i++)
		narrow(e, n->children[i]);
	if (n->kind != NODE_LEAF || leaf->kind != LEAF_RANGE ||
	    leaf->range != RANGE_TIME || leaf->target != TARGET_FIELD ||
	    leaf->field != FIELD_TIMESTAMP)
		return;
	if (leaf->low.given && leaf->low.integer > e->since_ns)
		e->since_ns = leaf->low.integer;
	if (leaf->high.given && leaf->high.integer < e->until_ns)
		e->until_ns = leaf->high.integer;
}

struct evaluation *
evaluation_new(const struct search_request *r)
{
	struct evaluation *e = xzalloc(sizeof(*e));

	e->request = r;
	e->since_ns = r->since_ns;
	e->until_ns = r->until_ns;
	columns_init(&e->columns);
	narrow(e, r->query->root);
	return e;
}

void
evaluation_free(struct evaluation *e)
{
	if (e == NULL)
		return;
	for (unsigned i = 0; i < MASKS_MAX; i++)
		free(e->masks[i]);
	columns_fini(&e->columns);
	free(e);
}

void
evaluation_range(const struct evaluation *e, int64_t *since_ns,
    int64_t *until_ns)
{
	*since_ns = e->since_ns;
	*until_ns = e->until_ns;
}

static bool
node_may_match(const struct node *n, const struct store_words *w)
{
	switch (n->kind) {
	case NODE_AND:
		for (uint32_t i = 0; i < n->n; i++)
			if (!node_may_match(n->children[i], w))
				return false;
		return true;
	case NODE_OR:
		for (uint32_t i = 0; i < n->n; i++)
			if (node_may_match(n->children[i], w))
				return true;
		return false;
	case NODE_LEAF:
		return leaf_may_match(n->leaf, w);
	default:
		return true;
	}
}

bool
evaluation_may_match(const struct evaluation *e, const struct store_words *w)
{
	return node_may_match(e->request->query->root, w);
}

bool
evaluation_takes_all(const struct evaluation *e, struct store_block *b)
{
	struct store_block_info info = store_block_info(b);

	return e->request->query->root->kind == NODE_ALL && info.within &&
	    info.from == 0 && info.to == info.n;
}

/* ---- masks ------------------------------------------------------------------ */

static uint8_t *
mask_push(struct evaluation *e)
{
	unsigned at = e->n_masks++;

	if (at >= MASKS_MAX)
		abort(); /* the parser bounds the depth */
	if (e->mask_room[at] < e->n + 1) {
		free(e->masks[at]);
		e->masks[at] = xzalloc(e->n + 1);
		e->mask_room[at] = e->n + 1;
	}
	return e->masks[at];
}

static void
mask_pop(struct evaluation *e)
{
	e->n_masks--;
}

/* ---- the tree --------------------------------------------------------------- */

static enum rc run_node(struct evaluation *e, const struct node *n,
    uint8_t *mask, struct error *err);

static enum rc
run_and(struct evaluation *e, const struct node *n, uint8_t *mask,
    struct error *err)
{
	for (uint32_t i = 0; i < n->n; i++) {
		if (run_node(e, n->children[i], mask, err) != RC_OK)
			return err->code;
		if (memchr(mask, 1, e->n) == NULL)
			break;
	}
	return RC_OK;
}

static enum rc
run_or(struct evaluation *e, const struct node *n, uint8_t *mask,
    struct error *err)
{
	uint8_t *found = mask_push(e);
	uint8_t *now = mask_push(e);
	enum rc rc = RC_OK;

	memset(found, 0, e->n);
	for (uint32_t i = 0; i < n->n && rc == RC_OK; i++) {
		/* only those that no child has taken */
		for (uint32_t k = 0; k < e->n; k++)
			now[k] = mask[k] & (found[k] ^ 1);
		if (memchr(now, 1, e->n) == NULL)
			break;
		rc = run_node(e, n->children[i], now, err);
		for (uint32_t k = 0; k < e->n; k++)
			found[k] |= now[k];
	}
	memcpy(mask, found, e->n);
	mask_pop(e);
	mask_pop(e);
	return rc;
}

static enum rc
run_not(struct evaluation *e, const struct node *n, uint8_t *mask,
    struct error *err)
{
	uint8_t *now = mask_push(e);
	enum rc rc;

	memcpy(now, mask, e->n);
	rc = run_node(e, n->children[0], now, err);
	for (uint32_t k = 0; k < e->n; k++)
		mask[k] &= now[k] ^ 1;
	mask_pop(e);
	return rc;
}

static enum rc
run_leaf(struct evaluation *e, const struct leaf *leaf, uint8_t *mask,
    struct error *err)
{
	uint8_t *out = mask_push(e);
	enum rc rc;

	memset(out, 0, e->n);
	rc = columns_test(&e->columns, leaf, mask, out, err);
	memcpy(mask, out, e->n);
	mask_pop(e);
	return rc;
}

static enum rc
run_node(struct evaluation *e, const struct node *n, uint8_t *mask,
    struct error *err)
{
	switch (n->kind) {
	case NODE_AND:
		return run_and(e, n, mask, err);
	case NODE_OR:
		return run_or(e, n, mask, err);
	case NODE_NOT:
		return run_not(e, n, mask, err);
	case NODE_LEAF:
		return run_leaf(e, n->leaf, mask, err);
	default:
		return RC_OK;
	}
}

static enum rc
within_range(struct evaluation *e, uint8_t *mask, struct error *err)
{
	const int64_t *times;

	if (store_block_times(e->block, &times, err) != RC_OK)
		return err->code;
	for (uint32_t i = 0; i < e->n; i++)
		mask[i] &= times[i] >= e->since_ns && times[i] < e->until_ns;
	return RC_OK;
}

enum rc
evaluation_run(struct evaluation *e, struct store_block *b,
    const uint8_t **mask, uint32_t *kept, struct error *err)
{
	const struct search_request *r = e->request;
	struct store_block_info info = store_block_info(b);
	uint8_t *all;
	enum rc rc = RC_OK;

	if (r->cancelled != NULL && r->cancelled(r->ctx))
		return RC_EOF;
	e->block = b;
	e->n = info.n;
	e->n_masks = 0;
	all = mask_push(e);
	columns_begin(&e->columns, b, info.n);
	memset(all, 0, e->n);
	if (info.from < info.to)
		memset(all + info.from, 1, info.to - info.from);
	if (!info.within)
		rc = within_range(e, all, err);
	if (rc == RC_OK && memchr(all, 1, e->n) != NULL)
		rc = run_node(e, r->query->root, all, err);
	*mask = all;
	*kept = 0;
	for (uint32_t i = 0; i < e->n; i++)
		*kept += all[i];
	return rc;
}
