# SPDX-License-Identifier: Apache-2.0
"""ScaledDotProductAttention over gRPC against the operators that models in onnxruntime are fused
into: com.microsoft's MultiHeadAttention and GroupQueryAttention, on random shapes and options. The
latter has a window, softcap, sinks and a cache with a length for each sequence.

The seed of a case is in its name; ATTEND_CASES sets how many.
"""

import os

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import cases
import server
from attend_client import to_array, to_tensor
from test_operator import bounds

CASES = int(os.environ.get("ATTEND_CASES", "60"))


@pytest.fixture(scope="module")
def running():
    with server.Server("--random-layer=unused:embed_dim=8,num_heads=2") as started:
        yield started


def run_node(name, inputs, outputs, **attributes):
    """One node of com.microsoft; inputs: (name, array or None) in the operator's order."""
    types = {np.float32: TensorProto.FLOAT, np.int32: TensorProto.INT32}
    given = [(key, array) for key, array in inputs if array is not None]
    node = helper.make_node(name, [key if array is not None else "" for key, array in inputs],
                            outputs, domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node], "oracle",
        [helper.make_tensor_value_info(key, types[array.dtype.type], array.shape)
         for key, array in given],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, None) for key in outputs])
    model = helper.make_model(graph, ir_version=10, opset_imports=[
        helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(outputs[:1], dict(given))[0]


def flat(rows):
    return rows.reshape(*rows.shape[:2], -1)


def expect(what, answer, oracle, query, key, value, scale, readable, terms=0.0, softcap=0.0):
    """Compares one sequence, [L, H, Dv], within what two right answers may differ by. P, which
    that needs, is numpy's; readable and terms: [H or 1, Lq, Lk]."""
    repeated = np.repeat(key.astype(np.float64), query.shape[1] // key.shape[1], axis=1)
    scores = scale * np.einsum("ihd,jhd->hij", query.astype(np.float64), repeated)
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    scores = np.where(readable, scores + terms, -np.inf)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)  # without sinks: more than with them, so bounds hold
    bound = bounds("float32", query, key, value, scale, p, oracle,
                   4 * softcap + np.abs(terms) + 4)[0]
    cases.check(what, answer, oracle, bound)


@pytest.mark.parametrize("seed", range(CASES), ids=lambda seed: f"seed{seed}")
def test_group_query_attention(running, seed):
    rng = np.random.default_rng(seed + 4_000_000)
    kv_heads = int(rng.choice([1, 2, 3]))
    heads = kv_heads * int(rng.choice([1, 2, 4]))
    head_dim = int(rng.choice([8, 16, 64, 80]))
    batch = int(rng.integers(1, 4))
    rows = int(rng.choice([1, 1, 2, 7, 33]))
    if rows > 1 and rng.random() < 0.5:
        batch = 1  # or no cache: the operator takes several rows behind one for one sequence only
    past = [0 if rows > 1 and batch > 1 else int(rng.integers(0, 90)) for _ in range(batch)]
    capacity = max(past)
    lengths = [n + rows for n in past]

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    query = normal(batch, rows, heads, head_dim)
    new_key, new_value = (normal(batch, rows, kv_heads, head_dim) for _ in "kv")
    past_key, past_value = (normal(batch, kv_heads, capacity, head_dim) for _ in "kv")
    scale = float(np.float32(rng.choice([0.0, 0.2]))) or cases.default_scale(head_dim)
    window = int(rng.choice([-1, 1, 5, 64]))
    softcap = float(rng.choice([0, 1.5, 30]))
    sinks = normal(heads) * 2 if rng.random() < 0.5 else None
    oracle = run_node(
        "GroupQueryAttention",
        [("q", flat(query)), ("k", flat(new_key)), ("v", flat(new_value)),
         ("pk", past_key), ("pv", past_value),
         ("lengths", np.array(lengths, np.int32) - 1), ("total", np.array(max(lengths), np.int32)),
         ("cos", None), ("sin", None), ("positions", None), ("bias", None), ("sink", sinks)],
        ["y", "present_key", "present_value"], num_heads=heads, kv_num_heads=kv_heads,
        scale=scale, local_window_size=window, softcap=softcap)
    oracle = oracle.reshape(batch, rows, heads, head_dim)

    # The new rows follow those of the cache, and rows that nobody may read follow them.
    key, value = (np.full((batch, max(lengths), kv_heads, head_dim), np.nan, np.float32)
                  for _ in "kv")
    for b, n in enumerate(past):
        for whole, cache, new in ((key, past_key, new_key), (value, past_value, new_value)):
            whole[b, :n] = cache[b, :, :n].transpose(1, 0, 2)
            whole[b, n : n + rows] = new[b]
    pb, stubs = running.stubs.attention_pb2, running.stubs
    options = pb.AttentionOptions(scale=scale, causal=True, alignment=pb.ALIGNMENT_END,
                                  sinks=[] if sinks is None else list(sinks))
    if window >= 0:
        options.window_left = window - 1  # the operator counts the query's own key
    if softcap:
        options.softcap = softcap
    answer = to_array(running.attention.ScaledDotProductAttention(
        pb.ScaledDotProductAttentionRequest(
            query=to_tensor(stubs, query), key=to_tensor(stubs, key),
            value=to_tensor(stubs, value), key_lengths=lengths, options=options),
        timeout=60).output)
    for b, n in enumerate(past):
        distance = np.arange(n + rows) - (n + np.arange(rows))[:, None]
        readable = (distance <= 0) & ((window < 0) | (distance > -window))
        expect(f"sequence {b}", answer[b], oracle[b], query[b], key[b, : n + rows],
               value[b, : n + rows], scale, readable[None], softcap=softcap)


@pytest.mark.parametrize("seed", range(CASES), ids=lambda seed: f"seed{seed}")
def test_multi_head_attention(running, seed):
    rng = np.random.default_rng(seed + 5_000_000)
    heads, batch = int(rng.choice([1, 2, 5])), int(rng.integers(1, 4))
    head_dim, value_dim = (int(rng.choice([3, 8, 17, 64])) for _ in "kv")
    rows = int(rng.choice([1, 5, 17, 64, 65]))
    causal = bool(rng.random() < 0.4)
    keys = rows if causal else int(rng.choice([1, 9, 64, 100]))
    padded = not causal and bool(rng.random() < 0.5)
    lengths = [int(rng.integers(1, keys + 1)) if padded else keys for _ in range(batch)]

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    query, key = normal(batch, rows, heads, head_dim), normal(batch, keys, heads, head_dim)
    value = normal(batch, keys, heads, value_dim)
    bias = None
    if rng.random() < 0.5:
        bias = normal(int(rng.choice([1, batch])), int(rng.choice([1, heads])), rows, keys)
    scale = float(np.float32(rng.choice([0.0, 0.3]))) or cases.default_scale(head_dim)
    oracle = run_node(
        "MultiHeadAttention",
        [("q", flat(query)), ("k", flat(key)), ("v", flat(value)), ("b", None),
         ("mask", np.array(lengths, np.int32) if padded else None), ("bias", bias)],
        ["y"], num_heads=heads, unidirectional=int(causal), scale=scale)
    oracle = oracle.reshape(batch, rows, heads, value_dim)

    pb, stubs = running.stubs.attention_pb2, running.stubs
    options = pb.AttentionOptions(scale=scale, causal=causal)
    if bias is not None:
        options.bias.CopyFrom(to_tensor(stubs, bias))
    answer = to_array(running.attention.ScaledDotProductAttention(
        pb.ScaledDotProductAttentionRequest(
            query=to_tensor(stubs, query), key=to_tensor(stubs, key),
            value=to_tensor(stubs, value), key_lengths=lengths, options=options),
        timeout=60).output)
    for b, n in enumerate(lengths):
        readable = np.ones((1, rows, n), bool)
        if causal:
            readable &= np.arange(n) <= np.arange(rows)[:, None]
        terms = 0.0
        if bias is not None:
            terms = np.broadcast_to(bias, (batch, heads, rows, keys))[b, :, :, :n]
        expect(f"sequence {b}", answer[b], oracle[b], query[b], key[b, :n], value[b, :n], scale,
               readable, terms)
