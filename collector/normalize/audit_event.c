/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_event.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "ascii.h"
#include "audit.h"
#include "json.h"

enum {
	KEY_MAX = 64,
	ARGS_MAX = 1024,
	CONTEXT_PARTS = 5,
	EXECVE_FIELDS = 16, /* arguments that are fields of their own */
	PATHS_JSON_MAX = 1024 * 1024
};

struct building {
	struct event *ev;
	struct arena *arena;
	struct audit_record *records;
	size_t n;
	const struct audit_action *action;
	struct slice type; /* of the first record */
	bool has_paths, has_syscall;
};

static void
set(struct building *b, uint32_t id, struct slice value)
{
	if (value.len > 0)
		event_offer_string(b->ev, id, value);
}

static void
set_number(struct building *b, uint32_t id, struct slice value)
{
	int64_t v = 0;

	if (value.len == 0 || value.len > 18 || event_get(b->ev, id) != NULL)
		return;
	for (size_t i = 0; i < value.len; i++) {
		if (!ascii_is_digit(value.ptr[i])) {
			event_set_string(b->ev, id, value);
			return;
		}
		v = v * 10 + (value.ptr[i] - '0');
	}
	event_set_int(b->ev, id, v);
}

static void
set_below(struct building *b, uint32_t parent, struct slice key,
    struct slice value)
{
	if (key.len > 0 && key.len <= KEY_MAX)
		set(b, field_child(parent, key), value);
}

/* ---- single fields ---------------------------------------------------------- */

/* user:role:domain:level[:category]; "unconfined" alone is AppArmor's. */
static void
set_context(struct building *b, const uint32_t parts[CONTEXT_PARTS],
    struct slice v)
{
	for (size_t i = 0; i < CONTEXT_PARTS && v.len > 0; i++) {
		const char *colon = memchr(v.ptr, ':', v.len);
		bool last = colon == NULL || i == CONTEXT_PARTS - 1;
		size_t len = last ? v.len : (size_t)(colon - v.ptr);

		set(b, parts[i], (struct slice){ v.ptr, len });
		if (len < v.len)
			len++;
		v.ptr += len;
		v.len -= len;
	}
}

/* Several keys are parted by 0x01; "key=net" is what auditctl was given. */
static void
set_tags(struct building *b, struct slice v)
{
	while (v.len > 0) {
		const char *end = memchr(v.ptr, 1, v.len);
		struct slice tag = { v.ptr,
			end == NULL ? v.len : (size_t)(end - v.ptr) };

		v.len -= tag.len + (end != NULL);
		v.ptr += tag.len + (end != NULL);
		if (tag.len > 4 && memcmp(tag.ptr, "key=", 4) == 0)
			tag = (struct slice){ tag.ptr + 4, tag.len - 4 };
		if (tag.len == 0)
			continue;
		event_add_string(b->ev, FIELD_TAGS, tag);
		event_add_string(b->ev, FIELD_AUDITD_DATA_KEY, tag);
	}
}

static void
set_result(struct building *b, struct slice v)
{
	static const struct slice good[] = { SLICE_INIT("success"),
		SLICE_INIT("yes"), SLICE_INIT("1") };
	static const struct slice bad[] = { SLICE_INIT("failed"),
		SLICE_INIT("fail"), SLICE_INIT("no"), SLICE_INIT("0") };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (slice_eq(v, good[i])) {
			set(b, FIELD_AUDITD_RESULT, SLICE("success"));
			set(b, FIELD_EVENT_OUTCOME, SLICE("success"));
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (slice_eq(v, bad[i])) {
			set(b, FIELD_AUDITD_RESULT, SLICE("fail"));
			set(b, FIELD_EVENT_OUTCOME, SLICE("failure"));
		}
	}
}

static void
set_success(struct building *b, struct slice v)
{
	set(b, FIELD_AUDITD_DATA_SUCCESS, v);
	set_result(b, v);
}

