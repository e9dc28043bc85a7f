"""SVG charts of a result file: bars for each workload, and one point for each library, time against memory."""

import html
import math
import os

from . import libraries, report

COLOURS = ["#c0392b", "#7f8c8d", "#2c3e50", "#2980b9", "#27ae60", "#8e44ad", "#d68910", "#16a085"]
LEFT, RIGHT, TOP, BAR, GAP, WIDTH = 170, 60, 70, 7, 9, 620
LOW, HIGH = 1 / 16, 16


def place(ratio):
    """The x of a ratio; what lies outside the scale sticks to its edge."""
    ratio = min(max(ratio, LOW), HIGH)
    return LEFT + WIDTH * (math.log2(ratio) - math.log2(LOW)) / (math.log2(HIGH) - math.log2(LOW))


def text(x, y, words, size=11, anchor="start", colour="#222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">'
            f"{html.escape(words)}</text>")


def page(wide, high, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" '
            f'font-family="sans-serif">\n<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n")


def bar(table, name, lib, metric, y, colour):
    base = table.median(name, libraries.REFERENCE, metric)
    median = table.median(name, lib, metric)
    if not base or not median:
        return []
    values = [v / base for v in table.values(name, lib, metric)]
    ratio = median / base
    x0, x1 = sorted((place(1), place(ratio)))
    tip = f"{name} {lib}: {ratio:.3f} x jemalloc, runs {min(values):.3f} to {max(values):.3f}"
    out = [f'<rect x="{x0:.1f}" y="{y}" width="{max(x1 - x0, 1):.1f}" height="{BAR - 1}" fill="{colour}">'
           f"<title>{html.escape(tip)}</title></rect>"]
    if len(values) > 1 and min(values) > 0:
        out.append(f'<line x1="{place(min(values)):.1f}" x2="{place(max(values)):.1f}" y1="{y + BAR / 2 - 0.5}" '
                   f'y2="{y + BAR / 2 - 0.5}" stroke="#000" stroke-width="1"/>')
    if not LOW <= ratio <= HIGH:
        out.append(text(LEFT + WIDTH + 4 if ratio > HIGH else LEFT + 4, y + BAR - 1, f"{ratio:.3g}", 8))
    return out


def scale(height):
    out = []
    for power in range(int(math.log2(LOW)), int(math.log2(HIGH)) + 1):
        x = place(2.0 ** power)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - 20}" '
                   f'stroke="{"#444" if power == 0 else "#ddd"}"/>')
        out.append(text(x, TOP - 6, f"{2.0 ** power:g}", 10, "middle"))
    return out


def legend(names):
    out, x = [], LEFT
    for i, name in enumerate(names):
        out.append(f'<rect x="{x}" y="34" width="10" height="10" fill="{COLOURS[i % len(COLOURS)]}"/>')
        out.append(text(x + 14, 43, name))
        x += 30 + 7 * len(name)
    return out


def chart(table, metric, title):
    """The whole SVG text, or None when no workload has the metric."""
    names = [n for n in table.order if report.counts(n, metric) and table.median(n, libraries.REFERENCE, metric)]
    libs = [lib for lib in table.libraries if lib != libraries.REFERENCE]
    if not names or not libs:
        return None
    row = len(libs) * BAR + GAP
    height = TOP + len(names) * row + 30
    body = [text(10, 20, title, 14)] + legend(libs) + scale(height)
    for i, name in enumerate(names):
        y = TOP + i * row + 4
        body.append(text(LEFT - 8, y + row / 2, name, 11, "end"))
        for j, lib in enumerate(libs):
            body += bar(table, name, lib, metric, y + j * BAR, COLOURS[j % len(COLOURS)])
    return page(LEFT + WIDTH + RIGHT, height, body)


# -- time against memory -------------------------------------------------------------------------------------------

SIDE, EDGE = 520, 70


