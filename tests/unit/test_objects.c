/* SPDX-License-Identifier: Apache-2.0 */
/* The register of objects: reading it, refusing it, looking things up in it. */
#include "objects.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "tap.h"
#include "timestamp.h"

/* clang-format off */
static const char good[] =
	"organizations:\n"
	"  - id: works\n"
	"    bin: '010440000025'\n"
	"    name: {kk: Зауыт, ru: Завод}\n"
	"    networks: [192.0.2.0/24, '2001:db8::/32']\n"
	"  - {id: bank, name: {kk: Банк, ru: Банк}}\n"
	"  - id: hoster\n"
	"objects:\n"
	"  - id: portal\n"
	"    name: {kk: Портал, ru: Портал услуг}\n"
	"    kind: S8\n"
	"    criticality: critical\n"
	"    class: 1\n"
	"    owner: works\n"
	"    holder: bank\n"
	"    hosting: hoster\n"
	"    networks: [192.0.2.0/28, '2001:db8:1::/48']\n"
	"    hosts: [web-1, Web-2.Example.org, 192.0.2.200]\n"
	"    agents: [agent-1]\n"
	"    relays: [relay-1]\n"
	"    silent_after: 15m\n"
	"    links:\n"
	"      - {to: payments, gateway: gw, agreement: No 7}\n"
	"      - {to: somebody outside}\n"
	"    maintenance:\n"
	"      - {from: '2026-11-22T20:00:00+05:00', until: '2026-11-22T23:00:00+05:00'}\n"
	"      - {days: [sat], start: '23:00', end: '02:00'}\n"
	"  - {id: inner, name: {kk: Ішкі, ru: Внутренний}, kind: S33, class: 3,\n"
	"     owner: works, networks: [192.0.2.8/30],\n"
	"     attestation: {certificate: '118', expires: 2026-12-31}}\n"
	"  - {id: payments, name: {kk: Төлем, ru: Платежи}, kind: S12, class: 2,\n"
	"     owner: bank, hosts: [web-1, only-bank], networks: [192.0.2.0/28, 203.0.113.0/24]}\n";
/* clang-format on */

static struct objects *
parse(const char *text, struct error *err)
{
	struct objects *o = NULL;

	(void)objects_parse("objects.yaml",
	    (struct slice){ text, strlen(text) }, &o, err);
	return o;
}

/* The id of what was found; "-" for nothing. */
static const char *
name_of(const struct objects *o, uint32_t index)
{
	return index == OBJECT_NONE ? "-" : objects_at(o, index)->id;
}

static bool
is(const struct objects *o, uint32_t index, const char *id)
{
	return strcmp(name_of(o, index), id) == 0;
}

static uint32_t
by_address(const struct objects *o, const char *owner, bool all,
    const char *text)
{
	struct ip ip;

	if (!ip_parse((struct slice){ text, strlen(text) }, &ip))
		return OBJECT_NONE;
	return objects_by_address(o,
	    objects_scope(o, (struct slice){ owner, strlen(owner) }, all), &ip);
}

static uint32_t
by_host(const struct objects *o, const char *owner, bool all, const char *host)
{
	return objects_by_host(o,
	    objects_scope(o, (struct slice){ owner, strlen(owner) }, all),
	    (struct slice){ host, strlen(host) });
}

