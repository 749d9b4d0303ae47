"""How random networks are trained: by `fit`, and by PyTorch's optimisers in a loop of their own."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glassgrad import nn, optim
from glassgrad.tensors.random import order_of_rows

from .network import Network

# The rules with the settings that both have, and a rate. Lion is not PyTorch's, L-BFGS has no
# batches, and Rprop moves by the sign alone, which rounding may turn around where nothing pulls.
KINDS: tuple[tuple[str, float, dict[str, Any]], ...] = (
    ("SGD", 0.05, {}),
    ("SGD", 0.03, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", 0.05, {"momentum": 0.8, "dampening": 0.3}),
    ("Adam", 0.01, {"weight_decay": 0.1}),
    ("Adam", 0.01, {"betas": (0.8, 0.95), "eps": 1e-6, "amsgrad": True}),
    ("AdamW", 0.01, {"weight_decay": 0.3}),
    ("Adamax", 0.01, {}),
    ("NAdam", 0.01, {"momentum_decay": 0.3}),
    ("RAdam", 0.01, {"betas": (0.7, 0.9)}),
    ("RMSprop", 0.01, {"momentum": 0.7, "eps": 1e-4}),
    ("Adagrad", 0.05, {"lr_decay": 0.1, "eps": 1e-4}),
    ("Adadelta", 0.5, {"rho": 0.7}),
)
ROWS = 15
Clip = tuple[str, float]


def schedules(lr: float) -> list[optim.Schedule]:
    """One of each sort: by steps, by epochs, in parts."""
    return [
        optim.Exponential(lr, 0.8),
        optim.Step(lr, 1, gamma=0.5, per="epoch"),
        optim.Linear(lr, steps=3),
        optim.CosineAnnealing(lr, steps=4, end=lr / 10),
        optim.Cyclic(lr, max_lr=2 * lr, steps_up=2),
        optim.OneCycle(lr, steps=8),
        optim.WarmUp(2, then=optim.Polynomial(lr, steps=5)),
        optim.PiecewiseConstant([lr, lr / 2], [2]),
    ]


@dataclass
class Training:
    """A rule, its options, penalties, and the size of a batch."""

    seed: int
    kind: str
    lr: float | optim.Schedule
    settings: dict[str, Any]
    batch_size: int | None
    clip: Clip | None = None
    every: int | None = None  # batches that make an update
    momentum: float | None = None  # of averages of the weights
    group: tuple[str, dict[str, Any]] | None = None
    penalty: tuple[str, float, float] | None = None
    epochs: int = 2
    frozen: list[str] = field(default_factory=list)

    def optimizer(self) -> optim.Optimizer:
        options: dict[str, Any] = dict([self.clip] if self.clip else [])
        options["gradient_accumulation_steps"] = self.every
        if self.momentum is not None:
            options |= {"use_ema": True, "ema_momentum": self.momentum}
        if self.group:
            options["groups"] = [optim.Group(self.group[0], **self.group[1])]
        found: optim.Optimizer = getattr(optim, self.kind)(self.lr, **self.settings, **options)
        return found

    def prepared(self, network: Network) -> dict[str, Any]:
        """What `fit` takes; the model gets its penalty and keeps what is frozen."""
        for name in self.frozen:
            network.model.freeze(name)
        if self.penalty:
            pattern, l1, l2 = self.penalty
            nn.regularize(network.model, pattern, nn.L1L2(l1, l2))
        return {
            **network.losses, "optimizer": self.optimizer(), "batch_size": self.batch_size,
            "epochs": self.epochs, "seed": self.seed, "metrics": (), "verbose": False,
        }  # fmt: skip

    # -- in PyTorch ----------------------------------------------------------------------------

    def by_torch(self, network: Network, torch: Any) -> tuple[dict[str, Any], list[float]]:
        """The state after all epochs, and the mean loss of each."""
        leaves = network.torch_leaves(torch)
        learnt = {k: v for k, v in leaves.items() if v.requires_grad and k not in self.frozen}
        base = self.lr.base if isinstance(self.lr, optim.Schedule) else self.lr
        shares, groups = {}, []
        for name, leaf in learnt.items():
            own = dict(self.group[1]) if self.group and ends(name, self.group[0]) else {}
            shares[name] = own.pop("lr", base) / base
            groups.append({"params": [leaf], **own})
        moves = getattr(torch.optim, self.kind)(groups, lr=base, **self.settings)
        averages: dict[str, Any] = {}
        batches = updates = 0
        losses = []
        for epoch in range(1, self.epochs + 1):
            waiting, total = 0, 0.0
            plan = list(self.batches(epoch))
            for rows in plan:
                batches += 1
                loss = self.loss(network, torch, leaves, rows, batches)
                total += loss.item() * len(rows)
                loss.backward()
                waiting += 1
                if waiting < (self.every or 1) and rows is not plan[-1]:
                    continue
                for leaf in learnt.values():
                    leaf.grad /= waiting
                self.clipped(torch, list(learnt.values()))
                rate = self.lr
                if isinstance(rate, optim.Schedule):
                    rate = rate(epoch - 1 if rate.per == "epoch" else updates)
                for group, name in zip(moves.param_groups, learnt, strict=True):
                    group["lr"] = rate * shares[name]
                moves.step()
                moves.zero_grad()
                waiting, updates = 0, updates + 1
                for name, leaf in learnt.items():
                    m = self.momentum if self.momentum is not None and name in averages else 0.0
                    averages[name] = m * averages.get(name, 0.0) + (1 - m) * leaf.detach()
            losses.append(total / ROWS)
        state = {k: v.detach() for k, v in leaves.items()}
        return state | (averages if self.momentum is not None else {}), losses

    def batches(self, epoch: int) -> Any:
        """The rows of each batch."""
        size = self.batch_size or ROWS
        order = order_of_rows(ROWS, self.seed, epoch) if size < ROWS else np.arange(ROWS)
        return (order[i : i + size] for i in range(0, ROWS, size))

    def loss(self, network: Network, torch: Any, leaves: Any, rows: Any, step: int) -> Any:
        part = copy.copy(network)
        part.inputs = tuple([x[rows] for x in network.inputs])
        part.goals = [copy.copy(g) for g in network.goals]
        for goal in part.goals:
            goal.target = None if goal.target is None else goal.target[rows]
        part.training = True
        loss = part.torch_loss(torch, leaves, self.seed, step)
        for name, leaf in leaves.items():
            if self.penalty and leaf.requires_grad and ends(name, self.penalty[0]):
                _, l1, l2 = self.penalty
                loss = loss + l1 * leaf.abs().sum() + l2 * (leaf * leaf).sum()
        return loss

    def clipped(self, torch: Any, leaves: list[Any]) -> None:
        how, most = self.clip or ("", 0.0)
        if how == "clipvalue":
            torch.nn.utils.clip_grad_value_(leaves, most)
        for part in {"clipnorm": [[leaf] for leaf in leaves], "global_clipnorm": [leaves]}.get(
            how, []
        ):
            torch.nn.utils.clip_grad_norm_(part, most)


def ends(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern such as `*weight`."""
    return name.endswith(pattern.removeprefix("*"))


def drawn_training(seed: int, network: Network) -> Training:
    """How the network of a seed is trained, a function of the seed alone."""
    rng = np.random.default_rng([seed, 77])

    def one(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    def often(p: float) -> bool:
        return bool(rng.random() < p)

    kind, lr, settings = one(*KINDS)
    found = Training(
        seed, kind, one(*schedules(lr)) if often(0.5) else lr, settings, one(5, 8, None)
    )
    if often(0.5):
        found.clip = one(("clipvalue", 0.05), ("clipnorm", 0.1), ("global_clipnorm", 0.2))
    if often(0.4):
        found.every, found.batch_size = one(1, 2, 3), one(5, None)
    if often(0.4):
        found.momentum = one(0.5, 0.9)
    names = [p.name.rsplit(".", 1)[-1] for p in network.model.parameters()]
    if often(0.4):
        found.group = (f"*{one(*names)}", one({"lr": lr / 3}, {"weight_decay": 0.2}))
    if often(0.3):
        found.penalty = (f"*{one(*names)}", one(0.0, 1e-3), 1e-2)
    return found
