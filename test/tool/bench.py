#!/usr/bin/env python3
# What bench/run makes of a result file: means, bounds over the suite, rows above the best peer, Markdown and SVG; files of an older
# form; peers that are no library.
import csv
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.dont_write_bytecode = True
BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
sys.path.insert(0, str(BENCH))
from harness import charts, libraries, markdown, measure, report, suite, workloads  # noqa: E402
from profiles import check, end, equal  # noqa: E402

ROWS = workloads.build(1.0)
# workload: {library: (CPU time, peak KiB, idle KiB, faults)}
MADE_UP = {
    "live-1k-1KiB": {"ashlar": (1.0, 1000, 500, 50), "jemalloc": (2.0, 2000, 1000, 100), "glibc": (4.0, 1000, 1000, 100)},
    "mixed-1": {"ashlar": (2.2, 3000, 800, 60), "jemalloc": (4.0, 2000, 1000, 100), "glibc": (2.0, 4000, 2000, 100)},
    "real-nodes": {"ashlar": (1.0, 900, None, 10), "jemalloc": (1.0, 1000, None, 10), "glibc": (1.5, 500, None, 10)},
    "start-true": {"ashlar": (9.0, 9000, None, 10), "jemalloc": (1.0, 1000, None, 10), "glibc": (1.0, 500, None, 10)},
    "steps-64": {"ashlar": (9.0, 9000, None, 10), "jemalloc": (1.0, 1000, None, 10), "glibc": (1.0, 500, None, 10)},
}
OWN = {"start-true": {"ashlar": "us=900;kib=1500", "jemalloc": "us=1;kib=1", "glibc": "us=500;kib=900"}}