static void
test_lookups(const struct objects *o)
{
	static const struct {
		const char *owner;
		bool all;
		const char *text, *want;
	} addresses[] = {
		{ "works", false, "192.0.2.1", "portal" },
		{ "works", false, "192.0.2.7", "portal" },
		{ "works", false, "192.0.2.8", "inner" },
		{ "works", false, "192.0.2.11", "inner" },
		{ "works", false, "192.0.2.12", "portal" },
		{ "works", false, "192.0.2.16", "-" },
		{ "works", false, "192.0.2.200", "portal" },
		{ "works", false, "192.0.2.201", "-" },
		{ "works", false, "::ffff:192.0.2.9", "inner" },
		{ "works", false, "2001:db8:1:ffff::1", "portal" },
		{ "works", false, "2001:db8:2::1", "-" },
		{ "works", false, "203.0.113.5", "-" },
		{ "works", true, "203.0.113.5", "payments" },
		{ "bank", false, "192.0.2.1", "payments" },
		{ "default", false, "192.0.2.9", "-" },
		{ "default", true, "192.0.2.9", "inner" },
		{ "default", true, "192.0.2.1", "-" }, /* two have it */
	};
	static const struct {
		const char *owner;
		bool all;
		const char *text, *want;
	} hosts[] = {
		{ "works", false, "web-1", "portal" },
		{ "works", false, "WEB-1.", "portal" },
		{ "works", false, "web-2.example.org", "portal" },
		{ "works", false, "web-2", "-" },
		{ "bank", false, "web-1", "payments" },
		{ "default", true, "web-1", "-" },
		{ "default", true, "only-bank", "payments" },
		{ "works", false, "only-bank", "-" },
		{ "works", false, "", "-" },
	};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		uint32_t got = by_address(o, addresses[i].owner,
		    addresses[i].all, addresses[i].text);

		CHECK(is(o, got, addresses[i].want), "%s of %s is %s (%s)",
		    addresses[i].text, addresses[i].owner, addresses[i].want,
		    name_of(o, got));
	}
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		uint32_t got =
		    by_host(o, hosts[i].owner, hosts[i].all, hosts[i].text);

		CHECK(is(o, got, hosts[i].want), "host \"%s\" of %s is %s (%s)",
		    hosts[i].text, hosts[i].owner, hosts[i].want,
		    name_of(o, got));
	}
	CHECK(is(o, objects_by_agent(o, SLICE("agent-1")), "portal") &&
		is(o, objects_by_agent(o, SLICE("relay-1")), "-") &&
		is(o, objects_by_sender(o, SLICE("relay-1")), "portal") &&
		is(o, objects_by_sender(o, SLICE("stranger")), "-"),
	    "an agent is its object's, a relay is claimed only");
}

static int64_t
time_of(const char *text)
{
	const struct timestamp_hints hints = { .year = 0 };
	int64_t ns = 0;

	(void)timestamp_parse_rfc3339((struct slice){ text, strlen(text) },
	    &hints, &ns);
	return ns;
}

static void
test_maintenance(const struct objects *o)
{
	static const struct {
		const char *time;
		bool in;
	} table[] = {
		{ "2026-11-22T14:59:59Z", false },
		{ "2026-11-22T15:00:00Z", true },
		{ "2026-11-22T17:59:59Z", true },
		{ "2026-11-22T18:00:00Z", false },
		/* Saturday 23:00 in Almaty is 18:00 UTC; it ends on Sunday */
		{ "2026-11-28T17:59:59Z", false },
		{ "2026-11-28T18:00:00Z", true },
		{ "2026-11-28T20:59:00Z", true },
		{ "2026-11-28T21:00:00Z", false },
		{ "2026-11-27T18:30:00Z", false },
	};
	const struct object *portal =
	    objects_at(o, objects_find(o, SLICE("portal")));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		CHECK(object_in_maintenance(portal, time_of(table[i].time)) ==
			table[i].in,
		    "%s is %s a maintenance", table[i].time,
		    table[i].in ? "within" : "outside of");
}

static void
test_attestation(struct objects *o)
{
	static const struct {
		const char *time;
		int64_t days;
		bool tell;
	} table[] = {
		{ "2026-11-30T23:59:59Z", 31, false },
		{ "2026-12-01T00:00:00Z", 30, true },
		{ "2026-12-01T00:00:01Z", 30, false },
		{ "2026-12-23T12:00:00Z", 8, false },
		{ "2026-12-24T00:00:00Z", 7, true },
		{ "2026-12-30T23:59:59Z", 1, false },
		{ "2026-12-31T08:00:00Z", 0, true },
		{ "2026-12-31T23:59:59Z", 0, false },
		{ "2027-01-01T00:00:00Z", -1, true },
		{ "2027-01-02T00:00:00Z", -2, false },
		/* as if it were attested again */
		{ "2026-11-01T00:00:00Z", 60, false },
		{ "2026-12-28T00:00:00Z", 3, true },
	};
	uint32_t inner = objects_find(o, SLICE("inner"));
	struct objects *fresh;
	struct error err;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t now_ns = time_of(table[i].time);
		int64_t days =
		    object_attestation_days(objects_at(o, inner), now_ns);
		bool tell = objects_tell_attestation(o, inner, now_ns);

		CHECK(days == table[i].days && tell == table[i].tell,
		    "at %s it holds %lld days more, which is %s", table[i].time,
		    (long long)table[i].days,
		    table[i].tell ? "told" : "not told");
	}
	CHECK(!objects_tell_attestation(o, objects_find(o, SLICE("portal")),
		  time_of("2090-01-01T00:00:00Z")),
	    "an object without attestation has none that ends");
	fresh = parse(good, &err);
	objects_inherit(fresh, o);
	CHECK(!objects_tell_attestation(fresh, inner,
		  time_of("2026-12-28T01:00:00Z")),
	    "what was told is not told again after a reload");
	objects_unref(fresh);
}

