"""Optimisers against PyTorch, step by step from equal gradients, and what they refuse."""

# mypy: disable-error-code="arg-type, call-arg"

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.engine import compile_step
from glassgrad.errors import ConfigError, UsageError
from glassgrad.ir import Graph, Type
from glassgrad.ops import Tracer


def case(name: str, /, **settings: Any) -> Any:
    """One of ours, PyTorch's of the same name, and the settings of both."""
    return pytest.param(name, settings, id=f"{name}({settings})")


CASES = [
    case("SGD", lr=0.1),
    case("SGD", lr=0.1, momentum=0.9),
    case("SGD", lr=0.05, weight_decay=0.1),
    case("SGD", lr=0.05, momentum=0.8, weight_decay=0.1),
    case("SGD", lr=0.05, momentum=0.8, dampening=0.3),
    case("SGD", lr=0.05, momentum=0.8, nesterov=True),
    case("SGD", lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.1),
    case("Adam"),
    case("Adam", lr=0.01, betas=(0.8, 0.95), eps=1e-6),
    case("Adam", lr=0.01, weight_decay=0.1),
    case("Adam", lr=0.01, weight_decay=0.1, amsgrad=True),
    case("AdamW"),
    case("AdamW", lr=0.02, betas=(0.7, 0.9), weight_decay=0.3),
    case("AdamW", lr=0.02, amsgrad=True),
    case("Adamax"),
    case("Adamax", lr=0.01, betas=(0.7, 0.9), eps=1e-3, weight_decay=0.1),
    case("NAdam"),
    case("NAdam", lr=0.01, betas=(0.7, 0.9), eps=1e-4, weight_decay=0.1, momentum_decay=0.3),
    case("NAdam", lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    case("RAdam"),
    case("RAdam", lr=0.01, betas=(0.7, 0.9), eps=1e-4, weight_decay=0.1),
    case("RAdam", lr=0.01, betas=(0.7, 0.6)),  # rho ends at 4: never rectified
    case("RAdam", lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    case("RMSprop"),
    case("RMSprop", lr=0.02, alpha=0.8, eps=1e-4, weight_decay=0.1),
    case("RMSprop", lr=0.02, momentum=0.7),
    case("RMSprop", lr=0.02, centered=True),
    case("RMSprop", lr=0.02, centered=True, momentum=0.7, weight_decay=0.1),
    case("Adagrad"),
    case("Adagrad", lr=0.1, lr_decay=0.1, initial_accumulator_value=0.3, weight_decay=0.1),
    case("Adagrad", lr=0.1, eps=0.1),
    case("Adadelta"),
    case("Adadelta", lr=0.5, rho=0.7, eps=1e-3, weight_decay=0.1),
    case("Rprop"),
    case("Rprop", lr=0.02, etas=(0.3, 1.7), step_sizes=(1e-3, 0.1)),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_fifty_steps_from_equal_gradients_are_pytorchs(
    torch_in_doubles: Any, name: str, settings: Any
) -> None:
    torch = torch_in_doubles
    rng = np.random.default_rng(3)
    start = [rng.normal(size=(4, 3)), rng.normal(size=(3,)), rng.normal(size=())]
    mine = [gg.Parameter(a) for a in start]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start]
    ours = getattr(optim, name)(**settings).bind(mine)
    other = getattr(torch.optim, name)(theirs, **settings)
    for step in range(50):
        for p, q in zip(mine, theirs, strict=True):
            gradient = rng.normal(size=p.shape) * 10.0 ** rng.integers(-3, 2)
            p.grad = gg.tensor(gradient)
            q.grad = torch.tensor(gradient)
        if step in (0, 10):
            mine[1].grad = theirs[1].grad = None  # a parameter without a gradient stays
        ours.step()
        other.step()
        for p, q in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1}, {"betas": (0.6, 0.7)}])
def test_lion_is_kerass(keras_in_doubles: Any, settings: dict[str, Any]) -> None:
    keras = keras_in_doubles
    rng = np.random.default_rng(5)
    start = rng.normal(size=(4, 3))
    mine = gg.Parameter(start)
    theirs = keras.Variable(start, dtype="float64")
    first, second = settings.get("betas", (0.9, 0.99))
    other = keras.optimizers.Lion(
        0.01, beta_1=first, beta_2=second, weight_decay=settings.get("weight_decay")
    )
    ours = optim.Lion(0.01, **settings).bind([mine])
    for _ in range(50):
        gradient = rng.normal(size=start.shape)
        mine.grad = gg.tensor(gradient)
        ours.step()
        other.apply([keras.ops.convert_to_tensor(gradient)], [theirs])
        np.testing.assert_allclose(mine.numpy(), np.asarray(theirs.value.detach()), rtol=1e-10)


