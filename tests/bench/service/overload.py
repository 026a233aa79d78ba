# SPDX-License-Identifier: Apache-2.0
"""Rows about more calls than the server can compute, from callers that never retry and never back
off."""

import bodies
import processes
import samples
from bench import LATE, Group, Target

ROWS, DEADLINE, CHANNELS = 16, 0.5, 4
UNLOADED, CAPACITY, REFUSED = "one caller", "32 callers", "all refused, 32 callers"
FACTORS = (0.5, 0.7, 0.9, 1.5, 2, 5, 10)
SHARES = {2: 0.95, 5: 0.85, 10: 0.70}
SHARE, TIMES_UNLOADED = "good/s of peak", "p50 of unloaded"
ALONE, BESIDE = "alone", "beside a flood of another caller"
PRIORITIES = ("high", "normal", "low")
FLOOD, FAIR = 10, 0.25


def rate_name(factor):
    return f"{factor:g} x capacity"


def closed(bench, server, concurrency, seconds):
    return bench.layer_caller(server, ROWS, concurrency=concurrency, seconds=seconds,
                              deadline=DEADLINE, channels=min(concurrency, CHANNELS))


def capacity(bench, server):
    """Good answers/s to 32 callers in a closed loop."""
    caller = closed(bench, server, 32, bench.seconds(4, 1.5))
    bench.run(caller)
    return bench.summary(*bench.settled(caller), DEADLINE)["good/s"]


def open_caller(bench, server, segments, **more):
    return bench.layer_caller(server, ROWS, segments=segments, deadline=DEADLINE,
                              channels=CHANNELS, **more)


def measured(bench, server, caller, head=0.5, tail=0.0):
    """Lets one caller act: its summary, with the server's CPU time per call."""
    before = server.cpu_seconds()
    bench.run(caller)
    found = bench.summary(*bench.settled(caller, head, tail), DEADLINE)
    found["CPU us/call"] = (server.cpu_seconds() - before) * 1e6 / len(caller.records)
    server.check()
    return found


def refused(bench, server):
    """What a call costs that is refused after its body: its layer does not exist."""
    sample = bench.bodies.keep(bench.bodies.layer(ROWS, layer="unknown"))
    caller = processes.Caller(server.target, bodies.LAYER_METHOD, [sample], concurrency=32,
                              seconds=bench.seconds(4, 1.5), channels=CHANNELS)
    received = bench.received()
    cpu = server.cpu_seconds()
    bench.run(caller)
    calls = len(caller.records)
    found = bench.summary(*bench.settled(caller))
    times = samples.latencies(caller.records)
    figures = {"calls/s": calls / caller.seconds,
               "refusal p50 ms": samples.percentile(times, 0.5),
               "CPU us/call": (server.cpu_seconds() - cpu) * 1e6 / calls,
               "loopback KB/call": (bench.received() - received) / calls / 1e3}
    return figures, found["codes"]


def overload_figures(found, peak, unloaded):
    keys = ("offered/s", "good/s", "p50 ms", "p99 ms", "refusal p50 ms", "CPU us/call",
            LATE)
    figures = {key: found[key] for key in keys}
    figures[SHARE] = found["good/s"] / peak if peak else None
    figures[TIMES_UNLOADED] = (found["p50 ms"] / unloaded
                               if found["p50 ms"] and unloaded else None)
    return figures


def run_overload(bench, names):
    seconds = bench.seconds(8, 2.5)
    with bench.server() as server:
        found = {UNLOADED: measured(bench, server, closed(bench, server, 1, bench.seconds(4, 1.5))),
                 CAPACITY: measured(bench, server, closed(bench, server, 32, bench.seconds(4, 1.5)))}
        for factor in FACTORS:
            if rate_name(factor) in names:
                rate = factor * found[CAPACITY]["good/s"]
                caller = open_caller(bench, server, [[rate, seconds]])
                found[rate_name(factor)] = measured(bench, server, caller, 1.0, DEADLINE)
        peak = max(one["good/s"] for one in found.values())
        for name, one in found.items():
            yield name, overload_figures(one, peak, found[UNLOADED]["p50 ms"]), one["codes"]
        if REFUSED in names:
            yield REFUSED, *refused(bench, server)


