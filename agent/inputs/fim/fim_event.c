/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_event.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/inputs/fim/fim_attrs.h"
#include "json.h"
#include "timestamp.h"
#include "utf8.h"

enum { ATTR_SHOWN = 256, ATTRS_TEXT_MAX = 65536, SHORT_DIGEST = 12 };

const char *
fim_action_name(const struct fim_change *c)
{
	switch (c->action) {
	case FIM_CREATED:
		return "created";
	case FIM_DELETED:
		return "deleted";
	case FIM_MOVED:
		return "moved";
	case FIM_CHANGED:
		break;
	}
	return (c->differences & FIM_MODIFIED) != 0 ? "modified"
						    : "attributes_modified";
}

/* Any bytes: what is no UTF-8 becomes U+FFFD. */
static void
put_bytes(struct json_writer *w, const char *key, struct slice s)
{
	struct arena *arena;

	json_key(w, key);
	if (utf8_valid(s)) {
		json_string(w, s);
		return;
	}
	arena = arena_new(4096);
	json_string(w, utf8_repair(arena, s));
	arena_free(arena);
}

static void
put_text(struct json_writer *w, const char *key, const char *text)
{
	put_bytes(w, key, (struct slice){ text, strlen(text) });
}

static void
put_owner(struct json_writer *w, const struct fim_origin *o, uint32_t uid)
{
	const char *name = account_user(o->names, uid);

	if (name != NULL)
		put_text(w, "owner", name);
}

static void
put_group(struct json_writer *w, const struct fim_origin *o, uint32_t gid)
{
	const char *name = account_group(o->names, gid);

	if (name != NULL)
		put_text(w, "group", name);
}

/* ECS keeps ids as text. */
static void
put_id(struct json_writer *w, const char *key, uint64_t id)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	json_key(w, key);
	json_str(w, text);
}

static void
put_mode(struct json_writer *w, const char *key, uint32_t mode)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%04o", mode & 07777);
	json_key(w, key);
	json_str(w, text);
}

static void
put_digest(struct json_writer *w, const char *key, const uint8_t *sha256)
{
	char hex[SHA256_TEXT];

	hex_text(sha256, SHA256_BYTES, hex);
	json_key(w, key);
	json_str(w, hex);
}

static const char *
content_name(enum fim_content c)
{
	switch (c) {
	case FIM_TOO_LARGE:
		return "too_large";
	case FIM_UNREADABLE:
		return "unreadable";
	case FIM_UNSTABLE:
		return "unstable";
	default:
		return NULL;
	}
}

/* ---- before and after --------------------------------------------------- */

static void
attr_text(const struct fim_attr *a, struct buf *out)
{
	struct slice v = a->value;
	char hex[(size_t)2 * ATTR_SHOWN + 1];

	if (v.len > ATTR_SHOWN)
		v.len = ATTR_SHOWN;
	(void)buf_printf(out, "%s=", a->name);
	if (utf8_valid(v)) {
		(void)buf_add_slice(out, v);
		return;
	}
	hex_text((const uint8_t *)v.ptr, v.len, hex);
	(void)buf_printf(out, "0x%s", hex);
}

static void
put_xattrs(struct json_writer *w, struct slice attrs)
{
	struct slice rest = attrs;
	struct fim_attr a;
	struct buf text;

	buf_init(&text, ATTRS_TEXT_MAX);
	while (fim_attr_next(&rest, &a)) {
		buf_clear(&text);
		if (strcmp(a.name, "system.posix_acl_access") == 0 &&
		    fim_acl_text(a.value, &text))
			put_bytes(w, "acl", buf_slice(&text));
		else if (strcmp(a.name, "system.posix_acl_default") == 0 &&
		    fim_acl_text(a.value, &text))
			put_bytes(w, "acl_default", buf_slice(&text));
		else if (strcmp(a.name, "security.capability") == 0 &&
		    fim_capability_text(a.value, &text))
			put_bytes(w, "capabilities", buf_slice(&text));
	}
	json_key(w, "xattrs");
	json_open(w, '[');
	for (rest = attrs; fim_attr_next(&rest, &a);) {
		struct arena *arena = arena_new(1024);

		buf_clear(&text);
		attr_text(&a, &text);
		json_string(w, utf8_repair(arena, buf_slice(&text)));
		arena_free(arena);
	}
	json_close(w, ']');
	buf_fini(&text);
}

