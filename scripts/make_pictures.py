"""Draw the pictures of the README and of docs/gallery.md, and write that page: run from the project's root.

The runs are native, whose bits are the same on every machine; a test compares what is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.inspect import Picture

PAGE = "docs/gallery.md"
FOLDER = "docs/pictures"
SPREAD = ("weights: hidden.weight", "activations: relu", "derivatives: hidden.weight")


@dataclass(frozen=True)
class Entry:
    """A picture of the page: its file, what it shows in a sentence or two, the line that draws it."""

    name: str
    heading: str
    says: str
    code: str
    picture: Picture


def scores(model: nn.Module) -> Callable[[Any], Any]:
    """Probabilities of the classes for points of the plane."""

    def score(points: Any) -> Any:
        found = np.asarray(gg.predict(model, points), np.float64)
        odds = np.exp(found - found.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    return score


def spiral() -> list[Entry]:
    """Data, boundary, curves and histograms of the second example of the first article."""
    x, y = data.spiral(seed=0)
    tape, model = (
        gg.Tape(every=20),
        nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3)),
    )
    how: dict[str, Any] = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 300}
    history = gg.fit(
        model, x, y, **how, validation_split=0.0, backend="native", tape=tape, verbose=False
    )
    arms = ["first arm", "second arm", "third arm"]
    over: dict[str, dict[int, Any]] = {name: {} for name in SPREAD}
    for step in (0, 20, 40, 80, 120, 160, 200, 240, 280):
        found = tape.explain(step, range(0, len(x), 3))
        weight = found["hidden_weight"]
        for name, values in zip(
            SPREAD, (weight.array, found["relu"].array, weight.gradient), strict=True
        ):
            over[name][step] = values
    return [
        Entry(
            "spiral-data",
            "The points of a data set",
            "Three arms of a spiral, 100 points each; every colour and shape is a class that a network is to tell apart.",
            'gg.inspect.scatter(x, y, "three arms")',
            gg.inspect.scatter(x, y, "The spiral: 300 points of three classes", classes=arms),
        ),
        Entry(
            "spiral",
            "What a network says about the plane",
            "The colour of the ground is the class that the trained network gives each place, paler where it is less sure; the points are those it learned from.",
            "score = lambda points: gg.softmax(gg.predict(model, points)).numpy()\n"
            'gg.inspect.decision_boundary(score, x, y, "spiral")',
            gg.inspect.decision_boundary(
                scores(model),
                x,
                y,
                "The spiral, learned by 64 hidden units in 300 steps",
                classes=arms,
            ),
        ),
        Entry(
            "curves",
            "How a run went",
            "Loss and accuracy after each of 300 epochs, with their last values.",
            'gg.inspect.curves(history, "spiral")',
            gg.inspect.curves(history, "The spiral, learned by 64 hidden units"),
        ),
        Entry(
            "histograms",
            "Weights, activations and derivatives over time",
            "One curve for each of nine steps: the weights of the hidden layer spread out; the share of activations that are 0 stands beside the others' curves; the derivatives shrink as the network learns.",
            "step = {t: tape.explain(t, rows) for t in (0, 20, 40)}  # of a run with gg.fit(..., tape=tape)\n"
            'gg.inspect.histograms({"relu": {t: step[t]["relu"].array for t in step}}, "spiral")',
            gg.inspect.histograms(
                over, "The spiral: how numbers are spread while a network learns it"
            ),
        ),
    ]


def circles() -> list[Entry]:
    """The network of the second article, small enough for all its weights, and its boundary."""
    x, y = data.circles(200, noise=0.1, seed=0)
    model = nn.Sequential(hidden=nn.Linear(4), tanh=nn.Tanh(), output=nn.Linear(1))
    gg.fit(
        model,
        x,
        y,
        loss="bce_logits",
        optimizer=optim.Adam(0.05),
        epochs=400,
        backend="native",
        verbose=False,
    )

    def score(points: Any) -> Any:
        return 1 / (1 + np.exp(-np.asarray(gg.predict(model, points), np.float64)))

    return [
        Entry(
            "circles",
            "Two circles and the boundary between them",
            "An outer and an inner ring of points; the network has learned a closed line around the inner one.",
            "score = lambda points: gg.sigmoid(gg.predict(model, points)).numpy()\n"
            'gg.inspect.decision_boundary(score, x, y, "circles")',
            gg.inspect.decision_boundary(
                score,
                x,
                y.ravel(),
                "Two circles, learned by 4 hidden units in 400 steps",
                classes=["outer", "inner"],
            ),
        ),
        Entry(
            "network",
            "A network with its weights",
            "The network that drew that line: two inputs, four hidden units, one output. Blue weights are above 0, orange ones below, wide ones large; b is the bias of a unit.",
            'gg.inspect.network(model, "2-4-1")',
            gg.inspect.network(
                model, "The network of the two circles, trained", outputs=["inner?"]
            ),
        ),
    ]


def neurons() -> list[Entry]:
    """The neuron of the third article, and a wide network."""
    wide = nn.Sequential(hidden=nn.Linear(2, 64), relu=nn.ReLU(), output=nn.Linear(64, 3))
    with gg.nn.module.drawing_with(0):
        wide.state_dict()
    return [
        Entry(
            "neuron",
            "One neuron",
            "Two inputs, each times its weight, and the bias give a sum; the sigmoid makes of it a number between 0 and 1.",
            'gg.inspect.neuron([2, 3], [0, 1], 4, "sigmoid")',
            gg.inspect.neuron(
                [2, 3], [0, 1], 4, "sigmoid", "A neuron: two inputs, two weights, a bias"
            ),
        ),
        Entry(
            "network-wide",
            "A network that is too wide to draw",
            "Of 64 hidden units ten are drawn, and the picture says so.",
            "gg.inspect.network(model)",
            gg.inspect.network(wide, "A network for the spiral, before its first step"),
        ),
    ]


def every_number() -> Entry:
    """One step of a network of two hidden units on one row."""
    model = nn.Sequential(hidden=nn.Linear(2, 2), relu=nn.ReLU(), output=nn.Linear(2, 1))
    model.load_state_dict(
        {
            "hidden.weight": [[0.5, -1.0], [0.25, 0.75]], "hidden.bias": [0.5, 0.0],
            "output.weight": [[1.5], [-0.5]], "output.bias": [0.25],
        }
    )  # fmt: skip
    return Entry(
        "every-number",
        "Every number of a step",
        "A network of two inputs, two hidden units and one output, its loss on one row: each box is a number with the derivative of the loss in it, each line the derivative of one number in another.",
        'gg.explain(model, x, y, loss="mse").picture()',
        gg.explain(model, [[2.0, 3.0]], [[1.0]], loss="mse").picture(),
    )


class Residual(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Any) -> Any:
        return self.pool(nn.relu(x + self.second(nn.relu(self.first(x)))))


def digits() -> list[Entry]:
    """A small convolutional network on the digits that come with the library."""
    found = data.digits()
    model = nn.Sequential(
        conv1=nn.Conv2d(1, 8, 3, padding=1), relu1=nn.ReLU(), conv2=nn.Conv2d(8, 16, 3, padding=1),
        relu2=nn.ReLU(), pool=nn.MaxPool2d(2), flatten=nn.Flatten(), output=nn.Linear(10),
    )  # fmt: skip
    gg.fit(
        model, found.x, found.y, loss="cross_entropy", optimizer=optim.Adam(3e-3), epochs=6,
        batch_size=32, backend="native", verbose=False,
    )  # fmt: skip
    x, y = found.x_test, found.y_test
    assert x is not None
    assert y is not None
    said = gg.predict(model, x).argmax(axis=1)
    wrong = np.flatnonzero(said != y)
    some = np.concatenate([wrong[:4], np.flatnonzero(said == y)[:14]])
    layers: dict[str, Any] = dict(model.modules())
    maps, h = {"image": x[some[-1]]}, gg.tensor(x[some[-1] : some[-1] + 1])
    for name in ("conv1", "relu1", "conv2", "relu2", "pool"):
        h = layers[name](h)
        maps[name] = h.numpy()[0]
    return [
        Entry(
            "digits",
            "Digits with predictions",
            "Handwritten digits the network has not been trained on, and what it takes them for; where it is wrong, the true digit stands beside that.",
            'gg.inspect.images(x, gg.predict(model, x), "digits", y=y)',
            gg.inspect.images(
                x[some],
                said[some],
                "Digits a network has not seen: four mistakes, fourteen right",
                y=y[some],
            ),
        ),
        Entry(
            "confusion",
            "Which classes are taken for which",
            "Down the true digit, across what the network says: blue on the diagonal is right, orange is wrong.",
            'gg.inspect.confusion_matrix(y, gg.predict(model, x), "digits")',
            gg.inspect.confusion_matrix(y, said, "360 digits that the network has not seen"),
        ),
        Entry(
            "filters",
            "Filters of a convolution",
            "The eight filters of the first layer, 3 x 3 weights each: some answer to edges, some to strokes.",
            'gg.inspect.filters(model.conv1.weight, "conv1")',
            gg.inspect.filters(
                layers["conv1"].weight, "Filters of the first layer of a network for digits"
            ),
        ),
        Entry(
            "feature-maps",
            "What layers make of an image",
            "One digit, and what each channel of each layer makes of it: ReLU keeps what is above 0, the pool halves both sides.",
            'gg.inspect.feature_maps({"image": x[0], "conv1": h[0]}, "one digit")',
            gg.inspect.feature_maps(maps, "One digit on its way through the layers"),
        ),
        Entry(
            "graph",
            "The graph of a network",
            "Every layer of a network with a way around two of its convolutions, from the image to ten scores; beside the arrows the shapes of one row.",
            "gg.inspect.graph(model, (1, 8, 8))",
            gg.inspect.graph(
                nn.Sequential(
                    conv=nn.Conv2d(1, 8, 3, padding=1),
                    block=Residual(),
                    flatten=nn.Flatten(),
                    output=nn.Linear(10),
                ),
                (1, 8, 8),
                "a small residual network",
            ),
        ),
    ]


def runs() -> list[Entry]:
    """Several runs in one picture."""
    x, y = data.spiral(seed=0)
    groups: dict[str, Any] = {}
    for name, optimizer in {"SGD 0.5": optim.SGD(0.5), "Adam 0.01": optim.Adam(1e-2)}.items():
        groups[name] = []
        for seed in range(3):
            model = nn.Sequential(nn.Linear(64), nn.ReLU(), nn.Linear(3))
            groups[name].append(
                gg.fit(
                    model,
                    x,
                    y,
                    loss="cross_entropy",
                    optimizer=optimizer,
                    epochs=150,
                    seed=seed,
                    backend="native",
                    verbose=False,
                )
            )
    return [
        Entry(
            "overlaid",
            "Several runs",
            "Two optimisers with three seeds each: the mean as a line, from the lowest to the highest as a band.",
            'gg.inspect.overlaid({"SGD": histories, "Adam": others}, "spiral")',
            gg.inspect.overlaid(groups, "The spiral with two optimisers, three seeds each"),
        ),
    ]


INTRO = """# Gallery

