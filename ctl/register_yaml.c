/* SPDX-License-Identifier: Apache-2.0 */
/* The register as YAML; texts are JSON strings, which YAML reads as well. */
#include <inttypes.h>

#include "json.h"
#include "objects.h"
#include "register.h"

static void
put_text(struct buf *out, const char *text)
{
	json_write_string(out, (struct slice){ text, strlen(text) });
}

static void
put_key(struct buf *out, const char *key, const char *text)
{
	if (text == NULL)
		return;
	(void)buf_printf(out, "    %s: ", key);
	put_text(out, text);
	(void)buf_add_char(out, '\n');
}

static void
put_name(struct buf *out, const char *kk, const char *ru)
{
	if (kk == NULL && ru == NULL)
		return;
	(void)buf_add_str(out, "    name: {");
	if (kk != NULL) {
		(void)buf_add_str(out, "kk: ");
		put_text(out, kk);
	}
	if (ru != NULL) {
		(void)buf_add_str(out, kk != NULL ? ", ru: " : "ru: ");
		put_text(out, ru);
	}
	(void)buf_add_str(out, "}\n");
}

static void
put_list(struct buf *out, const struct conf_strings *list)
{
	(void)buf_add_char(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			(void)buf_add_str(out, ", ");
		put_text(out, list->items[i]);
	}
	(void)buf_add_char(out, ']');
}

static void
put_lists(struct buf *out, const char *key, const struct conf_strings *list)
{
	if (list->n == 0)
		return;
	(void)buf_printf(out, "    %s: ", key);
	put_list(out, list);
	(void)buf_add_char(out, '\n');
}

/* A member of a list's item: the first opens it. */
static void
put_member(struct buf *out, bool *first, const char *key, const char *text)
{
	if (text == NULL)
		return;
	(void)buf_printf(out, "%s%s: ", *first ? "      - {" : ", ", key);
	put_text(out, text);
	*first = false;
}

static void
put_attestation(struct buf *out, const struct object_attestation *a)
{
	if (a->certificate == NULL)
		return;
	(void)buf_add_str(out, "    attestation:\n");
	put_key(out, "  certificate", a->certificate);
	put_key(out, "  issued", a->issued);
	put_key(out, "  expires", a->expires);
}

static void
put_links(struct buf *out, const struct object *object)
{
	const struct object_link *links = object->links.items;

	if (object->links.n > 0)
		(void)buf_add_str(out, "    links:\n");
	for (size_t i = 0; i < object->links.n; i++) {
		bool first = true;

		put_member(out, &first, "to", links[i].to);
		put_member(out, &first, "gateway", links[i].gateway);
		put_member(out, &first, "agreement", links[i].agreement);
		(void)buf_add_str(out, "}\n");
	}
}

static void
put_maintenance(struct buf *out, const struct object *object)
{
	const struct object_window *w = object->maintenance.items;

	if (object->maintenance.n > 0)
		(void)buf_add_str(out, "    maintenance:\n");
	for (size_t i = 0; i < object->maintenance.n; i++) {
		bool first = true;

		put_member(out, &first, "from", w[i].from);
		put_member(out, &first, "until", w[i].until);
		put_member(out, &first, "start", w[i].start);
		put_member(out, &first, "end", w[i].end);
		put_member(out, &first, "note", w[i].note);
		if (w[i].days.n > 0) {
			put_member(out, &first, "timezone", w[i].timezone);
			(void)buf_add_str(out, ", days: ");
			put_list(out, &w[i].days);
		}
		(void)buf_add_str(out, "}\n");
	}
}

void
objects_write_yaml(struct buf *out, const struct object *object)
{
	(void)buf_add_str(out, "  - id: ");
	put_text(out, object->id);
	(void)buf_add_char(out, '\n');
	put_name(out, object->name_kk, object->name_ru);
	put_key(out, "kind", object_kind_name(object->kind));
	put_key(out, "criticality",
	    object_criticality_name(object->criticality));
	(void)buf_printf(out, "    class: %" PRId64 "\n", object->class);
	put_key(out, "owner", object->owner);
	put_key(out, "holder", object->holder);
	put_key(out, "hosting", object->hosting);
	put_lists(out, "networks", &object->networks);
	put_lists(out, "hosts", &object->hosts);
	put_lists(out, "agents", &object->agents);
	put_lists(out, "relays", &object->relays);
	(void)buf_printf(out, "    silent_after: %" PRId64 "s\n",
	    object->silent_after_ns / INT64_C(1000000000));
	put_attestation(out, &object->attestation);
	put_links(out, object);
	put_maintenance(out, object);
}

void
organizations_write_yaml(struct buf *out, const struct objects *o)
{
	(void)buf_add_str(out, "organizations:\n");
	for (uint32_t i = 0; o != NULL && i < objects_organizations(o); i++) {
		const struct organization *g = objects_organization_at(o, i);

		(void)buf_add_str(out, "  - id: ");
		put_text(out, g->id);
		(void)buf_add_char(out, '\n');
		put_key(out, "bin", g->bin);
		put_name(out, g->name_kk, g->name_ru);
		put_lists(out, "networks", &g->networks);
	}
}
