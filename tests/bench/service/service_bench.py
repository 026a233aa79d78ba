#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Question: how much throughput and latency does a caller get through gRPC, and how much
does batching add?

Method: two servers of one random layer (E=768, 12 heads, float32), one with batching, one without,
side by side and never loaded together; `attend bench` sends 16-token requests over TCP loopback,
closed loop, from the same cores. Rounds alternate between the servers, so that a change of the
machine's speed meets both.
Statistic: medians over the rounds; in brackets the lowest and highest requests/s of a round.
"""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "support" / "python"), str(ROOT / "client" / "examples")]
import server  # noqa: E402  (found on the path above)

CLI = ROOT / "build" / "release" / "bin" / "attend"
LAYER = "--random-layer=bench:embed_dim=768,num_heads=12,seed=1"
CONCURRENCIES = (1, 8, 32)


def measure(target, concurrency, seconds):
    """The report of one run of `attend bench`; ends the program if an answer was bad."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        subprocess.run(
            [CLI, "bench", f"--server={target}", "--layer=bench", "--tokens=16", "--check",
             f"--concurrency={concurrency}", f"--duration={seconds}s", "--warmup=1s", "--quiet",
             f"--json={report}"],
            check=True, stdout=subprocess.DEVNULL)
        found = json.loads(report.read_text())
    if found["errors"] or found["wrong"]:
        raise SystemExit(f"bad answers: {found['errors']}, {found['wrong']} wrong")
    return found


def row(label, concurrency, reports):
    def median(pick):
        return statistics.median(pick(report) for report in reports)

    rates = [report["requests_per_second"] for report in reports]
    return (f"| {label} | {concurrency} | {statistics.median(rates):,.0f} "
            f"({min(rates):,.0f}-{max(rates):,.0f}) "
            f"| {median(lambda r: r['latency_ms']['p50']):.2f} "
            f"| {median(lambda r: r['latency_ms']['p99']):.2f} "
            f"| {median(lambda r: r['batch_requests']['mean']):.1f} |")


def cpu_name():
    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
             if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="file for all reports")
    args = parser.parse_args()

    reports = {}
    with server.Server(LAYER, "--batching=on") as on, server.Server(LAYER, "--batching=off") as off:
        for number in range(args.rounds):
            for concurrency in CONCURRENCIES:
                for label, one in (("on", on), ("off", off)):
                    print(f"round {number + 1}/{args.rounds}, batching {label}, "
                          f"concurrency {concurrency}", file=sys.stderr)
                    reports.setdefault((label, concurrency), []).append(
                        measure(one.target, concurrency, args.seconds))

    features = ", ".join(next(iter(reports.values()))[0]["server"]["cpu_features"])
    print(f"Service, float32, E=768, H=12, 16 tokens a request; {cpu_name()}, {features}")
    print()
    print("| batching | concurrency | requests/s | p50 ms | p99 ms | requests a batch |")
    print("|---|---|---|---|---|---|")
    for (label, concurrency), found in sorted(reports.items(),
                                              key=lambda item: (item[0][0] != "on", item[0][1])):
        print(row(label, concurrency, found))
    if args.json:
        args.json.write_text(json.dumps(
            [{"batching": label, "concurrency": concurrency, "reports": found}
             for (label, concurrency), found in reports.items()], indent=1))


if __name__ == "__main__":
    main()
