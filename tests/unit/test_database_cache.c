/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled databases on disk: found again, and never believed blindly. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_folder.h"
#include "database_cache.h"
#include "folder.h"
#include "rules_text.h"
#include "tap.h"
#include "xalloc.h"

enum { PATH_BYTES = 256, FILE_BYTES_MAX = 1 << 20, FIELDS = 40 };

static char folder[] = "/tmp/kuzet-cache-XXXXXX";
static const char *const literals[] = { "alpha", "beta" };
static const size_t lens[] = { 5, 4 };
static const unsigned flags[] = { 0, 0 };
static const struct database_patterns patterns = { 'l', literals, lens, flags,
	2 };

static void
name_of(unsigned number, uint8_t out[SHA256_BYTES])
{
	memset(out, 0, SHA256_BYTES);
	out[0] = (uint8_t)number;
}

static void
path_of(unsigned number, char out[PATH_BYTES])
{
	(void)snprintf(out, PATH_BYTES, "%s/%02x%030d.hsdb", folder, number, 0);
}

static hs_database_t *
compile(void)
{
	const unsigned numbers[] = { 0, 1 };
	hs_compile_error_t *why = NULL;
	hs_database_t *db = NULL;

	if (hs_compile_lit_multi(literals, flags, numbers, lens, 2,
		HS_MODE_BLOCK, NULL, &db, &why) != HS_SUCCESS)
		abort();
	return db;
}

static int
count(unsigned id, unsigned long long from, unsigned long long to,
    unsigned hs_flags, void *ctx)
{
	(void)id;
	(void)from;
	(void)to;
	(void)hs_flags;
	++*(int *)ctx;
	return 0;
}

static int
hits(const hs_database_t *db, const char *text)
{
	hs_scratch_t *scratch = NULL;
	int n = 0;

	if (hs_alloc_scratch(db, &scratch) != HS_SUCCESS)
		abort();
	(void)hs_scan(db, text, (unsigned)strlen(text), 0, scratch, count, &n);
	(void)hs_free_scratch(scratch);
	return n;
}

/* Puts the database with two notes into the file of set `number`. */
static void
keep(unsigned number)
{
	static const uint8_t notes[] = { 1, 2 };
	uint8_t name[SHA256_BYTES], key[SHA256_BYTES];
	struct database_cache *c;
	hs_database_t *db = compile();
	struct error err;

	name_of(number, name);
	database_cache_key(&patterns, key);
	c = database_cache_open(folder, name);
	database_cache_put(c, key, db, notes, 2);
	/* two fields may have the same patterns */
	database_cache_put(c, key, db, notes, 2);
	if (database_cache_save(c, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	database_cache_free(c);
	(void)hs_free_database(db);
}

/* Whether set `number` finds it, and it is what it was. */
static bool
found(unsigned number, bool *right)
{
	uint8_t name[SHA256_BYTES], key[SHA256_BYTES], notes[2] = { 0 };
	hs_database_t *db = NULL;
	struct database_cache *c;
	bool ok;

	name_of(number, name);
	database_cache_key(&patterns, key);
	c = database_cache_open(folder, name);
	ok = database_cache_get(c, key, &db, notes, 2);
	*right = ok && notes[0] == 1 && notes[1] == 2 &&
	    hits(db, "an alpha, a beta") == 2;
	database_cache_free(c);
	(void)hs_free_database(db);
	return ok;
}

static void
test_found(void)
{
	struct stat st;
	bool right;

	CHECK(!found(1, &right), "nothing is found where nothing was kept");
	keep(1);
	CHECK(found(1, &right) && right,
	    "a database is found again, with its notes, and finds the same");
	CHECK(found(2, &right) && right,
	    "a set without a file of its own looks into the newest one");
	CHECK(stat(folder, &st) == 0 && (st.st_mode & 0777) == 0700,
	    "the folder is ours alone");
}

static void
test_keys(void)
{
	static const char *const texts[] = { "beta", "alpha" };
	static const size_t turned[] = { 4, 5 };
	static const unsigned other[] = { HS_FLAG_CASELESS, 0 };
	const struct database_patterns different[] = {
		{ 'r', literals, lens, flags, 2 },
		{ 'l', texts, turned, flags, 2 },
		{ 'l', literals, lens, other, 2 },
		{ 'l', literals, lens, flags, 1 },
	};
	uint8_t key[SHA256_BYTES], again[SHA256_BYTES];
	bool apart = true;

	database_cache_key(&patterns, key);
	database_cache_key(&patterns, again);
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
		uint8_t is[SHA256_BYTES];

		database_cache_key(&different[i], is);
		apart = apart && memcmp(is, key, SHA256_BYTES) != 0;
	}
	CHECK(memcmp(key, again, SHA256_BYTES) == 0 && apart,
	    "equal patterns have one key; kind, order, flags, number change it");
}

static size_t
read_file(const char *path, char *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, FILE_BYTES_MAX) : -1;

	(void)close(fd);
	return n > 0 ? (size_t)n : 0;
}

static void
write_file(const char *path, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		(void)printf("# %s cannot be written\n", path);
	(void)close(fd);
}

static void
change_byte(const char *path, size_t at, char byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, &byte, 1, (off_t)at) != 1)
		(void)printf("# %s cannot be written\n", path);
	(void)close(fd);
}

