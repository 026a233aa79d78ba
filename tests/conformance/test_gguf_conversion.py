# SPDX-License-Identifier: Apache-2.0
"""GGUFs through client/examples/convert_gguf.py: a tiny one is written here, with q and k in the
order of llama.cpp, and its layers must answer as transformers did (make_family_goldens.py).
"""

import json
import pathlib
import shlex
import subprocess
import sys

import gguf
import numpy as np
import pytest
import safetensors.numpy
import tokenizers

import convert_gguf
import server
from attend_client import ROOT, to_array, to_tensor

LLAMA = pathlib.Path(__file__).parent / "golden" / "families" / "llama"
CONFIG = json.loads((LLAMA / "config.json").read_text())
WIDTH, HEADS, KV_HEADS = (CONFIG[key] for key in (
    "hidden_size", "num_attention_heads", "num_key_value_heads"))
INNER = 64

# Byte-pair merges that join 1 and 2 unless digits are split.
TOKENS = ["<|end|>", "<|start|>", "a", "b", "1", "2", "12", "ab", "\u0120", "\u0120a"]
MERGES = ["1 2", "a b", "\u0120 a"]
TYPES = [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 8


def neighbours(matrix, heads):
    """The rows of each head as llama.cpp has them: row m of the first half, then of the second."""
    head_dim = len(matrix) // heads
    half = head_dim // 2
    order = [h * head_dim + part * half + m
             for h in range(heads) for m in range(half) for part in range(2)]
    return matrix[order]


def tensors():
    """{name in the GGUF: array}: attention from the golden checkpoint, the rest drawn."""
    random = np.random.default_rng(7)
    golden = safetensors.numpy.load_file(LLAMA / "model.safetensors")
    made = {"token_embd.weight": random.normal(size=(len(TOKENS), WIDTH)),
            "output_norm.weight": random.normal(size=WIDTH)}
    for layer in range(CONFIG["num_hidden_layers"]):
        q, k, v, o = (golden[f"layers.{layer}.self_attn.{name}_proj.weight"] for name in "qkvo")
        made |= {f"blk.{layer}.{name}.weight": array for name, array in {
            "attn_norm": random.normal(size=WIDTH), "attn_q": neighbours(q, HEADS),
            "attn_k": neighbours(k, KV_HEADS), "attn_v": v, "attn_output": o,
            "ffn_norm": random.normal(size=WIDTH), "ffn_gate": random.normal(size=(INNER, WIDTH)),
            "ffn_up": random.normal(size=(INNER, WIDTH)),
            "ffn_down": random.normal(size=(WIDTH, INNER))}.items()}
    return {name: array.astype(np.float32) for name, array in made.items()}


def write_gguf(path, change=lambda writer: None, architecture="llama", pre="smollm"):
    """Writes the GGUF; ffn_down, whose rows have two blocks of 32, as Q8_0."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(CONFIG["num_hidden_layers"])
    writer.add_context_length(CONFIG["max_position_embeddings"])
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(CONFIG["rms_norm_eps"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types(TYPES)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    change(writer)
    for name, array in tensors().items():
        if "ffn_down" in name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the GGUF, and with `converted`, made by the command that a server names."""
    folder = tmp_path_factory.mktemp("gguf")
    path = folder / "model.gguf"
    write_gguf(path)
    with pytest.raises(server.StartFailure) as refusal:
        with server.Server(f"--model=m={path}"):
            pass
    (line,) = [line for line in str(refusal.value).splitlines() if "is a GGUF" in line]
    words = shlex.split(line[line.index("python client/"):].strip('"'))
    assert words[-2:] == [str(path), "DIRECTORY"]
    subprocess.run([sys.executable, *words[1:-1], folder / "converted"], check=True, cwd=ROOT)
    return folder


def test_layers_of_the_converted_checkpoint_agree_with_transformers(folder):
    golden = json.loads((LLAMA / "golden.json").read_text())
    arrays = safetensors.numpy.load_file(LLAMA / "golden.safetensors")
    with server.Server(f"--model=m={folder / 'converted'}") as running:
        pb, stubs = running.stubs.attention_pb2, running.stubs
        for call in golden["calls"]:
            request = pb.MultiHeadAttentionRequest(
                layer=f"m/{call['layer']}",
                query=to_tensor(stubs, arrays[call["query"]["tensor"]]),
                options=pb.AttentionOptions(causal=call["causal"]))
            if "key" in call:
                request.key.CopyFrom(to_tensor(stubs, arrays[call["key"]["tensor"]]))
                request.options.query_offsets.append(call["query_offset"])
            output = to_array(running.attention.MultiHeadAttention(request, timeout=60).output)
            expected = arrays[call["output"]["tensor"]]
            assert np.linalg.norm(output - expected) <= 1e-5 * np.linalg.norm(expected), call


def test_weights_are_those_of_the_file_in_float32(folder):
    converted = safetensors.numpy.load_file(folder / "converted" / "model.safetensors")
    golden = safetensors.numpy.load_file(LLAMA / "model.safetensors")
    for name, array in golden.items():
        np.testing.assert_array_equal(converted[f"model.{name}"], array)
    original = tensors()
    np.testing.assert_array_equal(converted["model.norm.weight"], original["output_norm.weight"])
    np.testing.assert_array_equal(converted["model.layers.1.mlp.up_proj.weight"],
                                  original["blk.1.ffn_up.weight"])
    # Q8_0 rounds to a 127th of the largest of 32 neighbours, and stores that in float16.
    down = original["blk.0.ffn_down.weight"]
    largest = np.abs(down.reshape(WIDTH, -1, 32)).max(axis=-1, keepdims=True)
    error = np.abs(converted["model.layers.0.mlp.down_proj.weight"] - down).reshape(WIDTH, -1, 32)
    assert (error <= largest * (0.5 / 127 + 2**-11)).all() and error.max() > 0
    assert len(converted) == len(original)
    assert all(array.dtype == np.float32 for array in converted.values())


def test_the_config_has_what_the_file_says(folder):
    config = json.loads((folder / "converted" / "config.json").read_text())
    for key in ("model_type", "hidden_size", "num_attention_heads", "num_key_value_heads",
                "num_hidden_layers", "rms_norm_eps", "max_position_embeddings"):
        assert config[key] == CONFIG[key], key
    assert config["intermediate_size"] == INNER and config["vocab_size"] == len(TOKENS)
    assert config["rope_theta"] == 10000 and config["tie_word_embeddings"]
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 0)