/* Where somebody came from. */
static void
set_address(struct building *b, struct slice v)
{
	struct slice ip = address_read(v);

	set(b, FIELD_SOURCE_ADDRESS, v);
	if (ip.len > 0) {
		set(b, FIELD_SOURCE_IP, ip);
		set(b, FIELD_NETWORK_DIRECTION, SLICE("ingress"));
		event_add_string(b->ev, FIELD_RELATED_IP, ip);
	}
}

static void
set_hostname(struct building *b, struct slice v)
{
	set(b, FIELD_AUDITD_DATA_HOSTNAME, v);
	if (address_read(v).len == 0 && address_is_name(v))
		set(b, FIELD_SOURCE_DOMAIN, v);
	else
		set_address(b, v);
}

/* The account that a program reports on: who is it to the event? */
static void
set_account(struct building *b, struct slice v)
{
	const char *category = b->action == NULL ? "" : b->action->category;

	set(b, FIELD_AUDITD_DATA_ACCT, v);
	if (strcmp(category, "iam") == 0) {
		set(b, FIELD_USER_TARGET_NAME, v);
	} else {
		set(b, FIELD_USER_NAME, v);
		set(b, FIELD_USER_EFFECTIVE_NAME, v);
	}
	event_add_string(b->ev, FIELD_RELATED_USER, v);
}

static void
set_socket(struct building *b, struct slice hex)
{
	struct audit_address a;
	enum audit_direction where =
	    b->action == NULL ? AUDIT_NOWHERE : b->action->direction;

	audit_address(b->arena, hex, &a);
	set(b, FIELD_AUDITD_DATA_SOCKET_FAMILY, a.family);
	set(b, FIELD_AUDITD_DATA_SOCKET_ADDR, a.ip);
	set(b, FIELD_AUDITD_DATA_SOCKET_PORT, a.port);
	set(b, FIELD_AUDITD_DATA_SOCKET_PATH, a.path);
	if (a.ip.len == 0 && a.path.len == 0)
		set(b, FIELD_AUDITD_DATA_SOCKET_SADDR, hex);
	if (a.ip.len == 0 || where == AUDIT_NOWHERE)
		return;
	event_add_string(b->ev, FIELD_RELATED_IP, a.ip);
	if (where == AUDIT_INGRESS) {
		set(b, FIELD_SOURCE_ADDRESS, a.ip);
		set(b, FIELD_SOURCE_IP, a.ip);
		set_number(b, FIELD_SOURCE_PORT, a.port);
		set(b, FIELD_NETWORK_DIRECTION, SLICE("ingress"));
	} else {
		set(b, FIELD_DESTINATION_ADDRESS, a.ip);
		set(b, FIELD_DESTINATION_IP, a.ip);
		set_number(b, FIELD_DESTINATION_PORT, a.port);
		set(b, FIELD_NETWORK_DIRECTION, SLICE("egress"));
	}
}

/* sudo's: the whole command line. */
static void
set_command(struct building *b, struct slice v)
{
	set(b, FIELD_AUDITD_DATA_CMD, v);
	set(b, FIELD_PROCESS_COMMAND_LINE, v);
}

static void
set_subject(struct building *b, struct slice v)
{
	static const uint32_t parts[CONTEXT_PARTS] = { FIELD_USER_SELINUX_USER,
		FIELD_USER_SELINUX_ROLE, FIELD_USER_SELINUX_DOMAIN,
		FIELD_USER_SELINUX_LEVEL, FIELD_USER_SELINUX_CATEGORY };

	set_context(b, parts, v);
}

typedef void set_saying(struct building *b, struct slice v);

static set_saying *const sayings[AUDIT_SAYINGS] = {
	[AUDIT_SAYS_SUBJECT] = set_subject,
	[AUDIT_SAYS_TAGS] = set_tags,
	[AUDIT_SAYS_RESULT] = set_result,
	[AUDIT_SAYS_SUCCESS] = set_success,
	[AUDIT_SAYS_ADDRESS] = set_address,
	[AUDIT_SAYS_HOSTNAME] = set_hostname,
	[AUDIT_SAYS_ACCOUNT] = set_account,
	[AUDIT_SAYS_SOCKET] = set_socket,
	[AUDIT_SAYS_COMMAND] = set_command,
};

