/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the data files are: normalizers/ and taxonomy/ below it.  The
 * environment's KUZET_DATADIR wins over the folder of the installation
 * (PREFIX/share/kuzet), so that an uninstalled build runs from its source.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* "DATADIR/NAME"; false if it does not fit. */
bool datadir_path(const char *name, char *out, size_t room);

/*
 * Where a user's programs keep what they can make again: KUZET_CACHEDIR, else
 * XDG_CACHE_HOME/kuzet, else HOME/.cache/kuzet.  False: nowhere, as
 * KUZET_CACHEDIR is set and empty or neither of the others is set.
 */
bool cachedir_path(char *out, size_t room);
