/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_who.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first line of /proc/PID/NAME. */
static bool
first_line(int32_t pid, const char *name, char *out, size_t room)
{
	char path[64];
	FILE *f;
	bool got;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	got = fgets(out, (int)room, f) != NULL;
	(void)fclose(f);
	if (got)
		out[strcspn(out, "\n")] = '\0';
	return got;
}

static uint32_t
real_uid(int32_t pid)
{
	char path[64], line[256];
	unsigned long uid = UINT32_MAX;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return UINT32_MAX;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Uid:", 4) == 0)
			uid = strtoul(line + 4, NULL, 10);
	}
	(void)fclose(f);
	return (uint32_t)uid;
}

void
fim_who_is(int32_t pid, struct fim_who *out)
{
	char path[64], text[32];
	ssize_t n;

	*out = (struct fim_who){ .known = true,
		.pid = pid,
		.uid = UINT32_MAX,
		.login_uid = UINT32_MAX };
	if (!first_line(pid, "comm", out->name, sizeof(out->name)))
		return;
	out->uid = real_uid(pid);
	if (first_line(pid, "loginuid", text, sizeof(text)))
		out->login_uid = (uint32_t)strtoul(text, NULL, 10);
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, out->executable, sizeof(out->executable) - 1);
	out->executable[n > 0 ? n : 0] = '\0';
}
