/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones: TZif files (RFC 8536) with the POSIX TZ string of their footer
 * (section 3.3; its syntax: POSIX.1-2017, 8.3, "TZ", with the extension of
 * hours to -167..167), and fixed offsets.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "timestamp.h"
#include "timestamp_scan.h"
#include "timezone_rule.h"
#include "xalloc.h"

enum {
	HEADER_BYTES = 44,
	FILE_BYTES_MAX = 256 * 1024,
	TRANSITIONS_MAX = 20000,
	TYPES_MAX = 256,
	TYPE_BYTES = 6,
	OFFSET_MAX = 86400, /* seconds: timestamp_from_civil() counts on it */
};

/*
 * Before the first transition `first` counts, between two the type of the
 * earlier one, after the last the footer's rule, if there is one.
 */
struct timezone_info {
	int64_t *times; /* n, seconds, ascending */
	int32_t *offsets;
	size_t n;
	int32_t first;
	bool has_rule;
	struct timezone_rule rule;
};

struct header {
	unsigned char version;
	uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static uint32_t
be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 |
	    (uint32_t)u[2] << 8 | u[3];
}

static int64_t
be64(const char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static bool
read_header(struct slice s, struct header *h)
{
	const char *p = s.ptr;

	if (s.len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
		return false;
	h->version = (unsigned char)p[4];
	h->isutcnt = be32(p + 20);
	h->isstdcnt = be32(p + 24);
	h->leapcnt = be32(p + 28);
	h->timecnt = be32(p + 32);
	h->typecnt = be32(p + 36);
	h->charcnt = be32(p + 40);
	return h->isutcnt <= TYPES_MAX && h->isstdcnt <= TYPES_MAX &&
	    h->leapcnt <= TRANSITIONS_MAX && h->timecnt <= TRANSITIONS_MAX &&
	    h->typecnt >= 1 && h->typecnt <= TYPES_MAX &&
	    h->charcnt <= FILE_BYTES_MAX;
}

/* Bytes of a data block whose times have `width` bytes. */
static size_t
block_bytes(const struct header *h, size_t width)
{
	return h->timecnt * width + h->timecnt +
	    (size_t)h->typecnt * TYPE_BYTES + h->charcnt +
	    h->leapcnt * (width + 4) + h->isstdcnt + h->isutcnt;
}

static bool
type_offset(const char *types, uint32_t n, uint32_t index, int32_t *offset)
{
	if (index >= n)
		return false;
	*offset = (int32_t)be32(types + (size_t)index * TYPE_BYTES);
	return *offset >= -OFFSET_MAX && *offset <= OFFSET_MAX;
}

static bool
read_block(struct timezone_info *tz, struct slice s, const struct header *h,
    size_t width)
{
	const char *times = s.ptr;
	const char *indices = times + h->timecnt * width;
	const char *types = indices + h->timecnt;

	tz->n = h->timecnt;
	tz->times = xcalloc(tz->n + 1, sizeof(tz->times[0]));
	tz->offsets = xcalloc(tz->n + 1, sizeof(tz->offsets[0]));
	if (!type_offset(types, h->typecnt, 0, &tz->first))
		return false;
	for (size_t i = 0; i < tz->n; i++) {
		const char *p = times + i * width;

		tz->times[i] = width == 8 ? be64(p) : (int32_t)be32(p);
		if (i > 0 && tz->times[i] <= tz->times[i - 1])
			return false;
		if (!type_offset(types, h->typecnt, (unsigned char)indices[i],
			&tz->offsets[i]))
			return false;
	}
	return true;
}

/* "\n" TZ string "\n"; an empty one says nothing. */
static bool
read_footer(struct timezone_info *tz, struct slice s)
{
	const char *end;
	struct slice text;

	if (s.len < 2 || s.ptr[0] != '\n')
		return false;
	end = memchr(s.ptr + 1, '\n', s.len - 1);
	if (end == NULL)
		return false;
	text = (struct slice){ s.ptr + 1, (size_t)(end - s.ptr - 1) };
	if (text.len == 0)
		return true;
	tz->has_rule = timezone_rule_parse(text, &tz->rule);
	return tz->has_rule;
}

static bool
read_file(struct timezone_info *tz, struct slice s)
{
	struct header h;
	size_t size;

	if (!read_header(s, &h))
		return false;
	s.ptr += HEADER_BYTES;
	s.len -= HEADER_BYTES;
	size = block_bytes(&h, 4);
	if (size > s.len)
		return false;
	if (h.version < '2')
		return read_block(tz, s, &h, 4);
	s.ptr += size;
	s.len -= size;
	if (!read_header(s, &h))
		return false;
	s.ptr += HEADER_BYTES;
	s.len -= HEADER_BYTES;
	size = block_bytes(&h, 8);
	if (size > s.len || !read_block(tz, s, &h, 8))
		return false;
	return read_footer(tz, (struct slice){ s.ptr + size, s.len - size });
}

enum rc
timezone_parse(struct slice tzif, struct timezone_info **out, struct error *err)
{
	struct timezone_info *tz = xzalloc(sizeof(*tz));

	if (!read_file(tz, tzif)) {
		timezone_close(tz);
		return error_set(err, RC_INVALID,
		    "no time zone file (TZif, RFC 8536)");
	}
	*out = tz;
	return RC_OK;
}

static enum rc
load(const char *path, struct timezone_info **out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *bytes = NULL;
	size_t len = 0;
	ssize_t n = 0;
	enum rc rc;

	if (fd < 0)
		return error_set_errno(err, errno, "%s", path);
	bytes = xzalloc(FILE_BYTES_MAX);
	while (len < FILE_BYTES_MAX &&
	    (n = read(fd, bytes + len, FILE_BYTES_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		rc = error_set_errno(err, errno, "%s", path);
	else if (timezone_parse((struct slice){ bytes, len }, out, err) ==
	    RC_OK)
		rc = RC_OK;
	else
		rc = error_prefix(err, "%s", path);
	free(bytes);
	(void)close(fd);
	return rc;
}

/* Names are made of A-Z a-z 0-9 _ + - / and a dot that is no path's "..". */
static bool
is_zone_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 255 || name[0] == '/' || name[0] == '.')
		return false;
	if (strstr(name, "..") != NULL)
		return false;
	return strspn(name,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789_+-/.") == len;
}

static struct timezone_info *
fixed(int32_t offset)
{
	struct timezone_info *tz = xzalloc(sizeof(*tz));

	tz->first = offset;
	return tz;
}

enum rc
timezone_open(const char *name, struct timezone_info **out, struct error *err)
{
	struct stamp s = { name, name + strlen(name) };
	const char *dir = secure_getenv("TZDIR");
	char path[1024];
	int32_t offset;

	if (strcmp(name, "UTC") == 0) {
		*out = fixed(0);
		return RC_OK;
	}
	if (stamp_zone(&s, &offset) && s.at == s.end) {
		*out = fixed(offset);
		return RC_OK;
	}
	if (strcmp(name, "local") == 0) {
		/* without the file, the system's zone is UTC: localtime(5) */
		if (access("/etc/localtime", F_OK) == 0)
			return load("/etc/localtime", out, err);
		*out = fixed(0);
		return RC_OK;
	}
	if (is_zone_name(name)) {
		int n = snprintf(path, sizeof(path), "%s/%s",
		    dir != NULL ? dir : "/usr/share/zoneinfo", name);

		if (n > 0 && (size_t)n < sizeof(path) &&
		    load(path, out, err) == RC_OK)
			return RC_OK;
	} else {
		(void)error_set(err, RC_INVALID, "not a zone's name");
	}
	err->code = RC_INVALID;
	return error_prefix(err,
	    "no time zone \"%.64s\" (write Asia/Almaty, UTC, local or +05:00; "
	    "names need the package tzdata)",
	    name);
}

void
timezone_close(struct timezone_info *tz)
{
	if (tz == NULL)
		return;
	free(tz->times);
	free(tz->offsets);
	free(tz);
}

int32_t
timezone_offset(const struct timezone_info *tz, int64_t time_ns)
{
	int64_t seconds = time_ns / NS_PER_SEC - (time_ns % NS_PER_SEC < 0);
	size_t low = 0, high = tz->n;

	if (tz->n == 0 || seconds >= tz->times[tz->n - 1]) {
		if (tz->has_rule)
			return timezone_rule_offset(&tz->rule, seconds);
		return tz->n == 0 ? tz->first : tz->offsets[tz->n - 1];
	}
	if (seconds < tz->times[0])
		return tz->first;
	/* times[low] <= seconds < times[high] */
	high--;
	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (tz->times[mid] <= seconds)
			low = mid;
		else
			high = mid;
	}
	return tz->offsets[low];
}