static void
put_content(struct json_writer *w, const struct fim_entry *e)
{
	if (e->content == FIM_HASHED)
		put_digest(w, "sha256", e->sha256);
	else if (content_name(e->content) != NULL)
		put_text(w, "content", content_name(e->content));
}

/* One side of what differs. */
static void
put_side(struct json_writer *w, const struct fim_origin *o, const char *key,
    const struct fim_entry *e, unsigned d, bool path)
{
	json_key(w, key);
	json_open(w, '{');
	if (path)
		put_bytes(w, "path", e->path);
	if ((d & FIM_TYPE) != 0)
		put_text(w, "type", fim_type_name(e->st.mode));
	if ((d & FIM_MODE) != 0)
		put_mode(w, "mode", e->st.mode);
	if ((d & FIM_UID) != 0) {
		put_id(w, "uid", e->st.uid);
		put_owner(w, o, e->st.uid);
	}
	if ((d & FIM_GID) != 0) {
		put_id(w, "gid", e->st.gid);
		put_group(w, o, e->st.gid);
	}
	if ((d & FIM_SIZE) != 0) {
		json_key(w, "size");
		json_uint(w, e->st.size);
	}
	if ((d & FIM_MTIME) != 0) {
		json_key(w, "mtime");
		json_time(w, e->st.mtime_ns);
	}
	if ((d & FIM_INODE) != 0)
		put_id(w, "inode", e->st.ino);
	if ((d & FIM_LINKS) != 0) {
		json_key(w, "links");
		json_uint(w, e->st.links);
	}
	if ((d & FIM_MOUNT) != 0) {
		json_key(w, "mount_point");
		json_bool(w, e->st.mount_root);
	}
	if ((d & FIM_TARGET) != 0)
		put_bytes(w, "target_path", e->target);
	if ((d & FIM_XATTRS) != 0)
		put_xattrs(w, e->xattrs);
	if ((d & FIM_CONTENT) != 0)
		put_content(w, e);
	json_close(w, '}');
}

static const struct {
	unsigned bit;
	const char *name;
} differences[] = {
	{ FIM_TYPE, "type" },
	{ FIM_MODE, "mode" },
	{ FIM_UID, "owner" },
	{ FIM_GID, "group" },
	{ FIM_SIZE, "size" },
	{ FIM_MTIME, "mtime" },
	{ FIM_INODE, "inode" },
	{ FIM_LINKS, "links" },
	{ FIM_MOUNT, "mount_point" },
	{ FIM_TARGET, "target_path" },
	{ FIM_XATTRS, "xattrs" },
	{ FIM_CONTENT, "sha256" },
};
enum { N_DIFFERENCES = sizeof(differences) / sizeof(differences[0]) };

static void
put_differences(struct json_writer *w, const struct fim_origin *o,
    const struct fim_change *c)
{
	json_key(w, "changed");
	json_open(w, '[');
	if (c->action == FIM_MOVED)
		json_str(w, "path");
	for (size_t i = 0; i < N_DIFFERENCES; i++) {
		if ((c->differences & differences[i].bit) != 0)
			json_str(w, differences[i].name);
	}
	json_close(w, ']');
	put_side(w, o, "before", c->before, c->differences,
	    c->action == FIM_MOVED);
	put_side(w, o, "after", c->after, c->differences,
	    c->action == FIM_MOVED);
}

/* ---- the event ---------------------------------------------------------- */

static void
put_names(struct json_writer *w, struct slice path)
{
	size_t slash = path.len, dot;
	struct slice name;

	while (slash > 0 && path.ptr[slash - 1] != '/')
		slash--;
	put_bytes(w, "path", path);
	if (!utf8_valid(path)) {
		char hex[2 * 512 + 1];
		size_t n = path.len < 512 ? path.len : 512;

		hex_text((const uint8_t *)path.ptr, n, hex);
		put_text(w, "path_hex", hex);
	}
	if (slash == 0)
		return;
	name = (struct slice){ path.ptr + slash, path.len - slash };
	put_bytes(w, "directory",
	    (struct slice){ path.ptr, slash == 1 ? 1 : slash - 1 });
	put_bytes(w, "name", name);
	for (dot = name.len; dot > 1 && name.ptr[dot - 1] != '.'; dot--)
		;
	if (dot > 1 && dot < name.len)
		put_bytes(w, "extension",
		    (struct slice){ name.ptr + dot, name.len - dot });
}

