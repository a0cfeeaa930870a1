/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns that run away: some texts make the matcher try combinations whose
 * number grows with a high power of the text's length, or exponentially, before
 * it gives up.  A line of a stranger must not be able to do that, even though
 * every match is bounded at run time.
 *
 * How it is found: behind the beginning of a text that fits, a piece is
 * repeated, and a byte follows that nothing expects.  A sound pattern gives up
 * after about REPEATS to the power of its open-ended parts.
 */
#include <stdlib.h>

#include "runaway.h"

enum {
	REPEATS = 40, /* to the third is below the limit, to the fourth not */
	LIMIT = 400000,
	POSITIONS = 512,
	PIECE_MAX = 3,
	TAIL_MAX = 128
};

static const char pieces[][PIECE_MAX + 1] = { "a", "0", " ", "\"", "'", "-",
	".", ":", "/", ",", "=", "(", "a ", "a  ", "a,", "a=", "0.", "a.",
	"a:", "a/", "\\\"" };

static bool
exceeds(const struct pattern *p, struct slice text, pcre2_match_data *data,
    pcre2_match_context *context)
{
	int rc = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, 0,
	    PCRE2_NO_JIT, data, context);

	return rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ||
	    rc == PCRE2_ERROR_DEPTHLIMIT;
}

/*
 * A byte that fits nothing, every character that a pattern could ask for (or
 * the matcher sees at once that one is missing), and the byte again.
 */
static size_t
tail(char *out)
{
	size_t n = 0;

	out[n++] = '\x01';
	for (int c = ' '; c <= '~'; c++)
		out[n++] = (char)c;
	out[n++] = '\x01';
	return n;
}

/* `head`, a piece many times, and a byte that fits nothing. */
static bool
pump(const struct pattern *p, struct slice head, pcre2_match_data *data,
    pcre2_match_context *context)
{
	char text[POSITIONS + REPEATS * PIECE_MAX + TAIL_MAX];

	if (head.len > 0)
		memcpy(text, head.ptr, head.len);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t len = strlen(pieces[i]), n = head.len;

		for (unsigned k = 0; k < REPEATS; k++, n += len)
			memcpy(text + n, pieces[i], len);
		n += tail(text + n);
		if (exceeds(p, (struct slice){ text, n }, data, context))
			return true;
	}
	return false;
}

bool
pattern_runs_away(const struct pattern *p, struct slice text)
{
	pcre2_match_data *data = pcre2_match_data_create(GROUPS_MAX + 1, NULL);
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	struct slice prefix = { p->prefix, p->prefix_len };
	bool away;

	if (data == NULL || context == NULL)
		abort();
	(void)pcre2_set_match_limit(context, LIMIT);
	away = pump(p, prefix, data, context);
	/* behind each beginning of a text that fits */
	for (size_t n = 1; !away && n <= text.len && n <= POSITIONS; n++)
		away = pump(p, (struct slice){ text.ptr, n }, data, context);
	pcre2_match_data_free(data);
	pcre2_match_context_free(context);
	return away;
}
