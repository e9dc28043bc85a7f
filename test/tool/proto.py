#!/usr/bin/env python3
# profile.proto: what is read, what is written again, labels, pinned slabs, and files that are cut off or make no sense.
import gzip
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from profiles import Proto, Read, blob, check, end, equal, folded, number, run, top, varint  # noqa: E402

TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"),
         ("pinned_space", "bytes")]
EVIL = '</script><script>alert("1")</script>'


def example(packed=True):
    profile = Proto(TYPES, "inuse_space")
    profile.mapping(1, 0x400000, 0x500000, 0, "/nowhere/at all/server", "aa" * 20)
    for id, (name, file) in enumerate([("main", "server.c"), ("serve", "server.c"), ("parse", "parse.c"), ("copy;text", "text.h"),
                                       (EVIL, "evil.c"), ("malloc", "")], 1):
        profile.function(id, name, file)
    profile.location(10, 0x400010, 1, [(1, 7)])
    profile.location(11, 0x400020, 1, [(2, 21)])
    profile.location(12, 0x400030, 1, [(4, 3), (3, 33)])  # copy;text inlined into parse
    profile.location(13, 0x400040, 1, [(5, 5)])
    profile.location(14, 0x400050, 1, [(6, 0)])
    profile.location(15, 0x400060)  # nothing is known
    profile.sample([14, 12, 11, 10], [9, 900, 4, 400, 8192], [("arena", 0), ("thread", "main")], packed)
    profile.sample([13, 11, 10], [3, 300, 3, 300, 4096], [("arena", 1), ("thread", "worker")], packed)
    profile.sample([15, 10], [2, 200, 0, 0, 0], [("arena", 1), ("thread", "worker")], packed)
    return profile


def check_read(here):
    for name, packed in (("one.pb", False), ("one.pb.gz", True)):
        for one_by_one in (False, True):
            path = example(not one_by_one).write(here / name, packed)
            equal(folded(path), {"main;serve;parse;copy:text": 400, f"main;serve;{EVIL.replace(';', ':')}": 300},
                  f"{name}: inlined functions are frames, malloc is none")
    rows, total = top("--type", "alloc_space", path)
    equal(total, 1400, "alloc_space")
    equal(rows, {"copy;text": (900, 900), EVIL: (300, 300), "[unknown]": (200, 200), "main": (0, 1400), "serve": (0, 1200),
                 "parse": (0, 900)}, "flat and cumulated")
    rows, _ = top("--lines", path)
    check("parse parse.c:33" in rows and "copy;text text.h:3" in rows, f"lines: {rows}")
    rows, _ = top("--files", path)
    equal(rows, {"text.h": (400, 400), "evil.c": (300, 300), "parse.c": (0, 400), "server.c": (0, 700)}, "files")
    members = gzip.compress(path.read_bytes()[:0]) + gzip.compress(example().data())
    (here / "two.gz").write_bytes(members)
    equal(top(here / "two.gz")[1], 700, "gzip of two members")


def check_views(here):
    path = example().write(here / "views.pb")
    tree, _ = run("--tree", path)
    equal([line[20:] for line in tree.splitlines()[1:]],
          ["  + main", "    serve", "    + parse", "      copy;text", f"    + {EVIL}"], "the tree")
    callers, _ = run("--callers", "--hide", "script", "--focus", "parse", path)
    equal([line[20:] for line in callers.splitlines()[1:]], ["  + copy;text", "    parse", "    serve", "    main"], "callers")
    pinned, _ = run("--pinned", path)
    check(pinned.splitlines()[0].endswith("about 12.00 KiB of slabs kept from being given back, from 2 stacks"), pinned)
    check("\n8.00 KiB (66.7%)\n    copy;text text.h:3\n    parse parse.c:33\n    serve server.c:21\n    main server.c:7\n" in pinned, pinned)
    leak, _ = run("--leak", "-n", "1", path)
    check("about 700 B in 7 objects live, from 2 stacks" in leak and "(1 more with less)" in leak, leak)
    out, _ = run("-n", "1", "--cum", path)
    check(out.splitlines()[2].endswith("main") and "more with less" in out, f"--cum: {out}")


