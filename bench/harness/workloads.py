"""The matrix: every workload, its parameters, its own figure, and the bounds that it is held to."""

import math
import shutil
import sys
from dataclasses import dataclass, field

from . import libraries

PEAK_GEOMEAN = 1.0


@dataclass
class Bound:
    """metric (a figure's name, or cpu_s) against `than`: "jemalloc", "best" (of the peers), "value", or "above glibc": how
    much more than glibc's."""

    metric: str
    than: str
    limit: float
    at_least: bool = False

    def text(self):
        sign = ">=" if self.at_least else "<="
        against = {"value": "", "above glibc": " above glibc"}.get(self.than, f" x {self.than}")
        return f"{self.metric} {sign} {self.limit:g}{against}"


@dataclass
class Workload:
    """One row of the matrix.

    kind: "timed"    runs in every round, the libraries in turn;
          "together" runs once, all libraries at the same time (a memory figure after a long wait);
          "once"     runs once per library (a figure that does not vary, or barely).
    long: a quick run leaves it out.
    preload: False when the program places the library itself; "{lib}" in the command is its file.
    """

    name: str
    command: list
    figure: str = None
    high: bool = False
    bounds: list = None
    kind: str = "timed"
    preload: bool = True
    check_output: bool = False
    needs: list = field(default_factory=list)
    idles: bool = False
    long: bool = False

    def __post_init__(self):
        if self.bounds is None:
            self.bounds = [Bound("cpu_s", "jemalloc", 1.0)] if self.kind == "timed" else []


def build(scale):
    """All workloads; scale 1 is the full matrix, a smaller one does less of the same. Rows that take a moment
    only shrink with the root of it, else the start of the process would be most of what is measured."""

    def n(count):
        return str(max(1, int(count * scale)))

    def short(count):
        return str(max(1, int(count * math.sqrt(scale))))

    return (steps() + calls(short) + sets(n, short) + lifetimes(n) + threads(n) + starts(n) +
            large_blocks(n, short, scale) + resident(n) + real_programs(n, scale))


def steps():
    rows = []
    for size in (16, 64, 256, 1024, 4096):
        rows.append(Workload(f"steps-{size}", ["steps", "{lib}", "pair", str(size)], "malloc", kind="once", preload=False,
                             bounds=[Bound("malloc", "value", 18), Bound("free", "value", 18)]))
    for size in (16, 64, 256, 1024, 4096):
        rows.append(Workload(f"steps-sized-{size}", ["steps", "{lib}", "sized", str(size)], "sized_free", kind="once",
                             preload=False, bounds=[Bound("sized_free", "value", 18)]))
    for name, flags in (("plain", 0), ("align64", 6)):
        rows.append(Workload(f"steps-mallocx-{name}", ["steps", "{lib}", f"flags={flags}", "64"], "mallocx", kind="once",
                             preload=False, bounds=[Bound("mallocx", "value", 24)]))
    return rows


def calls(n):
    rows = []
    reps = "reps=" + str(max(3, int(n(9))))
    for size in (16, 64, 256, 1024, 4096):
        rows.append(Workload(f"single-{size}", ["pairs", f"size={size}", "mode=single", "count=" + n(4e6), reps],
                             "single_ns", bounds=[Bound("single_ns", "best", 1.0)]))
    limits = {256: 0.35, 1024: 0.25, 4096: 0.20, 16384: 0.25}
    for size in (16, 64, 256, 1024, 4096, 16384):
        count = "count=" + n({4096: 500e3, 16384: 200e3}.get(size, 2e6))
        bound = [Bound("batch_ns", "jemalloc", limits[size])] if size in limits else None
        rows.append(Workload(f"batch64-{size}", ["pairs", f"size={size}", "mode=batch", count, reps],
                             "batch_ns", bounds=bound))
    rows.append(Workload("batch64-classes", ["pairs", "mode=classes", "count=" + n(1e6), "reps=3"], "mean_ns", idles=True))
    return rows