static void
put_file(struct json_writer *w, const struct fim_origin *o,
    const struct fim_entry *e)
{
	json_key(w, "file");
	json_open(w, '{');
	put_names(w, e->path);
	put_text(w, "type", fim_type_name(e->st.mode));
	put_mode(w, "mode", e->st.mode);
	put_id(w, "uid", e->st.uid);
	put_id(w, "gid", e->st.gid);
	put_owner(w, o, e->st.uid);
	put_group(w, o, e->st.gid);
	put_id(w, "inode", e->st.ino);
	json_key(w, "size");
	json_uint(w, e->st.size);
	json_key(w, "mtime");
	json_time(w, e->st.mtime_ns);
	json_key(w, "ctime");
	json_time(w, e->st.ctime_ns);
	if (S_ISLNK(e->st.mode))
		put_bytes(w, "target_path", e->target);
	if (e->content == FIM_HASHED) {
		json_key(w, "hash");
		json_open(w, '{');
		put_digest(w, "sha256", e->sha256);
		json_close(w, '}');
	}
	json_close(w, '}');
}

static void
put_user(struct json_writer *w, const struct fim_origin *o, uint32_t uid)
{
	const char *name = account_user(o->names, uid);

	put_id(w, "id", uid);
	if (name != NULL)
		put_text(w, "name", name);
}

static void
put_who(struct json_writer *w, const struct fim_origin *o,
    const struct fim_who *who)
{
	if (!who->known)
		return;
	json_key(w, "process");
	json_open(w, '{');
	json_key(w, "pid");
	json_int(w, who->pid);
	if (who->name[0] != '\0')
		put_text(w, "name", who->name);
	if (who->executable[0] != '\0')
		put_text(w, "executable", who->executable);
	json_close(w, '}');
	if (who->name[0] == '\0')
		return; /* it ended before it could be asked */
	json_key(w, "user");
	json_open(w, '{');
	put_user(w, o, who->uid);
	if (who->login_uid != UINT32_MAX) {
		json_key(w, "audit");
		json_open(w, '{');
		put_user(w, o, who->login_uid);
		json_close(w, '}');
	}
	json_close(w, '}');
}

static void
put_window(struct json_writer *w, const struct fim_window *window)
{
	json_key(w, "window");
	json_open(w, '{');
	if (window->opened_ns != 0) { /* not one of the configuration */
		json_key(w, "id");
		json_int(w, window->id);
		json_key(w, "opened");
		json_time(w, window->opened_ns);
	}
	put_text(w, "by", window->by);
	put_text(w, "reason", window->reason);
	if (window->until_ns != 0) {
		json_key(w, "until");
		json_time(w, window->until_ns);
	}
	if (window->closed_ns != 0) {
		json_key(w, "closed");
		json_time(w, window->closed_ns);
		put_text(w, "closed_by", window->closed_by);
	}
	json_close(w, '}');
}

/* Everything but `event`, `file` and what `kuzet.fim` holds. */
static void
begin_event(struct json_writer *w, const struct fim_origin *origin,
    struct buf *out)
{
	json_begin(w, out);
	json_open(w, '{');
	json_key(w, "@timestamp");
	json_time(w, timestamp_now() / NS_PER_MS * NS_PER_MS);
	json_key(w, "host");
	json_open(w, '{');
	put_text(w, "name", origin->host_name);
	json_close(w, '}');
	json_key(w, "input");
	json_open(w, '{');
	put_text(w, "type", "fim");
	json_close(w, '}');
}

static void
begin_own(struct json_writer *w, const struct fim_origin *origin)
{
	json_key(w, "kuzet");
	json_open(w, '{');
	put_text(w, "input", origin->input);
	json_key(w, "fim");
	json_open(w, '{');
}

static void
end_event(struct json_writer *w)
{
	json_close(w, '}');
	json_close(w, '}');
	json_close(w, '}');
}

static void
put_kind(struct json_writer *w, const char *kind, const char *action,
    const char *type)
{
	json_key(w, "event");
	json_open(w, '{');
	put_text(w, "kind", kind);
	if (type != NULL) {
		json_key(w, "category");
		json_open(w, '[');
		json_str(w, "file");
		json_close(w, ']');
		json_key(w, "type");
		json_open(w, '[');
		json_str(w, type);
		json_close(w, ']');
	}
	put_text(w, "action", action);
	put_text(w, "module", "fim");
	put_text(w, "dataset", "fim.file");
	json_close(w, '}');
}

