# SPDX-License-Identifier: Apache-2.0
"""Random attention calls: shapes, lengths and options that the contract allows, from a seed.

A case knows, for each sequence, the offset, the additive term and which keys are readable; what
must never be read (padding; keys that no row may read) holds NaN or Inf in what is sent.
"""

import dataclasses
import math

import ml_dtypes
import numpy as np

LENGTHS = (1, 2, 3, 5, 7, 16, 17, 31, 33, 63, 64, 65, 100, 129, 200)
FLOATS = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@dataclasses.dataclass
class Case:
    rng: np.random.Generator
    dtype: str
    num_heads: int
    packed: bool
    query_lengths: list
    key_lengths: list
    query_rows: int = 0  # padded length where dense, the longest where packed
    key_rows: int = 0
    scale: float = None  # of the request; None: the default
    causal: bool = False
    alignment: int = 0
    query_offsets: list = dataclasses.field(default_factory=list)
    window_left: int = None
    window_right: int = None
    softcap: float = 0.0  # 0: none
    bias: np.ndarray = None
    mask: np.ndarray = None
    slopes: np.ndarray = None  # ALiBi, [H] or [B, H]
    sinks: list = dataclasses.field(default_factory=list)
    gates: list = dataclasses.field(default_factory=list)
    weights: int = 1  # Weights: none, per head, mean
    log_sum_exp: bool = False

    @property
    def batch(self):
        return len(self.query_lengths)

    @property
    def longest(self):
        """The shape that bias, mask and weights have."""
        return (self.batch, self.num_heads, self.query_rows, self.key_rows)

    @property
    def positional(self):
        windows = (self.window_left, self.window_right)
        return self.causal or self.slopes is not None or windows != (None, None)

    def offset(self, b):
        """Position of query row 0 among the keys, or None where positions do not matter."""
        if not self.positional:
            return None
        if self.query_offsets:
            return self.query_offsets[b]
        return self.key_lengths[b] - self.query_lengths[b] if self.alignment == 2 else 0

    def additive(self, b):
        """[H, Lq, Lk]: bias and ALiBi, and -inf where a key is not readable."""
        rows, keys = self.query_lengths[b], self.key_lengths[b]
        term = np.zeros((self.num_heads, rows, keys), np.float32)
        part = (b, slice(None), slice(rows), slice(keys))
        if self.bias is not None:
            term += np.broadcast_to(self.bias.astype(np.float32), self.longest)[part]
        if self.mask is not None:
            term[~np.broadcast_to(self.mask, self.longest)[part]] = -np.inf
        if not self.positional:
            return term
        distance = np.arange(keys) - (self.offset(b) + np.arange(rows)[:, None])  # j - p
        if self.slopes is not None:
            slopes = np.broadcast_to(self.slopes, (self.batch, self.num_heads))[b]
            term -= slopes[:, None, None] * np.abs(distance).astype(np.float32)
        if self.causal:
            term[:, distance > 0] = -np.inf
        if self.window_left is not None:
            term[:, distance < -self.window_left] = -np.inf
        if self.window_right is not None:
            term[:, distance > self.window_right] = -np.inf
        return term

    def sink_column(self):
        """The bias per head with which an extra key of zeros stands for the sinks."""
        return np.array(self.sinks or [-np.inf] * self.num_heads, np.float32)

    def options(self, stubs, to_tensor):
        pb = stubs.attention_pb2
        options = pb.AttentionOptions(
            causal=self.causal, alignment=self.alignment, query_offsets=self.query_offsets,
            head_gates=self.gates, weights=self.weights, sinks=self.sinks,
            log_sum_exp=self.log_sum_exp)
        for name in ("scale", "window_left", "window_right"):
            if getattr(self, name) is not None:
                setattr(options, name, getattr(self, name))
        if self.softcap:
            options.softcap = self.softcap
        if self.slopes is not None:
            options.alibi_slopes.CopyFrom(to_tensor(stubs, self.slopes))
        if self.bias is not None:
            options.bias.CopyFrom(to_tensor(stubs, self.bias))
        if self.mask is not None:
            options.mask.CopyFrom(to_tensor(stubs, self.mask))
        return options

    def query_lengths_field(self):
        """The lengths as sent: absent if they say no more than the rows do."""
        return self._lengths_field(self.query_lengths, self.query_rows)

    def key_lengths_field(self):
        return self._lengths_field(self.key_lengths, self.key_rows)

    def _lengths_field(self, lengths, rows):
        full = len(lengths) == 1 if self.packed else all(n == rows for n in lengths)
        return [] if full else lengths

    def rows(self, lengths, *axes):
        """Random rows [L, *axes] of each sequence, in the wire's type."""
        return [self.rng.normal(size=(n, *axes)).astype(FLOATS[self.dtype]) for n in lengths]

    def hide(self, *operands):
        """Copies of each sequence's key or value rows with NaN or Inf in those that no row of
        any head may read."""
        hidden = []
        for rows in operands:
            rows = [x.copy() for x in rows]
            for b, x in enumerate(rows):
                unread = np.isneginf(self.additive(b)).all(axis=(0, 1))
                x[unread] = self.rng.choice([np.nan, np.inf, -np.inf])
            hidden.append(rows)
        return hidden

    def join(self, rows, length):
        """Sequences as one array: packed, or dense [B, length, ...] with padding of NaN."""
        if self.packed:
            return np.concatenate(rows)
        dense = np.full((len(rows), length, *rows[0].shape[1:]), np.nan, rows[0].dtype)
        for b, x in enumerate(rows):
            dense[b, : len(x)] = x
        return dense

    def split(self, array, lengths):
        """The sequences of an answer; padding must be 0."""
        if self.packed:
            return np.split(array, np.cumsum(lengths)[:-1])
        for b, n in enumerate(lengths):
            assert not array[b, n:].any(), f"padding of sequence {b} is not 0"
        return [array[b, :n] for b, n in enumerate(lengths)]


