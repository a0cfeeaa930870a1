/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl store stats, archive, restore, prune: on the folder itself. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/config.h"
#include "json.h"
#include "store_commands.h"
#include "store_keep.h"
#include "timestamp.h"

#define DEFAULT_CONFIG "/etc/kuzet/collector.yaml"

enum {
	OPT_DIR = 256,
	OPT_ARCHIVE,
	OPT_KEEP,
	OPT_DISK,
	OPT_DRY,
	OPT_ALL,
	OPT_FORCE,
	OPT_JSON,
	OPT_HELP,
	LINE_BYTES = 64 * 1024,
};

struct keep {
	const char *name;
	struct collector_config config;
	bool configured;
	const char *dir, *archive;
	struct store_retention retention;
	bool all, force, json, terminal;
	char **days; /* arguments */
	int n_days;
	uint64_t bytes, n;
	uint64_t events;
	struct error err;
};

/* ---- printing ----------------------------------------------------------- */

static void
print_object(const struct store_day *d, const char *key, const char *value)
{
	char name[STORE_DAY_NAME];
	struct json_writer w;
	struct buf line;

	store_day_name(d->day, name);
	buf_init(&line, LINE_BYTES);
	json_begin(&w, &line);
	json_open(&w, '{');
	json_key(&w, "day");
	json_str(&w, name);
	json_key(&w, "bytes");
	json_uint(&w, d->bytes);
	json_key(&w, "events");
	json_uint(&w, d->events);
	json_key(&w, "commits");
	json_uint(&w, d->commits);
	json_key(&w, "blocks");
	json_uint(&w, d->blocks);
	json_key(&w, "format");
	json_int(&w, d->format);
	json_key(&w, "open");
	json_bool(&w, d->newest);
	json_key(&w, "archived");
	json_bool(&w, d->archived);
	json_key(&w, "restored");
	json_bool(&w, d->restored);
	if (value != NULL) {
		json_key(&w, key);
		json_str(&w, value);
	}
	json_close(&w, '}');
	(void)printf("%.*s\n", (int)line.len, line.ptr);
	buf_fini(&line);
}

static bool
print_day(void *ctx, const struct store_day *d)
{
	struct keep *k = ctx;
	char name[STORE_DAY_NAME];

	k->n++;
	k->bytes += d->bytes;
	k->events += d->events;
	if (k->json) {
		print_object(d, "damaged", d->damaged);
		return true;
	}
	store_day_name(d->day, name);
	(void)printf("%s %14" PRIu64 " %12" PRIu64 " %9" PRIu64 " %8" PRIu64
		     " %6d %s%s%s%s\n",
	    name, d->bytes, d->events, d->commits, d->blocks, d->format,
	    d->newest ? "open " : "", d->archived ? "archived " : "",
	    d->restored ? "restored " : "",
	    d->damaged != NULL ? d->damaged : "");
	return true;
}

static bool
on_progress(void *ctx, uint64_t events, uint64_t of)
{
	const struct keep *k = ctx;

	if (!k->terminal)
		return true;
	if (of > 0)
		(void)fprintf(stderr,
		    "\r\033[K%" PRIu64 " of %" PRIu64 " events", events, of);
	else
		(void)fprintf(stderr, "\r\033[K%" PRIu64 " events", events);
	return true;
}

static void
print_done(const struct keep *k, int32_t day, const char *what)
{
	char name[STORE_DAY_NAME];

	if (k->terminal)
		(void)fputs("\r\033[K", stderr);
	store_day_name(day, name);
	if (k->json)
		(void)printf("{\"day\":\"%s\",\"done\":\"%s\"}\n", name, what);
	else
		(void)printf("%s %s\n", name, what);
}

/* ---- what is done ------------------------------------------------------- */

static enum rc
stats(struct keep *k)
{
	enum rc rc;

	if (!k->json)
		(void)puts("DAY                 BYTES       EVENTS   COMMITS   "
			   "BLOCKS FORMAT");
	rc = store_days(k->dir, k->archive, print_day, k, &k->err);
	if (rc != RC_OK)
		return rc;
	if (k->json)
		(void)printf("{\"days\":%" PRIu64 ",\"bytes\":%" PRIu64
			     ",\"events\":%" PRIu64 "}\n",
		    k->n, k->bytes, k->events);
	else
		(void)printf("%" PRIu64 " days, %" PRIu64 " bytes, %" PRIu64
			     " events\n",
		    k->n, k->bytes, k->events);
	return RC_OK;
}

