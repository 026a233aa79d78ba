# SPDX-License-Identifier: Apache-2.0
"""The rounds of a row and the statistics of its figures.

A round gives every contender one burst of a tenth of a second or so, in an order that turns round
with each round, so that a change of the machine's speed meets all. What is compared are the medians
of the bursts of one round; what is reported is the median over the rounds of those comparisons.
"""

import statistics
import time

from contender import Failure

SETTLE_SECONDS = 0.005  # threads of the one before stop spinning


def spread(values):
    """Returns the median, the lowest and the highest value."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def bursts(prepared, rounds, seconds):
    """{label: [answer of each round]}. `prepared` is {label: function from a request}. One that
    fails raises Failure where it is "attend", otherwise its list is the Failure."""
    found = {label: [] for label in prepared}
    for number in range(rounds):
        order = list(prepared) if number % 2 == 0 else list(reversed(prepared))
        for label in order:
            if isinstance(found[label], Failure):
                continue
            time.sleep(SETTLE_SECONDS)
            try:
                found[label].append(prepared[label](seconds))
            except Failure as failure:
                if label.startswith("attend"):
                    raise
                found[label] = failure
    return found


def judge(target, ratios, share_of_peak, share_of_read, arithmetic_bound):
    """True or False for a target that is reached or not, None where that cannot be told: no peer
    ran, or the arithmetic alone takes longer than reading what is read."""
    verdicts = []
    if target.peer_ratio:
        verdicts.append(min(ratios) >= target.peer_ratio if ratios else None)
    if target.share_of_peak:
        verdicts.append(share_of_peak >= target.share_of_peak if share_of_peak else None)
    if target.share_of_read:
        reached = share_of_read >= target.share_of_read
        verdicts.append(None if arithmetic_bound and not reached else reached)
    if not verdicts or (None in verdicts and False not in verdicts):
        return None
    return all(verdicts)


def measure_row(row, ours, peers, rounds, seconds):
    """Measures one row of the report with Contender `ours` and {name: Contender or Failure}."""
    by_reading = row.target.share_of_read > 0
    request = {"do": "prepare", "case": row.case, "threads": row.threads}
    facts = ours.ask(request)
    prepared = {"attend": lambda s: ours.ask({"do": "run", "seconds": s, "bandwidth": by_reading})}
    failures, errors = {}, {}
    for name in row.peers if peers else ():
        try:
            if isinstance(peers[name], Failure):
                raise peers[name]
            errors[name] = peers[name].ask(request)["error"]
            prepared[name] = lambda s, peer=peers[name]: peer.ask({"do": "run", "seconds": s})
        except Failure as failure:
            failures[name] = failure
    found = bursts(prepared, rounds, seconds)
    own = found.pop("attend")
    amount = facts["bytes"] if by_reading else facts["flops"]
    seconds_each = [burst["seconds"] for burst in own]
    peaks = [burst["peak"] for burst in own]
    rates = spread([amount / s * 1e-9 for s in seconds_each])
    share_of_peak = statistics.median(
        facts["flops"] / s / p if p else 0 for s, p in zip(seconds_each, peaks))
    share_of_read, arithmetic_bound = 0, False
    if by_reading:
        reads = [burst["read"] for burst in own]
        share_of_read = statistics.median(
            facts["bytes"] / s / r for s, r in zip(seconds_each, reads))
        arithmetic_bound = bool(min(peaks)) and (
            facts["flops"] / statistics.median(peaks) > facts["bytes"] / statistics.median(reads))
    result = {
        "group": row.group, "name": row.name, "threads": row.threads, "case": row.case,
        "value": rates["median"], "low": rates["low"], "high": rates["high"],
        "unit": "GB/s" if by_reading else "GFLOP/s",
        "seconds": statistics.median(seconds_each),
        "tokens_per_second": facts["tokens"] / statistics.median(seconds_each),
        "share_of_peak": share_of_read if by_reading else share_of_peak or None,
        "peak": "read bandwidth" if by_reading else row.case["type"],
        "error": facts["error"], "correct": facts["correct"],
        "peers": {}, "target": str(row.target),
    }
    if arithmetic_bound:
        result["note"] = (f"arithmetic alone takes longer than reading: {share_of_peak:.0%} of the "
                          f"{row.case['type']} peak")
    for name, answers in found.items():
        if isinstance(answers, Failure):
            failures[name] = answers
            continue
        ratio = spread([p["seconds"] / o for p, o in zip(answers, seconds_each)])
        value = amount / statistics.median(p["seconds"] for p in answers) * 1e-9
        result["peers"][name] = {"value": value, "ratio": ratio["median"], "low": ratio["low"],
                                 "high": ratio["high"], "error": errors[name]}
    for name, failure in failures.items():
        result["peers"][name] = {"value": None, "ratio": None, "failure": str(failure)}
    result["met"] = facts["correct"] and judge(
        row.target, [peer["ratio"] for peer in result["peers"].values() if peer["ratio"]],
        share_of_peak, share_of_read, arithmetic_bound)
    return result


def measure_comparison(row, pair, rounds, seconds):
    """Measures a row of two cases, each run by one of our two programs."""
    facts, prepared = [], {}
    wall = row.threads[0] != row.threads[1]  # one clock for both
    labels = ("attend", "attend second")
    for label, ours, case, threads in zip(labels, pair, row.cases, row.threads):
        facts.append(ours.ask({"do": "prepare", "case": case, "threads": threads}))
        prepared[label] = lambda s, one=ours: one.ask({"do": "run", "seconds": s, "wall": wall})
    found = bursts(prepared, rounds, seconds)
    amounts = [fact["flops"] if row.of == "rate" else 1 for fact in facts]
    ratio = spread([(amounts[1] / b["seconds"]) / (amounts[0] / a["seconds"])
                    for a, b in zip(found["attend"], found["attend second"])])
    correct = all(fact["correct"] for fact in facts)
    result = {
        "group": row.group, "name": row.name, "threads": max(row.threads), "cases": row.cases,
        "value": ratio["median"], "low": ratio["low"], "high": ratio["high"], "unit": "x",
        "share_of_peak": None, "error": max(fact["error"] for fact in facts), "correct": correct,
        "peers": {}, "target": f">= {row.at_least:g}x",
        "met": correct and ratio["median"] >= row.at_least,
    }
    if row.note:
        result["note"] = row.note
    if wall:
        peaks = [statistics.median(b["peak"] for b in found[label]) for label in found]
        if peaks[0]:
            result["note"] = f"the machine's own peak: {peaks[1] / peaks[0]:.2f}x"
    return result


def measure_memory(row, ours):
    """Bytes at the larger number of keys; met if they equal those at the smaller number."""
    few, many = (ours.ask({"do": "memory", "case": row.case | {"keys": keys, "queries": min(
        row.case["queries"], keys)}})["bytes"] for keys in row.keys)
    return {
        "group": row.group, "name": f"{row.name} Lk={row.keys[1]}", "threads": 1, "case": row.case,
        "value": many, "low": many, "high": many, "unit": "bytes", "share_of_peak": None,
        "error": None, "correct": True, "peers": {},
        "target": f"as at Lk={row.keys[0]}", "note": f"at Lk={row.keys[0]}: {few:,}",
        "met": many <= few,
    }
