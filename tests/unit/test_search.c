/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Search against a literal reading of the language: random events, random
 * queries, and an evaluator that knows neither columns nor filters.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "json.h"
#include "search.h"
#include "store_fixture.h"
#include "tap.h"
#include "timestamp.h"
#include "utf8.h"
#include "xalloc.h"

/* as many in a commit as columns need to give up their dictionaries */
enum { EVENTS = 1500, COMMITS = 3, QUERIES = 80, TEXT_MAX = 4096 };

static struct error err;
static uint64_t seed = 88172645463325252U;
static struct event *all; /* copies, in order of arrival */
static uint32_t n_all;
static struct arena *kept;
static uint32_t status_field, bytes_field, flag_field, path_field;

static unsigned
dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static const char *const users[] = { "root", "Root", "admin", "deploy-7",
	"\xd0\xa1\xd0\xb5\xd1\x80\xd0\xb8\xd0\xba", /* Serik */
	"\xd1\x81\xd0\xb5\xd1\x80\xd0\xb8\xd0\xba", "r", "a.b", "404" };
static const char *const addresses[] = { "192.0.2.7", "192.0.2.77",
	"198.51.100.1", "2001:db8::1", "2001:db8:1::1", "none" };
static const char *const words[] = { "Failed", "password", "for", "invalid",
	"user=root", "ROOT", "x86_64", "\xd0\x96\xd0\xbe\xd0\xbb",
	"sshd[4711]:", "port", "404", "a-b_c", "caf\xc3\xa9", "fail" };
enum {
	N_USERS = sizeof(users) / sizeof(users[0]),
	N_ADDRESSES = sizeof(addresses) / sizeof(addresses[0]),
	N_WORDS = sizeof(words) / sizeof(words[0]),
};

/* ---- events ------------------------------------------------------------------ */

static struct slice
sentence(struct arena *arena)
{
	char text[512] = "";
	size_t n = 0;

	for (unsigned k = 1 + dice(6); k > 0; k--)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
		    words[dice(N_WORDS)], k > 1 ? " " : "");
	if (dice(4) > 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %u",
		    dice(100000));
	return arena_copy(arena, (struct slice){ text, n });
}

static void
fill_text(struct event *ev)
{
	struct slice line = sentence(ev->arena);
	size_t from = 0;

	if (dice(5) > 0)
		event_set_string(ev, FIELD_EVENT_ORIGINAL, line);
	if (dice(4) == 0)
		return;
	if (dice(3) == 0) {
		event_set_string(ev, FIELD_MESSAGE, sentence(ev->arena));
		return;
	}
	while (dice(3) > 0 && from < line.len)
		from++;
	while (
	    from < line.len && ((unsigned char)line.ptr[from] & 0xc0) == 0x80)
		from++;
	event_set_string(ev, FIELD_MESSAGE,
	    (struct slice){ line.ptr + from, line.len - from });
}

static void
fill(struct event *ev, unsigned i)
{
	char text[64];

	ev->id.stream[0] = (uint8_t)(1 + dice(3));
	ev->id.offset = 1000 + i;
	ev->time_ns = T0 + (int64_t)dice(1000) * SECOND / 2;
	ev->arrival_ns = T0 + 1000 * SECOND;
	ev->size = 100;
	fill_text(ev);
	if (dice(3) > 0)
		event_set_string(ev, FIELD_USER_NAME,
		    slice_of(users[dice(N_USERS)]));
	(void)snprintf(text, sizeof(text), "192.0.%u.%u", dice(4), dice(256));
	if (dice(5) > 0)
		event_set_string(ev, FIELD_SOURCE_IP,
		    dice(3) > 0 ? arena_copy(ev->arena, slice_of(text))
				: slice_of(addresses[dice(N_ADDRESSES)]));
	if (dice(2) > 0)
		event_set_int(ev, FIELD_SOURCE_PORT, (int64_t)dice(500) - 20);
	if (dice(3) == 0)
		event_set_int(ev, status_field, 400 + (int64_t)dice(6));
	else if (dice(3) == 0)
		event_set_string(ev, status_field, SLICE("404"));
	if (dice(3) == 0)
		event_set_value(ev, bytes_field,
		    (struct value){ .kind = VALUE_DOUBLE,
			.d = (double)dice(40) / 4 });
	if (dice(4) == 0)
		event_set_bool(ev, flag_field, dice(2) > 0);
	(void)snprintf(text, sizeof(text), "/shop/%u/Item-%u", dice(9),
	    dice(300));
	if (dice(2) > 0)
		event_set_string(ev, path_field,
		    arena_copy(ev->arena, slice_of(text)));
	for (unsigned k = dice(3); k > 0; k--)
		event_add_string(ev, FIELD_EVENT_CATEGORY,
		    slice_of(users[dice(4)]));
}

static int
by_offset(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->id.offset > y->id.offset) - (x->id.offset < y->id.offset);
}

