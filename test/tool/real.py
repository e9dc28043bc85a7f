#!/usr/bin/env python3
# ctest-timeout: 600
# Dumps by jemalloc and by Ashlar: totals and functions against jeprof and google-pprof; names in stripped programs by build id.
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from profiles import TOOL, Proto, Read, check, end, equal, folded, run, top  # noqa: E402

PROGRAM = pathlib.Path("prog/heap").resolve()
SOURCE = pathlib.Path(os.environ["SOURCE"])
JEMALLOC = next(pathlib.Path("/usr/lib").glob("*/libjemalloc.so.2"), None)
OURS = [os.environ["LIB"]] if (SOURCE / "src/prof/dump_proto.c").exists() else []
LIBRARIES = [JEMALLOC] + OURS
FUNCTIONS = ("load_pages", "load_rows", "make_objects", "main")


def dump(folder, name, library, program=PROGRAM, more=""):
    """A heap of the program; one object in every 4 KiB is sampled."""
    environment = {**os.environ, "LD_PRELOAD": str(library),
                   "MALLOC_CONF": f"prof:true,prof_final:true,prof_accum:true,lg_prof_sample:12,prof_prefix:{folder}/{name}{more}"}
    subprocess.run([program], env=environment, check=True, timeout=60)
    return next(folder.glob(name + ".*.*"))


def plain(name):
    """Without template arguments, without an inline mark, and without what comes before the name."""
    name = re.sub(r" \(inline\)$", "", name)
    while re.search(r"<[^<>]*>", name):
        name = re.sub(r"<[^<>]*>", "", name)
    return name.replace("(anonymous namespace)::", "").replace("{anonymous}::", "").split(" ")[-1]


def other(command, program, path, *more):
    """What jeprof or google-pprof say: {function: (flat, cumulated)}, total."""
    done = subprocess.run([command, "--text", "--show_bytes", *more, str(program), str(path)], capture_output=True, text=True,
                          timeout=300, check=True)
    total = int(re.search(r"Total: (-?\d+)", done.stdout).group(1))
    rows = {}
    for line in done.stdout.splitlines():
        found = re.fullmatch(r"\s*(-?\d+)\s+\S+\s+\S+\s+(-?\d+)\s+\S+\s+(.*)", line)
        if found:
            flat, cumulated = rows.get(plain(found[3]), (0, 0))
            rows[plain(found[3])] = (flat + int(found[1]), max(cumulated, int(found[2])))
    return rows, total


def ours(*arguments):
    rows, total = top("--quiet", *arguments)
    merged = {}
    for name, (flat, cumulated) in rows.items():
        before = merged.get(plain(name), (0, 0))
        merged[plain(name)] = (before[0] + flat, before[1] + cumulated)
    return merged, total


def compare(command, theirs, mine, what):
    """Each stack is rounded here and not there. What a function holds itself is not compared: the others look an address
    up behind the call, and so see another of the functions that were inlined there."""
    close = lambda a, b: abs(a - b) <= 20
    check(close(theirs[1], mine[1]) and theirs[1] != 0, f"{command}, {what}: total {theirs[1]}, ours {mine[1]}")
    for name in FUNCTIONS:
        wanted, found = theirs[0].get(name), mine[0].get(name)
        check(wanted and found and close(wanted[1], found[1]), f"{command}, {what}, {name}: {wanted}, ours {found}")
    order = lambda rows: [name for name in sorted(rows, key=lambda n: -rows[n][1]) if name in FUNCTIONS]
    equal(order(mine[0]), order(theirs[0]), f"{command}, {what}: order")


