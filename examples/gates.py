"""Six logic gates, each learnt by four hidden units from its four rows.

One straight line is enough for and, or, nand and nor; xor and xnor need the hidden layer.

    python examples/gates.py
    python examples/gates.py --starts 100
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim


def learn(gate: str, seed: int) -> list[float]:
    """What a 2-4-1 network answers to the four rows after 500 steps from this start."""
    x, y = data.gate(gate)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    gg.fit(
        model, x, y, loss="binary_cross_entropy", optimizer=optim.SGD(1.0), epochs=500,
        seed=seed, verbose=False,
    )  # fmt: skip
    answers: list[float] = gg.predict(model, x).ravel().tolist()
    return answers


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="Six gates by a 2-4-1 network.")
    parser.add_argument("--starts", type=int, default=20, help="first weights to try for each gate")
    options = parser.parse_args(arguments)

    print("          0,0    0,1    1,0    1,1    right from")
    learnt: dict[str, int] = {}
    for gate in data.GATES:
        truth = data.gate(gate)[1].ravel() > 0.5
        answers = np.array([learn(gate, seed) for seed in range(options.starts)])
        right = ((answers > 0.5) == truth).all(axis=1)
        learnt[gate] = int(right.sum())
        first = "  ".join(f"{answer:5.3f}" for answer in answers[0])
        print(f"  {gate:4}   {first}    {learnt[gate]} of {options.starts} starts")
    return {"learnt": learnt, "starts": options.starts}


if __name__ == "__main__":
    main()
