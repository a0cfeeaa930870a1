/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of the opener; nobody else includes it. */
#pragma once

#include "agent/roles/opener.h"

/* As fstatat(2), with statx(2)'s flags; false: errno says why. */
bool opener_stat_at(int dir, const char *name, int flags,
    struct opener_stat *st);