static void
put_package(struct json_writer *w, const struct fim_package *p)
{
	if (!p->owned)
		return;
	json_key(w, "package");
	json_open(w, '{');
	put_text(w, "name", p->name);
	json_key(w, "verified");
	json_bool(w, p->verified);
	json_close(w, '}');
}

void
fim_event_change(struct buf *out, const struct fim_origin *origin,
    const struct fim_change *c, const struct fim_window *window)
{
	static const char *const types[] = { [FIM_CREATED] = "creation",
		[FIM_DELETED] = "deletion",
		[FIM_CHANGED] = "change",
		[FIM_MOVED] = "change" };
	const struct fim_entry *now = c->after != NULL ? c->after : c->before;
	struct json_writer w;

	begin_event(&w, origin, out);
	put_kind(&w, "event", fim_action_name(c), types[c->action]);
	put_file(&w, origin, now);
	put_who(&w, origin, &c->who);
	begin_own(&w, origin);
	if (c->before != NULL && c->after != NULL)
		put_differences(&w, origin, c);
	if (c->action == FIM_CREATED && now->xattrs.len > 0)
		put_side(&w, origin, "after", now, FIM_XATTRS, false);
	json_key(&w, "links");
	json_uint(&w, now->st.links);
	if (content_name(now->content) != NULL)
		put_text(&w, "content", content_name(now->content));
	json_key(&w, "expected");
	json_bool(&w, window != NULL || c->package.verified);
	if (window != NULL)
		put_window(&w, window);
	put_package(&w, &c->package);
	if (c->diff.ptr != NULL) {
		put_bytes(&w, "diff", c->diff);
		json_key(&w, "diff_cut");
		json_bool(&w, c->diff_cut);
	}
	end_event(&w);
}

static void
put_totals(struct json_writer *w, const struct fim_totals *t)
{
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{ "files", t->files },
		{ "bytes", t->bytes },
		{ "changes", t->changes },
		{ "added", t->added },
		{ "forgotten", t->forgotten },
		{ "unreadable", t->unreadable },
		{ "too_large", t->too_large },
		{ "left_out", t->left_out },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_key(w, rows[i].name);
		json_uint(w, rows[i].n);
	}
}

void
fim_event_summary(struct buf *out, const struct fim_origin *origin,
    const struct fim_summary *s)
{
	struct json_writer w;

	begin_event(&w, origin, out);
	put_kind(&w, s->alert ? "alert" : "event", s->action, NULL);
	if (s->by != NULL) {
		json_key(&w, "user");
		json_open(&w, '{');
		put_text(&w, "name", s->by);
		json_close(&w, '}');
	}
	begin_own(&w, origin);
	if (s->totals != NULL) {
		put_totals(&w, s->totals);
		json_key(&w, "duration_ms");
		json_int(&w, s->duration_ns / NS_PER_MS);
	}
	if (s->reason != NULL)
		put_text(&w, "reason", s->reason);
	if (s->window != NULL)
		put_window(&w, s->window);
	if (s->sha256 != NULL) {
		json_key(&w, "baseline");
		json_open(&w, '{');
		put_digest(&w, "sha256", s->sha256);
		if (s->previous != NULL)
			put_digest(&w, "previous", s->previous);
		if (s->verified >= 0) {
			json_key(&w, "verified");
			json_bool(&w, s->verified > 0);
		}
		if (s->unsealed) {
			json_key(&w, "unsealed");
			json_bool(&w, true);
		}
		json_close(&w, '}');
	}
	end_event(&w);
}

/* ---- for people --------------------------------------------------------- */

/* A line stays a line, whatever the name. */
static void
add_name(struct buf *out, struct slice path)
{
	unsigned char limit = utf8_valid(path) ? 0xff : 0x7e;

	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.ptr[i];

		if (c < ' ' || c == 0x7f || c == '\\' || c > limit)
			(void)buf_printf(out, "\\x%02x", c);
		else
			(void)buf_add_char(out, (char)c);
	}
}

