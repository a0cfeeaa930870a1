/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the runs of digits: most are too short to begin anything, and
 * are left after one look at their length.
 */
#include "collector/enrich/personal.h"

#include "ascii.h"
#include "collector/enrich/personal_number.h"

enum {
	IIN_DIGITS = 12,
	CARD_MIN = 13,
	CARD_GROUP = 4,
	CARD_GROUPS = 5,
	PHONE_DIGITS = 11,
	PHONE_GROUPS = 6,
	HEX_LOOK = 64, /* bytes to each side */
};

static size_t
run_length(struct slice text, size_t at)
{
	size_t n = at;

	while (n < text.len && ascii_is_digit(text.ptr[n]))
		n++;
	return n - at;
}

/* ---- what stands beside ------------------------------------------------------- */

/* "%2B7701…": the escape's digits are no neighbours. */
static bool
after_escape(struct slice text, size_t from)
{
	return from >= 3 && text.ptr[from - 3] == '%' &&
	    ascii_is_hex(text.ptr[from - 2]) &&
	    ascii_is_hex(text.ptr[from - 1]);
}

/* The digits are a part of a longer hexadecimal number: a hash, an address. */
static bool
within_hex(struct slice text, size_t from, size_t to)
{
	size_t first = from, last = to;

	if (after_escape(text, from))
		return false;
	while (first > 0 && from - first < HEX_LOOK &&
	    ascii_is_hex(text.ptr[first - 1]))
		first--;
	while (last < text.len && last - to < HEX_LOOK &&
	    ascii_is_hex(text.ptr[last]))
		last++;
	if (first == from && last == to)
		return false;
	return (first == 0 || !ascii_is_letter(text.ptr[first - 1])) &&
	    (last == text.len || !ascii_is_letter(text.ptr[last]));
}

/* "0.850101300124", "123456789012.5" */
static bool
within_decimal(struct slice text, size_t from, size_t to)
{
	return (from >= 2 && text.ptr[from - 1] == '.' &&
		   ascii_is_digit(text.ptr[from - 2])) ||
	    (to + 1 < text.len && text.ptr[to] == '.' &&
		ascii_is_digit(text.ptr[to + 1]));
}

/* ---- cards --------------------------------------------------------------------- */

/* Issuers of payment cards begin with 2 to 6 (ISO/IEC 7812-1). */
static bool
is_card(const char *digits, size_t n)
{
	return n >= CARD_MIN && n <= PERSONAL_DIGITS && digits[0] >= '2' &&
	    digits[0] <= '6' && luhn_is_valid(digits, n);
}

/* As cards are printed: by fours, or 4-6-5, 4-6-4, 4-3-3-3. */
static bool
are_card_groups(const size_t *sizes, size_t n)
{
	if (n == 3 && sizes[1] == 6)
		return sizes[2] == 5 || sizes[2] == 4;
	if (n == 4 && sizes[1] == 3)
		return sizes[2] == 3 && sizes[3] == 3;
	for (size_t i = 1; i + 1 < n; i++)
		if (sizes[i] != CARD_GROUP)
			return false;
	return n >= 4 && sizes[n - 1] <= CARD_GROUP;
}

/* The longest one that begins with the run of four digits at `from`. */
static bool
grouped_card(struct slice text, size_t from, struct personal_match *out)
{
	char digits[PERSONAL_DIGITS];
	size_t sizes[CARD_GROUPS], at = from, n = 0, groups = 0;
	size_t run = CARD_GROUP;
	char separator = '\0';
	bool found = false;

	if (from + run < text.len)
		separator = text.ptr[from + run];
	if (separator != ' ' && separator != '-')
		return false;
	while (groups < CARD_GROUPS && run > 0 && n + run <= sizeof(digits)) {
		memcpy(digits + n, text.ptr + at, run);
		n += run;
		at += run;
		sizes[groups++] = run;
		if (are_card_groups(sizes, groups) && is_card(digits, n) &&
		    (at == text.len || !ascii_is_letter(text.ptr[at]))) {
			*out = (struct personal_match){ PERSONAL_CARD, from,
				at - from, { 0 }, n };
			memcpy(out->digits, digits, n);
			found = true;
		}
		if (at >= text.len || text.ptr[at] != separator)
			break;
		at++;
		run = run_length(text, at);
	}
	return found;
}

/* ---- telephones ------------------------------------------------------------------ */

static bool
is_separator(char c)
{
	return c == ' ' || c == '-' || c == '(' || c == ')';
}

static size_t
skip_separators(struct slice text, size_t at)
{
	size_t from = at;

	while (at < text.len && at - from < 2 && is_separator(text.ptr[at]))
		at++;
	return at;
}

