# SPDX-License-Identifier: Apache-2.0
"""MultiHeadAttention over gRPC against a graph of MatMul, Add and Attention in onnxruntime, whose
weights come from elsewhere: random layers from their definition, files from PyPI's safetensors.
"""

import os

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import cases
import onnx_oracle
import random_layer
import server
from attend_client import to_array, to_tensor

CASES = int(os.environ.get("ATTEND_CASES", "60"))
UNIT = {"float32": 2**-24, "float16": 2**-11, "bfloat16": 2**-8}

# A row of output may be off by this share of the largest row's norm: in float32 what docs/models.md
# promises of the whole output; in bfloat16 about eight roundings of 2^-8 each
# (client/examples/embed.py derives it). P, absolute.
LAYER_BOUND = {"f32": 1e-5, "bf16": 8 / 256}

# name: embed_dim, num_heads, num_kv_heads, head_dim, seed
RANDOM_LAYERS = {
    "mha": (48, 6, 6, 8, 1),
    "gqa": (64, 8, 2, 24, 2),
    "mqa": (40, 5, 1, 17, 3),
    "bert": (768, 12, 12, 64, 4),
}


def torch_files(folder):
    """Files of torch.nn.MultiheadAttention: name -> (file, head count, parameters, H, Hkv, D)."""
    rng = np.random.default_rng(11)

    def draw(dtype, *shape):
        bound = 0.5 if len(shape) == 1 else (3 / shape[-1]) ** 0.5
        return rng.uniform(-bound, bound, size=shape).astype(dtype)

    def parameters(weights, biases, output):
        pairs = zip([*weights, output[0]], [*biases, output[1]])
        return [np.asarray(x, np.float32) for pair in pairs for x in pair]

    files = {}
    for name, dtype in (("stacked", np.float32), ("half", np.float16),
                        ("brain", ml_dtypes.bfloat16)):
        tensors = {"in_proj_weight": draw(dtype, 96, 32), "in_proj_bias": draw(dtype, 96),
                   "out_proj.weight": draw(dtype, 32, 32), "out_proj.bias": draw(dtype, 32)}
        path = folder / f"{name}.safetensors"
        safetensors.numpy.save_file(tensors, path)
        files[name] = (path, 4, parameters(
            np.split(tensors["in_proj_weight"], 3), np.split(tensors["in_proj_bias"], 3),
            (tensors["out_proj.weight"], tensors["out_proj.bias"])))
    tensors = {"q_proj_weight": draw(np.float32, 36, 36), "k_proj_weight": draw(np.float32, 36, 20),
               "v_proj_weight": draw(np.float32, 36, 28), "out_proj.weight": draw(np.float32, 36, 36)}
    path = folder / "separate.safetensors"
    safetensors.numpy.save_file(tensors, path)
    zero = np.zeros(36, np.float32)
    files["separate"] = (path, 3, parameters(
        [tensors[f"{x}_proj_weight"] for x in "qkv"], [zero] * 3,
        (tensors["out_proj.weight"], zero)))
    return files


