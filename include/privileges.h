/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that root started becomes an ordinary user before the first
 * foreign byte, for good.
 */
#pragma once

#include "error.h"

/*
 * Started by root: becomes `user` with its groups, or, if `user` is NULL, warns
 * and stays root.  Started by anybody else: nothing.
 */
enum rc privileges_drop(const char *user, struct error *err);