static void
test_written(const struct objects *o)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	object_write(&out, o, objects_at(o, 0));
	(void)buf_add_char(&out, '\0');
	CHECK(
	    strstr(out.ptr,
		"{\"id\":\"portal\",\"name\":{\"kk\":\"Портал\",\"ru\":"
		"\"Портал услуг\"},\"kind\":\"S8\",\"criticality\":"
		"\"critical\",\"class\":1,\"owner\":{\"id\":\"works\",\"bin\":"
		"\"010440000025\",\"name\":{\"kk\":\"Зауыт\",\"ru\":\"Завод\"}}"
		",\"holder\":{\"id\":\"bank\"") == out.ptr,
	    "JSON has the object with its parties: %s", out.ptr);
	buf_fini(&out);
}

/* ---- what is refused ------------------------------------------------------------- */

#define ORGS  "organizations: [{id: a}, {id: b}]\n"
#define NAMED "name: {kk: А, ru: А}, kind: S8, class: 1"

struct refused {
	const char *text, *message;
};

static void
check_refused(const struct refused *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct error err = { .text = "" };
		struct objects *o = parse(table[i].text, &err);

		CHECK(o == NULL && strstr(err.text, table[i].message) != NULL,
		    "refused: %s (%s)", table[i].message, err.text);
		objects_unref(o);
	}
}

