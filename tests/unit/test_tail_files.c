/* SPDX-License-Identifier: Apache-2.0 */
/* Many files, many names for one, and the positions on disk. */
#include <dirent.h>

#include "agent_rig.h"
#include "rotation.h"

static void
one_file_many_names(void)
{
	struct rig r;
	char a[512], b[512];

	rig_begin(&r);
	(void)rig_input(&r, "first", "*.log", "a*");
	(void)rig_input(&r, "second", "a.log", NULL);
	rig_append(&r, "a.log", "one\n");
	(void)symlink(rig_path(&r, "a.log", a), rig_path(&r, "b.log", b));
	(void)link(a, rig_path(&r, "c.log", b));
	rig_open(&r);
	rig_until(&r, 1, 1000);
	rig_append(&r, "c.log", "two\n");
	rig_run(&r, 1500);
	CHECK_LINES(&r, "one|two",
	    "a file named by globs, links and two inputs is read once");
	CHECK(strcmp(r.events[0].input, "first") == 0,
	    "it belongs to the first input that names it");
	rig_unlink(&r, "a.log");
	rig_append(&r, "c.log", "three\n");
	rig_until(&r, 3, 3000);
	CHECK_LINES(&r, "one|two|three",
	    "and goes on by its other name when one is removed");
	rig_end(&r);
}

static void
excluded(void)
{
	struct rig r;
	const char *patterns[] = { "b.*", NULL };
	struct input_config *c;

	rig_begin(&r);
	c = rig_input(&r, "in", "*.log", NULL);
	c->exclude = patterns;
	c->n_exclude = 1;
	rig_append(&r, "a.log", "a\n");
	rig_append(&r, "b.log", "b\n");
	rig_open(&r);
	rig_run(&r, 100);
	CHECK_LINES(&r, "a", "what is excluded is not read");
	rig_end(&r);
}

static void
later_files(bool inotify)
{
	struct rig r;

	rig_begin(&r);
	r.no_inotify = !inotify;
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_open(&r);
	rig_run(&r, 30);
	rig_append(&r, "new.log", "first bytes\n");
	rig_until(&r, 1, 3000);
	rig_append(&r, "new.log", "more\n");
	rig_until(&r, 2, 3000);
	CHECK_LINES(&r, "first bytes|more", "a file that appears later%s",
	    inotify ? "" : ", without inotify");
	rig_end(&r);
}

static void
same_beginnings(void)
{
	enum { HEADER = 4000 };
	struct rig r;
	char header[HEADER + 2];

	memset(header, '#', HEADER);
	header[HEADER] = '\n';
	header[HEADER + 1] = '\0';
	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	for (int i = 0; i < 3; i++) {
		char name[16], line[16];

		(void)snprintf(name, sizeof(name), "%d.log", i);
		(void)snprintf(line, sizeof(line), "%d\n", i);
		rig_append(&r, name, header);
		rig_append(&r, name, line);
	}
	rig_append(&r, "same-a.log", "x\n");
	rig_append(&r, "same-b.log", "x\n");
	rig_open(&r);
	rig_until(&r, 8, 1000);
	CHECK(r.n_lines == 8,
	    "files that begin alike, or are alike, are all read");
	rig_end(&r);
}

static void
fairness(void)
{
	enum { SMALL = 200 };
	struct rig r;
	char line[128];
	size_t last_small = 0;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	memset(line, 'x', sizeof(line));
	line[126] = '\n';
	line[127] = '\0';
	{
		char *big = xzalloc(127 * 40000 + 1);

		for (size_t i = 0; i < 40000; i++)
			memcpy(big + (size_t)127 * i, line, 127);
		rig_append(&r, "0big.log", big);
		free(big);
	}
	rig_tick();
	for (int i = 0; i < SMALL; i++) {
		(void)snprintf(line, sizeof(line), "small%03d.log", i);
		rig_append(&r, line, "s\n");
	}
	rig_open(&r);
	rig_until(&r, 40000 + SMALL, 20000);
	for (size_t i = 0; i < r.n; i++) {
		if (strcmp(r.events[i].message, "s") == 0)
			last_small = i;
	}
	CHECK(r.n_lines == 40000 + SMALL, "a huge file and 200 small ones");
	CHECK(last_small < 3000, "the huge one does not starve the others");
	CHECK(rig_ascending(&r), "offsets ascend within each stream");
	rig_end(&r);
}

static void
short_lived(void)
{
	enum { FILES = 1200 };
	struct rig r;
	char name[32];
	size_t ends = 0;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%04d.log", i);
		rig_append(&r, name, "line\n");
	}
	rig_open(&r);
	rig_until(&r, FILES, 10000);
	CHECK(r.n_lines == FILES, "1,200 files by one glob");
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%04d.log", i);
		rig_unlink(&r, name);
	}
	for (int k = 0; k < 40 && ends < FILES; k++) {
		rig_run(&r, 200);
		ends = 0;
		for (size_t i = 0; i < r.n; i++)
			ends += strcmp(r.events[i].control, "stream_end") == 0;
	}
	CHECK(ends == FILES, "each stream ends once its file is gone");
	rig_end(&r);
}

