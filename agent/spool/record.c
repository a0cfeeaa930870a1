/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/record.h"

#include <string.h>
#include <zlib.h>

enum { LENGTH_AT = 4, SEQUENCE_AT = 8, CRC_AT = 16, HEADER_CRC_AT = 32 };

static const char segment_magic[8] = "kuzetSG1";
static const char record_magic[4] = "\xffKS1";

static void
put_be(char *out, uint64_t v, size_t bytes)
{
	for (size_t i = bytes; i-- > 0; v >>= 8)
		out[i] = (char)(unsigned char)(v & 0xff);
}

static uint64_t
get_be(const char *in, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | (unsigned char)in[i];
	return v;
}

static uint32_t
crc_of(const char *bytes, size_t len)
{
	return (uint32_t)crc32_z(0, (const Bytef *)bytes, len);
}

static uint32_t
record_crc(const char *header, struct slice json)
{
	uLong crc = crc_of(header + LENGTH_AT, CRC_AT - LENGTH_AT);

	return (uint32_t)crc32_z(crc, (const Bytef *)json.ptr, json.len);
}

void
segment_header_encode(char out[SEGMENT_HEADER], const uint8_t stream[16],
    uint64_t number)
{
	memcpy(out, segment_magic, sizeof(segment_magic));
	memcpy(out + 8, stream, 16);
	put_be(out + 24, number, 8);
	put_be(out + HEADER_CRC_AT, crc_of(out, HEADER_CRC_AT), 4);
}

bool
segment_header_decode(struct slice bytes, uint8_t stream[16], uint64_t *number)
{
	if (bytes.len < SEGMENT_HEADER ||
	    memcmp(bytes.ptr, segment_magic, sizeof(segment_magic)) != 0 ||
	    get_be(bytes.ptr + HEADER_CRC_AT, 4) !=
		crc_of(bytes.ptr, HEADER_CRC_AT))
		return false;
	memcpy(stream, bytes.ptr + 8, 16);
	*number = get_be(bytes.ptr + 24, 8);
	return true;
}

void
record_header_encode(char out[RECORD_HEADER], uint64_t sequence,
    struct slice json)
{
	memcpy(out, record_magic, sizeof(record_magic));
	put_be(out + LENGTH_AT, json.len, 4);
	put_be(out + SEQUENCE_AT, sequence, 8);
	put_be(out + CRC_AT, record_crc(out, json), 4);
}

size_t
record_skip(struct slice bytes)
{
	const char *next =
	    memchr(bytes.ptr + 1, record_magic[0], bytes.len - 1);

	return next == NULL ? bytes.len : (size_t)(next - bytes.ptr);
}

enum record_found
record_decode(struct slice bytes, struct record *out, size_t *used)
{
	size_t have =
	    bytes.len < sizeof(record_magic) ? bytes.len : sizeof(record_magic);
	uint64_t len;

	*used = record_skip(bytes);
	if (memcmp(bytes.ptr, record_magic, have) != 0)
		return RECORD_DAMAGED;
	if (bytes.len < RECORD_HEADER) {
		*used = RECORD_HEADER;
		return RECORD_SHORT;
	}
	len = get_be(bytes.ptr + LENGTH_AT, 4);
	if (len == 0 || len > RECORD_BYTES_MAX)
		return RECORD_DAMAGED;
	if (bytes.len < RECORD_HEADER + len) {
		*used = RECORD_HEADER + (size_t)len;
		return RECORD_SHORT;
	}
	out->json = (struct slice){ bytes.ptr + RECORD_HEADER, (size_t)len };
	if (get_be(bytes.ptr + CRC_AT, 4) != record_crc(bytes.ptr, out->json))
		return RECORD_DAMAGED;
	out->sequence = get_be(bytes.ptr + SEQUENCE_AT, 8);
	*used = RECORD_HEADER + (size_t)len;
	return RECORD_WHOLE;
}
