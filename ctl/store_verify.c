/* SPDX-License-Identifier: Apache-2.0 */
/* kuzetctl store verify: asks the collector, or looks at a folder itself. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "json.h"
#include "query.h"
#include "store_commands.h"
#include "store_verify.h"

enum {
	OPT_DIR = 256,
	OPT_EVENT,
	OPT_KEY,
	OPT_OUT,
	OPT_TSA_CA,
	OPT_JSON,
	OPT_HELP,
	ARENA_BLOCK = 64 * 1024,
	LINE_BYTES = 64 << 20,
	TARGET_BYTES = 64 * 1024,
	NAME_BYTES = 128,
};

static const char help[] =
    "usage: kuzetctl store verify [--dir STATE_DIR] [--key FILE]\n"
    "                             [--tsa-ca FILE] [--json]\n"
    "       kuzetctl store verify --event ID [--out FILE] [--dir STATE_DIR]\n"
    "                             [--key FILE] [--json]\n\n"
    "Computes every digest of the chain over commits again, follows the chain\n"
    "and its signed heads, and names the first block of each damage: changed,\n"
    "missing, reordered, added or unreadable.  Without --dir the collector does\n"
    "it while it runs.\n\n"
    "  --dir STATE_DIR  the folder of a collector that stopped or was killed\n"
    "  --key FILE       the public keys, PEM; without it STATE_DIR/store.pub.\n"
    "                   A copy kept elsewhere is worth more\n"
    "  --tsa-ca FILE    who certifies the authority of the heads' time stamps,\n"
    "                   PEM: their signatures are checked.  Without it, that\n"
    "                   they stamp what is there; the running collector takes\n"
    "                   store.tsa.ca\n"
    "  --event ID       write the proof of one event: a tar archive whose\n"
    "                   README.txt says how to check it with sha256sum and\n"
    "                   openssl\n"
    "  --out FILE       its name; kuzet-proof-ID.tar without it\n"
    "  --json           one JSON object a line: findings, last what was looked\n"
    "                   at\n\n"
    "The exit status is 0 without a finding, else 1.  kuzet-store(5) describes\n"
    "chain and proof.\n";

struct run {
	const struct global_options *global;
	const char *dir, *key, *tsa_ca, *event, *out;
	bool json, terminal;
	struct timespec began;
	struct store_verified seen;
	bool finished;
	uint64_t findings;
	struct tar *tar;
	struct error tar_error;
	bool tar_failed;
};

/* ---- what is printed ---------------------------------------------------- */

static void
clear_progress(const struct run *r)
{
	if (r->terminal)
		(void)fputs("\r\033[K", stderr);
}

static void
print_line(struct buf *line)
{
	(void)buf_add_char(line, '\n');
	(void)fwrite(line->ptr, 1, line->len, stdout);
}

static bool
on_finding(void *ctx, const struct store_finding *f)
{
	struct run *r = ctx;
	struct json_writer w;
	struct buf line;

	clear_progress(r);
	r->findings++;
	if (!r->json) {
		(void)printf("%s: block %llu %s: %s\n", f->file,
		    (unsigned long long)f->block, f->problem, f->message);
		return true;
	}
	buf_init(&line, LINE_BYTES);
	json_begin(&w, &line);
	json_open(&w, '{');
	json_key(&w, "file");
	json_str(&w, f->file);
	json_key(&w, "block");
	json_uint(&w, f->block);
	json_key(&w, "problem");
	json_str(&w, f->problem);
	json_key(&w, "message");
	json_str(&w, f->message);
	json_close(&w, '}');
	print_line(&line);
	buf_fini(&line);
	return true;
}

static void
tell_progress(const struct run *r, const char *file, uint64_t events)
{
	const char *slash = strrchr(file, '/');
	struct timespec now;
	double seconds;

	if (!r->terminal)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = (double)(now.tv_sec - r->began.tv_sec) +
	    (double)(now.tv_nsec - r->began.tv_nsec) / 1e9;
	(void)fprintf(stderr, "\r\033[K%s: %llu events, %.0f a second",
	    slash != NULL ? slash + 1 : file, (unsigned long long)events,
	    seconds > 0 ? (double)events / seconds : 0);
	(void)fflush(stderr);
}

