/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a file is: dpkg's own checksums (info/NAME.md5sums, and of conffiles
 * those in `status`) and those of rpm's database say what a package put there.
 * One pass over them for many changes; in memory are two bytes for each path
 * they name.
 *
 * This tells an update from an intruder's work, not from that of one who is
 * root and writes dpkg's files too: those are best watched themselves.
 */
#pragma once

#include "agent/inputs/fim/fim.h"

struct fim_packages;

#define FIM_DPKG_DIR "/var/lib/dpkg"

/* `dir` is dpkg's: "/var/lib/dpkg"; `rpm_dir` rpm's, NULL: where the machine
 * has it.  The opener is borrowed. */
struct fim_packages *fim_packages_new(struct opener *o, const char *dir,
    const char *rpm_dir);
void fim_packages_free(struct fim_packages *p); /* NULL is fine */
/* Learns which paths packages name, if that changed: 40 ms for 800 packages, that
 * the next change need not wait for.  Whether it did. */
bool fim_packages_prepare(struct fim_packages *p);
/* Fills `package` of regular files. */
void fim_packages_find(struct fim_packages *p, struct fim_change *changes,
    size_t n);
/* Whether dpkg or rpm is at work: their lists may lag behind what they unpack. */
bool fim_packages_busy(const struct fim_packages *p);