static struct store *
make_store(char *dir)
{
	struct store *s;
	unsigned i = 0;

	if (store_open(dir, &s, &err) != RC_OK)
		abort();
	all = xcalloc(EVENTS, sizeof(all[0]));
	for (unsigned c = 1; c <= COMMITS; c++) {
		struct batch *b = batch_new();
		struct log_record r;

		b->source.owner = SLICE("default");
		b->source.agent = SLICE("web-1");
		for (; i < EVENTS * c / COMMITS; i++) {
			struct event *ev = batch_add_event(b);

			fill(ev, i);
			event_copy(&all[n_all++], kept, ev);
		}
		if (store_append(s, &b, 1, &r, &err) != RC_OK)
			abort();
		log_record_fini(&r);
		batch_free(b);
	}
	qsort(all, n_all, sizeof(all[0]), by_offset);
	return s;
}

/* ---- the literal evaluator ----------------------------------------------------- */

enum what { TERM, EXISTS, COMPARE, NET, REGEX, TIME, AND, OR, NOT };

struct tree {
	enum what what;
	uint32_t field; /* FIELD_NONE: free text */
	char text[256]; /* folded pattern; \1 is "*", \2 is "?" */
	double low, high;
	int64_t from_ns, to_ns;
	unsigned bits;
	bool caseless;
	struct tree *a, *b;
};

static void
fold(const char *s, size_t len, char *out)
{
	struct slice rest = { s, len };

	while (rest.len > 0) {
		uint32_t c;
		size_t n = utf8_decode(rest, &c);

		out += utf8_encode(utf8_fold_char(c), out);
		rest.ptr += n;
		rest.len -= n;
	}
	*out = '\0';
}

static const char *
next_char(const char *s)
{
	do
		s++;
	while (((unsigned char)*s & 0xc0) == 0x80);
	return s;
}

