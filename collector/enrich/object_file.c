/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/enrich/object_file.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "collector/enrich/personal_number.h"
#include "timestamp.h"

#define DAY_NS (86400 * NS_PER_SEC)

enum { ID_MAX = 64, BIN_DIGITS = 12, MINUTES_OF_DAY = 24 * 60 };

/* ---- words ----------------------------------------------------------------- */

static const char *const criticalities[] = { "low", "medium", "high",
	"critical", NULL };

static const char *const kinds[] = { "S1", "S2", "S3", "S4", "S5", "S6", "S7",
	"S8", "S9", "S10", "S11", "S12", "S13", "S14", "S15", "S16", "S17",
	"S18", "S19", "S20", "S21", "S22", "S23", "S24", "S25", "S26", "S27",
	"S28", "S29", "S30", "S31", "S32", "S33", "S34", "S35", "S36", "S37",
	"S38", "S39", "S40", "other", NULL };

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) - 1 };

static const char *const titles[KINDS] = {
	"national coordination centre for information security",
	"monitoring system of the national coordination centre",
	"state technical service",
	"monitoring system of the state technical service",
	"event monitoring system of a state body",
	"unified Internet access gateway",
	"unified e-mail gateway of e-government",
	"web portal of e-government",
	"user cabinet of the portal",
	"gateway of e-government",
	"external gateway of e-government",
	"payment gateway of e-government",
	"system of the interbank transfer operator",
	"unified transport environment of state bodies",
	"ICT platform of e-government",
	"architecture portal",
	"classifier of informatization objects",
	"list of e-government objects",
	"operator of the e-government infrastructure",
	"service integrator",
	"unified backup platform",
	"open data portal",
	"national gateway",
	"platform of state bodies' Internet resources",
	"digital documents service",
	"national AI platform",
	"single contact centre",
	"name server of a top-level domain",
	"register of trusted software",
	"protection profile",
	"one-time password channel",
	"multi-factor authentication",
	"Internet resource of a state body",
	"electronic akimat",
	"unified requirements",
	"monitoring rules",
	"development institute",
	"certification authority of state bodies",
	"distributed data platform",
	"identification number base",
	"other object",
};

const char *
object_kind_name(int kind)
{
	return kinds[kind];
}

const char *
object_kind_title(int kind)
{
	return titles[kind];
}

const char *
object_criticality_name(int criticality)
{
	return criticalities[criticality];
}

static int
find_word(const char *const *words, struct slice name)
{
	for (int i = 0; words[i] != NULL; i++)
		if (slice_eq(name,
			(struct slice){ words[i], strlen(words[i]) }))
			return i;
	return -1;
}

int
object_kind_find(struct slice name)
{
	return find_word(kinds, name);
}

int
object_criticality_find(struct slice name)
{
	return find_word(criticalities, name);
}

/* ---- the file's keys -------------------------------------------------------- */

#define ORG(member)    offsetof(struct organization, member)
#define OBJECT(member) offsetof(struct object, member)
#define LINK(member)   offsetof(struct object_link, member)
#define WINDOW(member) offsetof(struct object_window, member)

/* clang-format off */
static const struct conf_option organization_options[] = {
	{ .key = "id", .type = CONF_STRING, .offset = ORG(id), .required = true,
	  .help = "organization.id, as collector.yaml and events name it" },
	{ .key = "bin", .type = CONF_STRING, .offset = ORG(bin),
	  .help = "business identification number, 12 digits" },
	{ .key = "name.kk", .type = CONF_STRING, .offset = ORG(name_kk),
	  .help = "its name in Kazakh" },
	{ .key = "name.ru", .type = CONF_STRING, .offset = ORG(name_ru),
	  .help = "its name in Russian" },
	{ .key = "networks", .type = CONF_STRINGS, .offset = ORG(networks),
	  .help = "all its addresses; one of them that no object claims is "
		  "found when it is seen" },
	{ .key = NULL },
};

static const struct conf_option link_options[] = {
	{ .key = "to", .type = CONF_STRING, .offset = LINK(to),
	  .required = true,
	  .help = "an object's id, or the name of a system outside" },
	{ .key = "gateway", .type = CONF_STRING, .offset = LINK(gateway),
	  .help = "the object that the link passes through" },
	{ .key = "agreement", .type = CONF_STRING, .offset = LINK(agreement),
	  .help = "the agreement between two owners" },
	{ .key = NULL },
};

