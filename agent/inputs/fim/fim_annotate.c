/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_annotate.h"

#include <string.h>
#include <unistd.h>

#include "agent/inputs/fim/fim_diff.h"
#include "agent/inputs/fim/fim_package.h"
#include "agent/inputs/fim/fim_secret.h"
#include "agent/inputs/input.h"

enum { DIFF_SHOWN_MAX = 16 * 1024 /* bytes of an event */ };

struct slice
fim_shown_text(struct fim_annotator *a, const struct fim_entry *e,
    struct arena *arena)
{
	static const struct slice none = { NULL, 0 };
	const struct fim_config *c = a->config;
	struct opener_stat st;
	struct slice text;
	struct error err;
	ssize_t n;
	char *room;
	int fd;

	if (c == NULL || e->content != FIM_HASHED || e->st.size > c->diff_max ||
	    !opener_path_matches(c->diff, c->n_diff, e->path.ptr) ||
	    opener_path_matches(c->diff_never, c->n_diff_never, e->path.ptr) ||
	    fim_is_secret(e->path.ptr, none))
		return none;
	if (opener_open_itself(a->opener, e->path.ptr, &fd, &st, &err) != RC_OK)
		return none;
	room = arena_alloc(arena, c->diff_max + 1);
	n = read(fd, room, c->diff_max + 1);
	(void)close(fd);
	text = (struct slice){ room, n < 0 ? 0 : (size_t)n };
	if (n < 0 || text.len != e->st.size || !fim_same_stat(&st, &e->st) ||
	    memchr(text.ptr, '\0', text.len) != NULL ||
	    fim_is_secret(e->path.ptr, text))
		return none;
	return fim_mask_secrets(e->path.ptr, text, arena);
}

static void
add_diff(struct fim_annotator *a, struct fim_change *c, struct arena *arena)
{
	struct fim_baseline b;
	struct slice before = { "", 0 };
	struct error err;
	struct buf out;

	if (c->after == NULL)
		return;
	c->text = fim_shown_text(a, c->after, arena);
	if (c->text.ptr == NULL)
		return;
	if (fim_store_baseline(a->store, a->spec->name, &b, &err) != RC_OK)
		return;
	if (c->before != NULL &&
	    fim_store_text(a->store, b.input, c->before->path, arena, &before,
		&err) != RC_OK)
		return;        /* nothing to compare with yet */
	if (c->before != NULL) /* who kept it may not have masked it */
		before = fim_mask_secrets(c->before->path.ptr, before, arena);
	if (slice_eq(before, c->text))
		return;
	buf_init(&out, DIFF_SHOWN_MAX);
	c->diff_cut = !fim_diff(before, c->text, &out);
	c->diff = arena_copy(arena, buf_slice(&out));
	buf_fini(&out);
}

void
fim_annotate(struct fim_annotator *a, struct fim_change *changes, size_t n,
    struct arena *arena)
{
	if (a == NULL)
		return;
	if (a->packages != NULL)
		fim_packages_find(a->packages, changes, n);
	for (size_t i = 0; i < n; i++) {
		struct fim_change *c = &changes[i];

		add_diff(a, c, arena);
		if (a->who != NULL)
			a->who(a->ctx,
			    c->after != NULL ? c->after->path.ptr
					     : c->before->path.ptr,
			    &c->who);
	}
}

struct fim_spec
fim_spec_of(const struct input_config *c)
{
	return (struct fim_spec){ .name = c->name,
		.paths = c->paths,
		.n_paths = c->n_paths,
		.exclude = c->exclude,
		.n_exclude = c->n_exclude,
		.full = c->fim.full,
		.max_file_size = c->fim.max_file_size };
}
