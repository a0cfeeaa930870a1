/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line, a log with a header, a frame or a Beats message through the shipped formats, then through
 * those that test each reader: the first byte chooses the way and the hints,
 * the rest is the text.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "log_header.h"
#include "normalize.h"
#include "utf8.h"

enum { PATH_BYTES = 4096, ARENA_BLOCK = 16 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const datasets[] = { "", "system.auth", "system.syslog",
	"apache.access", "apache.error", "nginx.access", "nginx.error",
	"no.such" };
static const char *const programs[] = { "", "sshd", "sudo", "su", "useradd",
	"CRON", "dropbear", "no-such" };

static struct normalizer *
make_normalizer(const char *folder)
{
	const char *top = secure_getenv("top_srcdir");
	struct normalizer_set *set;
	struct normalizer *n;
	char path[PATH_BYTES];
	struct error err;

	(void)snprintf(path, sizeof(path), "%s/%s",
	    top != NULL ? top : KUZET_SRCDIR, folder);
	if (normalizer_set_load(path, NULL, NULL, &set, &err) != RC_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		abort();
	}
	n = normalizer_new(set);
	normalizer_set_unref(set);
	return n;
}

/* What every event promises: valid UTF-8, and each field once. */
static void
check_value(const struct value *v)
{
	if (v->kind == VALUE_STRING && !utf8_valid(v->s))
		abort();
	for (uint32_t i = 0; v->kind == VALUE_LIST && i < v->n; i++)
		check_value(&v->list[i]);
}

static void
check_event(const struct event *ev, bool text)
{
	if (text && event_get(ev, FIELD_EVENT_ORIGINAL) == NULL)
		abort();
	for (uint32_t i = 0; i < ev->n; i++) {
		check_value(&ev->fields[i].value);
		for (uint32_t k = 0; k < i; k++)
			if (ev->fields[k].id == ev->fields[i].id)
				abort();
	}
}

/* Line by line, each with the header that holds for it. */
static void
run_log(struct normalizer *n, struct event *ev, struct slice text,
    const struct normalize_hints *hints)
{
	struct normalize_hints own = *hints;
	struct log_header header;

	log_header_init(&header);
	while (text.len > 0) {
		const char *lf = memchr(text.ptr, '\n', text.len);
		size_t len = lf != NULL ? (size_t)(lf - text.ptr) : text.len;

		(void)log_header_line(&header, (struct slice){ text.ptr, len });
		own.header = log_header_text(&header);
		event_begin(ev, ev->arena);
		(void)normalizer_line(n, ev, (struct slice){ text.ptr, len },
		    &own);
		len += lf != NULL;
		text.ptr += len;
		text.len -= len;
	}
}

static void
run(struct normalizer *n, unsigned way, struct slice text,
    const struct normalize_hints *hints)
{
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct event ev;

	event_begin(&ev, arena);
	switch (way) {
	case 0:
		(void)normalizer_line(n, &ev, text, hints);
		break;
	case 1:
		run_log(n, &ev, text, hints);
		break;
	case 2:
		(void)normalizer_syslog(n, &ev, text, hints);
		break;
	default:
		event_set_string(&ev, FIELD_MESSAGE, utf8_repair(arena, text));
		(void)normalizer_event(n, &ev, hints);
		break;
	}
	check_event(&ev, way != 3 && (way != 1 || text.len > 0));
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct normalizer *shipped, *readers;
	struct normalize_hints hints = { .time = { .year = 2026 } };
	struct slice text;

	if (size == 0)
		return 0;
	if (shipped == NULL) {
		shipped = make_normalizer("rules/normalizers");
		readers = make_normalizer("tests/unit/readers");
	}
	hints.dataset.ptr = datasets[data[0] & 7];
	hints.dataset.len = strlen(hints.dataset.ptr);
	hints.program.ptr = programs[data[0] >> 3 & 7];
	hints.program.len = strlen(hints.program.ptr);
	text = (struct slice){ (const char *)data + 1, size - 1 };
	run(shipped, data[0] >> 6, text, &hints);
	run(readers, data[0] >> 6, text, &hints);
	return 0;
}
