/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/publish/kafka.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "xalloc.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

enum {
	MESSAGE_TEXT = 512,
	REQUEST_MS = 5000,
	TAIL_MS = 1000,
	TAIL_SILENT = 20, /* times TAIL_MS without a message: give up for now */
	PURGE_MS = 1000,
	BROKERS_TEXT = 64 * 1024,
};

struct kafka {
	rd_kafka_t *producer;
	rd_kafka_topic_t *topic;
	char *name;
	const struct publish_options *options; /* borrowed */
	int64_t *ends;                         /* of the partitions */
	int32_t n;
	bool broken;
	void (*on_error)(void *ctx, const char *message);
	void *ctx;
};

/* What ours must be is not the user's to change. */
static const char *const fixed[][2] = {
	{ "enable.idempotence", "true" },
	{ "acks", "all" },
	{ "enable.partition.eof", "true" },
	/*
	 * Never given up: the broker may take later what was, and only this
	 * producer's own tries are known to it as the same message.
	 */
	{ "message.timeout.ms", "0" },
};
static const char *const defaults[][2] = {
	{ "client.id", "kuzet-collector" },
	{ "linger.ms", "5" },
	{ "log.connection.close", "false" },
};

static void
quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	(void)facility;
	(void)text;
}

static enum rc
set(rd_kafka_conf_t *conf, const char *name, const char *value,
    struct error *err)
{
	char why[MESSAGE_TEXT];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) ==
	    RD_KAFKA_CONF_OK)
		return RC_OK;
	return error_set(err, RC_INVALID, "kafka.properties.%s: %s", name, why);
}

static enum rc
set_all(rd_kafka_conf_t *conf, const struct publish_options *o,
    size_t *property, struct error *err)
{
	enum rc rc = RC_OK;

	*property = o->n_properties;

	for (size_t i = 0; rc == RC_OK && i < N(defaults); i++)
		rc = set(conf, defaults[i][0], defaults[i][1], err);
	for (size_t i = 0; rc == RC_OK && i < o->n_properties; i++) {
		rc = set(conf, o->names[i], o->values[i], err);
		if (rc != RC_OK)
			*property = i;
	}
	for (size_t i = 0; rc == RC_OK && i < N(fixed); i++)
		rc = set(conf, fixed[i][0], fixed[i][1], err);
	return rc;
}

static enum rc
set_brokers(rd_kafka_conf_t *conf, const struct publish_options *o,
    struct error *err)
{
	struct buf list;
	enum rc rc;

