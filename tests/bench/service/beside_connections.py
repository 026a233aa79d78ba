# SPDX-License-Identifier: Apache-2.0
"""Rows about peers that only connect: what they do to the calls of others."""

import pathlib
import subprocess
import sys

import processes
from bench import Group, Target

ROWS, RATE = 4, 1000
ALONE, BESIDE = "alone", f"beside {RATE:,} connections a second"
CONNECTOR = pathlib.Path(__file__).resolve().parent / "connector.py"


class Connections:
    """A program that opens and closes connections, for the length of a `with`."""

    def __init__(self, bench, target):
        # Nicer, so that what is measured is the server and not the callers' core.
        self.command = processes.pinned(bench.caller_cores,
                                        [sys.executable, CONNECTOR, target, RATE], nice=10)
        self.per_second = None

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True)
        return self

    def __exit__(self, *error):
        output, _ = self.child.communicate("\n")
        count, seconds = map(float, output.split())
        self.per_second = count / seconds


def run(bench, names):
    seconds = bench.seconds(15, 4)
    with bench.server("--max-connections=4096") as server:

        def measure():
            caller = bench.layer_caller(server, ROWS, concurrency=1, seconds=seconds)
            bench.run(caller)
            found = bench.summary(caller.records, seconds)
            return {key: found[key] for key in ("p50 ms", "p99 ms")}, found["codes"]

        alone, codes = measure()
        if ALONE in names:
            yield ALONE, alone, codes
        if BESIDE in names:
            with Connections(bench, server.target) as connections:
                beside, codes = measure()
            beside["p99 to alone"] = beside["p99 ms"] / alone["p99 ms"]
            beside["connections/s"] = connections.per_second
            yield BESIDE, beside, codes


GROUPS = [
    Group("beside connections", f"A call of {ROWS} tokens, one after another, beside peers that "
          "connect, each from one of a thousand addresses, and never call; server on one core, "
          "callers and peers on another",
          {ALONE: (), BESIDE: (Target("p99 to alone", 1.10),)}, run),
]
