/* SPDX-License-Identifier: Apache-2.0 */
/* One value of a configuration file: from its node into its field. */
#pragma once

#include "conf.h"

/*
 * Every type but CONF_LIST.  `folder` is what relative paths begin with.  The
 * message is "what is wrong: what is allowed", without file, line and key.
 */
enum rc conf_value_read(const struct conf_option *o,
    const struct yaml_node *node, const char *folder, void *field,
    struct error *err);

/* Frees what a value owns and zeroes it; every type but CONF_LIST. */
void conf_value_free(const struct conf_option *o, void *field);

/* Whether something is in it. */
bool conf_value_is_set(const struct conf_option *o, const void *field);

/* "a whole number from 1 to 9", for messages and --help. */
void conf_value_allowed(const struct conf_option *o, struct buf *out);
