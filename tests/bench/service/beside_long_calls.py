# SPDX-License-Identifier: Apache-2.0
"""Rows about long calls: what they do to short ones beside them, and how soon one stops."""

import queue
import time

import grpc

import attend_client
import bodies
import processes
from bench import Group, Target

SHORT_ROWS, BUSY_ROWS, LONG_ROWS, ENDLESS_ROWS = 4, 16, 8192, 16384
BESIDE = f"beside a repeated call of {LONG_ROWS:,} rows"
CANCEL = f"cancel of a call of {ENDLESS_ROWS:,} rows"
DEADLINE = f"--max-deadline and a call of {LONG_ROWS:,} rows"


def run_short(bench, names):
    seconds = bench.seconds(15, 4)
    with bench.server() as server:
        for name in names:
            short = bench.layer_caller(server, SHORT_ROWS, concurrency=1, seconds=seconds)
            callers = [short]
            if name == BESIDE:
                # Nicer, so that what is measured is the server and not the callers' core.
                callers.append(bench.layer_caller(server, LONG_ROWS, concurrency=1,
                                                  seconds=seconds, nice=10))
            bench.run(*callers)
            found = bench.summary(short.records, seconds)
            figures = {key: found[key] for key in ("p50 ms", "p99 ms", "worst ms")}
            figures["calls"] = len(short.records)
            if len(callers) > 1:
                figures["long calls"] = len(callers[1].records)
            yield name, figures, found["codes"]


def pending_call(channel, request):
    return channel.unary_unary(bodies.LAYER_METHOD).future(request, timeout=120)


def wait_until_busy(server):
    """Returns once the server computes; raises when it does not within 30 s."""
    for _ in range(300):
        before = server.cpu_seconds()
        time.sleep(0.1)
        if server.cpu_seconds() - before >= 0.08:
            return
    raise processes.Failure("the server does not compute the long call")


def cancel_once(server, request):
    """CPU seconds of the second after a cancel."""
    with attend_client.connect(server.target) as channel:
        call = pending_call(channel, request)
        time.sleep(0.3)  # beyond the upload
        wait_until_busy(server)
        call.cancel()
        before = server.cpu_seconds()
        time.sleep(1)
        return server.cpu_seconds() - before


def seconds_alone(bench, request):
    """Of a call that nobody disturbs."""
    with bench.server() as server, attend_client.connect(server.target) as channel:
        times = []
        for _ in range(2):
            begin = time.monotonic()
            pending_call(channel, request).result()
            times.append(time.monotonic() - begin)
        return min(times)


def overshoot_once(bench, request):
    """Milliseconds beyond the server's deadline, and the code, of a call that could have met it
    but for the short calls that came after it and take three quarters of the time."""
    alone = seconds_alone(bench, request)
    limit = round(2 * alone, 3)
    with bench.server(f"--max-deadline={limit}s") as server:
        with attend_client.connect(server.target) as channel:
            ended = queue.SimpleQueue()
            begin = time.monotonic()
            call = pending_call(channel, request)
            call.add_done_callback(lambda _: ended.put(time.monotonic()))
            time.sleep(0.2 * alone)
            bench.run(bench.layer_caller(server, BUSY_ROWS, concurrency=32, channels=4,
                                         seconds=limit, nice=10))
            return (ended.get() - begin - limit) * 1e3, call.code()


def run_stop(bench, names):
    if CANCEL in names:
        request = bench.bodies.layer(ENDLESS_ROWS)
        with bench.server() as server:
            yield CANCEL, {"CPU s in the second after": cancel_once(server, request)}, None
    if DEADLINE in names:
        late, code = overshoot_once(bench, bench.bodies.layer(LONG_ROWS))
        if code != grpc.StatusCode.DEADLINE_EXCEEDED:
            late = None
        yield DEADLINE, {"late ms": late}, {code.name: 1}


GROUPS = [
    Group("short beside long", f"A call of {SHORT_ROWS} tokens, one after another on a connection "
          "of its own; server on one core, callers on another",
          {"alone": (), BESIDE: (Target("worst ms", 20), Target("p99 ms", 10))}, run_short),
    Group("stopping", "How soon a long call stops; server on one core, caller on another",
          {CANCEL: (Target("CPU s in the second after", 0.05),),
           DEADLINE: (Target("late ms", 20),)}, run_stop,
          note="Late: beyond the server's own deadline, twice the call's time alone, which the "
               "call misses because of 32 callers of short calls that came after it."),
]
