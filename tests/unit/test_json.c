/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "tap.h"
#include "utf8.h"
#include "xalloc.h"

enum { TEXT_MAX = 1 << 22 };

/* Reads, writes: "rc: message" where reading failed. */
static const char *
through(struct slice text, enum json_shape shape)
{
	static char result[4096];
	struct batch *b = batch_new();
	struct event *ev = batch_add_event(b);
	struct error err;
	struct buf out;

	buf_init(&out, TEXT_MAX);
	if (json_read_event(text, &json_limits_default, ev, &err) != RC_OK)
		(void)snprintf(result, sizeof(result), "%d: %s", err.code,
		    err.text);
	else {
		json_write_event(&out, ev, shape);
		(void)snprintf(result, sizeof(result), "%.*s", (int)out.len,
		    out.ptr);
	}
	buf_fini(&out);
	batch_free(b);
	return result;
}

#define T "\"@timestamp\":\"2026-11-22T01:02:03.000Z\""

static const struct {
	const char *in, *nested, *flat;
} cases[] = {
	{ "{" T "}", "{" T "}", "{" T "}" },
	{ "\xef\xbb\xbf {\t" T "\r\n} ", "{" T "}", "{" T "}" },
	{ "{" T ",\"b\":{\"y\":1,\"x\":{\"z\":null}},\"a\":true}",
	    "{" T ",\"a\":true,\"b\":{\"x\":{\"z\":null},\"y\":1}}",
	    "{" T ",\"a\":true,\"b.x.z\":null,\"b.y\":1}" },
	{ "{" T ",\"a\":1,\"a.b\":2,\"a\":3}", "{" T ",\"a\":3,\"a.b\":2}",
	    "{" T ",\"a\":3,\"a.b\":2}" },
	{ "{" T ",\"x\":{\"a\":1,\"a.b.c\":2,\"a-b\":3}}",
	    "{" T ",\"x\":{\"a\":1,\"a-b\":3,\"a.b.c\":2}}",
	    "{" T ",\"x.a\":1,\"x.a-b\":3,\"x.a.b.c\":2}" },
	{ "{" T ",\"a.\":1,\".b\":2,\"c..d\":3,\".\":4}",
	    "{" T ",\".\":4,\".b\":2,\"a.\":1,\"c\":{\".d\":3}}",
	    "{" T ",\".\":4,\".b\":2,\"a.\":1,\"c..d\":3}" },
	{ "{" T ",\"l\":[1,\"a\",null,true,1.5],\"e\":[],\"o\":{}}",
	    "{" T ",\"e\":[],\"l\":[1,\"a\",null,true,1.5],\"o\":{}}", NULL },
	{ "{" T ",\"l\":[1, {\"b\" : \" \\\" \"} ,[ ]]}",
	    "{" T ",\"l\":[1,{\"b\":\" \\\" \"},[]]}", NULL },
	{ "{" T ",\"n\":[9223372036854775807,-9223372036854775808]}",
	    "{" T ",\"n\":[9223372036854775807,-9223372036854775808]}", NULL },
	{ "{" T ",\"n\":9223372036854775808,\"m\":1e999,\"o\":-0}",
	    "{" T ",\"m\":1e999,\"n\":9223372036854775808,\"o\":-0.0}", NULL },
	{ "{" T ",\"d\":[0.1,1.0,1E2,-43.2380,1e-7,123456789.125]}",
	    "{" T ",\"d\":[0.1,1.0,100.0,-43.238,0.0000001,"
	    "123456789.125]}",
	    NULL },
	{ "{" T
	  ",\"d\":[1e300,2.2250738585072014e-308,0.30000000000000004,1e22]}",
	    "{" T
	    ",\"d\":[1e+300,2.2250738585072014e-308,0.30000000000000004,1e+22]}",
	    NULL },
	{ "{" T ",\"s\":\"\\u0041\\n\\/\\\"\\\\\\u001f\\ud83d\\ude00\"}",
	    "{" T ",\"s\":\"A\\n/\\\"\\\\\\u001f\xf0\x9f\x98\x80\"}", NULL },
	{ "{" T ",\"s\":\"\\ud800x\\udc00\",\"\\ud83dk\":1}",
	    "{" T ",\"s\":\"\xef\xbf\xbdx\xef\xbf\xbd\","
	    "\"\xef\xbf\xbdk\":1}",
	    NULL },
	{ "{" T ",\"s\":\"a\\u0000b\"}", "{" T ",\"s\":\"a\\u0000b\"}", NULL },
	{ "{" T ",\"s\":\"\xff\xc3\xa9\xe2\x82\"}",
	    "{" T ",\"s\":\"\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\"}", NULL },
	{ "{" T ",\"s\":[[\"\xff\"]]}", "{" T ",\"s\":[[\"\xef\xbf\xbd\"]]}",
	    NULL },
	{ "{\"@timestamp\":\"2026-11-22T06:02:03.123456+05:00\"}",
	    "{\"@timestamp\":\"2026-11-22T01:02:03.123456Z\"}", NULL },
	{ "{\"@timestamp\":\"yesterday\"}",
	    "{\"@timestamp\":\"1970-01-01T00:00:00.000Z\","
	    "\"kuzet\":{\"timestamp\":\"yesterday\"}}",
	    NULL },
	{ "{" T ",\"event\":{\"id\":\"x:1\",\"kind\":\"event\"}}",
	    "{" T ",\"event\":{\"id\":\"x:1\",\"kind\":\"event\"}}", NULL },
	{ "{" T ",\"\":1,\"a\":{\"\":{\"b\":2}}}", "{" T "}", NULL },
	{ "[]", "4: JSON, byte 0: no object", NULL },
	{ "", "4: JSON, byte 0: no object", NULL },
	{ "{\"a\":1",
	    "4: JSON, byte 6: a comma or closing bracket "
	    "is missing",
	    NULL },
	{ "{\"a\":1,}", "4: JSON, byte 7: a key is missing", NULL },
	{ "{\"a\":01}", "4: JSON, byte 5: a number that begins with 0", NULL },
	{ "{\"a\":1}\f", "4: JSON, byte 7: text behind the object", NULL },
	{ "{\f\"a\":1}", "4: JSON, byte 1: a key is missing", NULL },
	{ "{\"a\":[1,]}", "4: JSON, byte 8: a value is missing", NULL },
	{ "{\"a\":\"\n\"}", "4: JSON, byte 6: a control character in a string",
	    NULL },
};