static bool
is_word(char c)
{
	return (unsigned char)c >= 0x80 || (c >= '0' && c <= '9') ||
	    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool
edge(const char *text, const char *at)
{
	return at == text || *at == '\0' || !is_word(at[-1]) || !is_word(*at);
}

/* `text` is all of it, `s` where the pattern stands now. */
static bool
fits(const char *p, const char *text, const char *s, bool in_words)
{
	if (*p == '\0')
		return in_words ? edge(text, s) : *s == '\0';
	if (*p == '\1') {
		if (p[1] == '\0')
			return true;
		for (;; s = next_char(s)) {
			if (fits(p + 1, text, s, in_words))
				return true;
			if (*s == '\0')
				return false;
		}
	}
	if (*s == '\0')
		return false;
	if (*p == '\2')
		return fits(p + 1, text, next_char(s), in_words);
	return *p == *s && fits(p + 1, text, s + 1, in_words);
}

static bool
term_in(const struct tree *t, struct slice value, bool in_words)
{
	char text[TEXT_MAX];

	fold(value.ptr, value.len, text);
	if (!in_words)
		return fits(t->text, text, text, false);
	for (const char *s = text;; s = next_char(s)) {
		if ((t->text[0] == '\1' || edge(text, s)) &&
		    fits(t->text, text, s, true))
			return true;
		if (*s == '\0')
			return false;
	}
}

static bool
as_number(const struct value *v, double *out)
{
	char text[64], *end;

	if (v->kind == VALUE_INT)
		*out = (double)v->i;
	else if (v->kind == VALUE_DOUBLE)
		*out = v->d;
	else if (v->kind == VALUE_STRING && v->s.len > 0 &&
	    v->s.len < sizeof(text) && v->s.ptr[0] >= '0' &&
	    v->s.ptr[0] <= '9') {
		memcpy(text, v->s.ptr, v->s.len);
		text[v->s.len] = '\0';
		*out = strtod(text, &end);
		return *end == '\0';
	} else
		return false;
	return true;
}

static bool
in_net(const struct tree *t, struct slice s)
{
	char text[64];
	uint8_t a[16], b[16];
	int family = strchr(t->text, ':') != NULL ? AF_INET6 : AF_INET;

	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(s));
	if (inet_pton(family, text, a) != 1 ||
	    inet_pton(family, t->text, b) != 1)
		return false;
	for (unsigned i = 0; i < t->bits; i++)
		if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

static bool
contains(struct slice s, const char *text, bool caseless)
{
	char folded[TEXT_MAX];

	if (!caseless)
		return memmem(s.ptr, s.len, text, strlen(text)) != NULL;
	fold(s.ptr, s.len, folded);
	return strstr(folded, text) != NULL;
}

static bool
scalar_is(const struct tree *t, const struct value *v, bool in_words)
{
	struct slice text = v->s;
	struct buf b;
	double number, wanted;
	char *end;
	bool result;

	if (t->what == COMPARE)
		return as_number(v, &number) && number >= t->low &&
		    number < t->high;
	if (t->what == EXISTS)
		return true;
	buf_init(&b, TEXT_MAX);
	if (v->kind != VALUE_STRING) {
		json_write_value(&b, v);
		text = buf_slice(&b);
	}
	if (t->what == NET)
		result = in_net(t, text);
	else if (t->what == REGEX)
		result = contains(text, t->text, t->caseless);
	else
		result = term_in(t, text, in_words);
	buf_fini(&b);
	if (t->what != TERM || result || v->kind == VALUE_STRING ||
	    !as_number(v, &number))
		return result;
	wanted = strtod(t->text, &end);
	return t->text[0] != '\0' && *end == '\0' && wanted <= number &&
	    wanted >= number;
}

static bool
value_is(const struct tree *t, const struct value *v, bool in_words)
{
	if (v == NULL)
		return false;
	if (v->kind != VALUE_LIST)
		return scalar_is(t, v, in_words);
	for (uint32_t i = 0; i < v->n; i++)
		if (scalar_is(t, &v->list[i], in_words))
			return true;
	return false;
}

static bool
free_is(const struct tree *t, const struct event *ev)
{
	const struct value *original = event_get(ev, FIELD_EVENT_ORIGINAL);

	if (value_is(t, original, true) ||
	    value_is(t, event_get(ev, FIELD_MESSAGE), true))
		return true;
	for (uint32_t i = 0; original == NULL && i < ev->n; i++)
		if (value_is(t, &ev->fields[i].value, true))
			return true;
	return false;
}

static bool
holds(const struct tree *t, const struct event *ev)
{
	switch (t->what) {
	case AND:
		return holds(t->a, ev) && holds(t->b, ev);
	case OR:
		return holds(t->a, ev) || holds(t->b, ev);
	case NOT:
		return !holds(t->a, ev);
	case TIME:
		return ev->time_ns >= t->from_ns && ev->time_ns < t->to_ns;
	default:
		if (t->field == FIELD_NONE)
			return free_is(t, ev);
		return value_is(t, event_get(ev, t->field),
		    t->field == FIELD_MESSAGE ||
			t->field == FIELD_EVENT_ORIGINAL);
	}
}

/* ---- random queries -------------------------------------------------------------- */

static struct tree *
tree_new(enum what what)
{
	struct tree *t = arena_alloc(kept, sizeof(*t));

	memset(t, 0, sizeof(*t));
	t->what = what;
	return t;
}

static void
put_field(struct buf *out, struct tree *t, uint32_t field)
{
	t->field = field;
	if (field != FIELD_NONE) {
		(void)buf_add_slice(out, field_name(field));
		(void)buf_add_char(out, ':');
	}
}

/* A value that occurs, or a part of one. */
static struct slice
some_text(uint32_t field)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		const struct event *ev = &all[dice(n_all)];
		struct slice s = event_get_string(ev,
		    field != FIELD_NONE ? field : FIELD_EVENT_ORIGINAL);
		size_t from, len;

		if (s.len == 0)
			continue;
		if (field != FIELD_NONE && dice(3) > 0)
			return s;
		from = dice((unsigned)s.len);
		len = 1 + dice((unsigned)(s.len - from));
		s = (struct slice){ s.ptr + from, len };
		if (utf8_valid(s) && s.ptr[0] != ' ' && s.ptr[len - 1] != ' ')
			return s;
	}
	return SLICE("nothing");
}

static const uint32_t *
text_fields(unsigned *n)
{
	static uint32_t fields[6];

	fields[0] = FIELD_USER_NAME;
	fields[1] = FIELD_SOURCE_IP;
	fields[2] = path_field;
	fields[3] = FIELD_MESSAGE;
	fields[4] = FIELD_EVENT_ORIGINAL;
	fields[5] = FIELD_NONE;
	*n = 6;
	return fields;
}

static struct tree *
random_phrase(struct buf *out)
{
	struct tree *t = tree_new(TERM);
	unsigned n;
	const uint32_t *fields = text_fields(&n);
	uint32_t field = fields[dice(n)];
	struct slice s = some_text(field);

	put_field(out, t, field);
	(void)buf_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			(void)buf_add_char(out, '\\');
		(void)buf_add_char(out, s.ptr[i]);
	}
	(void)buf_add_char(out, '"');
	fold(s.ptr, s.len, t->text);
	return t;
}

