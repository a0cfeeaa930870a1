/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --check-config: opens and parses every file that the configuration names;
 * binds and creates nothing.
 */
#pragma once

#include "config.h"

enum rc collector_check(const char *path, const struct collector_config *config,
    struct error *err);
