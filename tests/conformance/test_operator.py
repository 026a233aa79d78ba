# SPDX-License-Identifier: Apache-2.0
"""ScaledDotProductAttention over gRPC against onnxruntime's Attention operator.

Every case is random; its seed is in its name: pytest -k 'seed17-'. ATTEND_CASES sets how many.
"""

import os

import numpy as np
import pytest

import cases
import onnx_oracle
import server
from attend_client import to_array, to_tensor

CASES = int(os.environ.get("ATTEND_CASES", "60"))
HEAD_DIMS = (1, 3, 8, 16, 17, 32, 64, 80, 128)
HEADS = ((1, 1), (2, 2), (3, 3), (4, 2), (6, 1), (8, 2), (12, 12))  # H, Hkv
UNIT = {"float32": 2**-24, "float16": 2**-11, "bfloat16": 2**-8}  # largest error of rounding
SIGMAS = 6


@pytest.fixture(scope="module")
def running():
    with server.Server("--random-layer=unused:embed_dim=8,num_heads=2") as started:
        yield started


def bounds(dtype, query, key, value, scale, p, output, terms=0.0):
    """How far two right answers may be apart, element by element: (of output, of P, of ln Z).

    Each rounding, by u of itself, is of either sign. A score is a sum of D terms q_d k_d: rounded
    operands (bfloat16) move it by about u * scale * r, r = sqrt(sum_d (q_d k_d)^2); rounded
    partial sums (float32), D of about r each, by u * scale * r * sqrt(D). exp, bias and P add a
    few u, and what is added to scores (`terms`, its magnitude) u of itself. Together P_j is off
    by some e_j of itself, and by what its sum inherits; the output's error is that of a sum over
    keys of independent errors, and of rounding each of its partial sums (evenly: a third of u
    squared). Six times the root of the sum of squares covers both sides. Then the output is
    rounded once.
    """
    unit = UNIT["bfloat16" if dtype == "bfloat16" else "float32"]
    group = query.shape[1] // key.shape[1]
    key, value = (np.repeat(x.astype(np.float64), group, axis=1) for x in (key, value))
    squares = np.einsum("ihd,jhd->hij", query.astype(np.float64) ** 2, key**2)
    roundings = 1 if dtype == "bfloat16" else query.shape[-1]
    changes = (p * unit * (scale * np.sqrt(squares * roundings) + 4)) ** 2  # of P, squared
    changes += (p * UNIT["float32"] * np.where(p > 0, terms, 0)) ** 2
    total = changes.sum(axis=-1)[..., None]
    of_output = np.einsum("hij,jhd->ihd", changes, value**2) + output**2 * total.swapaxes(0, 1)
    partial = np.einsum("hij,jhd->ihd", p, np.abs(value))
    of_output += len(key) * (UNIT["float32"] * partial) ** 2 / 3
    return (SIGMAS * np.sqrt(of_output) + UNIT[dtype] * np.abs(output) + 2**-25,
            SIGMAS * np.sqrt(changes + p**2 * total) + 2**-40,
            SIGMAS * np.sqrt(changes.sum(axis=-1)) + 2**-21)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("seed", range(CASES), ids=lambda seed: f"seed{seed}")
