/* pending.c - until the pools of manual arenas are there: none can be made. */
#include "page/page.h"

enum page_dss page_default_dss(void) {
	return PAGE_DSS_SECONDARY;
}

struct pool *pool_make(const struct pool_source *source) {
	(void)source;
	return NULL;
}

bool page_destroy(struct pages *pages, struct pool *heir) {
	(void)heir;
	(void)pages;
	return false;
}
