/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of the formats' files: each line must give exactly the event that
 * stands beside it.  event.original, and what is the same in all events of a
 * file (event.kind, event.dataset, event.module, message), need not be said.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "reader.h"
#include "runaway.h"
#include "set.h"
#include "syslog_header.h"
#include "xalloc.h"

enum {
	ARENA_BLOCK = 64 * 1024,
	TEXT_MAX = 64 * 1024,
	YEAR = 2026,
	PARTS_MAX = 96 /* ends of words of a line that readers are tried on */
};

/* 2026-11-22T12:00:00Z: samples mean the same on every day */
static const int64_t now_ns = INT64_C(1795348800) * NS_PER_SEC;

struct testing {
	struct normalizer *normalizer;
	const char *path;
	const struct format *format; /* of this file */
	normalizer_finding_cb *cb;
	void *ctx;
	struct normalizer_samples *count;
	bool compare;
	bool *probed; /* patterns of `format`, then of its readers */
	struct scratch scratch;
};

static void
tell(const struct testing *t, unsigned line, const char *message)
{
	struct normalizer_finding f = { t->path, line, message };

	if (t->cb != NULL)
		t->cb(t->ctx, &f);
}

static void
fail(struct testing *t, unsigned line, const char *message)
{
	t->count->failed++;
	tell(t, line, message);
}

/* The expected value as JSON text, as the event would be printed. */
static bool
write_node(struct buf *out, const struct yaml_node *node)
{
	struct value v;

	if (!constant_from_yaml(node, &v))
		return false;
	json_write_value(out, &v);
	return true;
}

static void
write_field(struct buf *out, const struct event *ev, uint32_t id)
{
	char stamp[TIMESTAMP_TEXT_MAX];
	const struct value *v = event_get(ev, id);

	if (id == FIELD_TIMESTAMP)
		json_write_string(out, timestamp_format(ev->time_ns, stamp));
	else if (v != NULL)
		json_write_value(out, v);
	else
		(void)buf_add_str(out, "nothing");
}

/* Compares one field; false says what is wrong in `why`. */
static bool
check_field(const struct event *ev, uint32_t id, const struct yaml_node *node,
    struct buf *why)
{
	struct buf want, got;
	bool same;

	buf_init(&want, TEXT_MAX);
	buf_init(&got, TEXT_MAX);
	if (!write_node(&want, node))
		(void)buf_add_str(&want, "(no value)");
	write_field(&got, ev, id);
	same = slice_eq(buf_slice(&want), buf_slice(&got));
	if (!same && why->len == 0) {
		struct slice name = field_name(id);

		(void)buf_printf(why, "%.*s: %.*s is expected, it is %.*s",
		    SLICE_ARG(name), SLICE_ARG(want), SLICE_ARG(got));
	}
	buf_fini(&want);
	buf_fini(&got);
	return same;
}

/* Fields that `expected` names, nested or dotted. */
static bool
check_expected(const struct event *ev, uint32_t parent,
    const struct yaml_node *expected, struct buf *why)
{
	for (size_t i = 0; i < expected->n && why->len == 0; i++) {
		const struct yaml_node *value = expected->items[i];
		uint32_t id = field_child(parent, expected->keys[i]->text);

		if (value->kind == YAML_MAPPING) {
			if (!check_expected(ev, id, value, why))
				return false;
		} else if (!check_field(ev, id, value, why)) {
			return false;
		}
	}
	return why->len == 0;
}

static const struct yaml_node *
find_expected(const struct yaml_node *map, struct slice name)
{
	for (size_t i = 0; map->kind == YAML_MAPPING && i < map->n; i++) {
		struct slice key = map->keys[i]->text;

		if (slice_eq(key, name))
			return map->items[i];
		if (key.len < name.len && name.ptr[key.len] == '.' &&
		    memcmp(key.ptr, name.ptr, key.len) == 0) {
			const struct yaml_node *below =
			    find_expected(map->items[i],
				(struct slice){ name.ptr + key.len + 1,
				    name.len - key.len - 1 });

			if (below != NULL)
				return below;
		}
	}
	return NULL;
}

