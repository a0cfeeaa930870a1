/* SPDX-License-Identifier: Apache-2.0 */
#include "datadir.h"

#include <stdio.h>
#include <stdlib.h>

bool
datadir_path(const char *name, char *out, size_t room)
{
	const char *dir = secure_getenv("KUZET_DATADIR");
	int n = snprintf(out, room, "%s/%s", dir != NULL ? dir : KUZET_DATADIR,
	    name);

	return n > 0 && (size_t)n < room;
}
