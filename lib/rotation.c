/* SPDX-License-Identifier: Apache-2.0 */
#include "rotation.h"

#include <stdio.h>
#include <string.h>

static const char *const rotation_words[] = { "gz", "old", "bak", "prev", "log",
	"orig", "save", "rotated", "copy" };

static bool
rotation_token(const char *s, size_t len)
{
	size_t digits = strspn(s, "0123456789");

	if (len == 0 || digits >= len)
		return true;
	/* 20261122T010203Z */
	if (digits == 8 && s[8] == 'T' && len <= 17)
		return true;
	for (size_t i = 0; i < sizeof(rotation_words) / sizeof(char *); i++) {
		if (strlen(rotation_words[i]) == len &&
		    strncmp(rotation_words[i], s, len) == 0)
			return true;
	}
	return false;
}

static bool
rotation_suffix(const char *s, const char *end)
{
	static const char separators[] = ".-_~";

	if (s >= end || strchr(separators, *s) == NULL)
		return false;
	while (s < end) {
		size_t len = strcspn(s, separators);

		if (len > (size_t)(end - s))
			len = (size_t)(end - s);
		if (!rotation_token(s, len))
			return false;
		s += len + 1;
	}
	return true;
}

bool
rotation_name(const char *base, const char *name)
{
	size_t base_len = strlen(base), name_len = strlen(name);
	const char *dot = strrchr(base, '.');
	size_t stem, ext;

	if (name_len <= base_len)
		return false;
	if (strncmp(base, name, base_len) == 0 &&
	    rotation_suffix(name + base_len, name + name_len))
		return true;
	if (dot == NULL || dot == base)
		return false;
	stem = (size_t)(dot - base);
	ext = base_len - stem;
	if (name_len > 3 && strcmp(name + name_len - 3, ".gz") == 0)
		name_len -= 3;
	return name_len > base_len && strncmp(base, name, stem) == 0 &&
	    strncmp(name + name_len - ext, dot, ext) == 0 &&
	    rotation_suffix(name + stem, name + name_len - ext);
}

/* Takes away what rotations added to the end of the first `len` bytes. */
static size_t
strip_tokens(const char *name, size_t len)
{
	for (size_t at = len; at > 1; at--) {
		const char *token = name + at;

		if (strchr(".-_~", name[at - 1]) == NULL)
			continue;
		if ((len - at == 3 && strncmp(token, "log", 3) == 0) ||
		    !rotation_token(token, len - at))
			break;
		len = at - 1;
	}
	return len;
}

void
rotation_family(const char *name, char out[256])
{
	size_t len = strip_tokens(name, strnlen(name, 255));
	size_t ext = len;

	while (ext > 1 && name[ext - 1] != '.')
		ext--;
	ext = ext > 1 ? ext - 1 : len;
	(void)snprintf(out, 256, "%.*s%.*s", (int)strip_tokens(name, ext), name,
	    (int)(len - ext), name + ext);
}