/* What auditd itself made of numbers (log_format = ENRICHED). */
static const struct {
	struct slice key;
	uint32_t field;
} enriched[] = {
	{ SLICE_INIT("AUID"), FIELD_USER_AUDIT_NAME },
	{ SLICE_INIT("UID"), FIELD_USER_NAME },
	{ SLICE_INIT("EUID"), FIELD_USER_EFFECTIVE_NAME },
	{ SLICE_INIT("FSUID"), FIELD_USER_FILESYSTEM_NAME },
	{ SLICE_INIT("SUID"), FIELD_USER_SAVED_NAME },
	{ SLICE_INIT("GID"), FIELD_USER_GROUP_NAME },
	{ SLICE_INIT("EGID"), FIELD_USER_EFFECTIVE_GROUP_NAME },
};

static void
set_enriched(struct building *b, const struct audit_field *f)
{
	if (slice_eq(f->value, SLICE("unset")) ||
	    slice_eq(f->value, SLICE("?")))
		return;
	for (size_t i = 0; i < sizeof(enriched) / sizeof(enriched[0]); i++) {
		if (slice_eq(f->key, enriched[i].key))
			set(b, enriched[i].field, f->value);
	}
}

static void
set_field(struct building *b, const struct audit_record *r,
    const struct audit_field *f)
{
	enum audit_saying saying = f->known->saying;
	struct slice v;

	if (f->enriched) {
		set_enriched(b, f);
		return;
	}
	v = audit_value(b->arena, r, f);
	if (v.len == 0 || (b->has_paths && saying == AUDIT_SAYS_ITEMS))
		return;
	if (sayings[saying] != NULL)
		sayings[saying](b, v);
	else if (saying == AUDIT_SAYS_NUMBER)
		set_number(b, f->known->field, v);
	else if (f->known->field != FIELD_NONE)
		set(b, f->known->field, v);
	else
		set_below(b, FIELD_AUDITD_DATA, f->key, v);
}

/* ---- EXECVE ----------------------------------------------------------------- */

static bool
argument_number(struct slice key, unsigned *n)
{
	*n = 0;
	if (key.len < 2 || key.len > 6 || key.ptr[0] != 'a')
		return false;
	for (size_t i = 1; i < key.len; i++) {
		if (key.ptr[i] == '[' && i > 1)
			return true; /* a piece of a long one */
		if (!ascii_is_digit(key.ptr[i]))
			return false;
		*n = *n * 10 + (unsigned)(key.ptr[i] - '0');
	}
	return true;
}

static struct slice
joined(struct arena *arena, struct slice a, struct slice b, bool space)
{
	char *out;
	size_t gap = space && a.ptr != NULL;

	if (a.len == 0 && gap == 0)
		return b;
	out = arena_alloc(arena, a.len + b.len + gap);
	memcpy(out, a.ptr == NULL ? "" : a.ptr, a.len);
	if (gap)
		out[a.len] = ' ';
	memcpy(out + a.len + gap, b.ptr, b.len);
	return (struct slice){ out, a.len + gap + b.len };
}

/* All in one piece of memory: an argument list can be long. */
static struct slice
command_line(struct arena *arena, const struct value *args, size_t n)
{
	size_t len = 0, at = 0;
	char *out;

	for (size_t i = 0; i < n; i++)
		len += args[i].s.len + 1;
	out = arena_alloc(arena, len + 1);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			out[at++] = ' ';
		if (args[i].s.len > 0)
			memcpy(out + at, args[i].s.ptr, args[i].s.len);
		at += args[i].s.len;
	}
	return (struct slice){ out, at };
}

