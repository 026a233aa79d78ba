# SPDX-License-Identifier: Apache-2.0
"""A decoder of the Llama family in numpy, with attention left to whoever calls: embeddings,
residuals, RMS norm, feed-forward part and logits. Rows are tokens of all prompts, one after the
other.
"""

import json
import pathlib

import numpy as np
import tokenizers

import safetensors_file


class Llama:
    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.config = json.loads((directory / "config.json").read_text())
        self.num_layers = self.config["num_hidden_layers"]
        self.width = self.config["hidden_size"]
        self.end_token = self.config["eos_token_id"]
        self.tensors = safetensors_file.SafetensorsFile(directory / "model.safetensors")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))

    def rms_norm(self, name, x):
        mean_square = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + self.config["rms_norm_eps"]) * self.tensors[name]

    def feed_forward(self, name, x):
        gate = x @ self.tensors[name + ".gate_proj.weight"].T
        up = x @ self.tensors[name + ".up_proj.weight"].T
        with np.errstate(over="ignore"):  # exp may be inf: the quotient is 0 then, as it should
            inner = gate / (1 + np.exp(-gate)) * up  # SiLU
        return inner @ self.tensors[name + ".down_proj.weight"].T

    def forward(self, ids, attend):
        """The last hidden rows [T, E] of tokens. attend(layer, rows [T, E]) -> [T, E] gets the
        normalised rows, which are what the layer's projections take."""
        x = self.tensors["model.embed_tokens.weight"][ids]
        for layer in range(self.num_layers):
            name = f"model.layers.{layer}"
            x = x + attend(layer, self.rms_norm(f"{name}.input_layernorm.weight", x))
            x = x + self.feed_forward(
                f"{name}.mlp", self.rms_norm(f"{name}.post_attention_layernorm.weight", x))
        return x

    def logits(self, x):
        """Scores of all tokens as the next one after each row: [T, vocabulary]."""
        tied = self.config["tie_word_embeddings"]
        head = self.tensors["model.embed_tokens.weight" if tied else "lm_head.weight"]
        return self.rms_norm("model.norm.weight", x) @ head.T