static bool
is_understood(const struct testing *t, const struct event *ev, uint32_t id)
{
	struct slice text = event_get_string(ev, id);

	switch (id) {
	case FIELD_EVENT_ORIGINAL:
	case FIELD_MESSAGE:
		return true;
	case FIELD_EVENT_KIND:
		return slice_eq(text, SLICE("event"));
	case FIELD_EVENT_DATASET:
		return slice_eq(text, t->format->dataset);
	case FIELD_EVENT_MODULE:
		return slice_eq(text, t->format->module);
	default:
		return false;
	}
}

/* A field of the event that the sample does not speak of. */
static void
check_rest(struct testing *t, const struct event *ev,
    const struct yaml_node *expected, struct buf *why)
{
	for (uint32_t i = 0; i < ev->n && why->len == 0; i++) {
		struct slice name = field_name(ev->fields[i].id);
		struct buf got;

		if (find_expected(expected, name) != NULL ||
		    is_understood(t, ev, ev->fields[i].id))
			continue;
		buf_init(&got, TEXT_MAX);
		json_write_value(&got, &ev->fields[i].value);
		(void)buf_printf(why, "%.*s is not expected, it is %.*s",
		    SLICE_ARG(name), SLICE_ARG(got));
		buf_fini(&got);
	}
}

static struct slice
text_of(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = yaml_get(map, key);

	return node != NULL && node->kind == YAML_SCALAR ? node->text
							 : SLICE("");
}

/* False: the sample itself is wrong. */
static bool
read_hints(struct testing *t, const struct yaml_node *sample,
    struct normalize_hints *hints, struct timezone_info **tz)
{
	const struct yaml_node *zone = yaml_get(sample, "timezone");
	const struct yaml_node *year = yaml_get(sample, "year");
	struct error err;
	int64_t number = YEAR;

	*hints = (struct normalize_hints){ text_of(sample, "dataset"),
		text_of(sample, "program"), { NULL, YEAR, now_ns },
		text_of(sample, "header") };
	if (year != NULL && !yaml_int(year, &number)) {
		fail(t, year->line, "year is a number");
		return false;
	}
	hints->time.year = (int)number;
	if (zone != NULL && timezone_open(zone->text.ptr, tz, &err) != RC_OK) {
		fail(t, zone->line, err.text);
		return false;
	}
	hints->time.tz = *tz;
	return true;
}

static void
probe(struct testing *t, const struct pattern *p, bool *probed,
    struct slice text)
{
	if (*probed || (text.len > 0 && !pattern_fits(p, &t->scratch, text)))
		return;
	*probed = true;
	if (pattern_runs_away(p, text))
		tell(t, p->line,
		    "the pattern can run away on a hostile line: parts that "
		    "repeat within each other, or several that take the same "
		    "text");
}

/* The format's own patterns, on a text as they would be tried. */
static void
probe_patterns(struct testing *t, struct slice text)
{
	for (uint32_t i = 0; i < t->format->n_patterns; i++)
		probe(t, &t->format->patterns[i], &t->probed[i], text);
}

/* Those of its readers, which are tried on a value. */
static void
probe_readers(struct testing *t, struct slice text)
{
	bool *probed = t->probed + t->format->n_patterns;

	for (uint32_t r = 0; r < t->format->n_readers; r++) {
		const struct reader *reader = &t->format->readers[r];

		for (uint32_t i = 0; i < reader->n_patterns; i++)
			probe(t, &reader->patterns[i], probed++, text);
	}
}

/*
 * Which part of the line a reader is given is known when it is; here it is each
 * one that begins and ends where words do.
 */
static void
probe_parts(struct testing *t, struct slice line)
{
	static const char between[] = " \t\"'=:,;|()[]{}<>";
	size_t ends[PARTS_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < line.len && n < PARTS_MAX - 1; i++)
		if (line.ptr[i] != '\0' &&
		    (i == 0 || strchr(between, line.ptr[i]) != NULL ||
			strchr(between, line.ptr[i - 1]) != NULL))
			ends[n++] = i;
	ends[n++] = line.len;
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = n - 1; to > from; to--)
			probe_readers(t,
			    (struct slice){ line.ptr + ends[from],
				ends[to] - ends[from] });
}

/* The line, and what stands behind its header. */
static void
probe_line(struct testing *t, struct slice line)
{
	struct timestamp_hints hints = { NULL, YEAR, now_ns };
	struct time_cache cache = { 0 };
	struct syslog_header header;

	probe_patterns(t, line);
	if (syslog_header_read(line, &hints, &cache, &header))
		probe_patterns(t, format_skip(t->format, header.message));
	if (t->format->n_readers > 0)
		probe_parts(t, line);
}

