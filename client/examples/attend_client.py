# SPDX-License-Identifier: Apache-2.0
"""The few lines between numpy and attend's gRPC API that a Python program needs."""

import hashlib
import importlib
import os
import pathlib
import re
import sys
import tempfile
import types
import urllib.request

import grpc
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {"float32": 1, "bfloat16": 2, "float16": 3, "bool": 4}  # numpy's name -> DataType


def load_stubs(proto=ROOT / "proto", out=ROOT / "build" / "python"):
    """Generates the Python stubs of proto/ (once for each content of it) and imports them."""
    files = sorted((proto / "attend" / "v1").glob("*.proto"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = out / digest
    if not folder.is_dir():
        from grpc_tools import protoc
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out) as work:
            made = pathlib.Path(work) / "made"
            made.mkdir()
            if protoc.main(["protoc", f"-I{proto}", f"--python_out={made}",
                            f"--grpc_python_out={made}", *map(str, files)]) != 0:
                raise RuntimeError(f"cannot generate stubs from {proto}")
            try:
                os.rename(made, folder)
            except OSError:  # another process was first
                if not folder.is_dir():
                    raise
    sys.path.insert(0, str(folder))
    names = [f"{file.stem}_pb2{kind}" for file in files for kind in ("", "_grpc")]
    return types.SimpleNamespace(
        **{name: importlib.import_module(f"attend.v1.{name}") for name in names})


def connect(target):
    """A channel without limits on message size; the server has its own."""
    return grpc.insecure_channel(target, options=[
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ])


def to_tensor(stubs, array):
    """A Tensor message of a numpy array: float32, float16, bool, or bfloat16 of ml_dtypes."""
    array = np.ascontiguousarray(array)
    return stubs.tensor_pb2.Tensor(
        data_type=TYPES[array.dtype.name], shape=array.shape, data=array.tobytes())


def to_array(tensor):
    """A numpy array of a Tensor message; bfloat16 is widened to float32, which is exact."""
    name = {number: name for name, number in TYPES.items()}[tensor.data_type]
    if name == "bfloat16":
        wide = np.frombuffer(tensor.data, np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(tensor.shape)
    return np.frombuffer(tensor.data, name).reshape(tensor.shape)


def read_histogram(url, family):
    """{method: {upper bound in seconds: requests up to it}} of a Prometheus endpoint."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        text = answer.read().decode()
    methods = {}
    for labels, value in re.findall(rf"^{family}_bucket\{{(.*)\}} (\S+)", text, re.MULTILINE):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        methods.setdefault(label["method"], {})[float(label["le"])] = float(value)
    return methods


def quantile(buckets, q):
    """Like Prometheus' histogram_quantile: linear inside the bucket that holds the rank."""
    rank = q * max(buckets.values())
    lower, below = 0.0, 0.0
    for upper, count in sorted(buckets.items()):
        if count >= rank:
            if upper == float("inf"):
                return lower
            return lower + (upper - lower) * (rank - below) / max(count - below, 1)
        lower, below = upper, count
    return lower
