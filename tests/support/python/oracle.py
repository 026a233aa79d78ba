"""What attend should answer, in numpy float64, written from proto/attend/v1 alone."""

import math

import numpy as np


def scaled_dot_product(query, key, value, *, scale=None, offset=None, bias=None, mask=None,
                       gates=None):
    """One sequence: query [Lq, H, D], key and value [Lk, Hkv, D] -> (output [Lq, H, D], P [H, Lq, Lk]).

    offset: position of query row 0 among the keys where causal, None where not. bias and mask
    broadcast to [H, Lq, Lk].
    """
    query, key, value = (x.astype(np.float64) for x in (query, key, value))
    heads, group = query.shape[1], query.shape[1] // key.shape[1]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    shape = (heads, len(query), len(key))
    readable = np.ones(shape, bool)
    scores = np.zeros(shape)
    if bias is not None:
        bias = np.broadcast_to(bias.astype(np.float64), shape)
        readable &= bias != -np.inf
        scores += np.where(readable, bias, 0)
    if mask is not None:
        readable &= np.broadcast_to(mask, shape)
    if offset is not None:
        readable &= np.arange(len(key)) <= offset + np.arange(len(query))[:, None]
    scores += scale * np.einsum("ihd,jhd->hij", query, np.repeat(key, group, axis=1))
    scores = np.where(readable, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    p = np.where(readable, np.exp(scores - np.where(top == -np.inf, 0, top)), 0)
    total = p.sum(axis=-1, keepdims=True)
    p = np.divide(p, total, out=np.zeros_like(p), where=total > 0)
    output = np.einsum("hij,jhd->ihd", p, np.repeat(value, group, axis=1))
    if gates is not None:
        output = output * np.asarray(gates, np.float64)[:, None]
    return output, p


def random_layer(embed_dim, num_heads, num_kv_heads, head_dim, seed):
    """The parameters of --random-layer, as core/weights/source.h defines them: weight and bias of
    query, key, value and output, in float32."""
    inner, kv = num_heads * head_dim, num_kv_heads * head_dim
    shapes = [(inner, embed_dim), (inner,), (kv, embed_dim), (kv,), (kv, embed_dim), (kv,),
              (embed_dim, inner), (embed_dim,)]
    counts = [math.prod(shape) for shape in shapes]
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, sum(counts) + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    values = np.float32(2) * ((z >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)) - 1
    tensors = []
    for shape, part in zip(shapes, np.split(values, np.cumsum(counts)[:-1])):
        bound = 0.5 if len(shape) == 1 else math.sqrt(3 / shape[1])
        tensors.append((np.float32(bound) * part).reshape(shape))
    return tensors


def multi_head_attention(parameters, query, key, value, *, head_dim, **options):
    """One sequence through a layer, in float64: rows of inputs -> (rows of output, P)."""
    wq, bq, wk, bk, wv, bv, wo, bo = (x.astype(np.float64) for x in parameters)

    def project(x, weight, bias):
        return (x.astype(np.float64) @ weight.T + bias).reshape(len(x), -1, head_dim)

    output, p = scaled_dot_product(
        project(query, wq, bq), project(key, wk, bk), project(value, wv, bv), **options)
    return output.reshape(len(query), -1) @ wo.T + bo, p
