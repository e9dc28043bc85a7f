#!/usr/bin/env python3
# heap_v2 text: totals by the formula, threads, two dumps against each other, and every way a file can be broken.
import json
import math
import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from profiles import DATA, Read, check, end, equal, folded, run, top  # noqa: E402

SMALL = DATA / "small.heap"
TEXT = SMALL.read_text()
PERIOD = 524288
SAMPLES = [((4, 3670016), (5, 3800000)), ((3, 96), (3, 96)), ((0, 0), (3, 2200000))]


def scaled(count, size, what):
    """What jeprof and pprof make of a line."""
    if count == 0:
        return 0
    return round((count, size)[what] / (1 - math.exp(-size / count / PERIOD)))


def check_totals():
    for kind, live in (("inuse", 0), ("alloc", 1)):
        for what, unit in ((0, "objects"), (1, "space")):
            values = [scaled(*sample[live], what) for sample in SAMPLES]
            _, total = top("--type", f"{kind}_{unit}", "--quiet", SMALL)
            equal(total, sum(values), f"{kind}_{unit}")
    names = folded("--addresses", "--quiet", SMALL)
    first, second = scaled(4, 3670016, 1), scaled(3, 96, 1)
    equal(names, {"0x400330 [server];0x400220 [server];0x400110 [server]": first, "0x400330 [server];0x400111 [server]": second},
          "addresses lie inside the calls")
    rows, _ = top("--type", "alloc_space", "--quiet", SMALL)
    equal(set(rows), {"[server]", "[vdso]"}, "without names, what the code lies in")
    equal(rows["[server]"][1], sum(scaled(*s[1], 1) for s in SAMPLES), "a function that calls itself counts once")


def check_threads():
    equal(folded("--by", "thread", "--quiet", "--no-symbols", SMALL),
          {"thread: main;[server];[server];[server]": scaled(3, 3145728, 1),
           "thread: worker one;[server];[server];[server]": scaled(1, 524288, 1),
           "thread: worker one;[server];[server]": scaled(3, 96, 1)}, "threads have their names")
    _, total = top("--label", "thread=worker one", "--quiet", SMALL)
    equal(total, scaled(1, 524288, 1) + scaled(3, 96, 1), "one thread")


def check_older(folder):
    """The form google-pprof reads says the same."""
    lines = TEXT.splitlines()
    older = ["heap profile: 7: 5767168 [11: 6000000] @ heap_v2/524288"]
    for at, line in enumerate(lines):
        if line.startswith("@"):
            older.append(lines[at + 1].replace("t*: ", "") + " " + line)
    path = folder / "older.heap"
    path.write_text("\n".join(older + lines[lines.index("MAPPED_LIBRARIES:") - 1:]) + "\n")
    for type in ("inuse_space", "inuse_objects", "alloc_space"):
        equal(folded("--type", type, "--quiet", "--addresses", path), folded("--type", type, "--quiet", "--addresses", SMALL),
              f"the older form, {type}")


def check_difference(folder):
    grown = folder / "grown.heap"
    grown.write_text(TEXT.replace("  t*: 3: 96 [3: 96]", "  t*: 6: 192 [6: 192]")
                     .replace("  t*: 4: 3670016", "  t*: 2: 1835008"))
    first, second = scaled(4, 3670016, 1), scaled(3, 96, 1)
    rows, total = top("--addresses", "--quiet", "--diff", SMALL, grown)
    check(abs(total - (scaled(2, 1835008, 1) + scaled(6, 192, 1) - first - second)) <= 1, "the total is the difference")
    equal(list(rows)[0], "0x400111 [server]", "growth comes first")
    equal(rows["0x400111 [server]"][0], scaled(6, 192, 1) - second, "what grew")
    equal(rows["0x400110 [server]"][0], scaled(2, 1835008, 1) - first, "what shrank")
    equal(folded("--quiet", "--addresses", "--diff", SMALL, grown)["0x400330 [server];0x400111 [server]"],
          (second, scaled(6, 192, 1)), "folded stacks have both")
    equal(top("--quiet", "--diff", SMALL, SMALL)[1], 0, "no difference")
    _, twice = top("--quiet", SMALL, SMALL)
    equal(twice, 2 * (first + second), "two files are added")
    out, _ = run("--leak", "--quiet", "--addresses", "--diff", SMALL, grown)
    more = scaled(6, 192, 0) - scaled(3, 96, 0)
    check("from 2 stacks" in out and f"+1.50 MiB in {more} objects" in out, f"stacks that changed: {out}")


