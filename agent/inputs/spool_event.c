/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/spool_event.h"

void
spool_event_begin(struct spool_event_text *t, const struct input_setup *setup,
    const char *input, const char *type, int64_t time_ns)
{
	struct json_writer *w = &t->json;

	buf_init(&t->text, SPOOL_EVENT_MAX);
	json_begin(w, &t->text);
	json_open(w, '{');
	json_key(w, "@timestamp");
	json_time(w, time_ns - time_ns % NS_PER_MS);
	json_key(w, "host");
	json_open(w, '{');
	json_key(w, "name");
	json_str(w, setup->host_name);
	json_close(w, '}');
	json_key(w, "input");
	json_open(w, '{');
	json_key(w, "type");
	json_str(w, type);
	json_close(w, '}');
	json_key(w, "kuzet.input");
	json_str(w, input);
}

enum rc
spool_event_put(struct spool_event_text *t, struct spool *spool,
    struct error *err)
{
	enum rc rc;

	json_close(&t->json, '}');
	rc = t->text.overflowed
	    ? error_set(err, RC_INVALID, "an event of more than %d bytes",
		  SPOOL_EVENT_MAX)
	    : spool_put(spool, buf_slice(&t->text), err);
	buf_fini(&t->text);
	return rc;
}
