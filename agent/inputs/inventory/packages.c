/* SPDX-License-Identifier: Apache-2.0 */
/* What dpkg and rpm installed: the status file, the SQLite database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/rpm_db.h"
#include "agent/inputs/slurp.h"
#include "timestamp.h"
#include "xalloc.h"

enum { RPM_TRIES = 3 /* of a database that changes meanwhile */ };

struct package {
	const char *type;
	struct slice name, version, architecture;
	int64_t installed_ns; /* 0: nobody knows */
	bool several;         /* of this name and architecture, side by side */
};

static void
add_package(struct inventory *inv, const struct package *p)
{
	struct json_writer ecs, more;
	struct buf key;

	inventory_begin(inv, &ecs, &more);
	json_key(&ecs, "package");
	json_open(&ecs, '{');
	inventory_text(inv, &ecs, "name", p->name);
	inventory_text(inv, &ecs, "version", p->version);
	inventory_text(inv, &ecs, "architecture", p->architecture);
	json_key(&ecs, "type");
	json_str(&ecs, p->type);
	if (p->installed_ns != 0) {
		json_key(&ecs, "installed");
		json_time(&ecs, p->installed_ns);
	}
	json_close(&ecs, '}');
	buf_init(&key, 1024);
	(void)buf_add_slice(&key, p->name);
	(void)buf_add_char(&key, ':');
	(void)buf_add_slice(&key, p->architecture);
	if (p->several) {
		(void)buf_add_char(&key, ':');
		(void)buf_add_slice(&key, p->version);
	}
	inventory_add(inv, "package", buf_slice(&key));
	buf_fini(&key);
}

/* ---- dpkg ---------------------------------------------------------------- */

struct stanza {
	struct slice name, version, architecture, status;
};

static void
add_stanza(struct inventory *inv, const struct stanza *s)
{
	/* "install ok installed"; what was removed has left its settings */
	if (s->name.len > 0 &&
	    memmem(s->status.ptr, s->status.len, " installed", 10) != NULL)
		add_package(inv,
		    &(struct package){ .type = "dpkg",
			.name = s->name,
			.version = s->version,
			.architecture = s->architecture });
}

static void
dpkg(struct inventory *inv)
{
	static const struct {
		struct slice name;
		size_t offset;
	} fields[] = {
		{ SLICE_INIT("Package"), offsetof(struct stanza, name) },
		{ SLICE_INIT("Version"), offsetof(struct stanza, version) },
		{ SLICE_INIT("Architecture"),
		    offsetof(struct stanza, architecture) },
		{ SLICE_INIT("Status"), offsetof(struct stanza, status) },
	};
	struct slice rest, line, name;
	struct stanza s = { 0 };

	if (!slurp(inv->opener, "/var/lib/dpkg/status", &inv->file))
		return;
	for (rest = buf_slice(&inv->file); slurp_line(&rest, &line);) {
		if (line.len == 0) {
			add_stanza(inv, &s);
			s = (struct stanza){ 0 };
			continue;
		}
		if (line.ptr[0] == ' ' || !slurp_field(&line, ':', &name))
			continue;
		if (line.len > 0 && line.ptr[0] == ' ')
			line = (struct slice){ line.ptr + 1, line.len - 1 };
		for (size_t i = 0; i < 4; i++) {
			if (slice_eq(name, fields[i].name))
				memcpy((char *)&s + fields[i].offset, &line,
				    sizeof(line));
		}
	}
	add_stanza(inv, &s);
}

/* ---- rpm ----------------------------------------------------------------- */

struct rpms {
	struct inventory *inv;
	struct package *at;
	size_t n, cap;
};

