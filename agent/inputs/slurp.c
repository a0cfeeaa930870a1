/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/slurp.h"

#include <string.h>
#include <unistd.h>

enum { CHUNK = 65536 };

bool
slurp(struct opener *o, const char *path, struct buf *out)
{
	struct opener_stat st;
	struct error err;
	ssize_t n = 1;
	char *room;
	int fd;

	buf_clear(out);
	if (opener_open(o, path, &fd, &st, &err) != RC_OK)
		return false;
	while (n > 0) {
		room = buf_reserve(out, CHUNK);
		n = room == NULL ? -1 : read(fd, room, CHUNK);
		out->len += n > 0 ? (size_t)n : 0;
	}
	(void)close(fd);
	return n == 0;
}

bool
slurp_field(struct slice *rest, char by, struct slice *field)
{
	const char *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->ptr, by, rest->len);
	field->ptr = rest->ptr;
	field->len = end == NULL ? rest->len : (size_t)(end - rest->ptr);
	rest->len -= field->len + (end != NULL);
	rest->ptr += field->len + (end != NULL);
	return true;
}

bool
slurp_line(struct slice *rest, struct slice *line)
{
	return slurp_field(rest, '\n', line);
}

bool
slurp_word(struct slice *rest, struct slice *word)
{
	while (rest->len > 0 && (*rest->ptr == ' ' || *rest->ptr == '\t')) {
		rest->ptr++;
		rest->len--;
	}
	*word = (struct slice){ rest->ptr, 0 };
	while (rest->len > 0 && *rest->ptr != ' ' && *rest->ptr != '\t') {
		rest->ptr++;
		rest->len--;
		word->len++;
	}
	return word->len > 0;
}
