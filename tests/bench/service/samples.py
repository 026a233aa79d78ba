# SPDX-License-Identifier: Apache-2.0
"""Statistics of the calls that bench_load records. Pure functions; nothing here runs anything.

Times are nanoseconds of one clock. A good answer is OK, has the right bytes and comes within the
deadline, counted from the planned send.
"""

import collections

import numpy as np

RECORD = np.dtype([("planned", "<i8"), ("sent", "<i8"), ("done", "<i8"), ("compute", "<i8"),
                   ("code", "<i4"), ("sample", "<i4")])
OK, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE = 0, 4, 8, 14
NOT_SENT, WRONG_ANSWER = -1, -2
NAMES = {0: "OK", 1: "CANCELLED", 2: "UNKNOWN", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED",
         5: "NOT_FOUND", 8: "RESOURCE_EXHAUSTED", 12: "UNIMPLEMENTED", 13: "INTERNAL",
         14: "UNAVAILABLE", NOT_SENT: "dropped by the generator", WRONG_ANSWER: "WRONG ANSWER"}
FEATURES = {"avx2": "avx2", "avx512": "avx512f", "avx512_bf16": "avx512_bf16",
            "amx_bf16": "amx_bf16"}  # {our name: the kernel's}
SETTLED_SHARE = 0.95  # of answers that are good, once a server is back to normal


def parse(data):
    """The records of a file's bytes, in the order of their planned sends."""
    records = np.frombuffer(data, RECORD)
    return records[np.argsort(records["planned"], kind="stable")]


def window(records, begin, end):
    """The calls planned from `begin` up to `end`."""
    planned = records["planned"]
    return records[(planned >= begin) & (planned < end)]


def latencies(records):
    """Milliseconds from the planned send to the end."""
    return (records["done"] - records["planned"]) * 1e-6


def good(records, deadline=0.0):
    """Which calls have a good answer; deadline in seconds, 0 for none."""
    fine = records["code"] == OK
    return fine & (latencies(records) <= deadline * 1e3) if deadline else fine


def percentile(values, share):
    """The smallest value that at least `share` of all are at or below; None of nothing."""
    if len(values) == 0:
        return None
    ordered = np.sort(values)
    rank = int(np.ceil(share * len(ordered)))
    return float(ordered[max(rank, 1) - 1])


def codes(records):
    """{name: count}, most frequent first."""
    counted = collections.Counter(records["code"].tolist())
    return {NAMES.get(code, str(code)): count for code, count in counted.most_common()}


def summary(records, seconds, deadline=0.0):
    """Figures of the calls planned within a window of so many seconds."""
    fine = good(records, deadline)
    times = latencies(records)
    refused = np.isin(records["code"], (RESOURCE_EXHAUSTED, UNAVAILABLE))
    sent = records["sent"] > 0
    late = (records["sent"] - records["planned"])[sent] * 1e-6
    return {
        "offered/s": float(len(records) / seconds),
        "good/s": float(fine.sum() / seconds),
        "good share": float(fine.mean()) if len(records) else None,
        "p50 ms": percentile(times[fine], 0.5),
        "p99 ms": percentile(times[fine], 0.99),
        "worst ms": percentile(times[fine], 1),
        "refusal p50 ms": percentile(times[refused], 0.5),
        "send late p99 ms": percentile(late, 0.99),
        "codes": codes(records),
    }


def seconds_until_settled(records, since, deadline, bucket=0.1):
    """How long after `since` the share of good answers stays at SETTLED_SHARE and above, to a
    bucket of planned sends; 0.0 when it never was below, None when it never came back."""
    later = records[records["planned"] >= since]
    if len(later) == 0:
        return None
    number = ((later["planned"] - since) // int(bucket * 1e9)).astype(int)
    fine = good(later, deadline)
    unsettled = [n for n in np.unique(number) if fine[number == n].mean() < SETTLED_SHARE]
    if not unsettled:
        return 0.0
    if unsettled[-1] == number.max():
        return None
    return float((unsettled[-1] + 1) * bucket)


def parse_stat(text):
    """Clock ticks of processor time (user and system) of a line of /proc/PID/stat."""
    fields = text.rpartition(")")[2].split()  # the name may hold spaces and brackets
    return int(fields[11]) + int(fields[12])


def parse_status_kib(text, key):
    """KiB of a line such as "VmRSS:   1234 kB" of /proc/PID/status."""
    for line in text.splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise ValueError(f"there is no {key}")


def parse_features(text):
    """Those of FEATURES that every CPU of /proc/cpuinfo has in its flags."""
    flags = [set(line.partition(":")[2].split()) for line in text.splitlines()
             if line.partition(":")[0].strip() == "flags"]
    return [name for name, flag in FEATURES.items() if flags and all(flag in of for of in flags)]


def parse_received(text, interface="lo"):
    """Bytes that an interface has received, of /proc/net/dev."""
    for line in text.splitlines():
        name, found, rest = line.partition(":")
        if found and name.strip() == interface:
            return int(rest.split()[0])
    raise ValueError(f"there is no {interface}")


def parse_metric(text, name):
    """The sum of a metric over its labels, of a Prometheus page; 0 when it is not there."""
    total = 0.0
    for line in text.splitlines():
        label, _, value = line.rpartition(" ")
        if label == name or label.startswith(name + "{"):
            total += float(value)
    return total
