# SPDX-License-Identifier: Apache-2.0
"""The shared part of all peers' programs: they answer requests of kernel_bench.py as bench_kernels
does, with the same meaning.
"""

import json
import os
import statistics
import sys
import time
from importlib import metadata

import numpy as np

LEAST_SAMPLE_SECONDS = 0.0002


class Refusal(Exception):
    """This peer does not compute such a case; the text goes into the row."""


def _clock(threads):
    # One thread: the smaller of processor and wall time, so that neither other load on the machine
    # nor threads that spin beside count against the peer.
    return (time.perf_counter, time.process_time) if threads == 1 else (time.perf_counter,)


def _seconds(clocks, run, count):
    starts = [clock() for clock in clocks]
    for _ in range(count):
        run()
    return min(clock() - start for clock, start in zip(clocks, starts)) / count


def measure(run, threads, seconds):
    """Median seconds per run, measured as bench_kernels does."""
    clocks = _clock(threads)
    once = _seconds(clocks, run, 1)
    if once >= seconds:
        return {"seconds": once, "samples": 1}
    count = max(1, int(LEAST_SAMPLE_SECONDS / max(once, 1e-7)))
    samples, total = [], 0
    while total < seconds:
        samples.append(_seconds(clocks, run, count))
        total += max(samples[-1], 1e-7) * count
    return {"seconds": statistics.median(samples), "samples": len(samples)}


def relative_error(pairs):
    """The relative error over pairs of (got, truth) arrays."""
    difference = norm = 0.0
    for got, truth in pairs:
        difference += float(np.sum((got.astype(np.float64) - truth) ** 2))
        norm += float(np.sum(truth**2))
    return (difference / norm) ** 0.5


def attention_error(case, query, key, value, got):
    """Three rows of the first and the last head against double. The last four are functions of a
    head (of the last sequence): [rows, D] of its query, key, value and output; `key` and `value`
    are given key/value heads."""
    rows = sorted({0, case["queries"] // 2, case["queries"] - 1})
    offset = case["keys"] - case["queries"]
    pairs = []
    for head in (0, case["heads"] - 1):
        shared = head * case["kv_heads"] // case["heads"]
        q, k, v = (x.astype(np.float64) for x in (query(head)[rows], key(shared), value(shared)))
        scores = q @ k.T / case["head_dim"] ** 0.5
        if case["causal"]:
            positions = np.array(rows)[:, None] + offset
            scores = np.where(np.arange(case["keys"])[None] <= positions, scores, -np.inf)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        pairs.append((got(head)[rows], p / p.sum(axis=1, keepdims=True) @ v))
    return relative_error(pairs)


def serve(package, prepare):
    """Under the name of the Python package. `prepare(case, threads)` gives a function that runs the
    case once and one that gives the error of its result; more than the type's is a failure."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    run = threads = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "version":
                answer = {"version": metadata.version(package)}
            elif request["do"] == "prepare":
                run = None  # first: its operands need not be held beside the next ones
                threads = request["threads"]
                run, error = prepare(request["case"], threads)
                run()
                answer = {"error": error()}
                limit = 1e-4 if request["case"]["type"] == "f32" else 5e-2
                if not answer["error"] <= limit:
                    answer = {"failure": f"wrong result: relative error {answer['error']:.2g}"}
            else:
                answer = measure(run, threads, request["seconds"])
        except Exception as error:  # pylint: disable=broad-except  (any of a foreign library's)
            text = " ".join(str(error).split())
            answer = {"failure": (text if isinstance(error, Refusal)
                                  else f"{type(error).__name__}: {text}")[:200]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
