# SPDX-License-Identifier: Apache-2.0
"""What the Python examples share: calls to layers, and files of weights."""

import hashlib
import json
import os

import grpc
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import attend_client
import safetensors_file
import server


@pytest.fixture(scope="module")
def running():
    llama = attend_client.ROOT / "tests" / "conformance" / "golden" / "families" / "llama"
    with server.Server("--random-layer=r:embed_dim=8,num_heads=2,rotary_dim=4",
                       f"--model=llama={llama}") as started:
        yield started


def draw(*shape):
    return np.random.default_rng(4).normal(size=shape).astype(np.float32)


def test_a_call_passes_every_argument_and_option(running):
    client, stubs = attend_client.Client(running.target), running.stubs
    pb = stubs.attention_pb2
    query, key = draw(3, 8), draw(9, 8)
    value = key[::-1]
    mask = np.tri(2, 5, dtype=bool)
    request = pb.MultiHeadAttentionRequest(
        layer="r", query_lengths=[2, 1], key_lengths=[5, 4],
        **{name: attend_client.to_tensor(stubs, array)
           for name, array in (("query", query), ("key", key), ("value", value))})
    request.options.alignment = pb.ALIGNMENT_END
    request.options.causal = request.options.log_sum_exp = True
    request.options.scale = 0.25
    request.options.sinks.extend([0.5, -1])
    request.options.weights = pb.WEIGHTS_PER_HEAD
    request.options.mask.CopyFrom(attend_client.to_tensor(stubs, mask))
    wanted = running.attention.MultiHeadAttention(request, timeout=60)

    answer = client.call_layer(
        "r", query, key, value, query_lengths=[2, 1], key_lengths=[5, 4], scale=0.25, causal=True,
        alignment="ALIGNMENT_END", weights="WEIGHTS_PER_HEAD", log_sum_exp=True, mask=mask,
        sinks=np.array([0.5, -1]))
    np.testing.assert_array_equal(answer.output, attend_client.to_array(wanted.output))
    np.testing.assert_array_equal(answer.weights, attend_client.to_array(wanted.weights))
    np.testing.assert_array_equal(answer.log_sum_exp, attend_client.to_array(wanted.log_sum_exp))
    assert answer.sent_bytes == request.ByteSize() > query.nbytes + key.nbytes + value.nbytes
    assert answer.received_bytes >= answer.output.nbytes + answer.weights.nbytes

    plain = client.call_layer("r", query, causal=True)
    assert plain.weights is None and plain.log_sum_exp is None
    assert not np.array_equal(plain.output, answer.output)


def test_many_arrays_over_one_stream_give_the_bits_of_single_calls(running):
    client = attend_client.Client(running.target)
    queries = [draw(1 + index % 5, 8) * (1 + index) for index in range(300)]
    answers = dict(client.call_layer_many("r", iter(queries), causal=True))
    assert sorted(answers) == list(range(300))
    for index in (0, 1, 2, 3, 4, 150, 299):
        np.testing.assert_array_equal(
            answers[index].output, client.call_layer("r", queries[index], causal=True).output)


def test_a_request_of_a_stream_that_fails_is_named(running):
    client = attend_client.Client(running.target)
    with pytest.raises(attend_client.RequestError, match="request 1: .*layer") as failed:
        for _ in client.call_layer_many("r", [draw(2, 8), draw(2, 7)]):
            pass
    assert failed.value.index == 1
    assert failed.value.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_a_warning_of_the_server_is_printed_once(running, capsys):
    client, rows = attend_client.Client(running.target), draw(3, 24)
    text = 'layer "llama/1" belongs to a decoder'
    for _ in range(2):
        (warning,) = client.call_layer("llama/1", rows).warnings
        assert text in warning
    assert capsys.readouterr().err.count(text) == 1
    assert client.call_layer("llama/1", rows, causal=True).warnings == []
    assert client.call_layer(
        "llama/0", rows[2:], key=rows, alignment="ALIGNMENT_END").warnings == []
    assert capsys.readouterr().err == ""


def test_an_array_of_an_unsupported_dtype_is_named(running):
    client = attend_client.Client(running.target)
    for dtype in (np.float64, np.int32):
        with pytest.raises(TypeError, match=f"dtype {np.dtype(dtype)}.*float32, bfloat16, float16"):
            client.call_layer("r", draw(2, 8).astype(dtype))
    assert client.call_layer("r", draw(2, 8).astype(ml_dtypes.bfloat16)).output.shape == (2, 8)


def test_tensors_of_every_readable_type_are_widened_to_float32(tmp_path):
    array = draw(3, 5)
    path = tmp_path / "t.safetensors"
    safetensors.numpy.save_file(
        {"wide": array, "half": array.astype(np.float16),
         "brain": array.astype(ml_dtypes.bfloat16), "ids": np.arange(3)}, path)
    file = safetensors_file.SafetensorsFile(path)
    assert set(file) == {"wide", "half", "brain", "ids"} and "none" not in file
    np.testing.assert_array_equal(file["wide"], array)
    np.testing.assert_array_equal(file["half"], array.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(file["brain"],
                                  array.astype(ml_dtypes.bfloat16).astype(np.float32))
    assert all(file[name].dtype == np.float32 for name in ("wide", "half", "brain"))
    with pytest.raises(TypeError, match=r"tensor 'ids' has dtype I64; F32, F16, BF16 can be"):
        file["ids"]
    with pytest.raises(KeyError, match="none"):
        file["none"]


def test_only_tensors_that_are_used_are_read(tmp_path):
    """A file with a tensor that fits no memory, sparse on the disk."""
    array, huge = draw(2, 3), 2**38
    header = json.dumps({
        "small": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "huge": {"dtype": "F32", "shape": [huge], "data_offsets": [24, 24 + 4 * huge]}}).encode()
    path = tmp_path / "t.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + array.tobytes())
    os.truncate(path, 8 + len(header) + 24 + 4 * huge)
    file = safetensors_file.SafetensorsFile(path)
    np.testing.assert_array_equal(file["small"], array)
    assert file["huge"].shape == (huge,) and file["huge"][huge - 1] == 0


def test_a_token_goes_with_calls_and_streams(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"me sha256={hashlib.sha256(b'secret').hexdigest()}\n")
    with server.Server("--random-layer=r:embed_dim=8,num_heads=2", f"--tokens={tokens}") as started:
        client = attend_client.Client(started.target, token="secret")
        answer = client.call_layer("r", draw(3, 8))
        assert answer.output.shape == (3, 8)
        (streamed,) = client.call_layer_many("r", [draw(3, 8)])
        np.testing.assert_array_equal(streamed[1].output, answer.output)
        for wrong in (None, "secret2"):
            with pytest.raises(grpc.RpcError) as caught:
                attend_client.Client(started.target, token=wrong).call_layer("r", draw(3, 8))
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