def check_labels(here):
    path = example().write(here / "labels.pb")
    equal(folded("--by", "arena", "--type", "alloc_objects", path),
          {"arena: 0;main;serve;parse;copy:text": 9, f"arena: 1;main;serve;{EVIL.replace(';', ':')}": 3, "arena: 1;main;[unknown]": 2},
          "by arena")
    equal(top("--label", "arena=1", "--type", "alloc_objects", path)[1], 5, "one arena")
    equal(top("--label", "thread=main", path)[1], 400, "one thread")
    equal(top("--label", "thread", path)[1], 700, "any thread")
    equal(top("--label", "nonsense", path)[1], 0, "no such label")
    equal(set(folded("--by", "nonsense", path)), {"nonsense: none;main;serve;parse;copy:text",
                                                  f"nonsense: none;main;serve;{EVIL}"}, "no such key")


def check_write(here):
    path = example().write(here / "in.pb")
    out = here / "out.pb.gz"
    run("--pprof", out, path)
    read = Read(out)
    equal(read.types, TYPES, "types")
    equal(read.default, "inuse_space", "the default type")
    equal([(values, labels) for _, values, labels in read.samples],
          [([9, 900, 4, 400, 8192], {"arena": 0, "thread": "main"}), ([3, 300, 3, 300, 4096], {"arena": 1, "thread": "worker"}),
           ([2, 200, 0, 0, 0], {"arena": 1, "thread": "worker"})], "samples")
    equal([read.locations[l] for l in read.samples[0][0]],
          [[("copy;text", 3), ("parse", 33)], [("serve", 21)], [("main", 7)]], "a stack, without malloc")
    for type, _ in TYPES:
        equal(folded("--type", type, out), folded("--type", type, path), f"read again, {type}")
    run("--pprof", out, "--diff", path, path)
    read = Read(out)
    equal(sorted(values[3] for _, values, _ in read.samples), [-400, -300, 0, 0, 300, 400], "the base is negative")
    equal([labels.get("pprof::base") for _, _, labels in read.samples], [None] * 3 + ["true"] * 3, "and says so")
    equal(top(out)[1], 0, "their sum")


def check_heap(here):
    path = example().write(here / "heap.pb")
    out = here / "out.heap"
    run("--heap", out, path)
    for type in ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects"):
        equal(top("--type", type, "--quiet", out)[1], top("--type", type, path)[1], f"as text, {type}")
    lines = out.read_text().splitlines()
    equal(lines[:4], ["heap profile: 7: 700 [14: 1400] @ heapprofile", "4: 400 [9: 900] @ 0x400030 0x400021 0x400011",
                      "3: 300 [3: 300] @ 0x400040 0x400021 0x400011", "0: 0 [2: 200] @ 0x400060 0x400011"],
          "the first address is inside the call, the others are behind")
    equal(lines[5:], ["MAPPED_LIBRARIES:", "400000-500000 r-xp 00000000 00:00 0 /nowhere/at all/server"], "mappings")
    run("--heap", out, "--diff", path, path, status=2)


def check_diff(here):
    old = example().write(here / "old.pb")
    new = example()
    new.sample([12, 11, 10], [1, 1000, 1, 1000, 0])
    rows, total = top("--diff", old, new.write(here / "new.pb"))
    equal((total, list(rows)[0], rows["copy;text"]), (1000, "copy;text", (1000, 1000)), "growth")
    tree, _ = run("--tree", "--diff", old, here / "new.pb")
    check("+1000 B  142.9%" in tree and EVIL not in tree, f"only what changed: {tree}")


def bad(body, **more):
    profile = Proto(TYPES[:1], **more)
    body(profile)
    return profile.data()


def raw(field, data):
    return lambda profile: profile.out.extend(blob(field, data))


