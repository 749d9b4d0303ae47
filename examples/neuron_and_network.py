"""A neuron, two neurons as a network, and four people.

The third article computes one small network by hand and then teaches it to tell women from men by
weight and height. Everything here is in float64, one person at a time, in the article's order.

    python examples/neuron_and_network.py                        # the article's figures
    python examples/neuron_and_network.py --kg 70 --cm 170       # and your own
    python examples/neuron_and_network.py --starts 50            # from 50 sets of first weights
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

ARTICLE = {"network": 0.7216325609518421, "mse": 0.5, "emily": 0.951, "frank": 0.039}
UNSEEN = [[-7, -3], [20, 2]]  # Emily, 128 lb and 63 in; Frank, 155 lb and 68 in


def neuron() -> nn.Sequential:
    """Two inputs, the weights [0, 1], the bias 0, and a sigmoid."""
    return nn.Sequential(nn.Linear(2, 1, init=[[0], [1]], dtype="float64"), nn.Sigmoid())


def fixed_network() -> nn.Sequential:
    """Three such neurons: two side by side, and one that reads both."""
    return nn.Sequential(
        nn.Linear(2, 2, init=[[0, 0], [1, 1]], dtype="float64"),
        nn.Sigmoid(),
        nn.Linear(2, 1, init=[[0], [1]], dtype="float64"),
        nn.Sigmoid(),
    )


def people_network() -> nn.Sequential:
    """The same shape, its nine numbers to be drawn from a normal distribution."""
    drawn: dict[str, Any] = {"init": "normal", "bias_init": "normal", "dtype": "float64"}
    return nn.Sequential(
        hidden=nn.Linear(2, 2, **drawn),
        squash=nn.Sigmoid(),
        output=nn.Linear(2, 1, **drawn),
        answer=nn.Sigmoid(),
    )


def train(seed: int, epochs: int = 1000) -> tuple[nn.Sequential, list[float]]:
    """The network after so many rounds of the four people, and its loss in each round."""
    model = people_network()
    history = gg.fit(
        model, *data.people(), loss="mse", optimizer=optim.SGD(0.1), epochs=epochs,
        batch_size=1, shuffle=False, seed=seed, verbose=False,
    )  # fmt: skip
    return model, history["loss"]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="A neuron, a network of three, four people.")
    parser.add_argument("--kg", type=float, default=73, help="your weight (default %(default)s)")
    parser.add_argument("--cm", type=float, default=182, help="your height (default %(default)s)")
    parser.add_argument("--starts", type=int, default=3, help="how many first weights to try")
    parser.add_argument("--svg", type=Path, help="draw what the network says of every body")
    options = parser.parse_args(arguments)

    x = gg.tensor([[2, 3]], "float64")
    one, network = neuron()(x).item(), fixed_network()(x).item()
    mse = nn.losses.mse(gg.tensor([0.0, 0.0, 0.0, 0.0]), gg.tensor([1.0, 0.0, 0.0, 1.0])).item()
    print(f"{'':36}{'article':>20}{'ours':>20}")
    print(f"{'one neuron, x = [2, 3]':36}{'':20}{one:20}")
    print(f"{'three of them, x = [2, 3]':36}{ARTICLE['network']:20}{network:20}")
    print(f"{'mse of [1, 0, 0, 1] against zeros':36}{ARTICLE['mse']:20}{mse:20}")

    trained = [train(seed) for seed in range(options.starts)]
    answers = np.array([gg.predict(model, UNSEEN).ravel() for model, _ in trained])
    emily, frank = np.median(answers, axis=0).tolist()
    wrong = int(((answers > 0.5) != [True, False]).sum())
    print(f"\ntrained 1,000 rounds, median of {options.starts} starts (1 is female, 0 male)")
    print(f"{'Emily, 128 lb and 63 in':36}{ARTICLE['emily']:20}{emily:20.3f}")
    print(f"{'Frank, 155 lb and 68 in':36}{ARTICLE['frank']:20}{frank:20.3f}")
    print(f"on the wrong side of 1/2: {wrong} of {answers.size} answers")

    model, loss = trained[0]
    you = gg.predict(model, data.people_row(kg=options.kg, cm=options.cm)).item()
    word = "female" if you > 0.5 else "male"
    print(f"{f'you, {options.kg:g} kg and {options.cm:g} cm':36}{'':20}{you:20.3f}  {word}")
    if options.svg:
        people, women = data.people()
        picture = decision_boundary(
            lambda points: gg.predict(model, points), people, women, "Four people",
            classes=("male", "female"), feature_names=("pounds - 135", "inches - 66"),
        )  # fmt: skip
        options.svg.write_text(picture, encoding="utf-8")
        print(f"drawn: {options.svg}")
    return {
        "neuron": one, "network": network, "mse": mse, "answers": answers, "wrong": wrong,
        "loss": loss, "you": you,
    }  # fmt: skip


if __name__ == "__main__":
    main()
