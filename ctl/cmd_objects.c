/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl objects: the register of objects, offline on its file. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/config.h"
#include "command.h"
#include "json.h"
#include "query.h"
#include "register.h"
#include "xalloc.h"

enum { TEXT_MAX = 16 << 20, TABLE_MAX = 1 << 20, PATH_BYTES = 4096 };

static const char default_file[] = "/etc/kuzet/objects.yaml";

static const char help[] =
    "usage: kuzetctl objects list [--json]\n"
    "       kuzetctl objects show ID [--json]\n"
    "       kuzetctl objects check [FILE...] [--json]\n"
    "       kuzetctl objects import TABLE.csv [--dry-run]\n"
    "       kuzetctl objects export [--format csv|json|yaml]\n"
    "       kuzetctl objects kinds [--json]\n\n"
    "The register of objects, objects.yaml(5), offline: the collector reads it\n"
    "again by itself when it has changed.\n\n"
    "  --file FILE     the register; default: `objects` of kuzetctl --config,\n"
    "                  else /etc/kuzet/objects.yaml\n"
    "  --format F      of export; default csv\n"
    "  --dry-run       import: print the new register, change nothing\n\n"
    "import puts the table's objects in the place of those of the same id and\n"
    "adds the others; the file is replaced at once, and only if the result is\n"
    "good.  Columns: id, name_kk, name_ru, kind, criticality, class, owner,\n"
    "holder, hosting, networks, hosts, agents, relays, silent_after,\n"
    "attestation (its certificate's number), issued, expires.\n";

struct objects_command {
	bool json, dry_run;
	const char *file, *format;
	char *from_config; /* owned */
	int n;
	char **arguments;
};

static int
fail(const struct error *err)
{
	(void)fprintf(stderr, "kuzetctl objects: %s\n", err->text);
	return err->code == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int
parse_options(struct objects_command *c, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "file", required_argument, NULL, 'f' },
		{ "format", required_argument, NULL, 'F' },
		{ "dry-run", no_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h') {
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		}
		if (o == 'f')
			c->file = optarg;
		else if (o == 'F')
			c->format = optarg;
		else if (o == 'd')
			c->dry_run = true;
		else if (o == 'j')
			c->json = true;
		else
			return EXIT_USAGE;
	}
	c->n = argc - optind;
	c->arguments = argv + optind;
	return -1;
}

/* The file that --config names, if nobody said another. */
static int
find_file(const struct global_options *global, struct objects_command *c)
{
	struct collector_config config;
	struct error err;

	if (c->file == NULL && global->config != NULL) {
		if (collector_config_load(global->config, &config, &err) !=
		    RC_OK)
			return fail(&err);
		if (config.objects != NULL)
			c->from_config = xstrdup(config.objects);
		collector_config_free(&config);
		c->file = c->from_config;
	}
	if (c->file == NULL)
		c->file = default_file;
	return -1;
}

/* -1: go on.  `n`: how many arguments there must be; -1: any number. */
static int
begin(const struct global_options *global, struct objects_command *c, int n,
    int argc, char *argv[])
{
	int status = parse_options(c, argc, argv);

	if (status != -1)
		return status;
	if (n >= 0 && c->n != n) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	return find_file(global, c);
}

static void
print_buf(struct buf *out)
{
	if (out->len > 0)
		(void)fwrite(out->ptr, 1, out->len, stdout);
}

/* ---- list, show, kinds ------------------------------------------------------------- */

static void
print_column(const char *text, int width)
{
	print_text((struct slice){ text, strlen(text) }, width);
}

static void
print_row(const struct object *o)
{
	print_column(o->id, 20);
	print_column(object_kind_name(o->kind), 6);
	print_column(object_criticality_name(o->criticality), 9);
	(void)printf("%-6d", (int)o->class);
	print_column(o->owner, 16);
	print_column(o->name_ru, 0);
	(void)putchar('\n');
}

static void
print_json(const struct objects *o, const struct object *object)
{
	struct buf out;

	buf_init(&out, TEXT_MAX);
	object_write(&out, o, object);
	(void)buf_add_char(&out, '\n');
	print_buf(&out);
	buf_fini(&out);
}

