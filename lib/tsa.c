/* SPDX-License-Identifier: Apache-2.0 */
#include "tsa.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/ts.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

/* Adds the certificates of `ca` to what is verified. */
static enum rc
trust(TS_VERIFY_CTX *ctx, const char *ca, const time_t *at, struct error *err)
{
	X509_STORE *store = X509_STORE_new();

	must(store != NULL);
	if (X509_STORE_load_file(store, ca) != 1) {
		X509_STORE_free(store);
		ERR_clear_error();
		return error_set(err, RC_INVALID, "%s: no certificates in PEM",
		    ca);
	}
	if (at != NULL)
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), *at);
	(void)TS_VERIFY_CTX_set_store(ctx, store); /* takes it */
	(void)TS_VERIFY_CTX_add_flags(ctx, TS_VFY_SIGNATURE);
	return RC_OK;
}

/* The answer of an authority that `ca` certifies. */
static enum rc
verify(TS_REQ *req, TS_RESP *resp, const char *ca, struct error *err)
{
	TS_VERIFY_CTX *ctx = TS_REQ_to_TS_VERIFY_CTX(req, NULL);
	enum rc rc;

	must(ctx != NULL);
	rc = trust(ctx, ca, NULL, err);
	if (rc == RC_OK && TS_RESP_verify_response(ctx, resp) != 1)
		rc = refused("the time stamp is not good", err);
	TS_VERIFY_CTX_free(ctx);
	return rc;
}

static TS_RESP *
read_answer(struct slice answer, struct error *err)
{
	const unsigned char *p = (const unsigned char *)answer.ptr;
	TS_RESP *resp = answer.len <= TSA_ANSWER_MAX
	    ? d2i_TS_RESP(NULL, &p, (long)answer.len)
	    : NULL;

	if (resp == NULL) {
		ERR_clear_error();
		(void)error_set(err, RC_INVALID,
		    "the authority's answer is no time stamp response");
	}
	return resp;
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
	resp = read_answer(answer, err);
	rc = resp != NULL ? verify(req, resp, ca, err) : err->code;
	TS_RESP_free(resp);
	TS_REQ_free(req);
	return rc;
}

/* When the authority made it; it was certified then or never. */
static bool
time_of(TS_RESP *resp, time_t *out)
{
	TS_TST_INFO *info = TS_RESP_get_tst_info(resp);
	struct tm tm = { 0 };

	if (info == NULL || TS_TST_INFO_get_time(info) == NULL ||
	    ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

enum rc
tsa_verify(struct slice data, struct slice answer, const char *ca,
    struct error *err)
{
	TS_VERIFY_CTX *ctx = TS_VERIFY_CTX_new();
	TS_RESP *resp = read_answer(answer, err);
	BIO *bio = BIO_new_mem_buf(data.ptr, (int)data.len);
	time_t at = 0;
	enum rc rc = resp != NULL ? RC_OK : err->code;

	must(ctx != NULL && bio != NULL);
	(void)TS_VERIFY_CTX_set_data(ctx, bio); /* takes it */
	(void)TS_VERIFY_CTX_set_flags(ctx, TS_VFY_VERSION | TS_VFY_DATA);
	if (rc == RC_OK && !time_of(resp, &at))
		rc = error_set(err, RC_DENIED, "it grants no time stamp");
	if (rc == RC_OK && ca != NULL)
		rc = trust(ctx, ca, &at, err);
	if (rc == RC_OK && TS_RESP_verify_response(ctx, resp) != 1)
		rc = refused("the time stamp is not good", err);
	TS_VERIFY_CTX_free(ctx);
	TS_RESP_free(resp);
	return rc;
}
