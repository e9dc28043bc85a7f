"""Builds the programs, runs one workload on one library, and gives back what it used."""

import hashlib
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

PROGRAMS = ["pairs", "batches", "live", "larson", "xthread", "churn", "mixed", "large", "falseshare", "burst",
            "fragmented", "drained", "pause", "cliffs", "idle", "steps", "calls", "ctl", "launch"]
TIMEOUT = 600
PAIR = re.compile(r"(\w+)=(\S+)")


class Failed(Exception):
    """A workload did not end well; the text names it and quotes what it said."""


class Bench:
    """Where the programs and inputs are."""

    def __init__(self, source, programs):
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


def build(source, programs, compiler):
    """Compiles what is missing or older than its source, with the flags of bench/CMakeLists.txt."""
    os.makedirs(programs, exist_ok=True)
    for name in PROGRAMS:
        file = os.path.join(source, name + ".c")
        out = os.path.join(programs, name)
        inputs = [file, os.path.join(source, "bench.h")]
        if os.path.exists(out) and os.path.getmtime(out) >= max(map(os.path.getmtime, inputs)):
            continue
        link = ["-static"] if name == "launch" else ["-ldl", "-lm"]
        subprocess.run([compiler, "-std=c11", "-O2", "-fno-builtin", "-pthread", file, "-o", out] + link, check=True)


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
    if idle:
        environment["BENCH_IDLE"] = str(idle)
    said, out, err = launch(bench, words, lib if workload.preload else "-", environment)
    with out:
        if said.get("status") != 0 or "cannot be preloaded" in err:
            why = "took too long" if said.get("expired") else f"status {said.get('status')}"
            raise Failed(f"{workload.name} on {name}: {why}\n  {' '.join(words)}\n  {err.strip()[-500:]}")
        result = {key: said[key] for key in ("user_s", "sys_s", "elapsed_s", "peak_kib")}
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


def run_together(bench, workload, libraries, idle=0):
    """Runs the workload on all libraries at once, for memory figures: times mean nothing and are left out."""

    def one(item):
        result = run(bench, workload, item[0], item[1], idle)
        for key in ("cpu_s", "user_s", "sys_s", "elapsed_s"):
            result.pop(key, None)
        return item[0], result

    with ThreadPoolExecutor(len(libraries)) as pool:
        return dict(pool.map(one, libraries.items()))
