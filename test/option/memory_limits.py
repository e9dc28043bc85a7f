#!/usr/bin/env python3
"""The limits of memory that options and made-up control groups come to.

The environment gives LIB, the shared library, and BUILD, below which there is test/soak/pretend.so.
"""
import os
import subprocess
import sys
import tempfile

LIB = os.environ["LIB"]
PRETEND = os.path.join(os.environ["BUILD"], "test", "soak", "pretend.so")
CTL = os.path.join(os.environ.get("BINDIR", os.getcwd()), "prog", "ctl")
MIB, GIB = 1 << 20, 1 << 30
RAM = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
failures = []

# memory.max, memory.high, options; the limits that makes. None: the file is missing.
ROWS = [
    (None, None, "", 0, 0),
    ("max", "max", "", 0, 0),
    (512 * MIB, "max", "", 512 * MIB * 9 // 10, 0),
    (512 * MIB, 256 * MIB, "", 256 * MIB * 9 // 10, 0),
    (512 * MIB, 768 * MIB, "", 512 * MIB * 9 // 10, 0),
    (None, 300 * MIB, "", 270 * MIB, 0),
    (512 * MIB, None, "memory_limit_soft:default,memory_limit_hard:default", 512 * MIB * 9 // 10, 0),
    (512 * MIB, None, "memory_limit_soft:0", 0, 0),
    (512 * MIB, None, "memory_limit_soft:0%", 0, 0),
    (512 * MIB, None, "memory_limit_soft:50%,memory_limit_hard:100%", 256 * MIB, 512 * MIB),
    (512 * MIB, 100 * MIB, "memory_limit_soft:50%,memory_limit_hard:75%", 256 * MIB, 384 * MIB),
    (512 * MIB, None, "memory_limit_soft:12.5%", 64 * MIB, 0),
    (512 * MIB, None, "memory_limit_soft:2g,memory_limit_hard:64m", 2 * GIB, 64 * MIB),
    (512 * MIB, None, "memory_limit_hard:1048576", 512 * MIB * 9 // 10, 1048576),
    (None, None, "memory_limit_soft:0x10000k,memory_limit_hard:1T", 64 * MIB, 1024 * GIB),
    (None, None, "memory_limit_soft:25%,memory_limit_hard:50%", RAM // 4, RAM // 2),
    ("max", "max", "memory_limit_soft:25%", RAM // 4, 0),
    ("9223372036854771712", None, "memory_limit_soft:25%", RAM // 4, 0),
    (512 * MIB, None, "memory_limit_soft:lots,memory_limit_hard:101%", 512 * MIB * 9 // 10, 0),
]


def put(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{text}\n")


def read(root, conf, name, kind="size"):
    env = dict(os.environ, LD_PRELOAD=f"{PRETEND}:{LIB}", PRETEND_ROOT=root, PRETEND_CPUS="64", MALLOC_CONF=conf)
    done = subprocess.run([CTL, "read", kind, name], env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def expect(wanted, got, *what):
    if str(wanted) != got:
        failures.append(f"{what}: expected {wanted}, got {got}")


def near(wanted, got, *what):
    if not got.isdigit() or abs(int(got) - wanted) > wanted // 1000:
        failures.append(f"{what}: expected about {wanted}, got {got}")


def check_row(most, high, conf, soft, hard):
    with tempfile.TemporaryDirectory() as root:
        put(root, "proc/self/cgroup", "0::/pod")
        for name, value in (("max", most), ("high", high)):
            if value is not None:
                put(root, f"sys/fs/cgroup/pod/memory.{name}", value)
        near(soft, read(root, conf, "ashlar.limit.soft"), "soft", most, high, conf)
        near(hard, read(root, conf, "ashlar.limit.hard"), "hard", most, high, conf)


def check_machine():
    """What was found out is told."""
    with tempfile.TemporaryDirectory() as root:
        put(root, "proc/self/cgroup", "7:cpu,cpuacct:/a/b\n4:memory:/a/b\n0::/x")
        put(root, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", 250000)
        put(root, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", 100000)
        put(root, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", 800 * MIB)
        put(root, "sys/fs/cgroup/memory/a/memory.limit_in_bytes", 700 * MIB)
        put(root, "sys/fs/cgroup/unified/x/memory.high", 600 * MIB)
        for name, wanted in (("cpus", 3), ("cpus_there", 64), ("memory_max", 700 * MIB), ("memory_high", 600 * MIB)):
            expect(wanted, read(root, "", f"stats.ashlar.machine.{name}"), name)
        near(RAM, read(root, "", "stats.ashlar.machine.memory"), "memory")
        expect(12, read(root, "", "opt.narenas", "unsigned"), "narenas")
        expect(5, read(root, "narenas:5", "opt.narenas", "unsigned"), "narenas:5")
        put(root, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", 20000)
        expect(1, read(root, "", "opt.narenas", "unsigned"), "narenas of one CPU")
        expect(64, read(root, "narenas:64", "opt.narenas", "unsigned"), "narenas:64 of one CPU")


def main():
    for row in ROWS:
        check_row(*row)
    check_machine()
    for line in failures:
        print(line)
    sys.exit(bool(failures))


main()
