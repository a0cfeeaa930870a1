/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/inputs/fim/fim_annotate.h"
#include "agent/inputs/fim/fim_attrs.h"
#include "agent/inputs/fim/fim_diff.h"
#include "agent/inputs/fim/fim_event.h"
#include "agent/inputs/fim/fim_moves.h"
#include "agent/inputs/fim/fim_package.h"
#include "agent/inputs/fim/fim_scan.h"
#include "agent/inputs/fim/fim_secret.h"
#include "folder.h"
#include "tap.h"

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static struct fim_entry
file(const char *path)
{
	struct fim_entry e = { .path = text(path),
		.content = FIM_HASHED,
		.target = SLICE(""),
		.xattrs = SLICE("") };

	e.st = (struct opener_stat){ .dev = 1,
		.ino = 7,
		.size = 10,
		.links = 1,
		.mtime_ns = 100,
		.ctime_ns = 200,
		.mode = S_IFREG | 0644,
		.regular = true };
	memset(e.sha256, 1, sizeof(e.sha256));
	return e;
}

/* ---- compare ------------------------------------------------------------- */

static void
set_type(struct fim_entry *e)
{
	e->st.mode = S_IFLNK | 0644;
}
static void
set_mode(struct fim_entry *e)
{
	e->st.mode |= S_ISUID;
}
static void
set_uid(struct fim_entry *e)
{
	e->st.uid = 1;
}
static void
set_gid(struct fim_entry *e)
{
	e->st.gid = 1;
}
static void
set_size(struct fim_entry *e)
{
	e->st.size++;
}
static void
set_mtime(struct fim_entry *e)
{
	e->st.mtime_ns--;
}
static void
set_inode(struct fim_entry *e)
{
	e->st.ino++;
}
static void
set_links(struct fim_entry *e)
{
	e->st.links++;
}
static void
set_mount(struct fim_entry *e)
{
	e->st.mount_root = true;
}
static void
set_target(struct fim_entry *e)
{
	e->target = SLICE("elsewhere");
}
static void
set_xattrs(struct fim_entry *e)
{
	e->xattrs = SLICE("user.a\0\0\0\0\1x");
}
static void
set_content(struct fim_entry *e)
{
	e->sha256[31] ^= 1;
}
static void
set_unreadable(struct fim_entry *e)
{
	e->content = FIM_UNREADABLE;
}
static void
set_ctime(struct fim_entry *e)
{
	e->st.ctime_ns++;
}
static void
set_device(struct fim_entry *e)
{
	e->st.dev++;
}

static const struct {
	const char *what;
	void (*set)(struct fim_entry *e);
	unsigned file, folder; /* differences */
	const char *action;    /* of a file */
} differences[] = {
	{ "type", set_type, FIM_TYPE, FIM_TYPE, "modified" },
	{ "set-user-id", set_mode, FIM_MODE, FIM_MODE, "attributes_modified" },
	{ "owner", set_uid, FIM_UID, FIM_UID, "attributes_modified" },
	{ "group", set_gid, FIM_GID, FIM_GID, "attributes_modified" },
	{ "size", set_size, FIM_SIZE, 0, "modified" },
	{ "time", set_mtime, FIM_MTIME, 0, "attributes_modified" },
	{ "inode", set_inode, FIM_INODE, FIM_INODE, "attributes_modified" },
	{ "links", set_links, FIM_LINKS, 0, "attributes_modified" },
	{ "a mount", set_mount, FIM_MOUNT, FIM_MOUNT, "attributes_modified" },
	{ "target", set_target, FIM_TARGET, 0, "modified" },
	{ "xattrs", set_xattrs, FIM_XATTRS, FIM_XATTRS, "attributes_modified" },
	{ "content", set_content, FIM_CONTENT, 0, "modified" },
	{ "right to read", set_unreadable, FIM_CONTENT, 0, "modified" },
	{ "ctime alone", set_ctime, 0, 0, NULL },
	{ "the number of the device", set_device, 0, 0, NULL },
};

