#!/usr/bin/env python3
# ctest-timeout: 120
"""malloc_stats_print in its three formats, with every combination of letters: the JSON has exactly the keys of
json_tree.txt, in order and of the right types; the text has its sections and no others; the metrics pass promtool
and a parser of their own; sums are sums."""
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path.cwd() / "prog" / "report"
PARTS = "gmdablxeh"
C7 = ["num_ops", "num_wait", "num_spin_acq", "num_owner_switch", "total_wait_time", "max_wait_time", "max_num_thds"]

failures = []


def check(good, *what):
    if not good:
        failures.append(" ".join(str(w) for w in what))


def reports(*letters, options=""):
    environment = dict(os.environ, LD_PRELOAD=os.path.realpath(os.environ["LIB"]), MALLOC_CONF=options)
    done = subprocess.run([PROGRAM, *letters], env=environment, stdout=subprocess.PIPE, check=True)
    texts = done.stdout.decode().split("\n\f\n")
    check(len(texts) == len(letters) + 1, "reports", letters)
    return texts[:-1]


def combinations():
    for size in range(len(PARTS) + 1):
        for letters in itertools.combinations(PARTS, size):
            yield "".join(letters)


# -- JSON ---------------------------------------------------------------------------------------------------------

def expand(path):
    found = re.search(r"\{([^{}]*)\}", path)
    if found is None:
        return [path]
    return [one for word in found.group(1).split(",")
            for one in expand(path[:found.start()] + word + path[found.end():])]


