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
PROGRAMS = os.path.join(os.environ.get("BINDIR", os.getcwd()), "prog")
PROBE, CTL, WITHOUT_PURGE = (os.path.join(PROGRAMS, name) for name in ["probe", "ctl", "without_purge"])
HERE = os.path.dirname(os.path.abspath(__file__))
failures = []
count = 0


def run(conf, *args, program=None):
    """The probe, or another program, with this configuration: (status, stdout, stderr)."""
    env = dict(os.environ, LD_PRELOAD=LIB)
    env.pop("MALLOC_CONF", None)
    if conf is not None:
        env["MALLOC_CONF"] = conf
    done = subprocess.run([*(program or [PROBE]), *(args or ([] if program else ["nothing"]))], env=env, stdin=subprocess.DEVNULL, capture_output=True,
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


# What a mistyped key is taken for; None: for nothing.
NEAR = [("narena", "narenas"), ("narenass", "narenas"), ("tcahce", "tcache"), ("dirty_decay", "dirty_decay_ms"),
        ("mutex_max_spn", "mutex_max_spin"), ("jnk", "junk"), ("zer", "zero_realloc"), ("ab", None), ("bogus", None),
        ("tcch", None), ("nonsense", None), ("x" * 49, None)]


def check_near():
    for key, wanted in NEAR:
        _, _, err = run(key + ":1")
        expected = [f"<ashlar>: Did you mean {wanted}?"] if wanted else []
        got = [line for line in err.splitlines() if "Did you mean" in line]
        expect(got == expected, key, f"expected {expected}", got)


def check_malformed():
    for conf, message in MALFORMED:
        status, _, err = run(conf)
        lines = [line for line in err.splitlines() if line.startswith("<ashlar>: " + message)]
        expect(status == 0 and len(lines) == 2, conf, f"expected {message!r} twice", (status, err))


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
                 "abort_conf:true,hpa_sec_bytes_after_flush:1,hpa_sec_batch_fill_extra:2",
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


def listed():
    """The rows of options.tsv. Type `none`: there is no opt.<name>. Unset `*`: depends on the machine. Good: values, with
    what is read then when that is something else. Bad: values refused as v: not valid, r: out of range, s: wrong settings."""
    with open(os.path.join(HERE, "options.tsv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return [(name, kind, unset, effect, good.split(), bad.split()) for name, kind, unset, effect, good, bad in rows]


def in_table():
    """Name -> (when it can be written, does it work) of options.def."""
    with open(os.path.join(HERE, "../../src/ctl/options.def"), encoding="utf-8") as file:
        text = file.read()
    rows = {name: (writable, effect) for name, writable, effect in
            re.findall(r"^OPTION\((\w+),.*?(START|LIVE|SILENT), (WORKS|ACCEPTED),$", text, re.M)}
    rows.update({name: ("SILENT", rows[target][1]) for name, target in
                 re.findall(r"^ALIAS\((\w+), \w+, (\w+),", text, re.M)})
    return rows


def read(conf, kind, name):
    return run(conf, "read", kind, name, program=[CTL])


def check_lists():
    table = in_table()
    rows = [row[0] for row in listed()]
    for name, _, _, effect, _, _ in listed():
        expect(table.get(name, (None, "?"))[1].lower() == effect, name, f"expected {effect} in options.def", None)
    for name in set(rows) ^ set(table):
        expect(False, name, "expected to be in options.tsv and in options.def", sorted(rows))
    expect(len(rows) == len(set(rows)), None, "expected each option once", rows)


def check_good(name, kind, unset, good):
    if kind == "none":
        expect(read(None, "size", "opt." + name)[1] == "E2\n", name, "expected no opt. name", None)
    elif unset != "*":
        got = read(None, kind, "opt." + name)
        expect(got == (0, unset + "\n", ""), name, f"expected {unset} when unset", got)
    for value in good:
        text, _, wanted = value.partition("=")
        wanted = wanted if "=" in value else text
        conf = f"{name}:{text}"
        if kind == "none":
            status, _, err = run(conf)
            expect(status == 0 and err == "", conf, "expected to be accepted in silence", (status, err))
            continue
        status, out, err = read(conf, kind, "opt." + name)
        expect(status == 0 and out == wanted + "\n" and (not conf_lines(err) or name == "confirm_conf"), conf,
               f"expected to read {wanted}",
               (status, out, err))


def check_bad(name, bad):
    words = {"v": INVALID_VALUE, "r": OUT_OF_RANGE, "s": f"<ashlar>: Invalid settings for {name}: "}
    for kind, _, value in (entry.partition(":") for entry in bad):
        conf = f"{name}:{value}"
        status, _, err = run("abort_conf:true," + conf)
        fatal = 0 if name.startswith("experimental_") else -signal.SIGABRT
        lines = [line for line in err.splitlines() if "Abort (abort_conf" not in line]
        expect(status == fatal and lines == [words[kind] + conf], conf, "expected to be refused", (status, err))


def check_each():
    for name, kind, unset, _, good, bad in listed():
        check_good(name, kind, unset, good)
        check_bad(name, bad)


OTHER_NAMES = {"background_thread", "max_background_threads"}  # names of their own, with their own tests


def check_live():
    """Options written while the program runs, by the rules of the configuration."""
    table = in_table()
    for name, kind, unset, _, good, bad in listed():
        if name in OTHER_NAMES:
            continue
        if table.get(name, ("", ""))[0] != "LIVE":
            got = read(None, kind, name)
            expect(got[1] == "E2\n", name, "expected no name of its own", got)
            continue
        for value in good:
            text, _, wanted = value.partition("=")
            got = run(None, "write", kind, name, text, program=[CTL])
            expect(got[:2] == (0, f"{unset}\n{wanted or text}\n") and (got[2] == "") == (value != "true" or
                   name != "stats_print"), name, f"expected to become {value}", got)
        for value in bad:
            fits = kind != "unsigned" or int(value[2:]) < 1 << 32 if value.startswith("r:") else kind == "text"
            if fits:
                got = run(None, "write", kind, name, value[2:], program=[CTL])
                expect(got[1] == f"E22\n{unset}\n", name, f"expected EINVAL for {value}", got)


def check_repeated():
    """What a repeated or combined option comes to."""
    for conf, kind, name, wanted in [
            ("stats_print_opts:J,stats_print_opts:gJ", "text", "stats_print_opts", "Jg"),
            ("max_background_threads:100,max_background_threads:200", "size", "max_background_threads", "100"),
            ("max_background_threads:100,max_background_threads:50", "size", "max_background_threads", "50"),
            ("lg_tcache_max:12", "size", "tcache_max", "4096"), ("lg_tcache_max:99", "size", "tcache_max", "32768"),
            ("hpa_hugification_threshold_ratio:0.5", "size", "hpa_hugification_threshold", "1048576"),
            ("hpa_purge_threshold_ratio:0", "size", "hpa_purge_threshold", "4096"),
            ("prof_leak_error:true,prof_final:true", "bool", "prof_leak", "true"),
            ("hpa_hugify_style:lazy", "text", "hpa_hugify_style", "lazy"),
            ("prof_prefix:" + "x" * 5000, "text", "prof_prefix", "x" * 4095)]:
        status, out, err = read(conf, kind, "opt." + name)
        expect(status == 0 and out == wanted + "\n" and not conf_lines(err), conf, f"expected {name} to be {wanted}",
               (status, out, err))
    cpus = len(os.sched_getaffinity(0))
    if cpus > 1 and read(None, "unsigned", "opt.narenas")[1] == f"{4 * cpus}\n":  # no limit of a cgroup
        for ratio, count in [("2", 2 * cpus), ("0.5", max(1, cpus // 2)), ("0", 1), ("65535", 4094)]:
            got = read("narenas_ratio:" + ratio, "unsigned", "opt.narenas")
            expect(got == (0, f"{count}\n", ""), ratio, f"expected {count} arenas", got)


def check_dependencies():
    line = "<ashlar>: prof_leak_error is set w/o prof_final."
    for conf, fatal in [("prof_leak_error:true", 0), ("prof_leak_error:true,abort_conf:true", -signal.SIGABRT)]:
        status, _, err = run(conf)
        expect(status == fatal and line in err.splitlines(), conf, "expected the dependency to be named", (status, err))
    for conf in ["prof_leak:true", "prof_leak_error:true,prof_final:true,prof_prefix:"]:
        got = read(conf, "bool", "opt.prof")
        expect(got[1] == "true\n", conf, "expected it to switch profiling on", got)


def check_sources():
    for name, conf, wanted in [("env_var", "narenas:2", "narenas:2\n"), ("env_var", None, "E2\n"),
                               ("global_var", "narenas:2", "E2\n"), ("global_var_2_conf_harder", None, "E2\n")]:
        got = read(conf, "text", "opt.malloc_conf." + name)
        expect(got == (0, wanted, ""), conf, f"expected {name} to read {wanted!r}", got)
    for name, wanted in [("cache_oblivious", "true"), ("fill", "true"), ("lazy_lock", "false"),
                         ("opt_safety_checks", "false"), ("prof", "true"), ("stats", "true"), ("utrace", "false"),
                         ("xmalloc", "true")]:
        got = read(None, "bool", "config." + name)
        expect(got == (0, wanted + "\n", ""), name, f"expected config.{name} to be {wanted}", got)
    expect(read(None, "text", "config.malloc_conf") == (0, "\n", ""), None, "expected no built-in options", None)


def check_trust_madvise():
    first = "<ashlar>: MADV_DONTNEED does not work (memset will be used instead)"
    status, _, err = run(None, "calloc-again", program=[WITHOUT_PURGE, PROBE])
    if status != 77:
        expect(status == 0 and err.splitlines()[:1] == [first] and len(err.splitlines()) == 2, None,
               "expected the lie to be found, and zeroed blocks", (status, err))
        status, _, err = run("trust_madvise:true", program=[WITHOUT_PURGE, PROBE, "nothing"])
        expect(status == 0 and err == "", "trust_madvise:true", "expected no look", (status, err))


def check_retain():
    """Without retained memory there is no limit to its growth that could be read or written."""
    for conf, wanted in [("retain:true", f"{7 << 60}\n"), ("retain:false", "E2\n")]:
        got = read(conf, "size", "arena.0.retain_grow_limit")
        expect(got == (0, wanted, ""), conf, f"expected {wanted!r}", got)
    got = run("retain:false", "write", "size", "arena.0.retain_grow_limit", str(1 << 20), program=[CTL])
    expect(got == (0, "E2\nE2\n", ""), "retain:false", "expected ENOENT twice", got)


def check_infallible_new():
    program = os.path.join(PROGRAMS, "new_fails")
    if not os.path.exists(program):  # no C++ compiler
        return
    message = re.compile(f"<ashlar>: Allocation of size {1 << 60} failed\\. [^\n]* opt.experimental_infallible_new is true. "
                         "Aborting.\n")
    for args, otherwise in [([], "bad_alloc\n"), (["nothrow"], "null\n")]:
        got = run("experimental_infallible_new:true", program=[program, *args])
        expect(got[:2] == (-signal.SIGABRT, "") and message.fullmatch(got[2]), "experimental_infallible_new:true", f"{args}: expected the end", got)
        got = run(None, program=[program, *args])
        expect(got == (0, otherwise, ""), None, f"{args}: expected {otherwise}", got)


def check_spin():
    for conf in ["mutex_max_spin:0", "mutex_max_spin:-1"]:
        status, out, err = run(conf + ",narenas:1,tcache:false", "threads")
        expect((status, out, err) == (0, "done\n", ""), conf, "expected threads to run", (status, out, err))


def main():
    for check in [check_accepted, check_refused, check_near, check_malformed, check_limit, check_abort_conf, check_confirm_conf, check_decay,
                  check_threads, check_zero_realloc, check_xmalloc, check_stats_print, check_lists,
                  check_each, check_live, check_repeated, check_dependencies, check_sources, check_trust_madvise,
                  check_retain, check_infallible_new, check_spin]:
        check()
    for failure in failures:
        print("FAILED", failure)
    print(f"{count} expectations, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
