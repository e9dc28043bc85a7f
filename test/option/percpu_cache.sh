#!/bin/bash
# percpu_cache:true where the C library was told to do without restartable sequences: the usual caches, without a word.
set -eu
report() {
	env "$@" LD_PRELOAD="${LIB:?}" /bin/true 2>&1
}
text=$(report GLIBC_TUNABLES=glibc.pthread.rseq=0 MALLOC_CONF=percpu_cache:true)
[ -z "$text" ]
text=$(report GLIBC_TUNABLES=glibc.pthread.rseq=0 MALLOC_CONF=percpu_cache:true,stats_print:true)
grep -q 'opt.percpu_cache: true (stats.ashlar.percpu.on: false)' <<<"$text"
grep -q 'stats.ashlar.percpu.on: false' <<<"$text"
grep -q 'stats.ashlar.percpu.bytes: 0' <<<"$text"
text=$(report MALLOC_CONF=stats_print:true)
grep -q 'opt.percpu_cache: false (stats.ashlar.percpu.on: false)' <<<"$text"
text=$(report MALLOC_CONF=percpu_cache:true,tcache:false,stats_print:true)
grep -q 'stats.ashlar.percpu.on: false' <<<"$text"
