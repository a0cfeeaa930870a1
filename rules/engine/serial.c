/* SPDX-License-Identifier: Apache-2.0 */
#include "serial.h"

#include "utf8.h"

enum { FOLDED_MAX = 16 * RULE_VALUE_BYTES };

static void
add_text(struct buf *out, struct slice s)
{
	(void)buf_add_varint(out, s.len);
	(void)buf_add_slice(out, s);
}

static void
add_number(struct buf *out, double d)
{
	uint64_t bits;

	if (d == 0)
		d = 0; /* -0 too */
	memcpy(&bits, &d, sizeof(bits));
	(void)buf_add_varint(out, bits);
}

static void
add_pattern(struct buf *out, const struct pattern *p, bool cased)
{
	struct buf folded;

	(void)buf_add_varint(out, p->n);
	for (uint32_t i = 0; i < p->n; i++) {
		(void)buf_add_char(out, (char)p->parts[i].kind);
		if (p->parts[i].kind != PART_TEXT)
			continue;
		if (cased) {
			add_text(out, p->parts[i].text);
			continue;
		}
		buf_init(&folded, FOLDED_MAX);
		utf8_fold_to(&folded, p->parts[i].text);
		add_text(out, buf_slice(&folded));
		buf_fini(&folded);
	}
}

void
serial_field(struct buf *out, struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = ascii_lower(name.ptr[i]);

		if (c != ' ')
			(void)buf_add_char(out, c);
	}
	(void)buf_add_char(out, '\0');
}

void
serial_match(struct buf *out, const struct sigma_match *m)
{
	(void)buf_add_char(out, (char)m->kind);
	(void)buf_add_char(out, (char)m->cased);
	(void)buf_add_char(out, (char)m->flags);
	switch (m->kind) {
	case MATCH_PATTERN:
		add_pattern(out, &m->pattern, m->cased);
		break;
	case MATCH_REGEX:
		add_text(out, m->text);
		break;
	case MATCH_FIELD:
		serial_field(out, m->text);
		break;
	case MATCH_CIDR:
		(void)buf_add(out, m->address, sizeof(m->address));
		(void)buf_add_char(out, (char)m->prefix);
		break;
	case MATCH_TIME:
		(void)buf_add_char(out, (char)m->part);
		/* fall through */
	case MATCH_NUMBER:
		(void)buf_add_char(out, (char)m->op);
		add_number(out, m->number);
		break;
	case MATCH_EXISTS:
		(void)buf_add_char(out, (char)m->exists);
		break;
	case MATCH_NULL:
		break;
	}
}

void
serial_values(struct buf *out, const struct sigma_value *values, uint32_t n)
{
	(void)buf_add_varint(out, n);
	for (uint32_t i = 0; i < n; i++) {
		(void)buf_add_varint(out, values[i].n);
		for (uint32_t k = 0; k < values[i].n; k++)
			serial_match(out, &values[i].matches[k]);
	}
}

static void
add_selection(struct buf *out, const struct sigma_selection *s)
{
	(void)buf_add_varint(out, s->n);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct sigma_map *map = &s->maps[i];

		(void)buf_add_varint(out, map->n);
		for (uint32_t k = 0; k < map->n; k++) {
			const struct sigma_item *item = &map->items[k];

			serial_field(out, item->field);
			(void)buf_add_char(out, (char)item->all);
			(void)buf_add_char(out, (char)item->negated);
			serial_values(out, item->values, item->n);
		}
	}
}

static void
add_node(struct buf *out, const struct sigma_node *n,
    const struct sigma_selection *selections)
{
	(void)buf_add_char(out, (char)n->kind);
	if (n->kind == NODE_LEAF && selections != NULL) {
		add_selection(out, &selections[n->index]);
		return;
	}
	(void)buf_add_varint(out, n->index);
	(void)buf_add_varint(out, n->n);
	for (uint32_t i = 0; i < n->n; i++)
		add_node(out, n->children[i], selections);
}

void
serial_detection(struct buf *out, const struct sigma_rule *rule)
{
	(void)buf_add_str(out, "detection 1");
	add_text(out, rule->logsource.product);
	add_text(out, rule->logsource.category);
	add_text(out, rule->logsource.service);
	add_node(out, rule->condition, rule->selections);
}

static void
add_keys(struct buf *out, const struct correlation_key *keys, uint32_t n,
    uint32_t n_rules)
{
	(void)buf_add_varint(out, n);
	for (uint32_t i = 0; i < n; i++) {
		add_text(out, keys[i].name);
		for (uint32_t k = 0; k < n_rules; k++)
			serial_field(out, keys[i].by_rule[k].name);
	}
}

void
serial_correlation(struct buf *out, const struct sigma_correlation *c,
    const uint8_t (*digests)[SHA256_BYTES])
{
	(void)buf_add_str(out, "correlation 1");
	(void)buf_add_char(out, (char)c->type);
	(void)buf_add_varint(out, c->n_rules);
	for (uint32_t i = 0; i < c->n_rules; i++)
		(void)buf_add(out, digests[i], SHA256_BYTES);
	add_keys(out, c->group_by, c->n_group_by, c->n_rules);
	add_keys(out, c->values, c->n_values, c->n_rules);
	(void)buf_add_varint(out, (uint64_t)c->timespan_ns);
	(void)buf_add_varint(out, c->n_bounds);
	for (uint32_t i = 0; i < c->n_bounds; i++) {
		(void)buf_add_char(out, (char)c->bounds[i].op);
		add_number(out, c->bounds[i].value);
	}
	add_number(out, c->percentile);
	if (c->extended != NULL)
		add_node(out, c->extended, NULL);
}
