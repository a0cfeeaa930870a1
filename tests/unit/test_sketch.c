/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "collector/search/sketch.h"
#include "tap.h"

static uint64_t
hash_of(uint64_t i)
{
	i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
	return i ^ (i >> 31);
}

static void
few_distinct_values_are_exact_and_many_are_near(void)
{
	static const uint64_t sizes[] = { 0, 1, 2000, 5000, 40000, 300000 };

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct distinct d = { 0 };
		uint64_t n = sizes[k], got;
		size_t bytes = 0;
		bool exact;

		for (uint64_t i = 0; i < 2 * n; i++)
			bytes += distinct_add(&d, hash_of(i % n));
		got = distinct_count(&d, &exact);
		CHECK(exact ? got == n
			    : fabs((double)got - (double)n) < 0.03 * (double)n,
		    "%llu of %llu distinct values", (unsigned long long)got,
		    (unsigned long long)n);
		CHECK(exact == (n <= 2048) && bytes < 100000,
		    "exact as long as they are few, in %zu bytes", bytes);
		distinct_fini(&d);
	}
}

static void
percentiles_are_within_a_hundredth(void)
{
	static const uint64_t sizes[] = { 1, 1000, 100000 };
	static const double percents[] = { 0, 1, 50, 99, 100 };

	for (size_t k = 0; k < 3; k++) {
		struct percentiles p = { 0 };
		uint64_t n = sizes[k];
		double low = -(double)n / 4;

		/* each whole number from `low` on, in no order */
		for (uint64_t i = 0; i < n; i++)
			(void)percentiles_add(&p, low + (double)(i * 7919 % n));
		for (size_t j = 0; j < 5; j++) {
			double rank = ceil(percents[j] / 100 * (double)n);
			double want = low + (rank >= 1 ? rank - 1 : 0), got;
			bool exact;

			got = percentiles_get(&p, percents[j], &exact);
			CHECK(fabs(got - want) <=
				    (exact ? 1e-9 : 0.0101 * fabs(want)) &&
				exact == (n <= 1024),
			    "percentile %g of %llu values is %g", percents[j],
			    (unsigned long long)n, got);
		}
		percentiles_fini(&p);
	}
}

int
main(void)
{
	few_distinct_values_are_exact_and_many_are_near();
	percentiles_are_within_a_hundredth();
	return tap_done();
}