def test_the_tokenizer_splits_digits_and_knows_special_tokens(folder):
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "converted" / "tokenizer.json"))
    encoding = tokenizer.encode("<|start|>ab a12")
    assert [TOKENS[number] for number in encoding.ids] == [
        "<|start|>", "ab", "\u0120a", "1", "2"]
    assert tokenizer.decode(encoding.ids) == "ab a12"


def test_a_tokenizer_that_is_not_known_is_left_out(tmp_path, capsys):
    write_gguf(tmp_path / "m.gguf", pre="other")
    convert_gguf.convert(tmp_path / "m.gguf", tmp_path / "out")
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert "gpt2 with other" in capsys.readouterr().err


@pytest.mark.parametrize("refusal, arguments", [
    ("of architecture gemma; only llama", {"architecture": "gemma"}),
    ("tensor blk.0.attn_q.bias is none", {
        "change": lambda writer: writer.add_tensor("blk.0.attn_q.bias", np.zeros(4, np.float32))}),
    ("scales its rotary embedding", {
        "change": lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)}),
    ("rotates a part of each head", {"change": lambda writer: writer.add_rope_dimension_count(4)}),
])
def test_what_a_llama_does_not_have_ends_the_conversion(tmp_path, refusal, arguments):
    write_gguf(tmp_path / "m.gguf", **arguments)
    with pytest.raises(SystemExit, match=refusal):
        convert_gguf.convert(tmp_path / "m.gguf", tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()
