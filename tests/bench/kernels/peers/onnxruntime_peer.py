# SPDX-License-Identifier: Apache-2.0
"""onnxruntime: MultiHeadAttention for prefill, GroupQueryAttention over a cache for decoding, both
of its own domain com.microsoft.
"""

import itertools

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import peer

DOMAIN = "com.microsoft"


def session(node, inputs, outputs, threads):
    """`inputs` is {name: (type, shape)}; all outputs are float."""
    graph = helper.make_graph(
        [node], "bench",
        [helper.make_tensor_value_info(name, *about) for name, about in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs])
    model = helper.make_model(graph, ir_version=10, opset_imports=[
        helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                        providers=["CPUExecutionProvider"])


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def prefill(case, threads):
    length, heads, dim = case["queries"], case["heads"], case["head_dim"]
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], domain=DOMAIN,
                            num_heads=heads, unidirectional=int(case["causal"]))
    shape = (1, length, heads * dim)
    one = session(node, {name: (TensorProto.FLOAT, shape) for name in "qkv"}, ["y"], threads)
    feed = {name: normal(1, length, heads * dim) + shift for shift, name in enumerate("qkv")}
    result = []

    def run():
        result[:] = one.run(None, feed)

    def rows(array):
        return lambda head: array.reshape(length, heads, dim)[:, head]

    return run, lambda: peer.attention_error(case, *(rows(feed[name]) for name in "qkv"),
                                             rows(result[0]))


def decode(case, threads):
    batch, queries, dim = case["batch"], case["queries"], case["head_dim"]
    heads, shared, keys = case["heads"], case["kv_heads"], case["keys"]
    node = helper.make_node(
        "GroupQueryAttention", ["q", "k", "v", "past_k", "past_v", "last", "total"],
        ["y", "all_k", "all_v"], domain=DOMAIN, num_heads=heads, kv_num_heads=shared)
    new, past = (batch, queries, shared * dim), (batch, shared, keys, dim)
    one = session(node, {
        "q": (TensorProto.FLOAT, (batch, queries, heads * dim)),
        "k": (TensorProto.FLOAT, new), "v": (TensorProto.FLOAT, new),
        "past_k": (TensorProto.FLOAT, past), "past_v": (TensorProto.FLOAT, past),
        "last": (TensorProto.INT32, (batch,)), "total": (TensorProto.INT32, (1,))},
        ["y", "all_k", "all_v"], threads)
    query = normal(batch, queries, heads * dim)
    cache = [normal(*past), normal(*past) + 0.5]
    # The step's own keys and values are the last of the cache, where the operator puts them.
    fresh = [np.ascontiguousarray(part[:, :, keys - queries:].transpose(0, 2, 1, 3)).reshape(new)
             for part in cache]
    bindings = []  # with the memory that each refers to
    for _ in range(case.get("copies", 1)):
        binding = one.io_binding()
        binding.bind_output("y")
        for name, array in (("q", query), ("k", fresh[0]), ("v", fresh[1]),
                            ("last", np.full(batch, keys - 1, np.int32)),
                            ("total", np.array([keys], np.int32))):
            binding.bind_cpu_input(name, array)
        # A value on the CPU shares its array's memory: each turn needs arrays of its own.
        copies = [array.copy() for array in cache]
        for name, array in zip("kv", copies):
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
            binding.bind_ortvalue_input(f"past_{name}", value)
            binding.bind_ortvalue_output(f"all_{name}", value)  # in place, as a decoder keeps it
        bindings.append((binding, copies))
    turns = itertools.cycle(bindings)

    def run():
        one.run_with_iobinding(next(turns)[0])

    def rows(array, count):
        return lambda head: array[-1].reshape(queries, count, dim)[:, head]

    def error():
        got = bindings[0][0].get_outputs()[0].numpy()
        return peer.attention_error(case, rows(query, heads), lambda head: cache[0][-1, head],
                                    lambda head: cache[1][-1, head], rows(got, heads))

    return run, error


def prepare(case, threads):
    if case["type"] != "f32":
        raise peer.Refusal("no bfloat16 attention on the CPU")
    if case["queries"] == case["keys"]:
        return prefill(case, threads)
    return decode(case, threads)


if __name__ == "__main__":
    peer.serve("onnxruntime", prepare)
