"""We never read a pickle; but our objects are plain data, so that others may pickle and copy them."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim, train
from glassgrad.data.preparation import TablePreparation, Target
from glassgrad.data.table import Table
from glassgrad.files import Labels, Preparation
from glassgrad.files.weights import read_tensors

CORPUS = Path(__file__).parent / "corpus"
NAMES = sorted(file.stem for file in CORPUS.glob("*.glass"))
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "oldest pickle": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "deep copy": copy.deepcopy,
    "copy": copy.copy,
}
X, Y = data.spiral(points_per_class=10, seed=0)


@pytest.fixture(params=WAYS)
def again(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


def fitted(**how: Any) -> tuple[nn.Module, train.History]:
    model = nn.Sequential(nn.Linear(8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3))
    usual: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam", "epochs": 2}
    return model, gg.fit(model, X, Y, verbose=False, **{**usual, **how})


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(np.array_equal(a, b))


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_model_predicts_the_same(name: str, again: Callable[[Any], Any]) -> None:
    model = gg.load(CORPUS / f"{name}.glass")
    arrays = read_tensors((CORPUS / f"{name}.safetensors").read_bytes(), name)
    x: Any = {k[6:]: v for k, v in arrays.items() if k.startswith("input.")}
    x = x["x"] if list(x) == ["x"] else x
    found = again(model)
    assert same(gg.predict(found, x), gg.predict(model, x))
    assert found.labels == model.labels
    assert found._fitted == model._fitted
    assert repr(found) == repr(model)
    assert list(found.state_dict()) == list(model.state_dict())


def test_a_fitted_model_predicts_the_same_and_trains_on(again: Callable[[Any], Any]) -> None:
    model, history = fitted()
    found, columns = again(model), again(history)
    assert same(gg.predict(found, X), gg.predict(model, X))
    assert found._fitted == model._fitted
    assert (dict(columns), columns.seconds) == (dict(history), history.seconds)
    assert columns.record is None
    gg.fit(found, X, Y, loss="cross_entropy", optimizer="sgd", epochs=1, verbose=False)


def test_an_unfitted_model_is_drawn_alike(again: Callable[[Any], Any]) -> None:
    model = nn.Sequential(nn.Linear(4), nn.ReLU(), nn.Linear(3))
    assert same(gg.predict(again(model), X), gg.predict(model, X))


def test_tensors_keep_their_numbers_and_not_how_they_came_about(
    again: Callable[[Any], Any],
) -> None:
    w = gg.Parameter([1.0, 2.0], name="w")
    (w * w).sum().backward()
    found = again(w)
    assert (found.name, found.requires_grad) == ("w", True)
    assert same(found.numpy(), w.numpy())
    assert same(found.grad.numpy(), [2.0, 4.0])
    product = w * 3
    assert same(again(product).numpy(), [3.0, 6.0])
    product.sum().backward()  # the original still knows
    assert same(again(gg.Buffer([1.0])).numpy(), [1.0])


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(optim).values()
        if inspect.isclass(kind) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
    ],
)  # fmt: skip
def test_an_optimiser_goes_on_where_it_was(kind: type, again: Callable[[Any], Any]) -> None:
    optimizer = kind(0.1)
    found = again(optimizer)
    assert repr(found) == repr(optimizer)
    first, history = fitted(optimizer=optimizer, epochs=1)
    second, other = fitted(optimizer=found, epochs=1)
    assert dict(history) == dict(other)
    assert same(first.state_dict(), second.state_dict())


def test_an_optimiser_in_eager_use_is_copied_with_its_state(again: Callable[[Any], Any]) -> None:
    model = nn.Linear(2, 3)
    pair = (model, optim.Adam(0.1).bind(model))

    def step(model: nn.Module, optimizer: optim.Optimizer) -> None:
        optimizer.zero_grad()
        nn.losses.cross_entropy(model(gg.tensor(X)), gg.tensor(Y)).backward()
        optimizer.step()

    step(*pair)
    other = copy.deepcopy(pair) if again is WAYS["copy"] else again(pair)
    step(*pair)
    step(*other)
    assert same(other[0].state_dict(), model.state_dict())


SCHEDULES = (
    optim.Constant(0.1), optim.Step(0.1, every=3), optim.OneCycle(0.1, steps=9),
    optim.WarmUp(3, then=optim.CosineAnnealing(0.1, steps=9)),
    optim.PiecewiseConstant([0.1, 0.01], [3]),
)  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_says_the_same_rates(
    schedule: optim.Schedule, again: Callable[[Any], Any]
) -> None:
    wanted = [schedule(t) for t in range(1, 12)]  # its text is compiled by now
    assert [again(schedule)(t) for t in range(1, 12)] == wanted
    assert repr(again(schedule)) == repr(schedule)


def test_what_numbers_mean_is_copied(again: Callable[[Any], Any]) -> None:
    table = Table({"age": ["1", ""], "town": ["Ulm", "Bonn"], "price": ["1", "2"]})
    how = TablePreparation.fit(table, target=Target("price"))
    found = again(how)
    assert found == how
    assert found.features == how.features
    assert same(found(table), how(table))
    for thing in (
        Labels(("a",), preparation=how), Preparation((0.0,), (2.0,)), how.columns[0],
    ):  # fmt: skip
        assert again(thing) == thing


def test_losses_callbacks_and_changes_of_rows_are_copied(again: Callable[[Any], Any]) -> None:
    weighted = nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])
    weighted(gg.tensor([[1.0, 2.0, 3.0]]), gg.tensor([1]))
    for thing in (weighted, data.Augment(flip=True, shift=2), nn.HuberLoss(delta=2.0)):
        assert repr(again(thing)) == repr(thing)
    for callback in (train.EarlyStopping("loss"), train.ReduceLROnPlateau("loss")):
        fitted(callbacks=(callback,))
        assert vars(again(callback)).keys() == vars(callback).keys()


def test_a_pickle_of_ours_names_nothing_but_our_classes_and_numpy() -> None:
    """It refers to no function of the user, no compiled text, no lambda."""
    named: set[tuple[str, str]] = set()

    class Noting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add((module, name))
            return super().find_class(module, name)

    model, history = fitted(optimizer=optim.SGD(SCHEDULES[3]))
    for thing in (model, history, gg.load(CORPUS / "v1-table.glass"), *SCHEDULES):
        Noting(io.BytesIO(pickle.dumps(thing))).load()
    for module, name in named:
        package = module.split(".", 1)[0]
        assert package in ("glassgrad", "numpy", "copyreg", "builtins", "collections"), (
            module,
            name,
        )
        if package == "glassgrad":
            assert inspect.isclass(getattr(__import__(module, fromlist=[name]), name)), name
        elif package == "builtins":
            assert name in ("object", "slice", "set", "frozenset", "bytearray"), name
