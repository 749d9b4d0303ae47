"""The defaults do what their table says, and every text that names layers means one thing."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import example, given, strategies as st

import glassgrad as gg
from glassgrad import data
from glassgrad.cli.recipes import network_of, optimizer_of, parse_layers, recipe_for
from glassgrad.cli.train import record_of, scored, trained
from glassgrad.errors import ConfigError
from tests.conftest import data_dir


def accuracies(name: str, seeds: range, **given: object) -> list[float]:
    folder = data_dir("mnist") if name == "mnist" else None
    rows = data.load(name, folder)
    found = []
    for seed in seeds:
        record = record_of(recipe_for(name, {**given, "seed": seed}), rows)
        trained(record, name, quiet=True)
        x, y = (rows.x, rows.y) if rows.x_test is None else (rows.x_test, rows.y_test)
        found.append(scored(record, x, y)["accuracy"])
    return found


def test_digits() -> None:
    assert statistics.mean(accuracies("digits", range(10))) >= 0.97


@pytest.mark.parametrize("name", data.GATES)
def test_every_gate_is_learnt_from_20_starts(name: str) -> None:
    recipe = recipe_for(name, {})
    assert recipe.layers.startswith("4-")
    assert accuracies(name, range(20)) == [1.0] * 20


def test_the_drawn_sets() -> None:
    assert min(accuracies("people", range(10))) == 1.0
    assert statistics.median(accuracies("spiral", range(5))) >= 0.98
    assert statistics.mean(accuracies("moons", range(3))) >= 0.99
    assert statistics.mean(accuracies("circles", range(3))) >= 0.77


@pytest.mark.slow
def test_mnist_dense() -> None:
    found = accuracies("mnist", range(5), layers="128-relu", epochs=5)
    assert statistics.median(found) >= 0.960, found


@pytest.mark.slow
def test_mnist_lenet() -> None:
    found = accuracies("mnist", range(5), model="lenet", epochs=3)
    assert statistics.median(found) >= 0.974, found


def test_what_is_asked_for_is_what_is_made() -> None:
    given = {"layers": "16-tanh, dropout:0.1, batchnorm,8, layernorm", "optimizer": "momentum"}
    recipe = recipe_for("digits", {**given, "batch_size": "all", "dtype": "float64"})
    model = network_of(recipe)
    kinds = [type(m).__name__ for m in model]  # type: ignore[attr-defined]  # a Sequential
    assert kinds == [
        "Flatten", "Linear", "Tanh", "Dropout", "BatchNorm1d", "Linear", "LayerNorm", "Linear",
    ]  # fmt: skip
    assert model.dtype() == "float64"
    assert recipe.batch_size is None
    assert repr(optimizer_of(recipe.optimizer, recipe.lr)) == "SGD(0.05, momentum=0.9)"
    assert recipe_for("digits", {"model": "mlp"}).layers == "128-relu"
    assert recipe_for("mnist", {"model": "lenet"}).epochs == 3
    assert recipe_for("mnist", {"model": "lenet", "epochs": 7}).epochs == 7
    assert parse_layers("none") == []
    made = network_of(recipe_for("digits", {"layers": "8-relu6,8-logsigmoid,8-hardswish"}))
    names = [type(m).__name__ for m in made]  # type: ignore[attr-defined]  # a Sequential
    assert names[2::2] == ["ReLU6", "LogSigmoid", "Hardswish"]
    assert recipe_for("digits", {"optimizer": "adam"}).lr == recipe_for("digits", {}).lr


@given(st.text("0123456789-,:.relutanhdop batchnormx\x1b\u0663[]", max_size=30))
@example("dropout:0")
@example("dropout:.5")
@example("00000000000000000001")
def test_any_text_gives_layers_or_a_config_error(text: str) -> None:
    try:
        layers = parse_layers(text)
    except ConfigError as error:
        fine = error.where.startswith("--layers") and bool(error.expected)
    else:
        fine = all(layer.kind != "units" or 1 <= layer.value <= 10**6 for layer in layers)
    assert fine


def test_data_sets_and_recipes_agree() -> None:
    for name in data.NAMES:
        if name not in ("mnist", "fashion-mnist"):
            rows, recipe = data.load(name), recipe_for(name, {})
            assert rows.x.shape[1:] == recipe.shape
            model = network_of(recipe)
            assert gg.predict(model, rows.x[:2]).shape == (2, recipe.outputs)
            classes = len(rows.classes) if rows.task == "classification" else 1
            assert classes == recipe.outputs
