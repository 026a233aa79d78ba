# SPDX-License-Identifier: Apache-2.0
"""Rows about speed: what batching adds, what a request costs, and what the service adds to gRPC."""

import random
import time

import bodies
import processes
import samples
from bench import Group

ROWS = 16
CONCURRENCIES = (1, 4, 16, 64)
BOTH = ("on", "off")
KINDS = ("unary", "Pipeline")
STREAM_ROWS = {f"{kind}, E={bodies.WIDTHS[layer]}, concurrency {concurrency}":
               (layer, kind, concurrency)
               for layer in (bodies.LAYER, bodies.SMALL_LAYER) for concurrency in (1, 16, 64)
               for kind in KINDS}
MIXED, EVERY_CORE = "4 to 512 tokens, concurrency 16", "all cores shared with the callers, concurrency 32"
SIZES = {"64 B": 64, "1 KiB": 1 << 10, "16 KiB": 16 << 10, "128 KiB": 128 << 10, "1 MiB": 1 << 20,
         "8 MiB": 8 << 20}
REST_SECONDS = 1.0  # before memory after load is read


def batching_name(batching, concurrency):
    return f"{batching}, concurrency {concurrency}"


def loaded(bench, server, caller, cores=None):
    """Lets one caller act: its figures and codes, with what the server spent."""
    batches, requests = (server.metric(f"attend_batch_requests_{of}") for of in ("count", "sum"))
    server.forget_peak()
    cpu = server.cpu_seconds()
    bench.run(caller, cores=cores)
    cpu = server.cpu_seconds() - cpu
    batches = server.metric("attend_batch_requests_count") - batches
    requests = server.metric("attend_batch_requests_sum") - requests
    found = bench.summary(*bench.settled(caller, head=0.3))
    figures = {"requests/s": found["good/s"], "p50 ms": found["p50 ms"], "p99 ms": found["p99 ms"],
               "CPU us/request": cpu * 1e6 / len(caller.records),
               "requests/batch": requests / batches if batches else None,
               "peak MiB": server.resident_mib("VmHWM")}
    time.sleep(REST_SECONDS)
    figures["MiB after"] = server.resident_mib()
    return figures, found["codes"]


def run_batching(bench, names):
    seconds = bench.seconds(4, 1.5)
    for concurrency in CONCURRENCIES:
        for batching in BOTH:
            name = batching_name(batching, concurrency)
            if name in names:
                with bench.server(f"--batching={batching}") as server:
                    caller = bench.layer_caller(server, ROWS, concurrency=concurrency,
                                                seconds=seconds, channels=min(concurrency, 4))
                    yield name, *loaded(bench, server, caller)


def mixed_caller(bench, server, **plan):
    """Requests of 32 lengths, spread evenly over 4 to 512, in a random order."""
    lengths = [4 + round(508 * i / 31) for i in range(32)]
    random.Random(1).shuffle(lengths)
    caller = bench.layer_caller(server, lengths[0], channels=4, **plan)
    for rows in lengths[1:]:
        caller.samples += bench.layer_caller(server, rows).samples
    return caller


def run_shapes(bench, names):
    seconds = bench.seconds(6, 2)
    for batching in BOTH:
        if f"{batching}, {MIXED}" in names:
            with bench.server(f"--batching={batching}") as server:
                caller = mixed_caller(bench, server, concurrency=16, seconds=seconds)
                yield f"{batching}, {MIXED}", *loaded(bench, server, caller)
        if f"{batching}, {EVERY_CORE}" in names:
            with bench.server(f"--batching={batching}", cores=bench.cores) as server:
                caller = bench.layer_caller(server, ROWS, concurrency=32, seconds=seconds,
                                            channels=4)
                yield f"{batching}, {EVERY_CORE}", *loaded(bench, server, caller, bench.cores)


def run_streams(bench, names):
    seconds = bench.seconds(4, 1.5)
    with bench.server(bodies.SMALL_LAYER_FLAG) as server:
        for name, (layer, kind, concurrency) in STREAM_ROWS.items():
            if name in names:
                caller = bench.layer_caller(server, ROWS, layer=layer, concurrency=concurrency,
                                            seconds=seconds, stream=kind == KINDS[1])
                yield name, *loaded(bench, server, caller)


def microseconds(records, share=0.5):
    """Of requests without what the server computed."""
    spent = samples.latencies(records) * 1e3 - records["compute"] * 1e-3
    return samples.percentile(spent[samples.good(records)], share)


def run_beyond(bench, names):
    seconds = bench.seconds(3, 1)
    with bench.server() as server, bench.echo() as echo:
        for name in names:
            request = bench.bodies.one_key(SIZES[name])
            kept = bench.bodies.sample(server.target, bodies.OPERATOR_METHOD, request)
            plan = {"concurrency": 1, "seconds": seconds}
            ours = bench.run(processes.Caller(server.target, bodies.OPERATOR_METHOD, [kept],
                                              compute_times=True, **plan))
            # The echo's answer is the whole request.
            kept = bench.bodies.keep(request, request)
            raw = bench.run(processes.Caller(echo.target, bodies.OPERATOR_METHOD, [kept], **plan))
            figures = {"attend us": microseconds(ours), "attend p99 us": microseconds(ours, 0.99),
                       "echo us": microseconds(raw), "echo p99 us": microseconds(raw, 0.99)}
            figures["beyond gRPC us"] = figures["attend us"] - figures["echo us"]
            yield name, figures, samples.codes(ours)


GROUPS = [
    Group("batching", f"{ROWS} tokens, E={bodies.EMBED}, closed loop; server on one core, callers "
          "on another",
          {batching_name(batching, concurrency): () for concurrency in CONCURRENCIES
           for batching in BOTH}, run_batching,
          note="The name of a row begins with the setting of --batching. The settings alternate, "
               "each with a server of its own."),
    Group("other loads", f"E={bodies.EMBED}, closed loop; server on one core, callers on another, "
          "where the row does not say otherwise",
          {f"{batching}, {load}": () for load in (MIXED, EVERY_CORE) for batching in BOTH},
          run_shapes),
    Group("one connection", f"{ROWS} tokens, closed loop on one connection, as unary calls and over "
          "one Pipeline; server on one core, caller on another", dict.fromkeys(STREAM_ROWS, ()),
          run_streams,
          note="Both have the same number of requests under way, on the same server, in turn. With "
               f"E={bodies.EMBED} computing takes most of the time, with E={bodies.SMALL_EMBED} and "
               "2 heads what is around it."),
    Group("beyond gRPC", "Request time without compute, one caller, against a raw echo of the "
          "request's bytes; server on one core, caller on another",
          dict.fromkeys(SIZES, ()), run_beyond,
          note="The call is of the operator with one key: its answer is as long as the name of the "
               "row says, and so is its query. Medians, and 99th percentiles, of all calls."),
]
