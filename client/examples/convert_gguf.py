#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Converts a GGUF of the Llama architecture to a checkpoint directory that attend loads.

    python client/examples/convert_gguf.py model.gguf DIRECTORY

writes DIRECTORY/config.json, model.safetensors (every weight in float32, quantised ones too) and
tokenizer.json (of tokenizers that are known here; see TOKENIZERS). It fails where the file has
anything that it does not know.
"""

import argparse
import json
import math
import pathlib
import sys

import gguf
import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

FILES = ("config.json", "model.safetensors", "tokenizer.json")

# Names in a GGUF (github.com/ggml-org/ggml, docs/gguf.md, "Standardized tensor names") and in
# transformers' LlamaForCausalLM.
TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BLOCK_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

# How text is split before byte-pair encoding, by tokenizer.ggml.pre: digits one by one, then
# words as in GPT-2 (github.com/ggml-org/llama.cpp, src/llama-vocab.cpp, SMOLLM).
TOKENIZERS = {
    "smollm": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
}
SPECIAL = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)


class Metadata:
    """The keys of a GGUF; a key that is absent without a default ends the conversion."""

    def __init__(self, reader):
        self.fields = reader.fields

    def get(self, key, *default):
        if key in self.fields:
            return self.fields[key].contents()
        if default:
            return default[0]
        raise SystemExit(f"the GGUF has no key {key}")


def make_config(metadata, tensors):
    """config.json of a GGUF whose general.architecture is llama."""
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise SystemExit(f"the GGUF is of architecture {architecture}; only llama can be converted")
    scaling = metadata.get("llama.rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in tensors:
        raise SystemExit("the GGUF scales its rotary embedding, which cannot be converted")
    heads = metadata.get("llama.attention.head_count")
    width = metadata.get("llama.embedding_length")
    head_dim = metadata.get("llama.attention.key_length", width // heads)
    if metadata.get("llama.rope.dimension_count", head_dim) != head_dim:
        raise SystemExit("the GGUF rotates a part of each head, which Llama does not")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": metadata.get("llama.feed_forward_length"),
        "num_hidden_layers": metadata.get("llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": metadata.get("llama.attention.head_count_kv", heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": float(f"{metadata.get('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        # The GGUF specification has this default for Llama.
        "rope_theta": metadata.get("llama.rope.freq_base", 10000.0),
        "max_position_embeddings": metadata.get("llama.context_length"),
        "vocab_size": int(tensors["token_embd.weight"].shape[-1]),
        "tie_word_embeddings": "output.weight" not in tensors,
        "bos_token_id": metadata.get("tokenizer.ggml.bos_token_id", None),
        "eos_token_id": metadata.get("tokenizer.ggml.eos_token_id", None),
        "torch_dtype": "float32",
    }


def rename(name):
    """transformers' name of a tensor."""
    if name in TENSORS:
        return TENSORS[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in BLOCK_TENSORS and parts[3] == "weight":
        return f"model.layers.{parts[1]}.{BLOCK_TENSORS[parts[2]]}.weight"
    raise SystemExit(f"tensor {name} is none of the Llama architecture's")


def restore_rows(matrix, heads):
    """Undoes llama.cpp's order of the rows of q and k.

    transformers rotates the pairs (m, m + D/2) of a head's D rows, llama.cpp pairs that are
    neighbours, (2m, 2m + 1), so its converter interleaves the halves of every head
    (github.com/ggml-org/llama.cpp, convert_hf_to_gguf.py, LlamaModel.permute).
    """
    rows, width = matrix.shape
    pairs = matrix.reshape(heads, rows // heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(rows, width)


def read_tensor(tensor, config):
    """A tensor in float32, as transformers orders it."""
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    if tensor.name.endswith("attn_q.weight"):
        return restore_rows(values, config["num_attention_heads"])
    if tensor.name.endswith("attn_k.weight"):
        return restore_rows(values, config["num_key_value_heads"])
    return values


def write_safetensors(path, tensors, config):
    """Writes one tensor after the other, so that one is in memory at a time."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        shape = [int(size) for size in reversed(tensor.shape)]  # a GGUF has the last axis first
        begin, end = end, end + 4 * math.prod(shape)
        header[rename(tensor.name)] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            file.write(np.ascontiguousarray(read_tensor(tensor, config)).data)


def write_tokenizer(path, metadata):
    """Writes tokenizer.json, or says why there is none."""
    kind = metadata.get("tokenizer.ggml.model")
    split = metadata.get("tokenizer.ggml.pre", "default")
    if kind != "gpt2" or split not in TOKENIZERS:
        print(f"tokenizer.json is not written: the GGUF's tokenizer, {kind} with {split}, is none "
              f"of gpt2 with {', '.join(TOKENIZERS)}", file=sys.stderr)
        return
    tokens = metadata.get("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in metadata.get("tokenizer.ggml.merges")]
    tokenizer = tokenizers.Tokenizer(models.BPE(
        vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = TOKENIZERS[split]()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([
        tokenizers.AddedToken(token, special=True, normalized=False)
        for token, kind in zip(tokens, metadata.get("tokenizer.ggml.token_type"))
        if kind in SPECIAL])
    tokenizer.save(str(path))


def convert(path, directory):
    """Converts the GGUF `path` into `directory`, which it makes. Raises SystemExit with the reason
    where the file cannot be converted."""
    reader = gguf.GGUFReader(path)
    metadata = Metadata(reader)
    config = make_config(metadata, {tensor.name: tensor for tensor in reader.tensors})
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_safetensors(directory / "model.safetensors", reader.tensors, config)
    write_tokenizer(directory / "tokenizer.json", metadata)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    args = parser.parse_args()
    convert(args.gguf, args.directory)


if __name__ == "__main__":
    main()
