"""The examples, run as a reader runs them: their figures beside the articles'."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

from examples import (
    characters,
    circles,
    digits_cnn,
    gates,
    layers_activations_losses,
    line,
    neuron_and_network,
    photographs,
    shakespeare,
    spiral,
    table,
    two_halves,
)
from glassgrad import data
from tests.conftest import data_dir, require

EXAMPLES = sorted(Path(neuron_and_network.__file__).parent.glob("*.py"))


def is_picture(file: Path) -> bool:
    return ET.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_a_program_that_explains_itself(file: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(file), "--help"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "usage:" in ran.stdout


def test_every_article_has_its_example_and_none_is_untested() -> None:
    assert [file.stem for file in EXAMPLES] == [
        "characters", "circles", "digits_cnn", "gates", "layers_activations_losses", "line",
        "neuron_and_network", "photographs", "shakespeare", "spiral", "table", "two_halves",
    ]  # fmt: skip


# ------------------------------------------------------------------------- neuron and network


def test_neuron_and_network(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    svg = tmp_path / "people.svg"
    found = neuron_and_network.main(["--starts", "50", "--kg", "70", "--cm", "170", f"--svg={svg}"])
    assert found["network"] == 0.7216325609518421  # to every digit
    assert found["neuron"] == pytest.approx(1 / (1 + np.exp(-3)), rel=1e-15)
    assert found["mse"] == 0.5
    answers = found["answers"]
    assert answers.shape == (50, 2)
    assert (answers[:, 0] > 0.5).all(), "Emily is on the right side from every start"
    assert (answers[:, 1] < 0.5).all(), "Frank is on the right side from every start"
    # The article drew its nine numbers without a seed and reached 0.951 and 0.039.
    assert answers[:, 0].min() < 0.951 < answers[:, 0].max()
    assert np.median(answers[:, 1]) == pytest.approx(0.039, abs=0.001)
    assert found["loss"][-1] < 0.01 * found["loss"][0]
    printed = capsys.readouterr().out
    for figure in ("0.7216325609518421", "0.951", "0.039", "70 kg and 170 cm"):
        assert figure in printed
    assert is_picture(svg)


def test_the_articles_gradient_is_that_of_our_loss() -> None:
    """One round of the four people, by the chain rule written out and by `fit`."""
    trained = neuron_and_network.train(seed=3)[0].state_dict()
    state = neuron_and_network.train(seed=3, epochs=0)[0].state_dict()
    W, b = state["hidden.weight"], state["hidden.bias"]
    v, c = state["output.weight"][:, 0], state["output.bias"]
    x, y = data.people()

    def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-z))

    for _ in range(1000):
        for row, target in zip(x.astype(np.float64), y.ravel(), strict=True):
            h = sigmoid(row @ W + b)
            p = sigmoid(h @ v + c)
            dz = -2 * (target - p) * p * (1 - p)  # the article's -2 (y - p): mse of one number
            dh = dz * v * h * (1 - h)
            v, c = v - 0.1 * dz * h, c - 0.1 * dz
            W, b = W - 0.1 * np.outer(row, dh), b - 0.1 * dh
    assert np.allclose(trained["hidden.weight"], W, rtol=1e-9)
    assert np.allclose(trained["hidden.bias"], b, rtol=1e-9)
    assert np.allclose(trained["output.weight"][:, 0], v, rtol=1e-9)
    assert np.allclose(trained["output.bias"], c, rtol=1e-9)


def test_the_article_swaps_weight_and_height() -> None:
    """Its Steve, 182 kg and 73 cm, is male at 0.040; so is the man that was meant."""
    swapped = neuron_and_network.main(["--starts", "1", "--kg", "182", "--cm", "73"])
    meant = neuron_and_network.main(["--starts", "1", "--kg", "73", "--cm", "182"])
    assert swapped["you"] == pytest.approx(0.040, abs=0.01)
    assert meant["you"] == pytest.approx(0.040, abs=0.01)


# ------------------------------------------------------------------------------------- the line


def test_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    svg = tmp_path / "line.svg"
    found = line.main(["--svg", str(svg)])
    assert found["descent"] == pytest.approx(found["formula"], rel=1e-12)
    x, y = (column[:, 0].astype(np.float64) for column in data.noisy_line())
    assert found["formula"] == pytest.approx(tuple(np.polyfit(x, y, 1)), rel=1e-12)
    assert found["formula"] == pytest.approx((2.0, 1.0), abs=0.1)
    assert (np.diff(found["losses"]) <= 1e-15).all(), "every step goes down"
    printed = capsys.readouterr().out
    slope, intercept = found["formula"]
    assert f"{slope:.14f}"[:-3] in printed
    assert f"{intercept:.14f}"[:-3] in printed
    assert is_picture(svg)


# ------------------------------------------------------------- layers, activations and losses


def test_layers_activations_losses(capsys: pytest.CaptureFixture[str]) -> None:
    found = layers_activations_losses.main([])
    for name in layers_activations_losses.ARTICLE:
        assert found[name]["same"], name
    assert found["mean squared error"]["ours"] == 0.3333333333333333
    assert found["cross-entropy"]["ours"] == 0.5108256237659907
    loss, gradient = found["clipped probabilities"]
    assert loss == pytest.approx(-np.log(1e-7), rel=1e-15)
    assert (gradient == 0).all(), "clipped, nothing is learnt from the worst mistake"
    loss, gradient = found["scores, as here"]
    assert loss == pytest.approx(50, rel=1e-15)
    assert gradient == pytest.approx([1, -1, 0], abs=1e-15)
    printed = capsys.readouterr().out
    for article in layers_activations_losses.ARTICLE.values():
        for number in article.split():
            assert number in printed


def test_the_articles_clipping_on_both_sides() -> None:
    import glassgrad as gg

    sure = gg.tensor([[1.0, 0.0]], "float64")
    right, wrong = gg.tensor([[1.0, 0.0]], "float64"), gg.tensor([[0.0, 1.0]], "float64")
    loss = layers_activations_losses.clipped_cross_entropy
    assert loss(sure, right).item() == -np.log(1 - 1e-7)
    assert loss(sure, wrong).item() == -np.log(1e-7)


# ----------------------------------------------------------------------------------- the spiral


def test_spiral(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    svg = tmp_path / "spiral.svg"
    found = spiral.main(["--svg", str(svg)])
    assert found["untrained"] == pytest.approx([1.0987] * 10, abs=1e-4)
    assert found["untrained"] == pytest.approx([1.0987351566171433] * 10, abs=1e-4)
    assert len(found["accuracies"]) == 10
    assert np.median(found["accuracies"]) >= 0.98
    assert "1.09874" in capsys.readouterr().out
    assert is_picture(svg)


# ---------------------------------------------------------------------------------- the circles


def test_circles(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    svg = tmp_path / "circles.svg"
    found = circles.main(["--svg", str(svg)])
    assert len(found["chosen"]) == 10
    assert found["mean"]["chosen"] >= 0.82
    assert found["mean"]["chosen"] > found["mean"]["article"]
    assert found["mean"]["chosen"] > found["mean"]["best"] - 0.02
    assert all(recipe.hidden <= 16 for recipe in circles.RECIPES)
    assert "0.750" in capsys.readouterr().out
    assert is_picture(svg)


def test_circles_on_the_articles_points() -> None:
    """scikit-learn's draw: the article's figure comes back, and the ceiling there is 0.828."""
    require("sklearn.datasets")
    found = circles.main(["--article-points"])
    assert found["mean"]["article"] == pytest.approx(circles.ARTICLE_ACCURACY, abs=0.02)
    assert found["mean"]["best"] == pytest.approx(0.828, abs=0.001)
    assert found["mean"]["chosen"] > found["mean"]["best"] - 0.02


def test_nobody_can_do_better_than_84_in_100_on_average() -> None:
    rates = []
    for seed in range(40):
        x, y = data.circles(seed=seed)
        rates.append((circles.best_possible(x) == y).mean())
    assert np.mean(rates) == pytest.approx(0.84, abs=0.005)


# ------------------------------------------------------------------------------------ the gates


def test_gates(capsys: pytest.CaptureFixture[str]) -> None:
    found = gates.main([])
    assert found["starts"] == 20
    assert found["learnt"] == dict.fromkeys(data.GATES, 20)
    assert "xor" in capsys.readouterr().out


# ------------------------------------------------------------------- the convolutional network


@pytest.fixture(scope="module")
def mnist() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found = data.mnist(data_dir("mnist"))
    return found.x[:2000].astype(np.float64), np.eye(10)[found.y[:2000]]


def article_errors(
    row: digits_cnn.Row, x: NDArray[np.float64], y: NDArray[np.float64]
) -> list[float]:
    """The error of each digit before its update: the article's recipe with other arithmetic."""
    signal = require("scipy.signal")
    random = np.random.RandomState(0)
    kernels = [
        (random.rand(3, 3, 1, 1)[:, :, 0, 0] - 0.5, random.rand(1)[0] - 0.5)
        for _ in range(row.convolutions)
    ]
    side = 28 - 2 * row.convolutions
    W, b = random.rand(side * side, 100) - 0.5, random.rand(1, 100) - 0.5
    V, c = random.rand(100, 10) - 0.5, random.rand(1, 10) - 0.5
    soft = row.output.__name__ == "Softmax"
    errors = []
    for image, target in zip(x[:, 0], y, strict=True):
        maps = [image]
        for kernel, bias in kernels:
            maps.append(np.tanh(signal.correlate2d(maps[-1], kernel, "valid") + bias))
        flat = maps[-1].reshape(1, -1)
        hidden = np.tanh(flat @ W + b)
        z = (hidden @ V + c)[0]
        if soft:
            p = np.exp(z) / np.exp(z).sum()
            jacobian = np.diag(p) - np.outer(p, p)  # whole: the article keeps its diagonal
        else:
            p = np.tanh(z)
            jacobian = np.diag(1 - p**2)
        errors.append(float(((p - target) ** 2).mean()))
        dz = (2 * (p - target) / 10 @ jacobian)[None]
        dh = dz @ V.T * (1 - hidden**2)
        dmap = (dh @ W.T).reshape(side, side)
        V, c = V - 0.1 * hidden.T @ dz, c - 0.1 * dz
        W, b = W - 0.1 * flat.T @ dh, b - 0.1 * dh
        for i in reversed(range(len(kernels))):
            kernel, bias = kernels[i]
            dmap = dmap * (1 - maps[i + 1] ** 2)
            dkernel = signal.correlate2d(maps[i], dmap, "valid")
            kernels[i] = kernel - 0.1 * dkernel, bias - 0.1 * dmap.sum()
            dmap = signal.convolve2d(dmap, kernel, "full")
    return errors


