"""`glassgrad show` of a model file: what it takes, what it gives, how it came to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.files import Labels
from glassgrad.files.archive import unpack
from glassgrad.files.manifest import MANIFEST, sealed
from glassgrad.files.strict_json import write_json

CORPUS = Path(__file__).parent.parent / "files" / "corpus"


def line(said: str, head: str) -> str:
    """The line of this heading."""
    return next(each for each in said.splitlines() if each.startswith(head))


def test_what_a_model_takes_gives_and_learnt_is_shown(run: Any) -> None:
    said = run("show", str(CORPUS / "v1-mlp.glass"))
    assert said.code == 0
    assert line(said, "takes").endswith("x: float32 (n, 2): x [cm], y [cm]")
    assert line(said, "gives").endswith("prediction: float32 (n, 3): first, second, third")
    told = line(said, "training")
    for part in ("2 epochs", "batches of 16", "SGD, rate by WarmUp", "cross_entropy", "seed 0",
                 "the weights of epoch 1 kept"):  # fmt: skip
        assert part in told
    assert "glassgrad 0.1.0" in line(said, "by")
    assert "val_loss" in line(said, "last")


def test_a_model_that_was_never_trained_is_shown_as_such(run: Any) -> None:
    said = run("show", str(CORPUS / "v1-unfitted.glass"))
    assert line(said, "training").split() == ["training", "never"]


def test_every_old_file_is_shown(run: Any) -> None:
    for file in sorted(CORPUS.glob("*.glass")):
        assert run("show", str(file)).code == 0


def test_hostile_texts_of_a_file_are_shown_as_text(run: Any) -> None:
    evil = "<img src=x onerror=alert(1)>[red]\x1b[31m=1+1\n\"'"
    model = nn.Linear(2, 2)
    gg.fit(model, np.eye(2), [0, 1], loss="cross_entropy", optimizer=optim.SGD(0.1), verbose=False)
    labels = Labels((evil, "b"), (evil, "y"), units=(evil, ""), unit=evil, dataset=evil)
    data = gg.save(model, "m.glass", labels=labels).read_bytes()
    found = {n: bytes(part) for n, part in unpack(data).items() if n != MANIFEST}
    training = json.loads(found["training.json"])
    settings = training["run"]["settings"]
    settings["optimizer"] = {"kind": evil, "lr": [evil] * 1000}
    settings["schedule"] = {"kind": {"a": evil}}
    settings["losses"][0]["name"] = evil * 100
    settings["backend"] = evil
    training["run"]["versions"]["numpy"] = evil * 1000
    Path("evil.glass").write_bytes(sealed({**found, "training.json": write_json(training)}))
    said = run("show", "evil.glass")
    assert said.code == 0
    assert "\x1b" not in said
    assert all(c.isprintable() or c == "\n" for c in said)
    assert len(said) < 5000
