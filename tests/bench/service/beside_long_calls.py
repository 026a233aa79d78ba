# SPDX-License-Identifier: Apache-2.0
"""Rows about long calls: what they do to short ones beside them, and how soon one stops."""

import time

import grpc

import attend_client
import bodies
import processes
from bench import Group, Target

SHORT_ROWS, LONG_ROWS, ENDLESS_ROWS = 4, 8192, 16384
MAX_DEADLINE = 1.0
BESIDE = f"beside a repeated call of {LONG_ROWS:,} rows"
CANCEL = f"cancel of a call of {ENDLESS_ROWS:,} rows"
DEADLINE = f"--max-deadline=1s, a call of {ENDLESS_ROWS:,} rows"


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


def upload_seconds(channel, bench, rows):
    """Until a call of so many rows is refused for its layer: the time of its way there."""
    request = bench.bodies.layer(rows, layer="unknown")
    times = []
    for _ in range(3):
        begin = time.monotonic()
        try:
            channel.unary_unary(bodies.LAYER_METHOD)(request, timeout=60)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
        times.append(time.monotonic() - begin)
    return min(times)


def overshoot_once(bench, server, request):
    """Milliseconds beyond the server's deadline, the upload's time, and the code."""
    with attend_client.connect(server.target) as channel:
        upload = upload_seconds(channel, bench, ENDLESS_ROWS)
        begin = time.monotonic()
        code = pending_call(channel, request).code()
        return (time.monotonic() - begin - MAX_DEADLINE) * 1e3, upload * 1e3, code


def run_stop(bench, names):
    request = bench.bodies.layer(ENDLESS_ROWS)
    if CANCEL in names:
        with bench.server() as server:
            yield CANCEL, {"CPU s in the second after": cancel_once(server, request)}, None
    if DEADLINE in names:
        with bench.server("--max-deadline=1s") as server:
            late, upload, code = overshoot_once(bench, server, request)
        figures = {"late ms": late - upload, "late by the call's start ms": late}
        if code != grpc.StatusCode.DEADLINE_EXCEEDED:
            figures["late ms"] = None
        yield DEADLINE, figures, {code.name: 1}


GROUPS = [
    Group("short beside long", f"A call of {SHORT_ROWS} tokens, one after another on a connection "
          "of its own; server on one core, callers on another",
          {"alone": (), BESIDE: (Target("worst ms", 20), Target("p99 ms", 10))}, run_short),
    Group("stopping", "How soon a long call stops; server on one core, caller on another",
          {CANCEL: (Target("CPU s in the second after", 0.05),),
           DEADLINE: (Target("late ms", 20),)}, run_stop,
          note="Late: beyond one second after the upload, which takes as long as a call that is "
               "refused for its unknown layer."),
]
