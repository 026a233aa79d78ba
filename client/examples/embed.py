#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Embeds sentences with all-MiniLM-L6-v2; attend computes the attention of every layer.

Start a server that holds the model's layers, then call it:

    attend-server --model=minilm=build/models/all-MiniLM-L6-v2
    python client/examples/embed.py --target 127.0.0.1:50051 --model minilm \\
        --model-dir build/models/all-MiniLM-L6-v2

Everything but attention is numpy, here. Each answer is also compared with an independent
computation of the same layer in float64; the program fails (exit code 1) where one is too far.
"""

import argparse
import dataclasses
import json
import sys

import numpy as np

import attend_client
import minilm

SENTENCES = [
    "A cat sleeps on the warm windowsill.",
    "The kitten is napping in the sun by the window.",
    "The bank raised its interest rates again.",
    "We sat on the bank of the river and watched the boats.",
    "Borrowing money has become more expensive.",
]
SHOWN_LAYER = 2  # whose heads are printed


@dataclasses.dataclass
class Bounds:
    """The largest differences that pass.

    Those of a layer's output hold for decoders of 30 layers, too (docs/models.md). They are of the
    whole output's norm: a single row whose sums cancel may be off by more of its own.

    bfloat16 keeps 8 significant bits: rounding moves a number by up to u = 2^-8 of itself. On its
    way through a layer a row is rounded about eight times (input, two weight matrices, q, k, v,
    P, context): at most 8 u of P, and of a row's norm where no sum cancels. An embedding has norm
    1 and inherits, after LayerNorms and the mean over tokens, about one layer's error, spread over
    its 384 elements: 8 u / sqrt(384) each. Measured with AVX512-BF16: 6.6e-4.
    """
    layer: float      # of the norm of a layer's output, all tokens together
    weights: float    # of an element of P
    embedding: float  # of an element


BOUNDS = {"f32": Bounds(1e-5, 1e-5, 1e-5), "bf16": Bounds(2e-2, 8 / 256, 8 / 256 / 384**0.5)}


class RemoteAttention:
    """Asks the server for one layer's attention over all sentences, and checks the answer."""

    def __init__(self, args, model, lengths):
        self.client = attend_client.Client(args.target)
        self.name, self.model, self.lengths = args.model, model, lengths
        self.differences = []
        self.shown_rows = None  # the first sentence, as the shown layer got it

    def __call__(self, layer, rows):
        # The server takes sentences of different lengths as one dense tensor: what lies past a
        # sentence's length is never read.
        valid = np.arange(max(self.lengths)) < np.array(self.lengths)[:, None]
        batch = np.full((*valid.shape, rows.shape[1]), np.nan, np.float32)
        batch[valid] = rows
        answer = self.client.call_layer(
            f"{self.name}/{layer}", batch, query_lengths=self.lengths).output[valid]

        expected, _ = self.model.local_attention(layer, rows, self.lengths)
        self.differences.append(np.linalg.norm(answer - expected) / np.linalg.norm(expected))
        if layer == SHOWN_LAYER:
            self.shown_rows = rows[: self.lengths[0]]
        return answer

    def head_weights(self):
        """P [H, L, L] of the first sentence in the shown layer, and its largest difference."""
        weights = self.client.call_layer(
            f"{self.name}/{SHOWN_LAYER}", self.shown_rows, weights="WEIGHTS_PER_HEAD").weights[0]
        _, (expected,) = self.model.local_attention(
            SHOWN_LAYER, self.shown_rows, [len(self.shown_rows)])
        return weights, np.abs(weights - expected).max()


def print_similarity(sentences, embeddings):
    print("\nSimilarity of the sentences (cosine):")
    for i, (sentence, row) in enumerate(zip(sentences, embeddings @ embeddings.T)):
        text = sentence if len(sentence) <= 56 else sentence[:53] + "..."
        print(f"  {i + 1}  " + " ".join(f"{value:6.3f}" for value in row) + f"   {text}")


