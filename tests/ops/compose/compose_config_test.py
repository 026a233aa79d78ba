# SPDX-License-Identifier: Apache-2.0
"""compose.yaml as Docker Compose's own parser understands it, and its server's command on its model."""

import os
import pathlib
import subprocess
import sys

import pytest
import server
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILE = ROOT / "deploy" / "compose.yaml"
PARSER = pathlib.Path(os.environ["ATTEND_TOOLS"]) / "compose-config"


def parse(file, **variables):
    return subprocess.run([PARSER, file], text=True, capture_output=True, check=False,
                          env={"PATH": os.environ["PATH"], **variables})


def services(**variables):
    done = parse(FILE, **variables)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


def model_mount(**variables):
    (mount,) = services(**variables)["server"]["volumes"]
    return mount


def test_mounts_the_fetched_model_read_only_and_makes_no_folder_in_its_place():
    mount = model_mount()
    assert mount["source"] == str(ROOT / "build" / "models" / "all-MiniLM-L6-v2")
    assert (mount["target"], mount["read_only"]) == ("/model", True)
    assert not mount.get("bind", {}).get("create_host_path", False)


def test_mounts_another_model_where_one_is_named():
    assert model_mount(ATTEND_MODEL_DIR="/srv/model")["source"] == "/srv/model"


@pytest.mark.parametrize("name", services())
def test_every_service_has_a_limit_of_memory_and_of_processes(name):
    service = services()[name]
    assert int(service["mem_limit"]) >= 1 << 28
    assert service["pids_limit"] >= 64


def test_the_server_serves_the_model_with_this_command():
    models = pathlib.Path(os.environ["ATTEND_MODELS"])
    fetched = subprocess.run([sys.executable, ROOT / "client" / "examples" / "get_minilm.py",
                              "--out", models], check=True, stdout=subprocess.PIPE, text=True)
    folder = fetched.stdout.splitlines()[-1]
    command = services()["server"]["command"]
    assert any("=/model" in argument for argument in command)
    with server.Server(*(argument.replace("=/model", f"={folder}") for argument in command)) as running:
        layers = running.layers.ListLayers(running.stubs.layer_pb2.ListLayersRequest()).layers
        assert [layer.name for layer in layers] == [f"minilm/{number}" for number in range(6)]


def test_the_parser_refuses_what_compose_does_not_know(tmp_path):
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text().replace("mem_limit", "memory_limit"))
    done = parse(wrong)
    assert done.returncode == 1
    assert "memory_limit" in done.stderr
