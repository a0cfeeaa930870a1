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

bool
cachedir_path(char *out, size_t room)
{
	const char *own = secure_getenv("KUZET_CACHEDIR");
	const char *base = secure_getenv("XDG_CACHE_HOME");
	const char *home = secure_getenv("HOME");
	int n = 0;

	if (own != NULL)
		n = snprintf(out, room, "%s", own);
	else if (base != NULL && base[0] == '/') /* else void, says XDG */
		n = snprintf(out, room, "%s/kuzet", base);
	else if (home != NULL && home[0] == '/')
		n = snprintf(out, room, "%s/.cache/kuzet", home);
	return n > 0 && (size_t)n < room;
}
