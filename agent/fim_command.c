/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fim_command.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/inputs/fim/fim_annotate.h"
#include "agent/inputs/fim/fim_engine.h"
#include "agent/inputs/fim/fim_package.h"
#include "agent/inputs/input.h"
#include "agent/pipeline.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "timestamp.h"

enum { EXIT_CHANGED = 1, EXIT_USAGE = 2 };
enum { OPT_FULL = 256, OPT_JSON, OPT_BY, OPT_REASON, OPT_FOR };

static const char usage[] =
    "Usage: kuzet-agent fim baseline [-c FILE] [--by NAME]\n"
    "       kuzet-agent fim check [-c FILE] [--full] [--json]\n"
    "       kuzet-agent fim window open [-c FILE] --by NAME --reason TEXT\n"
    "                                   [--for SPAN]\n"
    "       kuzet-agent fim window close|list [-c FILE] [--by NAME] [--json]\n"
    "\n"
    "File integrity of all `fim` inputs of the configuration; needs no\n"
    "collector.\n"
    "\n"
    "  baseline     takes what is there for good, anew\n"
    "  check        compares with the baseline, prints what differs; the\n"
    "               baseline stays as it is\n"
    "  window       maintenance: changes in it are told as expected, and who\n"
    "               opened it\n"
    "\n"
    "  -c, --config FILE   configuration, see agent.yaml(5); only state_dir\n"
    "                      and inputs are needed; default:\n"
    "                      " AGENT_CONFIG_PATH "\n"
    "      --full          hash every file again, whatever its stat says\n"
    "      --json          one event for each change, one object a line\n"
    "      --by NAME       who is at work\n"
    "      --reason TEXT   why: a ticket, an order\n"
    "      --for SPAN      closes by itself: 30m, 2h\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit status: 0 good, nothing changed; 1 something changed, or failed;\n"
    "2 wrong usage or configuration, no baseline.\n";

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "by", required_argument, NULL, OPT_BY },
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "for", required_argument, NULL, OPT_FOR },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct fim_arguments {
	const char *config;
	const char *by, *reason;
	int64_t span_ns; /* 0: open end */
	bool full, json, help;
};

struct session {
	const struct fim_arguments *args;
	struct agent_config config;
	struct fim_store store;
	uint64_t changes;
	bool progress; /* standard error is a terminal */
	int64_t shown_ns;
	const char *input;
	struct fim_engine *engine; /* of the input; borrowed */
};

static int
complain(const char *text)
{
	(void)fprintf(stderr, "kuzet-agent: %s\nTry kuzet-agent fim --help.\n",
	    text);
	return EXIT_USAGE;
}

/* -1: go on */
static int
parse(int argc, char **argv, struct fim_arguments *args)
{
	struct error err;
	int option;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) !=
	    -1) {
		switch (option) {
		case 'c':
			args->config = optarg;
			break;
		case OPT_FULL:
			args->full = true;
			break;
		case OPT_JSON:
			args->json = true;
			break;
		case OPT_BY:
			args->by = optarg;
			break;
		case OPT_REASON:
			args->reason = optarg;
			break;
		case OPT_FOR:
			if (duration_parse((struct slice){ optarg,
					       strlen(optarg) },
				&args->span_ns, &err) != RC_OK ||
			    args->span_ns <= 0)
				return complain("--for: a span such as 30m, "
						"2h, 1d is needed");
			break;
		case 'h':
			args->help = true;
			break;
		default:
			return complain("unknown option");
		}
	}
	return -1;
}

/* ---- the store and the inputs ------------------------------------------- */

static enum rc
open_session(struct session *s, bool must_exist, struct error *err)
{
	char path[PATH_MAX];
	enum rc rc = agent_config_load_alone(s->args->config, &s->config, err);

	if (rc != RC_OK)
		return error_prefix(err, "configuration");
	(void)snprintf(path, sizeof(path), "%s/%s", s->config.state_dir,
	    FIM_STORE_NAME);
	if (must_exist && access(path, F_OK) != 0)
		return error_set(err, RC_INVALID,
		    "%s: there is no baseline: take one with kuzet-agent fim "
		    "baseline -c %s",
		    path, s->args->config);
	if (!must_exist)
		pipeline_make_state_dir(&s->config);
	return fim_store_open(s->config.state_dir, &s->store, err);
}

static void
close_session(struct session *s)
{
	fim_store_close(&s->store);
	agent_config_free(&s->config);
}

