# SPDX-License-Identifier: Apache-2.0
"""What the groups of rows share: programs, cores, durations, and rows with their targets."""

import dataclasses
import pathlib
import statistics

import bodies
import processes
import samples


LATE, MOST_LATE_MS = "send late p99 ms", 50  # a tenth of the deadline of an open loop's calls


@dataclasses.dataclass(frozen=True)
class Target:
    """What a figure of a row has to reach."""
    figure: str
    limit: float
    at_least: bool = False  # otherwise it must be below

    def met(self, figures):
        """None when the figure is missing."""
        value = figures.get(self.figure)
        if value is None:
            return None
        return value >= self.limit if self.at_least else value < self.limit

    def __str__(self):
        return f"{self.figure} {'>=' if self.at_least else '<'} {self.limit:g}"


@dataclasses.dataclass(frozen=True)
class Group:
    """Rows that are measured together. `run` is called with a Bench and the names of the rows that
    are wanted, and yields (name, {figure: number or None}, {code: count} or None) for each."""
    name: str
    title: str
    rows: dict  # {name: tuple of Targets}
    run: object
    note: str = ""


def judge(targets, figures):
    """Whether every target is met. None when there is none, when a figure is missing and no target
    is missed, and when the callers' own core was too busy to send in time."""
    if (figures.get(LATE) or 0) > MOST_LATE_MS:
        return None
    met = [target.met(figures) for target in targets]
    if False in met:
        return False
    return None if None in met or not met else True


def medians(rounds):
    """{figure: (median, lowest, highest)} over the rounds in which it is there; None otherwise."""
    found = {}
    for name in dict.fromkeys(name for figures in rounds for name in figures):
        values = [figures[name] for figures in rounds if figures.get(name) is not None]
        found[name] = (statistics.median(values), min(values), max(values)) if values else None
    return found


def wrong(codes):
    """Answers that no server under any load may give."""
    return sum(count for name, count in codes.items()
               if name in (samples.NAMES[samples.WRONG_ANSWER], "INTERNAL", "UNKNOWN"))


class Bench:
    """Starts servers and callers. The server has the last of the cores and callers the others;
    with one core they share it."""

    def __init__(self, programs, folder, cores, quick):
        self.programs = pathlib.Path(programs)
        self.folder = pathlib.Path(folder)
        self.cores = sorted(cores)
        self.server_cores = self.cores[-1:]
        self.caller_cores = self.cores[:-1] or self.cores
        self.quick = quick
        self.bodies = bodies.Bodies(folder)
        self.layer_samples = {}  # {(rows, priority, layer): sample}; answers are the same of every server

    def seconds(self, full, quick):
        return quick if self.quick else full

    def server(self, *arguments, cores=None):
        return processes.Server(self.programs / "attend-server", self.folder,
                                cores or self.server_cores, [bodies.LAYER_FLAG, *arguments])

    def echo(self):
        return processes.Echo(self.programs / "bench_echo", self.folder, self.server_cores)

    def run(self, *callers, cores=None):
        """Lets callers act at once; returns the records of the first."""
        processes.run_callers(self.programs / "bench_load", self.folder,
                              cores or self.caller_cores, callers)
        return callers[0].records

    def layer_caller(self, server, rows, priority=None, layer=bodies.LAYER, **plan):
        """A caller of a layer with requests of so many rows."""
        sample = self.layer_samples.get((rows, priority, layer))
        if sample is None:
            request = self.bodies.layer(rows, layer, priority)
            sample = self.bodies.sample(server.target, bodies.LAYER_METHOD, request)
            self.layer_samples[rows, priority, layer] = sample
        return processes.Caller(server.target, bodies.LAYER_METHOD, [sample], **plan)

    summary = staticmethod(samples.summary)

    @staticmethod
    def received():
        """Bytes that the loopback interface has carried."""
        return samples.parse_received(pathlib.Path("/proc/net/dev").read_text())

    @staticmethod
    def settled(caller, head=0.5, tail=0.0):
        """The records without the first and the last of the run, and the seconds that they span,
        counted by planned sends."""
        records = caller.records
        begin = records["planned"][0] + int(head * 1e9)
        end = records["planned"][0] + int((caller.duration() - tail) * 1e9)
        return samples.window(records, begin, end), (end - begin) * 1e-9