def check_stacks(command, path, written):
    """The same ways through the program's functions hold the same."""
    done = subprocess.run([command, "--collapsed", "--show_bytes", str(PROGRAM), str(written)], capture_output=True, text=True,
                          timeout=300, check=True)
    theirs, mine = {}, {}
    pairs = [line.rsplit(" ", 1) for line in done.stdout.splitlines() if ";" in line]
    for stacks, found in ((theirs, pairs), (mine, folded("--quiet", path).items())):
        for stack, value in found:
            names = [re.split(r"[(<]", name)[0] for name in stack.split(";")]
            way = tuple(name for name in names if name in FUNCTIONS)
            if way:
                stacks[way] = stacks.get(way, 0) + int(value)
    equal(sorted(mine), sorted(theirs), f"{command}: stacks")
    check(len(mine) >= 4 and all(abs(mine[way] - theirs.get(way, 0)) <= 20 for way in mine), f"{command}: {theirs}, ours {mine}")


def check_jeprof(folder, path, later):
    for type in ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects"):
        compare("jeprof", other("jeprof", PROGRAM, path, "--" + type), ours("--type", type, path), type)
    check_stacks("jeprof", path, path)
    theirs, mine = other("jeprof", PROGRAM, later, "--base", str(path)), ours("--diff", path, later)
    check(abs(theirs[1] - mine[1]) <= 20, f"jeprof, difference: {theirs[1]}, ours {mine[1]}")


def check_google(folder, path):
    """google-pprof knows the older header only, which --heap writes."""
    older = folder / "older.heap"
    run("--quiet", "--heap", older, path)
    for type in ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects"):
        compare("google-pprof", other("google-pprof", PROGRAM, older, "--" + type), ours("--type", type, path), type)
    check_stacks("google-pprof", path, older)


def check_names(folder, path):
    stacks = folded("--quiet", path)
    check(any("main;load_pages;store::table<store::page>::fill;keep" in stack for stack in stacks),
          f"inlined functions, templates and namespaces: {list(stacks)}")
    rows, _ = top("--quiet", "--lines", path)
    source = SOURCE / "test/tool/prog/heap.cpp"
    line = next(number for number, text in enumerate(source.read_text().splitlines(), 1) if "load_rows();" in text)
    check(any(name.startswith("main ") and name.endswith(f"heap.cpp:{line}") for name in rows), f"lines: {list(rows)}")
    check(not any("malloc" in name or "operator new" in name for name in rows), f"nothing of the allocator: {list(rows)}")
    out = folder / "out.pb.gz"
    run("--quiet", "--pprof", out, path)
    equal(folded(out), stacks, "the profile with names in it")
    check(any(file.endswith("heap.cpp") for file in Read(out).files), "source files")


