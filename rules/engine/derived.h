/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that are taken out of another: Imphash of "MD5=...,IMPHASH=...". */
#pragma once

#include "slice.h"

/* The value of `key`, in any case, borrowed from `text`; ptr NULL: none. */
struct slice derived_member(struct slice text, struct slice key);
