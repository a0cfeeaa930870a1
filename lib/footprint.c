/* SPDX-License-Identifier: Apache-2.0 */
#include "footprint.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

void
footprint_keep_small(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): no thread runs yet */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TOP_PAD, 16 * 1024);
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	/* NOLINTEND(concurrency-mt-unsafe) */
}

/* The loader wrote into its code, which the file does not have. */
static bool
is_patched(const struct dl_phdr_info *object)
{
	const ElfW(Dyn) *d = NULL;

	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			d = (const ElfW(Dyn) *)(object->dlpi_addr +
			    object->dlpi_phdr[i].p_vaddr);
	}
	for (; d != NULL && d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_TEXTREL ||
		    (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0))
			return true;
	}
	return d == NULL;
}

/* Segments that may be written hold what is not in the file, RELRO too. */
static int
drop_pages(struct dl_phdr_info *object, size_t size, void *ctx)
{
	uintptr_t page = *(const uintptr_t *)ctx;

	(void)size;
	if (is_patched(object))
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uintptr_t at = object->dlpi_addr + p->p_vaddr;
		uintptr_t end = at + p->p_memsz;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_W) != 0)
			continue;
		at &= ~(page - 1);
		end = (end + page - 1) & ~(page - 1);
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): what it has */
		(void)madvise((void *)at, end - at, MADV_DONTNEED);
	}
	return 0;
}

void
footprint_rest(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)malloc_trim(0);
	(void)dl_iterate_phdr(drop_pages, &page);
}
