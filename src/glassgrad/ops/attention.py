"""Scaled dot-product attention: every query takes a weighted mean of values, by its likeness to keys.

The records recompute what they need of the forward pass; in a graph, equals are merged, so the
weights are computed once. A mask is True where a query may attend to a key. The derivatives of
`attention` are composites of their own, so that a backend can make the weights again block by
block, and keep none.
"""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import DTypeError, ShapeError
from glassgrad.ir import Op, Size, Type, broadcast

from .contraction import matmul_type
from .elementwise import exp, maximum, select
from .index import positions
from .naming import named
from .record import Draw, Mistake, Sample, Spelled, flag, need_float, whole

_INF = math.inf


def _root(x: Any) -> Spelled:
    """The square root of a row's width, by which products of rows grow."""
    width = int(x.shape[-1])
    return Spelled(math.sqrt(width), f"math.sqrt({width})")


def _weights_type(q: Type, k: Type, *masks: Type, causal: bool) -> Type:
    need_float(q, k)
    if len(q.shape) < 2 or len(k.shape) < 2 or q.shape[-1] != k.shape[-1] or q.shape[-1] == 0:
        raise ShapeError(
            "queries and keys are rows of one width",
            expected="q (..., queries, width) and k (..., keys, width)",
            received=f"{q.shape} and {k.shape}",
        )
    if k.shape[-2] == 0:
        raise ShapeError("there is nothing to attend to", expected="keys", received=str(k.shape))
    scores = matmul_type(q, Type((*k.shape[:-2], k.shape[-1], k.shape[-2]), k.dtype))
    for mask in masks:
        if mask.dtype != "bool":
            raise DTypeError(
                "a mask says who may attend to what",
                expected="bool, True where a query may attend to a key",
                received=repr(mask),
                hint="a mask of numbers is mask > -1e30, or mask != 0, whatever it means",
            )
        if broadcast(mask.shape, scores.shape) != scores.shape:
            raise ShapeError(
                "the mask does not fit the scores",
                expected=f"a shape that stretches to {scores.shape}",
                received=str(mask.shape),
            )
    return scores


def _not_later(queries: Size, keys: Size, writer: Any) -> Any:
    """Query i may attend to key j where j is not later than i."""
    query = named(positions(queries, writer), "position")
    key = named(positions(keys, writer), "position")
    return named(query.reshape(queries, 1) >= key, "causal")


def _scaled(q: Any) -> Any:
    return named(q / _root(q), "scaled")


def _weights(q: Any, k: Any, *masks: Any, causal: bool) -> Any:
    scores = _scaled(q) @ k.swapaxes(-1, -2)
    for mask in (*([_not_later(q.shape[-2], k.shape[-2], q)] if causal else []), *masks):
        scores = select(mask, scores, -_INF)
    scores = named(scores, "scores")
    if not masks:  # the first key is never later: every row has something to attend to
        powers = named(exp(scores - scores.max(axis=-1, keepdims=True)), "powers")
        return named(powers / powers.sum(axis=-1, keepdims=True), "weights")
    largest = scores.max(axis=-1, keepdims=True)
    shift = named(select(named(largest, "largest") > -_INF, largest, 0.0), "shift")
    powers = named(exp(scores - shift), "powers")
    # The largest of a row has the power 1: a smaller sum is that of a row without keys, 0.
    return named(powers / maximum(powers.sum(axis=-1, keepdims=True), 1.0), "weights")


def _d_scores(g: Any, weights: Any) -> Any:
    """Back through the softmax of each row."""
    along = named((g * weights).sum(axis=-1, keepdims=True), "along")
    return named(weights * (g - along), "d_scores")


def _to_queries(d: Any, q: Any, k: Any) -> Any:
    return (d @ k) / _root(q)


def _to_keys(d: Any, q: Any) -> Any:
    return d.swapaxes(-1, -2) @ _scaled(q)