MNIST = tuple[NDArray[np.float64], NDArray[np.float64]]


@pytest.mark.parametrize("name", digits_cnn.ROWS)
def test_digits_cnn_is_the_articles_network(name: str, mnist: MNIST) -> None:
    """The first ten digits, in all four networks, before rounding can grow."""
    row, (x, y) = digits_cnn.ROWS[name], (mnist[0][:10], mnist[1][:10])
    _, errors = digits_cnn.train(row, x, y, epochs=1)
    assert errors == pytest.approx([np.mean(article_errors(row, x, y))], rel=1e-9)


@pytest.mark.parametrize("name", ["2-softmax", "1-softmax"])
def test_digits_cnn_effect_of_epochs(name: str, mnist: MNIST) -> None:
    """Epochs 5 and 7, where the reference runs with the true derivative print five digits."""
    row = digits_cnn.ROWS[name]
    _, errors = digits_cnn.train(row, *mnist, epochs=7)
    for epoch in (5, 7):
        assert errors[epoch - 1] == pytest.approx(row.again[epoch], abs=5.1e-6)
    assert (np.diff(errors) < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2-softmax", "1-softmax"])
def test_digits_cnn_table_at_100_epochs(name: str, mnist: MNIST) -> None:
    """The table's softmax rows, in full, within 3 % (they agree far better)."""
    row = digits_cnn.ROWS[name]
    _, errors = digits_cnn.train(row, *mnist, epochs=100)
    assert errors[99] == pytest.approx(row.again[100], rel=0.03)


@pytest.mark.parametrize("name", ["2-tanh", "1-tanh"])
def test_the_tanh_rows_are_a_lottery(name: str, mnist: MNIST) -> None:
    """A change of one first weight in its last digit is a million times larger after 1,000 digits.

    Ending within 3 % of a printed figure is then chance, whoever computes it, so none is asserted
    at 100 epochs; that the network is the article's, the first ten digits show.
    """
    row, (x, y) = digits_cnn.ROWS[name], (mnist[0][:1000], mnist[1][:1000])
    _, plain = digits_cnn.train(row, x, y, epochs=1)
    _, nudged = digits_cnn.train(row, x, y, epochs=1, nudge=1e-15)
    assert nudged != pytest.approx(plain, rel=1e-9)
    steady = digits_cnn.ROWS[name.replace("tanh", "softmax")]
    _, plain = digits_cnn.train(steady, x, y, epochs=1)
    _, nudged = digits_cnn.train(steady, x, y, epochs=1, nudge=1e-15)
    assert nudged == pytest.approx(plain, rel=1e-12)


def test_digits_cnn_prints_the_table_and_predicts(
    capsys: pytest.CaptureFixture[str], mnist: MNIST
) -> None:
    folder = str(data_dir("mnist"))
    found = digits_cnn.main(["--epochs", "2", "--rows", "1-softmax", "2-softmax", "--data", folder])
    assert found["2-softmax"]["errors"][0] == pytest.approx(0.06650, abs=5.1e-6)
    assert found["1-softmax"]["errors"][0] == pytest.approx(0.06471, abs=5.1e-6)
    test = found["test"]
    assert test["answers"].argmax(axis=1).tolist() == [7, 2, 1]
    assert test["accuracy"] > 0.7
    printed = capsys.readouterr().out
    assert "diagonal" in printed
    assert "true derivative" in printed
    assert "a 7: it says 7" in printed


# ------------------------------------------------------------------- tables, texts, several inputs


def test_a_table_is_learnt_almost_as_well_as_its_noise_allows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "homes.csv"
    found = table.main(["--csv", str(file)])
    everything, nothing_empty = found["mean"]
    assert nothing_empty < 1.15 * table.NOISE
    assert nothing_empty < everything, "where size or town is not said, nobody can know"
    ulm, jena, _ = found["answers"]
    assert ulm == pytest.approx(80 * table.PRICES["Ulm"] + 12, abs=table.NOISE)
    assert jena == pytest.approx(80 * table.PRICES["Jena"] + 12, abs=table.NOISE)
    assert "best possible" in capsys.readouterr().out
    assert data.read_csv(file).names == ("size", "town", "floor", "price")


def test_numbers_are_counted_in_words_as_english_has_it() -> None:
    words = [characters.in_words(n) for n in (0, 13, 40, 99, 100, 110, 342, 999)]
    assert words == [
        "zero", "thirteen", "forty", "ninety-nine", "one hundred", "one hundred and ten",
        "three hundred and forty-two", "nine hundred and ninety-nine",
    ]  # fmt: skip
    assert len(characters.NUMBERS) == 1000


def test_character_models_write_what_they_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = characters.main([])
    for figures in found.values():
        assert figures["val_loss"][-1] < 0.5
        assert figures["lines"] > 10
        assert figures["right"] > 0.7 * figures["lines"]
    assert "lines are numbers" in capsys.readouterr().out
    play = tmp_path / "play.txt"
    play.write_text("no end of words " * 40)  # of one line
    found = characters.main(["--text", str(play), "--epochs", "1", "--context", "8"])
    assert found["gpt"]["lines"] == 0


def test_a_transformer_learns_a_text_and_writes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    play = tmp_path / "play.txt.gz"
    play.write_bytes(gzip.compress(b"to be or not to be, " * 300))
    small = ["--context", "16", "--width", "32", "--layers", "1", "--steps", "250"]
    found = shakespeare.main([str(play), *small, "--write", "60"])
    assert found["val_loss"][-1] < 0.1
    assert "to be" in found["written"]
    assert found["written"] in capsys.readouterr().out


def test_a_residual_network_of_twenty_layers_learns_photographs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = photographs.resnet()
    model(np.zeros((2, 3, 32, 32), np.float32))
    layers = [p for p in model.parameters() if p.name.endswith("weight") and p.shape[-1] != 1]
    assert len([p for p in layers if len(p.shape) > 1]) == 20
    # 269,722 parameters of the paper's network on CIFAR-10, and two shortcuts of 1 by 1.
    assert sum(p.numpy().size for p in model.parameters()) == 269_722 + 16 * 32 + 32 * 64
    folder = str(data_dir("cifar10"))
    small = ["--images", "320", "--test", "64", "--blocks", "1", "--epochs", "2"]
    found = photographs.main(["--data", folder, *small])
    assert found["loss"] < 10
    assert "photographs it has not seen" in capsys.readouterr().out


def test_two_halves_give_the_digit_and_whether_it_is_odd(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    svg = tmp_path / "halves.svg"
    found = two_halves.main(["--seeds", "2", f"--svg={svg}"])
    for digit, odd in found.values():
        assert digit[0] > 0.93
        assert odd[0] > 0.85
    shared, apart = (
        sum(p.numpy().size for p in two_halves_model(one).parameters()) for one in (True, False)
    )
    assert apart - shared == 32 * 33, "a shared branch is there once"
    assert "one branch " in capsys.readouterr().out
    assert is_picture(svg)


def two_halves_model(shared: bool) -> two_halves.Halves:
    """The network, its sizes known."""
    model = two_halves.Halves(shared)
    half = np.zeros((1, 1, 4, 8), np.float32)
    model(half, half)
    return model