class Frame:
    """A square with a logarithmic scale on both sides that holds all points and 1."""

    def __init__(self, points):
        values = [value for point in points for value in point] + [1.0]
        self.low, self.high = min(values) / 1.4, max(values) * 1.4

    def along(self, ratio):
        return SIDE * (math.log(ratio) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def holds(self, point):
        return all(self.low <= value <= self.high for value in point)

    def place(self, point):
        return EDGE + self.along(point[0]), EDGE + SIDE - self.along(point[1])

    def ticks(self):
        """Round ratios inside the frame, a few of them."""
        fine = [mantissa * 10.0 ** power for power in range(-3, 4) for mantissa in (1, 1.5, 2, 3, 5, 7)]
        return [tick for tick in fine if self.low <= tick <= self.high]


def grid(frame, memory):
    out = []
    for tick in frame.ticks():
        x, y = frame.place((tick, tick))
        colour = "#444" if tick == 1 else "#ddd"
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{EDGE}" y2="{EDGE + SIDE}" stroke="{colour}"/>')
        out.append(f'<line x1="{EDGE}" x2="{EDGE + SIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>')
        out.append(text(x, EDGE + SIDE + 16, f"{tick:g}", 10, "middle"))
        out.append(text(EDGE - 6, y + 4, f"{tick:g}", 10, "end"))
    out.append(text(EDGE + SIDE / 2, EDGE + SIDE + 36, "CPU time, ratio to jemalloc", 12, "middle"))
    out.append(f'<g transform="rotate(-90 20 {EDGE + SIDE / 2})">'
               + text(20, EDGE + SIDE / 2, f"{memory}, ratio to jemalloc", 12, "middle") + "</g>")
    return out


def dot(frame, point, size, colour, tip):
    x, y = frame.place(point)
    faint = ' fill-opacity="0.25"' if size < 4 else ""
    return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"{faint}>'
            f"<title>{html.escape(tip)}</title></circle>")


def rows_of(table, lib, metric):
    """{workload: (CPU time, memory)}, ratios to the reference."""
    pairs = {name: (table.ratio(name, lib, "cpu_s"), table.ratio(name, lib, metric))
             for name in table.order if report.counts(name, "cpu_s") and report.counts(name, metric)}
    return {name: pair for name, pair in pairs.items() if pair[0] and pair[1]}


def scatter(table, metric, memory):
    """The whole SVG text, or None when nothing was measured. Small dots: the workloads, where they lie in the frame."""
    rows = {lib: rows_of(table, lib, metric) for lib in table.libraries}
    points = {lib: (report.mean(p[0] for p in pairs.values()), report.mean(p[1] for p in pairs.values()))
              for lib, pairs in rows.items() if pairs}
    if not points:
        return None
    frame = Frame(points.values())
    body = [text(10, 24, f"CPU time against {memory}: means, lower left is better", 14)] + grid(frame, memory)
    colours = {lib: COLOURS[i % len(COLOURS)] for i, lib in enumerate(points)}
    for lib in points:
        body += [dot(frame, pair, 2, colours[lib], f"{name} {lib}: {pair[0]:.2f}, {pair[1]:.2f}")
                 for name, pair in rows[lib].items() if frame.holds(pair)]
    for i, (lib, point) in enumerate(points.items()):
        y = EDGE + 14 + 20 * i
        body.append(dot(frame, point, 7, colours[lib], f"{lib}: {point[0]:.3f}, {point[1]:.3f}"))
        body.append(f'<circle cx="{EDGE + SIDE + 20}" cy="{y - 4}" r="6" fill="{colours[lib]}"/>')
        body.append(text(EDGE + SIDE + 32, y, f"{lib}  {point[0]:.2f} / {point[1]:.2f}", 12))
    return page(EDGE + SIDE + 210, SIDE + 2 * EDGE, body)


CHARTS = [(short, lambda table, m=metric, t=title: chart(table, m, f"{t}, ratio to jemalloc (left of 1 is better)"))
          for metric, short, title in (("cpu_s", "cpu", "CPU time"), ("peak_kib", "peak", "Peak resident set"),
                                       ("idle_kib", "idle", "Resident set after an idle period"))]
CHARTS += [("scatter", lambda table: scatter(table, "peak_kib", "peak resident set")),
           ("scatter-idle", lambda table: scatter(table, "idle_kib", "resident set after an idle period"))]


def write(table, folder, base):
    """Writes FOLDER/BASE-{cpu,peak,idle,scatter,scatter-idle}.svg, those that have something to show; their paths."""
    paths = []
    os.makedirs(folder, exist_ok=True)
    for short, make in CHARTS:
        svg = make(table)
        if svg is None:
            continue
        paths.append(os.path.join(folder, f"{base}-{short}.svg"))
        with open(paths[-1], "w", encoding="utf-8") as stream:
            stream.write(svg)
    return paths