static int
list(const struct global_options *global, int argc, char *argv[])
{
	struct objects_command c = { .json = global->json };
	struct objects *o = NULL;
	struct error err;
	int status = begin(global, &c, 0, argc, argv);

	if (status == -1 && objects_load(c.file, &o, &err) != RC_OK)
		status = fail(&err);
	if (status == -1) {
		if (!c.json)
			(void)printf("%-20s %-6s %-9s %-5s %-16s %s\n", "ID",
			    "KIND", "CRITICAL", "CLASS", "OWNER", "NAME");
		for (uint32_t i = 0; i < objects_count(o); i++) {
			if (c.json)
				print_json(o, objects_at(o, i));
			else
				print_row(objects_at(o, i));
		}
		status = EXIT_GOOD;
	}
	objects_unref(o);
	free(c.from_config);
	return status;
}

static int
show(const struct global_options *global, int argc, char *argv[])
{
	struct objects_command c = { .json = global->json };
	struct objects *o = NULL;
	struct error err;
	struct buf out;
	uint32_t index;
	int status = begin(global, &c, 1, argc, argv);

	if (status == -1 && objects_load(c.file, &o, &err) != RC_OK)
		status = fail(&err);
	if (status == -1) {
		index = objects_find(o,
		    (struct slice){ c.arguments[0], strlen(c.arguments[0]) });
		status = EXIT_GOOD;
		buf_init(&out, TEXT_MAX);
		if (index == OBJECT_NONE) {
			(void)fprintf(stderr,
			    "kuzetctl objects: %s: there is no object "
			    "\"%.128s\"\n",
			    c.file, c.arguments[0]);
			status = EXIT_FAILED;
		} else if (c.json) {
			print_json(o, objects_at(o, index));
		} else {
			objects_write_yaml(&out, objects_at(o, index));
			print_buf(&out);
		}
		buf_fini(&out);
	}
	objects_unref(o);
	free(c.from_config);
	return status;
}

static int
list_kinds(const struct global_options *global, int argc, char *argv[])
{
	struct objects_command c = { .json = global->json };
	int n = object_kind_find(SLICE("other")) + 1; /* it is the last */
	int status = begin(global, &c, 0, argc, argv);

	if (status != -1)
		return status;
	for (int i = 0; i < n; i++)
		(void)printf(c.json ? "{\"kind\":\"%s\",\"title\":\"%s\"}\n"
				    : "%-6s %s\n",
		    object_kind_name(i), object_kind_title(i));
	free(c.from_config);
	return EXIT_GOOD;
}

/* ---- check --------------------------------------------------------------------------- */

static bool
check_file(const char *path, bool json)
{
	struct objects *o = NULL;
	struct error err = { .text = "" };
	bool good = objects_load(path, &o, &err) == RC_OK;
	struct buf out;

	buf_init(&out, TEXT_MAX);
	if (json) {
		struct json_writer w;

		json_begin(&w, &out);
		json_open(&w, '{');
		json_key(&w, "file");
		json_str(&w, path);
		json_key(&w, good ? "objects" : "message");
		if (good)
			json_uint(&w, objects_count(o));
		else
			json_str(&w, err.text);
		json_close(&w, '}');
		(void)buf_add_char(&out, '\n');
	} else if (good) {
		(void)buf_printf(&out, "%s: %u objects, %u organizations\n",
		    path, objects_count(o), objects_organizations(o));
	}
	print_buf(&out);
	if (!good && !json)
		(void)fprintf(stderr, "kuzetctl objects: %s\n", err.text);
	buf_fini(&out);
	objects_unref(o);
	return good;
}

static int
check(const struct global_options *global, int argc, char *argv[])
{
	struct objects_command c = { .json = global->json };
	int status = begin(global, &c, -1, argc, argv);

	if (status != -1)
		return status;
	status = EXIT_GOOD;
	if (c.n == 0 && !check_file(c.file, c.json))
		status = EXIT_FAILED;
	for (int i = 0; i < c.n; i++)
		if (!check_file(c.arguments[i], c.json))
			status = EXIT_FAILED;
	free(c.from_config);
	return status;
}

/* ---- export ---------------------------------------------------------------------------- */

static int
export_as(const struct objects *o, const char *format, struct buf *out)
{
	if (strcmp(format, "csv") == 0) {
		objects_write_csv(out, o);
	} else if (strcmp(format, "yaml") == 0) {
		organizations_write_yaml(out, o);
		(void)buf_add_str(out, "objects:\n");
		for (uint32_t i = 0; i < objects_count(o); i++)
			objects_write_yaml(out, objects_at(o, i));
	} else if (strcmp(format, "json") == 0) {
		for (uint32_t i = 0; i < objects_count(o); i++) {
			object_write(out, o, objects_at(o, i));
			(void)buf_add_char(out, '\n');
		}
	} else {
		(void)fputs("kuzetctl objects: --format: csv, json or yaml\n",
		    stderr);
		return EXIT_USAGE;
	}
	print_buf(out);
	return EXIT_GOOD;
}

