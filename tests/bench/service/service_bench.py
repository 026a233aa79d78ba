#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Question: how does the service behave towards its callers: beside long calls, when calls stop,
under more load than it can compute, and how much does it add to the computing?

Method: an attend-server of one random layer (E=768, 12 heads, float32) on one core, and callers on
another (bench_load). Open loops send at planned times, whatever the server does, and count latency
from the planned send; callers never retry and never back off. Every good answer is compared with
the bytes that the server gives to the same request alone. CPU time and memory are the kernel's
figures of the server's process. A caller that floods runs at a lower scheduling priority than one
that is measured beside it.
Statistic: medians over the rounds, and the lowest and the highest, which the tables show of a row's
first figure and of what has a target; percentiles are of all calls of a round, without its first
moments where the load is open or has many callers.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
import time

import grpc

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "client" / "examples")]
import beside_connections  # noqa: E402  (its own imports are found on the path above)
import beside_long_calls  # noqa: E402
import overload  # noqa: E402
import samples  # noqa: E402
import service_report  # noqa: E402
import throughput  # noqa: E402
from bench import Bench, judge, medians, wrong  # noqa: E402
from processes import Failure  # noqa: E402

GROUPS = [*beside_long_calls.GROUPS, *beside_connections.GROUPS, *overload.GROUPS,
          *throughput.GROUPS]
BUSY_LOAD = 0.5


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine():
    features = samples.parse_features(pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "features": features,
            "system": platform.platform(), "load_average": os.getloadavg()[0]}


def selected(groups, text):
    """[(group, names of its rows)] of the rows with the text in "group name"."""
    wanted = [(group, [name for name in group.rows if text in f"{group.name} {name}"])
              for group in groups]
    return [(group, names) for group, names in wanted if names]


def result(group, name, rounds, codes):
    """A row of the report."""
    figures = medians(rounds)
    middle = {key: of and of[0] for key, of in figures.items()}
    targets = group.rows.get(name, ())
    return {"group": group.name, "name": name, "figures": figures, "rounds": rounds,
            "codes": codes, "target": ", ".join(map(str, targets)),
            "limits": {target.figure: target.limit for target in targets},
            "met": judge(targets, middle), "correct": wrong(codes) == 0}


def failed(group, failure):
    """The last row of a group that could not be measured to its end."""
    return {"group": group.name, "name": f"failed: {failure}", "figures": {}, "rounds": [],
            "codes": {}, "target": "", "limits": {}, "met": False, "correct": False}


def measure(bench, group, names, rounds):
    """The rows of a group."""
    found, codes, failures = {}, {}, []
    try:
        for number in range(rounds):
            print(f"{group.name}, round {number + 1}/{rounds}", file=sys.stderr, flush=True)
            for name, figures, ended in group.run(bench, names):
                found.setdefault(name, []).append(figures)
                total = codes.setdefault(name, {})
                for code, count in (ended or {}).items():
                    total[code] = total.get(code, 0) + count
    except (Failure, grpc.RpcError) as failure:
        print(f"{group.name} FAILED: {failure}", flush=True)
        failures.append(failed(group, failure))
    return [result(group, name, figures, codes[name])
            for name, figures in found.items()] + failures


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, help="file for the report")
    parser.add_argument("--quick", action="store_true", help="one round of seconds")
    parser.add_argument("--filter", default="", help="only rows with it in 'group name'")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build" / "release" / "bin",
                        help="folder of attend-server, bench_load and bench_echo")
    args = parser.parse_args()
    if args.quick:
        args.rounds = 1
    return args


def main():
    args = parse_arguments()
    started = time.monotonic()
    about = machine()
    print(service_report.machine_line(about), flush=True)
    if about["load_average"] > BUSY_LOAD:
        print(f"Others keep {about['load_average']:.1f} threads busy here: these figures are rough.",
              flush=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="attend-bench-") as folder:
        bench = Bench(args.programs, folder, os.sched_getaffinity(0), args.quick)
        os.sched_setaffinity(0, bench.caller_cores)
        report = {"machine": about, "method": {"rounds": args.rounds, "quick": args.quick},
                  "groups": {group.name: {"title": group.title, "note": group.note}
                             for group in GROUPS}, "rows": results}
        for group, names in selected(GROUPS, args.filter):
            results += measure(bench, group, names, args.rounds)
            print("\n" + "\n".join(service_report.group_lines(report, group.name)), flush=True)
            if args.json:  # after each group: a run that is stopped has left what it measured
                args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    judged = [row["met"] for row in results]
    print(f"\n{judged.count(True)} rows reach their targets, {judged.count(False)} do not, "
          f"{judged.count(None)} have none or cannot be judged, "
          f"in {time.monotonic() - started:.0f} s")
    return 0 if results and all(row["correct"] for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
