/* SPDX-License-Identifier: Apache-2.0 */
#include "orders.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "json.h"
#include "log.h"
#include "timestamp.h"
#include "xalloc.h"

enum {
	BUCKETS = 4096,
	STATE_BYTES = 16,
	LINE_BYTES = ORDER_ANSWER_MAX + 65536,
	TEXT_BYTES = 512
};

/* That said that it trusts a key. */
struct agent {
	struct agent *next;
	char *id, *owner;
	uint64_t connection; /* of its newest status; 0: none is there */
	bool accepts;        /* configurations */
	uint64_t version;
	char hash[SHA256_TEXT], state[STATE_BYTES];
	char group[AGENT_GROUP]; /* for which it enrolled; empty: none */
	uint64_t told_version, told_connection; /* a configuration */
};

struct asked {
	char id[UUID_TEXT];
	char *agent, *owner, *kind, *by, *reason, *target;
	uint64_t seconds;
	int64_t issued_ns, expires_ns, answered_ns;
	const char *state; /* "waiting", "sent", "answered" */
	char result[STATE_BYTES];
	char *answer_reason; /* may be NULL */
	char *changes;       /* JSON array; may be NULL */
	char *wire;          /* until it is answered; owned */
	size_t wire_len;
	uint64_t connection; /* on which it went */
};

struct orders {
	struct orders_options options;
	pthread_mutex_t lock;
	struct groups *groups; /* NULL: there is no folder */
	struct agent *buckets[BUCKETS];
	size_t n_agents;
	struct asked *list[ORDERS_MAX]; /* oldest first */
	size_t n;
};

static struct slice
slice_of(const char *s)
{
	return (struct slice){ s, s == NULL ? 0 : strlen(s) };
}

static char *
text_of(struct slice s)
{
	return xmemdupz(s.len > 0 ? s.ptr : "", s.len);
}

/* ---- agents -------------------------------------------------------------- */

/* FNV-1a. */
static struct agent **
place_of(struct orders *o, struct slice id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	struct agent **at;

	for (size_t i = 0; i < id.len; i++)
		h = (h ^ (unsigned char)id.ptr[i]) * UINT64_C(0x100000001b3);
	at = &o->buckets[h % BUCKETS];
	while (*at != NULL && !slice_eq(slice_of((*at)->id), id))
		at = &(*at)->next;
	return at;
}

static struct agent *
agent_of(struct orders *o, struct slice id, struct slice owner)
{
	struct agent **at = place_of(o, id);

	if (*at != NULL || o->n_agents == ORDERS_AGENTS_MAX)
		return *at;
	*at = xzalloc(sizeof(**at));
	(*at)->id = text_of(id);
	(*at)->owner = text_of(owner);
	o->n_agents++;
	return *at;
}

static bool
owns(struct slice owner, const char *what)
{
	return owner.ptr == NULL || slice_eq(owner, slice_of(what));
}

/* ---- configurations ------------------------------------------------------ */

static void
fill_times(struct order *order, char id[UUID_TEXT])
{
	uint8_t uuid[16];

	uuid_new(uuid);
	uuid_text(uuid, id);
	order->id = (struct slice){ id, UUID_TEXT - 1 };
	order->issued_ns = timestamp_now();
	order->expires_ns = order->issued_ns + ORDER_LIFE_NS;
}

static void
describe_config(const struct group *g, uint64_t version, struct order *out)
{
	out->version = version;
	out->name = g == NULL ? SLICE("") : slice_of(g->name);
	out->text = g == NULL ? SLICE("") : (struct slice){ g->text, g->len };
}

/* What it should have: a group's, or none if it ever had one. */
static bool
should_have(const struct orders *o, const struct agent *a,
    const struct group **out, char hash[SHA256_TEXT])
{
	if (o->groups == NULL)
		return false;
	*out = groups_find(o->groups, slice_of(a->id), slice_of(a->group));
	if (*out == NULL && a->hash[0] == '\0')
		return false;
	if (*out != NULL)
		memcpy(hash, (*out)->hash, SHA256_TEXT);
	else
		order_hash(SLICE(""), hash);
	return true;
}

