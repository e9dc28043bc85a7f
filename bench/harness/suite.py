"""The bounds over the whole suite: means against jemalloc and the best peer, and the worst row."""

from . import libraries
from .report import counts, number

CPU_MEAN, CPU_MEAN_BEST, CPU_ROW = 0.75, 0.95, 1.10
PEAK_MEAN, PEAK_ROW = 0.95, 1.25
IDLE_MEAN_BEST = 0.90
REAL_CPU, REAL_PEAK = 0.97, 0.97


def to_reference(table, library, metric, begin=""):
    return table.geomean(library, metric, begin)[0]


def to_best_mean(table, subject, metric):
    """(the subject's mean over the least mean of a peer, that peer); both against the reference."""
    own = to_reference(table, subject, metric)
    peers = [(to_reference(table, lib, metric), lib) for lib in table.libraries if lib != subject]
    best = min(((value, lib) for value, lib in peers if value), default=None)
    return (own / best[0], best[1]) if own and best else (None, "")


def to_best_rows(table, subject, metric="cpu_s"):
    """[(ratio to the best peer on it, row, that peer)], the worst first."""
    out = []
    for name in table.order:
        own = table.median(name, subject, metric)
        peers = [(table.median(name, lib, metric), lib) for lib in table.libraries if lib != subject]
        best = min(((value, lib) for value, lib in peers if value), default=None)
        if counts(name, metric) and own and best:
            out.append((own / best[0], name, best[1]))
    return sorted(out, reverse=True)


def worst_peak(table, subject):
    rows = [(table.ratio(name, subject, "peak_kib"), name) for name in table.order if counts(name, "peak_kib")]
    return max((row for row in rows if row[0]), default=(None, ""))


def bounds(table, subject):
    """[(what, limit, value or None, whose)]."""
    reference = libraries.REFERENCE
    rows = to_best_rows(table, subject)
    return [
        (f"mean CPU time, x {reference}", CPU_MEAN, to_reference(table, subject, "cpu_s"), ""),
        ("mean CPU time, x the best peer's mean", CPU_MEAN_BEST, *to_best_mean(table, subject, "cpu_s")),
        ("CPU time of any row, x the best peer on it", CPU_ROW, *(rows[0][:2] if rows else (None, ""))),
        (f"mean peak RSS, x {reference}", PEAK_MEAN, to_reference(table, subject, "peak_kib"), ""),
        (f"peak RSS of any row, x {reference}", PEAK_ROW, *worst_peak(table, subject)),
        ("mean RSS after idle, x the best peer's mean", IDLE_MEAN_BEST, *to_best_mean(table, subject, "idle_kib")),
        (f"real programs: mean CPU time, x {reference}", REAL_CPU, to_reference(table, subject, "cpu_s", "real-"), ""),
        (f"real programs: mean peak RSS, x {reference}", REAL_PEAK, to_reference(table, subject, "peak_kib", "real-"), ""),
    ]


def verdict(value, limit):
    return "not measured" if value is None else "met" if value <= limit else "MISSED"


def above_best(table, subject):
    """The rows that take more CPU time than the best peer's: "name 1.05 (peer)"."""
    return [f"{name} {ratio:.2f} ({peer})" for ratio, name, peer in to_best_rows(table, subject) if ratio > 1.0]


def print_suite(table, subject, out):
    print(f"\nThe whole suite, {subject} (geometric means)", file=out)
    for what, limit, value, whose in bounds(table, subject):
        whose = f" ({whose})" if whose else ""
        print(f"  {what:<46} <= {limit:<5g} {number(value, '{:.3f}'):>8}  {verdict(value, limit)}{whose}", file=out)
    rows = above_best(table, subject)
    if to_best_rows(table, subject):
        print(f"  rows above the best peer: {', '.join(rows) if rows else 'none'}", file=out)
