/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "conf.h"
#include "control.h"
#include "loop.h"
#include "profile.h"
#include "tls_stream.h"
#include "xalloc.h"

enum { SILENCE_SECONDS = 300, CONNECT_SECONDS = 20, PATH_BYTES = 4096 };

struct connection {
	int fd; /* of the control socket; -1: none */
	struct tls_context *context;
	struct tls_stream *tls; /* NULL: the control socket */
	struct profile profile;
	char host[ADDRESS_TEXT];
};

/* The `control` key of a collector.yaml; *path is the caller's. */
static enum rc
path_from_config(const char *config, char **path, struct error *err)
{
	struct yaml_file *yaml = NULL;
	const struct yaml_node *root, *control;
	const char *slash = strrchr(config, '/');
	struct buf joined;

	if (yaml_load(config, &yaml, err) != RC_OK)
		return err->code = RC_INVALID;
	root = yaml_documents(yaml) > 0 ? yaml_root(yaml, 0) : NULL;
	control = root != NULL && root->kind == YAML_MAPPING
	    ? yaml_get(root, "control")
	    : NULL;
	if (control == NULL || control->kind != YAML_SCALAR ||
	    control->text.len == 0) {
		yaml_file_free(yaml);
		return error_set(err, RC_INVALID,
		    "%s: no key `control` with the path of the socket", config);
	}
	buf_init(&joined, PATH_BYTES);
	if (control->text.ptr[0] != '/' && slash != NULL)
		(void)buf_add(&joined, config, (size_t)(slash + 1 - config));
	(void)buf_add_slice(&joined, control->text);
	*path = xmemdupz(joined.ptr, joined.len);
	buf_fini(&joined);
	yaml_file_free(yaml);
	return RC_OK;
}

static enum rc
open_socket(const struct global_options *global, struct connection *c,
    struct error *err)
{
	char *path = NULL;
	enum rc rc = RC_OK;

	if (global->socket != NULL)
		path = xstrdup(global->socket);
	else if (global->config != NULL)
		rc = path_from_config(global->config, &path, err);
	else
		path = xstrdup(CONTROL_DEFAULT_PATH);
	if (rc != RC_OK)
		return rc;
	(void)snprintf(c->host, sizeof(c->host), "kuzet");
	rc = control_connect(path, &c->fd, err);
	if (rc != RC_OK) {
		struct error why = *err;

		rc = error_set(err, RC_SYSTEM,
		    "cannot reach the collector at %s: %s; is it running? "
		    "use --socket or --config",
		    path, why.text);
	}
	free(path);
	return rc;
}

/* ---- HTTPS -------------------------------------------------------------------- */

/* The commonest mistakes, each with its remedy. */
static enum rc
refused_certificate(struct error *err)
{
	struct error why = *err;
	const char *remedy = "";

	if (strstr(why.text, "local issuer") != NULL ||
	    strstr(why.text, "self-signed") != NULL ||
	    strstr(why.text, "self signed") != NULL)
		remedy = "; another authority signed it than the one of --ca: "
			 "kuzetctl login --ca with the authority's file";
	else if (strstr(why.text, "mismatch") != NULL)
		remedy = "; --server must be a name or an address that the "
			 "certificate has";
	else if (strstr(why.text, "expired") != NULL ||
	    strstr(why.text, "not yet valid") != NULL)
		remedy = "; is the clock right here and there?";
	return error_set(err, why.code, "%s%s", why.text, remedy);
}

static enum rc
open_https(const char *name, const struct profile *given, struct connection *c,
    struct error *err)
{
	static const struct tls_stream_patience patience = { CONNECT_SECONDS,
		SILENCE_SECONDS };
	struct tls_files files;
	enum rc rc = RC_OK;

	if (given != NULL)
		profile_copy(given, &c->profile);
	else
		rc = profile_load(name, &c->profile, err);

	if (rc != RC_OK)
		return rc;
	files = (struct tls_files){ .ca = c->profile.ca,
		.certificate = c->profile.certificate,
		.key = c->profile.key };
	(void)snprintf(c->host, sizeof(c->host), "%s", c->profile.server);
	rc = tls_context_new(TLS_CLIENT, &files, true, &c->context, err);
	if (rc == RC_OK)
		rc = tls_stream_open(c->context, c->profile.server, &patience,
		    &c->tls, err);
	return rc == RC_DENIED && c->context != NULL ? refused_certificate(err)
						     : rc;
}

enum rc
connection_open(const struct global_options *global, struct connection **out,
    struct error *err)
{
	const char *profile = profile_chosen(global);
	struct connection *c = xzalloc(sizeof(*c));
	enum rc rc;

	c->fd = -1;
	rc = profile != NULL || global->given != NULL
	    ? open_https(profile, global->given, c, err)
	    : open_socket(global, c, err);
	if (rc != RC_OK) {
		connection_close(c);
		c = NULL;
	}
	*out = c;
	return rc;
}

void
connection_close(struct connection *c)
{
	if (c == NULL)
		return;
	tls_stream_close(c->tls);
	tls_context_free(c->context);
	profile_free(&c->profile);
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c);
}

const char *
connection_host(const struct connection *c)
{
	return c->host;
}

const char *
connection_token(const struct connection *c)
{
	return c->profile.token != NULL ? c->profile.token : "";
}

enum rc
connection_send(struct connection *c, struct slice bytes, struct error *err)
{
	enum rc rc = RC_OK;

	if (c->tls != NULL)
		return tls_stream_send(c->tls, bytes, err);
	while (bytes.len > 0 && rc == RC_OK) {
		ssize_t sent = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
		size_t n = sent > 0 ? (size_t)sent : 0;

		if (sent < 0 && errno != EINTR)
			rc = error_set_errno(err, errno,
			    "cannot ask the collector");
		bytes.ptr += n;
		bytes.len -= n;
	}
	return rc;
}

enum rc
connection_receive(struct connection *c, char *out, size_t room, size_t *n,
    struct error *err)
{
	ssize_t got;

	if (c->tls != NULL)
		return tls_stream_receive(c->tls, out, room, n, err);
	if (tls_stream_wait(c->fd, LOOP_READ, SILENCE_SECONDS, err) != RC_OK)
		return err->code;
	do
		got = read(c->fd, out, room);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return error_set_errno(err, errno,
		    "cannot read the collector's answer");
	*n = (size_t)got;
	return RC_OK;
}
