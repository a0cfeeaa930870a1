/* SPDX-License-Identifier: Apache-2.0 */
/* The token reader: one state machine over lib/json_scan.h. */
#include <assert.h>

#include "json_scan.h"

enum state {
	EXPECT_VALUE,
	EXPECT_FIRST_VALUE, /* or ']' */
	EXPECT_FIRST_KEY,   /* or '}' */
	EXPECT_COMMA,       /* or the end of the level, or of the text */
	AT_ERROR,
};

void
json_reader_init(struct json_reader *r, struct slice text, struct arena *arena,
    unsigned depth_max)
{
	/* not zeroed as a whole: err is large and readers are many */
	r->at = r->start = text.len > 0 ? text.ptr : "";
	r->end = r->at + text.len;
	r->arena = arena;
	r->depth_max = depth_max < JSON_DEPTH_MAX ? depth_max : JSON_DEPTH_MAX;
	r->depth = 0;
	r->state = EXPECT_VALUE;
	r->text = (struct slice){ "", 0 };
	r->err.code = RC_OK;
	r->err.text[0] = '\0';
	json_scan_bom(&r->at, r->end);
}

static enum json_token
fail(struct json_reader *r, const char *wrong)
{
	r->state = AT_ERROR;
	(void)error_set(&r->err, wrong == json_too_deep ? RC_LIMIT : RC_INVALID,
	    "JSON, byte %zu: %s", (size_t)(r->at - r->start), wrong);
	return JSON_ERROR;
}

static bool
in_object(const struct json_reader *r)
{
	unsigned top = r->depth - 1;

	return (r->in_object[top / 64] >> (top % 64) & 1) != 0;
}

static enum json_token
enter(struct json_reader *r, bool object)
{
	uint64_t bit = UINT64_C(1) << (r->depth % 64);
	uint64_t *word = &r->in_object[r->depth / 64];

	if (r->depth >= r->depth_max)
		return fail(r, json_too_deep);
	*word = object ? *word | bit : *word & ~bit;
	r->depth++;
	r->at++;
	r->state = object ? EXPECT_FIRST_KEY : EXPECT_FIRST_VALUE;
	return object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN;
}

static enum json_token
leave(struct json_reader *r)
{
	bool object = in_object(r);

	r->at++;
	r->depth--;
	r->state = EXPECT_COMMA;
	return object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_token
word(struct json_reader *r, const char *text, enum json_token token)
{
	const char *wrong = json_scan_word(&r->at, r->end, text);

	return wrong != NULL ? fail(r, wrong) : token;
}

static enum json_token
value(struct json_reader *r)
{
	const char *wrong;

	if (r->at == r->end)
		return fail(r, "a value is missing");
	r->state = EXPECT_COMMA;
	switch (*r->at) {
	case '{':
	case '[':
		return enter(r, *r->at == '{');
	case '"':
		r->at++;
		wrong = json_scan_string(&r->at, r->end, r->arena, &r->text);
		return wrong != NULL ? fail(r, wrong) : JSON_STRING;
	case 't':
		return word(r, "true", JSON_TRUE);
	case 'f':
		return word(r, "false", JSON_FALSE);
	case 'n':
		return word(r, "null", JSON_NULL);
	default:
		wrong = json_scan_number(&r->at, r->end, &r->text);
		return wrong != NULL ? fail(r, wrong) : JSON_NUMBER;
	}
}

static enum json_token
key(struct json_reader *r)
{
	const char *wrong;

	if (r->at == r->end || *r->at != '"')
		return fail(r, "a key is missing");
	r->at++;
	wrong = json_scan_string(&r->at, r->end, r->arena, &r->text);
	if (wrong != NULL)
		return fail(r, wrong);
	json_scan_space(&r->at, r->end);
	if (r->at == r->end || *r->at != ':')
		return fail(r, "a colon is missing");
	r->at++;
	r->state = EXPECT_VALUE;
	return JSON_KEY;
}

static enum json_token
after_value(struct json_reader *r)
{
	bool object;

	if (r->depth == 0)
		return r->at == r->end ? JSON_END
				       : fail(r, "text behind the value");
	if (r->at == r->end)
		return fail(r, "the text ends too early");
	object = in_object(r);
	if (*r->at == (object ? '}' : ']'))
		return leave(r);
	if (*r->at != ',')
		return fail(r, "a comma or closing bracket is missing");
	r->at++;
	json_scan_space(&r->at, r->end);
	return object ? key(r) : value(r);
}

enum json_token
json_next(struct json_reader *r)
{
	if (r->state == AT_ERROR)
		return JSON_ERROR;
	json_scan_space(&r->at, r->end);
	switch ((enum state)r->state) {
	case EXPECT_VALUE:
		return value(r);
	case EXPECT_FIRST_VALUE:
		if (r->at < r->end && *r->at == ']')
			return leave(r);
		return value(r);
	case EXPECT_FIRST_KEY:
		if (r->at < r->end && *r->at == '}')
			return leave(r);
		return key(r);
	case EXPECT_COMMA:
	case AT_ERROR:
	default:
		return after_value(r);
	}
}

struct slice
json_skip(struct json_reader *r)
{
	const char *from = r->at - 1;
	unsigned depth = r->depth;
	bool compact;
	const char *wrong;

	assert(depth > 0 && r->state != EXPECT_COMMA);
	/* reads the level again from its bracket, as one value */
	r->at = from;
	r->depth--;
	wrong =
	    json_scan_value(&r->at, r->end, r->depth_max - r->depth, &compact);
	if (wrong != NULL) {
		(void)fail(r, wrong);
		return (struct slice){ NULL, 0 };
	}
	r->state = EXPECT_COMMA;
	return (struct slice){ from, (size_t)(r->at - from) };
}
