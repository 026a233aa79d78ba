# SPDX-License-Identifier: Apache-2.0
"""What the kernel benchmark measures, and what each row has to reach.

A case is what bench_kernels and the peers' programs are sent:
  kind "attention": type f32 or bf16, heads, kv_heads, head_dim, causal, and queries, keys and batch
    or the lengths of self-attention; heads_first: operands are [H, L, D], otherwise [L, H, D]
  kind "layer": type, embed, heads, lengths of the sequences
  kind "linear": type, inputs, outputs, rows
  matmul: onednn or panels, of kinds "layer" and "linear"; otherwise what the CPU would take
  copies: of what is read (keys and values, or weights), taken in turn
"""

import dataclasses
import itertools
import random

SDPA_PEERS = ("torch", "onnxruntime", "openvino")
# What is read in turn by a case that is held against the memory's bandwidth: no cache holds it.
COLD_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Target:
    """Every figure that is set must be reached. Ratios are ours to the best peer's, by speed."""
    peer_ratio: float = 0
    share_of_peak: float = 0  # of the multiply-add peak in the case's type
    share_of_read: float = 0  # of the read bandwidth, unless arithmetic alone takes longer

    def __str__(self):
        parts = [f">= {self.peer_ratio:g}x the best peer" if self.peer_ratio else "",
                 f">= {self.share_of_peak:.0%} of peak" if self.share_of_peak else "",
                 f">= {self.share_of_read:.0%} of read bandwidth" if self.share_of_read else ""]
        return ", ".join(part for part in parts if part)


