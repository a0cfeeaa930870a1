/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/input.h"

extern const struct input_kind input_file;

const struct input_kind *const input_kinds[] = {
	&input_file,
	&input_spool,
	NULL,
};
