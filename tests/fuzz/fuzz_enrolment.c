/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes over in an enrolment, by the first byte: t(oken), a(nswer of the
 * collector), r(equest of an agent), c(ertificate).  What is taken is whole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/enrolment.h"
#include "authority.h"
#include "enrol_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
try_token(struct slice text)
{
	struct enrol_token t, again;
	char whole[ENROL_TOKEN];
	struct error err;

	if (enrol_token_parse(text, &t, &err) != RC_OK)
		return;
	enrol_token_write(&t, whole);
	must(enrol_token_parse((struct slice){ whole, strlen(whole) }, &again,
		 &err) == RC_OK &&
	    strcmp(t.secret, again.secret) == 0 &&
	    strcmp(t.fingerprint, again.fingerprint) == 0);
}

static void
try_answer(struct slice text)
{
	struct enrolment e;
	struct error err;

	enrolment_init(&e);
	if (enrolment_read(text, &e, &err) == RC_OK)
		must(e.pem.len > 0 && e.ca.len > 0 &&
		    e.certificate.name[0] != '\0' &&
		    strlen(e.certificate.sha256) == SHA256_TEXT - 1);
	enrolment_fini(&e);
}

static void
try_request(struct slice text)
{
	struct authority_request *r = NULL;
	const char *name;
	struct error err;

	if (authority_request_read(text, &r, &err) == RC_OK) {
		name = authority_request_name(r);
		must(name[0] == '\0' ||
		    certificate_name_valid(
			(struct slice){ name, strlen(name) }));
		must(strlen(authority_request_key(r)) == SHA256_TEXT - 1);
	}
	authority_request_free(r);
}

static void
try_certificate(struct slice text)
{
	struct certificate c;
	struct error err;

	if (certificate_parse(text, &c, &err) == RC_OK)
		must(c.name[0] != '\0' && c.serial[0] != '\0' &&
		    strlen(c.key_sha256) == SHA256_TEXT - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data + 1, size - 1 };

	if (size < 2)
		return 0;
	switch (data[0]) {
	case 't':
		try_token(text);
		break;
	case 'a':
		try_answer(text);
		break;
	case 'r':
		try_request(text);
		break;
	case 'c':
		try_certificate(text);
		break;
	default:
		break;
	}
	return 0;
}