static bool
on_progress(void *ctx, const char *file, const struct store_verified *v)
{
	tell_progress(ctx, file, v->events);
	return true;
}

static void
print_end(const struct run *r)
{
	const struct store_verified *v = &r->seen;
	struct json_writer w;
	struct buf line;

	clear_progress(r);
	if (!r->json) {
		(void)printf("%llu blocks, %llu events: ",
		    (unsigned long long)v->blocks,
		    (unsigned long long)v->events);
		if (r->event != NULL && v->damaged == 0)
			(void)printf("the proof is in %s\n", r->out);
		else if (v->damaged == 0)
			(void)printf("as they were written\n");
		else
			(void)printf("%llu findings\n",
			    (unsigned long long)v->damaged);
	} else {
		buf_init(&line, LINE_BYTES);
		json_begin(&w, &line);
		json_open(&w, '{');
		json_key(&w, "blocks");
		json_uint(&w, v->blocks);
		json_key(&w, "events");
		json_uint(&w, v->events);
		json_key(&w, "damaged");
		json_uint(&w, v->damaged);
		if (r->event != NULL) {
			json_key(&w, "proof");
			json_str(&w, r->out);
		} else {
			json_key(&w, "commits");
			json_uint(&w, v->commits);
			json_key(&w, "heads");
			json_uint(&w, v->heads);
			json_key(&w, "unsigned");
			json_uint(&w, v->unsealed);
			json_key(&w, "unchained");
			json_uint(&w, v->unchained);
			json_key(&w, "stamps");
			json_uint(&w, v->stamps);
		}
		json_close(&w, '}');
		print_line(&line);
		buf_fini(&line);
	}
	if (v->unsealed > 0)
		(void)fprintf(stderr,
		    "kuzetctl store verify: the last %llu commits are not "
		    "signed yet\n",
		    (unsigned long long)v->unsealed);
	if (v->unchained > 0)
		(void)fprintf(stderr,
		    "kuzetctl store verify: %llu commits were written by a "
		    "version without the chain: nothing can be said of them\n",
		    (unsigned long long)v->unchained);
}

/* ---- the proof's file --------------------------------------------------- */

static bool
on_file(void *ctx, const char *name, struct slice bytes)
{
	struct run *r = ctx;

	if (r->tar_failed ||
	    tar_add(r->tar, name, bytes.ptr, bytes.len, &r->tar_error) != RC_OK)
		r->tar_failed = true;
	return !r->tar_failed;
}

/* ---- the collector's answer --------------------------------------------- */

static uint64_t
number_of(const struct event *ev, const char *name)
{
	const struct value *v =
	    event_get(ev, field_intern((struct slice){ name, strlen(name) }));

	return v != NULL && v->kind == VALUE_INT && v->i > 0 ? (uint64_t)v->i
							     : 0;
}

static struct slice
text_of(const struct event *ev, const char *name)
{
	return event_get_string(ev,
	    field_intern((struct slice){ name, strlen(name) }));
}

static bool
unhex(struct slice hex, struct arena *arena, struct slice *out)
{
	char *p = arena_alloc(arena, hex.len / 2 + 1);

	for (size_t i = 0; i + 1 < hex.len; i += 2) {
		char digits[3] = { hex.ptr[i], hex.ptr[i + 1], '\0' };
		char *end;

		p[i / 2] = (char)strtoul(digits, &end, 16);
		if (*end != '\0')
			return false;
	}
	*out = (struct slice){ p, hex.len / 2 };
	return hex.len % 2 == 0;
}

