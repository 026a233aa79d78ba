# SPDX-License-Identifier: Apache-2.0
"""The server over gRPC against what torch computed: scaled_dot_product_attention and
nn.MultiheadAttention, float32 and bfloat16, on random shapes and options.

make_torch_goldens.py asked torch; torch is not needed here.
"""

import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

import cases
import server
import torch_calls
from attend_client import to_array, to_tensor
from test_layer import LAYER_BOUND
from test_operator import UNIT, bounds

FOLDER = pathlib.Path(__file__).parent / "golden" / "torch"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())
RESULTS = safetensors.numpy.load_file(FOLDER / "golden.safetensors")
WIRE = {"f32": "float32", "bf16": "bfloat16"}


def expected(kind, call, dtype, part):
    result = RESULTS.get(f"{kind}.{call['seed']}.{dtype}.{part}")
    return None if result is None else result.astype(np.float64)


def name_of(call):
    return f"call{call['seed']}"


@pytest.fixture(scope="module", params=["f32", "bf16"])
def running(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    arguments = []
    for name, (_, heads, _, _, _) in torch_calls.MODULES.items():
        path = folder / f"{name}.safetensors"
        safetensors.numpy.save_file(torch_calls.parameters(name), path)
        arguments.append(f"--model={name}={path}:num_heads={heads},compute={request.param}")
    with server.computing(request.param, *arguments) as started:
        started.dtype = request.param
        yield started


def options_of(running, call):
    pb, stubs = running.stubs.attention_pb2, running.stubs
    # torch's is_causal aligns the first rows, "upper-left".
    options = pb.AttentionOptions(causal=call["causal"], alignment=pb.ALIGNMENT_START)
    if call.get("scale") is not None:
        options.scale = call["scale"]
    mask, bias = torch_calls.scores_term(call, running.dtype)
    if mask is not None:
        options.mask.CopyFrom(to_tensor(stubs, mask))
    if bias is not None:
        options.bias.CopyFrom(to_tensor(stubs, bias))
    return options


def additive(call, dtype, heads):
    """[B, H, Lq, Lk]: bias, and -inf where a key is not readable."""
    term = np.zeros((call["batch"], heads, call["rows"], call["keys"]))
    mask, bias = torch_calls.scores_term(call, dtype)
    if bias is not None:
        term = term + bias.astype(np.float64)
    if mask is not None:
        term = np.where(mask, term, -np.inf)
    if call["causal"]:
        term[..., np.triu(np.ones(term.shape[2:], bool), 1)] = -np.inf
    return term


@pytest.mark.parametrize("call", GOLDEN["operator"], ids=name_of)
def test_scaled_dot_product_attention(running, record_property, call):
    dtype, stubs = running.dtype, running.stubs
    pb = stubs.attention_pb2
    query, key, value = torch_calls.operator_inputs(call, dtype)
    answer = to_array(running.attention.ScaledDotProductAttention(
        pb.ScaledDotProductAttentionRequest(
            query=to_tensor(stubs, query), key=to_tensor(stubs, key),
            value=to_tensor(stubs, value), layout=pb.LAYOUT_BHLD,
            options=options_of(running, call)),
        timeout=60).output)
    oracle = expected("operator", call, dtype, "output")
    scale = call["scale"] or cases.default_scale(call["head_dim"])
    terms = additive(call, dtype, call["heads"])
    for b in range(call["batch"]):
        q, k, v = (x[b].transpose(1, 0, 2).astype(np.float64) for x in (query, key, value))
        keys = np.repeat(k, call["heads"] // call["kv_heads"], axis=1)
        p = np.exp(scale * np.einsum("ihd,jhd->hij", q, keys) + terms[b])
        p /= p.sum(axis=-1, keepdims=True)
        finite = np.where(np.isfinite(terms[b]), np.abs(terms[b]), 0)
        bound = bounds(WIRE[dtype], q, k, v, scale, p, oracle[b].transpose(1, 0, 2), finite)[0]
        # The oracle is rounded to its type, too.
        bound += UNIT[WIRE[dtype]] * np.abs(oracle[b].transpose(1, 0, 2))
        record_property("share_of_bound", cases.check(
            f"sequence {b}", answer[b].transpose(1, 0, 2), oracle[b].transpose(1, 0, 2), bound))


@pytest.mark.parametrize("call", GOLDEN["module"], ids=name_of)
def test_multihead_attention(running, record_property, call):
    dtype, stubs = running.dtype, running.stubs
    pb = stubs.attention_pb2
    query, key, value = torch_calls.module_inputs(call, dtype)
    request = pb.MultiHeadAttentionRequest(
        layer=call["module"], query=to_tensor(stubs, query), options=options_of(running, call))
    lengths = call["lengths"]
    if key is not None:
        request.key.CopyFrom(to_tensor(stubs, key))
        request.value.CopyFrom(to_tensor(stubs, value))
        request.key_lengths.extend(lengths or [])
    elif lengths is not None:
        request.query_lengths.extend(lengths)
    request.options.weights = {"none": pb.WEIGHTS_NONE, "mean": pb.WEIGHTS_MEAN,
                               "per_head": pb.WEIGHTS_PER_HEAD}[call["weights"]]
    response = running.attention.MultiHeadAttention(request, timeout=60)

    # torch also computes the rows that are padding; here they are 0.
    rows = lengths if key is None and lengths is not None else [call["rows"]] * call["batch"]
    output = to_array(response.output)
    oracle = expected("module", call, dtype, "output")
    for b, n in enumerate(rows):
        assert not output[b, n:].any()
        want = oracle[b, :n]
        # As in test_layer: relative to the largest norm, and both sides round to the wire's
        # type.
        difference = np.abs(output[b, :n] - want) - 2 * UNIT[WIRE[dtype]] * np.abs(want)
        difference = np.where(np.isnan(difference), np.inf, np.maximum(difference, 0))
        record_property("share_of_bound", cases.check(
            f"norm of the difference of sequence {b}, rows", np.linalg.norm(difference, axis=-1),
            np.zeros(n), LAYER_BOUND[dtype] * np.linalg.norm(want, axis=-1).max()))
    assert response.HasField("weights") == (call["weights"] != "none")
    if not response.HasField("weights"):
        return
    weights, oracle = to_array(response.weights), expected("module", call, dtype, "weights")
    for b, n in enumerate(rows):
        assert not weights[b, ..., n:, :].any()
        cases.check(f"weights of sequence {b}", weights[b, ..., :n, :], oracle[b, ..., :n, :],
                    LAYER_BOUND[dtype])
