/* SPDX-License-Identifier: Apache-2.0 */
/* `kuzet-agent policy check`: policy checks without a collector. */
#pragma once

/* argv[0] is "policy"; the exit status. */
int policy_command_main(int argc, char **argv);
