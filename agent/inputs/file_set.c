/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/file_set.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/encoding.h"
#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

/* Between two writes of the state: what a crash makes be sent again. */
static const int64_t save_every_ns = 25 * NS_PER_MS;
/* Thousands of files and a slow disk must not cost more than a tenth. */
enum { SAVE_SHARE = 10 };

void
file_set_say(struct file_set *s, enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->setup.say(s->setup.ctx, level, text);
}

/* FNV-1a */
static uint64_t
hash_text(const char *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return h;
}

void
file_set_say_once(struct file_set *s, const char *path, const char *text)
{
	uint64_t h = hash_text(path);

	for (size_t i = 0; i < SAID_MAX; i++) {
		if (s->said[i] == h)
			return;
	}
	s->said[s->said_at] = h;
	s->said_at = (s->said_at + 1) % SAID_MAX;
	s->counts.dropped++;
	file_set_say(s, LOG_LEVEL_WARN, "%s", text);
}

const struct file_spec *
file_set_spec_of(const struct file_set *s, const char *path)
{
	for (size_t i = 0; i < s->n_specs; i++) {
		const struct input_config *c = s->specs[i].config;

		for (size_t k = 0; k < c->n_paths; k++) {
			if (fnmatch(c->paths[k], path,
				FNM_PATHNAME | FNM_PERIOD) == 0)
				return &s->specs[i];
		}
	}
	return NULL;
}

void
file_set_assign(struct file_set *s, struct tail *t,
    const struct file_spec *spec)
{
	char stream[UUID_TEXT];
	struct line_source source;

	line_shape_fini(&t->shape);
	t->spec = spec;
	t->pending.bytes = 0; /* another entry joins otherwise */
	if (spec == NULL)
		return;
	uuid_text(t->stream, stream);
	source = (struct line_source){
		.path = t->origin,
		.input = spec->config->name,
		.dataset = spec->config->dataset,
		.timezone = spec->config->timezone,
		.year = spec->config->year,
		.host_name = s->setup.host_name,
		.stream = stream,
	};
	line_shape_init(&t->shape, &source);
}

static void
free_specs(struct file_set *s)
{
	for (size_t i = 0; i < s->n_specs; i++) {
		encoding_free(s->specs[i].encoding);
		multiline_free(s->specs[i].multiline);
	}
	free(s->specs);
}

/* The configuration was checked: what fails here is said, and not used. */
static void
open_spec(struct file_set *s, struct file_spec *spec,
    const struct input_config *c)
{
	struct error err;

	spec->config = c;
	spec->heartbeat_due_ns = loop_now() + s->setup.heartbeat_ns;
	if (c->encoding != NULL &&
	    encoding_open(c->encoding, &spec->encoding, &err) != RC_OK)
		file_set_say(s, LOG_LEVEL_ERROR, "%s: encoding: %s", c->name,
		    err.text);
	if (multiline_ways(&c->multiline.how) > 0 &&
	    multiline_new(&c->multiline.how, &spec->multiline, &err) != RC_OK)
		file_set_say(s, LOG_LEVEL_ERROR, "%s: multiline: %s", c->name,
		    err.text);
}

void
file_set_specs(struct file_set *s, const struct input_setup *setup)
{
	struct tail *t;

	s->setup = *setup;
	free_specs(s);
	s->n_specs = setup->n_inputs;
	s->specs = xcalloc(s->n_specs + 1, sizeof(*s->specs));
	for (size_t i = 0; i < s->n_specs; i++) {
		open_spec(s, &s->specs[i], &setup->inputs[i]);
	}
	TAILQ_FOREACH (t, &s->tails, all) {
		file_set_assign(s, t, file_set_spec_of(s, t->origin));
		/* what no input names keeps its position, for the next time */
		if (t->spec == NULL)
			file_set_close(s, t);
		else if (t->fd != -1 && t->size > t->read_at)
			file_set_ready(s, t);
	}
}

static struct tail **
bucket(const struct file_set *s, const struct file_id *id)
{
	uint64_t h = (id->ino * UINT64_C(0x9e3779b97f4a7c15)) ^ id->dev;

	return (struct tail **)&s->by_inode[(h >> 20) % FILE_BUCKETS];
}

struct tail *
file_set_find(const struct file_set *s, const struct file_id *id)
{
	struct tail *t = *bucket(s, id);

	while (t != NULL && !file_id_eq(&t->id, id))
		t = t->hash_next;
	return t;
}

void
file_set_index(struct file_set *s, struct tail *t)
{
	struct tail **b = bucket(s, &t->id);

	t->hash_next = *b;
	*b = t;
}

void
file_set_unindex(struct file_set *s, struct tail *t)
{
	struct tail **at = bucket(s, &t->id);

	while (*at != NULL && *at != t)
		at = &(*at)->hash_next;
	if (*at == t)
		*at = t->hash_next;
	t->hash_next = NULL;
}

void
file_set_ready(struct file_set *s, struct tail *t)
{
	if (t->ready || t->fd == -1 || t->spec == NULL || t->copy)
		return;
	t->ready = true;
	s->n_ready++;
	TAILQ_INSERT_TAIL(&s->ready, t, ready_link);
	s->setup.wake(s->setup.ctx);
}

void
file_set_unready(struct file_set *s, struct tail *t)
{
	if (!t->ready)
		return;
	t->ready = false;
	s->n_ready--;
	TAILQ_REMOVE(&s->ready, t, ready_link);
}