static bool
needs_config(const struct orders *o, const struct agent *a,
    const struct group **out)
{
	char hash[SHA256_TEXT];
	uint64_t version;

	if (!a->accepts || a->connection == 0 || !should_have(o, a, out, hash))
		return false;
	version = groups_version(o->groups);
	if (a->told_version == version && a->told_connection == a->connection)
		return false;
	if (strcmp(a->hash, hash) != 0 || strcmp(a->state, "none") == 0)
		return true;
	/* it would not: a new version is a new attempt */
	return a->version < version && strcmp(a->state, "applied") != 0 &&
	    strcmp(a->state, "trial") != 0;
}

static void
send_config(struct orders *o, struct agent *a)
{
	const struct group *g = NULL;
	struct order order = { .kind = SLICE("config"),
		.agent = slice_of(a->id) };
	char id[UUID_TEXT];
	struct buf wire;

	if (!needs_config(o, a, &g))
		return;
	fill_times(&order, id);
	describe_config(g, groups_version(o->groups), &order);
	buf_init(&wire, ORDER_WIRE_MAX);
	order_sign(&order, o->options.signer, &wire);
	if (wire.overflowed)
		log_warn("the configuration %s is too large to be sent",
		    g->name);
	else
		o->options.tell(o->options.ctx, a->connection,
		    buf_slice(&wire));
	buf_fini(&wire);
	a->told_version = order.version;
	a->told_connection = a->connection;
}

/* ---- orders that were asked for ------------------------------------------ */

static void
asked_free(struct asked *a)
{
	free(a->agent);
	free(a->owner);
	free(a->kind);
	free(a->by);
	free(a->reason);
	free(a->target);
	free(a->answer_reason);
	free(a->changes);
	free(a->wire);
	free(a);
}

static void
send_asked(struct orders *o, struct asked *a, uint64_t connection)
{
	if (a->wire == NULL || strcmp(a->state, "waiting") != 0 ||
	    connection == 0 || timestamp_now() > a->expires_ns)
		return;
	o->options.tell(o->options.ctx, connection,
	    (struct slice){ a->wire, a->wire_len });
	a->state = "sent";
	a->connection = connection;
}

static struct asked *
add_asked(struct orders *o, const struct order *what, const char *owner,
    const char *id)
{
	struct asked *a = xzalloc(sizeof(*a));

	memcpy(a->id, id, UUID_TEXT);
	a->agent = text_of(what->agent);
	a->owner = xstrdup(owner);
	a->kind = text_of(what->kind);
	a->by = text_of(what->by);
	a->reason = text_of(what->reason);
	a->target = text_of(what->target);
	a->seconds = what->seconds;
	a->issued_ns = what->issued_ns;
	a->expires_ns = what->expires_ns;
	a->state = "waiting";
	if (o->n == ORDERS_MAX) {
		asked_free(o->list[0]);
		o->n--;
		for (size_t i = 0; i < o->n; i++)
			o->list[i] = o->list[i + 1];
	}
	o->list[o->n++] = a;
	return a;
}

/* Under the lock. */
static enum rc
ask(struct orders *o, struct agent *to, const struct order *what,
    char id[UUID_TEXT], struct error *err)
{
	struct order order = *what;
	struct asked *a;
	struct buf wire;
	enum rc rc = RC_OK;

	fill_times(&order, id);
	buf_init(&wire, ORDER_WIRE_MAX);
	order_sign(&order, o->options.signer, &wire);
	if (wire.overflowed) {
		rc = error_set(err, RC_LIMIT, "the order is too long");
	} else {
		a = add_asked(o, &order, to->owner, id);
		a->wire = xmemdupz(wire.ptr, wire.len);
		a->wire_len = wire.len;
		send_asked(o, a, to->connection);
	}
	buf_fini(&wire);
	return rc;
}

enum rc
orders_ask(struct orders *o, struct slice owner, const struct order *what,
    char id[UUID_TEXT], struct error *err)
{
	struct agent *to;
	enum rc rc;

	(void)pthread_mutex_lock(&o->lock);
	to = *place_of(o, what->agent);
	rc = to != NULL && owns(owner, to->owner)
	    ? ask(o, to, what, id, err)
	    : error_set(err, RC_EOF,
		  "no agent \"%.*s\" has said that it takes orders: it needs "
		  "central.key in its agent.yaml, and to connect",
		  (int)(what->agent.len < 128 ? what->agent.len : 128),
		  what->agent.ptr);
	(void)pthread_mutex_unlock(&o->lock);
	return rc;
}

