/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/granted.h"
#include "agent/inputs/fim/fim_package.h"
#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/rpm_db.h"
#include "buf.h"
#include "folder.h"
#include "sql.h"
#include "tap.h"
#include "xalloc.h"

/* of "hello\n" */
#define HELLO_SHA256                                                           \
 "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define HELLO_MD5 "b1946ac92492d2347c6235b4d2611184"

enum {
	TYPE_CHAR = 1,
	TYPE_INT16 = 3,
	TYPE_INT32 = 4,
	TYPE_TEXT = 6,
	TYPE_TEXTS = 8,
	ENTRIES = 16
};

static struct slice
text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- headers of our own -------------------------------------------------- */

struct entry {
	uint32_t tag, type;
	uint64_t count;     /* 32 bits of it are stored */
	struct slice value; /* as it is stored */
	uint64_t skew;      /* added to the offset: a lie */
};

/* A package "tool" with /opt/dir/same, /opt/other, the folder /opt/dir, a link
 * and a ghost. */
static const struct entry good[] = {
	{ RPM_NAME, TYPE_TEXT, 1, SLICE_INIT("tool\0"), 0 },
	{ RPM_VERSION, TYPE_TEXT, 1, SLICE_INIT("1.0\0"), 0 },
	{ RPM_FILEMODES, TYPE_INT16, 5,
	    SLICE_INIT("\x81\xa4"
		       "\x81\xed"
		       "\x41\xed"
		       "\xa1\xff"
		       "\x81\xa4"),
	    0 },
	{ RPM_DIRINDEXES, TYPE_INT32, 5,
	    SLICE_INIT("\0\0\0\1"
		       "\0\0\0\0"
		       "\0\0\0\0"
		       "\0\0\0\0"
		       "\0\0\0\0"),
	    0 },
	{ RPM_BASENAMES, TYPE_TEXTS, 5,
	    SLICE_INIT("same\0other\0dir\0link\0ghost\0"), 0 },
	{ RPM_DIRNAMES, TYPE_TEXTS, 2, SLICE_INIT("/opt/\0/opt/dir/\0"), 0 },
	{ RPM_FILEDIGESTS, TYPE_TEXTS, 5,
	    SLICE_INIT(HELLO_SHA256 "\0" HELLO_SHA256 "\0\0\0\0"), 0 },
	{ RPM_FILEDIGESTALGO, TYPE_INT32, 1, SLICE_INIT("\0\0\0\x08"), 0 },
};
enum { GOOD = sizeof(good) / sizeof(good[0]) };

static void
build(const struct entry *entries, size_t n, struct buf *out)
{
	struct buf store;

	buf_init(&store, 1 << 20);
	for (size_t i = 0; i < n; i++)
		(void)buf_add_slice(&store, entries[i].value);
	buf_clear(out);
	(void)buf_add_u32be(out, (uint32_t)n);
	(void)buf_add_u32be(out, (uint32_t)store.len);
	buf_clear(&store);
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = &entries[i];

		(void)buf_add_u32be(out, e->tag);
		(void)buf_add_u32be(out, e->type);
		(void)buf_add_u32be(out, (uint32_t)(store.len + e->skew));
		(void)buf_add_u32be(out, (uint32_t)e->count);
		(void)buf_add_slice(&store, e->value);
	}
	(void)buf_add_slice(out, buf_slice(&store));
	buf_fini(&store);
}

struct told {
	unsigned n;
	char paths[8][64];
	struct rpm_file last;
};

static void
tell(void *ctx, const struct rpm_file *f)
{
	struct told *t = ctx;

	if (t->n < 8)
		(void)snprintf(t->paths[t->n], sizeof(t->paths[0]), "%.*s%.*s",
		    SLICE_ARG(f->dir), SLICE_ARG(f->base));
	t->n++;
	t->last = *f;
}

