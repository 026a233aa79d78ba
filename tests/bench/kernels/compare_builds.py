#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Question: is this build's bench_kernels slower than another build's?

Method: both programs hold the operands of each row of the kernel benchmark and run them in turn, in
bursts, for several rounds, so that a change of the machine's speed meets both (measure.py). Results
are checked against double by the programs.
Statistic: per row the median over the rounds of the ratio of speeds, this build's over the other's;
per group the median of its rows' ratios.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys

import measure
import rows
from contender import Contender

ROOT = pathlib.Path(__file__).resolve().parents[3]


def compare_row(row, ours, other, rounds, seconds):
    """The ratio of speeds, above 1 where ours is faster: median, lowest and highest round."""
    request = {"do": "prepare", "case": row.case, "threads": row.threads}
    prepared = {}
    for label, program in (("attend", ours), ("attend other", other)):
        if not program.ask(request)["correct"]:
            raise SystemExit(f"{row.name}: wrong result of {label}")
        prepared[label] = lambda s, one=program: one.ask({"do": "run", "seconds": s})
    found = measure.bursts(prepared, rounds, seconds)
    return measure.spread([b["seconds"] / a["seconds"]
                           for a, b in zip(found["attend"], found["attend other"])])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=pathlib.Path, help="bench_kernels of the other build")
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build" / "release" / "bin" / "bench_kernels")
    parser.add_argument("--filter", default="", help="only rows whose 'group name' contains this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="length of each burst")
    parser.add_argument("--json", type=pathlib.Path, help="file for the ratios")
    args = parser.parse_args()
    ours, other = Contender("attend", [args.program]), Contender("other", [args.other])
    features = ours.ask({"do": "machine"})["features"]
    ratios = {}
    for row in rows.all_rows(len(os.sched_getaffinity(0)), features):
        if not isinstance(row, rows.Row) or args.filter not in f"{row.group} {row.name}":
            continue
        ratio = compare_row(row, ours, other, args.rounds, args.seconds)
        ratios.setdefault(row.group, {})[f"{row.name}, {row.threads} thread(s)"] = ratio
        print(f"{ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})  "
              f"{row.group}: {row.name}, {row.threads} thread(s)", flush=True)
    print("\nMedian ratio of speeds per group, this build's over the other's:")
    for group, of_rows in ratios.items():
        print(f"{statistics.median(r['median'] for r in of_rows.values()):.3f}  {group}")
    if args.json:
        args.json.write_text(json.dumps(ratios, indent=1) + "\n")
    ours.close()
    other.close()


if __name__ == "__main__":
    sys.exit(main())