static void
test_refused_attestation(void)
{
	static const struct refused table[] = {
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, attestation: {expires: 2026-01-01}}\n",
		    "objects.yaml:3: x: attestation: dates without a "
		    "certificate: give its number" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, attestation: {certificate: '1', issued: "
		       "01.02.2026}}\n",
		    "attestation.issued: no date: write it as YYYY-MM-DD" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, attestation: {certificate: '1', expires: "
		       "2026-02-30}}\n",
		    "attestation.expires: no date: write it as YYYY-MM-DD" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, attestation: {certificate: '1', issued: "
		       "2026-02-02, expires: 2026-02-01}}\n",
		    "it is before the day of issue" },
	};

	check_refused(table, sizeof(table) / sizeof(table[0]));
}

static void
test_refused(void)
{
	static const struct refused table[] = {
		{ "objekts: []\n", "objects.yaml:1: objekts: unknown key" },
		{ "objects: [{id: x}]\n", "is missing" },
		{ ORGS "objects:\n  - {id: x, " NAMED ", owner: c}\n",
		    "objects.yaml:3: x: owner: \"c\" is no organization of "
		    "this file: add it below organizations" },
		{ ORGS "objects:\n  - {id: x y, " NAMED ", owner: a}\n",
		    "objects.yaml:3: x y: id: 1 to 64 letters" },
		{ ORGS "objects:\n  - {id: x, " NAMED ", owner: a}\n"
		       "  - {id: x, " NAMED ", owner: a}\n",
		    "objects.yaml:4: x: id: \"x\" stands twice" },
		{ "organizations: [{id: a}, {id: a}]\n", "stands twice" },
		{ "organizations:\n  - {id: a, bin: '010440000021'}\n",
		    "objects.yaml:2: a: bin: no BIN" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, networks: [192.0.2.1/24]}\n",
		    "objects.yaml:3: x: networks: \"192.0.2.1/24\" has bits "
		    "behind its prefix" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, networks: [192.0.2.0/33]}\n",
		    "is no network" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, networks: [192.0.2.0/24]}\n"
		       "  - {id: y, " NAMED
		       ", owner: a, networks: [192.0.2.0/24]}\n",
		    "is claimed by another object of the owner too" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, hosts: [h]}\n"
		       "  - {id: y, " NAMED ", owner: a, hosts: [H]}\n",
		    "objects.yaml:4: y: hosts: \"H\" is claimed by \"x\" too" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, agents: [g]}\n"
		       "  - {id: y, " NAMED ", owner: b, relays: [g]}\n",
		    "is claimed by \"x\" too" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, links: [{to: y}]}\n"
		       "  - {id: y, " NAMED ", owner: b}\n",
		    "is another owner's: name the agreement" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, maintenance: [{from: '2026-11-22'}]}\n",
		    "two times in order with their zone" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, maintenance: [{days: [mo], start: '01:00', "
		       "end: '02:00'}]}\n",
		    "mon, tue, wed" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, maintenance: [{days: [mon], start: '25:00',"
		       " end: '02:00'}]}\n",
		    "start and end, two times" },
		{ ORGS "objects:\n  - {id: x, " NAMED
		       ", owner: a, maintenance: [{days: [mon], start: '01:00',"
		       " end: '02:00', timezone: Mars}]}\n",
		    "maintenance.timezone" },
		{ ORGS "objects:\n  - {id: x, name: {kk: А, ru: А}, kind: S99, "
		       "class: 1, owner: a}\n",
		    "kind" },
		{ ORGS "objects:\n  - {id: x, name: {kk: А, ru: А}, kind: S8, "
		       "class: 4, owner: a}\n",
		    "class" },
	};

	check_refused(table, sizeof(table) / sizeof(table[0]));
}

/* ---- the longest prefix, against the definition ------------------------------------ */

enum { NETS = 60, ROUNDS = 40, PROBES = 200 };

static unsigned seed = 1;

static unsigned
pick(unsigned n)
{
	seed = seed * 1103515245U + 12345U;
	return (seed >> 16) % n;
}

static uint32_t
by_definition(const struct ip_network *nets, unsigned n, const struct ip *ip)
{
	uint32_t best = OBJECT_NONE;

	for (unsigned i = 0; i < n; i++)
		if (memcmp(ip, &nets[i].first, sizeof(*ip)) >= 0 &&
		    memcmp(ip, &nets[i].last, sizeof(*ip)) <= 0 &&
		    (best == OBJECT_NONE || nets[best].bits < nets[i].bits))
			best = i;
	return best;
}

/* A few networks close to each other, all different. */
static unsigned
random_nets(char *text, size_t room, struct ip_network *nets)
{
	size_t at = (size_t)snprintf(text, room, ORGS "objects:\n");
	unsigned n = 0;

	while (n < NETS) {
		unsigned bits = 20 + pick(13);
		unsigned address = 0xc0000000U | pick(1 << 13);
		char net[32];
		struct error err;
		unsigned k = 0;

		address &= ~0U << (32 - bits);
		(void)snprintf(net, sizeof(net), "%u.%u.%u.%u/%u",
		    address >> 24, address >> 16 & 255, address >> 8 & 255,
		    address & 255, bits);
		if (ip_network_parse((struct slice){ net, strlen(net) },
			&nets[n], &err) != RC_OK)
			continue;
		while (
		    k < n && memcmp(&nets[k], &nets[n], sizeof(nets[n])) != 0)
			k++;
		if (k < n)
			continue;
		at += (size_t)snprintf(text + at, room - at,
		    "  - {id: o%u, " NAMED ", owner: a, networks: ['%s']}\n", n,
		    net);
		n++;
	}
	return n;
}

static void
test_prefixes(void)
{
	static char text[NETS * 128 + 256];
	struct ip_network nets[NETS];
	unsigned wrong = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = random_nets(text, sizeof(text), nets);
		struct error err = { .text = "" };
		struct objects *o = parse(text, &err);

		if (o == NULL) {
			CHECK(false, "%s", err.text);
			return;
		}
		for (unsigned i = 0; i < PROBES; i++) {
			const struct ip_network *net = &nets[pick(n)];
			struct ip ip = pick(2) == 0 ? net->first : net->last;

			ip.bytes[15] = (uint8_t)(ip.bytes[15] + pick(3) - 1);
			if (objects_by_address(o,
				objects_scope(o, SLICE("a"), false),
				&ip) != by_definition(nets, n, &ip))
				wrong++;
		}
		objects_unref(o);
	}
	CHECK(wrong == 0,
	    "random networks are found as the longest prefix says (%u wrong)",
	    wrong);
}

int
main(void)
{
	struct error err = { .text = "" };
	struct objects *o = parse(good, &err);

	CHECK(o != NULL && objects_count(o) == 3 &&
		objects_organizations(o) == 3,
	    "a whole register is read %s", err.text);
	if (o != NULL) {
		test_lookups(o);
		test_maintenance(o);
		test_attestation(o);
		test_written(o);
	}
	objects_unref(o);
	test_refused();
	test_refused_attestation();
	test_prefixes();
	o = parse("", &err);
	CHECK(o != NULL && objects_count(o) == 0 &&
		is(o, by_address(o, "a", true, "192.0.2.1"), "-"),
	    "an empty register is one, too");
	objects_unref(o);
	return tap_done();
}
