/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/account_names.h"

#include <stdlib.h>
#include <string.h>

#include "agent/inputs/slurp.h"
#include "loop.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	ENTRIES_MAX = 65536,
	FILE_BYTES_MAX = 16 * 1024 * 1024,
	ID_FIELD = 2,
	ID_DIGITS = 10
};

static const int64_t look_ns = 10 * NS_PER_SEC;

struct entry {
	uint32_t id;
	uint32_t name; /* at which byte of the text */
};

/* passwd(5) or group(5): name, password, number come first in both. */
struct list {
	const char *path;
	struct buf text;       /* names become NUL-terminated in it */
	struct entry *entries; /* by number */
	size_t n;
	int64_t mtime_ns;
	uint64_t ino;
	int64_t look_at_ns; /* 0: not looked at yet */
};

struct account_names {
	struct opener *opener;
	struct list users, groups;
};

static void
list_init(struct list *l, const char *path)
{
	l->path = path;
	buf_init(&l->text, FILE_BYTES_MAX);
}

static void
list_fini(struct list *l)
{
	buf_fini(&l->text);
	free(l->entries);
}

struct account_names *
account_names_new(struct opener *o)
{
	struct account_names *a = xzalloc(sizeof(*a));

	a->opener = o;
	list_init(&a->users, "/etc/passwd");
	list_init(&a->groups, "/etc/group");
	return a;
}

void
account_names_free(struct account_names *a)
{
	if (a == NULL)
		return;
	list_fini(&a->users);
	list_fini(&a->groups);
	free(a);
}

/* Of equal numbers the first one in the file: what getpwuid(3) gives. */
static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static bool
number_of(struct slice text, uint32_t *out)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > ID_DIGITS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	*out = (uint32_t)n;
	return n < UINT32_MAX;
}

static void
add_line(struct list *l, struct slice line)
{
	struct slice field, name = { "", 0 };
	uint32_t id;

	for (int i = 0; i <= ID_FIELD; i++) {
		if (!slurp_field(&line, ':', &field))
			return;
		if (i == 0)
			name = field;
	}
	if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL ||
	    !number_of(field, &id))
		return;
	if ((l->n & (l->n - 1)) == 0) /* doubles at powers of two */
		l->entries = xreallocarray(l->entries, 2 * l->n + 1,
		    sizeof(*l->entries));
	l->entries[l->n++] =
	    (struct entry){ id, (uint32_t)(name.ptr - l->text.ptr) };
	l->text.ptr[name.ptr - l->text.ptr + (ptrdiff_t)name.len] = '\0';
}

static void
read_list(struct list *l, struct opener *o)
{
	struct slice rest, line;

	l->n = 0;
	if (!slurp(o, l->path, &l->text))
		return;
	rest = buf_slice(&l->text);
	while (l->n < ENTRIES_MAX && slurp_line(&rest, &line))
		add_line(l, line);
	qsort(l->entries, l->n, sizeof(*l->entries), compare);
}

static void
look(struct list *l, struct opener *o)
{
	int64_t now = loop_now();
	struct opener_stat st;

	if (l->look_at_ns != 0 && now < l->look_at_ns)
		return;
	l->look_at_ns = now + look_ns;
	if (opener_stat(o, l->path, &st) != RC_OK ||
	    (st.mtime_ns == l->mtime_ns && st.ino == l->ino))
		return;
	l->mtime_ns = st.mtime_ns;
	l->ino = st.ino;
	read_list(l, o);
}

static const char *
name_in(struct list *l, struct opener *o, uint32_t id)
{
	size_t low = 0, high;

	look(l, o);
	for (high = l->n; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (l->entries[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < l->n && l->entries[low].id == id
	    ? l->text.ptr + l->entries[low].name
	    : NULL;
}

static bool
id_in(struct list *l, struct opener *o, const char *name, uint32_t *id)
{
	look(l, o);
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->text.ptr + l->entries[i].name, name) == 0) {
			*id = l->entries[i].id;
			return true;
		}
	}
	return false;
}

const char *
account_user(struct account_names *a, uint32_t uid)
{
	return name_in(&a->users, a->opener, uid);
}

const char *
account_group(struct account_names *a, uint32_t gid)
{
	return name_in(&a->groups, a->opener, gid);
}

bool
account_user_id(struct account_names *a, const char *name, uint32_t *uid)
{
	return id_in(&a->users, a->opener, name, uid);
}

bool
account_group_id(struct account_names *a, const char *name, uint32_t *gid)
{
	return id_in(&a->groups, a->opener, name, gid);
}