def sets(n, short):
    rows = []
    for order, size, depth, count in (("lifo", 64, 1000, 15e6), ("fifo", 64, 1000, 15e6),
                                      ("shuffle", 256, 10000, 5e6), ("fifo", 1024, 1000, 4e6),
                                      ("lifo", 16384, 100, 500e3), ("shuffle", 4096, 1000, 1e6)):
        rows.append(Workload(f"{order}-{size}x{depth}", ["batches", f"size={size}", f"depth={depth}",
                                                         f"order={order}", "count=" + short(count)], "ns", idles=True))
    for name, blocks, size, ops in (("live-1k-1KiB", "1000", 1024, short(20e6)),
                                    ("live-200k-256B", "200000", 256, short(5e6)),
                                    ("live-20k-16KiB", "20000", 16384, n(1e6)),
                                    ("live-2M-1KiB", n(2e6), 1024, n(2e6))):
        rows.append(Workload(name, ["live", "blocks=" + blocks, f"max={size}", "ops=" + ops], "ns", idles=True))
    rows.append(Workload("live-200k-alone", ["live", "blocks=200000", "max=256", "touch=0", "ops=" + short(5e6)],
                         "ns", bounds=[Bound("ns", "best", 0.7)], idles=True))
    rows.append(Workload("calloc-small", ["live", "blocks=10000", "max=512", "zero=1", "ops=" + n(8e6)], "ns", idles=True))
    rows.append(Workload("aligned", ["aligned", "ops=" + n(3e6)], "ns", idles=True))
    rows.append(Workload("realloc-vectors", ["vectors", "ops=" + n(1e6)], "ns", idles=True))
    return rows


def lifetimes(n):
    rows = []
    for sizes, part, ops in (("log", "", 4e6), ("small", "small-", 8e6), ("pareto", "pareto-", 6e6)):
        for threads in (1, 4):
            rows.append(Workload(f"mixed-{part}{threads}", ["mixed", "sizes=" + sizes, f"threads={threads}",
                                                            "ops=" + n(ops / threads)], "ns", idles=True))
    rows.append(Workload("phases", ["phases", "mib=" + n(96)], "over_live", idles=True))
    return rows


def threads(n):
    flat = Bound("growth_kib", "value", 1024)
    return [
        Workload("larson-4", ["larson", "threads=4", "generations=" + n(200), "ops=20000"], "mops", True, idles=True),
        Workload("larson-16", ["larson", "threads=16", "generations=" + n(100), "ops=5000", "max=4096"], "mops", True,
                 idles=True),
        Workload("xthread-64B", ["xthread", "lanes=1", "blocks=" + n(8e6)], "mblocks", True,
                 bounds=[Bound("mblocks", "jemalloc", 4.0, at_least=True)], idles=True),
        Workload("xthread-2-mixed", ["xthread", "lanes=2", "min=16", "max=1024", "blocks=" + n(8e6)], "mblocks",
                 True, idles=True),
        *(Workload("xthread-" + name, ["xthread", "shape=" + shape, "lanes=4", "min=16", "max=1024", "blocks=" + n(8e6)],
                   "mblocks", True, idles=True)
          for name, shape in (("4-to-1", "in"), ("1-to-4", "out"), ("ring-4", "ring"))),
        Workload("churn-8", ["churn", "threads=" + n(30e3), "at=8"], "us_thread",
                 bounds=[Bound("cpu_s", "jemalloc", 0.8), flat], idles=True),
        Workload("churn-survivors", ["churn", "threads=" + n(10e3), "at=8", "survivors=200"], "us_thread", idles=True),
        Workload("falseshare-active", ["falseshare", "mode=active", "rounds=" + n(200e3)], "ns_write"),
        Workload("falseshare-passive", ["falseshare", "mode=passive", "rounds=" + n(200e3)], "ns_write"),
    ]


def starts(n):
    near_glibc = [Bound("us", "above glibc", 500), Bound("kib", "above glibc", 500)]
    return [
        Workload("start-true", ["start", "{lib}", n(500), "true"], "us", preload=False, bounds=near_glibc),
        Workload("thread-first", ["first", "threads=" + n(20e3)], "first_ns"),
    ]


def large_blocks(n, short, scale):
    rows = []
    near_best = [Bound("cpu_s", "best", 1.1)]
    for mib in (1, 4, 8, 16, 64):
        # Kept blocks of up to 4 MiB cost so little that more of them are needed to be more than the start of a process.
        much = ["count=" + n(3200 / mib)] if mib > 4 else ["count=" + n(16000), "most_ms=" + n(2000)]
        rows.append(Workload(f"touch-{mib}MiB", ["large", "mode=touch", f"mib={mib}", *much], "us", bounds=near_best,
                             idles=True))
    rows.append(Workload("realloc-1GiB", ["large", "mode=realloc", "mib=1024" if scale >= 0.5 else "mib=256", "count=1"], "us", bounds=near_best,
                         idles=True))
    rows.append(Workload("calloc", ["large", "mode=calloc", "count=" + short(1500)], "us", idles=True))
    rows.append(Workload("calloc-256MiB", ["large", "mode=zero", "mib=256", "count=" + n(6)], "us",
                         bounds=near_best, idles=True))
    rows.append(Workload("calloc-256MiB-spare", ["large", "mode=zero", "mib=256", "pages=1", "count=" + n(5000), "most_ms=" + n(1500)], "us",
                         bounds=near_best, idles=True))
    reach, seconds = ("1024", "4") if scale >= 1 else ("64", "1")
    for mode in ("malloc", "touch", "calloc", "realloc"):
        rows.append(Workload("cliffs-" + mode, ["cliffs", "mode=" + mode, "mib=" + reach, "seconds=" + seconds], "worst",
                             kind="once", long=True, bounds=[Bound("worst", "value", 1.5)]))
    return rows


