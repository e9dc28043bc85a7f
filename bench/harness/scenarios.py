"""bench/run scenarios: whether memory goes back. Each scenario is run with default settings, judged by its bound, and is one
line of a table: scenario, bound, measured, ok."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile

from . import libraries, measure, workloads

THP = "/sys/kernel/mm/transparent_hugepage/enabled"


class Skipped(Exception):
    """The scenario cannot be tried here; the text says why."""


def run(bench, command, figure, library, file, conf=None):
    """One run of a program of this folder: what it printed and used."""
    words = [os.path.join(bench.programs, command[0]), *command[1:]]
    if conf:
        words = ["env", "MALLOC_CONF=" + conf, *words]
    row = workloads.Workload(command[0], words, figure)
    return measure.run(bench, row, library, file)


def kib(value):
    return f"{value / 1024:.1f} MiB"


# -- the scenarios: (bound, measured, is it met) -------------------------------------------------------------------

def burst(rate, parked):
    def judge(bench, libs, scale):
        command = ["burst", f"mib={int(max(256, 1024 * scale))}", "threads=32", "idle=15", f"rate={rate}",
                   f"parked={parked}", "keep=0"]
        said = run(bench, command, "over_kib", libraries.OURS, libs[libraries.OURS])
        limit = said["rss_kib"] - said["over_kib"]
        return f"RSS <= {kib(limit)}", kib(said["rss_kib"]), said["over_kib"] <= 0
    return judge


@contextlib.contextmanager
def thp_mode(mode):
    """The system's mode of transparent huge pages while inside; only the superuser may set it."""
    if not os.path.exists(THP):
        raise Skipped("the system has no transparent huge pages")
    with open(THP) as stream:
        before = stream.read().split("[")[1].split("]")[0]
    if before == mode:
        yield
        return
    # A run that is ended sets it back too.
    handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    set_thp(mode)
    try:
        yield
    finally:
        set_thp(before)
        signal.signal(signal.SIGTERM, handler)


def set_thp(mode):
    try:
        with open(THP, "w") as stream:
            stream.write(mode)
    except PermissionError:
        raise Skipped(f"only the superuser may set {THP} to {mode}") from None


def fragmented(mode):
    def judge(bench, libs, scale):
        command = ["fragmented", f"mib={int(max(128, 512 * scale))}", "threads=4", "idle=60"]
        row = workloads.Workload("fragmented", command, "rss_kib")
        pair = {name: libs[name] for name in (libraries.OURS, libraries.REFERENCE)}
        with thp_mode(mode):
            said = measure.run_together(bench, row, pair)
        own, other = said[libraries.OURS], said[libraries.REFERENCE]
        rss, figure = own["rss_kib"], own["own_kib"]
        return (f"RSS <= 1.2 x own figure, < {kib(other['rss_kib'])} of jemalloc",
                f"{kib(rss)}, {rss / figure:.2f} x own", rss <= 1.2 * figure and rss < other["rss_kib"])
    return judge


def drained(dist, threads):
    def judge(bench, libs, scale):
        command = ["drained", "dist=" + dist, f"threads={threads}", f"mib={int(max(16, 64 * scale))}", "waves=1", "idle=20"]
        ratio = {name: run(bench, command, "ratio", name, libs[name])["ratio"]
                 for name in (libraries.OURS, libraries.REFERENCE)}
        share = ratio[libraries.OURS] / ratio[libraries.REFERENCE]
        return "active <= 0.7 x jemalloc's", f"{share:.2f} ({ratio[libraries.OURS]:.1f} x kept)", share <= 0.7
    return judge


def cpu_time(command, limit=1.1):
    """CPU time against the best peer: the least of three runs each, in turn."""
    def judge(bench, libs, scale):
        words = [word.format(n=max(2, int(1 + 19 * scale))) for word in command]
        least = {}
        for _ in range(3):
            for name, file in libs.items():
                used = run(bench, words, "us", name, file)["cpu_s"]
                least[name] = min(used, least.get(name, used))
        best = min((used, name) for name, used in least.items() if name != libraries.OURS)
        share = least[libraries.OURS] / best[0]
        return f"CPU <= {limit} x best peer", f"{share:.2f} x {best[1]} ({least[libraries.OURS]:.2f} s)", share <= limit
    return judge


