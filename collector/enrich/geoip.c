/* SPDX-License-Identifier: Apache-2.0 */
#include "geoip.h"

#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "address.h"
#include "utf8.h"
#include "xalloc.h"

enum { WARNING_TEXT = 512 };

/* libmaxminddb reads an open database from any number of threads. */
struct database {
	MMDB_s mmdb;
	bool open;
};

struct geoip {
	struct database country;
	struct database asn;
};

/*
 * Where a field is found: MaxMind's nested names first, then the flat ones of
 * ip-location-db and others; paths end with NULL.
 */
struct place {
	uint32_t field;
	const char *path[5];
};

static const struct place country_places[] = {
	{ FIELD_SOURCE_GEO_COUNTRY_ISO_CODE, { "country", "iso_code", NULL } },
	{ FIELD_SOURCE_GEO_COUNTRY_ISO_CODE, { "country_code", NULL } },
	{ FIELD_SOURCE_GEO_COUNTRY_NAME, { "country", "names", "en", NULL } },
	{ FIELD_SOURCE_GEO_CONTINENT_CODE, { "continent", "code", NULL } },
	{ FIELD_SOURCE_GEO_REGION_NAME,
	    { "subdivisions", "0", "names", "en", NULL } },
	{ FIELD_SOURCE_GEO_REGION_NAME, { "state1", NULL } },
	{ FIELD_SOURCE_GEO_CITY_NAME, { "city", "names", "en", NULL } },
	{ FIELD_SOURCE_GEO_LOCATION_LAT, { "location", "latitude", NULL } },
	{ FIELD_SOURCE_GEO_LOCATION_LAT, { "latitude", NULL } },
	{ FIELD_SOURCE_GEO_LOCATION_LON, { "location", "longitude", NULL } },
	{ FIELD_SOURCE_GEO_LOCATION_LON, { "longitude", NULL } },
	{ FIELD_NONE, { NULL } },
};

static const struct place asn_places[] = {
	{ FIELD_SOURCE_AS_NUMBER, { "autonomous_system_number", NULL } },
	{ FIELD_SOURCE_AS_ORGANIZATION_NAME,
	    { "autonomous_system_organization", NULL } },
	{ FIELD_NONE, { NULL } },
};

static void
open_database(struct database *d, const char *path,
    void (*warn)(void *ctx, const char *message), void *ctx)
{
	char text[WARNING_TEXT];
	int status;

	if (path == NULL)
		return;
	status = MMDB_open(path, MMDB_MODE_MMAP, &d->mmdb);
	d->open = status == MMDB_SUCCESS;
	if (d->open || warn == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s: %s; events get nothing from it",
	    path, MMDB_strerror(status));
	warn(ctx, text);
}

struct geoip *
geoip_open(const char *country, const char *asn,
    void (*warn)(void *ctx, const char *message), void *ctx)
{
	struct geoip *g = xzalloc(sizeof(*g));

	open_database(&g->country, country, warn, ctx);
	open_database(&g->asn, asn, warn, ctx);
	return g;
}

void
geoip_close(struct geoip *g)
{
	if (g == NULL)
		return;
	if (g->country.open)
		MMDB_close(&g->country.mmdb);
	if (g->asn.open)
		MMDB_close(&g->asn.mmdb);
	free(g);
}

/* Copies what the database holds: it may be closed before the event is. */
static void
set_data(struct event *ev, uint32_t field, const MMDB_entry_data_s *d)
{
	struct slice s;

	switch (d->type) {
	case MMDB_DATA_TYPE_UTF8_STRING:
		s = (struct slice){ d->utf8_string, d->data_size };
		if (s.len > 0)
			event_set_string(ev, field,
			    utf8_repair(ev->arena, arena_copy(ev->arena, s)));
		break;
	case MMDB_DATA_TYPE_UINT16:
		event_set_int(ev, field, d->uint16);
		break;
	case MMDB_DATA_TYPE_UINT32:
		event_set_int(ev, field, d->uint32);
		break;
	case MMDB_DATA_TYPE_INT32:
		event_set_int(ev, field, d->int32);
		break;
	case MMDB_DATA_TYPE_DOUBLE:
		event_set_value(ev, field,
		    (struct value){ .kind = VALUE_DOUBLE,
			.d = d->double_value });
		break;
	case MMDB_DATA_TYPE_FLOAT:
		event_set_value(ev, field,
		    (struct value){ .kind = VALUE_DOUBLE,
			.d = (double)d->float_value });
		break;
	default:
		break;
	}
}

static bool
is_coordinate(uint32_t field)
{
	return field == FIELD_SOURCE_GEO_LOCATION_LAT ||
	    field == FIELD_SOURCE_GEO_LOCATION_LON;
}

/* What a corrupt database may hold and JSON may not: NaN and infinities. */
static bool
is_sound(uint32_t field, const MMDB_entry_data_s *d)
{
	double v = d->type == MMDB_DATA_TYPE_DOUBLE ? d->double_value
	    : d->type == MMDB_DATA_TYPE_FLOAT       ? (double)d->float_value
						    : 0;

	return v >= -180 && v <= 180 &&
	    (is_coordinate(field) ==
		(d->type == MMDB_DATA_TYPE_DOUBLE ||
		    d->type == MMDB_DATA_TYPE_FLOAT));
}

static void
enrich(const struct database *d, const struct sockaddr *address,
    const struct place *places, struct event *ev)
{
	MMDB_lookup_result_s found;
	int status;

	if (!d->open)
		return;
	found = MMDB_lookup_sockaddr(&d->mmdb, address, &status);
	if (status != MMDB_SUCCESS || !found.found_entry)
		return;
	for (const struct place *p = places; p->field != FIELD_NONE; p++) {
		MMDB_entry_data_s data;

		if (event_get(ev, p->field) == NULL &&
		    MMDB_aget_value(&found.entry, &data, p->path) ==
			MMDB_SUCCESS &&
		    data.has_data && is_sound(p->field, &data))
			set_data(ev, p->field, &data);
	}
}

static bool
read_address(struct slice s, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;
	struct ip ip;

	if (!ip_parse(s, &ip))
		return false;
	memset(out, 0, sizeof(*out));
	memcpy(&v6->sin6_addr, &ip, sizeof(ip));
	v6->sin6_family = AF_INET6;
	if (!IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return true;
	memset(out, 0, sizeof(*out));
	memcpy(&v4->sin_addr, &ip.bytes[12], sizeof(v4->sin_addr));
	v4->sin_family = AF_INET;
	return true;
}

void
geoip_enrich(const struct geoip *g, struct event *ev)
{
	struct sockaddr_storage address;

	if (!g->country.open && !g->asn.open)
		return;
	if (!read_address(event_get_string(ev, FIELD_SOURCE_IP), &address))
		return;
	enrich(&g->country, (const struct sockaddr *)&address, country_places,
	    ev);
	enrich(&g->asn, (const struct sockaddr *)&address, asn_places, ev);
}