Every kind of picture that `gg.inspect` draws, and the one of an explanation. Each is an SVG document as text: it opens in any browser, follows the light
or dark scheme of the reader, and contains no script, no link and nothing outside itself; its colours are told apart with any
colour vision. `picture.save("a.svg")` writes one, a notebook shows it. `python scripts/make_pictures.py` writes this page
and all of its pictures, and a test compares them.
"""


def entries() -> list[Entry]:
    """All of the page, in its order."""
    first, second = spiral(), neurons()
    two = circles()
    return [
        first[0],
        first[1],
        *two[:1],
        second[0],
        two[1],
        second[1],
        every_number(),
        *first[2:3],
        *runs(),
        *digits(),
        first[3],
    ]


def page(all_of_them: list[Entry]) -> str:
    """The page in Markdown."""
    parts = [
        f"\n## {entry.heading}\n\n{entry.says}\n\n```python\n{entry.code}\n```\n\n"
        f"![{entry.says}](pictures/{entry.name}.svg)\n"
        for entry in all_of_them
    ]
    return INTRO + "".join(parts)


def files() -> dict[str, str]:
    """What is written, by its path."""
    found = entries()
    return {PAGE: page(found), **{f"{FOLDER}/{e.name}.svg": str(e.picture) for e in found}}


def main() -> None:
    """Write everything anew."""
    for path, content in files().items():
        Path(path).write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
