/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const format_names[] = { "text", "json" };

static const char *log_program = "kuzet";
static enum log_level log_max = LOG_LEVEL_INFO;
static enum log_format log_shape = LOG_TEXT;

void
log_setup(const char *program, enum log_level level, enum log_format format)
{
	log_program = program;
	log_max = level;
	log_shape = format;
}

bool
log_parse_level(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < 4; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool
log_parse_format(const char *name, enum log_format *format)
{
	for (size_t i = 0; i < 2; i++) {
		if (strcmp(name, format_names[i]) == 0) {
			*format = (enum log_format)i;
			return true;
		}
	}
	return false;
}

/* Control characters never reach a terminal or break the one-line promise. */
static size_t
clean_text(char *out, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 1 < room; text++) {
		const unsigned char c = (unsigned char)*text;

		out[n] = *text;
		if (c < 0x20 || c == 0x7f)
			out[n] = ' ';
		n++;
	}
	out[n] = '\0';
	return n;
}

static size_t
clean_json(char *out, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 7 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			out[n++] = '\\';
		if (c < 0x20)
			n += (size_t)snprintf(out + n, room - n, "\\u%04x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return n;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	char clean[2 * LINE_MAX_BYTES];
	char line[3 * LINE_MAX_BYTES];
	char when[40];
	struct timespec now;
	struct tm tm;
	va_list ap;
	int n;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (log_shape == LOG_JSON) {
		(void)clean_json(clean, sizeof(clean), text);
		n = snprintf(line, sizeof(line),
		    "{\"@timestamp\":\"%s.%03ldZ\",\"log.level\":\"%s\","
		    "\"process.name\":\"%s\",\"message\":\"%s\"}\n",
		    when, now.tv_nsec / 1000000, level_names[level],
		    log_program, clean);
	} else {
		(void)clean_text(clean, sizeof(clean), text);
		n = snprintf(line, sizeof(line), "%s.%03ldZ %s %s: %s\n", when,
		    now.tv_nsec / 1000000, level_names[level], log_program,
		    clean);
	}
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nowhere left to complain */
}
