# SPDX-License-Identifier: Apache-2.0
"""A chart of a kernel report: horizontal bars of ours and each peer, one panel per kind of work.

Plain SVG with its own style sheet, which follows the reader's light or dark setting.
"""

from xml.sax.saxutils import escape

STYLE = """
text { font: 11px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 13px; font-weight: 600; }
.small { font-size: 10px; fill: #57606a; }
.back { fill: #ffffff; }
.grid { stroke: #d0d7de; }
.peak { stroke: #cf222e; stroke-dasharray: 4 3; }
.peaktext { fill: #cf222e; font-size: 10px; }
.attend { fill: #0969da; }
.torch { fill: #e16f24; }
.onnxruntime { fill: #2da44e; }
.openvino { fill: #8250df; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .back { fill: #0d1117; }
  .grid { stroke: #3d444d; }
  .peak { stroke: #ff7b72; }
  .peaktext { fill: #ff7b72; }
  .attend { fill: #58a6ff; }
  .torch { fill: #f0883e; }
  .onnxruntime { fill: #3fb950; }
  .openvino { fill: #a371f7; }
}
"""
CONTENDERS = ("attend", "torch", "onnxruntime", "openvino")
NAMES = {"openvino": "OpenVINO"}  # where they differ from the package's
LABELS = 170  # width left of the bars
BARS = 260
PANEL = LABELS + BARS + 40
BAR = 7
GAP = 7
HEAD, FOOT = 34, 34  # of a panel: title, axis

# (title, group of rows, type, threads)
PANELS = (
    ("Prefill, float32, 1 thread", "prefill", "f32", 1),
    ("Prefill, bfloat16, 1 thread", "prefill", "bf16", 1),
    ("Whole layer, float32, 1 thread", "layer", "f32", 1),
    ("Whole layer, bfloat16, 1 thread", "layer", "bf16", 1),
    ("Decode over 4,096 keys, float32, 1 thread", "decode", "f32", 1),
    ("Decode over 4,096 keys, bfloat16, 1 thread", "decode", "bf16", 1),
)


def step(most):
    """Distance of grid lines: 1, 2 or 5 times a power of ten, for four to eight of them."""
    size = 10.0 ** -6
    while True:
        for factor in (1, 2, 5):
            if most / (size * factor) <= 8:
                return size * factor
        size *= 10


def text(x, y, content, kind="", anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
            + (f' class="{kind}"' if kind else "") + f">{escape(str(content))}</text>")


def upright(kind, x, top, bottom):
    return f'<line class="{kind}" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'


def bars_of(row):
    """[(contender, value)] of the contenders that have a value."""
    values = {"attend": row["value"]}
    values |= {name: peer["value"] for name, peer in row["peers"].items()}
    return [(name, values[name]) for name in CONTENDERS if values.get(name)]


def peak_of(report, row):
    peak = next(p for p in report["peaks"] if p["threads"] == 1)
    if row["unit"] == "GB/s":
        return peak["read_gb_per_second"]
    return peak[f"{row['case']['type']}_gflops"]


def panel(report, title, rows, left, top):
    """The panel's elements and its height."""
    peak = peak_of(report, rows[0])
    most = max([value for row in rows for _, value in bars_of(row)] + [peak or 0]) * 1.02
    heights = [BAR * len(bars_of(row)) + GAP for row in rows]
    bottom = top + HEAD + sum(heights)
    start = left + LABELS
    parts = [text(left + 8, top + 16, title, "title")]
    tick = step(most)
    for number in range(int(most / tick) + 1):
        x = start + BARS * number * tick / most
        parts.append(upright("grid", x, top + HEAD, bottom))
        parts.append(text(x, bottom + 13, f"{number * tick:,.10g}", "small", "middle"))
    parts.append(text(start + BARS / 2, bottom + 27, f"{rows[0]['unit']} (more is better)", "small",
                      "middle"))
    y = top + HEAD
    for row, height in zip(rows, heights):
        label = row["name"].split(" ", 1)[1]
        parts.append(text(start - 6, y + height / 2 + 3, label, "", "end"))
        for place, (name, value) in enumerate(bars_of(row)):
            parts.append(f'<rect class="{name}" x="{start}" y="{y + GAP / 2 + place * BAR:.1f}" '
                         f'width="{BARS * value / most:.1f}" height="{BAR - 1}">'
                         f"<title>{escape(f'{name}: {value:,.1f} ' + row['unit'])}</title></rect>")
        y += height
    if peak:
        x = start + BARS * peak / most
        parts.append(upright("peak", x, top + HEAD - 4, bottom))
        parts.append(text(x, top + HEAD - 7, f"peak {peak:,.0f}", "peaktext", "end"))
    return parts, HEAD + sum(heights) + FOOT


def draw(report):
    """The SVG document."""
    machine = report["machine"]
    peers = ", ".join(f"{NAMES.get(name, name)} {version}"
                      for name, version in report["peers"].items())
    parts = [text(8, 20, "Speed of attention, one machine, one run", "title"),
             text(8, 36, f"{machine['cores']} x {machine['cpu']}, "
                         f"{', '.join(machine['features'])}; {peers}", "small")]
    present = [name for name in CONTENDERS
               if name == "attend" or any(name in row["peers"] for row in report["rows"])]
    for place, name in enumerate(present):
        x = 8 + 110 * place
        parts.append(f'<rect class="{name}" x="{x}" y="46" width="10" height="10"/>')
        parts.append(text(x + 15, 55, NAMES.get(name, name)))
    x = 8 + 110 * len(present)
    parts.append(f'<line class="peak" x1="{x}" y1="51" x2="{x + 20}" y2="51"/>')
    parts.append(text(x + 25, 55, "the machine's measured peak"))
    top, column, tallest = 66, 0, 0
    for title, group, kind, threads in PANELS:
        rows = [row for row in report["rows"]
                if row["group"] == group and row["threads"] == threads and row["value"]
                and row["case"]["type"] == kind]
        if not rows:
            continue
        drawn, height = panel(report, title, rows, column * PANEL, top)
        parts += drawn
        tallest = max(tallest, height)
        column += 1
        if column == 2:
            top, column, tallest = top + tallest + 8, 0, 0
    bottom = top + tallest + 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * PANEL}" height="{bottom:.0f}" '
            f'viewBox="0 0 {2 * PANEL} {bottom:.0f}" role="img">\n'
            '<title>Speed of attention</title>\n'
            f'<style>{STYLE}</style>\n<rect class="back" width="100%" height="100%" rx="6"/>\n'
            + "\n".join(parts) + "\n</svg>\n")
