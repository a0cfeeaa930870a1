/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line's way through the formats:
 *
 *   JSON object, Windows' <Event>, or columns that a header named?  ->  the
 *                       format whose members it has  ->  its members
 *   syslog header?  ->  program  ->  formats of that program, on MSG
 *   dataset named?  ->  its formats, on MSG and on the line
 *   else            ->  log.file.path, literals of the line, literals of MSG
 *   nothing fits    ->  a program's own format or the fallback keep the header,
 *                       else event.kind: pipeline_error
 */
#include <stdlib.h>

#include "audit.h"
#include "audit_event.h"
#include "header_row.h"
#include "json_line.h"
#include "reader.h"
#include "set.h"
#include "syslog_header.h"
#include "user_data.h"
#include "utf8.h"
#include "windows_event.h"
#include "xalloc.h"

enum {
	TRIED_MAX = 32,
	NAMED_MAX = 16, /* formats of `last` that a literal names */
	ZONE_NAME_MAX = 64,
	LINES_MAX = 4 /* lines within lines */
};

struct normalizer {
	struct normalizer_set *set; /* counted */
	struct scratch scratch;
	struct time_cache time_cache;
	struct header_rows rows;
	/* the last event.timezone of a Beat */
	struct timezone_info *tz;
	char tz_name[ZONE_NAME_MAX];
	unsigned lines;     /* how many are being read within each other */
	uint32_t user_data; /* user_data_mark() */
};

/* One line on its way. */
struct job {
	struct normalizer *n;
	struct event *ev;
	const struct normalize_hints *hints;
	struct slice line;
	struct slice text;    /* what is matched now: the line or MSG */
	struct slice matched; /* what did match */
	struct syslog_header header;
	struct slice module; /* of the dataset that was named; else empty */
	const struct format *found;
	const struct pattern *pattern;
	const struct format *owner; /* keeps what it cannot read */
	bool is_object;             /* the text is JSON, or a row: */
	bool is_row;
	struct event object;
	int64_t began_ns; /* ev->time_ns as it came: the arrival */
	uint32_t tried[TRIED_MAX];
	unsigned n_tried;
	uint32_t named[NAMED_MAX]; /* for by_last() */
	unsigned n_named;
	struct slice audit; /* records; ptr NULL: none */
};

struct normalizer *
normalizer_new(struct normalizer_set *s)
{
	struct normalizer *n = xzalloc(sizeof(*n));

	n->set = normalizer_set_ref(s);
	n->user_data = user_data_mark();
	scratch_init(&n->scratch);
	header_rows_init(&n->rows);
	return n;
}

void
normalizer_free(struct normalizer *n)
{
	if (n == NULL)
		return;
	scratch_fini(&n->scratch);
	header_rows_fini(&n->rows);
	timezone_close(n->tz);
	normalizer_set_unref(n->set);
	free(n);
}

uint64_t
normalizer_limits(const struct normalizer *n)
{
	return n->scratch.limits;
}

static bool
try_format(struct job *j, const struct format *f)
{
	struct slice text = format_skip(f, j->text);
	bool hinted =
	    j->module.len > 0 && slice_eq(f->dataset, j->hints->dataset);

	j->pattern = format_match(f, &j->n->scratch, text, hinted);
	if (j->pattern == NULL)
		return false;
	j->found = f;
	j->matched = text;
	return true;
}

/* Each format once for each text. */
static bool
try_once(void *ctx, uint32_t format)
{
	struct job *j = ctx;
	const struct format *f = j->n->set->formats[format];

	/* a named dataset may be wrong about the file, not about the module */
	if (j->module.len > 0 && !slice_eq(j->module, f->module))
		return false;
	for (unsigned i = 0; i < j->n_tried; i++)
		if (j->tried[i] == format)
			return false;
	if (j->n_tried == TRIED_MAX)
		return true;
	j->tried[j->n_tried++] = format;
	return try_format(j, f);
}

static bool
is_named(const struct job *j, uint32_t format)
{
	for (unsigned i = 0; i < j->n_named; i++)
		if (j->named[i] == format)
			return true;
	return false;
}

