"""What a run was asked to do, as plain data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from glassgrad import data, nn, optim
from glassgrad.train.fit import prepared
from glassgrad.train.settings import plain, settings_of

X = np.arange(24, dtype=np.float32).reshape(12, 2) / 12
Y = np.arange(12) % 3


def settings(**changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 3}
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    return settings_of(prepared(model, X, Y, **{**usual, **changes}))


def test_settings_are_data_that_json_gives_back() -> None:
    found = settings(
        optimizer=optim.SGD(optim.WarmUp(3, then=0.1), groups=[optim.Group("*.bias", lr=0.01)]),
        loss=nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]),
        metrics=("accuracy", lambda p, t: (p * 0).mean()),
        validation_split=0.25,
        batch_size=4,
        class_weight="balanced",
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["losses"][0]["loss"]["weight"]["values"] == [1.0, 2.0, 3.0]
    assert found["schedule"]["kind"] == "WarmUp"
    assert found["validation_rows"] == 3
    assert found["weighted"] is True


def test_equal_runs_have_equal_settings() -> None:
    assert settings() == settings()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, "losses"),
        ({"metrics": ()}, "metrics"),
        ({"optimizer": optim.Adam(2e-2)}, "optimizer"),
        ({"optimizer": optim.Adam(1e-2, betas=(0.8, 0.999))}, "optimizer"),
        ({"optimizer": optim.Adam(1e-2, use_ema=True)}, "optimizer"),
        ({"optimizer": optim.Adam(1e-2, gradient_accumulation_steps=2)}, "optimizer"),
        ({"optimizer": optim.Adam(optim.Step(1e-2, every=3))}, "schedule"),
        ({"epochs": 4}, "epochs"),
        ({"batch_size": 4}, "batch_size"),
        ({"shuffle": False}, "shuffle"),
        ({"seed": 1}, "seed"),
        ({"recompute": True}, "recompute"),
        ({"class_weight": "balanced"}, "weighted"),
        ({"sample_weight": np.ones(12)}, "weighted"),
        ({"validation_data": (X[:2], Y[:2])}, "validation_rows"),
    ],
)
def test_a_changed_setting_is_seen_in_its_field_alone(changes: dict[str, Any], field: str) -> None:
    first, second = settings(), settings(**changes)
    assert [name for name in first if first[name] != second[name]] == [field]


def test_a_change_of_rows_is_a_setting() -> None:
    images = np.zeros((4, 1, 3, 3), np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    record = prepared(
        model,
        images,
        [0, 1, 0, 1],
        loss="cross_entropy",
        optimizer="sgd",
        augment=data.Augment(flip=True),
    )
    assert settings_of(record)["augment"] == {
        "kind": "Augment", "flip": True, "shift": 0, "cutout": 0, "brightness": 0.0,
    }  # fmt: skip


def test_batches_of_an_iterable_have_a_number_of_steps() -> None:
    record = prepared(
        nn.Linear(2, 3), [(X, Y)], loss="cross_entropy", optimizer="sgd", steps_per_epoch=1
    )
    found = settings_of(record)
    assert (found["rows"], found["steps_per_epoch"]) == (None, 1)


def test_what_is_the_users_is_known_by_its_name() -> None:
    def halved(t: int) -> float:
        return 0.5**t

    class Mine(optim.SGD):
        pass

    assert plain(optim.Lambda(0.1, halved))["function"]["kind"].endswith("halved")
    assert plain(Mine(0.1))["kind"].endswith("test_settings.test_what_is_the_users_is_known_by_"
                                             "its_name.<locals>.Mine")  # fmt: skip
    assert plain(Mine(0.1))["lr"] == 0.1
    assert plain(object()) == {"kind": "builtins.object"}


def test_numbers_that_json_lacks_are_texts() -> None:
    assert plain([float("inf"), float("nan"), np.float32(0.5), np.int64(3), np.bool_(True)]) == [
        "inf", "nan", 0.5, 3, True,
    ]  # fmt: skip


def test_a_large_array_is_known_by_its_hash() -> None:
    one, other = np.zeros(1000), np.zeros(1000)
    other[500] = 1e-9
    assert plain(one) == plain(one.copy())
    assert plain(one) != plain(other)
