"""One training step, as NumPy.

data       x (n, 16) int64   y (n, 16) int64, 12 classes; n is the number of rows, whatever it is
network    GPT(12, width=32, layers=1, heads=4, context=16)
loss       cross-entropy of softmax, mean over the batch
optimiser  SGD(0.1)
"""
import math

import numpy as np


def add_at(out, index, values):
    """out[index] += values, row by row, where a row named twice is added to twice."""
    if out.flags.c_contiguous:  # the same number by number, which NumPy does much faster
        row = math.prod(out.shape[1:])
        index = (np.asarray(index, np.intp).reshape(-1, 1) * row + np.arange(row)).reshape(-1)
        out, values = out.reshape(-1), values.reshape(-1)
    np.add.at(out, index, values)


def erf(
    x,
    height=np.array([*map(math.erf, np.arange(3073) / 512)]),
    slope=2 / math.sqrt(math.pi) * np.exp(-((np.arange(3073) / 512) ** 2)),
):
    """The error function: a Taylor series from the nearest k / 512 below |x|, where it is known."""
    z = np.minimum(np.abs(x), 6)  # from 6 on erf is 1
    k = np.fmin(512 * z, 3072).astype(np.int32)  # fmin: nan reads the last entry and stays nan
    t = (k / 512).astype(x.dtype)
    h, t2 = z - t, t * t
    strip = slope.astype(x.dtype)[k] * h
    bend = (2 * t2 - 1) / 3 - h * (t * (2 * t2 - 3) / 6 - h * (4 * t2 * t2 - 12 * t2 + 3) / 30)
    return np.copysign(height.astype(x.dtype)[k] + (strip - strip * h * (t - h * bend)), x)


