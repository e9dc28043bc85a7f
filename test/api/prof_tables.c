/*
 * Functions whose tables of exceptions are wrong allocate: their stacks end there, and nothing else happens. One that goes
 * on to a stack of its own, with a table that is right, has its callers.
 */
#define _GNU_SOURCE
#include "ctl.h"

#include <pthread.h>
#include <sys/mman.h>

#if defined(__x86_64__) && defined(__GLIBC__)

void *tables_allocate(void);
#define FUNCTION(name, table) \
	void name(void); \
	__asm__(".text\n.globl " #name "\n.hidden " #name "\n.type " #name ",@function\n" #name ":\n" \
	        ".cfi_startproc\npush %rbp\nmov $0x1234567,%rbp\n" table "\n" \
	        "call tables_allocate\npop %rbp\nret\n.cfi_endproc\n.size " #name ",.-" #name "\n")

FUNCTION(far_by_rsp, ".cfi_def_cfa_offset 0x8000000");
FUNCTION(farther_by_rsp, ".cfi_def_cfa_offset 0x60000000");
FUNCTION(farther_than_a_step, ".cfi_def_cfa_offset 0x1000000");
FUNCTION(negative, ".cfi_def_cfa rsp, -64");
FUNCTION(by_other_rbp, ".cfi_def_cfa rbp, 16");
FUNCTION(unaligned, ".cfi_def_cfa rsp, 13");
FUNCTION(saved_beyond, ".cfi_def_cfa_offset 16\n.cfi_offset rbp, 4096");
FUNCTION(saved_below, ".cfi_def_cfa_offset 16\n.cfi_offset rbp, -65536");
FUNCTION(nothing_aside, ".cfi_escape 0x0b");
FUNCTION(right, ".cfi_def_cfa_offset 16\n.cfi_offset rbp, -16");

/* On the stack that ends at the argument. */
void elsewhere(char *end);
__asm__(".text\n.globl elsewhere\n.hidden elsewhere\n.type elsewhere,@function\nelsewhere:\n.cfi_startproc\n"
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset rbp, -16\nmov %rsp,%rbp\n.cfi_def_cfa_register rbp\n"
        "mov %rdi,%rsp\ncall tables_allocate\nmov %rbp,%rsp\npop %rbp\n.cfi_def_cfa rsp, 8\nret\n"
        ".cfi_endproc\n.size elsewhere,.-elsewhere\n");

static void *callers[256];
static unsigned depth;

static void note_sample(const void *block, size_t size, void **frames, unsigned count, size_t usable) {
	(void)block;
	(void)size;
	(void)usable;
	memcpy(callers, frames, count * sizeof *frames);
	depth = count;
}

__attribute__((visibility("hidden"), noinline)) void *tables_allocate(void) {
	void *block = malloc(1000);
	free(block);
	TEST_HIDE(block);
	return block;
}

int main(void);

/* Where in the stack the function is; -1: nowhere. */
static int place_of(const void *function, size_t size) {
	for (unsigned i = 0; i < depth; i++)
		if ((uintptr_t)callers[i] - (uintptr_t)function < size)
			return (int)i;
	return -1;
}

/* Its caller is called by main. */
static bool goes_on(const void *function, size_t size) {
	int place = place_of(function, size);
	return place >= 1 && (unsigned)place + 2 < depth &&
	       (uintptr_t)callers[place + 2] - (uintptr_t)main < 4000;
}

static __attribute__((noinline)) void call(void (*function)(void)) {
	depth = 0;
	function();
	TEST_HIDE(function);
}

static bool ends_at(const void *function) {
	int place = place_of(function, 14);
	return place >= 1 && place + 1 == (int)depth;
}

/* Whatever can be read there, it is no frame. */
static void *call_far(void *argument) {
	uintptr_t room[3 << 20];
	for (size_t i = 0; i < sizeof room / sizeof *room; i++)
		room[i] = (uintptr_t)main + 4;
	TEST_HIDE(argument);
	__asm__ volatile("" : : "r"(room) : "memory");
	call(farther_than_a_step);
	__asm__ volatile("" : : "r"(room) : "memory");
	CHECK(ends_at((void *)(uintptr_t)farther_than_a_step));
	return NULL;
}

static void with_large_stack(void *(*function)(void *)) {
	pthread_attr_t large;
	pthread_t thread;
	CHECK(pthread_attr_init(&large) == 0 && pthread_attr_setstacksize(&large, 32 << 20) == 0);
	CHECK(pthread_create(&thread, &large, function, NULL) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(pthread_attr_destroy(&large) == 0);
}

static __attribute__((noinline)) void call_elsewhere(char *end) {
	depth = 0;
	elsewhere(end);
	TEST_HIDE(end);
}

int main(void) {
	void (*const wrong[])(void) = {far_by_rsp, farther_by_rsp, negative,    by_other_rbp,
	                               unaligned,  saved_beyond,   saved_below, nothing_aside};
	CHECK(CTL_SET(size_t, "prof.reset", 0) == 0);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_sample", (void *)(uintptr_t)note_sample) == 0);
	CHECK(CTL_SET(bool, "prof.active", true) == 0);
	for (int round = 0; round < 40; round++) {
		for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
			call(wrong[i]);
			CHECK(ends_at((void *)(uintptr_t)wrong[i]));
		}
		call(right);
		CHECK(goes_on((void *)(uintptr_t)right, 14));
	}
	with_large_stack(call_far);
	size_t size = 1 << 20;
	for (int round = 0; round < 40; round++) {
		char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(stack != MAP_FAILED);
		call_elsewhere(stack + size);
		CHECK(goes_on((void *)(uintptr_t)elsewhere, 17));
		CHECK(munmap(stack, size) == 0);
	}
	return 0;
}

#else

int main(void) {
	return 77;
}

#endif
