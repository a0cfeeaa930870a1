/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/encoding.h"

#include <assert.h>
#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "utf8.h"
#include "xalloc.h"

enum kind { UTF_8, UTF_16LE, UTF_16BE, ONE_BYTE };

enum { REPLACEMENT = 0xfffd, UTF8_MAX = 4, NAME_BYTES = 64 };

struct encoding {
	enum kind kind;
	/* ONE_BYTE: the UTF-8 of each byte */
	uint8_t len[256];
	char text[256][UTF8_MAX];
};

static const struct encoding utf_8 = { .kind = UTF_8 };
static const struct encoding utf_16le = { .kind = UTF_16LE };
static const struct encoding utf_16be = { .kind = UTF_16BE };

static const struct {
	const char *name;
	enum kind kind;
} known[] = {
	{ "utf-8", UTF_8 },
	{ "utf8", UTF_8 },
	{ "utf-16le", UTF_16LE },
	{ "utf-16be", UTF_16BE },
};

/* One byte's character; false: the encoding is not of one byte. */
static bool
one_byte(struct encoding *e, iconv_t cd, unsigned byte)
{
	char in = (char)byte, *from = &in, *to = e->text[byte];
	size_t in_left = 1, out_left = UTF8_MAX;

	(void)iconv(cd, NULL, NULL, NULL, NULL);
	errno = 0;
	if (iconv(cd, &from, &in_left, &to, &out_left) == (size_t)-1 ||
	    out_left == UTF8_MAX) {
		if (errno != EILSEQ)
			return false;
		e->len[byte] = (uint8_t)utf8_encode(REPLACEMENT, e->text[byte]);
		return true;
	}
	e->len[byte] = (uint8_t)(UTF8_MAX - out_left);
	return true;
}

static bool
is_ascii_based(const struct encoding *e)
{
	for (unsigned i = 0; i < 0x80; i++) {
		if (e->len[i] != 1 || (unsigned char)e->text[i][0] != i)
			return false;
	}
	return true;
}

/* As iconv knows it, or would without what stands between the parts of the name:
 * "latin-1", "utf_8". */
static iconv_t
open_named(const char *name)
{
	char plain[NAME_BYTES];
	iconv_t cd = iconv_open("UTF-8", name);
	size_t n = 0;

	/* NOLINTNEXTLINE(performance-no-int-to-ptr): iconv's own way */
	if (cd != (iconv_t)-1 || strlen(name) >= sizeof(plain))
		return cd;
	for (; *name != '\0'; name++) {
		if (*name != '-' && *name != '_')
			plain[n++] = *name;
	}
	plain[n] = '\0';
	return iconv_open("UTF-8", plain);
}

static enum rc
fill_table(struct encoding *e, const char *name, struct error *err)
{
	iconv_t cd = open_named(name);
	bool good = true;

	/* NOLINTNEXTLINE(performance-no-int-to-ptr): iconv's own way */
	if (cd == (iconv_t)-1)
		return error_set(err, RC_INVALID,
		    "\"%s\" is no encoding that iconv knows (iconv -l "
		    "lists them)",
		    name);
	for (unsigned i = 0; i < 256 && good; i++)
		good = one_byte(e, cd, i);
	(void)iconv_close(cd);
	if (!good || !is_ascii_based(e))
		return error_set(err, RC_INVALID,
		    "\"%s\" is no encoding of one byte for each character; "
		    "there are those, utf-8, utf-16le and utf-16be",
		    name);
	return RC_OK;
}

enum rc
encoding_open(const char *name, struct encoding **out, struct error *err)
{
	struct encoding *e = xzalloc(sizeof(*e));

	e->kind = ONE_BYTE;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcasecmp(known[i].name, name) == 0)
			e->kind = known[i].kind;
	}
	if (e->kind == ONE_BYTE && fill_table(e, name, err) != RC_OK) {
		free(e);
		return err->code;
	}
	*out = e;
	return RC_OK;
}

void
encoding_free(struct encoding *e)
{
	free(e);
}

const struct encoding *
encoding_of_bom(struct slice head)
{
	if (head.len >= 2 && memcmp(head.ptr, "\xff\xfe", 2) == 0)
		return &utf_16le;
	if (head.len >= 2 && memcmp(head.ptr, "\xfe\xff", 2) == 0)
		return &utf_16be;
	if (head.len == 0 ||
	    (head.len == 1 && (head.ptr[0] == '\xff' || head.ptr[0] == '\xfe')))
		return NULL;
	return &utf_8;
}

size_t
encoding_unit(const struct encoding *e)
{
	return e->kind == UTF_16LE || e->kind == UTF_16BE ? 2 : 1;
}

bool
encoding_is_utf8(const struct encoding *e)
{
	return e->kind == UTF_8;
}

static unsigned
unit_at(const struct encoding *e, const char *p)
{
	unsigned a = (unsigned char)p[0], b = (unsigned char)p[1];

	return e->kind == UTF_16LE ? b << 8 | a : a << 8 | b;
}

const char *
encoding_find_lf(const struct encoding *e, struct slice s)
{
	const char *at = s.ptr, *end = s.ptr + s.len;

	if (encoding_unit(e) == 1)
		return memchr(s.ptr, '\n', s.len);
	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at -= (at - s.ptr) % 2;
		if (end - at < 2)
			return NULL;
		if (unit_at(e, at) == '\n')
			return at;
		at += 2;
	}
	return NULL;
}

static void
add_char(struct buf *out, uint32_t c)
{
	char text[UTF8_MAX];

	(void)buf_add(out, text, utf8_encode(c, text));
}

static bool
is_high(unsigned unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool
is_low(unsigned unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

static void
decode_utf16(const struct encoding *e, struct slice s, struct buf *out)
{
	size_t at = 0;

	while (s.len - at >= 2) {
		unsigned unit = unit_at(e, s.ptr + at), low = 0;

		at += 2;
		if (is_high(unit) && s.len - at >= 2)
			low = unit_at(e, s.ptr + at);
		if (is_high(unit) && is_low(low)) {
			at += 2;
			add_char(out,
			    0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
		} else if (is_high(unit) || is_low(unit)) {
			add_char(out, REPLACEMENT);
		} else {
			add_char(out, unit);
		}
	}
	if (at < s.len)
		add_char(out, REPLACEMENT);
}

void
encoding_decode(const struct encoding *e, struct slice s, struct buf *out)
{
	char *to;

	if (e->kind == UTF_16LE || e->kind == UTF_16BE) {
		decode_utf16(e, s, out);
		return;
	}
	if (e->kind == UTF_8) {
		(void)buf_add_slice(out, s);
		return;
	}
	to = buf_reserve(out, UTF8_MAX * s.len);
	if (to == NULL)
		return;
	for (size_t i = 0; i < s.len; i++) {
		unsigned byte = (unsigned char)s.ptr[i];

		memcpy(to, e->text[byte], UTF8_MAX);
		to += e->len[byte];
	}
	out->len = (size_t)(to - out->ptr);
}