static void
events_pass_through(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice in = { cases[i].in, strlen(cases[i].in) };
		const char *got = through(in, JSON_NESTED);
		struct slice again = { cases[i].nested,
			strlen(cases[i].nested) };

		CHECK(strcmp(got, cases[i].nested) == 0, "nested: case %zu", i);
		if (strcmp(got, cases[i].nested) != 0)
			(void)printf("# got  %s\n# want %s\n", got,
			    cases[i].nested);
		if (cases[i].nested[0] == '{')
			CHECK(strcmp(through(again, JSON_NESTED),
				  cases[i].nested) == 0,
			    "what was written reads as the same: case %zu", i);
		if (cases[i].flat != NULL)
			CHECK(strcmp(through(in, JSON_FLAT), cases[i].flat) ==
				0,
			    "flat: case %zu", i);
	}
}

static void
bounds_hold(void)
{
	struct json_limits limits = { .depth = 3, .text_bytes = 8 };
	struct batch *b = batch_new();
	struct event *ev = batch_add_event(b);
	struct error err;
	struct buf many;

	CHECK(json_read_event(SLICE("{\"a\":{\"b\":{\"c\":1}}}"), &limits, ev,
		  &err) == RC_OK,
	    "three levels are allowed");
	CHECK(json_read_event(SLICE("{\"a\":{\"b\":{\"c\":{\"d\":1}}}}"),
		  &limits, ev, &err) == RC_LIMIT &&
		json_read_event(SLICE("{\"a\":{\"b\":{\"c\":[]}}}"), &limits,
		    ev, &err) == RC_LIMIT &&
		json_read_event(SLICE("{\"a\":[[[1]]]}"), &limits, ev, &err) ==
		    RC_LIMIT &&
		json_read_event(SLICE("{\"\":{\"x\":{\"y\":{}}}}"), &limits, ev,
		    &err) == RC_LIMIT,
	    "four are too deep, in arrays and refused members too");
	ev = batch_add_event(b);
	CHECK(json_read_event(SLICE("{\"message\":\"1234567\xd0\x96\","
				    "\"log\":{\"flags\":[\"x\"]}}"),
		  &limits, ev, &err) == RC_OK &&
		slice_eq(event_get_string(ev, FIELD_MESSAGE),
		    SLICE("1234567")) &&
		event_get(ev, FIELD_LOG_FLAGS)->n == 2,
	    "long text is cut at a character and marked");
	ev = batch_add_event(b);
	CHECK(json_read_event(SLICE("{\"a\":[[1,2,3,4,5,6]]}"), &limits, ev,
		  &err) == RC_OK &&
		slice_eq(event_get_string(ev, field_find(SLICE("a"))),
		    SLICE("[[1,2,3,")),
	    "a long array of arrays becomes its text, cut");

	buf_init(&many, TEXT_MAX);
	(void)buf_add_str(&many, "{\"x\":0");
	for (int round = 0; round < 2; round++)
		for (unsigned i = 0; i < EVENT_FIELDS_MAX + 5; i++)
			(void)buf_printf(&many, ",\"many.f%u\":%d", i, round);
	(void)buf_add_str(&many, "}");
	ev = batch_add_event(b);
	CHECK(json_read_event(buf_slice(&many), &json_limits_default, ev,
		  &err) == RC_OK &&
		ev->n == EVENT_FIELDS_MAX && ev->dropped == 12 &&
		event_get(ev, field_find(SLICE("many.f900")))->i == 1,
	    "fields are bounded, and the last value of a name counts");
	buf_clear(&many);
	(void)buf_add_str(&many, "{\"l\":[0");
	for (unsigned i = 0; i < 70000; i++)
		(void)buf_add_str(&many, ",1");
	(void)buf_add_str(&many, "]}");
	ev = batch_add_event(b);
	CHECK(json_read_event(buf_slice(&many), &json_limits_default, ev,
		  &err) == RC_OK &&
		event_get(ev, field_find(SLICE("l")))->kind == VALUE_JSON,
	    "an endless list stays text");
	buf_fini(&many);
	batch_free(b);
}