/* "1:2.3-4.el9", as rpm prints it */
static struct slice
version_of(struct arena *a, const struct rpm_header *h)
{
	struct slice version = SLICE(""), release = SLICE(""), out;
	uint32_t epoch;
	struct buf text;

	buf_init(&text, 65536);
	if (rpm_header_number(h, RPM_EPOCH, &epoch))
		(void)buf_printf(&text, "%u:", epoch);
	if (rpm_header_text(h, RPM_VERSION, &version))
		(void)buf_add_slice(&text, version);
	if (rpm_header_text(h, RPM_RELEASE, &release)) {
		(void)buf_add_char(&text, '-');
		(void)buf_add_slice(&text, release);
	}
	out = arena_copy(a, buf_slice(&text));
	buf_fini(&text);
	return out;
}

static void
one_rpm(void *ctx, const struct rpm_header *h)
{
	struct rpms *r = ctx;
	struct arena *a = r->inv->arena;
	struct slice name, architecture = SLICE("");
	struct package *p;
	uint32_t seconds = 0;

	if (!rpm_header_text(h, RPM_NAME, &name))
		return;
	(void)rpm_header_text(h, RPM_ARCH, &architecture);
	(void)rpm_header_number(h, RPM_INSTALLTIME, &seconds);
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 256 : 2 * r->cap;
		r->at = xreallocarray(r->at, r->cap, sizeof(*r->at));
	}
	p = &r->at[r->n++];
	*p = (struct package){ .type = "rpm",
		.name = arena_copy(a, name),
		.version = version_of(a, h),
		.architecture = arena_copy(a, architecture),
		.installed_ns = (int64_t)seconds * NS_PER_SEC };
}

static int
compare_slices(struct slice a, struct slice b)
{
	int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
by_name(const void *a, const void *b)
{
	const struct package *x = a, *y = b;
	int order = compare_slices(x->name, y->name);

	if (order == 0)
		order = compare_slices(x->architecture, y->architecture);
	return order != 0 ? order : compare_slices(x->version, y->version);
}

static bool
same_name(const struct package *a, const struct package *b)
{
	return slice_eq(a->name, b->name) &&
	    slice_eq(a->architecture, b->architecture);
}

/* Those that are kept beside their next version: a new one is no change of the
 * old, even while there is only one. */
static bool
kept_beside(struct slice name)
{
	static const struct slice kernel = SLICE_INIT("kernel");

	return slice_eq(name, SLICE("gpg-pubkey")) ||
	    (name.len >= kernel.len &&
		memcmp(name.ptr, kernel.ptr, kernel.len) == 0 &&
		(name.len == kernel.len || name.ptr[kernel.len] == '-'));
}

static void
add_rpms(struct rpms *r)
{
	struct package *p = r->at;

	if (r->n > 1)
		qsort(p, r->n, sizeof(*p), by_name);
	for (size_t i = 0; i < r->n; i++) {
		p[i].several = kept_beside(p[i].name) ||
		    (i > 0 && same_name(&p[i], &p[i - 1])) ||
		    (i + 1 < r->n && same_name(&p[i], &p[i + 1]));
		add_package(r->inv, &p[i]);
	}
}

void
inventory_rpm(struct inventory *inv, const char *dir)
{
	struct rpms r = { .inv = inv };
	enum rc rc = RC_AGAIN;
	struct error err = { .text = "" };
	char why[512];

	for (int i = 0; i < RPM_TRIES && rc == RC_AGAIN; i++) {
		r.n = 0;
		rc = rpm_db_each(inv->opener, dir, one_rpm, &r, &err);
	}
	(void)snprintf(why, sizeof(why), "rpm's packages of %.100s: %.300s",
	    dir, err.text);
	if (rc == RC_OK)
		add_rpms(&r);
	else if (rc == RC_INVALID) /* it never is: dpkg's packages go on */
		inventory_unread(inv, dir, why);
	else
		inventory_unknown(inv, "package", why);
	free(r.at);
}

void
inventory_packages(struct inventory *inv)
{
	const char *dir = rpm_db_dir(inv->opener);

	dpkg(inv);
	if (dir != NULL)
		inventory_rpm(inv, dir);
}