static size_t
count_patterns(const struct format *f)
{
	size_t n = f->n_patterns;

	for (uint32_t r = 0; r < f->n_readers; r++)
		n += f->readers[r].n_patterns;
	return n;
}

static void
probe_rest(struct testing *t)
{
	probe_patterns(t, SLICE(""));
	probe_readers(t, SLICE(""));
}

static void
run_sample(struct testing *t, const struct yaml_node *sample)
{
	const struct yaml_node *line = yaml_get(sample, "line");
	const struct yaml_node *expected = yaml_get(sample, "event");
	struct timezone_info *tz = NULL;
	struct normalize_hints hints;
	struct arena *arena;
	struct event ev;
	struct buf why;

	if (line == NULL || line->kind != YAML_SCALAR || expected == NULL ||
	    expected->kind != YAML_MAPPING) {
		fail(t, sample->line, "a sample has a line and an event");
		return;
	}
	probe_line(t, line->text);
	if (!t->compare)
		return;
	t->count->run++;
	if (!read_hints(t, sample, &hints, &tz))
		return;
	arena = arena_new(ARENA_BLOCK);
	buf_init(&why, TEXT_MAX);
	event_begin(&ev, arena);
	ev.time_ns = now_ns;
	(void)normalizer_line(t->normalizer, &ev, line->text, &hints);
	if (check_expected(&ev, FIELD_NONE, expected, &why))
		check_rest(t, &ev, expected, &why);
	if (why.len > 0 && buf_add_char(&why, '\0'))
		fail(t, line->line, why.ptr);
	buf_fini(&why);
	arena_free(arena);
	timezone_close(tz);
}

/* By its name: no other file has it. */
static const struct format *
find_format(const struct normalizer_set *s, const char *path,
    const struct yaml_node *root)
{
	struct slice name = format_name(path, text_of(root, "name"));

	for (uint32_t i = 0; i < s->n; i++)
		if (slice_eq(s->formats[i]->name, name))
			return s->formats[i];
	return NULL;
}

static void
run_samples(struct testing *t, const struct yaml_node *samples)
{
	if (samples != NULL && samples->kind != YAML_SEQUENCE) {
		fail(t, samples->line, "samples is a list");
		return;
	}
	t->probed = xcalloc(count_patterns(t->format) + 1, sizeof(bool));
	for (size_t i = 0; samples != NULL && i < samples->n; i++)
		run_sample(t, samples->items[i]);
	probe_rest(t);
	free(t->probed);
}

static void
run_file(struct testing *t, const struct normalizer_set *s)
{
	const struct yaml_node *root;
	struct yaml_file *file;
	struct error err;

	/* a file that does not load is told by normalizer_set_load() */
	if (yaml_load(t->path, &file, &err) != RC_OK)
		return;
	root = yaml_documents(file) > 0 ? yaml_root(file, 0) : NULL;
	if (root != NULL && root->kind == YAML_MAPPING) {
		t->format = find_format(s, t->path, root);
		if (t->format != NULL)
			run_samples(t, yaml_get(root, "samples"));
	}
	yaml_free(file);
}

static int
is_format_file(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 4 &&
	    strcmp(e->d_name + n - 4, ".yml") == 0;
}

enum rc
normalizer_set_examine(const char *dir, struct normalizer_set *set,
    normalizer_finding_cb *cb, void *ctx, struct normalizer_samples *count,
    struct error *err)
{
	struct normalizer_samples none;
	struct testing t = { .cb = cb,
		.ctx = ctx,
		.count = count != NULL ? count : &none,
		.compare = count != NULL };
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_format_file, alphasort);

	*t.count = (struct normalizer_samples){ 0, 0 };
	if (n < 0)
		return error_set_errno(err, errno, "%s", dir);
	t.normalizer = normalizer_new(set);
	scratch_init(&t.scratch);
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		int len = snprintf(path, sizeof(path), "%s/%s", dir,
		    names[i]->d_name);

		t.path = path;
		if (len > 0 && (size_t)len < sizeof(path))
			run_file(&t, set);
		free(names[i]);
	}
	free(names);
	scratch_fini(&t.scratch);
	normalizer_free(t.normalizer);
	return RC_OK;
}
