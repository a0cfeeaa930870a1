/* SPDX-License-Identifier: Apache-2.0 */
/* DNSSEC signatures in the answer of a name server (RFC 4034 section 3). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

/*
 * A query for `type` of the zone that asks for signatures (RFC 3225) and does
 * not ask for recursion.  *out is ares_free_string()'s.
 */
bool dns_signed_query(const char *zone, int type, unsigned char **out,
    int *len);

/*
 * Until when the answer is signed, in seconds since 1970: of several signatures
 * the one that holds longest.  0: there is none, or it is no answer.
 */
int64_t dns_signed_until(struct slice answer, int type, int64_t now_s);
