/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of the block format: written and read here only, never changed */
#pragma once

enum column_kind {
	COLUMN_TIME = 1,    /* unit, then differences */
	COLUMN_ARRIVAL = 2, /* the same */
	COLUMN_SOURCE = 3,  /* differences */
	COLUMN_ID = 4,      /* n, UUIDs*n, stream an event, offset difference
			     * within its stream an event */
	COLUMN_FOREIGN = 5, /* as a field */
	COLUMN_FIELD = 6,
};
enum { HEAD_COLUMNS = 4 }; /* that every block has */

enum packing { PACKING_NONE = 0, PACKING_ZSTD = 1 };
enum presence { PRESENT_ALL = 0, PRESENT_SOME = 1 };
enum kinds { KINDS_ALIKE = 0, KINDS_EACH = 1 };
enum strings { STRINGS_NONE = 0, STRINGS_PLAIN = 1, STRINGS_DICT = 2 };

enum kind {
	KIND_NULL = 0,
	KIND_FALSE = 1,
	KIND_TRUE = 2,
	KIND_INT = 3,
	KIND_DOUBLE = 4,
	KIND_STRING = 5,
	KIND_JSON = 6,
	KIND_LIST = 7,
	KIND_REFERENCE = 8,
};