static const struct conf_option window_options[] = {
	{ .key = "from", .type = CONF_STRING, .offset = WINDOW(from),
	  .help = "when it begins, RFC 3339" },
	{ .key = "until", .type = CONF_STRING, .offset = WINDOW(until),
	  .help = "when it ends, RFC 3339" },
	{ .key = "days", .type = CONF_STRINGS, .offset = WINDOW(days),
	  .help = "or each week on these days: mon tue wed thu fri sat sun" },
	{ .key = "start", .type = CONF_STRING, .offset = WINDOW(start),
	  .help = "with days: HH:MM" },
	{ .key = "end", .type = CONF_STRING, .offset = WINDOW(end),
	  .help = "with days: HH:MM; before start: on the next day" },
	{ .key = "timezone", .type = CONF_STRING, .offset = WINDOW(timezone),
	  .def = "Asia/Almaty", .help = "with days" },
	{ .key = "note", .type = CONF_STRING, .offset = WINDOW(note),
	  .help = "what is done" },
	{ .key = NULL },
};

static const struct conf_option object_options[] = {
	{ .key = "id", .type = CONF_STRING, .offset = OBJECT(id),
	  .required = true, .help = "letters, digits, '.', '_', '-'" },
	{ .key = "name.kk", .type = CONF_STRING, .offset = OBJECT(name_kk),
	  .required = true, .help = "its name in Kazakh" },
	{ .key = "name.ru", .type = CONF_STRING, .offset = OBJECT(name_ru),
	  .required = true, .help = "its name in Russian" },
	{ .key = "kind", .type = CONF_CHOICE, .offset = OBJECT(kind),
	  .required = true, .choices = kinds, .help = "what it is" },
	{ .key = "criticality", .type = CONF_CHOICE,
	  .offset = OBJECT(criticality), .def = "medium",
	  .choices = criticalities, .help = "how much hangs on it" },
	{ .key = "class", .type = CONF_INT, .offset = OBJECT(class),
	  .required = true, .min = 1, .max = 3,
	  .help = "by the classifier of informatization objects" },
	{ .key = "owner", .type = CONF_STRING, .offset = OBJECT(owner),
	  .required = true, .help = "organization that owns it" },
	{ .key = "holder", .type = CONF_STRING, .offset = OBJECT(holder),
	  .help = "organization that runs it" },
	{ .key = "hosting", .type = CONF_STRING, .offset = OBJECT(hosting),
	  .help = "organization that owns what it runs on" },
	{ .key = "networks", .type = CONF_STRINGS, .offset = OBJECT(networks),
	  .help = "networks and addresses, IPv4 and IPv6" },
	{ .key = "hosts", .type = CONF_STRINGS, .offset = OBJECT(hosts),
	  .help = "host names as events say them, or addresses" },
	{ .key = "agents", .type = CONF_STRINGS, .offset = OBJECT(agents),
	  .help = "agents on it: the CN of their certificates" },
	{ .key = "relays", .type = CONF_STRINGS, .offset = OBJECT(relays),
	  .help = "its senders that pass on what others write" },
	{ .key = "silent_after", .type = CONF_DURATION,
	  .offset = OBJECT(silent_after_ns), .def = "1h",
	  .min = 0, .max = INT64_C(366) * 86400 * NS_PER_SEC,
	  .help = "nothing heard for so long: unmonitored; 0s: never" },
	{ .key = "attestation.certificate", .type = CONF_STRING,
	  .offset = OBJECT(attestation.certificate),
	  .help = "number of its certificate of conformity, or of its tests' "
		  "protocol" },
	{ .key = "attestation.issued", .type = CONF_STRING,
	  .offset = OBJECT(attestation.issued), .help = "YYYY-MM-DD" },
	{ .key = "attestation.expires", .type = CONF_STRING,
	  .offset = OBJECT(attestation.expires),
	  .help = "YYYY-MM-DD, its last day; told 30 and 7 days before" },
	{ .key = "links", .type = CONF_LIST, .offset = OBJECT(links),
	  .items = link_options, .item_size = sizeof(struct object_link),
	  .help = "what it is integrated with" },
	{ .key = "maintenance", .type = CONF_LIST,
	  .offset = OBJECT(maintenance), .items = window_options,
	  .item_size = sizeof(struct object_window),
	  .help = "when it may be silent" },
	{ .key = NULL },
};

