"""A table with texts and empty cells: cross-validation, then a network that predicts new rows.

The homes are made up: a price for each square metre by town, a little for each floor, noise of 15 (thousand);
some sizes and towns are left empty. Each fold learns its medians, means and classes from its own
training rows. `glassgrad train homes.csv --target price` is the short way; --csv writes the file.

    python examples/table.py
    python examples/table.py --csv homes.csv
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import data, nn, optim

PRICES = {"Bonn": 3.2, "Jena": 2.4, "Kiel": 3.6, "Ulm": 4.1}  # thousands for a square metre
NOISE = 15.0


def homes(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """A table of homes, as columns; None is an empty cell."""
    random = np.random.default_rng(seed)
    size = random.uniform(30, 160, count).round(1)
    town = random.choice(list(PRICES), count)
    floor = random.integers(0, 6, count)
    price = size * [PRICES[t] for t in town] + 6 * floor + random.normal(0, NOISE, count)
    lost = random.random((2, count)) < 0.03
    return {
        "size": [None if gone else s for s, gone in zip(size.tolist(), lost[0], strict=True)],
        "town": [None if gone else t for t, gone in zip(town.tolist(), lost[1], strict=True)],
        "floor": floor.tolist(),
        "price": price.round(1).tolist(),
    }


def learn(table: data.Table, rows: NDArray[np.int64], epochs: int) -> Any:
    """A function from tables to prices, learnt from these rows."""
    how = data.TablePreparation.fit(table, rows=rows, drop=["price"])
    price = table.numbers("price")
    mean, deviation = price[rows].mean(), price[rows].std()
    model = nn.Sequential(nn.Linear(64), nn.ReLU(), nn.Linear(32), nn.ReLU(), nn.Linear(1))
    gg.fit(
        model, how(table)[rows], ((price - mean) / deviation)[rows, None], loss="huber",
        optimizer=optim.Adam(optim.CosineAnnealing(3e-3, steps=epochs, per="epoch")),
        epochs=epochs, batch_size=32, verbose=False,
    )  # fmt: skip
    return lambda rows: gg.predict(model, how.apply(rows).x)[:, 0] * deviation + mean


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="Cross-validation on a table of homes.")
    parser.add_argument("--rows", type=int, default=1000, help="how many homes")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--csv", type=Path, help="write the table to this file")
    options = parser.parse_args(arguments)

    columns = homes(options.rows)
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerows([list(columns), *zip(*columns.values(), strict=True)])
        print(f"written: {options.csv}")
    table = data.Table.of(columns)
    price = table.numbers("price")
    cells = zip(table.cells("size"), table.cells("town"), strict=True)
    there = np.array([bool(size and town) for size, town in cells])

    errors = []
    print("root mean square error   all homes   nothing empty")
    for number, (rows, test) in enumerate(data.folds(len(table), 5), 1):
        wrong = learn(table, rows, options.epochs)(table.take(test)) - price[test]
        errors.append([float(np.sqrt((e**2).mean())) for e in (wrong, wrong[there[test]])])
        print(f"  fold {number}            {errors[-1][0]:16.1f}{errors[-1][1]:16.1f}")
    mean = np.mean(errors, axis=0)
    print(f"  mean              {mean[0]:16.1f}{mean[1]:16.1f}")
    print(f"  best possible                     {NOISE:16.1f}\n")

    predict = learn(table, np.arange(len(table)), options.epochs)
    new = {"town": ["Ulm", "Jena", ""], "size": ["80", "80", "80"], "floor": ["2", "2", "2"]}
    answers = predict(data.Table(new))
    for town, answer in zip(new["town"], answers, strict=True):
        known = f"   rule {80 * PRICES[town] + 12:.0f}" if town else ""
        print(f"80 square metres in {town or 'a town not said'}: {answer:.0f}{known}")
    return {"errors": errors, "mean": mean, "answers": answers}


if __name__ == "__main__":
    main()
