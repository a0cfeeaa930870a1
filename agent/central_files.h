/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What central.c keeps in the state folder: copies of orders, and what was seen
 * last.  Each file is replaced as a whole; trouble is logged where nobody else
 * could say more.
 */
#pragma once

#include "agent/central.h"

enum { CENTRAL_NAME = 256, CENTRAL_REASON = 1024 };

/* What became of the newest version. */
enum central_fate {
	FATE_NONE,
	FATE_TRIAL,
	FATE_APPLIED,
	FATE_REFUSED,
	FATE_FALLEN
};
const char *central_fate_name(enum central_fate fate);

struct central_seen {
	uint64_t version;
	enum central_fate fate;
	unsigned tries;
	char hash[SHA256_TEXT];
	char name[CENTRAL_NAME];
	char reason[CENTRAL_REASON];
};

/* As a line of the file has it: cut, and without control characters. */
void central_text(char *out, size_t room, struct slice s);

/* All zero where there is no such file. */
void central_seen_read(const char *dir, struct central_seen *s);
void central_seen_save(const char *dir, const struct central_seen *s);

bool central_copy_exists(const char *dir, enum central_copy which);
enum rc central_copy_write(const char *dir, enum central_copy which,
    struct slice wire, struct error *err);
void central_copy_remove(const char *dir, enum central_copy which);
/* The trial becomes the good one, and that lasts: its folder is synced, too. */
bool central_copy_keep(const char *dir);
/* A copy that is signed and for us; texts are the arena's.  RC_EOF: there is
 * none. */
enum rc central_copy_open(const struct central_trust *trust,
    enum central_copy which, struct arena *arena, struct order *out,
    struct error *err);
