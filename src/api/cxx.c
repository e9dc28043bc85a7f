/* cxx.c - C++ operators new and delete, without a C++ runtime.
 *
 * The runtime is used if the program has one: its new_handler, its bad_alloc, and, for nothrow forms, its own
 * operator, which calls our throwing one inside try and catch. Compiled with -fexceptions, so that exceptions
 * pass through. */
#include "api/api.h"
#include "api/fast.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "os/os.h"

#include <dlfcn.h>

#define NO_ALIGN 0 /* the alignment every block has */

/* -- the program's C++ runtime --------------------------------------------------------------------------- */

typedef void handler(void);
typedef handler *handler_getter(void);
typedef void thrower(void);
typedef void *nothrow_new(size_t size, const void *tag);
typedef void *nothrow_aligned_new(size_t size, size_t align, const void *tag);

#define GET_NEW_HANDLER "_ZSt15get_new_handlerv"
#define THROW_BAD_ALLOC "_ZSt17__throw_bad_allocv"

__attribute__((weak)) handler_getter get_new_handler __asm__(GET_NEW_HANDLER);
__attribute__((weak)) thrower throw_bad_alloc __asm__(THROW_BAD_ALLOC);

/* A program linked statically has no loader to ask, and must not get one because of us. */
#pragma weak dlopen
#pragma weak dlsym
#pragma weak dlclose

/* A function of the runtime as a shared library, which may have come after us and out of everybody's sight.
 * By the library's name and not RTLD_NEXT: what comes next may be another allocator's. */
static void *find_in_runtime(const char *name) {
	static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
	if (dlopen == NULL || dlsym == NULL || dlclose == NULL)
		return NULL;
	for (size_t i = 0; i < COUNT_OF(libraries); i++) {
		void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
		void *found = library == NULL ? NULL : dlsym(library, name);
		if (library != NULL)
			(void)dlclose(library);
		if (found != NULL)
			return found;
	}
	return NULL;
}

static handler *current_handler(void) {
	handler_getter *get = get_new_handler;
	if (get == NULL)
		*(void **)&get = find_in_runtime(GET_NEW_HANDLER);
	return get == NULL ? NULL : get();
}

/* Throws bad_alloc. */
_Noreturn static COLD void fail(size_t size) {
	thrower *function = throw_bad_alloc;
	if (function == NULL)
		*(void **)&function = find_in_runtime(THROW_BAD_ALLOC);
	if (function != NULL)
		function();
	guard_message(
		"<ashlar>: operator new(%zu): out of memory, and no C++ runtime to throw bad_alloc with\n",
		size);
	os_abort();
}

/* With experimental_infallible_new nobody is asked and nothing thrown. Returns where the program receives reports. */
static COLD void report_failure(size_t size) {
	const char *hint =
		size < GIB ? ""
			   : "The size asked for is so large that the heap or a variable may have been "
			     "overwritten; a build with an address sanitizer would tell.";
	guard_fail("<ashlar>: Allocation of size %zu failed. %s opt.experimental_infallible_new is true. "
	           "Aborting.\n",
	           size, hint);
}

/* -- when memory runs out -------------------------------------------------------------------------------- */

static void *attempt(size_t size, size_t align) {
	return align == NO_ALIGN ? full_malloc(size) : full_aligned(size_max(size, 1), align);
}

/* Calls the new_handler until there is memory; NULL: there is no handler (any more). */
static void *ask_handler(size_t size, size_t align) {
	void *block = NULL;
	while (block == NULL) {
		handler *ask = current_handler();
		if (ask == NULL)
			return NULL;
		ask();
		block = attempt(size, align);
	}
	return block;
}

static COLD void *new_failed(size_t size, size_t align) {
	if (opt_now(experimental_infallible_new)) {
		report_failure(size);
		return NULL;
	}
	void *block = ask_handler(size, align);
	if (block == NULL)
		fail(size);
	return block;
}

/* The handler may throw, and only C++ can catch that: `name` is the same operator of the runtime. Where the
 * runtime is linked statically it has no other operator than ours: there an exception of the handler goes on
 * to the caller. */
static COLD void *nothrow_failed(size_t size, size_t align, const void *tag, const char *name) {
	if (opt_now(experimental_infallible_new)) {
		report_failure(size);
		return NULL;
	}
	void *found = current_handler() == NULL ? NULL : find_in_runtime(name);
	if (found == NULL)
		return ask_handler(size, align);
	if (align == NO_ALIGN) {
		nothrow_new *function;
		*(void **)&function = found;
		return function(size, tag);
	}
	nothrow_aligned_new *function;
	*(void **)&function = found;
	return function(size, align, tag);
}

