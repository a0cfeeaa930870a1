/* SPDX-License-Identifier: Apache-2.0 */
#include "enrol_token.h"

#include <stdio.h>

enum { CHECK_DIGITS = 8 };

static const struct slice begin = SLICE_INIT("kuzet1.");

static void
check_of(struct slice text, char out[SHA256_TEXT])
{
	uint8_t digest[SHA256_BYTES];

	sha256_of(text, digest);
	hex_text(digest, sizeof(digest), out);
}

void
enrol_token_write(const struct enrol_token *t, char out[ENROL_TOKEN])
{
	char check[SHA256_TEXT];
	int n = snprintf(out, ENROL_TOKEN, "%.*s%s.%s", SLICE_ARG(begin),
	    t->fingerprint, t->secret);

	check_of((struct slice){ out, (size_t)n }, check);
	(void)snprintf(out + n, ENROL_TOKEN - (size_t)n, ".%.*s", CHECK_DIGITS,
	    check);
}

/* Takes `n` hex digits off the text, and the dot behind unless it ends. */
static bool
take(struct slice *text, size_t n, char *out)
{
	if (text->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = text->ptr[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		out[i] = c;
	}
	out[n] = '\0';
	text->ptr += n;
	text->len -= n;
	if (text->len == 0)
		return true;
	if (*text->ptr != '.')
		return false;
	text->ptr++;
	text->len--;
	return true;
}

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] <= ' ')
		s.len--;
	while (s.len > 0 && (unsigned char)*s.ptr <= ' ')
		s.ptr++, s.len--;
	return s;
}

enum rc
enrol_token_parse(struct slice text, struct enrol_token *out, struct error *err)
{
	char given[CHECK_DIGITS + 1], whole[ENROL_TOKEN];
	struct slice rest = trim(text);

	if (rest.len < begin.len || memcmp(rest.ptr, begin.ptr, begin.len) != 0)
		return error_set(err, RC_INVALID,
		    "this is no enrolment token: one begins with \"%.*s\" and "
		    "comes from kuzetctl agent enroll-token",
		    SLICE_ARG(begin));
	rest.ptr += begin.len;
	rest.len -= begin.len;
	if (take(&rest, SHA256_TEXT - 1, out->fingerprint) &&
	    take(&rest, ENROL_SECRET - 1, out->secret) &&
	    take(&rest, CHECK_DIGITS, given) && rest.len == 0) {
		enrol_token_write(out, whole);
		if (strcmp(whole + strlen(whole) - CHECK_DIGITS, given) == 0)
			return RC_OK;
	}
	return error_set(err, RC_INVALID,
	    "the token is damaged: was all of it copied?");
}
