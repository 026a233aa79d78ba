# SPDX-License-Identifier: Apache-2.0
"""Reads single tensors of a safetensors file into numpy."""

import json
import math
import mmap

import numpy as np

TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class SafetensorsFile:
    """A mapping from names of tensors to float32 arrays.

    Opening reads the header alone. A tensor's bytes are read when it is used: one in F32 is a
    read-only view of the mapped file; one in F16 or BF16 is widened, which is exact, and kept.
    """

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self.entries = json.loads(file.read(size))
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.entries.pop("__metadata__", None)
        self.start = 8 + size
        self.arrays = {}

    def __contains__(self, name):
        return name in self.entries

    def __iter__(self):
        return iter(self.entries)

    def __getitem__(self, name):
        if name not in self.arrays:
            self.arrays[name] = self._read(name)
        return self.arrays[name]

    def _read(self, name):
        entry = self.entries[name]
        kind = entry["dtype"]
        if kind not in TYPES:
            raise TypeError(f"{self.path}: tensor {name!r} has dtype {kind}; "
                            f"{', '.join(TYPES)} can be read")
        array = np.frombuffer(self.bytes, TYPES[kind], math.prod(entry["shape"]),
                              self.start + entry["data_offsets"][0]).reshape(entry["shape"])
        if kind == "BF16":
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32, copy=False)