def train_step(x, y, weights, rate):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    embedding_weight = weights[:384].reshape(12, 32)
    positions_weight = weights[384:896].reshape(16, 32)
    block1_attention_query_bias = weights[896:928]
    block1_attention_query_weight = weights[928:1952].reshape(32, 32)
    block1_attention_key_bias = weights[1952:1984]
    block1_attention_key_weight = weights[1984:3008].reshape(32, 32)
    block1_attention_value_bias = weights[3008:3040]
    block1_attention_value_weight = weights[3040:4064].reshape(32, 32)
    block1_attention_out_bias = weights[4064:4096]
    block1_attention_out_weight = weights[4096:5120].reshape(32, 32)
    block1_linear1_bias = weights[5120:5248]
    block1_linear1_weight = weights[5248:9344].reshape(32, 128)
    block1_linear2_bias = weights[9344:9376]
    block1_linear2_weight = weights[9376:13472].reshape(128, 32)
    block1_norm1_weight = weights[13472:13504]
    block1_norm1_bias = weights[13504:13536]
    block1_norm2_weight = weights[13536:13568]
    block1_norm2_bias = weights[13568:13600]
    norm_weight = weights[13600:13632]
    norm_bias = weights[13632:13664]
    head_bias = weights[13664:13676]
    head_weight = weights[13676:].reshape(32, 12)
    # embedding: Embedding(12, 32)     y = W[tokens]
    embedding = embedding_weight[x]
    # positions: LearnedPositions(16, 32)
    #     y = x + W, row by row
    positions = embedding + positions_weight
    # block1.norm1: LayerNorm(32)      y = w * normalised + b, normalised = (x - mean) / std
    norm1_centred = positions - positions.mean(axis=2, keepdims=True)
    norm1_variance = (norm1_centred * norm1_centred).mean(axis=2, keepdims=True)
    norm1_std = np.sqrt(norm1_variance + 1e-5)
    norm1_normalised = norm1_centred / norm1_std
    norm1 = norm1_normalised * block1_norm1_weight + block1_norm1_bias
    # block1.attention.query: Linear(32, 32)
    #     z = x @ W + b
    query = norm1 @ block1_attention_query_weight + block1_attention_query_bias
    # block1.attention.key: Linear(32, 32)
    #     z = x @ W + b
    key = norm1 @ block1_attention_key_weight + block1_attention_key_bias
    # block1.attention.value: Linear(32, 32)
    #     z = x @ W + b
    value = norm1 @ block1_attention_value_weight + block1_attention_value_bias
    # block1.attention: MultiheadAttention(32, 4, causal=True)
    #     y = W @ V, W = softmax(Q @ K.T / sqrt(d))
    q = query.reshape(n, 16, 4, 8).swapaxes(1, 2)
    k = key.reshape(n, 16, 4, 8).swapaxes(1, 2)
    v = value.reshape(n, 16, 4, 8).swapaxes(1, 2)
    scaled = q / math.sqrt(8)
    position = np.arange(16)
    causal = position.reshape(16, 1) >= position
    attention_scores = np.where(causal, scaled @ k.swapaxes(-1, -2), -np.inf)
    powers = np.exp(attention_scores - attention_scores.max(axis=3, keepdims=True))
    attention_weights = powers / powers.sum(axis=3, keepdims=True)
    by_head = attention_weights @ v
    mixed = by_head.swapaxes(1, 2).reshape(n, 16, 32)
    # block1.attention.out: Linear(32, 32)
    #     z = x @ W + b
    out = mixed @ block1_attention_out_weight + block1_attention_out_bias
    # block1: TransformerEncoderLayer(32, 4, 128, dropout=0, activation='gelu', norm_first=True, causal=True)
    attended = positions + out
    # block1.norm2: LayerNorm(32)      y = w * normalised + b, normalised = (x - mean) / std
    norm2_centred = attended - attended.mean(axis=2, keepdims=True)
    norm2_variance = (norm2_centred * norm2_centred).mean(axis=2, keepdims=True)
    norm2_std = np.sqrt(norm2_variance + 1e-5)
    norm2_normalised = norm2_centred / norm2_std
    norm2 = norm2_normalised * block1_norm2_weight + block1_norm2_bias
    # block1.linear1: Linear(32, 128)  z = x @ W + b
    linear1 = norm2 @ block1_linear1_weight + block1_linear1_bias
    # block1.activation: GELU          a = z * P(normal < z)
    share = 0.5 * (1 + erf(linear1 * math.sqrt(0.5)))
    activation = linear1 * share
    # block1.linear2: Linear(128, 32)  z = x @ W + b
    linear2 = activation @ block1_linear2_weight + block1_linear2_bias
    # block1: TransformerEncoderLayer(32, 4, 128, dropout=0, activation='gelu', norm_first=True, causal=True)
    block1 = attended + linear2
    # norm: LayerNorm(32)              y = w * normalised + b, normalised = (x - mean) / std
    norm_centred = block1 - block1.mean(axis=2, keepdims=True)
    norm_variance = (norm_centred * norm_centred).mean(axis=2, keepdims=True)
    norm_std = np.sqrt(norm_variance + 1e-5)
    normalised = norm_centred / norm_std
    norm = normalised * norm_weight + norm_bias
    # head: Linear(32, 12)             z = x @ W + b
    head = norm @ head_weight + head_bias
    # loss: cross-entropy
    #     L = -mean of log softmax(z)[y]; z less its largest first, so that exp cannot overflow
    targets = y.ravel()
    loss_scores = head.reshape(16 * n, 12)
    shifted = loss_scores - loss_scores.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_probs[np.arange(16 * n), targets].mean()
    # accuracy                         how many rows are right
    correct = (head.swapaxes(-1, -2).argmax(axis=1) == y).astype(np.int64).sum()

    # -- backward: d_v is dL/dv, same shape as v -------------------------------
    # loss                             dz = (softmax(z) - onehot(y)) / n
    d_loss_scores = np.exp(log_probs)
    d_loss_scores[np.arange(16 * n), targets] -= 1
    d_loss_scores /= 16 * n
    d_head = d_loss_scores.reshape(n, 16, 12)
    # head                             dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_head_weight = norm.reshape(16 * n, 32).T @ d_loss_scores
    d_head_bias = d_head.sum(axis=(0, 1))
    d_norm = d_head @ head_weight.T
    # norm                             dx = (d - mean(d) - normalised * mean(d * normalised)) / std, d = dy * w
    d_norm_weight = (d_norm * normalised).sum(axis=(0, 1))
    d_norm_bias = d_norm.sum(axis=(0, 1))
    d_norm_normalised = d_norm * norm_weight
    norm_mean_d = d_norm_normalised.mean(axis=2, keepdims=True)
    norm_mean_along = (d_norm_normalised * normalised).mean(axis=2, keepdims=True)
    d_block1 = (d_norm_normalised - norm_mean_d - normalised * norm_mean_along) / norm_std
    # block1.linear2                   dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_block1_linear2_weight = activation.reshape(16 * n, 128).T @ d_block1.reshape(16 * n, 32)
    d_block1_linear2_bias = d_block1.sum(axis=(0, 1))
    d_activation = d_block1 @ block1_linear2_weight.T
    # block1.activation                dz = da * (P + z * density(z))
    d_linear1 = linear1 * (np.exp(-0.5 * (linear1 * linear1)) / math.sqrt(2 * math.pi))
    d_linear1 += share
    d_linear1 *= d_activation
    # block1.linear1                   dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_block1_linear1_weight = norm2.reshape(16 * n, 32).T @ d_linear1.reshape(16 * n, 128)
    d_block1_linear1_bias = d_linear1.sum(axis=(0, 1))
    d_norm2 = d_linear1 @ block1_linear1_weight.T
    # block1.norm2                     dx = (d - mean(d) - normalised * mean(d * normalised)) / std, d = dy * w
    d_block1_norm2_weight = (d_norm2 * norm2_normalised).sum(axis=(0, 1))
    d_block1_norm2_bias = d_norm2.sum(axis=(0, 1))
    d_norm2_normalised = d_norm2 * block1_norm2_weight
    norm2_mean_d = d_norm2_normalised.mean(axis=2, keepdims=True)
    norm2_mean_along = (d_norm2_normalised * norm2_normalised).mean(axis=2, keepdims=True)
    d_attended = (d_norm2_normalised - norm2_mean_d - norm2_normalised * norm2_mean_along) / norm2_std
    d_attended += d_block1
    # block1.attention.out             dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_block1_attention_out_weight = mixed.reshape(16 * n, 32).T @ d_attended.reshape(16 * n, 32)
    d_block1_attention_out_bias = d_attended.sum(axis=(0, 1))
    d_mixed = d_attended @ block1_attention_out_weight.T
    # block1.attention
    #     dV = W.T @ dy, dS = W * (dW - rowsum(dW * W)), dW = dy @ V.T, dQ = dS @ K, dK = dS.T @ Q
    d_by_head = d_mixed.reshape(n, 16, 4, 8).swapaxes(1, 2)
    d_weights = d_by_head @ v.swapaxes(-1, -2)
    along = (d_weights * attention_weights).sum(axis=3, keepdims=True)
    d_attention_scores = attention_weights * (d_weights - along)
    d_q = d_attention_scores @ k / math.sqrt(8)
    d_k = d_attention_scores.swapaxes(-1, -2) @ scaled
    d_v = attention_weights.swapaxes(-1, -2) @ d_by_head
    d_value = d_v.swapaxes(1, 2).reshape(n, 16, 32)
    # block1.attention.value           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_block1_attention_value_weight = norm1.reshape(16 * n, 32).T @ d_value.reshape(16 * n, 32)
    d_block1_attention_value_bias = d_value.sum(axis=(0, 1))
    d_norm1 = d_value @ block1_attention_value_weight.T
    # block1.attention
    #     dV = W.T @ dy, dS = W * (dW - rowsum(dW * W)), dW = dy @ V.T, dQ = dS @ K, dK = dS.T @ Q
    d_key = d_k.swapaxes(1, 2).reshape(n, 16, 32)
    # block1.attention.key             dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_block1_attention_key_weight = norm1.reshape(16 * n, 32).T @ d_key.reshape(16 * n, 32)
    d_block1_attention_key_bias = d_key.sum(axis=(0, 1))
    d_norm1 += d_key @ block1_attention_key_weight.T
    # block1.attention
    #     dV = W.T @ dy, dS = W * (dW - rowsum(dW * W)), dW = dy @ V.T, dQ = dS @ K, dK = dS.T @ Q
    d_query = d_q.swapaxes(1, 2).reshape(n, 16, 32)
    # block1.attention.query           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_block1_attention_query_weight = norm1.reshape(16 * n, 32).T @ d_query.reshape(16 * n, 32)
    d_block1_attention_query_bias = d_query.sum(axis=(0, 1))
    d_norm1 += d_query @ block1_attention_query_weight.T
    # block1.norm1                     dx = (d - mean(d) - normalised * mean(d * normalised)) / std, d = dy * w
    d_block1_norm1_weight = (d_norm1 * norm1_normalised).sum(axis=(0, 1))
    d_block1_norm1_bias = d_norm1.sum(axis=(0, 1))
    d_norm1_normalised = d_norm1 * block1_norm1_weight
    norm1_mean_d = d_norm1_normalised.mean(axis=2, keepdims=True)
    norm1_mean_along = (d_norm1_normalised * norm1_normalised).mean(axis=2, keepdims=True)
    d_positions = (d_norm1_normalised - norm1_mean_d - norm1_normalised * norm1_mean_along) / norm1_std
    d_positions += d_attended
    # positions                        dW = sum of dy over n   dx = dy
    d_positions_weight = d_positions.sum(axis=0)
    # embedding                        dW[tokens] += dy
    d_embedding_weight = np.zeros((12, 32), np.float32)
    add_at(d_embedding_weight, x, d_positions)

    # -- update: SGD   w <- w - rate * dL/dw -----------------------------------
    gradient = np.concatenate([d_embedding_weight.ravel(), d_positions_weight.ravel(),
        d_block1_attention_query_bias, d_block1_attention_query_weight.ravel(), d_block1_attention_key_bias,
        d_block1_attention_key_weight.ravel(), d_block1_attention_value_bias,
        d_block1_attention_value_weight.ravel(), d_block1_attention_out_bias,
        d_block1_attention_out_weight.ravel(), d_block1_linear1_bias, d_block1_linear1_weight.ravel(),
        d_block1_linear2_bias, d_block1_linear2_weight.ravel(), d_block1_norm1_weight, d_block1_norm1_bias,
        d_block1_norm2_weight, d_block1_norm2_bias, d_norm_weight, d_norm_bias, d_head_bias,
        d_head_weight.ravel()])
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        return None
    weights -= rate * gradient
    return loss, correct
