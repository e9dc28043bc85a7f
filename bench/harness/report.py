"""The result file, and the tables made from it. Everything printed can be printed again from the CSV."""

import csv
import math
import statistics

from . import libraries, workloads

COLUMNS = ["date", "mode", "workload", "library", "round", "cpu_s", "user_s", "sys_s", "elapsed_s", "peak_kib",
           "idle_kib", "figure", "value", "higher_is_better", "details", "minor_faults", "major_faults", "instructions"]
MEASURED = COLUMNS[5:10] + COLUMNS[15:]
WHOLE = {"peak_kib", "minor_faults", "major_faults", "instructions"}


def row(stamp, workload, library, round_number, result):
    """One CSV row; round_number 0 means a run in which times were not measured."""
    out = {"date": stamp["date"], "mode": stamp["mode"], "workload": workload.name, "library": library,
           "round": round_number, "figure": workload.figure, "higher_is_better": int(workload.high)}
    for key in MEASURED:
        if key in result:
            out[key] = f"{result[key]:.0f}" if key in WHOLE else f"{result[key]:.6g}"
    out["idle_kib"] = f"{result['rss_idle_kib']:.0f}" if "rss_idle_kib" in result else ""
    value = result.get(workload.figure)
    out["value"] = "" if value is None else f"{value:.6g}"
    rest = (k for k in result if k not in MEASURED)
    out["details"] = ";".join(f"{k}={result[k]:.6g}" if isinstance(result[k], float) else f"{k}={result[k]}"
                              for k in rest)
    return out


class Table:
    """All runs of one result file."""

    def __init__(self):
        self.runs = {}      # (workload, library) -> metric -> list of values
        self.order = []     # workloads as met
        self.libraries = []
        self.figure = {}    # workload -> (name, higher is better)
        self.modes = set()

    def add(self, line):
        name, library = line["workload"], line["library"]
        if name not in self.order:
            self.order.append(name)
        if library not in self.libraries:
            self.libraries.append(library)
        self.modes.add(line["mode"])
        self.figure[name] = (line["figure"], line["higher_is_better"] in ("1", 1))
        runs = self.runs.setdefault((name, library), {})
        pairs = [(k, line.get(k)) for k in MEASURED + ["idle_kib"]]
        pairs += [p.split("=", 1) for p in (line.get("details") or "").split(";") if "=" in p]
        for key, text in pairs:
            try:
                value = float(text)
            except (TypeError, ValueError):
                continue
            if math.isfinite(value):
                runs.setdefault(key, []).append(value)

    def values(self, workload, library, metric):
        return self.runs.get((workload, library), {}).get(metric, [])

    def median(self, workload, library, metric):
        values = self.values(workload, library, metric)
        return statistics.median(values) if values else None

    def best_peer(self, workload, metric, subject, high=False):
        """The best median of all libraries but the subject."""
        medians = [self.median(workload, lib, metric) for lib in self.libraries if lib != subject]
        medians = [m for m in medians if m is not None]
        return (max(medians) if high else min(medians)) if medians else None

    def ratio(self, workload, library, metric, other=libraries.REFERENCE):
        a, b = self.median(workload, library, metric), self.median(workload, other, metric)
        return a / b if a is not None and b else None

    def apart(self, workload, library, metric, other=libraries.REFERENCE):
        """True when all runs of one side, two at least, lie on one side of all runs of the other."""
        a, b = self.values(workload, library, metric), self.values(workload, other, metric)
        return min(len(a), len(b)) > 1 and (max(a) < min(b) or min(a) > max(b))

    def geomean(self, library, metric, begin=""):
        """Geometric mean of the ratio to the reference over the workloads whose names begin so: (mean, how many)."""
        ratios = [self.ratio(name, library, metric) for name in self.order
                  if name.startswith(begin) and counts(name, metric)]
        return mean(ratios), sum(1 for r in ratios if r)


def mean(ratios):
    """Geometric mean of those that are there, or None."""
    logs = [math.log(r) for r in ratios if r]
    return math.exp(sum(logs) / len(logs)) if logs else None


def counts(workload, metric):
    """Not the rows whose figures say nothing of a library's work: no program of their own, a fixed time, nothing to do in
    most libraries, a program that starts and ends; and not the times of a row that is about memory."""
    if workload.startswith(("steps-", "static-", "cliffs-", "ctl", "start-")):
        return False
    return metric in ("peak_kib", "idle_kib") or not workload.startswith("idle-threads")


def load(path):
    table = Table()
    with open(path, newline="") as stream:
        for line in csv.DictReader(stream):
            table.add(line)
    return table


def number(value, form="{:.3g}"):
    return "-" if value is None else form.format(value)


