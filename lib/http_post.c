/* SPDX-License-Identifier: Apache-2.0 */
#include "http_post.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER_BYTES = 256, STATUS_OK = 200 };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

static size_t
on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
	return buf_add(ctx, bytes, size * n) ? size * n : 0;
}

static enum rc
perform(CURL *curl, const char *url, struct buf *answer, struct error *err)
{
	char why[CURL_ERROR_SIZE] = "";
	CURLcode code;
	long status = 0;

	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	code = curl_easy_perform(curl);
	if (answer->overflowed)
		return error_set(err, RC_LIMIT, "%s: its answer is too long",
		    url);
	if (code != CURLE_OK)
		return error_set(err, RC_SYSTEM, "%s: %s", url,
		    why[0] != '\0' ? why : curl_easy_strerror(code));
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != STATUS_OK)
		return error_set(err, RC_DENIED, "%s: it answers %ld", url,
		    status);
	return RC_OK;
}

enum rc
http_post(const char *url, const char *content_type, struct slice body,
    unsigned seconds, struct buf *answer, struct error *err)
{
	struct curl_slist *headers = NULL;
	char header[HEADER_BYTES];
	CURL *curl;
	enum rc rc;

	(void)pthread_once(&once, begin);
	curl = curl_easy_init();
	if (curl == NULL)
		abort();
	(void)snprintf(header, sizeof(header), "Content-Type: %s",
	    content_type);
	headers = curl_slist_append(NULL, header);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)seconds);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.len);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	rc = perform(curl, url, answer, err);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return rc;
}
