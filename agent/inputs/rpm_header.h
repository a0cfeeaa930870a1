/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A package's header as rpm keeps it in its database (rpm's docs/manual,
 * "hregions" and "tags"): numbers are big-endian.
 *
 *   entries(4) bytes(4) | tag(4) type(4) offset(4) count(4) ... | store
 *
 * What it gives borrows from the bytes; nothing in them is believed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "slice.h"

enum rpm_tag {
	RPM_NAME = 1000,
	RPM_VERSION = 1001,
	RPM_RELEASE = 1002,
	RPM_EPOCH = 1003,
	RPM_INSTALLTIME = 1008, /* seconds since 1970 */
	RPM_ARCH = 1022,
	RPM_FILESTATES = 1029,
	RPM_FILEMODES = 1030,
	RPM_FILEDIGESTS = 1035,
	RPM_DIRINDEXES = 1116,
	RPM_BASENAMES = 1117,
	RPM_DIRNAMES = 1118,
	RPM_FILEDIGESTALGO = 5011
};

/* As in OpenPGP (RFC 4880, section 9.4) */
enum rpm_digest { RPM_MD5 = 1, RPM_SHA256 = 8 };

enum {
	RPM_ENTRIES_MAX = 65536,
	RPM_DIRS_MAX = 262144, /* of one package */
	RPM_FILES_MAX = 4 * 1024 * 1024
};

struct rpm_header {
	struct slice index; /* whole entries */
	struct slice store;
};

/* RC_INVALID: it is none; RC_LIMIT: more entries than RPM_ENTRIES_MAX. */
enum rc rpm_header_parse(struct slice bytes, struct rpm_header *h);
/* A tag that is one text; false: it is missing or of another type. */
bool rpm_header_text(const struct rpm_header *h, enum rpm_tag tag,
    struct slice *out);
/* The first of a tag of 32-bit numbers; false: it is missing, or others. */
bool rpm_header_number(const struct rpm_header *h, enum rpm_tag tag,
    uint32_t *out);

/* A regular file that the package installed, and its checksum. */
struct rpm_file {
	struct slice dir, base; /* "/usr/bin/", "x" */
	struct slice digest;    /* hexadecimal, of the algorithm's length */
	enum rpm_digest algorithm;
	uint16_t mode;
};
typedef void rpm_file_cb(void *ctx, const struct rpm_file *f);

/*
 * Those with a checksum that is MD5 or SHA-256, and that are there as the
 * package brought them (no %ghost, none of a colour that was not installed).
 * RC_INVALID: the lists contradict each other; what came before has been told.
 * RC_LIMIT: too many of them.
 */
enum rc rpm_header_files(const struct rpm_header *h, rpm_file_cb *cb,
    void *ctx);
