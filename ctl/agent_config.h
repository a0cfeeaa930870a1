/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl agent config: the agents' configurations. */
#pragma once

#include "command.h"

/* argv[0] is "config". */
int agent_config(const struct global_options *global, int argc, char *argv[]);