def draw(seed, num_heads, dtype, self_attention=False):
    """A case; its lengths are those of the rows to send."""
    rng = np.random.default_rng(seed)
    batch = int(rng.integers(1, 5))
    lengths = [0 if rng.random() < 0.05 else int(rng.choice(LENGTHS)) for _ in range(batch)]
    lengths[0] = max(lengths[0], 1)
    if self_attention or rng.random() < 0.4:
        key_lengths = lengths
    else:
        key_lengths = [0 if rng.random() < 0.05 else int(rng.choice(LENGTHS)) for _ in lengths]
        key_lengths[0] = max(key_lengths[0], 1)
    case = Case(rng, dtype, num_heads, bool(rng.random() < 0.4), lengths, key_lengths)
    pad = 0 if case.packed else int(rng.choice([0, 1, 9]))
    case.query_rows, case.key_rows = max(lengths) + pad, max(key_lengths) + pad
    if self_attention or lengths is key_lengths:
        case.key_rows = case.query_rows

    if rng.random() < 0.3:
        case.scale = float(np.float32(rng.uniform(0.05, 0.4)))
    case.causal = bool(rng.random() < 0.5)
    if rng.random() < 0.25:
        case.window_left = int(rng.choice([0, 1, 7, 40]))
    if rng.random() < 0.25:
        case.window_right = int(rng.choice([0, 1, 7, 40]))
    if rng.random() < 0.25:
        shape = (num_heads,) if rng.random() < 0.5 else (batch, num_heads)
        case.slopes = rng.uniform(-0.05, 0.5, size=shape).astype(np.float32)
    if rng.random() < 0.25:
        case.softcap = float(rng.choice([0.5, 2, 30]))
    if rng.random() < 0.25:
        case.sinks = [float(x) for x in rng.choice([-np.inf, -1.5, 0, 2.5], size=num_heads)]
    case.log_sum_exp = bool(rng.random() < 0.4)
    if case.positional:
        kind = rng.integers(3)
        if kind < 2:
            case.alignment = 1 + int(kind)
        else:
            case.query_offsets = [int(rng.integers(-3, n + 3)) for n in key_lengths]
    if rng.random() < 0.4:
        shape = _broadcast_shape(rng, case.longest)
        bias_type = FLOATS[str(rng.choice(list(FLOATS)))]
        case.bias = rng.normal(size=shape).astype(bias_type)
        case.bias[rng.random(shape) < 0.1] = -np.inf
    if rng.random() < 0.4:
        shape = _broadcast_shape(rng, case.longest)
        case.mask = rng.random(shape) < 0.7
    if rng.random() < 0.3:
        case.gates = [float(x) for x in rng.choice([0, 1, 0.5, -2], size=num_heads)]
    case.weights = int(rng.integers(1, 4))
    return case


def _broadcast_shape(rng, full):
    shape = [n if rng.random() < 0.6 else 1 for n in full]
    return tuple(shape[int(rng.integers(4)) :])


def readable(case, b):
    """(additive term in which every row has a readable key, rows [H, Lq] that had none): for
    oracles that cannot do rows without one; their P and context are 0."""
    additive = case.additive(b)
    empty = np.isneginf(additive).all(axis=-1) & np.isneginf(case.sink_column())[:, None]
    return np.where(empty[..., None], np.float32(0), additive), empty


def expected_weights(case, probabilities):
    """The weights of the answer, of each sequence's P [H, Lq, Lk]."""
    full = np.zeros(case.longest, np.float32)
    for b, p in enumerate(probabilities):
        full[b, :, : p.shape[1], : p.shape[2]] = p
    used = np.array(case.gates or [1] * case.num_heads) != 0
    if case.weights == 3:
        return full[:, used].mean(axis=1) if used.any() else np.zeros_like(full[:, 0])
    return full * used[:, None, None]


def expected_log_sum_exp(case, parts, shape):
    """The answer's tensor, of each sequence's log-sum-exp [H, Lq]; -inf where a gate is 0."""
    used = np.array(case.gates or [1] * case.num_heads) != 0
    parts = [np.where(used[:, None], part, -np.inf) for part in parts]
    if case.packed:
        return np.concatenate([part.T for part in parts])
    full = np.full(shape, -np.inf)
    for b, part in enumerate(parts):
        full[b, :, : part.shape[1]] = part
    return full


def default_scale(head_dim):
    return float(np.float32(1 / math.sqrt(head_dim)))


def check(what, actual, expected, bound):
    """Fails with the worst element; bound: a number or an array of the same shape. Returns the
    largest difference as a share of its bound."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    if actual.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.where(actual == expected, 0, np.abs(actual - expected))  # inf - inf: 0
    share = difference / np.broadcast_to(bound, actual.shape)
    share = np.where(np.isnan(share), np.inf, share)
    worst = np.unravel_index(share.argmax(), share.shape)
    assert share[worst] <= 1, (
        f"{what}: {share[worst]:.3g} times the bound at {tuple(map(int, worst))}: "
        f"{actual[worst]!r}, expected {expected[worst]!r}")
    return float(share[worst])
