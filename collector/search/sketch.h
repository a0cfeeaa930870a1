/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of many values in bounded memory: exact for the first ones, estimated
 * beyond.
 *
 *   distinct     exact up to 2,048 different values, then HyperLogLog with
 *                16,384 registers: a standard error of 0.8 % (Flajolet, Fusy,
 *                Gandouet, Meunier 2007; linear counting below 2.5 registers)
 *   percentiles  exact up to 1,024 values, then a histogram of logarithmic
 *                buckets: each within 1 % of the value (Masson, Rim, Lee 2019)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct distinct {
	uint64_t *hashes; /* open addressing; NULL: registers */
	uint8_t *registers;
	uint32_t n, cap;
};
/* Returns by how many bytes it grew. */
size_t distinct_add(struct distinct *d, uint64_t hash);
uint64_t distinct_count(const struct distinct *d, bool *exact);
void distinct_fini(struct distinct *d);

struct percentiles {
	double *values; /* NULL: buckets */
	uint64_t *buckets;
	uint32_t cap;
	uint64_t n;
};
size_t percentiles_add(struct percentiles *p, double value);
/* `percent` 0 to 100, of at least one value: the nearest rank. */
double percentiles_get(struct percentiles *p, double percent, bool *exact);
void percentiles_fini(struct percentiles *p);
