"""A transformer learns Shakespeare's plays character by character, and then writes one.

Any text will do; `glassgrad download tinyshakespeare` fetches this one and says where it is. The
last tenth of the text is for validation: its loss, in nats for each character, is the figure to
look at.

    python examples/shakespeare.py input.txt --steps 600    # a minute or two: words begin to show
    python examples/shakespeare.py input.txt                # a quarter of an hour on two cores
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import glassgrad as gg
from glassgrad import data, nn, optim


def read(file: Path) -> data.Text:
    """A text, plain or compressed."""
    raw = file.read_bytes()
    return data.Text.of((gzip.decompress(raw) if file.suffix == ".gz" else raw).decode(), file.name)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="A character transformer on Shakespeare's plays.")
    parser.add_argument("text", type=Path, help="a text file, plain or .gz")
    parser.add_argument("--characters", type=int, help="read only so many from the beginning")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--context", type=int, default=128, help="characters seen at a time")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--lr", type=float, default=3e-3, help="the highest rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=int, default=800, help="characters to write in the end")
    options = parser.parse_args(arguments)

    text = read(options.text)
    if options.characters:
        text = data.Text.of(text.decode(text.tokens[: options.characters]), text.name)
    # Windows to train on overlap by three quarters: each character is seen in several places.
    context, batch = options.context, 16
    x, y, _, _ = text.windows(context, stride=context // 4)
    _, _, x_val, y_val = text.windows(context)
    epochs = max(1, round(options.steps * batch / len(x)))
    steps = epochs * -(-len(x) // batch)
    model = nn.GPT(
        len(text.vocabulary), options.width, options.layers, 4, context, dropout=options.dropout
    )
    print(f"{text}; {steps:,} steps of {batch} windows of {context}\n")
    began = time.perf_counter()
    history = gg.fit(
        model, x, y, loss="cross_entropy", validation_data=(x_val, y_val), epochs=epochs,
        batch_size=batch, metrics=(), seed=options.seed,
        optimizer=optim.AdamW(
            optim.OneCycle(options.lr, steps=steps, share_up=0.1),
            betas=(0.9, 0.99), weight_decay=0.1, global_clipnorm=1.0,
        ),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    prompt = "\n" if "\n" in text.vocabulary else text.vocabulary[0]
    written = gg.sample(
        model, prompt, options.write, vocabulary=text.vocabulary, temperature=0.8, seed=options.seed
    )
    print(f"\nvalidation loss {history['val_loss'][-1]:.4f} after {seconds:.0f} s. It writes:\n")
    print(written)
    return {"val_loss": history["val_loss"], "seconds": seconds, "written": written}


if __name__ == "__main__":
    main()
