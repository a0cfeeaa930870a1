/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd_account.h"
#include "json.h"
#include "query.h"

enum { ARENA_BLOCK = 16 * 1024, SECRET_LINE = 2048 };

struct table {
	const struct account_column *columns;
	bool json, any;
};

static void
print_row(const struct account_column *c, const struct event *ev)
{
	for (;; c++) {
		print_cell(ev, c->field, c->width);
		if (c->width == 0)
			break;
	}
	(void)putchar('\n');
}

static void
print_head(const struct account_column *c)
{
	for (;; c++) {
		(void)printf(c->width > 0 ? "%-*s " : "%*s\n", c->width,
		    c->title);
		if (c->width == 0)
			break;
	}
}

static bool
on_line(void *ctx, struct slice line)
{
	struct table *t = ctx;
	struct arena *arena;
	struct event ev;
	struct error err;

	if (t->json) {
		(void)printf("%.*s\n", SLICE_ARG(line));
		return ferror(stdout) == 0;
	}
	if (t->columns == NULL)
		return true;
	arena = arena_new(ARENA_BLOCK);
	event_begin(&ev, arena);
	if (json_read_event(line, &json_limits_default, &ev, &err) == RC_OK) {
		if (!t->any)
			print_head(t->columns);
		t->any = true;
		print_row(t->columns, &ev);
	}
	arena_free(arena);
	return ferror(stdout) == 0;
}

int
account_ask(const struct global_options *global,
    const struct client_request *request, const struct account_column *columns,
    const char *what)
{
	struct table t = { .columns = columns, .json = global->json };
	struct error err;
	enum rc rc = client_ask(global, request, on_line, &t, &err);

	if (rc != RC_OK) {
		(void)fprintf(stderr, "kuzetctl %s: %s\n", what, err.text);
		return rc == RC_INVALID ? EXIT_USAGE : EXIT_FAILED;
	}
	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		return EXIT_FAILED;
	if (columns != NULL && !t.json && !t.any)
		(void)fputs("none\n", stderr);
	return EXIT_GOOD;
}

/* ---- secrets --------------------------------------------------------------------- */

static bool
read_line(struct buf *out)
{
	char line[SECRET_LINE];
	size_t len;

	buf_clear(out);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	len = strcspn(line, "\n");
	(void)buf_add(out, line, len);
	explicit_bzero(line, sizeof(line));
	return len > 0;
}

static bool
ask_terminal(const char *prompt, struct buf *out)
{
	struct termios before, silent;
	bool got;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)fprintf(stderr, "%s: ", prompt);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	got = read_line(out);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)fputc('\n', stderr);
	return got;
}

enum rc
read_secret(const char *prompt, bool twice, struct buf *out, struct error *err)
{
	struct buf again;
	bool same;

	if (isatty(STDIN_FILENO) != 1)
		return read_line(out)
		    ? RC_OK
		    : error_set(err, RC_INVALID,
			  "%s: a line of standard input is missing", prompt);
	if (!ask_terminal(prompt, out))
		return error_set(err, RC_INVALID, "nothing was typed");
	if (!twice)
		return RC_OK;
	buf_init(&again, SECRET_LINE);
	same = ask_terminal("once more", &again) &&
	    slice_eq(buf_slice(out), buf_slice(&again));
	buf_fini(&again);
	return same ? RC_OK
		    : error_set(err, RC_INVALID, "the two are not the same");
}

/* ---- requests ---------------------------------------------------------------------- */

void
body_text(struct json_writer *w, const char *name, const char *value)
{
	if (value == NULL)
		return;
	json_key(w, name);
	json_str(w, value);
}

void
target_path(struct buf *out, const char *before, const char *part,
    const char *after)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~@";

	(void)buf_add_str(out, before);
	for (; *part != '\0'; part++)
		if (strchr(plain, *part) != NULL)
			(void)buf_add_char(out, *part);
		else
			(void)buf_printf(out, "%%%02X", (unsigned char)*part);
	(void)buf_add_str(out, after);
	(void)buf_add_char(out, '\0');
}
