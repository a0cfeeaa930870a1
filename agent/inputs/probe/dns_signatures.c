/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/probe/dns_signatures.h"

#include <ares.h>
#include <arpa/nameser.h>

#include "digest.h"

enum {
	/* what passes everywhere without fragments */
	ANSWER_BYTES = 1232,
	/* of the OPT record, which is the query's last: TTL, length */
	DO_FROM_END = 4,
	DO_BIT = 0x80,
	/* in an RRSIG's data */
	EXPIRES_AT = 8,
	SIGNER_AT = 18,
};

bool
dns_signed_query(const char *zone, int type, unsigned char **out, int *len)
{
	unsigned short id;

	random_bytes(&id, sizeof(id));
	if (ares_create_query(zone, ns_c_in, type, id, 0, out, len,
		ANSWER_BYTES) != ARES_SUCCESS)
		return false;
	(*out)[*len - DO_FROM_END] |= DO_BIT;
	return true;
}

int64_t
dns_signed_until(struct slice answer, int type, int64_t now_s)
{
	int64_t until_s = 0;
	ns_msg m;
	ns_rr rr;

	if (answer.len > NS_MAXMSG ||
	    ns_initparse((const unsigned char *)answer.ptr, (int)answer.len,
		&m) != 0)
		return 0;
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		const unsigned char *data;
		int64_t end_s;

		if (ns_parserr(&m, ns_s_an, i, &rr) != 0)
			return 0;
		data = ns_rr_rdata(rr);
		if (ns_rr_type(rr) != ns_t_rrsig ||
		    ns_rr_rdlen(rr) < SIGNER_AT ||
		    ns_get16(data) != (unsigned)type)
			continue;
		/* its clock goes round, as serials do (section 3.1.5) */
		end_s = now_s +
		    (int32_t)((uint32_t)ns_get32(data + EXPIRES_AT) -
			(uint32_t)now_s);
		if (end_s > until_s)
			until_s = end_s;
	}
	return until_s;
}
