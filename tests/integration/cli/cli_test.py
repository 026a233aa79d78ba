# SPDX-License-Identifier: Apache-2.0
"""The `attend` command as scripts use it, against a real server."""

import io
import json
import os
import pathlib
import re
import subprocess

import attend_client
import numpy
import pytest
import safetensors.numpy
import server

ATTEND = str(pathlib.Path(server.binary()).parent / "attend")
DOCUMENT = (attend_client.ROOT / "docs" / "cli.md").read_text()


@pytest.fixture(scope="module")
def target():
    with server.Server("--random-layer=demo:embed_dim=8,num_heads=2") as running:
        yield running.target


def run(*arguments, stdin=b"", **variables):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ATTEND_")}
    return subprocess.run([ATTEND, *arguments], input=stdin, capture_output=True, timeout=120,
                          env={**environment, **variables})


def npy(array):
    stream = io.BytesIO()
    numpy.save(stream, array)
    return stream.getvalue()


def query():
    return numpy.random.default_rng(20240607).standard_normal((1, 5, 8), dtype=numpy.float32)


def test_numpy_reads_and_writes_the_streams(target, tmp_path):
    numpy.save(tmp_path / "q.npy", query())
    by_file = run("call", f"--server={target}", "--layer=demo", f"--query={tmp_path}/q.npy",
                  f"--output={tmp_path}/o.npy")
    assert by_file.returncode == 0, by_file.stderr
    by_pipe = run("call", f"--server={target}", "--layer=demo", "--query=-", "--output=-",
                  stdin=npy(query()))
    assert by_pipe.returncode == 0, by_pipe.stderr
    output = numpy.load(io.BytesIO(by_pipe.stdout))
    numpy.testing.assert_array_equal(output, numpy.load(tmp_path / "o.npy"))
    assert numpy.abs(output).max() > 0


def test_safetensors_reads_and_writes_the_streams(target):
    ran = run("call", f"--server={target}", "--layer=demo", "--input=-", "--weights=per-head",
              "--output=-", "--output-format=safetensors",
              stdin=safetensors.numpy.save({"query": query()}))
    assert ran.returncode == 0, ran.stderr
    tensors = safetensors.numpy.load(ran.stdout)
    assert tensors["output"].shape == (1, 5, 8)
    numpy.testing.assert_allclose(tensors["weights"].sum(-1), 1, rtol=1e-5)


def test_json_agrees_with_the_values(target, tmp_path):
    ran = run("call", "--layer=demo", "--query=-", "--json", f"--output={tmp_path}/o.npy",
              stdin=npy(query()), ATTEND_SERVER=target)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    values = numpy.load(answer["output"]["files"][0])
    assert answer["output"]["shape"] == list(values.shape)
    assert answer["output"]["mean"] == pytest.approx(values.mean(dtype=float), abs=1e-6)
    assert answer["output"]["norm"] == pytest.approx(numpy.linalg.norm(values), rel=1e-5)
    assert numpy.float32(answer["output"]["max"]) == values.max()
    numpy.testing.assert_array_equal(
        numpy.array(answer["output"]["first_values"], dtype=numpy.float32), values.ravel()[:8])
    layers = json.loads(run("layers", "demo", "--json", ATTEND_SERVER=target).stdout)
    assert layers["layers"][0]["embed_dim"] == 8
    assert layers["layers"][0]["sha256"] == answer["layer_sha256"]


def test_exit_codes_of_a_real_server(target, tmp_path):
    call = ["call", f"--server={target}", "--random=1x5x8"]
    assert run(*call, "--layer=demo", "--dtype=int8").returncode == 2
    assert run("health", "--server=127.0.0.1:1").returncode == 3
    assert run(*call, "--layer=none").returncode == 4
    assert run(*call, "--layer=demo", "--bias=-", stdin=npy(query())).returncode == 4
    late = run("call", f"--server={target}", "--layer=demo", "--random=1x16384x8", "--timeout=1ms")
    assert late.returncode == 6, late.stderr
    (tmp_path / "full.npy").symlink_to("/dev/full")
    assert run(*call, "--layer=demo", f"--output={tmp_path}/full.npy").returncode == 7


def test_verbose_shows_the_details_of_a_refusal(target):
    ran = run("call", f"--server={target}", "--random=1x5x8", "--layer=none", "-v",
              "-H", "x-request-id: script-1")
    text = ran.stderr.decode()
    assert "trailer x-request-id: script-1" in text
    assert "reason UNKNOWN_LAYER" in text
    assert "plain text" in text


def test_the_document_has_the_exit_codes_of_the_help():
    help_text = run("--help").stdout.decode()
    codes = re.findall(r"^  (\d)  (.*)$", help_text, re.MULTILINE)
    assert [int(code) for code, _ in codes] == list(range(8))
    assert re.findall(r"^\| (\d) \| (.*) \|$", DOCUMENT, re.MULTILINE) == codes


def test_the_document_has_the_variables_of_the_help():
    in_help = set(re.findall(r"ATTEND_[A-Z_]+", run("call", "--help").stdout.decode()))
    table = DOCUMENT.split("\n## Server and environment\n")[1].split("\n\n")[0]
    assert set(re.findall(r"`(ATTEND_[A-Z_]+)`", table)) == in_help


def test_exit_codes_of_the_server():
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ATTEND_")}
    for arguments, code in ((["--help"], 0), (["--model=m=/no/such/checkpoint"], 1),
                            (["--healthcheck=127.0.0.1:1"], 1), (["--healthcheck", "127.0.0.1:1"], 1),
                            (["--workers=many"], 2), (["--config=/no/such/file"], 2)):
        assert subprocess.run([server.binary(), *arguments], capture_output=True, timeout=60,
                              env=environment).returncode == code, arguments