static bool
take_file(struct run *r, const struct event *ev, struct arena *arena)
{
	struct slice name = text_of(ev, "name");
	struct slice bytes = text_of(ev, "text");
	char text[NAME_BYTES];

	if (bytes.ptr == NULL && !unhex(text_of(ev, "hex"), arena, &bytes))
		return false;
	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(name));
	return on_file(r, text, bytes);
}

static void
take_finding(struct run *r, const struct event *ev, struct arena *arena)
{
	const char *const names[] = { "file", "problem", "message" };
	char *texts[3];

	for (size_t i = 0; i < 3; i++) {
		struct slice s = text_of(ev, names[i]);

		texts[i] = arena_alloc(arena, s.len + 1);
		memcpy(texts[i], s.len > 0 ? s.ptr : "", s.len);
		texts[i][s.len] = '\0';
	}
	(void)on_finding(r,
	    &(struct store_finding){ texts[0], number_of(ev, "block"), texts[1],
		texts[2] });
}

static void
take_end(struct run *r, const struct event *ev)
{
	r->seen = (struct store_verified){
		.blocks = number_of(ev, "blocks"),
		.events = number_of(ev, "events"),
		.damaged = number_of(ev, "damaged"),
		.commits = number_of(ev, "commits"),
		.heads = number_of(ev, "heads"),
		.unsealed = number_of(ev, "unsigned"),
		.unchained = number_of(ev, "unchained"),
		.stamps = number_of(ev, "stamps"),
	};
	r->finished = true;
}

static bool
on_line(void *ctx, struct slice line)
{
	const struct json_limits limits = { json_limits_default.depth,
		LINE_BYTES };
	struct arena *arena = arena_new(ARENA_BLOCK);
	struct run *r = ctx;
	struct event ev;
	struct error err;
	bool more = true;

	event_begin(&ev, arena);
	if (json_read_event(line, &limits, &ev, &err) != RC_OK) {
		more = false; /* no end: the answer counts as broken off */
	} else if (text_of(&ev, "name").ptr != NULL) {
		more = take_file(r, &ev, arena);
	} else if (text_of(&ev, "problem").ptr != NULL) {
		take_finding(r, &ev, arena);
	} else if (text_of(&ev, "progress.file").ptr != NULL) {
		char file[NAME_BYTES];

		(void)snprintf(file, sizeof(file), "%.*s",
		    SLICE_ARG(text_of(&ev, "progress.file")));
		tell_progress(r, file, number_of(&ev, "progress.events"));
	} else {
		take_end(r, &ev);
	}
	arena_free(arena);
	return more;
}

static enum rc
ask(struct run *r, struct error *err)
{
	struct buf target;
	enum rc rc;

	buf_init(&target, TARGET_BYTES);
	if (r->event != NULL) {
		(void)buf_add_str(&target, "/v1/store/proof");
		client_param(&target, "event",
		    (struct slice){ r->event, strlen(r->event) });
	} else {
		(void)buf_add_str(&target, "/v1/store/verify");
	}
	rc = buf_add_char(&target, '\0')
	    ? client_get(r->global, target.ptr, on_line, r, err)
	    : error_set(err, RC_INVALID, "--event: too long");
	buf_fini(&target);
	if (rc == RC_OK && r->tar_failed)
		*err = r->tar_error;
	else if (rc == RC_OK && !r->finished)
		return error_set(err, RC_SYSTEM, "the answer broke off");
	return rc == RC_OK && r->tar_failed ? err->code : rc;
}

/* ---- offline ------------------------------------------------------------ */

static enum rc
prove_offline(struct run *r, struct error *err)
{
	struct store_proven out;
	struct store_proof what = { .dir = r->dir,
		.key = r->key,
		.event = { r->event, strlen(r->event) },
		.on_file = on_file,
		.ctx = r,
		.out = &out };
	enum rc rc = store_prove(&what, err);

	if (r->tar_failed) {
		*err = r->tar_error;
		return err->code;
	}
	if (rc == RC_DENIED) {
		(void)on_finding(r,
		    &(struct store_finding){ out.file, out.block, "changed",
			err->text });
		rc = RC_OK;
	}
	r->seen = (struct store_verified){ .blocks = out.blocks,
		.events = out.events,
		.damaged = out.damaged };
	return rc;
}