def resident(n):
    rows = []
    mib = "mib=" + str(max(256, int(n(1024))))
    for name, parked in (("burst-parked", 1), ("burst-exited", 0)):
        rows.append(Workload(name, ["burst", "threads=32", mib, "idle=15", f"parked={parked}"], "rss_kib",
                             kind="together", long=True, bounds=[Bound("over_kib", "value", 0)]))
    for name, threads in (("burst-light", 32), ("burst-alone", 0)):
        rows.append(Workload(name, ["burst", f"threads={threads}", mib, "idle=15", "rate=200"], "rss_kib",
                             kind="together", long=True, bounds=[Bound("over_kib", "value", 0)]))
    rows.append(Workload("burst-kept", ["burst", "threads=32", mib, "idle=15", "keep=50"], "rss_kib",
                         kind="together", long=True))
    rows.append(Workload("idle-threads", ["idle", "threads=1000"], "kib_thread", kind="once", long=True,
                         bounds=[Bound("kib_thread", "value", 8)]))
    rows.append(Workload("ctl", ["ctl"], "read_ns", kind="once",
                         bounds=[Bound("read_ns", "value", 200), Bound("epoch_us", "value", 100)]))
    rows.append(Workload("static-tls", ["{bench}/tls", "{lib}"], "tls_bytes", kind="once", preload=False,
                         bounds=[Bound("tls_bytes", "value", 8)]))
    return rows


def real_programs(n, scale):
    size = "{inputs}/" + ("full" if scale >= 1 else "quick")

    def row(name, needs, *command):
        return Workload("real-" + name, list(command), "cpu_s", check_output=True, needs=needs)

    return [
        # Not what PATH calls python3: that may be a shell script which looks for it.
        row("python", [], sys.executable, "-I", "{bench}/real/objects.py", n(6)),
        row("perl", ["perl"], "perl", "{bench}/real/words.pl", size + ".txt", n(2)),
        row("ruby", ["ruby"], "ruby", "{bench}/real/words.rb", size + ".txt", n(2)),
        row("sqlite", ["sqlite3"], "sqlite3", "-batch", "-bail", ":memory:", ".read " + size + ".sql"),
        row("gcc", ["gcc"], "gcc", "-O2", "-S", "-o", "-", size + ".c"),
        row("clang", ["clang"], "clang", "-O2", "-S", "-o", "-", size + ".c"),
        row("sort", ["sort"], "env", "LC_ALL=C", "sort", "--parallel=2", "-S", "256M", size + ".txt"),
        row("xz", ["xz"], "xz", "-T2", "-1", "--block-size=1MiB", "-c", size + ".txt"),
        row("nodes", ["g++"], "nodes", n(6)),
        *(Workload("real-redis" + end, ["{bench}/real/redis", "{launch}", "{lib}", n(requests), mix], "kops", True,
                   preload=False, needs=["redis-server", "redis-benchmark", "redis-cli"])
          for end, mix, requests in (("", "all", 30e3), ("-small", "small", 100e3), ("-sizes", "sizes", 30e3),
                                     ("-pushes", "pushes", 50e3))),
    ]


# Programs of real_programs() and the Debian package of each.
PACKAGES = {"perl": "perl", "ruby": "ruby", "g++": "g++", "sqlite3": "sqlite3", "gcc": "gcc", "clang": "clang",
            "sort": "coreutils", "xz": "xz-utils", "redis-server": "redis-server",
            "redis-benchmark": "redis-tools", "redis-cli": "redis-tools"}


def select(rows, names):
    """The rows whose name is, or begins with, one of the names; all when there are none."""
    for name in names:
        if not any(row.name.startswith(name) for row in rows):
            libraries.fail(f"no workload begins with {name}; bench/run --list shows them")
    exact = {row.name for row in rows} & set(names)
    begin = tuple(name for name in names if name not in exact)
    return [r for r in rows if not names or r.name in exact or (begin and r.name.startswith(begin))]


def check_tools(rows):
    missing = sorted({tool for row in rows for tool in row.needs if shutil.which(tool) is None})
    if missing:
        packages = sorted({PACKAGES[tool] for tool in missing})
        libraries.fail(f"not installed: {' '.join(missing)}: apt-get install {' '.join(packages)}")
