/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register of objects (objects.yaml(5)): what is watched, whose it is, and
 * how an event is known to be its.
 *
 * A register is counted and does not change, but for when each object was last
 * heard of: a reload is a swap.  Look-ups allocate nothing and take no lock.
 * Bounds: the file's (1 MiB of YAML).
 */
#pragma once

#include "conf.h"
#include "error.h"
#include "event.h"

struct ip;

/* An owner, holder or hosting owner; texts are NULL where none is given. */
struct organization {
	char *id; /* organization.id */
	char *bin;
	char *name_kk, *name_ru;
	struct conf_strings networks; /* all that is the organization's */
};

/* An integration with something else, by L38(2)(4) through a gateway. */
struct object_link {
	char *to; /* an object's id, or a name from outside */
	char *gateway;
	char *agreement; /* between two owners, L16(5) */
};

/* Once from `from` until `until`; or on `days` from `start` to `end`. */
struct object_window {
	char *from, *until;
	struct conf_strings days;
	char *start, *end, *timezone;
	char *note;
	/* read from the texts */
	int64_t from_ns, until_ns; /* a `days` one: 0 */
	unsigned weekdays;         /* bit 0 is Monday */
	int start_minute, end_minute;
	struct timezone_info *tz;
};

/*
 * The certificate of conformity with the requirements of information security,
 * or the protocol of its tests: L14(1)(7), L38(4).  Dates are YYYY-MM-DD.
 */
struct object_attestation {
	char *certificate; /* its number; NULL: none */
	char *issued, *expires;
	int64_t expires_ns; /* the end of that day, UTC; 0: never */
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in reading order */
struct object {
	char *id;
	char *name_kk, *name_ru;
	int kind;        /* object_kind_name() */
	int criticality; /* object_criticality_name() */
	int64_t class;   /* by the classifier, 1 to 3 */
	char *owner, *holder,
	    *hosting; /* organizations' ids; last two or NULL */
	struct conf_strings networks, hosts, agents, relays;
	int64_t silent_after_ns; /* 0: never unmonitored */
	struct object_attestation attestation;
	struct conf_list links;       /* struct object_link */
	struct conf_list maintenance; /* struct object_window */
	unsigned line;                /* in the file */
};

const char *object_kind_name(int kind);  /* "S8", "other" */
const char *object_kind_title(int kind); /* "e-government web portal" */
const char *object_criticality_name(int criticality);
/* -1: there is none of that name. */
int object_kind_find(struct slice name);
int object_criticality_find(struct slice name);

struct objects;

/*
 * Messages: "FILE:LINE: KEY: what is wrong: what is allowed".  *out is the
 * caller's.
 */
enum rc objects_load(const char *path, struct objects **out, struct error *err);
enum rc objects_parse(const char *name, struct slice text, struct objects **out,
    struct error *err);
struct objects *objects_ref(struct objects *o);
void objects_unref(struct objects *o); /* NULL is fine */

uint32_t objects_count(const struct objects *o);
const struct object *objects_at(const struct objects *o, uint32_t index);
uint32_t objects_organizations(const struct objects *o);
const struct organization *objects_organization_at(const struct objects *o,
    uint32_t index);
/* NULL: none of that id, as all below. */
const struct organization *objects_organization(const struct objects *o,
    struct slice id);
enum { OBJECT_NONE = UINT32_MAX };
uint32_t objects_find(const struct objects *o, struct slice id);
/* Who sends as that agent (certificate's CN) alone. */
uint32_t objects_by_agent(const struct objects *o, struct slice agent);
/* Whose agent or relay it is: who owns what it sends. */
uint32_t objects_by_sender(const struct objects *o, struct slice agent);

/*
 * Whose names and addresses are meant: two owners may both have a "web-1" and
 * a 10.0.0.0/8, and what one says must not be told of the other.  `all`: where
 * the owner's do not know it, everybody's count, if only one has it.
 */
struct object_scope {
	uint32_t owner; /* OBJECT_NONE: none of the register's */
	bool all;
};
struct object_scope objects_scope(const struct objects *o, struct slice owner,
    bool all);
/* Case does not count, nor a dot at the end. */
uint32_t objects_by_host(const struct objects *o, struct object_scope scope,
    struct slice host);
/* By the longest prefix. */
uint32_t objects_by_address(const struct objects *o, struct object_scope scope,
    const struct ip *ip);
/* Whether it is in a network that is the organization's own. */
bool objects_own_address(const struct objects *o, struct object_scope scope,
    const struct ip *ip);

/*
 * Any thread.  When something of it arrived last; 0: nothing since the start.
 * objects_inherit() takes over what an older register knows, by id.
 */
void objects_heard(const struct objects *o, uint32_t index, int64_t time_ns);
int64_t objects_last_heard(const struct objects *o, uint32_t index);
void objects_inherit(struct objects *o, const struct objects *old);

/*
 * Since when it is silent beyond its time, as of `now_ns`: 0: it is not.  Time
 * before `since_ns` (when watching began) and in maintenance does not count.
 * Call it again and again: it remembers the maintenance.  One thread's.
 */
int64_t objects_silent(struct objects *o, uint32_t index, int64_t since_ns,
    int64_t now_ns);
/* Whether that silence was told; remembered until the object is heard. */
bool objects_tell_silence(struct objects *o, uint32_t index);

/*
 * Days that follow the one at hand until its attestation's last; 0: this is the
 * last, less: it has ended.  INT64_MAX: it has no end.
 */
int64_t object_attestation_days(const struct object *object, int64_t now_ns);
/*
 * Whether that is to be told: 30 and 7 days before the last, on it, and after
 * it, once each.  One thread's.
 */
bool objects_tell_attestation(struct objects *o, uint32_t index,
    int64_t now_ns);

/* Whether its maintenance is announced for then: silence is no finding. */
bool object_in_maintenance(const struct object *object, int64_t time_ns);

/* {"id":…,"name":{"kk":…,"ru":…},…,"owner":{"id","bin","name"},…} */
void object_write(struct buf *out, const struct objects *o,
    const struct object *object);
/* The same without how it is known: who and what it is, and the parties. */
void object_write_about(struct buf *out, const struct objects *o,
    const struct object *object);
/* {"id":…,"bin":…,"name":{…}}; an id that the register does not know alone. */
void organization_write(struct buf *out, const struct objects *o,
    struct slice id);