def test_lion_is_the_papers_arithmetic() -> None:
    rng = np.random.default_rng(5)
    mine = gg.Parameter(rng.normal(size=7))
    w, mean = mine.numpy().copy(), np.zeros(7)
    ours = optim.Lion(0.01, betas=(0.8, 0.9), weight_decay=0.2).bind([mine])
    for _ in range(50):
        g = rng.normal(size=7)
        mine.grad = gg.tensor(g)
        ours.step()
        for i in range(7):
            ahead = mean[i] + (1 - 0.8) * (g[i] - mean[i])
            w[i] -= 0.01 * (math.copysign(1.0, ahead) + 0.2 * w[i])
            mean[i] += (1 - 0.9) * (g[i] - mean[i])
        np.testing.assert_allclose(mine.numpy(), w, rtol=1e-9)


def test_centred_rmsprop_survives_a_gradient_that_never_changes() -> None:
    w = gg.Parameter(np.array([1.0, 2.0]))
    optimizer = optim.RMSprop(1e-3, alpha=0.5, centered=True).bind([w])
    for _ in range(200):
        w.grad = gg.tensor(np.array([0.1, 0.3]))
        optimizer.step()
    assert np.isfinite(w.numpy()).all()


# -- the rule as a program ---------------------------------------------------------------------

EVERY: list[optim.Optimizer] = [
    *[getattr(optim, c.values[0])(**c.values[1]) for c in CASES],
    optim.Lion(weight_decay=0.1),
]


def update_of(optimizer: optim.Optimizer, size: int, dtype: str) -> Any:
    """The rule on a vector, compiled as the training step compiles it."""
    tracer, vector, number = Tracer(), Type((size,), dtype), Type((), dtype)
    roles = {"weights": "parameter", "gradient": "data"}
    types = {"weights": vector, "gradient": vector}
    types |= dict.fromkeys(optimizer.state_names, vector)
    types |= dict.fromkeys(optimizer.scalar_state_names, number)
    types |= {"rate": Type((), "float64"), "step": Type((), "float64")}
    roles |= {"rate": "host", "step": "host"}
    inputs = {name: tracer.input(name, t, roles.get(name, "moment")) for name, t in types.items()}
    names = [*optimizer.state_names, *optimizer.scalar_state_names]
    with tracer.during("update", "update"):
        w, state = optimizer.rule(
            inputs["weights"],
            inputs["gradient"],
            tuple([inputs[name] for name in names]),
            inputs["rate"],
            inputs["step"],
        )
    changed = dict(zip(["weights", *names], [w, *state], strict=True))
    graph = Graph(
        {name: symbol.value for name, symbol in inputs.items()},
        {f"{name}.next": symbol.value for name, symbol in changed.items()},
        {name: f"{name}.next" for name in changed},
        tracer.scopes,
    )
    return compile_step(graph, "update", returns=())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_the_program_of_a_rule_is_the_eager_step_bit_for_bit(
    optimizer: optim.Optimizer, dtype: str
) -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=11).astype(dtype)
    w = gg.Parameter(weights.copy())
    optimizer.bind([w])
    states = [np.array(s.numpy()) for s in optimizer.first_state(w)]
    update = update_of(optimizer, 11, dtype).function
    with np.errstate(all="raise", under="ignore"):
        for step in range(1, 21):
            g = (rng.normal(size=11) * 10.0 ** rng.integers(-3, 2)).astype(dtype)
            w.grad = gg.tensor(g)
            optimizer.step()
            update(weights, g, *states, optimizer.lr, step)
            assert weights.dtype == dtype
            np.testing.assert_array_equal(weights, w.numpy())


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_no_number_of_a_rule_is_wider_than_the_weights(optimizer: optim.Optimizer) -> None:
    """Every line of the program is run with float32 arrays: what it makes is float32 or plain."""
    step = update_of(optimizer, 3, "float32")
    one = np.ones(3, np.float32)
    states = [np.full_like(one, 0.5) for _ in optimizer.state_names]
    states += [np.full((), 0.5, np.float32) for _ in optimizer.scalar_state_names]
    named = dict(zip(step.text.arguments, [one.copy(), one, *states, 0.1, 3], strict=True))
    body = textwrap.dedent("\n".join(step.text.lines))
    exec(body, {"np": np, "math": math}, named)
    for name, value in named.items():
        if isinstance(value, np.ndarray | np.generic):
            assert value.dtype in (np.float32, np.bool_), name
        else:
            assert type(value) in (int, float, bool), name


