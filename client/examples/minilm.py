# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2 in numpy, with attention left to whoever calls: BERT's embeddings, residuals,
LayerNorm, feed-forward part and pooling. Rows are tokens of all sentences, one after the other.
"""

import json
import math
import pathlib

import numpy as np
import tokenizers

import safetensors_file

MAX_TOKENS = 256  # as the model's authors cut

_erf = np.vectorize(math.erf, otypes=[np.float32])


class MiniLm:
    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.config = json.loads((directory / "config.json").read_text())
        self.num_layers = self.config["num_hidden_layers"]
        self.num_heads = self.config["num_attention_heads"]
        self.tensors = safetensors_file.SafetensorsFile(directory / "model.safetensors")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def tokenize(self, sentences):
        return self.tokenizer.encode_batch(sentences)

    def dense(self, name, x):
        return x @ self.tensors[name + ".weight"].T + self.tensors[name + ".bias"]

    def layer_norm(self, name, x):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.tensors[name + ".weight"] + self.tensors[name + ".bias"]

    def forward(self, encodings, attend):
        """Sentence embeddings [sentences, E]. attend(layer, rows [T, E]) -> [T, E]."""
        ids = np.concatenate([encoding.ids for encoding in encodings])
        positions = np.concatenate([np.arange(len(encoding.ids)) for encoding in encodings])
        tensors = self.tensors
        x = self.layer_norm("embeddings.LayerNorm", (
            tensors["embeddings.word_embeddings.weight"][ids]
            + tensors["embeddings.position_embeddings.weight"][positions]
            + tensors["embeddings.token_type_embeddings.weight"][0]))
        for layer in range(self.num_layers):
            name = f"encoder.layer.{layer}"
            x = self.layer_norm(f"{name}.attention.output.LayerNorm", x + attend(layer, x))
            inner = self.dense(f"{name}.intermediate.dense", x)
            inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))  # GELU
            x = self.layer_norm(f"{name}.output.LayerNorm",
                                x + self.dense(f"{name}.output.dense", inner))
        ends = np.cumsum([len(encoding.ids) for encoding in encodings])
        means = np.stack([rows.mean(axis=0) for rows in np.split(x, ends[:-1])])
        return means / np.linalg.norm(means, axis=-1, keepdims=True)

    def local_attention(self, layer, x, lengths):
        """What the server should answer, in float64: (output [T, E], P of each sentence)."""
        name = f"encoder.layer.{layer}.attention"
        x = x.astype(np.float64)
        query, key, value = (
            self.dense(f"{name}.self.{part}", x).reshape(len(x), self.num_heads, -1)
            for part in ("query", "key", "value"))
        outputs, probabilities, start = [], [], 0
        for length in lengths:
            rows = slice(start, start + length)
            scores = np.einsum("ihd,jhd->hij", query[rows], key[rows])
            scores = scores / math.sqrt(query.shape[-1])
            p = np.exp(scores - scores.max(axis=-1, keepdims=True))
            p /= p.sum(axis=-1, keepdims=True)
            outputs.append(np.einsum("hij,jhd->ihd", p, value[rows]).reshape(length, -1))
            probabilities.append(p)
            start += length
        return self.dense(f"{name}.output.dense", np.concatenate(outputs)), probabilities