/* ---- what agents say ----------------------------------------------------- */

static struct slice
text_field(const struct event *ev, const char *name)
{
	return event_get_string(ev, field_find(slice_of(name)));
}

static void
copy_text(char *out, size_t room, struct slice s)
{
	(void)snprintf(out, room, "%.*s", SLICE_ARG(s));
}

/*
 * At each new connection, since whoever enrols again connects again.  Another
 * collector of the authority may have enrolled it: then it is asked itself,
 * which by that can choose among the files of its own collector, no more.
 */
static void
learn_group(struct orders *o, struct agent *a, const struct event *control)
{
	a->group[0] = '\0';
	if (!o->options.group_of(o->options.ctx, slice_of(a->id), a->group))
		copy_text(a->group, sizeof(a->group),
		    text_field(control, "kuzet.status.identity.group"));
}

static void
heard_status(struct orders *o, const struct source *from, uint64_t connection,
    const struct event *control)
{
	const struct value *accept = event_get(control,
	    field_find(SLICE("kuzet.status.central.accept")));
	const struct value *version = event_get(control,
	    field_find(SLICE("kuzet.status.central.version")));
	struct agent *a;

	if (accept == NULL || accept->kind != VALUE_BOOL)
		return; /* it trusts no key */
	a = agent_of(o, from->agent, from->owner);
	if (a == NULL)
		return;
	if (a->connection != connection)
		learn_group(o, a, control);
	a->connection = connection;
	a->accepts = accept->b;
	a->version =
	    version != NULL && version->kind == VALUE_INT && version->i > 0
	    ? (uint64_t)version->i
	    : 0;
	copy_text(a->hash, sizeof(a->hash),
	    text_field(control, "kuzet.status.central.hash"));
	copy_text(a->state, sizeof(a->state),
	    text_field(control, "kuzet.status.central.state"));
	send_config(o, a);
	for (size_t i = 0; i < o->n; i++) {
		if (strcmp(o->list[i]->agent, a->id) == 0)
			send_asked(o, o->list[i], a->connection);
	}
}

static void
heard_answer(struct orders *o, const struct source *from,
    const struct event *control)
{
	struct slice id = text_field(control, "kuzet.order");
	struct slice reason = text_field(control, "kuzet.reason");
	const struct value *changes =
	    event_get(control, field_find(SLICE("kuzet.changes")));

	if (slice_eq(text_field(control, "kuzet.result"), SLICE("repeated")))
		return; /* its answer comes, or came */
	for (size_t i = 0; i < o->n; i++) {
		struct asked *a = o->list[i];

		if (a->wire == NULL || !slice_eq(slice_of(a->id), id) ||
		    !slice_eq(slice_of(a->agent), from->agent))
			continue;
		copy_text(a->result, sizeof(a->result),
		    text_field(control, "kuzet.result"));
		a->state = "answered";
		a->answered_ns = control->arrival_ns;
		free(a->wire);
		a->wire = NULL;
		free(a->answer_reason);
		free(a->changes);
		a->answer_reason =
		    reason.len > 0 && reason.len < ORDER_ANSWER_MAX
		    ? text_of(reason)
		    : NULL;
		a->changes = changes != NULL && changes->kind == VALUE_JSON &&
			changes->s.len < ORDER_ANSWER_MAX
		    ? text_of(changes->s)
		    : NULL;
	}
}

void
orders_heard(struct orders *o, const struct source *from, uint64_t connection,
    const struct event *control)
{
	struct slice what = event_get_string(control, FIELD_KUZET_CONTROL);

	if (o == NULL)
		return;
	(void)pthread_mutex_lock(&o->lock);
	if (slice_eq(what, SLICE("status")))
		heard_status(o, from, connection, control);
	else if (slice_eq(what, SLICE("answer")))
		heard_answer(o, from, control);
	(void)pthread_mutex_unlock(&o->lock);
}

static void
each_agent(struct orders *o,
    void (*cb)(struct orders *o, struct agent *a, void *ctx), void *ctx)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct agent *a = o->buckets[i]; a != NULL; a = a->next)
			cb(o, a, ctx);
	}
}