def _samples(values: bool, slopes: bool = False) -> tuple[Sample, ...]:
    found = []
    for q, k, masks, causal, order, about in (
        ((3, 4), (5, 4), (), False, "C", "one head"),
        ((2, 3, 4, 2), (2, 3, 5, 2), (), False, "C", "heads"),
        ((2, 4, 3), (2, 4, 3), (), True, "C", "causal"),
        ((2, 3), (5, 3), (), True, "C", "causal, more keys than queries"),
        ((4, 3), (2, 3), (), True, "C", "causal, more queries than keys"),
        ((2, 3, 4, 2), (2, 3, 5, 2), ((2, 1, 1, 5),), False, "C", "padding mask"),
        ((2, 4, 3), (2, 4, 3), ((4, 4), (2, 1, 4)), True, "C", "two masks, causal"),
        ((2, 1, 3, 2), (4, 5, 2), (), False, "C", "broadcast"),
        ((1, 1, 1), (1, 1, 1), (), False, "C", "size-1 axes"),
        ((0, 3, 2), (0, 4, 2), (), False, "C", "empty"),
        ((3, 4), (5, 4), ((3, 5),), False, "F", "non-contiguous"),
    ):
        result = [whole(s, "a size") for s in (*broadcast(q[:-2], k[:-2]), q[-2], 3)]
        drawn = [Draw(tuple(result), order=order)] * slopes
        drawn += [Draw(q, order=order), Draw(k, order=order)]
        drawn += [Draw((*k[:-1], 3), order=order)] * values
        drawn += [Draw(mask, kind="bool") for mask in masks]
        found.append(Sample(tuple(drawn), {"causal": causal}, about))
    return tuple(found)


_F = "float32"
_QK = (Type((3, 4), _F), Type((5, 4), _F))


attention_weights = Op(
    "attention_weights",
    ("q", "k", "*masks"),
    (flag("causal", False),),
    says="How much each query attends to each key: softmax of their scaled products; 0 if to none.",
    formula=r"\operatorname{softmax}\left(Q K^{\mathsf T} / \sqrt{d}\right)",
    type_rule=_weights_type,
    vjp=(
        lambda g, y, q, k, *masks, causal: _to_queries(_d_scores(g, y), q, k),
        lambda g, y, q, k, *masks, causal: _to_keys(_d_scores(g, y), q),
        None,
    ),
    expand=_weights,
    roles=frozenset({"composite"}),
    family="attention",
    plain=(
        "W = softmax(Q @ K.T / sqrt(d))",
        "dS = W * (dW - rowsum(dW * W))   dQ = dS @ K   dK = dS.T @ Q, both / sqrt(d)",
    ),
    samples=_samples(values=False),
    errors=(
        Mistake((Type((3, 4), _F), Type((5, 3), _F)), {}, "rows of one width"),
        Mistake((Type((3, 4), _F), Type((0, 4), _F)), {}, "nothing to attend to"),
        Mistake((*_QK, Type((3, 5), _F)), {}, "who may attend"),
        Mistake((*_QK, Type((3, 4), "bool")), {}, "do not broadcast"),
        Mistake((*_QK, Type((2, 3, 5), "bool")), {}, "does not fit the scores"),
    ),
)


def _attention_type(q: Type, k: Type, v: Type, *masks: Type, causal: bool) -> Type:
    return matmul_type(_weights_type(q, k, *masks, causal=causal), v)


def _shares(q: Any, k: Any, masks: tuple[Any, ...], causal: bool) -> Any:
    return attention_weights(q, k, *masks, causal=causal)


def _d_attention(g: Any, q: Any, k: Any, v: Any, masks: tuple[Any, ...], causal: bool) -> Any:
    return _d_scores(named(g @ v.swapaxes(-1, -2), "d_weights"), _shares(q, k, masks, causal))


def _slope_type(g: Type, q: Type, k: Type, v: Type, *masks: Type, causal: bool) -> Type:
    """The scores, once it is clear that everything fits."""
    result = _attention_type(q, k, v, *masks, causal=causal)
    if g != result:
        raise ShapeError(
            "a derivative has the shape of what it is of", expected=repr(result), received=repr(g)
        )
    return _weights_type(q, k, *masks, causal=causal)


def _dq_type(g: Type, q: Type, k: Type, v: Type, *masks: Type, causal: bool) -> Type:
    scores = _slope_type(g, q, k, v, *masks, causal=causal)
    return Type((*scores.shape[:-1], q.shape[-1]), q.dtype)