def container(bench, libs, scale):
    """The test's program, in a file system of a container that is made up: see test/soak/container.sh."""
    top = os.path.dirname(bench.source)
    tests = os.path.join(top, "build", "release", "test", "soak")
    pretend, program = os.path.join(tests, "pretend.so"), os.path.join(tests, "prog", "container")
    if not (os.path.exists(pretend) and os.path.exists(program)):
        raise Skipped("build/release/test/soak is not built")
    limit = 512 << 20
    with tempfile.TemporaryDirectory() as root:
        group = os.path.join(root, "sys/fs/cgroup/host/pod")
        os.makedirs(group)
        os.makedirs(os.path.join(root, "proc/self"))
        for path, text in ((os.path.join(root, "proc/self/cgroup"), "0::/host/pod"),
                           (os.path.join(group, "cpu.max"), "100000 100000"),
                           (os.path.join(group, "memory.max"), str(limit))):
            with open(path, "w") as stream:
                stream.write(text + "\n")
        environment = dict(os.environ, PRETEND_ROOT=root, PRETEND_CPUS="64",
                           LD_PRELOAD=f"{pretend}:{libs[libraries.OURS]}")
        done = subprocess.run([program, str(limit)], env=environment, stdout=subprocess.PIPE, text=True, timeout=300,
                              check=True)
    arenas, most = map(int, done.stdout.split())
    return "<= 4 arenas, < 512 MiB", f"{arenas}, {kib(most)}", arenas <= 4 and most < limit >> 10


def available_mib():
    with open("/proc/meminfo") as stream:
        return next(int(line.split()[1]) // 1024 for line in stream if line.startswith("MemAvailable"))


def pause(how, conf=None):
    def judge(bench, libs, scale):
        mib = int((8192 if available_mib() >= 12 * 1024 else 4096) * max(scale, 0.1))
        command = ["pause", f"mib={mib}", "how=" + how, "seconds=15"]
        said = {name: run(bench, command, "p9999_us", name, file, conf) for name, file in libs.items()}
        own = said[libraries.OURS]
        # Who purges nothing pauses for nothing.
        peers = [(s["p9999_us"], name) for name, s in said.items()
                 if name != libraries.OURS and s["purged_mib"] > mib / 2]
        best = min(peers) if peers else (float("inf"), "none")
        return (f"p99.99 <= 1000 us, <= {best[0]:.1f} us of {best[1]}",
                f"{own['p9999_us']:.1f} us (a no-op {own['noop_us']:.1f}; most {own['max_us'] / 1e3:.1f} ms, "
                f"no-op {own['noop_max_us'] / 1e3:.1f} ms)",
                own["p9999_us"] <= min(1000, best[0]))
    return judge


TABLE = [
    ("burst of 1 GiB, 32 threads park", burst(0, 1)),
    ("burst of 1 GiB, 32 threads end", burst(0, 0)),
    ("burst of 1 GiB, main thread goes on", burst(200, 1)),
    ("90 % of small blocks freed, THP madvise", fragmented("madvise")),
    ("90 % of small blocks freed, THP always", fragmented("always")),
    ("1 % stays, 16 to 512 B, 1 thread", drained("small", 1)),
    ("1 % stays, 16 to 512 B, 8 threads", drained("small", 8)),
    ("1 % stays, Pareto to 32 KiB, 1 thread", drained("pareto", 1)),
    ("1 % stays, Pareto to 32 KiB, 8 threads", drained("pareto", 8)),
    *((f"malloc, touch, free of {mib} MiB", cpu_time(["large", "mode=touch", f"mib={mib}", f"count={6400 // mib}"]))
      for mib in (1, 4, 8, 16, 64)),
    ("realloc doubling to 1 GiB", cpu_time(["large", "mode=realloc", "mib=1024", "count=2"])),
    ("calloc of 256 MiB", cpu_time(["large", "mode=zero", "mib=256", "count={n}"])),
    ("1 CPU, 512 MiB on a host of 64 CPUs", container),
    ("worst call, 8 GiB purged by age", pause("age")),
    ("worst call, the same within 1 s", pause("age", "dirty_decay_ms:1000")),
    ("worst call, 8 GiB purged by request", pause("call")),
]


def run_all(bench, libs, scale, names):
    """Prints the table; the number of scenarios whose bound was missed. A name is part of a scenario's."""
    missed = 0
    print(f"{'scenario':<40} {'bound':<44} {'measured':<44} ok")
    for title, judge in TABLE:
        if names and not any(name in title for name in names):
            continue
        try:
            bound, measured, met = judge(bench, libs, scale)
        except Skipped as why:
            print(f"{title:<40} {'-':<44} {'skipped: ' + str(why)}")
            continue
        except (measure.Failed, subprocess.SubprocessError) as failed:
            bound, measured, met = "-", str(failed).splitlines()[0], False
        missed += not met
        print(f"{title:<40} {bound:<44} {measured:<44} {'yes' if met else 'NO'}")
        sys.stdout.flush()
    return missed