static void
forget_connection(struct orders *o, struct agent *a, void *ctx)
{
	const uint64_t *connection = ctx;

	(void)o;
	if (a->connection == *connection)
		a->connection = 0;
}

void
orders_closed(struct orders *o, uint64_t connection)
{
	if (o == NULL)
		return;
	(void)pthread_mutex_lock(&o->lock);
	each_agent(o, forget_connection, &connection);
	/* nobody knows whether it arrived: whoever got it does it once */
	for (size_t i = 0; i < o->n; i++) {
		if (o->list[i]->wire != NULL &&
		    o->list[i]->connection == connection)
			o->list[i]->state = "waiting";
	}
	(void)pthread_mutex_unlock(&o->lock);
}

/* ---- answers ------------------------------------------------------------- */

static const char *
state_of(const struct asked *a)
{
	return strcmp(a->state, "waiting") == 0 &&
		timestamp_now() > a->expires_ns
	    ? "expired"
	    : a->state;
}

static void
write_asked(const struct asked *a, struct buf *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open(&w, '{');
	json_optional_str(&w, "id", a->id);
	json_optional_str(&w, "agent", a->agent);
	json_optional_str(&w, "organization", a->owner);
	json_optional_str(&w, "kind", a->kind);
	json_optional_str(&w, "target", a->target);
	if (a->seconds > 0) {
		json_key(&w, "seconds");
		json_uint(&w, a->seconds);
	}
	json_optional_str(&w, "by", a->by);
	json_optional_str(&w, "reason", a->reason);
	json_key(&w, "issued");
	json_time(&w, a->issued_ns);
	json_key(&w, "expires");
	json_time(&w, a->expires_ns);
	json_optional_str(&w, "state", state_of(a));
	json_optional_str(&w, "result", a->result);
	json_optional_str(&w, "message", a->answer_reason);
	if (a->answered_ns != 0) {
		json_key(&w, "answered");
		json_time(&w, a->answered_ns);
	}
	if (a->changes != NULL) {
		json_key(&w, "changes");
		json_raw(&w, slice_of(a->changes));
	}
	json_close(&w, '}');
}

/* What is written under the lock is told without it. */
struct lines {
	struct buf *list;
	size_t n;
};

static struct buf *
line_add(struct lines *l)
{
	if ((l->n & (l->n - 1)) == 0)
		l->list = xreallocarray(l->list, l->n == 0 ? 1 : 2 * l->n,
		    sizeof(*l->list));
	buf_init(&l->list[l->n], LINE_BYTES);
	return &l->list[l->n++];
}

static void
lines_tell(struct lines *l, api_line_cb *cb, void *ctx)
{
	bool read = true;

	for (size_t i = 0; i < l->n; i++) {
		if (read && !l->list[i].overflowed)
			read = cb(ctx, buf_slice(&l->list[i]));
		buf_fini(&l->list[i]);
	}
	free(l->list);
}

void
orders_list(struct orders *o, struct slice owner, struct slice id,
    struct slice agent, api_line_cb *cb, void *ctx)
{
	struct lines lines = { .n = 0 };

	(void)pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < o->n; i++) {
		const struct asked *a = o->list[i];

		if (owns(owner, a->owner) && owns(id, a->id) &&
		    owns(agent, a->agent))
			write_asked(a, line_add(&lines));
	}
	(void)pthread_mutex_unlock(&o->lock);
	lines_tell(&lines, cb, ctx);
}

struct config_lines {
	struct lines lines;
	const struct api_configs *which;
	const struct groups *groups; /* what the lines are about */
};

static const char *
config_state(const struct agent *a, const char *hash)
{
	if (a->connection == 0)
		return "not connected";
	if (!a->accepts)
		return "not accepted";
	if (strcmp(a->hash, hash) != 0)
		return "sent";
	return a->state;
}

static void
check_config(struct orders *o, struct agent *a, const struct group *g,
    const struct config_lines *c, struct json_writer *w)
{
	struct order order = { .kind = SLICE("check"),
		.agent = slice_of(a->id),
		.by = c->which->by };
	char id[UUID_TEXT];
	struct error err;

	if (a->connection == 0 || !a->accepts)
		return;
	describe_config(g, a->version + 1, &order);
	if (ask(o, a, &order, id, &err) == RC_OK)
		json_optional_str(w, "order", id);
}

