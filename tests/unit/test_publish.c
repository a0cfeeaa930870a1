/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher against librdkafka's mock cluster, or, with KUZET_TEST_KAFKA
 * (HOST:PORT), against that broker; KUZET_TEST_KAFKA_DIR is the folder that
 * tests/e2e/kafka/kafka.sh started it in, so that it can be killed.
 */
#include "collector/publish/publish.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "incident_fixture.h"
#include "pki.h"
#include "soc.h"
#include "tap.h"

#define SECOND INT64_C(1000000000)

enum { MANY = 1200, MESSAGES = 4096, WAIT_MS = 30000 };

static struct error err;
static char prefix[64], topic[80];
static const char *broker;

struct message {
	char key[64];
	char value[1024];
};
static struct message messages[MESSAGES];

static struct {
	pthread_mutex_t lock;
	unsigned told, over;
	char last[256];
} trouble = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
on_trouble(void *ctx, const char *message)
{
	(void)ctx;
	(void)pthread_mutex_lock(&trouble.lock);
	if (message[0] == '\0') {
		trouble.over++;
	} else {
		trouble.told++;
		(void)snprintf(trouble.last, sizeof(trouble.last), "%s",
		    message);
	}
	(void)pthread_mutex_unlock(&trouble.lock);
}

static void
pause_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
}

static int64_t
wall_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void
apply(struct soc *soc, unsigned from, unsigned n, uint64_t events)
{
	static uint64_t commit;

	for (unsigned i = from; i < from + n; i++) {
		char id[32];
		struct soc_cursor cursor = { ++commit, 1 };
		struct incident in = incident_fixture();

		(void)snprintf(id, sizeof(id), "id-%u", i);
		in.id = (struct slice){ id, strlen(id) };
		in.events = events;
		if (soc_apply(soc, &in, 1, &cursor, true, wall_clock(), &err) !=
		    RC_OK)
			(void)printf("# %s\n", err.text);
	}
}

static struct publish *
start(struct store *s, const char *address, int64_t drain_ns)
{
	struct publish_options o = {
		.store = s,
		.brokers = &address,
		.n_brokers = 1,
		.topic_prefix = prefix,
		.drain_ns = drain_ns,
		.on_trouble = on_trouble,
	};
	struct publish *p = NULL;

	if (publish_new(&o, &p, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	return p;
}

static uint64_t
pending(struct store *s)
{
	uint64_t n = 0, delivered;
	struct outbox *o;

	if (outbox_open(s, &o, &err) != RC_OK ||
	    outbox_counts(o, &n, &delivered, &err) != RC_OK)
		(void)printf("# %s\n", err.text);
	outbox_close(o);
	return n;
}

static bool
wait_delivered(struct store *s)
{
	for (int i = 0; i < WAIT_MS / 50; i++) {
		if (pending(s) == 0)
			return true;
		pause_ms(50);
	}
	return false;
}

static size_t
keep(size_t n, const rd_kafka_message_t *m)
{
	if (n == MESSAGES)
		return n;
	(void)snprintf(messages[n].key, sizeof(messages[n].key), "%.*s",
	    (int)m->key_len, (const char *)m->key);
	(void)snprintf(messages[n].value, sizeof(messages[n].value), "%.*s",
	    (int)m->len, (const char *)m->payload);
	return n + 1;
}

static size_t
read_partition(rd_kafka_topic_t *rkt, int32_t p, size_t n)
{
	if (rd_kafka_consume_start(rkt, p, RD_KAFKA_OFFSET_BEGINNING) != 0)
		return n;
	for (int silent = 0; silent < 50;) {
		rd_kafka_message_t *m = rd_kafka_consume(rkt, p, 100);

		silent++;
		if (m == NULL)
			continue;
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			n = keep(n, m);
			silent = 0;
		} else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			silent = 50;
		}
		rd_kafka_message_destroy(m);
	}
	(void)rd_kafka_consume_stop(rkt, p);
	return n;
}

