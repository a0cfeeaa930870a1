/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines at the start of a log that give the order of its columns:
 *
 *   Zeek:  #separator #set_separator #empty_field #unset_field #path #fields
 *          #types (https://docs.zeek.org, log formats)
 *   W3C:   #Software: #Fields: (https://www.w3.org/TR/WD-logfile, Extended Log
 *          File Format; IIS, CloudFront, Exchange, Windows Firewall)
 *
 * Whoever reads a file line by line keeps one of these, and says with each line
 * what holds for it: lines are normalized each by itself, anywhere.
 */
#pragma once

#include <stdbool.h>

#include "slice.h"

enum {
	LOG_HEADER_MAX = 4096 /* bytes; a longer header is none */
};

struct log_header {
	enum { LOG_HEADER_NEW, LOG_HEADER_HAS, LOG_HEADER_HAS_NOT } state;
	size_t len;
	char text[LOG_HEADER_MAX]; /* its lines, each with LF */
};

void log_header_init(struct log_header *h);

/*
 * A line of the log, in their order, from the first one on: where that one does
 * not begin with '#' the log has no header, and a line that looks like one is a
 * stranger's.  True if it is part of a header: then a line of the same kind that
 * came before is forgotten, and with the first line of a new header all of the
 * old one.
 */
bool log_header_line(struct log_header *h, struct slice line);

/*
 * The header that holds for the next line; empty as long as no line gave the
 * columns.  Valid until the next log_header_line().
 */
struct slice log_header_text(const struct log_header *h);
