/* SPDX-License-Identifier: Apache-2.0 */
/* Internet addresses as text, read without a copy. */
#pragma once

#include "slice.h"

/*
 * The address in `s` (RFC 4291 section 2.2 or dotted decimal without leading
 * zeros), brackets taken off and IPv4-mapped unmapped: a part of `s`, or empty
 * if it is none.
 */
struct slice address_read(struct slice s);

/* Whether it may be a host name: letters, digits, '-', '.', '_', a letter. */
bool address_is_name(struct slice s);