/* The baseline is the daemon's while one runs. */
static enum rc
lock_state(const char *dir, int *fd, struct error *err)
{
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* it is the agent's, whoever comes first */
	if (*fd != -1 && geteuid() == 0 && stat(dir, &st) == 0 &&
	    fchown(*fd, st.st_uid, st.st_gid) != 0)
		log_warn("cannot give %s away", path);
	if (*fd != -1 && flock(*fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(*fd);
		*fd = -1;
		return error_set(err, RC_DENIED,
		    "%s is in use by a running agent: stop it first", dir);
	}
	return RC_OK;
}

static bool
is_in_use(const char *dir)
{
	struct error err;
	int fd = -1;
	bool used = lock_state(dir, &fd, &err) == RC_DENIED;

	if (fd != -1)
		(void)close(fd);
	return used;
}

static void
show_progress(void *ctx, const struct fim_totals *so_far)
{
	struct session *s = ctx;

	if (!s->progress || loop_now() - s->shown_ns < NS_PER_SEC / 5)
		return;
	s->shown_ns = loop_now();
	(void)fprintf(stderr, "\r%s: %llu files, %llu MB ", s->input,
	    (unsigned long long)so_far->files,
	    (unsigned long long)(so_far->bytes / 1000000));
}

static enum rc
print_change(void *ctx, const struct fim_change *c, struct error *err)
{
	struct session *s = ctx;
	struct fim_origin origin = { .host_name = s->config.host_name,
		.input = s->input,
		.names = s->engine->notes->names };
	struct fim_window window;
	enum rc open = fim_engine_window(s->engine, &window, err);
	struct buf out;

	s->changes++;
	buf_init(&out, OUTBOX_EVENT_BYTES_MAX);
	if (s->args->json)
		fim_event_change(&out, &origin, c,
		    open == RC_OK ? &window : NULL);
	else
		fim_line_change(&out, c, open == RC_OK ? &window : NULL);
	(void)buf_add_char(&out, '\n');
	(void)fwrite(out.ptr, 1, out.len, stdout);
	buf_fini(&out);
	return RC_OK;
}

typedef enum rc one_input_fn(struct session *s, struct fim_engine *e,
    struct error *err);

/* Calls back for each `fim` input. */
static enum rc
each_input(struct session *s, one_input_fn *fn, struct error *err)
{
	struct opener *opener = opener_new(NULL);
	struct fim_packages *packages =
	    fim_packages_new(opener, FIM_DPKG_DIR, NULL);
	struct account_names *names = account_names_new(opener);
	atomic_bool stop = false;
	enum rc rc = RC_OK;
	bool any = false;

	for (size_t i = 0; rc == RC_OK && i < s->config.inputs.n; i++) {
		const struct agent_input *in = agent_input_at(&s->config, i);
		struct input_config c = agent_input_config(in);
		struct fim_spec spec = fim_spec_of(&c);
		struct fim_pace *pace = fim_pace_new(c.fim.rate);
		struct fim_reading reading = { .opener = opener,
			.pace = pace,
			.max_file_size = c.fim.max_file_size,
			.stop = &stop };
		struct timezone_info *tz = NULL;
		struct fim_annotator notes = { .store = &s->store,
			.spec = &spec,
			.config = &c.fim,
			.packages = packages,
			.names = names,
			.opener = opener };
		struct fim_engine e = { .store = &s->store,
			.spec = &spec,
			.reading = &reading,
			.host_name = s->config.host_name,
			.notes = &notes,
			.ctx = s,
			.between = show_progress };

		s->input = c.name;
		s->engine = &e;
		if (in->type == AGENT_INPUT_FIM) {
			any = true;
			if (c.timezone != NULL)
				rc = timezone_open(c.timezone, &tz, err);
			notes.tz = tz;
		}
		if (in->type == AGENT_INPUT_FIM && rc == RC_OK) {
			rc = fn(s, &e, err);
		}
		if (s->progress && s->shown_ns != 0)
			(void)fputs("\r\033[K", stderr);
		fim_pace_free(pace);
		timezone_close(tz);
	}
	fim_packages_free(packages);
	account_names_free(names);
	opener_free(opener);
	if (rc == RC_OK && !any)
		rc = error_set(err, RC_INVALID, "%s: there is no fim input",
		    s->args->config);
	return rc;
}

/* ---- baseline ----------------------------------------------------------- */

/* Whoever logged in, where the kernel knows; else the user of the process. */
static const char *
who_am_i(char out[128])
{
	char room[4096], text[32] = "";
	struct passwd pw, *found = NULL;
	FILE *f = fopen("/proc/self/loginuid", "re");
	unsigned long uid;

	if (f != NULL && fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	if (f != NULL)
		(void)fclose(f);
	uid = text[0] == '\0' ? UINT32_MAX : strtoul(text, NULL, 10);
	if (uid >= UINT32_MAX)
		uid = getuid();
	if (getpwuid_r((uid_t)uid, &pw, room, sizeof(room), &found) == 0 &&
	    found != NULL)
		(void)snprintf(out, 128, "%s", pw.pw_name);
	else
		(void)snprintf(out, 128, "%lu", uid);
	return out;
}

/* A path with a slip of the pen would be watched in vain. */
static void
tell_missing(const struct session *s, const struct fim_engine *e)
{
	const char *path;
	size_t at = 0;

	while (
	    (path = fim_spec_missing(e->reading->opener, e->spec, &at)) != NULL)
		(void)fprintf(stderr,
		    "kuzet-agent: %s: %s is not there: nothing of it is in the "
		    "baseline\n",
		    s->input, path);
}

static enum rc
take_baseline(struct session *s, struct fim_engine *e, struct error *err)
{
	char me[128];
	enum rc rc;

	e->renew = true;
	e->by = s->args->by != NULL ? s->args->by : who_am_i(me);
	rc = fim_engine_scan(e, err);
	if (rc != RC_OK)
		return rc;
	tell_missing(s, e);
	(void)fprintf(stderr,
	    "%s: %llu files, %llu MB read, %llu unreadable, %llu too large, "
	    "%llu left out\n",
	    s->input, (unsigned long long)e->totals.files,
	    (unsigned long long)(e->totals.bytes / 1000000),
	    (unsigned long long)e->totals.unreadable,
	    (unsigned long long)e->totals.too_large,
	    (unsigned long long)e->totals.left_out);
	return RC_OK;
}

static int
baseline(struct session *s, struct error *err)
{
	int lock = -1;
	enum rc rc = open_session(s, false, err);

	if (rc == RC_OK)
		rc = lock_state(s->config.state_dir, &lock, err);
	if (rc == RC_OK)
		rc = each_input(s, take_baseline, err);
	if (lock != -1)
		(void)close(lock);
	return rc == RC_OK     ? EXIT_SUCCESS
	    : rc == RC_INVALID ? EXIT_USAGE
			       : EXIT_FAILURE;
}

/* ---- check -------------------------------------------------------------- */

static enum rc
check_one(struct session *s, struct fim_engine *e, struct error *err)
{
	enum rc rc;

	e->full = s->args->full;
	e->tell = print_change;
	rc = fim_engine_scan(e, err);
	if (rc == RC_EOF)
		return error_set(err, RC_INVALID,
		    "%s: there is no baseline of it: take one with kuzet-agent "
		    "fim baseline -c %s",
		    s->input, s->args->config);
	if (e->tampered) {
		s->changes++;
		(void)fprintf(stderr,
		    "kuzet-agent: %s: the stored baseline is not what was "
		    "sealed: somebody changed it\n",
		    s->input);
	}
	if (rc == RC_OK && e->unsealed && !is_in_use(s->config.state_dir)) {
		s->changes++;
		(void)fprintf(stderr,
		    "kuzet-agent: %s: the stored baseline has no seal: the "
		    "agent was killed at work, or somebody took it off; "
		    "whether it is as it was cannot be told\n",
		    s->input);
	}
	return rc;
}

static int
check(struct session *s, struct error *err)
{
	enum rc rc = open_session(s, true, err);

	if (rc == RC_OK)
		rc = each_input(s, check_one, err);
	if (rc != RC_OK)
		return EXIT_USAGE; /* 1 says that something changed */
	return s->changes > 0 ? EXIT_CHANGED : EXIT_SUCCESS;
}

/* ---- windows ------------------------------------------------------------ */

static enum rc
tell_window(struct session *s, const char *action, const char *by,
    const struct fim_window *w, struct error *err)
{
	struct fim_spec spec = { .name = "fim" };
	struct fim_engine e = { .store = &s->store,
		.spec = &spec,
		.host_name = s->config.host_name };

	return fim_engine_tell(&e,
	    &(struct fim_summary){ .action = action,
		.by = by,
		.verified = -1,
		.window = w },
	    err);
}

static int
window_open(struct session *s, struct error *err)
{
	struct fim_window w = { .opened_ns = timestamp_now() };
	enum rc rc;

	if (s->args->by == NULL || s->args->reason == NULL ||
	    s->args->by[0] == '\0' || s->args->reason[0] == '\0')
		return complain("--by NAME and --reason TEXT are needed: they "
				"go with each change in the window");
	(void)snprintf(w.by, sizeof(w.by), "%s", s->args->by);
	(void)snprintf(w.reason, sizeof(w.reason), "%s", s->args->reason);
	if (s->args->span_ns != 0)
		w.until_ns = w.opened_ns + s->args->span_ns;
	rc = open_session(s, false, err);
	if (rc == RC_OK)
		rc = fim_window_open(&s->store, &w, err);
	if (rc == RC_OK)
		rc = fim_window_current(&s->store, w.opened_ns, &w, err);
	if (rc == RC_OK)
		rc = tell_window(s, "fim-window-opened", w.by, &w, err);
	return rc == RC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
window_close(struct session *s, struct error *err)
{
	struct fim_window w;
	char me[128];
	uint64_t n = 0;
	const char *by = s->args->by != NULL ? s->args->by : who_am_i(me);
	enum rc rc = open_session(s, true, err);

	if (rc == RC_OK)
		rc = fim_window_current(&s->store, timestamp_now(), &w, err);
	if (rc == RC_EOF) {
		(void)fputs("kuzet-agent: no window is open\n", stderr);
		return EXIT_SUCCESS;
	}
	if (rc == RC_OK)
		rc = fim_window_close(&s->store, by, timestamp_now(), &n, err);
	if (rc != RC_OK)
		return EXIT_FAILURE;
	w.closed_ns = timestamp_now();
	(void)snprintf(w.closed_by, sizeof(w.closed_by), "%s", by);
	return tell_window(s, "fim-window-closed", by, &w, err) == RC_OK
	    ? EXIT_SUCCESS
	    : EXIT_FAILURE;
}

static void
print_window(void *ctx, const struct fim_window *w)
{
	const struct session *s = ctx;
	int64_t now_ns = timestamp_now();
	bool open =
	    w->closed_ns == 0 && (w->until_ns == 0 || w->until_ns > now_ns);
	char from[TIMESTAMP_TEXT_MAX], to[TIMESTAMP_TEXT_MAX];
	int64_t end_ns = w->closed_ns != 0 ? w->closed_ns : w->until_ns;
	struct slice a =
	    timestamp_format(w->opened_ns / NS_PER_SEC * NS_PER_SEC, from);
	struct slice b = timestamp_format(end_ns / NS_PER_SEC * NS_PER_SEC, to);
	struct json_writer j;
	struct buf out;

	if (!s->args->json) {
		(void)printf("%-6s %.*s - %.*s  %s: %s\n",
		    open ? "open" : "closed", SLICE_ARG(a),
		    end_ns != 0 ? (int)b.len : 0, b.ptr, w->by, w->reason);
		return;
	}
	buf_init(&out, 8192);
	json_begin(&j, &out);
	json_open(&j, '{');
	json_key(&j, "id");
	json_int(&j, w->id);
	json_key(&j, "open");
	json_bool(&j, open);
	json_key(&j, "by");
	json_str(&j, w->by);
	json_key(&j, "reason");
	json_str(&j, w->reason);
	json_key(&j, "opened");
	json_time(&j, w->opened_ns);
	if (end_ns != 0) {
		json_key(&j, w->closed_ns != 0 ? "closed" : "until");
		json_time(&j, end_ns);
	}
	json_close(&j, '}');
	(void)printf("%.*s\n", (int)out.len, out.ptr);
	buf_fini(&out);
}

static int
window_list(struct session *s, struct error *err)
{
	enum rc rc = open_session(s, true, err);

	if (rc == RC_OK)
		rc = fim_window_list(&s->store, print_window, s, err);
	return rc == RC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- table -------------------------------------------------------------- */

typedef int command_fn(struct session *s, struct error *err);

static const struct {
	const char *first, *second; /* words */
	command_fn *run;
} commands[] = {
	{ "baseline", NULL, baseline },
	{ "check", NULL, check },
	{ "window", "open", window_open },
	{ "window", "close", window_close },
	{ "window", "list", window_list },
};

static command_fn *
find_command(int n, char **words)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int want = commands[i].second == NULL ? 1 : 2;

		if (n == want && strcmp(words[0], commands[i].first) == 0 &&
		    (want == 1 || strcmp(words[1], commands[i].second) == 0))
			return commands[i].run;
	}
	return NULL;
}

int
fim_command(int argc, char **argv)
{
	struct fim_arguments args = { .config = AGENT_CONFIG_PATH };
	struct session s = { .args = &args };
	struct error err = { .code = RC_OK };
	command_fn *run;
	int status = parse(argc, argv, &args);

	if (status != -1)
		return status;
	if (args.help) {
		(void)fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	run = find_command(argc - optind, argv + optind);
	if (run == NULL)
		return complain("baseline, check or window open|close|list is "
				"needed");
	log_setup("kuzet-agent", LOG_LEVEL_INFO, LOG_TEXT);
	s.progress = isatty(STDERR_FILENO) != 0;
	status = run(&s, &err);
	if (err.code != RC_OK && err.code != RC_EOF && status != EXIT_SUCCESS)
		log_error("%s", err.text);
	if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
		status = EXIT_FAILURE;
	close_session(&s);
	return status;
}
