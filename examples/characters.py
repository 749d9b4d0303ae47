"""A transformer and an LSTM learn a text character by character, and then write.

Without --text they read a thousand numbers in words, a line each, drawn by chance below a thousand; what they
write can then be checked: a line is a number, or it is not. `glassgrad train play.txt --model gpt` is the short way
for a text of your own.

    python examples/characters.py
    python examples/characters.py --text play.txt --context 64 --width 128 --layers 4
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(number: int) -> str:
    """A number from 0 to 999 in English words."""
    if number < 20:
        return SMALL[number]
    if number < 100:
        rest = f"-{SMALL[number % 10]}" if number % 10 else ""
        return TENS[number // 10 - 2] + rest
    rest = f" and {in_words(number % 100)}" if number % 100 else ""
    return f"{SMALL[number // 100]} hundred{rest}"


NUMBERS = {in_words(n) for n in range(1000)}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="Two character models on one text.")
    parser.add_argument("--text", type=Path, help="a text file, instead of numbers in words")
    parser.add_argument("--context", type=int, default=32, help="characters seen at a time")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    if options.text:
        text = data.read_text(options.text)
    else:
        drawn = np.random.default_rng(options.seed).integers(0, 1000, 1000)
        text = data.Text.of("\n".join(map(in_words, drawn.tolist())), "numbers in words")
    x, y, x_val, y_val = text.windows(options.context)
    print(f"{text}; {len(x):,} windows of {options.context}\n")

    tokens, width, layers = len(text.vocabulary), options.width, options.layers
    models = {
        "gpt": nn.GPT(tokens, width, layers, heads=4, context=options.context),
        "lstm": nn.CharLSTM(tokens, width, layers),
    }
    figures: dict[str, Any] = {}
    for name, model in models.items():
        history = gg.fit(
            model, x, y, loss="cross_entropy", validation_data=(x_val, y_val),
            optimizer=optim.Adam(optim.WarmUp(20, then=0.01), global_clipnorm=1.0),
            epochs=options.epochs, batch_size=16, seed=options.seed, verbose=False,
        )  # fmt: skip
        prompt = "\n" if "\n" in text.vocabulary else text.vocabulary[0]
        written = gg.sample(
            model, prompt, 600, vocabulary=text.vocabulary, temperature=0.7, seed=options.seed
        )
        lines = written.split("\n")[:-1]  # the last one is cut
        right = sum(line in NUMBERS for line in lines)
        figures[name] = {"val_loss": history["val_loss"], "lines": len(lines), "right": right}

        parameters = sum(p.numpy().size for p in model.parameters())
        first, last = history["val_loss"][0], history["val_loss"][-1]
        print(f"{name}, {parameters:,} parameters: validation loss {first:.3f}, then {last:.3f}")
        print("".join(f"  | {line}\n" for line in lines[:4]), end="")
        print(f"  {right} of {len(lines)} lines are numbers\n" if not options.text else "")
    return figures


if __name__ == "__main__":
    main()
