"""Draw the pictures of the README and docs: run from the project's root."""

from pathlib import Path

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.inspect.plots import decision_boundary


def main() -> None:
    x, y = data.spiral(seed=0)
    model = nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3))
    gg.fit(model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2), epochs=300, verbose=False)

    def score(points: np.ndarray) -> np.ndarray:
        return gg.predict(model, points.astype(np.float32))

    picture = decision_boundary(score, x, y, "spiral: 2-64-3 after 300 steps")
    Path("docs/pictures/spiral.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
