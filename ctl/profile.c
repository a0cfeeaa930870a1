/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "xalloc.h"

enum { PATH_BYTES = 4096, CA_MAX = 1 << 20 };

#define AT(member) offsetof(struct profile, member)

static const struct conf_option options[] = {
	{ .key = "server",
	    .type = CONF_ADDRESS,
	    .offset = AT(server),
	    .required = true,
	    .help = "HOST:PORT of the collector's API" },
	{ .key = "ca",
	    .type = CONF_PATH,
	    .offset = AT(ca),
	    .required = true,
	    .help = "PEM file of the authority that is believed" },
	{ .key = "user",
	    .type = CONF_STRING,
	    .offset = AT(user),
	    .help = "who is logged in" },
	{ .key = "token",
	    .type = CONF_STRING,
	    .offset = AT(token),
	    .help = "of the session" },
	{ .key = "certificate",
	    .type = CONF_PATH,
	    .offset = AT(certificate),
	    .help = "PEM file of a client certificate" },
	{ .key = "key",
	    .type = CONF_PATH,
	    .offset = AT(key),
	    .help = "PEM file of its key" },
	{ .key = NULL },
};

static const char no_place[] =
    "neither XDG_CONFIG_HOME nor HOME is set: there is no place for profiles";

static const char *
env(const char *name)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool
folder(char out[PATH_BYTES])
{
	const char *base = env("XDG_CONFIG_HOME");
	const char *home = env("HOME");
	int n;

	if (base == NULL && home == NULL)
		return false;
	n = base != NULL ? snprintf(out, PATH_BYTES, "%s/kuzet", base)
			 : snprintf(out, PATH_BYTES, "%s/.config/kuzet", home);
	return n > 0 && n < PATH_BYTES - 80;
}

static bool
good_name(const char *name)
{
	size_t n = strspn(name,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_-");

	return n > 0 && n <= 32 && name[n] == '\0';
}

static enum rc
path_of(const char *name, const char *suffix, char out[PATH_BYTES],
    struct error *err)
{
	if (!good_name(name))
		return error_set(err, RC_INVALID,
		    "a profile's name has 1 to 32 letters, digits, _ and -");
	if (!folder(out))
		return error_set(err, RC_INVALID, "%s", no_place);
	(void)snprintf(out + strlen(out), PATH_BYTES - strlen(out), "/%s%s",
	    name, suffix);
	return RC_OK;
}

const char *
profile_chosen(const struct global_options *global)
{
	char path[PATH_BYTES];
	struct error err;

	if (global->profile != NULL)
		return global->profile;
	if (global->socket != NULL || global->config != NULL)
		return NULL;
	if (env("KUZET_PROFILE") != NULL)
		return env("KUZET_PROFILE");
	return path_of("default", ".yaml", path, &err) == RC_OK &&
		access(path, F_OK) == 0
	    ? "default"
	    : NULL;
}

enum rc
profile_load(const char *name, struct profile *out, struct error *err)
{
	char path[PATH_BYTES];
	struct stat st;

	*out = (struct profile){ .server = NULL };
	if (path_of(name, ".yaml", path, err) != RC_OK)
		return err->code;
	if (stat(path, &st) != 0)
		return errno == ENOENT
		    ? error_set(err, RC_INVALID,
			  "there is no profile \"%s\": kuzetctl login makes it",
			  name)
		    : error_set_errno(err, errno, "%s", path);
	if ((st.st_mode & 077) != 0)
		return error_set(err, RC_INVALID,
		    "%s: others may read this token: chmod 600 %s", path, path);
	return conf_load(path, options, out, err);
}

static char *
copy_of(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

void
profile_copy(const struct profile *from, struct profile *out)
{
	*out = (struct profile){
		.server = copy_of(from->server),
		.ca = copy_of(from->ca),
		.user = copy_of(from->user),
		.token = copy_of(from->token),
		.certificate = copy_of(from->certificate),
		.key = copy_of(from->key),
	};
}

bool
profile_exists(const char *name)
{
	char path[PATH_BYTES];
	struct error err;

	return path_of(name, ".yaml", path, &err) == RC_OK &&
	    access(path, F_OK) == 0;
}

enum rc
profile_remove(const char *name, struct error *err)
{
	char path[PATH_BYTES], ca[PATH_BYTES];

	if (path_of(name, ".yaml", path, err) != RC_OK ||
	    path_of(name, "-ca.pem", ca, err) != RC_OK)
		return err->code;
	if (unlink(path) != 0)
		return errno == ENOENT
		    ? error_set(err, RC_EOF, "there is no profile \"%s\"", name)
		    : error_set_errno(err, errno, "%s", path);
	(void)unlink(ca);
	return RC_OK;
}

enum rc
profile_list(profile_cb *cb, void *ctx, struct error *err)
{
	static const char suffix[] = ".yaml";
	char dir[PATH_BYTES];
	struct dirent **list;
	int n;

	if (!folder(dir))
		return error_set(err, RC_INVALID, "%s", no_place);
	n = scandir(dir, &list, NULL, alphasort);
	if (n < 0)
		return errno == ENOENT ? RC_OK
				       : error_set_errno(err, errno, "%s", dir);
	for (int i = 0; i < n; i++) {
		char *name = list[i]->d_name;
		size_t len = strlen(name);

		if (len >= sizeof(suffix) &&
		    strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0) {
			name[len - (sizeof(suffix) - 1)] = '\0';
			if (good_name(name))
				cb(ctx, name);
		}
		free(list[i]);
	}
	free(list);
	return RC_OK;
}

void
profile_free(struct profile *p)
{
	conf_free(options, p);
}

/* Whole or not at all, never readable by others. */
static enum rc
write_file(const char *path, struct slice bytes, struct error *err)
{
	char part[PATH_BYTES + 8];
	int fd;
	bool good;

	(void)snprintf(part, sizeof(part), "%s.part", path);
	(void)unlink(part);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "%s", part);
	good = write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len &&
	    fsync(fd) == 0;
	if (close(fd) != 0 || !good || rename(part, path) != 0)
		return error_set_errno(err, errno, "%s", path);
	return RC_OK;
}

static enum rc
copy_ca(const char *from, const char *to, struct error *err)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	char *bytes;
	ssize_t n;
	enum rc rc;

	if (fd < 0)
		return error_set_errno(err, errno, "%s", from);
	bytes = xzalloc(CA_MAX);
	n = read(fd, bytes, CA_MAX);
	rc = n > 0 && n < CA_MAX
	    ? write_file(to, (struct slice){ bytes, (size_t)n }, err)
	    : error_set(err, RC_INVALID, "%s: no certificate", from);
	(void)close(fd);
	free(bytes);
	return rc;
}

