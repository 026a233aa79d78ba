# SPDX-License-Identifier: Apache-2.0
"""The command line that the reports of the benchmarks share."""

import argparse
import json
import os
import pathlib
import sys


def put(path, text, begin, end):
    """Replaces what is between the marks of the file."""
    whole = path.read_text(encoding="utf-8")
    before, found, rest = whole.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        sys.exit(f"{path} has no lines {begin.strip()} and {end.strip()}")
    path.write_text(before + begin + text + end + after, encoding="utf-8")


def main(description, fragment, draw, begin, end):
    """Writes the lines of `fragment(report, path of the chart)` and the chart that
    `draw(report)` gives."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--chart", type=pathlib.Path, help="SVG to write; named in the text")
    parser.add_argument("--into", type=pathlib.Path, help="file with the two marks")
    args = parser.parse_args()
    report = json.loads(args.report.read_text(encoding="utf-8"))
    if args.chart:
        args.chart.write_text(draw(report), encoding="utf-8")
    link = args.chart
    if args.chart and args.into:
        link = os.path.relpath(args.chart, args.into.parent)
    text = "\n".join(fragment(report, link)) + "\n"
    if args.into:
        put(args.into, text, begin, end)
    else:
        print(text, end="")