static const struct conf_option file_options[] = {
	{ .key = "organizations", .type = CONF_LIST,
	  .offset = offsetof(struct object_file, organizations),
	  .items = organization_options,
	  .item_size = sizeof(struct organization),
	  .help = "owners, holders, hosting owners" },
	{ .key = "objects", .type = CONF_LIST,
	  .offset = offsetof(struct object_file, objects),
	  .items = object_options, .item_size = sizeof(struct object),
	  .help = "what is watched" },
	{ .key = NULL },
};
/* clang-format on */

/* ---- checks ------------------------------------------------------------------- */

/* What is being checked, for messages. */
struct checked {
	const char *file;
	unsigned line;
	const char *id;
	struct error *err;
};

static enum rc
wrong(const struct checked *c, const char *key, const char *text)
{
	return error_set(c->err, RC_INVALID, "%s:%u: %s: %s: %s", c->file,
	    c->line, c->id, key, text);
}

static bool
is_id(const char *id)
{
	size_t n = strspn(id,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-");

	return n > 0 && n <= ID_MAX && id[n] == '\0';
}

static enum rc
check_id(const struct checked *c)
{
	return is_id(c->id)
	    ? RC_OK
	    : wrong(c, "id",
		  "1 to 64 letters, digits, '.', '_' and '-' are allowed");
}

static enum rc
check_networks(const struct checked *c, const struct conf_strings *list)
{
	struct ip_network net;
	struct error why;

	for (size_t i = 0; i < list->n; i++) {
		struct slice text = { list->items[i], strlen(list->items[i]) };

		if (ip_network_parse(text, &net, &why) != RC_OK)
			return wrong(&(struct checked){ c->file, list->line,
					 c->id, c->err },
			    "networks", why.text);
	}
	return RC_OK;
}

static enum rc
check_organization(const struct checked *c, const struct organization *g)
{
	if (g->bin != NULL &&
	    (strlen(g->bin) != BIN_DIGITS ||
		strspn(g->bin, "0123456789") != BIN_DIGITS ||
		!iin_is_valid(g->bin)))
		return wrong(c, "bin",
		    "no BIN: it has 12 digits, in quotes, the last of which is "
		    "a checksum");
	return check_networks(c, &g->networks);
}

/* "02:30" to minutes; -1: it is none. */
static int
read_minute(const char *text)
{
	int hour, minute;

	if (text == NULL || strlen(text) != 5 || text[2] != ':' ||
	    strspn(text, "0123456789:") != 5)
		return -1;
	hour = 10 * (text[0] - '0') + text[1] - '0';
	minute = 10 * (text[3] - '0') + text[4] - '0';
	if (hour > 24 || minute > 59 || text[0] == ':' || text[1] == ':')
		return -1;
	return 60 * hour + minute <= MINUTES_OF_DAY ? 60 * hour + minute : -1;
}

static enum rc
read_weekly(const struct checked *c, struct object_window *w)
{
	static const char *const names[] = { "mon", "tue", "wed", "thu", "fri",
		"sat", "sun", NULL };
	struct error why;

	for (size_t i = 0; i < w->days.n; i++) {
		int day = find_word(names,
		    (struct slice){ w->days.items[i],
			strlen(w->days.items[i]) });

		if (day < 0)
			return wrong(c, "maintenance.days",
			    "mon, tue, wed, thu, fri, sat and sun are allowed");
		w->weekdays |= 1U << day;
	}
	w->start_minute = read_minute(w->start);
	w->end_minute = read_minute(w->end);
	if (w->start_minute < 0 || w->end_minute < 0 ||
	    w->start_minute == w->end_minute)
		return wrong(c, "maintenance",
		    "days need start and end, two times such as \"02:00\", in "
		    "quotes");
	if (timezone_open(w->timezone, &w->tz, &why) != RC_OK)
		return wrong(c, "maintenance.timezone", why.text);
	return RC_OK;
}

static bool
read_time(const char *text, int64_t *out)
{
	const struct timestamp_hints hints = { .year = 0 };
	struct slice s = { text, text != NULL ? strlen(text) : 0 };

	/* the zone is no guess: it has to be there, behind the date */
	return s.len > 0 && timestamp_parse_rfc3339(s, &hints, out) == s.len &&
	    strpbrk(text + sizeof("2026-11-22") - 1, "Z+-") != NULL;
}

static enum rc
read_window(const struct checked *c, struct object_window *w)
{
	bool once = w->from != NULL || w->until != NULL;

	if (once == (w->days.n > 0))
		return wrong(c, "maintenance",
		    "give from and until, or days with start and end");
	if (!once)
		return read_weekly(c, w);
	if (!read_time(w->from, &w->from_ns) ||
	    !read_time(w->until, &w->until_ns) || w->until_ns <= w->from_ns)
		return wrong(c, "maintenance",
		    "from and until are two times in order with their zone, "
		    "such as 2026-11-22T20:00:00+05:00");
	return RC_OK;
}

/* A day's first moment, UTC. */
static bool
read_day(const char *text, int64_t *out)
{
	const struct timestamp_hints hints = { .year = 0 };
	char whole[sizeof("2026-11-22T00:00:00Z")];
	struct slice s = { whole, sizeof(whole) - 1 };

	if (strlen(text) != sizeof("2026-11-22") - 1)
		return false;
	(void)snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
	return timestamp_parse_rfc3339(s, &hints, out) == s.len;
}

static enum rc
read_attestation(const struct checked *c, struct object_attestation *a)
{
	int64_t issued_ns = 0, last_ns = 0;

	if (a->certificate == NULL && (a->issued != NULL || a->expires != NULL))
		return wrong(c, "attestation",
		    "dates without a certificate: give its number");
	if (a->issued != NULL && !read_day(a->issued, &issued_ns))
		return wrong(c, "attestation.issued",
		    "no date: write it as YYYY-MM-DD");
	if (a->expires == NULL)
		return RC_OK;
	if (!read_day(a->expires, &last_ns))
		return wrong(c, "attestation.expires",
		    "no date: write it as YYYY-MM-DD");
	if (last_ns < issued_ns)
		return wrong(c, "attestation.expires",
		    "it is before the day of issue");
	a->expires_ns = last_ns + DAY_NS;
	return RC_OK;
}

static enum rc
check_object(const struct checked *c, struct object *o)
{
	struct object_window *windows = o->maintenance.items;
	enum rc rc = check_networks(c, &o->networks);

	if (rc == RC_OK)
		rc = read_attestation(c, &o->attestation);

	for (size_t i = 0; i < o->maintenance.n && rc == RC_OK; i++)
		rc = read_window(&(struct checked){ c->file,
				     o->maintenance.lines[i], c->id, c->err },
		    &windows[i]);
	return rc;
}

static enum rc
check_file(const char *name, struct object_file *f, struct error *err)
{
	struct organization *organizations = f->organizations.items;
	struct object *objects = f->objects.items;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < f->organizations.n && rc == RC_OK; i++) {
		struct checked c = { name, f->organizations.lines[i],
			organizations[i].id, err };

		rc = check_id(&c);
		if (rc == RC_OK)
			rc = check_organization(&c, &organizations[i]);
	}
	for (size_t i = 0; i < f->objects.n && rc == RC_OK; i++) {
		struct checked c = { name, f->objects.lines[i], objects[i].id,
			err };

		objects[i].line = c.line;
		rc = check_id(&c);
		if (rc == RC_OK)
			rc = check_object(&c, &objects[i]);
	}
	if (rc != RC_OK)
		object_file_free(f);
	return rc;
}

/* ---- public -------------------------------------------------------------------- */

enum rc
object_file_parse(const char *name, struct slice text, struct object_file *out,
    struct error *err)
{
	enum rc rc;

	*out = (struct object_file){ .objects = { .n = 0 } };
	rc = conf_parse(name, text, file_options, out, err);
	return rc == RC_OK ? check_file(name, out, err) : rc;
}

enum rc
object_file_load(const char *path, struct object_file *out, struct error *err)
{
	enum rc rc;

	*out = (struct object_file){ .objects = { .n = 0 } };
	rc = conf_load(path, file_options, out, err);
	return rc == RC_OK ? check_file(path, out, err) : rc;
}

void
object_file_free(struct object_file *file)
{
	struct object *objects = file->objects.items;

	for (size_t i = 0; i < file->objects.n; i++) {
		struct object_window *w = objects[i].maintenance.items;

		for (size_t k = 0; k < objects[i].maintenance.n; k++)
			timezone_close(w[k].tz);
	}
	conf_free(file_options, file);
}
