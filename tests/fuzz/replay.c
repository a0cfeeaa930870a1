/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer, so that `make check` replays every corpus with any
 * compiler: runs the target once over each file named, or, without arguments,
 * over tests/fuzz/corpus/NAME for a program called fuzz_NAME.  Speaks TAP.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[INPUT_BYTES];

static int
replay(const char *path)
{
	FILE *f = fopen(path, "rbe");
	uint8_t *copy;
	size_t n;

	if (f == NULL) {
		perror(path);
		return 1;
	}
	n = fread(input, 1, sizeof(input), f);
	(void)fclose(f);
	/* of its exact size, so that AddressSanitizer sees the end */
	copy = malloc(n > 0 ? n : 1);
	if (copy == NULL)
		return 1;
	memcpy(copy, input, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return 0;
}

static int
replay_folder(const char *name)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	const char *top = getenv("top_srcdir");
	char path[4096];
	struct dirent *e;
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s",
	    top != NULL ? top : KUZET_SRCDIR, name);
	d = opendir(path);
	if (d == NULL) {
		perror(path);
		return 1;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((e = readdir(d)) != NULL) {
		char file[8192];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (replay(file) != 0)
			break;
		n++;
	}
	(void)closedir(d);
	(void)printf("%sok 1 - %s replayed over its corpus (%d files)\n1..1\n",
	    n > 0 && e == NULL ? "" : "not ", name, n);
	return n > 0 && e == NULL ? 0 : 1;
}

int
main(int argc, char *argv[])
{
	const char *name = strstr(argv[0], "fuzz_");

	if (argc == 1 && name != NULL)
		return replay_folder(name + strlen("fuzz_"));
	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) != 0)
			return 1;
	return 0;
}
