#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes golden/families/: tiny random models of each decoder and encoder-decoder family that the
server loads, and what the attention modules of transformers make of their inputs.

Each folder is a checkpoint as published ones are (config.json in the form of its time;
model.safetensors, cut to the attention's tensors) with golden.json beside it: a list of calls,
each with its layer, its options, and the names of its query, key and output in
golden.safetensors. A call "whole" has all tokens as query; "cached" has the last ones as query
and all as key, from a run with a key-value cache. Computed in float32, eagerly. Run by hand, in
an environment of its own (3 GB):

    python -m venv /tmp/golden && /tmp/golden/bin/pip install torch==2.15.0 transformers==5.23.0
    /tmp/golden/bin/python tests/conformance/make_family_goldens.py
"""

import argparse
import json
import pathlib
import re
import shutil

import safetensors.torch
import torch
import transformers

TOKENS, CACHED = 20, 13
ENCODER_TOKENS = 23

DECODER = {
    "hidden_size": 24, "intermediate_size": 8, "num_attention_heads": 4, "num_hidden_layers": 2,
    "num_key_value_heads": 2, "vocab_size": 8, "max_position_embeddings": 64,
    "pad_token_id": None, "bos_token_id": None, "eos_token_id": None,
}

# config.json of each folder. Older ones have rope_theta and rope_scaling among the other keys.
CONFIGS = {
    "llama": {**DECODER, "model_type": "llama", "rms_norm_eps": 1e-6, "rope_scaling": None},
    "llama_linear": {
        **DECODER, "model_type": "llama", "rms_norm_eps": 1e-6, "attention_bias": True,
        "head_dim": 10, "rope_parameters": {
            "rope_type": "linear", "factor": 4.0, "rope_theta": 100.0}},
    "llama3": {
        **DECODER, "model_type": "llama", "rms_norm_eps": 1e-5, "attention_bias": False,
        "head_dim": 16, "rope_theta": 5000.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 40}},
    "mistral": {
        **DECODER, "model_type": "mistral", "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "sliding_window": 5},
    "qwen2": {
        **DECODER, "model_type": "qwen2", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    "qwen3": {
        **DECODER, "model_type": "qwen3", "rms_norm_eps": 1e-6, "head_dim": 10,
        "attention_bias": False, "sliding_window": None, "use_sliding_window": False,
        "layer_types": ["full_attention", "full_attention"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
    "gemma2": {
        **DECODER, "model_type": "gemma2", "rms_norm_eps": 1e-6, "head_dim": 10,
        "attention_bias": False, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 30.0,
        "query_pre_attn_scalar": 7, "rope_theta": 10000.0, "sliding_window": 5},
    "gpt2": {
        "model_type": "gpt2", "n_embd": 24, "n_head": 4, "n_layer": 2, "n_positions": 64,
        "n_inner": 8, "vocab_size": 8, "scale_attn_by_inverse_layer_idx": True,
        "bos_token_id": None, "eos_token_id": None},
    "gptj": {
        "model_type": "gptj", "n_embd": 40, "n_head": 4, "n_layer": 1, "n_positions": 64,
        "n_inner": 8, "rotary_dim": 6, "vocab_size": 8, "bos_token_id": None,
        "eos_token_id": None},
    "phi": {
        **DECODER, "model_type": "phi", "hidden_size": 40, "num_hidden_layers": 1,
        "num_key_value_heads": None, "partial_rotary_factor": 0.4, "qk_layernorm": False,
        "rope_theta": 10000.0, "rope_scaling": None},
    "t5": {
        "model_type": "t5", "d_model": 24, "d_kv": 10, "d_ff": 8, "num_heads": 3, "num_layers": 2,
        "num_decoder_layers": 2, "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 16, "is_encoder_decoder": True, "vocab_size": 8,
        "pad_token_id": 0, "eos_token_id": None, "decoder_start_token_id": 0},
}

# Attention modules by name, and the names of our layers.
LAYERS = (
    (re.compile(r"(?:layers|h)\.(\d+)\.(?:self_attn|attn)"), "{}"),
    (re.compile(r"(encoder|decoder)\.block\.(\d+)\.layer\.0\.SelfAttention"), "{}/{}"),
    (re.compile(r"decoder\.block\.(\d+)\.layer\.1\.EncDecAttention"), "decoder/{}/cross"),
)

BUCKETS = ((32, 128), (8, 16), (64, 256), (12, 50))


def draw(model, seed):
    """Weights that make scores of a few units, so that every setting shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            value = torch.randn(parameter.shape, generator=generator)
            if "norm" in name or "ln_" in name:
                value = 1 + 0.3 * value
            elif parameter.dim() == 2 and "relative" not in name:
                value *= 1.3 / min(parameter.shape) ** 0.5
            parameter.copy_(value)


class Recorder:
    """The inputs and outputs of attention modules, call by call."""

    def __init__(self, model):
        self.calls = {}  # layer -> [(query, key or None, output)]
        for name, module in model.named_modules():
            for pattern, layer in LAYERS:
                if match := pattern.fullmatch(name):
                    module.register_forward_hook(
                        self.hook(layer.format(*match.groups())), with_kwargs=True)

    def hook(self, layer):
        def record(module, args, kwargs, output):
            query = args[0] if args else kwargs["hidden_states"]
            self.calls.setdefault(layer, []).append(
                (query[0].clone(), kwargs.get("key_value_states"), output[0][0].clone()))
        return record

    def take(self):
        calls, self.calls = self.calls, {}
        return calls


def run(model, embeddings, **more):
    if model.config.is_encoder_decoder:
        return model(decoder_inputs_embeds=embeddings, **more)
    return model(inputs_embeds=embeddings, **more)


def record(model, seed):
    """[(layer, call's name, causal, offset, query, key or None, output)]"""
    recorder = Recorder(model)
    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    tokens = torch.randn((1, TOKENS, width), generator=generator)
    more = {}
    if model.config.is_encoder_decoder:
        source = torch.randn((1, ENCODER_TOKENS, width), generator=generator)
        more["encoder_outputs"] = model.encoder(inputs_embeds=source)
    calls = []
    for layer, [(query, _, output)] in recorder.take().items():
        calls.append((layer, "whole", False, 0, query, None, output))
    run(model, tokens, use_cache=False, **more)
    for layer, [(query, key, output)] in recorder.take().items():
        key = None if key is None else key[0]
        calls.append((layer, "whole", key is None, 0, query, key, output))

    cache = run(model, tokens[:, :CACHED], use_cache=True, **more).past_key_values
    run(model, tokens[:, CACHED:], past_key_values=cache, use_cache=True, **more)
    for layer, [(before, key, _), (query, _, output)] in recorder.take().items():
        if key is None:
            calls.append((layer, "cached", True, CACHED, query, torch.cat((before, query)), output))
    return calls


def make(name, config, out, seed):
    folder = out / name
    folder.mkdir(parents=True)
    loaded = transformers.AutoConfig.for_model(**config)
    model = transformers.AutoModel.from_config(loaded)
    draw(model, seed)
    model.save_pretrained(folder)
    # Read from the file as a user has it: the goldens also record that its keys mean the same.
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = transformers.AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()

    with torch.inference_mode():
        calls = record(model, seed + 1)
    arrays, entries = {}, []
    for layer, call, causal, offset, query, key, output in calls:
        entry = {"layer": layer, "call": call, "causal": causal, "query_offset": offset}
        for role, array in (("query", query), ("key", key), ("output", output)):
            if array is not None:
                entry[role] = {"tensor": f"{layer}.{call}.{role}", "shape": list(array.shape)}
                arrays[entry[role]["tensor"]] = array.clone().contiguous()
        entries.append(entry)
    safetensors.torch.save_file(arrays, folder / "golden.safetensors")

    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights = {key: value for key, value in weights.items() if "attn" in key or "Attention" in key}
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    golden = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "seed": seed,
        "calls": entries,
    }
    if name == "t5":
        golden["buckets"] = [buckets(*sizes, both) for sizes in BUCKETS for both in (True, False)]
    (folder / "golden.json").write_text(compact(golden))
    return entries


def buckets(count, max_distance, both):
    distance = torch.arange(-300, 301)
    values = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket(
        distance, bidirectional=both, num_buckets=count, max_distance=max_distance)
    return {"buckets": count, "max_distance": max_distance, "bidirectional": both, "first": -300,
            "values": values.tolist()}


def compact(value):
    """JSON with one line for each call."""
    text = json.dumps(value, indent=1)
    return re.sub(r"\n {3,}|\n {2,}(?=[\]}])", "", text) + "\n"


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=here / "golden" / "families")
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    shutil.rmtree(args.out, ignore_errors=True)
    for number, (name, config) in enumerate(CONFIGS.items()):
        entries = make(name, config, args.out, args.seed + 10 * number)
        size = sum(file.stat().st_size for file in (args.out / name).iterdir())
        print(f"{name}: {len(entries)} calls, {size} bytes")


if __name__ == "__main__":
    main()
