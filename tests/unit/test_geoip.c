/* SPDX-License-Identifier: Apache-2.0 */
/* GeoIP on the public test databases; skipped where they are absent. */
#include "collector/enrich/geoip.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

enum { PATH_BYTES = 4096, ARENA_BLOCK = 4096 };

static unsigned warnings;

static void
on_warning(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
	warnings++;
}

static const char *
corpus(const char *name, char path[PATH_BYTES])
{
	const char *shared = secure_getenv("KUZET_SHARED");
	const char *top = secure_getenv("top_srcdir");

	if (shared != NULL)
		(void)snprintf(path, PATH_BYTES, "%s/corpora/mmdb/%s", shared,
		    name);
	else
		(void)snprintf(path, PATH_BYTES, "%s/../shared/corpora/mmdb/%s",
		    top != NULL ? top : KUZET_SRCDIR, name);
	return path;
}

static void
look_up(const struct geoip *g, struct event *ev, const char *ip)
{
	event_begin(ev, ev->arena);
	event_set_string(ev, FIELD_SOURCE_IP, (struct slice){ ip, strlen(ip) });
	geoip_enrich(g, ev);
}

static void
nested_layout(struct event *ev)
{
	char country[PATH_BYTES], asn[PATH_BYTES];
	struct geoip *g =
	    geoip_open(corpus("maxmind/test-data/GeoIP2-City-Test.mmdb",
			   country),
		corpus("maxmind/test-data/GeoLite2-ASN-Test.mmdb", asn),
		on_warning, NULL);
	const struct value *v;

	CHECK(warnings == 0, "the databases open");
	look_up(g, ev, "81.2.69.142");
	CHECK(slice_eq(event_get_string(ev, FIELD_SOURCE_GEO_COUNTRY_ISO_CODE),
		  SLICE("GB")) &&
		slice_eq(event_get_string(ev, FIELD_SOURCE_GEO_CITY_NAME),
		    SLICE("London")) &&
		slice_eq(event_get_string(ev, FIELD_SOURCE_GEO_REGION_NAME),
		    SLICE("England")) &&
		slice_eq(event_get_string(ev, FIELD_SOURCE_GEO_CONTINENT_CODE),
		    SLICE("EU")),
	    "MaxMind's nested layout gives country, region, city, continent");
	v = event_get(ev, FIELD_SOURCE_GEO_LOCATION_LAT);
	CHECK(v != NULL && v->kind == VALUE_DOUBLE &&
		fabs(v->d - 51.5142) < 1e-6,
	    "and the place");
	look_up(g, ev, "::ffff:81.2.69.142");
	CHECK(slice_eq(event_get_string(ev, FIELD_SOURCE_GEO_COUNTRY_ISO_CODE),
		  SLICE("GB")),
	    "an IPv4-mapped address is unmapped");
	look_up(g, ev, "2001:218::1");
	CHECK(slice_eq(event_get_string(ev, FIELD_SOURCE_GEO_COUNTRY_ISO_CODE),
		  SLICE("JP")),
	    "IPv6 is looked up");
	look_up(g, ev, "1.0.0.1");
	v = event_get(ev, FIELD_SOURCE_AS_NUMBER);
	CHECK(v != NULL && v->kind == VALUE_INT && v->i == 15169 &&
		slice_eq(event_get_string(ev,
			     FIELD_SOURCE_AS_ORGANIZATION_NAME),
		    SLICE("Google Inc.")),
	    "the ASN database gives number and name");
	look_up(g, ev, "not an address");
	CHECK(ev->n == 1, "what is no address gets nothing");
	look_up(g, ev, "127.0.0.1");
	CHECK(ev->n == 1, "what is not in the database gets nothing");
	geoip_close(g);
}

static void
flat_layout(struct event *ev)
{
	char path[PATH_BYTES], line[256];
	struct geoip *g = geoip_open(corpus("npm-geo-whois-asn-country/"
					    "geo-whois-asn-country.mmdb",
					 path),
	    NULL, on_warning, NULL);
	FILE *f = fopen(corpus("expected_country.tsv", path), "re");
	unsigned n = 0, wrong = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char ip[64], want[8];
		struct slice got;

		if (line[0] == '#' || sscanf(line, "%63s %7s", ip, want) != 2)
			continue;
		/* the peer does not unmap; we do */
		if (strncmp(ip, "::ffff:", 7) == 0)
			continue;
		look_up(g, ev, ip);
		got = event_get_string(ev, FIELD_SOURCE_GEO_COUNTRY_ISO_CODE);
		if (got.ptr == NULL)
			got = SLICE("-");
		n++;
		if (!slice_eq(got, (struct slice){ want, strlen(want) })) {
			wrong++;
			(void)printf("# %s: want %s\n", ip, want);
		}
	}
	if (f != NULL)
		(void)fclose(f);
	CHECK(n > 30 && wrong == 0,
	    "the flat layout gives %u countries as mmdblookup does", n);
	geoip_close(g);
}

static void
bad_files(struct event *ev)
{
	static const char *const broken[] = {
		"maxmind/test-data/MaxMind-DB-test-broken-pointers-24.mmdb",
		"maxmind/test-data/MaxMind-DB-test-broken-search-tree-24.mmdb",
		"maxmind/test-data/GeoIP2-City-Test-Broken-Double-Format.mmdb",
		"maxmind/test-data/GeoIP2-City-Test-Invalid-Node-Count.mmdb",
		"maxmind/test-data/maps-with-pointers.raw",
		"expected_country.tsv",
	};
	struct geoip *g;

	warnings = 0;
	g = geoip_open("/nonexistent/country.mmdb", NULL, on_warning, NULL);
	look_up(g, ev, "81.2.69.142");
	CHECK(warnings == 1 && ev->n == 1,
	    "a missing file is a warning, and nothing else");
	geoip_close(g);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		char path[PATH_BYTES];

		g = geoip_open(corpus(broken[i], path), path, on_warning, NULL);
		look_up(g, ev, "1.1.1.1");
		look_up(g, ev, "81.2.69.142");
		look_up(g, ev, "2001:218::1");
		geoip_close(g);
	}
	CHECK(warnings > 2, "corrupt files are survived");
	geoip_close(NULL);
}

int
main(void)
{
	char path[PATH_BYTES];
	struct event ev;

	if (access(corpus("expected_country.tsv", path), R_OK) != 0) {
		(void)puts("1..0 # SKIP no corpus");
		return 0;
	}
	event_begin(&ev, arena_new(ARENA_BLOCK));
	nested_layout(&ev);
	flat_layout(&ev);
	bad_files(&ev);
	arena_free(ev.arena);
	return tap_done();
}
