/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a file is: dpkg's own checksums (info/NAME.md5sums, and of conffiles
 * those in `status`) say what a package put there.  One pass over them for many
 * changes; nothing is kept in memory.
 *
 * This tells an update from an intruder's work, not from that of one who is
 * root and writes dpkg's files too: those are best watched themselves.
 */
#pragma once

#include "agent/inputs/fim/fim.h"

/* `dir` is dpkg's: "/var/lib/dpkg".  Fills `package` of regular files. */
void fim_packages(struct opener *o, const char *dir, struct fim_change *changes,
    size_t n);
/* Whether dpkg is at work: its files may lag behind what it unpacks. */
bool fim_packages_busy(const char *dir);