static void
ids_are_written(void)
{
	struct batch *b = batch_new();
	struct event *ev = batch_add_event(b);
	struct slice id = SLICE("6ba7b810-9dad-11d1-80b4-00c04fd430c8:12");
	struct buf out;

	buf_init(&out, TEXT_MAX);
	(void)event_id_parse(id, &ev->id);
	event_set_string(ev, FIELD_EVENT_ID, SLICE("mine"));
	event_set_string(ev, FIELD_EVENT_KIND, SLICE("event"));
	event_set_string(ev, FIELD_TAGS, SLICE("t"));
	json_write_event(&out, ev, JSON_FLAT);
	CHECK(slice_eq(buf_slice(&out),
		  SLICE("{\"@timestamp\":\"1970-01-01T00:00:00.000Z\","
			"\"event.id\":\"6ba7b810-9dad-11d1-80b4-00c04fd430c8:"
			"12\",\"event.kind\":\"event\",\"tags\":\"t\"}")),
	    "the identity of an event is its event.id");
	buf_clear(&out);
	memset(&ev->id, 0, sizeof(ev->id));
	event_unset(ev, FIELD_EVENT_ID);
	ev->foreign = SLICE("other");
	json_write_event(&out, ev, JSON_NESTED);
	CHECK(slice_eq(buf_slice(&out),
		  SLICE("{\"@timestamp\":\"1970-01-01T00:00:00.000Z\","
			"\"event\":{\"id\":\"other\",\"kind\":\"event\"},"
			"\"tags\":\"t\"}")),
	    "a foreign one too");
	for (unsigned i = 0; i < 200; i++) {
		char name[32];
		int n = snprintf(name, sizeof(name), "order.%u", i * 7 % 200);

		event_set_int(ev,
		    field_intern((struct slice){ name, (size_t)n }), i);
	}
	buf_clear(&out);
	json_write_event(&out, ev, JSON_FLAT);
	CHECK(memmem(out.ptr, out.len, "\"order.99\":", 11) <
		    memmem(out.ptr, out.len, "\"tags\":", 7) &&
		memmem(out.ptr, out.len, "\"order.10\":", 11) <
		    memmem(out.ptr, out.len, "\"order.2\":", 10),
	    "many members come in byte order");
	buf_fini(&out);
	batch_free(b);
}

