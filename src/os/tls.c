/* tls.c - where the loader put our thread-local storage. */
#define _GNU_SOURCE
#include <link.h>
#include "util/util.h"
#include "os/os.h"

struct search {
	uintptr_t inside; /* an address in the module looked for */
	bool is_static;
};

static bool contains(const struct dl_phdr_info *info, uintptr_t addr) {
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + part->p_vaddr;
		if (part->p_type == PT_LOAD && addr >= start && addr - start < part->p_memsz)
			return true;
	}
	return false;
}

/* A module loaded at program start has its block in every thread from the beginning; one loaded later gets it on first
 * use, which has not happened yet when this is asked. */
static STARTUP int look_at(struct dl_phdr_info *info, size_t size, void *argument) {
	struct search *search = argument;
	if (!contains(info, search->inside))
		return 0;
	search->is_static =
		size >= offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof info->dlpi_tls_data &&
		info->dlpi_tls_data != NULL;
	return 1;
}

STARTUP bool os_tls_is_static(void) {
	struct search search = {.inside = (uintptr_t)&os};
	(void)dl_iterate_phdr(look_at, &search);
	return search.is_static;
}