static void
compares(void)
{
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]);
	     i++) {
		struct fim_entry a = file("/f"), b = file("/f");
		struct fim_change c = { .action = FIM_CHANGED };

		differences[i].set(&b);
		c.differences = fim_compare(&a, &b);
		CHECK(c.differences == differences[i].file &&
			fim_compare(&b, &a) == differences[i].file,
		    "a file differs by its %s", differences[i].what);
		if (differences[i].action != NULL)
			CHECK(strcmp(fim_action_name(&c),
				  differences[i].action) == 0,
			    "which is %s", differences[i].action);
		a = b = file("/f");
		a.st.mode = b.st.mode = S_IFDIR | 0755;
		differences[i].set(&b);
		if (differences[i].set == set_type)
			continue;
		CHECK(fim_compare(&a, &b) == differences[i].folder,
		    "a folder with another %s: %s", differences[i].what,
		    differences[i].folder != 0 ? "differs" : "is the same");
	}
}

static void
trusts_stat(void)
{
	struct fim_entry a = file("/f"), b = file("/f");

	CHECK(fim_same_stat(&a.st, &b.st), "a stat is equal to itself");
	set_ctime(&b);
	CHECK(!fim_same_stat(&a.st, &b.st),
	    "a file whose ctime differs is looked into");
}

/* ---- order, moves -------------------------------------------------------- */

static void
orders(void)
{
	static const char *const paths[] = { "/", "/a", "/a/b", "/a/b/c",
		"/a\001", "/a-b", "/a.d", "/ab", "/\xff" };
	bool sorted = true;

	for (size_t i = 1; i < sizeof(paths) / sizeof(paths[0]); i++)
		sorted = sorted &&
		    opener_path_cmp(text(paths[i - 1]), text(paths[i])) < 0 &&
		    opener_path_cmp(text(paths[i]), text(paths[i - 1])) > 0;
	CHECK(sorted, "what is below a folder comes right behind it");
	CHECK(opener_path_within(text("/a/b"), text("/a")) &&
		opener_path_within(text("/a"), text("/a")) &&
		opener_path_within(text("/a"), text("/")) &&
		!opener_path_within(text("/ab"), text("/a")),
	    "a folder holds itself and what is below");
}

struct moves {
	char text[512];
};

static enum rc
note_move(void *ctx, const struct fim_move *m)
{
	struct moves *out = ctx;
	size_t at = strlen(out->text);

	(void)snprintf(out->text + at, sizeof(out->text) - at, "%s>%s ",
	    m->before != NULL ? m->before->path.ptr : "",
	    m->after != NULL ? m->after->path.ptr : "");
	return RC_OK;
}

static void
finds_moves(void)
{
	struct fim_moves *m = fim_moves_new();
	struct fim_entry e;
	struct moves out = { "" };

	e = file("/new");
	fim_moves_add(m, NULL, &e);
	e = file("/old");
	fim_moves_add(m, &e, NULL);
	e = file("/edited");
	set_inode(&e);
	fim_moves_add(m, &e, NULL);
	set_content(&e);
	e.path = text("/edited2");
	fim_moves_add(m, NULL, &e);
	e = file("/link2");
	e.st.ino = 9;
	fim_moves_add(m, NULL, &e);
	CHECK(fim_moves_each(m, note_move, &out) == RC_OK &&
		strncmp(out.text, "/old>/new ", 10) == 0,
	    "one file that went and came with another name has moved");
	CHECK(strstr(out.text, "/edited> ") != NULL &&
		strstr(out.text, ">/edited2 ") != NULL &&
		strstr(out.text, ">/link2 ") != NULL,
	    "another content is another file (%s)", out.text);
	fim_moves_free(m);
}

/* ---- diffs --------------------------------------------------------------- */

static const struct {
	const char *name, *before, *after, *diff;
} diffs[] = {
	{ "nothing differs", "a\nb\n", "a\nb\n", "" },
	{ "a changed line", "a\nb\nc\n", "a\nB\nc\n",
	    "@@ -2,1 +2,1 @@\n-b\n+B\n" },
	{ "an added line", "a\n", "a\nb\n", "@@ -1,0 +2,1 @@\n+b\n" },
	{ "a removed line", "a\nb\n", "b\n", "@@ -1,1 +0,0 @@\n-a\n" },
	{ "two places", "a\nb\nc\nd\n", "x\nb\nc\ny\n",
	    "@@ -1,1 +1,1 @@\n-a\n+x\n@@ -4,1 +4,1 @@\n-d\n+y\n" },
	{ "an empty text before", "", "a", "@@ -0,0 +1,1 @@\n+a\n" },
};

