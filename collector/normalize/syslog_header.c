/* SPDX-License-Identifier: Apache-2.0 */
#include "syslog_header.h"

#include "syslog_scan.h"

enum {
	TAG_MAX = 128,
	HOST_MAX = 255,
	STAMP_MIN = 15,           /* "Nov 22 01:02:03" */
	SAME_NOW_NS = 1000000000, /* see cached_rfc3164() */
};

/* "<38>", RFC 3164 section 4.1.1: 0 to 191. */
static size_t
read_priority(struct slice s, int *priority)
{
	int value = 0;
	size_t i = 1;

	if (s.len < 3 || s.ptr[0] != '<')
		return 0;
	for (; i < s.len && i < 4 && is_digit(s.ptr[i]); i++)
		value = value * 10 + (s.ptr[i] - '0');
	if (i == 1 || i == s.len || s.ptr[i] != '>' || value > 191)
		return 0;
	*priority = value;
	return i + 1;
}

static struct slice
nil(struct slice s)
{
	return s.len == 1 && s.ptr[0] == '-' ? (struct slice){ NULL, 0 } : s;
}

/*
 * Whether "[" is the first byte of the message after all, as Check Point writes
 * it: an SD-ID has no '=' and no quote (RFC 5424 section 6.3.2).
 */
static bool
is_no_element(struct slice s)
{
	for (size_t i = 1; i < s.len && s.ptr[i] != ' ' && s.ptr[i] != ']'; i++)
		if (s.ptr[i] == '"' || s.ptr[i] == '=')
			return true;
	return false;
}

static bool
read_structured_data(struct slice *s, struct slice *out)
{
	size_t n = 0;

	if (s->len > 0 && s->ptr[0] == '-') {
		*s = skip(*s, 1);
		return s->len == 0 || s->ptr[0] == ' ';
	}
	if (s->len > 0 && s->ptr[0] == '[' && is_no_element(*s))
		return true;
	while (n < s->len && s->ptr[n] == '[') {
		size_t one = element_length(skip(*s, n));

		if (one == 0)
			return false;
		n += one;
	}
	if (n == 0 || (n < s->len && s->ptr[n] != ' '))
		return false;
	*out = (struct slice){ s->ptr, n };
	*s = skip(*s, n);
	return true;
}

/* "/usr/sbin/cron" -> cron; "sshd(pam_unix)" -> sshd; "[sshd]" -> sshd */
static struct slice
program_name(struct slice s)
{
	const char *open;

	if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
		s = (struct slice){ s.ptr + 1, s.len - 2 };
	if (s.len > 0 && s.ptr[s.len - 1] == ')') {
		open = memchr(s.ptr, '(', s.len);
		if (open != NULL && open > s.ptr)
			s.len = (size_t)(open - s.ptr);
	}
	if (s.len > 1 && s.ptr[0] == '/') {
		const char *slash = memrchr(s.ptr, '/', s.len);
		size_t n = (size_t)(slash + 1 - s.ptr);

		if (n < s.len)
			s = skip(s, n);
	}
	return s;
}

/* RFC 5424 section 6, behind "<PRI>". */
static bool
read_5424(struct slice s, const struct timestamp_hints *hints,
    struct syslog_header *h)
{
	struct slice version, time;

	if (!word(&s, &version) || version.len > 3 || version.ptr[0] == '0')
		return false;
	for (size_t i = 0; i < version.len; i++) {
		if (!is_digit(version.ptr[i]))
			return false;
		h->version = h->version * 10 + (version.ptr[i] - '0');
	}
	if (!word(&s, &time) || !word(&s, &h->hostname) ||
	    !word(&s, &h->appname) || !word(&s, &h->procid) ||
	    !word(&s, &h->msgid) ||
	    !read_structured_data(&s, &h->structured_data))
		return false;
	if (nil(time).len > 0) {
		if (timestamp_parse_rfc3339(time, hints, &h->time_ns) !=
		    time.len)
			return false;
		h->time_set = true;
	}
	h->hostname = nil(h->hostname);
	h->appname = nil(h->appname);
	h->procid = nil(h->procid);
	h->msgid = nil(h->msgid);
	h->program = program_name(h->appname);
	if (s.len > 0 && s.ptr[0] == ' ') /* the space before MSG */
		s = skip(s, 1);
	if (s.len >= 3 && memcmp(s.ptr, "\xef\xbb\xbf", 3) == 0)
		s = skip(s, 3);
	h->message = s;
	h->kind = HEADER_5424;
	return true;
}

/* "[123]" at `s`: its length, the number in *pid; 0 if it is none. */
static size_t
read_pid(struct slice s, struct slice *pid)
{
	size_t i = 1;

	if (s.len < 3 || s.ptr[0] != '[')
		return 0;
	while (i < s.len && is_digit(s.ptr[i]) && i <= PID_DIGITS)
		i++;
	if (i == 1 || i == s.len || s.ptr[i] != ']')
		return 0;
	*pid = (struct slice){ s.ptr + 1, i - 1 };
	return i + 1;
}