@dataclasses.dataclass(frozen=True)
class Row:
    """A case, its speed in GFLOP/s, or in GB/s where it is bound by reading memory."""
    group: str
    name: str
    case: dict
    threads: int = 1
    peers: tuple = ()
    target: Target = Target()
    quick: bool = False  # belongs to --quick


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two cases of ours in turn: the second's speed over the first's."""
    group: str
    name: str
    cases: tuple    # of two
    threads: tuple  # of each
    of: str         # "rate": FLOP/s; "time": runs/s
    at_least: float
    note: str = ""
    quick: bool = False


@dataclasses.dataclass(frozen=True)
class Memory:
    """Working bytes of one executor with one worker, at two numbers of keys."""
    group: str
    name: str
    case: dict
    keys: tuple = (512, 32768)
    quick: bool = False


def attention(data_type, queries, keys, heads, head_dim, causal, **more):
    return {"kind": "attention", "type": data_type, "queries": queries, "keys": keys,
            "heads": heads, "kv_heads": heads, "head_dim": head_dim, "causal": causal, **more}


def layer(data_type, embed, heads, lengths):
    return {"kind": "layer", "type": data_type, "embed": embed, "heads": heads, "lengths": lengths}


def prefill():
    for data_type in ("f32", "bf16"):
        for length, (heads, dim), causal in itertools.product(
                (512, 2048, 4096), ((16, 64), (8, 128)), (False, True)):
            if (length, dim) == (4096, 64):
                continue
            if data_type == "f32":
                target = Target(peer_ratio=1.3 if causal else 1.15,
                                share_of_peak=0.72 if length == 2048 else 0)
            else:
                target = Target(peer_ratio=1.7 if causal else 1.4)
            yield Row("prefill", f"{data_type} S={length} H={heads} D={dim}{' causal' * causal}",
                      attention(data_type, length, length, heads, dim, causal),
                      peers=SDPA_PEERS, target=target, quick=(length, dim) == (512, 64))


def short():
    for data_type in ("f32", "bf16"):
        for length, (heads, dim), causal in itertools.product(
                (16, 32, 64, 128), ((16, 64), (8, 128)), (False, True)):
            yield Row("short", f"{data_type} S={length} H={heads} D={dim}{' causal' * causal}",
                      attention(data_type, length, length, heads, dim, causal),
                      peers=SDPA_PEERS, target=Target(peer_ratio=1.2),
                      quick=(length, dim) == (16, 64))


def layers(thread_counts):
    shapes = ((1, 16), (1, 128), (8, 128), (32, 32), (1, 512), (1, 2048))
    for data_type, (embed, heads), threads, (count, length) in itertools.product(
            ("f32", "bf16"), ((768, 12), (1024, 16)), thread_counts, shapes):
        yield Row("layer", f"{data_type} E={embed} H={heads} {count}x{length}",
                  layer(data_type, embed, heads, [length] * count), threads=threads,
                  peers=("torch",), target=Target(peer_ratio=1.2),
                  quick=(embed, count, length) == (768, 1, 16))


def cold_copies(read_bytes):
    return -(-COLD_BYTES // read_bytes)


def decode_case(data_type, queries, batch=1, heads=32, heads_first=True):
    keys, kv_heads, dim = 4096, 8, 128
    read = 2 * batch * keys * kv_heads * dim * (4 if data_type == "f32" else 2)
    return attention(data_type, queries, keys, heads, dim, True, batch=batch,
                     copies=cold_copies(read), heads_first=heads_first) | {"kv_heads": kv_heads}


def unshared_case(data_type, keys):
    heads, dim = 16, 64
    read = 2 * keys * heads * dim * (4 if data_type == "f32" else 2)
    return attention(data_type, 1, keys, heads, dim, True, batch=1, copies=cold_copies(read),
                     heads_first=True)


def decode(thread_counts):
    target = Target(share_of_read=0.85)
    peers = ("torch", "onnxruntime")
    for data_type in ("f32", "bf16"):
        for batch, queries in itertools.product((1, 8), (1, 4, 8)):
            yield Row("decode", f"{data_type} Lq={queries} batch {batch}",
                      decode_case(data_type, queries, batch), peers=peers, target=target,
                      quick=(batch, queries) == (1, 1))
        yield Row("decode", f"{data_type} Lq=1 batch 1, cache [L, H, D]",
                  decode_case(data_type, 1, heads_first=False), peers=peers, target=target)
        for keys in (512, 4096):
            yield Row("decode", f"{data_type} Lq=1, 16 heads without sharing, D=64, {keys} keys",
                      unshared_case(data_type, keys), peers=peers, target=Target(peer_ratio=1))
        for threads in thread_counts[1:]:
            yield Row("decode", f"{data_type} Lq=1 batch 1", decode_case(data_type, 1),
                      threads=threads, peers=peers, target=target)


def flatness():
    for data_type, group in itertools.product(("f32", "bf16"), (4, 8)):
        yield Comparison("head groups", f"{data_type} groups of {group} heads against 1, Lq=1",
                         (decode_case(data_type, 1, heads=8),
                          decode_case(data_type, 1, heads=8 * group)),
                         (1, 1), "time", at_least=0.9, quick=(data_type, group) == ("f32", 4))


def linear(data_type, width, rows):
    read = width * width * (4 if data_type == "f32" else 2)
    return {"kind": "linear", "type": data_type, "inputs": width, "outputs": width, "rows": rows,
            "copies": cold_copies(read)}


def projections():
    for data_type, rows in itertools.product(("f32", "bf16"), (1, 4, 16)):
        yield Row("projection", f"{data_type} {rows} row{'s' * (rows > 1)}, 4096x4096",
                  linear(data_type, 4096, rows),
                  peers=("torch",), target=Target(share_of_read=0.85), quick=rows == 1)


def engines():
    """oneDNN against our panels, where oneDNN is what the CPU takes."""
    def pair(case):
        return case | {"matmul": "panels"}, case | {"matmul": "onednn"}

    for data_type in ("f32", "bf16"):
        cases = [(f"layer E={embed} H={heads} {count}x{length}",
                  layer(data_type, embed, heads, [length] * count))
                 for embed, heads in ((768, 12), (1024, 16))
                 for count, length in ((1, 1), (1, 4), (1, 16), (8, 128), (32, 32), (1, 512))]
        cases += [(f"projection 4096x4096, {rows} row{'s' * (rows > 1)}",
                   linear(data_type, 4096, rows)) for rows in (1, 4, 16, 64)]
        for name, case in cases:
            yield Comparison("engines of projections", f"{data_type} {name}", pair(case), (1, 1),
                             "rate", at_least=0.9, quick=name == "layer E=768 H=12 1x16")


def scaling():
    cases = [(f"{data_type} S={length} H={heads} D={dim}",
              attention(data_type, length, length, heads, dim, False))
             for data_type in ("f32", "bf16")
             for length, heads, dim in ((512, 16, 64), (2048, 16, 64), (2048, 8, 128))]
    cases += [(f"{data_type} layer E=768 H=12 {count}x{length}",
               layer(data_type, 768, 12, [length] * count))
              for data_type in ("f32", "bf16") for count, length in ((8, 128), (1, 512))]
    for name, case in cases:
        yield Comparison("1 -> 2 threads", name, (case, case), (1, 2), "rate", at_least=1.85,
                         quick=name == "f32 S=512 H=16 D=64")


def mixed_lengths(thread_counts):
    lengths = [16 * i + random.Random(1).randint(1, 16) for i in range(32)]  # 1..512, evenly
    random.Random(2).shuffle(lengths)
    equal = [round(sum(lengths) / len(lengths))] * len(lengths)

    padded = len(lengths) * max(lengths) ** 2 / sum(length**2 for length in lengths)
    note = f"padded to the longest, attention would be {padded:.1f} times the work counted"

    def operator(data_type, of):
        return {"kind": "attention", "type": data_type, "heads": 12, "kv_heads": 12,
                "head_dim": 64, "causal": False, "lengths": of}

    for data_type, threads in itertools.product(("f32", "bf16"), thread_counts):
        for name, make in (("operator H=12 D=64", operator),
                           ("layer E=768 H=12", lambda t, of: layer(t, 768, 12, of))):
            yield Comparison("mixed lengths", f"{data_type} {name}, 1..512 against equal",
                             (make(data_type, equal), make(data_type, lengths)),
                             (threads, threads), "rate", at_least=0.9, note=note)


def memory():
    for data_type in ("f32", "bf16"):
        for queries in (512, 1):
            case = attention(data_type, queries, 0, 32, 128, True) | {"kv_heads": 8}
            yield Memory("working memory", f"{data_type} Lq={queries} H=32/8 D=128", case,
                         quick=queries == 1)


def every_row(cores):
    thread_counts = (1, 2) if cores > 1 else (1,)
    yield from prefill()
    yield from short()
    yield from layers(thread_counts)
    yield from decode(thread_counts)
    yield from flatness()
    yield from projections()
    yield from engines()
    if cores > 1:
        yield from scaling()
    yield from mixed_lengths(thread_counts)
    yield from memory()


def refused(row, features):
    """Projections in bfloat16 are refused on a CPU without AVX-512; the bare operator is not.
    Engines are compared where the CPU takes oneDNN for the type."""
    cases = row.cases if isinstance(row, Comparison) else (row.case,)
    types = {case["type"] for case in cases if case["kind"] != "attention"}
    if "bf16" in types and "avx512" not in features:
        return True
    needed = "avx512_bf16" if "bf16" in types else "avx512"
    return row.group == "engines of projections" and needed not in features


def all_rows(cores, features):
    """Every row of the target table that a machine with these cores and SIMD features can run."""
    return [row for row in every_row(cores) if not refused(row, features)]
