"""What a `.glass` file says beside the network: training, history, signature, rows to check by."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim, train
from glassgrad.data.preparation import Numeric, TablePreparation, Target
from glassgrad.errors import ConfigError, FormatError, NonFiniteError, UsageError
from glassgrad.files import Fitted, Labels, check_rows, graph_member, manifest as manifests
from glassgrad.files.archive import unpack
from glassgrad.files.manifest import MANIFEST, MEMBERS, sealed
from glassgrad.files.model import fitted_of, from_bytes, to_bytes
from glassgrad.files.weights import read_tensors, write_tensors
from glassgrad.train.settings import settings_of
from glassgrad.train.trainer import Trainer
from glassgrad.train.verify import keep_figure
from tests.files.glass_cases import description

X, Y = data.spiral(points_per_class=20, seed=0)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))


def fit(model: nn.Module, **changes: Any) -> train.History:
    usual: dict[str, Any] = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 3}
    return gg.fit(model, X, Y, **{**usual, "verbose": False, **changes})


def members(data: bytes) -> dict[str, bytes]:
    return {name: bytes(found) for name, found in unpack(data).items()}


def test_fit_leaves_what_save_writes() -> None:
    model = net()
    history = fit(model, optimizer=optim.SGD(optim.Step(0.1, every=5)), batch_size=16, seed=7)
    loaded = from_bytes(to_bytes(model), check=True)
    fitted = fitted_of(loaded)
    assert fitted is not None
    assert fitted == fitted_of(model)
    assert fitted.settings == settings_of(history.record)
    assert fitted.settings["schedule"]["kind"] == "Step"
    assert (fitted.settings["seed"], fitted.settings["batch_size"]) == (7, 16)
    assert fitted.settings["backend"] == history.record.backend
    assert fitted.history == dict(history)
    assert fitted.verified == history.record.verified
    assert set(fitted.versions) == {"glassgrad", "python", "numpy"}


def test_a_model_that_was_never_fitted_says_so() -> None:
    found = members(to_bytes(net(), x=(2,)))
    assert json.loads(found["training.json"]) == {"dataset": "", "loss": "", "run": None}
    assert found["history.csv"] == b""
    assert json.loads(found["preparation.json"]) is None
    assert fitted_of(from_bytes(to_bytes(net(), x=(2,)))) is None


def test_the_last_run_is_the_one_that_is_told() -> None:
    model = net()
    fit(model, epochs=2)
    fit(model, epochs=4, seed=1)
    fitted = fitted_of(model)
    assert fitted is not None
    assert (fitted.epochs, fitted.settings["seed"]) == (4, 1)
    loaded = from_bytes(to_bytes(model))
    fit(loaded, epochs=1)
    again = fitted_of(from_bytes(to_bytes(loaded)))
    assert again is not None
    assert again.epochs == 1


def test_a_run_that_was_stopped_tells_how_far_it_came(tmp_path: Path) -> None:
    class Stop(train.Callback):
        every = 5

        def on_interval(self, run: train.Run) -> None:
            run.stop = True

    model = net()
    fit(model, batch_size=16, callbacks=(Stop(),))  # 60 rows: the fifth step is in epoch 2
    fitted = fitted_of(from_bytes(to_bytes(model)))
    assert fitted is not None
    assert (fitted.epochs, fitted.partial) == (2, True)


def test_a_checkpoint_in_the_middle_tells_the_epochs_so_far(tmp_path: Path) -> None:
    save = train.ModelCheckpoint(str(tmp_path / "{epoch}.glass"))
    fit(net(), epochs=3, callbacks=(save,))
    for epoch in (1, 2, 3):
        fitted = fitted_of(gg.load(tmp_path / f"{epoch}.glass", check=True))
        assert fitted is not None
        assert fitted.epochs == epoch


def test_weights_that_were_put_back_are_told() -> None:
    model = net()
    best = train.EarlyStopping("loss", patience=1, restore_best_weights=True, min_delta=10.0)
    fit(model, epochs=9, callbacks=(best,))
    fitted = fitted_of(from_bytes(to_bytes(model)))
    assert fitted is not None
    assert fitted.kept == 1


def test_a_run_that_failed_before_its_first_step_leaves_the_last_one() -> None:
    model = net()
    fit(model, epochs=2)
    before = to_bytes(model)
    with pytest.raises(NonFiniteError):
        gg.fit(
            model, X * np.float32(1e38), np.zeros((len(X), 3)), loss="mse", optimizer="sgd",
            verbose=False,
        )  # fmt: skip
    assert to_bytes(model) == before


def test_the_history_is_that_of_the_run_to_the_last_digit() -> None:
    model = net()
    history = fit(model, validation_split=0.2)
    found = members(to_bytes(model))["history.csv"].decode()
    assert found == history.to_csv(seconds=False)
    assert found.splitlines()[0] == "epoch,loss,accuracy,val_loss,val_accuracy"


def test_what_fit_leaves_is_no_part_of_the_network() -> None:
    """A network that was fitted, and one with labels, has the plan that it had."""
    from glassgrad.nn.structure import structure

    model = net()
    before = structure(model)
    fit(model)
    model.labels = Labels(("a", "b", "c"))  # as loaded models have
    after = structure(model)
    assert before is not None
    assert after is not None
    assert before.key == after.key
    assert list(model.state_dict()) == list(net().state_dict())


def test_the_record_of_a_run_does_not_stay_with_the_model() -> None:
    """The rows of training may be large: what is left on the model is settings and numbers."""
    model = net()
    fit(model)
    assert isinstance(model._fitted, Fitted)
    json.dumps([model._fitted.plain(), model._fitted.history])


def test_the_signature_names_inputs_and_outputs() -> None:
    labels = Labels(
        ("no", "yes", "perhaps"), ("height", "width"), "classification", units=("cm", ""), unit=""
    )
    found = json.loads(members(to_bytes(net(), x=(2,), labels=labels))["signature.json"])
    assert found == {
        "task": "classification",
        "inputs": [
            {"name": "x", "dtype": "float32", "shape": ["n", 2], "columns": ["height", "width"],
             "units": ["cm", ""]}
        ],
        "outputs": [
            {"name": "prediction", "dtype": "float32", "shape": ["n", 3],
             "categories": ["no", "yes", "perhaps"], "unit": ""}
        ],
    }  # fmt: skip
    assert from_bytes(to_bytes(net(), x=(2,), labels=labels)).labels == labels


def test_the_columns_of_a_table_are_those_its_preparation_makes() -> None:
    how = TablePreparation((Numeric("age", indicator=True),), Target("price", 10.0, 2.0))
    labels = Labels(task="regression", preparation=how, unit="EUR", units=("years", ""))
    saved = to_bytes(net(), x=(2,), labels=labels)
    found = json.loads(members(saved)["signature.json"])
    assert found["inputs"][0]["columns"] == ["age", "age is empty"]
    assert found["outputs"][0]["unit"] == "EUR"
    assert from_bytes(saved).labels == labels
    with pytest.raises(ConfigError, match="does not fit the network"):
        to_bytes(nn.Linear(3, 1), x=(3,), labels=labels)
    with pytest.raises(ConfigError, match="one unit for each feature"):
        labels.but(units=("years",))
    with pytest.raises(ConfigError, match="not those that the preparation makes"):
        labels.but(features=("a", "b"))


def test_a_loaded_model_is_saved_as_the_same_bytes() -> None:
    model = net()
    fit(model)
    saved = to_bytes(model, labels=Labels(("a", "b", "c"), dataset="mine", loss="cross_entropy"))
    assert to_bytes(from_bytes(saved)) == saved


def test_two_equal_runs_differ_in_nothing_but_what_they_measured() -> None:
    first, second = net(), net()
    fit(first)
    fit(second)
    for model in (first, second):
        assert model._fitted is not None
        model._fitted.verified = None  # says whether there was time for it
    assert to_bytes(first) == to_bytes(second)


def test_check_finds_a_network_that_says_something_else() -> None:
    model = net()
    fit(model)
    found = members(to_bytes(model))
    name = "weights.safetensors"
    numbers = dict(read_tensors(found[name], name))
    numbers["linear1.weight"] = numbers["linear1.weight"] * np.float32(1.01)
    del found[MANIFEST]
    changed = sealed({**found, name: write_tensors(numbers)})
    from_bytes(changed)
    with pytest.raises(FormatError, match="does not give what it gave") as caught:
        from_bytes(changed, check=True)
    assert "output.prediction" in caught.value.where


def test_check_asks_for_the_same_to_the_stated_tolerance() -> None:
    model = nn.Linear(1, 1, dtype="float64", init=1.0)
    found = members(to_bytes(model, x=(1,)))
    del found[MANIFEST]
    name = "check.safetensors"
    rows = dict(read_tensors(found[name], name))
    for factor, fine in ((1 + 1e-11, True), (1 + 1e-8, False), (np.nan, False), (np.inf, False)):
        changed = {**rows, "output.prediction": rows["output.prediction"] * factor}
        data = sealed({**found, name: write_tensors(changed)})
        if fine:
            from_bytes(data, check=True)
        else:
            with pytest.raises(FormatError):
                from_bytes(data, check=True)


def test_numbers_that_are_not_finite_must_be_the_same_ones() -> None:
    class Root(nn.Module):
        def forward(self, x: Any) -> Any:
            return gg.log(x)  # nan of what is below 0

    saved = to_bytes(nn.Sequential(Root()), x=(4,))
    rows = read_tensors(members(saved)["check.safetensors"], "check")
    assert np.isnan(rows["output.prediction"]).any()
    from_bytes(saved, check=True)


def test_whole_numbers_go_in_where_the_network_takes_them() -> None:
    tokens = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(2))
    rows = read_tensors(
        members(to_bytes(tokens, x=np.array([[1, 2]])))["check.safetensors"], "check"
    )
    assert rows["input.x"].dtype == np.int64
    assert rows["input.x"].min() >= 0
    assert rows["input.x"].max() < 5


def test_a_network_that_refuses_the_rows_that_are_tried_is_saved_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> Any:
        raise UsageError("these rows do not suit me")

    with monkeypatch.context() as patch:
        patch.setattr(check_rows, "_outputs", refuse)
        saved = to_bytes(net(), x=(2,))
    from_bytes(saved)
    with pytest.raises(FormatError, match="no rows to check by"):
        from_bytes(saved, check=True)


def test_what_load_would_refuse_is_not_saved(tmp_path: Path) -> None:
    class Title(nn.Dropout):
        def title(self) -> str:
            return "half a character: \ud800"

    for model, labels in (
        (nn.Sequential(nn.Linear(2, 1), Title()), None),
        (net(), {"classes": ["\udc80", "b", "c"]}),
        (net(), {"dataset": "\ud800"}),
    ):
        with pytest.raises(ConfigError, match="cannot be kept"):
            gg.save(model, tmp_path / "m.glass", x=(2,), labels=labels)
    assert not list(tmp_path.iterdir())


def test_a_part_that_is_too_large_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(manifests.MEMBERS, "graph.json", 100)
    with pytest.raises(ConfigError, match="too large"):
        to_bytes(net(), x=(2,))


def test_settings_nested_deeply_are_cut_not_refused() -> None:
    rate: optim.Schedule = optim.Constant(0.1)
    for _ in range(12):
        rate = optim.WarmUp(2, then=rate, start=0.5)
    model = net()
    fit(model, optimizer=optim.SGD(rate), epochs=1)
    assert fitted_of(from_bytes(to_bytes(model))) is not None


def test_all_members_are_there_in_their_order() -> None:
    assert list(members(to_bytes(net(), x=(2,)))) == [MANIFEST, *MEMBERS]


def test_a_file_of_a_newer_format_says_so() -> None:
    found = members(to_bytes(net(), x=(2,)))
    about = json.loads(found[MANIFEST])
    from glassgrad.files.archive import pack

    newer = pack({**found, MANIFEST: json.dumps({**about, "version": 9}, indent=1).encode(),
                  "notes.json": b"{}"})  # fmt: skip
    with pytest.raises(FormatError, match="another version") as caught:
        from_bytes(newer)
    assert "newer glassgrad" in caught.value.hint


def test_a_trainer_leaves_nothing_on_a_model_before_its_first_step() -> None:
    from glassgrad.train.fit import prepared

    model = net()
    Trainer(prepared(model, X, Y, loss="cross_entropy", optimizer="sgd"))
    assert fitted_of(model) is None


def test_numbers_of_numpy_are_settings_like_others() -> None:
    model = net()
    fit(model, batch_size=np.int64(16), epochs=np.int32(2), seed=np.uint8(3), shuffle=np.True_,
        optimizer=optim.Adam(np.float64(0.01)), loss_weights=np.float32(0.5))  # fmt: skip
    loaded = fitted_of(from_bytes(to_bytes(model), check=True))
    assert loaded is not None
    assert (loaded.settings["batch_size"], loaded.settings["seed"]) == (16, 3)


def test_rows_of_an_iterable_leave_their_settings() -> None:
    model = net()
    gg.fit(model, [(X, Y)], loss="cross_entropy", optimizer="sgd", verbose=False,
           steps_per_epoch=int(np.int64(1)))  # fmt: skip
    loaded = fitted_of(from_bytes(to_bytes(model)))
    assert loaded is not None
    assert (loaded.settings["rows"], loaded.settings["steps_per_epoch"]) == (None, 1)


@pytest.mark.parametrize("optimizer", ["lbfgs", "rprop", "adam", "lion", "rmsprop"])
@pytest.mark.parametrize("verified", [True, False])
def test_whatever_fit_leaves_can_be_read(optimizer: str, verified: bool) -> None:
    model = net()
    history = fit(model, optimizer=optimizer)
    if verified:
        keep_figure(history, 60.0)
    loaded = fitted_of(from_bytes(to_bytes(model), check=True))
    assert loaded == model._fitted


def _chain(lines: list[str], result: int) -> bytes:
    """A file whose graph has these lines between its input and its output."""
    first = '%0 = input {name="x", type=float32[n, 2], role="data"} @ "x" "" forward 1'
    graph = ["graph", first, *lines, f'output "prediction" %{result}', "end"]
    return description(graph=graph)


HUGE: dict[str, Callable[[], bytes]] = {
    "lines": lambda: _chain(
        [f'%{i} = relu(%{i - 1}) {{}} @ "" "" forward {i + 1}' for i in range(1, 16_000)], 15_999
    ),
    "operands": lambda: _chain(
        [f'%1 = concatenate({", ".join(["%0"] * 15_000)}) {{axis=1}} @ "" "" forward 2'], 1
    ),
    "operands in many lines": lambda: _chain(
        [f'%{i} = concatenate({", ".join(["%0"] * 2_000)}) {{axis=1}} @ "" "" forward {i + 1}'
         for i in range(1, 60)], 59
    ),
    "a product of names": lambda: _chain(
        [f'%1 = reshape(%0) {{shape=([{" * ".join(["n"] * 16_000)}])}} @ "" "" forward 2'], 1
    ),
    "products of names": lambda: _chain(
        [f'%{i} = reshape(%0) {{shape=([{" * ".join(["n"] * 49)}])}} @ "" "" forward {i + 1}'
         for i in range(1, 5_000)], 4_999
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_a_graph_made_to_take_long_is_refused_at_once(name: str) -> None:
    data = HUGE[name]()
    began = time.process_time()
    with pytest.raises(FormatError):
        from_bytes(data)
    assert time.process_time() - began < 2


def test_a_network_that_is_too_large_to_be_read_is_not_saved() -> None:
    class Long(nn.Module):
        def forward(self, x: Any) -> Any:
            for _ in range(300):
                x = x + 1
            return x

    to_bytes(nn.Sequential(Long()), x=(1,))
    graph_member._MOST_LINES, before = 200, graph_member._MOST_LINES
    try:
        with pytest.raises(ConfigError, match="too large for a file"):
            to_bytes(nn.Sequential(Long()), x=(1,))
    finally:
        graph_member._MOST_LINES = before
