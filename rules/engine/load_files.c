/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders -> parsed rules. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lint.h"
#include "parse.h"
#include "ruleset.h"
#include "utf8.h"
#include "xalloc.h"

enum { FOLDER_DEPTH = 16, FILES_MAX = 65536 };

static bool
is_rule_file(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL && dot != name && name[0] != '.' &&
	    (strcmp(dot, ".yml") == 0 || strcmp(dot, ".yaml") == 0);
}

static void
add_file(struct loader *l, const char *path)
{
	if (l->n_files == l->cap_files) {
		l->cap_files = l->cap_files == 0 ? 64 : 2 * l->cap_files;
		l->files =
		    xreallocarray(l->files, l->cap_files, sizeof(l->files[0]));
	}
	l->files[l->n_files++] = xstrdup(path);
}

static struct loading_rule *
new_rule(struct loader *l, const char *file)
{
	struct loading_rule *r = arena_alloc(l->syntax, sizeof(*r));

	*r = (struct loading_rule){ .rule = { .file = file, .line = 1 } };
	return r;
}

/* A folder, and those it is in. */
struct folder {
	const struct folder *in; /* NULL: one of the paths to load */
	const char *path;
	dev_t device;
	ino_t inode;
	unsigned depth;
};

static enum rc add_folder(struct loader *l, const struct folder *in,
    const char *path, const struct stat *st, struct error *err);

/* What cannot be read is refused by name; the others load. */
static void
refuse_path(struct loader *l, const char *path, const char *why)
{
	const char *file =
	    arena_copy(l->set->arena, (struct slice){ path, strlen(path) + 1 })
		.ptr;

	loader_report(l, new_rule(l, file), 1, RULE_ERROR, why);
	l->set->refused++;
}

/* A link that leads nowhere, or a folder that may not be looked into; what was
 * removed since the folder was read is none. */
static void
refuse_unknown(struct loader *l, const char *path, const char *name)
{
	struct error err;
	struct stat st;
	int code = errno;

	if (lstat(path, &st) != 0 && errno == ENOENT)
		return;
	if (!is_rule_file(name) && code != EACCES)
		return;
	if (code == ENOENT)
		(void)error_set(&err, RC_INVALID,
		    "the link leads nowhere: mend or remove it");
	else
		(void)error_set_errno(&err, code, "not readable");
	refuse_path(l, path, err.text);
}

static enum rc
add_entry(struct loader *l, const struct folder *in, const char *name,
    struct error *err)
{
	char path[PATH_MAX];
	struct stat st;
	int len = snprintf(path, sizeof(path), "%s/%s", in->path, name);

	if (len < 0 || (size_t)len >= sizeof(path) || name[0] == '.')
		return RC_OK;
	if (stat(path, &st) != 0) {
		refuse_unknown(l, path, name);
		return RC_OK;
	}
	if (S_ISDIR(st.st_mode)) {
		struct error why;
		enum rc rc = add_folder(l, in, path, &st, &why);

		if (rc == RC_LIMIT)
			return error_set(err, rc, "%s", why.text);
		if (rc != RC_OK)
			refuse_path(l, path, why.text);
		return RC_OK;
	}
	if (!S_ISREG(st.st_mode) || !is_rule_file(name))
		return RC_OK;
	if (l->n_files == FILES_MAX)
		return error_set(err, RC_LIMIT,
		    "more than %d rule files below it: load fewer", FILES_MAX);
	add_file(l, path);
	return RC_OK;
}

static enum rc
add_folder(struct loader *l, const struct folder *in, const char *path,
    const struct stat *st, struct error *err)
{
	const struct folder self = { .in = in,
		.path = path,
		.device = st->st_dev,
		.inode = st->st_ino,
		.depth = in != NULL ? in->depth + 1 : 0 };
	struct dirent **list = NULL;
	enum rc rc = RC_OK;
	int n;

	for (; in != NULL; in = in->in)
		if (in->device == self.device && in->inode == self.inode)
			return error_set(err, RC_INVALID,
			    "the link leads back to %s: remove it", in->path);
	if (self.depth > FOLDER_DEPTH)
		return error_set(err, RC_INVALID,
		    "folders are nested deeper than %d: its rules are not read",
		    FOLDER_DEPTH);
	n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		return error_set_errno(err, errno,
		    "the folder is not readable");
	for (int i = 0; i < n; i++) {
		if (rc == RC_OK)
			rc = add_entry(l, &self, list[i]->d_name, err);
		free(list[i]);
	}
	free(list);
	return rc;
}

/* ---- a file ------------------------------------------------------------ */

