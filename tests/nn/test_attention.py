"""Attention and transformer layers against PyTorch in float64; masks; positions; what is refused."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import DTypeError, GlassgradError
from tests.conftest import require_torch

Array = NDArray[Any]
D: dict[str, Any] = {"dtype": "float64"}


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([13, seed, *shape]).normal(size=shape)


def close(found: Any, want: Any) -> None:
    scale = float(np.max(np.abs(want), initial=0))
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12 * max(scale, 1))


def moved(module: Any, *arguments: Any) -> Any:
    """Drawn, with biases and scales away from 0 and 1."""
    with gg.no_grad():
        module.eval()(*arguments)
    rng = np.random.default_rng(17)
    for p in module.parameters():
        p.assign(p.numpy() + rng.normal(0, 0.2, p.shape))
    return module


def same_gradients(ours: Any, theirs: Any, torch: Any, pairs: list[tuple[Any, Any]]) -> None:
    """One weighted sum of both results, and what it gives back to each pair."""
    c = normal(*ours.shape, seed=1)
    (ours * gg.tensor(c)).sum().backward()
    (theirs * torch.tensor(c)).sum().backward()
    for a, b in pairs:
        assert a.grad is not None
        want = b() if callable(b) else b.grad
        close(a.grad.numpy(), want.numpy())


# -- the function ------------------------------------------------------------------------------

CALLS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...] | None, bool]] = {
    "one head": ((4, 3), (5, 3), None, False),
    "heads": ((2, 3, 4, 6), (2, 3, 5, 6), None, False),
    "causal": ((2, 5, 3), (2, 5, 3), None, True),
    "causal, more keys": ((2, 3, 3), (2, 5, 3), None, True),
    "causal, more queries": ((2, 5, 3), (2, 2, 3), None, True),
    "mask": ((2, 2, 4, 3), (2, 2, 5, 3), (4, 5), False),
    "mask of each sequence": ((2, 2, 4, 3), (2, 2, 5, 3), (2, 1, 1, 5), False),
}


@pytest.mark.parametrize("name", CALLS)
def test_attention_is_pytorchs(name: str) -> None:
    torch = require_torch()
    queries, keys, shape, causal = CALLS[name]
    arrays = [normal(*queries), 3 * normal(*keys, seed=2), normal(*keys[:-1], 7, seed=3)]
    mask = None
    if shape is not None:
        mask = normal(*shape, seed=4) < 0.5
        mask[..., 0] = True  # nobody is left with nothing: there PyTorch gives nan
    ours = [gg.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    q, k, v = ours
    y = nn.scaled_dot_product_attention(q, k, v, mask, causal=causal)
    z = torch.nn.functional.scaled_dot_product_attention(
        *theirs, None if mask is None else torch.tensor(mask), is_causal=causal
    )
    close(y.numpy(), z.detach().numpy())
    same_gradients(y, z, torch, list(zip(ours, theirs, strict=True)))


def test_a_mask_and_causal_together_are_both_masks_in_one() -> None:
    q, k, v = (gg.tensor(normal(2, 4, 3, seed=i)) for i in range(3))
    mask = normal(4, 4) < 0.5
    mask[:, 0] = True
    both = nn.scaled_dot_product_attention(q, k, v, mask & np.tri(4, dtype=bool))
    close(nn.scaled_dot_product_attention(q, k, v, mask, causal=True).numpy(), both.numpy())


def test_a_query_that_may_attend_to_nothing_gives_zeros_and_takes_no_gradient() -> None:
    arrays = [gg.tensor(normal(3, 4, seed=i), requires_grad=True) for i in range(3)]
    mask = np.array([[True, False, True], [False] * 3, [True] * 3])
    q, k, v = arrays
    y = nn.scaled_dot_product_attention(q, k, v, mask)
    assert y.numpy()[1].tolist() == [0.0] * 4
    weights = gg.ops.OPS["attention_weights"](*arrays[:2], gg.tensor(mask)).numpy()
    close(weights.sum(axis=1), [1, 0, 1])
    (y * gg.tensor(normal(3, 4, seed=9))).sum().backward()
    for a in arrays:
        assert a.grad is not None
        assert np.isfinite(a.grad.numpy()).all()
    assert arrays[0].grad is not None
    assert arrays[0].grad.numpy()[1].tolist() == [0.0] * 4


def test_what_is_masked_is_not_looked_at_however_large_it_is() -> None:
    q, k, v = (normal(3, 4, seed=i) for i in range(3))
    mask = np.array([True, True, False])
    k[2], v[2] = 1e300, 0
    y = nn.scaled_dot_product_attention(q, k, v, mask).numpy()
    close(y, nn.scaled_dot_product_attention(q, k[:2], v[:2]).numpy())
    large = nn.scaled_dot_product_attention(1e3 * q, k[:2], v[:2], mask[:2]).numpy()
    assert np.isfinite(large).all()


# -- several heads -----------------------------------------------------------------------------


def heads(theirs: Any, ours: Any, torch: Any) -> list[tuple[Any, Any]]:
    """PyTorch's weights from ours; our parameters, and where PyTorch's gradient of each is."""
    width = ours.width
    parts = (ours.query, ours.key, ours.value)
    pairs: list[tuple[Any, Any]] = []
    with torch.no_grad():
        for i, part in enumerate(parts):
            rows = slice(i * width, (i + 1) * width)
            weight = part.weight.numpy().T.copy()
            if theirs.in_proj_weight is not None:
                theirs.in_proj_weight[rows] = torch.tensor(weight)
                pairs.append((part.weight, lambda r=rows: theirs.in_proj_weight.grad[r].T))
            else:
                name = "qkv"[i] + "_proj_weight"
                getattr(theirs, name).copy_(torch.tensor(weight))
                pairs.append((part.weight, lambda n=name: getattr(theirs, n).grad.T))
            theirs.in_proj_bias[rows] = torch.tensor(part.bias.numpy())
            pairs.append((part.bias, lambda r=rows: theirs.in_proj_bias.grad[r]))
        dense(theirs.out_proj, ours.out, torch)
    return pairs + dense_pairs(theirs.out_proj, ours.out)


def dense(theirs: Any, ours: Any, torch: Any) -> None:
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(ours.weight.numpy().T.copy()))
        theirs.bias.copy_(torch.tensor(ours.bias.numpy()))


def dense_pairs(theirs: Any, ours: Any) -> list[tuple[Any, Any]]:
    return [(ours.weight, lambda: theirs.weight.grad.T), (ours.bias, theirs.bias)]


@pytest.mark.parametrize("masked", ["", "padding", "attention", "both"])
@pytest.mark.parametrize("memory", [None, 6, 5])
def test_multihead_attention_is_pytorchs(memory: int | None, masked: str) -> None:
    torch = require_torch()
    x = normal(3, 4, 6)
    m = x if memory is None else normal(3, 5, memory, seed=1)
    ours = moved(nn.MultiheadAttention(6, 2, **D), x, m)
    theirs = torch.nn.MultiheadAttention(
        6, 2, batch_first=True, kdim=m.shape[2], vdim=m.shape[2]
    ).double()
    pairs = heads(theirs, ours, torch)
    padding = attention = None
    if masked in ("padding", "both"):
        padding = normal(3, m.shape[1], seed=2) > 0.5
        padding[:, 0] = False
    if masked in ("attention", "both"):
        attention = normal(4, m.shape[1], seed=3) > 0.5
        attention[:, 0] = False
    a, b = gg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    c, d = gg.tensor(m, requires_grad=True), torch.tensor(m, requires_grad=True)
    if memory is None:
        c, d = a, b
    y = ours(a, c, c, padding, attention)
    z, weights = theirs(
        b, d, d,
        key_padding_mask=None if padding is None else torch.tensor(padding),
        attn_mask=None if attention is None else torch.tensor(attention),
        average_attn_weights=False,
    )  # fmt: skip
    close(y.numpy(), z.detach().numpy())
    close(ours.weights(a, c, padding, attention).numpy(), weights.detach().numpy())
    same_gradients(y, z, torch, [(a, b), (c, d), *pairs])


def test_causal_heads_see_nothing_later() -> None:
    x = normal(2, 5, 6)
    layer = moved(nn.MultiheadAttention(6, 3, causal=True, **D), x)
    before = layer(x).numpy()
    x[:, 3:] += 1
    after = layer(x).numpy()
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.isclose(before[:, 3:], after[:, 3:]).any()


def test_dropout_of_weights_keeps_their_mean_and_is_off_in_evaluation() -> None:
    x = normal(2, 3, 4)
    layer = moved(nn.MultiheadAttention(4, 2, dropout=0.5, **D), x)
    quiet = layer(x).numpy()
    layer.train()
    gg.seed(3)
    draws = [layer(x).numpy() for _ in range(3000)]
    assert not np.array_equal(draws[0], draws[1])
    spread = np.std(draws, axis=0) / math.sqrt(len(draws))
    assert (np.abs(np.mean(draws, axis=0) - quiet) < 5 * spread).all()
    np.testing.assert_array_equal(layer.eval()(x).numpy(), quiet)


# -- transformer layers ------------------------------------------------------------------------


def block(theirs: Any, ours: Any, torch: Any) -> list[tuple[Any, Any]]:
    """The numbers of an encoder or decoder layer carried over; pairs of gradients."""
    pairs = heads(theirs.self_attn, ours.attention, torch)
    if hasattr(theirs, "multihead_attn"):
        pairs += heads(theirs.multihead_attn, ours.cross_attention, torch)
    for name in ("linear1", "linear2"):
        dense(getattr(theirs, name), getattr(ours, name), torch)
        pairs += dense_pairs(getattr(theirs, name), getattr(ours, name))
    for name in ("norm1", "norm2", "norm3"):
        if hasattr(theirs, name):
            for part in ("weight", "bias"):
                a, b = getattr(getattr(ours, name), part), getattr(getattr(theirs, name), part)
                with torch.no_grad():
                    b.copy_(torch.tensor(a.numpy()))
                pairs.append((a, b))
    return pairs


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_an_encoder_layer_is_pytorchs(
    activation: str, norm_first: bool, causal: bool, padded: bool
) -> None:
    torch = require_torch()
    x = normal(3, 4, 6)
    settings: dict[str, Any] = {"activation": activation, "norm_first": norm_first}
    ours = moved(nn.TransformerEncoderLayer(6, 2, 10, causal=causal, **settings, **D), x)
    theirs = torch.nn.TransformerEncoderLayer(6, 2, 10, batch_first=True, **settings).double()
    pairs = block(theirs.eval(), ours, torch)
    padding = None
    if padded:
        padding = np.array([[False, False, False, True], [False] * 4, [False, False, True, True]])
    mask = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1) if causal else None
    a, b = gg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = ours(a, padding)
    z = theirs(b, mask, None if padding is None else torch.tensor(padding))
    close(y.numpy(), z.detach().numpy())
    same_gradients(y, z, torch, [(a, b), *pairs])


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_layer_is_pytorchs(norm_first: bool) -> None:
    torch = require_torch()
    x, m = normal(3, 4, 6), normal(3, 5, 6, seed=1)
    ours = moved(nn.TransformerDecoderLayer(6, 2, 10, norm_first=norm_first, **D), x, m)
    theirs = torch.nn.TransformerDecoderLayer(
        6, 2, 10, batch_first=True, norm_first=norm_first
    ).double()
    pairs = block(theirs.eval(), ours, torch)
    padding = np.array([[False] * 5, [False, True, True, True, True], [False] * 4 + [True]])
    a, b = gg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    c, d = gg.tensor(m, requires_grad=True), torch.tensor(m, requires_grad=True)
    y = ours(a, c, None, padding)
    mask = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    z = theirs(b, d, tgt_mask=mask, memory_key_padding_mask=torch.tensor(padding))
    close(y.numpy(), z.detach().numpy())
    same_gradients(y, z, torch, [(a, b), (c, d), *pairs])


def test_stacks_are_their_layers_one_after_another_and_a_last_norm() -> None:
    x, m = gg.tensor(normal(2, 4, 6)), gg.tensor(normal(2, 3, 6, seed=1))
    layers = [nn.TransformerEncoderLayer(6, 2, **D) for _ in range(2)]
    encoder = moved(nn.TransformerEncoder(*layers, norm=nn.LayerNorm(6, **D)), x)
    by_hand = encoder.norm(layers[1](layers[0](x)))
    np.testing.assert_array_equal(encoder(x).numpy(), by_hand.numpy())
    decoders = [nn.TransformerDecoderLayer(6, 2, **D) for _ in range(2)]
    decoder = moved(nn.TransformerDecoder(*decoders), x, m)
    np.testing.assert_array_equal(decoder(x, m).numpy(), decoders[1](decoders[0](x, m), m).numpy())


@pytest.mark.parametrize("norm_first", [False, True])
def test_compiled_layers_give_the_bits_of_eager_ones(norm_first: bool) -> None:
    x = gg.tensor(normal(3, 4, 6))
    layer = moved(nn.TransformerEncoderLayer(6, 2, norm_first=norm_first, causal=True, **D), x)
    np.testing.assert_array_equal(gg.compile(layer)(x).numpy(), layer(x).numpy())


# -- positions ---------------------------------------------------------------------------------


def test_positional_encoding_is_the_papers_formula() -> None:
    found = nn.PositionalEncoding()(gg.tensor(np.zeros((1, 50, 8)))).numpy()[0]
    for t in range(50):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            assert abs(found[t, 2 * i] - math.sin(angle)) < 1e-13
            assert abs(found[t, 2 * i + 1] - math.cos(angle)) < 1e-13
    x = normal(2, 3, 4)
    alone = nn.PositionalEncoding()(gg.tensor(np.zeros((1, 3, 4)))).numpy()
    np.testing.assert_array_equal(nn.PositionalEncoding()(x).numpy(), x + alone)


def test_learned_positions_are_added_and_learnt() -> None:
    layer = nn.LearnedPositions(5, **D)
    x = normal(2, 3, 4)
    y = layer(gg.tensor(x))
    np.testing.assert_array_equal(y.numpy(), x + layer.weight.numpy()[:3])
    c = normal(2, 3, 4, seed=1)
    (y * gg.tensor(c)).sum().backward()
    assert layer.weight.grad is not None
    close(layer.weight.grad.numpy(), np.concatenate([c.sum(0), np.zeros((2, 4))]))


# -- what is refused ---------------------------------------------------------------------------

X = np.zeros((2, 3, 4), "float32")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: nn.MultiheadAttention(6, 4), "do not divide the width"),
        (lambda: nn.MultiheadAttention(6, 0), "heads is out of range"),
        (lambda: nn.MultiheadAttention(6, 2, dropout=1.0), "share to drop"),
        (lambda: nn.MultiheadAttention(4, 2)(X[0]), "needs sequences"),
        (lambda: nn.MultiheadAttention(4, 2)(X, X, X, np.zeros((2, 3))), "which keys are ignored"),
        (
            lambda: nn.MultiheadAttention(4, 2)(X, X, X, np.zeros((3,), bool)),
            "a row for each sequence",
        ),
        (lambda: nn.MultiheadAttention(4, 2)(X, X, X, np.zeros((2, 4), bool)), "broadcast"),
        (lambda: nn.MultiheadAttention(4, 2)(X, np.zeros((3, 3, 4), "float32")), "broadcast"),
        (lambda: nn.scaled_dot_product_attention(X, X, X, X), "who may attend"),
        (lambda: nn.scaled_dot_product_attention(X, X, X, causal=1), "causal is a choice"),
        (lambda: nn.scaled_dot_product_attention(X, X[:, :0], X[:, :0]), "nothing to attend to"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="gleu"), "did you mean 'gelu'"),
        (lambda: nn.TransformerEncoderLayer(4, 2, norm_first=None), "norm_first is a choice"),
        (lambda: nn.TransformerEncoder(nn.Linear(3)), "is made of layers"),
        (nn.TransformerEncoder, "is made of layers"),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), norm=3),
            "norm is a module",
        ),
        (lambda: nn.PositionalEncoding()(X[..., :3]), "come in pairs"),
        (lambda: nn.LearnedPositions(2)(X), "longer than the positions"),
        (lambda: nn.LearnedPositions(3)(X[0]), "belong to sequences"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        call()


def test_a_mask_of_numbers_is_refused_in_few_words() -> None:
    x = gg.tensor(np.zeros((2, 50, 4), "float32"))
    with pytest.raises(DTypeError, match="which keys") as caught:
        nn.MultiheadAttention(4, 2)(x, None, None, np.zeros((2, 50), "float32"))
    assert caught.value.received == "float32 (2, 50)"
    assert len(str(caught.value)) < 300