/* A literal of the line or of MSG: formats that come last are only noted. */
static bool
try_literal(void *ctx, uint32_t format)
{
	struct job *j = ctx;

	if (!j->n->set->formats[format]->last)
		return try_once(ctx, format);
	if (j->n_named < NAMED_MAX && !is_named(j, format))
		j->named[j->n_named++] = format;
	return false;
}

static bool
try_ways(struct job *j, const struct way *ways, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (try_once(j, ways[i].format))
			return j->found != NULL;
	return false;
}

static void
begin_text(struct job *j, struct slice text)
{
	j->text = text;
	j->n_tried = 0;
}

static bool
by_program(struct job *j, struct slice program)
{
	const struct normalizer_set *s = j->n->set;
	const char *slash;
	const struct way *w;
	uint32_t n;

	if (program.len == 0)
		return false;
	w = ways_find(&s->programs, program, &n);
	slash = n == 0 ? memchr(program.ptr, '/', program.len) : NULL;
	if (slash != NULL) /* postfix/smtpd, httpd/backend */
		w = ways_find(&s->programs,
		    (struct slice){ program.ptr,
			(size_t)(slash - program.ptr) },
		    &n);
	for (uint32_t i = 0; i < n && j->owner == NULL; i++)
		if (s->formats[w[i].format]->keep)
			j->owner = s->formats[w[i].format];
	return try_ways(j, w, n);
}

static bool
by_line(struct job *j)
{
	const struct normalizer_set *s = j->n->set;
	struct slice path = event_get_string(j->ev, FIELD_LOG_FILE_PATH);

	begin_text(j, j->line);
	if (path.len > 0 &&
	    literals_scan(s->path, path, path.len, try_once, j) &&
	    j->found != NULL)
		return true;
	return literals_scan(s->line, j->line, SCAN_BYTES, try_literal, j) &&
	    j->found != NULL;
}

static bool
by_message(struct job *j)
{
	const struct normalizer_set *s = j->n->set;
	struct slice text = j->text;

	while (text.len > 0 && text.ptr[0] == ' ') {
		text.ptr++;
		text.len--;
	}
	return literals_scan(s->message, text, SCAN_BYTES, try_literal, j) &&
	    j->found != NULL;
}

static bool
looks_like_object(struct slice s)
{
	return s.len > 1 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}';
}

/* "@cee: {…}", "{…}" and "<Event …>", behind a header too */
static bool
by_object(struct job *j)
{
	static const struct slice cookie = SLICE_INIT("@cee:");
	struct slice s = j->text;

	if (s.len > cookie.len && memcmp(s.ptr, cookie.ptr, cookie.len) == 0)
		s = (struct slice){ s.ptr + cookie.len, s.len - cookie.len };
	while (s.len > 0 && s.ptr[0] == ' ')
		s = (struct slice){ s.ptr + 1, s.len - 1 };
	if (looks_like_object(s))
		j->is_object = json_line_read(&j->object, j->ev, s, j->hints);
	else
		j->is_object =
		    windows_event_read(&j->object, j->ev, s, j->hints);
	if (j->is_object)
		user_data_names(&j->object, j->n->user_data);
	return j->is_object;
}

/*
 * What all others left: MSG, then the line.  Formats without literals are tried
 * on all of it.
 */
static bool
by_last(struct job *j)
{
	const struct normalizer_set *s = j->n->set;
	struct slice texts[2] = { j->header.message, j->line };

	for (unsigned k = j->header.kind == HEADER_NONE ? 1 : 0; k < 2; k++) {
		begin_text(j, texts[k]);
		for (uint32_t i = 0; i < s->n_last; i++)
			if ((s->formats[s->last[i]]->n_keys == 0 ||
				is_named(j, s->last[i])) &&
			    try_once(j, s->last[i]))
				return j->found != NULL;
	}
	return false;
}

/*
 * MSG; where it is empty and the structured data say everything, as Junos has
 * it, MSGID and these.
 */
static struct slice
text_behind(const struct syslog_header *h)
{
	struct slice sd = h->structured_data;

	if (h->message.len > 0 || sd.len == 0 || h->msgid.len == 0)
		return h->message;
	return (struct slice){ h->msgid.ptr,
		(size_t)(sd.ptr + sd.len - h->msgid.ptr) };
}