static int export(const struct global_options *global, int argc, char *argv[])
{
	struct objects_command c = { .json = global->json };
	struct objects *o = NULL;
	struct error err;
	struct buf out;
	int status = begin(global, &c, 0, argc, argv);

	if (c.format == NULL)
		c.format = c.json ? "json" : "csv";
	if (status == -1 && objects_load(c.file, &o, &err) != RC_OK)
		status = fail(&err);
	buf_init(&out, TEXT_MAX);
	if (status == -1)
		status = export_as(o, c.format, &out);
	buf_fini(&out);
	objects_unref(o);
	free(c.from_config);
	return status;
}

/* ---- import ---------------------------------------------------------------------------- */

static enum rc
read_table(const char *path, struct buf *out, struct error *err)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char bytes[16384];
	size_t n;
	enum rc rc = RC_OK;

	if (f == NULL)
		return error_set_errno(err, errno, "%s", path);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		(void)buf_add(out, bytes, n);
	if (ferror(f))
		rc = error_set_errno(err, errno, "%s", path);
	else if (out->overflowed)
		rc = error_set(err, RC_LIMIT, "%s: more than 1 MiB", path);
	if (f != stdin)
		(void)fclose(f);
	return rc;
}

/* A new file in its place, with the mode of the old one: all or nothing. */
static enum rc
replace_file(const char *path, struct slice text, struct error *err)
{
	char fresh[PATH_BYTES];
	struct stat st = { .st_mode = 0640 };
	bool written;
	int fd;

	(void)stat(path, &st);
	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path) >=
	    sizeof(fresh))
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    path);
	fd = mkstemp(fresh);
	if (fd < 0)
		return error_set_errno(err, errno, "%s", fresh);
	written = write(fd, text.ptr, text.len) == (ssize_t)text.len &&
	    fchmod(fd, st.st_mode & 07777) == 0 && fsync(fd) == 0;
	if (close(fd) == 0 && written && rename(fresh, path) == 0)
		return RC_OK;
	(void)error_set_errno(err, errno, "%s", path);
	(void)unlink(fresh);
	return err->code;
}

static enum rc
import_table(const struct objects_command *c, const struct buf *table,
    struct buf *out, struct objects_import *counts, struct error *err)
{
	struct objects *old = NULL, *new = NULL;
	enum rc rc = RC_OK;

	if (access(c->file, F_OK) == 0)
		rc = objects_load(c->file, &old, err);
	if (rc == RC_OK)
		rc = objects_import_csv(c->arguments[0], buf_slice(table), old,
		    out, counts, err);
	if (rc == RC_OK &&
	    objects_parse(c->file, buf_slice(out), &new, err) != RC_OK)
		rc = error_prefix(err, "the register would not be good");
	if (rc == RC_OK && !c->dry_run)
		rc = replace_file(c->file, buf_slice(out), err);
	objects_unref(old);
	objects_unref(new);
	return rc;
}

static int
import(const struct global_options *global, int argc, char *argv[])
{
	struct objects_command c = { .json = global->json };
	struct objects_import counts = { 0 };
	struct buf table, out;
	struct error err;
	int status = begin(global, &c, 1, argc, argv);

	buf_init(&table, TABLE_MAX);
	buf_init(&out, TEXT_MAX);
	if (status == -1 &&
	    (read_table(c.arguments[0], &table, &err) != RC_OK ||
		import_table(&c, &table, &out, &counts, &err) != RC_OK))
		status = fail(&err);
	if (status == -1) {
		status = EXIT_GOOD;
		if (c.dry_run)
			print_buf(&out);
		(void)fprintf(c.json && !c.dry_run ? stdout : stderr,
		    c.json ? "{\"added\":%zu,\"changed\":%zu,"
			     "\"organizations\":%zu}\n"
			   : "%zu objects added, %zu changed; %zu "
			     "organizations added by their id\n",
		    counts.added, counts.changed, counts.organizations);
	}
	buf_fini(&table);
	buf_fini(&out);
	free(c.from_config);
	return status;
}

static int
run(const struct global_options *global, int argc, char *argv[])
{
	static const struct subcommand subcommands[] = {
		{ "list", list },
		{ "show", show },
		{ "check", check },
		{ "import", import },
		{ "export", export },
		{ "kinds", list_kinds },
		{ NULL, NULL },
	};

	return family_run("objects", subcommands, help, global, argc, argv);
}

const struct command cmd_objects = {
	.name = "objects",
	.summary = "the register of objects, offline",
	.run = run,
};