static void
shows_diffs(void)
{
	struct buf out;

	for (size_t i = 0; i < sizeof(diffs) / sizeof(diffs[0]); i++) {
		buf_init(&out, 4096);
		CHECK(fim_diff(text(diffs[i].before), text(diffs[i].after),
			  &out) &&
			slice_eq(buf_slice(&out), text(diffs[i].diff)),
		    "%s", diffs[i].name);
		buf_fini(&out);
	}
	buf_init(&out, 24);
	CHECK(!fim_diff(text("a\n"), text("b\ncccccccccc\n"), &out) &&
		out.len > 0 && out.ptr[out.len - 1] == '\n',
	    "what is too long is cut after a line");
	buf_fini(&out);
}

static void
keeps_secrets(void)
{
	static const char *const secret[] = { "/etc/shadow", "/etc/shadow-",
		"/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key",
		"/x/.ssh/id_rsa", "/srv/tls/server.key", "/etc/ssl/private/x",
		"/x/.pgpass", "/etc/app/secrets.yml" };
	bool all = true;

	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		all = all && fim_is_secret(secret[i], SLICE("x"));
	CHECK(all, "files that hold secrets are never shown");
	CHECK(fim_is_secret("/etc/notes",
		  SLICE("-----BEGIN OPENSSH PRIVATE KEY-----\n")),
	    "nor is a key under any name");
	CHECK(!fim_is_secret("/etc/passwd", SLICE("root:x:0:0\n")),
	    "the list of users is no secret");
}

static const struct {
	const char *name, *path, *text, *shown;
} masks[] = {
	{ "a setting that is a password", "/x.conf", "a=1\ndb_password = abc\n",
	    "a=1\ndb_password = ***\n" },
	{ "in YAML", "/x.yml", "  apiKey: abc\nname: n\n",
	    "  apiKey: ***\nname: n\n" },
	{ "in JSON", "/x.json", "{\"client_secret\": \"abc\"}",
	    "{\"client_secret\": \"***" },
	{ "in XML", "/x.xml", "<password>abc</password>\n", "<password>***\n" },
	{ "after a space", "/redis.conf", "requirepass abc\nport 1\n",
	    "requirepass ***\nport 1\n" },
	{ "in an address", "/x.ini", "url=postgres://u:p:q@db/x?y=1\n",
	    "url=postgres://u:***@db/x?y=1\n" },
	{ "but no user alone", "/x.ini", "url=ssh://git@host/x\n",
	    "url=ssh://git@host/x\n" },
	{ "nor a port", "/x.ini", "url=http://host:80/@x\n",
	    "url=http://host:80/@x\n" },
	{ "in upper case, without an end of line", "/env", "API_TOKEN=x",
	    "API_TOKEN=***" },
	{ "nothing where there is no value", "/x.conf", "password=\n",
	    "password=\n" },
	{ "whether passwords may be used", "/etc/ssh/sshd_config",
	    "PasswordAuthentication yes\nPermitEmptyPasswords no\n",
	    "PasswordAuthentication yes\nPermitEmptyPasswords no\n" },
	{ "how passwords are checked", "/etc/pam.d/common-password",
	    "password [success=1 default=ignore] pam_unix.so\n",
	    "password [success=1 default=ignore] pam_unix.so\n" },
	{ "where users come from", "/etc/nsswitch.conf", "passwd: files evil\n",
	    "passwd: files evil\n" },
	{ "users", "/etc/passwd", "root:x:0:0::/root:/bin/sh\n",
	    "root:x:0:0::/root:/bin/sh\n" },
	{ "no text at all", "/x", "", "" },
};

static void
masks_secrets(void)
{
	struct arena *arena = arena_new(4096);

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct slice shown =
		    fim_mask_secrets(masks[i].path, text(masks[i].text), arena);

		CHECK(slice_eq(shown, text(masks[i].shown)), "shown: %s: %.*s",
		    masks[i].name, SLICE_ARG(shown));
	}
	arena_free(arena);
}

/* ---- attributes ---------------------------------------------------------- */