/* The text behind the header, or all of what a header-less source says. */
static bool
by_header(struct job *j)
{
	struct slice program =
	    j->header.program.len > 0 ? j->header.program : j->hints->program;

	begin_text(j,
	    j->header.kind != HEADER_NONE ? text_behind(&j->header) : j->line);
	return by_object(j) || by_program(j, program) || by_message(j);
}

static bool
by_dataset(struct job *j, const struct way *ways, uint32_t n)
{
	begin_text(j, j->line);
	if (try_ways(j, ways, n))
		return true;
	if (j->header.kind == HEADER_NONE)
		return false;
	begin_text(j, j->header.message);
	return try_ways(j, ways, n);
}

/*
 * What only the set knows: "sshd[1]: …" without a time is a header only if sshd
 * is a program, and so is the word where a host could be, if no tag follows.
 */
static void
doubt_header(struct job *j)
{
	struct syslog_header *h = &j->header;
	uint32_t n;

	if (h->kind == HEADER_BSD && h->program.len == 0 &&
	    h->hostname.len > 0) {
		(void)ways_find(&j->n->set->programs, h->hostname, &n);
		if (n > 0) {
			h->program = h->hostname;
			h->hostname = (struct slice){ NULL, 0 };
		}
	}
	if (h->kind != HEADER_BARE)
		return;
	(void)ways_find(&j->n->set->programs, h->program, &n);
	if (n == 0)
		*h = (struct syslog_header){ .kind = HEADER_NONE,
			.priority = -1 };
}

/* Records of the audit system: the line, or what is behind a syslog header. */
static bool
is_audit(struct job *j, struct slice text)
{
	struct audit_head head;

	if (!audit_head(text, &head))
		return false;
	j->audit = text;
	return true;
}

static bool
route(struct job *j)
{
	const struct normalizer_set *s = j->n->set;
	struct slice dataset = j->hints->dataset;
	const struct way *ways = NULL;
	bool headed;
	uint32_t n = 0;

	if (dataset.len > 0)
		ways = ways_find(&s->datasets, dataset, &n);
	if (n > 0)
		j->module = s->formats[ways[0].format]->module;
	if (is_audit(j, j->line))
		return true;
	headed = syslog_header_read(j->line, &j->hints->time, &j->n->time_cache,
	    &j->header);
	if (headed)
		doubt_header(j);
	headed = j->header.kind != HEADER_NONE;
	if (headed && is_audit(j, j->header.message))
		return true;
	if (headed || j->hints->program.len > 0) {
		if (by_header(j))
			return true;
		/* a known program's unknown message */
		if (j->owner != NULL)
			return true;
	}
	if (n > 0 && by_dataset(j, ways, n))
		return true;
	if (by_line(j) || by_last(j))
		return true;
	if ((headed || j->hints->program.len > 0) && s->fallback != UINT32_MAX)
		j->owner = s->formats[s->fallback];
	return j->owner != NULL;
}

/* A time at the start of a line that is otherwise unknown. */
static void
guess_time(struct job *j)
{
	static time_parser *const parsers[] = { timestamp_parse_rfc3339,
		timestamp_parse_ctime, timestamp_parse_slashed,
		timestamp_parse_clf };
	struct slice s = j->line;
	int64_t time_ns;

	if (s.len > 0 && s.ptr[0] == '[') {
		s.ptr++;
		s.len--;
	}
	for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++) {
		if (parsers[i](s, &j->hints->time, &time_ns) > 0) {
			j->ev->time_ns = time_ns;
			return;
		}
	}
}

static struct slice
trim(struct slice s)
{
	while (
	    s.len > 0 && (s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == '\n'))
		s.len--;
	return s;
}

static void
set_dataset(struct job *j, const struct format *f)
{
	/* the dataset of a syslog file is the file's, whatever program wrote */
	bool named = j->module.len > 0 &&
	    (j->header.kind != HEADER_NONE || j->hints->program.len > 0);
	struct slice dataset = named ? j->hints->dataset : f->dataset;

	event_set_string(j->ev, FIELD_EVENT_DATASET, dataset);
	event_set_string(j->ev, FIELD_EVENT_MODULE,
	    named ? j->module : f->module);
}