void
file_set_close(struct file_set *s, struct tail *t)
{
	file_set_unready(s, t);
	if (s->gzip_owner == t)
		s->gzip_owner = NULL;
	if (t->fd != -1)
		s->n_open--;
	tail_close(t);
}

void
file_set_opened(struct file_set *s, struct tail *t, int fd,
    const struct opener_stat *st)
{
	file_set_close(s, t);
	t->fd = fd;
	s->n_open++;
	t->id = (struct file_id){ st->dev, st->ino, st->btime_ns };
	t->size = st->size;
	t->mtime_ns = st->mtime_ns;
	t->ctime_ns = st->ctime_ns;
	t->checked_ns = timestamp_now();
	t->quiet_since_ns = loop_now();
	t->finished = false;
	tail_load_last(t);
}

void
file_set_set_path(struct tail *t, const char *path)
{
	if (t->path != NULL && strcmp(t->path, path) == 0)
		return;
	free(t->path);
	t->path = xstrdup(path);
}

static void
insert(struct file_set *s, struct tail *t)
{
	TAILQ_INSERT_TAIL(&s->tails, t, all);
	s->n_tails++;
	if (!t->replaced)
		file_set_index(s, t);
}

/* One that is only remembered makes room. */
static bool
make_room(struct file_set *s)
{
	struct tail *t;

	if (s->n_tails < STATE_TAILS_MAX)
		return true;
	TAILQ_FOREACH (t, &s->tails, all) {
		if (t->fd == -1 && t->unacked == 0 && t->end_sent) {
			file_set_forget(s, t);
			return true;
		}
	}
	return false;
}

struct tail *
file_set_add(struct file_set *s, const char *path, const struct file_spec *spec,
    int fd, const struct opener_stat *st)
{
	struct tail *t;

	if (!make_room(s)) {
		s->counts.dropped++;
		if (!s->full_said)
			file_set_say(s, LOG_LEVEL_WARN,
			    "%s is not followed: %d files are", path,
			    STATE_TAILS_MAX);
		s->full_said = true;
		(void)close(fd);
		return NULL;
	}
	t = xzalloc(sizeof(*t));
	t->fd = -1;
	t->limit = UINT64_MAX;
	t->verified = true;
	t->scan = s->scan_id;
	uuid_new(t->stream);
	t->born_ns = st->btime_ns;
	t->path = xstrdup(path);
	t->origin = xstrdup(path);
	file_set_opened(s, t, fd, st);
	insert(s, t);
	file_set_assign(s, t, spec);
	file_set_dirty(s);
	return t;
}

void
file_set_forget(struct file_set *s, struct tail *t)
{
	struct tail *other;

	file_set_close(s, t);
	if (!t->replaced)
		file_set_unindex(s, t);
	TAILQ_REMOVE(&s->tails, t, all);
	s->n_tails--;
	TAILQ_FOREACH (other, &s->tails, all) {
		if (other->after == t)
			other->after = NULL;
	}
	tail_free(t);
	file_set_dirty(s);
}

void
file_set_drop(struct file_set *s, struct tail *t)
{
	file_set_close(s, t);
	if (!t->replaced)
		file_set_unindex(s, t);
	t->replaced = true;
	t->dead = true;
	file_set_dirty(s);
}

void
file_set_purge(struct file_set *s)
{
	struct tail *t, *next;

	for (t = TAILQ_FIRST(&s->tails); t != NULL; t = next) {
		next = TAILQ_NEXT(t, all);
		if (t->dead)
			file_set_forget(s, t);
	}
}

void
file_set_dirty(struct file_set *s)
{
	s->dirty = true;
	if (s->save_armed)
		return;
	s->save_armed = true;
	loop_timer_start(s->save,
	    s->save_gap_ns > save_every_ns ? s->save_gap_ns : save_every_ns);
}

void
file_set_save(struct file_set *s)
{
	struct error err;
	struct tail *t;
	int64_t began_ns = loop_now();

	if (!s->dirty)
		return;
	if (file_state_save(s->setup.state_dir, &s->tails, &err) != RC_OK) {
		if (!s->save_failed)
			file_set_say(s, LOG_LEVEL_WARN,
			    "positions cannot be saved, a restart will send "
			    "again: %s",
			    err.text);
		s->save_failed = true;
		file_set_dirty(s); /* again later */
	} else {
		if (s->save_failed)
			file_set_say(s, LOG_LEVEL_INFO,
			    "positions are saved again");
		s->save_failed = false;
		s->dirty = false;
	}
	s->save_gap_ns = SAVE_SHARE * (loop_now() - began_ns);
	/* without a state too: new streams after a restart, never silence */
	TAILQ_FOREACH (t, &s->tails, all)
		t->durable = true;
}

static void
on_loaded(void *ctx, struct tail *t)
{
	struct file_set *s = ctx;

	t->quiet_since_ns = loop_now();
	t->born_ns = t->id.btime_ns;
	insert(s, t);
	file_set_assign(s, t, file_set_spec_of(s, t->origin));
}

void
file_set_load(struct file_set *s)
{
	struct error err;
	enum rc rc = file_state_load(s->setup.state_dir, on_loaded, s, &err);

	if (rc != RC_OK && rc != RC_EOF)
		file_set_say(s, LOG_LEVEL_WARN,
		    "positions are lost, files are sent from their start: %s",
		    err.text);
}

void
file_set_clear(struct file_set *s)
{
	struct tail *t;

	while ((t = TAILQ_FIRST(&s->tails)) != NULL)
		file_set_forget(s, t);
	free_specs(s);
	tail_scratch_fini(&s->scratch);
}
