# SPDX-License-Identifier: Apache-2.0
"""Unpacks JSON schemas of Kubernetes' API out of PyPI's kubernetes-validate, pinned by SHA-256."""

import argparse
import pathlib
import shutil
import tempfile
import zipfile

import fetch_wheel

PACKAGE = "kubernetes-validate==1.35.0"
SHA256 = "768909f0cea1c7d77761c8fdea028c6aa553151dafeae099c453742ad3324b43"
# The package looks definitions up by itself; kubeconform takes a reference to a file of the folder,
# and knows draft 4.
REWRITTEN = {"/api/_definitions.json#": "_definitions.json#", "$defs": "definitions",
             '"$schema"': '"x-schema"', '"$id"': '"x-id"'}
INSIDE = "kubernetes_validate/kubernetes-json-schema/"
VERSIONS = ("v1.27.0", "v1.35.0")  # the oldest that the chart allows, and the newest of the package


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        work = pathlib.Path(folder)
        with zipfile.ZipFile(fetch_wheel.fetch_wheel(PACKAGE, SHA256, work)) as archive:
            for name in archive.namelist():
                # Strict schemas refuse fields that Kubernetes does not know.
                if name.startswith(tuple(f"{INSIDE}{version}-local-strict/" for version in VERSIONS)):
                    path = pathlib.Path(archive.extract(name, work))
                    text = path.read_text()
                    for old, new in REWRITTEN.items():
                        text = text.replace(old, new)
                    path.write_text(text)
        shutil.rmtree(out, ignore_errors=True)
        (work / INSIDE).rename(out)


if __name__ == "__main__":
    main()
