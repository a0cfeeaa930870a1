/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `kuzetctl rules`; each returns the exit status. */
#pragma once

#include <stdbool.h>

int rules_check(bool json, int argc, char *argv[]);
int rules_match(bool json, int argc, char *argv[]);