static void
reads_attributes(void)
{
	static const struct slice acl =
	    SLICE_INIT("\2\0\0\0"
		       "\1\0\6\0\xff\xff\xff\xff"
		       "\2\0\4\0\xe8\3\0\0"
		       "\4\0\4\0\xff\xff\xff\xff"
		       "\x10\0\4\0\xff\xff\xff\xff"
		       "\x20\0\0\0\xff\xff\xff\xff");
	static const struct slice cap =
	    SLICE_INIT("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	struct slice rest = SLICE("user.a\0\0\0\0\2xyuser.b\0\0\0\0\1z");
	struct fim_attr a;
	struct buf out;

	buf_init(&out, 4096);
	CHECK(fim_acl_text(acl, &out) &&
		slice_eq(buf_slice(&out),
		    text("user::rw-,user:1000:r--,group::r--,mask::r--,"
			 "other::---")),
	    "an ACL is written as getfacl does");
	buf_clear(&out);
	CHECK(fim_capability_text(cap, &out) &&
		slice_eq(buf_slice(&out), text("cap_net_raw=ep")),
	    "capabilities are written as getcap does");
	CHECK(!fim_acl_text(SLICE("\2\0\0\0\1"), &out) &&
		!fim_capability_text(SLICE("\1\0\0\2"), &out),
	    "what is cut is neither");
	CHECK(fim_attr_next(&rest, &a) && strcmp(a.name, "user.a") == 0 &&
		slice_eq(a.value, SLICE("xy")) && fim_attr_next(&rest, &a) &&
		slice_eq(a.value, SLICE("z")) && !fim_attr_next(&rest, &a),
	    "attributes are read back one by one");
	buf_fini(&out);
}

/* ---- packages ------------------------------------------------------------ */

static void
put(const char *dir, const char *name, const char *content)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (f == NULL || fputs(content, f) < 0 || fclose(f) != 0)
		abort();
}

/* A change to FILE in `dir`, as a scan would tell it. */
static struct fim_change
changed(const char *dir, const char *name, char path[256],
    struct fim_entry *entry)
{
	struct opener *o = opener_new(NULL);

	(void)snprintf(path, 256, "%s/%s", dir, name);
	*entry = file(path);
	(void)opener_lstat(o, path, &entry->st);
	opener_free(o);
	return (struct fim_change){ .action = FIM_CHANGED, .after = entry };
}

static void
knows_packages(void)
{
	/* MD5 of "hello\n" */
	static const char hello[] = "b1946ac92492d2347c6235b4d2611184";
	char dir[] = "/tmp/kuzet-fim-XXXXXX", info[64], lists[1024];
	char paths[4][256];
	struct fim_entry entries[4];
	struct fim_change c[4];
	struct opener *o = opener_new(NULL);
	struct fim_packages *packages;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(info, sizeof(info), "%s/info", dir);
	(void)mkdir(info, 0700);
	put(dir, "same", "hello\n");
	put(dir, "other", "evil\n");
	put(dir, "conf", "hello\n");
	put(dir, "mine", "hello\n");
	(void)snprintf(lists, sizeof(lists),
	    "%s  %s/same\n%s  %s/other\nshort\n", hello, dir + 1, hello,
	    dir + 1);
	put(info, "tool:amd64.md5sums", lists);
	(void)snprintf(lists, sizeof(lists),
	    "Package: tool\nConffiles:\n %s/conf %s\nStatus: x\n", dir, hello);
	put(dir, "status", lists);
	c[0] = changed(dir, "same", paths[0], &entries[0]);
	c[1] = changed(dir, "other", paths[1], &entries[1]);
	c[2] = changed(dir, "conf", paths[2], &entries[2]);
	c[3] = changed(dir, "mine", paths[3], &entries[3]);
	packages = fim_packages_new(o, dir, dir);
	CHECK(fim_packages_prepare(packages) && !fim_packages_prepare(packages),
	    "what packages there are is known before a change asks");
	fim_packages_find(packages, c, 4);
	CHECK(c[0].package.owned && c[0].package.verified &&
		strcmp(c[0].package.name, "tool") == 0,
	    "a file that is what its package says is verified");
	CHECK(c[1].package.owned && !c[1].package.verified,
	    "a file of a package with another content is not");
	CHECK(c[2].package.verified && strcmp(c[2].package.name, "tool") == 0,
	    "configuration files are known by dpkg's status");
	CHECK(!c[3].package.owned, "what no package brought is nobody's");
	fim_packages_free(packages);
	opener_free(o);
	for (int i = 0; i < 4; i++)
		(void)unlink(paths[i]);
	(void)snprintf(lists, sizeof(lists), "%s/tool:amd64.md5sums", info);
	(void)unlink(lists);
	(void)snprintf(lists, sizeof(lists), "%s/status", dir);
	(void)unlink(lists);
	(void)rmdir(info);
	(void)rmdir(dir);
}

