"""Dense layers, activations and losses on the first article's arrays, to every digit it prints.

Two layers whose weights are 0.1 times NumPy's legacy random numbers of seed 42; ReLU and softmax;
mean squared error and categorical cross-entropy, whose probabilities the article clips.

    python examples/layers_activations_losses.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import nn

X = np.array([[0.0, 1, 2, 3], [3, 4, 5, 6], [5, 8, 9, 7]])

ARTICLE = {
    "first layer": """
        0.30669248 0.17604699 0.16118867 0.37917194 0.3990861  0.41789485 0.16174311 0.18462417 0.36694732 0.17045874
        0.79104919 0.84523964 0.73767852 1.01704543 0.92694979 0.99778655 0.42172713 0.7854759  1.05985961 0.61623013
        1.17968666 1.4961964  1.34041738 1.46314607 1.3098747  1.49725738 0.66537164 1.38407469 1.65824975 0.93693172
    """,
    "second layer": """
        0.13752772 0.14604601 0.11783941
        0.40980827 0.43072277 0.37302534
        0.64268134 0.67249739 0.58861158
    """,
    "softmax of [2, 3, 4]": "0.09003057 0.24472847 0.66524096",
    "softmax of the rows": """
        0.0320586  0.08714432 0.23688282 0.64391426
        0.0320586  0.08714432 0.23688282 0.64391426
        0.01203764 0.24178252 0.65723302 0.08894682
    """,
    "mean squared error": "0.3333333333333333",
    "cross-entropy": "0.5108256237659907",
}


def article_layers() -> tuple[nn.Linear, nn.Linear]:
    """4 to 10 and 10 to 3 units with the article's weights; biases start at 0."""
    random = np.random.RandomState(42)
    first = nn.Linear(4, 10, init=0.1 * random.rand(4, 10), dtype="float64")
    second = nn.Linear(10, 3, init=0.1 * random.rand(10, 3), dtype="float64")
    return first, second


def clipped_cross_entropy(probabilities: gg.Tensor, target: gg.Tensor) -> gg.Tensor:
    """-mean log p[class] with p clipped to [1e-7, 1 - 1e-7]: a loss of one's own, as `fit` takes."""
    kept = gg.minimum(gg.maximum(probabilities, 1e-7), 1 - 1e-7)
    return -gg.log((kept * target).sum(axis=1)).mean()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    argparse.ArgumentParser(description="The first article's arrays.").parse_args(arguments)
    first, second = article_layers()
    hidden = first(X)
    ours = {
        "first layer": hidden.numpy(),
        "second layer": second(hidden).numpy(),
        "softmax of [2, 3, 4]": nn.softmax(gg.tensor([2, 3, 4], "float64")).numpy(),
        "softmax of the rows": nn.softmax(gg.tensor(X)).numpy(),
        "mean squared error": nn.losses.mse(
            gg.tensor([0, 1, 1], "float64"), gg.tensor([0, 1, 2], "float64")
        ).numpy(),
        "cross-entropy": clipped_cross_entropy(
            gg.tensor([[0.6, 0.3, 0.1]], "float64"), gg.tensor([[1, 0, 0]], "float64")
        ).numpy(),
    }
    figures: dict[str, Any] = {}
    for name, printed in ARTICLE.items():
        theirs = np.array(printed.split(), dtype=np.float64).reshape(ours[name].shape)
        one = theirs.ndim == 0
        same = bool(((ours[name] if one else ours[name].round(8)) == theirs).all())
        figures[name] = {"article": theirs, "ours": ours[name], "same": same}
        print(f"{name}: {'every printed digit as in the article' if same else 'NOT the same'}")
        if one:
            print(f"article {theirs}, ours {ours[name]}\n")
        else:
            print(np.array2string(ours[name].round(8), max_line_width=120), "\n")

    print(f"ReLU of X - 4, which sets what is below 0 to 0:\n{nn.relu(gg.tensor(X - 4)).numpy()}\n")

    # Sure and wrong: clipping caps the loss, and with it ends the gradient that would correct it.
    scores = gg.tensor([[50, 0, 0]], "float64")
    truth = gg.tensor([[0, 1, 0]], "float64")
    capped = gg.value_and_grad(lambda z: clipped_cross_entropy(nn.softmax(z), truth))(scores)
    exact = gg.value_and_grad(lambda z: nn.losses.cross_entropy(z, truth))(scores)
    print("the cross-entropy of scores [50, 0, 0] where the second class is right:")
    for name, (loss, gradient) in (("clipped probabilities", capped), ("scores, as here", exact)):
        print(f"  from {name:24} loss {loss.item():8.4f}   gradient {gradient.numpy()[0].round(4)}")
        figures[name] = loss.item(), gradient.numpy()[0]
    return figures


if __name__ == "__main__":
    main()