	buf_init(&list, BROKERS_TEXT);
	for (size_t i = 0; i < o->n_brokers; i++)
		(void)buf_printf(&list, "%s%s", i > 0 ? "," : "",
		    o->brokers[i]);
	(void)buf_add_char(&list, '\0');
	rc = list.overflowed
	    ? error_set(err, RC_LIMIT, "kafka.brokers: too many")
	    : set(conf, "bootstrap.servers", list.ptr, err);
	buf_fini(&list);
	return rc;
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *report, void *ctx)
{
	struct kafka *k = ctx;
	struct kafka_message *m = report->_private;
	int32_t p = report->partition;

	(void)rk;
	if (report->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		m->state = KAFKA_FAILED;
		if (report->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
		    report->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
			k->on_error(k->ctx, rd_kafka_err2str(report->err));
		return;
	}
	m->state = KAFKA_DELIVERED;
	/* a partition that is newer than our list is read from its beginning */
	if (p >= 0 && p < k->n && report->offset + 1 > k->ends[p])
		k->ends[p] = report->offset + 1;
}

static void
on_client_error(rd_kafka_t *rk, int code, const char *reason, void *ctx)
{
	struct kafka *k = ctx;
	char why[MESSAGE_TEXT];

	if (code != RD_KAFKA_RESP_ERR__FATAL) {
		k->on_error(k->ctx, reason);
		return;
	}
	(void)rd_kafka_fatal_error(rk, why, sizeof(why));
	k->broken = true;
	k->on_error(k->ctx, why);
}

/* Takes the configuration. */
static enum rc
make(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
    struct error *err)
{
	char why[MESSAGE_TEXT];

	*out = rd_kafka_new(type, conf, why, sizeof(why));
	if (*out != NULL)
		return RC_OK;
	rd_kafka_conf_destroy(conf);
	return error_set(err, RC_LIBRARY, "kafka: %s", why);
}

/* Without brokers, so that nothing is asked. */
enum rc
kafka_check(const struct publish_options *options, size_t *property,
    struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *producer;
	enum rc rc;

	rd_kafka_conf_set_log_cb(conf, quiet);
	rc = set_all(conf, options, property, err);
	if (rc == RC_OK)
		rc = set_brokers(conf, options, err);
	if (rc == RC_OK)
		rc = set(conf, "bootstrap.servers", "", err);
	if (rc != RC_OK) {
		rd_kafka_conf_destroy(conf);
		return rc;
	}
	rc = make(RD_KAFKA_PRODUCER, conf, &producer, err);
	if (rc == RC_OK)
		rd_kafka_destroy(producer);
	return rc;
}

static enum rc
new_client(struct kafka *k, rd_kafka_type_t type, rd_kafka_t **out,
    struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	size_t property;
	enum rc rc;

	rd_kafka_conf_set_log_cb(conf, quiet);
	rc = set_all(conf, k->options, &property, err);
	if (rc == RC_OK)
		rc = set_brokers(conf, k->options, err);
	if (rc != RC_OK) {
		rd_kafka_conf_destroy(conf);
		return rc;
	}
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_error_cb(conf, on_client_error);
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	return make(type, conf, out, err);
}

enum rc
kafka_new(const struct publish_options *options, const char *topic,
    void (*on_error)(void *ctx, const char *message), void *ctx,
    struct kafka **out, struct error *err)
{
	struct kafka *k = xzalloc(sizeof(*k));
	enum rc rc;

	*out = NULL;
	k->options = options;
	k->on_error = on_error;
	k->ctx = ctx;
	k->name = xstrdup(topic);
	rc = new_client(k, RD_KAFKA_PRODUCER, &k->producer, err);
	if (rc == RC_OK) {
		k->topic = rd_kafka_topic_new(k->producer, topic, NULL);
		if (k->topic == NULL)
			rc = error_set(err, RC_LIBRARY, "kafka: topic %s: %s",
			    topic, rd_kafka_err2str(rd_kafka_last_error()));
	}
	if (rc != RC_OK) {
		kafka_free(k);
		return rc;
	}
	*out = k;
	return RC_OK;
}

void
kafka_free(struct kafka *k)
{
	if (k == NULL)
		return;
	if (k->producer != NULL) {
		(void)rd_kafka_purge(k->producer,
		    RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		(void)rd_kafka_flush(k->producer, PURGE_MS);
	}
	if (k->topic != NULL)
		rd_kafka_topic_destroy(k->topic);
	if (k->producer != NULL)
		rd_kafka_destroy(k->producer);
	free(k->ends);
	free(k->name);
	free(k);
}

static enum rc
fail(const struct kafka *k, rd_kafka_resp_err_t code, const char *what,
    struct error *err)
{
	return error_set(err, RC_LIBRARY, "kafka: topic %s: %s: %s", k->name,
	    what, rd_kafka_err2str(code));
}

/* The answer of one topic's creation. */
static rd_kafka_resp_err_t
creation_result(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * REQUEST_MS);
	const rd_kafka_CreateTopics_result_t *result;
	const rd_kafka_topic_result_t **topics;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	size_t n = 0;

	if (event == NULL)
		return code;
	code = rd_kafka_event_error(event);
	result = rd_kafka_event_CreateTopics_result(event);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR && result != NULL) {
		topics = rd_kafka_CreateTopics_result_topics(result, &n);
		if (n > 0)
			code = rd_kafka_topic_result_error(topics[0]);
	}
	rd_kafka_event_destroy(event);
	return code;
}

