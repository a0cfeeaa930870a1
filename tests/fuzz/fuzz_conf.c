/* SPDX-License-Identifier: Apache-2.0 */
/* YAML trees, and configuration read out of them. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
	char *name;
	int64_t bytes;
};

struct settings {
	char *address, *ca;
	bool has_kafka, on;
	struct conf_strings brokers, paths;
	struct conf_map properties;
	int level;
	int64_t count, size, span, rate;
	struct conf_list items;
};

static const char *const levels[] = { "low", "high", NULL };

#define AT(member) .offset = offsetof(struct settings, member)

static const struct conf_option item_table[] = {
	{ .key = "name",
	    .type = CONF_STRING,
	    .offset = offsetof(struct item, name),
	    .required = true },
	{ .key = "bytes",
	    .type = CONF_SIZE,
	    .offset = offsetof(struct item, bytes),
	    .def = "1KiB" },
	{ .key = NULL },
};

static const struct conf_option table[] = {
	{ .key = "listeners.beats.address", .type = CONF_ADDRESS, AT(address) },
	{ .key = "tls.ca", .type = CONF_PATH, AT(ca), .required = true },
	{ .key = "kafka", .type = CONF_SECTION, AT(has_kafka) },
	{ .key = "kafka.brokers", .type = CONF_ADDRESSES, AT(brokers) },
	{ .key = "kafka.properties", .type = CONF_MAP, AT(properties) },
	{ .key = "level", .type = CONF_CHOICE, AT(level), .choices = levels },
	{ .key = "count", .type = CONF_INT, AT(count), .min = 1, .max = 9 },
	{ .key = "size",
	    .type = CONF_SIZE,
	    AT(size),
	    .min = 1,
	    .max = 1 << 30 },
	{ .key = "span", .type = CONF_DURATION, AT(span) },
	{ .key = "rate", .type = CONF_SIZE, AT(rate), .def = "20MB/s" },
	{ .key = "on", .type = CONF_BOOL, AT(on) },
	{ .key = "paths", .type = CONF_PATHS, AT(paths) },
	{ .key = "items",
	    .type = CONF_LIST,
	    AT(items),
	    .items = item_table,
	    .item_size = sizeof(struct item) },
	{ .key = NULL },
};

/* The tree is what it says: bounded, texts end with NUL, keys are scalars. */
static void
walk(const struct yaml_node *n, unsigned depth)
{
	int64_t i;
	double d;
	bool b;

	if (n == NULL)
		return;
	if (depth > 32 || n->line == 0 || n->column == 0)
		abort();
	if (n->kind == YAML_SCALAR && n->text.ptr[n->text.len] != '\0')
		abort();
	if (n->kind == YAML_SCALAR && yaml_int(n, &i) && !yaml_double(n, &d))
		abort();
	if (yaml_bool(n, &b) && yaml_is_null(n))
		abort();
	for (size_t k = 0; k < n->n; k++) {
		if (n->kind == YAML_MAPPING && n->keys[k]->kind != YAML_SCALAR)
			abort();
		walk(n->items[k], depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct settings s;
	struct yaml_file *y;
	struct error err;

	memset(&s, 0, sizeof(s));
	if (yaml_parse("f", text, &y, &err) != RC_OK)
		return 0;
	for (size_t i = 0; i < yaml_documents(y); i++)
		walk(yaml_root(y, i), 1);
	yaml_free(y);
	err.text[0] = '\0';
	if (conf_parse("f", text, table, &s, &err) == RC_OK) {
		if (s.ca == NULL || s.count > 9 || s.size > 1 << 30)
			abort();
	} else if (strncmp(err.text, "f:", 2) != 0) {
		abort();
	}
	conf_free(table, &s);
	return 0;
}
