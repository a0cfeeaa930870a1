/* SPDX-License-Identifier: Apache-2.0 */
/* What of a file's text is never shown, nor kept, whatever is configured. */
#pragma once

#include <stdbool.h>

#include "arena.h"
#include "slice.h"

/* Nothing of it: by its name, or for a private key in its text. */
bool fim_is_secret(const char *path, struct slice text);

/*
 * The text with "***" for values of settings that are named like a secret
 * ("db_password = ...") and for passwords in addresses; in the arena, or the
 * text itself.
 */
struct slice fim_mask_secrets(const char *path, struct slice text,
    struct arena *arena);
