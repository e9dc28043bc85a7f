#!/usr/bin/env python3
"""The options san_guard_large, san_guard_small and debug_double_free_max_scan.

The program prog/guard_pages does things; here is told what has to come of them.
"""
# ctest-timeout: 300
import os
import re
import resource
import signal
import subprocess
import sys

LIB = os.environ["LIB"]
PROGRAM = os.path.join(os.getcwd(), "prog", "guard_pages")
LARGE = ["cached", "large", "tail", "huge"]
SLABS = ["slab", "small-slab"]
failures = []
count = 0


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(conf, *arguments):
    env = dict(os.environ, LD_PRELOAD=LIB, MALLOC_CONF=conf)
    done = subprocess.run([PROGRAM, *arguments], env=env, capture_output=True, text=True, timeout=200,
                          preexec_fn=limits)
    return done.returncode, done.stdout, done.stderr


def expect(good, conf, what, seen):
    global count
    count += 1
    if not good:
        failures.append(f"{conf!r}: {what}: {seen!r}")


def check_edges():
    """Every n-th is between guard pages. (Before the others may be nothing at all.)"""
    for option, kinds in [("san_guard_large", LARGE), ("san_guard_small", SLABS)]:
        for kind in kinds:
            for every in [1, 2, 3]:
                conf = f"{option}:{every}"
                status, out, err = run(conf, "edges", kind, "12")
                lines = [line.split() for line in out.splitlines()]
                fenced = [line == ["dies", "dies"] for line in lines]
                open_behind = [line[1] == "lives" for line in lines]
                # Before the first of the program's own, the library's start may have asked for some slabs.
                turns = [[(i + first) % every == 0 for i in range(12)]
                         for first in (range(every) if kind in SLABS else [1 % every])]
                expect(status == 0 and err == "" and len(lines) == 12 and fenced in turns and
                       open_behind == [not f for f in fenced], conf, f"{kind}: not every {every}.",
                       (status, out, err))


def check_off():
    for conf, kinds in [("", LARGE + SLABS), ("san_guard_large:1", SLABS), ("san_guard_small:1", LARGE)]:
        for kind in kinds:
            status, out, _ = run(conf, "edges", kind, "3")
            expect(status == 0 and [line.split()[1] for line in out.splitlines()] == ["lives"] * 3, conf,
                   f"{kind}: expected none", (status, out))


def check_writes():
    conf = "san_guard_large:1,san_guard_small:1"
    for kind in LARGE + SLABS:
        for edge in ["before", "behind"]:
            status, _, err = run(conf, "write", kind, edge)
            expect(status == -signal.SIGSEGV and err == "", conf, f"{kind}, {edge}: expected SIGSEGV", (status, err))


def check_behaviour():
    for conf in ["", "san_guard_large:1", "san_guard_small:1", "san_guard_large:2,san_guard_small:3",
                 "san_guard_large:1,san_guard_small:1,dirty_decay_ms:0",
                 "san_guard_large:1,san_guard_small:2,narenas:1,tcache:false,muzzy_decay_ms:-1",
                 "san_guard_large:2,san_guard_small:2,junk:true", "san_guard_large:1,san_guard_small:1,retain:false"]:
        got = run(conf, "behave")
        expect(got == (0, "fine\n", ""), conf, "expected blocks as ever", got)


def check_maps():
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
        most = int(file.read())
    for conf in ["san_guard_large:1,san_guard_small:1", "san_guard_large:3,san_guard_small:2,dirty_decay_ms:0"]:
        status, out, err = run(conf, "maps")
        first, many, storm, last = (int(n) for n in out.split()) if status == 0 else (0, 0, 0, 0)
        expect(status == 0 and many > first + min(1000, most // 64), conf, "expected guard pages", (status, out, err))
        expect(max(many, storm) < first + most // 8 + 50, conf, "expected them to be limited", out)
        expect(last < first + 50, conf, "expected mappings to join again", out)


def check_double_free():
    """zero:true keeps frees off the fast lane, which compares with one block only."""
    form = re.compile(r"<ashlar>: free\(0x[0-9a-f]+\): double free: [^\n]+\n")
    cases = [("", [], 16), (",debug_double_free_max_scan:0", [], 16)]
    cases += [(f",debug_double_free_max_scan:{n}", [], n) for n in [1, 4, 17, 40]]
    cases += [(",debug_double_free_max_scan:3", ["9"], 9)]
    for conf, live, deep in cases:
        what = "double-live" if live else "double"
        status, _, err = run("zero:true" + conf, what, *live, str(deep - 1))
        expect(status == -signal.SIGABRT and form.fullmatch(err), conf, f"{deep - 1}: expected a report", (status, err))
        status, _, err = run("zero:true" + conf, what, *live, str(deep))
        expect((status, err) == (0, ""), conf, f"{deep}: expected no look so deep", (status, err))


def main():
    for check in [check_edges, check_off, check_writes, check_behaviour, check_maps, check_double_free]:
        check()
    for failure in failures:
        print("FAILED", failure)
    print(f"{count} expectations, {len(failures)} failures")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
