/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: where the collector listens for kuzetctl.  Its path may
 * be longer than the 107 bytes of sockaddr_un: unix(7).
 */
#pragma once

#include "error.h"

#define CONTROL_DEFAULT_PATH "/run/kuzet/collector.sock"

/*
 * Listens, mode 0600 from its first moment.  RC_DENIED: somebody answers there.
 * A socket that nobody answers on is replaced, nothing else is: RC_INVALID.
 */
enum rc control_listen(const char *path, int *fd, struct error *err);

/* Connects, blocking. */
enum rc control_connect(const char *path, int *fd, struct error *err);
