/* SPDX-License-Identifier: Apache-2.0 */
/* What a syslog header says, as fields. */
#include "syslog_header.h"
#include "syslog_scan.h"

enum {
	STRUCTURED_PARAMS_MAX = 64, /* of one event */
	STRUCTURED_NAME_MAX = 200,
};

static const char *const facilities[] = { "kern", "user", "mail", "daemon",
	"auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "security", "console", "clock", "local0", "local1", "local2",
	"local3", "local4", "local5", "local6", "local7" };
static const char *const severities[] = { "emergency", "alert", "critical",
	"error", "warning", "notice", "informational", "debug" };

static void
apply_priority(int priority, struct event *ev)
{
	const char *facility = facilities[priority / 8];
	const char *severity = severities[priority % 8];

	event_set_int(ev, FIELD_LOG_SYSLOG_PRIORITY, priority);
	event_set_int(ev, FIELD_LOG_SYSLOG_FACILITY_CODE, priority / 8);
	event_set_string(ev, FIELD_LOG_SYSLOG_FACILITY_NAME,
	    (struct slice){ facility, strlen(facility) });
	event_set_int(ev, FIELD_LOG_SYSLOG_SEVERITY_CODE, priority % 8);
	event_set_string(ev, FIELD_LOG_SYSLOG_SEVERITY_NAME,
	    (struct slice){ severity, strlen(severity) });
}

/* \" \\ \] (RFC 5424 section 6.3.3); anything else behind '\' stays. */
static struct slice
unescape(struct arena *arena, struct slice s)
{
	char *copy;
	size_t n = 0;

	if (s.len == 0 || memchr(s.ptr, '\\', s.len) == NULL)
		return s;
	copy = arena_alloc(arena, s.len);
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' && i + 1 < s.len &&
		    strchr("\"\\]", s.ptr[i + 1]) != NULL)
			i++;
		copy[n++] = s.ptr[i];
	}
	return (struct slice){ copy, n };
}

static void
set_parameter(struct slice id, struct slice name, struct slice value,
    struct event *ev)
{
	static const struct slice head =
	    SLICE_INIT("log.syslog.structured_data.");
	char text[STRUCTURED_NAME_MAX];
	size_t n = 0;

	if (head.len + id.len + 1 + name.len > sizeof(text)) {
		ev->dropped++;
		return;
	}
	memcpy(text, head.ptr, head.len);
	n = head.len;
	memcpy(text + n, id.ptr, id.len);
	n += id.len;
	text[n++] = '.';
	memcpy(text + n, name.ptr, name.len);
	n += name.len;
	event_set_string(ev, field_intern((struct slice){ text, n }),
	    unescape(ev->arena, value));
}

/* One "[ID NAME="VALUE"…]"; its brackets are checked, what is within is not. */
static void
apply_element(struct slice s, unsigned *params, struct event *ev)
{
	struct slice id;

	s = (struct slice){ s.ptr + 1, s.len - 2 };
	if (!word(&s, &id))
		return;
	while (s.len > 0 && *params < STRUCTURED_PARAMS_MAX) {
		const char *equals = memchr(s.ptr, '=', s.len);
		struct slice name;
		size_t i = 1;

		if (equals == NULL)
			break;
		name = (struct slice){ s.ptr, (size_t)(equals - s.ptr) };
		s = skip(s, name.len + 1);
		if (name.len == 0 || s.len < 2 || s.ptr[0] != '"')
			break;
		while (i < s.len && s.ptr[i] != '"')
			i += s.ptr[i] == '\\' && i + 1 < s.len ? 2 : 1;
		if (i >= s.len)
			break;
		set_parameter(id, name, (struct slice){ s.ptr + 1, i - 1 }, ev);
		(*params)++;
		s = skip_spaces(skip(s, i + 1));
	}
}

static void
apply_structured_data(struct slice s, struct event *ev)
{
	unsigned params = 0;

	while (s.len > 0 && s.ptr[0] == '[') {
		size_t n = element_length(s);

		if (n == 0)
			break;
		apply_element((struct slice){ s.ptr, n }, &params, ev);
		s = skip(s, n);
	}
}

static void
set_if(struct event *ev, uint32_t field, struct slice s)
{
	if (s.len > 0)
		event_set_string(ev, field, s);
}

static void
apply_pid(struct slice s, struct event *ev)
{
	int64_t pid = 0;

	if (s.len == 0 || s.len > PID_DIGITS)
		return;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.ptr[i]))
			return;
		pid = pid * 10 + (s.ptr[i] - '0');
	}
	event_set_int(ev, FIELD_PROCESS_PID, pid);
}

void
syslog_header_apply(const struct syslog_header *h, struct event *ev)
{
	if (h->time_set)
		ev->time_ns = h->time_ns;
	if (h->hostname.len > 0) {
		event_set_string(ev, FIELD_HOST_HOSTNAME, h->hostname);
		if (event_get(ev, FIELD_HOST_NAME) == NULL)
			event_set_string(ev, FIELD_HOST_NAME, h->hostname);
	}
	set_if(ev, FIELD_PROCESS_NAME, h->program);
	apply_pid(h->procid, ev);
	set_if(ev, FIELD_LOG_LEVEL, h->level);
	if (h->priority >= 0) {
		apply_priority(h->priority, ev);
		set_if(ev, FIELD_LOG_SYSLOG_APPNAME, h->program);
	}
	if (h->kind != HEADER_5424)
		return;
	event_set_int(ev, FIELD_LOG_SYSLOG_VERSION, h->version);
	set_if(ev, FIELD_LOG_SYSLOG_HOSTNAME, h->hostname);
	set_if(ev, FIELD_LOG_SYSLOG_APPNAME, h->appname);
	set_if(ev, FIELD_LOG_SYSLOG_PROCID, h->procid);
	set_if(ev, FIELD_LOG_SYSLOG_MSGID, h->msgid);
	apply_structured_data(h->structured_data, ev);
}
