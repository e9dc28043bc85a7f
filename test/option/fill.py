#!/usr/bin/env python3
"""The options junk and zero: what is in new blocks, in what a block has grown by, and in freed ones.

The program prog/fill tells the byte of each; the table below says what it has to be.
"""
import os
import subprocess
import sys

LIB = os.environ["LIB"]
PROGRAM = os.path.join(os.getcwd(), "prog", "fill")
WRITTEN = "ee"

# options: byte of new and grown memory (None: not promised), byte of freed blocks
TABLE = {
    "": (None, WRITTEN),
    "junk:false": (None, WRITTEN),
    "junk:true": ("a5", "5a"),
    "junk:alloc": ("a5", WRITTEN),
    "junk:free": (None, "5a"),
    "zero:true": ("00", WRITTEN),
    "zero:true,junk:true": ("00", "5a"),
    "zero:true,junk:free,narenas:1,tcache:false": ("00", "5a"),
    "junk:alloc,tcache:false": ("a5", WRITTEN),
    "junk:true,dirty_decay_ms:-1": ("a5", "5a"),
}


def wanted(name, new, freed):
    if "zero" in name or "calloc" in name:
        return "00"
    if name.startswith("kept_"):
        return WRITTEN
    return freed if name.startswith("freed_") else new


def main():
    failures = rows = 0
    for options, (new, freed) in TABLE.items():
        env = dict(os.environ, LD_PRELOAD=LIB, MALLOC_CONF=options)
        done = subprocess.run([PROGRAM], env=env, capture_output=True, text=True, timeout=60)
        seen = dict(line.split() for line in done.stdout.splitlines())
        if done.returncode != 0 or done.stderr or len(seen) < 25:
            print(f"{options}: status {done.returncode}, {len(seen)} lines, {done.stderr!r}")
            failures += 1
        for name, byte in seen.items():
            want = wanted(name, new, freed)
            # Without a cache a freed block's pages may be gone and read as zero.
            fine = want is None or byte == want or ("tcache:false" in options and name.startswith("freed_"))
            rows += 1
            if not fine:
                print(f"{options}: {name}: {byte} instead of {want}")
                failures += 1
    print(f"{rows} rows, {failures} failures")
    return failures != 0 or rows == 0


if __name__ == "__main__":
    sys.exit(main())
