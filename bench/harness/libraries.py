"""The libraries that are compared: ours, and the peers that Debian packages."""

import glob
import os
import re
import subprocess
import sys

OURS = "ashlar"
REFERENCE = "jemalloc"
DEFAULT_OURS = "build/release/libashlar.so.1"

# name: (file, Debian package); glibc is what runs when nothing is preloaded.
PEERS = {
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "glibc": (None, "libc6"),
    "mimalloc": ("libmimalloc.so.2", "libmimalloc2.0"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    "tbbmalloc": ("libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
    "scudo": ("libclang_rt.scudo_standalone-{machine}.so", "libclang-rt-14-dev"),
}

PLACES = ["/usr/lib/{machine}-linux-gnu/", "/usr/lib/llvm-14/lib/clang/*/lib/linux/"]


class Missing(Exception):
    """A library that was asked for is not there; the text says what to do."""


def find_peer(name):
    """The file of a peer, or "-" for no preload."""
    file, package = PEERS[name]
    if file is None:
        return "-"
    machine = os.uname().machine
    for place in PLACES:
        found = sorted(glob.glob((place + file).format(machine=machine)))
        if found:
            return found[-1]
    raise Missing(f"{name} is not installed: apt-get install {package}")


def parse(text):
    """(name, file) of a text NAME=FILE, the file one that a program starts with when it is preloaded."""
    name, _, file = text.partition("=")
    if not re.fullmatch(r"[\w.+-]+", name) or not file:
        raise Missing(f"\"{text}\" is not NAME=FILE")
    if file == "-":
        return name, file
    file = os.path.abspath(file)
    if not os.path.isfile(file):
        raise Missing(f"\"{text}\": there is no file {file}")
    done = subprocess.run(["true"], env=dict(os.environ, LD_PRELOAD=file), capture_output=True, text=True, check=False)
    if done.returncode != 0 or "cannot be preloaded" in done.stderr:
        raise Missing(f"\"{text}\": {file} cannot be preloaded" + (f" ({done.stderr.strip()})" if done.stderr else ""))
    return name, file


def choose(names, top, extra):
    """An ordered {name: file} for the names; extra holds NAME=FILE texts that define or replace names."""
    given = {}
    for text in extra:
        name, file = parse(text)
        if name in given:
            raise Missing(f"\"{text}\": {name} is given twice")
        given[name] = file
    if names is None:
        names = ([] if OURS in given else [OURS]) + list(given) + [n for n in PEERS if n not in given]
    names = names + [name for name in given if name not in names]
    chosen, problems = {}, []
    for name in names:
        try:
            chosen[name] = given[name] if name in given else find_one(name, top)
        except Missing as missing:
            problems.append(str(missing))
    if problems:
        raise Missing("\n".join(problems))
    return chosen


def find_one(name, top):
    if name == OURS:
        file = os.path.join(top, DEFAULT_OURS)
        if not os.path.exists(file):
            raise Missing(f"{OURS} is not built: no {DEFAULT_OURS} (type make), or name other libraries by --libs")
        return file
    if name not in PEERS:
        raise Missing(f"no library is called {name}; known: {OURS} {' '.join(PEERS)}")
    return find_peer(name)


def fail(message):
    print(f"bench: {message}", file=sys.stderr)
    sys.exit(2)
