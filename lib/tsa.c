/* SPDX-License-Identifier: Apache-2.0 */
#include "tsa.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/ts.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

#include "digest.h"

enum { NONCE_BYTES = 8, REASON = 256 };

/* OpenSSL fails here only when memory or its own integrity is gone. */
static void
must(bool ok)
{
	if (!ok) {
		(void)fprintf(stderr,
		    "OpenSSL: a time stamp's request failed\n");
		abort();
	}
}

static void
set_imprint(TS_REQ *req, struct slice data)
{
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *algo = X509_ALGOR_new();
	uint8_t digest[SHA256_BYTES];

	must(imprint != NULL && algo != NULL);
	sha256_of(data, digest);
	must(X509_ALGOR_set0(algo, OBJ_nid2obj(NID_sha256), V_ASN1_NULL,
		 NULL) == 1 &&
	    TS_MSG_IMPRINT_set_algo(imprint, algo) == 1 &&
	    TS_MSG_IMPRINT_set_msg(imprint, digest, sizeof(digest)) == 1 &&
	    TS_REQ_set_msg_imprint(req, imprint) == 1);
	X509_ALGOR_free(algo);
	TS_MSG_IMPRINT_free(imprint);
}

static void
set_nonce(TS_REQ *req)
{
	uint8_t bytes[NONCE_BYTES];
	ASN1_INTEGER *nonce;
	BIGNUM *n;

	random_bytes(bytes, sizeof(bytes));
	bytes[0] |= 0x40; /* of full length, positive */
	bytes[0] &= 0x7f;
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	nonce = BN_to_ASN1_INTEGER(n, NULL);
	must(nonce != NULL && TS_REQ_set_nonce(req, nonce) == 1);
	ASN1_INTEGER_free(nonce);
	BN_free(n);
}

void
tsa_request(struct slice data, struct buf *out)
{
	TS_REQ *req = TS_REQ_new();
	unsigned char *der = NULL;
	int n;

	must(req != NULL && TS_REQ_set_version(req, 1) == 1);
	set_imprint(req, data);
	set_nonce(req);
	must(TS_REQ_set_cert_req(req, 1) == 1);
	n = i2d_TS_REQ(req, &der);
	must(n > 0);
	(void)buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	TS_REQ_free(req);
}

static enum rc
refused(const char *what, struct error *err)
{
	unsigned long code = ERR_peek_last_error();
	char reason[REASON];

	ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return error_set(err, RC_DENIED, "%s: %s", what,
	    code != 0 ? reason : "no reason given");
}

/* The answer of an authority that the store certifies. */
static enum rc
verify(TS_REQ *req, TS_RESP *resp, const char *ca, struct error *err)
{
	TS_VERIFY_CTX *ctx = TS_REQ_to_TS_VERIFY_CTX(req, NULL);
	X509_STORE *store = X509_STORE_new();
	enum rc rc = RC_OK;

	must(ctx != NULL && store != NULL);
	if (X509_STORE_load_file(store, ca) != 1) {
		X509_STORE_free(store);
		ERR_clear_error();
		rc = error_set(err, RC_INVALID, "%s: no certificates in PEM",
		    ca);
	} else {
		(void)TS_VERIFY_CTX_set_store(ctx, store); /* takes it */
		(void)TS_VERIFY_CTX_add_flags(ctx, TS_VFY_SIGNATURE);
		if (TS_RESP_verify_response(ctx, resp) != 1)
			rc = refused("the time stamp is not good", err);
	}
	TS_VERIFY_CTX_free(ctx);
	return rc;
}

enum rc
tsa_check(struct slice request, struct slice answer, const char *ca,
    struct error *err)
{
	const unsigned char *p = (const unsigned char *)request.ptr;
	TS_REQ *req = d2i_TS_REQ(NULL, &p, (long)request.len);
	TS_RESP *resp;
	enum rc rc;

	must(req != NULL);
	p = (const unsigned char *)answer.ptr;
	resp = d2i_TS_RESP(NULL, &p, (long)answer.len);
	if (resp == NULL) {
		ERR_clear_error();
		rc = error_set(err, RC_INVALID,
		    "the authority's answer is no time stamp response");
	} else {
		rc = verify(req, resp, ca, err);
	}
	TS_RESP_free(resp);
	TS_REQ_free(req);
	return rc;
}
