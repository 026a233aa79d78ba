# SPDX-License-Identifier: Apache-2.0
"""The contract keeps what proto/baseline.json holds, and `buf breaking` notices where it does not.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUF = pathlib.Path(sys.executable).with_name("buf")


def breaking(folder):
    """Compares the contract in `folder` with the baseline, by the rules of buf.yaml."""
    return subprocess.run(
        [BUF, "breaking", "--against", ROOT / "proto" / "baseline.json"], cwd=folder,
        env={**os.environ, "BUF_CACHE_DIR": str(ROOT / "build" / "buf")}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)


@pytest.fixture(name="contract")
def copy_of_the_contract(tmp_path):
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    return tmp_path


def replace(contract, name, old, new):
    path = contract / "proto" / "attend" / "v1" / name
    text = path.read_text()
    assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


def test_nothing_is_broken(contract):
    ran = breaking(contract)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("name, old, new, message", [
    ("tensor.proto", "bytes data = 3;", "bytes data = 4;", 'field "3" with name "data"'),
    ("attention.proto", "  PRIORITY_LOW = 3;\n", "", 'enum value "3" on enum "Priority"'),
    ("layer.proto", "int64 embed_dim = 2;", "int32 embed_dim = 2;", 'type from "int64" to "int32"'),
    ("server.proto", "  reserved 3;\n", "", "reserved"),
])
def test_a_break_is_named(contract, name, old, new, message):
    replace(contract, name, old, new)
    ran = breaking(contract)
    assert ran.returncode != 0
    assert message in ran.stdout and name in ran.stdout, ran.stdout


def test_an_addition_is_no_break(contract):
    replace(contract, "tensor.proto", "  bytes data = 3;\n", "  bytes data = 3;\n  bytes more = 4;\n")
    ran = breaking(contract)
    assert ran.returncode == 0, ran.stdout
