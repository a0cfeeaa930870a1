/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that root started becomes an ordinary user before the first
 * foreign byte, for good.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/*
 * Started by root: becomes `user` with its groups, or, if `user` is NULL, warns
 * and stays root.  Started by anybody else: nothing.
 */
enum rc privileges_drop(const char *user, struct error *err);

/*
 * As privileges_drop(), but with nothing left than one capability (its number in
 * <linux/capability.h>), or none (-1); an ordinary user, or root without `user`,
 * stays who it is.
 */
enum rc privileges_become(const char *user, int capability, struct error *err);

/*
 * Stays who it is, with those of its capabilities that are listed; programs that
 * it runs get them, too, and none can get more.
 */
enum rc privileges_limit(const int *capabilities, size_t n, struct error *err);

/* Whether it is permitted to this process. */
bool privileges_has(int capability);