static bool
keep_phone(const char *digits, size_t from, size_t to,
    struct personal_match *out)
{
	*out = (struct personal_match){ PERSONAL_PHONE, from, to - from, { 0 },
		PHONE_DIGITS };
	memcpy(out->digits, digits, PHONE_DIGITS);
	out->digits[0] = '7';
	return true;
}

/* 7 and 8 lead to the same place; then 6 or 7 is Kazakhstan. */
static bool
is_phone(const char *digits)
{
	return (digits[0] == '7' || digits[0] == '8') &&
	    (digits[1] == '6' || digits[1] == '7');
}

/* The sizes of groups behind the 7 or 8: a code, then parts of two and more. */
static bool
are_phone_groups(const size_t *sizes, size_t n)
{
	if (n == 0 || (sizes[0] < 3 && sizes[0] != 0) ||
	    (sizes[0] > 5 && sizes[0] != PHONE_DIGITS - 1))
		return false;
	for (size_t i = 1; i < n; i++)
		if (sizes[i] < 2)
			return false;
	return true;
}

/* "+7 (701) 123-45-67", "8 701 1234567": from the 7 or 8 on. */
static bool
grouped_phone(struct slice text, size_t from, struct personal_match *out)
{
	char digits[PHONE_DIGITS];
	size_t sizes[PHONE_GROUPS], at = from, n = 0, groups = 0;

	while (n < PHONE_DIGITS && groups < PHONE_GROUPS) {
		size_t run = run_length(text, at);
		/* the first digit may stand alone */
		size_t counted = n == 0 ? run - 1 : run;

		if (run == 0 || n + run > PHONE_DIGITS)
			return false;
		memcpy(digits + n, text.ptr + at, run);
		n += run;
		at += run;
		if (counted > 0)
			sizes[groups++] = counted;
		if (n < PHONE_DIGITS)
			at = skip_separators(text, at);
	}
	if (n != PHONE_DIGITS || !is_phone(digits) ||
	    !are_phone_groups(sizes, groups) ||
	    (at < text.len && ascii_is_letter(text.ptr[at])))
		return false;
	return keep_phone(digits, from, at, out);
}

/* ---- runs of digits ---------------------------------------------------------------- */

static bool
whole_number(struct slice text, size_t from, size_t n,
    struct personal_match *out)
{
	const char *digits = text.ptr + from;
	static const char zeros[] = "000000000000";
	enum personal_kind kind;

	if (n == IIN_DIGITS && iin_is_valid(digits) &&
	    memcmp(digits, zeros, IIN_DIGITS) != 0)
		kind = PERSONAL_IIN;
	else if (is_card(digits, n))
		kind = PERSONAL_CARD;
	else if (n == PHONE_DIGITS && is_phone(digits))
		kind = PERSONAL_PHONE;
	else
		return false;
	if (within_hex(text, from, from + n) ||
	    within_decimal(text, from, from + n))
		return false;
	if (kind == PERSONAL_PHONE)
		return keep_phone(digits, from, from + n, out);
	*out = (struct personal_match){ kind, from, n, { 0 }, n };
	memcpy(out->digits, digits, n);
	return true;
}

/* A group must not go on to the left: "x8 701", "1-4111". */
static bool
begins_fresh(struct slice text, size_t from)
{
	char before = ' ';

	if (from > 0)
		before = text.ptr[from - 1];
	return after_escape(text, from) ||
	    (!ascii_is_letter(before) && before != '.' && before != ',');
}

static bool
match_run(struct slice text, size_t from, size_t n, struct personal_match *out)
{
	bool plus = from > 0 && text.ptr[from - 1] == '+';
	char first = text.ptr[from];

	if (n >= PHONE_DIGITS)
		return n <= PERSONAL_DIGITS && whole_number(text, from, n, out);
	if (n > 6 || !begins_fresh(text, from))
		return false;
	if (n == CARD_GROUP && grouped_card(text, from, out))
		return true;
	return ((first == '7' && plus) || first == '8') &&
	    grouped_phone(text, from, out);
}

bool
personal_find(struct slice text, size_t at, struct personal_match *out)
{
	while (at < text.len) {
		size_t n;

		if (!ascii_is_digit(text.ptr[at])) {
			at++;
			continue;
		}
		if (at > 0 && text.ptr[at - 1] == '%' && at + 2 <= text.len)
			at += ascii_is_hex(text.ptr[at + 1]) ? 2 : 1;
		n = run_length(text, at);
		if (n > 0 && match_run(text, at, n, out)) {
			/* the plus goes with its number */
			if (out->kind == PERSONAL_PHONE && at > 0 &&
			    text.ptr[at - 1] == '+') {
				out->from--;
				out->len++;
			}
			return true;
		}
		at += n;
	}
	return false;
}
