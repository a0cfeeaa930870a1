/* SPDX-License-Identifier: Apache-2.0 */
/* A name server's answer of any bytes: its signatures' end is near the clock. */
#include <arpa/nameser.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/inputs/probe/dns_signatures.h"

#define NOW_S INT64_C(1795600000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice answer = { (const char *)data, size };
	int64_t until_s = dns_signed_until(answer, ns_t_soa, NOW_S);

	/* half the clock's round, RFC 4034 section 3.1.5 */
	if (until_s != 0 &&
	    (until_s < NOW_S - INT32_MAX - 1 || until_s > NOW_S + INT32_MAX))
		abort();
	return 0;
}
