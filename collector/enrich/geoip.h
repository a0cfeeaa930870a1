/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GeoIP: source.ip -> source.geo.*, source.as.* by MaxMind DB files, in
 * MaxMind's nested layout or a flat `country_code` one.  IPv4-mapped IPv6
 * addresses are unmapped.  libmaxminddb is used here and nowhere else.
 */
#pragma once

#include "error.h"
#include "event.h"

struct geoip;

/*
 * Either path may be NULL.  A missing or corrupt file is a warning through
 * `warn` (may be NULL) and that half stays off; the result is never NULL.
 */
struct geoip *geoip_open(const char *country, const char *asn,
    void (*warn)(void *ctx, const char *message), void *ctx);
void geoip_close(struct geoip *g); /* NULL is fine */

/* Thread-safe. */
void geoip_enrich(const struct geoip *g, struct event *ev);