static void
set_arguments(struct building *b, const struct audit_record *r)
{
	struct value *args = arena_alloc(b->arena, (r->n + 1) * sizeof(*args));
	const struct audit_field *argc = audit_find(r, SLICE("argc"));
	uint32_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		unsigned number;
		struct slice v;

		if (!argument_number(r->fields[i].key, &number) || number > n ||
		    number >= ARGS_MAX)
			continue;
		v = audit_value(b->arena, r, &r->fields[i]);
		if (v.ptr == NULL)
			v = r->fields[i].value;
		if (number == n)
			args[n++] =
			    (struct value){ .kind = VALUE_STRING, .s = v };
		else if (number + 1 == n)
			args[number].s =
			    joined(b->arena, args[number].s, v, false);
	}
	if (argc != NULL)
		set(b, FIELD_AUDITD_DATA_ARGC, argc->value);
	if (n == 0)
		return;
	event_set_value(b->ev, FIELD_PROCESS_ARGS,
	    (struct value){ .kind = VALUE_LIST, .n = n, .list = args });
	event_set_int(b->ev, FIELD_PROCESS_ARGS_COUNT, n);
	set(b, FIELD_PROCESS_COMMAND_LINE, command_line(b->arena, args, n));
	/* the kernel's a0 to a3 are a system call's, where there is one */
	for (uint32_t i = 0; i < n && i < EXECVE_FIELDS; i++) {
		char key[4] = { 'a', (char)('0' + i % 10), '\0' };

		if (i >= 10) {
			key[1] = '1';
			key[2] = (char)('0' + i - 10);
			key[3] = '\0';
		}
		set_below(b, FIELD_AUDITD_EXECVE,
		    (struct slice){ key, i >= 10 ? 3 : 2 }, args[i].s);
		if (!b->has_syscall)
			set_below(b, FIELD_AUDITD_DATA,
			    (struct slice){ key, i >= 10 ? 3 : 2 }, args[i].s);
	}
}

/* ---- PATH ------------------------------------------------------------------- */

static void
write_context(struct json_writer *w, struct slice v)
{
	static const char *const parts[] = { "obj_user", "obj_role",
		"obj_domain", "obj_level", "obj_category" };

	for (size_t i = 0; i < CONTEXT_PARTS && v.len > 0; i++) {
		const char *colon = memchr(v.ptr, ':', v.len);
		size_t len =
		    colon == NULL || i == 4 ? v.len : (size_t)(colon - v.ptr);

		json_key(w, parts[i]);
		json_string(w, (struct slice){ v.ptr, len });
		if (len < v.len)
			len++;
		v.ptr += len;
		v.len -= len;
	}
}

static void
write_path(struct building *b, struct json_writer *w,
    const struct audit_record *r)
{
	json_open(w, '{');
	for (size_t i = 0; i < r->n; i++) {
		const struct audit_field *f = &r->fields[i];
		struct slice v = audit_value(b->arena, r, f);

		if (f->enriched || v.len == 0)
			continue;
		if (slice_eq(f->key, SLICE("obj"))) {
			write_context(w, v);
			continue;
		}
		json_key_slice(w, f->key);
		json_string(w, v);
	}
	json_close(w, '}');
}

static void
set_paths(struct building *b)
{
	struct json_writer w;
	struct buf text;
	uint32_t names = FIELD_AUDITD_DATA_NAME;

	buf_init(&text, PATHS_JSON_MAX);
	json_begin(&w, &text);
	json_open(&w, '[');
	for (size_t i = 0; i < b->n; i++) {
		const struct audit_field *name;

		if (!b->records[i].is_path)
			continue;
		write_path(b, &w, &b->records[i]);
		name = audit_find(&b->records[i], SLICE("name"));
		if (name != NULL)
			event_add_string(b->ev, names,
			    audit_value(b->arena, &b->records[i], name));
	}
	json_close(&w, ']');
	if (!text.overflowed)
		event_set_value(b->ev, FIELD_AUDITD_PATHS,
		    (struct value){ .kind = VALUE_JSON,
			.s = arena_copy(b->arena, buf_slice(&text)) });
	buf_fini(&text);
}