/* The tokens of a text, a letter each; a skipped array is an S. */
static const char *
tokens(struct slice text, unsigned depth, bool skip)
{
	static const char letters[] = "$ntf0sk{}[]!";
	static char out[64];
	struct arena *a = arena_new(4096);
	struct json_reader r;
	size_t n = 0;

	json_reader_init(&r, text, a, depth);
	while (n < sizeof(out) - 1) {
		enum json_token t = json_next(&r);

		out[n++] = letters[t];
		if (t == JSON_END || t == JSON_ERROR)
			break;
		if (skip && t == JSON_ARRAY_BEGIN && json_skip(&r).ptr != NULL)
			out[n - 1] = 'S';
	}
	out[n] = '\0';
	arena_free(a);
	return out;
}

static void
readers_skip_and_stop(void)
{
	struct slice text =
	    SLICE("{\"a\":[1,{\"x\":\"]\"}], \"b\" : \"\\u0042\"}");
	struct arena *a = arena_new(4096);
	struct json_reader r;

	CHECK(strcmp(tokens(text, 8, false), "{k[0{ks}]ks}$") == 0,
	    "tokens come in order");
	CHECK(strcmp(tokens(text, 8, true), "{kSks}$") == 0,
	    "an array is skipped, reading goes on behind it");
	CHECK(strcmp(tokens(SLICE("[[1]]"), 1, false), "[!") == 0,
	    "too deep is an error");
	CHECK(strcmp(tokens(SLICE("[{\"a\":}]"), 9, true), "[!") == 0,
	    "skipping finds errors");
	CHECK(strcmp(tokens(SLICE("[true,null,false,[],{}]x"), 9, false),
		  "[tnf[]{}]!") == 0,
	    "nothing stands behind the value");
	json_reader_init(&r, SLICE("[[2, 3]]"), a, 9);
	(void)json_next(&r);
	(void)json_next(&r);
	CHECK(slice_eq(json_skip(&r), SLICE("[2, 3]")),
	    "the text of what is skipped is given");
	arena_free(a);
}

static void
a_writer_places_commas(void)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1024);
	json_begin(&w, &out);
	json_open(&w, '{');
	json_key(&w, "a");
	json_open(&w, '[');
	json_int(&w, INT64_MIN);
	json_uint(&w, UINT64_MAX);
	json_open(&w, '{');
	json_close(&w, '}');
	json_double(&w, 0.25);
	json_double(&w, (double)INFINITY);
	json_close(&w, ']');
	json_key(&w, "b\"");
	json_str(&w, "x\x7f\n");
	json_key(&w, "c");
	json_raw(&w, SLICE("{}"));
	json_key(&w, "d");
	json_time(&w, 0);
	json_key(&w, "e");
	json_bool(&w, false);
	json_null(&w); /* wrong, but places its comma */
	json_close(&w, '}');
	CHECK(slice_eq(buf_slice(&out),
		  SLICE("{\"a\":[-9223372036854775808,18446744073709551615,{},"
			"0.25,null],\"b\\\"\":\"x\x7f\\n\",\"c\":{},"
			"\"d\":\"1970-01-01T00:00:00.000Z\",\"e\":false,"
			"null}")),
	    "commas and escapes are in their places");
	buf_fini(&out);
}

static uint64_t seed = 88172645463325252U;

static uint32_t
dice(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed % n);
}

/* What json_write_string() says, byte by byte. */
static void
write_plainly(struct buf *out, struct slice s)
{
	(void)buf_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			(void)buf_printf(out, "\\%c", c);
		else if (c == '\n')
			(void)buf_add_str(out, "\\n");
		else if (c < 0x20)
			(void)buf_printf(out, "\\u%04x", c);
		else
			(void)buf_add_char(out, (char)c);
	}
	(void)buf_add_char(out, '"');
}

