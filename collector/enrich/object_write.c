/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as JSON: for the API, kuzetctl and incidents. */
#include "json.h"
#include "objects.h"

static void
put_text(struct json_writer *w, const char *key, const char *text)
{
	if (text == NULL)
		return;
	json_key(w, key);
	json_str(w, text);
}

static void
put_texts(struct json_writer *w, const char *key,
    const struct conf_strings *list)
{
	if (list->n == 0)
		return;
	json_key(w, key);
	json_open(w, '[');
	for (size_t i = 0; i < list->n; i++)
		json_str(w, list->items[i]);
	json_close(w, ']');
}

static void
put_name(struct json_writer *w, const char *kk, const char *ru)
{
	if (kk == NULL && ru == NULL)
		return;
	json_key(w, "name");
	json_open(w, '{');
	put_text(w, "kk", kk);
	put_text(w, "ru", ru);
	json_close(w, '}');
}

static void
write_organization(struct json_writer *w, const struct objects *o,
    struct slice id)
{
	const struct organization *g = objects_organization(o, id);

	json_open(w, '{');
	json_key(w, "id");
	json_string(w, id);
	if (g != NULL) {
		put_text(w, "bin", g->bin);
		put_name(w, g->name_kk, g->name_ru);
	}
	json_close(w, '}');
}

static void
put_party(struct json_writer *w, const struct objects *o, const char *key,
    const char *id)
{
	if (id == NULL)
		return;
	json_key(w, key);
	write_organization(w, o, (struct slice){ id, strlen(id) });
}

static void
put_links(struct json_writer *w, const struct object *object)
{
	const struct object_link *links = object->links.items;

	if (object->links.n == 0)
		return;
	json_key(w, "links");
	json_open(w, '[');
	for (size_t i = 0; i < object->links.n; i++) {
		json_open(w, '{');
		put_text(w, "to", links[i].to);
		put_text(w, "gateway", links[i].gateway);
		put_text(w, "agreement", links[i].agreement);
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void
put_maintenance(struct json_writer *w, const struct object *object)
{
	const struct object_window *windows = object->maintenance.items;

	if (object->maintenance.n == 0)
		return;
	json_key(w, "maintenance");
	json_open(w, '[');
	for (size_t i = 0; i < object->maintenance.n; i++) {
		json_open(w, '{');
		put_text(w, "from", windows[i].from);
		put_text(w, "until", windows[i].until);
		put_texts(w, "days", &windows[i].days);
		put_text(w, "start", windows[i].start);
		put_text(w, "end", windows[i].end);
		if (windows[i].days.n > 0)
			put_text(w, "timezone", windows[i].timezone);
		put_text(w, "note", windows[i].note);
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void
put_attestation(struct json_writer *w, const struct object_attestation *a)
{
	if (a->certificate == NULL)
		return;
	json_key(w, "attestation");
	json_open(w, '{');
	put_text(w, "certificate", a->certificate);
	put_text(w, "issued", a->issued);
	put_text(w, "expires", a->expires);
	json_close(w, '}');
}

/* What it is, and who is accountable; the object stays open. */
static void
write_about(struct json_writer *w, struct buf *out, const struct objects *o,
    const struct object *object)
{
	json_begin(w, out);
	json_open(w, '{');
	put_text(w, "id", object->id);
	put_name(w, object->name_kk, object->name_ru);
	put_text(w, "kind", object_kind_name(object->kind));
	put_text(w, "criticality",
	    object_criticality_name(object->criticality));
	json_key(w, "class");
	json_int(w, object->class);
	put_party(w, o, "owner", object->owner);
	put_party(w, o, "holder", object->holder);
	put_party(w, o, "hosting", object->hosting);
	put_attestation(w, &object->attestation);
}

void
object_write(struct buf *out, const struct objects *o,
    const struct object *object)
{
	struct json_writer w;

	write_about(&w, out, o, object);
	put_texts(&w, "networks", &object->networks);
	put_texts(&w, "hosts", &object->hosts);
	put_texts(&w, "agents", &object->agents);
	put_texts(&w, "relays", &object->relays);
	json_key(&w, "silent_after_seconds");
	json_int(&w, object->silent_after_ns / INT64_C(1000000000));
	put_links(&w, object);
	put_maintenance(&w, object);
	json_close(&w, '}');
}

void
object_write_about(struct buf *out, const struct objects *o,
    const struct object *object)
{
	struct json_writer w;

	write_about(&w, out, o, object);
	json_close(&w, '}');
}

void
organization_write(struct buf *out, const struct objects *o, struct slice id)
{
	struct json_writer w;

	json_begin(&w, out);
	write_organization(&w, o, id);
}