static void
on_warning(void *ctx, unsigned line, const char *message)
{
	struct loader *l = ctx;

	loader_report(l, l->current, line, RULE_WARNING, message);
}

/* It is refused by name without being read. */
static void
skip_document(struct loader *l, struct loading_rule *r,
    const struct yaml_node *root)
{
	static const char *const names[] = { "id", "title" };
	const struct yaml_node *name = NULL;

	for (size_t i = 0; name == NULL && root->kind == YAML_MAPPING && i < 2;
	     i++)
		name = yaml_get(root, names[i]);
	if (name != NULL && name->kind == YAML_SCALAR && utf8_valid(name->text))
		r->rule.title = arena_copy(l->syntax, name->text);
	loader_refuse(l, r, root->line,
	    "not read: the rules before it cost all that one load may take; "
	    "load fewer rules, or mend those that are refused");
}

static void
read_document(struct loader *l, const char *file, const struct yaml_node *root)
{
	struct loading_rule *r = new_rule(l, file);
	struct rule_parser p = {
		.arena = l->syntax,
		.placeholders = l->options->placeholders != NULL
		    ? l->options->placeholders
		    : taxonomy_placeholders(l->taxonomy),
		.on_warning = l->options->lint ? on_warning : NULL,
		.ctx = l,
	};
	bool good;

	l->current = r;
	if (!loader_may_read(l)) {
		skip_document(l, r, root);
		return;
	}
	good = parse_rule(&p, root, &r->rule);
	loader_count_read(l, p.n_matches);
	if (!good) {
		loader_report(l, r, p.line, RULE_ERROR, p.message);
		l->set->refused++;
		return;
	}
	if (l->options->lint)
		lint_rule(&p, l->taxonomy, &r->rule);
	if (l->n == RULES_MAX) {
		loader_refuse(l, r, 0, "more than %d rules", RULES_MAX);
		return;
	}
	loader_count_rule(l, r);
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : 2 * l->cap;
		l->rules = xreallocarray(l->rules, l->cap, sizeof(void *));
	}
	l->rules[l->n++] = r;
}

/* "FILE:LINE: what" -> what, and the line. */
static const char *
split_message(const char *file, const char *message, unsigned *line)
{
	size_t n = strlen(file);
	char *end;
	unsigned long number;

	*line = 1;
	if (strncmp(message, file, n) != 0 || message[n] != ':')
		return message;
	number = strtoul(message + n + 1, &end, 10);
	if (end == message + n + 1)
		return message + n + 1 + strspn(message + n + 1, " ");
	*line = (unsigned)number;
	return end + strspn(end, ": ");
}

static void
read_file(struct loader *l, const char *path)
{
	struct yaml_file *yaml = NULL;
	struct error err;
	const char *file =
	    arena_copy(l->set->arena, (struct slice){ path, strlen(path) + 1 })
		.ptr;
	size_t n = 0;

	if (yaml_load(path, &yaml, &err) != RC_OK) {
		struct loading_rule *r = new_rule(l, file);
		unsigned line;
		const char *what = split_message(path, err.text, &line);

		loader_report(l, r, line, RULE_ERROR, what);
		l->set->refused++;
		return;
	}
	for (size_t i = 0; i < yaml_documents(yaml); i++) {
		if (yaml_root(yaml, i) == NULL)
			continue;
		n++;
		read_document(l, file, yaml_root(yaml, i));
	}
	if (n == 0)
		loader_report(l, new_rule(l, file), 1, RULE_WARNING,
		    "the file is empty");
	yaml_free(yaml);
}

enum rc
loader_read(struct loader *l, struct error *err)
{
	uint32_t readable = 0;
	struct error first = { .code = RC_OK };

	for (size_t i = 0; i < l->options->n_paths; i++) {
		const char *path = l->options->paths[i];
		struct stat st;
		enum rc rc = RC_OK;

		if (stat(path, &st) != 0)
			rc = error_set_errno(err, errno, "not readable");
		else if (S_ISDIR(st.st_mode))
			rc = add_folder(l, NULL, path, &st, err);
		else
			add_file(l, path);
		if (rc == RC_OK) {
			readable++;
			continue;
		}
		refuse_path(l, path, err->text);
		(void)error_prefix(err, "%s", path);
		if (first.code == RC_OK)
			first = *err;
	}
	if (readable == 0 && l->options->n_paths > 0) {
		*err = first;
		return err->code;
	}
	for (uint32_t i = 0; i < l->n_files; i++)
		read_file(l, l->files[i]);
	return RC_OK;
}
