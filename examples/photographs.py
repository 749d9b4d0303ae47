"""A residual network of twenty layers learns to tell ten kinds of small photographs apart.

ResNet-20 of K. He et al. (arXiv:1512.03385) on CIFAR-10: the images are flipped and moved by up
to four pixels while it learns, the rate rises and falls once. Reads cifar10 from --data or
GLASSGRAD_DATA, as many of its training batches as are there, and tests on the first --test of its
test images.

    python examples/photographs.py --epochs 2     # a minute
    python examples/photographs.py                # half an hour on two cores for one batch of 10,000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import data, nn, optim


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions beside a way around them; where channels change, every second pixel stays."""
    changed = inputs != outputs
    short = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False) if changed else None
    return nn.Sequential(
        nn.Residual(
            nn.Conv2d(inputs, outputs, 3, stride=2 if changed else 1, padding=1, bias=False),
            nn.BatchNorm2d(),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(),
            shortcut=short,
        ),
        nn.ReLU(),
    )


def resnet(blocks: int = 3, width: int = 16) -> nn.Sequential:
    """Three stages of `blocks` blocks, of width, 2 width and 4 width channels: 6 blocks + 2 layers."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(), nn.ReLU()
    ]  # fmt: skip
    before = width
    for stage in (width, 2 * width, 4 * width):
        for _ in range(blocks):
            layers.append(block(before, stage))
            before = stage
    return nn.Sequential(*layers, nn.GlobalAvgPool(), nn.Linear(4 * width, 10))


def standardised(images: Any, like: NDArray[Any]) -> NDArray[np.float32]:
    """Bytes as numbers of mean 0 and spread 1 in each channel, by the training images' own."""
    pixels = like[:1000].astype(np.float32)
    mean, spread = (f(axis=(0, 2, 3), keepdims=True) for f in (pixels.mean, pixels.std))
    return np.asarray((np.asarray(images, np.float32) - mean) / spread)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="ResNet-20 on CIFAR-10.")
    parser.add_argument("--data", help="the folder that contains cifar10/")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--images", type=int, help="train on so many only")
    parser.add_argument("--test", type=int, default=1000, help="test on so many")
    parser.add_argument("--blocks", type=int, default=3, help="in each of the three stages")
    parser.add_argument("--lr", type=float, default=0.1, help="the highest rate")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    photographs = data.cifar10(options.data)
    raw, labels = np.asarray(photographs.x)[: options.images], photographs.y[: options.images]
    raw_test, y_test = np.asarray(photographs.x_test), np.asarray(photographs.y_test)
    x, x_test = standardised(raw, raw), standardised(raw_test[: options.test], raw)
    batch = 64
    steps = options.epochs * -(-len(x) // batch)
    model = resnet(options.blocks)
    began = time.perf_counter()
    gg.fit(
        model, x, labels, loss="cross_entropy", epochs=options.epochs, batch_size=batch,
        augment=data.Augment(flip=True, shift=4), seed=options.seed,
        optimizer=optim.SGD(
            optim.OneCycle(options.lr, steps=steps, share_up=0.2), momentum=0.9, nesterov=True,
            weight_decay=5e-4,
        ),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    scores = gg.evaluate(
        model, x_test, y_test[: options.test], loss="cross_entropy", metrics=("accuracy",)
    )
    print(
        f"\nright on {scores['accuracy']:.3f} of {len(x_test):,} photographs it has not seen, after {seconds:.0f} s"
    )
    return {**scores, "seconds": seconds}


if __name__ == "__main__":
    main()
