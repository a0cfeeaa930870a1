/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/enrich/personal_number.h"

enum { IIN_DIGITS = 12, MODULUS = 11, NO_DIGIT = 10 };

/*
 * The weights of the first try, and those that count where the first gives 10;
 * a number for which both do is never given out.
 */
static const int weights[2][IIN_DIGITS - 1] = {
	{ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 },
	{ 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2 },
};

bool
iin_is_valid(const char *digits)
{
	int sum = NO_DIGIT;

	for (int i = 0; i < 2 && sum == NO_DIGIT; i++) {
		sum = 0;
		for (int j = 0; j < IIN_DIGITS - 1; j++)
			sum += weights[i][j] * (digits[j] - '0');
		sum %= MODULUS;
	}
	return sum != NO_DIGIT && digits[IIN_DIGITS - 1] - '0' == sum;
}

bool
luhn_is_valid(const char *digits, size_t n)
{
	static const int doubled[] = { 0, 2, 4, 6, 8, 1, 3, 5, 7, 9 };
	int sum = 0;

	for (size_t i = 0; i < n; i++) {
		int d = digits[n - 1 - i] - '0';

		sum += i % 2 == 1 ? doubled[d] : d;
	}
	return sum % 10 == 0;
}