/* Unquoted, parts of it replaced by wildcards. */
static struct tree *
random_wildcard(struct buf *out)
{
	struct tree *t = tree_new(TERM);
	unsigned n;
	const uint32_t *fields = text_fields(&n);
	uint32_t field = fields[dice(n)];
	struct slice s = some_text(field);
	size_t k = 0;
	char plain[256] = "";

	put_field(out, t, field);
	(void)buf_add_str(out, "x" + (field != FIELD_NONE || dice(2) > 0));
	if (out->len > 0 && out->ptr[out->len - 1] == 'x')
		plain[k++] = 'x';
	for (size_t i = 0; i < s.len && k < 200;) {
		size_t len = (size_t)(next_char(s.ptr + i) - (s.ptr + i));
		unsigned d = dice(8);

		if (len > s.len - i)
			len = s.len - i;
		if (d == 0 || s.ptr[i] == ' ') {
			(void)buf_add_char(out, '*');
			plain[k++] = '\1';
		} else if (d == 1) {
			(void)buf_add_char(out, '?');
			plain[k++] = '\2';
		} else {
			if (!is_word(s.ptr[i]))
				(void)buf_add_char(out, '\\');
			(void)buf_add(out, s.ptr + i, len);
			memcpy(plain + k, s.ptr + i, len);
			k += len;
		}
		i += len;
	}
	(void)buf_add_char(out, '*');
	plain[k++] = '\1';
	fold(plain, k, t->text);
	/* a name of stars alone asks whether there is anything */
	if (strspn(t->text, "\1") == strlen(t->text))
		t->what = EXISTS;
	return t;
}

static struct tree *
random_compare(struct buf *out)
{
	struct tree *t = tree_new(COMPARE);
	int low = (int)dice(450) - 30, high = low + (int)dice(100);
	uint32_t field = dice(2) > 0 ? FIELD_SOURCE_PORT
	    : dice(2) > 0            ? status_field
				     : bytes_field;

	t->low = -1e300;
	t->high = 1e300;
	t->field = field;
	(void)buf_add_slice(out, field_name(field));
	switch (dice(4)) {
	case 0:
		(void)buf_printf(out, " >= %d", low);
		t->low = low;
		break;
	case 1:
		(void)buf_printf(out, ":<%d", high);
		t->high = high;
		break;
	case 2:
		(void)buf_printf(out, ":[%d TO %d}", low, high);
		t->low = low;
		t->high = high;
		break;
	default:
		(void)buf_printf(out, ":[%d TO %d]", low, high);
		t->low = low;
		t->high = high + 1e-9;
	}
	return t;
}

static struct tree *
random_number(struct buf *out)
{
	static const char *const numbers[] = { "404", "403", "7", "2.25", "-3",
		"100", "1" };
	struct tree *t = tree_new(TERM);
	const char *s = numbers[dice(7)];
	uint32_t fields[] = { FIELD_SOURCE_PORT, status_field, bytes_field,
		FIELD_USER_NAME };

	put_field(out, t, fields[dice(4)]);
	(void)buf_add_str(out, s);
	(void)snprintf(t->text, sizeof(t->text), "%s", s);
	return t;
}

static struct tree *
random_net(struct buf *out)
{
	static const struct {
		const char *address;
		unsigned bits;
	} nets[] = { { "192.0.2.0", 24 }, { "192.0.2.64", 26 },
		{ "0.0.0.0", 0 }, { "192.0.0.0", 8 }, { "2001:db8::", 32 },
		{ "2001:db8::", 48 }, { "2001:db8::1", 128 } };
	struct tree *t = tree_new(NET);
	unsigned i = dice(7);

	put_field(out, t, FIELD_SOURCE_IP);
	(void)buf_printf(out, "%s/%u", nets[i].address, nets[i].bits);
	(void)snprintf(t->text, sizeof(t->text), "%s", nets[i].address);
	t->bits = nets[i].bits;
	return t;
}

static struct tree *
random_regex(struct buf *out)
{
	struct tree *t = tree_new(REGEX);
	unsigned n;
	const uint32_t *fields = text_fields(&n);
	uint32_t field = fields[dice(n)];
	struct slice s = some_text(field);

	t->caseless = dice(2) > 0;
	put_field(out, t, field);
	(void)buf_add_char(out, '/');
	for (size_t i = 0; i < s.len; i++) {
		if (!is_word(s.ptr[i]))
			(void)buf_add_char(out, '\\');
		(void)buf_add_char(out, s.ptr[i]);
	}
	(void)buf_add_str(out, t->caseless ? "/i" : "/");
	if (t->caseless) {
		fold(s.ptr, s.len, t->text);
	} else {
		memcpy(t->text, s.ptr, s.len);
		t->text[s.len] = '\0';
	}
	return t;
}

static struct tree *
random_time(struct buf *out)
{
	struct tree *t = tree_new(TIME);
	char low[TIMESTAMP_TEXT_MAX], high[TIMESTAMP_TEXT_MAX];
	int64_t from = T0 + dice(500) * SECOND, to = from + dice(200) * SECOND;

	(void)buf_printf(out, "@timestamp:[%.*s TO %.*s}",
	    SLICE_ARG(timestamp_format(from, low)),
	    SLICE_ARG(timestamp_format(to, high)));
	t->from_ns = from;
	t->to_ns = to;
	return t;
}

