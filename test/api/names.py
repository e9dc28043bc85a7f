#!/usr/bin/env python3
# ctest-timeout: 60
"""Every name of mallctl, by the list of jemalloc's names in names.tsv: it is there, its value has the size of its
type, wrong sizes, wrong directions and wrong indices give the error of the rules, and what the library answers beyond
the list is its own and says so.

names.tsv  name, type, access (r- -w rw, -- does something), since (the version of jemalloc that has it first: 5.3.0,
           5.3.1, later), rule, moved_by (the test that sees its value change, as folder/file; - for none)

rules      plain    reads and writes as all names do
           strict   gives its value only into a place of exactly its size
           own      what is read depends on what is written; its own test knows
           off      ENOENT as long as profiling is off
           unset    ENOENT when there is no such text
"""
import collections
import ctypes
import errno
import os
import pathlib
import re
import subprocess
import sys

library = os.path.realpath(os.environ["LIB"])
if os.environ.get("LD_PRELOAD") != library:
    os.environ["LD_PRELOAD"] = library
    os.execv(sys.executable, [sys.executable, *sys.argv])

HERE = pathlib.Path(__file__).resolve().parent
LISTED = 455
SIZES = {"bool": 1, "unsigned": 4, "uint32_t": 4, "uint64_t": 8, "int64_t": 8, "size_t": 8, "ssize_t": 8,
         "function": 8, "const char *": 8, "char *": 8, "uint64_t *": 8, "size_t *": 8, "extent_hooks_t *": 8,
         "void": 0, "struct": None}
FIELDS = ["name", "type", "access", "since", "rule", "moved_by"]

# jemalloc has these options without a name in opt; here every option can be read.
UNREADABLE = {"narenas_ratio", "bin_shards", "tcache_ncached_max", "lg_tcache_max", "calloc_madvise_threshold",
              "slab_sizes", "san_guard_small", "san_guard_large", "hpa_hugification_threshold_ratio",
              "hpa_purge_threshold_ratio", "log", "prof_log", "prof_unbias"}

c = ctypes.CDLL(None)
VOID, SIZE = ctypes.c_void_p, ctypes.c_size_t
c.mallctl.argtypes = [ctypes.c_char_p, VOID, VOID, VOID, SIZE]
c.mallctlnametomib.argtypes = [ctypes.c_char_p, VOID, VOID]
c.mallctlbymib.argtypes = [VOID, SIZE, VOID, VOID, VOID, SIZE]

failures = []


def check(name, what, got, *wanted):
    if got not in wanted:
        text = " or ".join(errno.errorcode.get(w, str(w)) for w in wanted)
        failures.append(f"{name}: {what}: {errno.errorcode.get(got, got)} instead of {text}")


def concrete(name, index="0"):
    return re.sub(r"<\w+>", index, name)


def to_mib(name):
    mib, length = (SIZE * 8)(), SIZE(8)
    error = c.mallctlnametomib(name.encode(), mib, ctypes.byref(length))
    return error, mib, length.value


def call(name, old=None, old_size=None, new=None, new_size=0):
    """The error and what old_size has become. old: a buffer, or None."""
    length = SIZE(old_size if old_size is not None else 0)
    error = c.mallctl(name.encode(), old, ctypes.byref(length) if old_size is not None else None, new, new_size)
    return error, length.value


def check_paths(name):
    check(name, "by mallctl, with one part more", call(concrete(name) + ".more")[0], errno.ENOENT)
    check(name, "by mallctl, with a dot at its end", call(concrete(name) + ".")[0], errno.ENOENT)
    head = concrete(name).rpartition(".")[0]
    if head:
        check(name, "its beginning alone", call(head)[0], errno.ENOENT)
        check(name, "its beginning as numbers", to_mib(head)[0], 0)
    if "<" in name:
        for index in ("abc", "-1", "", "99999999", "18446744073709551616", "4098"):
            check(name, f"with the index '{index}'", to_mib(concrete(name, index))[0], errno.ENOENT)
        for index in ("0x0", "0junk"):
            check(name, f"with the index '{index}'", to_mib(concrete(name, index))[0], 0)
    error, mib, length = to_mib(concrete(name))
    check(name, "by numbers, one too few", c.mallctlbymib(mib, length - 1, None, None, None, 0), errno.ENOENT)
    check(name, "by numbers, one too many", c.mallctlbymib(mib, length + 1, None, None, None, 0), errno.ENOENT)
    short = (SIZE * 1)()
    one = SIZE(1)
    check(name, "into room for one number", c.mallctlnametomib(concrete(name).encode(), short, ctypes.byref(one)), 0)
    if one.value != 1 or short[0] != mib[0]:
        failures.append(f"{name}: into room for one number: {one.value} numbers, {short[0]}")