/* What the text of a line within this one says, where this one says nothing. */
static void
merge_line(struct event *ev, const struct event *line)
{
	for (uint32_t i = 0; i < line->n; i++) {
		uint32_t id = line->fields[i].id;
		struct slice name = field_name(id);
		bool inner = id == FIELD_MESSAGE ||
		    (name.len > 6 && memcmp(name.ptr, "event.", 6) == 0 &&
			id != FIELD_EVENT_ORIGINAL);

		if (inner || event_get(ev, id) == NULL)
			event_set_value(ev, id, line->fields[i].value);
	}
}

static void
line_within(struct apply *a, struct slice text)
{
	struct normalize_hints hints = { .time = *a->hints };
	struct event line;

	if (a->normalizer->lines == LINES_MAX) {
		event_set_string(a->ev, FIELD_MESSAGE, text);
		return;
	}
	event_begin(&line, a->ev->arena);
	line.time_ns = a->ev->time_ns;
	if (!normalizer_line(a->normalizer, &line, text, &hints)) {
		event_set_string(a->ev, FIELD_MESSAGE, trim(text));
		return;
	}
	if (!a->time_set)
		a->ev->time_ns = line.time_ns;
	merge_line(a->ev, &line);
}

static void
begin_apply(struct job *j, const struct format *f, struct apply *a)
{
	a->ev = j->ev;
	a->hints = &j->hints->time;
	a->time_set = false;
	a->format = f;
	a->scratch = &j->n->scratch;
	a->depth = 0;
	a->line = line_within;
	a->normalizer = j->n;
	for (uint32_t i = 0; i < f->n_slots; i++)
		a->slots[i] = (struct slice){ NULL, 0 };
}

static void
apply_constants(const struct format *f, struct event *ev)
{
	for (uint32_t i = 0; i < f->n_constants; i++)
		event_set_value(ev, f->constants[i].id, f->constants[i].value);
}

static bool
object_fits(const struct format *f, struct slice dataset,
    const struct event *object)
{
	if (dataset.len > 0 && slice_eq(f->dataset, dataset))
		return true;
	for (uint32_t i = 0; i < f->n_json_when; i++) {
		const struct condition *c = &f->json_when[i];
		const struct value *v = event_get(object, field_find(c->name));
		struct slice text = { NULL, 0 };

		if (v != NULL && v->kind == VALUE_STRING)
			text = v->s;
		else if (v != NULL)
			text = SLICE("");
		if (!condition_holds(c, text))
			return false;
	}
	return true;
}

/* The format that an object is of: by the dataset, else by its members. */
static const struct format *
object_format(const struct normalizer_set *s, const struct event *object,
    struct slice dataset)
{
	const struct format *best = NULL;
	uint32_t n = 0;
	const struct way *w = NULL;

	if (dataset.len > 0)
		w = ways_find(&s->datasets, dataset, &n);
	for (uint32_t i = 0; i < n; i++)
		if (s->formats[w[i].format]->json != NULL)
			return s->formats[w[i].format];
	for (uint32_t k = 0; k < object->n; k++) {
		w = ways_find(&s->json, field_name(object->fields[k].id), &n);
		for (uint32_t i = 0; i < n; i++) {
			const struct format *f = s->formats[w[i].format];

			if ((best == NULL || f->index < best->index) &&
			    object_fits(f, dataset, object))
				best = f;
		}
	}
	if (best == NULL && s->any_object != UINT32_MAX)
		best = s->formats[s->any_object];
	return best;
}

/*
 * Columns that the log's header named.  A product that is not known by the names
 * of its columns may be by what the line is otherwise: Exchange's logs.
 */
static bool
by_row(struct job *j, bool any)
{
	struct slice object =
	    header_row(&j->n->rows, j->hints->header, j->line, j->ev->arena);
	const struct format *f;

	if (object.ptr == NULL ||
	    !json_line_read(&j->object, j->ev, object, j->hints))
		return false;
	f = object_format(j->n->set, &j->object, j->hints->dataset);
	j->is_row = any ||
	    (f != NULL && !f->any_object &&
		!(f->last && event_get(&j->object, FIELD_W3C) != NULL));
	j->is_object = j->is_row;
	return j->is_row;
}