static struct tree *
random_leaf(struct buf *out)
{
	struct tree *t;
	const uint32_t fields[] = { FIELD_USER_NAME, FIELD_EVENT_CATEGORY,
		flag_field, FIELD_EVENT_ORIGINAL };

	switch (dice(12)) {
	case 0:
		t = tree_new(EXISTS);
		put_field(out, t, fields[dice(4)]);
		(void)buf_add_char(out, '*');
		return t;
	case 1:
	case 2:
		return random_compare(out);
	case 3:
		return random_net(out);
	case 4:
		return random_regex(out);
	case 5:
		return random_time(out);
	case 6:
		return random_number(out);
	case 7:
	case 8:
		return random_wildcard(out);
	case 9:
		t = tree_new(TERM);
		put_field(out, t, FIELD_EVENT_CATEGORY);
		(void)buf_add_str(out, "ROOT");
		(void)snprintf(t->text, sizeof(t->text), "root");
		return t;
	default:
		return random_phrase(out);
	}
}

static struct tree *
random_tree(struct buf *out, unsigned depth)
{
	unsigned d = depth > 0 ? dice(5) : 4;
	struct tree *t;

	if (d > 2)
		return random_leaf(out);
	t = tree_new(d == 0 ? AND : d == 1 ? OR : NOT);
	(void)buf_add_str(out, d == 2 ? "NOT (" : "(");
	t->a = random_tree(out, depth - 1);
	if (d < 2) {
		(void)buf_add_str(out,
		    d == 0 ? (dice(2) > 0 ? " AND " : " ") : " or ");
		t->b = random_tree(out, depth - 1);
	}
	(void)buf_add_char(out, ')');
	return t;
}

/* ---- both answers ----------------------------------------------------------------- */

struct answer {
	uint64_t offsets[EVENTS + 1];
	size_t n;
};

static bool
take(void *ctx, const struct event *ev)
{
	struct answer *a = ctx;

	if (a->n < EVENTS)
		a->offsets[a->n++] = ev->id.offset;
	return true;
}

static int
by_time(const void *a, const void *b)
{
	const struct event *x = &all[*(const uint64_t *)a - 1000];
	const struct event *y = &all[*(const uint64_t *)b - 1000];
	int c;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	c = memcmp(x->id.stream, y->id.stream, 16);
	return c != 0 ? c : by_offset(x, y);
}

static bool
same(const struct answer *a, const struct answer *b)
{
	return a->n == b->n &&
	    memcmp(a->offsets, b->offsets, a->n * sizeof(a->offsets[0])) == 0;
}

static bool
sorted_pages_agree(struct store *s, const struct search_request *r,
    const struct answer *wanted, enum search_sort sort, uint64_t limit)
{
	struct search_page page = { .sort = sort, .limit = limit };
	struct answer got = { .n = 0 };
	char after[SEARCH_CURSOR_MAX];

	for (;;) {
		if (search_events(s, r, &page, take, &got, &err) != RC_OK)
			return false;
		if (page.next[0] == '\0')
			return same(&got, wanted);
		memcpy(after, page.next, sizeof(after));
		page.after = slice_of(after);
	}
}

static bool
answers_agree(struct store *s, const struct tree *t,
    const struct search_request *r)
{
	struct search_page arrival = { .sort = SEARCH_ARRIVAL };
	struct answer wanted = { .n = 0 }, got = { .n = 0 };
	uint64_t count = 0;

	for (uint32_t i = 0; i < n_all; i++)
		if (holds(t, &all[i]))
			(void)take(&wanted, &all[i]);
	if (search_count(s, r, &count, &err) != RC_OK || count != wanted.n) {
		(void)printf("# count %llu, not %zu\n",
		    (unsigned long long)count, wanted.n);
		return false;
	}
	if (search_events(s, r, &arrival, take, &got, &err) != RC_OK ||
	    !same(&got, &wanted))
		return false;
	qsort(wanted.offsets, wanted.n, sizeof(wanted.offsets[0]), by_time);
	if (!sorted_pages_agree(s, r, &wanted, SEARCH_OLDEST, 0) ||
	    !sorted_pages_agree(s, r, &wanted, SEARCH_OLDEST, 1 + dice(99)))
		return false;
	for (size_t i = 0; i < wanted.n / 2; i++) {
		uint64_t x = wanted.offsets[i];

		wanted.offsets[i] = wanted.offsets[wanted.n - 1 - i];
		wanted.offsets[wanted.n - 1 - i] = x;
	}
	return sorted_pages_agree(s, r, &wanted, SEARCH_NEWEST, 1 + dice(99));
}