/* 0100755 is 0755: the type of the file is none of its mode. */
static struct slice
file_mode(struct slice v)
{
	return v.len > 4 ? (struct slice){ v.ptr + v.len - 4, 4 } : v;
}

/* The folder of what was made or taken away, not that itself. */
static bool
is_parent(const struct audit_record *r)
{
	const struct audit_field *kind = audit_find(r, SLICE("nametype"));

	return kind != NULL && slice_eq(kind->value, SLICE("PARENT"));
}

/* Of the action's place among the paths, or the next that is no folder of it. */
static const struct audit_record *
object_path(const struct building *b)
{
	const struct audit_record *found = NULL;
	int wanted = b->action == NULL ? 0 : b->action->path;
	int n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct audit_record *r = &b->records[i];
		const struct audit_field *kind;

		if (!r->is_path)
			continue;
		kind = audit_find(r, SLICE("nametype"));
		if (found == NULL || n == wanted ||
		    (n < wanted && kind != NULL) ||
		    (is_parent(found) && !is_parent(r)))
			found = r;
		n++;
	}
	return found;
}

static void
set_file(struct building *b)
{
	static const struct {
		struct slice key;
		uint32_t field;
	} names[] = { { SLICE_INIT("name"), FIELD_FILE_PATH },
		{ SLICE_INIT("rdev"), FIELD_FILE_DEVICE },
		{ SLICE_INIT("inode"), FIELD_FILE_INODE },
		{ SLICE_INIT("mode"), FIELD_FILE_MODE },
		{ SLICE_INIT("ouid"), FIELD_FILE_UID },
		{ SLICE_INIT("ogid"), FIELD_FILE_GID } };
	static const uint32_t parts[CONTEXT_PARTS] = { FIELD_FILE_SELINUX_USER,
		FIELD_FILE_SELINUX_ROLE, FIELD_FILE_SELINUX_DOMAIN,
		FIELD_FILE_SELINUX_LEVEL, FIELD_FILE_SELINUX_CATEGORY };
	const struct audit_record *r = object_path(b);
	const struct audit_field *context;

	if (r == NULL)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct audit_field *f = audit_find(r, names[i].key);
		struct slice v;

		if (f == NULL)
			continue;
		v = audit_value(b->arena, r, f);
		if (names[i].field == FIELD_FILE_MODE)
			v = file_mode(v);
		set(b, names[i].field, v);
	}
	context = audit_find(r, SLICE("obj"));
	if (context != NULL)
		set_context(b, parts, audit_value(b->arena, r, context));
}

/* ---- the event -------------------------------------------------------------- */

static size_t
count_lines(struct slice text)
{
	size_t n = 1;

	for (const char *p = text.ptr, *end = p + text.len;
	     n < AUDIT_RECORDS_MAX &&
	     (p = memchr(p, '\n', (size_t)(end - p))) != NULL;
	     p++)
		n++;
	return n;
}

static void
read_records(struct building *b, struct slice text)
{
	struct audit_head head;
	bool first = true;

	while (text.len > 0 && b->n < AUDIT_RECORDS_MAX) {
		const char *lf = memchr(text.ptr, '\n', text.len);
		struct slice line = { text.ptr,
			lf == NULL ? text.len : (size_t)(lf - text.ptr) };

		text.ptr += line.len + (lf != NULL);
		text.len -= line.len + (lf != NULL);
		if (!audit_head(line, &head))
			continue;
		if (first) {
			b->type = head.type;
			b->ev->time_ns = head.time_ns;
			event_set_int(b->ev, FIELD_AUDITD_SEQUENCE,
			    (int64_t)head.serial);
			set(b, FIELD_HOST_HOSTNAME, head.node);
		}
		first = false;
		if (slice_eq(head.type, SLICE("EOE")))
			continue;
		audit_fields(b->arena, head.type, head.rest, &b->records[b->n]);
		b->has_paths = b->has_paths || b->records[b->n].is_path;
		b->has_syscall =
		    b->has_syscall || slice_eq(head.type, SLICE("SYSCALL"));
		b->n++;
	}
}