static void
reads_headers(void)
{
	struct told t = { 0 };
	struct rpm_header h;
	struct slice name = SLICE("");
	struct buf b;

	buf_init(&b, 1 << 20);
	build(good, GOOD, &b);
	CHECK(rpm_header_parse(buf_slice(&b), &h) == RC_OK &&
		rpm_header_text(&h, RPM_NAME, &name) &&
		slice_eq(name, text("tool")),
	    "a header tells the name of its package");
	CHECK(!rpm_header_text(&h, RPM_RELEASE, &name) &&
		!rpm_header_text(&h, RPM_BASENAMES, &name),
	    "a tag that is missing or of another type is no text");
	CHECK(rpm_header_files(&h, tell, &t) == RC_OK && t.n == 2 &&
		strcmp(t.paths[0], "/opt/dir/same") == 0 &&
		strcmp(t.paths[1], "/opt/other") == 0,
	    "files are told with their folders; folders, links and ghosts not");
	CHECK(t.last.algorithm == RPM_SHA256 && t.last.mode == 0100755 &&
		slice_eq(t.last.digest, text(HELLO_SHA256)),
	    "with the checksum, its algorithm and the permissions");
	buf_fini(&b);
}

static void
knows_variants(void)
{
	static const struct {
		const char *says;
		size_t at;
		struct entry instead;
		enum rc rc;
		unsigned files;
	} cases[] = {
		{ "without an algorithm there is no SHA-256", GOOD - 1,
		    { 1, TYPE_TEXT, 1, SLICE_INIT("\0"), 0 }, RC_OK, 0 },
		{ "MD5 is told where it is the algorithm", GOOD - 2,
		    { RPM_FILEDIGESTS, TYPE_TEXTS, 5,
			SLICE_INIT(HELLO_MD5 "\0" HELLO_MD5 "\0\0\0\0"), 0 },
		    RC_OK, 2 },
		{ "of an algorithm we do not know nothing is told", GOOD - 1,
		    { RPM_FILEDIGESTALGO, TYPE_INT32, 1,
			SLICE_INIT("\0\0\0\x0a"), 0 },
		    RC_OK, 0 },
		{ "files that were not installed are not told", 1,
		    { RPM_FILESTATES, TYPE_CHAR, 5, SLICE_INIT("\2\0\0\0\0"),
			0 },
		    RC_OK, 1 },
		{ "a folder's number beyond the folders", 3,
		    { RPM_DIRINDEXES, TYPE_INT32, 5,
			SLICE_INIT("\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
			0 },
		    RC_INVALID, 0 },
		{ "fewer folders' numbers than files", 3,
		    { RPM_DIRINDEXES, TYPE_INT32, 1, SLICE_INIT("\0\0\0\0"),
			0 },
		    RC_INVALID, 1 },
		{ "an offset beyond the store", 5,
		    { RPM_DIRNAMES, TYPE_TEXTS, 2, SLICE_INIT("/a/\0/b/\0"),
			0x7fffffff },
		    RC_INVALID, 0 },
		{ "a count that wraps around", 3,
		    { RPM_DIRINDEXES, TYPE_INT32, 0x40000001,
			SLICE_INIT("\0\0\0\0"), 0 },
		    RC_INVALID, 0 },
		{ "names that do not end", GOOD - 1,
		    { RPM_BASENAMES, TYPE_TEXTS, 1, SLICE_INIT("x"), 0 }, RC_OK,
		    0 },
	};
	struct entry entries[GOOD];
	struct rpm_header h;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told t = { 0 };

		memcpy(entries, good, sizeof(good));
		entries[cases[i].at] = cases[i].instead;
		/* MD5 is what the last entry is missing for */
		build(entries, GOOD - (cases[i].at == GOOD - 2), &b);
		CHECK(rpm_header_parse(buf_slice(&b), &h) == RC_OK &&
			rpm_header_files(&h, tell, &t) == cases[i].rc &&
			t.n == cases[i].files,
		    "%s", cases[i].says);
	}
	buf_fini(&b);
}

/* In memory of exactly its size, so that the sanitizer sees each step beyond */
static enum rc
parse_exactly(struct slice bytes)
{
	char *copy = xcalloc(1, bytes.len + 1);
	struct rpm_header h;
	struct told t = { 0 };
	enum rc rc;

	memcpy(copy + 1, bytes.ptr, bytes.len);
	rc = rpm_header_parse((struct slice){ copy + 1, bytes.len }, &h);
	if (rc == RC_OK)
		(void)rpm_header_files(&h, tell, &t);
	free(copy);
	return rc;
}

