/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_who.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/roles/opener.h"

/* The beginning of /proc/PID/NAME as text. */
static bool
read_text(struct opener *o, int32_t pid, const char *name, char *out,
    size_t room)
{
	char path[64];
	struct opener_stat st;
	struct error err;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if (opener_open(o, path, &fd, &st, &err) != RC_OK)
		return false;
	n = read(fd, out, room - 1);
	(void)close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* The first line. */
static bool
first_line(struct opener *o, int32_t pid, const char *name, char *out,
    size_t room)
{
	bool got = read_text(o, pid, name, out, room);

	if (got)
		out[strcspn(out, "\n")] = '\0';
	else
		out[0] = '\0';
	return got;
}

static uint32_t
real_uid(struct opener *o, int32_t pid)
{
	char text[2048]; /* it is among the first lines */
	const char *at;

	if (!read_text(o, pid, "status", text, sizeof(text)))
		return UINT32_MAX;
	at = strstr(text, "\nUid:");
	return at == NULL ? UINT32_MAX : (uint32_t)strtoul(at + 5, NULL, 10);
}

void
fim_who_is(struct opener *o, int32_t pid, struct fim_who *out)
{
	char path[64], text[32];
	ssize_t n;

	*out = (struct fim_who){ .known = true,
		.pid = pid,
		.uid = UINT32_MAX,
		.login_uid = UINT32_MAX };
	if (!first_line(o, pid, "comm", out->name, sizeof(out->name)))
		return;
	out->uid = real_uid(o, pid);
	if (first_line(o, pid, "loginuid", text, sizeof(text)))
		out->login_uid = (uint32_t)strtoul(text, NULL, 10);
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, out->executable, sizeof(out->executable) - 1);
	out->executable[n > 0 ? n : 0] = '\0';
}
