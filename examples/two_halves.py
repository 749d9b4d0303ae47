"""A network with two inputs and two outputs: the halves of a digit, looked at by the same layers.

The upper and the lower half of each 8 x 8 digit go through one shared branch; side by side they say
which digit it is, and whether it is odd. Beside it the same network with a branch for each half.

    python examples/two_halves.py
    python examples/two_halves.py --seeds 5 --svg halves.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import glassgrad as gg
from glassgrad import data, nn, optim


class Halves(nn.Module):
    """Digit and oddness from two halves; one branch for both, or one for each."""

    def __init__(self, shared: bool) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            return nn.Sequential(nn.Flatten(), nn.Linear(32), nn.ReLU())

        self.upper = branch()
        self.lower = self.upper if shared else branch()
        self.digit = nn.Linear(10)
        self.odd = nn.Linear(1)

    def forward(self, upper: Any, lower: Any) -> dict[str, Any]:
        both = gg.concatenate([self.upper(upper), self.lower(lower)], axis=1)
        return {"digit": self.digit(both), "odd": self.odd(both)}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="Two inputs, two outputs, shared layers.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--svg", type=Path, help="draw the curves, overlaid")
    options = parser.parse_args(arguments)

    digits = data.digits()
    halves = {"upper": digits.x[:, :, :4], "lower": digits.x[:, :, 4:]}
    answers = {"digit": digits.y, "odd": (digits.y[:, None] % 2).astype("float32")}
    found = gg.compare(
        {f"{name} branch{'es' * (name == 'two')}": {"model": lambda shared=shared: Halves(shared)}
         for name, shared in (("one", True), ("two", False))},
        halves, answers, seeds=options.seeds,
        loss={"digit": "cross_entropy", "odd": "bce_logits"}, loss_weights={"digit": 1.0, "odd": 0.5},
        optimizer=optim.Adam(3e-3), epochs=options.epochs, batch_size=32,
        validation_split=0.2,
    )  # fmt: skip
    print(f"rows held out, {options.seeds} seeds      digit right          odd right")
    figures: dict[str, Any] = {}
    for group in found.groups:
        figures[group.name] = [group.last(f"val_{name}_accuracy") for name in ("digit", "odd")]
        shares = "".join(f"{mean:11.4f} ± {spread:.4f}" for mean, spread in figures[group.name])
        print(f"  {group.name:22}{shares}")
    if options.svg:
        options.svg.write_text(found.svg(), encoding="utf-8")
        print(f"\ndrawn: {options.svg}")
    return figures


if __name__ == "__main__":
    main()