def check_leak():
    out, _ = run("--leak", "--quiet", "--addresses", SMALL)
    lines = out.splitlines()
    check(lines[0].endswith("live, from 2 stacks"), lines[0])
    wanted = [f"{scaled(4, 3670016, 1) / 2 ** 20:.2f} MiB in {scaled(4, 3670016, 0)} objects", "    0x400110 [server]",
              "    0x400220 [server]", "    0x400330 [server]", "", f"{scaled(3, 96, 1) / 2 ** 20:.2f} MiB in"]
    for line, want in zip(lines[2:], wanted):
        check(line.startswith(want), f"leak: {line!r}, wanted {want!r}")


def check_limits():
    run("--quiet", "--fail-above", "100", SMALL, status=3)
    run("--quiet", "--fail-above", "100000000", SMALL)
    run("--quiet", "--fail-above", "0", "--diff", SMALL, SMALL)


def check_filters():
    both = folded("--quiet", "--addresses", SMALL)
    equal(len(folded("--quiet", "--addresses", "--focus", "serv", SMALL)), len(both), "all have it")
    equal(folded("--quiet", "--focus", "nonsense", SMALL), {}, "none has it")
    equal(folded("--quiet", "--ignore", "serv", SMALL), {}, "all are left out")
    out, _ = run("--quiet", "--top", "--type", "alloc_space", "--focus", "vdso", SMALL)
    check("of 1 in 3 samples" in out, f"how much is seen: {out}")
    equal(set(folded("--quiet", "--type", "alloc_space", "--hide", "vdso", "--focus", "vdso", SMALL)), {"[server]"},
          "hidden frames are gone, their samples are not")


BROKEN = [
    ("", "empty|ends within"),
    ("heap_v2/524288", "ends within a line"),
    ("heap_v2/\n", "line 1: heap_v2/ and a number"),
    ("heap_v2/0\n", "line 1: heap_v2/ and a number"),
    ("heap_v2/99999999999999999999\n", "line 1: heap_v2/ and a number"),
    ("heap_v1/5\n", "line 1: heap_v2/ and a number"),
    ("heap profile: 1: 2 [3: 4] @ heap/5\n", "line 1: heap_v2/ and a number"),
    ("heap profile: 1: 2\n", "line 1: counters"),
    ("heap_v2/5\n  t*: 1: 2 [3: 4\n", "line 2: counters"),
    ("heap_v2/5\n  t*: 1: 99999999999999999999 [3: 4]\n", "line 2: counters"),
    ("heap_v2/5\n  t: 1: 2 [3: 4]\n", "line 2: a thread"),
    ("heap_v2/5\n  t* 1: 2 [3: 4]\n", "line 2: a colon"),
    ("heap_v2/5\n@ 0x1 junk\n", "line 2: an address"),
    ("heap_v2/5\n@ 0x11111111111111111\n", "line 2: an address"),
    ("heap_v2/5\n@ 0x1\n@ 0x2\n", "line 4: the last stack|line 3"),
    ("heap_v2/5\n@ 0x1\n", "line 3: the last stack has no counters"),
    ("heap_v2/5\n@ 0x1\n\nMAPPED_LIBRARIES:\n", "line 4: the stack before has no counters"),
    ("heap_v2/5\n@ 0x1\n t*: 1: 2 [3: 4] junk\n", "line 3: something stands behind"),
    ("heap_v2/5\njunk\n", "line 2: neither"),
    ("heap_v2/5\n@" + " 0x1" * 4097 + "\n", "line 2: a stack of more than 4096"),
    ("heap_v2/5\n\nMAPPED_LIBRARIES:\njunk\n", "line 4: a mapping"),
    ("heap_v2/5\n\nMAPPED_LIBRARIES:\n10-20 r-xp junk\n", "line 4: a mapping's offset"),
    ("heap_v2/5\n\nMAPPED_LIBRARIES:\n20-10 r-xp 0 0:0 0\n", "line 4: a mapping"),
    ("heap profile: 0: 0 [0: 0] @ heap_v2/5\n 1: 2 [3: 4] 0x1\n", "line 2: a stack"),
    ("\0\0\0\n", "byte 0: no field"),
    ("garbage\n", "byte"),
]


