# SPDX-License-Identifier: Apache-2.0
"""A chart of a service report: lines over equally spaced steps of load, concurrency or size.

Plain SVG in the manner of the chart of kernels, whose style and helpers it uses.
"""

import math
import pathlib
import sys
from xml.sax.saxutils import escape

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "kernels"))
import chart as svg  # noqa: E402  (found on the path above)

STYLE = svg.STYLE + """
polyline { fill: none; stroke-width: 2; }
.first { stroke: #0969da; } circle.first, text.first { fill: #0969da; stroke: none; }
.second { stroke: #e16f24; } circle.second, text.second { fill: #e16f24; stroke: none; }
@media (prefers-color-scheme: dark) {
  .first { stroke: #58a6ff; } circle.first, text.first { fill: #58a6ff; }
  .second { stroke: #f0883e; } circle.second, text.second { fill: #f0883e; }
}
"""
KINDS = ("first", "second")
LEFT, WIDTH, HEIGHT = 56, 340, 170  # of a panel: left of its axis, its plot
PANEL = LEFT + WIDTH + 24
HEAD, FOOT = 48, 44  # of a panel: title and names, axis

# (title, unit, group, what the names of its rows hold and their labels leave out, logarithmic,
#  {name of a line: (figure, what the names of its rows begin with)})
OVERLOAD = "overload"
PANELS = (
    ("Good answers under overload", "share of the peak", OVERLOAD, " x capacity", False,
     {"attend": ("good/s of peak", "")}),
    ("Latency of good answers", "ms", OVERLOAD, " x capacity", True,
     {"p50": ("p50 ms", ""), "p99": ("p99 ms", "")}),
    ("16 tokens, closed loop on one core", "requests/s", "batching", "concurrency ", False,
     {"batching on": ("requests/s", "on, "), "batching off": ("requests/s", "off, ")}),
    ("Request time without compute, one caller", "us", "beyond gRPC", "", True,
     {"attend": ("attend us", ""), "raw echo": ("echo us", "")}),
)
AXES = {OVERLOAD: "calls offered, in capacities", "batching": "calls at once",
        "beyond gRPC": "size of request and answer"}


def points(report, group, part, figure, prefix):
    """[(label, value, limit or None)] of the rows of a group whose names have the part and begin
    with the prefix."""
    found = []
    for row in report["rows"]:
        value = row["figures"].get(figure)
        if row["group"] == group and row["name"].startswith(prefix) and part in row["name"] and value:
            label = row["name"].removeprefix(prefix).replace(part, "")
            found.append((label, value[0], row["limits"].get(figure)))
    return found


def scale(values, logarithmic):
    """Ticks, and what places a value between 0 (low) and 1 (high)."""
    if not logarithmic:
        most = max(values) * 1.05
        tick = svg.step(most)
        ticks = [n * tick for n in range(int(most / tick) + 1)]
        return ticks, lambda value: value / most
    low = math.floor(math.log10(min(values)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    return ([10.0 ** n for n in range(low, high + 1)],
            lambda value: (math.log10(value) - low) / (high - low))


def panel(title, unit, axis, logarithmic, series, left, top):
    """The elements of a panel; `series` is {name: points()}."""
    labels = list(dict.fromkeys(label for line in series.values() for label, _, _ in line))
    values = [value for line in series.values() for point in line for value in point[1:] if value]
    ticks, place = scale(values, logarithmic)
    start, bottom = left + LEFT, top + HEAD + HEIGHT
    across = {label: start + WIDTH * (n + 0.5) / len(labels) for n, label in enumerate(labels)}
    parts = [svg.text(left + 8, top + 16, f"{title}, {unit}", "title")]
    for tick in ticks:
        y = bottom - HEIGHT * place(tick)
        parts.append(f'<line class="grid" x1="{start}" y1="{y:.1f}" x2="{start + WIDTH}" '
                     f'y2="{y:.1f}"/>')
        parts.append(svg.text(start - 6, y + 3, f"{tick:,.10g}", "small", "end"))
    for label, x in across.items():
        parts.append(svg.text(x, bottom + 14, label, "small", "middle"))
    parts.append(svg.text(start + WIDTH / 2, bottom + 30, axis, "small", "middle"))
    for number, (name, line) in enumerate(series.items()):
        kind = KINDS[number]
        spots = [(across[label], bottom - HEIGHT * place(value)) for label, value, _ in line]
        parts.append(svg.text(start + 110 * number, top + 36, name, kind))
        parts.append(f'<polyline class="{kind}" points="'
                     + " ".join(f"{x:.1f},{y:.1f}" for x, y in spots) + '"/>')
        for (x, y), (label, value, limit) in zip(spots, line):
            if limit:
                at = bottom - HEIGHT * place(limit)
                parts.append(f'<line class="peak" x1="{x - 14:.1f}" y1="{at:.1f}" '
                             f'x2="{x + 14:.1f}" y2="{at:.1f}"/>')
            about = escape(f"{name}, {label}: {value:,.4g} {unit}")
            parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
                         f"<title>{about}</title></circle>")
    return parts


def draw(report):
    """The SVG document; a panel whose rows were not measured is left out."""
    machine = report["machine"]
    parts = [svg.text(8, 20, "The service, one machine, one run", "title"),
             svg.text(8, 36, f"{machine['cores']} x {machine['cpu']}; server on one core, callers "
                             "on another; dashed: targets", "small")]
    count = 0
    for title, unit, group, part, logarithmic, lines in PANELS:
        series = {name: points(report, group, part, *of) for name, of in lines.items()}
        series = {name: line for name, line in series.items() if line}
        if series:
            left = (count % 2) * PANEL
            top = 48 + (count // 2) * (HEAD + HEIGHT + FOOT)
            parts += panel(title, unit, AXES[group], logarithmic, series, left, top)
            count += 1
    bottom = 48 + -(-count // 2) * (HEAD + HEIGHT + FOOT) + 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * PANEL}" height="{bottom}" '
            f'viewBox="0 0 {2 * PANEL} {bottom}" role="img">\n'
            '<title>The service under load</title>\n'
            f'<style>{STYLE}</style>\n<rect class="back" width="100%" height="100%" rx="6"/>\n'
            + "\n".join(parts) + "\n</svg>\n")
