/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/search/sketch.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "xalloc.h"

/* ---- distinct ---------------------------------------------------------------- */

enum {
	EXACT_HASHES = 2048,
	FIRST_SLOTS = 16,
	REGISTER_BITS = 14,
	REGISTERS = 1 << REGISTER_BITS,
};

static void
set_register(struct distinct *d, uint64_t h)
{
	size_t at = h >> (64 - REGISTER_BITS);
	uint64_t rest = h << REGISTER_BITS;
	unsigned zeros =
	    rest != 0 ? (unsigned)__builtin_clzll(rest) : 64 - REGISTER_BITS;

	if (d->registers[at] < zeros + 1)
		d->registers[at] = (uint8_t)(zeros + 1);
}

static bool
put_hash(uint64_t *slots, uint32_t cap, uint64_t h)
{
	uint32_t at = (uint32_t)h & (cap - 1);

	while (slots[at] != 0) {
		if (slots[at] == h)
			return false;
		at = (at + 1) & (cap - 1);
	}
	slots[at] = h;
	return true;
}

static size_t
grow_hashes(struct distinct *d)
{
	uint32_t cap = d->cap > 0 ? 2 * d->cap : FIRST_SLOTS;
	uint64_t *slots = xcalloc(cap, sizeof(slots[0]));

	for (uint32_t i = 0; i < d->cap; i++)
		if (d->hashes[i] != 0)
			(void)put_hash(slots, cap, d->hashes[i]);
	free(d->hashes);
	d->hashes = slots;
	d->cap = cap;
	return cap * sizeof(slots[0]) / 2;
}

static size_t
to_registers(struct distinct *d)
{
	d->registers = xzalloc(REGISTERS);
	for (uint32_t i = 0; i < d->cap; i++)
		if (d->hashes[i] != 0)
			set_register(d, d->hashes[i]);
	free(d->hashes);
	d->hashes = NULL;
	return REGISTERS;
}

size_t
distinct_add(struct distinct *d, uint64_t hash)
{
	size_t grown = 0;

	hash += hash == 0;
	if (d->registers == NULL && 2 * d->n >= d->cap)
		grown = d->n < EXACT_HASHES ? grow_hashes(d) : to_registers(d);
	if (d->registers != NULL) {
		set_register(d, hash);
		return grown;
	}
	assert(d->hashes != NULL);
	d->n += put_hash(d->hashes, d->cap, hash);
	return grown;
}

uint64_t
distinct_count(const struct distinct *d, bool *exact)
{
	const double m = REGISTERS, alpha = 0.7213 / (1 + 1.079 / m);
	double sum = 0, estimate;
	unsigned zeros = 0;

	*exact = d->registers == NULL;
	if (*exact)
		return d->n;
	for (unsigned i = 0; i < REGISTERS; i++) {
		sum += ldexp(1, -d->registers[i]);
		zeros += d->registers[i] == 0;
	}
	estimate = alpha * m * m / sum;
	if (estimate <= 2.5 * m && zeros > 0)
		estimate = m * log(m / zeros);
	return (uint64_t)(estimate + 0.5);
}

void
distinct_fini(struct distinct *d)
{
	free(d->hashes);
	free(d->registers);
	*d = (struct distinct){ 0 };
}

/* ---- percentiles -------------------------------------------------------------- */

/*
 * Buckets grow by 2 %: a value is within 1 % of the middle of its own.  From
 * 1e-9 to 1e21 on both sides of zero; what is nearer to zero is zero.
 */
enum { EXACT_VALUES = 1024, FIRST_VALUES = 16, SIDE = 3490 };
enum { BUCKETS = 2 * SIDE + 1 };
static const double smallest = 1e-9, growth = 1.02;

static uint32_t
bucket_of(double v)
{
	double size = fabs(v);
	double step;

	if (size < smallest)
		return SIDE;
	step = floor(log(size / smallest) / log(growth));
	if (step > SIDE - 1)
		step = SIDE - 1;
	return v > 0 ? SIDE + 1 + (uint32_t)step : SIDE - 1 - (uint32_t)step;
}

static double
value_of(uint32_t bucket)
{
	double middle = (1 + growth) / 2;

	if (bucket == SIDE)
		return 0;
	if (bucket > SIDE)
		return smallest * pow(growth, bucket - SIDE - 1) * middle;
	return -smallest * pow(growth, SIDE - 1 - bucket) * middle;
}

size_t
percentiles_add(struct percentiles *p, double value)
{
	size_t grown = 0;

	if (p->buckets == NULL && p->n == EXACT_VALUES) {
		p->buckets = xcalloc(BUCKETS, sizeof(p->buckets[0]));
		for (uint32_t i = 0; i < p->n; i++)
			p->buckets[bucket_of(p->values[i])]++;
		free(p->values);
		p->values = NULL;
		grown = BUCKETS * sizeof(p->buckets[0]);
	} else if (p->buckets == NULL && p->n == p->cap) {
		p->cap = p->cap > 0 ? 2 * p->cap : FIRST_VALUES;
		p->values =
		    xreallocarray(p->values, p->cap, sizeof(p->values[0]));
		grown = p->cap * sizeof(p->values[0]) / 2;
	}
	if (p->buckets != NULL)
		p->buckets[bucket_of(value)]++;
	else
		p->values[p->n] = value;
	p->n++;
	return grown;
}

static int
compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double
percentiles_get(struct percentiles *p, double percent, bool *exact)
{
	double rank = ceil(percent / 100 * (double)p->n);
	uint64_t wanted = rank >= 1 ? (uint64_t)rank : 1, seen = 0;

	*exact = p->buckets == NULL;
	if (wanted > p->n)
		wanted = p->n;
	if (*exact) {
		qsort(p->values, p->n, sizeof(p->values[0]), compare_doubles);
		return p->values[wanted - 1];
	}
	for (uint32_t i = 0; i < BUCKETS; i++) {
		seen += p->buckets[i];
		if (seen >= wanted)
			return value_of(i);
	}
	return 0;
}

void
percentiles_fini(struct percentiles *p)
{
	free(p->values);
	free(p->buckets);
	*p = (struct percentiles){ 0 };
}