static enum rc
verify_offline(struct run *r, struct error *err)
{
	const struct store_verify what = { .dir = r->dir,
		.key = r->key,
		.tsa_ca = r->tsa_ca,
		.on_finding = on_finding,
		.on_progress = on_progress,
		.ctx = r };

	return store_verify(&what, &r->seen, err);
}

/* ---- arguments ---------------------------------------------------------- */

/* -1: go on; else the exit status. */
static int
parse(struct run *r, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, OPT_DIR },
		{ "event", required_argument, NULL, OPT_EVENT },
		{ "key", required_argument, NULL, OPT_KEY },
		{ "out", required_argument, NULL, OPT_OUT },
		{ "tsa-ca", required_argument, NULL, OPT_TSA_CA },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_DIR:
			r->dir = optarg;
			break;
		case OPT_EVENT:
			r->event = optarg;
			break;
		case OPT_KEY:
			r->key = optarg;
			break;
		case OPT_OUT:
			r->out = optarg;
			break;
		case OPT_TSA_CA:
			r->tsa_ca = optarg;
			break;
		case OPT_JSON:
			r->json = true;
			break;
		case OPT_HELP:
			(void)fputs(help, stdout);
			return EXIT_GOOD;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc || (r->out != NULL && r->event == NULL) ||
	    ((r->key != NULL || r->tsa_ca != NULL) && r->dir == NULL)) {
		(void)fprintf(stderr,
		    "kuzetctl store verify: %s; --help tells more\n",
		    optind < argc        ? "it takes options only"
			: r->out != NULL ? "--out needs --event"
			: r->key != NULL ? "--key needs --dir"
					 : "--tsa-ca needs --dir");
		return EXIT_USAGE;
	}
	return -1;
}

/* kuzet-proof-ID.tar; what no file name should hold becomes '_'. */
static void
default_out(const char *event, char *out, size_t size)
{
	(void)snprintf(out, size, "kuzet-proof-%.128s.tar", event);
	for (char *p = out; *p != '\0'; p++)
		if (strchr("/\\:*?\"<>| ", *p) != NULL || *p < ' ')
			*p = '_';
}

static int
finish(struct run *r, enum rc rc, struct error *err)
{
	if (r->tar != NULL && (rc != RC_OK || r->seen.damaged > 0))
		tar_abandon(r->tar);
	else if (r->tar != NULL)
		rc = tar_finish(r->tar, err);
	if (rc != RC_OK) {
		clear_progress(r);
		(void)fprintf(stderr, "kuzetctl store verify: %s\n", err->text);
		return EXIT_FAILED;
	}
	print_end(r);
	return fflush(stdout) == 0 && r->findings == 0 && r->seen.damaged == 0
	    ? EXIT_GOOD
	    : EXIT_FAILED;
}

int
store_cmd_verify(const struct global_options *global, int argc, char *argv[])
{
	struct run r = { .global = global, .json = global->json };
	char name[NAME_BYTES + 64];
	struct error err;
	int status = parse(&r, argc, argv);
	enum rc rc = RC_OK;

	if (status != -1)
		return status;
	r.terminal = isatty(STDERR_FILENO) != 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &r.began);
	if (r.event != NULL) {
		if (r.out == NULL) {
			default_out(r.event, name, sizeof(name));
			r.out = name;
		}
		rc = tar_create(r.out, &r.tar, &err);
	}
	if (rc == RC_OK && r.dir == NULL)
		rc = ask(&r, &err);
	else if (rc == RC_OK && r.event != NULL)
		rc = prove_offline(&r, &err);
	else if (rc == RC_OK)
		rc = verify_offline(&r, &err);
	return finish(&r, rc, &err);
}
