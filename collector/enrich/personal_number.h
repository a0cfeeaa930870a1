/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of the numbers that name people and companies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* IIN or BIN: 12 ASCII digits, the last of them a checksum. */
bool iin_is_valid(const char *digits);

/* ISO/IEC 7812-1 annex B, of n ASCII digits. */
bool luhn_is_valid(const char *digits, size_t n);