static void
add_config(struct orders *o, struct agent *a, void *ctx)
{
	struct config_lines *c = ctx;
	const struct group *g =
	    groups_find(c->groups, slice_of(a->id), slice_of(a->group));
	struct json_writer w;

	if (!owns(c->which->owner, a->owner) || !owns(c->which->agent, a->id))
		return;
	json_begin(&w, line_add(&c->lines));
	json_open(&w, '{');
	json_optional_str(&w, "agent", a->id);
	json_optional_str(&w, "organization", a->owner);
	json_optional_str(&w, "enrolled_for", a->group);
	json_optional_str(&w, "group", g == NULL ? NULL : g->name);
	json_key(&w, "version");
	json_uint(&w, groups_version(o->groups));
	json_optional_str(&w, "hash", g == NULL ? NULL : g->hash);
	json_key(&w, "connected");
	json_bool(&w, a->connection != 0);
	json_optional_str(&w, "state",
	    g == NULL ? "no group" : config_state(a, g->hash));
	json_key(&w, "agent_version");
	json_uint(&w, a->version);
	json_optional_str(&w, "agent_hash", a->hash);
	if (c->which->check)
		check_config(o, a, g, c, &w);
	json_close(&w, '}');
}

enum rc
orders_configs(struct orders *o, const struct api_configs *which,
    api_line_cb *cb, void *ctx, struct error *err)
{
	struct config_lines c = { .which = which };
	struct groups *fresh = NULL;
	enum rc rc = RC_OK;

	if (o->options.groups == NULL)
		return error_set(err, RC_INVALID,
		    "agent_groups is not set in collector.yaml: it names the "
		    "folder of the agents' configurations");
	if (which->check)
		rc = groups_load(o->options.groups, NULL, false, &fresh, err);
	if (rc != RC_OK)
		return rc;
	(void)pthread_mutex_lock(&o->lock);
	c.groups = which->check ? fresh : o->groups;
	each_agent(o, add_config, &c);
	(void)pthread_mutex_unlock(&o->lock);
	groups_free(fresh);
	lines_tell(&c.lines, cb, ctx);
	return RC_OK;
}

/* ---- the whole ----------------------------------------------------------- */

static void
send_to(struct orders *o, struct agent *a, void *ctx)
{
	(void)ctx;
	send_config(o, a);
}

enum rc
orders_reload(struct orders *o, bool again, struct error *err)
{
	struct groups *fresh, *old;
	enum rc rc;

	if (o->options.groups == NULL)
		return again ? error_set(err, RC_INVALID,
				   "agent_groups is not set in collector.yaml")
			     : RC_OK;
	rc = groups_load(o->options.groups, o->options.state_dir, again, &fresh,
	    err);
	if (rc != RC_OK)
		return rc;
	(void)pthread_mutex_lock(&o->lock);
	old = o->groups;
	o->groups = fresh;
	each_agent(o, send_to, NULL);
	(void)pthread_mutex_unlock(&o->lock);
	groups_free(old);
	return RC_OK;
}

void
orders_key(const struct orders *o, struct buf *out)
{
	signer_public(o->options.signer, out);
}

enum rc
orders_new(const struct orders_options *options, struct orders **out,
    struct error *err)
{
	struct orders *o = xzalloc(sizeof(*o));
	enum rc rc;

	o->options = *options;
	(void)pthread_mutex_init(&o->lock, NULL);
	rc = orders_reload(o, false, err);
	if (rc == RC_OK)
		*out = o;
	else
		orders_free(o);
	return rc;
}

static void
agent_free(struct agent *a)
{
	free(a->id);
	free(a->owner);
	free(a);
}

void
orders_free(struct orders *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (o->buckets[i] != NULL) {
			struct agent *a = o->buckets[i];

			o->buckets[i] = a->next;
			agent_free(a);
		}
	}
	for (size_t i = 0; i < o->n; i++)
		asked_free(o->list[i]);
	groups_free(o->groups);
	signer_free(o->options.signer);
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}