def build_id(path):
    notes = subprocess.run(["readelf", "-n", str(path)], capture_output=True, text=True, check=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


def check_stripped(folder):
    """A program without symbols, or gone: its names come from <folder>/.build-id. Another build is not used."""
    program, debug = folder / "stripped", folder / "debug"
    id = build_id(PROGRAM)
    place = debug / ".build-id" / id[:2] / (id[2:] + ".debug")
    place.parent.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", PROGRAM, place], check=True)
    subprocess.run(["strip", "--strip-all", "-o", program, PROGRAM], check=True)
    symbols = subprocess.run(["nm", PROGRAM], capture_output=True, text=True, check=True).stdout
    main = int(re.search(r"([0-9a-f]+) T main\n", symbols).group(1), 16)
    headers = subprocess.run(["readelf", "-lW", PROGRAM], capture_output=True, text=True, check=True).stdout
    offset, address = next((int(l.split()[1], 16), int(l.split()[2], 16)) for l in headers.splitlines() if "LOAD" in l and "R E" in l)

    def names(file, wanted_id, *arguments):
        profile = Proto([("inuse_space", "bytes")])
        profile.mapping(1, 0x7F0000000000, 0x7F0000100000, offset & ~4095, str(file), wanted_id)
        profile.location(1, 0x7F0000000000 + main + 4 - (address & ~4095), 1)
        profile.sample([1], [5])
        path = profile.write(folder / "stripped.pb")
        out, err = run("--top", *arguments, path)
        return out.splitlines()[2].split()[-1], err

    equal(names(PROGRAM, id)[0], "main", "the program itself")
    equal(names(program, id)[0], "[stripped]", "stripped")
    equal(names(program, id, "--debug-dir", debug), ("main", ""), "stripped, and its debug information")
    program.unlink()
    equal(names(program, id, "--debug-dir", debug), ("main", ""), "gone, and its debug information")
    check("not there" in names(program, id)[1], "gone")
    name, remark = names(PROGRAM, "ab" * 20)
    check(name == "[heap]" and "not the build that was profiled" in remark, f"another build: {name} {remark}")
    root = folder / "root"
    (root / "opt").mkdir(parents=True)
    shutil.copy(PROGRAM, root / "opt" / "server")
    equal(names("/opt/server", id, "--root", root), ("main", ""), "under another root")


def check_formats(folder, library):
    """Ashlar's dumps in its other formats say what the first does, up to what sampling leaves to chance."""
    _, total = top("--quiet", dump(folder, "plain", library))
    for format in ("proto", "gperftools"):
        path = dump(folder, format, library, more=f",prof_format:{format}")
        rows, other_total = top("--quiet", path)
        check(abs(other_total - total) < total / 5, f"{format}: {other_total}, as text {total}")
        check(all(rows.get(name, (0, 0))[1] > 0 for name in FUNCTIONS), f"{format}: {rows}")
    proto = next(folder.glob("proto.*"))
    out, _ = run("--quiet", "--pinned", proto)
    check("load_rows" in out and "MiB of slabs" in out.splitlines()[0], f"pinned: {out}")
    check(len({stack.split(";")[0] for stack in folded("--quiet", "--by", "thread", proto)}) == 2, "two threads")
    check(any(stack.startswith("arena: ") for stack in folded("--quiet", "--by", "arena", proto)), "arenas")


def check_progress(path):
    """On a terminal the work is seen, and nothing of it is left when it is done."""
    main_end, end_of_tool = pty.openpty()
    done = subprocess.run([TOOL, "profile", str(path)], stdout=subprocess.PIPE, stderr=end_of_tool, timeout=60, check=True)
    os.close(end_of_tool)
    os.set_blocking(main_end, False)
    text = os.read(main_end, 65536).decode()
    check(re.match(r"\rlooking up names: 0 of \d+ addresses, \S+\x1b\[K", text) and text.endswith("\r\x1b[K"), f"progress: {text!r}")
    check(b"load_pages" in done.stdout, "and what was asked for")


def check_split(folder):
    """Debug information that the compiler left in .dwo files."""
    program = folder / "split"
    source = folder / "split.c"
    source.write_text("""#include <stdlib.h>
void *kept[1000];
static inline __attribute__((always_inline)) void *inner(size_t size) { return malloc(size); }
__attribute__((noinline)) static void outer(void) { for (int i = 0; i < 1000; i++) kept[i] = inner(9999); }
int main(void) { outer(); return kept[0] == 0; }
""")
    for compiler in ("gcc", "clang"):
        subprocess.run([compiler, "-O1", "-g", "-gsplit-dwarf", "-fno-builtin", "split.c", "-o", program], cwd=folder, check=True)
        stacks = folded("--quiet", "--lines", dump(folder, compiler, JEMALLOC, program))
        check(any(re.search(r"main \S*split.c:5;outer \S*split.c:4;inner \S*split.c:3$", stack) for stack in stacks), f"{compiler}: {stacks}")


if JEMALLOC is None or not PROGRAM.exists():
    print("no libjemalloc.so.2 (Debian: libjemalloc2), or no C++ compiler")
    sys.exit(77)
with tempfile.TemporaryDirectory() as name:
    here = pathlib.Path(name)
    for number, library in enumerate(LIBRARIES):
        first, second = (dump(here, f"{which}{number}", library) for which in ("first", "second"))
        check_jeprof(here, first, second)
        check_google(here, first)
        check_names(here, first)
    for library in OURS:
        check_formats(here, library)
    check_progress(first)
    check_stripped(here)
    check_split(here)
end()
