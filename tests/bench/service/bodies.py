# SPDX-License-Identifier: Apache-2.0
"""The requests of the benchmark, built from the generated messages and kept as files of bytes."""

import pathlib

import numpy as np

import attend_client
import processes

LAYER_METHOD = "/attend.v1.AttentionService/MultiHeadAttention"
OPERATOR_METHOD = "/attend.v1.AttentionService/ScaledDotProductAttention"
LAYER = "bench"
EMBED = 768
LAYER_FLAG = f"--random-layer={LAYER}:embed_dim={EMBED},num_heads=12,seed=1"
# A layer that is computed in much less time than a request of it takes to be sent and answered.
SMALL_LAYER = "small"
SMALL_EMBED = 64
SMALL_LAYER_FLAG = f"--random-layer={SMALL_LAYER}:embed_dim={SMALL_EMBED},num_heads=2,seed=1"
WIDTHS = {LAYER: EMBED, SMALL_LAYER: SMALL_EMBED}
# The numbers of a server whose priority is a plain number; by name where it is an enum.
PRIORITY_NUMBERS = {"high": 0, "normal": 1, "low": 2}


def set_priority(request, name):
    """Sets "high", "normal" or "low"."""
    enum = request.DESCRIPTOR.fields_by_name["priority"].enum_type
    request.priority = (enum.values_by_name[f"PRIORITY_{name.upper()}"].number if enum
                        else PRIORITY_NUMBERS[name])


class Bodies:
    """Writes requests into a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.stubs = attend_client.load_stubs()
        self.random = np.random.default_rng(1)
        self.made = 0

    def _tensor(self, *shape):
        array = self.random.standard_normal(shape, dtype=np.float32)
        return attend_client.to_tensor(self.stubs, array)

    def layer(self, rows, layer=LAYER, priority=None):
        """A call of a layer with one sequence of so many rows."""
        request = self.stubs.attention_pb2.MultiHeadAttentionRequest(
            layer=layer, query=self._tensor(1, rows, WIDTHS.get(layer, EMBED)))
        if priority:
            set_priority(request, priority)
        return request.SerializeToString()

    def one_key(self, size):
        """A call of the operator that answers `size` bytes to about as many and computes next to
        nothing: every row of the query attends to one key."""
        heads, width = (16, 64) if size >= 4096 else (1, 16)
        rows = size // (4 * heads * width)
        request = self.stubs.attention_pb2.ScaledDotProductAttentionRequest(
            query=self._tensor(1, rows, heads, width), key=self._tensor(1, 1, heads, width),
            value=self._tensor(1, 1, heads, width))
        return request.SerializeToString()

    def keep(self, request, answer=b""):
        """The paths of a sample, as bench_load wants them."""
        paths = {}
        for key, data in (("request", request), ("answer", answer)):
            path = self.folder / f"{key}{self.made}"
            path.write_bytes(data)
            paths[key] = str(path) if data else ""
        self.made += 1
        return paths

    def sample(self, target, method, request):
        """The paths of a request and of what every good answer ends with: the output's data, as
        the server gives it to a call alone."""
        with attend_client.connect(target) as channel:
            answer = channel.unary_unary(method)(request, timeout=60)
        kind = (self.stubs.attention_pb2.MultiHeadAttentionResponse if method == LAYER_METHOD
                else self.stubs.attention_pb2.ScaledDotProductAttentionResponse)
        data = kind.FromString(answer).output.data
        if not data or not answer.endswith(data):
            raise processes.Failure("an answer does not end with its output, so none can be checked")
        return self.keep(request, data)
