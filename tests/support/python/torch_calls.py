# SPDX-License-Identifier: Apache-2.0
"""The inputs of the calls of tests/conformance/golden/torch/: numpy arrays that both the script
which asks torch and the test which asks the server draw again, so that files hold results alone.
"""

import math

import ml_dtypes
import numpy as np

import random_layer

DTYPES = {"f32": np.float32, "bf16": ml_dtypes.bfloat16}

# name: (embed_dim, num_heads, kdim, vdim, bias) of torch.nn.MultiheadAttention
MODULES = {
    "plain": (24, 4, None, None, True),
    "unbiased": (24, 3, None, None, False),
    "widths": (32, 2, 20, 28, True),
    "unbiased_widths": (20, 5, 12, 20, False),
}


def numbers(dtype, seed, *shape):
    """Uniform numbers of variance 1, rounded to the type."""
    count = math.prod(shape)
    return (np.float32(3**0.5) * random_layer.stream(seed, count)).reshape(shape).astype(
        DTYPES[dtype])


def scores_term(call, dtype):
    """(mask, bias) of a call, in numpy's broadcast; None where it has none. True: may attend."""
    kind, shape = call["mask"], call["mask_shape"]
    if kind is None:
        return None, None
    keep = random_layer.stream(call["seed"] + 4, math.prod(shape)).reshape(shape) > -0.4
    keep[..., call.get("always", 0)] = True  # torch gives NaN for a row that reads nothing
    if kind == "bool":
        return keep, None
    bias = numbers(dtype, call["seed"] + 5, *shape)
    return None, np.where(keep, bias, DTYPES[dtype](-np.inf))


def operator_inputs(call, dtype):
    """query, key, value [B, H, L, D]"""
    b, seed = call["batch"], call["seed"]
    return (numbers(dtype, seed + 1, b, call["heads"], call["rows"], call["head_dim"]),
            numbers(dtype, seed + 2, b, call["kv_heads"], call["keys"], call["head_dim"]),
            numbers(dtype, seed + 3, b, call["kv_heads"], call["keys"], call["value_dim"]))


def module_inputs(call, dtype):
    """query, key, value [B, L, width]; key and value None where query serves as both."""
    embed, _, kdim, vdim, _ = MODULES[call["module"]]
    b, seed = call["batch"], call["seed"]
    query = numbers(dtype, seed + 1, b, call["rows"], embed)
    if call["self"]:
        return query, None, None
    return (query, numbers(dtype, seed + 2, b, call["keys"], kdim or embed),
            numbers(dtype, seed + 3, b, call["keys"], vdim or embed))


def parameters(name):
    """The state of a module, as torch names it, float32."""
    embed, _, kdim, vdim, bias = MODULES[name]
    shapes = {"out_proj.weight": (embed, embed)}
    if kdim is None:
        shapes["in_proj_weight"] = (3 * embed, embed)
    else:
        shapes |= {"q_proj_weight": (embed, embed), "k_proj_weight": (embed, kdim),
                   "v_proj_weight": (embed, vdim)}
    if bias:
        shapes |= {"in_proj_bias": (3 * embed,), "out_proj.bias": (embed,)}
    state = {}
    for number, (key, shape) in enumerate(sorted(shapes.items())):
        width = shape[1] if len(shape) == 2 else 4
        seed = 1000 * (1 + list(MODULES).index(name)) + number
        state[key] = numbers("f32", seed, *shape) / np.float32(width**0.5)
    return state