static void
acknowledged_only(void)
{
	struct rig r;
	struct input_counts counts;
	char first[40];

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "one\ntwo\nthree\n");
	r.hold = true;
	rig_open(&r);
	rig_until(&r, 3, 1000);
	(void)snprintf(first, sizeof(first), "%s", r.events[0].stream);
	input_file.acked(r.self, r.held, 1);
	rig_close(&r);
	rig_forget(&r);
	rig_open(&r);
	rig_until(&r, 2, 1000);
	CHECK_LINES(&r, "two|three",
	    "what was not acknowledged is sent again, and nothing else");
	CHECK(strcmp(first, r.events[0].stream) == 0 && r.events[0].offset == 4,
	    "under the same identity");
	input_file.counts(r.self, &counts);
	CHECK(counts.read == 2 && counts.acked == 2 && counts.cut == 0 &&
		counts.files == 1,
	    "everything is counted");
	rig_end(&r);
}

static void
bad_state(const char *text, const char *what)
{
	struct rig r;

	rig_begin(&r);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "one\n");
	rig_open(&r);
	rig_until(&r, 1, 1000);
	rig_close(&r);
	rig_overwrite(&r, "state/files.state", text);
	rig_forget(&r);
	rig_open(&r);
	rig_until(&r, 1, 1000);
	CHECK(r.n_lines == 1 && r.warnings == 1,
	    "%s: a warning, and the files are sent again", what);
	rig_close(&r);
	rig_open(&r);
	rig_append(&r, "a.log", "two\n");
	rig_until(&r, 2, 1000);
	CHECK_LINES(&r, "one|two", "%s: a good one is written", what);
	rig_end(&r);
}

static void
no_state_folder(void)
{
	struct rig r;

	rig_begin(&r);
	(void)snprintf(r.state, sizeof(r.state), "%s/none", r.dir);
	(void)rig_input(&r, "in", "*.log", NULL);
	rig_append(&r, "a.log", "one\n");
	rig_open(&r);
	rig_until(&r, 1, 1000);
	CHECK_LINES(&r, "one", "positions that cannot be saved stop nothing");
	CHECK(r.warnings == 1, "but are told, once");
	rig_end(&r);
}

static void
heartbeats(void)
{
	struct rig r;
	size_t beats = 0;

	rig_begin(&r);
	r.heartbeat_ns = 500 * NS_PER_MS;
	(void)rig_input(&r, "in", "*.log", NULL);
	(void)rig_input(&r, "other", "*.txt", NULL);
	rig_append(&r, "a.log", "one\n");
	r.hold = true;
	rig_open(&r);
	rig_run(&r, 2500);
	for (size_t i = 0; i < r.n; i++)
		beats += strcmp(r.events[i].control, "heartbeat") == 0 &&
		    strcmp(r.events[i].input, "in") == 0;
	CHECK(beats == 0, "no heartbeat while lines are not acknowledged");
	CHECK(r.n > 1 && strcmp(r.events[r.n - 1].input, "other") == 0,
	    "each input has its own");
	r.hold = false;
	rig_ack_all(&r);
	rig_run(&r, 2500);
	for (size_t i = 0; i < r.n; i++)
		beats += strcmp(r.events[i].control, "heartbeat") == 0 &&
		    strcmp(r.events[i].input, "in") == 0;
	CHECK(beats >= 1, "an idle input says that it lives");
	rig_end(&r);
}

static const struct {
	const char *base, *name;
	bool is;
} names[] = {
	{ "app.log", "app.log.1", true },
	{ "app.log", "app.log.10.gz", true },
	{ "app.log", "app.log-20261122", true },
	{ "app.log", "app.log-20261122.gz", true },
	{ "app.log", "app-20261122.log", true },
	{ "app.log", "app.1.log", true },
	{ "app.log", "app-2026-11-22T01.log.gz", false },
	{ "app.log", "app-2026-11-22.log.gz", true },
	{ "app.log", "app.log.old", true },
	{ "app.log", "app.log", false },
	{ "app.log", "app-errors.log", false },
	{ "app.log", "app.logs", false },
	{ "app.log", "app.log.d", false },
	{ "app", "app2", false },
	{ "app", "app.1", true },
	{ "app", "app-1", true },
	{ "syslog", "syslog.1", true },
	{ "auth.log", "cauth.log.1", false },
};

static void
rotation_names(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		CHECK(rotation_name(names[i].base, names[i].name) ==
			names[i].is,
		    "%s is %sa rotation of %s", names[i].name,
		    names[i].is ? "" : "not ", names[i].base);
}

static const struct {
	const char *name, *family;
} families[] = {
	{ "app.log", "app.log" },
	{ "app.log.2.gz", "app.log" },
	{ "app.log-20261122", "app.log" },
	{ "app-20261122.log", "app.log" },
	{ "app.1.log.gz", "app.log" },
	{ "syslog", "syslog" },
	{ "syslog.1", "syslog" },
	{ "log", "log" },
	{ "1", "1" },
	{ ".1", ".1" },
	{ "", "" },
	{ "app-errors.log.1", "app-errors.log" },
};

static void
rotation_families(void)
{
	char family[256];

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		rotation_family(families[i].name, family);
		CHECK(strcmp(family, families[i].family) == 0,
		    "%s is of the family %s (%s)", families[i].name,
		    families[i].family, family);
	}
}

int
main(void)
{
	one_file_many_names();
	excluded();
	later_files(true);
	later_files(false);
	same_beginnings();
	fairness();
	short_lived();
	acknowledged_only();
	bad_state("", "an empty state");
	bad_state("kuzet-agent files 1\nsha256 00\n", "a damaged state");
	bad_state("\x7f"
		  "ELF",
	    "a state that is none");
	no_state_folder();
	heartbeats();
	rotation_names();
	rotation_families();
	return tap_done();
}
