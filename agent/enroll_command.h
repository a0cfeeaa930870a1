/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `kuzet-agent enroll`: argv[0] is "enroll"; the exit status. */
int enroll_command(int argc, char *argv[]);