/* An object of no format: the named dataset's, or the header's. */
static void
unknown_object(struct job *j)
{
	const struct normalizer_set *s = j->n->set;

	if (event_get(j->ev, FIELD_EVENT_DATASET) != NULL)
		return;
	if (j->hints->dataset.len > 0)
		event_set_string(j->ev, FIELD_EVENT_DATASET, j->hints->dataset);
	else if (j->header.kind != HEADER_NONE && s->fallback != UINT32_MAX)
		set_dataset(j, s->formats[s->fallback]);
}

/* Where the format has no `rest`, members stay beside what is made of them. */
static void
apply_object(struct job *j)
{
	const struct format *f =
	    object_format(j->n->set, &j->object, j->hints->dataset);
	struct event *ev = j->ev;
	struct apply apply;

	if (j->object.time_ns != j->began_ns)
		ev->time_ns = j->object.time_ns;
	/* chose the format, and says nothing else */
	if (j->is_row)
		event_unset(&j->object, FIELD_W3C);
	if (f == NULL || f->json->rest.len == 0)
		json_line_merge(ev, &j->object);
	if (event_get(ev, FIELD_EVENT_KIND) == NULL)
		event_set_string(ev, FIELD_EVENT_KIND, SLICE("event"));
	if (j->is_row)
		event_set_string(ev, FIELD_MESSAGE, j->line);
	if (j->header.kind != HEADER_NONE &&
	    event_get(ev, FIELD_MESSAGE) == NULL)
		event_set_string(ev, FIELD_MESSAGE, j->header.message);
	if (f == NULL || f->any_object)
		unknown_object(j);
	if (f == NULL)
		return;
	/* every object has some dataset; what it says itself counts more */
	if (!f->any_object || event_get(ev, FIELD_EVENT_DATASET) == NULL)
		set_dataset(j, f);
	begin_apply(j, f, &apply);
	apply_constants(f, ev);
	reader_object(f->json, &j->object, &apply);
	format_finish(&apply);
}

static void
apply_found(struct job *j)
{
	struct apply apply;

	set_dataset(j, j->found);
	begin_apply(j, j->found, &apply);
	pattern_apply(j->pattern, j->matched, &apply);
	format_finish(&apply);
}

static bool
finish(struct job *j, bool known)
{
	struct event *ev = j->ev;
	bool headed = j->header.kind != HEADER_NONE;
	bool on_line = j->found != NULL && j->text.ptr == j->line.ptr;

	if (headed && !on_line)
		syslog_header_apply(&j->header, ev);
	else if (j->hints->program.len > 0)
		event_set_string(ev, FIELD_PROCESS_NAME, j->hints->program);
	if (j->is_object) {
		apply_object(j);
		return true;
	}
	if (j->audit.ptr != NULL) {
		event_set_string(ev, FIELD_MESSAGE, j->audit);
		audit_event(ev, j->audit);
		return true;
	}
	event_set_string(ev, FIELD_MESSAGE,
	    headed && !on_line ? j->header.message : j->line);
	event_set_string(ev, FIELD_EVENT_KIND,
	    known ? SLICE("event") : SLICE("pipeline_error"));
	if (!known) {
		if (j->hints->dataset.len > 0)
			event_set_string(ev, FIELD_EVENT_DATASET,
			    j->hints->dataset);
		guess_time(j);
		return false;
	}
	if (j->found != NULL) {
		apply_found(j);
		return true;
	}
	set_dataset(j, j->owner);
	apply_constants(j->owner, ev);
	return true;
}

/* What is not set here is read only after it was written: it is much. */
static void
job_begin(struct job *j, struct normalizer *n, struct event *ev,
    const struct normalize_hints *hints)
{
	static const struct slice none = { NULL, 0 };

	j->n = n;
	j->ev = ev;
	j->hints = hints;
	j->matched = j->module = j->audit = none;
	j->header.kind = HEADER_NONE;
	j->found = NULL;
	j->pattern = NULL;
	j->owner = NULL;
	j->is_object = j->is_row = false;
	j->began_ns = ev->time_ns;
	j->n_named = 0;
}

/* A line as it came, in UTF-8, and without its end. */
struct read_line {
	struct slice original, text;
	bool ascii;
};

static struct read_line
read_line(struct arena *arena, struct slice line)
{
	struct read_line r = { .ascii = utf8_is_ascii(line) };

	r.original = r.ascii ? line : utf8_repair(arena, line);
	r.text = trim(r.original);
	return r;
}

