/* SPDX-License-Identifier: Apache-2.0 */
#include "ascii.h"
#include "http.h"

struct slice
http_param(const struct http_request *r, const char *name)
{
	struct slice wanted = { name, strlen(name) };

	for (size_t i = 0; i < r->n_params; i++)
		if (slice_eq(r->params[i].name, wanted))
			return r->params[i].value;
	return (struct slice){ NULL, 0 };
}

bool
http_decode(struct slice *s, char *text, bool form)
{
	char *to = text;

	for (size_t i = 0; i < s->len; i++) {
		char c = s->ptr[i];

		if (c == '%') {
			int high = i + 2 < s->len
			    ? ascii_hex_value(s->ptr[i + 1])
			    : -1;
			int low =
			    high >= 0 ? ascii_hex_value(s->ptr[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		*to++ = c;
	}
	s->len = (size_t)(to - text);
	return true;
}

bool
http_parse_query(char *text, struct http_request *r)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "&");
		size_t equals = strcspn(text, "=&");
		struct http_param *p = &r->params[r->n_params];
		char *value = text + equals + (equals < len);
		bool more = text[len] == '&';

		if (len > 0) {
			if (r->n_params == HTTP_PARAMS_MAX)
				return false;
			p->name = (struct slice){ text, equals };
			p->value = (struct slice){ value,
				(size_t)(text + len - value) };
			if (!http_decode(&p->name, text, true) ||
			    !http_decode(&p->value, value, true))
				return false;
			r->n_params++;
		}
		text += len + more;
	}
	return true;
}

/* RFC 6265, 4.2.1 */
struct slice
http_cookie(struct slice header, const char *name)
{
	size_t len = strlen(name);

	while (header.len > 0) {
		const char *end = memchr(header.ptr, ';', header.len);
		size_t n =
		    end != NULL ? (size_t)(end - header.ptr) : header.len;

		if (n > len && memcmp(header.ptr, name, len) == 0 &&
		    header.ptr[len] == '=')
			return (
			    struct slice){ header.ptr + len + 1, n - len - 1 };
		n += n < header.len;
		while (n < header.len && header.ptr[n] == ' ')
			n++;
		header.ptr += n;
		header.len -= n;
	}
	return (struct slice){ NULL, 0 };
}
