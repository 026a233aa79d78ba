# SPDX-License-Identifier: Apache-2.0
"""The weights of `attend-server --random-layer`, made again in numpy."""

import math

import numpy as np


def stream(seed, count):
    """The first numbers of the generator that core/weights/random_layer.h names, in [-1, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.float32(2) * ((z >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)) - 1


def parameters(embed_dim, num_heads, num_kv_heads, head_dim, seed):
    """The parameters of --random-layer, as core/weights/random_layer.h defines them: weight and bias of
    query, key, value and output, in float32."""
    inner, kv = num_heads * head_dim, num_kv_heads * head_dim
    shapes = [(inner, embed_dim), (inner,), (kv, embed_dim), (kv,), (kv, embed_dim), (kv,),
              (embed_dim, inner), (embed_dim,)]
    counts = [math.prod(shape) for shape in shapes]
    values = stream(seed, sum(counts))
    tensors = []
    for shape, part in zip(shapes, np.split(values, np.cumsum(counts)[:-1])):
        bound = 0.5 if len(shape) == 1 else math.sqrt(3 / shape[1])
        tensors.append((np.float32(bound) * part).reshape(shape))
    return tensors