/* -- new ------------------------------------------------------------------------------------------------- */

/* What the fast lane has no block for; out of line, so that the lane needs no frame. */
static NOINLINE void *new_full(size_t size) {
	void *block = full_malloc(size);
	return likely(block != NULL) ? block : new_failed(size, NO_ALIGN);
}

static NOINLINE void *new_nothrow_full(size_t size, const void *tag, const char *name) {
	void *block = full_malloc(size);
	return likely(block != NULL) ? block : nothrow_failed(size, NO_ALIGN, tag, name);
}

ALWAYS_INLINE void *new_plain(size_t size) {
	void *block;
	return likely(lane_take(size, &block)) ? block : new_full(size);
}

ALWAYS_INLINE void *new_nothrow(size_t size, const void *tag, const char *name) {
	void *block;
	return likely(lane_take(size, &block)) ? block : new_nothrow_full(size, tag, name);
}

static void *new_aligned(size_t size, size_t align) {
	void *block = attempt(size, align);
	return likely(block != NULL) ? block : new_failed(size, align);
}

static void *new_aligned_nothrow(size_t size, size_t align, const void *tag, const char *name) {
	void *block = attempt(size, align);
	return likely(block != NULL) ? block : nothrow_failed(size, align, tag, name);
}

#define NEW(name) \
	void *name(size_t size); \
	EXPORT ALIGNED_LINE void *name(size_t size) { \
		return new_plain(size); \
	}
#define NEW_NOTHROW(name) \
	void *name(size_t size, const void *tag); \
	EXPORT void *name(size_t size, const void *tag) { \
		return new_nothrow(size, tag, #name); \
	}
#define NEW_ALIGNED(name) \
	void *name(size_t size, size_t align); \
	EXPORT void *name(size_t size, size_t align) { \
		return new_aligned(size, align); \
	}
#define NEW_ALIGNED_NOTHROW(name) \
	void *name(size_t size, size_t align, const void *tag); \
	EXPORT void *name(size_t size, size_t align, const void *tag) { \
		return new_aligned_nothrow(size, align, tag, #name); \
	}

NEW(_Znwm)
NEW(_Znam)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

/* -- delete: sizes, alignments and tags are promises nobody needs: the page map knows -------------------- */

#define DELETE(name) \
	void name(void *ptr); \
	EXPORT ALIGNED_LINE void name(void *ptr) { \
		lane_free(ptr); \
	}
#define DELETE_KNOWING(name, type) \
	void name(void *ptr, type known); \
	EXPORT void name(void *ptr, type known) { \
		(void)known; \
		lane_free(ptr); \
	}
#define DELETE_KNOWING_BOTH(name, type) \
	void name(void *ptr, size_t known, type too); \
	EXPORT void name(void *ptr, size_t known, type too) { \
		(void)known; \
		(void)too; \
		lane_free(ptr); \
	}

#define DELETE_SIZED(name) \
	void name(void *ptr, size_t size); \
	EXPORT ALIGNED_LINE void name(void *ptr, size_t size) { \
		full_check_size(ptr, size, 1); \
		lane_free(ptr); \
	}
#define DELETE_SIZED_ALIGNED(name) \
	void name(void *ptr, size_t size, size_t align); \
	EXPORT void name(void *ptr, size_t size, size_t align) { \
		full_check_size(ptr, size, align); \
		lane_free(ptr); \
	}

DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE_KNOWING(_ZdlPvRKSt9nothrow_t, const void *)
DELETE_KNOWING(_ZdaPvRKSt9nothrow_t, const void *)
DELETE_SIZED(_ZdlPvm)
DELETE_SIZED(_ZdaPvm)
DELETE_KNOWING(_ZdlPvSt11align_val_t, size_t)
DELETE_KNOWING(_ZdaPvSt11align_val_t, size_t)
DELETE_KNOWING_BOTH(_ZdlPvSt11align_val_tRKSt9nothrow_t, const void *)
DELETE_KNOWING_BOTH(_ZdaPvSt11align_val_tRKSt9nothrow_t, const void *)
DELETE_SIZED_ALIGNED(_ZdlPvmSt11align_val_t)
DELETE_SIZED_ALIGNED(_ZdaPvmSt11align_val_t)
