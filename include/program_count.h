/* SPDX-License-Identifier: Apache-2.0 */
/* How many events of a program: what the workers count and the API tells. */
#pragma once

#include <stdint.h>

enum { PROGRAM_COUNTS = 32, PROGRAM_NAME_MAX = 64 };

struct program_count {
	char name[PROGRAM_NAME_MAX]; /* "": all the others */
	uint64_t n;
};
