"""Builds the programs, runs one workload on one library, and gives back what it used."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

C_PROGRAMS = ["pairs", "batches", "live", "larson", "xthread", "churn", "mixed", "phases", "aligned", "vectors", "first",
              "large", "falseshare", "burst", "fragmented", "drained", "pause", "cliffs", "idle", "steps", "calls", "ctl",
              "launch", "start"]
CXX_PROGRAMS = ["nodes"]
PROGRAMS = C_PROGRAMS + CXX_PROGRAMS
STATIC = ["launch", "start"]
CXX = os.environ.get("CXX", "g++")
TIMEOUT = 600
USED = ("user_s", "sys_s", "elapsed_s", "peak_kib", "minor_faults", "major_faults", "instructions")
PAIR = re.compile(r"(\w+)=(\S+)")


class Failed(Exception):
    """A workload did not end well; the text names it and quotes what it said."""


class Bench:
    """Where the programs and inputs are, and whether instructions are counted."""

    def __init__(self, source, programs):
        self.counted = False
        self.source = source
        self.programs = programs
        self.inputs = os.path.join(programs, "inputs")
        self.launch = os.path.join(programs, "launch")

    def fill(self, command, lib):
        places = {"bench": self.source, "inputs": self.inputs, "launch": self.launch, "lib": lib}
        words = [word.format(**places) for word in command]
        if words[0] in PROGRAMS:
            words[0] = os.path.join(self.programs, words[0])
        return words


def source_of(source, name):
    return os.path.join(source, name + (".cpp" if name in CXX_PROGRAMS else ".c"))


def current(source, programs, name):
    """True when the program is there and not older than what it is made of."""
    out = os.path.join(programs, name)
    inputs = [source_of(source, name), os.path.join(source, "bench.h")]
    return os.path.exists(out) and os.path.getmtime(out) >= max(map(os.path.getmtime, inputs))


def build(source, programs, compiler):
    """Compiles what is missing or older than its source, with the flags of bench/CMakeLists.txt. The C++ programs are
    left out where there is no compiler for them: a row that needs one says so."""
    os.makedirs(programs, exist_ok=True)
    cxx = shutil.which(CXX)
    for name in PROGRAMS if cxx else C_PROGRAMS:
        if current(source, programs, name):
            continue
        how = [cxx, "-std=c++17", "-O2"] if name in CXX_PROGRAMS else \
            [compiler, "-std=c11", "-O2", "-fno-builtin", "-pthread"]
        link = ["-static"] if name in STATIC else ["-ldl", "-lm"]
        subprocess.run(how + [source_of(source, name), "-o", os.path.join(programs, name)] + link, check=True)


def make_inputs(bench, rows):
    """What the real programs among the rows read."""
    if any(row.check_output for row in rows):
        subprocess.run([sys.executable, os.path.join(bench.source, "real", "generate"), bench.inputs], check=True)


def why_no_counter(bench):
    """The reason why instructions cannot be counted here, or None."""
    said, out, _ = launch(bench, ["true"], "-", dict(os.environ, LAUNCH_COUNT="1"))
    out.close()
    return os.strerror(int(said.get("no_counter", 0))) if said.get("no_counter") else None


def digest(file):
    file.seek(0)
    sums = hashlib.sha256()
    for part in iter(lambda: file.read(1 << 20), b""):
        sums.update(part)
    return sums.hexdigest()[:16]


def figures(text):
    """The name=value pairs that a program printed; numbers as numbers."""
    out = {}
    for name, value in PAIR.findall(text):
        try:
            out[name] = float(value)
        except ValueError:
            out[name] = value
    return out


def launch(bench, words, preload, environment):
    """Runs words under the launcher: (its report, standard output as an open file, standard error)."""
    read, write = os.pipe()
    out = tempfile.TemporaryFile()
    err = tempfile.TemporaryFile()
    command = [bench.launch, str(write), str(TIMEOUT), preload] + words
    child = subprocess.Popen(command, pass_fds=[write], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                             env=environment)
    os.close(write)
    try:
        with os.fdopen(read) as report:
            said = figures(report.read())
        child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
    err.seek(0)
    return said, out, err.read().decode(errors="replace")


def run(bench, workload, name, lib, idle=0):
    """One run of a workload on a library: a dictionary with cpu_s, user_s, sys_s, elapsed_s, peak_kib and
    everything the program printed. A program's own cpu_s and so on replace those of the launcher."""
    words = bench.fill(workload.command, lib)
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    environment.pop("BENCH_IDLE", None)
    environment.pop("LAUNCH_COUNT", None)
    if bench.counted:
        environment["LAUNCH_COUNT"] = "1"
    if idle:
        environment["BENCH_IDLE"] = str(idle)
    said, out, err = launch(bench, words, lib if workload.preload else "-", environment)
    with out:
        if said.get("status") != 0 or "cannot be preloaded" in err:
            why = "took too long" if said.get("expired") else f"status {said.get('status')}"
            raise Failed(f"{workload.name} on {name}: {why}\n  {' '.join(words)}\n  {err.strip()[-500:]}")
        result = {key: said[key] for key in USED if key in said}
        result["cpu_s"] = said["user_s"] + said["sys_s"]
        if workload.check_output:
            result["output"] = digest(out)
        else:
            out.seek(0)
            result.update(figures(out.read().decode(errors="replace")))
    if not workload.preload:
        result["cpu_s"] = result["user_s"] + result["sys_s"]
    if workload.figure not in result:
        raise Failed(f"{workload.name} on {name}: it printed no {workload.figure}")
    return result


def callgrind(words, preload, out):
    """Runs words, and all that they start, under callgrind: instructions in all. `out` is a name for the files of all processes."""
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    if preload != "-":
        environment["LD_PRELOAD"] = preload
    # nouserintercepts: valgrind would put its own malloc in the place of the preloaded one.
    done = subprocess.run(["valgrind", "--tool=callgrind", "--trace-children=yes", "--soname-synonyms=somalloc=nouserintercepts",
                           "--callgrind-out-file=" + out] + words, env=environment, capture_output=True, text=True,
                          errors="replace", check=False)
    found = re.findall(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise Failed(f"{' '.join(words)} under valgrind: {done.stderr.strip()[-600:]}")
    return sum(map(int, found))


def run_together(bench, workload, libraries, idle=0):
    """Runs the workload on all libraries at once, for memory figures: times mean nothing and are left out."""

    def one(item):
        result = run(bench, workload, item[0], item[1], idle)
        for key in ("cpu_s", "user_s", "sys_s", "elapsed_s", "minor_faults", "major_faults", "instructions"):
            result.pop(key, None)
        return item[0], result

    with ThreadPoolExecutor(len(libraries)) as pool:
        return dict(pool.map(one, libraries.items()))