def check_broken(folder):
    path = folder / "broken.heap"
    for text, wanted in BROKEN:
        path.write_text(text)
        out, err = run("--quiet", path, status=1)
        equal(out, "", f"{text[:60]!r}: no output")
        check(err.count("\n") == 1 and err.startswith(f"ashlar: profile: {path}: ") and
              any(part in err for part in wanted.split("|")), f"{text[:60]!r}: {err!r}, wanted {wanted!r}")
    for cut in range(len(TEXT)):
        path.write_text(TEXT[:cut])
        ends_well = cut > 0 and TEXT[cut - 1] == "\n"
        done = run("--quiet", "--no-symbols", path, status=0 if ends_well and "@" not in TEXT[:cut].splitlines()[-1] else 1)
        check(done[1].count("\n") <= 1, f"cut at {cut}: {done[1]!r}")
    run("/nowhere/at/all", status=1)
    _, err = run("--quiet", "--type", "nonsense", SMALL, status=1)
    check("there is alloc_objects alloc_space inuse_objects inuse_space" in err, err)
    _, err = run("--quiet", "--pinned", SMALL, status=1)
    check("no pinned_space" in err, err)


def check_overlaps(folder):
    """A program may change its mappings while the system lists them."""
    path = folder / "overlaps.heap"
    lines = ["10-30 r-xp 0 0:0 0 /a", "20-40 r-xp 1000 0:0 0 /b", "22-28 r-xp 0 0:0 0 /c", "40-50 r-xp 0 0:0 0 /d"]
    for rows in (lines, lines[::-1]):
        path.write_text("heap_v2/1\n  t*: 4: 40 [0: 0]\n" + "".join(f"@ 0x{at:x}\n  t*: 1: 10 [0: 0]\n" for at in (0x21, 0x29, 0x31, 0x41)) +
                        "\nMAPPED_LIBRARIES:\n" + "\n".join(rows) + "\n")
        rows, _ = top("--quiet", path)
        equal({name: row[1] for name, row in rows.items()}, {"[a]": 20, "[b]": 10, "[d]": 10}, "mappings that overlap")
        run("--quiet", "--pprof", folder / "overlaps.pb.gz", path)
        equal([tuple(m.get(i, 0) for i in (2, 3, 4)) for m in Read(folder / "overlaps.pb.gz").mappings],
              [(0x10, 0x30, 0), (0x30, 0x40, 0x1010), (0x40, 0x50, 0)], "what is left of them")


def check_pipe(folder):
    """A mapping may be called like a pipe, which is not waited for."""
    pipe, path = folder / "pipe", folder / "pipe.heap"
    os.mkfifo(pipe)
    path.write_text(f"heap_v2/1\n  t*: 1: 10 [0: 0]\n@ 0x21\n  t*: 1: 10 [0: 0]\n\nMAPPED_LIBRARIES:\n10-30 r-xp 0 0:0 0 {pipe}\n")
    _, err = run(path)
    check("no ELF file" in err, err)


def check_title(folder):
    """A file may be called anything; the page of the flame graph is text all the same."""
    page = folder / "page.html"
    path = os.fsdecode(os.fsencode(folder) + b"/odd\n\xff\xc3\xa9.heap")
    pathlib.Path(path).write_text(TEXT)
    run("--quiet", "--no-symbols", "--flame", page, path)
    title = re.search(rb'{"title":("[^"]*")', page.read_bytes()).group(1)
    equal(json.loads(title.decode()), f"{folder}/odd??\u00e9.heap", "the title")


def check_usage():
    for arguments in ([], ["--nonsense", SMALL], ["--type"], ["--top=1", SMALL], ["-n", "x", SMALL], ["--least", "-1", SMALL],
                      ["--focus", "(", SMALL], ["--lines", "--files", SMALL], ["--fail-above=", SMALL]):
        out, err = run(*arguments, status=2)
        check(out == "" and err.count("\n") == 1 and err.startswith("ashlar: profile: "), f"{arguments}: {err!r}")
    out, _ = run("--help")
    manual = (DATA.parents[2] / "doc/man/ashlar.1.in").read_text().replace("\\-", "-")
    names = [line.split()[0] for line in out.splitlines()[2:]]
    check(len(names) > 25 and all(name in manual for name in names), f"the manual has all options: {[n for n in names if n not in manual]}")
    out, _ = run("-", input=TEXT.encode(), status=0)
    check(out.startswith("-: inuse_space, total"), "standard input")
    _, err = run("--no-symbols", "--folded", "/nowhere/at/all", SMALL, status=1)
    check(err.startswith("ashlar: profile: /nowhere/at/all: "), err)


def check_remarks():
    _, err = run(SMALL)
    equal(err, "ashlar: profile: /nowhere/at all/server: not there, or no ELF file; its functions stay without names\n",
          "a file that is missing is remarked on once")


with tempfile.TemporaryDirectory() as name:
    here = pathlib.Path(name)
    check_totals()
    check_threads()
    check_older(here)
    check_difference(here)
    check_leak()
    check_limits()
    check_filters()
    check_broken(here)
    check_overlaps(here)
    check_pipe(here)
    check_title(here)
    check_usage()
    check_remarks()
end()
