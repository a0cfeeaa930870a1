/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/text.h"

#include "json.h"

struct slice
int_text(int64_t i, char out[VALUE_TEXT_MAX])
{
	uint64_t v = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	size_t at = VALUE_TEXT_MAX;

	do {
		out[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	if (i < 0)
		out[--at] = '-';
	return (struct slice){ out + at, VALUE_TEXT_MAX - at };
}

/* As JSON has it: what people see is what they search for. */
struct slice
double_text(double d, char out[VALUE_TEXT_MAX])
{
	struct value v = { .kind = VALUE_DOUBLE, .d = d };
	struct buf text;
	size_t n;

	buf_init(&text, VALUE_TEXT_MAX);
	json_write_value(&text, &v);
	n = text.len;
	if (n > 0)
		memcpy(out, text.ptr, n);
	buf_fini(&text);
	return (struct slice){ out, n };
}

static bool
scalar_equals(const struct value *v, struct slice text)
{
	char room[VALUE_TEXT_MAX];

	switch (v->kind) {
	case VALUE_STRING:
	case VALUE_JSON:
		return slice_eq(v->s, text);
	case VALUE_INT:
		return slice_eq(int_text(v->i, room), text);
	case VALUE_DOUBLE:
		return slice_eq(double_text(v->d, room), text);
	case VALUE_BOOL:
		return slice_eq(v->b ? SLICE("true") : SLICE("false"), text);
	default:
		return false;
	}
}

bool
value_equals_text(const struct value *v, struct slice text)
{
	if (v->kind != VALUE_LIST)
		return scalar_equals(v, text);
	for (uint32_t i = 0; i < v->n; i++)
		if (scalar_equals(&v->list[i], text))
			return true;
	return false;
}
