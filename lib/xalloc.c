/* SPDX-License-Identifier: Apache-2.0 */
#include "xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *p, size_t count, size_t size)
{
	if (p == NULL) {
		(void)fprintf(stderr, "out of memory (%zu x %zu bytes)\n",
		    count, size);
		abort();
	}
	return p;
}

void *
xzalloc(size_t size)
{
	return checked(calloc(1, size > 0 ? size : 1), 1, size);
}

void *
xcalloc(size_t count, size_t size)
{
	return checked(calloc(count > 0 ? count : 1, size), count, size);
}

void *
xreallocarray(void *p, size_t count, size_t size)
{
	return checked(reallocarray(p, count > 0 ? count : 1, size), count,
	    size);
}

char *
xstrdup(const char *s)
{
	return xmemdupz(s, strlen(s));
}

char *
xmemdupz(const void *p, size_t len)
{
	char *copy = xzalloc(len + 1);

	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}