static bool
normalize(struct normalizer *n, struct event *ev, const struct read_line *read,
    const struct normalize_hints *hints)
{
	struct slice line = read->text;
	uint64_t limits = n->scratch.limits;
	struct job job;
	bool known;

	job_begin(&job, n, ev, hints);
	job.line = line;
	begin_text(&job, line);
	scratch_line(&n->scratch, line, read->ascii);
	n->lines++;
	known = line.len > 0 &&
	    (by_row(&job, false) || by_object(&job) || route(&job) ||
		by_row(&job, true));
	known = finish(&job, known);
	n->lines--;
	if (n->scratch.limits != limits)
		event_set_string(ev, FIELD_ERROR_MESSAGE,
		    SLICE("a pattern of a log format reached its match limit"));
	return known;
}

bool
normalizer_line(struct normalizer *n, struct event *ev, struct slice line,
    const struct normalize_hints *hints)
{
	static const struct slice mark = SLICE_INIT("\xef\xbb\xbf");
	struct read_line read = read_line(ev->arena, line);

	event_set_string(ev, FIELD_EVENT_ORIGINAL, read.original);
	/* as the first line of a file may have */
	if (!read.ascii && read.text.len >= mark.len &&
	    memcmp(read.text.ptr, mark.ptr, mark.len) == 0) {
		read.text.ptr += mark.len;
		read.text.len -= mark.len;
		read.ascii = utf8_is_ascii(read.text);
	}
	return normalize(n, ev, &read, hints);
}

bool
normalizer_syslog(struct normalizer *n, struct event *ev, struct slice frame,
    const struct normalize_hints *hints)
{
	struct read_line read = read_line(ev->arena, frame);

	event_set_string(ev, FIELD_EVENT_ORIGINAL, read.original);
	return normalize(n, ev, &read, hints);
}

/* event.timezone as Beats say it ("+05:00"): for times without a zone. */
static const struct timezone_info *
zone_of(struct normalizer *n, const struct event *ev)
{
	struct slice name = event_get_string(ev, FIELD_EVENT_TIMEZONE);
	struct error err;

	if (name.len == 0 || name.len >= ZONE_NAME_MAX ||
	    memchr(name.ptr, '\0', name.len) != NULL)
		return NULL;
	if (strlen(n->tz_name) == name.len &&
	    memcmp(n->tz_name, name.ptr, name.len) == 0)
		return n->tz;
	timezone_close(n->tz);
	n->tz = NULL;
	memcpy(n->tz_name, name.ptr, name.len);
	n->tz_name[name.len] = '\0';
	/* a zone that does not exist is remembered as none */
	if (timezone_open(n->tz_name, &n->tz, &err) != RC_OK)
		n->tz = NULL;
	return n->tz;
}

bool
normalizer_event(struct normalizer *n, struct event *ev,
    const struct normalize_hints *hints)
{
	struct slice text = event_get_string(ev, FIELD_MESSAGE);
	struct slice path = event_get_string(ev, FIELD_LOG_FILE_PATH);
	struct normalize_hints own = *hints;
	struct event parsed;
	uint32_t known = 0;

	user_data_names(ev, n->user_data);
	if (own.dataset.len == 0)
		own.dataset = event_get_string(ev, FIELD_EVENT_DATASET);
	if (own.dataset.len > 0)
		(void)ways_find(&n->set->datasets, own.dataset, &known);
	/* whoever filled these has parsed it already */
	if (text.len == 0 || event_get(ev, FIELD_EVENT_CATEGORY) != NULL ||
	    event_get(ev, FIELD_WINLOG_EVENT_ID) != NULL ||
	    (known == 0 && path.len == 0))
		return true;
	if (own.time.tz == NULL)
		own.time.tz = zone_of(n, ev);
	event_begin(&parsed, ev->arena);
	parsed.time_ns = ev->time_ns;
	if (path.len > 0)
		event_set_string(&parsed, FIELD_LOG_FILE_PATH, path);
	if (!normalizer_line(n, &parsed, text, &own)) {
		if (known == 0)
			return true; /* text that nobody promised to know */
		event_set_string(ev, FIELD_EVENT_KIND, SLICE("pipeline_error"));
		return false;
	}
	ev->time_ns = parsed.time_ns;
	json_line_merge(ev, &parsed);
	return true;
}