/* Everything of the topic, into `messages`. */
static size_t
read_topic(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const struct rd_kafka_metadata *meta;
	rd_kafka_topic_t *rkt;
	size_t n = 0;
	rd_kafka_t *rk;

	(void)rd_kafka_conf_set(conf, "bootstrap.servers", broker, NULL, 0);
	(void)rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	rkt = rd_kafka_topic_new(rk, topic, NULL);
	if (rd_kafka_metadata(rk, 0, rkt, &meta, 5000) == 0) {
		for (int i = 0; i < meta->topics[0].partition_cnt; i++)
			n = read_partition(rkt, i, n);
		rd_kafka_metadata_destroy(meta);
	}
	rd_kafka_topic_destroy(rkt);
	rd_kafka_destroy(rk);
	return n;
}

static void
sql(const char *dir, const char *text)
{
	char path[256];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/soc.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		(void)printf("# %s\n", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

static void
each_state_goes_out_once(struct store *s, struct soc *soc)
{
	struct publish *p;
	bool all = true;
	size_t n;

	apply(soc, 0, MANY, 1);
	p = start(s, broker, 0);
	CHECK(p != NULL && wait_delivered(s), "what is due is delivered");
	apply(soc, MANY, 1, 1);
	publish_wake(p);
	CHECK(wait_delivered(s), "what comes later too");
	publish_free(p);
	n = read_topic();
	CHECK(n == MANY + 1, "each is there once: %zu", n);
	for (size_t i = 0; i < n; i++) {
		char want[128];

		(void)snprintf(want, sizeof(want),
		    "{\"type\":\"incident\",\"id\":\"%.63s\"", messages[i].key);
		all =
		    all && strncmp(messages[i].value, want, strlen(want)) == 0;
	}
	CHECK(all, "the key is the incident's id, the value its object");
}

/* As after a kill between a delivery and its mark in the outbox. */
static void
what_is_there_is_not_sent_again(struct store *s, struct soc *soc,
    const char *dir)
{
	struct publish *p;
	char text[256];
	size_t n;

	(void)snprintf(text, sizeof(text),
	    "UPDATE outbox SET due = 1, sent = 0, sent_digest = x'';"
	    "INSERT OR REPLACE INTO publisher_notes(name, text)"
	    " VALUES('ends:%s', '0:0')",
	    topic);
	sql(dir, text);
	apply(soc, 5, 1, 2);
	p = start(s, broker, 0);
	CHECK(wait_delivered(s), "everything was in doubt");
	publish_free(p);
	n = read_topic();
	CHECK(n == MANY + 2, "only what changed is sent: %zu", n);
}

static void
a_stop_sends_what_waits(struct store *s, struct soc *soc)
{
	struct publish *p;
	size_t n;

	p = start(s, broker, 10 * SECOND);
	apply(soc, 7, 1, 3); /* due within the minute */
	apply(soc, 7, 1, 4);
	publish_free(p);
	n = read_topic();
	CHECK(pending(s) == 0 && n == MANY + 3 &&
		strstr(messages[n - 1].value, "\"events\":4") != NULL,
	    "the last state is out when it stops: %zu", n);
}

static void
kafka_sh(const char *what)
{
	const char *dir = secure_getenv("KUZET_TEST_KAFKA_DIR");

	if (!pki_run((const char *[]){ KUZET_SRCDIR "/tests/e2e/kafka/kafka.sh",
		what, dir, NULL }))
		(void)printf("# kafka.sh %s failed\n", what);
}

/* kill -9 in the middle of a delivery, and a while without a broker. */
static void
kafka_may_be_killed(struct store *s, struct soc *soc)
{
	struct publish *p = start(s, broker, 0);
	size_t before = read_topic(), n;
	bool once = true;

	apply(soc, 10000, 200, 1);
	publish_wake(p);
	kafka_sh("kill");
	apply(soc, 10200, 200, 1);
	pause_ms(2000);
	kafka_sh("start");
	CHECK(wait_delivered(s), "all is delivered when it is back");
	n = read_topic();
	for (size_t i = before; i < n; i++)
		for (size_t k = before; k < i; k++)
			once = once &&
			    strcmp(messages[i].key, messages[k].key) != 0;
	CHECK(n == before + 400 && once, "and each once: %zu", n - before);
	publish_free(p);
}

static void
kafka_may_be_away(struct store *s, struct soc *soc)
{
	struct timespec from, to;
	struct publish *p;

	trouble.told = trouble.over = 0;
	apply(soc, 9, 1, 9);
	p = start(s, "127.0.0.1:1", SECOND);
	for (int i = 0; i < 300 && trouble.told == 0; i++)
		pause_ms(50);
	pause_ms(1500);
	CHECK(trouble.told == 1 && trouble.over == 0,
	    "an absent broker is told once: %s", trouble.last);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	publish_free(p);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	CHECK(to.tv_sec - from.tv_sec < 12 && pending(s) == 1,
	    "a stop does not wait for it for ever, and nothing is lost");
}

static void
wrong_properties_are_told(void)
{
	static const char *const names[] = { "no.such.thing",
		"security.protocol" };
	static const char *const values[] = { "1", "wrong" };
	const char *address = "127.0.0.1:9092";
	struct publish_options o = { .brokers = &address,
		.n_brokers = 1,
		.names = names,
		.values = values,
		.n_properties = 1 };
	size_t at;

	CHECK(publish_check(&o, &at, &err) == RC_INVALID &&
		strstr(err.text, "kafka.properties.no.such.thing: ") != NULL,
	    "an unknown property: %s", err.text);
	CHECK(at == 0, "and which one");
	o.names++;
	o.values++;
	CHECK(publish_check(&o, &at, &err) == RC_INVALID &&
		strstr(err.text, "security.protocol") != NULL,
	    "a wrong value: %s", err.text);
	o.n_properties = 0;
	CHECK(publish_check(&o, &at, &err) == RC_OK, "none is fine");
}

static rd_kafka_mock_cluster_t *cluster;

static rd_kafka_t *
mock_start(void)
{
	rd_kafka_t *rk =
	    rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);

	cluster = rd_kafka_mock_cluster_new(rk, 1);
	broker = strdup(rd_kafka_mock_cluster_bootstraps(cluster));
	(void)rd_kafka_mock_topic_create(cluster, topic, 1, 1);
	return rk;
}

int
main(void)
{
	char dir[] = "/tmp/kuzet-publish-XXXXXX";
	rd_kafka_t *mock = NULL;
	struct store *s = NULL;
	struct soc *soc = NULL;

	(void)snprintf(prefix, sizeof(prefix), "kuzet%d.", (int)getpid());
	(void)snprintf(topic, sizeof(topic), "%sincidents", prefix);
	broker = secure_getenv("KUZET_TEST_KAFKA");
	wrong_properties_are_told();
	if (broker == NULL)
		mock = mock_start();
	if (mkdtemp(dir) == NULL || store_open(dir, &s, &err) != RC_OK ||
	    soc_open(s, &soc, &err) != RC_OK) {
		CHECK(false, "a store opens: %s", err.text);
		return tap_done();
	}
	each_state_goes_out_once(s, soc);
	what_is_there_is_not_sent_again(s, soc, dir);
	a_stop_sends_what_waits(s, soc);
	if (secure_getenv("KUZET_TEST_KAFKA_DIR") != NULL)
		kafka_may_be_killed(s, soc);
	kafka_may_be_away(s, soc);
	soc_close(soc);
	store_close(s);
	if (mock != NULL) {
		free((void *)broker);
		rd_kafka_mock_cluster_destroy(cluster);
		rd_kafka_destroy(mock);
	}
	(void)pki_run((const char *[]){ "rm", "-rf", dir, NULL });
	return tap_done();
}
