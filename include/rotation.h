/* SPDX-License-Identifier: Apache-2.0 */
/* What log rotations make of names. */
#pragma once

#include <stdbool.h>

/*
 * Whether `name` is what a log rotation makes of `base` ("app.log" becomes
 * "app.log.1", "app.log-20261122.gz", "app-20261122.log", "app.1.log"): what
 * was added is made of numbers and a few words, never another log's name.
 */
bool rotation_name(const char *base, const char *name);

/*
 * The name without what rotations added: "app.log" of "app.log.2.gz" and of
 * "app-20261122.log".
 */
void rotation_family(const char *name, char out[256]);