static void
refuses_damage(void)
{
	struct slice huge = SLICE("\x7f\xff\xff\xff\0\0\0\0");
	bool refused = true;
	struct buf b;

	buf_init(&b, 1 << 20);
	build(good, GOOD, &b);
	for (size_t n = 0; n < b.len; n++)
		refused &=
		    parse_exactly((struct slice){ b.ptr, n }) == RC_INVALID;
	CHECK(refused, "a header that is cut anywhere is refused");
	for (size_t i = 0; i < b.len; i++) {
		char was = b.ptr[i];

		b.ptr[i] = '\xff';
		(void)parse_exactly(buf_slice(&b));
		b.ptr[i] = '\x7f';
		(void)parse_exactly(buf_slice(&b));
		b.ptr[i] = was;
	}
	CHECK(parse_exactly(buf_slice(&b)) == RC_OK,
	    "any byte that is another harms nothing");
	CHECK(parse_exactly(huge) == RC_LIMIT,
	    "more entries than any package has are too many");
	buf_fini(&b);
}

/* ---- databases ----------------------------------------------------------- */

static void
put(const char *dir, const char *name, struct slice content, mode_t mode)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (f == NULL ||
	    fwrite(content.ptr, 1, content.len, f) != content.len ||
	    fclose(f) != 0 || chmod(path, mode) != 0)
		abort();
}

static void
copy(const char *from, const char *to, const char *name)
{
	char path[256], bytes[65536];
	struct buf b;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", from, name);
	f = fopen(path, "re");
	if (f == NULL)
		abort();
	buf_init(&b, 16 << 20);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		(void)buf_add(&b, bytes, n);
	(void)fclose(f);
	put(to, name, buf_slice(&b), 0600);
	buf_fini(&b);
}

/* As rpm makes it; the connection stays open, so that the log stays, too. */
static struct sql *
make_database(const char *dir, struct slice header)
{
	char path[256];
	struct error err;
	struct sql *s;

	(void)snprintf(path, sizeof(path), "%s/rpmdb.sqlite", dir);
	if (sql_open(path, SQL_CREATE, &s, &err) != RC_OK ||
	    sql_exec(s,
		"CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT,"
		"blob BLOB NOT NULL)",
		&err) != RC_OK ||
	    SQL_PUT(s, &err, "INSERT INTO Packages (blob) VALUES (?)",
		BIND_BLOB(header)) != RC_OK)
		abort();
	return s;
}

static void
count(void *ctx, const struct rpm_header *h)
{
	unsigned *n = ctx;

	(void)h;
	++*n;
}

/* A change to `path` whose content is "hello\n", as a scan would tell it. */
static struct fim_change
changed(const char *path, struct fim_entry *e)
{
	struct opener *o = opener_new(NULL);

	*e = (struct fim_entry){ .path = text(path), .content = FIM_HASHED };
	sha256_of(text("hello\n"), e->sha256);
	(void)opener_lstat(o, path, &e->st);
	opener_free(o);
	return (struct fim_change){ .action = FIM_CHANGED, .after = e };
}

static struct fim_package
asked(const char *db, const char *path, uint32_t mode, const char *content)
{
	struct opener *o = opener_new(NULL);
	struct fim_packages *packages = fim_packages_new(o, "/nowhere", db);
	struct fim_entry e;
	struct fim_change c = changed(path, &e);

	if (mode != 0)
		e.st.mode = mode;
	sha256_of(text(content), e.sha256);
	fim_packages_find(packages, &c, 1);
	fim_packages_free(packages);
	opener_free(o);
	return c.package;
}