def read_tree():
    """A tree of dicts; leaves are types, ("array", n, tree) for arrays."""
    tree = {}
    for line in (HERE / "json_tree.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        path, kind = line.split()
        for one in expand(path.replace("%C7", "{" + ",".join(C7) + "}")):
            at = tree
            *above, leaf = one.split("/")
            for part in above:
                array = re.fullmatch(r"(\w+)\[(\d+)\]", part)
                if array:
                    at = at.setdefault(array[1], ("array", int(array[2]), {}))[2]
                else:
                    at = at.setdefault(part, {})
            at[leaf] = kind
    return tree


def left_out(path, letters, arenas):
    """Do the letters leave this key out?"""
    top, last = path[0], path[-1]
    if top in ("version", "config", "system", "opt", "prof", "arenas"):
        return "g" in letters
    if top == "stats.arenas" and len(path) == 1:
        return not arenas
    if last in ("mutexes", "mutex"):
        return "x" in letters
    if top != "stats.arenas" or len(path) != 3:
        return False
    return {"bins": "b", "lextents": "l", "extents": "e", "hpa_shard": "h"}.get(last, "-") in letters


def compare(value, tree, path, letters):
    if isinstance(tree, tuple):
        check(isinstance(value, list) and len(value) == tree[1], path, "is no array of", tree[1])
        for i, item in enumerate(value):
            compare(item, tree[2], [*path, str(i)], letters)
    elif isinstance(tree, str):
        kinds = {"u": int, "i": int, "s": str, "b": bool}
        check(type(value) is kinds[tree[0]] and (tree[0] != "u" or value >= 0), path, "is", value, "and no", tree)
    else:
        compare_object(value, tree, path, letters)


def compare_object(value, tree, path, letters):
    if path == ["stats.arenas"]:
        expected = [k for k in value]
        tree = {k: tree["%A"] for k in value}
        check(("merged" in value) == ("m" not in letters), letters, "merged")
        check("destroyed" not in value or "d" not in letters, letters, "destroyed")
        check(("0" in value) == ("a" not in letters), letters, "arenas")
    optional = {k for k in tree if isinstance(tree[k], str) and tree[k].endswith("?")}
    if path[:1] == ["stats.arenas"] and len(path) == 2:
        check(("name" in value) == path[1].isdigit(), path, "name")
    arenas = not {"m", "d", "a"} <= set(letters)
    wanted = [k for k in tree if not left_out([*path, k], letters, arenas) and (k not in optional or k in value)]
    check(list(value) == wanted, "".join(letters), path, "has", "wrong keys", sorted(set(value) ^ set(wanted)) or list(value))
    for key in value:
        if key in tree:
            compare(value[key], tree[key], [*path, key], letters)


def check_json():
    tree = read_tree()
    letters = list(combinations())
    for text, one in zip(reports(*("J" + x for x in letters)), letters):
        try:
            whole = json.loads(text)
        except ValueError as error:
            check(False, one, error)
            continue
        check(list(whole) == ["jemalloc"] and " " not in re.sub(r'"[^"]*"', "", text), one, "form")
        compare(whole["jemalloc"], tree, [], one)
        if len(failures) > 20:
            return


def check_sums():
    heap = json.loads(reports("J")[0])["jemalloc"]
    stats, arenas = heap["stats"], heap["stats.arenas"]
    merged = arenas["merged"]
    parts = [a for name, a in arenas.items() if name != "merged"]
    single = [a for name, a in arenas.items() if name.isdigit()]
    for kind in ("small", "large"):
        for key in merged[kind]:
            check(merged[kind][key] == sum(a[kind][key] for a in parts), kind, key, "is no sum")
    for key in ("pactive", "pdirty", "mapped", "retained", "base", "internal", "resident", "tcache_bytes",
                "dirty_purged", "dirty_nmadvise", "nthreads", "extent_avail"):
        check(merged[key] == sum(a[key] for a in parts), key, "is no sum")
    check(stats["allocated"] == merged["small"]["allocated"] + merged["large"]["allocated"], "allocated")
    check(stats["allocated"] > 0 and merged["large"]["allocated"] > 0, "nothing allocated")
    check(stats["active"] == merged["pactive"] * 4096 >= stats["allocated"], "active")
    check(stats["resident"] >= stats["active"], "resident")
    check(stats["metadata"] == merged["base"] + merged["internal"] > 0, "metadata")
    sizes = [b["size"] for b in heap["arenas"]["bin"]]
    for arena in single + [merged]:
        check(arena["small"]["allocated"] == sum(b["curregs"] * s for b, s in zip(arena["bins"], sizes)), "curregs")
        for b in arena["bins"]:
            check(b["curregs"] == b["nmalloc"] - b["ndalloc"], "a bin's curregs")
            check(b["nonfull_slabs"] <= b["curslabs"], "a bin's slabs")
    check(heap["arenas"]["narenas"] >= len(single) > 1, "arenas")
    check([a for a in parts + [merged] if "numa_node" in a] == single, "numa_node of one arena only")
    own = heap["ashlar"]
    check(own["live"] + own["cached"] == stats["allocated"], "live and cached")
    check(abs(own["live"] + own["cached"] + own["slab_free"] - stats["active"]) == 0, "active is their sum")


# -- text ---------------------------------------------------------------------------------------------------------

SUMMARY = ["live", "cached in threads", "slab waste", "dirty", "lazily freed", "metadata", "retained",
           "huge-page backed", "process RSS", "unexplained"]
SECTIONS = [  # a line, and the letters that leave it out
    (r"Version: \".+\"", "g"), ("Build-time option settings", "g"), (r"  config\.stats: true", "g"),
    (r"  system\.thp_mode: \".*\"", "g"), (r"  opt\.narenas: \d+", "g"),
    (r"  opt\.dirty_decay_ms: 10000 \(arenas\.dirty_decay_ms: 10000\)", "g"),
    (r"Number of bin size classes: 36", "g"), (r"Allocated: \d+, active: \d+, metadata: \d+ \(n_thp \d+, edata \d+, "
     r"rtree \d+\), resident: \d+, mapped: \d+, retained: \d+, pinned: \d+", ""),
    (r"Count of realloc\(non-null-ptr, 0\) calls: 0", ""),
    (r"Background threads: \d+, num_runs: \d+, run_interval: \d+ ns", ""),
    (r"prof_recent_dump +0 .*", "x"), (r"Merged arenas stats:", "m"), (r"arenas\[0\]:", "a"),
    (r"name: \"auto_0\"", "a"), (r"decaying: +time +npages +sweeps +madvises +purged", "mda"),
    (r" +dirty: +(\d+|N/A) +\d+ +\d+ +\d+ +\d+", "mda"), (r"small: +\d+ .*", "mda"),
    (r"tcache_stashed_bytes: +\d+", "mda"), (r" +bins: ind +allocated +nmalloc .*", "b"),
    (r" +large: ind +allocated .*", "l"), (r" +extents: ind +ndirty +dirty .*", "e"), (r"HPA shard stats:", "h"),
    (r"  extent allocation distribution:", "h"), (r"  In nonfull slabs:", "h"),
]


def check_text_of(letters, lines, destroyed):
    check(lines[0] == "___ Begin jemalloc statistics ___" and lines[-1] == "--- End jemalloc statistics ---",
          letters, "first and last line")
    check([line.strip().split(":")[0] for line in lines[1:11]] == SUMMARY, letters, "summary", lines[1:11])
    none = {"m", "d", "a"} <= set(letters) | (set() if destroyed else {"d"})
    for pattern, without in SECTIONS:
        there = any(re.fullmatch(pattern, line) for line in lines)
        of_arena = without in ("b", "l", "e", "h")
        if without == "mda":
            gone = none
        else:
            gone = without != "" and without in letters
        check(there == (not gone and not (of_arena and none)), letters, pattern, "there" if there else "missing")


def check_text():
    letters = list(combinations())
    destroyed = "destroyed" in json.loads(reports("J")[0])["jemalloc"]["stats.arenas"]
    for text, one in zip(reports(*(x or "-" for x in letters)), letters):
        check_text_of(one, text.strip("\n").splitlines(), destroyed)
        if len(failures) > 20:
            return
    lines = reports("-")[0].splitlines()
    check(any(re.fullmatch(r" +---", line) for line in lines), "no gap for empty classes")
    row = next(line for line in lines if re.match(r" +\d+ +\d+ +\d+ +\d+ ", line)).split()
    check(int(row[0]) in (8, 16, 32), "first bin", row)


def blocks_of(text):
    """The lines about each arena, by the key that it has in the JSON."""
    blocks, lines = {}, None
    for line in text.splitlines():
        head = re.fullmatch(r"(Merged|Destroyed) arenas stats:|arenas\[(\d+)\]:", line)
        if head:
            lines = blocks.setdefault((head[1] or head[2]).lower(), [])
        elif lines is not None:
            lines.append(line)
    return blocks


def numbers_after(lines, title):
    """Those of the first line that begins with the title; not a number is None."""
    for line in lines:
        found = re.match(rf" *{title} *((?:(?:\d+|N/A) *)+)$", line)
        if found:
            return [int(word) if word.isdigit() else None for word in found[1].split()]
    return None


MEMORY = ["mapped", "retained", "pinned", "base", "internal", "metadata_edata", "metadata_rtree", "metadata_thp",
          "tcache_bytes", "tcache_stashed_bytes", "resident", "abandoned_vm", "extent_avail"]
COUNTED = ["allocated", "nmalloc", "ndalloc", "nrequests", "nfills", "nflushes"]


def figures_of(arena):
    """What the lines about an arena must say, by their titles. Rates are not looked at."""
    figures = {f"{key}:": [arena[key]] for key in MEMORY}
    figures["active:"] = [arena["pactive"] * 4096]
    figures["assigned threads:"] = [arena["nthreads"]]
    if "numa_node" in arena:
        figures["numa node:"] = [arena["numa_node"]]
    for state in ("dirty", "muzzy"):
        figures[f"{state}:"] = [arena[key] for key in (f"{state}_decay_ms", f"p{state}", f"{state}_npurge",
                                                       f"{state}_nmadvise", f"{state}_purged")]
    for kind in ("small", "large"):
        figures[f"{kind}:"] = [arena[kind][key] for key in COUNTED]
    figures["total:"] = [arena["small"][key] + arena["large"][key] for key in COUNTED]
    return figures


def check_text_figures():
    """The text says what the JSON says: each figure lies between those of a JSON before and one after it. What the
    first reports allocate for themselves is in the cache when those are made."""
    *_, before, text, after = reports("J", "-", "J", "-", "J", options="dirty_decay_ms:7000,muzzy_decay_ms:-1")
    before, after = (json.loads(x)["jemalloc"]["stats.arenas"] for x in (before, after))
    blocks = blocks_of(text)
    check(list(blocks) == list(before) == list(after), "arenas of the text:", *blocks)
    for arena, lines in blocks.items():
        then, now = figures_of(before[arena]), figures_of(after[arena])
        for title in then:
            seen = numbers_after(lines, re.escape(title))
            check(seen is not None, arena, title, "missing")
            if title in ("small:", "large:", "total:"):
                seen = (seen or [])[:1] + (seen or [])[1::2]
            for one, low, high in itertools.zip_longest(seen or [], then[title], now[title]):
                one = -1 if one is None else one  # N/A: never, or many arenas
                good = low is not None and min(low, high) <= one <= max(low, high)
                check(good, "text:", arena, title, one, "and not", low, "to", high)


def check_summary():
    lines = reports("-")[0].splitlines()
    amounts = lines[1:11]
    for line in amounts:
        check(re.fullmatch(r"  [a-zA-Z].+ \d+\.\d (KiB|MiB)", line), "amount:", line)
    for line in amounts[:2]:
        check(" 0.0 " not in line, "nothing is", line)
    wasteful = [float(line.split()[-4]) * (1024 if line.split()[-3] == "MiB" else 1)
                for line in lines if re.fullmatch(r"( +\d+){3} +\d+\.\d [KM]iB +\d+ %", line)]
    check(len(wasteful) == 5 and wasteful == sorted(wasteful, reverse=True) and wasteful[0] > 0, "waste", wasteful)


# -- metrics ------------------------------------------------------------------------------------------------------

def check_metrics():
    text = reports("O")[0]
    check(text.endswith("\n# EOF\n"), "no EOF")
    heads, seen = {}, set()
    for line in text.splitlines()[:-1]:
        head = re.fullmatch(r"# (HELP|TYPE|UNIT) (ashlar_[a-z_]+) (.+)", line)
        sample = re.fullmatch(r'(ashlar_[a-z_]+)(\{[a-z]+="[a-z0-9_]+"\})? \d+(\.\d+)?', line)
        check(head or sample, "no line of metrics:", line)
        if head:
            heads.setdefault(head[2], {})[head[1]] = head[3]
        elif sample:
            name = sample[1]
            check((name, sample[2]) not in seen, "twice:", line)
            seen.add((name, sample[2]))
            kinds = heads.get(name, {})
            check("HELP" in kinds and kinds.get("TYPE") in ("gauge", "counter"), "no head:", line)
            check(kinds.get("TYPE") != "counter" or name.endswith("_total"), "counter:", line)
            check("_seconds" not in name or re.search(r" \d+\.\d{9}$", line), "seconds:", line)
            check("UNIT" not in kinds or name.endswith(kinds["UNIT"]), "unit:", line)
    check(len(seen) > 100, "only", len(seen), "samples")
    promtool = shutil.which("promtool")
    if promtool is None:
        print("promtool is missing: not checked by it")
        return
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    check(done.returncode == 0, "promtool:", done.stdout.decode())


TOTALS = {"allocated": "allocated", "active": "active", "metadata": "metadata", "mapped": "mapped",
          "retained": "retained", "resident": "resident"}
OWN = ["live", "cached", "slab_free", "dirty", "lazily_freed"]
OF_ARENA = {"threads": "nthreads", "numa_node": "numa_node", "active_pages": "pactive",
            "dirty_pages": "pdirty", "muzzy_pages": "pmuzzy",
            "mapped_bytes": "mapped", "retained_bytes": "retained", "dirty_purged_pages_total": "dirty_purged",
            "muzzy_purged_pages_total": "muzzy_purged"}
OF_BIN = {"allocated_blocks": "curregs", "slabs": "curslabs", "nonfull_slabs": "nonfull_slabs",
          "taken_blocks_total": "nmalloc", "given_blocks_total": "ndalloc", "requests_total": "nrequests"}
OF_LOCK = {"takes_total": "num_ops", "waits_total": "num_wait"}


def samples_of(heap):
    """What the metrics must say of a JSON."""
    samples = {f"ashlar_{name}_bytes": heap["stats"][key] for name, key in TOTALS.items()}
    samples.update({f"ashlar_{key}_bytes": heap["ashlar"][key] for key in OWN})
    samples["ashlar_zero_reallocs_total"] = heap["stats"]["zero_reallocs"]
    for arena, figures in heap["stats.arenas"].items():
        if arena.isdigit():
            label = f'{{arena="{arena}"}}'
            samples.update({f"ashlar_arena_{name}{label}": figures[key] for name, key in OF_ARENA.items()})
            for kind in ("small", "large"):
                samples[f"ashlar_arena_{kind}_bytes{label}"] = figures[kind]["allocated"]
    merged = heap["stats.arenas"]["merged"]
    for row, figures in zip(heap["arenas"]["bin"], merged["bins"]):
        if figures["nmalloc"] > 0:
            samples.update({f'ashlar_bin_{name}{{size="{row["size"]}"}}': figures[key] for name, key in OF_BIN.items()})
    for before, locks in (("", heap["stats"]["mutexes"]), ("arena_", merged["mutexes"])):
        for lock, figures in locks.items():
            label = f'{{lock="{before}{lock}"}}'
            samples.update({f"ashlar_lock_{name}{label}": figures[key] for name, key in OF_LOCK.items()})
            samples[f"ashlar_lock_wait_seconds_total{label}"] = figures["total_wait_time"] / 1e9
    return samples


def check_metric_values():
    """As the text's: between those of a JSON before and one after."""
    *_, before, text, after = reports("J", "O", "J", "O", "J", options="dirty_decay_ms:7000,muzzy_decay_ms:-1")
    before, after = (samples_of(json.loads(x)["jemalloc"]) for x in (before, after))
    seen = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    for name in before:
        low, high = sorted((before[name], after[name]))
        good = name in seen and low - 1e-6 <= float(seen[name]) <= high + 1e-6
        check(good, "metrics:", name, seen.get(name), "and not", low, "to", high)
    listed = {name for name in seen if name.startswith("ashlar_bin_")}
    check(listed == {name for name in after if name.startswith("ashlar_bin_")}, "metrics: other classes than used")


# -- options ------------------------------------------------------------------------------------------------------

def check_options():
    environment = dict(os.environ, LD_PRELOAD=os.path.realpath(os.environ["LIB"]))
    for options, count in (("stats_print:true,stats_print_opts:Jmdablxeh", 1),
                           ("stats_interval:100000,stats_interval_opts:Jmdablxeh", 5)):
        environment["MALLOC_CONF"] = options
        done = subprocess.run([PROGRAM], env=environment, stderr=subprocess.PIPE, check=True)
        text = done.stderr.decode()
        found = text.count('{"jemalloc":{')
        check(found >= count and found <= 200, options, "printed", found, "times")
        if count == 1:
            check(list(json.loads(text)) == ["jemalloc"], options)


def check_lone_arena():
    """One arena and none destroyed: neither part is there, and the sum only where it is shown alone."""
    for letters, expected in (("J", ["0"]), ("Ja", ["merged"]), ("Jm", ["0"])):
        environment = dict(os.environ, LD_PRELOAD=os.path.realpath(os.environ["LIB"]),
                           MALLOC_CONF=f"narenas:1,stats_print:true,stats_print_opts:{letters}")
        done = subprocess.run(["true"], env=environment, stderr=subprocess.PIPE, check=True)
        arenas = json.loads(done.stderr)["jemalloc"]["stats.arenas"]
        check(list(arenas) == expected, letters, "one arena:", *arenas)


for part in (check_json, check_sums, check_text, check_text_figures, check_summary, check_metrics, check_metric_values, check_options,
             check_lone_arena):
    part()
for failure in failures[:30]:
    print(failure)
sys.exit(len(failures) > 0)
