"""Three arms of a spiral: the first article's network before any training, and one that learnt it.

The article stops at the first forward pass: three hidden units, weights of NumPy's legacy seed 42,
and a loss of log 3, which is guessing. Sixty-four units and 300 steps of Adam finish the story.

    python examples/spiral.py
    python examples/spiral.py --seeds 1 --svg spiral.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.inspect.plots import decision_boundary

ARTICLE_LOSS = 1.0987351566171433  # one draw of the points, whose random state is not given


def untrained_loss(seed: int) -> float:
    """The article's 2-3-3 network on one draw of the points."""
    random = np.random.RandomState(42)
    model = nn.Sequential(
        nn.Linear(2, 3, init=0.1 * random.rand(2, 3), dtype="float64"),
        nn.ReLU(),
        nn.Linear(3, 3, init=0.1 * random.rand(3, 3), dtype="float64"),
    )
    x, y = data.spiral(classes=3, points_per_class=100, seed=seed)
    return float(gg.evaluate(model, x, y, loss="cross_entropy")["loss"])


def train(seed: int) -> tuple[nn.Sequential, dict[str, float]]:
    """A 2-64-3 network after 300 steps on all 300 points; `seed` draws points and weights."""
    x, y = data.spiral(classes=3, points_per_class=100, seed=seed)
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 3))
    gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2), epochs=300,
        seed=seed, verbose=False,
    )  # fmt: skip
    return model, gg.evaluate(model, x, y, loss="cross_entropy", metrics=("accuracy",))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="The spiral, before and after training.")
    parser.add_argument("--seeds", type=int, default=10, help="how many draws to train on")
    parser.add_argument("--svg", type=Path, help="draw what the first network decides, and where")
    options = parser.parse_args(arguments)

    untrained = [untrained_loss(seed) for seed in range(options.seeds)]
    print("untrained 2-3-3 network, cross-entropy")
    print(f"  article   {ARTICLE_LOSS:.5f}")
    print(f"  ours      {untrained[0]:.5f}   from {min(untrained):.5f} to {max(untrained):.5f}")
    print(f"  guessing  {np.log(3):.5f}\n")

    print("2-64-3 network, Adam at 0.01, 300 steps on all points")
    trained = [train(seed) for seed in range(options.seeds)]
    for seed, (_, found) in enumerate(trained):
        print(f"  seed {seed}   loss {found['loss']:.4f}   accuracy {found['accuracy']:.4f}")
    accuracies = [found["accuracy"] for _, found in trained]
    print(f"  median accuracy {np.median(accuracies):.4f}")

    if options.svg:
        model, x_y = trained[0][0], data.spiral(seed=0)
        picture = decision_boundary(
            lambda points: nn.softmax(model(points)).numpy(), *x_y, "The spiral, 2-64-3"
        )
        options.svg.write_text(picture, encoding="utf-8")
        print(f"drawn: {options.svg}")
    return {"untrained": untrained, "accuracies": accuracies}


if __name__ == "__main__":
    main()
