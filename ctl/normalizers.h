/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands of `kuzetctl normalizers`; argv[0] is the subcommand's name. */
#pragma once

#include "command.h"

int normalizers_unparsed(const struct global_options *global, int argc,
    char *argv[]);