/* 'single quoted' YAML. */
static void
put(struct buf *out, const char *key, const char *value)
{
	if (value == NULL)
		return;
	(void)buf_printf(out, "%s: '", key);
	for (; *value != '\0'; value++) {
		if (*value == '\'')
			(void)buf_add_char(out, '\'');
		(void)buf_add_char(out, *value);
	}
	(void)buf_add_str(out, "'\n");
}

/* Paths that hold from wherever the profile is read. */
static void
make_absolute(char **path)
{
	char full[PATH_BYTES];

	if (*path == NULL || realpath(*path, full) == NULL)
		return;
	free(*path);
	*path = xstrdup(full);
}

enum rc
profile_save(const char *name, struct profile *p, struct error *err)
{
	char path[PATH_BYTES], ca[PATH_BYTES], dir[PATH_BYTES];
	struct buf text;
	enum rc rc;

	if (path_of(name, ".yaml", path, err) != RC_OK ||
	    path_of(name, "-ca.pem", ca, err) != RC_OK || !folder(dir))
		return err->code;
	*strrchr(dir, '/') = '\0';
	(void)mkdir(dir, 0700);
	(void)folder(dir);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make %s", dir);
	if (strcmp(p->ca, ca) != 0 && copy_ca(p->ca, ca, err) != RC_OK)
		return err->code;
	free(p->ca);
	p->ca = xstrdup(ca);
	make_absolute(&p->certificate);
	make_absolute(&p->key);
	buf_init(&text, CA_MAX);
	put(&text, "server", p->server);
	put(&text, "ca", p->ca);
	put(&text, "user", p->user);
	put(&text, "token", p->token);
	put(&text, "certificate", p->certificate);
	put(&text, "key", p->key);
	rc = write_file(path, buf_slice(&text), err);
	buf_fini(&text);
	return rc;
}