static struct slice
lower(struct arena *arena, struct slice s)
{
	char *out = arena_alloc(arena, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		out[i] = ascii_lower(s.ptr[i]);
	return (struct slice){ out, s.len };
}

/* The record that says what happened: another one than SYSCALL, if it can. */
static void
choose_action(struct building *b)
{
	for (size_t i = 0; i < b->n && b->action == NULL; i++)
		b->action = audit_action_of_type(b->records[i].type);
	for (size_t i = 0; i < b->n && b->action == NULL; i++) {
		const struct audit_record *r = &b->records[i];
		const struct audit_field *f = audit_find(r, SLICE("syscall"));

		if (f != NULL && slice_eq(r->type, SLICE("SYSCALL")))
			b->action = audit_action_of_syscall(
			    audit_value(b->arena, r, f));
	}
}

static void
add_words(struct building *b, uint32_t id, const char *words)
{
	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		event_add_string(b->ev, id, (struct slice){ words, len });
		words += len + (words[len] == ' ');
	}
}

/* Lists of ECS stay lists where they have one member. */
static void
make_list(struct building *b, uint32_t id)
{
	const struct value *v = event_get(b->ev, id);
	struct value *one;

	if (v == NULL || v->kind == VALUE_LIST)
		return;
	one = arena_alloc(b->arena, sizeof(*one));
	*one = *v;
	event_set_value(b->ev, id,
	    (struct value){ .kind = VALUE_LIST, .n = 1, .list = one });
}

static void
set_action(struct building *b)
{
	const struct audit_action *a = b->action;
	struct slice type = lower(b->arena, b->type);
	bool apparmor = event_get(b->ev, FIELD_AUDITD_DATA_APPARMOR) != NULL;

	set(b, FIELD_AUDITD_MESSAGE_TYPE, type);
	for (size_t i = 0; i < b->n; i++)
		event_add_string(b->ev, FIELD_AUDITD_RECORD_TYPES,
		    lower(b->arena, b->records[i].type));
	event_set_string(b->ev, FIELD_EVENT_KIND,
	    type.len > 5 && memcmp(type.ptr, "anom_", 5) == 0 ? SLICE("alert")
							      : SLICE("event"));
	if (a == NULL) {
		event_set_string(b->ev, FIELD_EVENT_ACTION, type);
		add_words(b, FIELD_EVENT_CATEGORY, "process");
		add_words(b, FIELD_EVENT_TYPE, "info");
	} else {
		set(b, FIELD_EVENT_ACTION,
		    apparmor ? SLICE("violated-apparmor-policy")
			     : (struct slice){ a->action, strlen(a->action) });
		add_words(b, FIELD_EVENT_CATEGORY, a->category);
		add_words(b, FIELD_EVENT_TYPE, a->type);
	}
	make_list(b, FIELD_EVENT_CATEGORY);
	make_list(b, FIELD_EVENT_TYPE);
}

void
audit_event(struct event *ev, struct slice text)
{
	struct building b = { .ev = ev, .arena = ev->arena };

	b.records =
	    arena_alloc(b.arena, count_lines(text) * sizeof(b.records[0]));
	read_records(&b, text);
	choose_action(&b);
	event_set_string(ev, FIELD_EVENT_DATASET, SLICE("auditd.log"));
	event_set_string(ev, FIELD_EVENT_MODULE, SLICE("auditd"));
	for (size_t i = 0; i < b.n; i++) {
		const struct audit_record *r = &b.records[i];

		if (r->is_execve) {
			set_arguments(&b, r);
			continue;
		}
		for (size_t k = 0; k < r->n && !r->is_path; k++)
			set_field(&b, r, &r->fields[k]);
	}
	if (b.has_paths) {
		set_paths(&b);
		set_file(&b);
	}
	set_action(&b);
	make_list(&b, FIELD_TAGS);
}
