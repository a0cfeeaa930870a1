/* SPDX-License-Identifier: Apache-2.0 */
/* What a match says becomes fields: slices of the line wherever possible. */
#include "address.h"
#include "reader.h"

enum { INT_DIGITS_MAX = 19, HEX_DIGITS_MAX = 16, FLOAT_TEXT_MAX = 40 };

/* Behind 0x, as Windows writes process ids. */
static bool
read_hex(struct slice s, int64_t *out)
{
	uint64_t value = 0;

	if (s.len < 3 || s.len > HEX_DIGITS_MAX + 2 || s.ptr[0] != '0' ||
	    s.ptr[1] != 'x')
		return false;
	for (size_t i = 2; i < s.len; i++) {
		char c = s.ptr[i];
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			digit = (unsigned)(c - 'A') + 10;
		else
			return false;
		value = value << 4 | digit;
	}
	*out = (int64_t)value;
	return value <= INT64_MAX;
}

static bool
read_int(struct slice s, int64_t *out)
{
	bool negative = s.len > 0 && s.ptr[0] == '-';
	uint64_t value = 0;
	size_t i = negative ? 1 : 0;

	if (read_hex(s, out))
		return true;
	if (s.len == i || s.len - i > INT_DIGITS_MAX)
		return false;
	for (; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';

		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	if (value > INT64_MAX)
		return false;
	*out = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* Digits with one point: what logs write; no exponent, no locale. */
static bool
read_float(struct slice s, double *out)
{
	double value = 0, scale = 1;
	bool point = false, digits = false;

	if (s.len > FLOAT_TEXT_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';

		if (s.ptr[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (digit > 9)
			return false;
		digits = true;
		value = value * 10 + digit;
		scale *= point ? 10 : 1;
	}
	*out = value / scale;
	return digits;
}

static struct slice
lower(struct arena *arena, struct slice s)
{
	size_t i = 0;
	char *copy;

	while (i < s.len && !(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z'))
		i++;
	if (i == s.len)
		return s;
	copy = arena_alloc(arena, s.len);
	memcpy(copy, s.ptr, s.len);
	for (; i < s.len; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] - 'A' + 'a');
	return (struct slice){ copy, s.len };
}

static bool
look_up(const struct lookup *l, struct slice key, struct slice *out)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = slice_compare(l->items[mid].key, key);

		if (c == 0) {
			*out = l->items[mid].value;
			return true;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static void
set_ip(uint32_t field, struct slice ip, struct event *ev)
{
	event_set_string(ev, field, ip);
	event_add_string(ev, FIELD_RELATED_IP, ip);
}

static void
set_address(const struct target *t, struct slice s, struct event *ev)
{
	struct slice ip = address_read(s);

	if (ip.len > 0) {
		event_set_string(ev, t->field, ip);
		set_ip(t->ip_field, ip, ev);
		return;
	}
	event_set_string(ev, t->field, s);
	if (address_is_name(s))
		event_set_string(ev, t->domain_field, s);
}

/* Pieces between any characters of `split`; empty ones are left out. */
static void
add_list(const struct target *t, struct slice s, struct event *ev)
{
	unsigned pieces = 0;
	size_t from = 0;

	for (size_t i = 0; t->split != NULL && i < s.len; i++) {
		if (strchr(t->split, s.ptr[i]) == NULL || s.ptr[i] == '\0')
			continue;
		if (i > from && ++pieces < SPLIT_MAX)
			event_add_string(ev, t->field,
			    (struct slice){ s.ptr + from, i - from });
		from = i + 1;
		if (pieces >= SPLIT_MAX)
			return;
	}
	if (from < s.len)
		event_add_string(ev, t->field,
		    (struct slice){ s.ptr + from, s.len - from });
}

/* Behind "scheme://": HOST[:PORT]; userinfo is not split off. */
static struct slice
set_authority(struct slice s, struct event *ev)
{
	const char *slash = memchr(s.ptr, '/', s.len);
	size_t len = slash != NULL ? (size_t)(slash - s.ptr) : s.len;
	struct slice host = { s.ptr, len };
	const char *colon = memrchr(s.ptr, ':', len);
	int64_t port;

	if (colon != NULL &&
	    read_int((struct slice){ colon + 1,
			 len - (size_t)(colon + 1 - s.ptr) },
		&port)) {
		host.len = (size_t)(colon - s.ptr);
		event_set_int(ev, FIELD_URL_PORT, port);
	}
	if (host.len > 0)
		event_set_string(ev, FIELD_URL_DOMAIN, host);
	return (struct slice){ s.ptr + len, s.len - len };
}

/* RFC 9112 section 3.2: origin, absolute, authority and asterisk form. */
static void
set_url(const struct target *t, struct slice s, struct event *ev)
{
	const char *mark;
	struct slice rest = s;

	event_set_string(ev, t->field, s);
	if (s.len > 0 && s.ptr[0] != '/') {
		mark = memmem(s.ptr, s.len < 16 ? s.len : 16, "://", 3);
		if (mark == NULL)
			return;
		event_set_string(ev, FIELD_URL_SCHEME,
		    (struct slice){ s.ptr, (size_t)(mark - s.ptr) });
		rest.ptr = mark + 3;
		rest.len = s.len - (size_t)(rest.ptr - s.ptr);
		rest = set_authority(rest, ev);
	}
	mark = rest.len > 0 ? memchr(rest.ptr, '?', rest.len) : NULL;
	if (mark != NULL) {
		size_t len = (size_t)(mark - rest.ptr);

		if (len + 1 < rest.len)
			event_set_string(ev, FIELD_URL_QUERY,
			    (struct slice){ mark + 1, rest.len - len - 1 });
		rest.len = len;
	}
	if (rest.len > 0)
		event_set_string(ev, FIELD_URL_PATH, rest);
}

static void
set_time(const struct target *t, struct slice s, struct apply *a)
{
	int64_t time_ns;
	size_t n = t->parse_time != NULL
	    ? t->parse_time(s, a->hints, &time_ns)
	    : timestamp_parse_format(s, t->time_format, a->hints, &time_ns);

	if (n == 0)
		return;
	a->ev->time_ns = time_ns;
	a->time_set = true;
}

/* "1.5" times 1000000 is 1500000. */
static void
set_product(const struct target *t, struct slice s, struct event *ev)
{
	static const double most = 9e18;
	double d;

	if (!read_float(s, &d) || d * (double)t->times >= most)
		return;
	event_set_int(ev, t->field, (int64_t)(d * (double)t->times + 0.5));
}

static __attribute__((noinline)) void
target_set(const struct target *t, struct slice value, struct apply *apply)
{
	struct event *ev = apply->ev;
	struct slice s = value;
	int64_t i;
	double d;

	if (t->lookup != NULL && !look_up(t->lookup, s, &s))
		return;
	switch (t->type) {
	case TARGET_INT:
		if (t->times != 0)
			set_product(t, s, ev);
		else if (read_int(s, &i))
			event_set_int(ev, t->field, i);
		break;
	case TARGET_FLOAT:
		if (read_float(s, &d))
			event_set_value(ev, t->field,
			    (struct value){ .kind = VALUE_DOUBLE, .d = d });
		break;
	case TARGET_IP:
		s = address_read(s);
		if (s.len > 0)
			set_ip(t->field, s, ev);
		break;
	case TARGET_ADDRESS:
		set_address(t, s, ev);
		break;
	case TARGET_USER:
		event_set_string(ev, t->field, s);
		event_add_string(ev, FIELD_RELATED_USER, s);
		break;
	case TARGET_LOWER:
		event_set_string(ev, t->field, lower(ev->arena, s));
		break;
	case TARGET_LIST:
		add_list(t, s, ev);
		break;
	case TARGET_URL:
		set_url(t, s, ev);
		break;
	case TARGET_TIME:
		set_time(t, s, apply);
		break;
	case TARGET_READ:
		reader_run(t->reader, s, apply);
		break;
	case TARGET_STRING:
	case TARGET_TYPES:
		event_set_string(ev, t->field, s);
		break;
	}
}

bool
format_lists_none(const struct format *f, struct slice s)
{
	for (uint32_t i = 0; i < f->n_none; i++)
		if (slice_eq(f->none[i], s))
			return true;
	return s.len == 0;
}

void
capture_set(const struct capture *c, struct slice value, struct apply *a)
{
	if (format_means_none(a->format, value))
		return;
	if (c->slot != NO_SLOT)
		a->slots[c->slot] = value;
	for (uint32_t k = 0; k < c->n; k++) {
		const struct target *t = &c->targets[k];

		/* most are no more than that */
		if (t->type == TARGET_STRING && t->lookup == NULL)
			event_set_string(a->ev, t->field, value);
		else
			target_set(t, value, a);
	}
}

static void
set_constants(const struct field *constants, uint32_t n, struct event *ev)
{
	for (uint32_t i = 0; i < n; i++)
		event_set_value(ev, constants[i].id, constants[i].value);
}

void
pattern_apply(const struct pattern *p, struct slice text, struct apply *a)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(a->scratch->match);
	struct slice values[GROUPS_MAX];

	/* all at once: a reader may match another pattern with the scratch */
	for (uint32_t i = 0; i < p->n_captures; i++) {
		size_t group = p->captures[i].group;
		PCRE2_SIZE from = at[2 * group], to = at[2 * group + 1];

		values[i] = (struct slice){ NULL, 0 };
		/* not part of this match (PCRE2_UNSET is beyond any length);
		 * \K could make the ends cross */
		if (to >= from && to <= text.len)
			values[i] =
			    (struct slice){ text.ptr + from, to - from };
	}
	set_constants(p->constants, p->n_constants, a->ev);
	for (uint32_t i = 0; i < p->n_captures; i++)
		if (values[i].ptr != NULL)
			capture_set(&p->captures[i], values[i], a);
}

bool
condition_holds(const struct condition *c, struct slice value)
{
	if (c->absent || value.ptr == NULL)
		return c->absent && value.ptr == NULL;
	for (uint32_t i = 0; i < c->n; i++) {
		struct slice want = c->values[i];

		if (want.len > 0 && want.ptr[want.len - 1] == '*' &&
		    value.len >= want.len - 1 &&
		    memcmp(value.ptr, want.ptr, want.len - 1) == 0)
			return true;
		if (slice_eq(want, value))
			return true;
	}
	return c->n == 0;
}

static bool
case_fits(const struct format_case *c, const struct apply *a)
{
	for (uint32_t i = 0; i < c->n_when; i++)
		if (!condition_holds(&c->when[i], a->slots[c->when[i].slot]))
			return false;
	return true;
}

/* Nothing where a part has no value. */
static void
make_join(const struct join *j, struct apply *a)
{
	size_t len = 0, n = 0;
	char *text;

	for (uint32_t i = 0; i < j->n; i++) {
		const struct join_part *p = &j->parts[i];

		if (p->slot != NO_SLOT && a->slots[p->slot].ptr == NULL)
			return;
		len += p->slot != NO_SLOT ? a->slots[p->slot].len : p->text.len;
	}
	text = arena_alloc(a->ev->arena, len + 1);
	for (uint32_t i = 0; i < j->n; i++) {
		const struct join_part *p = &j->parts[i];
		struct slice s =
		    p->slot != NO_SLOT ? a->slots[p->slot] : p->text;

		memcpy(text + n, s.ptr, s.len);
		n += s.len;
	}
	capture_set(&j->capture, (struct slice){ text, len }, a);
}

void
format_finish(struct apply *a)
{
	const struct format *f = a->format;

	for (uint32_t i = 0; i < f->n_joins; i++)
		make_join(&f->joins[i], a);
	for (uint32_t i = 0; i < f->n_cases; i++)
		if (case_fits(&f->cases[i], a))
			set_constants(f->cases[i].constants,
			    f->cases[i].n_constants, a->ev);
}

const struct capture *
names_find(const struct names *names, struct slice name)
{
	uint32_t place = text_index_find(&names->index, name);

	return place != UINT32_MAX ? &names->list[place].capture : NULL;
}
