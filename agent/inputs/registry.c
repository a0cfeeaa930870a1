/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/input.h"

extern const struct input_kind input_audit;
extern const struct input_kind input_file;
extern const struct input_kind input_fim;
extern const struct input_kind input_inventory;
extern const struct input_kind input_journal;
extern const struct input_kind input_probe;
extern const struct input_kind input_policy;

const struct input_kind *const input_kinds[] = {
	&input_file,
	&input_audit,
	&input_fim,
	&input_inventory,
	&input_policy,
#ifdef HAVE_LIBSYSTEMD
	&input_journal,
#endif
	&input_probe,
	&input_spool,
	NULL,
};
