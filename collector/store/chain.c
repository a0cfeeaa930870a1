/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "timestamp.h"
#include "xalloc.h"

static size_t
link_text(const struct chain_link *l, char out[CHAIN_ROW_TEXT])
{
	char digest[SHA256_TEXT], hits[SHA256_TEXT];

	hex_text(l->digest, SHA256_BYTES, digest);
	hex_text(l->hits, SHA256_BYTES, hits);
	return (size_t)snprintf(out, CHAIN_ROW_TEXT,
	    "%" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s", l->number, l->first,
	    l->last, digest, hits);
}

void
chain_link_seal(struct chain_link *link, const uint8_t before[SHA256_BYTES])
{
	char text[SHA256_TEXT + CHAIN_ROW_TEXT];
	size_t n = SHA256_TEXT;

	hex_text(before, SHA256_BYTES, text);
	text[n - 1] = ' ';
	n += link_text(link, text + n);
	text[n++] = '\n';
	sha256_of((struct slice){ text, n }, link->chain);
}

struct slice
chain_row(const struct chain_link *link, char out[CHAIN_ROW_TEXT])
{
	size_t n = link_text(link, out);

	out[n++] = ' ';
	hex_text(link->chain, SHA256_BYTES, out + n);
	n += SHA256_TEXT;
	out[n - 1] = '\n';
	return (struct slice){ out, n };
}

void
chain_digest_init(struct chain_digest *d)
{
	d->lines = sha256_new();
	d->hits = sha256_new();
	buf_init(&d->line, CHAIN_LINE_MAX);
	d->memo = json_memo_new(JSON_NESTED);
	d->fields = xcalloc(EVENT_FIELDS_MAX, sizeof(d->fields[0]));
}

void
chain_digest_fini(struct chain_digest *d)
{
	sha256_free(d->lines);
	sha256_free(d->hits);
	buf_fini(&d->line);
	json_memo_free(d->memo);
	free(d->fields);
	*d = (struct chain_digest){ 0 };
}

void
chain_digest_clear(struct chain_digest *d)
{
	sha256_clear(d->lines);
	sha256_clear(d->hits);
}

void
chain_line(struct buf *out, const struct event *ev, struct json_memo *memo)
{
	if (memo != NULL)
		json_write_event_again(out, ev, memo);
	else
		json_write_event(out, ev, JSON_NESTED);
	(void)buf_add_char(out, '\n');
}

void
chain_digest_event(struct chain_digest *d, const struct event *ev,
    int64_t time_ns)
{
	struct event stored = *ev;

	stored.fields = d->fields;
	stored.time_ns = time_ns;
	stored.n = 0;
	for (uint32_t i = 0; i < ev->n; i++)
		if (ev->fields[i].id != FIELD_KUZET_INPUT)
			stored.fields[stored.n++] = ev->fields[i];
	buf_clear(&d->line);
	chain_line(&d->line, &stored, d->memo);
	sha256_add(d->lines, d->line.ptr, d->line.len);
}

void
chain_digest_owner(struct chain_digest *d, struct slice owner, uint64_t events)
{
	struct buf *line = &d->line;

	buf_clear(line);
	(void)buf_add_str(line, "owner ");
	(void)buf_add_u64dec(line, events);
	(void)buf_add_char(line, ' ');
	(void)buf_add_slice(line, owner);
	(void)buf_add_char(line, '\n');
	sha256_add(d->hits, line->ptr, line->len);
}

void
chain_digest_hit(struct chain_digest *d, uint64_t event,
    const uint8_t rule_digest[SHA256_BYTES], struct slice rule)
{
	char hex[SHA256_TEXT];
	struct buf *line = &d->line;

	hex_text(rule_digest, SHA256_BYTES, hex);
	buf_clear(line);
	(void)buf_add_str(line, "hit ");
	(void)buf_add_u64dec(line, event);
	(void)buf_add_char(line, ' ');
	(void)buf_add_str(line, hex);
	(void)buf_add_char(line, ' ');
	(void)buf_add_slice(line, rule);
	(void)buf_add_char(line, '\n');
	sha256_add(d->hits, line->ptr, line->len);
}

void
chain_digest_done(struct chain_digest *d, struct chain_link *out)
{
	sha256_done(d->lines, out->digest);
	sha256_done(d->hits, out->hits);
}

void
chain_head_text(struct buf *out, const struct chain_head *head)
{
	char time[TIMESTAMP_TEXT_MAX], rows[SHA256_TEXT], chain[SHA256_TEXT];
	struct slice t = timestamp_format(head->time_ns, time);

	hex_text(head->rows, SHA256_BYTES, rows);
	hex_text(head->chain, SHA256_BYTES, chain);
	(void)buf_printf(out,
	    "kuzet store head 1\n"
	    "file: %.*s\n"
	    "time: %.*s\n"
	    "first: %" PRIu64 "\n"
	    "last: %" PRIu64 "\n"
	    "events: %" PRIu64 "\n"
	    "rows: %s\n"
	    "chain: %s\n"
	    "key: %.*s\n",
	    SLICE_ARG(head->file), SLICE_ARG(t), head->first, head->last,
	    head->events, rows, chain, SLICE_ARG(head->key));
}

struct slice
chain_head_value(struct slice text, const char *name)
{
	size_t len = strlen(name);

	while (text.len > 0) {
		const char *lf = memchr(text.ptr, '\n', text.len);
		size_t n = lf != NULL ? (size_t)(lf - text.ptr) : text.len;

		if (n >= len + 2 && memcmp(text.ptr, name, len) == 0 &&
		    text.ptr[len] == ':' && text.ptr[len + 1] == ' ')
			return (
			    struct slice){ text.ptr + len + 2, n - len - 2 };
		if (lf == NULL)
			break;
		text = (struct slice){ lf + 1, text.len - n - 1 };
	}
	return SLICE("");
}