static void
reads_databases(void)
{
	char dir[] = "/tmp/kuzet-rpm-XXXXXX", live[64], crashed[64], path[128],
	     main_only[64];
	struct opener *o = opener_new(NULL);
	struct fim_package p;
	struct error err;
	unsigned n = 0, before;
	struct sql *s;
	struct buf b;
	uint64_t state;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(live, sizeof(live), "%s/live", dir);
	(void)snprintf(crashed, sizeof(crashed), "%s/crashed", dir);
	(void)snprintf(main_only, sizeof(main_only), "%s/main", dir);
	(void)mkdir(live, 0700);
	(void)mkdir(crashed, 0700);
	(void)mkdir(main_only, 0700);
	buf_init(&b, 1 << 20);
	build(good, GOOD, &b);
	s = make_database(live, buf_slice(&b));
	state = rpm_db_state(o, live);
	CHECK(rpm_db_each(o, live, count, &n, &err) == RC_OK && n == 1,
	    "what rpm has only in its log so far is read");
	copy(live, crashed, "rpmdb.sqlite");
	copy(live, crashed, "rpmdb.sqlite-wal");
	n = 0;
	CHECK(rpm_db_each(o, crashed, count, &n, &err) == RC_OK && n == 1,
	    "and what it left there when it was killed");
	(void)SQL_PUT(s, &err, "INSERT INTO Packages (blob) VALUES (?)",
	    BIND_BLOB(buf_slice(&b)));
	CHECK(state != 0 && rpm_db_state(o, live) != state,
	    "one more package is another state");
	sql_close(s);
	n = 0;
	CHECK(rpm_db_each(o, live, count, &n, &err) == RC_OK && n == 2,
	    "a database that was closed is read without a log");
	p = asked(live, "/opt/other", 0100755, "hello\n");
	CHECK(p.owned && p.verified && strcmp(p.name, "tool") == 0,
	    "a file that is what its package says is verified");
	p = asked(live, "/opt/other", 0100755, "evil\n");
	CHECK(p.owned && !p.verified, "one with another content is not");
	p = asked(live, "/opt/other", 0104755, "hello\n");
	CHECK(p.owned && !p.verified, "nor one that became set-user-ID");
	p = asked(live, "/opt/mine", 0100755, "hello\n");
	CHECK(!p.owned, "what no package brought is nobody's");
	copy(live, main_only, "rpmdb.sqlite");
	(void)snprintf(path, sizeof(path), "%s/rpmdb.sqlite", main_only);
	before = n;
	if (truncate(path, 4096) != 0)
		abort();
	CHECK(rpm_db_each(o, main_only, count, &n, &err) != RC_OK &&
		n == before,
	    "a database that was cut is an error");
	put(main_only, "rpmdb.sqlite", text("no database at all"), 0600);
	CHECK(rpm_db_each(o, main_only, count, &n, &err) == RC_LIBRARY,
	    "so is a file that is none");
	CHECK(rpm_db_each(o, "/nowhere", count, &n, &err) == RC_SYSTEM &&
		rpm_db_state(o, "/nowhere") == 0,
	    "and one that is not there");
	buf_fini(&b);
	opener_free(o);
	folder_remove(dir);
}

/* ---- the inventory ------------------------------------------------------- */

/* "KEY {ECS}\n" of each item, or "CLASS: WHY"; the caller's. */
static void
inventory_of(const char *db, char **out)
{
	struct opener *o = opener_new(NULL);
	struct inventory inv;
	struct buf b;

	buf_init(&b, 1 << 20);
	inventory_init(&inv, o);
	inventory_rpm(&inv, db);
	for (size_t i = 0; i < inv.n; i++) {
		if (strcmp(inv.items[i].class, INVENTORY_UNREAD) == 0)
			continue;
		(void)buf_printf(&b, "%.*s {%.*s}\n",
		    SLICE_ARG(inv.items[i].key), SLICE_ARG(inv.items[i].ecs));
	}
	if (inv.unknown != NULL)
		(void)buf_printf(&b, "%s: %s", inv.unknown, inv.why);
	*out = xmemdupz(b.ptr, b.len);
	buf_fini(&b);
	inventory_fini(&inv);
	opener_free(o);
}

struct rpm_of_test {
	const char *name, *version, *architecture;
	bool epoch;
};