static void
test_damaged(void)
{
	char *whole = xcalloc(1, FILE_BYTES_MAX), path[PATH_BYTES];
	size_t n, wrong = 0, believed = 0;
	bool right;

	path_of(1, path);
	n = read_file(path, whole);
	for (size_t i = 0; i < n; i++) {
		change_byte(path, i, (char)(whole[i] ^ 0x41));
		if (found(1, &right)) {
			believed++;
			wrong += right ? 0 : 1;
		}
		change_byte(path, i, whole[i]);
	}
	CHECK(n > 200 && wrong == 0 && believed == 0,
	    "no byte of a file can be changed and be believed");
	believed = 0;
	for (size_t i = 0; i < n; i += 31) {
		write_file(path, whole, i);
		believed += found(1, &right) ? 1 : 0;
	}
	write_file(path, whole, n);
	CHECK(believed == 0 && found(1, &right) && right,
	    "a torn file is passed over");
	free(whole);
}

static void
test_not_ours(void)
{
	char path[PATH_BYTES];
	bool right;

	path_of(1, path);
	(void)chmod(path, 0620);
	CHECK(!found(1, &right), "a file that others may write is passed over");
	(void)chmod(path, 0600);
	(void)chmod(folder, 0770);
	CHECK(!found(1, &right), "so is a folder");
	(void)chmod(folder, 0700);
	if (geteuid() == 0) {
		(void)chown(path, 65534, 65534);
		CHECK(!found(1, &right), "and a file of somebody else");
		(void)chown(path, 0, 0);
	}
	CHECK(found(1, &right) && right, "what is ours again is found");
}

static void
test_bounded(void)
{
	struct stat st;
	unsigned there = 0;
	char path[PATH_BYTES];

	for (unsigned i = 1; i <= CACHE_FILES_MAX + 4; i++)
		keep(i);
	for (unsigned i = 1; i <= CACHE_FILES_MAX + 4; i++) {
		path_of(i, path);
		there += stat(path, &st) == 0 ? 1 : 0;
	}
	path_of(CACHE_FILES_MAX + 4, path);
	CHECK(there == CACHE_FILES_MAX && stat(path, &st) == 0,
	    "the folder holds so many files and the newest among them");
	for (unsigned i = 1; i <= CACHE_FILES_MAX + 4; i++) {
		path_of(i, path);
		(void)unlink(path);
	}
}

/* ---- a set of rules ----------------------------------------------------- */

static struct ruleset *
load(const char *rules, struct ruleset_cache *cache)
{
	const char *paths[] = { rules };
	const struct rule_options options = {
		.paths = paths,
		.n_paths = 1,
		.taxonomy = KUZET_SRCDIR "/rules/taxonomy",
		.cache = folder,
	};
	struct ruleset *rs = NULL;
	struct error err;

	if (ruleset_load(&options, &rs, &err) != RC_OK) {
		(void)printf("# %s\n", err.text);
		abort();
	}
	ruleset_cache(rs, cache);
	return rs;
}

static void
write_rules(const char *path, const char *word)
{
	struct buf text;

	buf_init(&text, FILE_BYTES_MAX);
	for (int i = 0; i < FIELDS; i++)
		(void)buf_printf(&text,
		    "title: t%d\nid: r%d\nlogsource: {product: p}\ndetection:\n"
		    "  s: {F%d|contains: %s%d}\n  condition: s\n---\n",
		    i, i, i, i == 7 ? word : "word", i);
	/* as it stands; widened; by PCRE2 alone */
	(void)buf_add_str(&text,
	    "title: x\nid: x\nlogsource: {product: p}\ndetection:\n  s:\n"
	    "    X|re: ['^a+b$', '(a)\\1c', '^(?=.*q)(?=.*z)']\n"
	    "  condition: s\n");
	write_file(path, text.ptr, text.len);
	buf_fini(&text);
}

static bool
matches_rightly(struct ruleset *rs)
{
	static const struct logsource ls = { .product = { "p", 1 } };

	return rules_text_match(rs, "{\"F3\":\"a Word3\"}", &ls) == 1 &&
	    rules_text_match(rs, "{\"F3\":\"word4\"}", &ls) == 0 &&
	    rules_text_match(rs, "{\"X\":\"aab\"}", &ls) == 1 &&
	    rules_text_match(rs, "{\"X\":\"aac\"}", &ls) == 1 &&
	    rules_text_match(rs, "{\"X\":\"zq\"}", &ls) == 1 &&
	    rules_text_match(rs, "{\"X\":\"abc\"}", &ls) == 0;
}

static void
test_rules(void)
{
	char path[] = "/tmp/kuzet-cache-rules-XXXXXX.yml";
	struct ruleset_cache first, second, third;
	struct ruleset *rs;
	int fd = mkstemps(path, 4);

	(void)close(fd);
	write_rules(path, "word");
	rs = load(path, &first);
	CHECK(first.found == 0 && first.made > FIELDS && matches_rightly(rs) &&
		first.trouble[0] == '\0',
	    "rules are compiled and kept");
	ruleset_unref(rs);
	rs = load(path, &second);
	CHECK(second.made == 0 && second.found == first.made &&
		matches_rightly(rs),
	    "the next time all is there, and matches the same");
	ruleset_unref(rs);
	write_rules(path, "another");
	rs = load(path, &third);
	CHECK(third.made == 1 && third.found == first.made - 1 &&
		matches_rightly(rs),
	    "after an edit only what it changed is compiled");
	ruleset_unref(rs);
	(void)chmod(folder, 0770);
	write_rules(path, "third");
	rs = load(path, &third);
	CHECK(third.found == 0 && third.trouble[0] != '\0' &&
		matches_rightly(rs),
	    "a folder that cannot be used costs time only, and says so");
	(void)chmod(folder, 0700);
	ruleset_unref(rs);
	(void)unlink(path);
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 1;
	test_found();
	test_keys();
	test_damaged();
	test_not_ours();
	test_bounded();
	test_rules();
	folder_remove(folder);
	return tap_done();
}
