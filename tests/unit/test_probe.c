/* SPDX-License-Identifier: Apache-2.0 */
#include <ares.h>
#include <arpa/nameser.h>

#include "agent/inputs/maintenance.h"
#include "agent/inputs/probe/dns_signatures.h"
#include "agent/inputs/probe/probe.h"
#include "buf.h"
#include "tap.h"
#include "timestamp.h"

static int64_t
at(const char *text)
{
	struct timestamp_hints hints = { .now_ns = 0 };
	int64_t ns = 0;

	(void)timestamp_parse_rfc3339((struct slice){ text, strlen(text) },
	    &hints, &ns);
	return ns;
}

static void
windows(void)
{
	/* 2026-11-22 is a Sunday */
	static const struct {
		const char *window, *zone, *time;
		bool within;
	} cases[] = {
		{ "02:00-03:00", NULL, "2026-11-22T02:00:00Z", true },
		{ "02:00-03:00", NULL, "2026-11-22T02:59:59Z", true },
		{ "02:00-03:00", NULL, "2026-11-22T03:00:00Z", false },
		{ "02:00-03:00", NULL, "2026-11-22T01:59:59Z", false },
		{ "00:00-24:00", NULL, "2026-11-22T23:59:59Z", true },
		{ "23:00-01:00", NULL, "2026-11-22T23:30:00Z", true },
		{ "23:00-01:00", NULL, "2026-11-22T00:30:00Z", true },
		{ "23:00-01:00", NULL, "2026-11-22T12:00:00Z", false },
		{ "Sun 02:00-04:00", NULL, "2026-11-22T03:00:00Z", true },
		{ "Mon 02:00-04:00", NULL, "2026-11-22T03:00:00Z", false },
		{ "sat 23:00-01:00", NULL, "2026-11-22T00:30:00Z", true },
		{ "Sun 23:00-01:00", NULL, "2026-11-22T00:30:00Z", false },
		{ "02:00-03:00", "+05:00", "2026-11-21T21:30:00Z", true },
		{ "02:00-03:00", "+05:00", "2026-11-22T02:30:00Z", false },
		{ "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z", NULL,
		    "2026-11-22T21:00:00Z", true },
		{ "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z", NULL,
		    "2026-11-22T22:00:00Z", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct timezone_info *tz = NULL;
		struct error err;
		bool good = cases[i].zone == NULL ||
		    timezone_open(cases[i].zone, &tz, &err) == RC_OK;

		CHECK(good && maintenance_valid(cases[i].window) &&
			maintenance_now(cases[i].window, tz,
			    at(cases[i].time)) == cases[i].within,
		    "%s is %s %s", cases[i].time,
		    cases[i].within ? "within" : "not within", cases[i].window);
		timezone_close(tz);
	}
}

static void
bad_windows(void)
{
	static const char *const bad[] = { "", "02:00", "02:00-02:00",
		"2:00-3:00", "25:00-26:00", "02:60-03:00", "Xyz 02:00-03:00",
		"02:00-03:00 ", "24:01-03:00",
		"2026-11-22T22:00:00Z/2026-11-22T20:00:00Z",
		"2026-11-22T20:00:00Z", "2026-11-22/", "/" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!maintenance_valid(bad[i]), "\"%s\" is no window",
		    bad[i]);
}

static void
targets(void)
{
	static const struct {
		const char *target;
		enum probe_check check;
		bool valid;
	} cases[] = {
		{ "example.org", PROBE_DNS, true },
		{ "example.org/x", PROBE_DNS, false },
		{ "", PROBE_DNS, false },
		{ "example.org:25", PROBE_TCP, true },
		{ "[2001:db8::1]:25", PROBE_TCP, true },
		{ "example.org", PROBE_TCP, false },
		{ "example.org", PROBE_TLS, true },
		{ "192.0.2.1", PROBE_NTP, true },
		{ "a b", PROBE_NTP, false },
		{ "http://example.org", PROBE_HTTP, true },
		{ "https://example.org:8443/a?b=c", PROBE_HTTP, true },
		{ "HTTPS://example.org/", PROBE_HTTP, true },
		{ "ftp://example.org/", PROBE_HTTP, false },
		{ "http://", PROBE_HTTP, false },
		{ "http://user@example.org/", PROBE_HTTP, false },
		{ "http://example.org/a b", PROBE_HTTP, false },
		{ "http://example.org/\r\nX: y", PROBE_HTTP, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(probe_target_valid(cases[i].check, cases[i].target) ==
			cases[i].valid,
		    "target %zu is %s", i, cases[i].valid ? "one" : "none");
}

static void
checks_servers(void)
{
	static const char *const good[] = { "192.0.2.1", "192.0.2.1:53",
		"2001:db8::1", "[2001:db8::1]:53" };
	static const char *const bad[] = { "", "ns1.example.org",
		"ns1.example.org:53", "192.0.2", "192.0.2.1:", "[2001:db8::1" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(probe_server_valid(good[i]), "%s is a server", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!probe_server_valid(bad[i]), "\"%s\" is none", bad[i]);
}

/* ---- signatures of a zone ----------------------------------------------------- */

enum { SIGNATURES = 2, NAME_AT = 12, RRSIG_BYTES = 18 + 2 + 64 };

struct answer {
	int64_t now_s;
	unsigned n; /* signatures */
	struct {
		int type;
		uint32_t end_s;
	} signatures[SIGNATURES];
	size_t cut; /* bytes that are missing at the end */
	int64_t until_s;
	const char *what;
};

static void
put16(struct buf *b, unsigned v)
{
	(void)buf_add_char(b, (char)(v >> 8));
	(void)buf_add_char(b, (char)v);
}

static void
put_record(struct buf *b, int type, unsigned bytes)
{
	put16(b, 0xc000 | NAME_AT);
	put16(b, (unsigned)type);
	put16(b, ns_c_in);
	(void)buf_add_u32be(b, 60);
	put16(b, bytes);
}

static void
put_rrsig(struct buf *b, int type, uint32_t end_s)
{
	static const char signature[64];

	put_record(b, ns_t_rrsig, RRSIG_BYTES);
	put16(b, (unsigned)type);
	put16(b, 13 << 8 | 2); /* algorithm, labels */
	(void)buf_add_u32be(b, 60);
	(void)buf_add_u32be(b, end_s);
	(void)buf_add_u32be(b, end_s - 86400);
	put16(b, 7);
	put16(b, 0xc000 | NAME_AT);
	(void)buf_add_slice(b, (struct slice){ signature, sizeof(signature) });
}

static void
put_answer(struct buf *b, const struct answer *a)
{
	static const char question[] = "\7example\3org";

	put16(b, 1);
	put16(b, 0x8400);
	put16(b, 1);
	put16(b, 1 + a->n);
	put16(b, 0);
	put16(b, 0);
	(void)buf_add_slice(b, (struct slice){ question, sizeof(question) });
	put16(b, ns_t_soa);
	put16(b, ns_c_in);
	put_record(b, ns_t_soa, 4 + 5 * 4);
	put16(b, 0xc000 | NAME_AT);
	put16(b, 0xc000 | NAME_AT);
	for (int i = 0; i < 5; i++)
		(void)buf_add_u32be(b, 7);
	for (unsigned i = 0; i < a->n; i++)
		put_rrsig(b, a->signatures[i].type, a->signatures[i].end_s);
	b->len -= a->cut;
}

static void
signatures(void)
{
	static const struct answer cases[] = {
		{ 1000, 0, { { 0, 0 } }, 0, 0, "no signature" },
		{ 1000, 1, { { ns_t_soa, 5000 } }, 0, 5000, "one signature" },
		{ 1000, 1, { { ns_t_soa, 400 } }, 0, 400, "one that ended" },
		{ 1000, 2, { { ns_t_soa, 5000 }, { ns_t_soa, 900 } }, 0, 5000,
		    "of two, the one that holds longer" },
		{ 1000, 1, { { ns_t_ns, 5000 } }, 0, 0,
		    "a signature of something else" },
		{ INT64_C(4294967290), 1, { { ns_t_soa, 5 } }, 0,
		    INT64_C(4294967301), "a clock that went round" },
		{ 1000, 1, { { ns_t_soa, 5000 } }, 1, 0, "a cut answer" },
		{ 1000, 1, { { ns_t_soa, 5000 } }, 150, 0, "a stump" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;
		int64_t until_s;

		buf_init(&b, 4096);
		put_answer(&b, &cases[i]);
		until_s =
		    dns_signed_until(buf_slice(&b), ns_t_soa, cases[i].now_s);
		CHECK(until_s == cases[i].until_s, "%s: signed until %lld",
		    cases[i].what, (long long)until_s);
		buf_fini(&b);
	}
}

/* OPT: root, 41, 1232 bytes, version 0, DO, no options (RFC 6891, 3225). */
static void
signed_query(void)
{
	static const unsigned char opt[] = { 0, 0, 41, 0x04, 0xd0, 0, 0, 0x80,
		0, 0, 0 };
	unsigned char *query = NULL;
	int len = 0;

	CHECK(dns_signed_query("example.org", ns_t_dnskey, &query, &len) &&
		(size_t)len > sizeof(opt) && (query[2] & 1) == 0 &&
		memcmp(query + len - sizeof(opt), opt, sizeof(opt)) == 0,
	    "a query asks for signatures, not for recursion");
	ares_free_string(query);
}

int
main(void)
{
	windows();
	bad_windows();
	targets();
	checks_servers();
	signatures();
	signed_query();
	return tap_done();
}
