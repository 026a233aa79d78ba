# SPDX-License-Identifier: Apache-2.0
"""Layers of model families over gRPC against what transformers computed.

make_family_goldens.py made the models and the calls.
"""

import json
import pathlib

import grpc
import numpy as np
import pytest

import server
from attend_client import to_array, to_tensor

FAMILIES = pathlib.Path(__file__).parent / "golden" / "families"
MODELS = sorted(folder.name for folder in FAMILIES.iterdir())

# The bound is the norm of the difference as a share of the whole output's, as docs/models.md
# states it. Float32: roundings of six matmuls and a softmax. Bfloat16: ten roundings of 2^-9, as in
# tests/core/layer and once more for heads that are rounded after rotation.
BOUNDS = {"f32": 1e-5, "bf16": 2e-2}


def read_safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32"
            begin, end = entry["data_offsets"]
            part = data[8 + size + begin:8 + size + end]
            tensors[name] = np.frombuffer(part, np.float32).reshape(entry["shape"])
    return tensors


@pytest.fixture(scope="module", params=["f32", "bf16"])
def running(request):
    arguments = [f"--model={name}={FAMILIES / name}:compute={request.param}" for name in MODELS]
    with server.computing(request.param, *arguments) as started:
        started.compute = request.param
        yield started


def ask(running, model, call, tensors):
    """The layer's own settings hold: the request gives none of them."""
    pb, stubs = running.stubs.attention_pb2, running.stubs
    request = pb.MultiHeadAttentionRequest(
        layer=f"{model}/{call['layer']}", query=to_tensor(stubs, tensors[call["query"]["tensor"]]))
    request.options.causal = call["causal"]
    if "key" in call:
        request.key.CopyFrom(to_tensor(stubs, tensors[call["key"]["tensor"]]))
        request.options.query_offsets.append(call["query_offset"])
    return to_array(running.attention.MultiHeadAttention(request, timeout=60).output)


@pytest.mark.parametrize("model", MODELS)
def test_agrees_with_transformers(running, model, record_property):
    golden = json.loads((FAMILIES / model / "golden.json").read_text())
    tensors = read_safetensors(FAMILIES / model / "golden.safetensors")
    worst = 0.0
    for call in golden["calls"]:
        output, expected = ask(running, model, call, tensors), tensors[call["output"]["tensor"]]
        error = np.linalg.norm(output - expected) / np.linalg.norm(expected)
        assert error <= BOUNDS[running.compute], call
        worst = max(worst, error)
    print(f"{model}: {worst:.3g}")
    record_property("worst_error", float(worst))


def test_asks_for_an_alignment_where_a_layer_has_positions(running):
    pb, rows = running.stubs.attention_pb2, np.ones((1, 24), np.float32)
    for layer in ("llama/0", "t5/decoder/0"):
        request = pb.MultiHeadAttentionRequest(
            layer=layer, query=to_tensor(running.stubs, rows),
            key=to_tensor(running.stubs, np.ones((2, 24), np.float32)))
        with pytest.raises(grpc.RpcError) as refusal:
            running.attention.MultiHeadAttention(request, timeout=60)
        assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "ALIGNMENT_END" in refusal.value.details()
    request.layer = "t5/decoder/0/cross"  # has none
    running.attention.MultiHeadAttention(request, timeout=60)


def test_lists_what_layers_have(running):
    def info(name):
        return running.layers.GetLayer(
            running.stubs.layer_pb2.GetLayerRequest(name=name), timeout=60)

    llama3 = info("llama3/1").rotary
    assert (llama3.width, llama3.theta, llama3.factor) == (16, 5000, 8)
    assert (llama3.llama3.low_frequency_factor, llama3.llama3.high_frequency_factor,
            llama3.llama3.original_max_position) == (1, 4, 40)
    linear = info("llama_linear/0")
    assert linear.rotary.factor == 4 and not linear.rotary.HasField("llama3")
    assert linear.output_bias and not linear.HasField("query_key_norm")
    assert info("gptj/0").rotary.interleaved and info("gptj/0").rotary.width == 6
    assert info("qwen3/0").query_key_norm.epsilon == pytest.approx(1e-6)
    assert not info("gpt2/1").HasField("rotary")
    assert info("gpt2/1").scale == pytest.approx(6**-0.5 / 2)

    encoder, decoder = info("t5/encoder/1"), info("t5/decoder/1")
    assert (encoder.relative_bias.buckets, encoder.relative_bias.max_distance) == (8, 16)
    assert encoder.relative_bias.bidirectional and not decoder.relative_bias.bidirectional
    assert not info("t5/decoder/1/cross").HasField("relative_bias")
    assert encoder.scale == 1 and encoder.parameter_count == 4 * 24 * 30 + 8 * 3

    assert [(place.model, place.family, place.stack, place.index, place.count, place.decoder)
            for place in (info(name).model_place for name in (
                "llama3/1", "t5/encoder/1", "t5/decoder/1", "t5/decoder/1/cross", "gptj/0"))] == [
        ("llama3", "llama", "", 1, 2, True), ("t5", "t5", "encoder", 1, 2, False),
        ("t5", "t5", "decoder", 1, 2, True), ("t5", "t5", "decoder", 1, 2, False),
        ("gptj", "gptj", "", 0, 1, True)]

    gemma = [info(f"gemma2/{i}") for i in (0, 1)]
    assert [layer.softcap for layer in gemma] == [2, 2]
    assert gemma[0].window_left == 4 and not gemma[1].HasField("window_left")
    assert [info(f"qwen2/{i}").HasField("window_left") for i in (0, 1)] == [False, True]
