/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/spool/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader gives out of any bytes is what was once encoded. */
static void
check_record(const struct record *r)
{
	char header[RECORD_HEADER];

	if (r->json.len == 0 || r->json.len > RECORD_BYTES_MAX)
		abort();
	record_header_encode(header, r->sequence, r->json);
	if (memcmp(header, r->json.ptr - RECORD_HEADER, RECORD_HEADER) != 0)
		abort();
}

/* A record behind the bytes is found, whatever they are. */
static size_t
add_record(char *out)
{
	static const char json[] = "{\"behind\":1}";
	struct slice s = { json, sizeof(json) - 1 };

	record_header_encode(out, 77, s);
	memcpy(out + RECORD_HEADER, json, s.len);
	return RECORD_HEADER + s.len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char tail[64];
	size_t tail_len = add_record(tail);
	uint64_t end = SEGMENT_HEADER + size + tail_len, records = 0;
	int fd = memfd_create("segment", MFD_CLOEXEC);
	uint8_t stream[16];
	struct record record;
	struct reader r;
	uint64_t number, last = 0;

	(void)segment_header_decode((struct slice){ (const char *)data, size },
	    stream, &number);
	if (fd == -1 ||
	    pwrite(fd, data, size, SEGMENT_HEADER) != (ssize_t)size ||
	    pwrite(fd, tail, tail_len, (off_t)(SEGMENT_HEADER + size)) !=
		(ssize_t)tail_len)
		abort();
	reader_begin(&r, fd);
	while (reader_next(&r, end, &record) == RC_OK) {
		check_record(&record);
		records += RECORD_HEADER + record.json.len;
		last = record.sequence;
	}
	if (last != 77 || SEGMENT_HEADER + records + r.skipped != end)
		abort();
	reader_end(&r);
	return 0;
}
