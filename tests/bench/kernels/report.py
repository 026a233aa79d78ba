#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables and the chart of docs/performance.md, out of a report of kernel_bench.py.

    report.py build/bench_kernels.json --chart docs/kernels.svg --into docs/performance.md

prints the fragment, or puts it between the lines <!-- kernels --> and <!-- /kernels --> of a file.
"""

import pathlib
import sys

import chart

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import report_file  # noqa: E402  (found on the path above)

BEGIN, END = "<!-- kernels -->\n", "<!-- /kernels -->\n"
TITLES = {
    "prefill": "Prefill of one sequence, GFLOP/s, causal counted as half the work (the share of "
               "peak is a target at S=2048)",
    "short": "Short sequences, GFLOP/s",
    "layer": "Whole layer, projections included, sequences x length; GFLOP/s",
    "decode": "A few query rows over 4,096 keys, 32 query heads, 8 key/value heads, D=128; GB/s of "
              "keys and values read",
    "head groups": "The same keys and values read for more query heads; speed against a group of 1",
    "projection": "Projection of a few rows; GB/s of weights read",
    "engines of projections": "oneDNN's speed over the panels' of the same projections",
    "1 -> 2 threads": "From one thread to two",
    "mixed lengths": "32 sequences of lengths 1..512 against 32 of their mean; FLOP/s",
    "working memory": "Working memory of an executor, bytes a worker, at 32,768 keys",
}


def figure(row):
    """'190 (79 %; 1.4x)': speed, share of peak, ratio to the best peer; marked unless met."""
    if row["value"] is None:
        return f"failed: {row['failure']}"
    digits = {"x": 2, "GB/s": 1}.get(row["unit"], 0)
    text = f"{row['value']:,.{digits}f}" + ("x" if row["unit"] == "x" else "")
    ratios = [peer["ratio"] for peer in row["peers"].values() if peer["ratio"]]
    about = [f"{row['share_of_peak']:.0%}".replace("%", " %")] if row["share_of_peak"] else []
    about += [f"{min(ratios):.2f}x"] if ratios else []
    text += f" ({'; '.join(about)})" if about else ""
    return text + {True: "", False: " †", None: " ‡"}[row["met"]]


def cell(row):
    """Its line's label and its column's."""
    kind, label = row["name"].split(" ", 1)
    causal = label.endswith(" causal")
    threads = f", {row['threads']} threads" if row["threads"] > 1 else ""
    return label.removesuffix(" causal"), kind + ", causal" * causal + threads


def targets(rows, column):
    """What rows of a column must reach, each part once."""
    parts = [part for row in rows if cell(row)[1] == column for part in row["target"].split(", ")]
    return ", ".join(dict.fromkeys(part for part in parts if part))


def table(rows):
    cells = {}
    lines, columns = [], []
    for row in rows:
        line, column = cell(row)
        lines += [line] if line not in lines else []
        columns += [column] if column not in columns else []
        cells[line, column] = figure(row)
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for line in lines:
        yield f"| {line} | {' | '.join(cells.get((line, column), '') for column in columns)} |"
    yield f"| *target* | {' | '.join(f'*{targets(rows, column)}*' for column in columns)} |"


def machine_text(report):
    peaks = []
    for peak in report["peaks"]:
        bf16 = (f", {peak['bf16_gflops']:,.0f} in bfloat16 ({peak['bf16_instruction']})"
                if peak["bf16_gflops"] else "")
        peaks.append(f"{peak['f32_gflops']:,.0f} GFLOP/s in float32{bf16} and "
                     f"{peak['read_gb_per_second']:.1f} GB/s of reading with "
                     f"{peak['threads']} thread{'s' * (peak['threads'] > 1)}")
    machine = report["machine"]
    return (f"{machine['cores']} cores of {machine['cpu']} ({', '.join(machine['features'])}), "
            f"which gave {'; '.join(peaks)}.")


def fragment(report, chart_path):
    """The whole text, lines of Markdown."""
    rows = report["rows"]
    peers = ", ".join(f"{chart.NAMES.get(name, name)} {version}"
                      for name, version in report["peers"].items())
    yield f"`./dev bench kernels{' --peers' * bool(peers)}` on {machine_text(report)}"
    yield ("In brackets the share of the machine's peak, of multiply-adds or of reading, measured "
           "beside each run" + (f", and our speed over the best of {peers}, run in turn with us on "
                                "the same threads" if peers else "") + ". Medians of "
           f"{report['method']['rounds']} rounds; every result was checked against double.")
    if chart_path:
        yield f"\n![Speed of attention and its peers]({chart_path})"
    for group in dict.fromkeys(row["group"] for row in rows):
        here = [row for row in rows if row["group"] == group]
        yield f"\n{TITLES.get(group, group)}:\n"
        yield from table(here)
    judged = [row["met"] for row in rows]
    yield (f"\n{judged.count(True)} of {len(judged)} rows reach their target; † does not, ‡ "
           "could not be judged: no peer computes it, or arithmetic alone takes longer than "
           "reading.")


if __name__ == "__main__":
    report_file.main(__doc__.splitlines()[0], fragment, chart.draw, BEGIN, END)
