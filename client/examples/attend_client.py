# SPDX-License-Identifier: Apache-2.0
"""The few lines between numpy and attend's gRPC API that a Python program needs."""

import dataclasses
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
TENSOR_OPTIONS = ("bias", "mask", "alibi_slopes")  # of AttentionOptions


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
    array = np.asarray(array)
    if array.dtype.name not in TYPES:
        raise TypeError(f"an array has dtype {array.dtype.name}; "
                        f"a tensor must have one of {', '.join(TYPES)}")
    return stubs.tensor_pb2.Tensor(
        data_type=TYPES[array.dtype.name], shape=array.shape, data=array.tobytes())


def to_array(tensor):
    """A numpy array of a Tensor message; bfloat16 is widened to float32, which is exact."""
    name = {number: name for name, number in TYPES.items()}[tensor.data_type]
    if name == "bfloat16":
        wide = np.frombuffer(tensor.data, np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(tensor.shape)
    return np.frombuffer(tensor.data, name).reshape(tensor.shape)


@dataclasses.dataclass
class LayerAnswer:
    """What a call to a layer returns, and the sizes of its messages on the wire."""
    output: np.ndarray
    weights: np.ndarray | None  # where the options asked for them
    log_sum_exp: np.ndarray | None
    warnings: list[str]  # what in the request is most probably a mistake
    sent_bytes: int
    received_bytes: int


class RequestError(Exception):
    """A request of a stream that failed; `code` is a number of grpc.StatusCode."""

    def __init__(self, index, status):
        super().__init__(f"request {index}: {status.message}")
        self.index, self.code = index, status.code


class Client:
    """Calls one server. Thread-safe; each call blocks until its answer or its deadline.

        client = attend_client.Client("127.0.0.1:50051")
        answer = client.call_layer("smollm2/0", rows, causal=True)  # rows: float32 [tokens, E]

    `token` is the bearer token that the server asks for, if it does (docs/tokens.md). It is sent in
    plain text, as everything here.
    """

    def __init__(self, target, token=None):
        self.stubs = load_stubs()
        self.attention = self.stubs.attention_pb2_grpc.AttentionServiceStub(connect(target))
        self.metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        self.shown_warnings = set()

    def call_layer(self, layer, query, key=None, value=None, query_lengths=(), key_lengths=(),
                   timeout_seconds=60, **options):
        """Computes attention with a layer that the server holds.

        The arguments are the fields of MultiHeadAttentionRequest, `options` those of
        AttentionOptions: enums by name, tensors as numpy arrays. Prints each warning of the
        server once, escaped, on standard error. Raises TypeError for an array that no tensor can
        hold, and grpc.RpcError for a call that fails.
        """
        request = self._request(layer, query, key, value, query_lengths, key_lengths, options)
        response = self.attention.MultiHeadAttention(request, timeout=timeout_seconds,
                                                     metadata=self.metadata)
        return self._answer(request, response)

    def call_layer_many(self, layer, queries, timeout_seconds=60, **options):
        """Self-attention of many arrays over one stream, all of them in flight at once.

        Yields (index of the query, LayerAnswer) in the order in which they are done. Raises
        RequestError for a query that fails, and grpc.RpcError where the stream is lost; the others
        are then cancelled. The server reads no more than it has room for, and so this reads
        `queries` no faster than it computes.
        """
        requests = {}

        def messages():
            for index, query in enumerate(queries):
                requests[index] = self._request(layer, query, None, None, (), (), options)
                message = self.stubs.attention_pb2.PipelineRequest(
                    id=index, multi_head_attention=requests[index])
                message.timeout.FromMilliseconds(round(timeout_seconds * 1000))
                yield message

        stream = self.attention.Pipeline(messages(), metadata=self.metadata)
        try:
            for response in stream:
                if response.HasField("status"):
                    raise RequestError(response.id, response.status)
                yield response.id, self._answer(requests.pop(response.id),
                                                response.multi_head_attention)
        finally:
            stream.cancel()

    def _request(self, layer, query, key, value, query_lengths, key_lengths, options):
        pb = self.stubs.attention_pb2
        tensors = {"query": query, "key": key, "value": value}
        return pb.MultiHeadAttentionRequest(
            layer=layer, query_lengths=query_lengths, key_lengths=key_lengths,
            options=pb.AttentionOptions(**{
                name: to_tensor(self.stubs, option) if name in TENSOR_OPTIONS else option
                for name, option in options.items()}),
            **{name: to_tensor(self.stubs, array)
               for name, array in tensors.items() if array is not None})

    def _answer(self, request, response):
        for warning in response.warnings:
            if warning not in self.shown_warnings:
                self.shown_warnings.add(warning)
                # Escaped: a terminal obeys some characters, and the server may send any.
                print(f"warning: {ascii(warning)[1:-1]}", file=sys.stderr)
        return LayerAnswer(
            to_array(response.output),
            to_array(response.weights) if response.HasField("weights") else None,
            to_array(response.log_sum_exp) if response.HasField("log_sum_exp") else None,
            list(response.warnings), request.ByteSize(), response.ByteSize())


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
