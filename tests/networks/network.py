"""A random network: the model, its data, what it learns, and what PyTorch needs to be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn

from .draw import drawn
from .goals import Goal, drawn_settings, drawn_target
from .specs import Spec, built
from .twin import Twin

Array = NDArray[Any]
# Of these the last axis is weighted, of other losses the classes, axis 1.
LAST = ("bce", "bce_logits", "multilabel_soft_margin")


@dataclass
class Network:
    """A model with data, and what PyTorch needs to be the same."""

    seed: int
    spec: Spec
    model: nn.Module
    inputs: tuple[Array, ...]
    goals: list[Goal]
    training: bool
    family: str
    kinds: Counter[str]

    @property
    def x(self) -> Any:
        """The input as `fit` and `predict` take it: an array, or a tuple of arrays."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def y(self) -> Any:
        """The target likewise."""
        every = tuple([g.target for g in self.goals])
        return every[0] if len(every) == 1 else every

    @property
    def losses(self) -> dict[str, Any]:
        """The losses as `fit` takes them."""
        if len(self.goals) == 1:
            return {"loss": self.goals[0].loss}
        return {
            "loss": tuple([g.loss for g in self.goals]),
            "loss_weights": tuple([g.share for g in self.goals]),
        }

    def loss_of(self, *operands: Any) -> Any:
        """The loss in glassgrad of inputs and targets, one after another."""
        count = len(self.inputs)
        return self.total(Goal.ours, self.model(*operands[:count]), operands[count:])

    def operands(self) -> tuple[gg.Tensor, ...]:
        """Inputs and targets as tensors."""
        every = (*self.inputs, *[g.target for g in self.goals])
        return tuple([gg.tensor(a) for a in every if a is not None])

    def total(self, loss: Callable[..., Any], outputs: Any, targets: tuple[Any, ...]) -> Any:
        """The sum of the losses of all goals."""
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        rest = iter(targets)
        parts = [
            loss(goal, outputs=outputs, target=None if goal.target is None else next(rest))
            for goal in self.goals
        ]
        return sum(parts[1:], parts[0])

    def torch_leaves(self, torch: Any) -> dict[str, Any]:
        """The parameters and buffers as PyTorch tensors; parameters require gradients."""
        learnt = {p.name for p in self.model.parameters()}
        return {
            name: torch.tensor(value, requires_grad=name in learnt)
            for name, value in self.model.state_dict().items()
        }

    def torch_loss(
        self, torch: Any, leaves: dict[str, Any], seed: int = 0, step: int | None = None
    ) -> Any:
        """The loss in PyTorch; running statistics move.

        Dropout is as `gg.seed(seed)` makes it, or a program in this step.
        """
        twin = Twin(torch, leaves, self.training, seed, step)
        outputs = twin.forward(self.spec, "", *[torch.tensor(x) for x in self.inputs])
        targets = tuple([torch.tensor(g.target) for g in self.goals if g.target is not None])

        def loss(goal: Goal, **given: Any) -> Any:
            return goal.theirs(torch, **given)

        return self.total(loss, outputs, targets)


def random_network(
    seed: int, *, rows: int | None = None, dtype: str = "float64", fit: bool = False
) -> Network:
    """The network of a seed, with `rows` rows of data; with `fit` one that `fit` can train.

    Its parameters are drawn, biases and scales moved away from 0 and 1. In evaluation mode (one
    network in four) running statistics are random, too.
    """
    plan, rng = drawn(seed, rows=rows, fit=fit)
    model = built(plan.spec, dtype)

    def cast(x: Any) -> Any:
        return x.astype(dtype) if x is not None and x.dtype == np.float64 else x

    inputs = tuple([cast(x) for x in plan.inputs])
    gg.seed(seed)
    with gg.no_grad():
        found: Any = model.eval()(*[gg.tensor(x) for x in inputs])
    shapes = [o.shape for o in (found if isinstance(found, tuple) else (found,))]
    training = bool(rng.random() < 0.75)
    model.train(training)
    for p in [*model.parameters(), *model.buffers()]:
        values, name = p.numpy(), p.name.rsplit(".", 1)[-1]
        if name == "running_var":
            p.assign(rng.uniform(0.5, 2.0, values.shape).astype(dtype))
        elif (values.ndim < 2 or np.ptp(values) == 0) and name != "num_batches_tracked":
            p.assign((values + rng.normal(0, 0.2, values.shape)).astype(dtype))
    goals = []
    for wish in plan.wishes:
        shape = shapes[wish.outputs[0]]
        width = shape[-1 if wish.name in LAST else 1]
        settings = drawn_settings(rng, wish.name, width, fit) | wish.settings
        goal = Goal(wish.name, settings, wish.outputs, wish.share)
        goal.target = cast(drawn_target(rng, goal, shape))
        goals.append(goal)
    kinds = plan.spec.kinds()
    return Network(seed, plan.spec, model, inputs, goals, training, plan.family, kinds)