class Running:
    """A server with every layer in one compute type, and an oracle for each."""

    def __init__(self, folder, compute):
        self.compute, self.oracles, self.arguments = compute, {}, []
        for name, (embed, heads, kv_heads, head_dim, seed) in RANDOM_LAYERS.items():
            self.arguments.append(
                f"--random-layer={name}:embed_dim={embed},num_heads={heads},"
                f"num_kv_heads={kv_heads},head_dim={head_dim},seed={seed},compute={compute}")
            self.oracles[name] = onnx_oracle.Layer(
                random_layer.parameters(embed, heads, kv_heads, head_dim, seed),
                heads, kv_heads, head_dim)
        for name, (path, heads, parameters) in torch_files(folder).items():
            self.arguments.append(f"--model={name}={path}:num_heads={heads},compute={compute}")
            self.oracles[name] = onnx_oracle.Layer(
                parameters, heads, heads, len(parameters[0]) // heads)


@pytest.fixture(scope="module", params=["f32", "bf16"])
def running(request, tmp_path_factory):
    state = Running(tmp_path_factory.mktemp("layers"), request.param)
    with server.computing(request.param, *state.arguments) as state.server:
        yield state


@pytest.mark.parametrize("seed", range(CASES), ids=lambda seed: f"seed{seed}")
def test_agrees_with_onnxruntime(running, record_property, seed):
    names = sorted(running.oracles)
    rng = np.random.default_rng(seed + 2_000_000)
    name = names[seed % len(names)]
    layer, stubs = running.oracles[name], running.server.stubs
    widths = [weight.shape[1] for weight in layer.parameters[:6:2]]
    dtype = str(rng.choice(["float32", "float32", "float16", "bfloat16"]))
    # "separate" has inputs of three widths, so its key and value must be given.
    key_given = name == "separate" or bool(rng.random() < 0.4)
    value_given = name == "separate" or (key_given and bool(rng.random() < 0.5))
    case = cases.draw(seed, layer.num_heads, dtype, self_attention=not key_given)
    query = case.rows(case.query_lengths, widths[0])
    key = case.rows(case.key_lengths, widths[1]) if key_given else query
    value = case.rows(case.key_lengths, widths[2]) if value_given else key
    scale = case.scale if case.scale is not None else cases.default_scale(layer.head_dim)
    output_bias = layer.parameters[7]

    sinks = case.sink_column()
    outputs, probabilities, logs, log_bounds = [], [], [], []
    for b, (q, k, v) in enumerate(zip(query, key, value)):
        if 0 in (len(q), len(k)):
            outputs.append(np.tile(output_bias, (len(q), 1)))
            probabilities.append(np.zeros((layer.num_heads, len(q), len(k)), np.float32))
            logs.append(np.tile(sinks[:, None], (1, len(q))))
            log_bounds.append(np.full(logs[-1].shape, 1e-30))
            continue
        additive, empty = cases.readable(case, b)
        gates = np.array(case.gates or [1] * layer.num_heads, np.float32)
        output, p = layer.run(q, k, v, scale, additive, np.where(empty, 0, gates[:, None]),
                              case.softcap, sinks)
        heads_q, heads_k = layer.heads(0, q), layer.heads(1, k)
        logs.append(onnx_oracle.log_sum_exp(
            heads_q, heads_k, scale, case.additive(b), case.softcap, sinks))
        # A score is off by this share of the product of its rows' norms.
        largest = np.linalg.norm(heads_q, axis=-1).max() * np.linalg.norm(heads_k, axis=-1).max()
        log_bounds.append(np.full(
            logs[-1].shape, LAYER_BOUND[running.compute] * (scale * largest + 1)))
        outputs.append(output)
        probabilities.append(np.where(empty[..., None], 0, p))

    pb = stubs.attention_pb2
    request = pb.MultiHeadAttentionRequest(
        layer=name, query=to_tensor(stubs, case.join(query, case.query_rows)),
        query_lengths=case.query_lengths_field(), options=case.options(stubs, to_tensor))
    if key_given:
        # Keys that no row may read reach projections, not results.
        sent_key, sent_value = case.hide(key, value)
        request.key.CopyFrom(to_tensor(stubs, case.join(sent_key, case.key_rows)))
        if value_given:
            request.value.CopyFrom(to_tensor(stubs, case.join(sent_value, case.key_rows)))
        request.key_lengths.extend(case.key_lengths_field())
    response = running.server.attention.MultiHeadAttention(request, timeout=60)

    assert response.output.data_type == request.query.data_type
    share = LAYER_BOUND[running.compute]
    answers = case.split(to_array(response.output), case.query_lengths)
    worst = 0.0
    for b, (answer, expected) in enumerate(zip(answers, outputs)):
        if len(expected) == 0:
            continue
        # Relative to the rows' largest norm: a row whose heads are gated off may be nearly 0.
        norm = np.linalg.norm(expected, axis=-1).max()
        rounding = UNIT[dtype] * np.abs(expected) + 2**-25  # of the answer to the wire's type
        difference = np.maximum(np.abs(answer - expected) - rounding, 0)
        # NaN must not pass for 0.
        difference = np.where(np.isnan(answer), np.inf, difference)
        worst = max(worst, cases.check(
            f"norm of the difference of {name}, sequence {b}, rows",
            np.linalg.norm(difference, axis=-1), np.zeros(len(expected)), share * norm + 1e-30))
    record_property("share_of_bound", worst)
    if case.weights > 1:
        cases.check("weights", to_array(response.weights),
                    cases.expected_weights(case, probabilities), share)
    if case.log_sum_exp:
        actual = to_array(response.log_sum_exp)
        bound = cases.expected_log_sum_exp(case, log_bounds, actual.shape)
        cases.check("log-sum-exp", actual, cases.expected_log_sum_exp(case, logs, actual.shape),
                    np.where(np.isfinite(bound), bound, 1e-30))
    assert len(response.layer_sha256) == 64


def test_lists_the_layers_as_loaded(running):
    stubs = running.server.stubs
    answer = running.server.layers.ListLayers(stubs.layer_pb2.ListLayersRequest(), timeout=60)
    assert [info.name for info in answer.layers] == sorted(running.oracles)
    for info in answer.layers:
        layer = running.oracles[info.name]
        count = sum(x.size for x in layer.parameters)
        if info.name == "separate":  # it has no biases
            count -= 4 * 36
        assert info.parameter_count == count
        assert (info.num_heads, info.num_kv_heads, info.head_dim) == (
            layer.num_heads, layer.num_kv_heads, layer.head_dim)
        assert (info.embed_dim, info.key_dim, info.value_dim) == tuple(
            weight.shape[1] for weight in layer.parameters[:6:2])
        assert info.query_bias == info.output_bias == (info.name != "separate")
        assert info.compute_type == (2 if running.compute == "bf16" else 1)
