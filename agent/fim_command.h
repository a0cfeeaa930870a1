/* SPDX-License-Identifier: Apache-2.0 */
/* `kuzet-agent fim ...`: file integrity without a collector. */
#pragma once

/* argv[0] is "fim"; the exit status. */
int fim_command(int argc, char **argv);