static enum rc
archive_day(struct keep *k, int32_t day)
{
	enum rc rc =
	    store_archive(k->dir, day, k->archive, on_progress, k, &k->err);

	if (rc == RC_OK)
		print_done(k, day, "archived");
	return rc;
}

static bool
archive_if_closed(void *ctx, const struct store_day *d)
{
	struct keep *k = ctx;

	if (d->newest || d->restored || d->archived)
		return true;
	return archive_day(k, d->day) == RC_OK;
}

static enum rc
restore_day(struct keep *k, int32_t day)
{
	enum rc rc =
	    store_restore(k->dir, day, k->archive, on_progress, k, &k->err);

	if (rc == RC_OK)
		print_done(k, day, "restored");
	return rc;
}

static enum rc
each_day(struct keep *k, enum rc (*act)(struct keep *k, int32_t day))
{
	int32_t day;

	for (int i = 0; i < k->n_days; i++)
		if (store_day_parse(k->days[i], &day, &k->err) != RC_OK ||
		    act(k, day) != RC_OK)
			return k->err.code;
	return RC_OK;
}

static enum rc
archive(struct keep *k)
{
	enum rc rc;

	if (k->archive == NULL)
		return error_set(&k->err, RC_INVALID,
		    "where to? give --archive, or store.archive in the "
		    "configuration");
	if (!k->all)
		return each_day(k, archive_day);
	k->err.code = RC_OK;
	rc = store_days(k->dir, k->archive, archive_if_closed, k, &k->err);
	return rc != RC_OK ? rc : k->err.code;
}

static enum rc
restore(struct keep *k)
{
	if (k->archive == NULL)
		return error_set(&k->err, RC_INVALID,
		    "where from? give --archive, or store.archive in the "
		    "configuration");
	return each_day(k, restore_day);
}

static bool
on_pruned(void *ctx, const struct store_day *d, const char *kept)
{
	struct keep *k = ctx;
	const char *what = kept != NULL ? kept
	    : k->retention.dry_run      ? "would be removed"
					: "removed";
	char name[STORE_DAY_NAME];

	k->n++;
	if (k->json) {
		print_object(d, kept != NULL ? "kept" : "done", what);
		return true;
	}
	store_day_name(d->day, name);
	(void)printf("%s %s%s\n", name, kept != NULL ? "stays: " : "", what);
	return true;
}

static enum rc
prune(struct keep *k)
{
	struct store_retention *r = &k->retention;

	r->archive = k->archive;
	r->archive_first = k->archive != NULL && !k->force &&
	    (!k->configured || k->config.store_archive_first);
	r->now_ns = timestamp_now();
	if (r->keep_ns == 0 && r->disk_bytes == 0)
		return error_set(&k->err, RC_INVALID,
		    "what may go? give --keep or --disk, or store.keep or "
		    "store.disk in the configuration");
	return store_prune(k->dir, r, on_pruned, k, &k->err);
}

/* ---- arguments ---------------------------------------------------------- */

static const struct {
	const char *name;
	enum rc (*act)(struct keep *k);
	bool days; /* takes days */
	const char *help;
} commands_of_keep[] = {
	{ "stats", stats, false,
	    "usage: kuzetctl store stats [--dir STATE_DIR | --config FILE]\n\n"
	    "Prints the days of the store, their sizes and what they hold.\n" },
	{ "archive", archive, true,
	    "usage: kuzetctl store archive [--dir STATE_DIR | --config FILE]\n"
	    "                              [--archive DIR] (--all | DAY...)\n\n"
	    "Writes closed days (YYYY-MM-DD) as .jsonl.gz with a manifest that\n"
	    "sha256sum -c checks.  --all: those that are not archived yet.\n" },
	{ "restore", restore, true,
	    "usage: kuzetctl store restore [--dir STATE_DIR | --config FILE]\n"
	    "                              [--archive DIR] DAY...\n\n"
	    "Puts archived days back where searches find them; their events have\n"
	    "kuzet.restored: true.  Remove STATE_DIR/restored/DAY.db to end it.\n" },
	{ "prune", prune, false,
	    "usage: kuzetctl store prune [--dir STATE_DIR | --config FILE]\n"
	    "                            [--archive DIR] [--keep SPAN]\n"
	    "                            [--disk SIZE] [--dry-run] [--force]\n\n"
	    "Removes the oldest days: those that ended longer ago than --keep\n"
	    "(30d), and while all take more than --disk (200GiB).  What is not\n"
	    "archived stays if there is an archive, unless --force is given.\n" },
};