static bool
is_written(struct slice s)
{
	struct buf want, got, exact, less;
	bool good;

	buf_init(&want, 1 << 20);
	write_plainly(&want, s);
	buf_init(&got, 1 << 20);
	buf_init(&exact, want.len);
	buf_init(&less, want.len - 1);
	json_write_string(&got, s);
	json_write_string(&exact, s);
	json_write_string(&less, s);
	good = slice_eq(buf_slice(&got), buf_slice(&want)) &&
	    slice_eq(buf_slice(&exact), buf_slice(&want)) &&
	    !exact.overflowed && less.overflowed && less.len == 0;
	buf_fini(&want);
	buf_fini(&got);
	buf_fini(&exact);
	buf_fini(&less);
	return good;
}

/* Of every length about that of a block, with escapes at every place. */
static void
strings_are_written_whole(void)
{
	static const char odd[] = "\"\\\n\x01\x1f";
	char *text;
	unsigned wrong = 0;

	for (size_t len = 0; len < 70; len++) {
		/* its own memory: a byte read behind it is found */
		text = xreallocarray(NULL, len > 0 ? len : 1, 1);
		for (size_t at = 0; at <= len; at++) {
			for (size_t i = 0; i < len; i++)
				text[i] = (char)(dice(8) == 0
					? (int)(0x80 + dice(0x40))
					: ' ' + (int)(i % 2));
			if (at < len)
				text[at] = odd[dice(sizeof(odd) - 1)];
			if (at + 1 < len && dice(2) == 0)
				text[len - 1 - dice((uint32_t)(len - at - 1))] =
				    odd[dice(sizeof(odd) - 1)];
			wrong += !is_written((struct slice){ text, len });
		}
		free(text);
	}
	CHECK(wrong == 0, "strings are written whole and escaped (%u)", wrong);
}

/* An event of some of these fields, in any order; few kinds, so they return. */
static void
random_event(struct event *ev)
{
	static const char *const names[] = { "event.action", "event.id", "a",
		"a.b", "a.b.c", "event", "@timestamp", "host.name", "z..y",
		"url.query" };
	static const struct value items[] = {
		{ .kind = VALUE_INT, .i = -1 },
		{ .kind = VALUE_STRING, .s = SLICE_INIT("x\"y") },
	};
	uint32_t kind = dice(300), n = 1 + kind % 10;

	event_begin(ev, ev->arena);
	for (uint32_t i = 0; i < n; i++) {
		const char *name = names[(kind * 7 + i * (1 + kind % 3)) % 10];
		struct value v = { .kind = VALUE_INT, .i = dice(1000) };

		if (dice(3) == 0)
			v = (struct value){ .kind = VALUE_LIST,
				.n = dice(3),
				.list = items };
		else if (dice(2) == 0)
			v = items[1];
		event_set_value(ev,
		    field_intern((struct slice){ name, strlen(name) }), v);
	}
	ev->time_ns = dice(1000000);
	ev->id.stream[0] = (uint8_t)(kind % 2);
	ev->id.offset = dice(100);
	if (kind % 5 == 0)
		ev->foreign = SLICE("theirs");
}

static void
alike_events_are_written_alike(enum json_shape shape)
{
	struct json_memo *memo = json_memo_new(shape);
	struct event ev = { .arena = arena_new(4096) };
	struct buf plain, again;
	unsigned wrong = 0;

	buf_init(&plain, 1 << 20);
	buf_init(&again, 1 << 20);
	for (unsigned i = 0; i < 20000; i++) {
		random_event(&ev);
		buf_clear(&plain);
		buf_clear(&again);
		json_write_event(&plain, &ev, shape);
		json_write_event_again(&again, &ev, memo);
		wrong += !slice_eq(buf_slice(&plain), buf_slice(&again));
		arena_reset(ev.arena);
	}
	CHECK(wrong == 0, "what is remembered is what is written (%u)", wrong);
	buf_fini(&plain);
	buf_fini(&again);
	json_memo_free(memo);
	arena_free(ev.arena);
}

