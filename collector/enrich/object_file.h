/* SPDX-License-Identifier: Apache-2.0 */
/* objects.yaml(5) as it is read: the option table's part of the register. */
#pragma once

#include "objects.h"

struct object_file {
	struct conf_list organizations; /* struct organization */
	struct conf_list objects;       /* struct object */
};

/*
 * Reads and checks each by itself; what they say of each other is the
 * register's.  After an error there is nothing in it.
 */
enum rc object_file_parse(const char *name, struct slice text,
    struct object_file *out, struct error *err);
enum rc object_file_load(const char *path, struct object_file *out,
    struct error *err);
void object_file_free(struct object_file *file);
