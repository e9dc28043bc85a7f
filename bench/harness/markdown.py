"""A result file as one Markdown page: means, bounds, and a row for each workload."""

from . import libraries, report, suite

METRICS = [("cpu_s", "CPU time"), ("elapsed_s", "elapsed"), ("peak_kib", "peak RSS"), ("idle_kib", "RSS after idle"),
           ("minor_faults", "page faults"), ("instructions", "instructions")]


def table_text(heads, rows):
    """The first column to the left, the others to the right."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def means(table):
    metrics = [(m, title) for m, title in METRICS if any(table.geomean(lib, m)[1] for lib in table.libraries)]
    rows = [[lib] + [report.number(table.geomean(lib, m)[0], "{:.3f}") for m, _ in metrics] for lib in table.libraries]
    return table_text(["library"] + [title for _, title in metrics], rows)


def suite_bounds(table, subject):
    rows = []
    for what, limit, value, whose in suite.bounds(table, subject):
        rows.append([what, f"<= {limit:g}", report.number(value, "{:.3f}") + (f" ({whose})" if whose else ""),
                     suite.verdict(value, limit)])
    return table_text(["bound", "limit", "measured", "verdict"], rows)


def row_bounds(table, rows, subject):
    out = []
    for name in table.order:
        for bound in rows[name].bounds if name in rows else []:
            value, verdict = report.check_bound(table, name, subject, bound)
            out.append([name, bound.text(), report.number(value, "{:.4g}"), verdict])
    return table_text(["workload", "bound", "measured", "verdict"], out)


def cpu_times(table):
    """Seconds of the reference, and the ratio to them of each library; an asterisk as in the printed tables."""
    others = [lib for lib in table.libraries if lib != libraries.REFERENCE]
    rows = []
    for name in (n for n in table.order if table.median(n, libraries.REFERENCE, "cpu_s")):
        cells = [report.times(table.ratio(name, lib, "cpu_s")) + ("\\*" if table.apart(name, lib, "cpu_s") else "")
                 for lib in others]
        rows.append([name, f"{table.median(name, libraries.REFERENCE, 'cpu_s'):.3f} s"] + cells)
    return table_text(["workload", libraries.REFERENCE] + others, rows)


def memory(table, metric):
    others = [lib for lib in table.libraries if lib != libraries.REFERENCE]
    rows = [[name, report.kilo(table.median(name, libraries.REFERENCE, metric)) + " MiB"] +
            [report.times(table.ratio(name, lib, metric)) for lib in others]
            for name in table.order if report.counts(name, metric) and table.median(name, libraries.REFERENCE, metric)]
    return table_text(["workload", libraries.REFERENCE] + others, rows) if rows else "Not measured.\n"


def page(table, rows, subject, base):
    """`base` is what the names of the charts beside the page begin with."""
    charts = "".join(f"![{title}]({base}-{short}.svg)\n" for short, title in
                     (("scatter", "CPU time against peak RSS"), ("scatter-idle", "CPU time against RSS after idle"))
                     if short == "scatter" or any(table.geomean(lib, "idle_kib")[1] for lib in table.libraries))
    parts = [f"# Benchmark of {subject}, {'/'.join(sorted(table.modes))} run\n",
             "Ratios are to jemalloc, by medians; below 1 is better. `*`: all runs lie on one side of all of jemalloc's.\n",
             charts, "## Geometric means\n", means(table)]
    if subject in table.libraries:
        above = suite.above_best(table, subject)
        parts += ["## The whole suite\n", suite_bounds(table, subject),
                  f"Rows above the best peer: {', '.join(above) if above else 'none'}.\n",
                  "## Bounds of rows\n", row_bounds(table, rows, subject)]
    parts += ["## CPU time\n", cpu_times(table), "## Peak resident set\n", memory(table, "peak_kib"),
              "## Resident set after idle\n", memory(table, "idle_kib")]
    return "\n".join(parts)