/* One of a few ways to write an object: alike ones come often. */
static void
random_members(struct buf *out, unsigned depth)
{
	static const char *const names[] = { "a", "b", "a.b", "@timestamp",
		"kuzet", "timestamp", "a\\u0062", "", "long-name-of-a-member",
		"log" };
	static const char many[] = "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\","
				   "\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\","
				   "\"o\",\"p\",\"q\"]";
	static const char *const values[] = { "1", "-0.5", "null", "true",
		"\"text\"", "\"a \\\"quoted\\\" one, and a long one\"",
		"\"2026-11-22T01:02:03Z\"", "[1,\"x\"]", "[]", "[[1],{}]", "{}",
		"{ }", "1e400", "\"caf\xc3\xa9\"", "\"\xff\"", "-0", "-7",
		"123456789012345678", "1234567890123456789", "1234.", "012",
		"\"of fifteen byte\"", "\"of sixteen bytes\"", "\"\"",
		"[\"x\"]", "[\"x\",\"y\"]", "[\"x\\n\",\"y\"]", "[\"x\", 1]",
		"[\"more than the bound of a text\"]", "[\"caf\xc3\xa9\"]",
		many };
	unsigned n = dice(4) + (depth > 1 ? 1 : 0);

	(void)buf_add_char(out, '{');
	for (unsigned i = 0; i < n; i++) {
		(void)buf_printf(out, "%s\"%s\":%s", i > 0 ? "," : "",
		    names[dice(10)], dice(8) == 0 ? " " : "");
		if (dice(3) == 0 && depth < 12)
			random_members(out, depth + 1);
		else
			(void)buf_add_str(out,
			    values[dice(sizeof(values) / sizeof(values[0]))]);
	}
	(void)buf_add_str(out, dice(12) == 0 ? " }" : "}");
}

static bool
same_events(const struct event *a, const struct event *b)
{
	struct buf x, y;
	bool same = a->n == b->n && a->time_ns == b->time_ns &&
	    a->dropped == b->dropped;

	buf_init(&x, TEXT_MAX);
	buf_init(&y, TEXT_MAX);
	for (uint32_t i = 0; same && i < a->n; i++)
		same = a->fields[i].id == b->fields[i].id;
	json_write_event(&x, a, JSON_FLAT);
	json_write_event(&y, b, JSON_FLAT);
	same = same && slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return same;
}

static void
alike_events_are_read_alike(void)
{
	const struct json_limits limits = { .depth = 9, .text_bytes = 20 };
	struct json_paths *paths = json_paths_new();
	struct event plain = { .arena = arena_new(4096) };
	struct event again = { .arena = arena_new(4096) };
	struct buf text;
	unsigned wrong = 0;

	buf_init(&text, TEXT_MAX);
	for (unsigned i = 0; i < 60000; i++) {
		struct error x = { .code = RC_OK }, y = { .code = RC_OK };
		enum rc rc;

		/* most are as one before; some are broken */
		if (text.len == 0 || dice(3) == 0) {
			buf_clear(&text);
			random_members(&text, 1);
		}
		if (dice(10) == 0)
			text.ptr[dice((uint32_t)text.len)] =
			    "{}[],:\"\\ x1"[dice(11)];
		event_begin(&plain, plain.arena);
		event_begin(&again, again.arena);
		rc = json_read_event(buf_slice(&text), &limits, &plain, &x);
		wrong += rc !=
		    json_read_event_again(buf_slice(&text), &limits, &again,
			paths, &y);
		wrong += rc != RC_OK && strcmp(x.text, y.text) != 0;
		wrong += !same_events(&plain, &again);
		arena_reset(plain.arena);
		arena_reset(again.arena);
	}
	CHECK(wrong == 0, "names that are compared are as those read (%u)",
	    wrong);
	buf_fini(&text);
	json_paths_free(paths);
	arena_free(plain.arena);
	arena_free(again.arena);
}

static const struct {
	const char *text, *means; /* NULL: it is no string */
} escapes[] = { { "\\\"", "\"" }, { "\\n", "\n" }, { "\\u0416", "\xd0\x96" },
	{ "\xd0\x96", "\xd0\x96" }, { "\\\\\\/", "\\/" }, { "\\x", NULL },
	{ "\x01", NULL } };