static void
put_package(struct sql *s, const struct rpm_of_test *r)
{
	struct entry entries[6] = {
		{ RPM_NAME, TYPE_TEXT, 1, { r->name, strlen(r->name) + 1 }, 0 },
		{ RPM_VERSION, TYPE_TEXT, 1,
		    { r->version, strlen(r->version) + 1 }, 0 },
		{ RPM_RELEASE, TYPE_TEXT, 1, SLICE_INIT("4.el9\0"), 0 },
		{ RPM_INSTALLTIME, TYPE_INT32, 1, SLICE_INIT("\x65\0\0\0"), 0 },
	};
	size_t n = 4;
	struct error err;
	struct buf b;

	if (r->architecture != NULL)
		entries[n++] = (struct entry){ RPM_ARCH, TYPE_TEXT, 1,
			{ r->architecture, strlen(r->architecture) + 1 }, 0 };
	if (r->epoch)
		entries[n++] = (struct entry){ RPM_EPOCH, TYPE_INT32, 1,
			SLICE("\0\0\0\2"), 0 };
	buf_init(&b, 1 << 20);
	build(entries, n, &b);
	(void)SQL_PUT(s, &err, "INSERT INTO Packages (blob) VALUES (?)",
	    BIND_BLOB(buf_slice(&b)));
	buf_fini(&b);
}

/* "?": they cannot be read */
static void
names_of(const char *db, char out[512])
{
	struct opener *o = opener_new(NULL);
	struct error err;
	struct buf b;

	buf_init(&b, 511);
	(void)snprintf(out, 512, "?");
	if (rpm_db_names(o, db, &b, &err) == RC_OK)
		(void)snprintf(out, 512, "%.*s", (int)b.len, b.ptr);
	buf_fini(&b);
	opener_free(o);
}

/* rpm's other formats: a machine without packages it is not. */
static void
tells_other_formats(void)
{
	static const struct {
		const char *file, *format;
	} cases[] = {
		{ "Packages", "Berkeley DB" },
		{ "Packages.db", "ndb" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char dir[] = "/tmp/kuzet-rpm-XXXXXX", *out;
		struct opener *o = opener_new(NULL);
		struct inventory inv;

		if (mkdtemp(dir) == NULL)
			abort();
		put(dir, cases[i].file, text("another format"), 0600);
		inventory_init(&inv, o);
		inventory_rpm(&inv, dir);
		CHECK(inv.n == 1 && inv.unknown == NULL &&
			strcmp(inv.items[0].class, "unread") == 0 &&
			slice_eq(inv.items[0].key, text(dir)),
		    "what is not read is in the inventory: %s", cases[i].file);
		out = xmemdupz(inv.items[0].more.ptr, inv.items[0].more.len);
		CHECK(strstr(out, cases[i].format) != NULL &&
			strstr(out, "rpmdb --rebuilddb") != NULL &&
			strstr(inv.why, cases[i].format) != NULL,
		    "with its format, and what to do: %s", out);
		free(out);
		inventory_fini(&inv);
		opener_free(o);
		folder_remove(dir);
	}
}

static void
tells_packages(void)
{
	static const struct rpm_of_test packages[] = {
		{ "tool", "1.0", "x86_64", true },
		{ "kernel-core", "6.1", "x86_64", false },
		{ "kernel-core", "6.2", "x86_64", false },
		{ "kernelshark", "2", "noarch", false },
		{ "gpg-pubkey", "8483c65d", NULL, false },
		{ "twice", "1", "x86_64", false },
		{ "twice", "2", "x86_64", false },
		{ "twice", "2", "i686", false },
	};
	static const char expected[] =
	    "gpg-pubkey::8483c65d-4.el9 kernel-core:x86_64:6.1-4.el9 "
	    "kernel-core:x86_64:6.2-4.el9 kernelshark:noarch tool:x86_64 "
	    "twice:i686 twice:x86_64:1-4.el9 twice:x86_64:2-4.el9 ";
	char dir[] = "/tmp/kuzet-rpm-XXXXXX", path[128], keys[512] = "", *out;
	char names[512];
	struct error err;
	struct sql *s;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/rpmdb.sqlite", dir);
	if (sql_open(path, SQL_CREATE, &s, &err) != RC_OK)
		abort();
	(void)sql_exec(s,
	    "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)",
	    &err);
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		put_package(s, &packages[i]);
	sql_close(s);
	inventory_of(dir, &out);
	for (const char *line = out; *line != '\0';
	     line += strcspn(line, "\n") + 1)
		(void)snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys),
		    "%.*s ", (int)strcspn(line, " "), line);
	CHECK(strcmp(keys, expected) == 0,
	    "versions side by side have keys of their own: %s", keys);
	CHECK(strstr(out,
		  "tool:x86_64 {\"package\":{\"name\":\"tool\","
		  "\"version\":\"2:1.0-4.el9\"") != NULL &&
		strstr(out, "\"installed\":\"2023-09-12T") != NULL,
	    "a version is told as rpm does, with its time: %s", out);
	free(out);
	names_of(dir, names);
	CHECK(strcmp(names,
		  "\ntool\nkernel-core\nkernel-core\nkernelshark\n"
		  "gpg-pubkey\ntwice\ntwice\ntwice\n") == 0,
	    "policies know packages by their names: %s", names);
	put(dir, "rpmdb.sqlite", text("no database at all"), 0600);
	names_of(dir, names);
	CHECK(strcmp(names, "?") == 0, "and that they know none of a damaged");
	inventory_of(dir, &out);
	CHECK(strncmp(out, "package: ", 9) == 0 && strstr(out, dir) != NULL,
	    "of a damaged database nothing is known, and it is named: %s", out);
	free(out);
	folder_remove(dir);
}

