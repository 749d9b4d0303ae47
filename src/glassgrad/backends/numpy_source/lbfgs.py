"""L-BFGS with a strong Wolfe line search (PyTorch's), on one vector of weights.

These functions stand word for word in printed programs: they use `np` and `math` alone. `memory`,
a dict of arrays and numbers, holds all that is kept from call to call.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: B905  # `strict=` says nothing to a reader of the program

import math

import numpy as np


def lbfgs_direction(g, changes, moves, scale):
    """-H g, where H is the inverse Hessian that the last moves and changes of g tell of."""
    pairs = [(change, move, float(change @ move)) for change, move in zip(changes, moves)]
    d = -g
    shares = []
    for change, move, curve in reversed(pairs):
        shares.append(float(move @ d) / curve)
        d = d - shares[-1] * change
    d = d * scale
    for change, move, curve in pairs:
        d = d + (shares.pop() - float(change @ d) / curve) * move
    return d


def lbfgs_trial(evaluate, w, t, d):
    """Loss, gradient and slope along d after a step of t; a loss that is not finite counts as inf."""
    loss, g = evaluate(w + t * d)
    loss, slope = float(loss), float(g @ d)
    if not (math.isfinite(loss) and math.isfinite(slope)):
        return math.inf, g, math.inf
    return loss, g, slope


def cubic_minimum(a, b, low, high):
    """Where the cubic through two points (t, loss, gradient, slope) is least, within bounds."""
    (t1, f1, _, s1), (t2, f2, _, s2) = (a, b) if a[0] <= b[0] else (b, a)
    if t1 == t2 or not (math.isfinite(f1) and math.isfinite(f2)):
        return (low + high) / 2
    d = s1 + s2 - 3 * (f1 - f2) / (t1 - t2)
    root = d**2 - s1 * s2
    if not root >= 0 or s2 - s1 + 2 * math.sqrt(root) == 0:
        return (low + high) / 2
    root = math.sqrt(root)
    t = t2 - (t2 - t1) * ((s2 + root - d) / (s2 - s1 + 2 * root))
    return min(max(t, low), high)


def strong_wolfe(evaluate, w, t, d, loss, g, slope, tolerance_change, most):
    """A step t along d that lowers the loss enough and flattens its slope enough.

    Gives the loss and gradient there, t, and how often the loss was evaluated.
    """
    start = before = (0.0, loss, g, slope)
    here = (t, *lbfgs_trial(evaluate, w, t, d))
    count = 1
    trials = 0
    found = False
    bracket = [start, here]
    while trials < most:
        t, loss_t, _, slope_t = here
        bracket = [before, here]
        if loss_t > loss + 1e-4 * t * slope or (trials > 1 and loss_t >= before[1]):
            break
        if abs(slope_t) <= -0.9 * slope:
            found = True
            bracket = [here]
            break
        if slope_t >= 0:
            break
        next_t = cubic_minimum(before, here, t + 0.01 * (t - before[0]), t * 10)
        before, here = here, (next_t, *lbfgs_trial(evaluate, w, next_t, d))
        count += 1
        trials += 1
    if trials == most and not found:
        bracket = [start, here]
    best = 0 if bracket[0][1] <= bracket[-1][1] else 1
    size = float(np.abs(d).max())
    stuck = False
    while not found and trials < most:
        low, high = sorted([bracket[0][0], bracket[1][0]])
        if (high - low) * size < tolerance_change:
            break
        t = cubic_minimum(bracket[0], bracket[1], low, high)
        margin = 0.1 * (high - low)
        close = min(high - t, t - low) < margin
        if close and (stuck or t >= high or t <= low):
            t = high - margin if abs(t - high) < abs(t - low) else low + margin
            close = False
        stuck = close
        here = (t, *lbfgs_trial(evaluate, w, t, d))
        count += 1
        trials += 1
        _, loss_t, _, slope_t = here
        if loss_t > loss + 1e-4 * t * slope or loss_t >= bracket[best][1]:
            bracket[1 - best] = here
            best = 0 if bracket[0][1] <= bracket[1][1] else 1
            continue
        found = abs(slope_t) <= -0.9 * slope
        if not found and slope_t * (bracket[1 - best][0] - bracket[best][0]) >= 0:
            bracket[1 - best] = bracket[best]
        bracket[best] = here
    t, loss_t, g_t, _ = bracket[best]
    return loss_t, g_t, t, count


def lbfgs(
    evaluate,
    w,
    memory,
    lr,
    max_iter,
    max_eval,
    tolerance_grad,
    tolerance_change,
    history_size,
    wolfe,
):
    """Up to max_iter steps of L-BFGS from w; evaluate(w) gives the loss and its gradient.

    Gives the new w and the loss at the old one. A loss or gradient that is not finite ends it:
    then w and memory are as they were, and the loss that is given is not finite.
    """
    first_w = w
    loss, g = evaluate(w)
    first_loss = loss = float(loss)
    if not (math.isfinite(loss) and np.isfinite(g).all()):
        return first_w, math.nan
    if np.abs(g).max() <= tolerance_grad:
        return w, first_loss
    d, t, old_g, scale = (memory.get(name) for name in ("d", "t", "g", "scale"))
    changes, moves = list(memory.get("changes", [])), list(memory.get("moves", []))
    evaluations = 1
    for i in range(1, max_iter + 1):
        if d is None:
            d, scale = -g, 1.0
            t = min(1.0, 1.0 / float(np.abs(g).sum())) * lr
        else:
            change, move = g - old_g, d * t
            if change @ move > 1e-10:
                changes = [*changes, change][-history_size:]
                moves = [*moves, move][-history_size:]
                scale = float(change @ move) / float(change @ change)
            d = lbfgs_direction(g, changes, moves, scale)
            t = lr
        old_g, old_loss = g, loss
        slope = float(g @ d)
        if slope > -tolerance_change:
            break
        if wolfe:
            most = max_eval - evaluations
            loss, g, t, count = strong_wolfe(
                evaluate, w, t, d, loss, g, slope, tolerance_change, most
            )
            evaluations += count
            w = w + t * d
        else:
            w = w + t * d
            if i < max_iter:
                loss, g = evaluate(w)
                loss = float(loss)
                evaluations += 1
        if not (math.isfinite(loss) and np.isfinite(g).all() and np.isfinite(w).all()):
            return first_w, math.nan
        moved = float(np.abs(d * t).max())
        if evaluations >= max_eval or np.abs(g).max() <= tolerance_grad:
            break
        if moved <= tolerance_change or abs(loss - old_loss) < tolerance_change:
            break
    memory.update(d=d, t=t, g=old_g, scale=scale, changes=changes, moves=moves)
    return w, first_loss
