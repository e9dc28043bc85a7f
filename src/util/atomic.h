/* atomic.h - C11 atomics with the memory order in the name. Every shared word goes through these.
 *
 *   relaxed: a counter or a hint; says nothing about other memory
 *   acquire load / release store: the pair that publishes what was written before
 */
#ifndef ASHLAR_UTIL_ATOMIC_H
#define ASHLAR_UTIL_ATOMIC_H

#include <stdatomic.h>

#define load_relaxed(p)     atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p)     atomic_load_explicit((p), memory_order_acquire)
#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define add_relaxed(p, v)   atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define sub_relaxed(p, v)   atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define sub_release(p, v)   atomic_fetch_sub_explicit((p), (v), memory_order_release)
#define swap_acq_rel(p, v)  atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define cas_acq_rel(p, want, v) \
	atomic_compare_exchange_strong_explicit((p), (want), (v), memory_order_acq_rel, memory_order_acquire)

/* Keeps the compiler (not the CPU) from moving memory accesses across: for what a forked child or a
 * signal handler on the same thread may see half done. */
#define compiler_barrier() atomic_signal_fence(memory_order_seq_cst)

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
