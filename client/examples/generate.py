#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates text with SmolLM2-135M-Instruct; attend computes the attention of every layer.

Start a server that holds the model's layers, then call it:

    attend-server --model=smollm2=build/models/SmolLM2-135M-Instruct
    python client/examples/generate.py --target 127.0.0.1:50051 --model smollm2 \\
        --model-dir build/models/SmolLM2-135M-Instruct

Everything but attention is numpy, here. The server keeps nothing between calls, so this program
keeps each layer's rows and sends them again for every token (docs/models.md has the recipe). With
a golden file, its prompts are continued together and compared, and the program fails (exit code
1) where tokens differ.
"""

import argparse
import dataclasses
import json
import sys
import time

import numpy as np

import attend_client
import llama

PROMPT = "Explain in a few sentences why the sky is blue."
CHAT = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n")

# How much greater the score (logit) of a golden token may be than that of the second best for a
# computed token to differ from it: with rounding in another order, or in bfloat16, the two best
# may change places where they are this close. Measured with AVX512-BF16: at 0.01.
MARGINS = {"f32": 1e-3, "bf16": 0.2}


class RemoteAttention:
    """Asks the server for one layer's attention, with the rows of all earlier tokens as key.

    Rows of several prompts are packed: one after the other, without padding.
    """

    def __init__(self, target, name, num_layers):
        self.client = attend_client.Client(target)
        self.name = name
        self.history = [None] * num_layers  # per layer, the rows of each prompt so far
        self.lengths = []  # new rows of each prompt
        self.sent_bytes = self.received_bytes = 0

    def __call__(self, layer, rows):
        new = np.split(rows, np.cumsum(self.lengths)[:-1])
        name = f"{self.name}/{layer}"
        if self.history[layer] is None:
            self.history[layer] = new
            # Every token reads itself and those before it.
            answer = self.client.call_layer(name, rows, query_lengths=self.lengths, causal=True)
        else:
            keys = self.history[layer] = [
                np.concatenate(pair) for pair in zip(self.history[layer], new)]
            # The query rows are the last of the keys. Value is left out: it is key.
            answer = self.client.call_layer(
                name, rows, key=np.concatenate(keys), query_lengths=self.lengths,
                key_lengths=[len(key) for key in keys], alignment="ALIGNMENT_END", causal=True)
        self.sent_bytes += answer.sent_bytes
        self.received_bytes += answer.received_bytes
        return answer.output


@dataclasses.dataclass
class Step:
    """One round of generation: the next token of each prompt, and what it took."""
    tokens: list[int]
    seconds: float
    sent_bytes: int
    received_bytes: int


def generate(model, attention, prompts, count):
    """Yields `count` Steps for prompts (lists of tokens); the first one reads the prompts."""
    new = prompts
    for _ in range(count):
        before = attention.sent_bytes, attention.received_bytes
        start = time.perf_counter()
        attention.lengths = [len(ids) for ids in new]
        hidden = model.forward(np.concatenate(new), attention)
        last = hidden[np.cumsum(attention.lengths) - 1]
        tokens = [int(token) for token in model.logits(last).argmax(axis=-1)]
        yield Step(tokens, time.perf_counter() - start, attention.sent_bytes - before[0],
                   attention.received_bytes - before[1])
        new = [[token] for token in tokens]


def stream(model, args):
    """Prints the continuation of one prompt as it comes, then speed and traffic."""
    ids = model.tokenizer.encode(CHAT.format(args.prompt)).ids
    attention = RemoteAttention(args.target, args.model, model.num_layers)
    print(f"> {args.prompt}")
    steps, shown = [], ""
    for step in generate(model, attention, [ids], args.tokens):
        steps.append(step)
        if step.tokens[0] == model.end_token:
            break
        text = model.tokenizer.decode([step.tokens[0] for step in steps])
        if not text.endswith("\ufffd"):  # else the token ends within a character
            print(text[len(shown):], end="", flush=True)
            shown = text
    first, rest = steps[0], steps[1:]
    print(f"\n\nPrompt: {len(ids)} tokens in {first.seconds:.2f} s, "
          f"{first.sent_bytes / 1e6:.2f} MB sent, {first.received_bytes / 1e6:.2f} MB received")
    if rest:
        seconds = sum(step.seconds for step in rest)
        print(f"Then:   {len(rest) / seconds:.1f} tokens per second; "
              f"{rest[0].sent_bytes:,} bytes sent per token at first, "
              f"{rest[-1].sent_bytes:,} at last, {rest[-1].received_bytes:,} received")


def compare_golden(model, args):
    """True if the golden prompts, packed into the same requests, give the golden tokens."""
    with open(args.golden, encoding="utf-8") as file:
        golden = json.load(file)["prompts"]
    prompts = [model.tokenizer.encode(entry["text"]).ids for entry in golden]
    for entry, ids in zip(golden, prompts):
        if ids != entry["token_ids"]:
            raise SystemExit(f"tokens differ from the golden file's: {entry['text']!r}")
    attention = RemoteAttention(args.target, args.model, model.num_layers)
    count = max(len(entry["continuation"]) for entry in golden)
    steps = list(generate(model, attention, prompts, count))
    good = True
    print(f"\nTokens equal to transformers', {len(golden)} prompts packed "
          f"({args.compute}, greedy):")
    for number, entry in enumerate(golden):
        wanted = entry["continuation"]
        got = [step.tokens[number] for step in steps[:len(wanted)]]
        equal = next((i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]),
                     len(wanted))
        line = f"  prompt {number}: {equal} of {len(wanted)}"
        if equal < len(wanted):
            # What follows another token cannot be compared.
            margin = entry["margins"][equal]
            close = margin <= MARGINS[args.compute]
            good = good and close
            line += (f"; there the two best scores differ by {margin:.3g} "
                     f"({'ok' if close else 'FAIL'}, at most {MARGINS[args.compute]:g})")
        print(line)
    return good


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="127.0.0.1:50051", help="of the server")
    parser.add_argument("--model-dir", required=True, help="what get_smollm2.py printed")
    parser.add_argument("--model", default="smollm2", help="its name in the server's --model")
    parser.add_argument("--golden", help="prompts and continuations to compare with")
    parser.add_argument("--compute", choices=sorted(MARGINS), default="f32",
                        help="type that the server's layers compute in: decides what passes")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--tokens", type=int, default=40, help="to generate at most")
    return parser.parse_args()


def main():
    args = parse_arguments()
    model = llama.Llama(args.model_dir)
    stream(model, args)
    return 0 if not args.golden or compare_golden(model, args) else 1


if __name__ == "__main__":
    sys.exit(main())