static void
covers(void)
{
	static const char *const paths[] = { "/etc", "/srv/*/.ssh" };
	static const char *const exclude[] = { "*.swp", "/etc/private" };
	const struct fim_spec spec = { .paths = paths,
		.n_paths = 2,
		.exclude = exclude,
		.n_exclude = 2 };

	CHECK(fim_spec_covers(&spec, "/etc") &&
		fim_spec_covers(&spec, "/etc/ssh/sshd_config") &&
		fim_spec_covers(&spec, "/srv/ann/.ssh/config"),
	    "patterns cover what they name and what is below");
	CHECK(!fim_spec_covers(&spec, "/etcetera") &&
		!fim_spec_covers(&spec, "/srv/ann/x/.ssh") &&
		!fim_spec_covers(&spec, "/etc/.x.swp") &&
		!fim_spec_covers(&spec, "/etc/private/key"),
	    "not their neighbours, and nothing that is excluded");
}

/* ---- scans --------------------------------------------------------------- */

struct visit {
	atomic_bool stop;
	unsigned calls;
};

static void
stop_soon(void *ctx, const struct fim_totals *so_far)
{
	struct visit *v = ctx;

	(void)so_far;
	if (++v->calls == 3)
		atomic_store(&v->stop, true);
}

static enum rc
tell_nobody(void *ctx, const struct fim_change *c, struct error *err)
{
	(void)ctx;
	(void)c;
	(void)err;
	return RC_OK;
}

/* At its pace the file would take days: whoever waits for the scan comes in
 * all the same. */
static void
lets_others_in(void)
{
	char dir[] = "/tmp/kuzet-fim-XXXXXX", path[128];
	const char *const paths[] = { path };
	struct visit v = { .calls = 0 };
	struct fim_reading reading = { .pace = fim_pace_new(1),
		.max_file_size = 1 << 30,
		.stop = &v.stop };
	struct fim_spec spec = { .name = "n", .paths = paths, .n_paths = 1 };
	struct fim_store store;
	struct fim_scan scan = { .store = &store,
		.spec = &spec,
		.reading = &reading,
		.fresh = true,
		.pool = true,
		.ctx = &v,
		.tell = tell_nobody,
		.between = stop_soon };
	struct error err;
	int fd;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/big", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 || ftruncate(fd, 1 << 20) != 0)
		abort();
	(void)close(fd);
	reading.opener = opener_new(NULL);
	if (fim_store_open(dir, &store, &err) != RC_OK)
		abort();
	CHECK(fim_scan_run(&scan, &err) == RC_AGAIN && v.calls >= 3,
	    "a scan that reads slowly lets others in");
	fim_store_close(&store);
	fim_pace_free(reading.pace);
	opener_free(reading.opener);
	folder_remove(dir);
}

static bool
at_once(void *ctx)
{
	(void)ctx;
	return true;
}

/* A change does not wait for the digest of a large baseline. */
static void
digests_in_peace(void)
{
	char dir[] = "/tmp/kuzet-fim-XXXXXX", path[32];
	struct fim_store store;
	struct fim_baseline b;
	struct fim_entry e = { .content = FIM_NO_CONTENT };
	uint8_t sha256[SHA256_BYTES];
	uint64_t files = 0;
	struct error err;
	enum rc rc;

	if (mkdtemp(dir) == NULL ||
	    fim_store_open(dir, &store, &err) != RC_OK ||
	    fim_store_baseline(&store, "n", &b, &err) != RC_OK ||
	    sql_begin(store.db.sql, &err) != RC_OK)
		abort();
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(path, sizeof(path), "/%d", i);
		e.path = (struct slice){ path, strlen(path) };
		if (fim_store_put(&store, b.input, &e, &err) != RC_OK)
			abort();
	}
	rc = fim_store_digest(&store, b.input, (struct fim_hurry){ 0 }, sha256,
	    &files, &err);
	CHECK(rc == RC_OK && files == 3000, "a digest is over all rows");
	rc = fim_store_digest(&store, b.input,
	    (struct fim_hurry){ NULL, at_once }, sha256, &files, &err);
	CHECK(rc == RC_AGAIN && files < 3000,
	    "it is given up where a change waits");
	sql_rollback(store.db.sql);
	fim_store_close(&store);
	folder_remove(dir);
}

int
main(void)
{
	compares();
	trusts_stat();
	orders();
	finds_moves();
	shows_diffs();
	keeps_secrets();
	masks_secrets();
	reads_attributes();
	knows_packages();
	covers();
	lets_others_in();
	digests_in_peace();
	return tap_done();
}