def run_recovery(bench, names):
    flood, after = bench.seconds(5, 2), bench.seconds(8, 3)
    with bench.server() as server:
        most = capacity(bench, server)
        caller = open_caller(bench, server, [[10 * most, flood], [0.5 * most, after]])
        bench.run(caller)
        since = int(caller.records["planned"][0] + flood * 1e9)
        calm = caller.records[caller.records["planned"] >= since]
        found = bench.summary(calm, after, DEADLINE)
        figures = {LATE: bench.summary(caller.records, flood + after)[LATE],
                   "back to normal s": samples.seconds_until_settled(caller.records, since,
                                                                     DEADLINE),
                   "good share after": found["good share"]}
        yield names[0], figures, found["codes"]


def modest(bench, server, most, target, seconds, **more):
    """A caller of half of its fair share of two, over a connection of its own."""
    caller = open_caller(bench, server, [[FAIR * most, seconds]], **more)
    caller.target = target
    caller.channels = 1
    return caller


def fair_figures(bench, caller):
    found = bench.summary(*bench.settled(caller, 1.0, DEADLINE), DEADLINE)
    figures = {"offered/s": found["offered/s"], "good share": found["good share"],
               "p50 ms": found["p50 ms"], "p99 ms": found["p99 ms"],
               "refusal p50 ms": found["refusal p50 ms"], LATE: found[LATE]}
    return figures, found["codes"]


def run_fair(bench, names):
    seconds = bench.seconds(8, 3)
    with bench.server() as server:
        most = capacity(bench, server)
        for name in names:
            # By the unix socket it is another peer than the one that floods over TCP.
            caller = modest(bench, server, most, server.socket, seconds)
            callers = [caller]
            if name == BESIDE:
                callers.append(open_caller(bench, server, [[FLOOD * most, seconds]], nice=10))
            bench.run(*callers)
            figures, ended = fair_figures(bench, caller)
            for flood in callers[1:]:
                of_flood = bench.summary(*bench.settled(flood, 1.0, DEADLINE), DEADLINE)
                figures |= {"flood offered/s": of_flood["offered/s"],
                            "flood good/s": of_flood["good/s"],
                            "flood late p99 ms": of_flood[LATE]}
            yield name, figures, ended


def run_priorities(bench, names):
    seconds = bench.seconds(8, 3)
    with bench.server() as server:
        most = capacity(bench, server)
        callers = {name: modest(bench, server, most, server.target, seconds, priority=name)
                   for name in PRIORITIES[:-1]}
        callers[PRIORITIES[-1]] = open_caller(bench, server, [[FLOOD * most, seconds]],
                                              priority=PRIORITIES[-1], nice=10)
        bench.run(*callers.values())
        for name in names:
            yield name, *fair_figures(bench, callers[name])


def overload_rows():
    rows = {UNLOADED: (), CAPACITY: ()}
    for factor in FACTORS:
        targets = []
        if factor in SHARES:
            targets.append(Target(SHARE, SHARES[factor], at_least=True))
        if factor >= 2:
            targets.append(Target("refusal p50 ms", 10))
        if factor == 0.9:
            targets.append(Target(TIMES_UNLOADED, 4))
        rows[rate_name(factor)] = tuple(targets)
    return rows | {REFUSED: ()}


GROUPS = [
    Group("overload", f"{ROWS} tokens, E={bodies.EMBED}, deadline {DEADLINE:g} s, open loop "
          "(Poisson), latency from the planned send; server on one core, callers on another",
          overload_rows(), run_overload,
          note="The capacity is the rate of good answers to 32 callers in a closed loop; the peak "
               "is the highest rate of good answers of the round. The last row names a layer that "
               "does not exist: what receiving and refusing costs. A row whose calls were "
               "sent over 50 ms late is not judged: the callers' own core was too busy."),
    Group("recovery", "After 10 times the capacity comes 0.5 times",
          {"10 x, then 0.5 x capacity": ()}, run_recovery,
          note="Back to normal: from then on at least 95 % of the calls planned in each tenth of a "
               "second have good answers."),
    Group("two callers", f"A caller of {FAIR:g} x capacity over a unix socket, and one of "
          f"{FLOOD} x over TCP", {ALONE: (), BESIDE: ()}, run_fair),
    Group("priorities", f"High and normal priority at {FAIR:g} x capacity each beside low at "
          f"{FLOOD} x, all from one peer", dict.fromkeys(PRIORITIES, ()), run_priorities),
]
