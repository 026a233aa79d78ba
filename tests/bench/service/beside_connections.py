# SPDX-License-Identifier: Apache-2.0
"""Rows about peers that only connect: what they do to the calls of others."""

import pathlib
import subprocess
import sys

import processes
from bench import Group, Target

ROWS, SILENT_PEERS, RATE = 4, 2000, 1000
ALONE = "alone"
SILENT = f"beside {SILENT_PEERS:,} silent connections"
BESIDE = f"beside {RATE:,} connections per second"
CONNECTOR = pathlib.Path(__file__).resolve().parent / "connector.py"


class Peers:
    """A program that connects, for the length of a `with`: see connector.py."""

    def __init__(self, bench, target, *arguments):
        # Nicer, so that what is measured is the server and not the callers' core.
        self.child = subprocess.Popen(
            processes.pinned(bench.caller_cores, [sys.executable, CONNECTOR, target, *arguments],
                             nice=10),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if "hold" in arguments:
            self.child.stdout.readline()
        self.count = self.seconds = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        output, _ = self.child.communicate("\n")
        self.count, self.seconds = map(float, output.split())


def run(bench, names):
    seconds = bench.seconds(15, 4)
    # Silent connections would end after ten seconds.
    with bench.server("--max-connections=4096", "--handshake-timeout=1h") as server:

        def measure():
            caller = bench.layer_caller(server, ROWS, concurrency=1, seconds=seconds)
            bench.run(caller)
            found = bench.summary(caller.records, seconds)
            return {key: found[key] for key in ("p50 ms", "p99 ms")}, found["codes"]

        def measure_beside(*arguments):
            with Peers(bench, server.target, *arguments) as peers:
                beside, codes = measure()
            beside["p99 to alone"] = beside["p99 ms"] / alone["p99 ms"]
            return beside, codes, peers

        alone, codes = measure()
        if ALONE in names:
            yield ALONE, alone, codes
        if SILENT in names:
            beside, codes, peers = measure_beside("hold", SILENT_PEERS)
            beside["connections"] = peers.count
            yield SILENT, beside, codes
        if BESIDE in names:
            beside, codes, peers = measure_beside("rate", RATE)
            beside["connections/s"] = peers.count / peers.seconds
            yield BESIDE, beside, codes


ALMOST_AS_ALONE = (Target("p99 to alone", 1.10),)

GROUPS = [
    Group("beside connections", f"A call of {ROWS} tokens, one after another, beside peers that "
          "connect, each from one of a thousand addresses, and never call; server on one core, "
          "callers and peers on another. Of the silent connections half send nothing and half the "
          "beginning of a handshake that they never end",
          {ALONE: (), SILENT: ALMOST_AS_ALONE, BESIDE: ALMOST_AS_ALONE}, run),
]
