# SPDX-License-Identifier: Apache-2.0
"""Attention by onnxruntime: ONNX's Attention operator (opset 23), which we did not write, and a
whole layer as a graph of MatMul, Add and Attention. One sequence a call, float32.
"""

import functools

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 23
P_AFTER_SOFTMAX = 3  # Attention's qk_matmul_output_mode


def _session(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(
        nodes, "oracle",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _attention_node(inputs, outputs, scale, causal, softcap, **heads):
    return helper.make_node("Attention", inputs, outputs, scale=float(scale),
                            is_causal=int(causal), softcap=float(softcap),
                            qk_matmul_output_mode=P_AFTER_SOFTMAX, **heads)


@functools.lru_cache(maxsize=256)
def _operator(scale, causal, softcap):
    axes = {"q": ("h", "i", "d"), "k": ("g", "j", "d"), "v": ("g", "j", "d"), "m": ("h", "i", "j")}
    return _session([_attention_node(["q", "k", "v", "m"], ["y", "", "", "p"], scale, causal, softcap)],
                    [(name, (1, *axis)) for name, axis in axes.items()], ["y", "p"])


def attention(query, key, value, scale, causal, additive, softcap=0.0, sinks=None):
    """query [Lq, H, D], key [Lk, Hkv, D], value [Lk, Hkv, Dv], additive [H, Lq, Lk] (-inf: not
    readable); every row must have a readable key or a sink. causal: key j <= row i. sinks [H]
    take part as one more key whose row and value are 0. -> ([Lq, H, Dv], P [H, Lq, Lk])"""
    keys = len(key)
    if sinks is not None:
        key, value = (np.concatenate([x, np.zeros_like(x[:1])]) for x in (key, value))
        additive = _with_sinks(additive, sinks)
    feeds = {name: np.ascontiguousarray(x.transpose(1, 0, 2)[None].astype(np.float32))
             for name, x in zip("qkv", (query, key, value))}
    feeds["m"] = np.ascontiguousarray(additive[None].astype(np.float32))
    output, p = _operator(scale, causal, softcap).run(["y", "p"], feeds)
    return output[0].transpose(1, 0, 2), p[0, :, :, :keys]


def _with_sinks(additive, sinks):
    column = np.broadcast_to(np.asarray(sinks, np.float32)[:, None, None], (*additive.shape[:2], 1))
    return np.concatenate([additive, column], axis=-1)


def log_sum_exp(query, key, scale, additive, softcap=0.0, sinks=None):
    """ln Z [H, Lq] in float64, as numpy has it: onnxruntime does not tell. Arguments as above."""
    key = np.repeat(key.astype(np.float64), query.shape[1] // key.shape[1], axis=1)
    scores = scale * np.einsum("ihd,jhd->hij", query.astype(np.float64), key)
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    scores += additive
    if sinks is not None:
        scores = _with_sinks(scores, sinks)
    return np.logaddexp.reduce(scores, axis=-1, initial=-np.inf)


class Layer:
    """parameters: weight and bias of query, key, value and output, as random_layer.parameters gives them."""

    def __init__(self, parameters, num_heads, num_kv_heads, head_dim):
        self.parameters, self.head_dim = parameters, head_dim
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads

    @functools.lru_cache(maxsize=256)
    def _session(self, scale, softcap):
        nodes, initializers = [], []
        widths = [weight.shape[1] for weight in self.parameters[:6:2]]

        def constant(name, array):
            initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            return name

        def project(name, x, weight, bias):
            nodes.append(helper.make_node("MatMul", [x, constant(f"w{name}", weight.T)],
                                          [f"{name}_product"]))
            nodes.append(helper.make_node("Add", [f"{name}_product", constant(f"b{name}", bias)],
                                          [name]))
            return name

        projected = [project(f"p{x}", x, *self.parameters[2 * n : 2 * n + 2])
                     for n, x in enumerate("qkv")]
        for n, x in ((1, "k"), (2, "v")):  # one more key of zeros, for the sinks
            zeros = constant(f"z{x}", np.zeros((1, 1, len(self.parameters[2 * n])), np.float32))
            nodes.append(helper.make_node("Concat", [projected[n], zeros], [f"s{x}"], axis=1))
            projected[n] = f"s{x}"
        nodes.append(_attention_node(
            [*projected, "m"], ["context", "", "", "p"], scale, False, softcap,
            q_num_heads=self.num_heads, kv_num_heads=self.num_kv_heads))
        nodes.append(helper.make_node("Mul", ["context", "gate"], ["gated"]))
        project("y", "gated", *self.parameters[6:])
        inputs = [(x, (1, "i" if x == "q" else "j", width)) for x, width in zip("qkv", widths)]
        inputs += [("m", (1, "h", "i", "n")), ("gate", (1, "i", self.num_heads * self.head_dim))]
        return _session(nodes, inputs, ["y", "p"], initializers)

    def run(self, query, key, value, scale, additive, gates, softcap, sinks):
        """Rows of inputs -> (rows of output, P [H, Lq, Lk]); otherwise as attention(); a sink of
        -inf is none. gates [H, Lq] multiply what each head gives to each row."""
        feeds = {name: np.ascontiguousarray(x[None].astype(np.float32))
                 for name, x in zip("qkv", (query, key, value))}
        feeds["m"] = np.ascontiguousarray(_with_sinks(additive, sinks)[None].astype(np.float32))
        feeds["gate"] = np.repeat(gates.T.astype(np.float32), self.head_dim, axis=1)[None]
        output, p = self._session(scale, softcap).run(["y", "p"], feeds)
        return output[0], p[0, :, :, :-1]

    def heads(self, index, rows):
        """Projected rows [L, heads, D] of query (0), key (1) or value (2), in float64."""
        weight, bias = self.parameters[2 * index : 2 * index + 2]
        projected = rows.astype(np.float64) @ weight.T.astype(np.float64) + bias
        return projected.reshape(len(rows), -1, self.head_dim)
