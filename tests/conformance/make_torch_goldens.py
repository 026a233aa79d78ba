#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes golden/torch/: what torch's scaled_dot_product_attention and nn.MultiheadAttention make of
random shapes and options, in float32 and bfloat16.

golden.json lists the calls, golden.safetensors holds their results; inputs are drawn again by
tests/support/python/torch_calls.py. Run by hand, in an environment of its own (1 GB):

    python -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.15.0 safetensors==0.8.0 ml_dtypes==0.6.0 numpy
    /tmp/golden/bin/python tests/conformance/make_torch_goldens.py
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support" / "python"))
import torch_calls  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
ROWS = (1, 2, 7, 11)
KEYS = (1, 3, 16, 33, 65, 130)


def to_torch(array):
    if array is None:
        return None
    if array.dtype == bool:
        return torch.from_numpy(array)
    wide = torch.from_numpy(array.astype(np.float32))
    return wide.to(torch.bfloat16) if array.dtype == torch_calls.DTYPES["bf16"] else wide


def mask_of(rng, shape):
    """Kind of attn_mask, and its shape."""
    kind = [None, "bool", "float"][rng.integers(3)]
    return {"mask": kind, "mask_shape": None if kind is None else shape}


def draw_operator(rng, seed):
    kv_heads = int(rng.choice([1, 2]))
    call = {
        "seed": seed, "batch": int(rng.integers(1, 3)), "kv_heads": kv_heads,
        "heads": kv_heads * int(rng.choice([1, 1, 2, 3])),
        "rows": int(rng.choice(ROWS)), "keys": int(rng.choice(KEYS)),
        "head_dim": int(rng.choice([1, 5, 16, 40, 64])), "value_dim": int(rng.choice([3, 8, 13])),
        "scale": float(rng.choice([0.1, 0.5])) if rng.random() < 0.4 else None,
        "causal": bool(rng.random() < 0.4)}
    if rng.random() < 0.4:
        call["value_dim"] = call["head_dim"] = int(rng.choice([8, 16]))
    full = [call["batch"], call["heads"], call["rows"], call["keys"]]
    shape = [n if rng.random() < 0.6 else 1 for n in full[:3]] + full[3:]
    # torch takes only one of the two.
    none = {"mask": None, "mask_shape": None}
    return call | (none if call["causal"] else mask_of(rng, shape[int(rng.integers(3)):]))


def run_operator(call, dtype):
    query, key, value = map(to_torch, torch_calls.operator_inputs(call, dtype))
    mask, bias = map(to_torch, torch_calls.scores_term(call, dtype))
    return {"output": torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias if mask is None else mask, is_causal=call["causal"],
        scale=call["scale"], enable_gqa=call["heads"] != call["kv_heads"])}


def draw_module(rng, seed):
    name = list(torch_calls.MODULES)[seed // 16 % len(torch_calls.MODULES)]
    embed, heads, kdim, _, _ = torch_calls.MODULES[name]
    call = {"seed": seed, "module": name, "batch": int(rng.integers(1, 3)),
            "self": kdim is None and bool(rng.random() < 0.6),
            "rows": int(rng.choice([1, 3, 6])), "keys": int(rng.choice([1, 6, 20])),
            "weights": str(rng.choice(["none", "mean", "per_head"])), "lengths": None}
    if call["self"]:
        call["keys"] = call["rows"]
    call["causal"] = call["rows"] == call["keys"] and bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        call["lengths"] = [int(rng.integers(1, call["keys"] + 1)) for _ in range(call["batch"])]
    shape = [call["rows"], call["keys"]]
    if rng.random() < 0.5:
        shape = [call["batch"], heads, *shape]
    none = {"mask": None, "mask_shape": None}
    return call | (none if call["causal"] else mask_of(rng, shape))


def run_module(call, dtype):
    embed, heads, kdim, vdim, bias = torch_calls.MODULES[call["module"]]
    module = torch.nn.MultiheadAttention(
        embed, heads, bias=bias, kdim=kdim, vdim=vdim, batch_first=True).eval()
    module.load_state_dict({
        key: to_torch(array) for key, array in torch_calls.parameters(call["module"]).items()})
    module = module.to(DTYPES[dtype])
    query, key, value = map(to_torch, torch_calls.module_inputs(call, dtype))
    if key is None:
        key = value = query
    keep, term = map(to_torch, torch_calls.scores_term(call, dtype))
    mask = term if keep is None else ~keep  # here, True: may not attend
    if call["causal"]:
        mask = torch.ones(call["rows"], call["keys"], dtype=torch.bool).triu(1)
    if mask is not None and mask.dim() == 4:
        mask = mask.flatten(0, 1)
    padding = None
    if call["lengths"] is not None:
        padding = torch.arange(call["keys"]) >= torch.tensor(call["lengths"])[:, None]
        if mask is not None and mask.dtype != torch.bool:
            padding = torch.zeros(padding.shape, dtype=mask.dtype).masked_fill(
                padding, -torch.inf)
    output, weights = module(
        query, key, value, key_padding_mask=padding, attn_mask=mask, is_causal=call["causal"],
        need_weights=call["weights"] != "none", average_attn_weights=call["weights"] == "mean")
    return {"output": output} | ({} if weights is None else {"weights": weights})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "golden" / "torch")
    parser.add_argument("--seed", type=int, default=25)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    golden = {"versions": {"torch": torch.__version__}, "seed": args.seed}
    results = {}
    for kind, draw, run, count in (("operator", draw_operator, run_operator, 24),
                                   ("module", draw_module, run_module, 24)):
        golden[kind] = [draw(rng, 16 * (number + 1)) for number in range(count)]
        for call in golden[kind]:
            for dtype in DTYPES:
                with torch.inference_mode():
                    parts = run(call, dtype)
                for part, tensor in parts.items():
                    assert tensor.isfinite().all(), call
                    results[f"{kind}.{call['seed']}.{dtype}.{part}"] = tensor.contiguous()
    args.out.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(results, args.out / "golden.safetensors")
    lines = json.dumps(golden).replace('[{"seed"', '[\n{"seed"').replace('}, {"seed"', '},\n{"seed"')
    (args.out / "golden.safetensors").chmod(0o644)
    (args.out / "golden.json").write_text(lines.replace('}], "', '}],\n"') + "\n")
    print(sum(file.stat().st_size for file in args.out.iterdir()), "bytes")


if __name__ == "__main__":
    main()