def write(path, columns):
    """Three runs of each row, of which the second is the median, and one of the idle pass."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for name, by_library in MADE_UP.items():
            for library, (cpu, peak, idle, faults) in by_library.items():
                line = {"mode": "full", "workload": name, "library": library, "figure": "ns", "higher_is_better": 0,
                        "peak_kib": peak, "minor_faults": faults, "details": OWN.get(name, {}).get(library, "")}
                for number, factor in enumerate((0.99, 1, 1.01), 1):
                    writer.writerow({**line, "round": number, "cpu_s": cpu * factor})
                if idle:
                    writer.writerow({**line, "round": 0, "idle_kib": idle, "peak_kib": "", "minor_faults": ""})


def near(what, value, expected):
    check(value is not None and abs(value - expected) < 1e-9, f"{what}: {value}, not {expected}")


def test_means(table):
    near("CPU", table.geomean("ashlar", "cpu_s")[0], (0.5 * 0.55 * 1.0) ** (1 / 3))
    equal(table.geomean("ashlar", "cpu_s")[1], 3, "rows in the mean")
    near("peak", table.geomean("ashlar", "peak_kib")[0], (0.5 * 1.5 * 0.9) ** (1 / 3))
    near("idle", table.geomean("ashlar", "idle_kib")[0], (0.5 * 0.8) ** 0.5)
    near("faults", table.geomean("ashlar", "minor_faults")[0], (0.5 * 0.6 * 1.0) ** (1 / 3))
    check(not report.counts("idle-threads", "cpu_s") and report.counts("idle-threads", "peak_kib"), "a row about memory")


def test_suite(table):
    values = {what: (limit, value, whose) for what, limit, value, whose in suite.bounds(table, "ashlar")}
    equal(len(values), 8, "bounds")
    limit, value, whose = values["CPU time of any row, x the best peer on it"]
    near("worst row", value, 1.1)
    equal((limit, whose), (1.10, "mixed-1"), "worst row")
    limit, value, whose = values["peak RSS of any row, x jemalloc"]
    equal((limit, value, whose), (1.25, 1.5, "mixed-1"), "worst peak")
    limit, value, whose = values["mean CPU time, x the best peer's mean"]
    near("against the best mean", value, 0.275 ** (1 / 3))  # jemalloc's is 1, glibc's 1.5 ** (1 / 3)
    equal(whose, "jemalloc", "the best mean")
    limit, value, whose = values["mean RSS after idle, x the best peer's mean"]
    near("idle", value, 0.4 ** 0.5)
    near("real programs", values["real programs: mean peak RSS, x jemalloc"][1], 0.9)
    equal([suite.verdict(v, 1.0) for v in (None, 1.0, 1.01)], ["not measured", "met", "MISSED"], "verdicts")
    equal(suite.above_best(table, "ashlar"), ["mixed-1 1.10 (glibc)"], "rows above the best peer")


def test_row_bounds(table):
    row = next(r for r in ROWS if r.name == "start-true")
    equal([report.check_bound(table, row.name, "ashlar", b) for b in row.bounds],
          [(400.0, "met"), (600.0, "MISSED by 100 (20 %)")], "bounds above glibc")


def test_pages(table, folder):
    text = markdown.page(table, {row.name: row for row in ROWS}, "ashlar", "made-up")
    for part in ("| mixed-1 | 4.000 s | 0.55\\* | 0.50\\* |", "| real-nodes | 1.0 MiB | 0.90 | 0.50 |",
                 "Rows above the best peer: mixed-1 1.10 (glibc).", "made-up-scatter-idle.svg"):
        check(part in text, f"no {part} in\n{text}")
    paths = charts.write(table, folder, "made-up")
    equal([os.path.basename(p) for p in paths],
          [f"made-up-{name}.svg" for name in ("cpu", "peak", "idle", "scatter", "scatter-idle")], "charts")
    for path in paths:
        root = xml.etree.ElementTree.parse(path).getroot()
        if "scatter" in path:
            big = [c for c in root.iter("{http://www.w3.org/2000/svg}circle") if c.get("r") == "7"]
            equal(len(big), 3, "one point for each library")


def test_old_file(folder):
    """A file without faults and instructions gives the same verdicts."""
    path = os.path.join(folder, "old.csv")
    write(path, [c for c in report.COLUMNS if c not in ("minor_faults", "major_faults", "instructions")])
    table = report.load(path)
    equal(table.geomean("ashlar", "minor_faults"), (None, 0), "faults of an old file")
    test_suite(table)


def test_peers(folder):
    done = {}
    for text in ("none", "=x", "a b=x", "x=/nowhere.so", f"x={__file__}"):
        try:
            libraries.parse(text)
        except libraries.Missing as why:
            done[text] = str(why)
    equal(len(done), 5, "entries refused")
    check(all(f'"{text}"' in why for text, why in done.items()), f"each names its entry: {done}")
    check("cannot be preloaded" in done[f"x={__file__}"], "a file that is no library")
    equal(libraries.choose(["glibc"], "/", ["again=-"]), {"glibc": "-", "again": "-"}, "a peer beside those chosen")


def test_rows():
    names = [row.name for row in ROWS]
    equal(len(names), len(set(names)), "names are used once")
    quick = [row for row in workloads.build(0.1) if not row.long]
    check({"steps-64", "live-2M-1KiB", "real-redis"} <= {r.name for r in quick}, "rows of a quick run")
    check(not any(row.kind == "together" for row in quick), "no long rest in a quick run")
    built = set(re.findall(r"\w+", (BENCH / "CMakeLists.txt").read_text(encoding="utf-8")))
    equal([n for n in measure.PROGRAMS if not os.path.exists(measure.source_of(str(BENCH), n)) or n not in built], [],
          "programs without a source, or that CMake does not build")
    done = subprocess.run([sys.executable, BENCH / "run", "--list"], capture_output=True, text=True, check=True)
    equal([line.split()[0] for line in done.stdout.splitlines()], names, "--list")


def test_start(folder):
    """Programs that get a signal are measured to their end; those that end badly are named, with the way they ended."""
    start = os.path.join(folder, "start")
    subprocess.run(["cc", "-O1", "-o", start, BENCH / "start.c"], check=True)
    for script, status, said in (("/bin/true; exit 0", 0, ""), ("kill -CHLD $$; exit 0", 0, ""), ("exit 3", 1, "status 3"),
                                 ("kill -9 $$", 1, "signal 9")):
        done = subprocess.run([start, "-", "3", "sh", "-c", script], capture_output=True, text=True, timeout=30, check=False)
        equal(done.returncode, status, f"start of sh -c '{script}': {done.stderr}")
        check(said in done.stderr and (status != 0 or re.search(r"kib=[1-9]", done.stdout)), f"start: {done.stdout}{done.stderr}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "made-up.csv")
        write(path, report.COLUMNS)
        table = report.load(path)
        test_means(table)
        test_suite(table)
        test_row_bounds(table)
        test_pages(table, folder)
        test_old_file(folder)
        test_peers(folder)
        test_start(folder)
    test_rows()
    end()


main()
