/* SPDX-License-Identifier: Apache-2.0 */
#include "page.h"

#include <inttypes.h>
#include <stdio.h>

#include "api_private.h"

enum { TIME_DIGITS = 16, ID_MAX = 64, CURSOR_MAX = TIME_DIGITS + 1 + ID_MAX };

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* TIME.ID: the bits of the nanoseconds, in hexadecimal, and the row's id. */
static bool
read_cursor(struct slice s, struct page *out)
{
	uint64_t time_ns = 0;
	size_t n = 0;

	for (; n < s.len && n < TIME_DIGITS && is_hex(s.ptr[n]); n++)
		time_ns = time_ns << 4 |
		    (uint64_t)(s.ptr[n] <= '9' ? s.ptr[n] - '0'
					       : s.ptr[n] - 'a' + 10);
	if (n == 0 || n + 1 >= s.len || s.ptr[n] != '.' ||
	    s.len - n - 1 > ID_MAX)
		return false;
	out->after_ns = (int64_t)time_ns;
	out->after_id = (struct slice){ s.ptr + n + 1, s.len - n - 1 };
	for (size_t i = 0; i < out->after_id.len; i++)
		if (!is_hex(out->after_id.ptr[i]))
			return false;
	return true;
}

enum rc
param_page(const struct ask *a, struct page *out, struct error *err)
{
	struct slice after = http_param(a->request, "after");

	*out = (struct page){ .after_ns = INT64_MIN };
	if (after.ptr != NULL && !read_cursor(after, out))
		return error_set(err, RC_INVALID,
		    "after: give the next of an earlier answer");
	return param_flag(a, "next", &out->next, err);
}

bool
page_is_behind(const struct page *p, int64_t time_ns, struct slice id)
{
	if (p->after_id.ptr == NULL || time_ns != p->after_ns)
		return p->after_id.ptr == NULL || time_ns > p->after_ns;
	return slice_compare(id, p->after_id) > 0;
}

void
page_line(struct ask *a, const char *cursor)
{
	struct json_writer w;

	json_begin(&w, &a->line);
	json_open(&w, '{');
	json_key(&w, "next");
	if (cursor != NULL)
		json_str(&w, cursor);
	else
		json_null(&w);
	json_close(&w, '}');
	(void)ask_line(a);
}

void
page_next(struct ask *a, int64_t time_ns, struct slice id)
{
	char cursor[CURSOR_MAX + 1];

	(void)snprintf(cursor, sizeof(cursor), "%" PRIx64 ".%.*s",
	    (uint64_t)time_ns, SLICE_ARG(id));
	page_line(a, cursor);
}
