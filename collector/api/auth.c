/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: the control socket's peer, a token, a session, a certificate. */
#include <stdio.h>

#include "api_private.h"
#include "secret.h"
#include "timestamp.h"

/* RFC 6265bis: by its name for this host, this path and TLS only. */
const char auth_cookie[] = "__Host-kuzet";

static struct slice
bearer(struct slice header)
{
	static const struct slice scheme = SLICE_INIT("Bearer ");

	if (header.len <= scheme.len ||
	    strncasecmp(header.ptr, scheme.ptr, scheme.len) != 0)
		return (struct slice){ NULL, 0 };
	return (
	    struct slice){ header.ptr + scheme.len, header.len - scheme.len };
}

static void
local_caller(struct ask *a)
{
	a->caller = (struct caller){ .kind = CALLER_LOCAL,
		.role = ROLE_ADMINISTRATOR,
		.permissions = MAY_ALL };
	(void)snprintf(a->caller.name, sizeof(a->caller.name), "local:%u",
	    a->request->peer.uid);
}

enum rc
auth_caller(struct ask *a, struct error *err)
{
	const struct http_request *r = a->request;
	struct slice secret = bearer(r->headers.authorization);
	struct slice certificate = { r->peer.certificate,
		strlen(r->peer.certificate) };

	a->caller = (struct caller){ .kind = CALLER_NOBODY };
	if (r->peer.local) {
		local_caller(a);
		return RC_OK;
	}
	if (secret.ptr == NULL)
		secret = http_cookie(r->headers.cookie, auth_cookie);
	if (secret.ptr != NULL)
		return accounts_by_secret(a->api->accounts, secret,
		    timestamp_now(), a->api->options.session_idle_ns,
		    &a->caller, err);
	if (certificate.len > 0)
		return accounts_by_certificate(a->api->accounts, certificate,
		    &a->caller, err);
	return error_set(err, RC_DENIED, "log in first");
}

/*
 * What a browser sends on its own (a cookie, a certificate) is not enough to
 * change anything.  For a cookie the page must know the session's word, which
 * only a page of ours was told; with a certificate, no other site's page may be
 * the one that asks.
 */
enum rc
auth_csrf(const struct ask *a, struct error *err)
{
	const struct http_headers *h = &a->request->headers;
	struct slice csrf = { a->caller.csrf, strlen(a->caller.csrf) };

	if (ask_only_reads(a) || a->request->peer.local ||
	    bearer(h->authorization).ptr != NULL)
		return RC_OK;
	if (h->fetch_site.ptr != NULL &&
	    !slice_eq(h->fetch_site, SLICE("same-origin")) &&
	    !slice_eq(h->fetch_site, SLICE("none")))
		return error_set(err, RC_DENIED, "not from another site");
	if (a->caller.kind == CALLER_SESSION &&
	    (h->csrf.ptr == NULL || !secret_equal(h->csrf, csrf)))
		return error_set(err, RC_DENIED,
		    "X-CSRF-Token is missing or wrong");
	return RC_OK;
}