static void
keeps_what_is_unknown(void)
{
	struct inventory_item stored[3] = {
		{ "os", 0, SLICE_INIT("os"), SLICE_INIT("old"),
		    SLICE_INIT("") },
		{ "package", 0, SLICE_INIT("a"), SLICE_INIT("A"),
		    SLICE_INIT("") },
		{ "package", 0, SLICE_INIT("c"), SLICE_INIT("C"),
		    SLICE_INIT("") },
	};
	struct opener *o = opener_new(NULL);
	struct json_writer ecs, more;
	struct inventory inv;

	inventory_init(&inv, o);
	inventory_begin(&inv, &ecs, &more);
	inventory_add(&inv, "package", SLICE("b"));
	inventory_add(&inv, "user", SLICE("root"));
	inventory_add(&inv, "os", SLICE("os"));
	inventory_keep_unknown(&inv, stored, 3);
	CHECK(inv.n == 3, "what is known stays as it was found");
	inventory_unknown(&inv, "package", "why");
	inventory_keep_unknown(&inv, stored, 3);
	CHECK(inv.n == 5 && strcmp(inv.items[3].class, "unread") == 0 &&
		slice_eq(inv.items[3].key, SLICE("package")) &&
		slice_eq(inv.items[3].more, SLICE("\"reason\":\"why\"")),
	    "what cannot be read is an item itself");
	CHECK(slice_eq(inv.items[1].key, SLICE("a")) &&
		slice_eq(inv.items[2].key, SLICE("c")) &&
		slice_eq(inv.items[0].ecs, SLICE("")) &&
		strcmp(inv.items[4].class, "user") == 0,
	    "what cannot be read is as it was, in its order");
	inventory_fini(&inv);
	opener_free(o);
}

/* ---- the real one -------------------------------------------------------- */

static const char spec[] =
    "Name: kuzet-tiny\nVersion: 1.0\nRelease: 1\nSummary: t\nLicense: x\n"
    "BuildArch: noarch\n%description\nt\n%install\n"
    "mkdir -p %{buildroot}/opt/kuzet-tiny/sub\n"
    "echo hello > %{buildroot}/opt/kuzet-tiny/a\n"
    "echo hello > %{buildroot}/opt/kuzet-tiny/sub/b\n"
    "%files\n%attr(0644,root,root) /opt/kuzet-tiny/a\n"
    "%attr(0755,root,root) /opt/kuzet-tiny/sub/b\n";