def test_agrees_with_onnxruntime(running, record_property, seed, dtype):
    rng = np.random.default_rng(seed + 1_000_000)
    num_heads, num_kv_heads = HEADS[rng.integers(len(HEADS))]
    head_dim = int(rng.choice(HEAD_DIMS))
    case = cases.draw(seed, num_heads, dtype)
    query = case.rows(case.query_lengths, num_heads, head_dim)
    key = case.rows(case.key_lengths, num_kv_heads, head_dim)
    value_head_dim = head_dim if rng.random() < 0.6 else int(rng.choice(HEAD_DIMS))
    value = case.rows(case.key_lengths, num_kv_heads, value_head_dim)
    scale = case.scale if case.scale is not None else cases.default_scale(head_dim)

    gates = np.array(case.gates or [1] * num_heads)[:, None]
    sinks = case.sink_column()
    outputs, probabilities, output_bounds, p_bounds = [], [], [], []
    logs, log_bounds = [], []
    for b, (q, k, v) in enumerate(zip(query, key, value)):
        if 0 in (len(q), len(k)):
            outputs.append(np.zeros((len(q), num_heads, value_head_dim), np.float32))
            probabilities.append(np.zeros((num_heads, len(q), len(k)), np.float32))
            output_bounds.append(np.full(outputs[-1].shape, 1e-30))
            p_bounds.append(probabilities[-1])
            logs.append(np.tile(sinks[:, None], (1, len(q))))
            log_bounds.append(np.full(logs[-1].shape, 1e-30))
            continue
        additive, empty = cases.readable(case, b)
        output, p = onnx_oracle.attention(q, k, v, scale, False, additive, case.softcap, sinks)
        output = np.where(empty.T[..., None], 0, output)
        p = np.where(empty[..., None], 0, p)
        terms = 4 * case.softcap + np.where(np.isfinite(additive), np.abs(additive), 0)
        of_output, of_p, of_log = bounds(dtype, q, k, v, scale, p, output, terms)
        log = onnx_oracle.log_sum_exp(q, k, scale, case.additive(b), case.softcap, sinks)
        logs.append(log)
        log_bounds.append(of_log + 2**-22 * np.where(np.isfinite(log), np.abs(log), 0))
        outputs.append(output * gates)
        probabilities.append(p)
        output_bounds.append(of_output * np.maximum(1, np.abs(gates)))
        p_bounds.append(of_p)

    sent_key, sent_value = case.hide(key, value)
    bhld = not case.packed and bool(rng.random() < 0.5)

    def operand(rows, length):
        array = case.join(rows, length)
        return to_tensor(running.stubs, array.transpose(0, 2, 1, 3) if bhld else array)

    pb = running.stubs.attention_pb2
    response = running.attention.ScaledDotProductAttention(
        pb.ScaledDotProductAttentionRequest(
            query=operand(query, case.query_rows),
            key=operand(sent_key, case.key_rows),
            value=operand(sent_value, case.key_rows),
            query_lengths=case.query_lengths_field(), key_lengths=case.key_lengths_field(),
            layout=pb.LAYOUT_BHLD if bhld else pb.LAYOUT_UNSPECIFIED,
            options=case.options(running.stubs, to_tensor)),
        timeout=60)

    answer = to_array(response.output)
    assert response.output.data_type == operand(query, case.query_rows).data_type
    answer = answer.transpose(0, 2, 1, 3) if bhld else answer
    share = max(cases.check(f"output of sequence {b}", part, outputs[b], output_bounds[b])
                for b, part in enumerate(case.split(answer, case.query_lengths)))
    record_property("share_of_bound", share)
    if case.weights > 1:
        record_property("share_of_weights_bound", cases.check(
            "weights", to_array(response.weights), cases.expected_weights(case, probabilities),
            cases.expected_weights(case, p_bounds) + 1e-30))
    else:
        assert not response.HasField("weights")
    assert response.HasField("log_sum_exp") == case.log_sum_exp
    if case.log_sum_exp:
        actual = to_array(response.log_sum_exp)
        bound = cases.expected_log_sum_exp(case, log_bounds, actual.shape)
        record_property("share_of_log_bound", cases.check(
            "log-sum-exp", actual, cases.expected_log_sum_exp(case, logs, actual.shape),
            np.where(np.isfinite(bound), bound, 1e-30)))
    assert response.timing.batch_requests >= 1


def test_causal_from_the_start_is_onnx_is_causal(running):
    """The operator's own causal flag, so that causality does not rest on our mask alone."""
    rng = np.random.default_rng(7)
    for rows, keys in ((1, 1), (33, 33), (17, 65), (65, 17), (130, 130)):
        q, k, v = (rng.normal(size=(n, 4, 32)).astype(np.float32) for n in (rows, keys, keys))
        pb = running.stubs.attention_pb2
        response = running.attention.ScaledDotProductAttention(
            pb.ScaledDotProductAttentionRequest(
                query=to_tensor(running.stubs, q), key=to_tensor(running.stubs, k),
                value=to_tensor(running.stubs, v),
                options=pb.AttentionOptions(causal=True, alignment=pb.ALIGNMENT_START)),
            timeout=60)
        scale = cases.default_scale(32)
        expected, p = onnx_oracle.attention(
            q, k, v, scale, True, np.zeros((4, rows, keys), np.float32))
        cases.check(f"{rows} rows, {keys} keys", to_array(response.output), expected,
                    bounds("float32", q, k, v, scale, p, expected)[0])