static bool
take_size(struct keep *k, const char *text)
{
	static const struct conf_option options[] = {
		{ .key = "disk",
		    .type = CONF_SIZE,
		    .min = 1,
		    .max = INT64_MAX,
		    .help = "" },
		{ .key = NULL },
	};
	struct buf yaml;
	int64_t bytes = 0;
	enum rc rc;

	buf_init(&yaml, LINE_BYTES);
	(void)buf_printf(&yaml, "disk: %s\n", text);
	rc = conf_parse("--disk", buf_slice(&yaml), options, &bytes, &k->err);
	buf_fini(&yaml);
	if (rc != RC_OK)
		(void)fprintf(stderr, "kuzetctl store %s: %s\n", k->name,
		    k->err.text);
	k->retention.disk_bytes = (uint64_t)bytes;
	return rc == RC_OK;
}

static bool
take_span(struct keep *k, const char *text)
{
	if (duration_parse((struct slice){ text, strlen(text) },
		&k->retention.keep_ns, &k->err) == RC_OK &&
	    k->retention.keep_ns > 0)
		return true;
	(void)fprintf(stderr,
	    "kuzetctl store %s: --keep: \"%s\" is no span such as 30d\n",
	    k->name, text);
	return false;
}

static bool
take_option(struct keep *k, int c)
{
	switch (c) {
	case OPT_DIR:
		k->dir = optarg;
		return true;
	case OPT_ARCHIVE:
		k->archive = optarg;
		return true;
	case OPT_KEEP:
		return take_span(k, optarg);
	case OPT_DISK:
		return take_size(k, optarg);
	case OPT_DRY:
		return k->retention.dry_run = true;
	case OPT_ALL:
		return k->all = true;
	case OPT_FORCE:
		return k->force = true;
	case OPT_JSON:
		return k->json = true;
	default:
		return false;
	}
}

/* -1: go on; else the exit status. */
static int
parse(struct keep *k, const char *help, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, OPT_DIR },
		{ "archive", required_argument, NULL, OPT_ARCHIVE },
		{ "keep", required_argument, NULL, OPT_KEEP },
		{ "disk", required_argument, NULL, OPT_DISK },
		{ "dry-run", no_argument, NULL, OPT_DRY },
		{ "all", no_argument, NULL, OPT_ALL },
		{ "force", no_argument, NULL, OPT_FORCE },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == OPT_HELP) {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		}
		if (!take_option(k, c))
			return EXIT_USAGE;
	}
	k->days = argv + optind;
	k->n_days = argc - optind;
	return -1;
}

/* What the arguments do not say, the configuration does. */
static enum rc
configure(struct keep *k, const struct global_options *global)
{
	const char *path = global->config;

	if (path == NULL && k->dir != NULL)
		return RC_OK;
	if (path == NULL)
		path = DEFAULT_CONFIG;
	if (collector_config_load(path, &k->config, &k->err) != RC_OK) {
		k->err.code = RC_INVALID;
		return error_prefix(&k->err,
		    "which store? give --dir or --config");
	}
	k->configured = true;
	if (k->dir == NULL)
		k->dir = k->config.state_dir;
	if (k->archive == NULL)
		k->archive = k->config.store_archive;
	if (k->retention.keep_ns == 0 && k->retention.disk_bytes == 0) {
		k->retention.keep_ns = k->config.store_keep_ns;
		k->retention.disk_bytes = (uint64_t)k->config.store_disk_bytes;
	}
	return RC_OK;
}

int
store_cmd_keep(const struct global_options *global, int argc, char *argv[])
{
	struct keep k = { .name = argv[0], .json = global->json };
	size_t at = 0;
	int status;
	enum rc rc;

	while (strcmp(commands_of_keep[at].name, argv[0]) != 0)
		at++;
	status = parse(&k, commands_of_keep[at].help, argc, argv);
	if (status != -1)
		return status;
	if (commands_of_keep[at].days ? k.n_days == 0 && !k.all
				      : k.n_days > 0) {
		(void)fputs(commands_of_keep[at].help, stderr);
		return EXIT_USAGE;
	}
	k.terminal = isatty(STDERR_FILENO) != 0;
	rc = configure(&k, global);
	if (rc == RC_OK)
		rc = commands_of_keep[at].act(&k);
	if (k.configured)
		collector_config_free(&k.config);
	if (rc != RC_OK) {
		(void)fprintf(stderr, "%skuzetctl store %s: %s\n",
		    k.terminal ? "\r\033[K" : "", k.name, k.err.text);
		return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
	}
	return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_FAILED;
}