/* "(cap_net_raw=ep user.note)" */
static void
add_attributes(struct buf *out, const struct fim_entry *e)
{
	struct slice rest = e->xattrs;
	const char *sep = "(";
	struct fim_attr a;
	struct buf text;

	buf_init(&text, 65536);
	while (fim_attr_next(&rest, &a)) {
		bool known = strcmp(a.name, "security.capability") == 0
		    ? fim_capability_text(a.value, &text)
		    : strncmp(a.name, "system.posix_acl_", 17) == 0 &&
			fim_acl_text(a.value, &text);

		(void)buf_add_str(out, sep);
		sep = " ";
		add_name(out,
		    known ? buf_slice(&text)
			  : (struct slice){ a.name, strlen(a.name) });
		buf_clear(&text);
	}
	(void)buf_add_str(out, sep[0] == '(' ? "none" : ")");
	buf_fini(&text);
}

static void
add_value(struct buf *out, const struct fim_entry *e, unsigned bit)
{
	char text[TIMESTAMP_TEXT_MAX], hex[SHA256_TEXT];

	switch (bit) {
	case FIM_TYPE:
		(void)buf_add_str(out, fim_type_name(e->st.mode));
		break;
	case FIM_MODE:
		(void)buf_printf(out, "%04o", e->st.mode & 07777);
		break;
	case FIM_UID:
		(void)buf_printf(out, "%u", e->st.uid);
		break;
	case FIM_GID:
		(void)buf_printf(out, "%u", e->st.gid);
		break;
	case FIM_SIZE:
		(void)buf_printf(out, "%llu", (unsigned long long)e->st.size);
		break;
	case FIM_MTIME:
		(void)buf_add_slice(out,
		    timestamp_format(e->st.mtime_ns, text));
		break;
	case FIM_INODE:
		(void)buf_printf(out, "%llu", (unsigned long long)e->st.ino);
		break;
	case FIM_LINKS:
		(void)buf_printf(out, "%llu", (unsigned long long)e->st.links);
		break;
	case FIM_MOUNT:
		(void)buf_add_str(out, e->st.mount_root ? "yes" : "no");
		break;
	case FIM_TARGET:
		add_name(out, e->target);
		break;
	case FIM_CONTENT:
		hex_text(e->sha256, SHA256_BYTES, hex);
		(void)buf_printf(out, "%.*s",
		    e->content == FIM_HASHED ? SHORT_DIGEST : 0, hex);
		if (content_name(e->content) != NULL)
			(void)buf_add_str(out, content_name(e->content));
		break;
	case FIM_XATTRS:
		add_attributes(out, e);
		break;
	default:
		break;
	}
}

static void
add_diff(struct buf *out, struct slice diff)
{
	while (diff.len > 0) {
		const char *lf = memchr(diff.ptr, '\n', diff.len);
		size_t n = lf == NULL ? diff.len : (size_t)(lf - diff.ptr);

		(void)buf_add_str(out, "\n  ");
		add_name(out, (struct slice){ diff.ptr, n });
		n += lf != NULL;
		diff.ptr += n;
		diff.len -= n;
	}
}

void
fim_line_change(struct buf *out, const struct fim_change *c,
    const struct fim_window *window)
{
	const struct fim_entry *now = c->after != NULL ? c->after : c->before;
	const char *sep = ": ";

	(void)buf_printf(out, "%s ", fim_action_name(c));
	if (c->action == FIM_MOVED) {
		add_name(out, c->before->path);
		(void)buf_add_str(out, " -> ");
	}
	add_name(out, now->path);
	for (size_t i = 0; i < N_DIFFERENCES; i++) {
		unsigned bit = differences[i].bit;

		if (c->before == NULL || c->after == NULL ||
		    (c->differences & bit) == 0)
			continue;
		(void)buf_printf(out, "%s%s", sep, differences[i].name);
		sep = ", ";
		(void)buf_add_char(out, ' ');
		add_value(out, c->before, bit);
		(void)buf_add_str(out, " -> ");
		add_value(out, c->after, bit);
	}
	if (c->package.owned)
		(void)buf_printf(out, " [%s of package %s]",
		    c->package.verified ? "as it is" : "NOT as it is",
		    c->package.name);
	if (window != NULL) {
		(void)buf_add_str(out, " [expected: ");
		add_name(out, (struct slice){ window->by, strlen(window->by) });
		(void)buf_add_str(out, ", ");
		add_name(out,
		    (struct slice){ window->reason, strlen(window->reason) });
		(void)buf_add_char(out, ']');
	}
	add_diff(out, c->diff);
}