def print_heads(tokens, weights):
    print(f"\nWhat the heads of layer {SHOWN_LAYER} attend to ([CLS] and [SEP] left out):")
    inner = weights[:, 1:-1, 1:-1]
    words = tokens[1:-1]
    if not words:
        return
    for head, p in enumerate(inner):
        strongest = np.argsort(p, axis=None)[::-1][:3]
        pairs = [f"{words[i]} -> {words[j]} {p[i, j]:.2f}"
                 for i, j in zip(*np.unravel_index(strongest, p.shape))]
        print(f"  head {head:2}: " + ", ".join(pairs))


def print_latencies(url):
    """True if the server counted requests for attention."""
    print("\nRequest latencies, as Prometheus reports them:")
    histogram = attend_client.read_histogram(url, "attend_request_duration_seconds")
    used = {method: buckets for method, buckets in histogram.items() if max(buckets.values()) > 0}
    for method, buckets in sorted(used.items()):
        p50, p99 = (1e3 * attend_client.quantile(buckets, q) for q in (0.5, 0.99))
        print(f"  {method:28} {max(buckets.values()):6.0f} requests, "
              f"p50 about {p50:.2f} ms, p99 about {p99:.2f} ms")
    return any("MultiHeadAttention" in method for method in used)


def compare_golden(golden, encodings, embeddings):
    for sentence, encoding in zip(golden, encodings):
        if sentence["token_ids"] != encoding.ids:
            raise SystemExit(f"tokens differ from the golden file's: {sentence['text']!r}")
    expected = np.array([sentence["embedding"] for sentence in golden], np.float32)
    return np.abs(embeddings - expected).max()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="127.0.0.1:50051", help="of the server")
    parser.add_argument("--metrics-url", help="of its Prometheus endpoint; none: not asked")
    parser.add_argument("--model-dir", required=True, help="what get_minilm.py printed")
    parser.add_argument("--model", default="minilm", help="its name in the server's --model")
    parser.add_argument("--golden", help="embeddings to compare with")
    parser.add_argument("--compute", choices=sorted(BOUNDS), default="f32",
                        help="type that the server's layers compute in: decides what passes")
    parser.add_argument("--sentences", nargs="+", default=SENTENCES)
    return parser.parse_args()


def main():
    args = parse_arguments()
    golden = []
    if args.golden:
        with open(args.golden, encoding="utf-8") as file:
            golden = json.load(file)["sentences"]
    model = minilm.MiniLm(args.model_dir)
    encodings = model.tokenize(args.sentences + [sentence["text"] for sentence in golden])
    lengths = [len(encoding.ids) for encoding in encodings]
    remote = RemoteAttention(args, model, lengths)
    embeddings = model.forward(encodings, remote)
    weights, weights_difference = remote.head_weights()

    shown = len(args.sentences)
    print_similarity(args.sentences, embeddings[:shown])
    print_heads(encodings[0].tokens, weights)

    checks = []
    bounds = BOUNDS[args.compute]

    def check(what, value, bound):
        checks.append(value <= bound)  # false for NaN
        print(f"  {what:28} {value:.2e}   {'ok' if checks[-1] else 'FAIL'} (at most {bound:.2g})")

    print(f"\nLargest differences ({args.compute}, {sum(lengths)} tokens of "
          f"{len(lengths)} sentences):")
    for layer, difference in enumerate(remote.differences):
        check(f"attention of layer {layer}", difference, bounds.layer)
    check(f"weights of layer {SHOWN_LAYER}", weights_difference, bounds.weights)
    if golden:
        check("embeddings, to golden ones",
              compare_golden(golden, encodings[shown:], embeddings[shown:]), bounds.embedding)
    if args.metrics_url:
        counted = print_latencies(args.metrics_url)
        checks.append(counted)
        if not counted:
            print("  FAIL: no request for attention was counted")
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