BROKEN = [
    (b"", "empty"),
    (b"\x0a", "ends within a number"),
    (b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "a number too long"),
    (b"\x0b\x00", "no kind of field"),
    (b"\x02\x00", "no field"),
    (b"\x0a\xff\x01abc", "longer than what holds it"),
    (b"\x10\x01", "neither a heap_v2 dump nor a profile.proto"),
    (Proto([]).data(), "without types"),
    (Proto([TYPES[0], TYPES[0]]).data(), "a type of values is there twice"),
    (Proto([("t" + str(i), "bytes") for i in range(9)]).data(), "more than 8 types"),
    (bad(raw(1, number(1, 77))), "refers to a text that is not there"),
    (bad(raw(3, number(5, 77))), "refers to a text that is not there"),
    (bad(raw(3, b"")), "a mapping without a number"),
    (bad(raw(5, b"")), "a function without a number"),
    (bad(raw(4, b"")), "a location without a number"),
    (bad(lambda p: [p.location(1, 1), p.location(1, 2)]), "a location without a number"),
    (bad(lambda p: p.location(1, 1, 7)), "refers to a mapping"),
    (bad(lambda p: p.location(1, 1, 0, [(7, 1)])), "refers to a function"),
    (bad(lambda p: [p.function(1, "f"), p.location(1, 1, 0, [(1, 1)] * 257)]), "more than 256 functions"),
    (bad(lambda p: p.sample([1], [1])), "refers to a location"),
    (bad(lambda p: p.sample([], [])), "fewer values"),
    (bad(lambda p: p.sample([], [1, 2])), "more values"),
    (bad(lambda p: [p.location(1, 1), p.sample([1] * 4097, [1])]), "more than 4096 addresses"),
    (bad(lambda p: [p.sample([], [1]), p.out.extend(number(14, 99))]), "refers to a text"),
]


def check_broken(here):
    path = here / "broken.pb"
    for data, wanted in BROKEN:
        path.write_bytes(data)
        _, err = run(path, status=1)
        check(err.count("\n") == 1 and err.startswith(f"ashlar: profile: {path}: ") and wanted in err,
              f"{data[:40]!r}: {err!r}, wanted {wanted!r}")
    whole = example().data()
    for cut in range(0, len(whole), 3):
        path.write_bytes(whole[:cut])
        _, err = run(path, status=1)
        check(err.count("\n") == 1 and ("byte" in err or "empty" in err or "profile" in err), f"cut at {cut}: {err!r}")
    packed = gzip.compress(whole)
    for cut in range(2, len(packed), 7):
        path.write_bytes(packed[:cut])
        _, err = run(path, status=1)
        check("byte" in err and "cut off" in err, f"gzip cut at {cut}: {err!r}")
    path.write_bytes(packed[:20] + bytes(100))
    check("broken gzip" in run(path, status=1)[1], "broken gzip")
    path.write_bytes(gzip.compress(bytes(1 << 20), 9) * 1100)  # 1.1 GiB of zeros
    check("more than 1 GiB" in run(path, status=1)[1], "a file that is small only while it is compressed")


def check_deep(here):
    """Stacks as deep as allowed, with as many inlined functions: cut, quickly, without recursion."""
    profile = Proto(TYPES[:1])
    for id in range(1, 257):
        profile.function(id, f"f{id}")
    profile.location(1, 1, 0, [(id, 1) for id in range(1, 257)])
    for n in range(50):
        profile.sample([1] * 4096, [1])
    stacks = folded(profile.write(here / "deep.pb"))
    equal([(stack.count(";"), count) for stack, count in stacks.items()], [(4095, 50)], "4096 frames at most")
    out, _ = run("--tree", here / "deep.pb")
    equal(len(out.splitlines()), 4097, "a tree of 4096 levels")
    run("--flame", here / "deep.html", here / "deep.pb")


with tempfile.TemporaryDirectory() as name:
    for test in (check_read, check_views, check_labels, check_write, check_heap, check_diff, check_broken, check_deep):
        test(pathlib.Path(name))
end()