/* clang-format off */
static const bool of_host[256] = {
	['\0'] = true, ['-'] = true, ['.'] = true, ['_'] = true, [':'] = true,
	['%'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true,
	['a' ... 'z'] = true, [0x80 ... 0xff] = true,
};
/* clang-format on */

static size_t
tag_length(struct slice s)
{
	size_t most = s.len < TAG_MAX ? s.len : TAG_MAX;
	const char *space = most > 0 ? memchr(s.ptr, ' ', most) : NULL;
	size_t end = space != NULL ? (size_t)(space - s.ptr) : most;
	const char *open = end > 1 ? memchr(s.ptr + 1, '[', end - 1) : NULL;

	if (open != NULL)
		return (size_t)(open - s.ptr);
	/* ':' ends it before a space or the end, not within a word */
	if (end > 0 && s.ptr[end - 1] == ':' &&
	    (end == s.len || s.ptr[end] == ' '))
		return end - 1;
	return end;
}

/*
 * "TAG[PID]: ", "TAG: ", "TAG[PID] "; the tag ends at '[', ':' before a space
 * or the end, or a space.  False if no ':' and no pid says that it is one.
 */
static bool
read_tag(struct slice s, struct syslog_header *h, struct slice *rest)
{
	size_t i = tag_length(s), n;
	struct slice tag = { s.ptr, i };

	s = skip(s, i);
	n = read_pid(s, &h->procid);
	s = skip(s, n);
	if (tag.len == 0 || (n == 0 && (s.len == 0 || s.ptr[0] != ':'))) {
		h->procid = (struct slice){ NULL, 0 };
		return false;
	}
	if (s.len > 0 && s.ptr[0] == ':')
		s = skip(s, 1);
	else if (s.len > 0 && s.ptr[0] != ' ')
		return false;
	if (s.len > 0 && s.ptr[0] == ' ')
		s = skip(s, 1);
	h->program = program_name(tag);
	*rest = s;
	return true;
}

static bool
is_host(struct slice s)
{
	if (s.len == 0 || s.len > HOST_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!of_host[(unsigned char)s.ptr[i]])
			return false;
	return true;
}

/* Chrome OS and others write a level where a host belongs. */
static bool
is_level(struct slice s)
{
	static const struct slice levels[] = { SLICE_INIT("DEBUG"),
		SLICE_INIT("INFO"), SLICE_INIT("NOTICE"), SLICE_INIT("WARNING"),
		SLICE_INIT("WARN"), SLICE_INIT("ERR"), SLICE_INIT("ERROR"),
		SLICE_INIT("CRIT"), SLICE_INIT("CRITICAL"), SLICE_INIT("ALERT"),
		SLICE_INIT("EMERG") };

	if (s.ptr[0] < 'A' || s.ptr[0] > 'W')
		return false;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (slice_eq(s, levels[i]))
			return true;
	return false;
}

static void
set_host(struct slice s, struct syslog_header *h)
{
	if (is_level(s))
		h->level = s;
	else
		h->hostname = s;
}

/* "sogod [26818]: …": a tag, and a space before its pid. */
static bool
read_spaced_tag(struct slice tag, struct slice rest, struct syslog_header *h)
{
	struct slice pid = { NULL, 0 };

	if (read_pid(rest, &pid) == 0 || !read_tag(rest, h, &h->message))
		return false;
	h->program = program_name(tag);
	h->procid = pid;
	return true;
}

/* "[HOST] TAG[PID]: MSG"; false if there is no tag. */
static bool
read_host_and_tag(struct slice s, struct syslog_header *h)
{
	struct slice first, second, rest = s;

	if (read_tag(s, h, &h->message))
		return true;
	if (!word(&rest, &first))
		return false;
	rest = skip_spaces(rest);
	if (read_spaced_tag(first, rest, h))
		return true;
	if (!is_host(first))
		return false;
	if (!read_tag(rest, h, &h->message) &&
	    (!word(&rest, &second) ||
		!read_spaced_tag(second, skip_spaces(rest), h)))
		return false;
	set_host(first, h);
	return true;
}

static size_t
cached_rfc3164(struct slice s, const struct timestamp_hints *hints,
    struct time_cache *c, int64_t *time_ns)
{
	int64_t age = hints->now_ns - c->now_ns;
	/* a digit may be the year behind the time: the parser decides */
	bool plain = s.len > STAMP_MIN + 1 && s.ptr[STAMP_MIN] == ' ' &&
	    !is_digit(s.ptr[STAMP_MIN + 1]);
	size_t n;

	if (plain && c->len > 0 && c->tz == hints->tz &&
	    c->year == hints->year && age > -SAME_NOW_NS && age < SAME_NOW_NS &&
	    memcmp(s.ptr, c->text, c->len) == 0) {
		*time_ns = c->time_ns;
		return c->len;
	}
	n = timestamp_parse_rfc3164(s, hints, time_ns);
	c->len = 0;
	if (plain && n == STAMP_MIN) {
		memcpy(c->text, s.ptr, n);
		c->len = (uint8_t)n;
		c->time_ns = *time_ns;
		c->tz = hints->tz;
		c->year = hints->year;
		c->now_ns = hints->now_ns;
	}
	return n;
}

/* "2026 Nov 22 01:02:03": the year is known, the rest as ever. */
static size_t
year_first(struct slice s, const struct timestamp_hints *hints,
    int64_t *time_ns)
{
	struct timestamp_hints own = *hints;
	size_t n;

	if (s.len < STAMP_MIN + 5 || s.ptr[4] != ' ')
		return 0;
	own.year = 0;
	for (size_t i = 0; i < 4; i++) {
		if (!is_digit(s.ptr[i]))
			return 0;
		own.year = own.year * 10 + (s.ptr[i] - '0');
	}
	n = own.year > 0 ? timestamp_parse_rfc3164(skip(s, 5), &own, time_ns)
			 : 0;
	return n > 0 ? n + 5 : 0;
}

/* What stands behind a time of RFC 3164. */
static void
read_bsd_rest(struct slice s, struct syslog_header *h)
{
	struct slice first;

	if (s.len > 0 && s.ptr[0] == ':') {
		/* "Mar 11 09:39:39: --- last message repeated 5 times ---" */
		h->message = skip_spaces(skip(s, 1));
		return;
	}
	s = skip_spaces(s);
	if (read_host_and_tag(s, h))
		return;
	h->message = s;
	if (word(&s, &first) && is_host(first) && s.len > 0) {
		set_host(first, h);
		h->message = s;
	}
}

static bool
read_bsd(struct slice s, const struct timestamp_hints *hints,
    struct time_cache *cache, struct syslog_header *h)
{
	size_t n = is_digit(s.ptr[0])
	    ? year_first(s, hints, &h->time_ns)
	    : cached_rfc3164(s, hints, cache, &h->time_ns);

	if (n == 0 || (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != ':'))
		return false;
	h->time_set = true;
	h->kind = HEADER_BSD;
	read_bsd_rest(skip(s, n), h);
	return true;
}

/* 'T' or, where a "[PID]" follows, a space between date and time. */
static bool
read_iso(struct slice s, const struct timestamp_hints *hints,
    struct syslog_header *h)
{
	bool strict;
	size_t n;

	if (s.len < 20 || s.ptr[4] != '-')
		return false;
	strict = s.ptr[10] != 'T';
	n = timestamp_parse_rfc3339(s, hints, &h->time_ns);
	if (n == 0 || n == s.len || s.ptr[n] != ' ')
		return false;
	s = skip_spaces(skip(s, n));
	if (!read_host_and_tag(s, h) || (strict && h->procid.len == 0))
		return false;
	h->time_set = true;
	h->kind = HEADER_BSD;
	return true;
}

/*
 * Whether a "[" stands where read_bare() could find a pid: in the first two
 * words or at the start of the third.  Most lines without a header end here.
 */
static bool
may_have_pid(struct slice s)
{
	const char *open = memchr(s.ptr, '[', s.len);
	unsigned words = 0;

	for (const char *p = s.ptr; open != NULL && p + 1 < open; p++)
		words += p[0] != ' ' && p[1] == ' ';
	return open != NULL && words < 3;
}

/* No time: "host sshd[123]: …" or "sshd[123]: …". */
static bool
read_bare(struct slice s, struct syslog_header *h)
{
	if (!read_host_and_tag(s, h))
		return false;
	h->kind = h->procid.len > 0 ? HEADER_BARE : HEADER_NONE;
	return h->kind != HEADER_NONE;
}

static bool
read_any(struct slice s, const struct timestamp_hints *hints,
    struct time_cache *cache, struct syslog_header *h)
{
	size_t n = read_priority(s, &h->priority);

	s = skip(s, n);
	if (s.len == 0)
		return false;
	if (n > 0 && is_digit(s.ptr[0]) && read_5424(s, hints, h))
		return true;
	if (n > 0)
		*h = (struct syslog_header){ .kind = HEADER_NONE,
			.priority = h->priority };
	if (is_digit(s.ptr[0]) && read_iso(s, hints, h))
		return true;
	if (read_bsd(s, hints, cache, h))
		return true;
	if (n == 0 && !may_have_pid(s))
		return false;
	if (!read_bare(s, h) && n > 0) {
		/* RFC 3164 section 4.3.3: all of it is MSG */
		h->kind = HEADER_BSD;
		h->message = s;
	}
	return h->kind != HEADER_NONE;
}

bool
syslog_header_read(struct slice line, const struct timestamp_hints *hints,
    struct time_cache *cache, struct syslog_header *out)
{
	static const struct syslog_header none = { .kind = HEADER_NONE,
		.priority = -1 };

	*out = none;
	if (read_any(line, hints, cache, out))
		return true;
	*out = none;
	return false;
}
