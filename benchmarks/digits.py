"""A whole training beside PyTorch's: LeNet on MNIST, twelve epochs of one cycle of Adam's rate.

    python -m benchmarks.digits
    python -m benchmarks.digits --peer-python FILE --epochs 1

Both read the same digits in batches of 64, shuffle, and draw their own first weights; each runs in a
process of its own with as many threads as there are cores. Prints how many of the test digits each has
right, and its seconds, reading data and starting left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Sequence

from .inputs import Array, mnist
from .processes import environment, interpreter
from .sides import TITLES

BATCH, RATE = 64, 5e-3
Digits = tuple[tuple[Array, Array], tuple[Array, Array]]


def digits(rows: int) -> Digits:
    """Images (n, 1, 28, 28) and their digits, to train on and to test with."""
    train, test = mnist(rows), mnist(10_000, "t10k")
    return (train[0].reshape(-1, 1, 28, 28), train[1]), (test[0].reshape(-1, 1, 28, 28), test[1])


def ours(given: Digits, epochs: int, seed: int) -> tuple[float, float]:
    """Share that is right, and seconds."""
    import glassgrad as gg
    from glassgrad import nn, optim

    (x, y), (x_test, y_test) = given
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    began = time.perf_counter()
    rate = optim.OneCycle(RATE, steps=epochs * -(-len(x) // BATCH))
    gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.Adam(rate), epochs=epochs,
        batch_size=BATCH, seed=seed, metrics=(), verbose=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return float((gg.predict(model, x_test).argmax(1) == y_test).mean()), seconds


def theirs(given: Digits, epochs: int, seed: int) -> tuple[float, float]:
    """The same in PyTorch: eager, fused Adam, batches cut from one tensor."""
    import torch
    from torch import nn

    (x, y), (x_test, y_test) = given
    torch.manual_seed(seed)
    torch.set_num_threads(os.cpu_count() or 1)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    images, labels, tests = (torch.from_numpy(a) for a in (x, y, x_test))
    loss_of = nn.CrossEntropyLoss()
    began = time.perf_counter()
    adam = torch.optim.Adam(model.parameters(), RATE, fused=True)
    steps = epochs * -(-len(x) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, steps, cycle_momentum=False)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            adam.zero_grad(set_to_none=True)
            loss_of(model(images[rows]), labels[rows]).backward()
            adam.step()
            rate.step()
    seconds = time.perf_counter() - began
    with torch.inference_mode():
        answers = model(tests).argmax(1).numpy()
    return float((answers == y_test).mean()), seconds


SIDES = {"ours": ours, "torch": theirs}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits", description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rows", type=int, default=60_000, help="train on so many digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-python", metavar="FILE", help="another interpreter for PyTorch")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.side:
        right, seconds = SIDES[given.side](digits(given.rows), given.epochs, given.seed)
        found = {given.side: {"right": right, "seconds": seconds}}
        print(json.dumps(found))
        return found
    every: dict[str, dict[str, float]] = {}
    settings = [f"--epochs={given.epochs}", f"--seed={given.seed}", f"--rows={given.rows}"]
    for side in SIDES:
        done = subprocess.run(
            [interpreter(side, given.peer_python), "-m", "benchmarks.digits", "--side", side, *settings],
            env=environment(os.cpu_count() or 1, "auto", os.environ),
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        every |= json.loads(done.stdout)
        print(f"{TITLES[side]:12}{every[side]['right']:8.4f} right{every[side]['seconds']:9.1f} s")
    return every


if __name__ == "__main__":
    main()
