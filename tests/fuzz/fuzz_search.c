/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a query: it is read, or refused with a column within it.  What is
 * read is tried on a small event's values through the same code as search.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/search/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_leaves(struct matching *m, const struct node *n)
{
	static const struct slice texts[] = {
		SLICE_INIT(""),
		SLICE_INIT("Failed password for root from 192.0.2.7 port 22"),
		SLICE_INIT("2001:db8::7"),
		SLICE_INIT("\xd0\xba\xd2\xaf\xd0\xb7\xd0\xb5\xd1\x82 404"),
	};

	for (uint32_t i = 0; i < n->n; i++)
		try_leaves(m, n->children[i]);
	if (n->kind != NODE_LEAF)
		return;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		(void)leaf_match_text(m, n->leaf, texts[i]);
	(void)leaf_match_integer(m, n->leaf, 404);
	for (uint32_t i = 0; i < n->leaf->n_needs; i++)
		assert(n->leaf->needs[i].len == 0 ||
		    n->leaf->needs[i].ptr != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct search_query *q;
	struct matching m;
	struct error err;
	size_t column;

	if (search_parse(text, INT64_C(1763773323000000000), &q, &column,
		&err) != RC_OK) {
		assert(column >= 1 && column <= size + 1);
		assert(q == NULL && err.text[0] != '\0');
		return 0;
	}
	assert(column == 0);
	matching_init(&m);
	try_leaves(&m, q->root);
	matching_fini(&m);
	search_free(q);
	return 0;
}
