"""A convolutional network on 2,000 MNIST digits, trained one at a time: the fourth article's table.

Four networks, one or two 3x3 convolutions and softmax or tanh as output, 100 epochs each. The
article's weights, order, rate and error are kept: NumPy's legacy seed 0, `rand - 0.5` layer by
layer, no shuffling, 0.1, and the mean over digits of the mean squared error before each update,
which is our history["loss"]. Two things to know beside its figures:

- The article multiplies the gradient by the diagonal of softmax's Jacobian. That is not the
  derivative, which needs the whole matrix. Here it is the derivative, so the softmax rows end a
  little lower.
- The tanh rows are a lottery. Their first hundred updates multiply a rounding error by ten every
  few digits, so that two programs that add in another order end as far apart as two sets of first
  weights: `--nudge` shows it. The softmax rows do not, and agree to six digits.

Reads MNIST from --data or GLASSGRAD_DATA; nothing is downloaded.

    python examples/digits_cnn.py                              # 7 epochs, some seconds
    python examples/digits_cnn.py --epochs 100                 # the article's table, a minute
    python examples/digits_cnn.py --epochs 100 --dtype float32 # twenty seconds
    python examples/digits_cnn.py --epochs 100 --rows 2-tanh --nudge 1e-15
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import data, nn, optim

Numbers = NDArray[np.float64]


class Row(NamedTuple):
    """A line of the article's table: what it printed, and its recipe run again, softmax put right."""

    convolutions: int
    output: type[nn.Module]
    article: dict[int, float]  # the error of an epoch, by its number
    again: dict[int, float]


ROWS = {
    "2-softmax": Row(
        2,
        nn.Softmax,
        {5: 0.01738538108832097, 7: 0.012567932587293648, 100: 0.0006546040013790374},
        {5: 0.01490, 7: 0.00982, 100: 0.000627},
    ),
    "2-tanh": Row(2, nn.Tanh, {100: 0.015574043589304339}, {5: 0.11288, 7: 0.06810, 100: 0.01626}),
    "1-softmax": Row(
        1, nn.Softmax, {100: 0.0008845053795560065}, {5: 0.00917, 7: 0.00635, 100: 0.000632}
    ),
    "1-tanh": Row(1, nn.Tanh, {100: 0.04563577203218581}, {5: 0.27018, 7: 0.22353, 100: 0.04495}),
}


def article_network(row: Row, nudge: float = 0.0, dtype: str = "float64") -> nn.Sequential:
    """Convolutions of one channel, 100 units and 10, with the article's first weights.

    The article keeps kernels as (height, width, in, out), we as (out, in, height, width); dense
    weights are (in, out) in both. `nudge` changes the first kernel's first number by that share.
    """
    random = np.random.RandomState(0)

    def draw(*shape: int) -> Numbers:
        return np.asarray(random.rand(*shape) - 0.5)

    def kernel() -> Numbers:
        return draw(3, 3, 1, 1).transpose(3, 2, 0, 1)

    layers: list[nn.Module] = []
    for _ in range(row.convolutions):
        layers += [
            nn.Conv2d(1, 1, 3, init=kernel(), bias_init=draw(1), dtype=dtype),
            nn.Tanh(),
        ]
    side = 28 - 2 * row.convolutions
    layers += [
        nn.Flatten(),
        nn.Linear(side * side, 100, init=draw(side * side, 100), bias_init=draw(100), dtype=dtype),
        nn.Tanh(),
        nn.Linear(100, 10, init=draw(100, 10), bias_init=draw(10), dtype=dtype),
        row.output(),
    ]
    model = nn.Sequential(*layers)
    if nudge:
        state = model.state_dict()
        state["conv2d1.weight"][0, 0, 0, 0] *= 1 + nudge
        model.load_state_dict(state)
    return model


def train(
    row: Row, x: NDArray[Any], y: NDArray[Any], epochs: int, nudge: float = 0.0
) -> tuple[nn.Sequential, list[float]]:
    """The network and the error of each epoch; y is one-hot."""
    model = article_network(row, nudge, str(x.dtype))
    history = gg.fit(
        model, x, y, loss="mse", optimizer=optim.SGD(0.1), epochs=epochs,
        batch_size=1, shuffle=False, metrics=(), verbose=False,
    )  # fmt: skip
    return model, history["loss"]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="The convolutional network's table.")
    parser.add_argument("--epochs", type=int, default=7, help="the article's table is at 100")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--data", help="the folder that contains mnist/")
    parser.add_argument("--digits", type=int, default=2000, help="how many to train on")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--nudge", type=float, default=0.0, help="change one first weight, 1e-15")
    options = parser.parse_args(arguments)

    digits = data.mnist(options.data)
    x = digits.x[: options.digits].astype(options.dtype)
    y = np.eye(10, dtype=options.dtype)[digits.y[: options.digits]]
    x_test, y_test = np.asarray(digits.x_test), np.asarray(digits.y_test)

    figures: dict[str, Any] = {}
    models: dict[str, nn.Sequential] = {}
    print("error            epoch      article        run again         ours   seconds")
    print("                        (diagonal)  true derivative")
    for name in options.rows:
        row = ROWS[name]
        began = time.perf_counter()
        models[name], errors = train(row, x, y, options.epochs, options.nudge)
        seconds = time.perf_counter() - began
        figures[name] = {"errors": errors, "seconds": seconds}
        for epoch in sorted({1, 5, 7, 100, options.epochs}):
            if epoch <= options.epochs:
                theirs, true = (f"{e[epoch]:.6f}" if epoch in e else "" for e in row[2:])
                spent = f"{seconds:10.0f}" if epoch == options.epochs else ""
                print(f"{name:12}{epoch:10}{theirs:>13}{true:>17}{errors[epoch - 1]:13.6f}{spent}")

    best = min(models, key=lambda name: figures[name]["errors"][-1])
    answers = gg.predict(models[best], x_test.astype(options.dtype))
    accuracy = float((answers.argmax(axis=1) == y_test).mean())
    print(f"\n{best} on digits it has not seen (the article shows the first three)")
    for shares, digit in zip(answers[:3], y_test, strict=False):
        guess = int(shares.argmax())
        print(f"  a {digit}: it says {guess}, {shares[guess]:.4f}")
    print(f"right on {accuracy:.4f} of all {len(y_test):,}")
    figures["test"] = {"row": best, "answers": answers[:3], "accuracy": accuracy}
    return figures


if __name__ == "__main__":
    main()