def test_bind_step_zero_grad_is_a_training_loop() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype("f")
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = optim.Adam(0.02).bind(model)
    losses = []
    for _ in range(200):
        loss = nn.losses.cross_entropy(model(gg.tensor(x)), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
    assert not any(p.requires_grad is False or p.grad is not None for p in model.parameters())


def test_float32_parameters_stay_float32() -> None:
    for optimizer in EVERY:
        p = gg.Parameter([1.0, 2.0])
        p.grad = gg.tensor([0.1, 0.2])
        optimizer.bind([p]).step()
        assert p.dtype == "float32"
        assert p.version == 1


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "fast", True, None])
@pytest.mark.parametrize("kind", optim.NAMED.values())
def test_rates_that_cannot_be_meant_are_refused(kind: Any, rate: Any) -> None:
    with pytest.raises(ConfigError, match="learning rate is out of range"):
        kind(rate)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: optim.SGD(0.1, momentum=1), ConfigError, "momentum"),
        (lambda: optim.SGD(0.1, momentum=-0.1), ConfigError, "momentum"),
        (lambda: optim.SGD(0.1, weight_decay=-1), ConfigError, "weight_decay"),
        (lambda: optim.Adam(betas=(0.9, 1)), ConfigError, "beta2"),
        (lambda: optim.Adam(betas=0.9), ConfigError, "betas are two numbers"),
        (lambda: optim.Adam(eps=0), ConfigError, "eps"),
        (lambda: optim.Adam(amsgrad=1), ConfigError, "amsgrad"),
        (lambda: optim.SGD(0.1, nesterov=True), ConfigError, "looks ahead"),
        (lambda: optim.SGD(0.1, 0.9, dampening=0.1, nesterov=True), ConfigError, "looks ahead"),
        (lambda: optim.SGD(0.1, 0.9, dampening=1), ConfigError, "dampening"),
        (lambda: optim.Adamax(betas=(1, 0.9)), ConfigError, "beta1"),
        (lambda: optim.NAdam(betas=(-0.1, 0.9)), ConfigError, "beta1"),
        (lambda: optim.NAdam(momentum_decay=-1), ConfigError, "momentum_decay"),
        (lambda: optim.RAdam(betas="fast"), ConfigError, "betas are two numbers"),
        (lambda: optim.Lion(betas=(0.9, float("nan"))), ConfigError, "beta2"),
        (lambda: optim.RMSprop(alpha=1), ConfigError, "alpha"),
        (lambda: optim.RMSprop(centered="yes"), ConfigError, "centered"),
        (lambda: optim.Adagrad(lr_decay=-0.1), ConfigError, "lr_decay"),
        (lambda: optim.Adadelta(rho=1), ConfigError, "rho"),
        (lambda: optim.Rprop(etas=(1.2, 0.5)), ConfigError, "etas"),
        (lambda: optim.Rprop(etas=0.5), ConfigError, "etas are two numbers"),
        (lambda: optim.Rprop(etas=(1.0, 1.2)), ConfigError, "steps shrink"),
        (lambda: optim.Rprop(step_sizes=(2.0, 1.0)), ConfigError, "steps shrink"),
        (lambda: optim.Adam(beta=(0.9, 0.9)), ConfigError, "did you mean 'betas'"),
        (lambda: optim.SGD(0.1, global_clipnrm=1), ConfigError, "did you mean 'global_clipnorm'"),
        (lambda: optim.find("rmspop"), ConfigError, "did you mean 'rmsprop'"),
        (lambda: optim.find(3), ConfigError, "not an optimiser"),
        (lambda: optim.SGD(0.1).step(), UsageError, "no parameters"),
        (lambda: optim.SGD(0.1).bind(3), UsageError, "nothing to bind"),
        (lambda: optim.SGD(0.1).bind([]), UsageError, "nothing to bind"),
        (lambda: optim.SGD(0.1).bind([3]), UsageError, "nothing to bind"),
        (lambda: optim.adam, AttributeError, "did you mean 'Adam'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call()
