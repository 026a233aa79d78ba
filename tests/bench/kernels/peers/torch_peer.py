# SPDX-License-Identifier: Apache-2.0
"""torch: scaled_dot_product_attention, nn.MultiheadAttention and linear."""

import copy
import itertools

import numpy as np
import torch
from torch.nn import functional

import peer

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def attention(case):
    kind = TYPES[case["type"]]
    if "lengths" in case:
        raise peer.Refusal("not asked of peers")
    batch, copies = case.get("batch", 1), case.get("copies", 1)
    query = torch.randn(batch, case["heads"], case["queries"], case["head_dim"], dtype=kind)
    shape = (batch, case["kv_heads"], case["keys"], case["head_dim"])
    keys, values = torch.randn(shape, dtype=kind), torch.randn(shape, dtype=kind)
    caches = [(keys, values)] + [(keys.clone(), values.clone()) for _ in range(copies - 1)]
    options = {"enable_gqa": case["heads"] != case["kv_heads"]}
    if case["causal"] and case["queries"] == case["keys"]:
        options["is_causal"] = True
    elif case["causal"] and case["queries"] > 1:
        # torch's is_causal counts positions from the first key; a decoder's from the last.
        options["attn_mask"] = torch.ones(case["queries"], case["keys"], dtype=torch.bool).tril(
            case["keys"] - case["queries"])
    turns = itertools.cycle(caches)
    result = []

    def run():
        key, value = next(turns)
        result[:] = [functional.scaled_dot_product_attention(query, key, value, **options)]

    def rows(tensor):
        return lambda head: tensor[-1, head].float().numpy()

    return run, lambda: peer.attention_error(case, rows(query), rows(keys), rows(values),
                                             rows(result[0]))


def layer(case):
    kind = TYPES[case["type"]]
    if len(set(case["lengths"])) != 1:
        raise peer.Refusal("not asked of peers")
    module = torch.nn.MultiheadAttention(case["embed"], case["heads"], batch_first=True,
                                         dtype=kind).eval()
    x = torch.randn(len(case["lengths"]), case["lengths"][0], case["embed"], dtype=kind)
    result = []

    def run():
        result[:] = [module(x, x, x, need_weights=False)[0]]

    def error():
        last = x[-1:].double()
        truth = copy.deepcopy(module).double()(last, last, last, need_weights=False)[0]
        return peer.relative_error([(result[0][-1].double().numpy(), truth[0].numpy())])

    return run, error


def linear(case):
    kind = TYPES[case["type"]]
    weight = torch.randn(case["outputs"], case["inputs"], dtype=kind) / case["inputs"] ** 0.5
    bias = torch.randn(case["outputs"], dtype=kind)
    x = torch.randn(case["rows"], case["inputs"], dtype=kind)
    turns = itertools.cycle([weight] + [weight.clone() for _ in range(case["copies"] - 1)])
    result = []

    def run():
        result[:] = [functional.linear(x, next(turns), bias)]

    def error():
        truth = functional.linear(x.double(), weight.double(), bias.double()).numpy()
        return peer.relative_error([(result[0].double().numpy(), truth)])

    return run, error


def prepare(case, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    return {"attention": attention, "layer": layer, "linear": linear}[case["kind"]](case)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    np.seterr(all="ignore")
    peer.serve("torch", prepare)