def times(value):
    """A ratio, in at most five characters while it is below 100,000."""
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def kilo(value):
    return "-" if value is None else f"{value / 1024:.1f}"


def spread(values):
    return f"[{min(values):.3g}..{max(values):.3g}]" if len(values) > 1 else ""


def print_workload(table, name, subject, out):
    figure, high = table.figure[name]
    print(f"\n{name}   (figure: {figure}, {'higher' if high else 'lower'} is better)", file=out)
    print(f"  {'library':<11}{'cpu s':>8} {'range':<17}{'/jem':>6}{'/best':>6} {'elapsed':>8}{'peak MiB':>9}"
          f"{'/jem':>6}{'idle MiB':>9} {'figure':>9} {'range':<17}{'/jem':>6}{'/best':>6}", file=out)
    for lib in table.libraries:
        if (name, lib) not in table.runs:
            continue
        best = {m: table.best_peer(name, m, subject, m != "cpu_s" and high) for m in ("cpu_s", figure)}
        cpu, own = table.median(name, lib, "cpu_s"), table.median(name, lib, figure)
        mark = "*" if table.apart(name, lib, "cpu_s") else " "
        print(f"  {lib:<11}{number(cpu):>8} {spread(table.values(name, lib, 'cpu_s')):<17}"
              f"{times(table.ratio(name, lib, 'cpu_s')):>5}{mark}"
              f"{times(cpu / best['cpu_s'] if cpu and best['cpu_s'] else None):>6} "
              f"{number(table.median(name, lib, 'elapsed_s')):>8}{kilo(table.median(name, lib, 'peak_kib')):>9}"
              f"{times(table.ratio(name, lib, 'peak_kib')):>6}"
              f"{kilo(table.median(name, lib, 'idle_kib')):>9} {number(own, '{:.5g}'):>9} "
              f"{spread(table.values(name, lib, figure)):<17}"
              f"{times(table.ratio(name, lib, figure)):>6}"
              f"{times(own / best[figure] if own is not None and best[figure] else None):>6}", file=out)


def print_tables(table, subject, out):
    for name in table.order:
        print_workload(table, name, subject, out)
    print("\n* beside a ratio: all runs lie on one side of all of jemalloc's", file=out)


def check_bound(table, name, subject, bound):
    """(value as compared, verdict) of one bound."""
    value = table.median(name, subject, bound.metric)
    if value is not None and bound.than == "jemalloc":
        value = table.ratio(name, subject, bound.metric)
    elif value is not None and bound.than == "best":
        best = table.best_peer(name, bound.metric, subject, bound.at_least)
        value = value / best if best else None
    elif value is not None and bound.than == "above glibc":
        base = table.median(name, "glibc", bound.metric)
        value = value - base if base is not None else None
    if value is None:
        return None, "not measured"
    if (value >= bound.limit) if bound.at_least else (value <= bound.limit):
        return value, "met"
    by = abs(value - bound.limit)
    share = f" ({100 * by / abs(bound.limit):.0f} %)" if bound.limit else ""
    return value, f"MISSED by {by:.3g}{share}"


def print_bounds(table, rows, subject, out):
    """The verdict of every bound for the subject; gives back how many were met and missed."""
    tally = {"met": 0, "missed": 0, "not measured": 0}
    print(f"\nBounds for {subject} ({'/'.join(sorted(table.modes))} run)", file=out)
    for name in table.order:
        for bound in rows[name].bounds if name in rows else []:
            value, verdict = check_bound(table, name, subject, bound)
            tally["missed" if verdict.startswith("MISSED") else verdict] += 1
            print(f"  {name:<20} {bound.text():<32} {number(value, '{:.4g}'):>10}  {verdict}", file=out)
    mean, count = table.geomean(subject, "peak_kib")
    if mean is not None:
        verdict = "met" if mean <= workloads.PEAK_GEOMEAN else f"MISSED by {mean - workloads.PEAK_GEOMEAN:.3g}"
        tally["met" if verdict == "met" else "missed"] += 1
        print(f"  {'all (' + str(count) + ' workloads)':<20} {'geomean peak_kib <= 1 x jemalloc':<32} {mean:>10.4g}  "
              f"{verdict}", file=out)
    print(f"  {tally['met']} met, {tally['missed']} missed, {tally['not measured']} not measured", file=out)
    return tally


def print_geomeans(table, out):
    print("\nGeometric means of the ratio to jemalloc (number of workloads)", file=out)
    for lib in table.libraries:
        cells = []
        for metric in ("cpu_s", "elapsed_s", "peak_kib", "idle_kib", "minor_faults", "instructions"):
            mean, count = table.geomean(lib, metric)
            if mean is not None:
                cells.append(f"{metric} {mean:.3f} ({count})")
        print(f"  {lib:<11} {'   '.join(cells)}", file=out)
