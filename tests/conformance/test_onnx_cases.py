# SPDX-License-Identifier: Apache-2.0
"""ONNX's own test cases of its Attention operator, through the server.

The cases come with the PyPI package onnx: inputs, attributes and the outputs that a backend must
give. An adapter turns each into one ScaledDotProductAttention call; it joins past and present keys
and says by query_offsets where the new rows stand, because the service holds no cache. Every case
must pass at the tolerance of the suite's own runner (onnx/backend/test/runner), or stand in
NOT_SERVED with the operator feature that the service does not have.
"""

import functools
import warnings

import ml_dtypes
import numpy as np
import pytest
from onnx.backend.test.case import node as onnx_cases

import server
from attend_client import to_array, to_tensor

RTOL, ATOL = 1e-3, 1e-7  # of the suite's runner
BFLOAT16_RTOL = 2**-6  # and where the output is bfloat16
NUM_CASES = 93

NOT_SERVED = {}  # name: reason. Nothing of these 93 needs more than the service has.


@functools.lru_cache(maxsize=None)
def attention_cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collecting makes the cases of all operators
        collected = onnx_cases.collect_testcases("Attention")
    return {case.name: case for case in collected
            if case.name.startswith("test_attention") and "expanded" not in case.name}


@pytest.fixture(scope="module")
def running():
    with server.Server("--random-layer=unused:embed_dim=8,num_heads=2") as started:
        yield started


def to_numpy(value):
    """An input as the suite stores it: an array, or a bfloat16 tensor as its bits."""
    array = np.asarray(value)
    return array.view(ml_dtypes.bfloat16) if array.dtype == np.uint16 else array


class Call:
    """One node of the operator as one request."""

    def __init__(self, node, inputs):
        self.attributes = {a.name: a for a in node.attribute}
        given = {name: value for name, value in zip(
            ("Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen"),
            inputs, strict=False) if value is not None}
        self.flat = given["Q"].ndim == 3  # [B, L, H * D], else [B, H, L, D]
        self.query = self.heads(given["Q"], "q_num_heads")
        self.key = self.heads(given["K"], "kv_num_heads")
        self.value = self.heads(given["V"], "kv_num_heads")
        self.past = 0
        if "past_key" in given:
            self.past = given["past_key"].shape[2]
            self.key = np.concatenate([given["past_key"], self.key], axis=2)
            self.value = np.concatenate([given["past_value"], self.value], axis=2)
        self.lengths = [int(n) for n in given.get("nonpad_kv_seqlen", [])]
        self.mask = given.get("attn_mask")

    def int(self, name, default):
        return self.attributes[name].i if name in self.attributes else default

    def heads(self, array, count):
        """Returns the tensor as [B, H, L, D]."""
        if not self.flat:
            return array
        batch, rows, width = array.shape
        heads = self.int(count, 0)
        return array.reshape(batch, rows, heads, width // heads).transpose(0, 2, 1, 3)

    def request(self, stubs):
        pb = stubs.attention_pb2
        batch, rows = self.query.shape[0], self.query.shape[2]
        options = pb.AttentionOptions(causal=bool(self.int("is_causal", 0)))
        options.query_offsets.extend(
            [n - rows for n in self.lengths] if self.lengths else [self.past] * batch)
        if "scale" in self.attributes:
            options.scale = self.attributes["scale"].f
        if "softcap" in self.attributes and self.attributes["softcap"].f != 0:  # 0: none
            options.softcap = self.attributes["softcap"].f
        for name in ("left", "right"):
            size = self.int(f"{name}_window_size", -1)
            if size >= 0:  # -1: unbounded
                setattr(options, f"window_{name}", size)
        options.weights = pb.WEIGHTS_PER_HEAD
        options.weights_stage = (
            pb.WEIGHTS_STAGE_SCALED, pb.WEIGHTS_STAGE_SOFTCAPPED, pb.WEIGHTS_STAGE_BIASED,
            pb.WEIGHTS_STAGE_PROBABILITIES)[self.int("qk_matmul_output_mode", 0)]
        if self.mask is not None:
            # A mask may be shorter than the keys; nobody attends to the others.
            boolean = self.mask.dtype == np.bool_
            pad = [(0, 0)] * (self.mask.ndim - 1) + [(0, self.key.shape[2] - self.mask.shape[-1])]
            mask = np.pad(self.mask, pad, constant_values=False if boolean else -np.inf)
            (options.mask if boolean else options.bias).CopyFrom(to_tensor(stubs, mask))
        return pb.ScaledDotProductAttentionRequest(
            query=to_tensor(stubs, self.query), key=to_tensor(stubs, self.key),
            value=to_tensor(stubs, self.value), key_lengths=self.lengths,
            layout=pb.LAYOUT_BHLD, options=options)

    def outputs(self, response):
        output = to_array(response.output)
        if self.flat:
            batch, heads, rows, width = output.shape
            output = output.transpose(0, 2, 1, 3).reshape(batch, rows, heads * width)
        return {"Y": output, "present_key": self.key, "present_value": self.value,
                "qk_matmul_output": to_array(response.weights)}


@pytest.mark.parametrize("name", [name for name in attention_cases() if name not in NOT_SERVED])
def test_case(running, name):
    case = attention_cases()[name]
    node, = case.model.graph.node
    for inputs, expected in case.data_sets:
        # Inputs and outputs that the node leaves out have neither name nor value.
        values = iter(inputs)
        inputs = [to_numpy(next(values)) if given else None for given in node.input]
        call = Call(node, inputs)
        response = running.attention.ScaledDotProductAttention(
            call.request(running.stubs), timeout=60)
        outputs = call.outputs(response)
        names = [output for output in node.output if output]
        assert len(names) == len(expected)
        for output, reference in zip(names, expected):
            reference = to_numpy(reference)
            rtol = BFLOAT16_RTOL if reference.dtype == ml_dtypes.bfloat16 else RTOL
            actual = outputs[output].astype(reference.dtype).astype(np.float32)
            assert actual.shape == reference.shape, output
            np.testing.assert_allclose(
                actual, reference.astype(np.float32), rtol=rtol, atol=ATOL, err_msg=output)


def test_no_case_is_left_out():
    names = set(attention_cases())
    assert len(names) == NUM_CASES
    assert set(NOT_SERVED) <= names