def check_read(name, size, good):
    """Reads with the right size and with wrong ones. Returns the value's bytes, or None."""
    path = concrete(name)
    if size is None:
        size = 16  # the structs that can be read
    buffer = ctypes.create_string_buffer(b"\xc3" * 64, 64)
    error, length = call(path, buffer, size)
    check(name, "read", error, *good)
    if error != 0:
        return None
    if length != size or buffer.raw[size:] != b"\xc3" * (64 - size):
        failures.append(f"{name}: read: {length} bytes instead of {size}")
    check(name, "read without a place for the value", call(path, None, size)[0], 0)
    check(name, "read without a size", call(path, buffer)[0], 0)
    for wrong in {0, size - 1, size + 1, size * 2}:
        again = ctypes.create_string_buffer(b"\xc3" * 64, 64)
        error, length = call(path, again, wrong)
        check(name, f"read into {wrong} bytes", error, errno.EINVAL)
        fits = min(wrong, size)
        if length != fits or again.raw[fits:] != b"\xc3" * (64 - fits):
            failures.append(f"{name}: read into {wrong} bytes: {length} were copied instead of {fits}")
    return buffer.raw[:size]


def check_reading(row, good):
    size = SIZES[row.type]
    zeros = ctypes.create_string_buffer(64)
    check_read(row.name, size, good)
    path = concrete(row.name)
    check(row.name, "written", call(path, None, None, zeros, size or 16)[0], errno.EPERM)
    check(row.name, "written with a value of no bytes", call(path, None, None, zeros, 0)[0], errno.EPERM)
    check(row.name, "written with a size and no value", call(path, None, None, None, size or 16)[0], errno.EPERM)


def check_both(row, good):
    """A value that was read can be written back, but for what has side effects or is refused without profiling."""
    size = SIZES[row.type]
    path = concrete(row.name)
    value = check_read(row.name, size, good)
    zeros = ctypes.create_string_buffer(64)
    for wrong in {0, size - 1, size + 1} if value is not None else set():
        check(row.name, f"written with {wrong} bytes", call(path, None, None, zeros, wrong)[0], errno.EINVAL)
    now = ctypes.create_string_buffer(64)
    if value is not None and row.name != "epoch":
        call(path, now, size)
        if now.raw[:size] != value:
            failures.append(f"{row.name}: a refused write changed it")
    refused = (errno.ENOENT,) if "prof" in row.name else ()
    if value is not None and row.type != "function":
        old = ctypes.create_string_buffer(64)
        check(row.name, "written back", call(path, old, size, value, size)[0], 0, *refused)


def check_writing(row):
    path = concrete(row.name)
    buffer = ctypes.create_string_buffer(64)
    size = SIZES[row.type]
    check(row.name, "read", call(path, buffer, 8)[0], errno.EPERM)
    check(row.name, "read without a place for the value", call(path, None, 8)[0], errno.EPERM)
    check(row.name, "read without a size", call(path, buffer)[0], errno.EPERM)
    if size is not None:
        good = (errno.EINVAL, errno.ENOENT) if "prof" in row.name else (errno.EINVAL,)
        check(row.name, "written with too few bytes", call(path, None, None, buffer, size - 1)[0], *good)
        check(row.name, "written with too many bytes", call(path, None, None, buffer, size + 1)[0], *good)


def check_action(row):
    path = concrete(row.name)
    buffer = ctypes.create_string_buffer(64)
    for what, arguments in (("a place for a value", (buffer,)), ("a size", (None, 8)),
                            ("a new value", (None, None, buffer, 0)), ("a new size", (None, None, None, 8))):
        check(row.name, "called with " + what, call(path, *arguments)[0], errno.EPERM)