static void
queries_mean_what_they_say(struct store *s)
{
	struct buf text;
	unsigned failed = 0, some = 0;

	buf_init(&text, SEARCH_TEXT_MAX);
	for (unsigned i = 0; i < QUERIES && failed < 5; i++) {
		struct search_request r = { .since_ns = INT64_MIN,
			.until_ns = INT64_MAX };
		struct search_query *q = NULL;
		struct tree *t;
		size_t column;
		unsigned before = failed;

		buf_clear(&text);
		t = random_tree(&text, dice(4));
		if (search_parse(buf_slice(&text), T0, &q, &column, &err) !=
		    RC_OK) {
			(void)printf("# column %zu: %s\n", column, err.text);
			failed++;
		} else {
			r.query = q;
			if (!answers_agree(s, t, &r))
				failed++;
			else
				some++;
		}
		search_free(q);
		if (failed > before)
			(void)printf("# %.*s\n", SLICE_ARG(buf_slice(&text)));
	}
	CHECK(failed == 0 && some == QUERIES,
	    "%u random queries find what a literal reading finds", some);
	buf_fini(&text);
}

/* ---- groups ------------------------------------------------------------------------- */

struct groups {
	struct store *store;
	uint32_t by[2];
	unsigned n_by;
	uint64_t rows, wrong, sum, last;
};

static bool
scalar_same(const struct value *v, const struct value *key)
{
	struct buf a, b;
	bool equal;

	buf_init(&a, TEXT_MAX);
	buf_init(&b, TEXT_MAX);
	json_write_value(&a, v);
	json_write_value(&b, key);
	equal = slice_eq(buf_slice(&a), buf_slice(&b));
	buf_fini(&a);
	buf_fini(&b);
	return equal;
}

static bool
has_value(const struct event *ev, uint32_t field, const struct value *key)
{
	const struct value *v = event_get(ev, field);

	if (v == NULL)
		return false;
	if (v->kind != VALUE_LIST)
		return scalar_same(v, key);
	for (uint32_t i = 0; i < v->n; i++)
		if (scalar_same(&v->list[i], key))
			return true;
	return false;
}

static bool
check_row(void *ctx, const struct search_row *row)
{
	struct groups *g = ctx;
	uint64_t count = 0;

	for (uint32_t i = 0; i < n_all; i++) {
		bool in = true;

		for (unsigned k = 0; k < g->n_by; k++)
			in = in && has_value(&all[i], g->by[k], &row->key[k]);
		count += in;
	}
	g->rows++;
	g->sum += row->count;
	g->wrong += row->count != count || (g->rows > 1 && count > g->last);
	g->last = count;
	return true;
}

static void
groups_count_each_value(struct store *s)
{
	const uint32_t fields[] = { FIELD_USER_NAME, FIELD_SOURCE_PORT,
		FIELD_EVENT_CATEGORY, status_field, bytes_field, flag_field,
		path_field };
	struct search_query *q;
	size_t column;

	(void)search_parse(SLICE(""), T0, &q, &column, &err);
	for (unsigned i = 0; i < 7; i++) {
		for (unsigned k = 0; k < 7; k++) {
			struct search_request r = { .query = q,
				.since_ns = INT64_MIN,
				.until_ns = INT64_MAX };
			struct search_groups w = { .by = { fields[i],
						       fields[k] },
				.n_by = i == k ? 1 : 2 };
			struct groups g = { .store = s,
				.by = { fields[i], fields[k] },
				.n_by = w.n_by };

			CHECK(search_group(s, &r, &w, check_row, &g, &err) ==
				    RC_OK &&
				g.wrong == 0 && g.rows > 1 && w.other == 0,
			    "%llu groups of fields %u and %u",
			    (unsigned long long)g.rows, i, k);
		}
	}
	search_free(q);
}

struct histogram {
	uint64_t counts[20];
	unsigned n;
	bool ascending;
	int64_t last_ns;
};

static bool
take_bucket(void *ctx, const struct search_row *row)
{
	struct histogram *h = ctx;

	h->ascending = h->ascending && *row->bucket_ns > h->last_ns;
	h->last_ns = *row->bucket_ns;
	if (h->n < 20)
		h->counts[h->n++] = row->count;
	return true;
}

static void
time_is_cut_into_spans(struct store *s)
{
	struct histogram h = { .ascending = true, .last_ns = INT64_MIN };
	struct search_groups w = { .every_ns = 60 * SECOND };
	struct search_request r = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	uint64_t wanted[20] = { 0 };
	int64_t first = T0 - T0 % (60 * SECOND);
	struct search_query *q;
	size_t column;
	bool equal = true;

	(void)search_parse(SLICE("*"), T0, &q, &column, &err);
	r.query = q;
	for (uint32_t i = 0; i < n_all; i++)
		wanted[(all[i].time_ns - first) / (60 * SECOND)]++;
	(void)search_group(s, &r, &w, take_bucket, &h, &err);
	for (unsigned i = 0; i < h.n; i++)
		equal = equal && h.counts[i] == wanted[i];
	CHECK(h.n == 9 && h.ascending && equal,
	    "a histogram counts each minute, in order");
	search_free(q);
}

struct figures {
	uint64_t rows, distinct, measured;
	double percents[3], sum;
	bool exact;
};

