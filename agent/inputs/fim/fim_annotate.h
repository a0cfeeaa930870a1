/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a change besides the two states: the package it belongs to,
 * the lines that differ, who did it.
 */
#pragma once

#include "agent/inputs/fim/fim_scan.h"

struct account_names;
struct fim_config;
struct fim_packages;
struct input_config;
struct timezone_info;

struct fim_annotator {
	/* borrowed */
	struct fim_store *store;
	const struct fim_spec *spec;
	/* of diffs and maintenance; NULL: none */
	const struct fim_config *config;
	const struct timezone_info *tz; /* of the maintenance; NULL: UTC */
	struct opener *opener;
	struct account_names *names;
	struct fim_packages *packages; /* NULL: none are known */
	void *ctx;
	/* Who touched it last, if anybody saw it; may be NULL. */
	void (*who)(void *ctx, const char *path, struct fim_who *out);
};

/* Fills package, diff, text and who; what it adds lives in the arena. */
void fim_annotate(struct fim_annotator *a, struct fim_change *changes, size_t n,
    struct arena *arena);

/* The text to keep of a file whose changes are shown; ptr NULL: none. */
struct slice fim_shown_text(struct fim_annotator *a, const struct fim_entry *e,
    struct arena *arena);

/* The entry's part of an input's configuration; borrows it. */
struct fim_spec fim_spec_of(const struct input_config *c);
