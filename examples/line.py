"""A straight line through noisy points, found twice.

The third article gives the least-squares formula, then walks downhill instead, because the walk
also works where no formula exists. Here both meet: the same line to twelve digits.

    python examples/line.py
    python examples/line.py --points 30 --noise 0.5 --steps 100
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.inspect.plots import curves


def least_squares(x: gg.Tensor, y: gg.Tensor) -> tuple[float, float]:
    """The formula: slope = sum (x - mean x)(y - mean y) / sum (x - mean x)^2."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx * dy).sum() / (dx * dx).sum()
    return slope.item(), (y.mean() - slope * x.mean()).item()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="A line by formula and by gradient descent.")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=0.5)
    parser.add_argument("--svg", type=Path, help="draw the loss on the way down")
    options = parser.parse_args(arguments)

    points = data.noisy_line(options.points, slope=2.0, intercept=1.0, noise=options.noise)
    x, y = (gg.tensor(column, "float64") for column in points)
    slope, intercept = least_squares(x, y)

    line = nn.Linear(1, 1, init="zeros", dtype="float64")  # y = slope x + intercept
    descent = optim.SGD(options.lr).bind(line)
    losses: list[float] = []

    def row(name: object, slope: float, intercept: float) -> None:
        print(f"{name!s:>8}{slope:20.14f}{intercept:20.14f}")

    def now() -> tuple[float, float]:
        weight, bias = (parameter.item() for parameter in line.parameters())
        return float(weight), float(bias)

    print(f"{'step':>8}{'slope':>20}{'intercept':>20}")
    for step in range(options.steps):
        if step in (0, 1, 10, 100):
            row(step, *now())
        loss = nn.losses.mse(line(x), y)
        loss.backward()
        descent.step()
        descent.zero_grad()
        losses.append(loss.item())
    row(options.steps, *now())
    row("formula", slope, intercept)
    row("truth", 2.0, 1.0)
    if options.svg:
        options.svg.write_text(curves({"loss": losses}, "Down to the line"), encoding="utf-8")
        print(f"drawn: {options.svg}")
    return {"formula": (slope, intercept), "descent": now(), "losses": losses}


if __name__ == "__main__":
    main()
