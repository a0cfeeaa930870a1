/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's log: one line a message on standard error, as text or JSON.
 * Only mains, pipelines and roles log; everything else returns its error.
 * Thread-safe: a line is one write(2).
 */
#pragma once

#include <stdbool.h>

#include "error.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};
enum log_format { LOG_TEXT, LOG_JSON };

/* `program` is borrowed and stands at the start of each line. */
void log_setup(const char *program, enum log_level level,
    enum log_format format);

/* "error" "warn" "info" "debug"; "text" "json".  False if it is none. */
bool log_parse_level(const char *name, enum log_level *level);
bool log_parse_format(const char *name, enum log_format *format);

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
