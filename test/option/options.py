#!/usr/bin/env python3
"""MALLOC_CONF: what is accepted, what is refused with which words, and what the options do.

The environment gives LIB, the shared library; the probe is built into prog/ of the current folder.
"""
import os
import re
import resource
import signal
import subprocess
import sys

LIB = os.environ["LIB"]
PROBE = os.path.join(os.environ.get("BINDIR", os.getcwd()), "prog", "probe")
failures = []
count = 0


def run(conf, *args):
    """The probe with this configuration: (status, stdout, stderr)."""
    env = dict(os.environ, LD_PRELOAD=LIB)
    env.pop("MALLOC_CONF", None)
    if conf is not None:
        env["MALLOC_CONF"] = conf
    done = subprocess.run([PROBE, *(args or ["nothing"])], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    return done.returncode, done.stdout, done.stderr


def expect(good, conf, what, seen):
    global count
    count += 1
    if not good:
        failures.append(f"{conf!r}: {what}; seen {seen!r}")


# A configuration that is fine: nothing is printed.
ACCEPTED = [
    None, "", "narenas:1", "narenas:default", "narenas:3", "narenas:0x10", "narenas:010", "narenas: 2", "narenas:+2",
    "tcache:true", "tcache:false", "dirty_decay_ms:0", "dirty_decay_ms:-1", "dirty_decay_ms:1",
    "dirty_decay_ms:10000", "muzzy_decay_ms:0", "muzzy_decay_ms:-1", "muzzy_decay_ms:1000", "zero_realloc:free",
    "zero_realloc:alloc", "zero_realloc:abort", "xmalloc:true", "xmalloc:false", "abort_conf:true",
    "abort_conf:false", "confirm_conf:false", "stats_print:false",
    "narenas:2,tcache:false,dirty_decay_ms:5000,muzzy_decay_ms:0,zero_realloc:free",
    # The last one of a repeated key wins, so neither is wrong.
    "narenas:1,narenas:2,narenas:3", "tcache:false,tcache:true",
    "abort_conf:true,narenas:2,tcache:true",
]

# Refused pairs: (configuration, the exact messages in order). The rest of the string stays in effect.
INVALID_PAIR = "<ashlar>: Invalid conf pair: "
INVALID_VALUE = "<ashlar>: Invalid conf value: "
OUT_OF_RANGE = "<ashlar>: Out-of-range conf value: "
REFUSED = [
    ("no_such_option:1", [INVALID_PAIR + "no_such_option:1"]),
    ("nonsense:true,narenas:2", [INVALID_PAIR + "nonsense:true"]),
    ("narenas:2,nonsense:a:b|c-d", [INVALID_PAIR + "nonsense:a:b|c-d"]),
    ("Narenas:2", [INVALID_PAIR + "Narenas:2"]),
    ("narena:2", [INVALID_PAIR + "narena:2"]),
    ("narenass:2", [INVALID_PAIR + "narenass:2"]),
    (":1", [INVALID_PAIR + ":1"]),
    ("one:1,two:2,three:3", [INVALID_PAIR + "one:1", INVALID_PAIR + "two:2", INVALID_PAIR + "three:3"]),
    ("tcache:yes", [INVALID_VALUE + "tcache:yes"]),
    ("tcache:True", [INVALID_VALUE + "tcache:True"]),
    ("tcache:1", [INVALID_VALUE + "tcache:1"]),
    ("tcache:", [INVALID_VALUE + "tcache:"]),
    ("tcache:true ", [INVALID_VALUE + "tcache:true "]),
    ("tcache:tru", [INVALID_VALUE + "tcache:tru"]),
    ("xmalloc:on", [INVALID_VALUE + "xmalloc:on"]),
    ("narenas:many", [INVALID_VALUE + "narenas:many"]),
    ("narenas:4k", [INVALID_VALUE + "narenas:4k"]),
    ("narenas:4 ", [INVALID_VALUE + "narenas:4 "]),
    ("narenas:0x", [INVALID_VALUE + "narenas:0x"]),
    ("narenas:09", [INVALID_VALUE + "narenas:09"]),
    ("narenas:", [INVALID_VALUE + "narenas:"]),
    ("narenas:99999999999999999999999", [INVALID_VALUE + "narenas:99999999999999999999999"]),
    ("dirty_decay_ms:soon", [INVALID_VALUE + "dirty_decay_ms:soon"]),
    ("dirty_decay_ms:1.5", [INVALID_VALUE + "dirty_decay_ms:1.5"]),
    ("zero_realloc:crash", [INVALID_VALUE + "zero_realloc:crash"]),
    ("zero_realloc:Free", [INVALID_VALUE + "zero_realloc:Free"]),
    ("narenas:0", [OUT_OF_RANGE + "narenas:0"]),
    ("dirty_decay_ms:-2", [OUT_OF_RANGE + "dirty_decay_ms:-2"]),
    ("muzzy_decay_ms:-3", [OUT_OF_RANGE + "muzzy_decay_ms:-3"]),
    ("dirty_decay_ms:9223372036854775807", [OUT_OF_RANGE + "dirty_decay_ms:9223372036854775807"]),
    ("tcache:no,narenas:0,bogus:x",
     [INVALID_VALUE + "tcache:no", OUT_OF_RANGE + "narenas:0", INVALID_PAIR + "bogus:x"]),
]

# Strings that end parsing, with the start of the excerpt: the offending pair up to the offending character.
MALFORMED = [
    ("narenas", "Conf string ends with key -- narenas"),
    ("narenas:2,tcache", "Conf string ends with key -- tcache"),
    ("narenas:2,", "Conf string ends with comma -- "),
    ("nare nas:2", "Malformed conf string -- nare"),
    ("narenas=2", "Malformed conf string -- narenas"),
    ("tcache:false,dirty-decay:1", "Malformed conf string -- dirty"),
    (",narenas:2", "Malformed conf string -- "),
    ("narenas:2,,tcache:true", "Malformed conf string -- "),
    ("narenas:1,k\xe9y:1", "Malformed conf string -- "),
]


def check_accepted():
    for conf in ACCEPTED:
        status, _, err = run(conf)
        expect(status == 0 and err == "", conf, "expected to be accepted in silence", (status, err))


def conf_lines(err):
    """The messages about the configuration, without the line that may suggest another key."""
    return [line for line in err.splitlines() if " conf " in line and line.startswith("<ashlar>: ")]


def check_refused():
    for conf, messages in REFUSED:
        status, _, err = run(conf)
        lines = conf_lines(err)
        good = len(lines) == len(messages) and all(line == m or line.startswith(m + " (") for line, m in
                                                   zip(lines, messages))
        expect(status == 0 and good, conf, f"expected {messages}", (status, err))


def check_malformed():
    for conf, message in MALFORMED:
        status, _, err = run(conf)
        lines = [line for line in err.splitlines() if line.startswith("<ashlar>: " + message)]
        expect(status == 0 and len(lines) >= 1, conf, f"expected {message!r}", (status, err))


def check_limit():
    status, _, err = run("narenas:100000", "threads")
    expect(status == 0 and err == "<ashlar>: Reducing narenas to limit (4094)\n", "narenas:100000",
           "expected the limit to be named", (status, err))


def check_abort_conf():
    last = "<ashlar>: Abort (abort_conf:true) on invalid conf value (see above)."
    for conf in ["abort_conf:true,bogus:1", "bogus:1,abort_conf:true", "abort_conf:true,tcache:maybe",
                 "abort_conf:true,narenas:0", "abort_conf:true,narenas"]:
        status, _, err = run(conf)
        expect(status == -signal.SIGABRT and err.splitlines()[-1:] == [last], conf, "expected the abort line and "
               "SIGABRT", (status, err))
    for conf in ["abort_conf:true,experimental_no_such:1", "abort_conf:false,bogus:1",
                 "abort_conf:true,bogus:1,abort_conf:false"]:
        status, _, err = run(conf)
        expect(status == 0 and last not in err, conf, "expected a message, but no abort", (status, err))


def check_confirm_conf():
    conf = "narenas:2,confirm_conf:true,tcache:false,bogus:9,zero_realloc:alloc"
    status, _, err = run(conf)
    sources = re.findall(r'^<ashlar>: malloc_conf #(\d) \((.*)\): "(.*)"$', err, re.M)
    expect(status == 0 and [s[0] for s in sources] == list("12345"), conf, "expected five sources in order", err)
    if len(sources) == 5:
        texts = ["string specified via --with-malloc-conf",
                 "string pointed to by the global variable malloc_conf",
                 '"name" of the file referenced by the symbolic link named /etc/malloc.conf',
                 "value of the environment variable MALLOC_CONF",
                 "string pointed to by the global variable malloc_conf_2_conf_harder"]
        expect([s[1] for s in sources] == texts, conf, "expected the names of the sources", sources)
        expect(sources[3][2] == conf and sources[1][2] == "", conf, "expected the strings", sources)
    pairs = re.findall(r"^<ashlar>: -- Set conf value: (.*)$", err, re.M)
    expect(pairs == ["narenas:2", "confirm_conf:true", "tcache:false", "zero_realloc:alloc"], conf,
           "expected the accepted pairs", pairs)
    expect(err.count(INVALID_PAIR + "bogus:9") == 1, conf, "expected the refused pair once", err)


def check_decay():
    for what in ["burst", "small-burst"]:
        for conf, kept in [("dirty_decay_ms:0,muzzy_decay_ms:0", False), ("dirty_decay_ms:-1", True)]:
            status, out, err = run(conf, what)
            before, during, after = (int(n) for n in out.split()) if status == 0 else (0, 0, 0)
            grown = during - before
            expect(status == 0 and grown > 50000, conf, f"{what}: expected to touch memory", (status, out, err))
            if kept:
                expect(after - before > grown * 3 // 4, conf, f"{what}: expected the pages to stay", out)
            else:
                expect(after - before < 8192, conf, f"{what}: expected the pages to go at once", out)


def check_threads():
    for conf in ["narenas:1", "narenas:2", "narenas:64", "tcache:false", "tcache:false,narenas:1",
                 "dirty_decay_ms:0", "narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1"]:
        status, out, err = run(conf, "threads")
        expect(status == 0 and out == "done\n" and err == "", conf, "threads: expected to run", (status, out, err))


def check_zero_realloc():
    for conf, expected in [(None, "null 0 4711\n"), ("zero_realloc:free", "null 0 4711\n"),
                           ("zero_realloc:alloc", "block 8 4711\n"),
                           ("zero_realloc:abort,zero_realloc:free", "null 0 4711\n")]:
        status, out, err = run(conf, "realloc-zero")
        expect(status == 0 and out == expected and err == "", conf, f"expected {expected!r}", (status, out, err))
    status, _, err = run("zero_realloc:abort", "realloc-zero")
    expect(status == -signal.SIGABRT and "Called realloc(non-null-ptr, 0) with zero_realloc:abort set\n" in err,
           "zero_realloc:abort", "expected the message and SIGABRT", (status, err))


def check_xmalloc():
    table = {
        "malloc": "<ashlar>: Error in malloc(): out of memory\n",
        "calloc": "<ashlar>: Error in calloc(): out of memory\n",
        "realloc-null": "<ashlar>: Error in realloc(): out of memory\n",
        "realloc": "<ashlar>: Error in rallocx(): out of memory\n",
        "aligned_alloc": "<ashlar>: Error allocating aligned memory: out of memory\n",
        "posix_memalign": "<ashlar>: Error allocating aligned memory: out of memory\n",
        "invalid-alignment": "<ashlar>: Error allocating aligned memory: invalid alignment\n",
    }
    for call, message in table.items():
        status, out, err = run("xmalloc:true", "oom", call)
        expect(status == -signal.SIGABRT and err == message, "xmalloc:true", f"{call}: expected {message!r}",
               (status, out, err))
        status, out, err = run("xmalloc:false", "oom", call)
        error = 22 if call == "invalid-alignment" else 12
        expect(status == 0 and out == f"null {error}\n" and err == "", "xmalloc:false",
               f"{call}: expected NULL and {error}", (status, out, err))


def check_stats_print():
    status, out, err = run("stats_print:true", "burst")
    expect(status == 0 and len(err) > 100 and re.search(r"\d", err), "stats_print:true", "expected statistics",
           (status, err))
    status, out, err = run(None, "burst")
    expect(status == 0 and err == "", None, "expected no statistics unasked", (status, err))


def main():
    for check in [check_accepted, check_refused, check_malformed, check_limit, check_abort_conf, check_confirm_conf, check_decay,
                  check_threads, check_zero_realloc, check_xmalloc, check_stats_print]:
        check()
    for failure in failures:
        print("FAILED", failure)
    print(f"{count} expectations, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