def _dk_type(g: Type, q: Type, k: Type, v: Type, *masks: Type, causal: bool) -> Type:
    scores = _slope_type(g, q, k, v, *masks, causal=causal)
    return Type((*scores.shape[:-2], scores.shape[-1], k.shape[-1]), k.dtype)


def _dv_type(g: Type, q: Type, k: Type, v: Type, *masks: Type, causal: bool) -> Type:
    scores = _slope_type(g, q, k, v, *masks, causal=causal)
    turned = Type((*scores.shape[:-2], scores.shape[-1], scores.shape[-2]), v.dtype)
    return matmul_type(turned, g)


def _slope(name: str, of: str, formula: str, plain: str, type_rule: Any, expand: Any) -> Op:
    """The derivative of attention by one of its operands, summed over no axis it is stretched on."""
    return Op(
        name,
        ("g", "q", "k", "v", "*masks"),
        (flag("causal", False),),
        says=f"The derivative of attention by its {of}, from that of its result.",
        formula=formula,
        type_rule=type_rule,
        expand=expand,
        roles=frozenset({"composite"}),
        family="attention",
        plain=(plain, ""),
        samples=_samples(values=True, slopes=True),
        errors=(
            Mistake((Type((3, 2), _F), *_QK, Type((5, 3), _F)), {}, "shape of what it is of"),
            Mistake((Type((3, 3), _F), *_QK, Type((4, 3), _F)), {}, "inner sizes differ"),
        ),
    )


attention_dq = _slope(
    "attention_dq",
    "queries",
    r"dS\, K / \sqrt{d}",
    "dQ = dS @ K / sqrt(d), dS = W * (dW - rowsum(dW * W)), dW = dy @ V.T",
    _dq_type,
    lambda g, q, k, v, *masks, causal: _to_queries(_d_attention(g, q, k, v, masks, causal), q, k),
)
attention_dk = _slope(
    "attention_dk",
    "keys",
    r"dS^{\mathsf T} Q / \sqrt{d}",
    "dK = dS.T @ Q / sqrt(d), dS = W * (dW - rowsum(dW * W)), dW = dy @ V.T",
    _dk_type,
    lambda g, q, k, v, *masks, causal: _to_keys(_d_attention(g, q, k, v, masks, causal), q),
)
attention_dv = _slope(
    "attention_dv",
    "values",
    r"W^{\mathsf T} dY",
    "dV = W.T @ dy",
    _dv_type,
    lambda g, q, k, v, *masks, causal: _shares(q, k, masks, causal).swapaxes(-1, -2) @ g,
)


attention = Op(
    "attention",
    ("q", "k", "v", "*masks"),
    (flag("causal", False),),
    says="Each query's mean of the values, weighted by its likeness to their keys; 0 if to none.",
    formula=r"\operatorname{softmax}\left(Q K^{\mathsf T} / \sqrt{d}\right) V",
    type_rule=_attention_type,
    vjp=(
        lambda g, y, q, k, v, *masks, causal: attention_dq(g, q, k, v, *masks, causal=causal),
        lambda g, y, q, k, v, *masks, causal: attention_dk(g, q, k, v, *masks, causal=causal),
        lambda g, y, q, k, v, *masks, causal: attention_dv(g, q, k, v, *masks, causal=causal),
        None,
    ),
    expand=lambda q, k, v, *masks, causal: _shares(q, k, masks, causal) @ v,
    roles=frozenset({"composite"}),
    family="attention",
    plain=(
        "y = W @ V, W = softmax(Q @ K.T / sqrt(d))",
        "dV = W.T @ dy, dS = W * (dW - rowsum(dW * W)), dW = dy @ V.T, dQ = dS @ K, dK = dS.T @ Q",
    ),
    samples=_samples(values=True),
    errors=(
        Mistake((*_QK, Type((4, 3), _F)), {}, "inner sizes differ"),
        Mistake((*_QK, Type((5, 3), _F), Type((3, 5), _F)), {}, "who may attend"),
    ),
)
