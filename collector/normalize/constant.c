/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of the data files that events point to: event.action and its like.
 *
 * An event may outlive the set that made it (a reload swaps sets while batches
 * are on their way), so these are kept for ever, each once, as field names are.
 * What bounds them: CONSTANT_BYTES_MAX, beyond which a file is refused.
 */
#include <pthread.h>
#include <stdlib.h>

#include "format.h"
#include "xalloc.h"

enum { LIST_MAX = 32 };

/* A sorted array: there are a few hundred, and only loading asks. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slice *texts;
static size_t n_texts, cap_texts, bytes;

static bool
find(struct slice s, size_t *at)
{
	size_t low = 0, high = n_texts;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = slice_compare(texts[mid], s);

		if (c == 0) {
			*at = mid;
			return true;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*at = low;
	return false;
}

static struct slice
insert(struct slice s, size_t at)
{
	if (s.len > CONSTANT_BYTES_MAX - bytes)
		return (struct slice){ NULL, 0 };
	if (n_texts == cap_texts) {
		cap_texts = cap_texts > 0 ? 2 * cap_texts : 256;
		texts = xreallocarray(texts, cap_texts, sizeof(texts[0]));
	}
	memmove(&texts[at + 1], &texts[at], (n_texts - at) * sizeof(texts[0]));
	n_texts++;
	bytes += s.len;
	texts[at] = (struct slice){ xmemdupz(s.ptr, s.len), s.len };
	return texts[at];
}

struct slice
constant_intern(struct slice s)
{
	struct slice kept;
	size_t at;

	if (s.len == 0)
		return SLICE("");
	(void)pthread_mutex_lock(&lock);
	kept = find(s, &at) ? texts[at] : insert(s, at);
	(void)pthread_mutex_unlock(&lock);
	return kept;
}

static bool
scalar(const struct yaml_node *node, struct value *out)
{
	bool b;
	int64_t i;
	double d;

	if (node->kind != YAML_SCALAR || yaml_is_null(node))
		return false;
	if (yaml_bool(node, &b)) {
		*out = (struct value){ .kind = VALUE_BOOL, .b = b };
		return true;
	}
	if (yaml_int(node, &i)) {
		*out = (struct value){ .kind = VALUE_INT, .i = i };
		return true;
	}
	if (node->plain && yaml_double(node, &d) && d - d == 0) {
		*out = (struct value){ .kind = VALUE_DOUBLE, .d = d };
		return true;
	}
	*out = (struct value){ .kind = VALUE_STRING,
		.s = constant_intern(node->text) };
	return out->s.ptr != NULL;
}

/*
 * Lists are interned too, as the bytes of their values: those hold pointers to
 * interned texts, so that equal lists are equal bytes.
 */
static bool
list(const struct yaml_node *node, struct value *out)
{
	struct value items[LIST_MAX];
	struct slice kept;

	if (node->n == 0 || node->n > LIST_MAX)
		return false;
	memset(items, 0, sizeof(items));
	for (size_t i = 0; i < node->n; i++) {
		struct value one;

		if (!scalar(node->items[i], &one))
			return false;
		/* member by member: padding stays zero */
		items[i].kind = one.kind;
		if (one.kind == VALUE_STRING)
			items[i].s = one.s;
		else if (one.kind == VALUE_INT)
			items[i].i = one.i;
		else if (one.kind == VALUE_DOUBLE)
			items[i].d = one.d;
		else
			items[i].b = one.b;
	}
	kept = constant_intern(
	    (struct slice){ (const char *)items, node->n * sizeof(items[0]) });
	if (kept.ptr == NULL)
		return false;
	*out = (struct value){ .kind = VALUE_LIST,
		.n = (uint32_t)node->n,
		.list = (const struct value *)(const void *)kept.ptr };
	return true;
}

bool
constant_from_yaml(const struct yaml_node *node, struct value *out)
{
	if (node->kind == YAML_SEQUENCE)
		return list(node, out);
	return node->kind == YAML_SCALAR && scalar(node, out);
}
