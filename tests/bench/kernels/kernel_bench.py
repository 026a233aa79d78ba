#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Question: how fast are our kernels and layers, against what this machine can do and against
torch, onnxruntime and OpenVINO?

Method: bench_kernels and, with --peers, one program a peer hold their operands and run each row's
case in turn, in bursts, for several rounds (measure.py). All get the same number of threads. One
thread is timed by its processor time, more by the wall clock, as is one when it is compared with
more; a peer's single thread by the smaller of both. A peer is called from Python, as its users do.
Every result that is timed is checked against double: ours in the program, a peer's beside it. Peaks
are taken by bench_kernels before each burst. What is held against the memory's bandwidth reads
256 MiB in turn, so that no cache helps.
Statistic: medians over the rounds, of speeds and of the ratios within a round; the JSON has the
lowest and the highest as well. Causal counts as the work that it leaves, about half.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time

import measure
import rows
from contender import Contender, Failure

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PEERS = rows.SDPA_PEERS
BUSY_LOAD = 0.5
NAME_WIDTH = 46


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def usable_cores():
    return len(os.sched_getaffinity(0))


def start_peers(python):
    """{name: Contender or Failure} and {name: version}, or both empty without `python`."""
    found, versions = {}, {}
    for name in PEERS if python else ():
        peer = Contender(name, [python, HERE / "peers" / f"{name}_peer.py"])
        try:
            versions[name] = peer.ask({"do": "version"})["version"]
            found[name] = peer
        except Failure as failure:
            peer.close()
            found[name] = failure
            print(f"without {name}: {failure}", file=sys.stderr)
    return found, versions


def take_peaks(ours, cores):
    """The machine's, with one thread and with all."""
    peaks = []
    for threads in sorted({1, cores}):
        peak = ours.ask({"do": "peaks", "threads": threads})
        peaks.append({"threads": threads, "f32_gflops": peak["f32"] * 1e-9,
                      "bf16_gflops": peak["bf16"] * 1e-9 or None,
                      "bf16_instruction": peak["bf16_by"],
                      "read_gb_per_second": peak["read"] * 1e-9})
        bf16 = (f"{peak['bf16'] * 1e-9:,.0f} GFLOP/s bf16 ({peak['bf16_by']})" if peak["bf16"]
                else "no bf16 instructions")
        print(f"peaks, {threads} thread{'s' * (threads > 1)}: {peak['f32'] * 1e-9:,.0f} GFLOP/s "
              f"f32, {bf16}, {peak['read'] * 1e-9:.1f} GB/s read", flush=True)
    return peaks


def heading(peers):
    return (f"{'':{NAME_WIDTH}} {'thr':>3} {'':>17} {'peak':>5} "
            + "".join(f"{name:>12}" for name in peers) + "  met  target")


def line(row, peers):
    """One row of the table on the terminal: a peer's figure is our speed over its."""
    share = f"{row['share_of_peak']:.0%}" if row["share_of_peak"] else ""
    cells = ""
    for name in peers:
        peer = row["peers"].get(name)
        ratio = "" if peer is None else f"{peer['ratio']:.2f}x" if peer["ratio"] else "-"
        cells += f"{ratio:>12}"
    digits = {"x": 2, "bytes": 0}.get(row["unit"], 1)
    met = {True: "yes", False: "NO", None: "?"}[row["met"]]
    text = (f"{row['name']:{NAME_WIDTH}} {row['threads']:>3} {row['value']:>9,.{digits}f} "
            f"{row['unit']:<7} {share:>5} {cells}  {met:<3}  {row['target']}")
    text += f"; {row['note']}" if "note" in row else ""
    return text if row["correct"] else text + f"  WRONG, error {row['error']:.2g}"


def failed(row, failure):
    """The row of a case that our own program could not run."""
    return {"group": row.group, "name": row.name, "threads": 1, "value": None, "unit": "",
            "share_of_peak": None, "peers": {}, "target": "", "met": False, "correct": False,
            "failure": str(failure)}


def measure_all(wanted, pair, peers, args):
    """The report's rows; prints each when it is known."""
    group, results, reasons = None, [], set()
    for row in wanted:
        if row.group != group:
            group = row.group
            print(f"\n{group}\n{heading(peers)}", flush=True)
        try:
            if isinstance(row, rows.Row):
                result = measure.measure_row(row, pair[0], peers, args.rounds, args.seconds)
            elif isinstance(row, rows.Comparison):
                result = measure.measure_comparison(row, pair, args.rounds, args.seconds)
            else:
                result = measure.measure_memory(row, pair[0])
            print(line(result, peers), flush=True)
        except Failure as failure:
            result = failed(row, failure)
            print(f"{row.name:{NAME_WIDTH}} FAILED: {failure}", flush=True)
        results.append(result)
        for name, peer in result["peers"].items():
            reason = (name, peer.get("failure"))
            if reason[1] and reason not in reasons:
                reasons.add(reason)
                print(f"    {name}: {reason[1]}", flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter that has the peers")
    parser.add_argument("--json", type=pathlib.Path, help="file for the report")
    parser.add_argument("--quick", action="store_true", help="a few rows, for a moment each")
    parser.add_argument("--filter", default="", help="only rows with it in 'group name'")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each burst")
    parser.add_argument("--program", default=ROOT / "build" / "release" / "bin" / "bench_kernels")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = 1, 0.01

    started = time.monotonic()
    cores = usable_cores()
    pair = [Contender("attend", [args.program]) for _ in range(2)]
    found = pair[0].ask({"do": "machine"})
    features, prefetch = found["features"], found["prefetch"]
    machine = {"cpu": cpu_name(), "cores": cores, "features": features, "prefetch": prefetch,
               "system": platform.platform(), "load_average": os.getloadavg()[0]}
    print(f"{cores} x {machine['cpu']}, {', '.join(features)}")
    print("prefetch chosen at start: " + "; ".join(f"{of}: {choice}" for of, choice in prefetch.items()))
    if machine["load_average"] > BUSY_LOAD:
        print(f"others keep {machine['load_average']:.1f} threads busy here: what takes more than "
              "one thread is not to be trusted")
    peaks = take_peaks(pair[0], cores)
    peers, versions = start_peers(args.peers)
    wanted = [row for row in rows.all_rows(cores, features)
              if args.filter in f"{row.group} {row.name}" and (row.quick or not args.quick)]
    results = measure_all(wanted, pair, peers, args)
    for one in [*pair, *(peer for peer in peers.values() if isinstance(peer, Contender))]:
        one.close()

    judged = [row["met"] for row in results]
    print(f"\n{judged.count(True)} targets met, {judged.count(False)} not, "
          f"{judged.count(None)} not judged, in {time.monotonic() - started:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(
            {"machine": machine, "peaks": peaks, "peers": versions,
             "method": {"rounds": args.rounds, "burst_seconds": args.seconds}, "rows": results},
            indent=1) + "\n")
    return 0 if all(row["correct"] for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