/* Partitions and replicas are the cluster's defaults. */
static enum rc
create_topic(struct kafka *k, struct error *err)
{
	char why[MESSAGE_TEXT];
	rd_kafka_NewTopic_t *topic =
	    rd_kafka_NewTopic_new(k->name, -1, -1, why, sizeof(why));
	rd_kafka_queue_t *queue;
	rd_kafka_resp_err_t code;

	if (topic == NULL)
		return error_set(err, RC_LIBRARY, "kafka: topic %s: %s",
		    k->name, why);
	queue = rd_kafka_queue_new(k->producer);
	rd_kafka_CreateTopics(k->producer, &topic, 1, NULL, queue);
	code = creation_result(queue);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR ||
	    code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return RC_OK;
	return fail(k, code, "cannot be created", err);
}

/* RC_EOF: there is no such topic. */
static enum rc
count_partitions(struct kafka *k, int32_t *n, struct error *err)
{
	const struct rd_kafka_metadata *meta = NULL;
	rd_kafka_resp_err_t code =
	    rd_kafka_metadata(k->producer, 0, k->topic, &meta, REQUEST_MS);
	enum rc rc = RC_OK;

	*n = 0;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fail(k, code, "no answer", err);
	if (meta->topic_cnt == 1) {
		code = meta->topics[0].err;
		*n = meta->topics[0].partition_cnt;
	}
	rd_kafka_metadata_destroy(meta);
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		return RC_EOF;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		rc = fail(k, code, "not usable yet", err);
	else if (*n == 0)
		rc = RC_EOF;
	return rc;
}

enum rc
kafka_ready(struct kafka *k, struct error *err)
{
	int32_t n;
	enum rc rc = count_partitions(k, &n, err);

	if (rc == RC_EOF) {
		rc = create_topic(k, err);
		if (rc == RC_OK)
			rc = count_partitions(k, &n, err);
	}
	if (rc == RC_EOF)
		rc = error_set(err, RC_LIBRARY,
		    "kafka: topic %s: not there yet", k->name);
	if (rc != RC_OK)
		return rc;
	k->ends = xreallocarray(k->ends, (size_t)n, sizeof(k->ends[0]));
	k->n = n;
	for (int32_t p = 0; p < n; p++) {
		int64_t low, high;
		rd_kafka_resp_err_t code =
		    rd_kafka_query_watermark_offsets(k->producer, k->name, p,
			&low, &high, REQUEST_MS);

		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return fail(k, code, "no offsets", err);
		k->ends[p] = high;
	}
	return RC_OK;
}

void
kafka_ends(const struct kafka *k, struct buf *out)
{
	for (int32_t p = 0; p < k->n; p++)
		(void)buf_printf(out, "%s%" PRId32 ":%" PRId64,
		    p > 0 ? " " : "", p, k->ends[p]);
}

/* What "0:17 1:4" says of a partition; 0 if nothing. */
static int64_t
noted_end(struct slice ends, int32_t partition)
{
	char text[32];
	const char *p = ends.ptr, *end = ends.ptr + ends.len;

	while (p != NULL && p < end) {
		const char *space = memchr(p, ' ', (size_t)(end - p));
		size_t n = (size_t)((space != NULL ? space : end) - p);
		char *colon;

		if (n < sizeof(text)) {
			memcpy(text, p, n);
			text[n] = '\0';
			colon = strchr(text, ':');
			if (colon != NULL &&
			    strtol(text, NULL, 10) == partition)
				return strtoll(colon + 1, NULL, 10);
		}
		p = space != NULL ? space + 1 : end;
	}
	return 0;
}

