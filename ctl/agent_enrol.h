/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl agent enroll-token|revoke: who comes in, and who does no more. */
#pragma once

#include "command.h"

int agent_enroll_token(const struct global_options *global, int argc,
    char *argv[]);
int agent_revoke(const struct global_options *global, int argc, char *argv[]);