/*
 * n characters with escape `kind` at `place` and as far from the end.  Another
 * member is before them where it is even, behind them where it is odd.
 */
static void
escaped_text(struct buf *text, struct buf *means, unsigned n, unsigned place,
    unsigned kind)
{
	bool first = place % 2 == 1;

	buf_clear(text);
	buf_clear(means);
	(void)buf_add_str(text,
	    first ? "{\"a\":\"" : "{\"b\":\"\\\"end\",\"a\":\"");
	for (unsigned k = 0; k < n; k++) {
		char c = (char)('a' + k % 26);

		if ((k == place || k + place == n) &&
		    escapes[kind].means != NULL)
			(void)buf_add_str(means, escapes[kind].means);
		if (k == place || k + place == n)
			(void)buf_add_str(text, escapes[kind].text);
		(void)buf_add_char(text, c);
		(void)buf_add_char(means, c);
	}
	(void)buf_add_str(text, first ? "\",\"b\":\"\\\"end\"}" : "\"}");
}

/* Whether member a is what it means, and b is still read; else refused. */
static bool
is_read_as(struct slice text, const struct slice *means, struct arena *arena,
    struct json_paths *paths)
{
	struct event ev;
	struct error err;
	enum rc rc;

	arena_reset(arena);
	event_begin(&ev, arena);
	rc =
	    json_read_event_again(text, &json_limits_default, &ev, paths, &err);
	if (means == NULL)
		return rc != RC_OK;
	return rc == RC_OK &&
	    slice_eq(event_get_string(&ev, field_intern(SLICE("a"))), *means) &&
	    slice_eq(event_get_string(&ev, field_intern(SLICE("b"))),
		SLICE("\"end"));
}

/* So often is a text read wrongly: at once, and as one that is known. */
static unsigned
wrong_readings(struct slice text, const struct slice *means,
    struct arena *arena, struct json_paths *paths)
{
	/* of its own, so that a sanitizer sees what is read behind it */
	char *copy = xreallocarray(NULL, text.len, 1);
	unsigned wrong = 0;

	memcpy(copy, text.ptr, text.len);
	text.ptr = copy;
	wrong += !is_read_as(text, means, arena, NULL);
	wrong += !is_read_as(text, means, arena, paths);
	wrong += !is_read_as(text, means, arena, paths);
	free(copy);
	return wrong;
}

static void
escapes_are_read_at_every_place(void)
{
	enum { PLACES = 134 };
	static const unsigned lengths[] = { 1, 2, 14, 15, 16, 17, 31, 32, 33,
		48, 62, 63, 64, 65, 66, 127, 128, 129, 130, 131, 200, 4030,
		4070, 4085, 4096, 5000 };
	struct json_paths *paths = json_paths_new();
	struct arena *arena = arena_new(65536);
	struct buf text, means;
	unsigned wrong = 0;

	buf_init(&text, TEXT_MAX);
	buf_init(&means, TEXT_MAX);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]) * PLACES;
	     i++) {
		unsigned n = lengths[i / PLACES], place = i % PLACES;

		for (unsigned k = 0;
		     place < n && k < sizeof(escapes) / sizeof(escapes[0]);
		     k++) {
			struct slice meant;

			escaped_text(&text, &means, n, place, k);
			meant = buf_slice(&means);
			wrong += wrong_readings(buf_slice(&text),
			    escapes[k].means != NULL ? &meant : NULL, arena,
			    paths);
		}
	}
	CHECK(wrong == 0, "escapes are read at every place (%u wrong)", wrong);
	buf_fini(&text);
	buf_fini(&means);
	arena_free(arena);
	json_paths_free(paths);
}

int
main(void)
{
	escapes_are_read_at_every_place();
	events_pass_through();
	bounds_hold();
	ids_are_written();
	readers_skip_and_stop();
	a_writer_places_commas();
	strings_are_written_whole();
	alike_events_are_written_alike(JSON_NESTED);
	alike_events_are_written_alike(JSON_FLAT);
	alike_events_are_read_alike();
	return tap_done();
}