/* A consumer beside the producer, while the tail is read. */
struct tail {
	rd_kafka_t *consumer;
	rd_kafka_topic_t *topic;
	kafka_tail_cb *cb;
	void *ctx;
};

static void
hand_out(const struct tail *t, const rd_kafka_message_t *m)
{
	struct slice key = { m->key != NULL ? m->key : "", m->key_len };
	struct slice value = { m->payload != NULL ? m->payload : "", m->len };

	t->cb(t->ctx, key, value);
}

/* Up to where the partition ended when kafka_ready() looked. */
static enum rc
read_partition(struct kafka *k, const struct tail *t, int32_t p,
    struct error *err)
{
	int64_t next = 0;
	int silent = 0;

	while (next < k->ends[p] && silent < TAIL_SILENT) {
		rd_kafka_message_t *m = rd_kafka_consume(t->topic, p, TAIL_MS);
		rd_kafka_resp_err_t code =
		    m != NULL ? m->err : RD_KAFKA_RESP_ERR__TIMED_OUT;

		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			next = m->offset + 1;
			silent = 0;
			hand_out(t, m);
		}
		if (m != NULL)
			rd_kafka_message_destroy(m);
		if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			return RC_OK;
		if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
			silent++;
		else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return fail(k, code, "cannot be read", err);
	}
	if (next < k->ends[p])
		return fail(k, RD_KAFKA_RESP_ERR__TIMED_OUT, "cannot be read",
		    err);
	return RC_OK;
}

static enum rc
read_from(struct kafka *k, const struct tail *t, int32_t p, int64_t begin,
    struct error *err)
{
	int64_t low, high;
	rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(t->consumer,
	    k->name, p, &low, &high, REQUEST_MS);
	enum rc rc;

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fail(k, code, "no offsets", err);
	if (begin < low)
		begin = low;
	if (begin >= high || begin >= k->ends[p])
		return RC_OK;
	if (rd_kafka_consume_start(t->topic, p, begin) != 0)
		return fail(k, rd_kafka_last_error(), "cannot be read", err);
	rc = read_partition(k, t, p, err);
	(void)rd_kafka_consume_stop(t->topic, p);
	return rc;
}

enum rc
kafka_read_tail(struct kafka *k, struct slice ends, kafka_tail_cb *cb,
    void *ctx, struct error *err)
{
	struct tail t = { .cb = cb, .ctx = ctx };
	enum rc rc = new_client(k, RD_KAFKA_CONSUMER, &t.consumer, err);

	if (rc != RC_OK)
		return rc;
	t.topic = rd_kafka_topic_new(t.consumer, k->name, NULL);
	if (t.topic == NULL)
		rc = fail(k, rd_kafka_last_error(), "cannot be read", err);
	for (int32_t p = 0; rc == RC_OK && p < k->n; p++)
		rc = read_from(k, &t, p, noted_end(ends, p), err);
	if (t.topic != NULL)
		rd_kafka_topic_destroy(t.topic);
	rd_kafka_destroy(t.consumer);
	return rc;
}

enum rc
kafka_send(struct kafka *k, struct kafka_message *m, struct error *err)
{
	m->state = KAFKA_WAITING;
	for (;;) {
		rd_kafka_resp_err_t code;

		if (rd_kafka_produce(k->topic, RD_KAFKA_PARTITION_UA,
			RD_KAFKA_MSG_F_COPY, (void *)m->value.ptr, m->value.len,
			m->key.ptr, m->key.len, m) == 0)
			return RC_OK;
		code = rd_kafka_last_error();
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			m->state = KAFKA_FAILED;
			return fail(k, code, "cannot be written", err);
		}
		kafka_poll(k, 100);
	}
}

void
kafka_poll(struct kafka *k, int timeout_ms)
{
	(void)rd_kafka_poll(k->producer, timeout_ms);
}

bool
kafka_is_broken(const struct kafka *k)
{
	return k->broken;
}
