#!/usr/bin/env python3
"""Runs each program that misuses the heap and checks how it ends.

Usage: run.py FOLDER [NAME...]

A program writes the pointer it misuses to stdout.  Expected is SIGABRT and exactly one line on stderr that
names the call, that pointer and the kind of misuse.  The table lists every program; a program without a line
in it, or a line without a program, is a failure too.
"""
import os
import re
import resource
import signal
import subprocess
import sys

INVALID = "invalid pointer"
INTERIOR = "interior pointer"
DOUBLE = "double free"

# What the message says of the address.
FOREIGN = "not memory of this allocator"
FREE = "in a free page of this allocator: no block lives there now"
OUT = "the block is in a thread cache or was handed out again"
BACK = "the block is back in slab 0x[0-9a-f]+"
MIDDLE = "in the middle of a block of 2048 KiB or more"


def small(size, words):
    return f"size class {size}, arena \\d+, {words}"


def large(size, words):
    return f"block of {size} bytes, arena \\d+, {words}"


def into(bytes_):
    return f"{bytes_} bytes into the block at 0x[0-9a-f]+"


WORDS = {  # else what it says depends on the caches
    **dict.fromkeys(["free_stack", "free_static", "free_literal", "free_code", "free_wild", "free_small_number",
                     "free_minus_one", "free_noncanonical", "free_mapped", "first_call", "realloc_foreign",
                     "realloc_stack", "sized_foreign", "sdallocx_foreign"], FOREIGN),
    **dict.fromkeys(["double_free_large", "double_free_huge", "realloc_freed_large"], FREE),
    "interior_small": small(64, into(16)), "interior_medium": small(10240, into(4096)),
    "misaligned_small": small(256, into(1)), "misaligned_at_exit": small(1024, into(1)),
    "realloc_interior_small": small(320, into(32)), "interior_large_page": large(102400, into(4096)),
    "interior_large_cacheable": large(20480, into(8192)), "interior_large_near": large(102400, into(16)),
    "misaligned_large": large(200704, into(1)), "realloc_interior_large": large(303104, into(8192)),
    "interior_huge": MIDDLE, "double_free_at_once": small(112, OUT), "double_free_cacheable": large(20480, OUT),
    "double_free_at_flush": small(112, BACK), "double_free_thread_end": small(512, OUT),
    "double_free_thread_few": small(512, BACK),
    "slab_end": small(112, "in the unused end of slab 0x[0-9a-f]+"),
}

# program: (calls, kinds). A misuse seen only at a flush may be reported by any call that flushes.
ANY = r"\w+"
TABLE = {
    "free_stack": ("free", [INVALID]),
    "free_static": ("free", [INVALID]),
    "free_literal": ("free", [INVALID]),
    "free_code": ("free", [INVALID]),
    "free_wild": ("free", [INVALID]),
    "free_small_number": ("free", [INVALID]),
    "free_minus_one": ("free", [INVALID]),
    "free_noncanonical": ("free", [INVALID]),
    "free_mapped": ("free", [INVALID]),
    "first_call": ("free", [INVALID]),
    "interior_small": (ANY, [INTERIOR]),
    "interior_medium": (ANY, [INTERIOR]),
    "interior_large_page": ("free", [INTERIOR]),
    "interior_large_cacheable": ("free", [INTERIOR]),
    "interior_large_near": ("free", [INTERIOR]),
    "interior_huge": ("free", [INTERIOR]),
    "misaligned_small": (ANY, [INTERIOR, INVALID]),
    "misaligned_at_exit": (ANY, [INTERIOR, INVALID]),
    "misaligned_large": ("free", [INTERIOR, INVALID]),
    "double_free_at_once": ("free", [DOUBLE]),
    "double_free_first_block": ("free", [DOUBLE]),
    "double_free_one_between": (ANY, [DOUBLE]),
    "double_free_at_flush": (ANY, [DOUBLE]),
    "double_free_thread_end": (ANY, [DOUBLE]),
    "double_free_thread_few": (ANY, [DOUBLE]),
    "double_free_two_threads": (ANY, [DOUBLE]),
    "double_free_two_ended": (ANY, [DOUBLE]),
    "double_free_cacheable": ("free", [DOUBLE]),
    # Once its pages are free again nothing may be left that tells a freed block from an address never used.
    "double_free_large": ("free", [DOUBLE, INVALID]),
    "double_free_huge": ("free", [DOUBLE, INVALID]),
    "realloc_foreign": ("realloc", [INVALID]),
    "realloc_stack": ("realloc", [INVALID]),
    "realloc_freed_large": ("realloc", [DOUBLE, INVALID]),
    "realloc_interior_large": ("realloc", [INTERIOR]),
    "realloc_interior_small": (ANY, [INTERIOR]),
    "sized_foreign": (r"free(_sized)?", [INVALID]),
    "sdallocx_foreign": ("sdallocx", [INVALID]),
    "slab_end": (ANY, [INTERIOR]),
    "usable_foreign": None,
    "nothing_wrong": None,
}


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(path, expected, words):
    """What is wrong with this program's end, or None."""
    try:
        done = subprocess.run([path], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              preexec_fn=limits)
    except subprocess.TimeoutExpired:
        return "still running after a minute"
    if expected is None:
        if done.returncode != 0 or done.stderr != "":
            return f"ended with {done.returncode} and {done.stderr!r}, expected 0 and nothing"
        return None
    if done.returncode != -signal.SIGABRT:
        return f"ended with {done.returncode}, expected SIGABRT; stderr {done.stderr!r}"
    pointer = done.stdout.split("\n")[0]
    if not re.fullmatch(r"0x[0-9a-f]+", pointer):
        return f"named no pointer: {done.stdout!r}"
    calls, kinds = expected
    form = rf"<ashlar>: (?:{calls})\({pointer}\): (?:{'|'.join(kinds)}): {words}\n"
    if not re.fullmatch(form, done.stderr):
        return f"stderr {done.stderr!r} is not {form!r}"
    return None


def main():
    folder, only = sys.argv[1], sys.argv[2:]
    here = os.path.dirname(os.path.abspath(__file__))
    sources = {name[:-2] for name in os.listdir(here) if name.endswith(".c")}
    failures = [f"{name}: not in the table" for name in sorted(sources - TABLE.keys())]
    failures += [f"{name}: in the table, but there is no such program" for name in sorted(TABLE.keys() - sources)]
    count = 0
    for name, expected in TABLE.items():
        path = os.path.join(folder, name)
        if only and name not in only:
            continue
        if not os.path.exists(path):
            failures.append(f"{name}: was not built")
            continue
        count += 1
        wrong = check(path, expected, WORDS.get(name, "[^\\n]+"))
        if wrong:
            failures.append(f"{name}: {wrong}")
    for failure in failures:
        print("FAILED", failure)
    print(f"{count} programs run, {len(failures)} failures")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