def check_strict(row):
    path = concrete(row.name)
    buffer = ctypes.create_string_buffer(64)
    size = SIZES[row.type]
    for wrong in (0, size - 1, size + 1):
        error, length = call(path, buffer, wrong)
        check(row.name, f"into {wrong} bytes", error, errno.EINVAL)
        if length != 0:
            failures.append(f"{row.name}: into {wrong} bytes: {length} bytes were said to be copied")
    check(row.name, "without a place for its value", call(path)[0], errno.EINVAL)


def check_name(row):
    error, _, length = to_mib(concrete(row.name))
    if error != 0:
        failures.append(f"{row.name}: the library does not know it")
        return
    if length != row.name.count(".") + 1:
        failures.append(f"{row.name}: {length} numbers")
    check_paths(row.name)
    good = {"off": (errno.ENOENT,), "unset": (0, errno.ENOENT)}.get(row.rule, (0,))
    if row.rule == "strict":
        check_strict(row)
    elif row.rule == "own":
        return
    elif row.access == "r-":
        check_reading(row, good)
    elif row.access == "rw":
        check_both(row, good)
    elif row.access == "-w":
        check_writing(row)
    else:
        check_action(row)


def check_moved_by(row):
    """The test that is said to see the value change exists and mentions the name, or what follows its last index.
    api/moves reads the list itself and fails for each of its names that stands still."""
    if row.moved_by in ("-", "api/moves"):
        return
    files = [f for f in (HERE.parent).glob(row.moved_by + ".*") if f.suffix in (".c", ".cpp", ".py", ".sh", ".tsv")]
    tail = re.sub(r".*<\w+>\.", "", row.name).removeprefix("opt.")
    parts = tail.split(".")
    wanted = [tail] if len(parts) < 3 else [tail, ".".join(parts[-2:]), parts[-1]]
    if not any(w in f.read_text() for f in files for w in wanted):
        failures.append(f"{row.name}: test/{row.moved_by} does not mention it")


def check_list(rows):
    names = collections.Counter(re.sub(r"<\w+>", "<>", row.name) for row in rows)
    for name, count in names.items():
        if count > 1:
            failures.append(f"names.tsv has {name} {count} times")
    if len(rows) != LISTED:
        failures.append(f"names.tsv has {len(rows)} rows instead of {LISTED}")
    return names


def ask(what):
    lines = subprocess.run([os.environ["BUILD"] + "/ashlar", what, "--tsv"], check=True, text=True,
                           stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}).stdout.splitlines()
    fields = lines[0].split("\t")
    return [dict(zip(fields, line.split("\t"))) for line in lines[1:]]


def check_grouped(names):
    """The library finds its rows by that: those with a common beginning stand together. If not, nothing else can be
    asked."""
    seen = {}
    for at, name in enumerate(names):
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            head = ".".join(parts[:depth])
            if seen.get(head, at - 1) != at - 1:
                sys.exit(f"names.def: {name} stands apart from the others with {head}, or is there twice")
            seen[head] = at


def check_others(rows, listed):
    """What the library answers beyond the list is Ashlar's own: its sentence says so, or it is an option that can be
    set while the program runs. What is listed has the access of the list."""
    access = {re.sub(r"<\w+>", "<>", row.name): row.access for row in rows}
    live = {row["name"] for row in ask("options") if row["set"] == "live"}
    names = ask("names")
    for row in names:
        name = re.sub(r"<\w+>", "<>", row["name"])
        if name in listed:
            if row["access"] not in ("**", access[name]):
                failures.append(f"{row['name']}: its access is {row['access']} and not {access[name]}")
        elif name.removeprefix("opt.") not in UNREADABLE | live and not row["sentence"].startswith("Ashlar"):
            failures.append(f"{row['name']}: is not in names.tsv, and its sentence does not begin with Ashlar")
    check_grouped([row["name"] for row in names])
    if len(names) < 40:
        failures.append(f"ashlar names lists {len(names)} names")


def main():
    lines = (HERE / "names.tsv").read_text().splitlines()
    if lines[0].split("\t") != FIELDS:
        sys.exit("names.tsv: its first line is not " + " ".join(FIELDS))
    Row = collections.namedtuple("Row", FIELDS)
    rows = [Row(*line.split("\t")) for line in lines[1:]]
    check_others(rows, check_list(rows))
    for row in rows:
        check_moved_by(row)
        check_name(row)
    for failure in failures[:400]:
        print(failure)
    print(f"{len(rows)} names, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
