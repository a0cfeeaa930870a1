/* SPDX-License-Identifier: Apache-2.0 */
#include "footprint.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

enum { PIECES = 4096, PIECE = 1000 };

/* Every page of all code that is loaded. */
static int
touch(struct dl_phdr_info *object, size_t size, void *ctx)
{
	unsigned *sum = ctx;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)size;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		const volatile unsigned char *code =
		    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		    (const void *)(object->dlpi_addr + p->p_vaddr);

		if (p->p_type != PT_LOAD || p->p_flags != (PF_R | PF_X))
			continue;
		for (size_t at = 0; at < p->p_memsz; at += page)
			*sum += code[at];
	}
	return 0;
}

/* Pages of files that this process has mapped: statm's third number. */
static unsigned long
of_files(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[256] = "";
	char *at = line;

	if (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		(void)strtoul(at, &at, 10);
		(void)strtoul(at, &at, 10);
	}
	if (f != NULL)
		(void)fclose(f);
	return strtoul(at, NULL, 10);
}

static void
code_goes_and_comes_back(void)
{
	unsigned first = 0, second = 0;
	unsigned long before, after;

	(void)dl_iterate_phdr(touch, &first);
	before = of_files();
	footprint_rest();
	after = of_files();
	(void)dl_iterate_phdr(touch, &second);
	CHECK(after < before,
	    "code that nobody runs is mapped no longer: "
	    "%lu pages, then %lu",
	    before, after);
	CHECK(first == second, "it is the same when it is needed again");
}

/* Pointers that the loader relocated, in memory that is read-only now. */
static const char *const names[] = { "one", "two", "three" };
static const char *const *volatile relocated = names;

static void
what_was_written_stays(void)
{
	static char written[PIECE] = { 1 };
	char *pieces[PIECES];
	bool same = true;

	memset(written, 'w', sizeof(written));
	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = malloc(PIECE);
		if (pieces[i] == NULL)
			abort();
		memset(pieces[i], (int)(i % 256), PIECE);
	}
	for (size_t i = 0; i < PIECES; i += 2)
		free(pieces[i]);
	footprint_rest();
	for (size_t i = 1; i < PIECES; i += 2) {
		same = same && pieces[i][0] == (char)(i % 256) &&
		    memcmp(pieces[i], pieces[i] + 1, PIECE - 1) == 0;
		free(pieces[i]);
	}
	CHECK(same, "what the heap holds is there");
	CHECK(written[0] == 'w' && written[PIECE - 1] == 'w',
	    "variables have their values");
	CHECK(strcmp(relocated[2], "three") == 0, "addresses are relocated");
}

int
main(void)
{
	footprint_keep_small();
	code_goes_and_comes_back();
	what_was_written_stays();
	return tap_done();
}
