/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an agent's identity, and how they are replaced: the new key lies
 * beside the old one (KEY.new) before anybody is asked, then the new certificate
 * (CERTIFICATE.new); key and certificate are renamed one after the other, and
 * whoever starts between the two finishes it.
 *
 * STATE_DIR/enrolment.json says where the agent enrolled, and so that it renews.
 */
#pragma once

#include <sys/types.h>

#include "agent/enrolment.h"
#include "tls.h"

struct identity_files {
	const char *ca, *certificate, *key; /* borrowed */
	const char *orders_key; /* whose orders are trusted; NULL: not asked */
	const char *state_dir;
	uid_t uid; /* to whom they are given; -1: they stay ours */
	gid_t gid;
};

/* KEY.new, at most PATH_MAX bytes. */
enum { IDENTITY_PATH = 4096 };
void identity_new_name(const char *path, char out[IDENTITY_PATH]);

/* Makes KEY.new; one that is there already (of an answer that was lost) stays
 * where `keep`. */
enum rc identity_new_key(const struct identity_files *f, bool keep,
    struct error *err);

/* Writes CA and CERTIFICATE.new, and then puts key and certificate in place.
 * RC_INVALID: the certificate is not of KEY.new. */
enum rc identity_install(const struct identity_files *f,
    const struct enrolment *e, struct error *err);

/*
 * Writes the key whose orders are trusted, as far as the owner says so: its file
 * stays ours, for whoever it is given to could be told anything.  A file that is
 * there is the owner's word: RC_DENIED where it has other keys, unless
 * `replace`.  RC_EOF: none came.
 */
enum rc identity_pin(const struct identity_files *f, const struct enrolment *e,
    bool replace, struct error *err);

/* Finishes what a crash broke off. */
void identity_mend(const struct identity_files *f);

struct identity_record {
	char server[512];
	char fingerprint[SHA256_TEXT];
	char agent[CERTIFICATE_NAME];
	char group[ENROLMENT_GROUP]; /* empty: none */
	int64_t renew_ns;
};
/* RC_EOF: there is none. */
enum rc identity_record_read(const char *state_dir, struct identity_record *out,
    struct error *err);
enum rc identity_record_write(const struct identity_files *f,
    const struct identity_record *r, struct error *err);
