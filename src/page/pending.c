/* pending.c - until the pools of manual arenas are there: none can be made. */
#include "page/page.h"

extent_hooks_t page_default_hooks;

enum page_dss page_default_dss(void) {
	return PAGE_DSS_SECONDARY;
}
void page_set_default_dss(enum page_dss dss) {
	(void)dss;
}
enum page_dss page_dss(const struct pages *pages) {
	return (enum page_dss)load_relaxed(&pages->dss);
}
void page_set_dss(struct pages *pages, enum page_dss dss) {
	store_relaxed(&pages->dss, (uint8_t)dss);
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

extent_hooks_t *page_hooks(struct pages *pages) {
	(void)pages;
	return &page_default_hooks;
}
bool page_set_hooks(struct pages *pages, extent_hooks_t *hooks, extent_hooks_t **before) {
	(void)pages;
	(void)before;
	return hooks == &page_default_hooks;
}

size_t page_grow_limit(const struct pages *pages) {
	(void)pages;
	return PAGE_GROW_LIMIT_DEFAULT;
}
bool page_set_grow_limit(struct pages *pages, size_t bytes) {
	(void)pages;
	return bytes >= PAGE;
}
