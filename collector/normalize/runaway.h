/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns whose time has no reasonable bound; for `normalizers check`. */
#pragma once

#include "format.h"

/*
 * Whether a text can make the pattern run away; `text` is one that it matches,
 * which shows what may stand where (empty: none is known).  Takes up to some
 * tenths of a second.
 */
bool pattern_runs_away(const struct pattern *p, struct slice text);
