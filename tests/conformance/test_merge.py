# SPDX-License-Identifier: Apache-2.0
"""Keys spread over calls: ScaledDotProductAttention over ranges of keys, split anywhere, merged in
numpy by log_sum_exp, is the call over all of them. As the contract says it: positions by
query_offsets, sinks to exactly one of the calls, a range without keys has no share.

The seed of a case is in its name; ATTEND_CASES sets how many.
"""

import os

import numpy as np
import pytest

import cases
import server
from attend_client import to_array, to_tensor
from test_operator import bounds

CASES = int(os.environ.get("ATTEND_CASES", "30"))


@pytest.fixture(scope="module")
def running():
    with server.Server("--random-layer=unused:embed_dim=8,num_heads=2") as started:
        yield started


def ask(running, query, key, value, lengths, offsets, causal, sinks, bias):
    """([B, Lq, H, Dv], [B, H, Lq]) of one range of keys."""
    pb, stubs = running.stubs.attention_pb2, running.stubs
    options = pb.AttentionOptions(causal=causal, query_offsets=offsets, log_sum_exp=True,
                                  sinks=[] if sinks is None else list(sinks))
    if bias is not None:
        options.bias.CopyFrom(to_tensor(stubs, bias))
    response = running.attention.ScaledDotProductAttention(
        pb.ScaledDotProductAttentionRequest(
            query=to_tensor(stubs, query), key=to_tensor(stubs, key),
            value=to_tensor(stubs, value), key_lengths=lengths, options=options),
        timeout=60)
    return (to_array(response.output).astype(np.float64),
            to_array(response.log_sum_exp).astype(np.float64))


def merge(shards):
    logs = np.stack([log for _, log in shards])
    total = np.logaddexp.reduce(logs, axis=0)
    with np.errstate(invalid="ignore"):
        share = np.where(np.isneginf(logs), 0, np.exp(logs - total))
    output = sum(part * s.transpose(0, 2, 1)[..., None] for (part, _), s in zip(shards, share))
    return output, total


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(CASES), ids=lambda seed: f"seed{seed}")
def test_merged_shards_are_the_whole(running, seed, dtype):
    rng = np.random.default_rng(seed + 6_000_000)
    batch, kv_heads = int(rng.integers(1, 4)), int(rng.choice([1, 2]))
    heads, head_dim = kv_heads * int(rng.choice([1, 3])), int(rng.choice([8, 64]))
    rows, keys = int(rng.choice([1, 4, 70])), int(rng.choice([1, 17, 150]))
    causal = bool(rng.random() < 0.5)
    sinks = rng.normal(size=heads).astype(np.float32) if rng.random() < 0.5 else None
    bias = None
    if rng.random() < 0.5:
        bias = rng.normal(size=(batch, heads, rows, keys)).astype(np.float32)
        bias[rng.random(bias.shape) < 0.2] = -np.inf

    def normal(count, n):
        return rng.normal(size=(batch, count, n, head_dim)).astype(cases.FLOATS[dtype])

    query, key, value = normal(rows, heads), normal(keys, kv_heads), normal(keys, kv_heads)
    lengths = [int(rng.integers(0, keys + 1)) for _ in range(batch)]
    offsets = [int(rng.integers(-2, n + 1)) for n in lengths]
    whole, whole_log = ask(running, query, key, value, lengths, offsets, causal, sinks, bias)

    # Each sequence is cut at places of its own, so that some ranges are empty.
    cuts = np.array([np.sort(np.r_[0, rng.integers(0, n + 1, size=3), n]) for n in lengths])
    shards = []
    for i in range(4):
        begin, counts = cuts[:, i], cuts[:, i + 1] - cuts[:, i]
        axis = max(1, counts.max())

        def shard_of(array):
            part = np.full((batch, axis, *array.shape[2:]), np.nan, array.dtype)
            for b in range(batch):
                part[b, : counts[b]] = array[b, begin[b] : begin[b] + counts[b]]
            return part

        part_bias = None
        if bias is not None:
            part_bias = shard_of(bias.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        shards.append(ask(running, query, shard_of(key), shard_of(value), list(counts),
                          list(np.array(offsets) - begin), causal, sinks if i == 2 else None,
                          part_bias))
    merged, merged_log = merge(shards)

    scale = cases.default_scale(head_dim)
    for b, n in enumerate(lengths):
        if n == 0:
            assert not merged[b].any() and not whole[b].any()
            assert (merged_log[b] == whole_log[b]).all()
            continue
        q, k, v = query[b], key[b, :n], value[b, :n]
        terms = np.zeros((heads, rows, n)) if bias is None else bias[b, ..., :n].astype(np.float64)
        scores = scale * np.einsum(
            "ihd,jhd->hij", q.astype(np.float64),
            np.repeat(k.astype(np.float64), heads // kv_heads, axis=1)) + terms
        if causal:
            distance = np.arange(n) - (offsets[b] + np.arange(rows)[:, None])
            scores = np.where(distance > 0, -np.inf, scores)
        with np.errstate(invalid="ignore"):
            p = np.where(np.isneginf(scores), 0, np.exp(scores - whole_log[b][..., None]))
        finite = np.where(np.isfinite(terms), np.abs(terms), 0)
        of_output, _, of_log = bounds(dtype, q, k, v, scale, p, whole[b], finite)
        # Each shard's log-sum-exp is rounded to float32 and moves its share by as much;
        # its output is rounded to the wire's type.
        magnitudes = [np.where(np.isfinite(log[b]), np.abs(log[b]), 0) for _, log in shards]
        of_log = 2 * of_log + 2**-22 * (1 + np.max(magnitudes, axis=0))
        largest = np.max([np.abs(part[b]) for part, _ in shards], axis=0)
        unit = 2**-8 if dtype == "bfloat16" else 2**-24
        of_output = 2 * of_output + (unit + 2 * of_log.T[..., None]) * largest
        cases.check(f"output of sequence {b}", merged[b], whole[b], of_output)
        cases.check(f"log-sum-exp of sequence {b}", merged_log[b], whole_log[b], of_log)
