#!/usr/bin/env python3
# ctest-timeout: 200
"""Heap profiles of a real program: names and forms of the files, leak reports, and the totals and stacks that jeprof and
google-pprof (where they are installed) read from them."""
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LIB, SOURCE = os.environ["LIB"], pathlib.Path(os.environ["SOURCE"])
PROGRAM = pathlib.Path.cwd() / "prog" / "shapes"


def usable(size):
    """By size class."""
    step = 4096 if size > 14336 else 16 if size <= 128 else 1 << max(0, (size - 1).bit_length() - 3)
    return max((size + step - 1) // step * step, 8)


TRUTH = {"take_small": 400000 * 112, "take_mixed": sum(usable(n) for n in range(10, 30010, 10)), "take_large": 100 * 503808}
failures = []


def check(condition, *what):
    if not condition:
        failures.append(" ".join(str(w) for w in what))


def run(conf, *arguments, program=PROGRAM, folder=None):
    env = dict(os.environ, LD_PRELOAD=LIB, MALLOC_CONF=conf)
    return subprocess.run([program, *arguments], env=env, cwd=folder, capture_output=True, text=True, timeout=60)


def files(folder):
    return sorted(p.name for p in pathlib.Path(folder).iterdir())


LINE = re.compile(r"(?:  )t(\*|\d+): (\d+): (\d+) \[(\d+): (\d+)\](?: (.*))?$")


def parse(path):
    """(rate, header lines {who: numbers and name}, stacks [(frames, lines)], rest)"""
    text, _, maps = pathlib.Path(path).read_text().partition("\nMAPPED_LIBRARIES:\n")
    lines = text.splitlines()
    rate = int(re.fullmatch(r"heap_v2/(\d+)", lines[0])[1])
    parts = [({}, [])]
    for line in lines[1:]:
        if line.startswith("@"):
            frames = line.split()[1:]
            check(all(re.fullmatch("0x[0-9a-f]+", f) for f in frames) and frames, path, "odd frames", line)
            parts.append(({}, frames))
            continue
        found = LINE.fullmatch(line)
        check(found, path, "odd line", line)
        if found:
            parts[-1][0][found[1]] = (*map(int, found.groups()[1:5]), found[6])
    return rate, parts[0][0], [(frames, counts) for counts, frames in parts[1:]], maps


def scaled(rate, numbers):
    objects, size = numbers[:2]
    return size / (1 - math.exp(-(size / objects) / rate)) if objects else 0


def near(value, truth, part=0.1):
    return abs(value - truth) <= truth * part


def check_final(folder):
    done = run("prof:true,prof_final:true,lg_prof_sample:14,prof_prefix:out/x", "3", folder=folder)
    check(done.returncode == 3 and done.stderr == "", "final", done)
    names = files(folder + "/out")
    check(len(names) == 1 and re.fullmatch(r"x\.\d+\.0\.f\.heap", names[0]), "final", names)
    rate, head, stacks, maps = parse(f"{folder}/out/{names[0]}")
    check(rate == 16384 and near(scaled(rate, head["*"]), sum(TRUTH.values())), "final", head)
    check(sum(1 for who in head if who != "*") == 2, "two threads sampled", head)
    check(all(numbers[2:4] == (0, 0) for numbers in head.values()), "no totals without prof_accum", head)
    check("shapes" in maps and re.search(r"r-xp .*libashlar", maps), "no maps")
    total = sum(scaled(rate, counts["*"]) for _, counts in stacks)
    check(near(total, scaled(rate, head["*"]), 0.01), "stacks and head differ", total, head)


def check_leak(folder):
    base = "prof_leak:true,prof_final:true,lg_prof_sample:14,prof_prefix:leak"
    done = run(base, "0", folder=folder)
    summary = re.fullmatch(r"<ashlar>: Leak approximation summary: ~(\d+) bytes, ~(\d+) objects, >= (\d+) contexts\n"
                           r"<ashlar>: Run jeprof on dump output for leak detail\n", done.stderr)
    check(done.returncode == 0 and summary, "leak", done)
    if summary:
        check(near(int(summary[1]), sum(TRUTH.values())) and near(int(summary[2]), 403100), "leak", summary[0])
        check(3 <= int(summary[3]) <= 12, "leak contexts", summary[0])
    done = run(base + ",prof_leak_error:true", "0", folder=folder)
    check(done.returncode == 1 and done.stderr.endswith(
        "<ashlar>: Exiting with error code because memory leaks were detected\n"), "leak error", done)
    # Of the few blocks the C library keeps for itself, none is sampled.
    done = run(base.replace(":14", ":22") + ",prof_leak_error:true", "0", "free", folder=folder)
    check(done.returncode == 0 and done.stderr == "", "no leak", done)


def check_triggers(folder):
    done = run("prof:true,lg_prof_interval:26,prof_prefix:int,lg_prof_sample:16", "0", folder=folder)
    names = [n for n in files(folder) if n.startswith("int.")]
    check(done.returncode == 0 and 5 <= len(names) <= 15, "interval", names, done)
    check({re.sub(r"\.\d+\.", ".P.", n, count=1) for n in names} == {f"int.P.{i}.i{i}.heap" for i in range(len(names))},
          "names of interval dumps", names)
    done = run("prof:true,prof_gdump:true,prof_prefix:high,lg_prof_sample:16", "0", folder=folder)
    names = [n for n in files(folder) if n.startswith("high.")]
    check(done.returncode == 0 and 5 <= len(names) <= 80 and all(re.search(r"\.u\d+\.heap$", n) for n in names), "gdump",
          names, done)
    few = run("prof:true,prof_gdump:true,prof_gdump_growth:40000000,prof_prefix:few,lg_prof_sample:16", "0",
              folder=folder)
    names = [n for n in files(folder) if n.startswith("few.")]
    check(few.returncode == 0 and 2 <= len(names) <= 5, "gdump with a minimum growth", names)
    asking = "import os, signal\nos.kill(os.getpid(), signal.SIGUSR2)\nprint(len([str(i) * 10 for i in range(1000)]))"
    done = run("prof:true,prof_dump_signal:12,prof_prefix:sig", "-c", asking, program=sys.executable, folder=folder)
    names = [n for n in files(folder) if n.startswith("sig.")]
    check(done.stdout == "1000\n" and len(names) == 1 and names[0].endswith(".0.m0.heap"), "signal", names, done)
    done = run("prof:true,prof_final:true,prof_prefix:no/such/place", "0", folder=folder)
    check(re.fullmatch(r'<ashlar>: failed to open "no/such/place\.\d+\.0\.f\.heap"\n', done.stderr), "failure", done)
    done = run("prof:true,prof_final:true,prof_prefix:", "0", folder=folder)
    check(done.returncode == 0 and done.stderr == "", "without a prefix", done)
    done = run("prof:true,prof_final:true,prof_pid_namespace:true,prof_prefix:ns", "0", folder=folder)
    inode = re.search(r"\d+", os.readlink("/proc/self/ns/pid"))[0]
    names = [n for n in files(folder) if n.startswith("ns.")]
    check(len(names) == 1 and names[0].startswith(f"ns.{inode}."), "name space", names)


def check_options(folder):
    done = run("prof:true,prof_final:true,prof_accum:true,lg_prof_sample:14,prof_prefix:acc,prof_sys_thread_name:true",
               "0", folder=folder)
    rate, head, _, _ = parse(next(pathlib.Path(folder).glob("acc.*")))
    check(done.returncode == 0 and near(scaled(rate, head["*"][2:]), sum(TRUTH.values()) + 200000 * 3072), "accum", head)
    check(all(numbers[4] == "shapes" for who, numbers in head.items() if who != "*"), "names of threads", head)
    run("prof:true,prof_final:true,prof_unbias:false,lg_prof_sample:14,prof_prefix:raw", "0", folder=folder)
    rate, head, stacks, _ = parse(next(pathlib.Path(folder).glob("raw.*")))
    sums = [sum(counts["*"][i] for _, counts in stacks) for i in range(2)]
    check(sums == list(head["*"][:2]), "raw counts add up", sums, head)
    run("prof:true,prof_final:true,prof_bt_max:1,lg_prof_sample:14,prof_prefix:one", "0", folder=folder)
    _, _, stacks, _ = parse(next(pathlib.Path(folder).glob("one.*")))
    check(stacks and all(len(frames) == 1 for frames, _ in stacks), "prof_bt_max", stacks)
    run("prof:true,prof_active:false,prof_final:true,prof_prefix:off", "0", folder=folder)
    _, head, stacks, _ = parse(next(pathlib.Path(folder).glob("off.*")))
    check(head == {"*": (0, 0, 0, 0, None)} and not stacks, "prof_active:false", head)
    run("prof:true,prof_thread_active_init:false,prof_final:true,prof_prefix:threads", "0", folder=folder)
    _, head, _, _ = parse(next(pathlib.Path(folder).glob("threads.*")))
    check(head["*"][0] == 0, "prof_thread_active_init:false", head)
    for clock in ("default", "high"):
        run(f"prof:true,prof_log:true,lg_prof_sample:16,prof_prefix:log{clock},prof_time_resolution:{clock}", "0",
            folder=folder)
        log = json.loads(next(pathlib.Path(folder).glob(f"log{clock}.*.json")).read_text())
        info = log["info"]
        check(info["prof_time_resolution"] == clock and info["lg_sample_rate"] == 16 and info["duration"] > 0, "log", info)
        check(near(len(log["allocations"]), 200000 * 3072 / 65536, 0.2), "log", len(log["allocations"]))
        for one in log["allocations"]:
            check(one["usize"] == 3072 and one["alloc_timestamp"] <= one["free_timestamp"], "log", one)
            check(log["stack_traces"][one["alloc_trace"]] and log["stack_traces"][one["free_trace"]], "log", one)
            check(one["alloc_thread"] == one["free_thread"] == 0, "log", one)


def ask(reader, program, dump):
    done = subprocess.run([reader, "--text", "--show_bytes", str(program), str(dump)], capture_output=True, text=True,
                          timeout=100)
    total = re.search(r"Total: (\d+) B", done.stdout)
    rows = {line.split()[-1]: int(line.split()[0]) for line in done.stdout.splitlines() if line.count("%") == 3}
    check(done.returncode == 0 and total, reader, done.stderr[-500:])
    return int(total[1]) if total else 0, rows


def check_readers(folder):
    build = [os.environ.get("CC", "cc"), "-O1", "-g", "-w", "-fno-omit-frame-pointer", "-fno-builtin", "-no-pie",
             str(SOURCE / "test/real/prog/shapes.c"), "-o", folder + "/framed", "-lpthread"]
    subprocess.run(build, check=True)
    readers = [r for r in ("jeprof", "google-pprof") if shutil.which(r)]
    for program, unwinder in [(PROGRAM, "dwarf"), (folder + "/framed", "dwarf"), (folder + "/framed", "frame")]:
        prefix = f"{pathlib.Path(program).name}-{unwinder}"
        run(f"prof:true,prof_final:true,lg_prof_sample:14,prof_prefix:{prefix},prof_unwinder:{unwinder}", "0",
            program=program, folder=folder)
        dump = next(pathlib.Path(folder).glob(prefix + ".*"))
        for reader in readers:
            if reader == "google-pprof":  # that of gperftools, which knows its own format only
                run(f"prof:true,prof_final:true,lg_prof_sample:14,prof_prefix:own-{prefix},prof_unwinder:{unwinder},"
                    "prof_format:gperftools", "0", program=program, folder=folder)
                dump = next(pathlib.Path(folder).glob(f"own-{prefix}.*"))
                first = pathlib.Path(dump).read_text().splitlines()[0]
                head = re.fullmatch(r"heap profile: (\d+): (\d+) \[(\d+): (\d+)\] @ heap_v2/(\d+)", first)
                check(head, dump, first)
                expected = scaled(int(head[5]), (int(head[1]), int(head[2])))
            else:
                rate, head, _, _ = parse(dump)
                expected = scaled(rate, head["*"])
            total, rows = ask(reader, program, dump)
            check(near(total, expected, 0.01), reader, prefix, "total", total, expected)
            for function, truth in TRUTH.items():
                check(near(rows.get(function, 0), truth), reader, prefix, function, rows)
    print("readers:", *readers)


def main():
    for test in (check_final, check_leak, check_triggers, check_options, check_readers):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/out")
            test(folder)
    for failure in failures[:50]:
        print("FAILED", failure[:2000])
    sys.exit(1 if failures else 0)


main()
