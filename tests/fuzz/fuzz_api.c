/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers and users send over HTTP, through evhttp and every handler: a
 * connection with these bytes, over the control socket (so that all routes may
 * be asked) of an API with a store.  The first byte cuts the rest in two parts.
 * It must be answered or closed, and the API must go on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/api/api.h"
#include "control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SILENCE_MS = 40, ANSWER_MS = 20000, ANSWER = 65536 };

static char dir[] = "/tmp/kuzet-fuzz-api-XXXXXX";
static char path[64];
static struct store *store;
static struct identities *identities;
static struct api *api;

static void
fill_status(void *ctx, struct api_status *out)
{
	(void)ctx;
	out->ready = true;
}

static void
fill_agent(void *ctx, struct slice owner, struct slice agent, api_agent_cb *cb,
    void *cb_ctx)
{
	const struct api_agent none = { .connected = false };

	(void)ctx;
	(void)owner;
	(void)agent;
	cb(cb_ctx, &none);
}

static void
clean_up(void)
{
	struct dirent *e;
	DIR *d;

	api_free(api);
	identities_close(identities);
	store_close(store);
	d = opendir(dir);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while (d != NULL && (e = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(dir);
}

static void
start(void)
{
	struct api_options options = { .control_path = path,
		.status = fill_status,
		.agent = fill_agent,
		.rate = 1e9,
		.session_idle_ns = INT64_C(1800000000000) };
	struct error err;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	if (store_open(dir, &store, &err) != RC_OK)
		abort();
	options.store = store;
	if (identities_open(store, &identities, &err) != RC_OK)
		abort();
	options.identities = identities;
	if (api_start(&options, &api, &err) != RC_OK)
		abort();
	(void)atexit(clean_up);
}

static int
open_to_api(void)
{
	struct error err;
	int fd = -1;

	if (control_connect(path, &fd, &err) != RC_OK)
		abort();
	return fd;
}

static void
say(int fd, const uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		size -= (size_t)n;
	}
}

/* All that comes, until it is silent or closed.  libFuzzer has an alarm. */
static size_t
hear(int fd, char out[ANSWER], int silence_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	while (len < ANSWER - 1) {
		int ready = poll(&p, 1, silence_ms);
		ssize_t n;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			break;
		n = read(fd, out + len, ANSWER - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
	return len;
}

/* Somebody else's request is answered as ever. */
static void
must_live(void)
{
	static const char request[] =
	    "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	static char answer[ANSWER];
	int fd = open_to_api();

	say(fd, (const uint8_t *)request, sizeof(request) - 1);
	(void)hear(fd, answer, ANSWER_MS);
	if (strstr(answer, "{\"status\":\"ok\"}") == NULL &&
	    strstr(answer, " 503 ") == NULL)
		abort();
	(void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char answer[ANSWER];
	size_t first;
	int fd;

	if (api == NULL)
		start();
	if (size < 2)
		return 0;
	fd = open_to_api();
	first = (size - 1) * data[0] / 256;
	say(fd, data + 1, first);
	say(fd, data + 1 + first, size - 1 - first);
	(void)shutdown(fd, SHUT_WR);
	if (hear(fd, answer, SILENCE_MS) > 0 &&
	    strncmp(answer, "HTTP/", 5) != 0 &&
	    strncmp(answer, "<HTML>", 6) != 0)
		abort();
	(void)close(fd);
	must_live();
	return 0;
}
