/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/journal_event.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/line_event.h"
#include "timestamp.h"

enum {
	VALUE_MAX = 32 * 1024,
	NAMES_MAX = 128,
	EXPANSION = 6,
	NAME_MAX_BYTES = 64 /* journald's own bound */
};

static const struct {
	const char *journal;
	const char *field; /* NULL: of no use to anybody */
	bool number;
} names[] = {
	/* clang-format off */
	{ "SYSLOG_IDENTIFIER", "log.syslog.appname", false },
	{ "PRIORITY", "log.syslog.severity.code", true },
	{ "SYSLOG_FACILITY", "log.syslog.facility.code", true },
	{ "SYSLOG_PID", "log.syslog.procid", false },
	{ "MESSAGE_ID", "event.code", false },
	{ "_HOSTNAME", "host.hostname", false },
	{ "_MACHINE_ID", "host.id", false },
	{ "_BOOT_ID", "host.boot.id", false },
	{ "_PID", "process.pid", true },
	{ "_COMM", "process.name", false },
	{ "_EXE", "process.executable", false },
	{ "_CMDLINE", "process.command_line", false },
	{ "_UID", "journald.uid", true },
	{ "_GID", "journald.gid", true },
	{ "_CAP_EFFECTIVE", "journald.process.capabilities", false },
	{ "_AUDIT_LOGINUID", "journald.audit.login_uid", true },
	{ "_AUDIT_SESSION", "journald.audit.session", true },
	{ "_SELINUX_CONTEXT", "journald.selinux_context", false },
	{ "_TRANSPORT", "systemd.transport", false },
	{ "_SYSTEMD_UNIT", "systemd.unit", false },
	{ "_SYSTEMD_USER_UNIT", "systemd.user_unit", false },
	{ "_SYSTEMD_SLICE", "systemd.slice", false },
	{ "_SYSTEMD_CGROUP", "systemd.cgroup", false },
	{ "_SYSTEMD_SESSION", "systemd.session", false },
	{ "_SYSTEMD_OWNER_UID", "systemd.owner_uid", true },
	{ "_SYSTEMD_INVOCATION_ID", "systemd.invocation_id", false },
	{ "SYSLOG_RAW", NULL, false },
	{ "SYSLOG_TIMESTAMP", NULL, false },
	{ "COREDUMP", NULL, false },
	{ "_SOURCE_REALTIME_TIMESTAMP", NULL, false },
	{ "_SOURCE_MONOTONIC_TIMESTAMP", NULL, false },
	/* clang-format on */
};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

struct writing {
	struct json_writer json;
	struct buf text; /* one value, escaped */
	size_t max_line;
	uint32_t seen[NAMES_MAX]; /* hashes of names that were written */
	size_t n;
	bool message, cut;
};

static void
put_text(struct writing *w, struct slice value)
{
	char *room;

	buf_clear(&w->text);
	room = buf_reserve(&w->text, EXPANSION * value.len + 2);
	if (room == NULL) {
		json_str(&w->json, "");
		return;
	}
	room[0] = '"';
	w->text.len = 1;
	w->text.len += (size_t)(json_escape(room + 1, value) - (room + 1));
	(void)buf_add_char(&w->text, '"');
	json_raw(&w->json, buf_slice(&w->text));
}

static bool
put_number(struct writing *w, const char *key, struct slice value)
{
	uint64_t v = 0;

	if (value.len == 0 || value.len > 10)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(value.ptr[i] - '0');
	}
	json_key(&w->json, key);
	json_uint(&w->json, v);
	return true;
}

/* FNV-1a. */
static uint32_t
hash_of(struct slice s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
	return h;
}

/* A name may come twice with other values: the first one counts. */
static bool
is_new(struct writing *w, struct slice name)
{
	uint32_t hash = hash_of(name);

	for (size_t i = 0; i < w->n; i++) {
		if (w->seen[i] == hash)
			return false;
	}
	if (w->n == NAMES_MAX) {
		w->cut = true;
		return false;
	}
	w->seen[w->n++] = hash;
	return true;
}

static void
put_custom(struct writing *w, struct slice name, struct slice value)
{
	char key[NAME_MAX_BYTES + sizeof("journald.custom.")] =
	    "journald.custom.";
	size_t at = strlen(key);

	while (name.len > 0 && name.ptr[0] == '_') {
		name.ptr++;
		name.len--;
	}
	if (name.len == 0 || name.len > NAME_MAX_BYTES)
		return;
	for (size_t i = 0; i < name.len; i++)
		key[at++] = (char)tolower((unsigned char)name.ptr[i]);
	key[at] = '\0';
	json_key(&w->json, key);
	put_text(w, value);
}

static void
on_field(void *ctx, struct slice name, struct slice value, bool cut)
{
	struct writing *w = ctx;
	size_t i = 0;

	if (!is_new(w, name))
		return;
	if (slice_eq(name, SLICE("MESSAGE"))) {
		w->cut = w->cut || cut;
		w->message = true;
		json_key(&w->json, "message");
		put_text(w, value);
		return;
	}
	while (i < N_NAMES &&
	    !slice_eq(name,
		(struct slice){ names[i].journal, strlen(names[i].journal) }))
		i++;
	if (i < N_NAMES && names[i].field == NULL)
		return;
	if (value.len > VALUE_MAX) {
		w->cut = true;
		return;
	}
	if (i == N_NAMES) {
		put_custom(w, name, value);
	} else if (!names[i].number || !put_number(w, names[i].field, value)) {
		json_key(&w->json, names[i].field);
		put_text(w, value);
	}
}

static void
put_head(struct json_writer *w, const struct journal_entry *entry,
    const struct input_setup *setup, const struct input_config *config)
{
	json_key(w, "@timestamp");
	json_time(w, entry->time_ns);
	json_key(w, "host.name");
	json_str(w, setup->host_name);
	json_key(w, "input.type");
	json_str(w, "journald");
	json_key(w, "kuzet.input");
	json_str(w, config->name);
	if (config->dataset != NULL) {
		json_key(w, "event.dataset");
		json_str(w, config->dataset);
	}
}

enum rc
journal_event(struct journal *j, struct journal_entry *entry,
    const struct input_setup *setup, const struct input_config *config,
    struct buf *out, struct error *err)
{
	struct writing w = { .max_line = config->max_line };
	enum rc rc;

	buf_clear(out);
	buf_init(&w.text, JOURNAL_EVENT_MAX);
	json_begin(&w.json, out);
	json_open(&w.json, '{');
	put_head(&w.json, entry, setup, config);
	rc = journal_fields(j, w.max_line, on_field, &w, err);
	if (w.cut) {
		json_key(&w.json, "log.flags");
		json_raw(&w.json, SLICE("[\"truncated\"]"));
	}
	json_close(&w.json, '}');
	buf_fini(&w.text);
	entry->cut = w.cut;
	if (out->overflowed)
		return error_set(err, RC_LIMIT, "journal: too large an entry");
	return rc;
}