static bool
shell(const char *command)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	int status = -1;
	pid_t pid;

	return posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)argv,
		   environ) == 0 &&
	    waitpid(pid, &status, 0) == pid && status == 0;
}

/* false: rpm is not here, or cannot make an SQLite database. */
static bool
rpm_makes(const char *dir)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
	    "cd %s && export HOME=%s && {"
	    " rpmbuild -bb --define '_topdir %s/b' --define '_tmppath %s'"
	    " t.spec && mkdir db &&"
	    " rpm --define '_db_backend sqlite' --dbpath %s/db --initdb &&"
	    " rpm --define '_db_backend sqlite' --dbpath %s/db -i --justdb"
	    " --nodeps b/RPMS/noarch/*.rpm && test -s db/rpmdb.sqlite;"
	    " } >log 2>&1 </dev/null || { sed 's/^/# /' log; false; }",
	    dir, dir, dir, dir, dir, dir);
	put(dir, "t.spec", text(spec), 0600);
	return shell(command);
}

static void
reads_what_rpm_wrote(void)
{
	char dir[] = "/tmp/kuzet-rpm-XXXXXX", db[64], *text_out;
	struct fim_package a, b, other;

	if (mkdtemp(dir) == NULL)
		abort();
	if (!rpm_makes(dir)) {
		CHECK(true, "what rpm wrote is read # SKIP no rpm");
		folder_remove(dir);
		return;
	}
	(void)snprintf(db, sizeof(db), "%s/db", dir);
	a = asked(db, "/opt/kuzet-tiny/a", 0100644, "hello\n");
	b = asked(db, "/opt/kuzet-tiny/sub/b", 0100755, "hello\n");
	other = asked(db, "/opt/kuzet-tiny/sub/b", 0100755, "evil\n");
	CHECK(a.verified && b.verified && strcmp(a.name, "kuzet-tiny") == 0,
	    "files of a package that rpm installed are verified");
	CHECK(other.owned && !other.verified,
	    "and one that was changed afterwards is not");
	inventory_of(db, &text_out);
	CHECK(strstr(text_out,
		  "kuzet-tiny:noarch {\"package\":{"
		  "\"name\":\"kuzet-tiny\","
		  "\"version\":\"1.0-1\","
		  "\"architecture\":\"noarch\","
		  "\"type\":\"rpm\",\"installed\":\"20") != NULL,
	    "the inventory has what rpm installed: %s", text_out);
	free(text_out);
	folder_remove(dir);
}

/* ---- the opener's part --------------------------------------------------- */

static void
grants_databases(void)
{
	static const char config[] =
	    "collector: {hosts: ['127.0.0.1:5044']}\n"
	    "tls: {ca: /x/ca, certificate: /x/c, key: /x/k}\n"
	    "state_dir: /x/state\n"
	    "inputs: [{type: fim, paths: [/etc]}]\n";
	struct agent_config c = { 0 };
	struct grants *g;
	struct error err;
	bool parsed =
	    agent_config_parse("a.yaml", text(config), &c, &err) == RC_OK;

	CHECK(parsed, "a configuration with fim is read%s%s",
	    parsed ? "" : ": ", parsed ? "" : err.text);
	g = granted_by(&c);
	CHECK(grants_path(g, "/usr/lib/sysimage/rpm/rpmdb.sqlite") &&
		grants_path(g, "/usr/lib/sysimage/rpm/.rpm.lock") &&
		grants_path(g, "/var/lib/rpm/rpmdb.sqlite") &&
		grants_path(g, "/var/lib/rpm/rpmdb.sqlite-wal"),
	    "where files are watched, rpm's database may be read");
	CHECK(!grants_path(g, "/var/lib/rpm/Name"),
	    "and nothing else beside it");
	grants_free(g);
	agent_config_free(&c);
}

int
main(void)
{
	reads_headers();
	knows_variants();
	refuses_damage();
	reads_databases();
	tells_packages();
	tells_other_formats();
	keeps_what_is_unknown();
	reads_what_rpm_wrote();
	grants_databases();
	return tap_done();
}
