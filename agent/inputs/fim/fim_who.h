/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is, as long as it is there. */
#pragma once

#include "agent/inputs/fim/fim.h"

/* Asks /proc through the opener; `known` even if it has ended: then its number is all there is. */
void fim_who_is(struct opener *o, int32_t pid, struct fim_who *out);