static bool
take_figures(void *ctx, const struct search_row *row)
{
	struct figures *f = ctx;

	f->rows++;
	f->distinct = row->distinct;
	f->measured = row->measured;
	f->sum = row->sum;
	f->exact = row->distinct_exact && row->percentiles_exact;
	for (unsigned i = 0; i < 3 && row->percentiles != NULL; i++)
		f->percents[i] = row->percentiles[i];
	return true;
}

static int
compare_ports(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
figures_of_a_field(struct store *s)
{
	static int64_t ports[EVENTS];
	struct figures f = { .rows = 0 };
	struct search_groups w = { .distinct = FIELD_SOURCE_PORT,
		.measure = FIELD_SOURCE_PORT,
		.percents = { 0, 50, 100 },
		.n_percents = 3 };
	struct search_request r = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	size_t n = 0, distinct = 0, column;
	struct search_query *q;
	int64_t sum = 0;

	(void)search_parse(SLICE("*"), T0, &q, &column, &err);
	r.query = q;
	for (uint32_t i = 0; i < n_all; i++) {
		const struct value *v = event_get(&all[i], FIELD_SOURCE_PORT);

		if (v == NULL)
			continue;
		ports[n++] = v->i;
		sum += v->i;
	}
	qsort(ports, n, sizeof(ports[0]), compare_ports);
	for (size_t i = 0; i < n; i++)
		distinct += i == 0 || ports[i] != ports[i - 1];
	(void)search_group(s, &r, &w, take_figures, &f, &err);
	CHECK(f.rows == 1 && f.exact && f.distinct == distinct &&
		f.measured == n && (int64_t)f.percents[0] == ports[0] &&
		(int64_t)f.percents[1] == ports[(n + 1) / 2 - 1] &&
		(int64_t)f.percents[2] == ports[n - 1] && (int64_t)f.sum == sum,
	    "distinct values, sum and percentiles of few values are exact");
	search_free(q);
}

/* ---- the rest ------------------------------------------------------------------------ */

static uint64_t
count_of(struct store *s, const char *text, struct slice owner)
{
	struct search_request r = { .owner = owner,
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	struct search_query *q;
	uint64_t n = 0;
	size_t column;

	if (search_parse(slice_of(text), T0, &q, &column, &err) != RC_OK)
		return UINT64_MAX;
	r.query = q;
	if (search_count(s, &r, &n, &err) != RC_OK)
		n = UINT64_MAX;
	search_free(q);
	return n;
}

static void
identities_and_owners(struct store *s)
{
	char text[128], id[EVENT_ID_TEXT_MAX];
	struct slice none = { NULL, 0 };
	struct slice printed = event_id_format(&all[5].id, id);

	(void)snprintf(text, sizeof(text), "event.id:\"%.*s\"",
	    SLICE_ARG(printed));
	CHECK(count_of(s, text, none) == 1, "an event is found by its id");
	(void)snprintf(text, sizeof(text), "event.id:%.8s*", printed.ptr);
	CHECK(count_of(s, text, none) > 100, "or by a part of it");
	CHECK(count_of(s, "", SLICE("default")) == EVENTS,
	    "an owner sees its own events");
	CHECK(count_of(s, "", SLICE("north")) == 0, "and no others");
	CHECK(count_of(s, "source.*:192.0.2.7", none) ==
		count_of(s, "source.ip:192.0.2.7", none),
	    "names of fields may have wildcards");
	CHECK(count_of(s, "source.ip:2001:DB8:0::1", none) ==
		count_of(s, "source.ip:\"2001:db8::1\"", none),
	    "an address is found however it is written");
	CHECK(count_of(s, "NOT _exists_:user.name", none) +
		    count_of(s, "user.name:*", none) ==
		EVENTS,
	    "a field is there or not");
	CHECK(count_of(s, "no.such.field:1", none) == 0,
	    "a field that nobody has is found nowhere");
}

static bool
stop_at_once(void *ctx)
{
	++*(unsigned *)ctx;
	return true;
}

static void
a_query_can_be_cancelled(struct store *s)
{
	unsigned asked = 0;
	struct search_request r = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.cancelled = stop_at_once,
		.ctx = &asked };
	struct search_query *q;
	uint64_t n = 0;
	size_t column;

	(void)search_parse(SLICE("root"), T0, &q, &column, &err);
	r.query = q;
	CHECK(search_count(s, &r, &n, &err) == RC_OK && n == 0 && asked == 1,
	    "a cancelled query ends before the first block");
	search_free(q);
}

static void
a_cursor_of_somebody_else_is_refused(struct store *s)
{
	struct search_page page = { .sort = SEARCH_OLDEST,
		.limit = 1,
		.after = SLICE("1.2.x") };
	struct search_request r = { .since_ns = INT64_MIN,
		.until_ns = INT64_MAX };
	struct answer got = { .n = 0 };
	struct search_query *q;
	size_t column;

	(void)search_parse(SLICE(""), T0, &q, &column, &err);
	r.query = q;
	CHECK(search_events(s, &r, &page, take, &got, &err) == RC_INVALID &&
		got.n == 0,
	    "what is no cursor is refused");
	search_free(q);
}

/* ---- several days of arrival ---------------------------------------------------- */

enum { A_BATCH = 30, BATCHES = 6 };

struct times {
	int64_t list[A_BATCH * BATCHES];
	size_t n;
};

static bool
add_time(void *ctx, const struct event *ev)
{
	struct times *t = ctx;

	t->list[t->n++] = ev->time_ns;
	return t->n < sizeof(t->list) / sizeof(t->list[0]);
}

/* Events come late, and a clock is ahead over the end of the day. */
static struct store *
make_days(const char *dir)
{
	static const struct {
		unsigned arrives; /* day */
		int64_t second;   /* of the first event, of day 0 */
	} batches[BATCHES] = { { 0, 1000 }, { 0, 86400 - 20 }, { 1, 500 },
		{ 1, 86400 + 50 }, { 2, 86400 - 40 }, { 2, 86400 + 40 } };
	const int64_t day0 = T0 - T0 % DAY;
	struct store *s = fixture_open(dir);

	for (unsigned i = 0; i < BATCHES; i++) {
		int64_t noon = day0 + batches[i].arrives * DAY + 43200 * SECOND;
		const struct fixture_batch f = {
			.offset = UINT64_C(100000) * (i + 1),
			.time_ns = day0 + batches[i].second * SECOND,
			/* the clock of the second is 10 s ahead */
			.arrival_ns = i == 1 ? day0 + DAY - 10 * SECOND : noon,
			.n = A_BATCH,
			.stream = 1,
		};
		struct log_record r;

		if (fixture_append(s, &f, &r, &err) != RC_OK)
			abort();
		log_record_fini(&r);
	}
	return s;
}

/* The first `limit` of the sort, 0: all, at a time from `since_ns` on. */
static void
times_of(struct store *s, enum search_sort sort, uint64_t limit,
    int64_t since_ns, struct times *out)
{
	struct search_page page = { .sort = sort, .limit = limit };
	struct search_request r = { .since_ns = since_ns,
		.until_ns = INT64_MAX };
	struct search_query *q;
	size_t column;

	out->n = 0;
	(void)search_parse(SLICE(""), T0, &q, &column, &err);
	r.query = q;
	if (search_events(s, &r, &page, add_time, out, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	search_free(q);
}

static int
compare_times(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
days_are_sorted_together(void)
{
	char *dir = fixture_folder();
	struct store *s = make_days(dir);
	const int64_t second_day = T0 - T0 % DAY + DAY;
	struct times want, got;
	bool newest = true, oldest = true;

	times_of(s, SEARCH_ARRIVAL, 0, INT64_MIN, &want);
	CHECK(want.n == (size_t)A_BATCH * BATCHES, "all events of the days");
	qsort(want.list, want.n, sizeof(want.list[0]), compare_times);
	for (uint64_t limit = 1; limit <= want.n; limit += 7) {
		times_of(s, SEARCH_NEWEST, limit, INT64_MIN, &got);
		newest &= got.n == limit;
		for (size_t i = 0; i < got.n; i++)
			newest &= got.list[i] == want.list[want.n - 1 - i];
		times_of(s, SEARCH_OLDEST, limit, INT64_MIN, &got);
		oldest &= got.n == limit;
		for (size_t i = 0; i < got.n; i++)
			oldest &= got.list[i] == want.list[i];
	}
	CHECK(newest, "the newest come first, in whatever file they are");
	CHECK(oldest, "and the oldest");
	times_of(s, SEARCH_ARRIVAL, 0, second_day, &got);
	for (size_t i = 0; i < want.n; i++)
		got.n -= want.list[i] >= second_day;
	CHECK(got.n == 0,
	    "no day is passed over that has an event of the time");
	store_close(s);
	fixture_remove(dir);
}

int
main(void)
{
	char *dir = fixture_folder();
	struct store *s;

	status_field = field_intern(SLICE("http.response.status_code"));
	bytes_field = field_intern(SLICE("http.response.bytes"));
	flag_field = field_intern(SLICE("tls.established"));
	path_field = field_intern(SLICE("url.path"));
	kept = arena_new(1 << 20);
	s = make_store(dir);
	queries_mean_what_they_say(s);
	groups_count_each_value(s);
	time_is_cut_into_spans(s);
	figures_of_a_field(s);
	identities_and_owners(s);
	a_query_can_be_cancelled(s);
	a_cursor_of_somebody_else_is_refused(s);
	days_are_sorted_together();
	store_close(s);
	free(all);
	arena_free(kept);
	fixture_remove(dir);
	return tap_done();
}
